/*
 * test_image_file: what lh_image_open_file makes of files that are no cores: plain bytes, sparse ones,
 * raw dumps with an index, and things that can't be opened at all.
 */
#include "unit.h"

#include "image/view.h"
#include "leakhunt/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/leakhunt-image-XXXXXX";
static char path[128], index_path[136];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	snprintf(index_path, sizeof(index_path), "%s.json", path);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(path);
	unlink(index_path);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void write_file(const char *name, const void *bytes, size_t length)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void an_empty_file_is_an_empty_image(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	write_file(path, "", 0);
	assert_success(lh_image_open_file(path, NULL, &image));
	size_t count;
	lh_image_segments(image, &count);
	assert_int_equal(count, 0);
	assert_int_equal(lh_image_file_bytes(image), 0);
	assert_int_equal(lh_image_walk_bytes(image, LH_WALK_CONTEXT), 0);
	assert_int_equal(lh_image_read(image, 0, &count, 1), 0);
	assert_null(lh_image_view(image, 0, &count));
}

static void what_is_no_file_is_a_usage_error(void **state)
{
	(void)state;
	struct lh_image *image = NULL;
	assert_failure(lh_image_open_file(folder, NULL, &image), LH_ERROR_FORMAT);
	assert_failure(lh_image_open_file("/dev/null", NULL, &image), LH_ERROR_FORMAT);
	assert_failure(lh_image_open_file(path, NULL, &image), LH_ERROR_SYSTEM);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_failure(lh_image_open_file(path, NULL, &image), LH_ERROR_FORMAT);
	assert_null(image);
}

static void plain_bytes_have_offsets_or_a_base(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *plain = NULL;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *based = NULL;
	struct lh_image *impossible = NULL;
	char bytes[8];
	write_file(path, "0123456789", 10);
	assert_success(lh_image_open_file(path, NULL, &plain));
	assert_int_equal(lh_image_source(plain), LH_IMAGE_RAW);
	assert_false(lh_image_has_addresses(plain));
	assert_int_equal(lh_image_read(plain, 6, bytes, 8), 4);
	assert_memory_equal(bytes, "6789", 4);

	struct lh_image_options options = {.raw_base = 0x7000};
	assert_success(lh_image_open_file(path, &options, &based));
	assert_true(lh_image_has_addresses(based));
	assert_int_equal(lh_image_read(based, 0x7002, bytes, 1), 1);
	assert_int_equal(bytes[0], '2');
	options.raw_base = UINT64_MAX - 3;
	assert_failure(lh_image_open_file(path, &options, &impossible), LH_ERROR_USAGE);
}

/* ---------------------------------------------------------------- sparse files */

struct walk_record {
	uint64_t bytes;
	size_t blocks;
	bool has_data[64]; /* whether the 1 MiB piece has a byte that is not zero */
};

static struct lh_error *record(void *context, const struct lh_block *block)
{
	struct walk_record *seen = context;
	seen->bytes += block->bytes;
	seen->blocks++;
	for (size_t i = 0; i < block->bytes; i++)
		seen->has_data[(block->addr + i) >> 20] |= block->data[i] != 0;
	return NULL;
}

static void holes_are_not_walked(void **state)
{
	(void)state;
	int fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	static const int places[] = {3, 4, 20, 63};
	char page[4096];
	memset(page, 'x', sizeof(page));
	for (size_t i = 0; i < LH_ARRAY_COUNT(places); i++)
		assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)places[i] << 20), sizeof(page));
	if (lseek(fd, 0, SEEK_HOLE) != 0) {
		close(fd);
		skip_because("the file system keeps no holes");
	}
	close(fd);
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_file(path, NULL, &image));
	struct walk_record seen = {0};
	assert_success(lh_image_walk(image, 0, record, &seen));
	assert_int_equal(seen.blocks, LH_ARRAY_COUNT(places));
	assert_int_equal(seen.bytes, lh_image_walk_bytes(image, 0));
	assert_true(seen.bytes < 64 * LH_KIB);
	for (size_t i = 0, place = 0; i < 64; i++) {
		bool expected = place < LH_ARRAY_COUNT(places) && places[place] == (int)i;
		assert_int_equal(seen.has_data[i], expected);
		place += expected;
	}
	assert_int_equal(lh_image_read(image, 30 << 20, page, 16), 16);
	assert_int_equal(page[0], 0);
}

