/*
 * jemalloc_walk: all blocks of jemalloc 5.x. Input: extents, and what threads cache. Output: blocks. A slab's bitmap
 * has one bit per region, 1 = free; the descriptor holds their count. A large extent is one block. Sizes follow from
 * the class (sc.h), which depends on the quantum that jemalloc was built with: 16, or 8 (Redis' own build).
 */
#include "jemalloc.h"

#include <stdlib.h>

enum { BITMAP_OFFSET = 64, BITMAP_WORDS = 8, REGIONS_MAX = BITMAP_WORDS * 64, ARENAS_MAX = 4096 };
enum { QUANTUM_8, QUANTUM_16, QUANTA };

/* ---------------------------------------------------------------- size classes */

/* Four classes one quantum apart, then four per doubling. With a quantum of 16, a class of 8 comes first. */
static uint64_t class_bytes(unsigned quantum, uint32_t index)
{
	uint32_t at = index - (quantum == QUANTUM_16), group = at / 4, step = at % 4 + 1;
	uint64_t unit = quantum == QUANTUM_16 ? 16 : 8;
	if (quantum == QUANTUM_16 && !index)
		return 8;
	if (!group)
		return unit * step;
	if (group > 56)
		return 0;
	return (unit << (group - 1)) * (4 + step);
}

/* ---------------------------------------------------------------- the walk */

struct jemalloc_arena {
	uint64_t mapped_bytes;
	uint64_t returnable_bytes;
	uint32_t index; /* of the tour */
	bool is_there;
};

struct jemalloc_walk {
	struct lh_heap_tour *tour;
	const struct lh_jemalloc_extents *extents;
	const struct lh_jemalloc_caches *caches;
	struct lh_sample_search *samples;
	uint8_t *quanta; /* of each leaf */
	struct jemalloc_arena *arenas;
	size_t cached_at, stack_at; /* the first ones at or after the current extent */
	size_t cached_seen;
	bool has_page_more;
};

struct slab {
	uint64_t bitmap[BITMAP_WORDS]; /* 1: free */
	uint64_t region_bytes;
	uint32_t region_count;
};

/* popcount(bitmap) == free regions, and no bit is set after the last region; words after that one are stale. */
static bool parse_slab(struct lh_heap_tour *tour, const struct lh_jemalloc_extent *extent, unsigned quantum,
		       struct slab *ret)
{
	uint32_t free_count = extent->e_bits >> LH_EDATA_FREE_BIT & LH_EDATA_FREE_MASK, set_count = 0;
	ret->region_bytes = class_bytes(quantum, lh_jemalloc_size_index(extent));
	if (!ret->region_bytes || extent->bytes % ret->region_bytes ||
	    extent->bytes / ret->region_bytes > REGIONS_MAX ||
	    !lh_heap_words(tour, extent->edata_addr + BITMAP_OFFSET, ret->bitmap, BITMAP_WORDS))
		return false;
	ret->region_count = (uint32_t)(extent->bytes / ret->region_bytes);
	for (uint32_t i = 0; i < lh_align_up(ret->region_count, 64); i++) {
		bool is_set = ret->bitmap[i / 64] >> i % 64 & 1;
		if (is_set && i >= ret->region_count)
			return false;
		set_count += is_set;
	}
	return set_count == free_count;
}

/* The quantum that most slabs of a leaf agree with; for a leaf without slabs, the most frequent quantum of all. */
static void choose_quanta(struct jemalloc_walk *walk, uint32_t (*votes)[QUANTA])
{
	uint32_t total[QUANTA] = {0};
	struct slab slab;
	for (size_t i = 0; i < walk->extents->items.count; i++) {
		const struct lh_jemalloc_extent *extent = &walk->extents->items.items[i];
		for (unsigned j = 0; lh_jemalloc_is_slab(extent) && j < QUANTA; j++) {
			bool holds = parse_slab(walk->tour, extent, j, &slab);
			votes[extent->leaf][j] += holds;
			total[j] += holds;
		}
	}
	for (size_t i = 0; i < walk->extents->leaf_count; i++) {
		bool is_tie = votes[i][QUANTUM_8] == votes[i][QUANTUM_16];
		const uint32_t *by = is_tie ? total : votes[i];
		walk->quanta[i] = by[QUANTUM_8] > by[QUANTUM_16] ? QUANTUM_8 : QUANTUM_16;
	}
}

