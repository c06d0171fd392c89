/*
 * child_reap: ends a copy-on-write child: its parent, which does not know of it, waits for it by an injected
 * wait4(child, __WALL). It never waits for, nor kills, a child that is not ours.
 *
 * While we trace the child, its parent's wait(2) does not return it, dead or alive (kernel/exit.c
 * wait_consider_task). It becomes its parent's when we have waited for it: by then a thread of the parent is
 * inside that wait4 already, and all others stand still.
 */
#include "child_reap.h"

#include "borrow_thread.h"
#include "freeze_thread.h"
#include "leakhunt/fault_point.h"
#include "leakhunt/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

enum { OOM_SCORE_ADJ_HIGHEST = 1000 };

/* A child has died, but its state is not Z before its memory is released. */
#define DEATH_PATIENCE_NS (60 * LH_NS_PER_S)
#define REAP_PATIENCE_NS  (60 * LH_NS_PER_S)
/*
 * Of it, how long to try to stop all threads (one may be in vfork, or wait for a processor): while one runs, its own
 * wait may get the child.
 */
#define STOP_ALL_PATIENCE_NS (40 * LH_NS_PER_S)
/* Between two tries: an eighth of the time that has passed, within these bounds. */
enum { NAPS_PER_TIME = 8 };
#define NAP_MIN_NS (5 * LH_NS_PER_MS)
#define NAP_MAX_NS (200 * LH_NS_PER_MS)
/* The target's threads are stopped meanwhile. A wait for a zombie returns at once, unless another process traces it. */
#define WAIT_PATIENCE_NS (LH_NS_PER_S / 5)

static const struct timespec short_nap = {.tv_nsec = 200000};
static const struct timespec long_nap = {.tv_nsec = 5000000};

/* ---------------------------------------------------------------- by its parent */

struct reaping {
	pid_t traced; /* leakhunt must wait for it first; 0: nobody traces it */
	int64_t result;
};

#if defined(__x86_64__)

static struct lh_error *wait_by(struct lh_remote *remote, void *context)
{
	struct reaping *reaping = context;
	LH_TRY(lh_remote_enter_call(remote));
	LH_TRY(lh_remote_start_call(remote));
	lh_fault_point("child-awaited");
	if (reaping->traced)
		(void)waitpid(reaping->traced, NULL, __WALL | WNOHANG);
	lh_fault_point("child-handed-over");
	LH_TRY(lh_remote_finish_call(remote, WAIT_PATIENCE_NS, &reaping->result));
	reaping->traced = 0;
	lh_fault_point("child-waited-for");
	return NULL;
}

static struct lh_error *reap_once(const struct lh_process *process, const struct lh_slot_job *job, bool stops_all,
				  struct reaping *reaping, struct lh_freeze_cost *cost)
{
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &regions));
	if (stops_all)
		return lh_borrow_while_stopped(process, &regions, job, wait_by, reaping, cost);
	return lh_borrow_thread(process, &regions, job, wait_by, reaping, cost);
}

static bool is_settled(const struct lh_error *error, const struct reaping *reaping, pid_t inner_pid)
{
	if (error)
		return lh_error_code(error) != LH_ERROR_UNSUPPORTED;
	return reaping->result == inner_pid || reaping->result == -ECHILD;
}

/* Stops all threads; where that proves impossible, one thread. */
static struct lh_error *reap_patiently(const struct lh_process *process, pid_t inner_pid, pid_t traced,
				       struct lh_freeze_cost *cost)
{
	const struct lh_slot_job job = {.kind = LH_SLOT_REAP, .child = inner_pid};
	struct reaping reaping = {.traced = traced};
	const uint64_t begun_ns = lh_clock_monotonic_ns();
	for (uint64_t passed_ns = 0;; passed_ns = lh_clock_monotonic_ns() - begun_ns) {
		struct lh_error *error = reap_once(process, &job, passed_ns < STOP_ALL_PATIENCE_NS, &reaping, cost);
		if (is_settled(error, &reaping, inner_pid) || passed_ns > REAP_PATIENCE_NS) {
			if (error || is_settled(NULL, &reaping, inner_pid))
				return error;
			return lh_error_create(LH_ERROR_SYSTEM, "process %d cannot wait for its child %d (errno %d)",
					       (int)lh_process_pid(process), (int)inner_pid, (int)-reaping.result);
		}
		lh_error_destroy(error);
		uint64_t nap_ns = lh_min_u64(lh_max_u64(passed_ns / NAPS_PER_TIME, NAP_MIN_NS), NAP_MAX_NS);
		nanosleep(&(const struct timespec){.tv_nsec = (long)nap_ns}, NULL);
	}
}

