/*
 * circumstances: facts about a process beside the curve of its memory: its age, mappings of constant size that are
 * being filled, what its allocators said, how often a heap was collected. Input: a selector. Output: figures without
 * judgment.
 */
#include "circumstances.h"

#include <math.h>
#include <stdlib.h>

/* Field 22 of /proc/PID/stat is in USER_HZ, 100 per second on all supported systems (proc(5)). */
static const double TICKS_PER_S = 100;

double lh_process_age_s(const struct lh_selector *selector)
{
	if (!selector->start_ticks || !selector->first_uptime_ns)
		return LH_NEVER_S;
	double age_s = (double)selector->first_uptime_ns / 1e9 - (double)selector->start_ticks / TICKS_PER_S;
	return fmax(age_s, 0);
}

static double steps_at(const struct lh_steps *steps, size_t moment)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < steps->items.count && steps->items.items[i].moment <= moment; i++)
		bytes = steps->items.items[i].bytes;
	return (double)bytes;
}

/* ---------------------------------------------------------------- mappings of a fixed size */

/* malloc maps ahead of use, and maps more when that is full. */
static bool is_mapped_ahead(enum lh_region_kind kind)
{
	static const uint32_t kinds = LH_HEAP_KINDS & ~(UINT32_C(1) << LH_REGION_JVM);
	return kinds >> kind & 1;
}

static bool keeps_its_size(const struct lh_steps *mapped)
{
	return mapped->items.count == 1 && mapped->items.items[0].moment == 0;
}

/* Growth in mappings of constant size in the second half of the moments. */
struct filling {
	double growth, shared_growth, empty;
};

static void add_filling(const struct lh_steps *used, const struct lh_steps *mapped, bool is_shared, size_t count,
			struct filling *filling)
{
	double growth = steps_at(used, count - 1) - steps_at(used, count / 2);
	if (growth <= 0)
		return;
	filling->growth += growth;
	filling->shared_growth += is_shared ? growth : 0;
	filling->empty += fmax(0, (double)lh_steps_last(mapped) - (double)lh_steps_last(used));
}

/* `all`: the whole growth in the second half. */
static void take_filling(const struct filling *filling, double all, struct lh_series series,
			 struct lh_circumstances *ret)
{
	double half_s = series.seconds[series.count - 1] - series.seconds[series.count / 2];
	if (all <= 0 || filling->growth <= 0)
		return;
	ret->fixed_share = filling->growth / all;
	ret->is_shared = filling->shared_growth > filling->growth / 2;
	ret->full_s = filling->empty / (filling->growth / half_s);
}

static void gather_fixed_size(const struct lh_tracks *tracks, struct lh_series series, struct lh_circumstances *ret)
{
	struct filling filling = {0};
	for (size_t i = 0; i < tracks->items.count; i++) {
		const struct lh_track *track = &tracks->items.items[i];
		if (lh_track_is_root(tracks, i) && keeps_its_size(&track->mapped) && !is_mapped_ahead(track->kind))
			add_filling(&track->used, &track->mapped, track->is_shared, series.count, &filling);
	}
	take_filling(&filling, series.values[series.count - 1] - series.values[series.count / 2], series, ret);
}

/* ---------------------------------------------------------------- collectors */

/*
 * `range`: by which factor such a heap grows between two collections. Go: GOGC=100; V8: up to 4; CPython collects its
 * oldest generation once what is new in it exceeds a quarter of it (Modules/gcmodule.c, gc_collect_generations).
 */
static const struct {
	enum lh_region_kind kind;
	const char *name;
	double range;
} collectors[LH_COLLECTOR_COUNT] = {
	{LH_REGION_V8, "V8's heap", 2},
	{LH_REGION_GO, "Go's heap", 2},
	{LH_REGION_JVM, "the JVM's heap", 2},
	{LH_REGION_PYMALLOC, "CPython's heap", 1.25},
};

static struct lh_error *read_collected(const struct lh_tracks *tracks, enum lh_region_kind kind, uint64_t **ret)
{
	struct lh_steps heap LH_CLEANUP(lh_steps_deinit) = {0};
	for (size_t i = 0; i < tracks->items.count; i++) {
		if (lh_track_is_root(tracks, i) && tracks->items.items[i].kind == kind)
			LH_TRY(lh_steps_add(&heap, &tracks->items.items[i].used));
	}
	if (!heap.items.count)
		return NULL;
	*ret = calloc(tracks->moments.count, sizeof(**ret));
	if (!*ret)
		return lh_error_no_memory();
	lh_steps_spread(&heap, tracks->moments.count, *ret);
	return NULL;
}

