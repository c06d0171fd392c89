/*
 * test_kernels: every SIMD kernel that this machine runs against the scalar one, on random memory of
 * several textures, at every alignment, with every encoding, at the very end of readable memory.
 */
#include "unit.h"

#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "sweep/kernels.h"

#include <stdio.h>
#include <sys/mman.h>

enum { DATA_BYTES = 8192, SPAN_COUNT = 8192 };

static const enum lh_encoding encodings[] = {LH_ENCODING_ASCII,    LH_ENCODING_LATIN,    LH_ENCODING_UTF16_BE,
					     LH_ENCODING_UTF16_LE, LH_ENCODING_UTF32_BE, LH_ENCODING_UTF32_LE};
static const size_t minima[] = {1, 2, 3, 4, 5, 8, 31, 32, 33, 62, 63, 64, 65, 95, 96, 100, 127, 500, 10000};

/* `data` ends where memory ends: a read beyond it is a crash. */
static uint8_t *data;

/* Textures: random bytes; text with rare gaps; words in 2 and 4 byte characters; almost all zero. */
static void fill(uint64_t *seed, unsigned texture)
{
	for (size_t i = 0; i < DATA_BYTES; i++) {
		uint64_t random = unit_random(seed);
		bool is_gap = random >> 32 & 1 ? random % 211 == 0 : random % 37 == 0;
		uint8_t letter = (uint8_t)(' ' + random % 95);
		static const uint8_t edges[] = {0x08, 0x09, 0x0a, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff, 0};
		switch (texture) {
		case 0:
			data[i] = (uint8_t)random;
			break;
		case 1:
			data[i] = is_gap ? edges[random / 211 % sizeof(edges)] : letter;
			break;
		case 2:
		case 3:
			data[i] = is_gap ? 1 : i % (texture == 2 ? 2 : 4) ? 0 : letter;
			break;
		default:
			data[i] = random % 500 ? 0 : letter;
		}
	}
}

static size_t all_runs(const struct lh_kernel *kernel, const uint8_t *bytes, size_t length, enum lh_encoding encoding,
		       size_t min_chars, size_t capacity, struct lh_span *cursor, struct lh_span *ret)
{
	size_t total = 0;
	size_t count;
	do {
		size_t room = lh_min_u64(capacity, SPAN_COUNT - total);
		count = kernel->runs(bytes, length, encoding, min_chars, cursor, ret + total, room);
		total += count;
		if (count < room)
			return total;
	} while (total < SPAN_COUNT);
	fail_msg("more runs than bytes");
	return 0;
}

static void compare_runs(const struct lh_kernel *kernel, size_t from, size_t begin, enum lh_encoding encoding,
			 size_t min_chars, size_t capacity)
{
	static struct lh_span expected[SPAN_COUNT], found[SPAN_COUNT];
	const uint8_t *bytes = data + from;
	size_t length = DATA_BYTES - from;
	struct lh_span expected_cursor = {begin, begin}, cursor = {begin, begin};
	size_t expected_count =
		all_runs(&lh_kernel_scalar, bytes, length, encoding, min_chars, SPAN_COUNT, &expected_cursor, expected);
	size_t count = all_runs(kernel, bytes, length, encoding, min_chars, capacity, &cursor, found);
	assert_int_equal(count, expected_count);
	assert_memory_equal(found, expected, count * sizeof(*found));
	assert_int_equal(cursor.start, expected_cursor.start);
	assert_int_equal(cursor.end, expected_cursor.end);
	assert_int_equal(kernel->prefix(bytes, length, encoding), lh_kernel_scalar.prefix(bytes, length, encoding));
}

static void compare_on_texture(const struct lh_kernel *kernel, uint64_t *seed)
{
	for (size_t e = 0; e < LH_ARRAY_COUNT(encodings); e++) {
		for (size_t m = 0; m < LH_ARRAY_COUNT(minima); m++) {
			compare_runs(kernel, 0, 0, encodings[e], minima[m], SPAN_COUNT);
			size_t from = unit_random(seed) % DATA_BYTES;
			size_t begin = unit_random(seed) % (DATA_BYTES - from + 1);
			compare_runs(kernel, from, begin, encodings[e], minima[m], 1 + unit_random(seed) % 4);
		}
	}
}

static void test_kernels_agree_with_scalar(void **state)
{
	(void)state;
	uint64_t seed = 0x5eed;
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		if (!(*kernel)->is_supported())
			continue;
		for (unsigned round = 0; round < 30; round++) {
			fill(&seed, round % 5);
			compare_on_texture(*kernel, &seed);
		}
	}
}

static void test_every_short_length(void **state)
{
	(void)state;
	uint64_t seed = 0xcafe;
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		for (size_t length = 0; (*kernel)->is_supported() && length <= 260; length++) {
			memset(data + DATA_BYTES - length, 'x', length);
			for (size_t e = 0; e < LH_ARRAY_COUNT(encodings); e++)
				for (size_t m = 0; m < LH_ARRAY_COUNT(minima); m++)
					compare_runs(*kernel, DATA_BYTES - length, 0, encodings[e], minima[m], 2);
			fill(&seed, (unsigned)(length % 5));
		}
	}
}

