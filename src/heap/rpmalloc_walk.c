/*
 * rpmalloc_walk: all blocks of rpmalloc 2.0. Input: spans, heaps. Output: blocks. A page's header and its list of free
 * blocks say which blocks it handed out. Three kinds of lists hold blocks that nobody uses, but that count as used by
 * their page: a heap's free blocks of each class, and what other threads freed, in the page or, when that is full, in
 * its heap. Freed blocks of more than 2 MiB stay mapped in a cache of 32 slots, which lies in the data of the module.
 */
#include "rpmalloc.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MAX = 4096 };

/* The cache of huge spans: {lock, bytes, {span, time of its free} [32]} (huge_cache_t). */
enum { CACHE_SLOTS = 32, CACHE_WORDS = 2 + 2 * CACHE_SLOTS };

enum rpmalloc_mark { RPMALLOC_USED, RPMALLOC_FREE, RPMALLOC_PENDING };

struct huge_span {
	struct lh_range range;
	bool is_cached;
};

struct rpmalloc_walk {
	struct lh_heap_tour *tour;
	LH_VEC(uint64_t) heaps;
	LH_VEC(struct huge_span) huge; /* ascending */
	uint8_t marks[CAPACITY_MAX];   /* of the blocks of the current page: enum rpmalloc_mark */
	uint32_t arena;
};

static void deinit_rpmalloc_walk(struct rpmalloc_walk *walk)
{
	lh_vec_deinit(&walk->heaps);
	lh_vec_deinit(&walk->huge);
}

static struct lh_error *add_rpmalloc_block(struct rpmalloc_walk *walk, uint64_t start, uint64_t end, uint8_t state)
{
	struct lh_heap_chunk chunk = {.addr = start, .size_bytes = end - start, .arena = walk->arena, .state = state};
	return end > start ? lh_heap_add_chunk(walk->tour, &chunk) : NULL;
}

/* ---------------------------------------------------------------- pages */

/* Follows a list of that many blocks. False if it is longer or shorter, leaves the page, or meets another list. */
static bool mark_free_list(struct rpmalloc_walk *walk, uint64_t blocks, const struct lh_rpmalloc_page *page,
			   uint64_t at, uint32_t count, enum rpmalloc_mark mark)
{
	for (; at && count; count--) {
		uint64_t offset = at - blocks, index = offset / page->block_bytes;
		if (at < blocks || index >= page->given || offset % page->block_bytes ||
		    walk->marks[index] != RPMALLOC_USED || !lh_heap_words(walk->tour, at, &at, 1))
			return false;
		walk->marks[index] = (uint8_t)mark;
	}
	return !at && !count;
}

static struct lh_error *walk_rpmalloc_page(struct rpmalloc_walk *walk, uint64_t addr, uint64_t bytes)
{
	struct lh_rpmalloc_page page = {0};
	uint64_t blocks = addr + LH_RPMALLOC_HEADER_BYTES, end = addr + bytes;
	const uint8_t *header = lh_heap_bytes(walk->tour, addr, LH_RPMALLOC_HEADER_BYTES);
	bool holds = header && lh_rpmalloc_parse_page(header, bytes, &page);
	if (holds && (page.flags & LH_RPMALLOC_IS_FREE || !page.given)) {
		lh_heap_check(walk->tour, !page.used, addr, "page: free, but has blocks in use");
		return add_rpmalloc_block(walk, blocks, end, LH_CHUNK_FREE);
	}
	uint64_t pending = page.thread_count ? blocks + (uint64_t)page.thread_free * page.block_bytes : 0;
	memset(walk->marks, RPMALLOC_USED, sizeof(walk->marks));
	holds = holds && mark_free_list(walk, blocks, &page, page.local_free, page.local_count, RPMALLOC_FREE) &&
		mark_free_list(walk, blocks, &page, pending, page.thread_count, RPMALLOC_PENDING);
	if (!lh_heap_check(walk->tour, holds, addr, "page: its counts and lists differ")) {
		lh_heap_lose(walk->tour, bytes);
		return NULL;
	}
	LH_TRY(lh_vec_push(&walk->heaps, page.heap));
	if (page.flags & LH_RPMALLOC_HAS_ALIGNED)
		LH_TRY(lh_heap_note_padded(walk->tour, (struct lh_range){blocks, end}));
	for (uint32_t i = 0; i < page.given; i++, blocks += page.block_bytes) {
		static const uint8_t states[] = {
			[RPMALLOC_USED] = LH_CHUNK_USED,
			[RPMALLOC_FREE] = LH_CHUNK_FREE,
			[RPMALLOC_PENDING] = LH_CHUNK_CACHED,
		};
		LH_TRY(add_rpmalloc_block(walk, blocks, blocks + page.block_bytes, states[walk->marks[i]]));
	}
	return add_rpmalloc_block(walk, blocks, end, LH_CHUNK_FREE);
}

