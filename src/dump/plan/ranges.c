/*
 * ranges: lists of address ranges. Input: ranges; output: ranges. Pure.
 */
#include "ranges.h"

#include <stdlib.h>

void lh_ranges_normalize(struct lh_ranges *ranges)
{
	ranges->items.count = lh_range_join_all(ranges->items.items, ranges->items.count, 0);
}

struct lh_error *lh_ranges_append_outside(struct lh_range range, const struct lh_ranges *holes, size_t *next_hole,
					  struct lh_ranges *ret)
{
	while (*next_hole < holes->items.count && holes->items.items[*next_hole].end <= range.start)
		++*next_hole;
	for (size_t i = *next_hole; i < holes->items.count && holes->items.items[i].start < range.end; i++) {
		struct lh_range before = {range.start, holes->items.items[i].start};
		if (before.start < before.end)
			LH_TRY(lh_vec_push(&ret->items, before));
		range.start = holes->items.items[i].end;
	}
	return range.start < range.end ? lh_vec_push(&ret->items, range) : NULL;
}

struct lh_error *lh_ranges_append_all_outside(const struct lh_ranges *ranges, const struct lh_ranges *holes,
					      struct lh_ranges *ret)
{
	size_t next_hole = 0;
	for (size_t i = 0; i < ranges->items.count; i++)
		LH_TRY(lh_ranges_append_outside(ranges->items.items[i], holes, &next_hole, ret));
	return NULL;
}

struct lh_error *lh_ranges_of_gaps(const struct lh_dump_gaps *gaps, struct lh_ranges *ret)
{
	for (size_t i = 0; i < gaps->items.count; i++)
		LH_TRY(lh_vec_push(&ret->items, gaps->items.items[i].range));
	lh_ranges_normalize(ret);
	return NULL;
}

void lh_ranges_deinit(struct lh_ranges *ranges)
{
	lh_vec_deinit(&ranges->items);
}
