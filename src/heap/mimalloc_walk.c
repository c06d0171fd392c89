/*
 * mimalloc_walk: all blocks of mimalloc 2.x. Input: segments. Output: blocks. A page is a run of slices with blocks of
 * one size, of which the first `capacity` were ever given out; what is free stands in three lists: the page's, that of
 * its thread's frees, and that of other threads' frees, which still count as used (include/mimalloc/types.h,
 * mi_page_t): used + |free| + |local free| == capacity. Full pages' first frees by other threads wait in a list of the
 * owner's heap. Encoded links (secure and debug builds) do not add up.
 */
#include "mimalloc.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_OFFSET = 10, RESERVED_OFFSET = 12, FREE_OFFSET = 16, LINK_FLAGS = 3, HEAPS_MAX = 65536 };
enum { UNALIGNED_BYTES_MAX = 1024, UNALIGNED_START = 384 }; /* 2.0: pages of small blocks begin later */

/* Where a heap has its thread's number, behind the list of delayed frees: words from its start. */
enum { HEAP_WORDS = 512, HEAP_THREAD_MIN = 256 };

enum block_mark { MARK_USED, MARK_FREE, MARK_PENDING };

struct mimalloc_walk {
	struct lh_heap_tour *tour;
	LH_VEC(uint64_t) delayed; /* freed, but not by their page's count; ascending */
	LH_VEC(uint64_t) heaps;
	uint8_t *marks; /* UINT16_MAX + 1 */
	uint64_t cookie_key, mapped_bytes, returnable_bytes;
	uint32_t arena;
	bool has_cookie;
};

static void deinit_mimalloc_walk(struct mimalloc_walk *walk)
{
	lh_vec_deinit(&walk->delayed);
	lh_vec_deinit(&walk->heaps);
	free(walk->marks);
}

/* ---------------------------------------------------------------- pages */

struct mimalloc_page {
	uint64_t entry_addr;
	uint64_t start; /* of its slices */
	uint64_t bytes;
	uint64_t blocks; /* where they begin */
	uint64_t block_bytes;
	uint64_t free, local_free, thread_free, heap;
	uint32_t used;
	uint16_t capacity, reserved;
};

static void parse_page(const struct lh_mimalloc_segment *segment, uint64_t slice, struct mimalloc_page *ret)
{
	const struct lh_mimalloc_layout *layout = segment->layout;
	size_t offset = layout->entries_offset + slice * layout->entry_bytes;
	const uint8_t *entry = segment->header + offset;
	*ret = (struct mimalloc_page){
		.entry_addr = segment->addr + offset,
		.start = segment->addr + slice * LH_MIMALLOC_SLICE_BYTES,
		.bytes = lh_load_u32(entry, 0) * LH_MIMALLOC_SLICE_BYTES,
		.capacity = lh_load_u16(entry, CAPACITY_OFFSET),
		.reserved = lh_load_u16(entry, RESERVED_OFFSET),
		.free = lh_load_u64(entry, FREE_OFFSET),
		.used = lh_load_u32(entry, layout->used_offset),
		.local_free = lh_load_u64(entry, layout->local_free_offset),
		.thread_free = lh_load_u64(entry, layout->thread_free_offset) & ~(uint64_t)LINK_FLAGS,
		.heap = lh_load_u64(entry, layout->thread_free_offset + 8),
		.block_bytes = layout->is_block_bytes_word ? lh_load_u64(entry, layout->block_bytes_offset)
							   : lh_load_u32(entry, layout->block_bytes_offset),
	};
	bool is_moved = ret->block_bytes >= 8 && ret->block_bytes <= UNALIGNED_BYTES_MAX;
	ret->blocks = layout->start_offset ? lh_load_u64(entry, layout->start_offset)
					   : ret->start + (is_moved ? UNALIGNED_START : 0);
}

/* A page of one huge block may say 2 GiB or more for its size. */
static bool is_page_sane(const struct mimalloc_page *page)
{
	uint64_t room = page->start + page->bytes - page->blocks, bytes;
	return page->blocks >= page->start && page->blocks < page->start + page->bytes && page->capacity &&
	       page->capacity <= page->reserved &&
	       (page->reserved == 1 || (lh_mul_u64(page->reserved, page->block_bytes, &bytes) && bytes <= room));
}

