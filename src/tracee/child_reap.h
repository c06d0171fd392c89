/*
 * child_reap: takes a copy-on-write child off its parent. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_CHILD_REAP_H
#define LEAKHUNT_TRACEE_CHILD_REAP_H

#include "leakhunt/tracee.h"

/* What a child that finds itself alone exits with: one of the two marks by which a leftover is known. */
enum { LH_CHILD_EXIT_CODE = 0x6c };

struct lh_traced_child {
	pid_t pid;
	pid_t inner_pid; /* as its parent numbers it; 0: unknown */
};

/* Traces a child that nobody traces, and stops it. An error when it is somebody else's, or has ended. */
struct lh_error *lh_child_take_over(pid_t pid) LH_NODISCARD;

/*
 * Kills a child of `process` that we trace, and has `process` wait for it while all of its threads stand still,
 * so that no wait(2) of its own ever returns the child. That the process has ended (then the child is
 * init's) is no error; that it called exec neither. The cost of the stops is added to *cost. On an error the child
 * is dead, and to be tried again.
 */
struct lh_error *lh_child_end(const struct lh_process *process, const struct lh_traced_child *child,
			      struct lh_freeze_cost *cost) LH_NODISCARD;

/* The same for a child whose tracer has just been killed, and may not be quite gone: tried until the child is. */
struct lh_error *lh_child_end_abandoned(const struct lh_process *process, const struct lh_traced_child *child,
					struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
