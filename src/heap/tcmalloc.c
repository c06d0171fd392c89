/*
 * tcmalloc: spans of gperftools' tcmalloc. Input: memory. Output: claims. Its page map has a root of 2^17 pointers in
 * the library's bss, each to a leaf of 2^18 pointers to spans, one a page of 8 KiB (src/pagemap.h, PageMap2). A span
 * tells its own place, and so that of the root: {first page, pages, ...} (src/span.h).
 */
#include "walker.h"

#include <stdlib.h>

enum {
	PAGE_NUMBER_BITS = 35,
	LEAF_BITS = 18,
	ROOT_ENTRIES = 1 << 17,
	LEAF_ENTRIES = 1 << LEAF_BITS,
	LEAF_BYTES = LEAF_ENTRIES * 8
};
enum { ROOT_BYTES = ROOT_ENTRIES * 8, PIECE_WORDS = 8192, PIECE_BYTES = PIECE_WORDS * 8, LEAVES_MAX = 1024 };

/* Configured when it is built; 8 KiB by default. */
static const uint8_t page_bits[] = {13, 12, 14, 15, 16, 18};

struct span {
	uint64_t first_page;
	uint64_t page_count;
};

struct page_map {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
	uint64_t *scratch; /* PIECE_BYTES */
	uint64_t known_root;
	uint8_t bits;
	size_t leaf_count;
	uint64_t run_start; /* of what spans cover without a gap so far; run_end 0: nothing yet */
	uint64_t run_end;
};

static bool read_span(const struct page_map *map, uint64_t addr, struct span *ret)
{
	uint64_t words[2];
	if (addr % 8 || !lh_heap_is_private(map->memory, addr, 48) ||
	    !lh_heap_read_words(map->memory, addr, words, 2) || !words[1] || words[1] > UINT32_MAX ||
	    words[0] >> PAGE_NUMBER_BITS)
		return false;
	*ret = (struct span){words[0], words[1]};
	return true;
}

/* ---------------------------------------------------------------- claiming */

static struct lh_error *flush_run(struct page_map *map)
{
	uint64_t start = map->run_start << map->bits, end = map->run_end << map->bits;
	map->run_start = map->run_end = 0;
	return end ? lh_heap_claim(map->memory, start, end, LH_REGION_TCMALLOC, map->owners) : NULL;
}

/* Spans of small objects are named by each of their pages, large ones by the first and the last. */
static struct lh_error *add_page(struct page_map *map, uint64_t page, uint64_t span_addr)
{
	struct span span;
	if (page < map->run_end)
		return NULL;
	if (!read_span(map, span_addr, &span) || page < span.first_page || page - span.first_page >= span.page_count)
		return NULL;
	if (page != map->run_end) {
		LH_TRY(flush_run(map));
		map->run_start = page;
	}
	map->run_end = span.first_page + span.page_count;
	return NULL;
}

static struct lh_error *read_leaf_piece(struct page_map *map, uint64_t first_page, uint64_t addr, size_t bytes)
{
	size_t got = map->memory->read(map->memory->context, addr, map->scratch, bytes) / 8;
	for (size_t i = 0; i < got; i++) {
		if (map->scratch[i])
			LH_TRY(add_page(map, first_page + i, map->scratch[i]));
	}
	return NULL;
}

static struct lh_error *claim_leaf(struct page_map *map, uint64_t root_index, uint64_t leaf)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = {lh_align_down(leaf, LH_PAGE_BYTES), lh_align_up(leaf + LEAF_BYTES, LH_PAGE_BYTES)};
	LH_TRY(lh_heap_claim(map->memory, leaf, leaf + LEAF_BYTES, LH_REGION_TCMALLOC, map->owners));
	LH_TRY(map->memory->find_present(map->memory->context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		uint64_t at = lh_max_u64(runs.runs.items[i].range.start, leaf);
		uint64_t end = lh_min_u64(runs.runs.items[i].range.end, leaf + LEAF_BYTES);
		for (; at < end; at += lh_min_u64(PIECE_BYTES, end - at))
			LH_TRY(read_leaf_piece(map, (root_index << LEAF_BITS) + (at - leaf) / 8, at,
					       lh_min_u64(PIECE_BYTES, end - at)));
	}
	return flush_run(map);
}

/* ---------------------------------------------------------------- finding the root */

