/*
 * uffd_helper: has the target make a userfaultfd. Input: a process. Output: a descriptor of leakhunt's. Takes no number
 * in the target's table of files, not even for an instant, where the kernel gives access to a thread's own table
 * (PIDFD_THREAD, Linux 6.9).
 */
#include "leakhunt/tracee.h"

#include "borrow_thread.h"
#include "leakhunt/fault_point.h"
#include "task_status.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

#include <sys/user.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21) /* linux/ptrace.h, since 4.3 */
#endif

/* The calls of a helper and, in a receipt, those of a child after them. */
#define CALLS_OF_HELPER "clone, close_range, userfaultfd, exit"
#define CALLS_HERE      "userfaultfd, close"
#define CALLS_OF_CHILD  "clone, wait4"

static const struct lh_injected clone_refused = {"clone, refused", "clone, refused; " CALLS_OF_CHILD "; undone"};
static const struct lh_injected userfaultfd_refused = {"userfaultfd, refused",
						       "userfaultfd, refused; " CALLS_OF_CHILD "; undone"};
static const struct lh_injected by_helper_calls = {CALLS_OF_HELPER "; undone",
						   CALLS_OF_HELPER ", " CALLS_OF_CHILD "; undone"};
static const struct lh_injected here_calls = {CALLS_HERE "; undone", CALLS_HERE ", " CALLS_OF_CHILD "; undone"};

struct making {
	struct lh_injected injected;
	int fd;
};

/* Copies descriptor `number` out of the table of a process or, with PIDFD_THREAD, of a thread. */
static struct lh_error *take_over_uffd(pid_t tid, unsigned flags, int64_t number, int *ret_fd)
{
	int fd = lh_task_copy_descriptor(tid, flags, (int)number);
	if (fd < 0)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "cannot take over the userfaultfd (errno %d)", errno);
	*ret_fd = fd;
	return NULL;
}

static struct lh_error *refused_error(const char *what, int64_t result)
{
	return lh_error_create(LH_ERROR_UNSUPPORTED, "the target may not %s (errno %d)", what, (int)-result);
}

/* ---------------------------------------------------------------- by a helper */

/* The helper's next stop. A stop signal is for the whole process: T gets it. */
static struct lh_error *await_helper(struct lh_remote *remote, pid_t tid, int *ret_event)
{
	int stop;
	LH_TRY(lh_await_stop(tid, LH_STOP_PATIENCE_NS, &stop));
	*ret_event = stop >> 8;
	if (!*ret_event)
		lh_remote_send_signal(remote, stop & 0xff);
	return NULL;
}

/*
 * Lets the helper run until it is about to end: its table of files still exists (kernel/exit.c, do_exit). *ret: its
 * last result.
 */
static struct lh_error *run_helper(struct lh_remote *remote, pid_t tid, int *ret)
{
	struct user_regs_struct registers;
	int event;
	LH_TRY(await_helper(remote, tid, &event));
	lh_fault_point("helper-stopped");
	if (ptrace(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACEEXIT | PTRACE_O_SUSPEND_SECCOMP) < 0 &&
	    ptrace(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACEEXIT) < 0)
		return lh_error_from_errno(errno, "cannot set ptrace options of the helper thread %d", (int)tid);
	do {
		if (ptrace(PTRACE_CONT, tid, 0, 0) < 0)
			return lh_error_from_errno(errno, "cannot resume the helper thread %d", (int)tid);
		LH_TRY(await_helper(remote, tid, &event));
	} while (event != PTRACE_EVENT_EXIT);
	lh_fault_point("helper-has-run");
	if (ptrace(PTRACE_GETREGS, tid, 0, &registers) < 0)
		return lh_error_from_errno(errno, "cannot read the registers of the helper thread %d", (int)tid);
	*ret = (int)registers.rdi;
	return NULL;
}

static struct lh_error *use_helper(struct lh_remote *remote, pid_t tid, struct making *making)
{
	int result = -1;
	LH_TRY(run_helper(remote, tid, &result));
	if (result < 0)
		return refused_error("make a userfaultfd in a table of files of its own", result);
	LH_TRY(take_over_uffd(tid, PIDFD_THREAD, result, &making->fd));
	lh_fault_point("helper-userfaultfd-taken");
	return NULL;
}

