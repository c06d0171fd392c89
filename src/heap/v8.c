/*
 * v8: pages of V8's heap. Input: memory. Output: claims. A page or a large object begins at a multiple of 256 KiB with
 * a header; all of one isolate name the same heap.
 */
#include "v8.h"

#include <stdlib.h>

/* A first, evenly spread look decides whether there is a heap at all. */
enum { PROBES_MAX = 2048, PEEKS_MAX = 262144, PAGES_MIN = 2 };

/* Where size, flags and the area begin; the word before the area points to the heap. */
struct page_layout {
	uint8_t size, flags, area;
	bool names_itself; /* its second word is its own address */
};

static bool is_page(const struct lh_v8_page *page)
{
	uint64_t end;
	return page->bytes && page->bytes % LH_PAGE_BYTES == 0 && lh_add_u64(page->addr, page->bytes, &end) &&
	       page->heap % 8 == 0 && (!page->heap || page->heap > LH_V8_PAGE_ALIGNMENT) && page->area % 8 == 0 &&
	       page->area > page->addr && page->area - page->addr < 4 * LH_PAGE_BYTES && page->area < page->area_end &&
	       page->area_end <= end;
}

/*
 * {page allocator, begin and size of the reservation, allocated bytes, wasted bytes, fill level, size, end of the area,
 * heap, area, owner}. Pages shared by isolates have no reservation.
 */
static bool parse_metadata(const struct lh_heap_memory *memory, uint64_t addr, const uint64_t *words,
			   struct lh_v8_page *ret)
{
	enum { RESERVED = 1, MARK = 5, BYTES, AREA_END, HEAP, AREA, OWNER, METADATA_WORDS };
	uint64_t metadata[METADATA_WORDS];
	/* The first object begins after the header, in code pages two words later. */
	if (words[0] >> 32 || words[1] % 8 || words[1] < LH_PAGE_BYTES || words[1] - addr < LH_V8_PAGE_ALIGNMENT ||
	    !(lh_v8_is_pointer(words[2]) || lh_v8_is_pointer(words[4])) ||
	    !lh_heap_read_words(memory, words[1], metadata, METADATA_WORDS))
		return false;
	*ret = (struct lh_v8_page){
		.addr = addr,
		.bytes = metadata[BYTES],
		.flags = words[0],
		.heap = metadata[HEAP],
		.area = metadata[AREA],
		.area_end = metadata[AREA_END],
		.mark = metadata[MARK],
		.owner = metadata[OWNER],
	};
	return is_page(ret) && ret->mark && ret->mark <= ret->bytes && metadata[RESERVED] == (ret->heap ? addr : 0);
}

bool lh_v8_page_parse(const struct lh_heap_memory *memory, uint64_t addr, const uint64_t *words, struct lh_v8_page *ret)
{
	static const struct page_layout layouts[] = {
		{0, 1, 3, false}, /* V8 9 to 11 */
		{0, 1, 4, false}, /* 8: a bitmap before the heap */
		{2, 0, 4, true},  /* 12 */
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(layouts); i++) {
		const struct page_layout *layout = &layouts[i];
		*ret = (struct lh_v8_page){
			.addr = addr,
			.bytes = words[layout->size],
			.flags = words[layout->flags],
			.heap = words[layout->area - 1],
			.area = words[layout->area],
			.area_end = words[layout->area + 1],
		};
		if (is_page(ret) && (!layout->names_itself || words[1] == addr))
			return true;
	}
	return parse_metadata(memory, addr, words, ret);
}

static bool is_page_header(const struct lh_heap_memory *memory, const struct lh_peek *peek, struct lh_v8_page *ret)
{
	return peek->is_read && lh_v8_page_parse(memory, peek->addr, peek->words, ret) &&
	       lh_heap_is_private(memory, peek->addr, ret->bytes);
}

static int compare_heap(const void *a, const void *b)
{
	const struct lh_v8_page *x = a, *y = b;
	int order = lh_compare_u64(x->heap, y->heap);
	return order ? order : lh_compare_u64(x->addr, y->addr);
}

struct v8_pages {
	LH_VEC(struct lh_v8_page) items;
};

static void deinit_pages(struct v8_pages *pages)
{
	lh_vec_deinit(&pages->items);
}

/* The number of pages of the same heap, from `first` on. */
static size_t count_siblings(const struct v8_pages *pages, size_t first)
{
	size_t count = 1;
	while (first + count < pages->items.count &&
	       pages->items.items[first + count].heap == pages->items.items[first].heap)
		count++;
	return count;
}

