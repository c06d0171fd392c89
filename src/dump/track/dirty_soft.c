/*
 * dirty_soft: the dirty tracker by soft-dirty bits. The target runs nothing for it, and nothing has to be
 * undone. Input: the plan's extents; output: runs of written pages. It reads no memory; each take but the
 * first stops all threads for as long as it looks at pages and clears their bits.
 *
 * Reading the bits and clearing them are two steps, and a page written in between bears its bit for nobody.
 * With D(t) the pages written since the last clear, seen at t, C the clear and K what was copied after it:
 *
 *	take		steps						lost
 *	the first	C1, then list all that is there; K is all	nothing: later writes are in D
 *	a later one	[ read D, Ck ] with all threads stopped		nothing: nobody writes in between
 *	without a stop	read D at t1, Ck at t2				writes in (t1, t2) to pages not in D(t1)
 *
 * Not clearing again needs no stop, but then D only grows: the last step, which stops the target anyway,
 * copies all that was written since C1. So a later take is worth its stop only where copying D would stop
 * the target for longer: see take_pause_ns and guess.
 */
#include "dirty_tracker.h"
#include "file_pages.h"
#include "leakhunt/fault_point.h"

#include <stdlib.h>

/* A mapping whose pages were all taken, or unwritten, at the last clear. */
struct known_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset;
	uint64_t inode;
};

struct soft_tracker {
	struct lh_dirty_tracker base;
	struct lh_soft_dirty *bits;
	struct lh_pagemap *pagemap;
	LH_VEC(struct known_mapping) known; /* ascending */
	struct lh_ranges own;               /* lh_file_pages_note */
	struct lh_page_runs scratch;
	bool is_cleared;       /* at least once */
	uint64_t written_addr; /* a page seen written since the last clear; 0: none */
	uint64_t look_ns;      /* the last look at all pages */
	uint64_t clear_ns;     /* the last clear */
};

static struct soft_tracker *soft_of_base(struct lh_dirty_tracker *base)
{
	return (struct soft_tracker *)base;
}

/* ---------------------------------------------------------------- looking */

/*
 * Pages of hugetlbfs have no soft-dirty bit, and recognizing private mappings of its files costs a system call each. So
 * all writable mappings of files, which are small, stay untracked.
 */
static bool can_track(const struct lh_region *region)
{
	if (region->is_shared || region->is_io || region->is_hugetlb || region->kind == LH_REGION_HUGETLB)
		return false;
	return !region->inode || !(region->protection & LH_PROT_WRITE);
}

static int compare_start(const void *key, const void *item)
{
	const uint64_t *start = key;
	const struct known_mapping *mapping = item;
	return *start < mapping->start ? -1 : *start > mapping->start;
}

/*
 * A new or grown mapping counts as written whole (mm/mmap.c, VM_SOFTDIRTY), except when leakhunt cleared between its
 * creation and the first look at it. A mapping that mremap(2) moved may have the bits of its old place.
 */
static bool is_known_page(const struct soft_tracker *tracker, const struct lh_region *region)
{
	const struct known_mapping *mapping = tracker->known.count
						      ? bsearch(&region->start, tracker->known.items,
								tracker->known.count, sizeof(*mapping), compare_start)
						      : NULL;
	return mapping && mapping->end == region->end && mapping->inode == region->inode &&
	       mapping->file_offset == region->file_offset;
}

/* Pages of unknown mappings all count as written. */
static struct lh_error *look_soft(struct soft_tracker *tracker, const struct lh_extent *extent,
				  struct lh_page_runs *ret)
{
	const struct lh_region *region = extent->region;
	bool tells_written = can_track(region) && is_known_page(tracker, region);
	tracker->scratch.runs.count = 0;
	LH_TRY(lh_soft_dirty_find(tracker->bits, (struct lh_range){extent->start, extent->end}, !region->inode,
				  &tracker->scratch));
	for (size_t i = 0; i < tracker->scratch.runs.count; i++) {
		const struct lh_page_run *run = &tracker->scratch.runs.items[i];
		bool counts_as_written = !tells_written && run->state == LH_PAGES_PRESENT;
		LH_TRY(lh_page_runs_add(ret, run->range.start, run->range.end,
					counts_as_written ? LH_PAGES_WRITTEN : run->state));
	}
	return NULL;
}

