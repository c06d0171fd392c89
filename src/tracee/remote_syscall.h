/*
 * remote_syscall: one stopped thread of the target runs the job of a slot for us, and is put back. The one
 * place where leakhunt makes a target execute anything. x86_64 only. Private to tracee.
 *
 * From the first changed register on, the thread's registers lead into a slot whose code brings it back: if
 * leakhunt is killed, the kernel lets the thread go, and it finds its own way. src/README.md says why each
 * instant is safe.
 */
#ifndef LEAKHUNT_TRACEE_REMOTE_SYSCALL_H
#define LEAKHUNT_TRACEE_REMOTE_SYSCALL_H

#include "vdso_slot.h"

/* A thread that is about to run a job, or has run it. */
struct lh_remote;

/*
 * `tid` is in a PTRACE_EVENT_STOP of this tracer, `addr` is a free slot. Afterwards the thread is stopped before the
 * first call of the job, with all signals blocked. LH_ERROR_UNSUPPORTED, with the reason, and nothing changed, when
 * this thread must not be used: in 32-bit code, single-stepped, in a restartable sequence, on its way back from a
 * killed leakhunt, under a seccomp filter that would kill it for a call of the job, or waiting with a temporary signal
 * mask that a stop would undo.
 */
struct lh_error *lh_remote_begin(const struct lh_vdso_slots *slots, uint64_t addr, pid_t tid,
				 const struct lh_slot_job *job, struct lh_remote **ret) LH_NODISCARD;

/* The process whose thread it is. */
pid_t lh_remote_process(const struct lh_remote *remote);

/* Runs the next call of the job to its end. *ret is what the kernel returned, -errno included. */
struct lh_error *lh_remote_call(struct lh_remote *remote, int64_t *ret) LH_NODISCARD;

/* The same in two steps: the second lets the thread run, and returns at once. */
struct lh_error *lh_remote_enter_call(struct lh_remote *remote) LH_NODISCARD;
struct lh_error *lh_remote_start_call(struct lh_remote *remote) LH_NODISCARD;
struct lh_error *lh_remote_finish_call(struct lh_remote *remote, uint64_t patience_ns, int64_t *ret) LH_NODISCARD;

/*
 * Runs the clone that a job begins with, and leaves the thread in user code again. *ret_tid: the new thread or process,
 * traced, not yet waited for, and about to stop before its first instruction; 0: the clone failed, and *ret is -errno.
 * Else *ret is its number in the target's pid namespace.
 */
struct lh_error *lh_remote_clone(struct lh_remote *remote, pid_t *ret_tid, int64_t *ret) LH_NODISCARD;

/*
 * From now on a stop signal does not keep the thread from the rest of its job: leakhunt sends the signal again at the
 * end. (If leakhunt is killed in between, the signal is lost.)
 */
void lh_remote_hold_signals(struct lh_remote *remote);
/* A stop signal that a helper met, to be sent to the thread at the end. */
void lh_remote_send_signal(struct lh_remote *remote, int signal);

/* A thread may still run in the slot, or return into it: leaves the slot in use. */
void lh_remote_keep_slot(struct lh_remote *remote);

/*
 * Restores the thread's registers and signal mask, and clears the slot. The thread stays stopped, as it was found; an
 * interrupted system call restarts when it is resumed. *ret_signal: a stop signal whose delivery stopped the thread, to
 * be delivered at detach (0: none). NULL is legal.
 */
struct lh_error *lh_remote_end(struct lh_remote *remote, int *ret_signal) LH_NODISCARD;

/* Forgets the thread, which the kernel releases where it is, as if leakhunt had died. For tests. */
void lh_remote_abandon(struct lh_remote *remote);

/*
 * Waits until a traced thread stops, without consuming the stop (freeze.c: a signal whose delivery stop was consumed is
 * lost with its tracer). *ret_stop is what waitpid would return. LH_ERROR_NO_PROCESS when the thread has ended, which
 * is consumed; LH_ERROR_UNSUPPORTED when it does neither in time.
 */
struct lh_error *lh_await_stop(pid_t tid, uint64_t patience_ns, int *ret_stop) LH_NODISCARD;

#define LH_STOP_PATIENCE_NS (2 * LH_NS_PER_S)

#endif
