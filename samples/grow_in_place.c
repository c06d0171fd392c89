/*
 * grow_in_place: a program that rearranges its anonymous memory all the time: a buffer that mremap(2) grows, moves and
 * shrinks, a reserve that mprotect(2) opens and closes as malloc's arenas do, pages given back, holes punched and
 * filled, brk(2), and fork(2) over all of it. With --size, it also holds as much that it leaves alone. Truth: how many
 * calls failed, by name, and how often the bytes were not the ones it wrote. Undisturbed, both are 0.
 */
#include "sample.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define BUFFER_MIN  ((size_t)1 << 20)
#define BUFFER_MAX  ((size_t)32 << 20)
#define STEP_BYTES  ((size_t)64 << 10)
#define RESERVE     ((size_t)16 << 20)
#define PAGE        ((size_t)4096)
#define HOLES_BYTES ((size_t)1 << 20)

enum call { CALL_MREMAP, CALL_MPROTECT, CALL_MADVISE, CALL_MUNMAP, CALL_MMAP, CALL_BRK, CALL_FORK, CALL_COUNT };

static const char *const call_names[CALL_COUNT] = {"mremap", "mprotect", "madvise", "munmap", "mmap", "brk", "fork"};
static _Atomic uint64_t failures[CALL_COUNT], last_errno[CALL_COUNT], calls, wrong_bytes;

/* Counts the call; returns whether it worked. */
static bool did(enum call call, bool works)
{
	calls++;
	if (!works) {
		last_errno[call] = (uint64_t)errno;
		failures[call]++;
	}
	return works;
}

static void expect(bool is_right)
{
	wrong_bytes += !is_right;
}

static char *map_memory(size_t bytes, int protection)
{
	char *memory = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return did(CALL_MMAP, memory != MAP_FAILED) ? memory : NULL;
}

/* ---------------------------------------------------------------- a buffer */

static char *buffer;
static size_t buffer_bytes;

static void resize_buffer(size_t bytes)
{
	char *moved = mremap(buffer, buffer_bytes, bytes, MREMAP_MAYMOVE);
	if (!did(CALL_MREMAP, moved != MAP_FAILED))
		return;
	size_t kept = bytes < buffer_bytes ? bytes : buffer_bytes;
	buffer = moved;
	buffer_bytes = bytes;
	expect(moved[0] == 7 && moved[kept / 2] == 7 && moved[kept - 1] == 7);
	memset(moved + kept, 7, bytes - kept);
}

static void grow_buffer(uint64_t round)
{
	resize_buffer(buffer_bytes > BUFFER_MAX ? BUFFER_MIN : buffer_bytes + (round % 32 + 1) * STEP_BYTES);
	did(CALL_MPROTECT, mprotect(buffer, PAGE, PROT_READ) == 0);
	did(CALL_MPROTECT, mprotect(buffer, PAGE, PROT_READ | PROT_WRITE) == 0);
	size_t middle = buffer_bytes / 2 & ~(PAGE - 1);
	did(CALL_MPROTECT, mprotect(buffer + middle, PAGE, PROT_NONE) == 0);
	did(CALL_MPROTECT, mprotect(buffer + middle, PAGE, PROT_READ | PROT_WRITE) == 0);
	expect(buffer[middle] == 7);
}

/* ---------------------------------------------------------------- a reserve */

static char *reserve;
static size_t opened_bytes;

/* Opened, it is one mapping that can be, and is, moved as a whole. */
static void open_reserve(void)
{
	if (!did(CALL_MPROTECT, mprotect(reserve + opened_bytes, STEP_BYTES, PROT_READ | PROT_WRITE) == 0))
		return;
	memset(reserve + opened_bytes, 9, STEP_BYTES);
	opened_bytes += STEP_BYTES;
	expect(reserve[0] == 9 && reserve[opened_bytes / 2] == 9);
	if (opened_bytes < RESERVE / 2)
		return;
	char *moved = mremap(reserve, opened_bytes, opened_bytes + STEP_BYTES, MREMAP_MAYMOVE);
	if (did(CALL_MREMAP, moved != MAP_FAILED)) {
		expect(moved[0] == 9 && moved[opened_bytes - 1] == 9);
		did(CALL_MUNMAP, munmap(moved, opened_bytes + STEP_BYTES) == 0);
	}
	did(CALL_MUNMAP, munmap(reserve, RESERVE) == 0);
	reserve = map_memory(RESERVE, PROT_NONE);
	opened_bytes = 0;
}

