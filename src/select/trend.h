/*
 * trend: figures of one series of bytes over time. Private to select; no words, no verdict.
 */
#ifndef LEAKHUNT_SELECT_TREND_H
#define LEAKHUNT_SELECT_TREND_H

#include "leakhunt/base.h"

/* A moment that does not exist. */
#define LH_NEVER_S (-1.0)

/* Values in bytes, times in seconds from the first sample. Ascending times, count >= 2. */
struct lh_series {
	const double *seconds;
	const double *values;
	size_t count;
};

struct lh_trend {
	double span_s;
	double first, last, min, max, median;
	double slope;     /* bytes per second: median of the slopes of pairs (Theil 1950, Sen 1968) */
	double slope_low; /* its 95 % confidence interval (Sen 1968) */
	double slope_high;
	double early_slope; /* of the first half */
	double late_slope;  /* of the second half; both share the middle sample */
	double noise;       /* 1.4826 * median |distance from the line|: standard deviation, if normal */
	/*
	 * Probability of rising this steadily by accident: one-sided Mann-Kendall p, with the variance corrected for
	 * samples that resemble their neighbors (Hamed and Rao 1998).
	 */
	double rising_chance;
	size_t up_count; /* intervals that rise at all */
	size_t down_count;
	double drawdown;   /* deepest fall below an earlier maximum */
	double drawup;     /* highest rise above an earlier minimum */
	double floor_rise; /* rise of the minima of 8 equal blocks if each is above the previous one; else 0 */

	double jitter; /* standard deviation between neighbors, independent of the overall shape */

	/* Rises: moments at which the series exceeds its previous rise by more than `tolerance`. */
	double tolerance;
	size_t rise_count;
	size_t largest_rise_at; /* index of the sample that made the largest one; 0: none */
	double largest_rise;
	size_t first_rise_at; /* likewise */
	size_t last_rise_at;
	double longest_gap_s; /* longest time between two rises, or from the start to the first */
	double tail_s;        /* from the last rise to the end */
};

/* For qsort. */
int lh_compare_doubles(const void *a, const void *b);

/* Sorts `values`; 0 if there are none. */
double lh_median_of(double *values, size_t count);

/* The slope alone; `seconds` may be any rising values. */
struct lh_error *lh_slope(struct lh_series series, double *ret) LH_NODISCARD;

struct lh_error *lh_trend_measure(struct lh_series series, struct lh_trend *ret) LH_NODISCARD;

#endif
