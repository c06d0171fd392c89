/*
 * heap_pins: which blocks keep free memory from being given back. Input: blocks, and the group of each. Output: for
 * each group the free bytes that share a page with its blocks. An allocator gives back whole pages at least.
 */
#include "leakhunt/objects.h"

enum { SHARES_MAX = 512 };

/* One page, while the blocks on it are visited. */
struct pinned_page {
	uint64_t addr;
	uint64_t free_bytes;
	uint64_t used_bytes;
	size_t count;
	struct {
		uint16_t row;
		uint16_t bytes;
	} shares[SHARES_MAX];
};

/* Who holds most of the page pins most of what is free on it. */
static void settle_page(struct pinned_page *page, struct lh_heap_groups *groups)
{
	for (size_t i = 0; page->free_bytes && i < page->count; i++) {
		if (page->shares[i].row < groups->rows.count)
			groups->rows.items[page->shares[i].row].pinned_bytes +=
				page->free_bytes * page->shares[i].bytes / page->used_bytes;
	}
}

static void move_to_page(struct pinned_page *page, uint64_t addr, struct lh_heap_groups *groups)
{
	addr = lh_align_down(addr, LH_PAGE_BYTES);
	if (addr == page->addr)
		return;
	settle_page(page, groups);
	page->addr = addr;
	page->free_bytes = page->used_bytes = page->count = 0;
}

static void add_share(struct pinned_page *page, const struct lh_stored_chunk *chunk, uint16_t row, uint64_t bytes)
{
	if (chunk->state == LH_CHUNK_FREE) {
		page->free_bytes += bytes;
		return;
	}
	if (page->count == SHARES_MAX || !bytes)
		return;
	page->used_bytes += bytes;
	page->shares[page->count].row = row;
	page->shares[page->count++].bytes = (uint16_t)bytes;
}

/* Of a block that spans pages only the first and the last one have room for others. */
void lh_heap_find_pins(const struct lh_heap *heap, const uint16_t *rows, struct lh_heap_groups *groups)
{
	size_t count;
	const struct lh_stored_chunk *chunks = lh_heap_stored_chunks(heap, &count);
	struct pinned_page page = {.addr = UINT64_MAX};
	for (size_t i = 0; i < count; i++) {
		uint64_t start = chunks[i].addr, end = start + chunks[i].size_bytes;
		uint64_t first_end = lh_min_u64(end, lh_align_down(start, LH_PAGE_BYTES) + LH_PAGE_BYTES);
		if (start == end)
			continue;
		move_to_page(&page, start, groups);
		if (first_end - start < LH_PAGE_BYTES)
			add_share(&page, &chunks[i], rows[i], first_end - start);
		if (first_end == end || end % LH_PAGE_BYTES == 0)
			continue;
		move_to_page(&page, end, groups);
		add_share(&page, &chunks[i], rows[i], end % LH_PAGE_BYTES);
	}
	settle_page(&page, groups);
}
