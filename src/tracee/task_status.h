/*
 * task_status: what is known of one thread without stopping it: what its status file says that matters before it is
 * borrowed, and copies of its descriptors. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_TASK_STATUS_H
#define LEAKHUNT_TRACEE_TASK_STATUS_H

#include "leakhunt/base.h"

#include <fcntl.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* linux/pidfd.h, since 6.9 */
#endif

struct lh_process;

/* proc_pid_status(5). Bit N-1 of a set is signal N. */
struct lh_task_status {
	pid_t tracer_tid; /* TracerPid; 0: none that this /proc shows */
	pid_t inner_tid;  /* NSpid, the last: as the thread's own pid namespace numbers it */
	char seccomp;     /* Seccomp: '0' none, '1' strict, '2' filters */
	uint64_t blocked; /* SigBlk: in force now, also for the length of one call (sigsuspend, ppoll) */
	uint64_t caught;  /* SigCgt: of the whole process */
};

struct lh_error *lh_task_status_read(const struct lh_process *process, pid_t tid,
				     struct lh_task_status *ret) LH_NODISCARD;

/* Whether the thread has seccomp filters, as far as /proc tells. */
bool lh_task_is_filtered(const struct lh_process *process, pid_t tid);

/* Whether it has forked children that live (proc_pid_children(5)); so, too, when the kernel doesn't tell. */
bool lh_task_has_children(const struct lh_process *process, pid_t tid);

/*
 * A copy of descriptor `number` in the table of a process or, with PIDFD_THREAD, of a thread (pidfd_getfd(2)). The
 * caller closes it. -1, and errno: refused.
 */
int lh_task_copy_descriptor(pid_t tid, unsigned flags, int number);

#endif
