/*
 * google_tcmalloc: the page map of Google's tcmalloc, and what it owns. Input: memory. Output: leaves, claims. The root
 * is an array of pointers in a module's bss. Leaves have an array of size classes and one of spans, per page
 * (pagemap.h, PageMap2, PageMap3). A span's descriptor contains its first page, which reveals where the root begins.
 */
#include "google_tcmalloc.h"

#include <stdlib.h>
#include <string.h>

#define DATA_BYTES_MAX  (64 * LH_MIB)
#define RESERVED_BITS   30 /* it reserves address space by the GiB (system_allocator.h, kMinMmapAlloc) */
#define HUGE_PAGE_BYTES (2 * LH_MIB)

enum { PAGE_WORDS = LH_PAGE_BYTES / 8, EDGE_WORDS = 16, TRIED_SLOTS_MAX = 4096, LEAVES_MAX = 1 << 16 };

/* While a leaf is tried: entries that are not understood, and descriptors that prove it. */
enum { TRIED_ENTRIES_MAX = 64, PROVING_SPANS = 3 };

/* 48-bit addresses and pages of 8, 4, 32 or 256 KiB (common.h). Leaves of two levels map 2^15 pages. */
static const struct lh_gshape shapes[] = {
	{13, 12, 12, 2}, {13, 15, 0, 1},  {13, 15, 0, 2},  {13, 12, 12, 1}, {12, 12, 12, 1}, {12, 12, 12, 2},
	{15, 15, 0, 1},  {15, 15, 0, 2},  {15, 11, 11, 1}, {15, 11, 11, 2}, {18, 15, 0, 1},  {18, 15, 0, 2},
	{18, 10, 10, 1}, {18, 10, 10, 2}, {12, 15, 0, 1},  {12, 15, 0, 2},
};

void lh_gmap_deinit(struct lh_gmap *map)
{
	lh_vec_deinit(&map->leaves);
}

/*
 * tcmalloc chooses its addresses: bits 42 to 44 tell what lies there, and are never 7 (internal/memory_tag.h). Where
 * the kernel chooses, near the top of the address space, they are. Below 4 TiB lie heaps of other runtimes.
 */
static bool is_tagged(uint64_t addr)
{
	enum { TAG_SHIFT = 42, TAG_MASK = 7 };
	return addr >> TAG_SHIFT && (addr >> TAG_SHIFT & TAG_MASK) != TAG_MASK;
}

static bool is_private_mapping(const struct lh_heap_memory *memory, size_t index)
{
	return lh_heap_has(memory, index, LH_HEAP_PLAIN) && !lh_heap_has(memory, index, LH_HEAP_DATA) &&
	       !lh_heap_has(memory, index, LH_HEAP_BRK);
}

bool lh_gmap_is_metadata(const struct lh_heap_memory *memory, uint64_t addr)
{
	if (addr % 8 || addr >> 47 || !is_tagged(addr))
		return false;
	size_t index = lh_heap_region_index(memory, addr);
	return index < memory->list->regions.count && memory->ranges[index].start <= addr &&
	       is_private_mapping(memory, index);
}

struct lh_error *lh_gmap_find_present(const struct lh_heap_memory *memory, struct lh_range range,
				      struct lh_page_runs *ret)
{
	struct lh_range pages = {lh_align_down(range.start, LH_PAGE_BYTES), lh_align_up(range.end, LH_PAGE_BYTES)};
	return memory->find_present(memory->context, pages, ret);
}

/* Copies the present parts of [addr, addr + bytes); the rest is zero. */
static struct lh_error *read_sparse(const struct lh_heap_memory *memory, uint64_t addr, size_t bytes, uint8_t *ret)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	memset(ret, 0, bytes);
	LH_TRY(lh_gmap_find_present(memory, (struct lh_range){addr, addr + bytes}, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		uint64_t start = lh_max_u64(runs.runs.items[i].range.start, addr);
		uint64_t end = lh_min_u64(runs.runs.items[i].range.end, addr + bytes);
		if (start < end)
			memory->read(memory->context, start, ret + (start - addr), end - start);
	}
	return NULL;
}

struct lh_error *lh_gmap_read_leaf(const struct lh_heap_memory *memory, const struct lh_gmap *map,
				   const struct lh_gleaf *leaf, uint8_t *ret)
{
	return read_sparse(memory, leaf->addr, lh_gshape_leaf_bytes(&map->shape), ret);
}

