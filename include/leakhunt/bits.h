/*
 * bits: bit arrays: one bit per block or node, by its index. Part of base.
 */
#ifndef LEAKHUNT_BITS_H
#define LEAKHUNT_BITS_H

#include "leakhunt/base.h"

#include <stdlib.h>

/* Words that hold `count` bits and at least one spare bit. */
static inline size_t lh_bits_words(size_t count)
{
	return count / 64 + 1;
}

/* `count` bits, all 0; free() them. NULL without memory. */
static inline uint64_t *lh_bits_create(size_t count)
{
	return calloc(lh_bits_words(count), sizeof(uint64_t));
}

static inline bool lh_bit(const uint64_t *bits, size_t index)
{
	return bits[index / 64] >> index % 64 & 1;
}

static inline void lh_bit_set(uint64_t *bits, size_t index)
{
	bits[index / 64] |= UINT64_C(1) << index % 64;
}

static inline void lh_bit_clear(uint64_t *bits, size_t index)
{
	bits[index / 64] &= ~(UINT64_C(1) << index % 64);
}

#endif
