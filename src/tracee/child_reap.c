/*
 * child_reap: makes the target wait for a dead child that it does not know of, by an injected
 * wait4(__WALL|WNOHANG) in any one of its threads. It never waits for a child that is not ours.
 */
#include "child_reap.h"

#include "borrow_thread.h"
#include "leakhunt/fault_point.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { OOM_SCORE_ADJ_HIGHEST = 1000 };

/* Between a child's death and its state Z lies the release of its memory. */
#define DEATH_PATIENCE_NS (10 * LH_NS_PER_S)

struct wait_call {
	pid_t inner_pid;
	int64_t result;
};

static struct lh_error *wait_for_child(struct lh_remote *remote, void *context)
{
	struct wait_call *call = context;
	uint64_t pid = (uint64_t)call->inner_pid;
	LH_TRY(lh_remote_call(remote, SYS_wait4, (uint64_t[6]){pid, 0, __WALL | WNOHANG}, &call->result));
	lh_fault_point("child-waited-for");
	return NULL;
}

/* 0: it lives still. -EINTR and the like: a stop signal met the call. */
static bool is_to_be_repeated(int64_t result)
{
	return result == 0 || result == -EINTR || result < -500;
}

static struct lh_error *reap_patiently(const struct lh_process *process, pid_t inner_pid, struct lh_freeze_cost *cost)
{
	static const long calls[] = {SYS_wait4, SYS_rt_sigreturn, 0};
	static const struct timespec nap = {.tv_nsec = 5000000};
	struct wait_call call = {.inner_pid = inner_pid};
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &regions));
	uint64_t deadline_ns = lh_clock_monotonic_ns() + DEATH_PATIENCE_NS;
	for (;;) {
		LH_TRY(lh_borrow_thread(process, &regions, calls, wait_for_child, &call, cost));
		if (call.result == inner_pid || call.result == -ECHILD)
			return NULL;
		if (!is_to_be_repeated(call.result) || lh_clock_monotonic_ns() > deadline_ns)
			return lh_error_create(LH_ERROR_SYSTEM, "process %d cannot wait for its child %d (errno %d)",
					       (int)lh_process_pid(process), (int)inner_pid, (int)-call.result);
		nanosleep(&nap, NULL);
	}
}

/* The same process, whatever program it runs now; NULL with no error: it has ended. */
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

static bool has_ended(const struct lh_error *error)
{
	return error && lh_error_code(error) == LH_ERROR_NO_PROCESS;
}

struct lh_error *lh_child_reap(const struct lh_process *process, pid_t inner_pid, struct lh_freeze_cost *cost)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *parent = NULL;
	LH_TRY(open_anew(process, &parent));
	if (!parent)
		return NULL;
	struct lh_error *error = reap_patiently(parent, inner_pid, cost);
	if (!has_ended(error))
		return error;
	lh_error_destroy(error);
	return NULL;
}

bool lh_child_is_leftover(const struct lh_quiet_child *child)
{
	int status = child->exit_status;
	bool left_by_itself = WIFEXITED(status) && WEXITSTATUS(status) == LH_CHILD_EXIT_CODE;
	bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	return child->is_zombie && (left_by_itself || (was_killed && child->oom_score_adj == OOM_SCORE_ADJ_HIGHEST));
}

struct lh_error *lh_child_reap_leftovers(const struct lh_process *process, size_t *ret_count,
					 struct lh_freeze_cost *cost)
{
	struct lh_quiet_children children LH_CLEANUP(lh_quiet_children_deinit) = {0};
	size_t count = 0;
	LH_TRY(lh_quiet_children_read(process, &children));
	for (size_t i = 0; i < children.items.count; i++) {
		const struct lh_quiet_child *child = &children.items.items[i];
		if (!lh_child_is_leftover(child))
			continue;
		LH_TRY(lh_child_reap(process, child->inner_pid, cost));
		count++;
	}
	*ret_count = count;
	return NULL;
}
