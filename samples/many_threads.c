/*
 * many_threads: --threads threads that wait, each in one of five ways, and --spawners more that start and join
 * short-lived threads, some thousand per second. Truth: waits that ended with EINTR or too early, the threads spawned
 * so far, and whether each of them ran.
 */
#include "sample.h"

#include <semaphore.h>

#define STACK_BYTES ((size_t)64 << 10)

static uint64_t thread_count = 1000, spawner_count;
static _Atomic uint64_t broken_waits, started_threads, spawned_threads, run_threads;
static int silent_pipe[2], silent_epoll;
static sem_t never;

/* Each returns only if it was disturbed, or when its time is over. */
static bool wait_in_epoll(void)
{
	struct epoll_event event;
	return epoll_wait(silent_epoll, &event, 1, -1) < 0;
}

static bool wait_in_read(void)
{
	char byte;
	return read(silent_pipe[0], &byte, 1) < 0;
}

static bool wait_in_futex(void)
{
	return sem_wait(&never) < 0;
}

static bool wait_in_poll(void)
{
	struct pollfd poll_fd = {.fd = silent_pipe[0], .events = POLLIN};
	return poll(&poll_fd, 1, -1) < 0;
}

static bool wait_in_nanosleep(void)
{
	return nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL) < 0;
}

static void *wait_always(void *argument)
{
	const uint64_t *number = argument;
	static bool (*const ways[])(void) = {wait_in_epoll, wait_in_read, wait_in_futex, wait_in_poll,
					     wait_in_nanosleep};
	bool (*way)(void) = ways[*number % (sizeof(ways) / sizeof(*ways))];
	started_threads++;
	for (;;)
		broken_waits += way();
	return NULL;
}

static void *run_briefly(void *argument)
{
	(void)argument;
	run_threads++;
	return NULL;
}

static void *spawn_always(void *argument)
{
	for (;;) {
		pthread_t thread;
		if (pthread_create(&thread, argument, run_briefly, NULL))
			sample_die("many_threads: cannot start a thread");
		pthread_join(thread, NULL);
		spawned_threads++;
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	return NULL;
}

static void begin(struct sample *sample)
{
	struct epoll_event event = {.events = EPOLLIN};
	static pthread_attr_t attributes;
	(void)sample;
	silent_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (pipe(silent_pipe) || epoll_ctl(silent_epoll, EPOLL_CTL_ADD, silent_pipe[0], &event) ||
	    sem_init(&never, 0, 0))
		sample_die("many_threads: %s", strerror(errno));
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	uint64_t *numbers = calloc(thread_count + 1, sizeof(*numbers));
	if (!numbers)
		sample_die("many_threads: no memory");
	for (uint64_t i = 0; i < thread_count + spawner_count; i++) {
		pthread_t thread;
		bool is_waiter = i < thread_count;
		numbers[is_waiter ? i : thread_count] = i;
		if (pthread_create(&thread, &attributes, is_waiter ? wait_always : spawn_always,
				   is_waiter ? (void *)&numbers[i] : &attributes))
			sample_die("many_threads: cannot start thread %" PRIu64, i);
	}
	while (started_threads < thread_count)
		sample_sleep_ms(1);
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--threads"))
		thread_count = sample_number(name, value);
	else if (!strcmp(name, "--spawners"))
		spawner_count = sample_number(name, value);
	else
		return false;
	return true;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	uint64_t spawned = spawned_threads;
	snprintf(ret, ret_bytes,
		 ",\"threads\":%" PRIu64 ",\"broken_waits\":%" PRIu64 ",\"spawned\":%" PRIu64 ",\"all_ran\":%s",
		 thread_count, broken_waits, spawned, run_threads >= spawned ? "true" : "false");
}

int main(int argc, char **argv)
{
	struct sample sample = {
		.name = "many_threads", .condition = "steady", .begin = begin, .option = option, .describe = describe};
	return sample_main(&sample, argc, argv);
}