static struct lh_error *check_margin(void *context, const struct lh_block *block)
{
	bool *is_seen = context;
	/* 4-byte characters: three bytes of one may lie in the hole, on either side. */
	assert_int_equal(block->addr, (1 << 20) - 16);
	assert_int_equal(block->bytes, 4096 + 32);
	assert_int_equal(block->data[15], 0);
	assert_int_equal(block->data[16], 'x');
	assert_int_equal(block->bytes_before, LH_BLOCK_OVERLAP);
	assert_int_equal(block->bytes_after, LH_BLOCK_OVERLAP);
	*is_seen = true;
	return NULL;
}

static void a_little_of_each_hole_is_walked(void **state)
{
	(void)state;
	int fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	char page[4096];
	memset(page, 'x', sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 1 << 20), sizeof(page));
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	bool has_holes = lseek(fd, 0, SEEK_HOLE) == 0;
	close(fd);
	if (!has_holes)
		skip_because("the file system keeps no holes");
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_file(path, NULL, &image));
	bool is_seen = false;
	assert_success(lh_image_walk(image, 0, check_margin, &is_seen));
	assert_true(is_seen);
}

/* ---------------------------------------------------------------- an index beside it */

static struct lh_error *open_with_index(const char *json, bool raw, struct lh_image **ret)
{
	struct lh_image_options options = {.raw = raw};
	write_file(index_path, json, strlen(json));
	return lh_image_open_file(path, &options, ret);
}

static const char good_index[] =
	"{\"leakhunt_raw\":1,\"extents\":["
	"{\"start\":\"0x5000\",\"end\":\"0x5004\",\"offset\":6,\"kind\":\"heap\",\"perms\":\"rw-p\",\"name\":\"[heap]"
	"\"},"
	"{\"start\":\"0x9000\",\"end\":\"0x9010\",\"offset\":2,\"kind\":\"anon\",\"perms\":\"rw-p\",\"name\":\"\","
	"\"context\":true}],"
	"\"modules\":[{\"start\":\"0x100\",\"end\":\"0x200\",\"path\":\"/m\"}],"
	"\"gaps\":[{\"start\":\"0x5002\",\"end\":\"0x5003\",\"reason\":\"swapped\"}],\"capture\":{\"pid\":12}}";

/* What smaps says of this file's mapping in this process. */
static long mapped_kib(void)
{
	char line[512];
	long kib = -1;
	bool is_found = false;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	assert_non_null(smaps);
	while (kib < 0 && fgets(line, sizeof(line), smaps)) {
		is_found |= strstr(line, path) != NULL;
		if (is_found)
			(void)sscanf(line, "Rss: %ld", &kib);
	}
	fclose(smaps);
	return kib;
}

struct let_go {
	struct lh_image *image;
	const uint8_t *expected;
};

static struct lh_error *read_and_let_go(void *context, const struct lh_block *block)
{
	static const uint8_t elsewhere[8192];
	struct let_go *let_go = context;
	assert_memory_equal(block->data, let_go->expected, block->bytes);
	assert_true(mapped_kib() >= 64);
	struct lh_block part = *block, foreign = *block;
	foreign.data = elsewhere;
	foreign.bytes = sizeof(elsewhere);
	lh_image_let_go(let_go->image, &foreign);
	part.data += 100;
	part.bytes = 100;
	lh_image_let_go(let_go->image, &part); /* of no page more than a part */
	assert_true(mapped_kib() >= 64);
	lh_image_let_go(let_go->image, block);
	assert_int_equal(mapped_kib(), 0);
	assert_memory_equal(block->data, let_go->expected, block->bytes);
	return NULL;
}

static void pages_let_go_come_back(void **state)
{
	(void)state;
	static uint8_t bytes[64 * 1024];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(1 + i % 251);
	write_file(path, bytes, sizeof(bytes));
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	assert_success(lh_image_open_file(path, NULL, &image));
	struct let_go let_go = {image, bytes};
	assert_success(lh_image_walk(image, 0, read_and_let_go, &let_go));
}