/* ---------------------------------------------------------------- spans */

static struct lh_error *walk_rpmalloc_span(void *context, const struct lh_rpmalloc_span *span)
{
	struct rpmalloc_walk *walk = context;
	uint64_t end = span->addr + span->bytes, at = span->addr, partial;
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, span->addr, end));
	LH_TRY(lh_vec_push(&walk->heaps, span->heap));
	if (span->type == LH_RPMALLOC_TYPES) {
		struct lh_range block = {span->addr + LH_RPMALLOC_HEADER_BYTES, end};
		if (span->flags & LH_RPMALLOC_HAS_ALIGNED)
			LH_TRY(lh_heap_note_padded(walk->tour, block));
		return lh_vec_push(&walk->huge, ((struct huge_span){.range = {span->addr, end}}));
	}
	/* A heap takes pages from one span of each type until it has given them all. */
	uint64_t given = span->addr + span->pages_given * span->page_bytes;
	if (lh_heap_words(walk->tour, span->heap + LH_RPMALLOC_HEAP_PARTIAL + 8 * (uint64_t)span->type, &partial, 1))
		lh_heap_check(walk->tour, (partial == span->addr) == (given < end), span->addr,
			      "span: its heap does not know it");
	for (; at < given; at += span->page_bytes)
		LH_TRY(walk_rpmalloc_page(walk, at, span->page_bytes));
	return add_rpmalloc_block(walk, given, end, LH_CHUNK_FREE);
}

/* ---------------------------------------------------------------- heaps */

static struct lh_error *mark_heap_list(struct rpmalloc_walk *walk, uint64_t at)
{
	struct lh_list_guard guard = {0};
	while (at && !lh_list_returns(&guard, at)) {
		LH_TRY(lh_heap_mark_cached(walk->tour, at));
		if (!lh_heap_words(walk->tour, at, &at, 1))
			break;
	}
	return NULL;
}

static struct lh_error *mark_heap_lists(struct rpmalloc_walk *walk, uint64_t heap)
{
	uint64_t lists[LH_RPMALLOC_CLASSES], page = lh_align_down(heap, LH_PAGE_BYTES), thread_lists[LH_RPMALLOC_TYPES];
	bool is_read = lh_heap_words(walk->tour, heap + LH_RPMALLOC_HEAP_LOCAL_FREE, lists, LH_ARRAY_COUNT(lists)) &&
		       lh_heap_words(walk->tour, heap + LH_RPMALLOC_HEAP_THREAD_FREE, thread_lists,
				     LH_ARRAY_COUNT(thread_lists));
	if (!is_read) {
		lh_heap_lose(walk->tour, LH_PAGE_BYTES);
		return NULL;
	}
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, page, page + LH_PAGE_BYTES));
	for (size_t i = 0; i < LH_ARRAY_COUNT(lists); i++)
		LH_TRY(mark_heap_list(walk, lists[i]));
	for (size_t i = 0; i < LH_ARRAY_COUNT(thread_lists); i++)
		LH_TRY(mark_heap_list(walk, thread_lists[i]));
	return NULL;
}

/* ---------------------------------------------------------------- huge blocks */

static struct huge_span *find_huge_span(struct rpmalloc_walk *walk, uint64_t addr)
{
	size_t at = lh_vec_count_before(&walk->huge, item, item->range.start < addr);
	return at < walk->huge.count && walk->huge.items[at].range.start == addr ? &walk->huge.items[at] : NULL;
}

