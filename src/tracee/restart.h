/*
 * restart: system calls that a ptrace stop makes fail with EINTR although no signal was delivered.
 * Private to tracee.
 *
 * Most blocking calls return -ERESTART* inside the kernel, which restarts them after a stop. Some
 * return -EINTR at once when they are woken (signal(7), "Interruption of system calls ... by stop
 * signals"; measured on Linux 6.18: epoll_wait, epoll_pwait, semop, sigtimedwait, and socket calls
 * with a timeout). No signal having been delivered, the program must not see that: the call is begun
 * anew, with the time that is left where that can be had (timed_wait.h).
 */
#ifndef LEAKHUNT_TRACEE_RESTART_H
#define LEAKHUNT_TRACEE_RESTART_H

#include "leakhunt/tracee.h"

#include <sys/user.h>

/*
 * Whether the stopped thread `tid` is about to return from such a call with EINTR, and no signal with a handler is
 * pending. `caught` has bit N-1 set for each signal N with a handler.
 */
bool lh_restart_is_due(const struct lh_process *process, pid_t tid, const struct user_regs_struct *registers,
		       uint64_t caught);
/*
 * Whether the kernel would continue the stopped thread's call by restart_syscall(2) (nanosleep, poll and futex with a
 * timeout), and a seccomp filter would kill the thread for it: then the call must begin again.
 */
bool lh_restart_is_deadly(const struct lh_process *process, pid_t tid, const struct user_regs_struct *registers);
/* Whether a signal with a handler, not blocked, is pending for the stopped thread. */
bool lh_restart_signal_waits(pid_t tid, uint64_t caught);
/*
 * Takes back the error that the stop has left in a socket: recvmmsg(2) that was interrupted after some datagrams keeps
 * ERESTARTSYS (512) for the next call on that socket (net/socket.c, do_recvmmsg; measured on Linux 6.18). An error of
 * the socket's own from the microseconds before the stop is lost with it. `tid` is stopped.
 */
void lh_restart_clear_socket(pid_t pid, pid_t tid, const struct user_regs_struct *registers);
/* The registers with which the thread begins its call again. */
struct user_regs_struct lh_restart_rewound(const struct user_regs_struct *registers);
/* The signals with a handler (SigCgt, proc_pid_status(5)); all signals when it can't be read. */
uint64_t lh_restart_caught_signals(const struct lh_process *process);

#endif
