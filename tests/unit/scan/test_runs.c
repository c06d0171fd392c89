/*
 * test_runs: the run finder against the loop of GNU strings itself, on random memory that is cut
 * into blocks of any size, mapped (as files are) or copied into one buffer (as a live process is).
 */
#include "unit.h"

#include "leakhunt/scan.h"
#include "scan/text/runs.h"

#include <stdio.h>

enum { DATA_BYTES = 6000, BASE = 0x7000 };

/* ---------------------------------------------------------------- what GNU strings does */

struct gnu {
	const uint8_t *data;
	size_t length;
	size_t at;
	enum lh_encoding encoding;
};

static unsigned gnu_width(enum lh_encoding encoding)
{
	return encoding <= LH_ENCODING_LATIN ? 1 : encoding <= LH_ENCODING_UTF16_LE ? 2 : 4;
}

/* get_char: -1 at the end, even when there are some bytes left of a wide character. */
static int64_t gnu_get_char(struct gnu *gnu)
{
	unsigned width = gnu_width(gnu->encoding);
	bool is_little = gnu->encoding == LH_ENCODING_UTF16_LE || gnu->encoding == LH_ENCODING_UTF32_LE;
	if (gnu->length - gnu->at < width)
		return -1;
	int64_t value = 0;
	for (unsigned i = 0; i < width; i++)
		value |= (int64_t)gnu->data[gnu->at + i] << 8 * (is_little ? i : width - 1 - i);
	gnu->at += width;
	return value;
}

static bool gnu_is_graphic(const struct gnu *gnu, int64_t value)
{
	return value >= 0 && value <= 255 &&
	       (value == '\t' || (value >= ' ' && value <= '~') || (gnu->encoding == LH_ENCODING_LATIN && value > 127));
}

/* print_strings with -t d; unget_part_char leaves one byte of what was not graphic behind. */
static void gnu_strings(struct gnu gnu, size_t min_chars, struct lh_buffer *ret)
{
	unsigned width = gnu_width(gnu.encoding);
	for (;;) {
		size_t start = gnu.at;
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		int64_t value;
		while (gnu_is_graphic(&gnu, value = gnu_get_char(&gnu)))
			lh_buffer_append(&text, &(char){(char)value}, 1);
		if (text.length >= min_chars)
			lh_buffer_printf(ret, "%zu %.*s\n", start, (int)text.length, text.data);
		if (value < 0)
			return;
		gnu.at -= width - 1;
	}
}

/* ---------------------------------------------------------------- what leakhunt does */

struct listing {
	struct lh_buffer text;
	enum lh_encoding encoding;
	bool has_offset;
};

static struct lh_error *list_run(void *context, const struct lh_run *run)
{
	struct listing *listing = context;
	size_t width = gnu_width(listing->encoding);
	assert_int_equal(run->bytes_length, run->chars * width);
	assert_true(run->file_offset == (listing->has_offset ? run->addr - BASE + 100 : LH_NO_OFFSET));
	bool is_big = listing->encoding == LH_ENCODING_UTF16_BE || listing->encoding == LH_ENCODING_UTF32_BE;
	lh_buffer_printf(&listing->text, "%llu ", (unsigned long long)(run->addr - BASE));
	for (size_t i = 0; i < run->chars; i++)
		lh_buffer_append(&listing->text, run->bytes + i * width + (is_big ? width - 1 : 0), 1);
	lh_buffer_puts(&listing->text, "\n");
	return NULL;
}

/* Where blocks come from: a mapped file, a process, a file that is unpacked piece by piece. */
enum source { MAPPED, LIVE, UNPACKED, SOURCE_COUNT };

/* Blocks of 1 to most_bytes; one that is not mapped is overwritten when the next is fed. */
static void feed_in_blocks(struct lh_run_finder *finder, const uint8_t *data, size_t length, size_t most_bytes,
			   enum source source, uint64_t *seed)
{
	static uint8_t buffer[DATA_BYTES];
	for (size_t at = 0; at < length;) {
		size_t bytes = lh_min_u64(1 + unit_random(seed) % most_bytes, length - at);
		memset(buffer, 'L', sizeof(buffer));
		memcpy(buffer, data + at, bytes);
		struct lh_block block = {
			.addr = BASE + at,
			.file_offset = source == LIVE ? LH_NO_OFFSET : 100 + at,
			.data = source == MAPPED ? data + at : buffer,
			.bytes = bytes,
			.is_continued = at > 0,
			.is_brief = source != MAPPED,
		};
		assert_success(lh_run_finder_feed(finder, &block));
		at += bytes;
	}
}

static void compare(const uint8_t *data, enum lh_encoding encoding, size_t min_chars, size_t most_bytes,
		    enum source source, uint64_t *seed)
{
	struct lh_buffer expected LH_CLEANUP(lh_buffer_deinit) = {0};
	gnu_strings((struct gnu){data, DATA_BYTES, 0, encoding}, min_chars, &expected);
	struct listing listing = {.encoding = encoding, .has_offset = source != LIVE};
	struct lh_run_options options = {.min_chars = min_chars, .encoding = encoding};
	struct lh_run_finder *finder;
	assert_success(lh_run_finder_create(&options, list_run, &listing, &finder));
	feed_in_blocks(finder, data, DATA_BYTES, most_bytes, source, seed);
	assert_success(lh_run_finder_finish(finder));
	assert_string_equal(listing.text.data ? listing.text.data : "", expected.data ? expected.data : "");
	lh_run_finder_destroy(finder);
	lh_buffer_deinit(&listing.text);
}

