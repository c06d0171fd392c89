/*
 * growth_model: thirteen statistics of one curve. Input: a series; output: its odds, weighed by growth_weights.
 * The series is thinned to at most 200 points and scaled: x is time, 0 to 1; z is bytes above the minimum in units of
 * the range.
 */
#include "growth_model.h"

#include "growth_weights.h"
#include "nuisance_models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = LH_GROWTH_MODEL_POINTS_MAX, PERIOD_MIN = 3, OPENING_MIN = 4, BLOCKS = 5 };
/* A scaled curve. All arrays hold POINTS_MAX numbers. */
struct curve {
	double x[POINTS_MAX];
	double z[POINTS_MAX];
	size_t count;
	double rounding;   /* variance of rounding to pages, in units of the squared range */
	double page_share; /* a page as a share of the range; only set for the scaled series itself */
	double first_s, span_s, least_bytes, range_bytes; /* the scales; likewise */
};

/* Groups of equal count: mean of first and last time, median of the bytes. */
static struct lh_error *thin_series(struct lh_series series, struct curve *curve)
{
	if (series.count <= POINTS_MAX) {
		memcpy(curve->x, series.seconds, series.count * sizeof(double));
		memcpy(curve->z, series.values, series.count * sizeof(double));
		curve->count = series.count;
		return NULL;
	}
	LH_CLEANUP(lh_cleanup_free) double *group = calloc(series.count / POINTS_MAX + 1, sizeof(*group));
	if (!group)
		return lh_error_no_memory();
	for (size_t i = 0; i < POINTS_MAX; i++) {
		size_t start = i * series.count / POINTS_MAX;
		size_t end = (i + 1) * series.count / POINTS_MAX;
		memcpy(group, series.values + start, (end - start) * sizeof(*group));
		curve->x[i] = (series.seconds[start] + series.seconds[end - 1]) / 2;
		curve->z[i] = lh_median_of(group, end - start);
	}
	curve->count = POINTS_MAX;
	return NULL;
}

static double least_of(const double *values, size_t count)
{
	double least = values[0];
	for (size_t i = 1; i < count; i++)
		least = fmin(least, values[i]);
	return least;
}

/* Times to 0..1. */
static void scale_times(double *x, size_t count)
{
	double first = x[0];
	double span = x[count - 1] - first;
	for (size_t i = 0; i < count; i++)
		x[i] = (x[i] - first) / span;
}

static struct lh_error *make_curve(struct lh_series series, struct curve *curve)
{
	LH_TRY(thin_series(series, curve));
	double least = least_of(curve->z, curve->count);
	double most = least;
	for (size_t i = 0; i < curve->count; i++)
		most = fmax(most, curve->z[i]);
	double range = fmax(most - least, 1);
	curve->first_s = curve->x[0];
	curve->span_s = curve->x[curve->count - 1] - curve->x[0];
	curve->least_bytes = least;
	curve->range_bytes = range;
	for (size_t i = 0; i < curve->count; i++)
		curve->z[i] = (curve->z[i] - least) / range;
	scale_times(curve->x, curve->count);
	curve->page_share = (double)LH_PAGE_BYTES / range;
	curve->rounding = curve->page_share * curve->page_share / 12 + 1e-7;
	return NULL;
}

/* ---------------------------------------------------------------- period */

/* The mean difference of samples that are `lag` apart, without a common trend. */
static double difference_at(const struct curve *curve, size_t lag)
{
	double steps[POINTS_MAX];
	double distances[POINTS_MAX];
	size_t count = curve->count - lag;
	for (size_t i = 0; i < count; i++)
		steps[i] = distances[i] = curve->z[i + lag] - curve->z[i];
	double middle = lh_median_of(distances, count);
	double sum = 0;
	for (size_t i = 0; i < count; i++) {
		distances[i] = fabs(steps[i] - middle);
		sum += fmin(distances[i], 0.5);
	}
	return lh_median_of(distances, count) / 2 + sum / (double)count / 2;
}

