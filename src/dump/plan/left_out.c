/*
 * left_out: resident memory outside of a plan's extents that may hold data. Input: a plan. Output: bytes by kind. Does
 * not count program text, which is on disk.
 */
#include "left_out.h"

static bool may_hold_data(const struct lh_region *region)
{
	return region->kind != LH_REGION_TEXT && region->kind != LH_REGION_RODATA && region->kind != LH_REGION_VDSO &&
	       !region->is_io;
}

static struct lh_error *add_present(struct lh_pagemap *pagemap, uint64_t start, uint64_t end, uint64_t *bytes)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	if (start >= end)
		return NULL;
	LH_TRY(lh_pagemap_runs(pagemap, (struct lh_range){start, end}, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		*bytes += lh_range_bytes(runs.runs.items[i].range);
	return NULL;
}

/* `*next`: the first extent that ends behind the region's start. */
static struct lh_error *count_outside(const struct lh_plan *plan, struct lh_pagemap *pagemap,
				      const struct lh_region *region, size_t *next, uint64_t *bytes)
{
	uint64_t at = region->start;
	while (*next < plan->extents.count && plan->extents.items[*next].end <= region->start)
		++*next;
	for (size_t i = *next; i < plan->extents.count && plan->extents.items[i].start < region->end; i++) {
		LH_TRY(add_present(pagemap, at, plan->extents.items[i].start, bytes));
		at = plan->extents.items[i].end;
	}
	return add_present(pagemap, at, region->end, bytes);
}

struct lh_error *lh_plan_count_left_out(const struct lh_process *process, const struct lh_plan *plan,
					uint64_t ret[LH_REGION_KIND_COUNT])
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	size_t next = 0;
	LH_TRY(lh_pagemap_open(process, &pagemap));
	for (size_t i = 0; i < plan->list.regions.count; i++) {
		const struct lh_region *region = &plan->list.regions.items[i];
		if (may_hold_data(region))
			LH_TRY(count_outside(plan, pagemap, region, &next, &ret[region->kind]));
	}
	return NULL;
}
