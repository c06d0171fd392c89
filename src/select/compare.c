/*
 * compare: whether growth after a fix differs from growth before. Input: two selections. Output: both rates, their
 * difference with its interval, and the least growth that the second sampling could have shown.
 */
#include "verdict.h"

#include <math.h>
#include <stdio.h>

/* Sampling shows that growth has stopped if it could have shown this share of the growth before. */
static const double RESOLVED_SHARE = 0.1;
static const double Z_95 = 1.96;

const char *lh_change_name(enum lh_change change)
{
	static const char *const names[] = {"stopped", "slower", "no change", "faster", "no growth"};
	return change < LH_ARRAY_COUNT(names) ? names[change] : "unknown";
}

/* Half of the 95 % interval; if it is asymmetric, its wider half. */
static double half_width(const struct lh_growth *total)
{
	return fmax(total->rate_high_bytes_per_hour - total->rate_bytes_per_hour,
		    total->rate_bytes_per_hour - total->rate_low_bytes_per_hour);
}

static struct lh_error *check_compare(const struct lh_selection *selection, const char *which)
{
	if (selection->sample_count >= LH_SAMPLES_MIN)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "the record %s has %zu samples, too few for a rate", which,
					     selection->sample_count),
			     "record at least %d samples", LH_SAMPLES_MIN);
}

/* The half width shrinks with time to the power of 3/2: more samples, over a longer time. */
static uint64_t watch_more_ns(const struct lh_selection *after, double resolution, double wanted)
{
	static const double LONGEST = 1000;
	if (resolution <= wanted)
		return 0;
	double factor = wanted > 0 ? fmin(pow(resolution / wanted, 2.0 / 3), LONGEST) : LONGEST;
	return (uint64_t)((double)after->span_ns * (factor - 1)) + 1;
}

/* By the verdict of the selection alone. */
static bool does_not_grow(const struct lh_selection *selection)
{
	return !lh_verdict_may_grow(selection->total.verdict);
}

static enum lh_change classify_change(const struct lh_selection *before, const struct lh_selection *after,
				      const struct lh_comparison *comparison)
{
	double before_rate = comparison->before_bytes_per_hour;
	if (comparison->difference_low_bytes_per_hour > 0)
		return LH_CHANGE_FASTER;
	if (before_rate <= 0 || (does_not_grow(before) && does_not_grow(after)))
		return LH_CHANGE_NO_GROWTH;
	if (comparison->difference_high_bytes_per_hour >= 0)
		return LH_CHANGE_NONE;
	bool has_stopped = comparison->after_bytes_per_hour <= RESOLVED_SHARE * before_rate &&
			   after->total.verdict != LH_VERDICT_LEAK;
	return has_stopped ? LH_CHANGE_STOPPED : LH_CHANGE_SLOWER;
}

static void explain_change(struct lh_comparison *comparison)
{
	char before[LH_FORMAT_MAX], after[LH_FORMAT_MAX], resolution[LH_FORMAT_MAX], more[LH_FORMAT_MAX];
	int length = snprintf(comparison->reason, sizeof(comparison->reason),
			      "rate %s/h -> %s/h, different with %s%.1f %% confidence; resolution: better than %s/h",
			      lh_format_signed_bytes((int64_t)comparison->before_bytes_per_hour, before),
			      lh_format_signed_bytes((int64_t)comparison->after_bytes_per_hour, after),
			      comparison->confidence > 0.999 ? "over " : "",
			      floor(1000 * fmin(comparison->confidence, 0.999)) / 10,
			      lh_format_bytes((uint64_t)comparison->resolution_bytes_per_hour, resolution));
	if (comparison->watch_more_ns && length > 0 && (size_t)length < sizeof(comparison->reason))
		snprintf(comparison->reason + length, sizeof(comparison->reason) - (size_t)length, ": watch %s more",
			 lh_format_duration(comparison->watch_more_ns, more));
}

/*
 * Confidence that the rates differ. Few samples may agree by accident, however little they scatter: n of them rise in
 * order with probability 2^-(n - 1).
 */
static double confidence_of(double difference, double half_width, uint64_t sample_count)
{
	double most = 1 - pow(2, -(double)(sample_count - 1));
	if (half_width <= 0)
		return difference != 0 ? most : 0.5;
	return fmin(most, 0.5 * erfc(-fabs(difference) / (half_width / Z_95) / M_SQRT2));
}

struct lh_error *lh_compare(const struct lh_selection *before, const struct lh_selection *after,
			    struct lh_comparison *ret)
{
	LH_TRY(check_compare(before, "before"));
	LH_TRY(check_compare(after, "after"));
	double before_half = half_width(&before->total), after_half = half_width(&after->total);
	double least = (double)LH_GROWTH_MIN_BYTES * 3600e9 / (double)after->span_ns;
	double half = sqrt(before_half * before_half + after_half * after_half);
	struct lh_comparison comparison = {
		.before_bytes_per_hour = before->total.rate_bytes_per_hour,
		.after_bytes_per_hour = after->total.rate_bytes_per_hour,
		.resolution_bytes_per_hour = fmax(after_half, least),
	};
	double difference = comparison.after_bytes_per_hour - comparison.before_bytes_per_hour;
	comparison.difference_low_bytes_per_hour = difference - half;
	comparison.difference_high_bytes_per_hour = difference + half;
	comparison.confidence = confidence_of(difference, half, lh_min_u64(before->sample_count, after->sample_count));
	comparison.change = classify_change(before, after, &comparison);
	comparison.watch_more_ns = watch_more_ns(after, comparison.resolution_bytes_per_hour,
						 RESOLVED_SHARE * fmax(0, before->total.rate_bytes_per_hour));
	explain_change(&comparison);
	*ret = comparison;
	return NULL;
}
