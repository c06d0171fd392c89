/*
 * borrow_thread: some thread of a process runs a job for leakhunt. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_BORROW_THREAD_H
#define LEAKHUNT_TRACEE_BORROW_THREAD_H

#include "remote_syscall.h"

/* The job, with a thread that is stopped before the first call of it. */
typedef struct lh_error *lh_borrowed_work(struct lh_remote *remote, void *context);

/*
 * Tries the threads of `freeze` in turn until one can be used (LH_ERROR_UNSUPPORTED: try the next). The thread is
 * restored when this returns.
 */
struct lh_error *lh_borrow_frozen_thread(const struct lh_vdso_slots *slots, struct lh_freeze *freeze,
					 const struct lh_slot_job *job, lh_borrowed_work *work,
					 void *context) LH_NODISCARD;

/* The same for a running process: stops all of its threads meanwhile. Adds the cost to *cost, also on an error. */
struct lh_error *lh_borrow_while_stopped(const struct lh_process *process, const struct lh_region_list *regions,
					 const struct lh_slot_job *job, lh_borrowed_work *work, void *context,
					 struct lh_freeze_cost *cost) LH_NODISCARD;

/*
 * The same, but stops one thread, for less than a millisecond: neither the main thread of several nor one that has
 * children. Stops all of them when there is no other, or when killed leakhunts have left no free slot. For jobs that
 * other threads do not notice.
 */
struct lh_error *lh_borrow_thread(const struct lh_process *process, const struct lh_region_list *regions,
				  const struct lh_slot_job *job, lh_borrowed_work *work, void *context,
				  struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
