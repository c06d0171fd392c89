/*
 * gaps: collects what could not be copied. The core's notes and the receipt list it.
 */
#include "gaps.h"

#include <stdlib.h>
#include <string.h>

struct lh_error *lh_gaps_add(struct lh_dump_gaps *gaps, uint64_t start, uint64_t end, enum lh_gap_reason reason)
{
	if (gaps->items.count) {
		struct lh_gap *last = &gaps->items.items[gaps->items.count - 1];
		if (last->range.end == start && last->reason == reason) {
			last->range.end = end;
			return NULL;
		}
	}
	return lh_vec_push(&gaps->items, (struct lh_gap){{start, end}, reason});
}

static int compare_dump_gaps(const void *a, const void *b)
{
	const struct lh_gap *left = a, *right = b;
	return left->range.start < right->range.start ? -1 : left->range.start > right->range.start;
}

void lh_gaps_normalize(struct lh_dump_gaps *gaps)
{
	if (!gaps->items.count)
		return;
	struct lh_gap *items = gaps->items.items;
	qsort(items, gaps->items.count, sizeof(*items), compare_dump_gaps);
	size_t kept = 0;
	for (size_t i = 1; i < gaps->items.count; i++) {
		if (items[i].range.start == items[kept].range.end && items[i].reason == items[kept].reason)
			items[kept].range.end = items[i].range.end;
		else
			items[++kept] = items[i];
	}
	gaps->items.count = kept + 1;
}

uint64_t lh_gaps_bytes(const struct lh_dump_gaps *gaps)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < gaps->items.count; i++)
		sum += lh_range_bytes(gaps->items.items[i].range);
	return sum;
}

struct lh_error *lh_gaps_of_plan(const struct lh_plan *plan, struct lh_dump_gaps *ret)
{
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[i];
		if (run->state == LH_PAGES_SWAPPED)
			LH_TRY(lh_gaps_add(ret, run->range.start, run->range.end, LH_GAP_SWAPPED));
	}
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		if (extent->is_device)
			LH_TRY(lh_gaps_add(ret, extent->start, extent->end, LH_GAP_DEVICE));
	}
	return NULL;
}

/* Splits one unreadable gap at the borders of the current mappings. */
static struct lh_error *split_gap(const struct lh_region_list *list, struct lh_range range, struct lh_dump_gaps *ret)
{
	uint64_t at = range.start;
	for (size_t i = 0; i < list->regions.count && at < range.end; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (region->end <= at)
			continue;
		uint64_t mapped = lh_min_u64(lh_max_u64(region->start, at), range.end);
		uint64_t end = lh_min_u64(region->end, range.end);
		if (mapped > at)
			LH_TRY(lh_gaps_add(ret, at, mapped, LH_GAP_VANISHED));
		if (end > mapped)
			LH_TRY(lh_gaps_add(ret, mapped, end, LH_GAP_UNREADABLE));
		at = lh_max_u64(mapped, end);
	}
	return at < range.end ? lh_gaps_add(ret, at, range.end, LH_GAP_VANISHED) : NULL;
}

static struct lh_error *split_gaps(const struct lh_region_list *list, const struct lh_dump_gaps *gaps,
				   struct lh_dump_gaps *ret)
{
	for (size_t i = 0; i < gaps->items.count; i++) {
		const struct lh_gap *gap = &gaps->items.items[i];
		if (gap->reason == LH_GAP_UNREADABLE)
			LH_TRY(split_gap(list, gap->range, ret));
		else
			LH_TRY(lh_gaps_add(ret, gap->range.start, gap->range.end, gap->reason));
	}
	return NULL;
}

static bool has_unreadable(const struct lh_dump_gaps *gaps)
{
	for (size_t i = 0; i < gaps->items.count; i++) {
		if (gaps->items.items[i].reason == LH_GAP_UNREADABLE)
			return true;
	}
	return false;
}

struct lh_error *lh_gaps_tell_vanished(const struct lh_process *process, struct lh_dump_gaps *gaps)
{
	if (!has_unreadable(gaps))
		return NULL;
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &list));
	struct lh_dump_gaps split = {0};
	struct lh_error *error = split_gaps(&list, gaps, &split);
	if (error) {
		lh_vec_deinit(&split.items);
		return error;
	}
	lh_vec_deinit(&gaps->items);
	*gaps = split;
	return NULL;
}
