/*
 * test_image_compressed: compressed files as images, made here by libzstd itself: with a seek table, as one
 * frame, and damaged in every way that sizes, checksums and ends can be. Truth is the content that was packed.
 */
#include "unit.h"

#include "image/compressed.h"
#include "leakhunt/format.h"
#include "leakhunt/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { CONTENT_BYTES = 300000, FRAME = 65536 };

struct packed {
	struct lh_buffer bytes;
	struct lh_buffer table;
	uint32_t frame_count;
};

static char path[64];

static int make_path(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_compressed.XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_path(const void *bytes, size_t length)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* Random bytes with stretches of zeros and repetitions. */
static uint8_t *make_content(void)
{
	uint64_t random = 7;
	uint8_t *content = calloc(1, CONTENT_BYTES);
	assert_non_null(content);
	for (size_t i = 0; i < CONTENT_BYTES; i++)
		content[i] = i / 20000 % 3 == 0 ? 0 : (uint8_t)(i / 20000 % 3 == 1 ? i % 7 : unit_random(&random));
	return content;
}

static void append_u32(struct lh_buffer *buffer, uint32_t value)
{
	lh_buffer_append(buffer, &value, sizeof(value));
}

static void add_frame(struct packed *packed, const void *content, size_t bytes)
{
	size_t room = ZSTD_compressBound(bytes);
	uint8_t *frame = malloc(room);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	size_t length = ZSTD_compress2(context, frame, room, content, bytes);
	assert_false(ZSTD_isError(length));
	lh_buffer_append(&packed->bytes, frame, length);
	append_u32(&packed->table, (uint32_t)length);
	append_u32(&packed->table, (uint32_t)bytes);
	packed->frame_count++;
	ZSTD_freeCCtx(context);
	free(frame);
}

static void add_table(struct packed *packed)
{
	append_u32(&packed->bytes, 0x184D2A5E);
	append_u32(&packed->bytes, (uint32_t)packed->table.length + 9);
	lh_buffer_append(&packed->bytes, packed->table.data, packed->table.length);
	append_u32(&packed->bytes, packed->frame_count);
	lh_buffer_append(&packed->bytes, "", 1);
	append_u32(&packed->bytes, 0x8F92EAB1);
}

static void pack(const uint8_t *content, size_t frame_bytes, struct packed *ret)
{
	for (size_t at = 0; at < CONTENT_BYTES; at += frame_bytes)
		add_frame(ret, content + at, lh_min_u64(frame_bytes, CONTENT_BYTES - at));
}

static void packed_deinit(struct packed *packed)
{
	lh_buffer_deinit(&packed->bytes);
	lh_buffer_deinit(&packed->table);
}

static void assert_reads(const struct lh_image *image, const uint8_t *content)
{
	uint64_t random = 99;
	static uint8_t bytes[200000];
	assert_int_equal(lh_image_file_bytes(image), CONTENT_BYTES);
	for (int i = 0; i < 300; i++) {
		size_t at = unit_random(&random) % CONTENT_BYTES;
		size_t length = unit_random(&random) % (i % 10 ? 5000 : sizeof(bytes));
		size_t expected = lh_min_u64(length, CONTENT_BYTES - at);
		assert_int_equal(lh_image_read(image, at, bytes, length), expected);
		assert_memory_equal(bytes, content + at, expected);
	}
	assert_int_equal(lh_image_read(image, CONTENT_BYTES, bytes, 1), 0);
}

struct gathered {
	const uint8_t *content;
	uint64_t next;
};

/* Blocks must be the content, in order, and so must be what lies around them. Holes may be left out. */
static struct lh_error *check_block(void *context, const struct lh_block *block)
{
	struct gathered *gathered = context;
	assert_true(block->addr >= gathered->next);
	assert_memory_equal(block->data - block->bytes_before, gathered->content + block->addr - block->bytes_before,
			    block->bytes_before + block->bytes + block->bytes_after);
	gathered->next = block->addr + block->bytes;
	return NULL;
}

static void assert_image(const uint8_t *content, bool is_unpacked)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	struct gathered gathered = {.content = content};
	assert_success(lh_image_open_file(path, NULL, &image));
	assert_int_equal(lh_image_unpacked_bytes(image), is_unpacked ? CONTENT_BYTES : 0);
	assert_int_equal(lh_image_blocks_stay(image), is_unpacked);
	assert_reads(image, content);
	assert_success(lh_image_walk(image, 0, check_block, &gathered));
	assert_int_equal(gathered.next, CONTENT_BYTES);
}

