/*
 * remote_syscall: makes one stopped thread run the code of a slot, and undoes it. Input: a thread in a
 * PTRACE_EVENT_STOP. Output: the results of its calls. Only this file, and the mending of interrupted calls (freeze.c),
 * set registers of a target. The order of the steps keeps the target unharmed.
 */
#include "remote_syscall.h"

#if defined(__x86_64__)

#include "leakhunt/fault_point.h"
#include "leakhunt/process.h"
#include "leakhunt/process_memory.h"
#include "restart.h"
#include "task_status.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21) /* linux/ptrace.h, since 4.3 */
#endif

enum {
	USER_CODE_64 = 0x33, /* __USER_CS: 64-bit code segment */
	FLAG_TRAP = 1 << 8,
	SIGNAL_MASK_BYTES = 8,
	SYSCALL_STOP = SIGTRAP | 0x80,
	KERNEL_ERESTARTSYS = 512, /* include/linux/errno.h: the lowest of those that only tracers see */
};

/* Most stops arrive within this time: poll until then, and yield the CPU in case the thread waits for it. */
#define STOP_SOON_NS (100 * (uint64_t)1000)

/* A fork copies page tables: 10 to 55 ms per GiB (Linux 6.18). */
#define CLONE_PATIENCE_NS (600 * LH_NS_PER_S)

struct lh_remote {
	const struct lh_vdso_slots *slots;
	uint64_t addr; /* of the slot */
	pid_t tid;
	struct lh_slot_code code;
	struct user_regs_struct original;
	struct user_regs_struct registers; /* set last */
	uint64_t signal_mask;
	int stop_signal;
	bool is_running;       /* resumed, and not seen in a stop since */
	bool is_in_call;       /* at the entry of a system call that has not run */
	bool is_before_signal; /* in the stop in which stop_signal is delivered */
	bool goes_on;          /* lh_remote_hold_signals */
	bool keeps_slot;
};

/* ---------------------------------------------------------------- a stopped thread */

static struct lh_error *get_registers(pid_t tid, struct user_regs_struct *ret)
{
	struct iovec vector = {ret, sizeof(*ret)};
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &vector) < 0)
		return lh_error_from_errno(errno, "cannot read the registers of thread %d", (int)tid);
	if (vector.iov_len != sizeof(*ret) || ret->cs != USER_CODE_64)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d runs 32-bit code", (int)tid);
	return NULL;
}

static struct lh_error *set_registers(pid_t tid, struct user_regs_struct *registers)
{
	struct iovec vector = {registers, sizeof(*registers)};
	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &vector) < 0)
		return lh_error_from_errno(errno, "cannot set the registers of thread %d", (int)tid);
	return NULL;
}

static struct lh_error *set_signal_mask(pid_t tid, uint64_t mask)
{
	if (ptrace(PTRACE_SETSIGMASK, tid, SIGNAL_MASK_BYTES, &mask) < 0)
		return lh_error_from_errno(errno, "cannot set the signal mask of thread %d", (int)tid);
	return NULL;
}

static struct lh_error *set_options(pid_t tid, long options)
{
	if (ptrace(PTRACE_SETOPTIONS, tid, 0, options) < 0)
		return lh_error_from_errno(errno, "cannot set ptrace options of thread %d", (int)tid);
	return NULL;
}

struct lh_error *lh_await_stop(pid_t tid, uint64_t patience_ns, int *ret_stop)
{
	static const struct timespec nap = {.tv_nsec = 20000};
	uint64_t begun_ns = lh_clock_monotonic_ns();
	for (;;) {
		siginfo_t info = {0};
		int result = waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | __WALL | WNOHANG | WNOWAIT);
		if (result == 0 && info.si_pid == tid && (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED)) {
			*ret_stop = info.si_status;
			return NULL;
		}
		if ((result < 0 && errno != EINTR) || (result == 0 && info.si_pid == tid)) {
			(void)waitpid(tid, NULL, __WALL | WNOHANG);
			return lh_error_create(LH_ERROR_NO_PROCESS, "thread %d ended under an injected call", (int)tid);
		}
		uint64_t waited_ns = lh_clock_monotonic_ns() - begun_ns;
		if (waited_ns > patience_ns)
			return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d does not run: is it frozen?", (int)tid);
		if (waited_ns > STOP_SOON_NS)
			nanosleep(&nap, NULL);
		else
			sched_yield();
	}
}

/* ---------------------------------------------------------------- may it be used? */

/*
 * A thread in user code may be inside a restartable sequence, which the kernel forgets when it sees another rip
 * (kernel/rseq.c). A thread inside a system call cannot be. A pointer to a finished sequence stays until the kernel
 * clears it.
 */
