/*
 * left_out: resident memory that a plan leaves out. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_LEFT_OUT_H
#define LEAKHUNT_DUMP_LEFT_OUT_H

#include "leakhunt/dump.h"

/* Adds present and swapped bytes outside of the plan's extents, by kind. Walks page tables: not for a pause. */
struct lh_error *lh_plan_count_left_out(const struct lh_process *process, const struct lh_plan *plan,
					uint64_t ret[LH_REGION_KIND_COUNT]) LH_NODISCARD;

#endif