/* The written pages of tracked extents. */
static struct lh_error *look_at_all(struct soft_tracker *tracker, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	struct lh_page_runs runs = {0};
	struct lh_error *error = NULL;
	uint64_t before_ns = lh_clock_monotonic_ns();
	for (size_t i = 0; !error && i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		runs.runs.count = 0;
		if (extent->is_tracked)
			error = look_soft(tracker, extent, &runs);
		for (size_t j = 0; !error && j < runs.runs.count; j++) {
			const struct lh_page_run *run = &runs.runs.items[j];
			if (run->state == LH_PAGES_WRITTEN)
				error = lh_page_runs_add(ret, run->range.start, run->range.end, run->state);
		}
	}
	tracker->look_ns = lh_clock_monotonic_ns() - before_ns;
	lh_vec_deinit(&runs.runs);
	return error;
}

/*
 * When another tool clears the bits, writes are lost. A page known to be written proves it: its bit stays until a
 * clear, unless the page is gone.
 */
static struct lh_error *check_nobody_cleared(const struct soft_tracker *tracker, const struct lh_plan *plan)
{
	const struct lh_region *region = lh_regions_find(&plan->list, tracker->written_addr);
	if (!tracker->written_addr || !region || !is_known_page(tracker, region))
		return NULL;
	struct lh_range page = {tracker->written_addr, tracker->written_addr + LH_PAGE_BYTES};
	struct lh_page_runs runs = {0};
	struct lh_error *error = lh_soft_dirty_find(tracker->bits, page, !region->inode, &runs);
	bool is_cleared = !error && runs.runs.count && runs.runs.items[0].state == LH_PAGES_PRESENT;
	lh_vec_deinit(&runs.runs);
	LH_TRY(error);
	if (!is_cleared)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_CHANGED, "another tool cleared the soft-dirty bits of process %d",
					     (int)lh_process_pid(tracker->base.process)),
			     "CRIU, or another leakhunt? try again later, or use --mode stop");
}

/* ---------------------------------------------------------------- taking */

static struct lh_error *clear_soft(struct soft_tracker *tracker)
{
	uint64_t before_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_soft_dirty_clear(tracker->bits));
	tracker->clear_ns = lh_clock_monotonic_ns() - before_ns;
	lh_freeze_cost_add(&tracker->base.cost->stops, (struct lh_freeze_cost){.pause_ns = tracker->clear_ns});
	tracker->is_cleared = true;
	tracker->written_addr = 0;
	lh_fault_point("soft-cleared");
	return NULL;
}

static struct lh_error *know_page(struct soft_tracker *tracker, const struct lh_plan *plan)
{
	tracker->known.count = 0;
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_region *region = plan->extents.items[i].region;
		const struct known_mapping mapping = {region->start, region->end, region->file_offset, region->inode};
		if (plan->extents.items[i].is_tracked && !is_known_page(tracker, region))
			LH_TRY(lh_vec_push(&tracker->known, mapping));
	}
	return NULL;
}

static struct lh_error *take_stopped(struct soft_tracker *tracker, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	struct lh_thread_states states = {0};
	struct lh_freeze *freeze = NULL;
	struct lh_error *error = lh_freeze_begin(tracker->base.process, &states, &freeze);
	lh_thread_states_deinit(&states);
	LH_TRY(error);
	lh_fault_point("soft-frozen");
	error = check_nobody_cleared(tracker, plan);
	if (!error)
		error = look_at_all(tracker, plan, ret);
	if (!error)
		error = clear_soft(tracker);
	lh_freeze_cost_add(&tracker->base.cost->stops, lh_freeze_end(freeze));
	return error;
}

static struct lh_error *take_first(struct soft_tracker *tracker, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	LH_TRY(clear_soft(tracker));
	return look_at_all(tracker, plan, ret);
}

