/*
 * trace_truth: allocates at a steady rate from five functions, of which one leaks. Truth: `site` names it, leaked_bytes
 * counts what it has lost, and `decoy` names the one whose blocks live for --decoy-ms. allocate_briefly frees soon,
 * allocate_and_lose loses one block of --leak-every (100), allocate_decoy frees late, grow_buffer goes through
 * realloc(NULL), allocate_zeroed's blocks are freed by another thread. With --forks children allocate and end.
 * --rate: allocations per second. Every block is filled, and checked before it is freed.
 */
#include "sample.h"

#include <sys/wait.h>

enum { YOUNG = 64, HANDED_OVER = 256, DECOYS = 1 << 18, BATCH = 5, BATCH_DUE = 1000 * BATCH, LAG_MAX_MS = 20 };

#define STAMP_BYTES 16

static struct {
	uint64_t rate, decoy_ms, leak_every;
	bool forks, leaks;
} trace_wish = {.rate = 3000, .decoy_ms = 1500, .leak_every = 100, .leaks = true};

struct decoy {
	void *block;
	uint64_t due_ms;
};

static void *young[YOUNG], *lossy[YOUNG];
static struct decoy decoys[DECOYS];
static size_t decoy_first, decoy_end;
static _Atomic(void *) handed_over[HANDED_OVER];
static _Atomic uint64_t damaged_blocks, started_ms;

/* The address itself, inverted: it is no reference. */
static void stamp_block(void *block)
{
	uint64_t stamp[STAMP_BYTES / 8] = {~(uint64_t)(uintptr_t)block, 0x7472616365};
	if (!block)
		sample_die("trace_truth: no memory");
	memcpy(block, stamp, sizeof(stamp));
}

static void free_stamped(void *block)
{
	uint64_t stamp[STAMP_BYTES / 8];
	if (!block)
		return;
	memcpy(stamp, block, sizeof(stamp));
	if (stamp[0] != ~(uint64_t)(uintptr_t)block || stamp[1] != 0x7472616365)
		damaged_blocks++;
	free(block);
}

/* ---------------------------------------------------------------- the five */

static __attribute__((noinline)) void allocate_briefly(uint64_t i)
{
	free_stamped(young[i % YOUNG]);
	young[i % YOUNG] = malloc(64 + i % 448);
	stamp_block(young[i % YOUNG]);
}

static __attribute__((noinline)) void allocate_and_lose(struct sample *sample, uint64_t i)
{
	const size_t bytes = 900;
	void *block = malloc(bytes);
	stamp_block(block);
	if (trace_wish.leaks && i % trace_wish.leak_every == 0) {
		sample->leaked_blocks++;
		sample->leaked_bytes += bytes;
		return;
	}
	free_stamped(lossy[i % YOUNG]);
	lossy[i % YOUNG] = block;
}

static __attribute__((noinline)) void allocate_decoy(uint64_t now_ms)
{
	struct decoy *decoy = &decoys[decoy_end++ % DECOYS];
	free_stamped(decoy->block);
	decoy->block = malloc(300);
	decoy->due_ms = now_ms + trace_wish.decoy_ms;
	stamp_block(decoy->block);
}

static __attribute__((noinline)) void grow_buffer(void)
{
	void *buffer = NULL;
	for (size_t bytes = 32; bytes <= 2048; bytes *= 4) {
		void *grown = realloc(buffer, bytes);
		stamp_block(grown);
		buffer = grown;
	}
	free_stamped(buffer);
}

static __attribute__((noinline)) void allocate_zeroed(uint64_t i)
{
	void *block = calloc(4, 50), *expected = NULL;
	stamp_block(block);
	if (!atomic_compare_exchange_strong(&handed_over[i % HANDED_OVER], &expected, block))
		free_stamped(block);
}

/* ---------------------------------------------------------------- around them */

static void *free_what_is_handed_over(void *argument)
{
	for (;; sample_sleep_ms(2)) {
		for (size_t i = 0; i < HANDED_OVER; i++)
			free_stamped(atomic_exchange(&handed_over[i], NULL));
	}
	return argument;
}

static void free_due_decoys(uint64_t now_ms)
{
	for (; decoy_first < decoy_end && decoys[decoy_first % DECOYS].due_ms <= now_ms; decoy_first++) {
		free_stamped(decoys[decoy_first % DECOYS].block);
		decoys[decoy_first % DECOYS].block = NULL;
	}
}

/* The child's blocks are nobody's business but its own. */
static void fork_briefly(void)
{
	int status;
	pid_t child = fork();
	if (child < 0)
		sample_die("trace_truth: fork: %s", strerror(errno));
	if (!child) {
		for (uint64_t i = 0; i < 100; i++)
			allocate_briefly(i);
		_exit(damaged_blocks ? 1 : 0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		damaged_blocks++;
}

static void begin(struct sample *sample)
{
	pthread_t thread;
	(void)sample;
	if (pthread_create(&thread, NULL, free_what_is_handed_over, NULL))
		sample_die("trace_truth: cannot start a thread");
	started_ms = sample_now_ms();
}

/*
 * As much as is due, each millisecond. A processor that is too busy is not made up for: decoys would live for as long
 * as the work lags behind.
 */
static void work(struct sample *sample)
{
	uint64_t forks = 0, last_ms = started_ms, due = 0; /* due: thousandths of an allocation */
	for (uint64_t i = 0;; sample_sleep_ms(1)) {
		uint64_t now_ms = sample_now_ms(), passed_ms = now_ms - started_ms, since_ms = now_ms - last_ms;
		last_ms = now_ms;
		free_due_decoys(now_ms);
		due += trace_wish.rate * (since_ms < LAG_MAX_MS ? since_ms : LAG_MAX_MS);
		for (; due >= BATCH_DUE; due -= BATCH_DUE, i++) {
			allocate_briefly(i);
			allocate_and_lose(sample, i);
			allocate_decoy(now_ms);
			if (i % 4 == 0)
				grow_buffer();
			allocate_zeroed(i);
		}
		if (trace_wish.forks && forks < passed_ms / 200) {
			forks++;
			fork_briefly();
		}
	}
}

static bool take_option(struct sample *sample, const char *name, const char *value)
{
	uint64_t number = strtoull(value, NULL, 10);
	(void)sample;
	if (!strcmp(name, "--rate"))
		trace_wish.rate = number;
	else if (!strcmp(name, "--decoy-ms"))
		trace_wish.decoy_ms = number;
	else if (!strcmp(name, "--leak-every") && number)
		trace_wish.leak_every = number;
	else
		return false;
	return true;
}

static bool take_flag(struct sample *sample, const char *name)
{
	(void)sample;
	if (!strcmp(name, "--forks"))
		trace_wish.forks = true;
	else if (!strcmp(name, "--fixed"))
		trace_wish.leaks = false;
	else
		return false;
	return true;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes,
		 ",\"site\":\"allocate_and_lose\",\"decoy\":\"allocate_decoy\",\"damaged_blocks\":%" PRIu64
		 ",\"age_ms\":%" PRIu64,
		 damaged_blocks, sample_now_ms() - started_ms);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "trace_truth",
				.condition = "leak",
				.region_kind = "heap",
				.begin = begin,
				.work = work,
				.option = take_option,
				.flag = take_flag,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