/* The index of the first cached block at or after `addr`; addresses must ascend from call to call. */
static size_t seek_cached(struct jemalloc_walk *walk, uint64_t addr)
{
	while (walk->cached_at < walk->caches->blocks.count && walk->caches->blocks.items[walk->cached_at].addr < addr)
		walk->cached_at++;
	return walk->cached_at;
}

static bool is_cached(struct jemalloc_walk *walk, uint64_t addr, const struct lh_jemalloc_extent *extent)
{
	size_t at = seek_cached(walk, addr);
	if (at == walk->caches->blocks.count || walk->caches->blocks.items[at].addr != addr)
		return false;
	walk->cached_seen++;
	return lh_heap_check(walk->tour, walk->caches->blocks.items[at].size_index == lh_jemalloc_size_index(extent),
			     addr, "cached block of another size class");
}

/* The pointer stacks of a thread's cache are allocated like blocks. */
static bool is_stack_of_cache(struct jemalloc_walk *walk, uint64_t addr, uint64_t bytes)
{
	while (walk->stack_at < walk->caches->stacks.count && walk->caches->stacks.items[walk->stack_at] < addr)
		walk->stack_at++;
	return walk->stack_at < walk->caches->stacks.count && walk->caches->stacks.items[walk->stack_at] - addr < bytes;
}

static struct lh_error *add_block(struct jemalloc_walk *walk, const struct lh_jemalloc_extent *extent, uint64_t addr,
				  uint64_t bytes, bool is_free)
{
	uint8_t state = LH_CHUNK_FREE;
	if (!is_free) {
		if (is_stack_of_cache(walk, addr, bytes))
			return NULL;
		state = is_cached(walk, addr, extent) ? LH_CHUNK_CACHED : LH_CHUNK_USED;
	}
	struct lh_heap_chunk chunk = {
		.addr = addr,
		.size_bytes = bytes,
		.arena = walk->arenas[extent->e_bits & LH_EDATA_ARENA_MASK].index,
		.state = state,
	};
	if (state == LH_CHUNK_USED && !lh_jemalloc_is_slab(extent))
		LH_TRY(lh_jemalloc_take_sample(walk->samples, extent, bytes, &chunk.requested_bytes));
	return lh_heap_add_chunk(walk->tour, &chunk);
}

static struct lh_error *walk_slab(struct jemalloc_walk *walk, const struct lh_jemalloc_extent *extent)
{
	struct slab slab = {0};
	bool holds = parse_slab(walk->tour, extent, walk->quanta[extent->leaf], &slab);
	lh_heap_check(walk->tour, holds, extent->edata_addr, "slab: bitmap and count of free regions differ");
	if (!holds) {
		lh_heap_lose(walk->tour, extent->bytes);
		return NULL;
	}
	for (uint32_t i = 0; i < slab.region_count; i++)
		LH_TRY(add_block(walk, extent, extent->addr + i * slab.region_bytes, slab.region_bytes,
				 slab.bitmap[i / 64] >> i % 64 & 1));
	return NULL;
}

/*
 * How many bytes the block has that fills `bytes` of an extent, without the page for cache_oblivious: the class's size,
 * with disable_large_size_classes (5.3.1) any between it and that of the class before. 0: none of that class.
 */
