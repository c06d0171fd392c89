/*
 * test_base: parsing, formatting, escaping, cursor, vectors, and output files.
 */
#include "unit.h"

#include "base/escaped.h"
#include "leakhunt/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_parse_u64(void **state)
{
	(void)state;
	uint64_t value = 7;
	assert_success(lh_parse_u64("0", &value));
	assert_int_equal(value, 0);
	assert_success(lh_parse_u64("18446744073709551615", &value));
	assert_true(value == UINT64_MAX);
	assert_success(lh_parse_u64("0xfF", &value));
	assert_int_equal(value, 255);
	static const char *const bad[] = {"",
					  " 1",
					  "-1",
					  "+1",
					  "1 ",
					  "0x",
					  "0x-1",
					  "1.5",
					  "a",
					  "1a",
					  "18446744073709551616",
					  "0x10000000000000000",
					  "0x0x10"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++)
		assert_failure(lh_parse_u64(bad[i], &value), LH_ERROR_USAGE);
	assert_int_equal(value, 255);
}

static void test_parse_address(void **state)
{
	(void)state;
	uint64_t addr = 7;
	assert_success(lh_parse_address("0x55d2c0a41000", &addr));
	assert_true(addr == 0x55d2c0a41000);
	/* As /proc/PID/maps has it, also when all digits are decimal ones. */
	assert_success(lh_parse_address("7f3c12aa9000", &addr));
	assert_true(addr == 0x7f3c12aa9000);
	assert_success(lh_parse_address("558123456780", &addr));
	assert_true(addr == 0x558123456780);
	static const char *const bad[] = {"", "0x", " 1", "-1", "1g", "0x0x1", "10000000000000000"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++)
		assert_failure(lh_parse_address(bad[i], &addr), LH_ERROR_USAGE);
	assert_true(addr == 0x558123456780);
}

static void test_parse_bytes_and_duration(void **state)
{
	(void)state;
	uint64_t value;
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {{"4096", 4096}, {"64K", 65536}, {"10M", 10 << 20}, {"1.5GiB", 3ull << 29}, {"2kb", 2048}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(sizes); i++) {
		assert_success(lh_parse_bytes(sizes[i].text, &value));
		assert_true(value == sizes[i].bytes);
	}
	static const struct {
		const char *text;
		uint64_t ns;
	} durations[] = {{"500ms", 500000000},
			 {"2s", 2000000000},
			 {"2", 2000000000},
			 {"1.5h", 5400000000000},
			 {"0.25", 250000000},
			 {"3d", 259200000000000},
			 {"150000d", UINT64_C(12960000000000000000)}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(durations); i++) {
		assert_success(lh_parse_duration(durations[i].text, &value));
		assert_true(value == durations[i].ns);
	}
	static const char *const bad[] = {"", "K", "1..5M", "-1s", "1 M", "1e9", "5x", ".5", "99999999999999999999"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++) {
		assert_failure(lh_parse_bytes(bad[i], &value), LH_ERROR_USAGE);
		assert_failure(lh_parse_duration(bad[i], &value), LH_ERROR_USAGE);
	}
}

static void test_parse_range(void **state)
{
	(void)state;
	struct lh_range range;
	assert_success(lh_parse_range("0x1000-0x2000", &range));
	assert_int_equal(range.start, 0x1000);
	assert_int_equal(range.end, 0x2000);
	assert_success(lh_parse_range("7fff00000000-7fff00001000", &range));
	assert_true(range.start == 0x7fff00000000);
	static const char *const bad[] = {"", "-", "1000", "2000-1000", "1000-1000", "x-y", "1000-2000z", "0x-0x1"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(bad); i++)
		assert_failure(lh_parse_range(bad[i], &range), LH_ERROR_USAGE);
}

