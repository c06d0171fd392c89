/*
 * kernel_neon: the run finder's inner loops on 16-byte vectors of AArch64, where every processor has them.
 */
#include "kernels.h"
#include "leakhunt/sweep.h"

#ifdef __aarch64__

#include <arm_neon.h>

#define KERNEL_TARGET
#define NEON_INLINE static inline __attribute__((always_inline))

/* Bit i of 64: whether byte i of four vectors of 0x00 or 0xff is set. Sums pairs of bytes with one bit each. */
NEON_INLINE uint64_t bits_of(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
	const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t low = vpaddq_u8(vandq_u8(a, bit), vandq_u8(b, bit));
	uint8x16_t high = vpaddq_u8(vandq_u8(c, bit), vandq_u8(d, bit));
	uint8x16_t all = vpaddq_u8(low, high);
	return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

/* 0x20 to 0x7e are the 0x5f bytes from 0x20 on. */
NEON_INLINE uint8x16_t printable16(const uint8_t *data, bool is_latin)
{
	uint8x16_t bytes = vld1q_u8(data);
	uint8x16_t printable = vorrq_u8(vcltq_u8(vsubq_u8(bytes, vdupq_n_u8(0x20)), vdupq_n_u8(0x5f)),
					vceqq_u8(bytes, vdupq_n_u8('\t')));
	return is_latin ? vorrq_u8(printable, vcgeq_u8(bytes, vdupq_n_u8(0x80))) : printable;
}

NEON_INLINE uint64_t mask_narrow(const uint8_t *data, bool is_latin)
{
	return bits_of(printable16(data, is_latin), printable16(data + 16, is_latin), printable16(data + 32, is_latin),
		       printable16(data + 48, is_latin));
}

NEON_INLINE uint64_t mask_low(const uint8_t *data)
{
	return mask_narrow(data, false);
}

NEON_INLINE uint64_t mask_zero(const uint8_t *data)
{
	return bits_of(vceqzq_u8(vld1q_u8(data)), vceqzq_u8(vld1q_u8(data + 16)), vceqzq_u8(vld1q_u8(data + 32)),
		       vceqzq_u8(vld1q_u8(data + 48)));
}

NEON_INLINE uint8x16_t range16(const uint8_t *data, uint8_t low, uint8_t high)
{
	return vcleq_u8(vsubq_u8(vld1q_u8(data), vdupq_n_u8(low)), vdupq_n_u8((uint8_t)(high - low)));
}

NEON_INLINE uint64_t mask_range(const uint8_t *data, uint8_t low, uint8_t high)
{
	return bits_of(range16(data, low, high), range16(data + 16, low, high), range16(data + 32, low, high),
		       range16(data + 48, low, high));
}

NEON_INLINE bool is_printable_probe(const uint8_t *data, bool is_latin)
{
	return vminvq_u8(vandq_u8(printable16(data, is_latin), printable16(data + 16, is_latin))) == 0xff;
}

#include "kernel_body.h"

static bool is_neon_supported(void)
{
	return true;
}

const struct lh_kernel lh_kernel_neon = {"neon",  is_neon_supported, find_text_prefix, find_text_runs,
					 is_zero, range_masks,       text_masks,       character_masks};

#endif