/* Follows a list, and marks its blocks. false when it leaves the page, or a block is in two lists. */
static bool mark_list(struct mimalloc_walk *walk, const struct mimalloc_page *page, uint64_t at, enum block_mark mark,
		      uint32_t *ret_count)
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

static bool mark_page(struct mimalloc_walk *walk, const struct mimalloc_page *page)
{
	uint32_t free_count, local_count, thread_count;
	memset(walk->marks, MARK_USED, page->capacity);
	return mark_list(walk, page, page->free, MARK_FREE, &free_count) &&
	       mark_list(walk, page, page->local_free, MARK_FREE, &local_count) &&
	       mark_list(walk, page, page->thread_free, MARK_PENDING, &thread_count) && thread_count <= page->used &&
	       page->used + free_count + local_count == page->capacity;
}

static struct lh_error *add_range_as(struct mimalloc_walk *walk, uint64_t start, uint64_t bytes, uint8_t state)
{
	struct lh_heap_chunk chunk = {.addr = start, .size_bytes = bytes, .arena = walk->arena, .state = state};
	return bytes ? lh_heap_add_chunk(walk->tour, &chunk) : NULL;
}

static bool is_delayed(const struct mimalloc_walk *walk, uint64_t addr)
{
	size_t low = lh_vec_count_before(&walk->delayed, item, *item < addr);
	return low < walk->delayed.count && walk->delayed.items[low] == addr;
}

/* What other threads freed counts as cached until the owner takes it back. */
static struct lh_error *walk_page(struct mimalloc_walk *walk, const struct mimalloc_page *page)
{
	bool holds = is_page_sane(page) && mark_page(walk, page);
	lh_heap_check(walk->tour, holds, page->entry_addr, "page: its lists and counts differ");
	if (!holds) {
		lh_heap_lose(walk->tour, page->bytes);
		return NULL;
	}
	uint64_t end = page->start + page->bytes;
	uint64_t block_bytes = page->reserved == 1 ? end - page->blocks : page->block_bytes;
	bool has_used = false;
	for (uint32_t i = 0; i < page->capacity; i++) {
		uint64_t addr = page->blocks + i * page->block_bytes;
		bool is_pending = walk->marks[i] == MARK_PENDING || is_delayed(walk, addr);
		uint8_t state = walk->marks[i] == MARK_FREE ? LH_CHUNK_FREE
				: is_pending                ? LH_CHUNK_CACHED
							    : LH_CHUNK_USED;
		has_used |= state == LH_CHUNK_USED;
		LH_TRY(add_range_as(walk, addr, block_bytes, state));
	}
	/* A page without a block in use is kept for the next request of its size, until it is collected. */
	if (!has_used)
		walk->returnable_bytes += lh_heap_resident_bytes(walk->tour, page->start, end);
	if (page->reserved == 1)
		return NULL;
	uint64_t given = page->blocks + page->capacity * page->block_bytes;
	return add_range_as(walk, given, end - given, LH_CHUNK_FREE);
}

/* ---------------------------------------------------------------- delayed frees */

static struct lh_error *add_delayed(struct mimalloc_walk *walk, uint64_t at)
{
	struct lh_list_guard guard = {0};
	while (at && at % 8 == 0 && at >> 47 == 0 && !lh_list_returns(&guard, at)) {
		uint64_t next;
		if (!lh_heap_words(walk->tour, at, &next, 1))
			break;
		LH_TRY(lh_vec_push(&walk->delayed, at));
		at = next;
	}
	return NULL;
}

/* The heap of a page, once: its list of delayed frees stands before the number of its thread. */
static struct lh_error *take_heap(struct mimalloc_walk *walk, uint64_t heap, uint64_t thread)
{
	uint64_t words[HEAP_WORDS];
	for (size_t i = 0; i < walk->heaps.count; i++) {
		if (walk->heaps.items[i] == heap)
			return NULL;
	}
	if (!heap || heap % 8 || !thread || walk->heaps.count == HEAPS_MAX ||
	    !lh_heap_words(walk->tour, heap, words, HEAP_WORDS))
		return NULL;
	LH_TRY(lh_vec_push(&walk->heaps, heap));
	for (size_t i = HEAP_THREAD_MIN; i < HEAP_WORDS; i++) {
		if (words[i] == thread)
			return add_delayed(walk, words[i - 1]);
	}
	return NULL;
}