/* The first span that a leaf names; false when it names none. */
static bool find_first_span(const struct page_map *map, uint64_t leaf, uint64_t *ret_index, struct span *ret)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = {leaf, leaf + LEAF_BYTES};
	uint64_t words[LH_PAGE_BYTES / 8];
	struct lh_error *error = map->memory->find_present(map->memory->context, range, &runs);
	bool is_readable = !error && runs.runs.count;
	lh_error_destroy(error);
	for (uint64_t at = is_readable ? runs.runs.items[0].range.start : range.end; at < range.end;
	     at += LH_PAGE_BYTES) {
		if (!lh_heap_read_words(map->memory, at, words, LH_ARRAY_COUNT(words)))
			return false;
		for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
			*ret_index = (at - leaf) / 8 + i;
			if (words[i])
				return read_span(map, words[i], ret);
		}
	}
	return false;
}

/* The span's page says which slot of the root the leaf is in. */
static bool is_root_slot(struct page_map *map, const struct lh_region *region, uint64_t slot, uint64_t leaf)
{
	struct span span;
	uint64_t index;
	if (leaf % LH_PAGE_BYTES || !leaf || !lh_heap_is_private(map->memory, leaf, LEAF_BYTES) ||
	    !find_first_span(map, leaf, &index, &span))
		return false;
	uint64_t page = (span.first_page >> LEAF_BITS << LEAF_BITS) + index;
	uint64_t root_index = span.first_page >> LEAF_BITS, root = slot - root_index * 8;
	if (page < span.first_page || page - span.first_page >= span.page_count || root < region->start ||
	    root > slot || region->end - root < ROOT_BYTES)
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(page_bits); i++) {
		map->bits = page_bits[i];
		if (lh_heap_is_private(map->memory, span.first_page << map->bits, span.page_count << map->bits)) {
			map->known_root = root;
			return true;
		}
	}
	return false;
}

static struct lh_error *search_piece(struct page_map *map, const struct lh_region *region, uint64_t addr)
{
	uint64_t words[LH_PAGE_BYTES / 8];
	if (!lh_heap_read_words(map->memory, addr, words, LH_ARRAY_COUNT(words)))
		return NULL;
	for (size_t i = 0; i < LH_ARRAY_COUNT(words) && map->leaf_count < LEAVES_MAX; i++) {
		uint64_t slot = addr + i * 8;
		bool is_slot = map->known_root
				       ? words[i] && slot >= map->known_root && slot - map->known_root < ROOT_BYTES &&
						 lh_heap_is_private(map->memory, words[i], LEAF_BYTES)
				       : is_root_slot(map, region, slot, words[i]);
		if (!is_slot)
			continue;
		map->leaf_count++;
		LH_TRY(claim_leaf(map, (slot - map->known_root) / 8, words[i]));
	}
	return NULL;
}

/* Of 1 MiB, and behind a module's data; the root is not always at the end of the bss. */
static bool may_hold_root(const struct lh_heap_memory *memory, size_t index)
{
	const struct lh_region *region = &memory->list->regions.items[index];
	return (region->kind == LH_REGION_BSS || region->kind == LH_REGION_ANON) &&
	       lh_heap_has(memory, index, LH_HEAP_PLAIN) && region->end - region->start >= ROOT_BYTES &&
	       region->end - region->start <= 64 * LH_MIB;
}

static struct lh_error *search_region(struct page_map *map, const struct lh_region *region)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(map->memory->find_present(map->memory->context, (struct lh_range){region->start, region->end}, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range range = runs.runs.items[i].range;
		for (uint64_t at = range.start; at < range.end; at += LH_PAGE_BYTES)
			LH_TRY(search_piece(map, region, at));
	}
	return NULL;
}

static struct lh_error *claim_tcmalloc(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	LH_CLEANUP(lh_cleanup_free) uint64_t *scratch = malloc(PIECE_BYTES);
	struct page_map map = {.memory = memory, .owners = ret, .scratch = scratch};
	if (!scratch)
		return lh_error_no_memory();
	for (size_t i = 1; i < memory->list->regions.count && !map.known_root; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		bool follows_module = region[-1].end == region->start && region[-1].name[0] == '/';
		if (follows_module && may_hold_root(memory, i))
			LH_TRY(search_region(&map, region));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_tcmalloc = {.name = "tcmalloc", .claim = claim_tcmalloc};
