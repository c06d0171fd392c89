/*
 * freeze_thread: what the dirty trackers need of freeze beyond freezing a whole process. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_FREEZE_THREAD_H
#define LEAKHUNT_DUMP_FREEZE_THREAD_H

#include "leakhunt/dump.h"

/* Stops one thread, as lh_freeze_begin does all; lh_freeze_end lets it go. */
struct lh_error *lh_freeze_begin_thread(const struct lh_process *process, pid_t tid,
					struct lh_freeze **ret) LH_NODISCARD;

/* A signal that reached the frozen thread meanwhile, to be handed on when it is let go. */
void lh_freeze_deliver(struct lh_freeze *freeze, pid_t tid, int signal);

#endif