static void test_is_zero(void **state)
{
	(void)state;
	memset(data, 0, DATA_BYTES);
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		for (size_t length = 0; (*kernel)->is_supported() && length < 300; length++) {
			uint8_t *bytes = data + DATA_BYTES - length;
			assert_true((*kernel)->is_zero(bytes, length));
			for (size_t i = 0; i < length; i++) {
				bytes[i] = 0x80;
				assert_false((*kernel)->is_zero(bytes, length));
				bytes[i] = 0;
			}
		}
	}
}

static uint64_t mask_slowly(const uint8_t *bytes, uint8_t low, uint8_t high)
{
	uint64_t mask = 0;
	for (unsigned i = 0; i < LH_LINE_BYTES; i++)
		mask |= (uint64_t)(bytes[i] >= low && bytes[i] <= high) << i;
	return mask;
}

static void test_masks(void **state)
{
	(void)state;
	enum { LINES = 7 };
	uint64_t random = 5;
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t *bytes = data + DATA_BYTES - LINES * LH_LINE_BYTES;
		uint8_t first = (uint8_t)unit_random(&random), second = (uint8_t)unit_random(&random);
		uint8_t low = first < second ? first : second, high = first < second ? second : first;
		for (size_t i = 0; i < LINES * LH_LINE_BYTES; i++)
			bytes[i] = (uint8_t)(round % 2 ? unit_random(&random) : i * 7 + round);
		for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
			uint64_t range[LINES], text[LINES], ascii[LINES], higher[LINES];
			if (!(*kernel)->is_supported())
				continue;
			(*kernel)->range_masks(bytes, LINES, low, high, range);
			(*kernel)->text_masks(bytes, LINES, text);
			(*kernel)->character_masks(bytes, LINES, ascii, higher);
			for (size_t i = 0; i < LINES; i++) {
				const uint8_t *line = bytes + i * LH_LINE_BYTES;
				assert_int_equal(range[i], mask_slowly(line, low, high));
				assert_int_equal(text[i], mask_slowly(line, ' ', '~') | mask_slowly(line, '\t', '\n') |
								  mask_slowly(line, '\r', '\r'));
				assert_int_equal(ascii[i], mask_slowly(line, ' ', '~') | mask_slowly(line, '\t', '\t'));
				assert_int_equal(higher[i], mask_slowly(line, 0x80, 0xff));
			}
		}
	}
}

/* Printable by the table of ASCII, not by leakhunt's own comparison. */
static void test_every_character(void **state)
{
	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		bool is_ascii = (value >= ' ' && value <= '~') || value == '\t';
		uint8_t wide[4] = {(uint8_t)value, 0, 0, 0};
		uint8_t high[4] = {(uint8_t)value, 1, 0, 0};
		assert_int_equal(lh_char_is_printable(wide, LH_ENCODING_ASCII), is_ascii);
		assert_int_equal(lh_char_is_printable(wide, LH_ENCODING_LATIN), is_ascii || value > 127);
		assert_int_equal(lh_char_is_printable(wide, LH_ENCODING_UTF16_LE), is_ascii);
		assert_int_equal(lh_char_is_printable(wide, LH_ENCODING_UTF32_LE), is_ascii);
		assert_false(lh_char_is_printable(high, LH_ENCODING_UTF16_LE));
		assert_false(lh_char_is_printable(high, LH_ENCODING_UTF32_LE));
	}
}

static void test_kernel_is_forced_by_name(void **state)
{
	(void)state;
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		const struct lh_kernel *selected = NULL;
		lh_settings_set(&(struct lh_settings){.kernel = (*kernel)->name});
		if ((*kernel)->is_supported()) {
			assert_success(lh_kernel_select(&selected));
			assert_ptr_equal(selected, *kernel);
		} else {
			assert_failure(lh_kernel_select(&selected), LH_ERROR_USAGE);
		}
	}
	const struct lh_kernel *selected = NULL;
	lh_settings_set(&(struct lh_settings){.kernel = "abacus"});
	assert_failure(lh_kernel_select(&selected), LH_ERROR_USAGE);
	assert_null(selected);
	lh_settings_set(&(struct lh_settings){0});
	assert_success(lh_kernel_select(&selected));
}

static int map_data(void **state)
{
	(void)state;
	uint8_t *memory = mmap(NULL, DATA_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	data = memory;
	return memory == MAP_FAILED || mprotect(memory + DATA_BYTES, 4096, PROT_NONE) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels_agree_with_scalar),
		cmocka_unit_test(test_every_short_length),
		cmocka_unit_test(test_is_zero),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_kernel_is_forced_by_name),
	};
	return cmocka_run_group_tests(tests, map_data, NULL);
}