#else

static struct lh_error *reap_patiently(const struct lh_process *process, pid_t inner_pid, pid_t traced,
				       struct lh_freeze_cost *cost)
{
	(void)inner_pid;
	(void)traced;
	(void)cost;
	return lh_injection_check(process, NULL);
}

#endif

/* The same process, whatever program it runs now. NULL without an error: it has ended. */
static struct lh_error *open_anew(const struct lh_process *process, struct lh_process **ret)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *anew = NULL;
	struct lh_error *error = lh_process_open(lh_process_pid(process), &anew);
	if (error && lh_error_code(error) == LH_ERROR_NO_PROCESS) {
		lh_error_destroy(error);
		return NULL;
	}
	LH_TRY(error);
	if (lh_process_identity(anew).start_ticks == lh_process_identity(process).start_ticks) {
		*ret = anew;
		anew = NULL;
	}
	return NULL;
}

/* `traced`: 0, or the child's pid in leakhunt's pid namespace. */
static struct lh_error *reap_child(const struct lh_process *process, pid_t inner_pid, pid_t traced,
				   struct lh_freeze_cost *cost)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *parent = NULL;
	LH_TRY(open_anew(process, &parent));
	struct lh_error *error = parent ? reap_patiently(parent, inner_pid, traced, cost) : NULL;
	bool has_ended = !parent || (error && lh_error_code(error) == LH_ERROR_NO_PROCESS);
	if (!has_ended)
		return error;
	lh_error_destroy(error);
	if (traced)
		(void)waitpid(traced, NULL, __WALL | WNOHANG);
	return NULL;
}

/* ---------------------------------------------------------------- one that we trace */

static bool is_dead(pid_t pid)
{
	siginfo_t info = {0};
	int result = waitid(P_PID, (id_t)pid, &info, WEXITED | __WALL | WNOHANG | WNOWAIT);
	return result < 0 || info.si_pid == pid;
}

/* Not consumed: the parent does not see the child before leakhunt has waited for it. */
static struct lh_error *kill_and_await(pid_t pid)
{
	uint64_t deadline_ns = lh_clock_monotonic_ns() + DEATH_PATIENCE_NS;
	kill(pid, SIGKILL);
	lh_fault_point("child-killed");
	while (!is_dead(pid)) {
		if (lh_clock_monotonic_ns() > deadline_ns)
			return lh_error_create(LH_ERROR_SYSTEM, "the child %d does not end", (int)pid);
		nanosleep(&short_nap, NULL);
	}
	lh_fault_point("child-dead");
	return NULL;
}

/* Its pid as its parent sees it, perhaps in another pid namespace; 0: it is no child any more. */
static struct lh_error *find_inner_pid(const struct lh_process *process, pid_t pid, pid_t *ret)
{
	struct lh_quiet_children children LH_CLEANUP(lh_quiet_children_deinit) = {0};
	LH_TRY(lh_quiet_children_read(process, &children));
	*ret = 0;
	for (size_t i = 0; i < children.items.count; i++) {
		if (children.items.items[i].pid == pid)
			*ret = children.items.items[i].inner_pid;
	}
	return NULL;
}

struct lh_error *lh_child_end(const struct lh_process *process, const struct lh_traced_child *child,
			      struct lh_freeze_cost *cost)
{
	pid_t inner_pid = child->inner_pid;
	LH_TRY(kill_and_await(child->pid));
	if (!inner_pid)
		LH_TRY(find_inner_pid(process, child->pid, &inner_pid));
	return reap_child(process, inner_pid, child->pid, cost);
}

