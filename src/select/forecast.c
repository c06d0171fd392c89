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

static void add_grown_memory(struct lh_memory_growth *memory, const struct lh_growth *growth)
{
	memory->growth_bytes += growth->growth_bytes;
	memory->rate_bytes_per_hour += growth->rate_bytes_per_hour;
	memory->rate_low_bytes_per_hour += growth->rate_low_bytes_per_hour;
	memory->rate_high_bytes_per_hour += growth->rate_high_bytes_per_hour;
}

/* Of a holding that is counted, the fields for bytes have numbers. */
static void add_held_growth(struct lh_memory_growth *memory, const struct lh_holding_growth *holding)
{
	if (!lh_verdict_is_rising(holding->verdict))
		return;
	memory->growth_bytes += holding->growth;
	memory->rate_bytes_per_hour += holding->rate_per_hour;
	memory->rate_low_bytes_per_hour += holding->rate_low_per_hour;
	memory->rate_high_bytes_per_hour += holding->rate_high_per_hour;
}

/* The cgroup's memory may be another process's. */
struct lh_memory_growth lh_selection_memory_growth(const struct lh_selection *selection)
{
	static const enum lh_holding held[] = {LH_HOLDING_HELD_FILE_BYTES, LH_HOLDING_SHM_BYTES,
					       LH_HOLDING_PAGE_TABLE_BYTES};
	struct lh_memory_growth memory = {0};
	for (size_t i = 0; i < LH_ARRAY_COUNT(held); i++)
		add_held_growth(&memory, &selection->holdings[held[i]]);
	/* Other memory goes up and down: take the whole process if it leaks, else the regions that leak. */
	if (lh_verdict_is_rising(selection->total.verdict) && selection->total.rate_low_bytes_per_hour > 0) {
		add_grown_memory(&memory, &selection->total);
		return memory;
	}
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (lh_verdict_is_rising(growth->verdict) && growth->measure == LH_MEASURE_USED)
			add_grown_memory(&memory, growth);
	}
	return memory;
}

static struct rate rate_of(struct lh_memory_growth growth)
{
	return (struct rate){growth.rate_bytes_per_hour / 3600, growth.rate_low_bytes_per_hour / 3600,
			     growth.rate_high_bytes_per_hour / 3600};
}

/* A collector's heap goes up and down: if the whole process leaks, its own verdict need not be a leak. */
static struct rate kind_rate(const struct lh_selection *selection, enum lh_region_kind kind)
{
	bool is_leaking = lh_verdict_is_rising(selection->total.verdict);
	struct lh_memory_growth sum = {0};
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		bool is_rising =
			lh_verdict_is_rising(growth->verdict) ||
			(is_leaking && growth->verdict == LH_VERDICT_UNDECIDED && growth->rate_low_bytes_per_hour > 0);
		if (growth->kind == kind && is_rising && growth->measure == LH_MEASURE_USED)
			add_grown_memory(&sum, growth);
	}
	return rate_of(sum);
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
	struct lh_memory_growth sum = {0};
	add_held_growth(&sum, &selection->holdings[holding]);
	return rate_of(sum);
}

static struct rate rate_towards(const struct lh_selection *selection, enum lh_ceiling ceiling)
{
	switch (ceiling) {
	case LH_CEILING_CGROUP_MEMORY:
	case LH_CEILING_MACHINE_MEMORY:
		return rate_of(lh_selection_memory_growth(selection));
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
