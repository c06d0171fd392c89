/*
 * crew_read: parallel reads of a stopped target, whose CPUs are idle meanwhile. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_CREW_READ_H
#define LEAKHUNT_DUMP_CREW_READ_H

#include "leakhunt/threads.h"

struct lh_process;

/* Upper limit for a dump's crew, which has one member per CPU. */
#define LH_CREW_MEMBERS_MAX 8

/* lh_process_read_ranges, shared; `crew` may be NULL. */
size_t lh_crew_read_ranges(struct lh_crew *crew, const struct lh_process *process, const struct lh_range *ranges,
			   size_t count, void *ret);

#endif
