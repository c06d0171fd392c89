/*
 * nuisance_models: fits each shape with and without a straight trend, by least squares, and determines whether all
 * shapes that fit about equally well need the trend. Input: a scaled curve of at most 200 points. Output: struct
 * lh_trend_needed.
 */
#include "nuisance_models.h"

#include <math.h>
#include <stdbool.h>

enum { POINTS_MAX = 200, MODELS_MAX = 1 + 8 + 5 + 2 * POINTS_MAX };

/* A model of the curve: one nuisance shape, with and without a trend. */
struct fit {
	double penalty;     /* number of parameters that choosing the shape costs */
	double plain;       /* mean square of the residuals without the trend, rounding included */
	double trended;     /* the same with the trend */
	double trend;       /* coefficient of x */
	double t;           /* of the trend, for independent samples */
	double correlation; /* of the residuals with the trend, at lag 1 */
};

/* Curve and shape, each minus its mean. */
struct fitting {
	const double *x;
	const double *y;
	size_t count;
	double rounding;
	double centered_x[POINTS_MAX];
	double centered_y[POINTS_MAX];
	double xx, yy, xy;
	struct fit fits[MODELS_MAX];
	size_t fit_count;
};

double lh_lag_correlation(const double *residuals, size_t count, double rounding)
{
	double n = (double)count;
	double square = 0, product = 0;
	for (size_t i = 0; i < count; i++) {
		square += residuals[i] * residuals[i];
		if (i)
			product += residuals[i] * residuals[i - 1];
	}
	if (square <= 0)
		return 0;
	double r = product / square;
	r = fmax(0, fmin(0.97, r + (1 + 4 * r) / n));
	double variance = square / n;
	return r * variance / (variance + rounding);
}

/* Residuals of y on {1, shape, x}: computed for the best model only. */
static double correlate_residuals(const struct fitting *fitting, const double *shape, double on_shape, double on_x)
{
	double residuals[POINTS_MAX];
	for (size_t i = 0; i < fitting->count; i++)
		residuals[i] = fitting->centered_y[i] - on_shape * shape[i] - on_x * fitting->centered_x[i];
	return lh_lag_correlation(residuals, fitting->count, fitting->rounding);
}

/* Adds a model with this shape; subtracts the mean from `shape`. */
static void add_fit(struct fitting *fitting, double *shape, double penalty)
{
	double n = (double)fitting->count;
	double mean = 0, gg = 0, gx = 0, gy = 0;
	for (size_t i = 0; i < fitting->count; i++)
		mean += shape[i] / n;
	for (size_t i = 0; i < fitting->count; i++) {
		shape[i] -= mean;
		gg += shape[i] * shape[i];
		gx += shape[i] * fitting->centered_x[i];
		gy += shape[i] * fitting->centered_y[i];
	}
	double by_shape = gg > 1e-12 ? gy / gg : 0;
	double x_by_shape = gg > 1e-12 ? gx / gg : 0;
	double plain_sse = fmax(0, fitting->yy - by_shape * gy);
	double left_of_x = fitting->xx - x_by_shape * gx;
	struct fit fit = {.penalty = penalty, .plain = plain_sse / n + fitting->rounding};
	double trend = 0;
	if (left_of_x >= 1e-4 * fitting->xx) {
		trend = (fitting->xy - by_shape * gx) / left_of_x;
		double sse = fmax(0, plain_sse - trend * trend * left_of_x);
		fit.trended = sse / n + fitting->rounding;
		fit.t = trend * sqrt(left_of_x / fit.trended);
	} else {
		fit.trended = fit.plain;
	}
	fit.trend = trend;
	fit.correlation = correlate_residuals(fitting, shape, by_shape - trend * x_by_shape, trend);
	fitting->fits[fitting->fit_count++] = fit;
}

