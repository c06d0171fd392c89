/*
 * child_reap: takes a dead copy-on-write child off its parent. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_CHILD_REAP_H
#define LEAKHUNT_DUMP_CHILD_REAP_H

#include "leakhunt/dump.h"

/* What a child that finds itself alone exits with: one of the two marks by which a leftover is known. */
enum { LH_CHILD_EXIT_CODE = 0x6c };

/*
 * Lets one thread of `process` wait for its dead child. That somebody else has done so, or that the
 * process has ended (then the child is init's), is no error; that it called exec neither. What its stops cost is added
 * to *cost.
 */
struct lh_error *lh_child_reap(const struct lh_process *process, pid_t inner_pid,
			       struct lh_freeze_cost *cost) LH_NODISCARD;

/*
 * A zombie that a leakhunt which was killed has left: it ended by its own way out, or was killed after it
 * had been offered to the OOM killer, as every child of ours is.
 */
bool lh_child_is_leftover(const struct lh_quiet_child *child);

/* Reaps all leftovers there are. *ret_count: how many. *cost grows as in lh_child_reap. */
struct lh_error *lh_child_reap_leftovers(const struct lh_process *process, size_t *ret_count,
					 struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
