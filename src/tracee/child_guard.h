/*
 * child_guard: a process of leakhunt's own that traces the copy-on-write child while it is copied, ends it, and
 * survives leakhunt if that is killed. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_CHILD_GUARD_H
#define LEAKHUNT_TRACEE_CHILD_GUARD_H

#include "child_reap.h"

struct lh_child_guard;

/* Forks the guard of a child that is about to be created. */
struct lh_error *lh_child_guard_start(const struct lh_process *process, struct lh_child_guard **ret) LH_NODISCARD;

/* From here on there may be a child, even if leakhunt is killed before it knows. */
void lh_child_guard_announce(const struct lh_child_guard *guard);

/*
 * Releases a stopped child that leakhunt traces, and has the guard trace it. On an error nobody traces the child, which
 * sleeps (slot_code).
 */
struct lh_error *lh_child_guard_hold(const struct lh_child_guard *guard,
				     const struct lh_traced_child *child) LH_NODISCARD;

/* lh_child_end by the guard, of the child that it holds. LH_ERROR_NO_PROCESS: the guard itself has ended. */
struct lh_error *lh_child_guard_end_child(const struct lh_child_guard *guard, struct lh_freeze_cost *cost) LH_NODISCARD;

/*
 * `is_done`: there is no child (any more): ends the guard, and waits for its end. Else the guard continues alone, and
 * retries what leakhunt could not do. NULL is legal.
 */
void lh_child_guard_end(struct lh_child_guard *guard, bool is_done);

#endif
