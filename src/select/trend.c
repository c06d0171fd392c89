/*
 * trend: robust figures of one series: slope by Theil and Sen, steadiness by Mann and Kendall, falls, rises and their
 * distribution over time. Input: times and bytes. Output: numbers only; verdict interprets them. Outliers among up to a
 * quarter of the samples must not move slope or noise.
 */
#include "trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALL_PAIRS_MAX = 128,   /* samples up to which every pair is taken: 8128 slopes */
	EXACT_CHANCE_MAX = 40, /* samples up to which Kendall's distribution is computed exactly */
	FLOOR_BLOCKS = 8,      /* all eight in order by accident: 1 in 40,320 */
	FLOOR_BLOCK_MIN = 4,   /* samples a block */
	PAGE_NOISE_BYTES = 16384,
	INFLATION_MIN = 10, /* samples from which on autocorrelation can be estimated */
	LAGS_MAX = 64,
};

static const double RELATIVE_TOLERANCE = 0.02;
static const double TOLERATED_JITTERS = 3;

int lh_compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;
	return (left > right) - (left < right);
}

static double middle_of(const double *sorted, size_t count)
{
	if (!count)
		return 0;
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double lh_median_of(double *values, size_t count)
{
	if (!count)
		return 0;
	qsort(values, count, sizeof(*values), lh_compare_doubles);
	return middle_of(values, count);
}

static size_t add_slope(struct lh_series series, size_t i, size_t j, double *slopes, size_t count)
{
	double seconds = series.seconds[j] - series.seconds[i];
	if (seconds <= 0)
		return count;
	slopes[count] = (series.values[j] - series.values[i]) / seconds;
	return count + 1;
}

/* Slopes of all pairs; in a long series of the pairs half of its length apart (Theil's incomplete method). Sorted. */
static struct lh_error *sort_slopes(struct lh_series series, double **ret, size_t *ret_count)
{
	size_t n = series.count;
	bool is_complete = n <= ALL_PAIRS_MAX;
	size_t pair_count = is_complete ? n * (n - 1) / 2 : n - n / 2;
	double *slopes = calloc(pair_count + 1, sizeof(*slopes));
	if (!slopes)
		return lh_error_no_memory();
	size_t count = 0;
	for (size_t i = 0; is_complete && i < n; i++) {
		for (size_t j = i + 1; j < n; j++)
			count = add_slope(series, i, j, slopes, count);
	}
	for (size_t i = 0; !is_complete && i + n / 2 < n; i++)
		count = add_slope(series, i, i + n / 2, slopes, count);
	qsort(slopes, count, sizeof(*slopes), lh_compare_doubles);
	*ret = slopes;
	*ret_count = count;
	return NULL;
}

struct lh_error *lh_slope(struct lh_series series, double *ret)
{
	LH_CLEANUP(lh_cleanup_free) double *slopes = NULL;
	size_t count = 0;
	LH_TRY(sort_slopes(series, &slopes, &count));
	*ret = middle_of(slopes, count);
	return NULL;
}

/*
 * The slope's 95 % confidence interval: with all pairs, 1.96 standard deviations of Kendall's S from the middle (Sen
 * 1968); with pairs that share no sample, by the binomial distribution.
 */
static struct lh_error *measure_slope(struct lh_series series, double inflation, struct lh_trend *trend)
{
	LH_CLEANUP(lh_cleanup_free) double *slopes = NULL;
	size_t count = 0;
	LH_TRY(sort_slopes(series, &slopes, &count));
	trend->slope = trend->slope_low = trend->slope_high = middle_of(slopes, count);
	if (!count)
		return NULL;
	double n = (double)series.count;
	double variance = series.count <= ALL_PAIRS_MAX ? n * (n - 1) * (2 * n + 5) / 18 : (double)count;
	double half_width = 1.96 * sqrt(variance * inflation) / 2;
	double last = (double)(count - 1);
	trend->slope_low = slopes[(size_t)fmax(0, floor(last / 2 - half_width))];
	trend->slope_high = slopes[(size_t)fmin(last, ceil(last / 2 + half_width))];
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
	double middle = lh_median_of(sorted, series.count);
	for (size_t i = 0; i < series.count; i++)
		rest[i] = fabs(rest[i] - middle);
	*ret = 1.4826 * lh_median_of(rest, series.count);
	return NULL;
}

/* Merges two sorted halves; returns how many pairs fall from the first to the second. */
static double merge_halves(double *values, size_t half, size_t count, double *scratch)
{
	size_t a = 0, b = half, at = 0;
	double falls = 0;
	memcpy(scratch, values, count * sizeof(*values));
	while (at < count) {
		bool takes_a = b == count || (a < half && scratch[a] <= scratch[b]);
		falls += takes_a ? 0 : (double)(half - a);
		values[at++] = takes_a ? scratch[a++] : scratch[b++];
	}
	return falls;
}

/* Sorts, and returns how many pairs fall: merge sort counts them in n log n (Knight 1966). */
static double count_falls(double *values, size_t count, double *scratch)
{
	double falls = 0;
	for (size_t half = 1; half < count; half *= 2) {
		for (size_t at = 0; at + half < count; at += 2 * half) {
			size_t length = at + 2 * half <= count ? 2 * half : count - at;
			falls += merge_halves(values + at, half, length, scratch);
		}
	}
	return falls;
}

/* Kendall's S: pairs that rise minus pairs that fall. */
static struct lh_error *kendall_s(struct lh_series series, double *ret)
{
	double n = (double)series.count, ties = 0;
	LH_CLEANUP(lh_cleanup_free) double *values = calloc(2 * series.count, sizeof(*values));
	if (!values)
		return lh_error_no_memory();
	memcpy(values, series.values, series.count * sizeof(*values));
	double falls = count_falls(values, series.count, values + series.count);
	for (size_t i = 0, run = 1; i < series.count; i++, run++) {
		if (i + 1 < series.count && values[i + 1] == values[i])
			continue;
		ties += (double)run * (double)(run - 1) / 2;
		run = 0;
	}
	*ret = n * (n - 1) / 2 - ties - 2 * falls;
	return NULL;
}

/* ---------------------------------------------------------------- samples that resemble each other */

/* The rank of each value, from 0; equal values get the mean of their ranks. */
static void rank_values(double *values, const double *sorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t below = 0, low = 0, high = count;
		while (low < high) {
			size_t middle = low + (high - low) / 2;
			if (sorted[middle] < values[i])
				low = middle + 1;
			else
				high = middle;
		}
		below = low;
		while (low < count && sorted[low] == values[i])
			low++;
		values[i] = (double)(below + low - 1) / 2;
	}
}

