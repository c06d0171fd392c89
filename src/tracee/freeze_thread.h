/*
 * freeze_thread: what borrowing needs of freeze beyond freezing a whole process. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_FREEZE_THREAD_H
#define LEAKHUNT_TRACEE_FREEZE_THREAD_H

#include "leakhunt/tracee.h"

/* Stops one thread, as lh_freeze_begin does all; lh_freeze_end lets it go. */
struct lh_error *lh_freeze_begin_thread(const struct lh_process *process, pid_t tid,
					struct lh_freeze **ret) LH_NODISCARD;

/* A signal that reached the frozen thread, to be delivered when it is released. */
void lh_freeze_deliver(struct lh_freeze *freeze, pid_t tid, int signal);

/* Whether all threads of the process are frozen. */
bool lh_freeze_is_whole(const struct lh_freeze *freeze);

/* The next frozen thread, from *next (0 at first). 0: there are no more. */
pid_t lh_freeze_stopped_thread(const struct lh_freeze *freeze, size_t *next);

/*
 * The next thread, from *next (0 at first), that is in a PTRACE_EVENT_STOP and so can run calls for leakhunt: a thread
 * in a signal-delivery stop would lose its signal. 0: there are no more.
 */
pid_t lh_freeze_usable_thread(const struct lh_freeze *freeze, size_t *next);

#endif
