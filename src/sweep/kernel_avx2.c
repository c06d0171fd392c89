/*
 * kernel_avx2: the run finder's inner loops on 32-byte vectors.
 */
#include "leakhunt/sweep.h"

#ifdef __x86_64__

#include <immintrin.h>

#define KERNEL_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define AVX2_INLINE   static inline __attribute__((always_inline)) KERNEL_TARGET

/* Signed comparison: bytes from 0x80 on are negative, so not above 0x1f. */
AVX2_INLINE unsigned printable32(const uint8_t *data, bool is_latin)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)data);
	__m256i graphic = _mm256_andnot_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f)),
					      _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(0x1f)));
	__m256i printable = _mm256_or_si256(graphic, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t')));
	return (unsigned)_mm256_movemask_epi8(is_latin ? _mm256_or_si256(printable, bytes) : printable);
}

AVX2_INLINE unsigned zero32(const uint8_t *data)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)data);
	return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256()));
}

AVX2_INLINE uint64_t mask_narrow(const uint8_t *data, bool is_latin)
{
	return printable32(data, is_latin) | (uint64_t)printable32(data + 32, is_latin) << 32;
}

AVX2_INLINE uint64_t mask_low(const uint8_t *data)
{
	return mask_narrow(data, false);
}

AVX2_INLINE uint64_t mask_zero(const uint8_t *data)
{
	return zero32(data) | (uint64_t)zero32(data + 32) << 32;
}

AVX2_INLINE unsigned range32(const uint8_t *data, uint8_t low, uint8_t high)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)data);
	__m256i above = _mm256_sub_epi8(bytes, _mm256_set1_epi8((char)low));
	__m256i within = _mm256_min_epu8(above, _mm256_set1_epi8((char)(high - low)));
	return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(within, above));
}

AVX2_INLINE uint64_t mask_range(const uint8_t *data, uint8_t low, uint8_t high)
{
	return range32(data, low, high) | (uint64_t)range32(data + 32, low, high) << 32;
}

AVX2_INLINE bool is_printable_probe(const uint8_t *data, bool is_latin)
{
	return printable32(data, is_latin) == 0xffffffff;
}

#include "kernel_body.h"

static bool is_avx2_supported(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       __builtin_cpu_supports("popcnt");
}

const struct lh_kernel lh_kernel_avx2 = {"avx2",  is_avx2_supported, find_text_prefix, find_text_runs,
					 is_zero, range_masks,       text_masks,       character_masks};

#endif
