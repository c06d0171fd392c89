/*
 * test_word_filter: each version of the range test against its plain definition, at every border.
 */
#include "unit.h"

#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "sweep/kernels.h"

static uint64_t some_word(uint64_t *random, const struct lh_word_ranges *ranges)
{
	uint64_t number = unit_random(random);
	uint64_t borders[] = {ranges->low_start,
			      ranges->low_start + ranges->low_bytes,
			      ranges->high_start,
			      ranges->high_start + ranges->high_bytes,
			      0,
			      UINT64_C(1) << 63};
	return number % 8 < 6 ? borders[number % 8] + (number >> 8) % 5 - 2 : number;
}

static uint64_t expected_hits(const uint64_t *words, size_t count, const struct lh_word_ranges *ranges)
{
	uint64_t hits = 0;
	for (size_t i = 0; i < count; i++) {
		bool is_low = words[i] >= ranges->low_start && words[i] - ranges->low_start < ranges->low_bytes;
		bool is_high = words[i] >= ranges->high_start && words[i] - ranges->high_start < ranges->high_bytes;
		hits |= (uint64_t)(is_low || is_high) << i;
	}
	return hits;
}

static void every_kernel_finds_the_same_words(void **state)
{
	(void)state;
	static const struct lh_word_ranges ranges[] = {
		{0x555500000000, 0x10000, 0x7f0000000000, 0x2001000},
		{0x400000, 1, 0, 0},
		{0, 0, 0, 0},
		{0, UINT64_MAX, 0, 0},
		{UINT64_MAX - 100, 100, UINT64_C(1) << 63, 1},
		{UINT64_C(1) << 62, UINT64_C(1) << 63, 1, 2},
	};
	uint64_t random = 11, words[LH_FILTER_WORDS];
	for (const struct lh_kernel *const *kernel = lh_kernels; *kernel; kernel++) {
		if (!(*kernel)->is_supported())
			continue;
		lh_word_filter *filter = lh_word_filter_for(*kernel);
		for (size_t round = 0; round < 20000; round++) {
			const struct lh_word_ranges *range = &ranges[round % LH_ARRAY_COUNT(ranges)];
			size_t count = unit_random(&random) % (LH_FILTER_WORDS + 1);
			for (size_t i = 0; i < count; i++)
				words[i] = some_word(&random, range);
			assert_int_equal(filter((const uint8_t *)words, count, range),
					 expected_hits(words, count, range));
		}
	}
}

static void ranges_split_at_the_widest_gap(void **state)
{
	(void)state;
	static const struct lh_range modules[] = {{10, 20}, {25, 30}, {1000, 1100}, {1200, 1300}};
	struct lh_word_ranges ranges = lh_word_ranges_over(modules, 4);
	assert_int_equal(ranges.low_start, 10);
	assert_int_equal(ranges.low_bytes, 20);
	assert_int_equal(ranges.high_start, 1000);
	assert_int_equal(ranges.high_bytes, 300);
	ranges = lh_word_ranges_over(modules, 1);
	assert_int_equal(ranges.low_bytes, 10);
	assert_int_equal(ranges.high_bytes, 0);
	ranges = lh_word_ranges_over(modules, 0);
	assert_int_equal(ranges.low_bytes + ranges.high_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kernel_finds_the_same_words),
		cmocka_unit_test(ranges_split_at_the_widest_gap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