/* ---------------------------------------------------------------- finding the root */

struct map_search {
	const struct lh_heap_memory *memory;
	struct lh_gmap *map;
	uint8_t *leaf;  /* the largest shape's */
	uint64_t *node; /* likewise */
	size_t tried_slots;
};

/* Whether the descriptor is that of a page whose number ends with `low_page`; *ret is the page. */
static bool read_map_page(const struct map_search *search, uint64_t descriptor, uint64_t low_page, uint64_t low_mask,
			  uint64_t *ret)
{
	uint64_t words[LH_GSPAN_WORDS];
	const struct lh_gshape *shape = &search->map->shape;
	if (!lh_gmap_is_metadata(search->memory, descriptor) ||
	    !lh_heap_read_words(search->memory, descriptor, words, LH_GSPAN_WORDS - 2))
		return false;
	for (size_t i = 0; i < LH_GSPAN_WORDS - 2; i++) {
		uint64_t page = words[i] & lh_gshape_page_mask(shape), addr = page << shape->page_bits;
		if ((page & low_mask) == low_page && page > low_mask &&
		    lh_heap_is_private(search->memory, addr, LH_PAGE_BYTES)) {
			*ret = page;
			return true;
		}
	}
	return false;
}

/* Whether that memory is a leaf, and of which page. Large spans leave stale entries behind their first one. */
static bool try_leaf(struct map_search *search, uint64_t addr, uint64_t *ret_first_page)
{
	const struct lh_gshape *shape = &search->map->shape;
	uint64_t mask = (UINT64_C(1) << shape->leaf_bits) - 1, page;
	size_t tried = 0, proofs = 0, entries = 0;
	struct lh_error *error = read_sparse(search->memory, addr, lh_gshape_leaf_bytes(shape), search->leaf);
	bool is_read = !error;
	lh_error_destroy(error);
	for (size_t i = 0; is_read && i <= mask && tried < TRIED_ENTRIES_MAX && proofs < PROVING_SPANS; i++) {
		uint64_t descriptor = lh_gleaf_span(shape, search->leaf, i);
		if (!descriptor)
			continue;
		entries++;
		if (!read_map_page(search, descriptor, i, mask, &page)) {
			tried++;
			continue;
		}
		if (proofs && *ret_first_page != (page & ~mask))
			return false;
		*ret_first_page = page & ~mask;
		proofs++;
	}
	return proofs && (proofs == PROVING_SPANS || entries <= TRIED_ENTRIES_MAX);
}

/* The first leaf below a root's slot, whose first page says which slot it is. */
static bool try_slot(struct map_search *search, struct lh_range data, uint64_t slot, uint64_t addr)
{
	struct lh_gmap *map = search->map;
	const struct lh_gshape *shape = &map->shape;
	uint64_t first_page, middle_mask = (UINT64_C(1) << shape->middle_bits) - 1;
	uint64_t leaf = addr, middle = 0;
	if (shape->middle_bits) {
		size_t bytes = sizeof(uint64_t) << shape->middle_bits;
		struct lh_error *error = read_sparse(search->memory, addr, bytes, (uint8_t *)search->node);
		lh_error_destroy(error);
		while (middle < middle_mask && !search->node[middle])
			middle++;
		leaf = search->node[middle];
	}
	if (!lh_gmap_is_metadata(search->memory, leaf) || !try_leaf(search, leaf, &first_page) ||
	    (first_page >> shape->leaf_bits & middle_mask) != middle)
		return false;
	uint64_t index = first_page >> (shape->leaf_bits + shape->middle_bits);
	uint64_t count = UINT64_C(1) << (48 - shape->page_bits - shape->leaf_bits - shape->middle_bits);
	if (index >= count || slot - data.start < index * 8 || data.end - slot < (count - index) * 8)
		return false;
	map->root = slot - index * 8;
	map->data = data;
	return true;
}

/* Whether nothing is stored on one side of the word: the root is nearly empty. */
static bool is_at_edge(const uint64_t *words, size_t at)
{
	size_t before = 0, after = 0;
	for (size_t i = 1; i <= EDGE_WORDS; i++) {
		before += at >= i && words[at - i];
		after += at + i < PAGE_WORDS && words[at + i];
	}
	return !before || !after;
}

