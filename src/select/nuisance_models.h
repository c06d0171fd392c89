/*
 * nuisance_models: what other than a leak may explain a curve. Private to select.
 */
#ifndef LEAKHUNT_SELECT_NUISANCE_MODELS_H
#define LEAKHUNT_SELECT_NUISANCE_MODELS_H

#include <stddef.h>

/* How much straight trend a curve needs beside a warm-up, a logarithm, one step, or growth that stopped. */
struct lh_trend_needed {
	double least_t;     /* the least t of the trend in all adequate models; negative: they need a fall */
	double unexplained; /* standard deviation of the residuals of the best model without a trend */
};

/*
 * x: times, 0 to 1, ascending; y: values; 4 <= count <= 200; `rounding`: variance of rounding in y. An adequate model's
 * Schwarz criterion is within 5 of the best.
 */
struct lh_trend_needed lh_trend_needed_by(const double *x, const double *y, size_t count, double rounding);

/* Autocorrelation at lag 1 of residuals, corrected for its bias in short series, 0 to .97; the share of rounding has
 * none. */
double lh_lag_correlation(const double *residuals, size_t count, double rounding);

#endif
