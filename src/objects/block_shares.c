/*
 * block_shares: the bytes of blocks, and the objects that have them. Input: objects in ascending order. Output: shares,
 * whose sum is at most the bytes of the blocks.
 */
#include "block_shares.h"

#include "leakhunt/bits.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* Python's collector keeps 16 bytes, apr_memnode_t is 40, MariaDB's my_malloc keeps 24, SQLite 8. */
	HEAD_MAX_BYTES = 40,
	BLOCK_MAX_BYTES = 1 << 24,
	SHARES_MAX = 1 << 22,
};

struct lh_error *lh_block_shares_init(struct lh_image *image, const struct lh_heap *heap, struct lh_block_shares *ret)
{
	*ret = (struct lh_block_shares){.image = image, .heap = heap, .block = SIZE_MAX};
	if (!heap)
		return NULL;
	ret->counted = lh_bits_create(lh_heap_chunk_count(heap));
	return ret->counted ? NULL : lh_error_no_memory();
}

void lh_block_shares_deinit(struct lh_block_shares *shares)
{
	free(shares->counted);
	lh_vec_deinit(&shares->items);
}

bool lh_block_begins_with(uint64_t block_addr, uint64_t addr)
{
	return addr - block_addr <= HEAD_MAX_BYTES;
}

uint64_t lh_block_bytes_of(const struct lh_object_view *view, uint64_t addr)
{
	struct lh_chunk chunk;
	bool is_own = lh_object_find_chunk(view->heap, addr, &chunk) && lh_block_begins_with(chunk.memory_addr, addr) &&
		      chunk.size_bytes <= BLOCK_MAX_BYTES;
	return is_own ? chunk.size_bytes : 0;
}

bool lh_block_shares_take(struct lh_block_shares *shares, size_t block)
{
	if (lh_bit(shares->counted, block))
		return false;
	lh_bit_set(shares->counted, block);
	return true;
}

static bool has_only_zeros(struct lh_image *image, uint64_t addr, size_t length)
{
	static const uint8_t zeros[LH_PAGE_BYTES];
	uint8_t bytes[LH_PAGE_BYTES];
	size_t got = lh_image_read(image, addr, bytes, length);
	return memcmp(bytes, zeros, got) == 0;
}

/* The end of the last page of the block that is not empty, if that leaves out a page or more. */
static uint64_t find_written_end(struct lh_image *image, const struct lh_heap_chunk *chunk, uint64_t first)
{
	const uint64_t block_end = chunk->addr + chunk->size_bytes;
	uint64_t end = block_end;
	while (end > first) {
		uint64_t page = lh_max_u64(lh_align_down(end - 1, LH_PAGE_BYTES), first);
		if (!has_only_zeros(image, page, (size_t)(end - page)))
			break;
		end = page;
	}
	return block_end - end < LH_PAGE_BYTES ? block_end : end;
}

/* Whether the block can be divided from now on. */
static bool begin_block(struct lh_block_shares *shares, size_t block, const struct lh_heap_chunk *chunk, uint64_t addr)
{
	const struct lh_heap_type *type;
	if (chunk->size_bytes > BLOCK_MAX_BYTES || lh_heap_chunk_type(shares->heap, block, &type) ||
	    !lh_block_shares_take(shares, block))
		return false;
	shares->block = block;
	shares->end = find_written_end(shares->image, chunk, addr);
	return true;
}

struct lh_error *lh_block_shares_divide(struct lh_block_shares *shares, size_t block, uint64_t addr, uint32_t type)
{
	const struct lh_heap_chunk chunk = lh_heap_chunk_at(shares->heap, block);
	bool is_first = shares->block != block;
	if (shares->items.count == SHARES_MAX || (is_first && !begin_block(shares, block, &chunk, addr)) ||
	    (!is_first && addr <= shares->addr))
		return NULL;
	uint64_t left = shares->end - addr, bytes = left;
	if (is_first)
		bytes += addr - chunk.addr + lh_object_chunk_at(shares->heap, block).size_bytes - chunk.size_bytes;
	else
		shares->items.items[shares->items.count - 1].bytes -= (uint32_t)left;
	shares->addr = addr;
	return lh_vec_push(&shares->items, ((struct lh_block_share){type, (uint32_t)bytes}));
}
