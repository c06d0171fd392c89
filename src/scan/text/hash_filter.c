/*
 * hash_filter: a set of some thousand hashes that nearly all lookups miss. A Bloom filter of 131,072 bits stays in the
 * first-level cache. Both bits of a hash lie in one word, so that one load answers. With 8,192 hashes 1 of 8 bits is
 * set, and about 1 of 60 lookups of another hash goes on to the slots.
 */
#include "text_candidates.h"

#include <stdlib.h>

enum { FILTER_BITS = 17, FILTER_WORDS = 1 << (FILTER_BITS - 6) };

struct lh_hash_filter {
	uint64_t bits[FILTER_WORDS];
	size_t slot_mask;
	uint64_t slots[]; /* 0: empty; open addressing, at most a quarter full */
};

/* The hash 0 stands for an empty slot. */
static uint64_t stored_hash(uint64_t hash)
{
	return hash ? hash : 1;
}

static size_t filter_word(uint64_t hash)
{
	return hash >> 6 & (FILTER_WORDS - 1);
}

static uint64_t filter_bits(uint64_t hash)
{
	return UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> 40 & 63);
}

struct lh_error *lh_hash_filter_create(const uint64_t *hashes, size_t count, struct lh_hash_filter **ret)
{
	size_t slots = 4;
	while (slots < 4 * count)
		slots *= 2;
	struct lh_hash_filter *filter = calloc(1, sizeof(*filter) + slots * sizeof(filter->slots[0]));
	if (!filter)
		return lh_error_no_memory();
	filter->slot_mask = slots - 1;
	for (size_t i = 0; i < count; i++) {
		size_t at = hashes[i] >> FILTER_BITS & filter->slot_mask;
		while (filter->slots[at] && filter->slots[at] != stored_hash(hashes[i]))
			at = (at + 1) & filter->slot_mask;
		filter->slots[at] = stored_hash(hashes[i]);
		filter->bits[filter_word(hashes[i])] |= filter_bits(hashes[i]);
	}
	*ret = filter;
	return NULL;
}

void lh_hash_filter_destroy(struct lh_hash_filter *filter)
{
	free(filter);
}

void lh_hash_filter_prefetch(const struct lh_hash_filter *filter, uint64_t hash)
{
	__builtin_prefetch(&filter->bits[filter_word(hash)]);
}

bool lh_hash_filter_has(const struct lh_hash_filter *filter, uint64_t hash)
{
	uint64_t bits = filter_bits(hash);
	if ((filter->bits[filter_word(hash)] & bits) != bits)
		return false;
	for (size_t at = hash >> FILTER_BITS & filter->slot_mask; filter->slots[at];
	     at = (at + 1) & filter->slot_mask) {
		if (filter->slots[at] == stored_hash(hash))
			return true;
	}
	return false;
}
