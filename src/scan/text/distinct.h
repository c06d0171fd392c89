/*
 * distinct: about how many different hashes were added, in 16 KiB: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007)
 * with 16,384 registers, standard error 0.8 %. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_DISTINCT_H
#define LEAKHUNT_SCAN_DISTINCT_H

#include <stdint.h>

enum { LH_DISTINCT_BITS = 14, LH_DISTINCT_REGISTERS = 1 << LH_DISTINCT_BITS };

/* All zero: none was added. */
struct lh_distinct {
	uint8_t most_zeros[LH_DISTINCT_REGISTERS]; /* of the hashes of a register: leading zeros + 1 */
};

static inline void lh_distinct_add(struct lh_distinct *distinct, uint64_t hash)
{
	uint8_t *most = &distinct->most_zeros[hash >> (64 - LH_DISTINCT_BITS)];
	uint8_t zeros = (uint8_t)(__builtin_clzll(hash << LH_DISTINCT_BITS | 1 << (LH_DISTINCT_BITS - 1)) + 1);
	*most = zeros > *most ? zeros : *most;
}

static inline void lh_distinct_prefetch(const struct lh_distinct *distinct, uint64_t hash)
{
	__builtin_prefetch(&distinct->most_zeros[hash >> (64 - LH_DISTINCT_BITS)], 1);
}

void lh_distinct_merge(struct lh_distinct *distinct, const struct lh_distinct *part);
uint64_t lh_distinct_estimate(const struct lh_distinct *distinct);

#endif
