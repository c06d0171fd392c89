/*
 * ranges: lists of address ranges. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_RANGES_H
#define LEAKHUNT_DUMP_RANGES_H

#include "leakhunt/dump.h"

struct lh_ranges {
	LH_VEC(struct lh_range) items;
};

/* Sorts, and merges what touches or overlaps. */
void lh_ranges_normalize(struct lh_ranges *ranges);

/* Appends what of `range` lies outside of `holes`; ranges are asked about in ascending order. *next_hole: 0 at first.
 */
struct lh_error *lh_ranges_append_outside(struct lh_range range, const struct lh_ranges *holes, size_t *next_hole,
					  struct lh_ranges *ret) LH_NODISCARD;

/* The same for all of `ranges`. Both lists are normalized. */
struct lh_error *lh_ranges_append_all_outside(const struct lh_ranges *ranges, const struct lh_ranges *holes,
					      struct lh_ranges *ret) LH_NODISCARD;

/* The ranges of all gaps, normalized. */
struct lh_error *lh_ranges_of_gaps(const struct lh_dump_gaps *gaps, struct lh_ranges *ret) LH_NODISCARD;

void lh_ranges_deinit(struct lh_ranges *ranges);

#endif
