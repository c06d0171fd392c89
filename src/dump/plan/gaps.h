/*
 * gaps: bytes that were lost, and why. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_GAPS_H
#define LEAKHUNT_DUMP_GAPS_H

#include "leakhunt/dump.h"

/* In any order; lh_gaps_normalize comes before anything reads them. */
struct lh_error *lh_gaps_add(struct lh_dump_gaps *gaps, uint64_t start, uint64_t end,
			     enum lh_gap_reason reason) LH_NODISCARD;
/* Sorts, and merges neighbors of one reason. They must be disjoint. */
void lh_gaps_normalize(struct lh_dump_gaps *gaps);
uint64_t lh_gaps_bytes(const struct lh_dump_gaps *gaps);
/* What the plan leaves out: swapped pages, devices. */
struct lh_error *lh_gaps_of_plan(const struct lh_plan *plan, struct lh_dump_gaps *ret) LH_NODISCARD;
/* Calls "unreadable" gaps "vanished" where the process has no mapping any more. */
struct lh_error *lh_gaps_tell_vanished(const struct lh_process *process, struct lh_dump_gaps *gaps) LH_NODISCARD;

#endif