/* The lag at which the curve resembles itself far more than at all shorter lags; 1: none. */
static size_t find_period(const struct curve *curve)
{
	double difference[POINTS_MAX / 3 + 1];
	size_t last = curve->count / 3;
	size_t period = 1;
	double depth = 1;
	double most = 0;
	for (size_t lag = 1; lag <= last; lag++)
		difference[lag] = difference_at(curve, lag);
	for (size_t lag = 1; lag < last; lag++) {
		double here = difference[lag];
		if (lag >= PERIOD_MIN && here <= difference[lag - 1] && here <= difference[lag + 1] && most > 0.02 &&
		    here < 0.45 * most && (period == 1 || here / most < depth - 0.1)) {
			period = lag;
			depth = here / most;
		}
		most = fmax(most, here);
	}
	return period;
}

/* ---------------------------------------------------------------- mean and floor */

/* Means over a period. */
static void average_curve(const struct curve *curve, size_t period, struct curve *ret)
{
	ret->count = curve->count - period + 1;
	for (size_t i = 0; i < ret->count; i++) {
		double x = 0;
		double z = 0;
		for (size_t j = i; j < i + period; j++) {
			x += curve->x[j];
			z += curve->z[j];
		}
		ret->x[i] = x / (double)period;
		ret->z[i] = z / (double)period;
	}
	ret->rounding = curve->rounding / (double)period;
}

/*
 * Morphological opening: the largest of the minima of all windows that contain the sample. Removes peaks shorter than a
 * window; keeps floors, stairs and trends. The last samples are in too few windows, and are omitted.
 */
static void open_curve(const struct curve *curve, size_t period, struct curve *ret)
{
	size_t count = curve->count;
	size_t width = period > OPENING_MIN ? period : OPENING_MIN;
	if (width > count / 3)
		width = count / 3;
	for (size_t i = 0; i < count; i++) {
		size_t first = i + 1 > width ? i + 1 - width : 0;
		double most = 0;
		for (size_t j = first; j <= i && j + width <= count; j++)
			most = fmax(most, least_of(curve->z + j, width));
		ret->z[i] = most;
	}
	ret->count = count - (width <= OPENING_MIN ? 1 : width / 2);
	memcpy(ret->x, curve->x, ret->count * sizeof(double));
	ret->rounding = curve->rounding;
}

/* ---------------------------------------------------------------- plainer statistics */

/* Student's t of the slope from a point on, corrected for autocorrelation; 0 with fewer than 4 points. */
static double slope_t(const struct curve *curve, size_t start)
{
	const double *x = curve->x + start;
	const double *y = curve->z + start;
	size_t count = curve->count - start;
	double n = (double)count;
	double mean_x = 0, mean_y = 0, sxx = 0, sxy = 0;
	if (count < 4)
		return 0;
	for (size_t i = 0; i < count; i++) {
		mean_x += x[i] / n;
		mean_y += y[i] / n;
	}
	for (size_t i = 0; i < count; i++) {
		sxx += (x[i] - mean_x) * (x[i] - mean_x);
		sxy += (x[i] - mean_x) * (y[i] - mean_y);
	}
	double slope = sxy / sxx;
	double residuals[POINTS_MAX];
	double sse = 0;
	for (size_t i = 0; i < count; i++) {
		residuals[i] = y[i] - mean_y - slope * (x[i] - mean_x);
		sse += residuals[i] * residuals[i];
	}
	double rho = lh_lag_correlation(residuals, count, curve->rounding);
	double effective = fmax(3, n * (1 - rho) / (1 + rho));
	return slope / sqrt((sse / (n - 2) + curve->rounding) / sxx * n / effective);
}

/* Mean sign of the differences of samples that are whole periods apart. */
static double seasonal_kendall(const struct curve *curve, size_t period)
{
	double tie = sqrt(curve->rounding);
	double sum = 0;
	size_t pairs = 0;
	for (size_t i = 0; i < curve->count; i++) {
		for (size_t j = i + period; j < curve->count; j += period, pairs++) {
			double difference = curve->z[j] - curve->z[i];
			if (fabs(difference) > tie)
				sum += difference > 0 ? 1 : -1;
		}
	}
	return pairs ? sum / (double)pairs : 0;
}