static void test_seekable(void **state)
{
	(void)state;
	static const size_t frame_sizes[] = {4096, FRAME, CONTENT_BYTES};
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	for (size_t i = 0; i < LH_ARRAY_COUNT(frame_sizes); i++) {
		struct packed packed LH_CLEANUP(packed_deinit) = {0};
		pack(content, frame_sizes[i], &packed);
		add_frame(&packed, "", 0); /* an empty frame is legal */
		add_table(&packed);
		write_path(packed.bytes.data, packed.bytes.length);
		assert_image(content, false);
	}
}

static void test_one_frame_and_many_without_table(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	for (size_t frame_bytes = FRAME; frame_bytes <= CONTENT_BYTES; frame_bytes += CONTENT_BYTES - FRAME) {
		struct packed packed LH_CLEANUP(packed_deinit) = {0};
		pack(content, frame_bytes, &packed);
		write_path(packed.bytes.data, packed.bytes.length);
		assert_image(content, true);
	}
}

/* Every cut end is an error in one line, or (a cut in the table only) the whole content. */
static void test_truncated_anywhere(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	struct packed packed LH_CLEANUP(packed_deinit) = {0};
	pack(content, FRAME, &packed);
	size_t frames_end = packed.bytes.length;
	add_table(&packed);
	for (size_t length = 4; length<packed.bytes.length; length += length> frames_end - 2 ? 1 : 3001) {
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
		write_path(packed.bytes.data, length);
		struct lh_error *error = lh_image_open_file(path, NULL, &image);
		if (error)
			assert_int_equal(lh_error_code(error), LH_ERROR_FORMAT);
		else
			assert_reads(image, content);
		assert_true(error || length == frames_end);
		lh_error_destroy(error);
	}
}

/* One byte of the frames is changed: reading says so, and never gives other bytes than the content's. */
static void test_damaged_frames(void **state)
{
	(void)state;
	uint64_t random = 5;
	static uint8_t bytes[CONTENT_BYTES];
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	struct packed packed LH_CLEANUP(packed_deinit) = {0};
	pack(content, FRAME, &packed);
	size_t frames_end = packed.bytes.length, failed_count = 0;
	add_table(&packed);
	for (int i = 0; i < 200; i++) {
		size_t at = 4 + unit_random(&random) % (frames_end - 4);
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
		packed.bytes.data[at] ^= 0x55;
		write_path(packed.bytes.data, packed.bytes.length);
		packed.bytes.data[at] ^= 0x55;
		assert_success(lh_image_open_file(path, NULL, &image));
		size_t got = lh_image_read(image, 0, bytes, sizeof(bytes));
		assert_memory_equal(bytes, content, got);
		struct gathered gathered = {.content = content};
		struct lh_error *error = lh_image_walk(image, 0, check_block, &gathered);
		failed_count += error != NULL;
		assert_true(!error || lh_error_code(error) == LH_ERROR_FORMAT);
		assert_true(got == sizeof(bytes) || error);
		lh_error_destroy(error);
	}
	assert_true(failed_count > 150);
}

