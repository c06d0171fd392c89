/*
 * growth_weights: the additive logistic model of growth_model. Trained by ridge regression (3e-4, L-BFGS, both labels
 * of equal weight) on 16,000 random series of 125 generated families and on 1,981 curves of programs on glibc's and
 * CPython's allocators; the knots are the quantiles .2, .5 and .8 of each statistic.
 */
#include "growth_weights.h"

#include <math.h>

enum { KNOTS = 3 };

/* Contribution of a statistic x: v = clip((x - mean) / deviation, -4, 4); linear v + sum of bend[i] max(0, v -
 * knot[i]). */
struct weight {
	double mean;
	double deviation;
	double linear;
	double knot[KNOTS];
	double bend[KNOTS];
};

static const double INTERCEPT = 0.7948;
static const struct weight weights[LH_STATISTIC_COUNT] = {
	[LH_STATISTIC_MEAN_TREND] = {1.4809, 2.8474, 0.348, {-0.900, -0.145, 0.888}, {0.118, -0.092, 0.806}},
	[LH_STATISTIC_MEAN_NOISE] = {-2.2152, 1.1005, 0.606, {-0.757, 0.332, 0.829}, {0.125, -0.018, -0.271}},
	[LH_STATISTIC_FLOOR_TREND] = {0.6116, 2.3492, 0.572, {-0.818, -0.258, 0.839}, {-0.221, -0.217, 0.533}},
	[LH_STATISTIC_KENDALL] = {0.6224, 0.4406, 0.986, {-0.999, 0.495, 0.857}, {0.838, 0.046, 0}},
	[LH_STATISTIC_LATE_TREND] = {2.1825, 2.4127, 0.208, {-0.905, -0.078, 0.857}, {0.403, 0.438, -0.091}},
	[LH_STATISTIC_LAST_TREND] = {2.0477, 2.4166, -0.013, {-0.847, -0.095, 0.899}, {0.081, 0.498, 0.245}},
	[LH_STATISTIC_EARLY_FLOOR] = {0.3913, 0.3611, 0.484, {-0.869, 0.018, 0.914}, {-0.557, -1.393, 2.333}},
	[LH_STATISTIC_TAIL] = {0.1797, 0.2999, 0.014, {-0.599, -0.542, 0.547}, {0.023, 0.103, 0.618}},
	[LH_STATISTIC_TAIL_GAP] = {-1.0588, 2.2392, 0.454, {-0.842, -0.018, 0.631}, {-0.904, -0.271, -0.054}},
	[LH_STATISTIC_FALL] = {0.2925, 0.3873, 0.029, {-0.755, -0.663, 1.297}, {0.040, -0.271, -1.136}},
	[LH_STATISTIC_UP] = {0.4706, 0.3869, 0.263, {-1.009, -0.047, 1.177}, {-0.797, 0.204, -0.158}},
	[LH_STATISTIC_LATE_UP] = {0.4329, 0.4244, 0.218, {-1.020, -0.077, 1.336}, {0.043, 0.088, 0}},
	[LH_STATISTIC_LATE_IDLE] = {0.2116, 0.3329, -0.300, {-0.636, 0.866, INFINITY}, {-0.290, 0.223, 0}},
};

static double contribution_of(const struct weight *weight, double value)
{
	double v = fmax(-4, fmin(4, (value - weight->mean) / weight->deviation));
	double sum = weight->linear * v;
	for (int i = 0; i < KNOTS; i++)
		sum += weight->bend[i] * fmax(0, v - weight->knot[i]);
	return sum;
}

void lh_growth_odds_weigh(struct lh_growth_odds *odds)
{
	double logit = INTERCEPT;
	for (int i = 0; i < LH_STATISTIC_COUNT; i++) {
		odds->contributions[i] = contribution_of(&weights[i], odds->values[i]);
		logit += odds->contributions[i];
	}
	odds->probability = 1 / (1 + exp(-logit));
}
