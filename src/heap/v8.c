/*
 * v8: pages of V8's heap. Input: memory. Output: claims. A page or a large object begins at a multiple of 256 KiB with
 * {size, flags, heap, area start, area end, allocated bytes} (src/heap/basic-memory-chunk.h, V8 8 to 12); all of one
 * isolate name the same heap.
 */
#include "walker.h"

#include <stdlib.h>

#define PAGE_ALIGNMENT (256 * LH_KIB)

/* A first look, evenly spread, says whether there is a heap at all. */
enum { PROBES_MAX = 4096, PEEKS_MAX = 262144, PAGES_MIN = 2 };

static bool is_page_header(const struct lh_heap_memory *memory, const struct lh_peek *peek)
{
	const uint64_t *words = peek->words;
	uint64_t bytes = words[0], heap = words[2], area = words[3], area_end = words[4], end;
	return peek->is_read && bytes && bytes % LH_PAGE_BYTES == 0 && heap % 8 == 0 && heap > PAGE_ALIGNMENT &&
	       lh_add_u64(peek->addr, bytes, &end) && area > peek->addr && area < area_end && area_end <= end &&
	       words[5] <= bytes && lh_heap_is_private(memory, peek->addr, bytes);
}

static int compare_heap(const void *a, const void *b)
{
	const struct lh_peek *x = a, *y = b;
	int order = lh_compare_u64(x->words[2], y->words[2]);
	return order ? order : lh_compare_u64(x->addr, y->addr);
}

/* Pages of the same heap, from `first` on. */
static size_t count_siblings(const struct lh_peeks *pages, size_t first)
{
	size_t count = 1;
	while (first + count < pages->items.count &&
	       pages->items.items[first + count].words[2] == pages->items.items[first].words[2])
		count++;
	return count;
}

static struct lh_error *claim_pages(const struct lh_heap_memory *memory, const struct lh_peeks *pages, size_t first,
				    size_t count, struct lh_owners *ret)
{
	for (size_t i = first; i < first + count; i++) {
		const struct lh_peek *page = &pages->items.items[i];
		LH_TRY(lh_heap_claim(memory, page->addr, page->addr + page->words[0], LH_REGION_V8, ret));
	}
	return NULL;
}

static struct lh_error *find_pages(const struct lh_heap_memory *memory, size_t peeks_max, struct lh_peeks *ret)
{
	size_t kept = 0;
	ret->items.count = 0;
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_READABLE, LH_PAGE_BYTES, PAGE_ALIGNMENT, peeks_max, ret));
	for (size_t i = 0; i < ret->items.count; i++) {
		if (is_page_header(memory, &ret->items.items[i]))
			ret->items.items[kept++] = ret->items.items[i];
	}
	ret->items.count = kept;
	return NULL;
}

static struct lh_error *claim_v8(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_peeks pages LH_CLEANUP(lh_peeks_deinit) = {0};
	LH_TRY(find_pages(memory, PROBES_MAX, &pages));
	if (!pages.items.count)
		return NULL;
	LH_TRY(find_pages(memory, PEEKS_MAX, &pages));
	lh_vec_sort(&pages.items, compare_heap);
	for (size_t i = 0, count; i < pages.items.count; i += count) {
		count = count_siblings(&pages, i);
		if (count >= PAGES_MIN)
			LH_TRY(claim_pages(memory, &pages, i, count, ret));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_v8 = {.name = "V8", .claim = claim_v8};