static struct lh_error *check_rseq(const struct lh_process *process, pid_t tid,
				   const struct user_regs_struct *registers)
{
	/* struct rseq_cs, linux/rseq.h */
	struct {
		uint32_t version, flags;
		uint64_t start_ip, post_commit_offset, abort_ip;
	} sequence;
	const uint64_t rseq_cs_offset = 8; /* struct rseq */
	struct __ptrace_rseq_configuration configuration = {0};
	uint64_t addr = 0;
	long size = ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(configuration), &configuration);
	if ((long)registers->orig_rax >= 0 || size < 0 || !configuration.rseq_abi_pointer)
		return NULL; /* before Linux 5.13, or not registered */
	if (lh_process_read(process, configuration.rseq_abi_pointer + rseq_cs_offset, &addr, sizeof(addr)) ==
		    sizeof(addr) &&
	    !addr)
		return NULL;
	if (addr && lh_process_read(process, addr, &sequence, sizeof(sequence)) == sizeof(sequence) &&
	    registers->rip - sequence.start_ip >= sequence.post_commit_offset)
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is in a restartable sequence", (int)tid);
}

static struct lh_error *check_seccomp(pid_t tid, const struct lh_task_status *status, enum lh_slot_job_kind kind)
{
	size_t count;
	const struct lh_filtered_call *calls = lh_slot_calls(kind, &count);
	if (status->seccomp == '1')
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is in strict seccomp mode", (int)tid);
	for (size_t i = 0; status->seccomp != '0' && i < count; i++) {
		enum lh_seccomp_answer answer = lh_seccomp_ask(tid, &calls[i]);
		if (answer == LH_SECCOMP_KILLS)
			return lh_error_create(LH_ERROR_UNSUPPORTED, "seccomp would kill thread %d for system call %d",
					       (int)tid, calls[i].number);
		if (answer == LH_SECCOMP_HIDDEN)
			return lh_error_create(LH_ERROR_UNSUPPORTED,
					       "thread %d has a seccomp filter, and only CAP_SYS_ADMIN may read it",
					       (int)tid);
	}
	return NULL;
}

/*
 * sigsuspend, ppoll and the like wait with another mask, which ends when leakhunt sets one (PTRACE_SETSIGMASK clears
 * TIF_RESTORE_SIGMASK). The restarted call sets it again. A signal that only this mask blocks would arrive in between.
 */
static struct lh_error *check_mask(const struct lh_remote *remote, const struct lh_task_status *status)
{
	if (!(status->blocked & ~remote->signal_mask & status->caught))
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d waits with a signal mask of its own", (int)remote->tid);
}

/* All checks that need no change of the target. */
static struct lh_error *examine_thread(struct lh_remote *remote, const struct lh_slot_job *job)
{
	const struct lh_process *process = lh_vdso_slots_process(remote->slots);
	struct lh_task_status status;
	LH_TRY(get_registers(remote->tid, &remote->original));
	if (remote->original.eflags & FLAG_TRAP)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is single-stepped", (int)remote->tid);
	if (lh_vdso_slots_hold(remote->slots, remote->original.rip))
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d returns from a killed leakhunt",
				       (int)remote->tid);
	LH_TRY(lh_task_status_read(process, remote->tid, &status));
	LH_TRY(check_rseq(process, remote->tid, &remote->original));
	LH_TRY(check_seccomp(remote->tid, &status, job->kind));
	if (ptrace(PTRACE_GETSIGMASK, remote->tid, SIGNAL_MASK_BYTES, &remote->signal_mask) < 0)
		return lh_error_from_errno(errno, "cannot read the signal mask of thread %d", (int)remote->tid);
	LH_TRY(check_mask(remote, &status));
	const struct lh_slot_record record = {
		.inner_tid = status.inner_tid,
		.signal_mask = remote->signal_mask,
		.caught = status.caught,
	};
	lh_slot_encode(&remote->original, &record, job, &remote->code);
	return NULL;
}

/* ---------------------------------------------------------------- into the slot */

/* The thread's registers, except that it continues at `offset` of its slot, with no call to restart. */
static struct lh_error *send_to(struct lh_remote *remote, size_t offset)
{
	remote->registers = remote->original;
	remote->registers.rip = remote->addr + offset;
	remote->registers.orig_rax = (unsigned long)-1;
	remote->registers.rax = 0;
	return set_registers(remote->tid, &remote->registers);
}

/*
 * First the way back, then the registers that lead to it, then the signal mask, which the way back restores, and last
 * the calls: a helper inherits the thread's mask.
 */
