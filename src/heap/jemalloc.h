/*
 * jemalloc: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_JEMALLOC_H
#define LEAKHUNT_HEAP_JEMALLOC_H

#include "walker.h"

#include "leakhunt/hash_table.h"

enum { LH_EDATA_BYTES = 128, LH_EDATA_WORDS = LH_EDATA_BYTES / 8 };

/*
 * e_bits from bit 0: arena 12, slab 1, committed 1, pai 1, zeroed 1, guarded 1, state 3, size index 8, free regions 10
 * (edata.h, edata_t, 5.3).
 */
enum { LH_EDATA_SLAB_BIT = 12, LH_EDATA_STATE_BIT = 17, LH_EDATA_SIZE_INDEX_BIT = 20, LH_EDATA_FREE_BIT = 28 };
enum { LH_EDATA_ARENA_MASK = 0xfff, LH_EDATA_FREE_MASK = 0x3ff };

/* Memory of jemalloc itself. */
struct lh_base_block {
	uint64_t addr;
	uint64_t bytes;
};

struct lh_base_blocks {
	LH_VEC(struct lh_base_block) items; /* ascending */
};

void lh_base_blocks_deinit(struct lh_base_blocks *blocks);
struct lh_error *lh_base_blocks_find(const struct lh_heap_memory *memory, struct lh_base_blocks *ret) LH_NODISCARD;

/*
 * A small block that the profiler samples gets an extent of its own: 4 pages, the smallest large class (5.3.0), or as
 * many pages as it needs (5.3.1).
 */
enum { LH_SAMPLED_SMALL_BYTES = 4 * LH_PAGE_BYTES };

/* Whether words[LH_EDATA_WORDS] may describe an extent; they may also be stale. */
bool lh_edata_is_plausible(const uint64_t *words);

/* Receives the present words of a range with 8-byte-aligned borders, ascending. */
typedef struct lh_error *lh_word_visitor(void *context, uint64_t addr, const uint64_t *words, size_t count);
struct lh_error *lh_jemalloc_visit_words(struct lh_heap_tour *tour, struct lh_range range, lh_word_visitor *visit,
					 void *context) LH_NODISCARD;
struct lh_error *lh_base_blocks_visit(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks,
				      lh_word_visitor *visit, void *context) LH_NODISCARD;

/* ---------------------------------------------------------------- extents */

/*
 * Number 4 means "pinned" in development versions after 5.3.1, before that "in transition": in both cases the extent is
 * not in use.
 */
enum lh_jemalloc_state { LH_JEMALLOC_ACTIVE, LH_JEMALLOC_DIRTY, LH_JEMALLOC_MUZZY, LH_JEMALLOC_RETAINED };

struct lh_jemalloc_extent {
	uint64_t edata_addr;
	uint64_t e_bits;
	uint64_t addr; /* a large allocation may begin up to a page after the extent's start (option cache_oblivious) */
	uint64_t bytes;
	uint32_t leaf; /* index of the leaf of the page map */
};

static inline uint64_t lh_jemalloc_page(const struct lh_jemalloc_extent *extent)
{
	return lh_align_down(extent->addr, LH_PAGE_BYTES);
}

static inline enum lh_jemalloc_state lh_jemalloc_extent_state(const struct lh_jemalloc_extent *extent)
{
	return extent->e_bits >> LH_EDATA_STATE_BIT & 7;
}

static inline bool lh_jemalloc_is_slab(const struct lh_jemalloc_extent *extent)
{
	return lh_jemalloc_extent_state(extent) == LH_JEMALLOC_ACTIVE && extent->e_bits >> LH_EDATA_SLAB_BIT & 1;
}

static inline uint32_t lh_jemalloc_size_index(const struct lh_jemalloc_extent *extent)
{
	return extent->e_bits >> LH_EDATA_SIZE_INDEX_BIT & 0xff;
}

struct lh_jemalloc_extents {
	LH_VEC(struct lh_jemalloc_extent) items; /* ascending by address, disjoint */
	size_t leaf_count;
};

/*
 * Finds all extents in jemalloc's page map, for all jemallocs of the process. Checks each entry against the extent that
 * it names.
 */
struct lh_error *lh_jemalloc_find_extents(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks,
					  struct lh_jemalloc_extents *ret) LH_NODISCARD;
void lh_jemalloc_extents_deinit(struct lh_jemalloc_extents *extents);

/* ---------------------------------------------------------------- thread caches */

struct lh_jemalloc_cached {
	uint64_t addr;
	uint32_t size_index;
};

struct lh_jemalloc_caches {
	LH_VEC(struct lh_jemalloc_cached) blocks; /* ascending by address */
	LH_VEC(uint64_t) stacks;                  /* one address in the own memory of each cache, ascending */
	size_t cache_count;
};

void lh_jemalloc_caches_deinit(struct lh_jemalloc_caches *caches);
struct lh_error *lh_jemalloc_find_caches(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks,
					 struct lh_jemalloc_caches *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- allocation samples */

enum { LH_SAMPLE_COUNTERS_WORDS = 13 };

/* One thread's counters of one stack. */
struct lh_sample_counters {
	uint64_t words[LH_SAMPLE_COUNTERS_WORDS];
	uint64_t found_count, found_bytes; /* of the blocks that name them */
	uint32_t stack;                    /* index in lh_allocation_samples.stacks */
};

/* Zero-initialized, but for the tour. Fills the heap's lh_allocation_samples. */
struct lh_sample_search {
	struct lh_heap_tour *tour;
	LH_VEC(struct lh_sample_counters) counters;
	struct lh_hash_table counters_numbers; /* by address */
	struct lh_hash_table stack_numbers;    /* by address */
};

void lh_sample_search_deinit(struct lh_sample_search *search);
/* For each block in use with an extent of its own: *ret_requested_bytes is 0 if the block is not sampled. */
struct lh_error *lh_jemalloc_take_sample(struct lh_sample_search *search, const struct lh_jemalloc_extent *extent,
					 uint64_t usable_bytes, uint64_t *ret_requested_bytes) LH_NODISCARD;
void lh_jemalloc_end_samples(struct lh_sample_search *search);

/* The claim of lh_walk_jemalloc. */
struct lh_error *lh_jemalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
