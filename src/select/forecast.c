/*
 * forecast: when growth meets a limit. Input: a selection, and how much is left below each limit.
 * Output: the first limit that is met, and when, with the interval that the rate's own interval makes.
 */
#include "leakhunt/select.h"

#include <math.h>

struct rate {
	double middle, low, high; /* bytes per second */
};

static void rate_add(struct rate *rate, const struct lh_growth *growth)
{
	rate->middle += growth->rate_bytes_per_hour / 3600;
	rate->low += growth->rate_low_bytes_per_hour / 3600;
	rate->high += growth->rate_high_bytes_per_hour / 3600;
}

/* Of the whole process where that is a leak; else of the regions that are: the rest goes up and down. */
static struct rate rate_of(const struct lh_selection *selection, enum lh_measure measure)
{
	struct rate rate = {0};
	if (measure == LH_MEASURE_USED && lh_verdict_is_rising(selection->total.verdict)) {
		rate_add(&rate, &selection->total);
		return rate;
	}
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (lh_verdict_is_rising(growth->verdict) && growth->measure == measure)
			rate_add(&rate, growth);
	}
	return rate;
}

bool lh_forecast_end(const struct lh_selection *selection, const struct lh_ceiling *ceilings, size_t count,
		     struct lh_forecast *ret)
{
	bool is_found = false;
	for (size_t i = 0; i < count; i++) {
		struct rate rate = rate_of(selection, ceilings[i].measure);
		double left = (double)ceilings[i].left_bytes;
		if (rate.middle <= 0 || (is_found && left / rate.middle >= ret->seconds))
			continue;
		*ret = (struct lh_forecast){
			.what = ceilings[i].what,
			.left_bytes = ceilings[i].left_bytes,
			.seconds = left / rate.middle,
			.earliest_s = left / rate.high,
			.latest_s = rate.low > 0 ? left / rate.low : INFINITY,
		};
		is_found = true;
	}
	return is_found;
}
