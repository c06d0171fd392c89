/*
 * tcmalloc: spans of gperftools' tcmalloc. Input: memory. Output: claims. Its page map has a root of 2^17 pointers in
 * the library's bss. Each points to a leaf of 2^18 pointers to spans, one per page of 8 KiB (src/pagemap.h, PageMap2).
 * A span stores its own place, which reveals the root's: {first page, pages, ...} (src/span.h).
 */
#include "tcmalloc.h"

#include <stdlib.h>

enum {
	PAGE_NUMBER_BITS = 35,
	LEAF_BITS = 18,
	ROOT_ENTRIES = 1 << 17,
	LEAF_ENTRIES = 1 << LEAF_BITS,
	LEAF_BYTES = LEAF_ENTRIES * 8
};
enum { ROOT_BYTES = ROOT_ENTRIES * 8, PIECE_WORDS = 8192, PIECE_BYTES = PIECE_WORDS * 8, LEAVES_MAX = 1024 };
enum { PAGE_WORDS = LH_PAGE_BYTES / 8 };

/* Limits while the root is searched: pages of 512 empty leaves, and slots that do not point to a leaf. */
enum { SEARCHED_PAGES_MAX = 1 << 18, TRIED_SLOTS_MAX = 1 << 14 };

/* A page of the root covers 1 TiB: fewer of its 512 slots are filled. */
enum { FILLED_SLOTS_MAX = 64 };

#define BSS_BYTES_MAX (64 * LH_MIB)

/* A build option; 8 KiB by default. */
static const uint8_t page_bit_choices[] = {13, 12, 14, 15, 16, 18};

struct page_map {
	const struct lh_heap_memory *memory;
	const struct lh_tcmalloc_visitor *visitor;
	uint64_t *scratch; /* PIECE_BYTES: of a leaf */
	uint64_t *piece;   /* as many, of a bss */
	uint64_t known_root;
	uint8_t bits;
	uint64_t leaves[LEAVES_MAX];
	size_t leaf_count;
	size_t searched_pages; /* pages of possible leaves */
	size_t tried_slots;    /* in one bss */
	uint64_t latest_end;   /* end of the latest span, as a page number */
};

static bool read_span(const struct page_map *map, uint64_t addr, struct lh_tcmalloc_span *ret)
{
	uint64_t words[2];
	if (addr % 8 || !lh_heap_is_private(map->memory, addr, LH_SPAN_BYTES) ||
	    !lh_heap_read_words(map->memory, addr, words, 2) || !words[1] || words[1] > UINT32_MAX ||
	    words[0] >> PAGE_NUMBER_BITS)
		return false;
	*ret = (struct lh_tcmalloc_span){addr, words[0], words[1]};
	return true;
}

/* ---------------------------------------------------------------- visiting */

/* Each page of a span of small objects points to the span; of a large span only the first and the last page. */
static struct lh_error *take_page(struct page_map *map, uint64_t page, uint64_t span_addr)
{
	struct lh_tcmalloc_span span;
	if (page < map->latest_end || !read_span(map, span_addr, &span) || page < span.first_page ||
	    page - span.first_page >= span.page_count)
		return NULL;
	map->latest_end = span.first_page + span.page_count;
	return map->visitor->take_span(map->visitor->context, &span, map->bits);
}

static struct lh_error *read_leaf_piece(struct page_map *map, uint64_t first_page, uint64_t addr, size_t bytes)
{
	size_t got = map->memory->read(map->memory->context, addr, map->scratch, bytes) / 8;
	for (size_t i = 0; i < got; i++) {
		if (map->scratch[i])
			LH_TRY(take_page(map, first_page + i, map->scratch[i]));
	}
	return NULL;
}

/* A leaf is cut from a chunk of metadata (src/common.cc): its first piece in 2.10, a later one in 2.16. */
static struct lh_range leaf_pages(uint64_t leaf)
{
	return (struct lh_range){lh_align_down(leaf, LH_PAGE_BYTES), lh_align_up(leaf + LEAF_BYTES, LH_PAGE_BYTES)};
}

static struct lh_error *visit_leaf(struct page_map *map, uint64_t root_index, uint64_t leaf)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = leaf_pages(leaf);
	LH_TRY(map->visitor->take_leaf(map->visitor->context, (struct lh_range){leaf, leaf + LEAF_BYTES}));
	LH_TRY(map->memory->find_present(map->memory->context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		uint64_t at = lh_max_u64(runs.runs.items[i].range.start, leaf);
		uint64_t end = lh_min_u64(runs.runs.items[i].range.end, leaf + LEAF_BYTES);
		for (; at < end; at += lh_min_u64(PIECE_BYTES, end - at))
			LH_TRY(read_leaf_piece(map, (root_index << LEAF_BITS) + (at - leaf) / 8, at,
					       lh_min_u64(PIECE_BYTES, end - at)));
	}
	return NULL;
}

