/*
 * borrow_thread: any one thread of a running process runs system calls for us. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_BORROW_THREAD_H
#define LEAKHUNT_DUMP_BORROW_THREAD_H

#include "leakhunt/dump.h"
#include "remote_syscall.h"

/* What is to be done with a thread that is prepared for calls. */
typedef struct lh_error *lh_borrowed_work(struct lh_remote *remote, void *context);

/*
 * With a thread of `freeze`, in turn until one can be used (LH_ERROR_UNSUPPORTED: the next one may do).
 * `calls` as lh_remote_begin has them. The thread is as it was when this returns.
 */
struct lh_error *lh_borrow_frozen_thread(const struct lh_process *process, struct lh_freeze *freeze,
					 const struct lh_region_list *regions, const struct lh_remote_code *code,
					 const long *calls, lh_borrowed_work *work, void *context) LH_NODISCARD;

/*
 * The same with a process that runs: stops one thread for it, for about a millisecond. What that costs is
 * added to *cost, also on an error.
 */
struct lh_error *lh_borrow_thread(const struct lh_process *process, const struct lh_region_list *regions,
				  const long *calls, lh_borrowed_work *work, void *context,
				  struct lh_freeze_cost *cost) LH_NODISCARD;

#endif
