/*
 * last_regime: splits a series if two straight lines fit far better than one. Input: a series. Output: the index of the
 * sample at which its last regime begins.
 */
#include "last_regime.h"
#include "verdict.h"

#include "leakhunt/select.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLES_MIN = 24, REGIME_MIN = 12, CUT_FIRST = 2, AFTER_CUT_MIN = 8 };

/* Twice the logarithm of the likelihood ratio: practically certain. */
static const double BREAK_MIN = 30;
/* The last regime moves by at most this share of the whole range. */
static const double RANGE_SHARE = 0.2;

/* Sums over the samples before an index, of values minus the first one in units of the range. */
struct sums {
	double x, xx, y, yy, xy;
};

static double line_sse(const struct sums *from, const struct sums *to, size_t count)
{
	double n = (double)count;
	double x = to->x - from->x, y = to->y - from->y;
	double sxx = to->xx - from->xx - x * x / n;
	double sxy = to->xy - from->xy - x * y / n;
	double syy = to->yy - from->yy - y * y / n;
	return fmax(0, sxx > 1e-12 ? syy - sxy * sxy / sxx : syy);
}

static void sum_up_to(struct lh_series series, double range, struct sums *ret)
{
	double span_s = series.seconds[series.count - 1] - series.seconds[0];
	ret[0] = (struct sums){0};
	for (size_t i = 0; i < series.count; i++) {
		double x = (series.seconds[i] - series.seconds[0]) / span_s;
		double y = (series.values[i] - series.values[0]) / range;
		ret[i + 1] = (struct sums){ret[i].x + x, ret[i].xx + x * x, ret[i].y + y, ret[i].yy + y * y,
					   ret[i].xy + x * y};
	}
}

/* The index at which a second line begins; 0: one line fits as well. */
static size_t find_cut(const struct sums *sums, size_t count)
{
	double n = (double)count;
	size_t last = count - (count / 3 > AFTER_CUT_MIN ? count / 3 : AFTER_CUT_MIN);
	size_t cut = 0;
	double least = INFINITY;
	for (size_t j = CUT_FIRST; j <= last; j++) {
		double sse = line_sse(&sums[0], &sums[j], j) + line_sse(&sums[j], &sums[count], count - j);
		if (sse < least) {
			least = sse;
			cut = j;
		}
	}
	double one = line_sse(&sums[0], &sums[count], count);
	return (n - 2) * log((one + 1e-9 * n) / (least + 1e-9 * n)) >= BREAK_MIN ? cut : 0;
}

/* Whether the series from `start` on moves little, at a higher level than before. */
static bool is_regime(struct lh_series series, const struct sums *sums, size_t start, double range)
{
	double least = series.values[start], most = least;
	for (size_t i = start; i < series.count; i++) {
		least = fmin(least, series.values[i]);
		most = fmax(most, series.values[i]);
	}
	double before = sums[start].y / (double)start;
	double after = (sums[series.count].y - sums[start].y) / (double)(series.count - start);
	return most - least <= RANGE_SHARE * range && most - least >= (double)LH_GROWTH_MIN_BYTES && after > before;
}

struct lh_error *lh_last_regime_find(struct lh_series series, size_t *ret)
{
	*ret = 0;
	double least = series.values[0], most = least;
	if (series.count < SAMPLES_MIN)
		return NULL;
	for (size_t i = 0; i < series.count; i++) {
		least = fmin(least, series.values[i]);
		most = fmax(most, series.values[i]);
	}
	LH_CLEANUP(lh_cleanup_free) struct sums *sums = calloc(series.count + 1, sizeof(*sums));
	if (!sums)
		return lh_error_no_memory();
	sum_up_to(series, most - least, sums);
	size_t cut = find_cut(sums, series.count);
	for (size_t i = cut; cut && i <= cut + series.count / 8 && i + REGIME_MIN <= series.count; i++) {
		if (is_regime(series, sums, i, most - least)) {
			*ret = i;
			break;
		}
	}
	return NULL;
}
