/*
 * jemalloc_caches: blocks in threads' caches. Input: jemalloc's base blocks. Output: cached addresses. An arena links
 * the slow parts of its threads' caches (tcache_structs.h, tcache_slow_t). Each slow part points back to its cache
 * {slow part, bins}; a bin is {stack head, requests, low 16 bits of: low water, full, empty} (cache_bin.h, 5.3). The
 * pointers to blocks lie from the head up to "empty".
 */
#include "jemalloc.h"

#include <stdlib.h>

/* The pointer back is word 21 in 5.3.0, word 29 in 5.3.1. */
enum { SLOW_WORDS = 48, BACK_WORD_MIN = 8, BIN_WORDS = 3, BINS_MAX = 80, STACK_BYTES_MAX = 1 << 16, RING_MAX = 65536 };

struct cache_search {
	struct lh_heap_tour *tour;
	const struct lh_base_blocks *blocks;
	LH_VEC(uint64_t) seen; /* slow parts */
	struct lh_jemalloc_caches *ret;
};

static void deinit_cache_search(struct cache_search *search)
{
	lh_vec_deinit(&search->seen);
}

/* Threads' caches are in their TLS, or in jemalloc's own memory. */
static bool may_be_slow_part(const struct cache_search *search, uint64_t addr)
{
	return addr % 8 == 0 && addr > LH_PAGE_BYTES && addr >> 47 == 0 &&
	       lh_heap_is_private(search->tour->memory, addr, (uint64_t)SLOW_WORDS * 8);
}

/* 0 if there is none. */
static uint64_t find_cache_of(const struct cache_search *search, uint64_t slow, uint64_t *ret_next)
{
	uint64_t words[SLOW_WORDS], back;
	if (!may_be_slow_part(search, slow) || !lh_heap_words(search->tour, slow, words, SLOW_WORDS))
		return 0;
	*ret_next = words[0];
	for (size_t i = BACK_WORD_MIN; i < SLOW_WORDS; i++) {
		if (words[i] % 8 == 0 && words[i] > LH_PAGE_BYTES && lh_heap_words(search->tour, words[i], &back, 1) &&
		    back == slow)
			return words[i];
	}
	return 0;
}

static struct lh_error *read_bin(struct cache_search *search, uint32_t size_index, uint64_t head, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t addr;
		if (!lh_heap_words(search->tour, head + i * 8, &addr, 1)) {
			lh_heap_lose(search->tour, 0);
			return NULL;
		}
		LH_TRY(lh_vec_push(&search->ret->blocks, (struct lh_jemalloc_cached){addr, size_index}));
	}
	return NULL;
}

/* The stacks of a cache follow each other in the order of bins; unused bins are zero. */
static struct lh_error *read_thread_cache(struct cache_search *search, uint64_t cache)
{
	uint64_t latest_empty = 0;
	for (uint32_t i = 0; i < BINS_MAX; i++) {
		uint64_t words[BIN_WORDS];
		if (!lh_heap_words(search->tour, cache + 8 + (uint64_t)i * sizeof(words), words, BIN_WORDS))
			break;
		uint64_t head = words[0], empty_bits = words[2] >> 32 & 0xffff;
		uint64_t count = (uint16_t)(empty_bits - head) / 8, empty = head + count * 8;
		if (!head || head % 8 || (uint16_t)empty != empty_bits ||
		    (latest_empty && (empty <= latest_empty || empty - latest_empty > STACK_BYTES_MAX)))
			break;
		if (!latest_empty)
			LH_TRY(lh_vec_push(&search->ret->stacks, empty - 8));
		latest_empty = empty;
		LH_TRY(read_bin(search, i, head, count));
	}
	search->ret->cache_count += latest_empty != 0;
	return NULL;
}

static bool was_seen(const struct cache_search *search, uint64_t slow)
{
	for (size_t i = 0; i < search->seen.count; i++) {
		if (search->seen.items[i] == slow)
			return true;
	}
	return false;
}

/* The caches of an arena are linked in a ring. */
static struct lh_error *follow_ring(struct cache_search *search, uint64_t slow)
{
	for (size_t i = 0; i < RING_MAX; i++) {
		uint64_t next, cache;
		if (was_seen(search, slow) || !(cache = find_cache_of(search, slow, &next)))
			break;
		LH_TRY(lh_vec_push(&search->seen, slow));
		LH_TRY(read_thread_cache(search, cache));
		slow = next;
	}
	return NULL;
}

/* Most words point to jemalloc's extents or base blocks, which contain no TLS: these are skipped. */
static struct lh_error *search_words(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct cache_search *search = context;
	(void)addr;
	uint64_t latest = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t word = words[i];
		if (!word || word == latest || word % 8 || word >> 47)
			continue;
		latest = word;
		const struct lh_owner_range *owner = lh_owners_find(search->tour->owners, word);
		if (!owner || owner->kind != LH_REGION_JEMALLOC)
			LH_TRY(follow_ring(search, word));
	}
	return NULL;
}

static int compare_cached(const void *a, const void *b)
{
	return lh_compare_u64(((const struct lh_jemalloc_cached *)a)->addr,
			      ((const struct lh_jemalloc_cached *)b)->addr);
}

struct lh_error *lh_jemalloc_find_caches(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks,
					 struct lh_jemalloc_caches *ret)
{
	struct cache_search search LH_CLEANUP(deinit_cache_search) = {.tour = tour, .blocks = blocks, .ret = ret};
	LH_TRY(lh_base_blocks_visit(tour, blocks, search_words, &search));
	lh_vec_sort(&ret->blocks, compare_cached);
	lh_vec_sort(&ret->stacks, lh_compare_words);
	return NULL;
}

void lh_jemalloc_caches_deinit(struct lh_jemalloc_caches *caches)
{
	lh_vec_deinit(&caches->blocks);
	lh_vec_deinit(&caches->stacks);
}