static uint64_t thread_of(const struct lh_mimalloc_segment *segment)
{
	return lh_load_u64(segment->header, segment->layout->entry_count_offset + 8);
}

static struct lh_error *collect_heaps(void *context, const struct lh_mimalloc_segment *segment)
{
	struct mimalloc_walk *walk = context;
	walk->mapped_bytes += segment->slices * LH_MIMALLOC_SLICE_BYTES;
	for (uint64_t slice = segment->info_slices, count; slice < segment->entries; slice += count) {
		struct mimalloc_page page;
		parse_page(segment, slice, &page);
		count = page.bytes / LH_MIMALLOC_SLICE_BYTES;
		if (!count)
			break;
		if (page.block_bytes)
			LH_TRY(take_heap(walk, page.heap, thread_of(segment)));
		else
			walk->returnable_bytes +=
				lh_heap_resident_bytes(walk->tour, page.start, page.start + page.bytes);
	}
	return NULL;
}

/* ---------------------------------------------------------------- segments */

/* A segment's cookie is its address and a secret of the process, exclusive-or. */
static bool check_cookie(struct mimalloc_walk *walk, const struct lh_mimalloc_segment *segment)
{
	uint64_t key = lh_load_u64(segment->header, segment->layout->slice_count_offset - 8) ^ segment->addr;
	if (!walk->has_cookie)
		walk->cookie_key = key;
	walk->has_cookie = true;
	return lh_heap_check(walk->tour, key == walk->cookie_key, segment->addr, "segment: cookie differs");
}

static struct lh_error *walk_mimalloc_segment(void *context, const struct lh_mimalloc_segment *segment)
{
	struct mimalloc_walk *walk = context;
	uint64_t bytes = segment->slices * LH_MIMALLOC_SLICE_BYTES, page_count = 0;
	uint64_t used = lh_load_u64(segment->header, segment->layout->slice_count_offset - 16);
	if (!check_cookie(walk, segment)) {
		lh_heap_lose(walk->tour, bytes);
		return NULL;
	}
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, segment->addr, segment->addr + bytes));
	/* In the cache of segments: its pages are stale. */
	if (!used) {
		uint64_t info_bytes = lh_min_u64(segment->info_slices * LH_MIMALLOC_SLICE_BYTES, bytes);
		return add_range_as(walk, segment->addr + info_bytes, bytes - info_bytes, LH_CHUNK_FREE);
	}
	for (uint64_t slice = segment->info_slices, count; slice < segment->entries; slice += count) {
		struct mimalloc_page page;
		parse_page(segment, slice, &page);
		count = page.bytes / LH_MIMALLOC_SLICE_BYTES;
		if (!count)
			break;
		page_count += page.block_bytes != 0;
		LH_TRY(page.block_bytes ? walk_page(walk, &page)
					: add_range_as(walk, page.start, page.bytes, LH_CHUNK_FREE));
	}
	lh_heap_check(walk->tour, used == page_count, segment->addr, "segment: another number of pages in use");
	return NULL;
}

static int compare_delayed(const void *a, const void *b)
{
	return lh_compare_u64(*(const uint64_t *)a, *(const uint64_t *)b);
}

static struct lh_error *walk_mimalloc(struct lh_heap_tour *tour)
{
	struct mimalloc_walk walk LH_CLEANUP(deinit_mimalloc_walk) = {.tour = tour};
	walk.marks = malloc(UINT16_MAX + 1);
	if (!walk.marks)
		return lh_error_no_memory();
	LH_TRY(lh_mimalloc_visit_segments(tour->memory, collect_heaps, &walk));
	lh_vec_sort(&walk.delayed, compare_delayed);
	struct lh_heap_arena arena = {
		.allocator = "mimalloc",
		.role = "",
		.kind = LH_REGION_MIMALLOC,
		.mapped_bytes = walk.mapped_bytes,
	};
	LH_TRY(lh_heap_add_arena(tour, &arena, &walk.arena));
	LH_TRY(lh_mimalloc_visit_segments(tour->memory, walk_mimalloc_segment, &walk));
	lh_heap_set_returnable(tour, walk.arena, walk.returnable_bytes);
	return NULL;
}

const struct lh_allocator_walker lh_walk_mimalloc = {
	.name = "mimalloc",
	.claim = lh_mimalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_MIMALLOC,
	.walk = walk_mimalloc,
};
