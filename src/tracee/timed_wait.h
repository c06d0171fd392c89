/*
 * timed_wait: how much of its time limit a thread that sleeps in epoll_wait(2) has left, so that a call begun again
 * after a stop waits for the rest only. Private to tracee.
 *
 * The kernel forgets when such a wait began. But a thread that sleeps has not run since: se.exec_start of
 * /proc/PID/task/TID/sched (kernel/sched/debug.c, proc_sched_show_task) is the instant at which it last began to run
 * or was last accounted, on the clock of its processor. It is read before the stop, and holds for the call in which the
 * thread is found after it if the thread slept once in between, for the stop itself (nr_voluntary_switches). It may be
 * older than the wait, which would end early then: by up to .4 ms in 14 of 128 waits of 25 ms, beside four busy loops.
 */
#ifndef LEAKHUNT_TRACEE_TIMED_WAIT_H
#define LEAKHUNT_TRACEE_TIMED_WAIT_H

#include "leakhunt/tracee.h"

#include <sys/user.h>

/* A thread that slept in a call with a time limit, before it was stopped. */
struct lh_timed_wait {
	pid_t tid;
	int syscall_fd;     /* of /proc/PID/task/TID/syscall; owned */
	int schedstat_fd;   /* likewise, schedstat */
	uint64_t begun_ns;  /* CLOCK_MONOTONIC: when it fell asleep, or little later */
	uint64_t run_count; /* how often it had been given a processor then */
	uint64_t seen_ns;   /* when it was last seen asleep in this wait; 0: never since it was read */
};

/* Zero-initialized is empty. */
struct lh_timed_waits {
	LH_VEC(struct lh_timed_wait) items; /* sorted by tid, once lh_timed_waits_read returned */
};

/*
 * Appends the waits of those threads, before any of them is stopped. What cannot be read is left out: such a wait
 * begins anew. At most 128, since each is looked at again in the pause. For an instant the calling thread runs on the
 * processors on which these threads ran last.
 */
void lh_timed_waits_read(const struct lh_process *process, const struct lh_task_list *tasks,
			 struct lh_timed_waits *ret);
/* The same of one thread, whatever it is in. `waits` must be empty. */
void lh_timed_waits_read_one(const struct lh_process *process, pid_t tid, struct lh_timed_waits *ret);
void lh_timed_waits_deinit(struct lh_timed_waits *waits);

/* To be called right before `tid` is asked to stop: sees whether the wait that was read still lasts. */
void lh_timed_waits_look(struct lh_timed_waits *waits, pid_t tid);

/*
 * The end (CLOCK_MONOTONIC, ns; up to a tick late) of the wait that the stop of `tid` has interrupted; 0: not known,
 * without limit, of less than 20 ms, or so near that it may have been reached, and the thread be in the next wait.
 * `asked_ns` is an instant after the request to stop. `registers` are the thread's, read after the stop: they say which
 * call it is in, and its limit.
 */
uint64_t lh_timed_wait_end(const struct lh_timed_waits *waits, const struct lh_process *process, pid_t tid,
			   uint64_t asked_ns, const struct user_regs_struct *registers);

/*
 * Gives a call that is about to begin again (lh_restart_rewound) the time until `end_ns`, rounded up to
 * milliseconds, as its fourth argument. epoll_pwait2, whose limit lies in memory, becomes epoll_pwait.
 */
void lh_timed_wait_shorten(uint64_t end_ns, struct user_regs_struct *rewound);

#endif