static struct lh_error *enter_call(struct lh_remote *remote)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
	if (ptrace(PTRACE_SETOPTIONS, remote->tid, 0, options | PTRACE_O_SUSPEND_SECCOMP) < 0)
		LH_TRY(set_options(remote->tid, options));
	lh_fault_point("remote-options-set");
	LH_TRY(lh_vdso_slot_write(remote->slots, remote->tid, remote->addr, remote->code.bytes));
	lh_fault_point("remote-slot-written");
	LH_TRY(send_to(remote, remote->code.back_offset));
	lh_fault_point("remote-registers-set");
	LH_TRY(set_signal_mask(remote->tid, UINT64_MAX));
	lh_fault_point("remote-signals-blocked");
	LH_TRY(send_to(remote, remote->code.call_offset));
	lh_fault_point("remote-call-set");
	return NULL;
}

static void cleanup_remote(struct lh_remote **remote)
{
	lh_remote_abandon(*remote);
}

struct lh_error *lh_remote_begin(const struct lh_vdso_slots *slots, uint64_t addr, pid_t tid,
				 const struct lh_slot_job *job, struct lh_remote **ret)
{
	LH_CLEANUP(cleanup_remote) struct lh_remote *remote = calloc(1, sizeof(*remote));
	if (!remote)
		return lh_error_no_memory();
	*remote = (struct lh_remote){.slots = slots, .addr = addr, .tid = tid};
	LH_TRY(examine_thread(remote, job));
	struct lh_error *error = enter_call(remote);
	*ret = error ? NULL : remote;
	struct lh_remote *entered = remote;
	remote = NULL;
	int signal;
	if (error)
		lh_error_destroy(lh_remote_end(entered, &signal));
	return error;
}

void lh_remote_abandon(struct lh_remote *remote)
{
	free(remote);
}

pid_t lh_remote_process(const struct lh_remote *remote)
{
	return lh_process_pid(lh_vdso_slots_process(remote->slots));
}

void lh_remote_hold_signals(struct lh_remote *remote)
{
	remote->goes_on = true;
}

void lh_remote_send_signal(struct lh_remote *remote, int signal)
{
	if (!remote->is_before_signal)
		remote->stop_signal = signal;
}

void lh_remote_keep_slot(struct lh_remote *remote)
{
	remote->keeps_slot = true;
}

/* ---------------------------------------------------------------- running calls */

static struct lh_error *resume_thread(struct lh_remote *remote, int request)
{
	if (ptrace(request, remote->tid, 0, 0) < 0)
		return lh_error_from_errno(errno, "cannot resume thread %d", (int)remote->tid);
	remote->is_running = true;
	return NULL;
}

static struct lh_error *await_stop(struct lh_remote *remote, uint64_t patience_ns, int *ret_stop)
{
	LH_TRY(lh_await_stop(remote->tid, patience_ns, ret_stop));
	remote->is_running = false;
	return NULL;
}

/*
 * All signals are blocked except SIGSTOP. The thread is left in this stop, from which it can be restored; the signal is
 * delivered when it is released.
 */
static struct lh_error *meet_signal(struct lh_remote *remote, int signal)
{
	remote->stop_signal = signal;
	if (remote->goes_on)
		return NULL;
	remote->is_before_signal = true;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "signal %d met an injected call in thread %d", signal,
			       (int)remote->tid);
}

/* Waits for a stop at a system call or, with `event`, at this event. *ret_is_event: which it was. */
static struct lh_error *await_call_stop(struct lh_remote *remote, int event, uint64_t patience_ns, bool *ret_is_event)
{
	for (;;) {
		int stop = 0;
		LH_TRY(await_stop(remote, patience_ns, &stop));
		*ret_is_event = event && stop >> 8 == event;
		if (*ret_is_event || stop == SYSCALL_STOP)
			return NULL;
		if (!(stop >> 8))
			LH_TRY(meet_signal(remote, stop & 0xff));
		LH_TRY(resume_thread(remote, PTRACE_SYSCALL)); /* a group stop continues when the thread is released */
	}
}

struct lh_error *lh_remote_enter_call(struct lh_remote *remote)
{
	bool is_event;
	LH_TRY(resume_thread(remote, PTRACE_SYSCALL));
	LH_TRY(await_call_stop(remote, 0, LH_STOP_PATIENCE_NS, &is_event));
	remote->is_in_call = true;
	lh_fault_point("remote-call-entered");
	return NULL;
}

struct lh_error *lh_remote_start_call(struct lh_remote *remote)
{
	LH_TRY(resume_thread(remote, PTRACE_SYSCALL));
	remote->is_in_call = false;
	return NULL;
}

struct lh_error *lh_remote_finish_call(struct lh_remote *remote, uint64_t patience_ns, int64_t *ret)
{
	struct user_regs_struct registers;
	bool is_event;
	LH_TRY(await_call_stop(remote, 0, patience_ns, &is_event));
	lh_fault_point("remote-call-left");
	LH_TRY(get_registers(remote->tid, &registers));
	*ret = (int64_t)registers.rax;
	return NULL;
}

