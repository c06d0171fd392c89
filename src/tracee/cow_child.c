/*
 * cow_child: forks a frozen target by an injected clone, without CLONE_VM. Input: a freeze; output: a
 * process that holds its memory as it was, stopped before its first instruction, until it is killed and
 * reaped. At every step it dies when leakhunt dies: by PTRACE_O_EXITKILL, and before that is set by
 * its registers, which lead to exit_group; a guard then has the target reap it (child_guard).
 */
#include "cow_child.h"

#include "borrow_thread.h"
#include "child_guard.h"
#include "child_reap.h"
#include "leakhunt/fault_point.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct lh_cow_child {
	const struct lh_process *target;
	struct lh_remote_code code;
	struct lh_child_guard *guard;
	struct lh_remote_child made; /* pid 0: not, or not any more */
	struct lh_process *process;  /* of the child */
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
	LH_TRY(lh_remote_find_code(process, regions, &child->code));
	LH_TRY(lh_child_guard_start(process, &child->guard));
	*ret = child;
	child = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- making it */

static struct lh_error *clone_by(struct lh_remote *remote, void *context)
{
	struct lh_cow_child *child = context;
	LH_TRY(lh_remote_clone(remote, LH_CHILD_EXIT_CODE, &child->made));
	LH_TRY(lh_process_open(child->made.pid, &child->process));
	LH_TRY(lh_process_open_file(child->process, "mem", O_RDWR, &child->memory_fd));
	return lh_remote_restore_copy(remote, child->memory_fd);
}

struct lh_error *lh_cow_child_make(struct lh_cow_child *child, struct lh_freeze *freeze,
				   const struct lh_region_list *regions)
{
	static const long calls[] = {SYS_clone, SYS_exit_group, SYS_wait4, SYS_rt_sigreturn, 0};
	lh_child_guard_announce(child->guard);
	lh_fault_point("child-announced");
	LH_TRY(lh_borrow_frozen_thread(child->target, freeze, regions, &child->code, calls, clone_by, child));
	lh_fault_point("child-thread-restored");
	return NULL;
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

static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	lh_fault_point("child-killed");
	/* A tracer is told first; only then is the zombie its parent's. */
	int status;
	pid_t waited;
	do
		waited = waitpid(pid, &status, __WALL);
	while ((waited < 0 && errno == EINTR) || (waited == pid && WIFSTOPPED(status)));
	lh_fault_point("child-dead");
}

static struct lh_error *end_made(struct lh_cow_child *child, struct lh_freeze_cost *cost)
{
	if (!child->made.pid)
		return NULL;
	kill_and_wait(child->made.pid);
	if (child->made.inner_pid)
		return lh_child_reap(child->target, child->made.inner_pid, cost);
	size_t count;
	return lh_child_reap_leftovers(child->target, &count, cost);
}

struct lh_error *lh_cow_child_end(struct lh_cow_child *child, struct lh_freeze_cost *cost)
{
	if (!child)
		return NULL;
	if (child->memory_fd >= 0)
		close(child->memory_fd);
	struct lh_error *error = end_made(child, cost);
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
