/*
 * bursts: cuts rare peaks that are shorter than a window. Input: a series. Output: the series without them. Frequent
 * peaks are a sawtooth, and stay.
 */
#include "bursts.h"

#include <math.h>

enum { WINDOW = 4, SAMPLES_MIN = 16 };

/* The largest share of samples in bursts. */
static const double BURST_SAMPLES_SHARE = 1.0 / 8;
/* The range without bursts is at most this share of the range with them. */
static const double RANGE_SHARE = 0.5;

/* The highest level that a whole window around the sample stays above: morphological opening. */
static double level_around(struct lh_series series, size_t at)
{
	size_t first = at + 1 > WINDOW ? at + 1 - WINDOW : 0;
	double level = -INFINITY;
	for (size_t start = first; start <= at && start + WINDOW <= series.count; start++) {
		double least = series.values[start];
		for (size_t i = start; i < start + WINDOW; i++)
			least = fmin(least, series.values[i]);
		level = fmax(level, least);
	}
	return level;
}

static double range_of(const double *values, size_t count)
{
	double least = values[0], most = values[0];
	for (size_t i = 1; i < count; i++) {
		least = fmin(least, values[i]);
		most = fmax(most, values[i]);
	}
	return most - least;
}

double lh_bursts_cut(struct lh_series series, double *ret)
{
	double range = range_of(series.values, series.count);
	double height = 0;
	size_t cut_count = 0;
	for (size_t i = 0; i < series.count; i++) {
		/* The last samples may be the beginning of anything: they stay. */
		double level = series.count >= SAMPLES_MIN && i + WINDOW <= series.count ? level_around(series, i)
											 : series.values[i];
		bool is_burst = series.values[i] - level > range * RANGE_SHARE / 2;
		ret[i] = is_burst ? level : series.values[i];
		cut_count += is_burst;
		height = fmax(height, series.values[i] - ret[i]);
	}
	if (cut_count && (double)cut_count <= BURST_SAMPLES_SHARE * (double)series.count &&
	    range_of(ret, series.count) <= RANGE_SHARE * range)
		return height;
	for (size_t i = 0; i < series.count; i++)
		ret[i] = series.values[i];
	return 0;
}
