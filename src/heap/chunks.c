/*
 * chunks: follows the chain of chunk headers along memory. Input: ascending addresses with the blocks
 * they lie in. Output: the chunk around each. Where there is no chain, or it breaks (another allocator,
 * no heap, memory that changed while it was read), it looks for the next one.
 *
 * glibc 2.26 to 2.42, malloc/malloc.c "Malloc chunk": {prev_size, size | A | M | P}, sizes a multiple of
 * 16; a chunk is free iff the next one's P is clear, and then the next one's prev_size is its size. Chunks
 * in tcache and fastbins look used; free() overwrites their first bytes. A mapped chunk (M) begins a page.
 */
#include "leakhunt/heap.h"

#include <string.h>

enum {
	FLAG_IN_USE = 1, /* P: of the chunk before */
	FLAG_MAPPED = 2,
	FLAGS = 7,
	UNUSED_FLAG = 8,
	SIZE_MIN = 32,
	ALIGNMENT = 16,
	CHAIN_MIN = 6,          /* headers in a row that are taken for a chain */
	SEARCH_MAX = 64 * 1024, /* bytes before an address in which its chunk is looked for */
};

struct view {
	const struct lh_chunk_walk *walk;
	const struct lh_block *block;
};

static bool read_chunk_word(const struct view *view, uint64_t addr, uint64_t *ret)
{
	const struct lh_block *block = view->block;
	uint64_t start = block->addr - block->bytes_before;
	size_t bytes = block->bytes_before + block->bytes + block->bytes_after;
	if (addr >= start && addr - start < bytes && bytes - (addr - start) >= 8) {
		memcpy(ret, block->data - block->bytes_before + (addr - start), 8);
		return true;
	}
	return lh_image_read(view->walk->image, addr, ret, 8) == 8;
}

struct header {
	uint64_t addr;
	uint64_t previous_bytes;
	uint64_t size_bytes;
	bool is_previous_used;
	bool is_mapped;
};

/* "top" ends at a page, which may be behind the segment: its last pages were never touched, and not dumped. */
static bool may_end_behind(const struct view *view, uint64_t addr, uint64_t bytes)
{
	enum { ABSENT_MAX = 64 << 20 };
	uint64_t segment_end = view->walk->segment->end, end;
	if (!lh_add_u64(addr, bytes, &end))
		return false;
	return end <= segment_end || (end % LH_PAGE_BYTES == 0 && end - segment_end <= ABSENT_MAX);
}

static bool read_chunk_header(const struct view *view, uint64_t addr, struct header *ret)
{
	uint64_t size;
	if (!read_chunk_word(view, addr + 8, &size) || size & UNUSED_FLAG || size < SIZE_MIN ||
	    !may_end_behind(view, addr, size & ~(uint64_t)FLAGS) || !read_chunk_word(view, addr, &ret->previous_bytes))
		return false;
	ret->addr = addr;
	ret->size_bytes = size & ~(uint64_t)FLAGS;
	ret->is_previous_used = size & FLAG_IN_USE;
	ret->is_mapped = size & FLAG_MAPPED;
	return true;
}

static bool is_mapped_chunk(const struct header *header)
{
	return header->is_mapped && !header->is_previous_used && header->addr % LH_PAGE_BYTES == 0 &&
	       !header->previous_bytes && header->size_bytes % LH_PAGE_BYTES == 0;
}

/* Whether `next` can stand behind a chunk of that size. */
static bool can_follow(const struct header *next, uint64_t size_bytes)
{
	return !next->is_mapped && (next->is_previous_used || next->previous_bytes == size_bytes);
}

/* CHAIN_MIN headers from `header` on, or as many as there are up to the end of the segment. */
static bool begins_chunk_chain(const struct view *view, struct header header)
{
	if (header.is_mapped)
		return is_mapped_chunk(&header);
	for (int i = 1; i < CHAIN_MIN; i++) {
		uint64_t next_addr = header.addr + header.size_bytes;
		struct header next;
		if (next_addr >= view->walk->segment->end)
			return i > 1;
		if (!read_chunk_header(view, next_addr, &next) || !can_follow(&next, header.size_bytes))
			return false;
		header = next;
	}
	return true;
}

/* The last chunk of a heap is "top", which is free. Where the next header can't be read, it is taken for used. */
static void enter_chunk(struct lh_chunk_walk *walk, const struct view *view, const struct header *header)
{
	uint64_t next_addr = header->addr + header->size_bytes, next_size;
	walk->header_addr = header->addr;
	walk->size_bytes = header->size_bytes;
	walk->is_mapped = header->is_mapped;
	walk->has_chunk = true;
	if (header->is_mapped)
		walk->is_used = true;
	else if (next_addr >= walk->segment->end)
		walk->is_used = false;
	else
		walk->is_used = !read_chunk_word(view, next_addr + 8, &next_size) || next_size & FLAG_IN_USE;
}

static void lose_chain(struct lh_chunk_walk *walk, uint64_t search_from)
{
	walk->has_chunk = false;
	walk->search_from = search_from;
}

/* Steps to the chunk that holds `addr`; the chain may end before. */
static void follow_chain(struct lh_chunk_walk *walk, const struct view *view, uint64_t addr)
{
	while (walk->has_chunk && walk->header_addr + walk->size_bytes <= addr) {
		uint64_t next_addr = walk->header_addr + walk->size_bytes;
		struct header next;
		bool is_next = !walk->is_mapped && read_chunk_header(view, next_addr, &next) &&
			       can_follow(&next, walk->size_bytes);
		if (is_next)
			enter_chunk(walk, view, &next);
		else
			lose_chain(walk, next_addr);
	}
}

/* Looks for a chain that begins before `addr`, and follows it. */
static void find_chunk_chain(struct lh_chunk_walk *walk, const struct view *view, uint64_t addr)
{
	uint64_t from = lh_max_u64(walk->search_from, addr - lh_min_u64(addr, SEARCH_MAX));
	for (uint64_t at = lh_align_up(from, ALIGNMENT); at + ALIGNMENT <= addr && !walk->has_chunk; at += ALIGNMENT) {
		struct header header;
		walk->search_from = at + ALIGNMENT;
		if (!read_chunk_header(view, at, &header) || !begins_chunk_chain(view, header))
			continue;
		enter_chunk(walk, view, &header);
		follow_chain(walk, view, addr);
		if (!walk->has_chunk)
			at = lh_max_u64(at, lh_align_down(walk->search_from, ALIGNMENT) - ALIGNMENT);
	}
}

bool lh_chunk_walk_to(struct lh_chunk_walk *walk, const struct lh_block *block, uint64_t addr, struct lh_chunk *ret)
{
	struct view view = {walk, block};
	if (!block->segment)
		return false;
	if (!walk->segment || walk->segment->start != block->segment->start) {
		walk->segment = block->segment;
		lose_chain(walk, block->segment->start);
	}
	follow_chain(walk, &view, addr);
	if (!walk->has_chunk)
		find_chunk_chain(walk, &view, addr);
	if (!walk->has_chunk || addr < walk->header_addr + ALIGNMENT)
		return false;
	*ret = (struct lh_chunk){walk->header_addr + ALIGNMENT, walk->size_bytes, walk->is_used};
	return true;
}