static void fill(uint8_t *data, uint64_t *seed, unsigned stride, unsigned gap_every)
{
	for (size_t i = 0; i < DATA_BYTES; i++) {
		uint64_t random = unit_random(seed);
		bool is_gap = random % gap_every == 0;
		data[i] = is_gap ? (uint8_t)(random >> 32) : i % stride ? 0 : (uint8_t)(' ' + random % 95);
	}
}

static void test_like_gnu_over_any_blocks(void **state)
{
	(void)state;
	uint64_t seed = 0xb10c;
	static uint8_t data[DATA_BYTES];
	static const size_t minima[] = {1, 2, 4, 63, 100};
	static const size_t most[] = {1, 2, 3, 5, 40, 1000, DATA_BYTES};
	static const unsigned gaps[] = {2, 9, 150, 3000};
	for (unsigned round = 0; round < 12; round++) {
		fill(data, &seed, 1u << round % 3, gaps[round % 4]);
		for (unsigned encoding = LH_ENCODING_ASCII; encoding <= LH_ENCODING_UTF32_LE; encoding++)
			for (size_t m = 0; m < LH_ARRAY_COUNT(minima); m++)
				for (size_t b = 0; b < LH_ARRAY_COUNT(most); b++)
					compare(data, (enum lh_encoding)encoding, minima[m], most[b],
						(enum source)((m + b) % SOURCE_COUNT), &seed);
	}
}

static struct lh_error *count_run(void *context, const struct lh_run *run)
{
	(void)run;
	++*(unsigned *)context;
	return NULL;
}

static void feed_text(struct lh_run_finder *finder, uint64_t addr, const char *text, bool is_continued)
{
	struct lh_block block = {
		.addr = addr,
		.file_offset = LH_NO_OFFSET,
		.data = (const uint8_t *)text,
		.bytes = strlen(text),
		.is_continued = is_continued,
	};
	assert_success(lh_run_finder_feed(finder, &block));
}

static void test_a_block_that_does_not_continue_ends_the_run(void **state)
{
	(void)state;
	unsigned count = 0;
	struct lh_run_options options = {.min_chars = 4, .encoding = LH_ENCODING_ASCII};
	struct lh_run_finder *finder;
	assert_success(lh_run_finder_create(&options, count_run, &count, &finder));
	feed_text(finder, 0x1000, "abc", false);
	feed_text(finder, 0x2000, "abc", false);
	assert_int_equal(count, 0);
	feed_text(finder, 0x2003, "d", true);
	feed_text(finder, 0x3000, "abc", false);
	assert_int_equal(count, 1);
	feed_text(finder, 0x3003, "", true);
	feed_text(finder, 0x3003, "d", true);
	assert_success(lh_run_finder_finish(finder));
	assert_int_equal(count, 2);
	lh_run_finder_destroy(finder);
}

static struct lh_error *refuse_run(void *context, const struct lh_run *run)
{
	(void)context;
	return lh_error_create(LH_ERROR_NO_SPACE, "no room for the run at %llx", (unsigned long long)run->addr);
}

static void test_the_visitors_error_stops_it(void **state)
{
	(void)state;
	struct lh_run_options options = {.min_chars = 4, .encoding = LH_ENCODING_ASCII};
	struct lh_run_finder *finder;
	assert_success(lh_run_finder_create(&options, refuse_run, NULL, &finder));
	struct lh_block block = {.data = (const uint8_t *)"abcdef\0", .bytes = 7};
	assert_failure(lh_run_finder_feed(finder, &block), LH_ERROR_NO_SPACE);
	lh_run_finder_destroy(finder);
	options.min_chars = 0;
	assert_failure(lh_run_finder_create(&options, refuse_run, NULL, &finder), LH_ERROR_USAGE);
}

static void test_encoding_letters(void **state)
{
	(void)state;
	enum lh_encoding encoding = LH_ENCODING_ASCII;
	static const char *const letters[] = {"s", "S", "b", "l", "B", "L"};
	for (unsigned i = 0; i < LH_ARRAY_COUNT(letters); i++) {
		assert_true(lh_encoding_parse(letters[i], &encoding));
		assert_int_equal(encoding, i);
	}
	assert_false(lh_encoding_parse("", &encoding));
	assert_false(lh_encoding_parse("x", &encoding));
	assert_false(lh_encoding_parse("sS", &encoding));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_gnu_over_any_blocks),
		cmocka_unit_test(test_a_block_that_does_not_continue_ends_the_run),
		cmocka_unit_test(test_the_visitors_error_stops_it),
		cmocka_unit_test(test_encoding_letters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