/* Memory that is never given back: when its level last rose, and the longest pause between two rises. */
static void measure_tail(const struct curve *curve, struct lh_growth_odds *odds)
{
	double kept[POINTS_MAX];
	size_t count = curve->count;
	double margin = fmax(0.02, 4 * curve->page_share);
	kept[count - 1] = curve->z[count - 1];
	for (size_t i = count - 1; i-- > 0;)
		kept[i] = fmin(curve->z[i], kept[i + 1]);
	double level = kept[0];
	size_t last = 0;
	double gap = 0;
	for (size_t i = 1; i < count; i++) {
		if (kept[i] <= level + margin)
			continue;
		gap = fmax(gap, (double)(i - last) - 1);
		last = i;
		level = kept[i];
	}
	double tail = (double)(count - 1 - last);
	odds->values[LH_STATISTIC_TAIL] = tail / (double)(count - 1);
	odds->values[LH_STATISTIC_TAIL_GAP] = gap > 0 ? log((tail + 0.5) / (gap + 0.5)) : log(tail + 0.5);
}

static void count_intervals(const struct curve *curve, struct lh_growth_odds *odds)
{
	size_t count = curve->count;
	size_t half = count / 2;
	double up = 0, late_up = 0, late_idle = 0, highest = curve->z[0], fall = 0;
	for (size_t i = 1; i < count; i++) {
		double step = curve->z[i] - curve->z[i - 1];
		double sign = step > 0 ? 1 : step < 0 ? -1 : 0;
		up += sign;
		if (i > half) {
			late_up += sign;
			late_idle += step == 0;
		}
		fall = fmax(fall, highest - curve->z[i]);
		highest = fmax(highest, curve->z[i]);
	}
	odds->values[LH_STATISTIC_UP] = up / (double)(count - 1);
	odds->values[LH_STATISTIC_LATE_UP] = late_up / (double)(count - 1 - half);
	odds->values[LH_STATISTIC_LATE_IDLE] = late_idle / (double)(count - 1 - half);
	odds->values[LH_STATISTIC_FALL] = fall;
}

static double block_floor(const struct curve *curve, size_t block)
{
	size_t start = block * curve->count / BLOCKS;
	size_t end = (block + 1) * curve->count / BLOCKS;
	return least_of(curve->z + start, end - start);
}

struct lh_error *lh_growth_odds_of(struct lh_series series, struct lh_growth_odds *ret)
{
	struct curve curve = {0};
	struct curve mean = {0};
	struct curve floor = {0};
	LH_TRY(make_curve(series, &curve));
	struct lh_growth_odds odds = {.period = find_period(&curve)};
	average_curve(&curve, odds.period, &mean);
	odds.mean_count = mean.count;
	for (size_t i = 0; i < mean.count; i++) {
		odds.mean_seconds[i] = curve.first_s + mean.x[i] * curve.span_s;
		odds.mean_bytes[i] = curve.least_bytes + mean.z[i] * curve.range_bytes;
	}
	scale_times(mean.x, mean.count);
	open_curve(&curve, odds.period, &floor);

	struct lh_trend_needed mean_needs = lh_trend_needed_by(mean.x, mean.z, mean.count, mean.rounding);
	struct lh_trend_needed floor_needs = lh_trend_needed_by(floor.x, floor.z, floor.count, floor.rounding);
	odds.values[LH_STATISTIC_MEAN_TREND] = asinh(mean_needs.least_t);
	odds.values[LH_STATISTIC_MEAN_NOISE] = log(mean_needs.unexplained + 1e-4);
	odds.values[LH_STATISTIC_FLOOR_TREND] = asinh(floor_needs.least_t);
	odds.values[LH_STATISTIC_KENDALL] = seasonal_kendall(&curve, odds.period);
	odds.values[LH_STATISTIC_LATE_TREND] = asinh(slope_t(&mean, mean.count / 2));
	odds.values[LH_STATISTIC_LAST_TREND] = asinh(slope_t(&mean, 2 * mean.count / 3));
	odds.values[LH_STATISTIC_EARLY_FLOOR] = block_floor(&curve, 2) - block_floor(&curve, 0);
	measure_tail(&curve, &odds);
	count_intervals(&curve, &odds);
	lh_growth_odds_weigh(&odds);
	*ret = odds;
	return NULL;
}
