/*
 * kernel_avx512: the run finder's inner loops on 64-byte vectors, whose comparisons give bit masks.
 */
#include "leakhunt/sweep.h"

#ifdef __x86_64__

#include <immintrin.h>

#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,bmi,bmi2,popcnt")))
#define AVX512_INLINE static inline __attribute__((always_inline)) KERNEL_TARGET

/* 0x20 to 0x7e are the 0x5f bytes from 0x20 on; from 0x80 on the sign bit is set. */
AVX512_INLINE uint64_t mask_narrow(const uint8_t *data, bool is_latin)
{
	__m512i bytes = _mm512_loadu_si512(data);
	__m512i shifted = _mm512_sub_epi8(bytes, _mm512_set1_epi8(0x20));
	uint64_t mask = _mm512_cmplt_epu8_mask(shifted, _mm512_set1_epi8(0x5f)) |
			_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\t'));
	return is_latin ? mask | _mm512_movepi8_mask(bytes) : mask;
}

AVX512_INLINE uint64_t mask_low(const uint8_t *data)
{
	return mask_narrow(data, false);
}

AVX512_INLINE uint64_t mask_zero(const uint8_t *data)
{
	__m512i bytes = _mm512_loadu_si512(data);
	return _mm512_testn_epi8_mask(bytes, bytes);
}

AVX512_INLINE uint64_t mask_range(const uint8_t *data, uint8_t low, uint8_t high)
{
	__m512i above = _mm512_sub_epi8(_mm512_loadu_si512(data), _mm512_set1_epi8((char)low));
	return _mm512_cmple_epu8_mask(above, _mm512_set1_epi8((char)(high - low)));
}

AVX512_INLINE bool is_printable_probe(const uint8_t *data, bool is_latin)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)data);
	__m256i shifted = _mm256_sub_epi8(bytes, _mm256_set1_epi8(0x20));
	uint32_t mask = _mm256_cmplt_epu8_mask(shifted, _mm256_set1_epi8(0x5f)) |
			_mm256_cmpeq_epi8_mask(bytes, _mm256_set1_epi8('\t'));
	return (is_latin ? mask | _mm256_movepi8_mask(bytes) : mask) == UINT32_MAX;
}

#include "kernel_body.h"

static bool is_avx512_supported(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       __builtin_cpu_supports("popcnt");
}

const struct lh_kernel lh_kernel_avx512 = {"avx512", is_avx512_supported, find_text_prefix, find_text_runs,
					   is_zero,  range_masks,         text_masks,       character_masks};

#endif