static struct lh_error *claim_pages(const struct lh_heap_memory *memory, const struct v8_pages *pages, size_t first,
				    size_t count, struct lh_owners *ret)
{
	for (size_t i = first; i < first + count; i++) {
		const struct lh_v8_page *page = &pages->items.items[i];
		LH_TRY(lh_heap_claim(memory, page->addr, page->addr + page->bytes, LH_REGION_V8, ret));
	}
	return NULL;
}

static struct lh_error *find_pages(const struct lh_heap_memory *memory, size_t peeks_max, struct v8_pages *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	struct lh_v8_page page;
	ret->items.count = 0;
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_READABLE, LH_PAGE_BYTES, LH_V8_PAGE_ALIGNMENT, peeks_max, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		if (is_page_header(memory, &peeks.items.items[i], &page))
			LH_TRY(lh_vec_push(&ret->items, page));
	}
	return NULL;
}

/* ---------------------------------------------------------------- the heap limit */

/*
 * What Heap::ConfigureHeap sets, within the first words of a heap (src/heap/heap.h of V8 8 to 13). V8 and its embedder
 * together may have twice what V8 may have.
 */
enum {
	INITIAL_SEMISPACE,
	MIN_OLD,
	MAX_OLD, /* the limit; a callback near it may raise it */
	MIN_GLOBAL,
	MAX_GLOBAL,
	INITIAL_MAX_OLD, /* the limit as configured */
	LIMIT_THRESHOLD,
	INITIAL_OLD,
	LIMIT_WORDS,
	HEAP_WORDS = 512
};

static bool are_limits(const uint64_t *words)
{
	uint64_t configured = words[INITIAL_MAX_OLD];
	return configured && configured % LH_V8_PAGE_ALIGNMENT == 0 && words[MAX_OLD] >= configured &&
	       (words[MAX_GLOBAL] == 2 * configured || words[MAX_GLOBAL] == 2 * words[MAX_OLD]) &&
	       words[MIN_GLOBAL] == 2 * words[MIN_OLD] && words[MIN_OLD] <= configured &&
	       words[INITIAL_OLD] <= configured && words[INITIAL_SEMISPACE] &&
	       words[INITIAL_SEMISPACE] % LH_PAGE_BYTES == 0;
}

/*
 * Notes what the limit leaves to a heap. V8 ends the process when the areas of its old pages exceed the limit
 * (Heap::CanExpandOldGeneration); young pages do not count.
 */
static void note_limit(const struct lh_heap_memory *memory, const struct lh_v8_page *pages, size_t count,
		       struct lh_owners *ret)
{
	uint64_t words[HEAP_WORDS], old_bytes = 0;
	if (!lh_heap_read_words(memory, pages->heap, words, HEAP_WORDS))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!(pages[i].flags & (LH_V8_FROM_PAGE | LH_V8_TO_PAGE)))
			old_bytes += pages[i].area_end - pages[i].area;
	}
	for (size_t i = 0; i + LIMIT_WORDS <= HEAP_WORDS; i++) {
		if (!are_limits(&words[i]))
			continue;
		uint64_t limit = words[i + MAX_OLD];
		uint64_t left = limit - lh_min_u64(limit, old_bytes);
		ret->v8_left_bytes = ret->has_v8_limit ? lh_min_u64(ret->v8_left_bytes, left) : left;
		ret->has_v8_limit = true;
		return;
	}
}

/* Pages without a heap, which isolates share, count only beside others. */
struct lh_error *lh_v8_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct v8_pages pages LH_CLEANUP(deinit_pages) = {0};
	size_t shared = 0;
	bool is_found = false;
	LH_TRY(find_pages(memory, PROBES_MAX, &pages));
	if (!pages.items.count)
		return NULL;
	LH_TRY(find_pages(memory, PEEKS_MAX, &pages));
	if (!pages.items.count)
		return NULL;
	qsort(pages.items.items, pages.items.count, sizeof(struct lh_v8_page), compare_heap);
	while (shared < pages.items.count && !pages.items.items[shared].heap)
		shared++;
	for (size_t i = shared, count; i < pages.items.count; i += count) {
		count = count_siblings(&pages, i);
		if (count < PAGES_MIN)
			continue;
		is_found = true;
		note_limit(memory, &pages.items.items[i], count, ret);
		LH_TRY(claim_pages(memory, &pages, i, count, ret));
	}
	return is_found ? claim_pages(memory, &pages, 0, shared, ret) : NULL;
}