/* ---------------------------------------------------------------- finding the root */

/* The first span that a leaf points to; false if there is none. */
static bool find_first_span(struct page_map *map, uint64_t leaf, uint64_t *ret_index, struct lh_tcmalloc_span *ret)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = leaf_pages(leaf);
	uint64_t words[LH_PAGE_BYTES / 8];
	struct lh_error *error = map->memory->find_present(map->memory->context, range, &runs);
	bool is_readable = !error && runs.runs.count;
	lh_error_destroy(error);
	for (uint64_t at = is_readable ? runs.runs.items[0].range.start : range.end;
	     at < range.end && map->searched_pages < SEARCHED_PAGES_MAX; at += LH_PAGE_BYTES, map->searched_pages++) {
		if (!lh_heap_read_words(map->memory, at, words, LH_ARRAY_COUNT(words)))
			return false;
		for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
			uint64_t addr = at + i * 8;
			if (addr < leaf || addr >= leaf + LEAF_BYTES || !words[i])
				continue;
			*ret_index = (addr - leaf) / 8;
			return read_span(map, words[i], ret);
		}
	}
	return false;
}

/* In a dump, pages that were never touched may be unmapped. */
static bool may_be_leaf(const struct page_map *map, uint64_t addr)
{
	if (addr < LH_PAGE_BYTES || addr % 8)
		return false;
	size_t index = lh_heap_region_index(map->memory, addr);
	return index < map->memory->list->regions.count &&
	       map->memory->list->regions.items[index].start < addr + LEAF_BYTES &&
	       lh_heap_has(map->memory, index, LH_HEAP_PRIVATE);
}

static bool begins_or_ends_private(const struct page_map *map, const struct lh_tcmalloc_span *span)
{
	uint64_t start = span->first_page << map->bits, bytes = span->page_count << map->bits;
	return lh_heap_is_private(map->memory, start, LH_PAGE_BYTES) ||
	       lh_heap_is_private(map->memory, start + bytes - LH_PAGE_BYTES, LH_PAGE_BYTES);
}

/* The span's page tells which slot of the root the leaf is in. */
static bool is_root_slot(struct page_map *map, struct lh_range bss, uint64_t slot, uint64_t leaf)
{
	struct lh_tcmalloc_span span;
	uint64_t index;
	if (!may_be_leaf(map, leaf) || !find_first_span(map, leaf, &index, &span))
		return false;
	uint64_t page = (span.first_page >> LEAF_BITS << LEAF_BITS) + index;
	uint64_t root_index = span.first_page >> LEAF_BITS, root = slot - root_index * 8;
	if (page < span.first_page || page - span.first_page >= span.page_count || root < bss.start || root > slot ||
	    bss.end - root < ROOT_BYTES)
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(page_bit_choices); i++) {
		map->bits = page_bit_choices[i];
		if (begins_or_ends_private(map, &span)) {
			map->known_root = root;
			return true;
		}
	}
	return false;
}

/* Whether a slot may point to a leaf: leaves of 2.10 begin a page, and a bss may be full of other pointers. */
static bool may_be_slot(struct page_map *map, uint64_t leaf, size_t filled_count)
{
	if (leaf % LH_PAGE_BYTES == 0)
		return true;
	return filled_count <= FILLED_SLOTS_MAX && may_be_leaf(map, leaf) && map->tried_slots++ < TRIED_SLOTS_MAX;
}

static size_t count_filled(const uint64_t *words, size_t count)
{
	size_t filled = 0;
	for (size_t i = 0; i < count; i++)
		filled += words[i] != 0;
	return filled;
}

/* A page map contains each leaf once. */
static bool is_new_leaf(const struct page_map *map, uint64_t addr)
{
	for (size_t i = 0; i < map->leaf_count; i++) {
		if (addr < map->leaves[i] + LEAF_BYTES && map->leaves[i] < addr + LEAF_BYTES)
			return false;
	}
	return true;
}

static struct lh_error *search_page(struct page_map *map, struct lh_range bss, uint64_t addr, const uint64_t *words)
{
	size_t filled_count = count_filled(words, PAGE_WORDS);
	for (size_t i = 0; filled_count && i < PAGE_WORDS && map->leaf_count < LEAVES_MAX; i++) {
		uint64_t slot = addr + i * 8;
		bool is_slot = map->known_root
				       ? words[i] && slot >= map->known_root && slot - map->known_root < ROOT_BYTES &&
						 may_be_leaf(map, words[i])
				       : words[i] && may_be_slot(map, words[i], filled_count) &&
						 is_root_slot(map, bss, slot, words[i]);
		if (!is_slot || !is_new_leaf(map, words[i]))
			continue;
		map->leaves[map->leaf_count++] = words[i];
		LH_TRY(visit_leaf(map, (slot - map->known_root) / 8, words[i]));
	}
	return NULL;
}