static void add_saturations(struct fitting *fitting)
{
	static const double warm_up[] = {.02, .04, .07, .1, .14, .2, .28, .4};
	static const double logarithm[] = {.003, .01, .03, .08, .2};
	double shape[POINTS_MAX];
	for (size_t j = 0; j < sizeof(warm_up) / sizeof(*warm_up); j++) {
		for (size_t i = 0; i < fitting->count; i++)
			shape[i] = 1 - exp(-fitting->x[i] / warm_up[j]);
		add_fit(fitting, shape, 1.6);
	}
	for (size_t j = 0; j < sizeof(logarithm) / sizeof(*logarithm); j++) {
		for (size_t i = 0; i < fitting->count; i++)
			shape[i] = log(1 + fitting->x[i] / logarithm[j]);
		add_fit(fitting, shape, 1.5);
	}
}

static void add_breaks(struct fitting *fitting)
{
	double shape[POINTS_MAX];
	for (size_t j = 2; j + 3 <= fitting->count; j++) {
		for (size_t i = 0; i < fitting->count; i++)
			shape[i] = i >= j;
		add_fit(fitting, shape, 2);
		if (fitting->x[j] > 0.9)
			continue;
		for (size_t i = 0; i < fitting->count; i++)
			shape[i] = fmin(fitting->x[i], fitting->x[j]);
		add_fit(fitting, shape, 2);
	}
}

static void add_all(struct fitting *fitting)
{
	double n = (double)fitting->count;
	double mean_x = 0, mean_y = 0;
	for (size_t i = 0; i < fitting->count; i++) {
		mean_x += fitting->x[i] / n;
		mean_y += fitting->y[i] / n;
	}
	for (size_t i = 0; i < fitting->count; i++) {
		double x = fitting->centered_x[i] = fitting->x[i] - mean_x;
		double y = fitting->centered_y[i] = fitting->y[i] - mean_y;
		fitting->xx += x * x;
		fitting->yy += y * y;
		fitting->xy += x * y;
	}
	double nothing[POINTS_MAX] = {0};
	add_fit(fitting, nothing, 0);
	add_saturations(fitting);
	add_breaks(fitting);
}

/* The number of independent samples that carry as much information, by the residuals of the best model. */
static double effective_count(const struct fitting *fitting)
{
	double n = (double)fitting->count;
	double best = INFINITY;
	double rho = 0;
	for (size_t i = 0; i < fitting->fit_count; i++) {
		const struct fit *fit = &fitting->fits[i];
		double score = log(fit->trended) + (fit->penalty + 1) / n * log(n);
		if (score < best) {
			best = score;
			rho = fit->correlation;
		}
	}
	return fmax(4, n * (1 - rho) / (1 + rho));
}

static double schwarz_plain(const struct fit *fit, double n)
{
	return n * log(fit->plain) + (1 + fit->penalty) * log(n);
}

static double schwarz_trended(const struct fit *fit, double n)
{
	return n * log(fit->trended) + (2 + fit->penalty) * log(n);
}

struct lh_trend_needed lh_trend_needed_by(const double *x, const double *y, size_t count, double rounding)
{
	static const double ADEQUATE = 5;
	struct fitting fitting = {.x = x, .y = y, .count = count, .rounding = rounding};
	add_all(&fitting);
	double effective = effective_count(&fitting);
	double best = INFINITY, best_rising = INFINITY;
	struct lh_trend_needed needed = {.unexplained = sqrt(fitting.fits[0].plain)};
	for (size_t i = 0; i < fitting.fit_count; i++) {
		const struct fit *fit = &fitting.fits[i];
		double trended = schwarz_trended(fit, effective);
		best = fmin(best, schwarz_plain(fit, effective));
		if (fit->trend <= 0)
			continue;
		best = fmin(best, trended);
		if (trended < best_rising) {
			best_rising = trended;
			needed.unexplained = sqrt(fit->plain);
		}
	}
	bool is_found = false;
	for (size_t i = 0; i < fitting.fit_count; i++) {
		const struct fit *fit = &fitting.fits[i];
		double t = fit->t * sqrt(effective / (double)count);
		if (schwarz_trended(fit, effective) >= best + ADEQUATE)
			continue;
		needed.least_t = is_found ? fmin(needed.least_t, t) : t;
		is_found = true;
	}
	return needed;
}
