/*
 * restart: recognizes a system call that only leakhunt's stop has interrupted, and rewinds it. Looks at registers and
 * pending signals of a stopped thread. Changes nothing itself, but for the error that the stop has left in a socket.
 */
#include "restart.h"

#include "leakhunt/process.h"
#include "leakhunt/process_memory.h"
#include "seccomp_filter.h"
#include "task_status.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* Calls that return EINTR only before they have done anything, so that repeating them is harmless. */
static bool call_is_repeatable(uint64_t number)
{
	static const uint16_t calls[] = {
		SYS_read,           SYS_write,        SYS_readv,      SYS_writev,          SYS_epoll_wait,
		SYS_epoll_pwait,    SYS_semop,        SYS_semtimedop, SYS_rt_sigtimedwait, SYS_recvfrom,
		SYS_recvmsg,        SYS_recvmmsg,     SYS_accept,     SYS_accept4,         SYS_connect,
		SYS_sendto,         SYS_sendmsg,      SYS_sendmmsg,   SYS_io_getevents,    SYS_io_pgetevents,
		SYS_io_uring_enter, SYS_epoll_pwait2,
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(calls); i++) {
		if (number == calls[i])
			return true;
	}
	return false;
}

/* The two bytes of `syscall` (Intel SDM vol. 2); `int $0x80` numbers its calls otherwise. */
static bool is_after_syscall(const struct lh_process *process, uint64_t pc)
{
	static const uint8_t syscall_code[2] = {0x0f, 0x05};
	uint8_t code[2];
	return lh_process_read(process, pc - sizeof(code), code, sizeof(code)) == sizeof(code) &&
	       memcmp(code, syscall_code, sizeof(code)) == 0;
}

bool lh_restart_is_due(const struct lh_process *process, pid_t tid, const struct user_regs_struct *registers,
		       uint64_t caught)
{
	return (int64_t)registers->rax == -EINTR && call_is_repeatable(registers->orig_rax) &&
	       is_after_syscall(process, registers->rip) && !lh_restart_signal_waits(tid, caught);
}

/* Unreadable filters (without CAP_SYS_ADMIN) count as deadly: only then does it matter whether there are any. */
bool lh_restart_is_deadly(const struct lh_process *process, pid_t tid, const struct user_regs_struct *registers)
{
	enum { KERNEL_ERESTART_RESTARTBLOCK = 516 }; /* include/linux/errno.h */
	static const struct lh_filtered_call restart = {SYS_restart_syscall, {0}};
	return (int64_t)registers->rax == -KERNEL_ERESTART_RESTARTBLOCK && (int64_t)registers->orig_rax >= 0 &&
	       lh_seccomp_kills(tid, &restart) && lh_task_is_filtered(process, tid);
}

void lh_restart_clear_socket(pid_t pid, pid_t tid, const struct user_regs_struct *registers)
{
	int64_t received = (int64_t)registers->rax;
	if (registers->orig_rax != SYS_recvmmsg || received <= 0 || received >= (uint32_t)registers->rdx)
		return;
	int error, number = (int)registers->rdi;
	socklen_t bytes = sizeof(error);
	/* A thread may have a table of its own. */
	LH_CLEANUP(lh_cleanup_close) int fd = lh_task_copy_descriptor(tid, PIDFD_THREAD, number);
	if (fd < 0)
		fd = lh_task_copy_descriptor(pid, 0, number);
	if (fd >= 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes); /* reading it clears it (socket(7)) */
}

struct user_regs_struct lh_restart_rewound(const struct user_regs_struct *registers)
{
	struct user_regs_struct rewound = *registers;
	rewound.rax = registers->orig_rax;
	rewound.rip -= 2;
	rewound.orig_rax = (uint64_t)-1;
	return rewound;
}

#else

bool lh_restart_is_due(const struct lh_process *process, pid_t tid, const struct user_regs_struct *registers,
		       uint64_t caught)
{
	(void)process;
	(void)tid;
	(void)registers;
	(void)caught;
	return false;
}

bool lh_restart_is_deadly(const struct lh_process *process, pid_t tid, const struct user_regs_struct *registers)
{
	(void)process;
	(void)tid;
	(void)registers;
	return false;
}

void lh_restart_clear_socket(pid_t pid, pid_t tid, const struct user_regs_struct *registers)
{
	(void)pid;
	(void)tid;
	(void)registers;
}

struct user_regs_struct lh_restart_rewound(const struct user_regs_struct *registers)
{
	return *registers;
}

#endif

/* The pending signals of a thread and of its process (PTRACE_PEEKSIGINFO, ptrace(2)) as bits. */
static uint64_t pending_signals(pid_t tid)
{
	enum { PEEK_COUNT = 16 };
	uint64_t pending = 0;
	for (int shared = 0; shared <= 1; shared++) {
		siginfo_t infos[PEEK_COUNT];
		struct __ptrace_peeksiginfo_args args = {
			.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
			.nr = PEEK_COUNT,
		};
		for (;;) {
			long count = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos);
			for (long i = 0; i < count; i++) {
				if (infos[i].si_signo >= 1 && infos[i].si_signo <= 64)
					pending |= UINT64_C(1) << (infos[i].si_signo - 1);
			}
			if (count < PEEK_COUNT)
				break;
			args.off += (uint64_t)count;
		}
	}
	return pending;
}

bool lh_restart_signal_waits(pid_t tid, uint64_t caught)
{
	uint64_t blocked = 0;
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(blocked), &blocked) < 0)
		return true;
	return (pending_signals(tid) & ~blocked & caught) != 0;
}

uint64_t lh_restart_caught_signals(const struct lh_process *process)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, "status", &text);
	/* "SigCgt:\t0000000180004002\n" */
	const char *line = !error && text.data ? strstr(text.data, "\nSigCgt:") : NULL;
	return line ? strtoull(line + strlen("\nSigCgt:"), NULL, 16) : UINT64_MAX;
}
