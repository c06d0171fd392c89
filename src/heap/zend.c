/*
 * zend: chunks of PHP's zend_mm. Input: memory. Output: claims. A chunk begins at a multiple of 2 MiB with {heap, next,
 * previous, free pages} (Zend/zend_alloc.c); the heap lies in the first chunk, names it, and lists what is larger than
 * a chunk. PHP 7.0 to 8.4.
 */
#include "walker.h"

#include <stdlib.h>

#define CHUNK_BYTES (2 * LH_MIB)

enum { PEEKS_MAX = 32768, HEAP_OFFSET = 64, PAGES_OF_CHUNK = 512, HEAP_WORDS = 64, HUGE_BLOCKS_MAX = 65536 };

static bool is_chunk_of(const uint64_t *words, uint64_t heap)
{
	return words[0] == heap && !(words[1] % CHUNK_BYTES) && !(words[2] % CHUNK_BYTES) && words[1] && words[2] &&
	       (words[3] & UINT32_MAX) <= PAGES_OF_CHUNK && words[3] >> 32 <= PAGES_OF_CHUNK;
}

/* The heap lies in its first chunk, and the list of chunks is closed. */
static bool parse_chunk(const struct lh_heap_memory *memory, const struct lh_peek *peek)
{
	uint64_t heap = peek->words[0], first = heap - HEAP_OFFSET, words[4];
	return peek->is_read && heap > HEAP_OFFSET && !(first % CHUNK_BYTES) && is_chunk_of(peek->words, heap) &&
	       lh_heap_read_words(memory, first, words, 4) && is_chunk_of(words, heap) &&
	       lh_heap_read_words(memory, peek->words[1], words, 4) && is_chunk_of(words, heap) &&
	       words[2] == peek->addr;
}

/* {address, size, next}; the list's head stands right before the heap's pointer to its first chunk. */
static struct lh_error *claim_huge_blocks(const struct lh_heap_memory *memory, uint64_t heap, struct lh_owners *ret)
{
	uint64_t words[HEAP_WORDS], block[3], at = 0;
	if (!lh_heap_read_words(memory, heap, words, HEAP_WORDS))
		return NULL;
	for (size_t i = 1; i < HEAP_WORDS && !at; i++)
		at = words[i] == heap - HEAP_OFFSET ? words[i - 1] : 0;
	for (size_t i = 0; at && i < HUGE_BLOCKS_MAX && lh_heap_read_words(memory, at, block, 3); i++) {
		uint64_t end;
		if (block[0] % CHUNK_BYTES || block[1] % LH_PAGE_BYTES || !lh_add_u64(block[0], block[1], &end) ||
		    !lh_heap_is_private(memory, block[0], block[1]))
			break;
		LH_TRY(lh_heap_claim(memory, block[0], end, LH_REGION_ZEND, ret));
		at = block[2];
	}
	return NULL;
}

struct lh_error *lh_zend_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_PLAIN, CHUNK_BYTES, CHUNK_BYTES, PEEKS_MAX, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		const struct lh_peek *peek = &peeks.items.items[i];
		if (!parse_chunk(memory, peek))
			continue;
		LH_TRY(lh_heap_claim(memory, peek->addr, peek->addr + CHUNK_BYTES, LH_REGION_ZEND, ret));
		if (peek->words[0] == peek->addr + HEAP_OFFSET)
			LH_TRY(claim_huge_blocks(memory, peek->words[0], ret));
	}
	return NULL;
}
