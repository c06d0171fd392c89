/*
 * pymalloc_walk: every block of CPython's pymalloc. Input: claimed arenas. Output: blocks in use and free, and pools
 * that are free as a whole. Objects/obmalloc.c, 3.3 to 3.14. Each pool has blocks of one size, and is checked by: used
 * count + free list + never carved == capacity.
 */
#include "pymalloc.h"

#include <string.h>

enum { BLOCKS_MAX = 1024 };

/* A pool being walked. */
struct pool {
	uint64_t addr;
	uint64_t block_bytes;
	uint64_t capacity;
	uint64_t carved; /* blocks that were handed out at least once: the first ones */
	uint64_t used_count;
	uint64_t free_head;
	uint32_t arena_index;
	uint64_t free_bits[BLOCKS_MAX / 64];
};

struct pool_walk {
	struct lh_heap_tour *tour;
	const struct lh_pool_layout *layout;
	uint32_t arena;
	uint64_t free_start, free_end; /* adjacent free pools */
};

static struct lh_error *end_free_pools(struct pool_walk *walk)
{
	struct lh_heap_chunk chunk = {
		.addr = walk->free_start,
		.size_bytes = walk->free_end - walk->free_start,
		.arena = walk->arena,
		.state = LH_CHUNK_FREE,
	};
	walk->free_start = walk->free_end = 0;
	return chunk.size_bytes ? lh_heap_add_chunk(walk->tour, &chunk) : NULL;
}

static struct lh_error *add_free_pools(struct pool_walk *walk, uint64_t addr, uint64_t bytes)
{
	if (walk->free_end != addr) {
		LH_TRY(end_free_pools(walk));
		walk->free_start = addr;
	}
	walk->free_end = addr + bytes;
	return NULL;
}

/* Marks the blocks of the free list; false if the list leaves the pool, or meets a block twice. */
static bool follow_free_list(struct pool_walk *walk, struct pool *pool, uint64_t *ret_count)
{
	uint64_t first = pool->addr + LH_POOL_HEADER_BYTES, addr = pool->free_head;
	*ret_count = 0;
	while (addr) {
		uint64_t block = (addr - first) / pool->block_bytes;
		bool is_block = addr >= first && (addr - first) % pool->block_bytes == 0 && block < pool->carved;
		if (!is_block || pool->free_bits[block / 64] >> block % 64 & 1 ||
		    !lh_heap_words(walk->tour, addr, &addr, 1))
			return false;
		pool->free_bits[block / 64] |= UINT64_C(1) << block % 64;
		(*ret_count)++;
	}
	return true;
}

static struct lh_error *add_blocks(struct pool_walk *walk, const struct pool *pool)
{
	for (uint64_t block = 0; block < pool->capacity; block++) {
		bool is_free = block >= pool->carved || pool->free_bits[block / 64] >> block % 64 & 1;
		LH_TRY(lh_heap_add_chunk(walk->tour,
					 &(struct lh_heap_chunk){
						 .addr = pool->addr + LH_POOL_HEADER_BYTES + block * pool->block_bytes,
						 .size_bytes = pool->block_bytes,
						 .arena = walk->arena,
						 .state = is_free ? LH_CHUNK_FREE : LH_CHUNK_USED,
					 }));
	}
	return NULL;
}

/* Reads a header; false if it is not one. */
static bool read_pool(struct pool_walk *walk, uint64_t addr, struct pool *ret)
{
	struct lh_peek peek = {.addr = addr};
	struct lh_pool_header header;
	peek.is_read = lh_heap_words(walk->tour, addr, peek.words, LH_ARRAY_COUNT(peek.words));
	if (!lh_pool_parse(walk->layout, &peek, &header))
		return false;
	uint64_t bytes = header.block_bytes, next = peek.words[5] & UINT32_MAX;
	*ret = (struct pool){
		.addr = addr,
		.block_bytes = bytes,
		.capacity = (walk->layout->pool_bytes - LH_POOL_HEADER_BYTES) / bytes,
		.carved = (next - LH_POOL_HEADER_BYTES) / bytes,
		.used_count = header.used_count,
		.free_head = peek.words[1],
		.arena_index = header.arena_index,
	};
	ret->carved = lh_min_u64(ret->carved, ret->capacity);
	return ret->capacity <= BLOCKS_MAX;
}

/* Memory of an arena from which no pool was carved reads as zeros, or is absent. */
static bool is_uncarved(struct pool_walk *walk, uint64_t addr)
{
	uint64_t words[6];
	if (!lh_heap_words(walk->tour, addr, words, LH_ARRAY_COUNT(words)))
		return true;
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
		if (words[i])
			return false;
	}
	return true;
}

