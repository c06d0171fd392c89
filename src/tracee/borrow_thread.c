/*
 * borrow_thread: finds a thread that can run system calls for us, and gives it back as it was. Input: a
 * frozen or a running process, and what is to be done; output: that it was done once, or why no thread
 * could. It decides which thread; how a call is run safely is remote_syscall's business.
 */
#include "borrow_thread.h"

#include "freeze_thread.h"
#include "leakhunt/fault_point.h"

#include <stdlib.h>

/* One that can't be used (on a signal stack, say) is passed over, but not a thousand of them. */
enum { THREADS_MAX = 16 };

static struct lh_error *use(const struct lh_process *process, struct lh_freeze *freeze, pid_t tid,
			    const struct lh_region_list *regions, const struct lh_remote_code *code, const long *calls,
			    lh_borrowed_work *work, void *context)
{
	struct lh_remote *remote = NULL;
	LH_TRY(lh_remote_begin(process, tid, regions, code, calls, &remote));
	struct lh_error *error = work(remote, context);
	int signal;
	struct lh_error *end_error = lh_remote_end(remote, &signal);
	if (signal)
		lh_freeze_deliver(freeze, tid, signal);
	if (!error)
		return end_error;
	lh_error_destroy(end_error);
	return error;
}

struct lh_error *lh_borrow_frozen_thread(const struct lh_process *process, struct lh_freeze *freeze,
					 const struct lh_region_list *regions, const struct lh_remote_code *code,
					 const long *calls, lh_borrowed_work *work, void *context)
{
	struct lh_error *error = lh_error_create(LH_ERROR_UNSUPPORTED, "no thread of process %d can be used",
						 (int)lh_process_pid(process));
	size_t next = 0;
	for (int i = 0; i < THREADS_MAX; i++) {
		pid_t tid = lh_freeze_usable_thread(freeze, &next);
		if (!tid)
			break;
		lh_error_destroy(error);
		error = use(process, freeze, tid, regions, code, calls, work, context);
		if (!error || lh_error_code(error) != LH_ERROR_UNSUPPORTED)
			break;
	}
	return error;
}

/* Tries one thread. LH_ERROR_UNSUPPORTED when this one can't be used, and another may do. */
static struct lh_error *stop_and_use(const struct lh_process *process, pid_t tid, const struct lh_region_list *regions,
				     const struct lh_remote_code *code, const long *calls, lh_borrowed_work *work,
				     void *context, struct lh_freeze_cost *cost)
{
	struct lh_freeze *freeze = NULL;
	LH_TRY(lh_freeze_begin_thread(process, tid, &freeze));
	lh_fault_point("borrow-thread-stopped");
	struct lh_error *error = lh_borrow_frozen_thread(process, freeze, regions, code, calls, work, context);
	lh_freeze_cost_add(cost, lh_freeze_end(freeze));
	return error;
}

struct lh_error *lh_borrow_thread(const struct lh_process *process, const struct lh_region_list *regions,
				  const long *calls, lh_borrowed_work *work, void *context, struct lh_freeze_cost *cost)
{
	struct lh_remote_code code;
	struct lh_task_list tasks LH_CLEANUP(lh_task_list_deinit) = {0};
	LH_TRY(lh_remote_find_code(process, regions, &code));
	LH_TRY(lh_tasks_read(process, &tasks));
	struct lh_error *error = NULL;
	for (size_t i = 0; i < tasks.tasks.count && i < THREADS_MAX; i++) {
		lh_error_destroy(error);
		error = stop_and_use(process, tasks.tasks.items[i].tid, regions, &code, calls, work, context, cost);
		if (!error || lh_error_code(error) != LH_ERROR_UNSUPPORTED)
			break;
	}
	return error;
}