struct lh_error *lh_collected_heaps_read(const struct lh_tracks *tracks, struct lh_collected_heaps *ret)
{
	for (size_t i = 0; i < LH_COLLECTOR_COUNT; i++)
		LH_TRY(read_collected(tracks, collectors[i].kind, &ret->bytes[i]));
	return NULL;
}

void lh_collected_heaps_deinit(struct lh_collected_heaps *heaps)
{
	for (size_t i = 0; i < LH_COLLECTOR_COUNT; i++)
		free(heaps->bytes[i]);
}

static void take_collector(const struct lh_collected_heaps *heaps, size_t collector, struct lh_circumstances *ret)
{
	ret->collector = collectors[collector].name;
	ret->collector_range = collectors[collector].range;
	ret->collected = heaps->bytes[collector];
}

/* The collector whose heap makes at least half of the growth. */
static void gather_collector(const struct lh_collected_heaps *heaps, struct lh_series series,
			     struct lh_circumstances *ret)
{
	double all = series.values[series.count - 1] - series.values[0];
	for (size_t i = 0; all > 0 && !ret->collector && i < LH_COLLECTOR_COUNT; i++) {
		const uint64_t *bytes = heaps->bytes[i];
		if (bytes && (double)bytes[series.count - 1] - (double)bytes[0] >= all / 2)
			take_collector(heaps, i, ret);
	}
}

/* ---------------------------------------------------------------- all of it */

static void gather_use(const struct lh_tracks *tracks, struct lh_circumstances *ret)
{
	const struct lh_use_look *first = &tracks->first_use, *last = &tracks->last_use;
	if (!first->is_known || !last->is_known || first->sample == last->sample)
		return;
	ret->has_use = true;
	ret->used_growth = (double)last->use.in_use_bytes - (double)first->use.in_use_bytes;
	ret->heap_growth = (double)last->use.heap_bytes - (double)first->use.heap_bytes;
	ret->all_growth = (double)last->used_bytes - (double)first->used_bytes;
}

/* Bytes in use come from allocators whose blocks are freed one by one (struct lh_heap_use). */
static bool is_in_use_known(enum lh_region_kind kind)
{
	static const uint32_t managed = UINT32_C(1) << LH_REGION_V8 | UINT32_C(1) << LH_REGION_GO |
					UINT32_C(1) << LH_REGION_JVM | UINT32_C(1) << LH_REGION_ZEND;
	return lh_region_kind_is_heap(kind) && !(managed >> kind & 1);
}

void lh_circumstances_of_region(const struct lh_selector *selector, const struct lh_collected_heaps *heaps,
				enum lh_region_kind kind, bool is_shared, const struct lh_steps *used,
				const struct lh_steps *mapped, struct lh_series series, struct lh_circumstances *ret)
{
	struct filling filling = {0};
	*ret = (struct lh_circumstances){.age_s = lh_process_age_s(selector)};
	for (size_t i = 0; i < LH_COLLECTOR_COUNT; i++) {
		if (heaps->bytes[i] && collectors[i].kind == kind)
			take_collector(heaps, i, ret);
	}
	/* Allocators reported on all of their memory: the figures apply to each part of it. */
	if (is_in_use_known(kind)) {
		gather_use(&selector->tracks, ret);
		ret->all_growth = ret->heap_growth;
	}
	if (!keeps_its_size(mapped) || is_mapped_ahead(kind))
		return;
	add_filling(used, mapped, is_shared, series.count, &filling);
	take_filling(&filling, filling.growth, series, ret);
}

void lh_circumstances_gather(const struct lh_selector *selector, const struct lh_collected_heaps *heaps,
			     struct lh_series series, struct lh_circumstances *ret)
{
	*ret = (struct lh_circumstances){.age_s = lh_process_age_s(selector)};
	gather_fixed_size(&selector->tracks, series, ret);
	gather_use(&selector->tracks, ret);
	gather_collector(heaps, series, ret);
}
