/* write_behind: what is put arrives at its place, in any order, by whichever way, and a failed write is told. */
#include "unit.h"

#include "dump/copy/write_behind.h"

#include <fcntl.h>
#include <sys/mman.h>
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

static struct lh_write_behind *start_writer(int dump_fd, int log_fd)
{
	const int fds[LH_WRITE_FILE_COUNT] = {[LH_WRITE_DUMP] = dump_fd, [LH_WRITE_LOG] = log_fd};
	struct lh_write_behind *writer = NULL;
	assert_null(lh_write_behind_create(fds, "a test's file", &writer));
	return writer;
}

/* One behind the other, as many at a time as there is room for. */
static void put_pages(struct lh_write_behind *writer, enum lh_write_file file, uint64_t first, uint64_t count)
{
	for (uint64_t number = first; number < first + count;) {
		size_t room_bytes, bytes = 0;
		uint8_t *room;
		assert_null(lh_write_behind_room(writer, &room, &room_bytes));
		for (uint64_t offset = number * PAGE; bytes + PAGE <= room_bytes && number < first + count; number++) {
			fill_page(room + bytes, number);
			bytes += PAGE;
			if (bytes + PAGE > room_bytes || number + 1 == first + count)
				lh_write_behind_put(writer, file, offset, bytes);
		}
	}
}

static void assert_pages(int fd, uint64_t first, uint64_t count)
{
	uint8_t expected[PAGE], found[PAGE];
	for (uint64_t number = first; number < first + count; number++) {
		fill_page(expected, number);
		assert_int_equal(pread(fd, found, PAGE, (off_t)(number * PAGE)), PAGE);
		assert_memory_equal(expected, found, PAGE);
	}
}

/* How many of the file's pages are in the page cache. */
static size_t cached_pages(int fd, uint64_t count)
{
	void *map = mmap(NULL, count * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned char *resident = malloc(count);
	size_t cached = 0;
	assert_true(map != MAP_FAILED && resident);
	assert_int_equal(mincore(map, count * PAGE, resident), 0);
	for (uint64_t i = 0; i < count; i++)
		cached += resident[i] & 1;
	free(resident);
	munmap(map, count * PAGE);
	return cached;
}

/* The disk's folder: /tmp may be in memory, where all is cache. */
static int open_on_disk(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void a_large_dump_passes_the_page_cache_by(void **state)
{
	enum { LARGE_COUNT = 98304 }; /* 384 MiB */
	(void)state;
	int fd = open_on_disk(), direct_fd = lh_fd_open_direct(fd);
	if (direct_fd < 0) {
		close(fd);
		skip_because("the file system has no O_DIRECT");
	}
	close(direct_fd);
	struct lh_write_behind *writer = start_writer(fd, -1);
	put_pages(writer, LH_WRITE_DUMP, 0, LARGE_COUNT);
	assert_null(lh_write_behind_finish(writer));
	lh_write_behind_destroy(writer);
	assert_true(cached_pages(fd, LARGE_COUNT) <= LARGE_COUNT * 3 / 4);
	assert_pages(fd, 0, LARGE_COUNT);
	close(fd);
}

static void two_files_keep_apart_and_can_be_read_when_drained(void **state)
{
	(void)state;
	FILE *dump = tmpfile(), *log = tmpfile();
	struct lh_write_behind *writer = start_writer(fileno(dump), fileno(log));
	for (uint64_t number = 0; number < 4096; number += 64) {
		put_pages(writer, number / 64 % 2 ? LH_WRITE_LOG : LH_WRITE_DUMP, number, 64);
		if (number % 1024)
			continue;
		assert_null(lh_write_behind_drain(writer));
		assert_pages(fileno(dump), number, 64);
	}
	assert_null(lh_write_behind_drain(writer));
	for (uint64_t number = 0; number < 4096; number += 64)
		assert_pages(fileno(number / 64 % 2 ? log : dump), number, 64);
	assert_null(lh_write_behind_finish(writer));
	lh_write_behind_destroy(writer);
	fclose(dump);
	fclose(log);
}

static void pages_arrive_in_any_order(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	struct lh_write_behind *writer = start_writer(fileno(file), -1);
	for (uint64_t number = 0; number < PAGE_COUNT; number++) {
		size_t room_bytes;
		uint8_t *room;
		assert_null(lh_write_behind_room(writer, &room, &room_bytes));
		assert_true(room_bytes >= PAGE);
		fill_page(room, number);
		lh_write_behind_put(writer, LH_WRITE_DUMP, place_of(number) * PAGE, PAGE);
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

static void assert_says_why(struct lh_error *error, enum lh_error_code code)
{
	assert_non_null(error);
	assert_int_equal(lh_error_code(error), code);
	assert_non_null(strstr(lh_error_message(error), "a test's file"));
	lh_error_destroy(error);
}

static void a_full_disk_ends_the_copy(void **state)
{
	(void)state;
	int fd = open("/dev/full", O_WRONLY);
	assert_true(fd >= 0);
	struct lh_write_behind *writer = start_writer(fd, -1);
	struct lh_error *error = NULL;
	size_t put_count = 0;
	while (!error && put_count < PAGE_COUNT) {
		uint8_t *room;
		size_t room_bytes;
		error = lh_write_behind_room(writer, &room, &room_bytes);
		if (!error)
			lh_write_behind_put(writer, LH_WRITE_DUMP, put_count++ * PAGE, PAGE);
	}
	assert_true(put_count < PAGE_COUNT);
	assert_says_why(error, LH_ERROR_NO_SPACE);
	/* The reason has been taken; that it failed is said all the same, and nobody waits. */
	assert_says_why(lh_write_behind_check(writer), LH_ERROR_SYSTEM);
	assert_says_why(lh_write_behind_drain(writer), LH_ERROR_SYSTEM);
	assert_says_why(lh_write_behind_finish(writer), LH_ERROR_SYSTEM);
	lh_write_behind_destroy(writer);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_arrive_in_any_order),
		cmocka_unit_test(a_large_dump_passes_the_page_cache_by),
		cmocka_unit_test(two_files_keep_apart_and_can_be_read_when_drained),
		cmocka_unit_test(a_full_disk_ends_the_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
