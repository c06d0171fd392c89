/*
 * child_guard: a process of leakhunt's own that traces the copy-on-write child while it is copied, ends it, and
 * outlives leakhunt, should that be killed. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_CHILD_GUARD_H
#define LEAKHUNT_TRACEE_CHILD_GUARD_H

#include "child_reap.h"

struct lh_child_guard;

/* Forks the guard of a child that is about to be made. */
struct lh_error *lh_child_guard_start(const struct lh_process *process, struct lh_child_guard **ret) LH_NODISCARD;

/* From here on there may be a child, even if we are killed before we know it. */
void lh_child_guard_announce(const struct lh_child_guard *guard);

/*
 * Lets a child go that we trace and that stands still, and has the guard trace it. On an error nobody traces it, or the
 * guard that just ended did: it sleeps (slot_code).
 */
struct lh_error *lh_child_guard_hold(const struct lh_child_guard *guard,
				     const struct lh_traced_child *child) LH_NODISCARD;

/* lh_child_end by the guard, of the child that it holds. LH_ERROR_NO_PROCESS: the guard itself has ended. */
struct lh_error *lh_child_guard_end_child(const struct lh_child_guard *guard, struct lh_freeze_cost *cost) LH_NODISCARD;

/*
 * `is_done`: there is no child (any more); ends the guard, and waits for its end. Else the guard goes on by
 * itself, and tries what we could not do. NULL is legal.
 */
void lh_child_guard_end(struct lh_child_guard *guard, bool is_done);

#endif
