/*
 * heartbeat: a target that feels how long it is stopped: it holds --mib MiB of touched anonymous
 * memory, filled as a service's memory is (text, pointers, random bytes, zeros), and a thread of it
 * ticks some 10,000 times a second. Prints READY with the address range; "gap" on stdin is answered
 * with the longest time between two ticks since it was last asked; "quit" or end of input ends it.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)1024)
#define TICK_NS     100000

static _Atomic uint64_t longest_gap_ns;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *tick(void *argument)
{
	(void)argument;
	for (uint64_t last_ns = now_ns();;) {
		nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
		uint64_t this_ns = now_ns(), gap_ns = this_ns - last_ns;
		last_ns = this_ns;
		uint64_t longest_ns = longest_gap_ns;
		while (gap_ns > longest_ns && !atomic_compare_exchange_weak(&longest_gap_ns, &longest_ns, gap_ns))
			;
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
 * Pages without access stand on both sides: the kernel merges neighbours with equal flags, and stacks of
 * threads have those of memory without huge pages (Linux >= 6.7, MAP_STACK), so that the memory would
 * become part of the ticker's stack.
 */
static uint8_t *map_apart(size_t bytes)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *all = mmap(NULL, bytes + 2 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED || mprotect(all + page_bytes, bytes, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "heartbeat: cannot map %zu bytes\n", bytes);
		exit(2);
	}
	return all + page_bytes;
}

static uint8_t *make_memory(size_t bytes)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	uint8_t *memory = map_apart(bytes);
	madvise(memory, bytes, MADV_NOHUGEPAGE); /* the harder case for whoever walks page tables */
	for (uint64_t i = 0; i < bytes / BLOCK_BYTES; i++)
		fill_block(memory + i * BLOCK_BYTES, i, &random);
	return memory;
}

int main(int argc, char **argv)
{
	size_t bytes = (argc == 3 && !strcmp(argv[1], "--mib") ? strtoull(argv[2], NULL, 10) : 1024) << 20;
	uint8_t *memory = make_memory(bytes);
	pthread_t ticker;
	char line[64];
	if (pthread_create(&ticker, NULL, tick, NULL))
		return 2;
	printf("READY {\"pid\":%d,\"name\":\"heartbeat\",\"start\":\"0x%" PRIxPTR "\",\"end\":\"0x%" PRIxPTR "\"}\n",
	       getpid(), (uintptr_t)memory, (uintptr_t)memory + bytes);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		printf("{\"gap_ns\":%" PRIu64 "}\n", atomic_exchange(&longest_gap_ns, 0));
		fflush(stdout);
	}
	return 0;
}
