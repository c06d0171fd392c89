/*
 * page_log: what passes have appended comes to its places in the dump, the last copy of a page last. The expectation is
 * kept by the test: for each page, the number that was copied for it last.
 */
#include "unit.h"

#include "dump/copy/page_log_replay.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, PAGE_COUNT = 3000, PASS_COUNT = 5 };
#define BASE UINT64_C(0x10000000)

struct fixture {
	int dump_fd;
	struct lh_page_log log;
	struct lh_layout places;
	struct lh_copy copy;
	uint64_t last[PAGE_COUNT]; /* 0: never copied */
	uint64_t random;
};

static int open_unnamed(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void begin(struct fixture *fixture)
{
	*fixture = (struct fixture){.dump_fd = open_unnamed(), .log = {.fd = open_unnamed()}, .random = 1};
	/* Two pieces, the second one first in the file. */
	const struct lh_piece pieces[] = {
		{.start = BASE, .end = BASE + 1000 * PAGE, .file_offset = 2000 * PAGE, .file_bytes = 1000 * PAGE},
		{.start = BASE + 1000 * PAGE,
		 .end = BASE + PAGE_COUNT * PAGE,
		 .file_offset = 0,
		 .file_bytes = 2000 * PAGE},
	};
	for (size_t i = 0; i < 2; i++)
		assert_success(lh_vec_push(&fixture->places.pieces, pieces[i]));
	const int fds[LH_WRITE_FILE_COUNT] = {fixture->dump_fd, fixture->log.fd};
	assert_success(lh_write_behind_create(fds, "a test's dump", &fixture->copy.writer));
	fixture->copy.layout = &fixture->places;
}

static void end(struct fixture *fixture)
{
	lh_write_behind_destroy(fixture->copy.writer);
	lh_vec_deinit(&fixture->places.pieces);
	close(fixture->log.fd);
	lh_page_log_deinit(&fixture->log);
	close(fixture->dump_fd);
}

static void copy_page(struct fixture *fixture, size_t page, uint64_t number)
{
	uint64_t words[PAGE / sizeof(uint64_t)];
	for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++)
		words[i] = number;
	struct lh_range range = {BASE + page * PAGE, BASE + (page + 1) * PAGE};
	assert_success(lh_copy_from_memory(&fixture->copy, range, (const uint8_t *)words));
	fixture->last[page] = number;
}

/* Each pass takes fewer pages, at random, in ascending order. */
static void run_pass(struct fixture *fixture, unsigned pass)
{
	fixture->copy.log = &fixture->log;
	for (size_t page = 0; page < PAGE_COUNT; page++) {
		if (unit_random(&fixture->random) % (1U << pass) == 0)
			copy_page(fixture, page, 1 + pass * PAGE_COUNT + page);
	}
	fixture->copy.log = NULL;
}

static uint64_t place_of(size_t page)
{
	return page < 1000 ? 2000 + page : page - 1000;
}

static void assert_dump(const struct fixture *fixture)
{
	uint64_t words[PAGE / sizeof(uint64_t)];
	for (size_t page = 0; page < PAGE_COUNT; page++) {
		memset(words, 0, sizeof(words));
		assert_true(pread(fixture->dump_fd, words, PAGE, (off_t)(place_of(page) * PAGE)) >= 0);
		for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++)
			assert_int_equal(words[i], fixture->last[page]);
	}
}

static void the_last_copy_counts(void **state)
{
	struct fixture fixture;
	(void)state;
	begin(&fixture);
	for (size_t page = 0; page < PAGE_COUNT; page += 3)
		copy_page(&fixture, page, 1 + page);
	for (unsigned pass = 1; pass <= PASS_COUNT; pass++)
		run_pass(&fixture, pass);
	assert_true(fixture.log.used_bytes > LH_MIB);
	assert_success(lh_page_log_replay(&fixture.log, &fixture.copy));
	assert_success(lh_write_behind_drain(fixture.copy.writer));
	assert_dump(&fixture);
	end(&fixture);
}

static void an_emptied_log_is_used_again(void **state)
{
	struct fixture fixture;
	(void)state;
	begin(&fixture);
	for (unsigned pass = 1; pass <= PASS_COUNT; pass++) {
		run_pass(&fixture, pass);
		assert_success(lh_page_log_replay(&fixture.log, &fixture.copy));
		assert_int_equal(fixture.log.used_bytes, 0);
		assert_int_equal(lseek(fixture.log.fd, 0, SEEK_END), 0);
	}
	assert_success(lh_write_behind_drain(fixture.copy.writer));
	assert_dump(&fixture);
	end(&fixture);
}

static void a_log_that_lost_bytes_is_an_error(void **state)
{
	struct fixture fixture;
	(void)state;
	begin(&fixture);
	run_pass(&fixture, 1);
	assert_success(lh_write_behind_drain(fixture.copy.writer));
	assert_int_equal(ftruncate(fixture.log.fd, PAGE), 0);
	struct lh_error *error = lh_page_log_replay(&fixture.log, &fixture.copy);
	assert_non_null(error);
	lh_error_destroy(error);
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_copy_counts),
		cmocka_unit_test(an_emptied_log_is_used_again),
		cmocka_unit_test(a_log_that_lost_bytes_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
