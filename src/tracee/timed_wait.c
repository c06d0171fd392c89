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

/* Of /proc/PID/task/TID/sched. */
struct sched_text {
	uint64_t exec_start_ns; /* on the clock of its processor */
	uint64_t switches;
};

/* What stands behind "name   :"; NULL when there is no such line. */
static const char *find_sched_value(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	const char *colon = line ? strchr(line, ':') : NULL;
	return colon ? colon + 1 : NULL;
}

/* Times are in milliseconds, with six decimals: "se.exec_start   :   47825302.661371". */
static bool parse_sched(const char *text, struct sched_text *ret)
{
	const char *start = find_sched_value(text, "\nse.exec_start");
	const char *switches = find_sched_value(text, "\nnr_voluntary_switches");
	uint64_t milliseconds, rest;
	if (!start || !switches || sscanf(start, "%" SCNu64 ".%6" SCNu64, &milliseconds, &rest) != 2)
		return false;
	ret->exec_start_ns = milliseconds * LH_NS_PER_MS + rest;
	return sscanf(switches, "%" SCNu64, &ret->switches) == 1;
}

static bool read_sched(int fd, struct sched_text *ret)
{
	char text[4096];
	ssize_t count = pread(fd, text, sizeof(text) - 1, 0);
	if (count <= 0)
		return false;
	text[count] = '\0';
	return parse_sched(text, ret);
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
	struct sched_text own;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	if (error || sched_setaffinity(0, sizeof(one), &one) < 0)
		return false;
	nanosleep(&nap, NULL);
	if (!read_sched(fd, &own))
		return false;
	clocks->ahead_ns[processor] = lh_clock_monotonic_ns() - own.exec_start_ns;
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

/* Read twice: between two equal texts the thread has not run, so that the two numbers belong together. */
static bool read_steady_sched(int fd, struct sched_text *ret)
{
	struct sched_text again;
	return read_sched(fd, ret) && read_sched(fd, &again) && ret->exec_start_ns == again.exec_start_ns &&
	       ret->switches == again.switches;
}

static void read_wait(const struct lh_process *process, pid_t tid, struct processor_clocks *clocks,
		      struct lh_timed_waits *waits)
{
	char name[64];
	struct sched_text text;
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	snprintf(name, sizeof(name), "task/%d/sched", (int)tid);
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) =
		lh_process_open_file(process, name, O_RDONLY | O_CLOEXEC, &fd);
	size_t processor = last_processor(process, tid);
	if (error || processor == CPU_SETSIZE || !read_steady_sched(fd, &text))
		return;
	if (!CPU_ISSET(processor, &clocks->known) && !learn_clock(clocks, processor))
		return;
	struct lh_timed_wait wait = {
		.tid = tid,
		.sched_fd = fd,
		.begun_ns = text.exec_start_ns + clocks->ahead_ns[processor],
		.switches = text.switches,
	};
	error = lh_vec_push(&waits->items, wait);
	if (!error)
		fd = -1;
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
	for (size_t i = 0; i < waits->items.count; i++)
		close(waits->items.items[i].sched_fd);
	lh_vec_deinit(&waits->items);
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

uint64_t lh_timed_wait_end(const struct lh_timed_waits *waits, const struct lh_process *process, pid_t tid,
			   const struct user_regs_struct *registers)
{
	struct lh_timed_wait key = {.tid = tid};
	const struct lh_timed_wait *wait = NULL;
	struct sched_text now;
	if (waits->items.count)
		wait = bsearch(&key, waits->items.items, waits->items.count, sizeof(key), compare_waits);
	if (!wait || !is_epoll_wait(registers->orig_rax))
		return 0;
	/* A filter may allow epoll_pwait2 alone. */
	if (registers->orig_rax == SYS_epoll_pwait2 && lh_task_is_filtered(process, tid))
		return 0;
	uint64_t limit = limit_ns(process, registers);
	if (limit == UINT64_MAX || limit < LATE_AT_MOST_NS || !read_sched(wait->sched_fd, &now) ||
	    now.switches != wait->switches + 1)
		return 0;
	return wait->begun_ns + limit;
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

uint64_t lh_timed_wait_end(const struct lh_timed_waits *waits, const struct lh_process *process, pid_t tid,
			   const struct user_regs_struct *registers)
{
	(void)waits;
	(void)process;
	(void)tid;
	(void)registers;
	return 0;
}

void lh_timed_wait_shorten(uint64_t end_ns, struct user_regs_struct *rewound)
{
	(void)end_ns;
	(void)rewound;
}

#endif