static bool is_bss_piece(const struct lh_heap_memory *memory, size_t index)
{
	const struct lh_region *region = &memory->list->regions.items[index];
	return (region->kind == LH_REGION_BSS || region->kind == LH_REGION_ANON) &&
	       lh_heap_has(memory, index, LH_HEAP_PLAIN);
}

/* A bss of at least 1 MiB after a module's data; the root may not be at its end. In a dump, the bss is in pieces. */
static bool find_bss(const struct lh_heap_memory *memory, size_t index, struct lh_range *ret)
{
	const struct lh_region *regions = memory->list->regions.items;
	if (!index || !lh_heap_has(memory, index, LH_HEAP_PLAIN) ||
	    memory->ranges[index - 1].end != memory->ranges[index].start ||
	    !lh_heap_has(memory, index - 1, LH_HEAP_OF_FILE) || !is_bss_piece(memory, index))
		return false;
	*ret = (struct lh_range){regions[index].start, regions[index].end};
	for (size_t i = index + 1; i < memory->list->regions.count && regions[i].start == ret->end &&
				   is_bss_piece(memory, i) && lh_range_bytes(*ret) <= BSS_BYTES_MAX;
	     i++)
		ret->end = regions[i].end;
	return lh_range_bytes(*ret) >= ROOT_BYTES && lh_range_bytes(*ret) <= BSS_BYTES_MAX;
}

/* Pages that have gone meanwhile are passed over. */
static struct lh_error *search_bss_run(struct page_map *map, struct lh_range bss, struct lh_range run)
{
	for (uint64_t at = run.start; at < run.end;) {
		size_t bytes = lh_min_u64(PIECE_BYTES, run.end - at);
		size_t got = map->memory->read(map->memory->context, at, map->piece, bytes);
		for (size_t page = 0; page + LH_PAGE_BYTES <= got; page += LH_PAGE_BYTES)
			LH_TRY(search_page(map, bss, at + page, &map->piece[page / 8]));
		at += lh_max_u64(lh_align_down(got, LH_PAGE_BYTES), LH_PAGE_BYTES);
	}
	return NULL;
}

static struct lh_error *search_bss(struct page_map *map, struct lh_range bss)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(map->memory->find_present(map->memory->context, bss, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(search_bss_run(map, bss, runs.runs.items[i].range));
	return NULL;
}

struct lh_error *lh_tcmalloc_visit_spans(const struct lh_heap_memory *memory, const struct lh_tcmalloc_visitor *visitor,
					 struct lh_range *ret_bss)
{
	LH_CLEANUP(lh_cleanup_free) uint64_t *scratch = malloc((size_t)2 * PIECE_BYTES);
	struct page_map map = {.memory = memory, .visitor = visitor, .scratch = scratch};
	*ret_bss = (struct lh_range){0, 0};
	if (!scratch)
		return lh_error_no_memory();
	map.piece = scratch + PIECE_WORDS;
	for (size_t i = 0; i < memory->list->regions.count && !map.known_root; i++) {
		struct lh_range bss;
		if (!find_bss(memory, i, &bss))
			continue;
		map.tried_slots = 0;
		LH_TRY(search_bss(&map, bss));
		*ret_bss = map.known_root ? bss : *ret_bss;
	}
	return NULL;
}

/* ---------------------------------------------------------------- claiming */

struct span_claim {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
	struct lh_range run; /* memory covered by spans without a gap so far */
};

static struct lh_error *flush_run(struct span_claim *claim)
{
	struct lh_range run = claim->run;
	claim->run = (struct lh_range){0, 0};
	return run.end ? lh_heap_claim(claim->memory, run.start, run.end, LH_REGION_TCMALLOC, claim->owners) : NULL;
}

static struct lh_error *claim_span(void *context, const struct lh_tcmalloc_span *span, uint8_t page_bits)
{
	struct span_claim *claim = context;
	uint64_t start = span->first_page << page_bits;
	if (start != claim->run.end) {
		LH_TRY(flush_run(claim));
		claim->run.start = start;
	}
	claim->run.end = start + (span->page_count << page_bits);
	return NULL;
}

static struct lh_error *claim_map_leaf(void *context, struct lh_range leaf)
{
	struct span_claim *claim = context;
	return lh_heap_claim(claim->memory, leaf.start, leaf.end, LH_REGION_TCMALLOC, claim->owners);
}

struct lh_error *lh_tcmalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct span_claim claim = {.memory = memory, .owners = ret};
	struct lh_tcmalloc_visitor visitor = {claim_map_leaf, claim_span, &claim};
	struct lh_range bss;
	LH_TRY(lh_tcmalloc_visit_spans(memory, &visitor, &bss));
	return flush_run(&claim);
}