static uint64_t block_bytes(uint64_t bytes, uint32_t index, unsigned quantum)
{
	uint64_t most = class_bytes(quantum, index);
	bool is_of_class = bytes == most || (index && bytes > class_bytes(quantum, index - 1) && bytes < most);
	bool is_sampled_small =
		most < bytes && (bytes == LH_SAMPLED_SMALL_BYTES ||
				 (bytes < LH_SAMPLED_SMALL_BYTES && bytes == lh_align_up(most, LH_PAGE_BYTES)));
	return is_of_class ? bytes : is_sampled_small ? most : 0;
}

/*
 * With option cache_oblivious, the default, an extent has a page more than its block, which begins anywhere in the
 * first page. Extents in which only one of both fits tell.
 */
static bool has_page_more(const struct jemalloc_walk *walk)
{
	size_t votes = 0, votes_against = 0;
	for (size_t i = 0; i < walk->extents->items.count; i++) {
		const struct lh_jemalloc_extent *extent = &walk->extents->items.items[i];
		uint32_t index = lh_jemalloc_size_index(extent);
		if (lh_jemalloc_extent_state(extent) != LH_JEMALLOC_ACTIVE || lh_jemalloc_is_slab(extent))
			continue;
		unsigned quantum = walk->quanta[extent->leaf];
		bool fits = extent->addr == lh_jemalloc_page(extent) && block_bytes(extent->bytes, index, quantum);
		bool fits_less = block_bytes(extent->bytes - LH_PAGE_BYTES, index, quantum);
		votes += fits_less && !fits;
		votes_against += fits && !fits_less;
	}
	return votes >= votes_against;
}

static uint64_t large_bytes(const struct jemalloc_walk *walk, const struct lh_jemalloc_extent *extent)
{
	uint64_t bytes = extent->bytes - (walk->has_page_more ? LH_PAGE_BYTES : 0);
	return block_bytes(bytes, lh_jemalloc_size_index(extent), walk->quanta[extent->leaf]);
}

static struct lh_error *walk_large(struct jemalloc_walk *walk, const struct lh_jemalloc_extent *extent)
{
	uint64_t bytes = large_bytes(walk, extent);
	uint64_t offset = extent->addr - lh_jemalloc_page(extent);
	bool fits = bytes && bytes <= extent->bytes - offset;
	if (lh_heap_check(walk->tour, fits, extent->edata_addr, "large extent: size and class differ"))
		return add_block(walk, extent, extent->addr, bytes, false);
	lh_heap_lose(walk->tour, extent->bytes);
	return NULL;
}

/* ---------------------------------------------------------------- arenas */

/* A purge gives back dirty and muzzy extents. */
static struct lh_error *add_arenas(struct jemalloc_walk *walk)
{
	for (size_t i = 0; i < walk->extents->items.count; i++) {
		const struct lh_jemalloc_extent *extent = &walk->extents->items.items[i];
		struct jemalloc_arena *arena = &walk->arenas[extent->e_bits & LH_EDATA_ARENA_MASK];
		enum lh_jemalloc_state state = lh_jemalloc_extent_state(extent);
		uint64_t start = lh_jemalloc_page(extent);
		arena->is_there = true;
		arena->mapped_bytes += extent->bytes;
		if (state == LH_JEMALLOC_DIRTY || state == LH_JEMALLOC_MUZZY)
			arena->returnable_bytes += lh_heap_resident_bytes(walk->tour, start, start + extent->bytes);
	}
	for (size_t i = 0; i < ARENAS_MAX; i++) {
		struct lh_heap_arena arena = {
			.allocator = "jemalloc",
			.role = "",
			.kind = LH_REGION_JEMALLOC,
			.mapped_bytes = walk->arenas[i].mapped_bytes,
			.returnable_bytes = walk->arenas[i].returnable_bytes,
		};
		if (walk->arenas[i].is_there)
			LH_TRY(lh_heap_add_arena(walk->tour, &arena, &walk->arenas[i].index));
	}
	return NULL;
}

