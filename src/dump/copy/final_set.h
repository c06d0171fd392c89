/*
 * final_set: the pages that are copied while the target is stopped. They go to memory, and to the disk after the target
 * continues. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_FINAL_SET_H
#define LEAKHUNT_DUMP_FINAL_SET_H

#include "copy.h"
#include "dump/plan/context.h"

struct lh_final_set {
	LH_VEC(struct lh_range) ranges; /* what was copied, in order */
	uint8_t *memory;                /* their bytes, one behind the other */
	size_t capacity_bytes;
	size_t used_bytes;
};

/* Touches `bytes` of memory now, so that leakhunt has no page faults during the pause. */
struct lh_error *lh_final_set_init(struct lh_final_set *set, uint64_t bytes) LH_NODISCARD;

/* Copies the plan's written pages and the ranges of `more`, with the crew. Unreadable pages are appended to `gaps`. */
struct lh_error *lh_final_set_copy(struct lh_final_set *set, struct lh_crew *crew, const struct lh_process *process,
				   const struct lh_plan *plan, const struct lh_ranges *more,
				   struct lh_dump_gaps *gaps) LH_NODISCARD;

/* Passes all pages to the copy's writer, at their places in the layout. */
struct lh_error *lh_final_set_write(const struct lh_final_set *set, struct lh_copy *copy) LH_NODISCARD;

void lh_final_set_deinit(struct lh_final_set *set);

#endif
