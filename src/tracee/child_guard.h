/*
 * child_guard: a process of leakhunt's own that outlives it, should it be killed, and reaps the
 * copy-on-write child that is then left. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_CHILD_GUARD_H
#define LEAKHUNT_TRACEE_CHILD_GUARD_H

#include "leakhunt/proc.h"

struct lh_child_guard;

/* Forks the guard of a child that is about to be made. */
struct lh_error *lh_child_guard_start(const struct lh_process *process, struct lh_child_guard **ret) LH_NODISCARD;

/* From here on there may be a child, even if we are killed before we know it. */
void lh_child_guard_announce(const struct lh_child_guard *guard);

/*
 * `is_done`: there is no child (any more); ends the guard, and waits for its end. Else the guard goes on by
 * itself, and tries what we could not do. NULL is legal.
 */
void lh_child_guard_end(struct lh_child_guard *guard, bool is_done);

#endif
