/*
 * mimalloc_walk: all blocks of mimalloc. Input: segments of 2.x, the map of pages of 3.x. Output: blocks. In 2.x, the
 * first block that another thread frees in a full page waits in a list of the owner's heap. In 3.x, slices of an arena
 * without a page are free (src/arena.c).
 */
#include "mimalloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	CAPACITY_OFFSET = 10,
	RESERVED_OFFSET = 12,
	FLAGS_OFFSET = 14,
	FREE_OFFSET = 16,
	LINK_FLAGS = 3,
	HEAPS_MAX = 65536
};
enum { UNALIGNED_BYTES_MAX = 1024, UNALIGNED_START = 384 }; /* 2.0: pages of small blocks begin later */

/* Where a heap stores its thread's number, after the list of delayed frees: words from its start. */
enum { HEAP_WORDS = 512, HEAP_THREAD_MIN = 256 };

static void deinit_mimalloc_walk(struct lh_mimalloc_walk *walk)
{
	lh_vec_deinit(&walk->delayed);
	lh_vec_deinit(&walk->heaps);
	free(walk->marks);
}

/* ---------------------------------------------------------------- pages */

static void parse_page(const struct lh_mimalloc_segment *segment, uint64_t slice, struct lh_mimalloc_page *ret)
{
	const struct lh_mimalloc_layout *layout = segment->layout;
	size_t offset = layout->entries_offset + slice * layout->entry_bytes;
	const uint8_t *entry = segment->header + offset;
	*ret = (struct lh_mimalloc_page){
		.entry_addr = segment->addr + offset,
		.start = segment->addr + slice * LH_MIMALLOC_SLICE_BYTES,
		.bytes = lh_load_u32(entry, 0) * LH_MIMALLOC_SLICE_BYTES,
		.capacity = lh_load_u16(entry, CAPACITY_OFFSET),
		.reserved = lh_load_u16(entry, RESERVED_OFFSET),
		.has_aligned = entry[FLAGS_OFFSET] & LH_MIMALLOC_HAS_ALIGNED,
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
	/* A page of one block is usable as a whole. */
	if (ret->block_bytes && ret->reserved == 1)
		ret->block_bytes = ret->start + ret->bytes - ret->blocks;
}

/* ---------------------------------------------------------------- delayed frees */

static struct lh_error *add_delayed(struct lh_mimalloc_walk *walk, uint64_t at)
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

/* The heap of a page, once: its list of delayed frees precedes the number of its thread. */
static struct lh_error *take_heap(struct lh_mimalloc_walk *walk, uint64_t heap, uint64_t thread)
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
	struct lh_mimalloc_walk *walk = context;
	for (uint64_t slice = segment->info_slices, count; slice < segment->entries; slice += count) {
		struct lh_mimalloc_page page;
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

/* A segment's cookie is its address XOR a secret of the process. */
static bool check_cookie(struct lh_mimalloc_walk *walk, const struct lh_mimalloc_segment *segment)
{
	uint64_t key = lh_load_u64(segment->header, segment->layout->slice_count_offset - 8) ^ segment->addr;
	if (!walk->has_cookie)
		walk->cookie_key = key;
	walk->has_cookie = true;
	return lh_heap_check(walk->tour, key == walk->cookie_key, segment->addr, "segment: cookie differs");
}

static struct lh_error *walk_mimalloc_segment(void *context, const struct lh_mimalloc_segment *segment)
{
	struct lh_mimalloc_walk *walk = context;
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
		return lh_mimalloc_add_block(walk, segment->addr + info_bytes, bytes - info_bytes, LH_CHUNK_FREE);
	}
	for (uint64_t slice = segment->info_slices, count; slice < segment->entries; slice += count) {
		struct lh_mimalloc_page page;
		parse_page(segment, slice, &page);
		count = page.bytes / LH_MIMALLOC_SLICE_BYTES;
		if (!count)
			break;
		page_count += page.block_bytes != 0;
		LH_TRY(page.block_bytes ? lh_mimalloc_walk_page(walk, &page)
					: lh_mimalloc_add_block(walk, page.start, page.bytes, LH_CHUNK_FREE));
	}
	lh_heap_check(walk->tour, used == page_count, segment->addr, "segment: another number of pages in use");
	return NULL;
}

/* ---------------------------------------------------------------- 3.x: pages of a map */

struct map_walk {
	struct lh_mimalloc_walk *walk;
	LH_VEC(struct lh_range) given; /* memory of pages */
	LH_VEC(struct lh_range) arenas;
	LH_VEC(uint64_t) info_bytes; /* of each arena */
};

static void deinit_map_walk(struct map_walk *map)
{
	lh_vec_deinit(&map->given);
	lh_vec_deinit(&map->arenas);
	lh_vec_deinit(&map->info_bytes);
}

static struct lh_error *walk_arena(void *context, struct lh_range arena, uint64_t info_bytes)
{
	struct map_walk *map = context;
	LH_TRY(lh_vec_push(&map->arenas, arena));
	LH_TRY(lh_vec_push(&map->info_bytes, info_bytes));
	return lh_heap_add_range(map->walk->tour, map->walk->arena, arena.start, arena.end);
}

static bool is_in_arena(const struct map_walk *map, struct lh_range range)
{
	for (size_t i = 0; i < map->arenas.count; i++) {
		if (range.start >= map->arenas.items[i].start && range.end <= map->arenas.items[i].end)
			return true;
	}
	return false;
}

static struct lh_error *walk_map_page(void *context, const struct lh_mimalloc_page *page, struct lh_range memory)
{
	struct map_walk *map = context;
	LH_TRY(lh_vec_push(&map->given, memory));
	if (!is_in_arena(map, memory))
		LH_TRY(lh_heap_add_range(map->walk->tour, map->walk->arena, memory.start, memory.end));
	return lh_mimalloc_walk_page(map->walk, page);
}

static struct lh_error *walk_map_memory(void *context, struct lh_range range)
{
	struct map_walk *map = context;
	return lh_heap_add_range(map->walk->tour, map->walk->arena, range.start, range.end);
}

/* A slice of metadata names itself: {next, arena, u32 slice, u32 slices} (src/arena-meta.c, mi_meta_page_t). */
static bool is_meta_slice(struct lh_mimalloc_walk *walk, uint64_t arena, uint64_t slice_addr)
{
	uint64_t words[3];
	return lh_heap_words(walk->tour, slice_addr, words, 3) && words[1] == arena && words[2] >> 32 &&
	       (uint32_t)words[2] == (slice_addr - arena) / LH_MIMALLOC_SLICE_BYTES;
}

/* Slices without a page are free, except slices of metadata. */
static struct lh_error *add_gap(struct lh_mimalloc_walk *walk, uint64_t arena, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	while (start < end) {
		at = lh_heap_next_resident(walk->tour, at);
		at = lh_min_u64(lh_align_down(at, LH_MIMALLOC_SLICE_BYTES), end);
		bool is_meta = at < end && is_meta_slice(walk, arena, at);
		if (at < end && !is_meta) {
			at += LH_MIMALLOC_SLICE_BYTES;
			continue;
		}
		LH_TRY(lh_mimalloc_add_block(walk, start, at - start, LH_CHUNK_FREE));
		walk->returnable_bytes += lh_heap_resident_bytes(walk->tour, start, at);
		at += LH_MIMALLOC_SLICE_BYTES;
		start = at;
	}
	return NULL;
}

static struct lh_error *add_gaps(struct map_walk *map, struct lh_range arena, uint64_t info_bytes)
{
	uint64_t at = arena.start + info_bytes;
	size_t i = lh_vec_count_before(&map->given, range, range->start < arena.start);
	for (; i < map->given.count && map->given.items[i].start < arena.end; i++) {
		struct lh_range given = map->given.items[i];
		if (given.start > at)
			LH_TRY(add_gap(map->walk, arena.start, at, given.start));
		at = lh_max_u64(at, given.end);
	}
	return at < arena.end ? add_gap(map->walk, arena.start, at, arena.end) : NULL;
}

static struct lh_error *walk_page_map(struct lh_mimalloc_walk *walk)
{
	struct map_walk map LH_CLEANUP(deinit_map_walk) = {.walk = walk};
	struct lh_mimalloc_visitor visitor = {walk_arena, walk_map_page, walk_map_memory, &map};
	LH_TRY(lh_mimalloc_visit_map(walk->tour->memory, &visitor));
	lh_vec_sort(&map.given, lh_compare_range_starts);
	for (size_t i = 0; i < map.arenas.count; i++)
		LH_TRY(add_gaps(&map, map.arenas.items[i], map.info_bytes.items[i]));
	return NULL;
}

/* ---------------------------------------------------------------- both */

static struct lh_error *walk_mimalloc(struct lh_heap_tour *tour)
{
	struct lh_mimalloc_walk walk LH_CLEANUP(deinit_mimalloc_walk) = {.tour = tour};
	walk.marks = malloc(UINT16_MAX + 1);
	if (!walk.marks)
		return lh_error_no_memory();
	LH_TRY(lh_mimalloc_visit_segments(tour->memory, collect_heaps, &walk));
	lh_vec_sort(&walk.delayed, lh_compare_words);
	struct lh_heap_arena arena = {
		.allocator = "mimalloc",
		.role = "",
		.kind = LH_REGION_MIMALLOC,
		.mapped_bytes = lh_heap_owned_bytes(tour->owners, LH_REGION_MIMALLOC),
	};
	LH_TRY(lh_heap_add_arena(tour, &arena, &walk.arena));
	LH_TRY(lh_mimalloc_visit_segments(tour->memory, walk_mimalloc_segment, &walk));
	LH_TRY(walk_page_map(&walk));
	lh_heap_set_returnable(tour, walk.arena, walk.returnable_bytes);
	return NULL;
}

const struct lh_allocator_walker lh_walk_mimalloc = {
	.name = "mimalloc",
	.claim = lh_mimalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_MIMALLOC,
	.walk = walk_mimalloc,
};