struct lh_error *lh_child_take_over(pid_t pid)
{
	int stop;
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
		return lh_error_from_errno(errno, "cannot trace child %d", (int)pid);
	lh_fault_point("child-seized");
	(void)ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	return lh_await_stop(pid, LH_STOP_PATIENCE_NS, &stop);
}

/* ---------------------------------------------------------------- leftovers */

/* A traced child belongs to a living leakhunt or guard: its parent would wait for it in vain. */
static bool is_leftover_zombie(const struct lh_quiet_child *child)
{
	int status = child->exit_status;
	bool left_by_itself = WIFEXITED(status) && WEXITSTATUS(status) == LH_CHILD_EXIT_CODE;
	bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	return child->is_zombie && !child->tracer_tid &&
	       (left_by_itself || (was_killed && child->oom_score_adj == OOM_SCORE_ADJ_HIGHEST));
}

#if defined(__x86_64__)

/* Where a sleeping process is: the last word of /proc/PID/syscall (proc_pid_syscall(5)). 0: it runs. */
static uint64_t program_counter(const struct lh_process *process)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, "syscall", &text);
	const char *last = !error && text.data ? strrchr(text.data, ' ') : NULL;
	return last ? strtoull(last, NULL, 16) : 0;
}

/* Only a child of leakhunt's sleeps in the padding of its vDSO. */
static bool sleeps_in_slot(pid_t pid)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_CLEANUP(lh_cleanup_vdso_slots) struct lh_vdso_slots *slots = NULL;
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_error *error = lh_process_open(pid, &process);
	uint64_t pc = error ? 0 : program_counter(process);
	if (!error && pc)
		error = lh_regions_read(process, LH_REGIONS_MAPS, &regions);
	if (!error && pc)
		error = lh_vdso_slots_open(process, &regions, &slots);
	lh_error_destroy(error);
	return slots && lh_vdso_slots_hold(slots, pc);
}

static bool is_sleeping_leftover(const struct lh_quiet_child *child)
{
	if (child->is_zombie || !sleeps_in_slot(child->pid))
		return false;
	/* An error: it belongs to somebody else, such as another running leakhunt. */
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_child_take_over(child->pid);
	return !error;
}

#else

static bool is_sleeping_leftover(const struct lh_quiet_child *child)
{
	(void)child;
	return false;
}

#endif

struct lh_error *lh_child_end_leftovers(const struct lh_process *process, size_t *ret_count,
					struct lh_freeze_cost *cost)
{
	struct lh_quiet_children children LH_CLEANUP(lh_quiet_children_deinit) = {0};
	*ret_count = 0;
	LH_TRY(lh_quiet_children_read(process, &children));
	for (size_t i = 0; i < children.items.count; i++) {
		const struct lh_quiet_child *child = &children.items.items[i];
		const struct lh_traced_child traced = {child->pid, child->inner_pid};
		bool is_ours = child->tracer_tid == gettid(); /* taken over by a try that failed */
		if (is_leftover_zombie(child))
			LH_TRY(reap_child(process, child->inner_pid, 0, cost));
		else if (is_ours || is_sleeping_leftover(child))
			LH_TRY(lh_child_end(process, &traced, cost));
		else
			continue;
		++*ret_count;
	}
	return NULL;
}

struct lh_error *lh_child_end_abandoned(const struct lh_process *process, const struct lh_traced_child *child,
					struct lh_freeze_cost *cost)
{
	uint64_t deadline_ns = lh_clock_monotonic_ns() + DEATH_PATIENCE_NS;
	for (;;) {
		size_t count;
		pid_t inner_pid;
		LH_TRY(lh_child_end_leftovers(process, &count, cost));
		LH_TRY(find_inner_pid(process, child->pid, &inner_pid));
		if (!inner_pid)
			return NULL;
		if (lh_clock_monotonic_ns() > deadline_ns)
			return lh_error_create(LH_ERROR_SYSTEM, "child %d is still there", (int)child->pid);
		nanosleep(&long_nap, NULL);
	}
}
