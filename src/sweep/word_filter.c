/*
 * word_filter: the range test for words, plain, for AVX2 and for AVX-512. An instruction set that has no version of
 * its own here uses the plain one.
 */
#include "leakhunt/sweep.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

static bool is_in_ranges(uint64_t word, const struct lh_word_ranges *ranges)
{
	return word - ranges->low_start < ranges->low_bytes || word - ranges->high_start < ranges->high_bytes;
}

static uint64_t filter_from(const uint8_t *data, size_t first, size_t count, const struct lh_word_ranges *ranges)
{
	uint64_t hits = 0;
	for (size_t i = first; i < count; i++)
		hits |= (uint64_t)is_in_ranges(lh_load_u64(data, i * 8), ranges) << i;
	return hits;
}

static uint64_t filter_scalar(const uint8_t *data, size_t count, const struct lh_word_ranges *ranges)
{
	return filter_from(data, 0, count, ranges);
}

#ifdef __x86_64__

#define AVX2_TARGET __attribute__((target("avx2")))

/* Signed comparison: word - start < bytes, unsigned, is word - start + MIN < bytes + MIN, signed. */
AVX2_TARGET static inline __m256i is_in_range(__m256i words, __m256i start_less_min, __m256i bytes_and_min)
{
	return _mm256_cmpgt_epi64(bytes_and_min, _mm256_sub_epi64(words, start_less_min));
}

/* To add 2^63 and to take it away is the same. */
AVX2_TARGET static inline __m256i plus_min(uint64_t word)
{
	uint64_t sum = word ^ UINT64_C(1) << 63;
	return _mm256_set1_epi64x((int64_t)sum);
}

AVX2_TARGET static uint64_t filter_avx2(const uint8_t *data, size_t count, const struct lh_word_ranges *ranges)
{
	const __m256i low_start = plus_min(ranges->low_start);
	const __m256i low_bytes = plus_min(ranges->low_bytes);
	const __m256i high_start = plus_min(ranges->high_start);
	const __m256i high_bytes = plus_min(ranges->high_bytes);
	uint64_t hits = 0;
	size_t i = 0;
	for (; i + 4 <= count; i += 4) {
		__m256i words = _mm256_loadu_si256((const __m256i *)(const void *)(data + i * 8));
		__m256i is_hit = _mm256_or_si256(is_in_range(words, low_start, low_bytes),
						 is_in_range(words, high_start, high_bytes));
		hits |= (uint64_t)(unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(is_hit)) << i;
	}
	return hits | filter_from(data, i, count, ranges);
}

#define AVX512_TARGET __attribute__((target("avx512f")))

AVX512_TARGET static uint64_t filter_avx512(const uint8_t *data, size_t count, const struct lh_word_ranges *ranges)
{
	const __m512i low_start = _mm512_set1_epi64((int64_t)ranges->low_start);
	const __m512i low_bytes = _mm512_set1_epi64((int64_t)ranges->low_bytes);
	const __m512i high_start = _mm512_set1_epi64((int64_t)ranges->high_start);
	const __m512i high_bytes = _mm512_set1_epi64((int64_t)ranges->high_bytes);
	uint64_t hits = 0;
	size_t i = 0;
	for (; i + 8 <= count; i += 8) {
		__m512i words = _mm512_loadu_si512(data + i * 8);
		__mmask8 is_low = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(words, low_start), low_bytes);
		__mmask8 is_high = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(words, high_start), high_bytes);
		hits |= (uint64_t)(is_low | is_high) << i;
	}
	return hits | filter_from(data, i, count, ranges);
}

#endif

lh_word_filter *lh_word_filter_for(const struct lh_kernel *kernel)
{
#ifdef __x86_64__
	if (strcmp(kernel->name, "avx512") == 0)
		return filter_avx512;
	if (strcmp(kernel->name, "avx2") == 0)
		return filter_avx2;
#endif
	return filter_scalar;
}

struct lh_word_ranges lh_word_ranges_over(const struct lh_range *sorted, size_t count)
{
	struct lh_word_ranges ranges = {0};
	if (!count)
		return ranges;
	const struct lh_range *last = &sorted[count - 1], *split = sorted;
	for (const struct lh_range *range = sorted; range < last; range++) {
		if (range[1].start - range[0].end > split[1].start - split[0].end)
			split = range;
	}
	ranges.low_start = sorted->start;
	ranges.low_bytes = split->end - sorted->start;
	if (split < last) {
		ranges.high_start = split[1].start;
		ranges.high_bytes = last->end - split[1].start;
	}
	return ranges;
}
