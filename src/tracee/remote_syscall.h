/*
 * remote_syscall: lets one stopped thread of the target run a system call for us, and puts
 * everything back. The one place where leakhunt makes a target execute anything. x86_64 only;
 * elsewhere finding the code says LH_ERROR_UNSUPPORTED. Private to dump.
 *
 * If leakhunt is killed in between, the thread finds its own way back: its stack holds, below the
 * red zone, a complete signal frame of its original state, and the injected `syscall; ret` returns
 * into the C library's rt_sigreturn stub, which restores it.
 */
#ifndef LEAKHUNT_DUMP_REMOTE_SYSCALL_H
#define LEAKHUNT_DUMP_REMOTE_SYSCALL_H

#include "leakhunt/proc.h"

/* Code that the target already has, and that an injected call runs through. */
struct lh_remote_code {
	uint64_t syscall_ret; /* "syscall; ret" */
	uint64_t restorer;    /* "mov $15, %eax; syscall": rt_sigreturn, as every libc's signal restorer */
};

/* Finds them in executable file mappings and the vdso. LH_ERROR_UNSUPPORTED when there are none. */
struct lh_error *lh_remote_find_code(const struct lh_process *process, const struct lh_region_list *regions,
				     struct lh_remote_code *ret) LH_NODISCARD;

/* A thread prepared to run calls. */
struct lh_remote;

/*
 * `tid` must be in a PTRACE_EVENT_STOP of this tracer. LH_ERROR_UNSUPPORTED, with the reason, and
 * nothing changed, when this thread must not be used: inside a restartable sequence, on a stack
 * that is not its own (signal stack, coroutine), with a shadow stack, in 32-bit code, or under a
 * seccomp filter that would kill it for one of `calls` (0-terminated) if we died midway.
 */
struct lh_error *lh_remote_begin(const struct lh_process *process, pid_t tid, const struct lh_region_list *regions,
				 const struct lh_remote_code *code, const long *calls,
				 struct lh_remote **ret) LH_NODISCARD;

/*
 * Runs one call with signals blocked. `*ret` is what the kernel returned, -errno included.
 * LH_ERROR_NO_PROCESS when the thread died.
 */
struct lh_error *lh_remote_call(struct lh_remote *remote, long number, const uint64_t arguments[6],
				int64_t *ret) LH_NODISCARD;

/* A process that the thread has forked for us, in a ptrace stop of ours. */
struct lh_remote_child {
	pid_t pid;
	pid_t inner_pid; /* as its parent knows it */
};

/*
 * Makes the thread fork (`calls` named clone and exit_group): a child whose end is told to nobody
 * (exit signal 0), that shares the table of open files, and is stopped before its first instruction. It is
 * killed when we die; let go, or not yet stopped, it does nothing but exit_group(`exit_code`). It is to be
 * killed, waited for, and then waited for by its parent (wait4 with __WALL). LH_ERROR_UNSUPPORTED when
 * the thread may not fork, or another one should. `*ret`, zero before, is set even on an error as far as
 * it is known: the pid of a child that was made, and killed.
 */
struct lh_error *lh_remote_clone(struct lh_remote *remote, int exit_code, struct lh_remote_child *ret) LH_NODISCARD;

/* Puts the thread's own stack bytes into the memory of its copy, in place of those of the ways back. */
struct lh_error *lh_remote_restore_copy(const struct lh_remote *remote, int memory_fd) LH_NODISCARD;

/*
 * Restores registers, signal mask and stack bytes, and leaves the thread in a PTRACE_EVENT_STOP, as
 * it was found; an interrupted system call restarts when it is resumed. A stop signal that arrived
 * meanwhile is handed back in `*ret_signal` (0: none), to be passed on at detach. NULL is legal.
 */
struct lh_error *lh_remote_end(struct lh_remote *remote, int *ret_signal) LH_NODISCARD;

/* Forgets the thread without restoring it: for one that died or was already let go. NULL is legal. */
void lh_remote_abandon(struct lh_remote *remote);

#endif