/* The kernel restarts a call by itself when a stop or a freezer interrupted it. */
static bool is_restarted(int64_t result)
{
	return result <= -KERNEL_ERESTARTSYS && result >= -KERNEL_ERESTARTSYS - 4;
}

struct lh_error *lh_remote_call(struct lh_remote *remote, int64_t *ret)
{
	do {
		LH_TRY(lh_remote_enter_call(remote));
		LH_TRY(lh_remote_start_call(remote));
		LH_TRY(lh_remote_finish_call(remote, LH_STOP_PATIENCE_NS, ret));
	} while (is_restarted(*ret));
	return NULL;
}

/*
 * From a stop within a system call to one in user code: the kernel handles the interrupt before any user instruction
 * and any pending signal (kernel/signal.c, get_signal).
 */
static struct lh_error *interrupt_in_user_code(struct lh_remote *remote)
{
	int stop = 0;
	if (ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0)
		return lh_error_from_errno(errno, "cannot interrupt thread %d", (int)remote->tid);
	do {
		LH_TRY(resume_thread(remote, PTRACE_CONT));
		LH_TRY(await_stop(remote, LH_STOP_PATIENCE_NS, &stop));
		if (!(stop >> 8) && stop != SYSCALL_STOP)
			LH_TRY(meet_signal(remote, stop & 0xff));
	} while (stop >> 8 != PTRACE_EVENT_STOP);
	return NULL;
}

struct lh_error *lh_remote_clone(struct lh_remote *remote, pid_t *ret_tid, int64_t *ret)
{
	bool is_event;
	*ret_tid = 0;
	do {
		LH_TRY(lh_remote_enter_call(remote));
		LH_TRY(lh_remote_start_call(remote));
		LH_TRY(await_call_stop(remote, PTRACE_EVENT_CLONE, CLONE_PATIENCE_NS, &is_event));
		if (!is_event)
			LH_TRY(lh_remote_finish_call(remote, LH_STOP_PATIENCE_NS, ret));
	} while (!is_event && is_restarted(*ret));
	if (!is_event)
		return NULL;
	unsigned long tid;
	if (ptrace(PTRACE_GETEVENTMSG, remote->tid, 0, &tid) < 0)
		return lh_error_from_errno(errno, "cannot learn what thread %d has started", (int)remote->tid);
	*ret_tid = (pid_t)tid;
	lh_fault_point("remote-cloned");
	LH_TRY(interrupt_in_user_code(remote));
	lh_fault_point("remote-interrupted");
	struct user_regs_struct registers;
	LH_TRY(get_registers(remote->tid, &registers));
	*ret = (int64_t)registers.rax;
	return NULL;
}

/* ---------------------------------------------------------------- and back */

/* Cancels a call that was entered: without a number the kernel runs none (arch/x86/entry/common.c). */
static struct lh_error *cancel_call(struct lh_remote *remote)
{
	remote->is_in_call = false;
	return send_to(remote, remote->code.back_offset);
}

/*
 * A system call is restarted only on the way out of a stop in get_signal, not out of a syscall-exit-stop. First the
 * mask, then the registers: until then the way back is ahead, and restores both.
 */
static struct lh_error *put_back_registers(struct lh_remote *remote)
{
	static const uint8_t zeros[LH_SLOT_BYTES];
	int stop = 0;
	if (remote->is_in_call)
		LH_TRY(cancel_call(remote));
	if (remote->is_running && ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0) /* in a call that does not return */
		return lh_error_from_errno(errno, "cannot interrupt thread %d", (int)remote->tid);
	LH_TRY(await_stop(remote, LH_STOP_PATIENCE_NS, &stop));
	if (!remote->is_before_signal && stop >> 8 != PTRACE_EVENT_STOP) {
		struct lh_error *error = interrupt_in_user_code(remote);
		if (error && !remote->is_before_signal)
			return error;
		lh_error_destroy(error);
	}
	LH_TRY(set_signal_mask(remote->tid, remote->signal_mask));
	lh_fault_point("remote-signals-restored");
	LH_TRY(set_registers(remote->tid, &remote->original));
	lh_fault_point("remote-registers-restored");
	LH_TRY(set_options(remote->tid, 0));
	if (!remote->keeps_slot)
		LH_TRY(lh_vdso_slot_write(remote->slots, remote->tid, remote->addr, zeros));
	lh_fault_point("remote-slot-cleared");
	return NULL;
}

struct lh_error *lh_remote_end(struct lh_remote *remote, int *ret_signal)
{
	*ret_signal = 0;
	if (!remote)
		return NULL;
	struct lh_error *error = put_back_registers(remote);
	if (remote->is_before_signal)
		*ret_signal = remote->stop_signal;
	else if (remote->stop_signal)
		(void)syscall(SYS_tgkill, lh_remote_process(remote), remote->tid, remote->stop_signal);
	lh_remote_abandon(remote);
	return error;
}

#endif