static double lag_autocorrelation(const double *ranks, size_t count, size_t lag)
{
	double mean = (double)(count - 1) / 2, sum = 0, squares = 0;
	for (size_t i = 0; i < count; i++) {
		squares += (ranks[i] - mean) * (ranks[i] - mean);
		if (i + lag < count)
			sum += (ranks[i] - mean) * (ranks[i + lag] - mean);
	}
	return squares > 0 ? sum / squares : 0;
}

/*
 * By how much the variance of S exceeds that of independent samples: n / n* of Hamed and Rao (1998, eq. 5), over the
 * ranks of the residuals. Only significant lags count, and only corrections that make the verdict more cautious.
 */
static struct lh_error *measure_inflation(struct lh_series series, double slope, double *ret)
{
	size_t count = series.count, lags = count / 4 < LAGS_MAX ? count / 4 : LAGS_MAX;
	double n = (double)count, sum = 0;
	*ret = 1;
	if (count < INFLATION_MIN)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) double *ranks = calloc(2 * count, sizeof(*ranks));
	if (!ranks)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		ranks[i] = ranks[count + i] = series.values[i] - slope * series.seconds[i];
	qsort(ranks + count, count, sizeof(*ranks), lh_compare_doubles);
	rank_values(ranks, ranks + count, count);
	for (size_t lag = 1; lag <= lags; lag++) {
		double correlation = lag_autocorrelation(ranks, count, lag), i = (double)lag;
		if (fabs(correlation) > 1.96 / sqrt(n))
			sum += (n - i) * (n - i - 1) * (n - i - 2) * correlation;
	}
	*ret = fmax(1, 1 + 2 / (n * (n - 1) * (n - 2)) * sum);
	return NULL;
}

