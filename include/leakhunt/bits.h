/*
 * bits: a bit for each of some items, as marks of blocks and nodes by their index. Part of base.
 */
#ifndef LEAKHUNT_BITS_H
#define LEAKHUNT_BITS_H

#include "leakhunt/base.h"

#include <stdlib.h>

/* Words for `count` bits, and at least one more bit. */
static inline size_t lh_bits_words(size_t count)
{
	return count / 64 + 1;
}

/* `count` bits, all 0, to be freed by free(); NULL when there is no memory. */
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
