/*
 * cow_child: forks a frozen target by an injected clone without CLONE_VM. Input: a freeze. Output: a process with a
 * copy of the target's memory, stopped before its first instruction, until it is killed and reaped. While it is traced,
 * the target's wait(2) never returns it. As soon as the target runs again, a guard traces the child instead of leakhunt
 * (child_guard). If leakhunt dies before that, the child is released, alive, and sleeps (slot_code).
 */
#include "leakhunt/tracee.h"

#include "borrow_thread.h"
#include "child_guard.h"
#include "child_reap.h"
#include "leakhunt/fault_point.h"
#include "leakhunt/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct lh_cow_child {
	const struct lh_process *target;
	struct lh_vdso_slots *slots; /* until it is made */
	struct lh_child_guard *guard;
	struct lh_traced_child made; /* pid 0: not, or not any more */
	bool is_with_guard;
	struct lh_process *process; /* of the child */
	int memory_fd;
};

struct lh_error *lh_cow_child_prepare(const struct lh_process *process, const struct lh_region_list *regions,
				      struct lh_cow_child **ret)
{
	LH_CLEANUP(lh_cleanup_cow_child) struct lh_cow_child *child = calloc(1, sizeof(*child));
	if (!child)
		return lh_error_no_memory();
	child->target = process;
	child->memory_fd = -1;
	LH_TRY(lh_child_guard_start(process, &child->guard));
	LH_TRY(lh_vdso_slots_open(process, regions, &child->slots));
	*ret = child;
	child = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- making it */

static struct lh_error *take_hold(struct lh_cow_child *child)
{
	int stop;
	LH_TRY(lh_await_stop(child->made.pid, LH_STOP_PATIENCE_NS, &stop));
	lh_fault_point("child-stopped");
	/* Also a mark by which a killed child is recognized (child_reap). */
	lh_process_offer_to_oom_killer(child->made.pid);
	lh_fault_point("child-offered");
	LH_TRY(lh_process_open(child->made.pid, &child->process));
	return lh_process_open_file(child->process, "mem", O_RDONLY, &child->memory_fd);
}

static struct lh_error *clone_by(struct lh_remote *remote, void *context)
{
	struct lh_cow_child *child = context;
	int64_t result = 0;
	struct lh_error *error = lh_remote_clone(remote, &child->made.pid, &result);
	lh_fault_point("child-made");
	if (!error && !child->made.pid)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "the target may not fork (errno %d)", (int)-result);
	child->made.inner_pid = result > 0 ? (pid_t)result : 0;
	return error ? error : take_hold(child);
}

struct lh_error *lh_cow_child_make(struct lh_cow_child *child, struct lh_freeze *freeze)
{
	static const struct lh_slot_job job = {.kind = LH_SLOT_CHILD, .exit_code = LH_CHILD_EXIT_CODE};
	lh_child_guard_announce(child->guard);
	lh_fault_point("child-announced");
	LH_TRY(lh_borrow_frozen_thread(child->slots, freeze, &job, clone_by, child));
	lh_fault_point("child-thread-restored");
	lh_vdso_slots_close(child->slots);
	child->slots = NULL;
	return NULL;
}

void lh_cow_child_hand_over(struct lh_cow_child *child)
{
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_child_guard_hold(child->guard, &child->made);
	child->is_with_guard = !error;
	if (error) /* if this fails, too, the end of the dump finds the child among the leftovers */
		lh_error_destroy(lh_child_take_over(child->made.pid));
}

/* ---------------------------------------------------------------- reading it */

const struct lh_process *lh_cow_child_process(const struct lh_cow_child *child)
{
	return child->process;
}

size_t lh_cow_child_read(const struct lh_cow_child *child, uint64_t addr, void *ret, size_t bytes)
{
	size_t done = 0;
	while (done < bytes) {
		ssize_t count = pread(child->memory_fd, (char *)ret + done, bytes - done, (off_t)(addr + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			break;
		done += (size_t)count;
	}
	return done;
}

struct lh_error *lh_cow_child_check(const struct lh_cow_child *child)
{
	struct lh_error *error = lh_process_check(child->process);
	if (!error)
		return NULL;
	lh_error_destroy(error);
	return lh_error_hint(lh_error_create(LH_ERROR_NO_MEMORY,
					     "the copy-on-write child of process %d was killed while it was read",
					     (int)lh_process_pid(child->target)),
			     "memory may have run short: see the kernel's log, and use another --mode");
}

/* ---------------------------------------------------------------- its end */

static struct lh_error *end_made(struct lh_cow_child *child, struct lh_freeze_cost *cost)
{
	if (!child->is_with_guard)
		lh_cow_child_hand_over(child);
	if (!child->is_with_guard)
		return lh_child_end(child->target, &child->made, cost);
	struct lh_error *error = lh_child_guard_end_child(child->guard, cost);
	if (!error || lh_error_code(error) != LH_ERROR_NO_PROCESS)
		return error;
	lh_error_destroy(error);
	return lh_child_end_abandoned(child->target, &child->made, cost);
}

struct lh_error *lh_cow_child_end(struct lh_cow_child *child, struct lh_freeze_cost *cost)
{
	if (!child)
		return NULL;
	if (child->memory_fd >= 0)
		close(child->memory_fd);
	lh_vdso_slots_close(child->slots);
	struct lh_error *error = child->made.pid ? end_made(child, cost) : NULL;
	lh_child_guard_end(child->guard, !error);
	lh_process_close(child->process);
	free(child);
	return error;
}

void lh_cleanup_cow_child(struct lh_cow_child **child)
{
	struct lh_freeze_cost cost = {0};
	lh_error_destroy(lh_cow_child_end(*child, &cost));
}