static void try_shapes(struct map_search *search, struct lh_range data, uint64_t slot, uint64_t addr)
{
	if (search->tried_slots++ >= TRIED_SLOTS_MAX)
		return;
	for (size_t i = 0; i < LH_ARRAY_COUNT(shapes) && !search->map->root; i++) {
		search->map->shape = shapes[i];
		try_slot(search, data, slot, addr);
	}
}

static struct lh_error *search_data_run(struct map_search *search, struct lh_range data, struct lh_range run)
{
	uint64_t words[PAGE_WORDS];
	for (uint64_t at = run.start; at < run.end && !search->map->root; at += LH_PAGE_BYTES) {
		if (!lh_heap_read_words(search->memory, at, words, PAGE_WORDS))
			continue;
		for (size_t i = 0; i < PAGE_WORDS && !search->map->root; i++) {
			if (words[i] && is_at_edge(words, i) && lh_gmap_is_metadata(search->memory, words[i]))
				try_shapes(search, data, at + i * 8, words[i]);
		}
	}
	return NULL;
}

/* The variables of a module, which may be in several mappings with read-only ones between. */
static struct lh_range find_data(const struct lh_heap_memory *memory, size_t index)
{
	struct lh_range range = memory->ranges[index];
	for (size_t i = index + 1; i < memory->list->regions.count && memory->ranges[i].start == range.end &&
				   lh_range_bytes(range) <= DATA_BYTES_MAX;
	     i++) {
		bool is_part = lh_heap_has(memory, i, LH_HEAP_DATA) || lh_heap_has(memory, i, LH_HEAP_OF_FILE) ||
			       (lh_heap_has(memory, i, LH_HEAP_PLAIN) && !lh_heap_has(memory, i, LH_HEAP_BRK));
		if (!is_part)
			break;
		range.end = memory->ranges[i].end;
	}
	return range;
}

static struct lh_error *search_module_data(struct map_search *search, struct lh_range data)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	search->tried_slots = 0;
	LH_TRY(lh_gmap_find_present(search->memory, data, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(search_data_run(search, data, runs.runs.items[i].range));
	return NULL;
}

/* ---------------------------------------------------------------- leaves */

static struct lh_error *add_leaf(struct map_search *search, uint64_t first_page, uint64_t addr)
{
	struct lh_gmap *map = search->map;
	if (map->leaves.count == LEAVES_MAX || !lh_gmap_is_metadata(search->memory, addr))
		return NULL;
	map->node_min = lh_min_u64(map->node_min, addr);
	return lh_vec_push(&map->leaves, ((struct lh_gleaf){first_page, addr}));
}

static struct lh_error *add_node(struct map_search *search, uint64_t index, uint64_t addr)
{
	const struct lh_gshape *shape = &search->map->shape;
	size_t count = (size_t)1 << shape->middle_bits;
	if (!lh_gmap_is_metadata(search->memory, addr))
		return NULL;
	search->map->node_min = lh_min_u64(search->map->node_min, addr);
	LH_TRY(read_sparse(search->memory, addr, count * 8, (uint8_t *)search->node));
	for (size_t i = 0; i < count; i++) {
		if (search->node[i])
			LH_TRY(add_leaf(search, ((index << shape->middle_bits) + i) << shape->leaf_bits,
					search->node[i]));
	}
	return NULL;
}

static struct lh_error *take_root_word(struct map_search *search, uint64_t index, uint64_t word)
{
	const struct lh_gshape *shape = &search->map->shape;
	if (!word)
		return NULL;
	return shape->middle_bits ? add_node(search, index, word) : add_leaf(search, index << shape->leaf_bits, word);
}

static struct lh_error *list_leaves(struct map_search *search)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_gmap *map = search->map;
	const struct lh_gshape *shape = &map->shape;
	uint64_t count = UINT64_C(1) << (48 - shape->page_bits - shape->leaf_bits - shape->middle_bits),
		 words[PAGE_WORDS];
	struct lh_range root = {map->root, map->root + count * 8};
	LH_TRY(lh_gmap_find_present(search->memory, root, &runs));
	map->node_min = UINT64_MAX;
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range run = runs.runs.items[i].range;
		for (uint64_t at = run.start; at < run.end; at += LH_PAGE_BYTES) {
			if (!lh_heap_read_words(search->memory, at, words, PAGE_WORDS))
				continue;
			for (uint64_t j = 0; j < PAGE_WORDS; j++) {
				if (at + j * 8 >= root.start && at + j * 8 < root.end)
					LH_TRY(take_root_word(search, (at + j * 8 - root.start) / 8, words[j]));
			}
		}
	}
	return NULL;
}