/* The helper also uses the slot, until it has ended. */
static struct lh_error *await_helper_end(struct lh_remote *remote, pid_t tid)
{
	struct lh_error *error = NULL;
	while (!error) {
		int event;
		if (ptrace(PTRACE_CONT, tid, 0, 0) < 0 && errno != ESRCH)
			break;
		error = await_helper(remote, tid, &event);
	}
	lh_fault_point("helper-ended");
	if (error && lh_error_code(error) == LH_ERROR_NO_PROCESS) {
		lh_error_destroy(error);
		return NULL;
	}
	lh_remote_keep_slot(remote);
	return error ? error : lh_error_from_errno(errno, "cannot let the helper thread %d go", (int)tid);
}

static struct lh_error *make_by_helper(struct lh_remote *remote, void *context)
{
	struct making *making = context;
	pid_t tid;
	int64_t result = 0;
	making->injected = clone_refused;
	struct lh_error *error = lh_remote_clone(remote, &tid, &result);
	if (!error && !tid)
		return refused_error("start a thread", result);
	if (!tid)
		return error;
	making->injected = by_helper_calls;
	if (!error)
		error = use_helper(remote, tid, making);
	struct lh_error *end_error = await_helper_end(remote, tid);
	if (!error)
		return end_error;
	lh_error_destroy(end_error);
	return error;
}

/* ---------------------------------------------------------------- in a thread of the target */

/* Both calls in one job, while all threads are stopped. */
static struct lh_error *make_here(struct lh_remote *remote, void *context)
{
	struct making *making = context;
	int64_t number, closed;
	making->injected = userfaultfd_refused;
	LH_TRY(lh_remote_call(remote, &number));
	lh_fault_point("tracker-userfaultfd-made");
	if (number < 0)
		return refused_error("make a userfaultfd", number);
	making->injected = here_calls;
	lh_remote_hold_signals(remote);
	struct lh_error *error = take_over_uffd(lh_remote_process(remote), 0, number, &making->fd);
	struct lh_error *close_error = lh_remote_call(remote, &closed);
	if (!error)
		return close_error;
	lh_error_destroy(close_error);
	return error;
}

/* ---------------------------------------------------------------- which of both */

static bool kernel_reaches_threads(void)
{
	LH_CLEANUP(lh_cleanup_close) int fd = (int)syscall(SYS_pidfd_open, gettid(), PIDFD_THREAD);
	return fd >= 0;
}

struct lh_error *lh_userfault_open(const struct lh_process *process, const struct lh_region_list *regions,
				   struct lh_freeze_cost *cost, struct lh_injected *ret_injected, int *ret_fd)
{
	static const struct lh_slot_job by_helper = {.kind = LH_SLOT_USERFAULT_HELPER};
	static const struct lh_slot_job here = {.kind = LH_SLOT_USERFAULT};
	struct making making = {.fd = -1};
	struct lh_error *error = kernel_reaches_threads()
					 ? lh_borrow_thread(process, regions, &by_helper, make_by_helper, &making, cost)
					 : lh_borrow_while_stopped(process, regions, &here, make_here, &making, cost);
	*ret_injected = making.injected;
	if (error)
		lh_cleanup_close(&making.fd);
	else
		*ret_fd = making.fd;
	return error;
}

struct lh_error *lh_injection_check(const struct lh_process *process, const struct lh_region_list *regions)
{
	LH_CLEANUP(lh_cleanup_vdso_slots) struct lh_vdso_slots *slots = NULL;
	return lh_vdso_slots_open(process, regions, &slots);
}

#else

struct lh_error *lh_userfault_open(const struct lh_process *process, const struct lh_region_list *regions,
				   struct lh_freeze_cost *cost, struct lh_injected *ret_injected, int *ret_fd)
{
	(void)cost;
	(void)ret_fd;
	*ret_injected = (struct lh_injected){0};
	return lh_injection_check(process, regions);
}

struct lh_error *lh_injection_check(const struct lh_process *process, const struct lh_region_list *regions)
{
	struct lh_vdso_slots *slots;
	return lh_vdso_slots_open(process, regions, &slots);
}

#endif
