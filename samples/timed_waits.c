/*
 * timed_waits: threads in epoll_wait, epoll_pwait and epoll_pwait2 with a limit of --limit-ms, and one in nanosleep for
 * twice as long, named "sleeper", which starts first. "step 1" waits for all of them, and writes a line a call to the
 * file --report: its result, "early" if it came back before its limit, "overslept" if it came back after the sleeper.
 */
#include "sample.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

#define NR_EPOLL_PWAIT2 441 /* not in Debian 12's headers */

struct wait {
	const char *name;
	long (*call)(int epoll, struct epoll_event *event);
	pthread_t thread;
	long result;
	bool is_early, has_overslept;
};

static const char *report_path = "/dev/null";
static int limit_ms = 3000;
static pthread_t sleeper;
static _Atomic bool has_slept;

static long wait_plainly(int epoll, struct epoll_event *event)
{
	return syscall(SYS_epoll_wait, epoll, event, 1, limit_ms);
}

static long wait_with_mask(int epoll, struct epoll_event *event)
{
	return syscall(SYS_epoll_pwait, epoll, event, 1, limit_ms, NULL, 8);
}

static long wait_in_nanoseconds(int epoll, struct epoll_event *event)
{
	const struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000L};
	return syscall(NR_EPOLL_PWAIT2, epoll, event, 1, &limit, NULL, 8);
}

static struct wait waits[] = {
	{.name = "epoll_wait", .call = wait_plainly},
	{.name = "epoll_pwait", .call = wait_with_mask},
	{.name = "epoll_pwait2", .call = wait_in_nanoseconds},
};
enum { WAIT_COUNT = sizeof(waits) / sizeof(*waits) };

static void *run_sleeper(void *argument)
{
	sample_sleep_ms((unsigned)limit_ms * 2);
	has_slept = true;
	return argument;
}

static void *run_wait(void *argument)
{
	struct wait *wait = argument;
	struct epoll_event event;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t begun_ms = sample_now_ms();
	wait->result = wait->call(epoll, &event);
	if (wait->result < 0)
		wait->result = -errno;
	wait->is_early = sample_now_ms() + 1 < begun_ms + (uint64_t)limit_ms;
	wait->has_overslept = has_slept;
	close(epoll);
	return NULL;
}

static void begin(struct sample *sample)
{
	(void)sample;
	if (pthread_create(&sleeper, NULL, run_sleeper, NULL) || pthread_setname_np(sleeper, "sleeper"))
		sample_die("timed_waits: no thread");
	for (size_t i = 0; i < WAIT_COUNT; i++) {
		if (pthread_create(&waits[i].thread, NULL, run_wait, &waits[i]))
			sample_die("timed_waits: no thread");
	}
}

static void step(struct sample *sample)
{
	(void)sample;
	for (size_t i = 0; i < WAIT_COUNT; i++)
		pthread_join(waits[i].thread, NULL);
	pthread_join(sleeper, NULL);
	FILE *report = fopen(report_path, "we");
	if (!report)
		sample_die("timed_waits: %s: %s", report_path, strerror(errno));
	for (size_t i = 0; i < WAIT_COUNT; i++) {
		fprintf(report, "%s: %ld%s%s\n", waits[i].name, waits[i].result, waits[i].is_early ? " early" : "",
			waits[i].has_overslept ? " overslept" : "");
	}
	fclose(report);
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--report"))
		report_path = value;
	else if (!strcmp(name, "--limit-ms"))
		limit_ms = (int)sample_number(name, value);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "timed_waits",
				.condition = "steady",
				.steps_max = 1,
				.begin = begin,
				.step = step,
				.option = option};
	return sample_main(&sample, argc, argv);
}