static struct lh_error *walk_pool(struct pool_walk *walk, uint64_t addr, uint32_t *arena_index)
{
	struct pool pool;
	uint64_t free_count;
	if (!read_pool(walk, addr, &pool)) {
		if (lh_heap_check(walk->tour, is_uncarved(walk, addr), addr,
				  "pool: its header does not agree with itself"))
			return add_free_pools(walk, addr, walk->layout->pool_bytes);
		lh_heap_lose(walk->tour, walk->layout->pool_bytes);
		return NULL;
	}
	LH_TRY(lh_heap_note_structure(walk->tour, addr, LH_POOL_HEADER_BYTES));
	if (!pool.used_count)
		return add_free_pools(walk, addr, walk->layout->pool_bytes);
	bool is_arena = *arena_index == UINT32_MAX || *arena_index == pool.arena_index;
	*arena_index = pool.arena_index;
	bool is_whole = follow_free_list(walk, &pool, &free_count) && pool.used_count + free_count == pool.carved;
	lh_heap_check(walk->tour, is_arena, addr, "pool: another arena's index than its neighbor's");
	if (lh_heap_check(walk->tour, is_whole, addr, "pool: used and free blocks are not its capacity"))
		return add_blocks(walk, &pool);
	lh_heap_lose(walk->tour, walk->layout->pool_bytes);
	return NULL;
}

/* The first pool at or after `addr` with resident memory; at most `end`, where pools end. */
static uint64_t next_resident_pool(struct pool_walk *walk, uint64_t addr, uint64_t end)
{
	uint64_t resident = lh_heap_next_resident(walk->tour, addr);
	return resident < end ? lh_align_down(resident, walk->layout->pool_bytes) : end;
}

static struct lh_error *walk_pool_arena(struct pool_walk *walk, uint64_t start, uint64_t end)
{
	uint32_t arena_index = UINT32_MAX;
	uint64_t addr = lh_align_up(start, walk->layout->pool_bytes);
	end = end > addr ? addr + lh_align_down(end - addr, walk->layout->pool_bytes) : addr;
	for (uint64_t next; addr < end; addr = next) {
		next = next_resident_pool(walk, addr, end);
		if (next > addr) {
			LH_TRY(add_free_pools(walk, addr, next - addr));
			continue;
		}
		LH_TRY(walk_pool(walk, addr, &arena_index));
		next = addr + walk->layout->pool_bytes;
	}
	return end_free_pools(walk);
}

/* Adjacent arenas. Skips those without resident memory in one step. */
static struct lh_error *walk_pool_arenas(struct pool_walk *walk, struct lh_range range)
{
	uint64_t arena_bytes = walk->layout->arena_bytes;
	while (range.start < range.end) {
		uint64_t resident = lh_min_u64(lh_heap_next_resident(walk->tour, range.start), range.end);
		uint64_t bytes = (resident - range.start) / arena_bytes * arena_bytes;
		if (!bytes)
			bytes = lh_min_u64(lh_range_bytes(range), arena_bytes);
		LH_TRY(walk_pool_arena(walk, range.start, range.start + bytes));
		range.start += bytes;
	}
	return NULL;
}

/* The layout that most pools of the range have. */
static const struct lh_pool_layout *choose_layout(struct lh_heap_tour *tour, struct lh_range range)
{
	const struct lh_pool_layout *best = &lh_pool_layouts[0];
	size_t best_count = 0;
	for (size_t i = 0; i < LH_POOL_LAYOUTS; i++) {
		struct pool_walk walk = {.tour = tour, .layout = &lh_pool_layouts[i]};
		size_t count = 0;
		struct pool pool;
		for (uint64_t addr = lh_align_up(range.start, walk.layout->pool_bytes); addr < range.end;
		     addr = next_resident_pool(&walk, addr + walk.layout->pool_bytes, range.end))
			count += read_pool(&walk, addr, &pool);
		if (count > best_count) {
			best = &lh_pool_layouts[i];
			best_count = count;
		}
	}
	return best;
}

static struct lh_error *walk_pymalloc(struct lh_heap_tour *tour)
{
	struct lh_heap_arena arena = {.allocator = "pymalloc", .role = "", .kind = LH_REGION_PYMALLOC};
	struct pool_walk walk = {.tour = tour};
	LH_TRY(lh_heap_add_arena(tour, &arena, &walk.arena));
	for (size_t i = 0; i < tour->owners->items.count; i++) {
		struct lh_range range = tour->owners->items.items[i].range;
		if (tour->owners->items.items[i].kind != LH_REGION_PYMALLOC)
			continue;
		LH_TRY(lh_heap_add_range(tour, walk.arena, range.start, range.end));
		walk.layout = choose_layout(tour, range);
		LH_TRY(walk_pool_arenas(&walk, range));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_pymalloc = {
	.name = "pymalloc",
	.claim = lh_pymalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_PYMALLOC,
	.walk = walk_pymalloc,
};
