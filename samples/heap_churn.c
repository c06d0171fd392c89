/*
 * heap_churn: a heap of which every live block is known. Eight threads allocate, reallocate, align and free blocks of
 * 1 B to 64 MB, a third of the frees in another thread than the allocation. At the end they stop, and one file gets a
 * line for each live block: address, bytes asked for, usable bytes (malloc_usable_size); with glibc another one gets
 * what malloc_info says. Blocks that were freed last lie in the caches of threads that are still there.
 *
 * --blocks N (live blocks a thread, at most), --rounds N, --truth FILE, --info FILE, --largest BYTES.
 */
#include "sample.h"

#include <malloc.h>

enum { THREADS = 8 };

struct live {
	void *addr;
	size_t bytes;
};

/* Blocks of one thread. Others exchange theirs with it under the lock. */
struct owner {
	pthread_t thread;
	pthread_mutex_t lock;
	struct live *blocks; /* .addr NULL: empty */
	uint64_t state;      /* of its random numbers */
};

static struct owner owners[THREADS];
static uint64_t blocks_max = 20000, rounds = 60000, largest_bytes = 64 << 20;
static const char *truth_path, *info_path;
static pthread_barrier_t done;

static uint64_t next_random(struct owner *owner)
{
	owner->state = owner->state * 6364136223846793005u + 1442695040888963407u;
	return owner->state >> 33;
}

/* Mostly small; one in 64 up to 128 KiB, one in 4096 up to --largest. */
static size_t choose_bytes(struct owner *owner)
{
	uint64_t dice = next_random(owner) % 4096, number = next_random(owner) << 31 | next_random(owner);
	if (!dice)
		return number % largest_bytes + 1;
	if (dice < 64)
		return number % (128 << 10) + 1;
	return number % (dice < 1024 ? 2048 : 200) + 1;
}

/* Two words are touched at each end: large blocks stay mostly absent. */
static void touch(void *addr, size_t bytes)
{
	memset(addr, 0x5a, bytes < 64 ? bytes : 64);
	if (bytes > 64)
		memset((uint8_t *)addr + bytes - 16, 0x5a, 16);
}

static void *allocate(struct owner *owner, size_t bytes)
{
	void *addr = NULL;
	uint64_t dice = next_random(owner) % 16;
	if (dice == 0)
		addr = memalign((size_t)16 << next_random(owner) % 13, bytes);
	else
		addr = dice < 4 ? calloc(1, bytes) : malloc(bytes);
	if (!addr)
		sample_die("heap_churn: cannot allocate %zu bytes", bytes);
	touch(addr, bytes);
	return addr;
}

static void change_block(struct owner *owner, struct live *block)
{
	size_t bytes = choose_bytes(owner);
	if (!block->addr) {
		*block = (struct live){allocate(owner, bytes), bytes};
	} else if (next_random(owner) % 4 == 0) {
		*block = (struct live){realloc(block->addr, bytes), bytes};
		if (!block->addr)
			sample_die("heap_churn: cannot allocate %zu bytes", bytes);
		touch(block->addr, bytes);
	} else {
		free(block->addr);
		block->addr = NULL;
	}
}

/* Takes a block from another thread and frees it here. */
static void free_foreign(struct owner *owner)
{
	struct owner *other = &owners[next_random(owner) % THREADS];
	pthread_mutex_lock(&other->lock);
	struct live *block = &other->blocks[next_random(owner) % blocks_max];
	void *addr = block->addr;
	block->addr = NULL;
	pthread_mutex_unlock(&other->lock);
	free(addr);
}

static void *churn_blocks(void *argument)
{
	struct owner *owner = argument;
	for (uint64_t i = 0; i < rounds; i++) {
		pthread_mutex_lock(&owner->lock);
		change_block(owner, &owner->blocks[next_random(owner) % blocks_max]);
		pthread_mutex_unlock(&owner->lock);
		if (i % 4 == 0)
			free_foreign(owner);
	}
	pthread_barrier_wait(&done);
	pause();
	return NULL;
}

static void write_truth(struct sample *sample)
{
	FILE *file = truth_path ? fopen(truth_path, "w") : NULL;
	if (!file)
		sample_die("heap_churn: --truth FILE cannot be written");
	for (unsigned i = 0; i < THREADS; i++) {
		for (uint64_t j = 0; j < blocks_max; j++) {
			const struct live *block = &owners[i].blocks[j];
			if (!block->addr)
				continue;
			fprintf(file, "%p %zu %zu\n", block->addr, block->bytes, malloc_usable_size(block->addr));
			sample->held_bytes += block->bytes;
		}
	}
	fclose(file);
}

/* malloc_info of another allocator than glibc's has nothing to do with it: then the file is not read. */
static void write_info(void)
{
	FILE *file = info_path ? fopen(info_path, "w") : NULL;
	if (!file)
		return;
	setvbuf(file, NULL, _IONBF, 0);
	malloc_info(0, file);
	fflush(file);
}

static void begin(struct sample *sample)
{
	pthread_barrier_init(&done, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_mutex_init(&owners[i].lock, NULL);
		owners[i].blocks = calloc(blocks_max, sizeof(*owners[i].blocks));
		owners[i].state = i + 1;
		if (!owners[i].blocks)
			sample_die("heap_churn: cannot allocate its tables");
	}
	for (unsigned i = 0; i < THREADS; i++) {
		if (pthread_create(&owners[i].thread, NULL, churn_blocks, &owners[i]))
			sample_die("cannot start a thread");
	}
	pthread_barrier_wait(&done);
	write_truth(sample);
	write_info();
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--blocks"))
		blocks_max = sample_number(name, value);
	else if (!strcmp(name, "--rounds"))
		rounds = sample_number(name, value);
	else if (!strcmp(name, "--largest"))
		largest_bytes = sample_number(name, value);
	else if (!strcmp(name, "--truth"))
		truth_path = value;
	else if (!strcmp(name, "--info"))
		info_path = value;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "heap_churn",
				.condition = "steady",
				.region_kind = "arena",
				.begin = begin,
				.option = option};
	return sample_main(&sample, argc, argv);
}