static void test_format(void **state)
{
	(void)state;
	char text[LH_FORMAT_MAX];
	assert_string_equal(lh_format_bytes(0, text), "0 B");
	assert_string_equal(lh_format_bytes(1023, text), "1023 B");
	assert_string_equal(lh_format_bytes(1024, text), "1.00 KiB");
	assert_string_equal(lh_format_bytes(12595, text), "12.3 KiB");
	assert_string_equal(lh_format_bytes(1024 * 1024 - 1, text), "1.00 MiB");
	assert_string_equal(lh_format_bytes(UINT64_MAX, text), "16.0 EiB");
	assert_string_equal(lh_format_signed_bytes(INT64_MIN, text), "-8.00 EiB");
	assert_string_equal(lh_format_signed_bytes(2048, text), "+2.00 KiB");
	assert_string_equal(lh_format_count(0, text), "0");
	assert_string_equal(lh_format_count(1234567, text), "1,234,567");
	assert_string_equal(lh_format_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
	assert_string_equal(lh_format_duration(999, text), "999 ns");
	assert_string_equal(lh_format_duration(1400000, text), "1.40 ms");
	assert_string_equal(lh_format_duration(12 * LH_NS_PER_S, text), "12.0 s");
	assert_string_equal(lh_format_duration(11520 * LH_NS_PER_S, text), "3h 12m");
	assert_string_equal(lh_format_duration(3 * 86400 * LH_NS_PER_S, text), "3d 00h");
	assert_string_equal(lh_format_chance(0, text), "under 1 %");
	assert_string_equal(lh_format_chance(0.849, text), "84 %");
	assert_string_equal(lh_format_chance(1, text), "over 99 %");
}

static void assert_escapes_to(const char *bytes, size_t length, const char *expected)
{
	struct lh_buffer escaped = {0}, back = {0};
	lh_buffer_escape(&escaped, bytes, length);
	assert_success(lh_buffer_status(&escaped));
	assert_string_equal(escaped.data, expected);
	lh_buffer_unescape(&back, escaped.data, escaped.length);
	assert_int_equal(back.length, length);
	assert_memory_equal(back.data, bytes, length);
	lh_buffer_deinit(&escaped);
	lh_buffer_deinit(&back);
}

static void test_escape(void **state)
{
	(void)state;
	assert_escapes_to("plain", 5, "plain");
	assert_escapes_to("a\x1b[2Jb", 6, "a\\x1b[2Jb");
	assert_escapes_to("back\\slash", 10, "back\\\\slash");
	assert_escapes_to("\\x41", 4, "\\\\x41");
	assert_escapes_to("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
	assert_escapes_to("\xc2\x9b"
			  "31m",
			  5, "\\xc2\\x9b31m"); /* C1 CSI */
	assert_escapes_to("\xe2\x80\xae"
			  "x",
			  4, "\\xe2\\x80\\xaex"); /* right-to-left override */
	assert_escapes_to("\xc0\xaf\xed\xa0\x80\xff", 6, "\\xc0\\xaf\\xed\\xa0\\x80\\xff");
	assert_escapes_to("\xf0\x9f\x98", 3, "\\xf0\\x9f\\x98"); /* cut off */
	assert_escapes_to("a\0b", 3, "a\\x00b");
}

static size_t encode_utf8(uint32_t character, uint8_t ret[4])
{
	if (character < 0x80) {
		ret[0] = (uint8_t)character;
		return 1;
	}
	size_t count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	for (size_t i = count - 1; i; i--, character >>= 6)
		ret[i] = (uint8_t)(0x80 | (character & 0x3f));
	ret[0] = (uint8_t)((0xf00 >> count) | character);
	return count;
}

/* What turns the direction of text around, and what is not drawn at all: no byte of it may come through. */
static void test_escape_of_invisible_characters(void **state)
{
	(void)state;
	static const uint32_t hidden[] = {0xad,   0x34f,  0x61c,  0x180e, 0x200b, 0x200d, 0x200e,  0x200f,  0x2028,
					  0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2066,  0x2067,  0x2068,
					  0x2069, 0x3164, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xe0001, 0xe0041, 0xe01ef};
	static const uint32_t visible[] = {0x20, 0x7e, 0xe9, 0x5d0, 0x627, 0x4e2d, 0x1f600};
	for (size_t i = 0; i < LH_ARRAY_COUNT(hidden) + LH_ARRAY_COUNT(visible); i++) {
		bool is_hidden = i < LH_ARRAY_COUNT(hidden);
		uint8_t bytes[4];
		size_t count = encode_utf8(is_hidden ? hidden[i] : visible[i - LH_ARRAY_COUNT(hidden)], bytes);
		struct lh_buffer text = {0};
		lh_buffer_escape(&text, bytes, count);
		assert_int_equal(text.length, is_hidden ? 4 * count : count);
		assert_true(!is_hidden || strncmp(text.data, "\\x", 2) == 0);
		lh_buffer_deinit(&text);
	}
}

static void test_escape_is_utf8(void **state)
{
	(void)state;
	uint64_t random = 1;
	for (int round = 0; round < 2000; round++) {
		uint8_t bytes[64];
		size_t length = unit_random(&random) % sizeof(bytes);
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)unit_random(&random);
		json_t *text = lh_json_text(bytes, length); /* jansson refuses invalid UTF-8 */
		assert_non_null(text);
		json_t *object = json_pack("{s:o}", "text", text);
		struct lh_buffer back = {0};
		assert_true(lh_json_get_text(object, "text", &back));
		assert_int_equal(back.length, length);
		if (length)
			assert_memory_equal(back.data, bytes, length);
		lh_buffer_deinit(&back);
		json_decref(object);
	}
}

static void test_json_addresses(void **state)
{
	(void)state;
	struct lh_error *error = NULL;
	static const char text[] = "{\"a\":\"0xffffffffffffffff\",\"n\":12,\"bad\":\"zz\",\"neg\":-1,\"b\":true}";
	json_t *object = lh_json_parse(text, strlen(text), &error);
	assert_non_null(object);
	uint64_t value = 0;
	bool flag = false;
	assert_true(lh_json_get_address(object, "a", &value));
	assert_true(value == UINT64_MAX);
	assert_true(lh_json_get_u64(object, "n", &value));
	assert_int_equal(value, 12);
	assert_true(lh_json_get_bool(object, "b", &flag) && flag);
	assert_false(lh_json_get_address(object, "bad", &value));
	assert_false(lh_json_get_address(object, "n", &value));
	assert_false(lh_json_get_u64(object, "neg", &value));
	assert_false(lh_json_get_u64(object, "missing", &value));
	json_decref(object);
	assert_null(lh_json_parse("{", 1, &error));
	assert_failure(error, LH_ERROR_FORMAT);
}

static void test_cursor(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct lh_cursor cursor = lh_cursor_over(bytes, sizeof(bytes));
	assert_int_equal(lh_cursor_be16(&cursor), 0x0102);
	lh_cursor_align(&cursor, bytes, 4);
	assert_int_equal(lh_cursor_le32(&cursor), 0x08070605);
	assert_int_equal(lh_cursor_left(&cursor), 1);
	assert_int_equal(lh_cursor_be24(&cursor), 0);
	assert_true(cursor.failed);
	assert_int_equal(lh_cursor_u8(&cursor), 0); /* failed for good */
	cursor = lh_cursor_over(bytes, sizeof(bytes));
	assert_null(lh_cursor_take(&cursor, SIZE_MAX));
	assert_true(cursor.failed);
}

static void test_vec_sort(void **state)
{
	(void)state;
	LH_VEC(uint64_t) words = {0};
	lh_vec_sort(&words, lh_compare_words);
	assert_null(words.items);
	for (uint64_t i = 0; i < 100; i++)
		assert_success(lh_vec_push(&words, i * 37 % 101));
	lh_vec_sort(&words, lh_compare_words);
	for (size_t i = 1; i < words.count; i++)
		assert_true(words.items[i - 1] < words.items[i]);
	lh_vec_deinit(&words);
}

static void test_joined_ranges(void **state)
{
	(void)state;
	struct lh_range ranges[] = {{50, 60}, {10, 20}, {15, 18}, {20, 25}, {28, 40}};
	assert_int_equal(lh_range_join_all(NULL, 0, 0), 0);
	assert_int_equal(lh_range_join_all(ranges, LH_ARRAY_COUNT(ranges), 0), 3);
	assert_memory_equal(ranges, ((struct lh_range[]){{10, 25}, {28, 40}, {50, 60}}), 3 * sizeof(*ranges));
	assert_int_equal(lh_range_join_all(ranges, 3, 3), 2);
	assert_memory_equal(ranges, ((struct lh_range[]){{10, 40}, {50, 60}}), 2 * sizeof(*ranges));
}

static void test_vector_and_pool(void **state)
{
	(void)state;
	LH_VEC(int) numbers = {0};
	for (int i = 0; i < 1000; i++)
		assert_success(lh_vec_push(&numbers, i * 3));
	assert_int_equal(numbers.items[999], 2997);
	lh_vec_deinit(&numbers);
	size_t capacity = 4;
	assert_null(lh_vec_grown(NULL, &capacity, 1, SIZE_MAX, 8));
	assert_null(lh_vec_grown(NULL, &capacity, 0, SIZE_MAX / 4, 8));
	assert_int_equal(capacity, 4);

	struct lh_strings_pool pool = {0};
	const char *first, *second, *large;
	char big[40000];
	memset(big, 'x', sizeof(big));
	assert_success(lh_strings_pool_add(&pool, "abcdef", 3, &first));
	assert_success(lh_strings_pool_add(&pool, "abc", 3, &second));
	assert_ptr_equal(first, second);
	assert_success(lh_strings_pool_add(&pool, big, sizeof(big), &large));
	assert_int_equal(strlen(large), sizeof(big));
	assert_string_equal(first, "abc");
	lh_strings_pool_deinit(&pool);
}

static void test_error_text(void **state)
{
	(void)state;
	struct lh_error *error = lh_error_from_errno(ENOSPC, "cannot write %s", "x");
	assert_int_equal(lh_error_code(error), LH_ERROR_NO_SPACE);
	assert_string_equal(lh_error_message(error), "cannot write x: No space left on device");
	error = lh_error_hint(error, "first");
	error = lh_error_hint(error, "use %s", "-o");
	assert_string_equal(lh_error_hint_text(error), "use -o");
	lh_error_destroy(error);
	lh_error_destroy(NULL);
	lh_error_destroy(lh_error_no_memory());
}

/* ---------------------------------------------------------------- output files */

struct folder {
	char path[64];
	char file[96];
};

static int make_folder(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	snprintf(folder->path, sizeof(folder->path), "/tmp/leakhunt-unit.XXXXXX");
	if (!mkdtemp(folder->path))
		return -1;
	snprintf(folder->file, sizeof(folder->file), "%s/out", folder->path);
	*state = folder;
	return 0;
}

/* Fails when a file is left that the test did not remove. */
static int remove_folder(void **state)
{
	struct folder *folder = *state;
	unlink(folder->file);
	int status = rmdir(folder->path);
	free(folder);
	return status;
}

static void test_outfile_commit(void **state)
{
	const struct folder *folder = *state;
	struct lh_outfile *file = NULL;
	assert_success(lh_outfile_create(folder->file, false, &file));
	assert_int_equal(access(folder->file, F_OK), -1);
	assert_success(lh_fd_write_all(lh_outfile_fd(file), "out", "hello", 5));
	assert_success(lh_outfile_commit(file));
	lh_outfile_destroy(file);
	struct stat status;
	assert_int_equal(stat(folder->file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(status.st_size, 5);
	assert_failure(lh_outfile_create(folder->file, false, &file), LH_ERROR_EXISTS);
	assert_success(lh_outfile_create(folder->file, true, &file));
	assert_success(lh_outfile_commit(file));
	lh_outfile_destroy(file);
	assert_int_equal(stat(folder->file, &status), 0);
	assert_int_equal(status.st_size, 0);
}

static void test_outfile_abandoned(void **state)
{
	const struct folder *folder = *state;
	struct lh_outfile *file = NULL;
	assert_success(lh_outfile_create(folder->file, false, &file));
	assert_success(lh_fd_pwrite_all(lh_outfile_fd(file), "out", "x", 1, 1 << 20));
	lh_outfile_destroy(file);
	assert_int_equal(access(folder->file, F_OK), -1);
}

static void test_outfile_does_not_overwrite_a_late_comer(void **state)
{
	const struct folder *folder = *state;
	struct lh_outfile *file = NULL;
	assert_success(lh_outfile_create(folder->file, false, &file));
	int other = open(folder->file, O_CREAT | O_EXCL | O_WRONLY, 0644);
	assert_true(other >= 0);
	close(other);
	assert_failure(lh_outfile_commit(file), LH_ERROR_EXISTS);
	lh_outfile_destroy(file);
}

static void assert_content(const char *path, const char *expected)
{
	struct lh_buffer text = {0};
	assert_success(lh_file_read(path, 100, &text));
	assert_string_equal(text.data, expected);
	lh_buffer_deinit(&text);
}

static void put_text(struct lh_outfile *file, const char *text)
{
	assert_success(lh_fd_write_all(lh_outfile_fd(file), "out", text, strlen(text)));
}

/* The second can't take its name: the first has the content that it had before, or is not there. */
static void test_outfile_neither(void **state)
{
	const struct folder *folder = *state;
	char index[128];
	snprintf(index, sizeof(index), "%s/index", folder->path);
	for (int exists = 0; exists < 2; exists++) {
		struct lh_outfile *first = NULL, *second = NULL;
		assert_success(lh_outfile_create(folder->file, true, &first));
		assert_success(lh_outfile_create(index, false, &second));
		put_text(first, "new");
		assert_int_equal(mkdir(index, 0700), 0);
		assert_failure(lh_outfile_commit_both(first, second), LH_ERROR_EXISTS);
		lh_outfile_destroy(first);
		lh_outfile_destroy(second);
		assert_int_equal(rmdir(index), 0);
		if (exists)
			assert_content(folder->file, "old");
		assert_int_equal(access(folder->file, F_OK), exists ? 0 : -1);
		assert_success(lh_outfile_create(folder->file, true, &first));
		put_text(first, "old");
		assert_success(lh_outfile_commit(first));
		lh_outfile_destroy(first);
	}
}

static void test_outfile_both(void **state)
{
	const struct folder *folder = *state;
	char index[128];
	struct lh_outfile *first = NULL, *second = NULL;
	snprintf(index, sizeof(index), "%s/index", folder->path);
	assert_success(lh_outfile_create(folder->file, true, &first));
	assert_success(lh_outfile_create(index, false, &second));
	put_text(first, "new");
	put_text(second, "index");
	assert_success(lh_outfile_commit_both(first, second));
	lh_outfile_destroy(first);
	lh_outfile_destroy(second);
	assert_content(folder->file, "new");
	assert_content(index, "index");
	assert_int_equal(unlink(index), 0);
}

/* Nothing has a name before the commit: whoever is killed leaves nothing. */
static void test_outfile_has_no_name(void **state)
{
	const struct folder *folder = *state;
	struct lh_outfile *file = NULL;
	assert_success(lh_outfile_create(folder->file, false, &file));
	struct stat status;
	assert_int_equal(fstat(lh_outfile_fd(file), &status), 0);
	int probe = open(folder->path, O_TMPFILE | O_RDWR, 0600);
	if (probe < 0) {
		lh_outfile_destroy(file);
		skip_because("the file system has no O_TMPFILE");
	}
	close(probe);
	assert_int_equal(status.st_nlink, 0);
	lh_outfile_destroy(file);
}

static void test_outfile_bad_names(void **state)
{
	const struct folder *folder = *state;
	struct lh_outfile *file = NULL;
	assert_failure(lh_outfile_create("", false, &file), LH_ERROR_USAGE);
	assert_failure(lh_outfile_create(folder->path, true, &file), LH_ERROR_USAGE);
	assert_failure(lh_outfile_create("/dev/null", true, &file), LH_ERROR_USAGE);
	assert_failure(lh_outfile_create("/nonexistent/folder/out", false, &file), LH_ERROR_SYSTEM);
	assert_null(file);
}

static void test_file_read(void **state)
{
	const struct folder *folder = *state;
	struct lh_buffer text = {0};
	int fd = open(folder->file, O_CREAT | O_WRONLY, 0600);
	char block[1000];
	memset(block, 'z', sizeof(block));
	for (int i = 0; i < 300; i++)
		assert_success(lh_fd_write_all(fd, "out", block, sizeof(block)));
	close(fd);
	assert_success(lh_file_read(folder->file, 1 << 20, &text));
	assert_int_equal(text.length, 300000);
	lh_buffer_deinit(&text);
	assert_failure(lh_file_read(folder->file, 1000, &text), LH_ERROR_FORMAT);
	lh_buffer_deinit(&text);
	assert_failure(lh_file_read(folder->path, 1000, &text), LH_ERROR_FORMAT);
	lh_buffer_deinit(&text);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_address),
		cmocka_unit_test(test_parse_bytes_and_duration),
		cmocka_unit_test(test_parse_range),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_of_invisible_characters),
		cmocka_unit_test(test_escape_is_utf8),
		cmocka_unit_test(test_json_addresses),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_vector_and_pool),
		cmocka_unit_test(test_vec_sort),
		cmocka_unit_test(test_joined_ranges),
		cmocka_unit_test(test_error_text),
		IN_FOLDER(test_outfile_commit),
		IN_FOLDER(test_outfile_abandoned),
		IN_FOLDER(test_outfile_does_not_overwrite_a_late_comer),
		IN_FOLDER(test_outfile_neither),
		IN_FOLDER(test_outfile_both),
		IN_FOLDER(test_outfile_has_no_name),
		IN_FOLDER(test_outfile_bad_names),
		IN_FOLDER(test_file_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
