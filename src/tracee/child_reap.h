/*
 * child_reap: takes a copy-on-write child off its parent. Private to tracee and dump.
 */
#ifndef LEAKHUNT_TRACEE_CHILD_REAP_H
#define LEAKHUNT_TRACEE_CHILD_REAP_H

#include "leakhunt/dump.h"

/* What a child that finds itself alone exits with: one of the two marks by which a leftover is known. */
enum { LH_CHILD_EXIT_CODE = 0x6c };

struct lh_traced_child {
	pid_t pid;
	pid_t inner_pid; /* as its parent numbers it; 0: unknown */
};

/*
 * Kills a child of `process` that we trace, and has `process` wait for it while all of its threads stand still,
 * so that no wait(2) of its own ever returns the child. That the process has ended (then the child is
 * init's) is no error; that it called exec neither. The cost of the stops is added to *cost. On an error the child
 * is dead, and to be tried again.
 */
struct lh_error *lh_child_end(const struct lh_process *process, const struct lh_traced_child *child,
			      struct lh_freeze_cost *cost) LH_NODISCARD;

/*
 * Ends what a leakhunt that was killed has left: children that still sleep in a slot, and zombies that ended by
 * their own way out, or were killed after they had been offered to the OOM killer, as every child of ours is.
 * *ret_count: how many. *cost as in lh_child_end.
 */
struct lh_error *lh_child_end_leftovers(const struct lh_process *process, size_t *ret_count,
					struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
