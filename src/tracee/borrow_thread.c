/*
 * borrow_thread: finds a thread that can run a job for leakhunt, and restores it. Input: a frozen or a running process,
 * and a job. Output: the job was done once, or why no thread could do it. Decides which thread; remote_syscall decides
 * how a job runs safely.
 */
#include "borrow_thread.h"

#include "freeze_thread.h"
#include "leakhunt/fault_point.h"
#include "leakhunt/process.h"
#include "task_status.h"

#include <stdlib.h>

/* Threads that cannot be used are skipped, up to this many. */
enum { THREADS_MAX = 16 };

#define BRIEF_PATIENCE_NS (100 * LH_NS_PER_MS)

/* What is to be done, and with what. */
struct borrowing {
	const struct lh_vdso_slots *slots;
	uint64_t addr; /* of the slot */
	const struct lh_slot_job *job;
	lh_borrowed_work *work;
	void *context;
	bool is_begun; /* a thread was used: no other one is, whatever the result */
};

static struct lh_error *use_thread(struct borrowing *borrowing, struct lh_freeze *freeze, pid_t tid)
{
	struct lh_remote *remote = NULL;
	LH_TRY(lh_remote_begin(borrowing->slots, borrowing->addr, tid, borrowing->job, &remote));
	borrowing->is_begun = true;
	struct lh_error *error = borrowing->work(remote, borrowing->context);
	int signal;
	struct lh_error *end_error = lh_remote_end(remote, &signal);
	if (signal)
		lh_freeze_deliver(freeze, tid, signal);
	if (!error)
		return end_error;
	lh_error_destroy(end_error);
	return error;
}

static struct lh_error *no_thread(const struct lh_process *process)
{
	return lh_error_create(LH_ERROR_UNSUPPORTED, "no thread of process %d can be used",
			       (int)lh_process_pid(process));
}

static bool is_to_go_on(const struct borrowing *borrowing, const struct lh_error *error)
{
	return error && !borrowing->is_begun && lh_error_code(error) == LH_ERROR_UNSUPPORTED;
}

static struct lh_error *use_any(struct borrowing *borrowing, struct lh_freeze *freeze)
{
	struct lh_error *error = no_thread(lh_vdso_slots_process(borrowing->slots));
	size_t next = 0;
	for (int i = 0; i < THREADS_MAX && is_to_go_on(borrowing, error); i++) {
		pid_t tid = lh_freeze_usable_thread(freeze, &next);
		if (!tid)
			break;
		lh_error_destroy(error);
		error = use_thread(borrowing, freeze, tid);
	}
	return error;
}

struct lh_error *lh_borrow_frozen_thread(const struct lh_vdso_slots *slots, struct lh_freeze *freeze,
					 const struct lh_slot_job *job, lh_borrowed_work *work, void *context)
{
	struct borrowing borrowing = {.slots = slots, .job = job, .work = work, .context = context};
	LH_TRY(lh_vdso_slots_find_free(slots, freeze, &borrowing.addr));
	return use_any(&borrowing, freeze);
}

static struct lh_error *borrow_while_stopped(const struct lh_vdso_slots *slots, const struct lh_slot_job *job,
					     lh_borrowed_work *work, void *context, struct lh_freeze_cost *cost)
{
	struct lh_freeze *freeze = NULL;
	LH_TRY(lh_freeze_begin_brief(lh_vdso_slots_process(slots), BRIEF_PATIENCE_NS, &freeze));
	lh_fault_point("borrow-all-stopped");
	struct lh_error *error = lh_borrow_frozen_thread(slots, freeze, job, work, context);
	lh_freeze_cost_add(cost, lh_freeze_end(freeze));
	return error;
}

struct lh_error *lh_borrow_while_stopped(const struct lh_process *process, const struct lh_region_list *regions,
					 const struct lh_slot_job *job, lh_borrowed_work *work, void *context,
					 struct lh_freeze_cost *cost)
{
	LH_CLEANUP(lh_cleanup_vdso_slots) struct lh_vdso_slots *slots = NULL;
	LH_TRY(lh_vdso_slots_open(process, regions, &slots));
	return borrow_while_stopped(slots, job, work, context, cost);
}

static struct lh_error *stop_and_use(struct borrowing *borrowing, pid_t tid, struct lh_freeze_cost *cost)
{
	struct lh_freeze *freeze = NULL;
	LH_TRY(lh_freeze_begin_thread(lh_vdso_slots_process(borrowing->slots), tid, &freeze));
	lh_fault_point("borrow-thread-stopped");
	struct lh_error *error = use_any(borrowing, freeze);
	lh_freeze_cost_add(cost, lh_freeze_end(freeze));
	return error;
}

/*
 * Whether other threads can feel that this one alone is traced: a signal meant for it would wake them. See
 * is_released_last in freeze.c.
 */
static bool may_be_signalled(const struct lh_process *process, pid_t tid)
{
	return tid == lh_process_pid(process) || lh_task_has_children(process, tid);
}

static struct lh_error *stop_and_use_any(struct borrowing *borrowing, struct lh_freeze_cost *cost)
{
	const struct lh_process *process = lh_vdso_slots_process(borrowing->slots);
	struct lh_task_list tasks LH_CLEANUP(lh_task_list_deinit) = {0};
	LH_TRY(lh_tasks_read(process, &tasks));
	struct lh_error *error = no_thread(process);
	for (size_t i = 0; i < tasks.tasks.count && i < THREADS_MAX && is_to_go_on(borrowing, error); i++) {
		pid_t tid = tasks.tasks.items[i].tid;
		if (tasks.tasks.count > 1 && may_be_signalled(process, tid))
			continue;
		lh_error_destroy(error);
		error = stop_and_use(borrowing, tid, cost);
	}
	return error;
}

struct lh_error *lh_borrow_thread(const struct lh_process *process, const struct lh_region_list *regions,
				  const struct lh_slot_job *job, lh_borrowed_work *work, void *context,
				  struct lh_freeze_cost *cost)
{
	LH_CLEANUP(lh_cleanup_vdso_slots) struct lh_vdso_slots *slots = NULL;
	LH_TRY(lh_vdso_slots_open(process, regions, &slots));
	struct borrowing borrowing = {.slots = slots, .job = job, .work = work, .context = context};
	struct lh_error *error = lh_vdso_slots_find_free(slots, NULL, &borrowing.addr);
	if (!error)
		error = stop_and_use_any(&borrowing, cost);
	if (!is_to_go_on(&borrowing, error))
		return error;
	lh_error_destroy(error);
	return borrow_while_stopped(slots, job, work, context, cost);
}
