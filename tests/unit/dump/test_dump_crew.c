/*
 * crew: each piece of work is done once, whoever does it, also when rounds follow each other at once; and shared
 * reading gives the bytes that are there, up to the first that can't be read.
 */
#include "unit.h"

#include "dump/plan/crew_read.h"
#include "leakhunt/process.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECES = 1000, ROUNDS = 200, PAGE = 4096, PAGE_COUNT = 512 };

struct counts {
	atomic_int done[PIECES];
	atomic_size_t members;
};

static void count_piece(void *context, size_t member, size_t number)
{
	struct counts *counts = context;
	atomic_fetch_add(&counts->done[number], 1);
	atomic_fetch_or(&counts->members, (size_t)1 << member);
}

static void assert_rounds(struct lh_crew *crew)
{
	struct counts counts = {0};
	for (int round = 1; round <= ROUNDS; round++) {
		lh_crew_run(crew, count_piece, &counts, PIECES);
		for (size_t i = 0; i < PIECES; i++)
			assert_int_equal(counts.done[i], round);
	}
	assert_true(counts.members < (size_t)1 << lh_crew_size(crew));
}

static void each_piece_is_done_once(void **state)
{
	struct lh_crew *crew = NULL;
	(void)state;
	assert_success(lh_crew_create(LH_CREW_MEMBERS_MAX, &crew));
	assert_true(lh_crew_size(crew) >= 1 && lh_crew_size(crew) <= LH_CREW_MEMBERS_MAX);
	assert_rounds(crew);
	lh_crew_destroy(crew);
}

static void without_a_crew_the_caller_works(void **state)
{
	(void)state;
	assert_int_equal(lh_crew_size(NULL), 1);
	assert_rounds(NULL);
}

/* Pages that lie apart, in an order of their own; the last one is unreadable when `hole`. */
static void assert_reading(struct lh_crew *crew, size_t hole)
{
	struct lh_process *process = NULL;
	struct lh_range ranges[PAGE_COUNT];
	uint8_t *memory =
		mmap(NULL, (size_t)2 * PAGE_COUNT * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *expected = malloc((size_t)PAGE_COUNT * PAGE), *found = malloc((size_t)PAGE_COUNT * PAGE);
	assert_true(memory != MAP_FAILED && expected && found);
	assert_success(lh_process_open(getpid(), &process));
	for (size_t i = 0; i < PAGE_COUNT; i++) {
		uint8_t *page = memory + i * 7919 % PAGE_COUNT * 2 * PAGE;
		memset(page, (int)(i % 251) + 1, PAGE);
		memcpy(expected + i * PAGE, page, PAGE);
		ranges[i] = (struct lh_range){(uintptr_t)page, (uintptr_t)page + PAGE};
		if (i == hole)
			munmap(page, PAGE);
	}
	size_t whole = hole < PAGE_COUNT ? hole : PAGE_COUNT;
	assert_int_equal(lh_crew_read_ranges(crew, process, ranges, PAGE_COUNT, found), whole * PAGE);
	assert_memory_equal(expected, found, whole * PAGE);
	lh_process_close(process);
	munmap(memory, (size_t)2 * PAGE_COUNT * PAGE);
	free(expected);
	free(found);
}

static void shared_reading_is_reading(void **state)
{
	struct lh_crew *crew = NULL;
	(void)state;
	assert_success(lh_crew_create(LH_CREW_MEMBERS_MAX, &crew));
	const size_t holes[] = {PAGE_COUNT, 0, 1, PAGE_COUNT / 2 - 1, PAGE_COUNT / 2, PAGE_COUNT - 1};
	for (size_t i = 0; i < LH_ARRAY_COUNT(holes); i++) {
		assert_reading(crew, holes[i]);
		assert_reading(NULL, holes[i]);
	}
	lh_crew_destroy(crew);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_piece_is_done_once),
		cmocka_unit_test(without_a_crew_the_caller_works),
		cmocka_unit_test(shared_reading_is_reading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