static bool has_tagged_memory(const struct lh_heap_memory *memory)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (is_private_mapping(memory, i) && is_tagged(memory->ranges[i].start))
			return true;
	}
	return false;
}

struct lh_error *lh_gmap_find(const struct lh_heap_memory *memory, struct lh_gmap *ret)
{
	if (!has_tagged_memory(memory))
		return NULL;
	LH_CLEANUP(lh_cleanup_free) uint8_t *leaf = malloc((size_t)10 << 15);
	LH_CLEANUP(lh_cleanup_free) uint64_t *node = malloc((size_t)8 << 12);
	struct map_search search = {.memory = memory, .map = ret, .leaf = leaf, .node = node};
	if (!leaf || !node)
		return lh_error_no_memory();
	for (size_t i = 0; i < memory->list->regions.count && !ret->root; i++) {
		if (!lh_heap_has(memory, i, LH_HEAP_DATA))
			continue;
		struct lh_range data = find_data(memory, i);
		if (lh_range_bytes(data) <= DATA_BYTES_MAX)
			LH_TRY(search_module_data(&search, data));
		while (i + 1 < memory->list->regions.count && memory->ranges[i + 1].start < data.end)
			i++;
	}
	return ret->root ? list_leaves(&search) : NULL;
}

/* ---------------------------------------------------------------- claiming */

/* Reserved address space, and the lowest address of it that is used: it is handed out from its end downwards. */
struct reserved_block {
	uint64_t number;
	uint64_t low;
};

struct block_list {
	LH_VEC(struct reserved_block) items;
};

static void deinit_block_list(struct block_list *blocks)
{
	lh_vec_deinit(&blocks->items);
}

static struct lh_error *use_address(struct block_list *blocks, uint64_t addr)
{
	for (size_t i = blocks->items.count; i-- > 0;) {
		struct reserved_block *block = &blocks->items.items[i];
		if (block->number == addr >> RESERVED_BITS) {
			block->low = lh_min_u64(block->low, addr);
			return NULL;
		}
	}
	return lh_vec_push(&blocks->items, ((struct reserved_block){addr >> RESERVED_BITS, addr}));
}

static struct lh_error *use_leaf(const struct lh_heap_memory *memory, const struct lh_gmap *map,
				 const struct lh_gleaf *leaf, uint8_t *scratch, struct block_list *ret)
{
	const struct lh_gshape *shape = &map->shape;
	uint64_t latest = 0;
	LH_TRY(lh_gmap_read_leaf(memory, map, leaf, scratch));
	LH_TRY(use_address(ret, leaf->addr));
	for (size_t i = 0; i < (size_t)1 << shape->leaf_bits; i++) {
		uint64_t span = lh_gleaf_span(shape, scratch, i), addr = (leaf->first_page + i) << shape->page_bits;
		if (!span || span == latest)
			continue;
		latest = span;
		if (lh_heap_is_private(memory, addr, LH_PAGE_BYTES))
			LH_TRY(use_address(ret, addr));
		if (lh_gmap_is_metadata(memory, span))
			LH_TRY(use_address(ret, span));
	}
	return NULL;
}

struct lh_error *lh_google_tcmalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_gmap map LH_CLEANUP(lh_gmap_deinit) = {0};
	struct block_list blocks LH_CLEANUP(deinit_block_list) = {0};
	LH_TRY(lh_gmap_find(memory, &map));
	if (!map.root)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) uint8_t *leaf = malloc(lh_gshape_leaf_bytes(&map.shape));
	if (!leaf)
		return lh_error_no_memory();
	for (size_t i = 0; i < map.leaves.count; i++)
		LH_TRY(use_leaf(memory, &map, &map.leaves.items[i], leaf, &blocks));
	for (size_t i = 0; i < blocks.items.count; i++) {
		const struct reserved_block *block = &blocks.items.items[i];
		LH_TRY(lh_heap_claim(memory, lh_align_down(block->low, HUGE_PAGE_BYTES),
				     (block->number + 1) << RESERVED_BITS, LH_REGION_GOOGLE_TCMALLOC, ret));
	}
	return NULL;
}