static void an_index_gives_addresses(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	char bytes[32];
	size_t count;
	write_file(path, "0123456789", 10);
	assert_success(open_with_index(good_index, false, &image));
	assert_true(lh_image_has_addresses(image));
	assert_int_equal(lh_image_pid(image), 12);
	assert_int_equal(lh_image_modules(image)->modules.count, 1);
	assert_int_equal(lh_image_find(image, 0x5000)->kind, LH_REGION_HEAP);
	assert_string_equal(lh_image_find(image, 0x5000)->name, "[heap]");
	assert_int_equal(lh_image_find(image, 0x5000)->protection, LH_PROT_READ | LH_PROT_WRITE);
	assert_int_equal(lh_image_read(image, 0x5000, bytes, 4), 2);
	assert_memory_equal(bytes, "67", 2);
	assert_int_equal(lh_image_read(image, 0x9000, bytes, 32), 8);
	assert_memory_equal(bytes, "23456789", 8);
	const struct lh_gap *gaps = lh_image_gaps(image, &count);
	assert_int_equal(count, 2);
	assert_string_equal(lh_gap_reason_name(gaps[0].reason), "swapped");
	assert_string_equal(lh_gap_reason_name(gaps[1].reason), "truncated");
	assert_int_equal(lh_image_walk_bytes(image, 0), 3);
}

static void raw_ignores_the_index(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	write_file(path, "0123456789", 10);
	assert_success(open_with_index(good_index, true, &image));
	assert_false(lh_image_has_addresses(image));
	assert_int_equal(lh_image_walk_bytes(image, 0), 10);
}

static void other_json_is_no_index(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "{", "[]", "{\"a\":1}", "{\"leakhunt_raw\":\"1\"}"};
	write_file(path, "0123456789", 10);
	for (size_t i = 0; i < LH_ARRAY_COUNT(texts); i++) {
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
		assert_success(open_with_index(texts[i], false, &image));
		assert_false(lh_image_has_addresses(image));
	}
}

static void a_damaged_index_is_an_error(void **state)
{
	(void)state;
	struct lh_image *image = NULL;
	write_file(path, "0123456789", 10);
	assert_failure(open_with_index("{\"leakhunt_raw\":2}", false, &image), LH_ERROR_UNSUPPORTED);
	assert_failure(open_with_index("{\"leakhunt_raw\":1,\"extents\":[{}]}", false, &image), LH_ERROR_FORMAT);
	assert_failure(open_with_index("{\"leakhunt_raw\":1,\"extents\":[{\"start\":\"0x1\",\"end\":\"0x2\"}]}", false,
				       &image),
		       LH_ERROR_FORMAT);
	assert_null(image);
}

/* ---------------------------------------------------------------- bytes */

static void bytes_are_an_image(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct lh_image *impossible = NULL;
	assert_success(lh_image_open_bytes("abc", 3, 0x1000, &image));
	char byte;
	assert_int_equal(lh_image_read(image, 0x1002, &byte, 1), 1);
	assert_int_equal(byte, 'c');
	assert_int_equal(lh_image_source(image), LH_IMAGE_BYTES);
	assert_failure(lh_image_open_bytes("abc", 3, UINT64_MAX, &impossible), LH_ERROR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_empty_file_is_an_empty_image, remove_files),
		cmocka_unit_test_teardown(what_is_no_file_is_a_usage_error, remove_files),
		cmocka_unit_test_teardown(plain_bytes_have_offsets_or_a_base, remove_files),
		cmocka_unit_test_teardown(holes_are_not_walked, remove_files),
		cmocka_unit_test_teardown(a_little_of_each_hole_is_walked, remove_files),
		cmocka_unit_test_teardown(pages_let_go_come_back, remove_files),
		cmocka_unit_test_teardown(an_index_gives_addresses, remove_files),
		cmocka_unit_test_teardown(raw_ignores_the_index, remove_files),
		cmocka_unit_test_teardown(other_json_is_no_index, remove_files),
		cmocka_unit_test_teardown(a_damaged_index_is_an_error, remove_files),
		cmocka_unit_test(bytes_are_an_image),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
