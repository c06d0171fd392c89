/*
 * kernel_sse2: the run finder's inner loops on 16-byte vectors. Every x86_64 processor has SSE2.
 */
#include "leakhunt/sweep.h"

#ifdef __x86_64__

#include <emmintrin.h>

#define KERNEL_TARGET __attribute__((target("sse2")))
#define SSE2_INLINE   static inline __attribute__((always_inline)) KERNEL_TARGET

/* Signed comparison: bytes from 0x80 on are negative, so not above 0x1f. */
SSE2_INLINE unsigned printable16(const uint8_t *data, bool is_latin)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
	__m128i graphic = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)),
					   _mm_cmpgt_epi8(bytes, _mm_set1_epi8(0x1f)));
	__m128i printable = _mm_or_si128(graphic, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')));
	return (unsigned)_mm_movemask_epi8(is_latin ? _mm_or_si128(printable, bytes) : printable);
}

SSE2_INLINE unsigned zero16(const uint8_t *data)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
}

SSE2_INLINE uint64_t mask_narrow(const uint8_t *data, bool is_latin)
{
	return printable16(data, is_latin) | (uint64_t)printable16(data + 16, is_latin) << 16 |
	       (uint64_t)printable16(data + 32, is_latin) << 32 | (uint64_t)printable16(data + 48, is_latin) << 48;
}

SSE2_INLINE uint64_t mask_low(const uint8_t *data)
{
	return mask_narrow(data, false);
}

SSE2_INLINE uint64_t mask_zero(const uint8_t *data)
{
	return zero16(data) | (uint64_t)zero16(data + 16) << 16 | (uint64_t)zero16(data + 32) << 32 |
	       (uint64_t)zero16(data + 48) << 48;
}

SSE2_INLINE unsigned range16(const uint8_t *data, uint8_t low, uint8_t high)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
	__m128i above = _mm_sub_epi8(bytes, _mm_set1_epi8((char)low));
	__m128i within = _mm_min_epu8(above, _mm_set1_epi8((char)(high - low)));
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(within, above));
}

SSE2_INLINE uint64_t mask_range(const uint8_t *data, uint8_t low, uint8_t high)
{
	return range16(data, low, high) | (uint64_t)range16(data + 16, low, high) << 16 |
	       (uint64_t)range16(data + 32, low, high) << 32 | (uint64_t)range16(data + 48, low, high) << 48;
}

SSE2_INLINE bool is_printable_probe(const uint8_t *data, bool is_latin)
{
	return printable16(data, is_latin) == 0xffff && printable16(data + 16, is_latin) == 0xffff;
}

#include "kernel_body.h"

static bool is_sse2_supported(void)
{
	return true;
}

const struct lh_kernel lh_kernel_sse2 = {"sse2",  is_sse2_supported, find_text_prefix, find_text_runs,
					 is_zero, range_masks,       text_masks,       character_masks};

#endif
