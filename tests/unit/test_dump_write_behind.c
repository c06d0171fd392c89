/* write_behind: what is put arrives at its place, in any order, and a failed write is told. */
#include "dump/write_behind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, PAGE_COUNT = 20000 }; /* 80 MiB: the ring goes round */

/* A page's content follows from its number. */
static void fill_page(uint8_t *page, uint64_t number)
{
	for (size_t i = 0; i < PAGE; i += sizeof(number))
		memcpy(page + i, &number, sizeof(number));
}

static uint64_t place_of(uint64_t number)
{
	return (number * 7919 + 13) % PAGE_COUNT; /* a permutation: 7919 and 20000 share no divisor */
}

static void pages_arrive_in_any_order(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	struct lh_write_behind *writer = NULL;
	assert_null(lh_write_behind_create(fileno(file), "a test's file", &writer));
	for (uint64_t number = 0; number < PAGE_COUNT; number++) {
		size_t room_bytes;
		uint8_t *room = lh_write_behind_room(writer, &room_bytes);
		assert_non_null(room);
		assert_true(room_bytes >= PAGE);
		fill_page(room, number);
		lh_write_behind_put(writer, place_of(number) * PAGE, PAGE);
	}
	assert_null(lh_write_behind_finish(writer));
	lh_write_behind_destroy(writer);
	uint8_t expected[PAGE], found[PAGE];
	for (uint64_t number = 0; number < PAGE_COUNT; number++) {
		fill_page(expected, number);
		assert_int_equal(pread(fileno(file), found, PAGE, (off_t)(place_of(number) * PAGE)), PAGE);
		assert_memory_equal(expected, found, PAGE);
	}
	fclose(file);
}

static void a_full_disc_ends_the_copy(void **state)
{
	(void)state;
	int fd = open("/dev/full", O_WRONLY);
	struct lh_write_behind *writer = NULL;
	assert_true(fd >= 0);
	assert_null(lh_write_behind_create(fd, "a test's file", &writer));
	size_t put_count = 0, room_bytes;
	for (uint8_t *room; put_count < PAGE_COUNT && (room = lh_write_behind_room(writer, &room_bytes)); put_count++)
		lh_write_behind_put(writer, put_count * PAGE, PAGE);
	assert_true(put_count < PAGE_COUNT);
	struct lh_error *error = lh_write_behind_finish(writer);
	assert_non_null(error);
	assert_int_equal(lh_error_code(error), LH_ERROR_NO_SPACE);
	assert_non_null(strstr(lh_error_message(error), "a test's file"));
	lh_error_destroy(error);
	lh_write_behind_destroy(writer);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_arrive_in_any_order),
		cmocka_unit_test(a_full_disc_ends_the_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
