/*
 * growth_model: the probability that a series keeps growing without bound, from its curve alone. Private to select; no
 * words, no verdict.
 *
 * A trend counts only as far as every adequate explanation of the curve (warm-up, logarithm, one step, growth that
 * stopped) still needs it, on the series averaged over its period and on its floor. Autocorrelation lowers the
 * effective number of samples. An additive logistic model weighs these and eleven plainer statistics.
 */
#ifndef LEAKHUNT_SELECT_GROWTH_MODEL_H
#define LEAKHUNT_SELECT_GROWTH_MODEL_H

#include "trend.h"

/* Shorter series are not modeled; longer ones are thinned. */
#define LH_GROWTH_MODEL_MIN_SAMPLES 10
#define LH_GROWTH_MODEL_POINTS_MAX  200

enum lh_statistic {
	LH_STATISTIC_MEAN_TREND,  /* asinh of the least t of a trend, series averaged over its period */
	LH_STATISTIC_MEAN_NOISE,  /* log of the residual of a model without trend, share of the range */
	LH_STATISTIC_FLOOR_TREND, /* as MEAN_TREND, of the floor */
	LH_STATISTIC_KENDALL,     /* seasonal Kendall's tau (Hirsch, Slack and Smith 1982) */
	LH_STATISTIC_LATE_TREND,  /* asinh of the slope's t in the second half */
	LH_STATISTIC_LAST_TREND,  /* and in the last third */
	LH_STATISTIC_EARLY_FLOOR, /* rise of the floor from the first fifth to the third */
	LH_STATISTIC_TAIL,        /* time since the floor last rose, share of all */
	LH_STATISTIC_TAIL_GAP,    /* log of that time over the longest pause between its rises */
	LH_STATISTIC_FALL,        /* largest fall, share of the range */
	LH_STATISTIC_UP,          /* rising less falling intervals, share of all */
	LH_STATISTIC_LATE_UP,     /* the same in the second half */
	LH_STATISTIC_LATE_IDLE,   /* unchanged intervals in the second half, share */
	LH_STATISTIC_COUNT,
};

struct lh_growth_odds {
	double probability;                       /* 0 to 1; .5 when nothing is known */
	double values[LH_STATISTIC_COUNT];        /* as named above */
	double contributions[LH_STATISTIC_COUNT]; /* of each to the logit of the probability */
	size_t period;                            /* points a period; 1: none found */
	/* The series averaged over its period: bytes, seconds as in the series. */
	double mean_seconds[LH_GROWTH_MODEL_POINTS_MAX];
	double mean_bytes[LH_GROWTH_MODEL_POINTS_MAX];
	size_t mean_count;
};

/* `series` has at least LH_GROWTH_MODEL_MIN_SAMPLES samples that differ. Takes 3 ms for 200 samples or more. */
struct lh_error *lh_growth_odds_of(struct lh_series series, struct lh_growth_odds *ret) LH_NODISCARD;

#endif
