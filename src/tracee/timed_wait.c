/*
 * timed_wait: finds out before a stop since when threads sleep in epoll_wait, and after it what they have left.
 * Reads /proc, and changes nothing.
 */
#include "timed_wait.h"

#include "leakhunt/process.h"
#include "leakhunt/process_memory.h"
#include "leakhunt/tasks.h"
#include "task_status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

enum { WAITS_MAX = 128 };
/* A wait with less to go begins anew, and ends that much later: its registers stay as they are. */
#define LATE_AT_MOST_NS (20 * LH_NS_PER_MS)
/* From a look at a sleeping thread to the request to stop: within it none is woken, returns and waits again. */
#define LOOK_AT_MOST_NS (20 * (uint64_t)1000)
/* By how much the end of a wait is known: timers fire up to 50 us later (timerslack of prctl(2)). */
#define END_DOUBT_NS (100 * (uint64_t)1000)
/* How much older than the wait exec_start may be: a tick at 250 Hz, ten times what was seen. Waits end as much later.
 */
#define CLOCK_AGE_MAX_NS (4 * LH_NS_PER_MS)

static bool is_epoll_wait(uint64_t number)
{
	return number == SYS_epoll_wait || number == SYS_epoll_pwait || number == SYS_epoll_pwait2;
}

/* `limit` is the fourth argument: milliseconds, below 0 for ever, or where a timespec lies. */
static bool has_limit(uint64_t number, uint64_t limit)
{
	return number == SYS_epoll_pwait2 ? limit != 0 : (int32_t)limit > 0;
}

/* ---------------------------------------------------------------- before the stop */

/* Of a sched file, in ns on the clock of the thread's processor: "se.exec_start   :   47825302.661371" (ms). */
static bool read_exec_start(int sched_fd, uint64_t *ret)
{
	char text[4096];
	uint64_t milliseconds, rest;
	ssize_t count = pread(sched_fd, text, sizeof(text) - 1, 0);
	text[count > 0 ? count : 0] = '\0';
	const char *line = strstr(text, "\nse.exec_start");
	const char *colon = line ? strchr(line, ':') : NULL;
	if (!colon || sscanf(colon + 1, "%" SCNu64 ".%6" SCNu64, &milliseconds, &rest) != 2)
		return false;
	*ret = milliseconds * LH_NS_PER_MS + rest;
	return true;
}

/* Of a schedstat file; 0: not known (the kernel may count nothing). */
static uint64_t read_run_count(int schedstat_fd)
{
	char text[96];
	uint64_t run_count;
	ssize_t count = pread(schedstat_fd, text, sizeof(text) - 1, 0);
	text[count > 0 ? count : 0] = '\0';
	return sscanf(text, "%*u %*u %" SCNu64, &run_count) == 1 ? run_count : 0;
}

/* "running" is said of a thread that runs or has been woken, too (proc_pid_syscall, fs/proc/base.c). */
static bool is_asleep(int syscall_fd)
{
	char first;
	return pread(syscall_fd, &first, 1, 0) == 1 && first >= '0' && first <= '9';
}

/* What lies between CLOCK_MONOTONIC and the clock of each processor (rq_clock_task), as far as it was needed. */
struct processor_clocks {
	cpu_set_t known;
	uint64_t ahead_ns[CPU_SETSIZE]; /* CLOCK_MONOTONIC minus the processor's, modulo 2^64 */
};

/*
 * A thread that has just been woken on a processor has that processor's time as its exec_start. CLOCK_MONOTONIC is
 * read after it: a delay in between makes waits look shorter, never longer.
 */
static bool learn_clock(struct processor_clocks *clocks, size_t processor)
{
	static const struct timespec nap = {.tv_nsec = 1};
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_self_open_thread_file("sched", &fd);
	uint64_t exec_start_ns;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	if (error || sched_setaffinity(0, sizeof(one), &one) < 0)
		return false;
	nanosleep(&nap, NULL);
	if (!read_exec_start(fd, &exec_start_ns))
		return false;
	clocks->ahead_ns[processor] = lh_clock_monotonic_ns() - exec_start_ns;
	CPU_SET(processor, &clocks->known);
	return true;
}

