/*
 * heap_churn: a heap for `make bench-heap`: four threads give out and free blocks in random order, most of 16 to 512
 * bytes, some of up to 64 KiB, until malloc holds --mib MiB. Prints READY and the blocks that are in use, then waits.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4 };

struct churn {
	void **slots;
	size_t slot_count, used_count;
	uint64_t bytes_wanted, random;
};

static uint64_t next_random(struct churn *churn)
{
	churn->random ^= churn->random << 13;
	churn->random ^= churn->random >> 7;
	churn->random ^= churn->random << 17;
	return churn->random;
}

static size_t choose_bytes(uint64_t random)
{
	uint64_t kind = random % 1000, value = random >> 16;
	if (kind < 990)
		return 16 + value % (kind < 700 ? 112 : 496);
	return 1 + value % (64 << 10);
}

/* Three steps forward, one back: a third of what is given out is freed again, and at the end a tenth. */
static void *run_churn(void *context)
{
	struct churn *churn = context;
	uint64_t bytes = 0;
	while (bytes < churn->bytes_wanted) {
		uint64_t random = next_random(churn);
		if (churn->used_count && random % 4 == 0) {
			size_t at = (random >> 8) % churn->used_count;
			bytes -= malloc_usable_size(churn->slots[at]) + 8;
			free(churn->slots[at]);
			churn->slots[at] = churn->slots[--churn->used_count];
			continue;
		}
		size_t size = choose_bytes(random >> 8);
		void *block = churn->used_count < churn->slot_count ? malloc(size) : NULL;
		if (!block)
			abort();
		/* Words that look like what programs have: a pointer to another block, numbers, text. */
		memset(block, (int)(random >> 60), size);
		if (size >= 16 && churn->used_count)
			memcpy(block, &churn->slots[(random >> 20) % churn->used_count], sizeof(void *));
		churn->slots[churn->used_count++] = block;
		bytes += malloc_usable_size(block) + 8;
	}
	for (size_t left = churn->used_count / 10; left; left--) {
		size_t at = next_random(churn) % churn->used_count;
		free(churn->slots[at]);
		churn->slots[at] = churn->slots[--churn->used_count];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct churn churns[THREADS];
	pthread_t threads[THREADS];
	uint64_t mib = argc == 3 && !strcmp(argv[1], "--mib") ? strtoull(argv[2], NULL, 10) : 0, used = 0;
	if (!mib) {
		fprintf(stderr, "usage: heap_churn --mib N\n");
		return 2;
	}
	for (size_t i = 0; i < THREADS; i++) {
		size_t slots = mib * (1 << 20) / THREADS / 32;
		churns[i] = (struct churn){.slots = calloc(slots, sizeof(void *)),
					   .slot_count = slots,
					   .bytes_wanted = (mib << 20) / THREADS,
					   .random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15)};
		if (!churns[i].slots || pthread_create(&threads[i], NULL, run_churn, &churns[i]))
			return 1;
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		used += churns[i].used_count;
	}
	struct mallinfo2 info = mallinfo2();
	printf("READY {\"pid\":%d,\"blocks\":%llu,\"main_arena_bytes\":%zu}\n", (int)getpid(), (unsigned long long)used,
	       info.arena);
	fflush(stdout);
	getchar(); /* "quit", or the end of stdin */
	return 0;
}