static struct lh_error *add_base_metadata(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks)
{
	struct lh_heap_arena arena = {.allocator = "jemalloc", .role = "metadata", .kind = LH_REGION_JEMALLOC};
	uint32_t index;
	for (size_t i = 0; i < blocks->items.count; i++)
		arena.mapped_bytes += blocks->items.items[i].bytes;
	LH_TRY(lh_heap_add_arena(tour, &arena, &index));
	for (size_t i = 0; i < blocks->items.count; i++) {
		const struct lh_base_block *block = &blocks->items.items[i];
		LH_TRY(lh_heap_add_range(tour, index, block->addr, block->addr + block->bytes));
	}
	return NULL;
}

static struct lh_error *walk_extent(struct jemalloc_walk *walk, const struct lh_jemalloc_extent *extent)
{
	uint64_t start = lh_jemalloc_page(extent);
	uint32_t arena = walk->arenas[extent->e_bits & LH_EDATA_ARENA_MASK].index;
	LH_TRY(lh_heap_add_range(walk->tour, arena, start, start + extent->bytes));
	if (lh_jemalloc_extent_state(extent) != LH_JEMALLOC_ACTIVE)
		return add_block(walk, extent, start, extent->bytes, true);
	return lh_jemalloc_is_slab(extent) ? walk_slab(walk, extent) : walk_large(walk, extent);
}

static struct lh_error *walk_extents(struct jemalloc_walk *walk)
{
	size_t leaves = walk->extents->leaf_count + 1;
	LH_CLEANUP(lh_cleanup_free) uint8_t *quanta = calloc(leaves, 1);
	LH_CLEANUP(lh_cleanup_free) uint32_t(*votes)[QUANTA] = calloc(leaves, sizeof(*votes));
	LH_CLEANUP(lh_cleanup_free) struct jemalloc_arena *arenas = calloc(ARENAS_MAX, sizeof(*arenas));
	if (!quanta || !votes || !arenas)
		return lh_error_no_memory();
	walk->quanta = quanta;
	walk->arenas = arenas;
	choose_quanta(walk, votes);
	walk->has_page_more = has_page_more(walk);
	LH_TRY(add_arenas(walk));
	for (size_t i = 0; i < walk->extents->items.count; i++)
		LH_TRY(walk_extent(walk, &walk->extents->items.items[i]));
	size_t stray = walk->caches->blocks.count - walk->cached_seen;
	for (size_t i = 0; i < stray; i++)
		lh_heap_check(walk->tour, false, 0, "cached block is none in use");
	return NULL;
}

static struct lh_error *walk_jemalloc(struct lh_heap_tour *tour)
{
	struct lh_base_blocks blocks LH_CLEANUP(lh_base_blocks_deinit) = {0};
	struct lh_jemalloc_extents extents LH_CLEANUP(lh_jemalloc_extents_deinit) = {0};
	struct lh_jemalloc_caches caches LH_CLEANUP(lh_jemalloc_caches_deinit) = {0};
	struct lh_sample_search samples LH_CLEANUP(lh_sample_search_deinit) = {.tour = tour};
	LH_TRY(lh_base_blocks_find(tour->memory, &blocks));
	if (!blocks.items.count)
		return NULL;
	LH_TRY(lh_jemalloc_find_extents(tour, &blocks, &extents));
	LH_TRY(lh_jemalloc_find_caches(tour, &blocks, &caches));
	if (!caches.cache_count)
		lh_heap_note(tour, "no thread cache found: cached blocks count as used");
	LH_TRY(add_base_metadata(tour, &blocks));
	struct jemalloc_walk walk = {.tour = tour, .extents = &extents, .caches = &caches, .samples = &samples};
	LH_TRY(walk_extents(&walk));
	lh_jemalloc_end_samples(&samples);
	return NULL;
}

const struct lh_allocator_walker lh_walk_jemalloc = {
	.name = "jemalloc",
	.claim = lh_jemalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_JEMALLOC,
	.walk = walk_jemalloc,
};