/* The processor on which the thread ran last: field 39 of stat (proc_pid_stat(5)); CPU_SETSIZE: not known. */
static size_t last_processor(const struct lh_process *process, pid_t tid)
{
	enum { STATE_FIELD = 3, PROCESSOR_FIELD = 39 };
	char name[64];
	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, name, &text);
	const char *at = !error && text.data ? strrchr(text.data, ')') : NULL;
	for (int field = STATE_FIELD - 1; at && field < PROCESSOR_FIELD; field++)
		at = strchr(at + 1, ' ');
	size_t processor = at ? strtoul(at, NULL, 10) : CPU_SETSIZE;
	return lh_min_u64(processor, CPU_SETSIZE);
}

/* -1: it can't be opened. */
static int open_thread_file(const struct lh_process *process, pid_t tid, const char *file)
{
	char name[64];
	int fd = -1;
	snprintf(name, sizeof(name), "task/%d/%s", (int)tid, file);
	lh_error_destroy(lh_process_open_file(process, name, O_RDONLY | O_CLOEXEC, &fd));
	return fd;
}

/* A thread that slept between two equal counts has slept since then: all that was read behind that belongs together. */
static void read_wait(const struct lh_process *process, pid_t tid, struct processor_clocks *clocks,
		      struct lh_timed_waits *waits)
{
	LH_CLEANUP(lh_cleanup_close) int sched_fd = open_thread_file(process, tid, "sched");
	LH_CLEANUP(lh_cleanup_close) int syscall_fd = open_thread_file(process, tid, "syscall");
	LH_CLEANUP(lh_cleanup_close) int schedstat_fd = open_thread_file(process, tid, "schedstat");
	uint64_t run_count = read_run_count(schedstat_fd), exec_start_ns;
	if (!run_count || !is_asleep(syscall_fd))
		return;
	size_t processor = last_processor(process, tid);
	if (processor == CPU_SETSIZE || !read_exec_start(sched_fd, &exec_start_ns) ||
	    read_run_count(schedstat_fd) != run_count)
		return;
	if (!CPU_ISSET(processor, &clocks->known) && !learn_clock(clocks, processor))
		return;
	struct lh_timed_wait wait = {
		.tid = tid,
		.syscall_fd = syscall_fd,
		.schedstat_fd = schedstat_fd,
		.begun_ns = exec_start_ns + clocks->ahead_ns[processor],
		.run_count = run_count,
	};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_vec_push(&waits->items, wait);
	if (!error)
		syscall_fd = schedstat_fd = -1;
}

static int compare_waits(const void *a, const void *b)
{
	const struct lh_timed_wait *left = a, *right = b;
	return left->tid < right->tid ? -1 : left->tid > right->tid;
}

void lh_timed_waits_read(const struct lh_process *process, const struct lh_task_list *tasks, struct lh_timed_waits *ret)
{
	struct processor_clocks clocks;
	cpu_set_t allowed;
	CPU_ZERO(&clocks.known);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	for (size_t i = 0; i < tasks->tasks.count && ret->items.count < WAITS_MAX; i++) {
		const struct lh_task *task = &tasks->tasks.items[i];
		uint64_t number = (uint64_t)task->system_call;
		if (is_epoll_wait(number) && has_limit(number, task->arguments[3]))
			read_wait(process, task->tid, &clocks, ret);
	}
	(void)sched_setaffinity(0, sizeof(allowed), &allowed);
	lh_vec_sort(&ret->items, compare_waits);
}

void lh_timed_waits_read_one(const struct lh_process *process, pid_t tid, struct lh_timed_waits *ret)
{
	struct lh_task task = {.tid = tid, .system_call = SYS_epoll_wait, .arguments = {[3] = 1}};
	struct lh_task_list tasks = {.tasks = {.items = &task, .count = 1}};
	lh_timed_waits_read(process, &tasks, ret);
}

void lh_timed_waits_deinit(struct lh_timed_waits *waits)
{
	for (size_t i = 0; i < waits->items.count; i++) {
		close(waits->items.items[i].syscall_fd);
		close(waits->items.items[i].schedstat_fd);
	}
	lh_vec_deinit(&waits->items);
}

/* NULL: not known. */
static struct lh_timed_wait *find_wait(const struct lh_timed_waits *waits, pid_t tid)
{
	struct lh_timed_wait key = {.tid = tid};
	if (!waits->items.count)
		return NULL;
	return bsearch(&key, waits->items.items, waits->items.count, sizeof(key), compare_waits);
}