/* A scan that asks again and again for the bytes of a damaged frame has it decoded once. */
static void test_damaged_frame_is_decoded_once(void **state)
{
	(void)state;
	enum { READS = 1000 };
	static uint8_t bytes[CONTENT_BYTES];
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	struct packed packed LH_CLEANUP(packed_deinit) = {0};
	struct lh_frames *frames = NULL;
	pack(content, FRAME, &packed);
	size_t frames_end = packed.bytes.length;
	add_table(&packed);
	packed.bytes.data[frames_end - 1] ^= 0x55; /* the checksum of the last frame */
	write_path(packed.bytes.data, packed.bytes.length);
	int fd = open(path, O_RDONLY);
	assert_success(lh_frames_open(&fd, path, packed.bytes.length, &frames));
	assert_non_null(frames);
	uint64_t last_start = lh_align_down(CONTENT_BYTES, FRAME);
	for (int i = 0; i < READS; i++) {
		struct lh_error *error = lh_frames_read(frames, last_start + (uint64_t)i, bytes, 1);
		assert_int_equal(lh_error_code(error), LH_ERROR_FORMAT);
		lh_error_destroy(error);
	}
	assert_int_equal(lh_frames_decode_count(frames), 1);
	assert_success(lh_frames_read(frames, 0, bytes, last_start));
	assert_memory_equal(bytes, content, last_start);
	assert_int_equal(lh_frames_decode_count(frames), packed.frame_count);
	lh_frames_close(frames);
}

/* Tables that lie: what does not fit the file is not believed, and the file is unpacked as a whole. */
static void test_lying_tables(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	static const struct {
		size_t back; /* of the word, from the end of the file */
		uint32_t value;
		bool is_believed; /* it fits the file: what a frame really holds shows when it is read */
	} lies[] = {
		{9, 0xffffffff, false}, {9, 1, false},     {9 + 4, 0xffffffff, false},
		{9 + 4, 1, true},       {9 + 8, 1, false}, {9 + 8, 0xfffffff0, false},
		{5, 0xff, false},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(lies); i++) {
		struct packed packed LH_CLEANUP(packed_deinit) = {0};
		LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
		uint8_t last[1];
		pack(content, FRAME, &packed);
		add_table(&packed);
		char *word = packed.bytes.data + packed.bytes.length - lies[i].back;
		memcpy(word, &lies[i].value, lies[i].back == 5 ? 1 : 4);
		write_path(packed.bytes.data, packed.bytes.length);
		assert_success(lh_image_open_file(path, NULL, &image));
		if (!lies[i].is_believed) {
			assert_reads(image, content);
			continue;
		}
		uint64_t bytes = lh_image_file_bytes(image);
		assert_int_equal(lh_image_read(image, bytes - 1, last, 1), 0);
	}
}

static void test_raw_is_not_decompressed(void **state)
{
	(void)state;
	LH_CLEANUP(lh_cleanup_free) uint8_t *content = make_content();
	struct packed packed LH_CLEANUP(packed_deinit) = {0};
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	pack(content, FRAME, &packed);
	write_path(packed.bytes.data, packed.bytes.length);
	assert_success(lh_image_open_file(path, &(struct lh_image_options){.raw = true}, &image));
	assert_int_equal(lh_image_file_bytes(image), packed.bytes.length);
}

/* Zeros take no disk in the temporary file: 256 MiB of them are unpacked. */
static void test_unpacking_keeps_holes(void **state)
{
	(void)state;
	struct packed packed LH_CLEANUP(packed_deinit) = {0};
	static uint8_t zeros[16 << 20];
	uint64_t bytes;
	int fd = -1;
	for (int i = 0; i < 16; i++)
		add_frame(&packed, zeros, sizeof(zeros));
	write_path(packed.bytes.data, packed.bytes.length);
	LH_CLEANUP(lh_cleanup_close) int from_fd = open(path, O_RDONLY);
	assert_success(lh_zstd_unpack(from_fd, path, &fd, &bytes));
	struct stat status;
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	assert_int_equal(bytes, 16 * sizeof(zeros));
	assert_int_equal(status.st_size, 16 * sizeof(zeros));
	assert_true(status.st_blocks * 512 < 1 << 20);
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)
	const struct CMUnitTest tests[] = {
		WITH_FILE(test_seekable),
		WITH_FILE(test_one_frame_and_many_without_table),
		WITH_FILE(test_truncated_anywhere),
		WITH_FILE(test_damaged_frames),
		WITH_FILE(test_damaged_frame_is_decoded_once),
		WITH_FILE(test_lying_tables),
		WITH_FILE(test_raw_is_not_decompressed),
		WITH_FILE(test_unpacking_keeps_holes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