/* ---------------------------------------------------------------- chances */

/*
 * Probability that a random order of n distinct values has at most `inversions` falling pairs. Exact: with n values in
 * random order, the n-th adds 0 to n-1 inversions with equal probability.
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
 * One-sided p of an S at least this high (Mann 1945; normal approximation with continuity correction, Kendall 1975).
 * Ties count as neither, uncorrected: that only makes the result more cautious.
 */
static double chance_of_s(size_t n, double s, double inflation)
{
	double pairs = (double)n * (double)(n - 1) / 2;
	if (s <= 0)
		return 1;
	if (n <= EXACT_CHANCE_MAX && inflation <= 1)
		return exact_chance(n, (size_t)floor((pairs - s) / 2));
	double variance = (double)n * (double)(n - 1) * (double)(2 * n + 5) / 18 * inflation;
	return 0.5 * erfc((s - 1) / sqrt(variance) / M_SQRT2);
}

/* From the steps between neighbors minus their median: slopes, jumps and bends do not count. */
static struct lh_error *measure_jitter(struct lh_series series, double *ret)
{
	size_t count = series.count - 1;
	LH_CLEANUP(lh_cleanup_free) double *steps = calloc(series.count, sizeof(*steps));
	if (!steps)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		steps[i] = series.values[i + 1] - series.values[i];
	double middle = lh_median_of(steps, count);
	for (size_t i = 0; i < count; i++)
		steps[i] = fabs(steps[i] - middle);
	*ret = 1.4826 * lh_median_of(steps, count) / M_SQRT2;
	return NULL;
}

static struct lh_error *measure_levels(struct lh_series series, struct lh_trend *trend)
{
	LH_CLEANUP(lh_cleanup_free) double *sorted = calloc(series.count, sizeof(*sorted));
	if (!sorted)
		return lh_error_no_memory();
	memcpy(sorted, series.values, series.count * sizeof(*sorted));
	trend->median = lh_median_of(sorted, series.count);
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
		trend->first_rise_at = trend->first_rise_at ? trend->first_rise_at : i;
		trend->last_rise_at = i;
		/* The interval of the rise itself is not part of the gap: only the time up to the last quiet sample. */
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
		/* The remainder is omitted at the start: the present counts. */
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
	LH_TRY(lh_slope(early, &trend->early_slope));
	return lh_slope(late, &trend->late_slope);
}

struct lh_error *lh_trend_measure(struct lh_series series, struct lh_trend *ret)
{
	struct lh_trend trend = {0};
	double s = 0, inflation = 1;
	LH_TRY(measure_levels(series, &trend));
	LH_TRY(lh_slope(series, &trend.slope));
	LH_TRY(measure_inflation(series, trend.slope, &inflation));
	LH_TRY(measure_slope(series, inflation, &trend));
	LH_TRY(measure_noise(series, trend.slope, &trend.noise));
	LH_TRY(measure_halves(series, &trend));
	LH_TRY(kendall_s(series, &s));
	trend.rising_chance = chance_of_s(series.count, s, inflation);
	LH_TRY(measure_jitter(series, &trend.jitter));
	measure_moves(series, &trend);
	measure_rises(series, &trend);
	trend.floor_rise = measure_floor(series);
	*ret = trend;
	return NULL;
}
