/*
 * child_reap: removes a copy-on-write child from its parent. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_CHILD_REAP_H
#define LEAKHUNT_TRACEE_CHILD_REAP_H

#include "leakhunt/tracee.h"

/* Exit code of a child that outlived everybody: one of the two marks by which a leftover is recognized. */
enum { LH_CHILD_EXIT_CODE = 0x6c };

struct lh_traced_child {
	pid_t pid;
	pid_t inner_pid; /* as its parent numbers it; 0: unknown */
};

/* Traces an untraced child, and stops it. An error when it belongs to somebody else, or has ended. */
struct lh_error *lh_child_take_over(pid_t pid) LH_NODISCARD;

/*
 * Kills a child of `process` that leakhunt traces, and has `process` wait for it while all of its threads are stopped,
 * so that no wait(2) of its own ever returns the child. No error: the process has ended (the child is init's then) or
 * called exec. Adds the cost of the stops to *cost. On an error the child is dead, and this must be retried.
 */
struct lh_error *lh_child_end(const struct lh_process *process, const struct lh_traced_child *child,
			      struct lh_freeze_cost *cost) LH_NODISCARD;

/* The same for a child whose tracer has just been killed and may still be exiting: retries until the child is gone. */
struct lh_error *lh_child_end_abandoned(const struct lh_process *process, const struct lh_traced_child *child,
					struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