void lh_timed_waits_look(struct lh_timed_waits *waits, pid_t tid)
{
	struct lh_timed_wait *wait = find_wait(waits, tid);
	if (!wait)
		return;
	uint64_t now_ns = lh_clock_monotonic_ns();
	bool is_same = is_asleep(wait->syscall_fd) && read_run_count(wait->schedstat_fd) == wait->run_count;
	wait->seen_ns = is_same ? now_ns : 0;
}

/* ---------------------------------------------------------------- after the stop */

/* UINT64_MAX: without limit, or not known. */
static uint64_t limit_ns(const struct lh_process *process, const struct user_regs_struct *registers)
{
	struct timespec limit;
	if (!has_limit(registers->orig_rax, registers->r10))
		return UINT64_MAX;
	if (registers->orig_rax != SYS_epoll_pwait2)
		return (registers->r10 & INT32_MAX) * LH_NS_PER_MS;
	if (lh_process_read(process, registers->r10, &limit, sizeof(limit)) != sizeof(limit))
		return UINT64_MAX;
	if (limit.tv_sec < 0 || limit.tv_sec > INT32_MAX)
		return UINT64_MAX;
	return (uint64_t)limit.tv_sec * LH_NS_PER_S + (uint64_t)limit.tv_nsec;
}

/* Whether the thread slept in that wait when it was asked to stop, and has run for the stop alone. */
static bool was_asked_asleep(const struct lh_timed_wait *wait, uint64_t asked_ns)
{
	return wait->seen_ns && asked_ns - wait->seen_ns <= LOOK_AT_MOST_NS &&
	       read_run_count(wait->schedstat_fd) == wait->run_count + 1;
}

uint64_t lh_timed_wait_end(const struct lh_timed_waits *waits, const struct lh_process *process, pid_t tid,
			   uint64_t asked_ns, const struct user_regs_struct *registers)
{
	const struct lh_timed_wait *wait = find_wait(waits, tid);
	if (!wait || !is_epoll_wait(registers->orig_rax))
		return 0;
	/* A filter may allow epoll_pwait2 alone. */
	if (registers->orig_rax == SYS_epoll_pwait2 && lh_task_is_filtered(process, tid))
		return 0;
	uint64_t limit = limit_ns(process, registers);
	if (limit == UINT64_MAX || limit < LATE_AT_MOST_NS || !was_asked_asleep(wait, asked_ns))
		return 0;
	uint64_t end_ns = wait->begun_ns + limit;
	return end_ns > asked_ns + END_DOUBT_NS ? end_ns + CLOCK_AGE_MAX_NS : 0;
}

void lh_timed_wait_shorten(uint64_t end_ns, struct user_regs_struct *rewound)
{
	uint64_t now_ns = lh_clock_monotonic_ns();
	uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
	uint64_t left_ms = (left_ns + LH_NS_PER_MS - 1) / LH_NS_PER_MS;
	if (rewound->rax == SYS_epoll_pwait2)
		rewound->rax = SYS_epoll_pwait;
	rewound->r10 = lh_min_u64(left_ms, INT32_MAX);
}

#else

void lh_timed_waits_read(const struct lh_process *process, const struct lh_task_list *tasks, struct lh_timed_waits *ret)
{
	(void)process;
	(void)tasks;
	(void)ret;
}

void lh_timed_waits_read_one(const struct lh_process *process, pid_t tid, struct lh_timed_waits *ret)
{
	(void)process;
	(void)tid;
	(void)ret;
}

void lh_timed_waits_deinit(struct lh_timed_waits *waits)
{
	(void)waits;
}

void lh_timed_waits_look(struct lh_timed_waits *waits, pid_t tid)
{
	(void)waits;
	(void)tid;
}

uint64_t lh_timed_wait_end(const struct lh_timed_waits *waits, const struct lh_process *process, pid_t tid,
			   uint64_t asked_ns, const struct user_regs_struct *registers)
{
	(void)waits;
	(void)process;
	(void)tid;
	(void)asked_ns;
	(void)registers;
	return 0;
}

void lh_timed_wait_shorten(uint64_t end_ns, struct user_regs_struct *rewound)
{
	(void)end_ns;
	(void)rewound;
}

#endif