static struct lh_error *cover_soft(struct lh_dirty_tracker *base, struct lh_plan *plan)
{
	(void)base;
	for (size_t i = 0; i < plan->extents.count; i++) {
		struct lh_extent *extent = &plan->extents.items[i];
		extent->is_tracked = !extent->is_device && can_track(extent->region);
	}
	return NULL;
}

static struct lh_error *take_soft(struct lh_dirty_tracker *base, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	struct soft_tracker *tracker = soft_of_base(base);
	LH_TRY(tracker->is_cleared ? take_stopped(tracker, plan, ret) : take_first(tracker, plan, ret));
	base->take_pause_ns = tracker->look_ns + tracker->clear_ns;
	LH_TRY(know_page(tracker, plan));
	return lh_file_pages_note(tracker->pagemap, plan, &tracker->own);
}

static struct lh_error *guess_soft(struct lh_dirty_tracker *base, const struct lh_plan *plan, uint64_t *ret_bytes)
{
	struct soft_tracker *tracker = soft_of_base(base);
	struct lh_page_runs runs = {0};
	uint64_t bytes = 0;
	struct lh_error *error = look_at_all(tracker, plan, &runs);
	for (size_t i = 0; i < runs.runs.count; i++) {
		const struct lh_range *range = &runs.runs.items[i].range;
		bytes += lh_range_bytes(*range);
		const struct lh_region *region = lh_regions_find(&plan->list, range->start);
		if (!tracker->written_addr && region && is_known_page(tracker, region))
			tracker->written_addr = range->start;
	}
	lh_vec_deinit(&runs.runs);
	LH_TRY(error);
	*ret_bytes = bytes;
	return NULL;
}

/* The vdso is the kernel's: all trackers copy it with the written pages. */
static struct lh_error *find_extent(void *tracker, const struct lh_extent *extent, struct lh_page_runs *ret)
{
	if (extent->is_device)
		return NULL;
	if (extent->region->kind == LH_REGION_VDSO)
		return lh_page_runs_add(ret, extent->start, extent->end, LH_PAGES_WRITTEN);
	return look_soft(tracker, extent, ret);
}

static struct lh_error *find_soft(struct lh_dirty_tracker *base, struct lh_plan *plan)
{
	struct soft_tracker *tracker = soft_of_base(base);
	LH_TRY(check_nobody_cleared(tracker, plan));
	LH_TRY(lh_plan_look_with(plan, find_extent, tracker));
	return lh_file_pages_correct(tracker->pagemap, &tracker->own, plan);
}

/* ---------------------------------------------------------------- starting and stopping */

static void stop_soft(struct lh_dirty_tracker *base)
{
	struct soft_tracker *tracker = soft_of_base(base);
	lh_soft_dirty_close(tracker->bits);
	lh_pagemap_close(tracker->pagemap);
	lh_vec_deinit(&tracker->known);
	lh_vec_deinit(&tracker->own.items);
	lh_vec_deinit(&tracker->scratch.runs);
}

/* Opening touches the target in no way. */
static struct lh_error *check_soft(const struct lh_dirty_target *target)
{
	struct lh_soft_dirty *bits;
	LH_TRY(lh_soft_dirty_open(target->process, &bits));
	lh_soft_dirty_close(bits);
	return NULL;
}

static struct lh_error *start_soft(struct lh_dirty_tracker *base, const struct lh_dirty_target *target)
{
	struct soft_tracker *tracker = soft_of_base(base);
	LH_TRY(lh_soft_dirty_open(target->process, &tracker->bits));
	return lh_pagemap_open(target->process, &tracker->pagemap);
}

const struct lh_dirty_kind lh_dirty_soft = {
	.name = "soft-dirty",
	.tracker_bytes = sizeof(struct soft_tracker),
	.check = check_soft,
	.start = start_soft,
	.cover = cover_soft,
	.take = take_soft,
	.guess = guess_soft,
	.find = find_soft,
	.stop = stop_soft,
};
