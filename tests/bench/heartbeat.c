/*
 * heartbeat: a target that feels how long it is held up. It holds --mib MiB of touched anonymous memory,
 * filled as a service's memory is (text, pointers, random bytes, zeros), on small pages. One thread of it
 * ticks some 3,000 times a second, one maps and unmaps as often (--map), one writes to --rate random
 * pages a second, but never to each 16th: what a whole copy must hold. --threads N more threads sleep,
 * --mappings N more mappings lie about. As root these threads are SCHED_FIFO, so that they feel who holds them
 * up, and not who else runs on the machine; and a control, a child process for each CPU that nobody dumps, ticks
 * along: what it feels is the machine's. Prints READY with the address range. On stdin: "gap" is answered with
 * the longest time since last asked that each was held up, and that it was while no control was (`_held_`);
 * "fork" with how long a bare fork of it takes; "quit" or end of input ends it.
 */
#include "pulse.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_BYTES    ((size_t)1024)
#define PAGE_BYTES     ((size_t)4096)
#define UNWRITTEN_EACH 16
#define TICK_NS        250000
#define STACK_BYTES    ((size_t)65536)

enum { CONTROLS_MAX = 64 };

/* Shared with the controls. */
struct pulses {
	struct pulse tick, map, write;
	struct pulse controls[CONTROLS_MAX];
};

static struct pulses *pulses;
static size_t control_count;
static uint64_t asked_ns;
static bool is_real_time = true;

static uint8_t *memory;
static size_t memory_bytes;
static uint64_t rate_per_s;
static _Atomic uint64_t write_count;

static void *tick(void *argument)
{
	(void)argument;
	is_real_time = become_real_time();
	pulse_tick(&pulses->tick, TICK_NS);
	return NULL;
}

/* Both calls take mmap_lock for writing: they wait for whoever holds it. */
static void *map_and_unmap(void *argument)
{
	(void)argument;
	(void)become_real_time();
	for (;;) {
		nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
		uint64_t start_ns = now_ns();
		void *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(page, PAGE_BYTES);
		pulse_note(&pulses->map, start_ns, now_ns());
	}
	return NULL;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void write_page(uint64_t *random)
{
	uint64_t page = next_random(random) % (memory_bytes / PAGE_BYTES);
	page += page % UNWRITTEN_EACH == 0;
	uint64_t *words = (uint64_t *)(void *)(memory + page * PAGE_BYTES);
	words[*random >> 55] = *random;
}

/*
 * A millisecond's writes at a time, each batch due at its own time: what a stop delays is made up for. Felt
 * is the time that a batch takes, beside what lies between batches.
 */
static void *write_pages(void *argument)
{
	uint64_t random = 0x853c49e6748fea9b, due = 0;
	(void)argument;
	(void)become_real_time();
	for (uint64_t begin_ns = now_ns();;) {
		uint64_t start_ns = now_ns();
		for (; due < (start_ns - begin_ns) / 1000 * rate_per_s / 1000000; due++)
			write_page(&random);
		write_count = due;
		pulse_note(&pulses->write, start_ns, now_ns());
		nanosleep(&(struct timespec){.tv_nsec = 4 * TICK_NS}, NULL);
	}
	return NULL;
}

static void *sleep_on(void *argument)
{
	(void)argument;
	for (;;)
		pause();
	return NULL;
}

static void fill_with_text(uint8_t *block, uint64_t number)
{
	char *text = (char *)block;
	for (size_t used = 0; used + 128 < BLOCK_BYTES; number++)
		used += 1 + (size_t)sprintf(text + used,
					    "{\"order\":%" PRIu64 ",\"customer\":\"c%" PRIu64 "@mail.example\"}",
					    number, number % 1000);
}

/* A quarter each: text, pointers into the range, random bytes, zeros. */
static void fill_block(uint8_t *block, uint64_t number, uint64_t *random)
{
	uint64_t *words = (uint64_t *)(void *)block;
	const size_t count = BLOCK_BYTES / sizeof(*words);
	if (number % 4 == 0)
		fill_with_text(block, number);
	for (size_t i = 0; number % 4 == 1 && i < count; i++)
		words[i] = (uintptr_t)block + next_random(random) % (1 << 20) / 16 * 16;
	for (size_t i = 0; number % 4 == 2 && i < count; i++)
		words[i] = next_random(random);
	if (number % 4 == 3)
		memset(block, 0, BLOCK_BYTES);
}

/*
 * Pages without access stand on both sides: the kernel merges neighbors with equal flags, and stacks of
 * threads have those of memory without huge pages (Linux >= 6.7, MAP_STACK), so that the memory would
 * become part of the ticker's stack.
 */
static uint8_t *map_apart(size_t bytes)
{
	uint8_t *all = mmap(NULL, bytes + 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED || mprotect(all + PAGE_BYTES, bytes, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "heartbeat: cannot map %zu bytes\n", bytes);
		exit(2);
	}
	return all + PAGE_BYTES;
}

static void make_memory(void)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	memory = map_apart(memory_bytes);
	madvise(memory, memory_bytes, MADV_NOHUGEPAGE); /* the harder case for whoever walks page tables */
	for (uint64_t i = 0; i < memory_bytes / BLOCK_BYTES; i++)
		fill_block(memory + i * BLOCK_BYTES, i, &random);
}

