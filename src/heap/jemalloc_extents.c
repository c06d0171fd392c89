/*
 * jemalloc_extents: finds jemalloc's extents. Input: its base blocks. Output: extents ascending by address. Descriptors
 * (edata_t) may be stale, so the page map (rtree.h) decides: its leaves hold a pointer to a descriptor per page. A leaf
 * is found by its entries: the place of an entry, and the page of the extent that it names, tell where the leaf begins.
 * There are two layouts: 8 bytes per entry, 2^18 entries, LG_VADDR 48; 16 bytes per entry, 2^15 entries, LG_VADDR 57.
 */
#include "jemalloc.h"

#include "leakhunt/hash_table.h"

#include <stdlib.h>

enum { PAGE_BITS = 12, ADDRESS_BITS = 56, LEAF_ALIGNMENT = 64 };

/* At least this share of the nonzero entries must name an extent of their page; otherwise it is not a leaf. */
enum { LEAF_GOOD_PERCENT = 80 };

/* Places with the most votes are tried first. */
enum { FAILED_TRIALS_MAX = 256 };

static const struct leaf_shape {
	uint8_t entry_bytes_log2;
	uint8_t index_bits;
	uint64_t pointer_mask; /* the rest of the word is state, size index (rtree_leaf_elm_bits_encode) */
} shapes[] = {
	{3, 18, UINT64_C(0x0000ffffffffff80)},
	{4, 15, ~UINT64_C(0x7f)},
};

static uint64_t leaf_bytes(const struct leaf_shape *shape)
{
	return UINT64_C(1) << (shape->index_bits + shape->entry_bytes_log2);
}

static uint64_t leaf_key(const struct leaf_shape *shape, uint64_t addr)
{
	return addr >> (PAGE_BITS + shape->index_bits);
}

static uint64_t entry_offset(const struct leaf_shape *shape, uint64_t addr)
{
	return (addr >> PAGE_BITS & ((UINT64_C(1) << shape->index_bits) - 1)) << shape->entry_bytes_log2;
}

/* A place where a leaf may begin, and the number of entries that vote for it. */
struct leaf_place {
	uint64_t key;
	uint64_t addr;
	uint32_t votes;
	uint8_t shape;
};

struct extent_search {
	struct lh_heap_tour *tour;
	const struct lh_base_blocks *blocks;
	LH_VEC(struct lh_jemalloc_extent) candidates; /* ascending by edata_addr */
	LH_VEC(struct leaf_place) places;
	struct lh_hash_table place_numbers; /* by a hash of all compared members */
	LH_VEC(struct leaf_place) leaves;   /* ascending by key */
	struct lh_jemalloc_extents *found;
};

static void deinit_search(struct extent_search *search)
{
	lh_vec_deinit(&search->candidates);
	lh_vec_deinit(&search->leaves);
	lh_vec_deinit(&search->places);
	lh_hash_table_deinit(&search->place_numbers);
}

/* ---------------------------------------------------------------- descriptors */

/* In a dump, memory that was never touched may be unmapped. */
static bool is_user_range(uint64_t addr, uint64_t bytes)
{
	uint64_t end;
	return lh_add_u64(addr, bytes, &end) && end >> ADDRESS_BITS == 0;
}

static struct lh_error *collect_candidates(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct extent_search *search = context;
	for (size_t i = 0; i + LH_EDATA_WORDS <= count; i += LH_EDATA_WORDS) {
		struct lh_jemalloc_extent extent = {addr + i * 8, words[i], words[i + 1],
						    lh_align_down(words[i + 2], LH_PAGE_BYTES), 0};
		if (lh_edata_is_plausible(&words[i]) && is_user_range(lh_jemalloc_page(&extent), extent.bytes))
			LH_TRY(lh_vec_push(&search->candidates, extent));
	}
	return NULL;
}

static struct lh_jemalloc_extent *find_candidate(const struct extent_search *search, uint64_t edata_addr)
{
	size_t low = lh_vec_count_before(&search->candidates, item, item->edata_addr < edata_addr);
	bool is_there = low < search->candidates.count && search->candidates.items[low].edata_addr == edata_addr;
	return is_there ? &search->candidates.items[low] : NULL;
}

/* ---------------------------------------------------------------- leaves */

static bool is_same_place(const struct leaf_place *a, const struct leaf_place *b)
{
	return a->addr == b->addr && a->key == b->key && a->shape == b->shape;
}

