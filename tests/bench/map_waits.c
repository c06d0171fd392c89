/*
 * map_waits: a target that tells how long its mmap and munmap wait for whoever holds mmap_lock. It holds --mib MiB of
 * touched anonymous memory on small pages; a SCHED_FIFO thread (as root) maps and unmaps a page some 10,000 times a
 * second. On a virtual machine whose CPUs are taken away at times, a call may take long without waiting for anybody:
 * one that waited for a lock has slept, and the kernel counts that (getrusage(2): ru_nvcsw of the thread). Prints
 * READY; on stdin "waits" is answered with the longest call since last asked, of those that slept and of all. End of
 * input ends it.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES  ((size_t)4096)
#define INTERVAL_NS 100000

static _Atomic uint64_t slept_ns, any_ns, call_count;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static long sleep_count(void)
{
	struct rusage usage;
	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void raise_to(_Atomic uint64_t *most, uint64_t value)
{
	uint64_t now = *most;
	while (value > now && !atomic_compare_exchange_weak(most, &now, value))
		;
}

static void note(uint64_t started_ns, long sleeps_before)
{
	uint64_t took_ns = now_ns() - started_ns;
	raise_to(&any_ns, took_ns);
	if (sleep_count() != sleeps_before)
		raise_to(&slept_ns, took_ns);
	call_count++;
}

static void *map_and_unmap(void *argument)
{
	const struct sched_param parameters = {.sched_priority = 2};
	(void)argument;
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters);
	for (;;) {
		nanosleep(&(struct timespec){.tv_nsec = INTERVAL_NS}, NULL);
		long sleeps = sleep_count();
		uint64_t started_ns = now_ns();
		void *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		note(started_ns, sleeps);
		sleeps = sleep_count();
		started_ns = now_ns();
		munmap(page, PAGE_BYTES);
		note(started_ns, sleeps);
	}
	return NULL;
}

static void hold_memory(size_t bytes)
{
	uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("map_waits");
		exit(2);
	}
	madvise(memory, bytes, MADV_NOHUGEPAGE); /* the harder case for whoever walks page tables */
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		memory[at] = 1;
}

int main(int argc, char **argv)
{
	char line[64];
	pthread_t thread;
	if (argc != 3 || strcmp(argv[1], "--mib") != 0) {
		fprintf(stderr, "usage: map_waits --mib N\n");
		return 2;
	}
	hold_memory((size_t)strtoull(argv[2], NULL, 10) << 20);
	if (pthread_create(&thread, NULL, map_and_unmap, NULL))
		return 2;
	printf("READY {\"pid\":%d,\"name\":\"map_waits\"}\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		printf("{\"slept_ns\":%" PRIu64 ",\"any_ns\":%" PRIu64 ",\"calls\":%" PRIu64 "}\n",
		       atomic_exchange(&slept_ns, 0), atomic_exchange(&any_ns, 0), atomic_exchange(&call_count, 0));
		fflush(stdout);
	}
	return 0;
}
