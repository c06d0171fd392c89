/*
 * borrow_thread: any one thread of a process runs a job for us. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_BORROW_THREAD_H
#define LEAKHUNT_TRACEE_BORROW_THREAD_H

#include "remote_syscall.h"

/* What is to be done with a thread that stands before the first call of its job. */
typedef struct lh_error *lh_borrowed_work(struct lh_remote *remote, void *context);

/*
 * With a thread of `freeze`, in turn until one can be used (LH_ERROR_UNSUPPORTED: the next one may do). The
 * thread is as it was when this returns.
 */
struct lh_error *lh_borrow_frozen_thread(const struct lh_vdso_slots *slots, struct lh_freeze *freeze,
					 const struct lh_slot_job *job, lh_borrowed_work *work,
					 void *context) LH_NODISCARD;

/*
 * The same with a process that runs: stops all of its threads for it. What that costs is added to *cost, also on
 * an error.
 */
struct lh_error *lh_borrow_while_stopped(const struct lh_process *process, const struct lh_region_list *regions,
					 const struct lh_slot_job *job, lh_borrowed_work *work, void *context,
					 struct lh_freeze_cost *cost) LH_NODISCARD;

/*
 * The same, but stops one thread, for less than a millisecond; all of them only when killed leakhunts have left no
 * slot free. For a job of which other threads see nothing.
 */
struct lh_error *lh_borrow_thread(const struct lh_process *process, const struct lh_region_list *regions,
				  const struct lh_slot_job *job, lh_borrowed_work *work, void *context,
				  struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