/* The place in the list; added without votes if it is new. */
static struct lh_error *find_leaf_place(struct extent_search *search, const struct leaf_place *place,
					struct leaf_place **ret)
{
	uint32_t number;
	uint64_t key = place->addr ^ place->key << 32;
	for (; lh_hash_table_find(&search->place_numbers, key, &number); key = lh_hash_table_next_key(key)) {
		*ret = &search->places.items[number];
		if (is_same_place(*ret, place))
			return NULL;
	}
	LH_TRY(lh_hash_table_put(&search->place_numbers, key, (uint32_t)search->places.count));
	LH_TRY(lh_vec_push(&search->places, *place));
	*ret = &search->places.items[search->places.count - 1];
	return NULL;
}

static bool lies_in_base(const struct extent_search *search, uint64_t addr, uint64_t bytes)
{
	size_t low = lh_vec_count_before(&search->blocks->items, item, item->addr <= addr);
	if (!low)
		return false;
	const struct lh_base_block *block = &search->blocks->items.items[low - 1];
	return addr - block->addr < block->bytes && bytes <= block->bytes - (addr - block->addr);
}

static struct lh_error *vote_for_leaf(struct extent_search *search, const struct lh_jemalloc_extent *extent,
				      size_t shape, uint64_t entry_addr)
{
	struct leaf_place place = {.key = leaf_key(&shapes[shape], extent->addr),
				   .addr = entry_addr - entry_offset(&shapes[shape], extent->addr),
				   .shape = (uint8_t)shape};
	if (place.addr > entry_addr || place.addr % LEAF_ALIGNMENT ||
	    !lies_in_base(search, place.addr, leaf_bytes(&shapes[shape])))
		return NULL;
	struct leaf_place *found;
	LH_TRY(find_leaf_place(search, &place, &found));
	found->votes += found->votes < UINT32_MAX;
	return NULL;
}

/* An entry repeats the size index and whether the extent is a slab; other pointers to descriptors do not. */
static bool agrees_with_extent(size_t shape, uint64_t word, uint64_t next_word, const struct lh_jemalloc_extent *extent)
{
	uint64_t size_index = shape ? (next_word & UINT32_MAX) >> 5 : word >> 48;
	bool is_slab = (shape ? next_word : word) & 1;
	return size_index == lh_jemalloc_size_index(extent) && is_slab == lh_jemalloc_is_slab(extent);
}

static struct lh_error *count_votes(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct extent_search *search = context;
	if (!search->candidates.count)
		return NULL;
	uint64_t first = search->candidates.items[0].edata_addr;
	uint64_t last = search->candidates.items[search->candidates.count - 1].edata_addr;
	for (size_t i = 0; i < count; i++) {
		uint64_t edata_addr = words[i] & shapes[0].pointer_mask;
		if (edata_addr < first || edata_addr > last || words[i] >> 56)
			continue;
		const struct lh_jemalloc_extent *extent = find_candidate(search, edata_addr);
		for (size_t shape = 0; extent && shape < LH_ARRAY_COUNT(shapes); shape++) {
			if (agrees_with_extent(shape, words[i], i + 1 < count ? words[i + 1] : 0, extent))
				LH_TRY(vote_for_leaf(search, extent, shape, addr + i * 8));
		}
	}
	return NULL;
}

static int compare_votes(const void *a, const void *b)
{
	const struct leaf_place *x = a, *y = b;
	int order = lh_compare_u64(y->votes, x->votes);
	if (!order)
		order = lh_compare_u64(x->addr, y->addr);
	return order ? order : lh_compare_u64(x->key, y->key);
}

static int compare_leaf_keys(const void *a, const void *b)
{
	const struct leaf_place *x = a, *y = b;
	int order = lh_compare_u64(x->key << shapes[x->shape].index_bits, y->key << shapes[y->shape].index_bits);
	return order ? order : lh_compare_u64(x->addr, y->addr);
}

/* ---------------------------------------------------------------- entries */

struct leaf_reading {
	struct extent_search *search;
	const struct leaf_place *leaf;
	uint64_t latest; /* descriptor of the previous entry */
	uint64_t good;
	uint64_t bad;
	bool is_trial; /* only count */
	uint32_t leaf_index;
};

static struct lh_error *take_entry(struct leaf_reading *reading, uint64_t page, uint64_t edata_addr)
{
	struct lh_jemalloc_extent *extent = find_candidate(reading->search, edata_addr);
	bool is_of_page = extent && page - lh_jemalloc_page(extent) < extent->bytes;
	reading->good += is_of_page;
	reading->bad += !is_of_page;
	if (reading->is_trial)
		return NULL;
	lh_heap_check(reading->search->tour, is_of_page, edata_addr, "page map names what is no extent");
	if (!is_of_page || page != lh_jemalloc_page(extent))
		return NULL;
	extent->leaf = reading->leaf_index;
	return lh_vec_push(&reading->search->found->items, *extent);
}