/* True if the cache lies at `addr`: its count of bytes is the sum of the spans in its slots. Marks them. */
static bool take_huge_cache(struct rpmalloc_walk *walk, uint64_t addr)
{
	uint64_t words[CACHE_WORDS], sum = 0;
	if (!lh_heap_words(walk->tour, addr, words, CACHE_WORDS) || words[0] > 1)
		return false;
	for (size_t i = 2; i < CACHE_WORDS; i += 2) {
		const struct huge_span *span = words[i] ? find_huge_span(walk, words[i]) : NULL;
		if (words[i] && !span)
			return false;
		sum += span ? lh_range_bytes(span->range) : 0;
	}
	if (sum != words[1])
		return false;
	for (size_t i = 2; i < CACHE_WORDS; i += 2) {
		if (words[i])
			find_huge_span(walk, words[i])->is_cached = true;
	}
	return true;
}

/* A word with the address of a huge span is one of the cache's slots: programs know only the block behind it. */
static void take_huge_cache_around(struct rpmalloc_walk *walk, uint64_t slot_addr)
{
	for (uint64_t i = 0; i < CACHE_SLOTS; i++) {
		if (take_huge_cache(walk, slot_addr - (2 + 2 * i) * 8))
			return;
	}
}

static void find_huge_caches(struct rpmalloc_walk *walk)
{
	const struct lh_heap_memory *memory = walk->tour->memory;
	bool has_data = false;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (!lh_heap_has(memory, i, LH_HEAP_DATA))
			continue;
		for (uint64_t at = memory->ranges[i].start; at < memory->ranges[i].end; at += LH_PAGE_BYTES) {
			uint64_t words[LH_PAGE_BYTES / 8];
			if (!lh_heap_words(walk->tour, at, words, LH_ARRAY_COUNT(words)))
				continue;
			has_data = true;
			for (size_t j = 0; j < LH_ARRAY_COUNT(words); j++) {
				const struct huge_span *span = words[j] ? find_huge_span(walk, words[j]) : NULL;
				if (span && !span->is_cached)
					take_huge_cache_around(walk, at + j * 8);
			}
		}
	}
	if (!has_data)
		lh_heap_note(walk->tour, "no data of modules: freed blocks of more than 2 MiB count as used");
}

static struct lh_error *add_huge_blocks(struct rpmalloc_walk *walk)
{
	if (walk->huge.count)
		find_huge_caches(walk);
	for (size_t i = 0; i < walk->huge.count; i++) {
		const struct huge_span *span = &walk->huge.items[i];
		LH_TRY(add_rpmalloc_block(walk, span->range.start + LH_RPMALLOC_HEADER_BYTES, span->range.end,
					  span->is_cached ? LH_CHUNK_CACHED : LH_CHUNK_USED));
	}
	return NULL;
}

static struct lh_error *walk_rpmalloc(struct lh_heap_tour *tour)
{
	struct rpmalloc_walk walk LH_CLEANUP(deinit_rpmalloc_walk) = {.tour = tour};
	struct lh_heap_arena arena = {
		.allocator = "rpmalloc",
		.role = "",
		.kind = LH_REGION_RPMALLOC,
		.mapped_bytes = lh_heap_owned_bytes(tour->owners, LH_REGION_RPMALLOC),
	};
	LH_TRY(lh_heap_add_arena(tour, &arena, &walk.arena));
	LH_TRY(lh_rpmalloc_visit_spans(tour->memory, walk_rpmalloc_span, &walk));
	lh_vec_sort(&walk.heaps, lh_compare_words);
	for (size_t i = 0; i < walk.heaps.count; i++) {
		if (!i || walk.heaps.items[i] != walk.heaps.items[i - 1])
			LH_TRY(mark_heap_lists(&walk, walk.heaps.items[i]));
	}
	return add_huge_blocks(&walk);
}

const struct lh_allocator_walker lh_walk_rpmalloc = {
	.name = "rpmalloc",
	.claim = lh_rpmalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_RPMALLOC,
	.walk = walk_rpmalloc,
};