/* One page that was touched each; neighbors differ in their protection, or the kernel would merge them. */
static void make_mappings(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		int protection = PROT_READ | (i % 2 ? PROT_WRITE : 0);
		uint8_t *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (page == MAP_FAILED || mprotect(page, PAGE_BYTES, protection)) {
			fprintf(stderr, "heartbeat: cannot make %" PRIu64 " mappings\n", count);
			exit(2);
		}
	}
}

static void start_thread(void *(*run)(void *), void *argument, size_t stack_bytes)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	if (stack_bytes)
		pthread_attr_setstacksize(&attributes, stack_bytes);
	if (pthread_create(&thread, &attributes, run, argument)) {
		fprintf(stderr, "heartbeat: cannot start a thread\n");
		exit(2);
	}
	pthread_attr_destroy(&attributes);
}

static void start_control(struct pulse *pulse, size_t cpu)
{
	if (fork() != 0)
		return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setaffinity(0, sizeof(set), &set);
	(void)become_real_time();
	pulse_tick(pulse, TICK_NS);
}

static void start_controls(void)
{
	long cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
	pulses = mmap(NULL, sizeof(*pulses), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pulses == MAP_FAILED)
		abort();
	control_count = (size_t)(cpu_count < CONTROLS_MAX ? cpu_count : CONTROLS_MAX);
	for (size_t i = 0; i < control_count; i++)
		start_control(&pulses->controls[i], i);
}

static void tell_pulse(const char *name, struct pulse *pulse)
{
	uint64_t held_ns = pulse_held_ns(pulse, pulses->controls, control_count, asked_ns);
	printf("\"%s_ns\":%" PRIu64 ",\"%s_held_ns\":%" PRIu64 ",", name, atomic_exchange(&pulse->longest_ns, 0), name,
	       held_ns);
}

static void tell_longest(void)
{
	uint64_t control_ns = 0;
	for (size_t i = 0; i < control_count; i++) {
		uint64_t longest_ns = atomic_exchange(&pulses->controls[i].longest_ns, 0);
		control_ns = longest_ns > control_ns ? longest_ns : control_ns;
	}
	printf("{");
	tell_pulse("gap", &pulses->tick);
	tell_pulse("map", &pulses->map);
	tell_pulse("write", &pulses->write);
	printf("\"control_ns\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"real_time\":%s}\n", control_ns, write_count,
	       is_real_time ? "true" : "false");
	asked_ns = now_ns();
}

/* What the kernel alone takes to copy the page tables. */
static void tell_fork(void)
{
	uint64_t start_ns = now_ns();
	pid_t child = fork();
	if (!child)
		_exit(0);
	printf("{\"fork_ns\":%" PRIu64 "}\n", now_ns() - start_ns);
	waitpid(child, NULL, 0);
}

static void answer(void)
{
	char line[64];
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		if (strcmp(line, "fork\n") == 0)
			tell_fork();
		else
			tell_longest();
		fflush(stdout);
	}
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 10);
	}
	return otherwise;
}

int main(int argc, char **argv)
{
	memory_bytes = option(argc, argv, "--mib", 1024) << 20;
	rate_per_s = option(argc, argv, "--rate", 0);
	start_controls();
	make_memory();
	make_mappings(option(argc, argv, "--mappings", 0));
	for (uint64_t i = option(argc, argv, "--threads", 0); i > 0; i--)
		start_thread(sleep_on, NULL, STACK_BYTES);
	start_thread(tick, NULL, 0);
	if (option(argc, argv, "--map", 0))
		start_thread(map_and_unmap, NULL, 0);
	if (rate_per_s)
		start_thread(write_pages, NULL, 0);
	printf("READY {\"pid\":%d,\"name\":\"heartbeat\",\"start\":\"0x%" PRIxPTR "\",\"end\":\"0x%" PRIxPTR
	       "\",\"unwritten_each\":%d}\n",
	       getpid(), (uintptr_t)memory, (uintptr_t)memory + memory_bytes, UNWRITTEN_EACH);
	fflush(stdout);
	answer();
	return 0;
}
