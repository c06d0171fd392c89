/*
 * mimalloc_pages: all blocks of a page, of mimalloc 2.x and 3.x. Input: a page. Output: blocks. Free blocks are in
 * three lists: the page's, that of its thread's frees, and that of other threads' frees, which still count as used
 * (include/mimalloc/types.h, mi_page_t): used + |free| + |local free| == capacity. Encoded links (secure and debug
 * builds) do not satisfy this.
 */
#include "mimalloc.h"

#include <string.h>

enum block_mark { MARK_USED, MARK_FREE, MARK_PENDING };

/* A page of one huge block may state a size of 2 GiB or more. */
bool lh_mimalloc_page_is_sane(const struct lh_mimalloc_page *page)
{
	uint64_t room = page->start + page->bytes - page->blocks, bytes;
	return page->blocks >= page->start && page->blocks < page->start + page->bytes && page->capacity &&
	       page->capacity <= page->reserved &&
	       (page->reserved == 1 || (lh_mul_u64(page->reserved, page->block_bytes, &bytes) && bytes <= room));
}

/* Follows a list, and marks its blocks. False if it leaves the page, or a block is in two lists. */
static bool mark_list(struct lh_mimalloc_walk *walk, const struct lh_mimalloc_page *page, uint64_t at,
		      enum block_mark mark, uint32_t *ret_count)
{
	*ret_count = 0;
	while (at) {
		uint64_t offset = at - page->blocks, index = offset / page->block_bytes;
		if (at < page->blocks || index >= page->capacity || offset % page->block_bytes ||
		    walk->marks[index] != MARK_USED || !lh_heap_words(walk->tour, at, &at, 1))
			return false;
		walk->marks[index] = (uint8_t)mark;
		++*ret_count;
	}
	return true;
}

static bool mark_page(struct lh_mimalloc_walk *walk, const struct lh_mimalloc_page *page)
{
	uint32_t free_count, local_count, thread_count;
	memset(walk->marks, MARK_USED, page->capacity);
	return mark_list(walk, page, page->free, MARK_FREE, &free_count) &&
	       mark_list(walk, page, page->local_free, MARK_FREE, &local_count) &&
	       mark_list(walk, page, page->thread_free, MARK_PENDING, &thread_count) && thread_count <= page->used &&
	       page->used + free_count + local_count == page->capacity;
}

struct lh_error *lh_mimalloc_add_block(struct lh_mimalloc_walk *walk, uint64_t start, uint64_t bytes, uint8_t state)
{
	struct lh_heap_chunk chunk = {.addr = start, .size_bytes = bytes, .arena = walk->arena, .state = state};
	return bytes ? lh_heap_add_chunk(walk->tour, &chunk) : NULL;
}

static bool is_delayed(const struct lh_mimalloc_walk *walk, uint64_t addr)
{
	size_t low = lh_vec_count_before(&walk->delayed, item, *item < addr);
	return low < walk->delayed.count && walk->delayed.items[low] == addr;
}

/* Blocks that other threads freed count as cached until the owner takes them back. */
struct lh_error *lh_mimalloc_walk_page(struct lh_mimalloc_walk *walk, const struct lh_mimalloc_page *page)
{
	bool holds = lh_mimalloc_page_is_sane(page) && mark_page(walk, page);
	lh_heap_check(walk->tour, holds, page->entry_addr, "page: its lists and counts differ");
	if (!holds) {
		lh_heap_lose(walk->tour, page->bytes);
		return NULL;
	}
	uint64_t end = page->start + page->bytes;
	bool has_used = false;
	if (page->has_aligned)
		LH_TRY(lh_heap_note_padded(walk->tour, (struct lh_range){page->blocks, end}));
	for (uint32_t i = 0; i < page->capacity; i++) {
		uint64_t addr = page->blocks + i * page->block_bytes;
		bool is_pending = walk->marks[i] == MARK_PENDING || is_delayed(walk, addr);
		uint8_t state = walk->marks[i] == MARK_FREE ? LH_CHUNK_FREE
				: is_pending                ? LH_CHUNK_CACHED
							    : LH_CHUNK_USED;
		has_used |= state == LH_CHUNK_USED;
		LH_TRY(lh_mimalloc_add_block(walk, addr, page->block_bytes, state));
	}
	/* A page without blocks in use is kept for later requests of its size until it is collected. */
	if (!has_used)
		walk->returnable_bytes += lh_heap_resident_bytes(walk->tour, page->start, end);
	if (page->reserved == 1)
		return NULL;
	uint64_t given = page->blocks + page->capacity * page->block_bytes;
	return lh_mimalloc_add_block(walk, given, end - given, LH_CHUNK_FREE);
}