/* Every page of a slab has an entry for it; of other extents only the first and the last page. */
static struct lh_error *read_entries(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct leaf_reading *reading = context;
	const struct leaf_shape *shape = &shapes[reading->leaf->shape];
	size_t step = (size_t)1 << (shape->entry_bytes_log2 - 3);
	uint64_t offset = addr - reading->leaf->addr;
	for (size_t i = 0; i < count; i += step, offset += step * 8) {
		uint64_t edata_addr = words[i] & shape->pointer_mask;
		if (!edata_addr || edata_addr == reading->latest)
			continue;
		uint64_t index = offset >> shape->entry_bytes_log2;
		uint64_t page = ((reading->leaf->key << shape->index_bits) + index) << PAGE_BITS;
		reading->latest = edata_addr;
		LH_TRY(take_entry(reading, page, edata_addr));
	}
	return NULL;
}

static struct lh_error *read_leaf(struct leaf_reading *reading)
{
	uint64_t start = reading->leaf->addr, end = start + leaf_bytes(&shapes[reading->leaf->shape]);
	return lh_jemalloc_visit_words(reading->search->tour, (struct lh_range){start, end}, read_entries, reading);
}

static bool overlaps_leaf(const struct extent_search *search, const struct leaf_place *place)
{
	for (size_t i = 0; i < search->leaves.count; i++) {
		const struct leaf_place *leaf = &search->leaves.items[i];
		if (place->addr < leaf->addr + leaf_bytes(&shapes[leaf->shape]) &&
		    leaf->addr < place->addr + leaf_bytes(&shapes[place->shape]))
			return true;
	}
	return false;
}

/*
 * Leaves do not overlap, so a place that overlaps one with more votes is not a leaf: every second page of slabs votes
 * for its neighbor.
 */
static struct lh_error *choose_leaves(struct extent_search *search)
{
	lh_vec_sort(&search->places, compare_votes);
	for (size_t i = 0, failed = 0; i < search->places.count && failed < FAILED_TRIALS_MAX; i++) {
		const struct leaf_place *place = &search->places.items[i];
		struct leaf_reading trial = {.search = search, .leaf = place, .is_trial = true};
		if (overlaps_leaf(search, place))
			continue;
		LH_TRY(read_leaf(&trial));
		if (trial.good * 100 >= (trial.good + trial.bad) * LEAF_GOOD_PERCENT)
			LH_TRY(lh_vec_push(&search->leaves, *place));
		else
			failed++;
	}
	lh_vec_sort(&search->leaves, compare_leaf_keys);
	return NULL;
}

/* ---------------------------------------------------------------- all of them */

static int compare_extent_addrs(const void *a, const void *b)
{
	return lh_compare_u64(((const struct lh_jemalloc_extent *)a)->addr,
			      ((const struct lh_jemalloc_extent *)b)->addr);
}

/* If extents overlap, the first one stays. */
static void check_order(struct lh_heap_tour *tour, struct lh_jemalloc_extents *extents)
{
	size_t kept = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < extents->items.count; i++) {
		const struct lh_jemalloc_extent *extent = &extents->items.items[i];
		if (!lh_heap_check(tour, lh_jemalloc_page(extent) >= end, extent->edata_addr, "extents overlap"))
			continue;
		end = lh_jemalloc_page(extent) + extent->bytes;
		extents->items.items[kept++] = *extent;
	}
	extents->items.count = kept;
}

struct lh_error *lh_jemalloc_find_extents(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks,
					  struct lh_jemalloc_extents *ret)
{
	struct extent_search search LH_CLEANUP(deinit_search) = {.tour = tour, .blocks = blocks, .found = ret};
	LH_TRY(lh_base_blocks_visit(tour, blocks, collect_candidates, &search));
	LH_TRY(lh_base_blocks_visit(tour, blocks, count_votes, &search));
	LH_TRY(choose_leaves(&search));
	for (size_t i = 0; i < search.leaves.count; i++) {
		struct leaf_reading reading = {
			.search = &search, .leaf = &search.leaves.items[i], .leaf_index = (uint32_t)i};
		LH_TRY(read_leaf(&reading));
	}
	ret->leaf_count = search.leaves.count;
	lh_vec_sort(&ret->items, compare_extent_addrs);
	check_order(tour, ret);
	return NULL;
}

void lh_jemalloc_extents_deinit(struct lh_jemalloc_extents *extents)
{
	lh_vec_deinit(&extents->items);
}
