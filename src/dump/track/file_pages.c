/*
 * file_pages: corrects write protection in private mappings of files. A page that the target wrote is its own. When it
 * is given back (MADV_DONTNEED), the next read brings the file's page, which counts as unwritten although the copy is
 * out of date. Input: which pages were the target's own when copied, and the runs found at the end. Output: corrected
 * runs. Reads no memory.
 */
#include "file_pages.h"

#include <stdlib.h>

struct correction {
	struct lh_pagemap *pagemap;
	const struct lh_ranges *own;
	struct lh_page_runs found; /* of all extents, in their order */
	struct lh_page_runs told;
};

/* Ignores is_tracked: a plan made in the pause does not have it. */
static bool is_of_file(const struct lh_extent *extent)
{
	return !extent->region->is_shared && !extent->is_device && !extent->is_absent_zero;
}

struct lh_error *lh_file_pages_note(struct lh_pagemap *pagemap, const struct lh_plan *plan, struct lh_ranges *own)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		if (is_of_file(extent))
			LH_TRY(lh_pagemap_find_own(pagemap, (struct lh_range){extent->start, extent->end}, &runs));
	}
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(lh_vec_push(&own->items, runs.runs.items[i].range));
	lh_ranges_normalize(own);
	return NULL;
}

/* Appends [start, end) as it is now. Pages that have come back meanwhile (mode live: the target runs) are copied. */
static struct lh_error *add_told(struct correction *correction, uint64_t start, uint64_t end,
				 enum lh_page_state state_before, struct lh_page_runs *ret)
{
	struct lh_page_runs *told = &correction->told;
	told->runs.count = 0;
	LH_TRY(lh_pagemap_tell_file(correction->pagemap, (struct lh_range){start, end}, told));
	for (size_t i = 0; i < told->runs.count; i++) {
		struct lh_page_run run = told->runs.items[i];
		bool has_come = run.state == LH_PAGES_PRESENT && state_before == LH_PAGES_SWAPPED;
		LH_TRY(lh_page_runs_add(ret, run.range.start, run.range.end, has_come ? LH_PAGES_WRITTEN : run.state));
	}
	return NULL;
}

/* The first range that ends behind `addr`. */
static size_t find_range(const struct lh_ranges *ranges, uint64_t addr)
{
	return lh_vec_count_before(&ranges->items, item, item->end <= addr);
}

static struct lh_error *add_unwritten(struct correction *correction, struct lh_range range, struct lh_page_runs *ret)
{
	const struct lh_ranges *own = correction->own;
	for (size_t i = find_range(own, range.start); i < own->items.count; i++) {
		uint64_t start = lh_max_u64(own->items.items[i].start, range.start);
		uint64_t end = lh_min_u64(own->items.items[i].end, range.end);
		if (start >= range.end)
			break;
		if (range.start < start)
			LH_TRY(lh_page_runs_add(ret, range.start, start, LH_PAGES_PRESENT));
		LH_TRY(add_told(correction, start, end, LH_PAGES_PRESENT, ret));
		range.start = end;
	}
	return range.start < range.end ? lh_page_runs_add(ret, range.start, range.end, LH_PAGES_PRESENT) : NULL;
}

static struct lh_error *correct_run(struct correction *correction, const struct lh_page_run *run,
				    struct lh_page_runs *ret)
{
	switch (run->state) {
	case LH_PAGES_SWAPPED:
		return add_told(correction, run->range.start, run->range.end, run->state, ret);
	case LH_PAGES_PRESENT:
		return add_unwritten(correction, run->range, ret);
	case LH_PAGES_WRITTEN:
		break;
	}
	return lh_page_runs_add(ret, run->range.start, run->range.end, run->state);
}

/* extent->first_run still refers to correction->found. */
static struct lh_error *correct_file_extent(void *context, const struct lh_extent *extent, struct lh_page_runs *ret)
{
	struct correction *correction = context;
	const struct lh_page_run *runs = correction->found.runs.items + extent->first_run;
	for (size_t i = 0; i < extent->run_count; i++)
		LH_TRY(is_of_file(extent) ? correct_run(correction, &runs[i], ret) : lh_vec_push(&ret->runs, runs[i]));
	return NULL;
}

static bool is_as_found(const struct correction *correction, const struct lh_extent *extent,
			const struct lh_page_runs *corrected)
{
	const struct lh_page_run *found = correction->found.runs.items + extent->first_run;
	bool is_same = corrected->runs.count == extent->run_count;
	for (size_t i = 0; is_same && i < extent->run_count; i++) {
		const struct lh_page_run *run = &corrected->runs.items[i];
		is_same = run->range.start == found[i].range.start && run->range.end == found[i].range.end &&
			  run->state == found[i].state;
	}
	return is_same;
}

/* Usually nothing is wrong: check the few runs of files before rebuilding all runs. */
static struct lh_error *find_difference(struct correction *correction, const struct lh_plan *plan, bool *ret)
{
	struct lh_page_runs corrected LH_CLEANUP(lh_page_runs_deinit) = {0};
	*ret = false;
	for (size_t i = 0; !*ret && i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		if (!is_of_file(extent))
			continue;
		corrected.runs.count = 0;
		LH_TRY(correct_file_extent(correction, extent, &corrected));
		*ret = !is_as_found(correction, extent, &corrected);
	}
	return NULL;
}

static struct lh_error *correct_file_plan(struct correction *correction, struct lh_plan *plan)
{
	bool differs;
	LH_TRY(find_difference(correction, plan, &differs));
	if (!differs)
		return NULL;
	plan->pages = (struct lh_page_runs){0};
	struct lh_error *error = lh_plan_look_with(plan, correct_file_extent, correction);
	lh_page_runs_deinit(&correction->found);
	return error;
}

struct lh_error *lh_file_pages_correct(struct lh_pagemap *pagemap, const struct lh_ranges *own, struct lh_plan *plan)
{
	struct correction correction = {.pagemap = pagemap, .own = own, .found = plan->pages};
	struct lh_error *error = correct_file_plan(&correction, plan);
	lh_page_runs_deinit(&correction.told);
	return error;
}
