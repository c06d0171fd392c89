/*
 * trend: robust figures of one series: slope by Theil and Sen, steadiness by Mann and Kendall, falls,
 * rises and how they are spread over time. Input: times and bytes. Output: numbers only; what they
 * mean is verdict's. Outliers of up to a quarter of the samples must not move slope or noise.
 */
#include "trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALL_PAIRS_MAX = 128,   /* samples up to which every pair is taken: 8128 slopes */
	EXACT_CHANCE_MAX = 40, /* samples up to which Kendall's distribution is counted out */
	FLOOR_BLOCKS = 6,      /* all six in order by accident: 1 in 720 */
	FLOOR_BLOCK_MIN = 4,   /* samples a block */
	PAGE_NOISE_BYTES = 16384,
};

static const double RELATIVE_TOLERANCE = 0.02;
static const double TOLERATED_JITTERS = 3;

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;
	return (left > right) - (left < right);
}

/* Sorts `values`. */
static double median_of(double *values, size_t count)
{
	if (!count)
		return 0;
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static size_t add_slope(struct lh_series series, size_t i, size_t j, double *slopes, size_t count)
{
	double seconds = series.seconds[j] - series.seconds[i];
	if (seconds <= 0)
		return count;
	slopes[count] = (series.values[j] - series.values[i]) / seconds;
	return count + 1;
}

/* Every pair; of a long series the pairs half of it apart (Theil's incomplete method). */
static struct lh_error *theil_sen(struct lh_series series, double *ret)
{
	size_t n = series.count;
	bool is_complete = n <= ALL_PAIRS_MAX;
	size_t pair_count = is_complete ? n * (n - 1) / 2 : n - n / 2;
	LH_CLEANUP(lh_cleanup_free) double *slopes = calloc(pair_count + 1, sizeof(*slopes));
	if (!slopes)
		return lh_error_no_memory();
	size_t count = 0;
	for (size_t i = 0; is_complete && i < n; i++) {
		for (size_t j = i + 1; j < n; j++)
			count = add_slope(series, i, j, slopes, count);
	}
	for (size_t i = 0; !is_complete && i + n / 2 < n; i++)
		count = add_slope(series, i, i + n / 2, slopes, count);
	*ret = median_of(slopes, count);
	return NULL;
}

/* Distance from the line of slope `slope` through the medians. */
static struct lh_error *measure_noise(struct lh_series series, double slope, double *ret)
{
	LH_CLEANUP(lh_cleanup_free) double *sorted = calloc(series.count, sizeof(*sorted));
	LH_CLEANUP(lh_cleanup_free) double *rest = calloc(series.count, sizeof(*rest));
	if (!sorted || !rest)
		return lh_error_no_memory();
	for (size_t i = 0; i < series.count; i++)
		sorted[i] = rest[i] = series.values[i] - slope * series.seconds[i];
	double middle = median_of(sorted, series.count);
	for (size_t i = 0; i < series.count; i++)
		rest[i] = fabs(rest[i] - middle);
	*ret = 1.4826 * median_of(rest, series.count);
	return NULL;
}

/* Kendall's S: pairs that rise minus pairs that fall. */
static double kendall_s(struct lh_series series)
{
	double sum = 0;
	for (size_t i = 0; i < series.count; i++) {
		for (size_t j = i + 1; j < series.count; j++)
			sum += (series.values[j] > series.values[i]) - (series.values[j] < series.values[i]);
	}
	return sum;
}

/*
 * Chance that a random order of n distinct values has at most `inversions` falling pairs. Counted out:
 * with n values in random order, the n-th adds 0 to n-1 inversions with equal chance.
 */
static double exact_chance(size_t n, size_t inversions)
{
	enum { MAX_INVERSIONS = EXACT_CHANCE_MAX * (EXACT_CHANCE_MAX - 1) / 2 };
	double chance[MAX_INVERSIONS + 1], next[MAX_INVERSIONS + 1];
	size_t most = 0;
	chance[0] = 1;
	for (size_t value = 2; value <= n; value++) {
		size_t most_before = most;
		double window = 0;
		most = value * (value - 1) / 2;
		for (size_t k = 0; k <= most; k++) {
			window += k <= most_before ? chance[k] : 0;
			window -= k >= value && k - value <= most_before ? chance[k - value] : 0;
			next[k] = window / (double)value;
		}
		memcpy(chance, next, (most + 1) * sizeof(*chance));
	}
	double sum = 0;
	for (size_t k = 0; k <= inversions && k <= most; k++)
		sum += chance[k];
	return sum > 1 ? 1 : sum;
}

/*
 * One-sided chance of an S at least this high (Mann 1945; normal approximation with continuity
 * correction, Kendall 1975). Ties count as neither, uncorrected: that only makes it more careful.
 */
static double chance_of_s(size_t n, double s)
{
	double pairs = (double)n * (double)(n - 1) / 2;
	if (s <= 0)
		return 1;
	if (n <= EXACT_CHANCE_MAX)
		return exact_chance(n, (size_t)floor((pairs - s) / 2));
	double variance = (double)n * (double)(n - 1) * (double)(2 * n + 5) / 18;
	return 0.5 * erfc((s - 1) / sqrt(variance) / M_SQRT2);
}

/*
 * One-sided chance of Student's t at least this high: for a whole number of degrees of freedom the
 * distribution is a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
 */
static double chance_of_t(size_t freedom, double t)
{
	double angle = atan(t / sqrt((double)freedom));
	double cosine = cos(angle);
	bool is_odd = freedom % 2;
	double term = is_odd ? cosine : 1;
	double sum = 0;
	for (size_t i = is_odd ? 3 : 2; i <= freedom; i += 2) {
		sum += term;
		term *= cosine * cosine * (double)(i - 1) / (double)i;
	}
	double within = is_odd ? (angle + sin(angle) * sum) * M_2_PI : sin(angle) * sum;
	return fmax(0, (1 - within) / 2);
}

/* Chance that values without any trend lie this straight along a rising line (regression's t). */
static double chance_of_line(struct lh_series series)
{
	double n = (double)series.count, mean_s = 0, mean_value = 0;
	double sum_ss = 0, sum_sv = 0, sum_vv = 0;
	for (size_t i = 0; i < series.count; i++) {
		mean_s += series.seconds[i] / n;
		mean_value += series.values[i] / n;
	}
	for (size_t i = 0; i < series.count; i++) {
		double s = series.seconds[i] - mean_s;
		double v = series.values[i] - mean_value;
		sum_ss += s * s;
		sum_sv += s * v;
		sum_vv += v * v;
	}
	if (series.count < 3 || sum_sv <= 0)
		return 1;
	double unexplained = fmax(sum_vv - sum_sv * sum_sv / sum_ss, 1e-12 * sum_vv);
	return chance_of_t(series.count - 2, sum_sv / sqrt(sum_ss * unexplained / (n - 2)));
}

/* From the steps between neighbours, less their median: a slope, a jump or a bend does not count. */
static struct lh_error *measure_jitter(struct lh_series series, double *ret)
{
	size_t count = series.count - 1;
	LH_CLEANUP(lh_cleanup_free) double *steps = calloc(series.count, sizeof(*steps));
	if (!steps)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		steps[i] = series.values[i + 1] - series.values[i];
	double middle = median_of(steps, count);
	for (size_t i = 0; i < count; i++)
		steps[i] = fabs(steps[i] - middle);
	*ret = 1.4826 * median_of(steps, count) / M_SQRT2;
	return NULL;
}

static struct lh_error *measure_levels(struct lh_series series, struct lh_trend *trend)
{
	LH_CLEANUP(lh_cleanup_free) double *sorted = calloc(series.count, sizeof(*sorted));
	if (!sorted)
		return lh_error_no_memory();
	memcpy(sorted, series.values, series.count * sizeof(*sorted));
	trend->median = median_of(sorted, series.count);
	trend->min = sorted[0];
	trend->max = sorted[series.count - 1];
	trend->first = series.values[0];
	trend->last = series.values[series.count - 1];
	trend->span_s = series.seconds[series.count - 1] - series.seconds[0];
	return NULL;
}

static void measure_moves(struct lh_series series, struct lh_trend *trend)
{
	double highest = series.values[0], lowest = series.values[0];
	for (size_t i = 1; i < series.count; i++) {
		double value = series.values[i];
		trend->up_count += value > series.values[i - 1];
		trend->down_count += value < series.values[i - 1];
		highest = fmax(highest, value);
		lowest = fmin(lowest, value);
		trend->drawdown = fmax(trend->drawdown, highest - value);
		trend->drawup = fmax(trend->drawup, value - lowest);
	}
}

static void measure_rises(struct lh_series series, struct lh_trend *trend)
{
	double level = series.values[0];
	double at_s = 0;
	trend->tolerance = fmax(PAGE_NOISE_BYTES, RELATIVE_TOLERANCE * (trend->max - trend->min));
	trend->tolerance = fmax(trend->tolerance, TOLERATED_JITTERS * trend->jitter);
	for (size_t i = 1; i < series.count; i++) {
		double rise = series.values[i] - level;
		if (rise <= trend->tolerance)
			continue;
		trend->rise_count++;
		trend->last_rise_at = i;
		/* The interval in which it rose is not a gap: only the time before its last quiet sample. */
		trend->longest_gap_s = fmax(trend->longest_gap_s, series.seconds[i - 1] - at_s);
		if (rise > trend->largest_rise) {
			trend->largest_rise = rise;
			trend->largest_rise_at = i;
		}
		level = series.values[i];
		at_s = series.seconds[i];
	}
	trend->tail_s = trend->span_s - at_s;
}

/* Minima of equal blocks: the floor under a sawtooth. */
static double measure_floor(struct lh_series series)
{
	size_t block = series.count / FLOOR_BLOCKS;
	if (block < FLOOR_BLOCK_MIN)
		return 0;
	double first = 0, previous = -1;
	for (size_t i = 0; i < FLOOR_BLOCKS; i++) {
		/* The remainder is left out at the start: what counts is the present. */
		size_t at = series.count - (FLOOR_BLOCKS - i) * block;
		double lowest = series.values[at];
		for (size_t j = at; j < at + block; j++)
			lowest = fmin(lowest, series.values[j]);
		if (i == 0)
			first = lowest;
		else if (lowest <= previous)
			return 0;
		previous = lowest;
	}
	return previous - first;
}

static struct lh_error *measure_halves(struct lh_series series, struct lh_trend *trend)
{
	size_t middle = series.count / 2;
	trend->early_slope = trend->late_slope = trend->slope;
	if (series.count < 5)
		return NULL;
	struct lh_series early = {series.seconds, series.values, middle + 1};
	struct lh_series late = {series.seconds + middle, series.values + middle, series.count - middle};
	LH_TRY(theil_sen(early, &trend->early_slope));
	return theil_sen(late, &trend->late_slope);
}

struct lh_error *lh_trend_measure(struct lh_series series, struct lh_trend *ret)
{
	struct lh_trend trend = {0};
	LH_TRY(measure_levels(series, &trend));
	LH_TRY(theil_sen(series, &trend.slope));
	LH_TRY(measure_noise(series, trend.slope, &trend.noise));
	LH_TRY(measure_halves(series, &trend));
	trend.rising_chance = chance_of_s(series.count, kendall_s(series));
	trend.straight_chance = chance_of_line(series);
	LH_TRY(measure_jitter(series, &trend.jitter));
	measure_moves(series, &trend);
	measure_rises(series, &trend);
	trend.floor_rise = measure_floor(series);
	*ret = trend;
	return NULL;
}
