/*
 * forecast: when growth reaches a limit. Input: a selection, which knows what is left below each limit. Output: the
 * first limit that is reached, and when, with the interval that follows from the rate's interval.
 */
#include "leakhunt/limits.h"
#include "leakhunt/select.h"

#include <math.h>

struct rate {
	double middle, low, high; /* per second, in bytes or as a count */
};

static void rate_add(struct rate *rate, const struct lh_growth *growth)
{
	rate->middle += growth->rate_bytes_per_hour / 3600;
	rate->low += growth->rate_low_bytes_per_hour / 3600;
	rate->high += growth->rate_high_bytes_per_hour / 3600;
}

static void rate_add_holding(struct rate *rate, const struct lh_holding_growth *holding)
{
	if (!lh_verdict_is_rising(holding->verdict))
		return;
	rate->middle += holding->rate_per_hour / 3600;
	rate->low += holding->rate_low_per_hour / 3600;
	rate->high += holding->rate_high_per_hour / 3600;
}

/* Memory of the process: in its mappings, and beside them. The cgroup's memory may be another process's. */
static struct rate memory_rate(const struct lh_selection *selection)
{
	static const enum lh_holding held[] = {LH_HOLDING_HELD_FILE_BYTES, LH_HOLDING_SHM_BYTES,
					       LH_HOLDING_PAGE_TABLE_BYTES};
	struct rate rate = {0};
	for (size_t i = 0; i < LH_ARRAY_COUNT(held); i++)
		rate_add_holding(&rate, &selection->holdings[held[i]]);
	/* Other memory goes up and down: take the whole process if it leaks, else the regions that leak. */
	if (lh_verdict_is_rising(selection->total.verdict) && selection->total.rate_low_bytes_per_hour > 0) {
		rate_add(&rate, &selection->total);
		return rate;
	}
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (lh_verdict_is_rising(growth->verdict) && growth->measure == LH_MEASURE_USED)
			rate_add(&rate, growth);
	}
	return rate;
}

/* A collector's heap goes up and down: if the whole process leaks, its own verdict need not be a leak. */
static struct rate kind_rate(const struct lh_selection *selection, enum lh_region_kind kind)
{
	bool is_leaking = lh_verdict_is_rising(selection->total.verdict);
	struct rate rate = {0};
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		bool is_rising =
			lh_verdict_is_rising(growth->verdict) ||
			(is_leaking && growth->verdict == LH_VERDICT_UNDECIDED && growth->rate_low_bytes_per_hour > 0);
		if (growth->kind == kind && is_rising && growth->measure == LH_MEASURE_USED)
			rate_add(&rate, growth);
	}
	return rate;
}

static struct rate mapped_rate(const struct lh_selection *selection)
{
	const struct lh_mapped_growth *mapped = &selection->mapped;
	if (!lh_verdict_is_rising(mapped->verdict))
		return (struct rate){0};
	return (struct rate){mapped->rate_bytes_per_hour / 3600, mapped->rate_low_bytes_per_hour / 3600,
			     mapped->rate_high_bytes_per_hour / 3600};
}

static struct rate count_rate(const struct lh_selection *selection, enum lh_holding holding)
{
	struct rate rate = {0};
	rate_add_holding(&rate, &selection->holdings[holding]);
	return rate;
}

static struct rate rate_towards(const struct lh_selection *selection, enum lh_ceiling ceiling)
{
	switch (ceiling) {
	case LH_CEILING_CGROUP_MEMORY:
	case LH_CEILING_MACHINE_MEMORY:
		return memory_rate(selection);
	case LH_CEILING_ADDRESS_SPACE:
	case LH_CEILING_ADDRESS_SPACE_32:
		return mapped_rate(selection);
	case LH_CEILING_MAPPINGS:
		return count_rate(selection, LH_HOLDING_MAPPINGS);
	case LH_CEILING_CGROUP_TASKS:
	case LH_CEILING_MACHINE_TASKS:
		return count_rate(selection, LH_HOLDING_THREADS);
	case LH_CEILING_DESCRIPTORS:
		return count_rate(selection, LH_HOLDING_DESCRIPTORS);
	case LH_CEILING_JAVA_HEAP:
		return kind_rate(selection, LH_REGION_JVM);
	case LH_CEILING_V8_HEAP:
		return kind_rate(selection, LH_REGION_V8);
	default:
		return (struct rate){0};
	}
}

bool lh_forecast_end(const struct lh_selection *selection, struct lh_forecast *ret)
{
	bool is_found = false;
	for (size_t i = 0; selection->has_ceilings && i < LH_CEILING_COUNT; i++) {
		struct rate rate = rate_towards(selection, (enum lh_ceiling)i);
		double left = (double)selection->ceilings.left[i];
		if (selection->ceilings.left[i] == LH_NO_LIMIT || rate.middle <= 0 ||
		    (is_found && left / rate.middle >= ret->seconds))
			continue;
		*ret = (struct lh_forecast){
			.ceiling = (enum lh_ceiling)i,
			.left = selection->ceilings.left[i],
			.seconds = left / rate.middle,
			.earliest_s = left / rate.high,
			.latest_s = rate.low > 0 ? left / rate.low : INFINITY,
		};
		is_found = true;
	}
	return is_found;
}