/* ---------------------------------------------------------------- holes, and the rest */

static char *holes;

static void punch_holes(uint64_t round)
{
	size_t at = round % (HOLES_BYTES / PAGE / 4) * 4 * PAGE;
	did(CALL_MUNMAP, munmap(holes + at, 2 * PAGE) == 0);
	char *again =
		mmap(holes + at, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	did(CALL_MMAP, again == holes + at);
	expect(holes[at] == 0);
	holes[at] = 3;
	did(CALL_MADVISE, madvise(holes + at + 2 * PAGE, PAGE, MADV_DONTNEED) == 0);
	expect(holes[at + 2 * PAGE] == 0);
	holes[at + 2 * PAGE] = 5;
	did(CALL_MADVISE, madvise(holes, HOLES_BYTES, round % 2 ? MADV_DONTFORK : MADV_DOFORK) == 0);
}

static void move_break(void)
{
	char *old = sbrk((intptr_t)(3 * STEP_BYTES));
	if (!did(CALL_BRK, old != (char *)-1)) /* NOLINT(performance-no-int-to-ptr) */
		return;
	memset(old, 11, 3 * STEP_BYTES);
	expect(old[3 * STEP_BYTES - 1] == 11);
	did(CALL_BRK, sbrk(-(intptr_t)(3 * STEP_BYTES)) != (void *)-1); /* NOLINT(performance-no-int-to-ptr) */
}

static void fork_once(void)
{
	pid_t child = fork();
	if (child == 0)
		_exit(buffer[0] == 7 && buffer[buffer_bytes - 1] == 7 ? 0 : 1);
	int status = 0;
	if (did(CALL_FORK, child > 0 && waitpid(child, &status, 0) == child))
		expect(status == 0);
}

static void begin(struct sample *sample)
{
	if (sample->size_bytes) {
		char *ballast = map_memory(sample->size_bytes, PROT_READ | PROT_WRITE);
		if (!ballast)
			sample_die("grow_in_place: %s", strerror(errno));
		memset(ballast, 1, sample->size_bytes);
	}
	buffer_bytes = BUFFER_MIN;
	buffer = map_memory(buffer_bytes, PROT_READ | PROT_WRITE);
	reserve = map_memory(RESERVE, PROT_NONE);
	holes = map_memory(HOLES_BYTES, PROT_READ | PROT_WRITE);
	if (!buffer || !reserve || !holes)
		sample_die("grow_in_place: %s", strerror(errno));
	memset(buffer, 7, buffer_bytes);
}

static void work(struct sample *sample)
{
	(void)sample;
	for (uint64_t round = 0;; round++) {
		grow_buffer(round);
		open_reserve();
		punch_holes(round);
		move_break();
		if (round % 16 == 0)
			fork_once();
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	size_t used =
		(size_t)snprintf(ret, ret_bytes, ",\"calls\":%" PRIu64 ",\"wrong_bytes\":%" PRIu64, calls, wrong_bytes);
	uint64_t sum = 0;
	for (int i = 0; i < CALL_COUNT; i++) {
		sum += failures[i];
		used += (size_t)snprintf(ret + used, ret_bytes - used,
					 ",\"failed_%s\":%" PRIu64 ",\"errno_%s\":%" PRIu64, call_names[i], failures[i],
					 call_names[i], last_errno[i]);
	}
	snprintf(ret + used, ret_bytes - used, ",\"failed_calls\":%" PRIu64, sum);
}

int main(int argc, char **argv)
{
	struct sample sample = {
		.name = "grow_in_place", .condition = "steady", .begin = begin, .work = work, .describe = describe};
	return sample_main(&sample, argc, argv);
}
