/*
 * cxx_shapes: where headers of C++ strings and containers may be. Input: all words, on all CPUs. Output: places whose
 * words have the right order: pointers into the heap, counts, a load factor. What they point to is not looked at here.
 *
 * GCC 5 to 14, libstdc++, new ABI: string {text, size, capacity, ...}; vector {begin, end, end of storage}; list {next,
 * previous, size}; the tree of map and set {color@0, root@8, leftmost@16, rightmost@24, count@32}; hash table {buckets,
 * count of buckets, first node, count of elements, float load factor = 1.0}; deque {map, size of map, start {current,
 * first, last, node}, finish {...}}.
 * LLVM 7 to 18, libc++, ABI 1: string {capacity | 1, size, text}; vector, list and hash table alike; tree {leftmost,
 * root, count}.
 */
#include "cxx_shapes.h"

#include <stdlib.h>
#include <string.h>

enum { STRIPE_BYTES = 4 << 20, LOAD_FACTOR_1 = 0x3f800000, OWN_TEXT_BYTES = 15, MAP_MIN = 8 };

#define COUNT_MAX (UINT64_C(1) << 36)

struct place_search {
	const struct lh_word_ranges *heap;
	lh_word_filter *filter;
	lh_cxx_place_visitor *visit;
	void *context;
};

struct place_part {
	const struct place_search *search;
	LH_VEC(struct lh_cxx_place) places;
};

/* The words around a word, in the same block. */
struct word_window {
	const struct lh_block *block;
	size_t at;
};

static uint64_t near_word(const struct word_window *window, int index)
{
	const struct lh_block *block = window->block;
	size_t at = window->at + block->bytes_before + (size_t)(8 * (int64_t)index);
	if (at > SIZE_MAX / 2 || at + 8 > block->bytes_before + block->bytes + block->bytes_after)
		return 0;
	return lh_load_u64(block->data - block->bytes_before, at);
}

static bool is_in_heap(const struct lh_word_ranges *heap, uint64_t word)
{
	return word - heap->low_start < heap->low_bytes || word - heap->high_start < heap->high_bytes;
}

static bool is_count(uint64_t word)
{
	return word && word < COUNT_MAX;
}

/*
 * Pointers with equal distances are an array of them. Streams, also of C, have more than three pointers into their
 * buffer.
 */
static bool is_vector(const struct word_window *window, uint64_t begin, uint64_t end, uint64_t limit)
{
	uint64_t before = near_word(window, -1), after = near_word(window, 3), step = end - begin;
	if (end < begin || limit < end || limit == begin || limit - begin >= COUNT_MAX ||
	    before - begin <= limit - begin || after - begin <= limit - begin)
		return false;
	return limit - end != step || (before != begin - step && after != limit + step);
}

static struct lh_error *add_cxx_place(struct place_part *part, const struct word_window *window,
				      enum lh_cxx_shape shape)
{
	uint64_t addr = window->block->addr + window->at;
	return lh_vec_push(&part->places, ((struct lh_cxx_place){addr, shape}));
}

/* For a word followed by another pointer into the heap. */
static struct lh_error *take_pointers(struct place_part *part, const struct word_window *window, uint64_t word,
				      uint64_t next)
{
	const struct lh_word_ranges *heap = part->search->heap;
	uint64_t third = near_word(window, 2);
	if (!is_in_heap(heap, third)) {
		if (!is_count(third))
			return NULL;
		LH_TRY(add_cxx_place(part, window, LH_CXX_LIST));
		return add_cxx_place(part, window, LH_CXX_TREE_B);
	}
	if (is_vector(window, word, next, third))
		LH_TRY(add_cxx_place(part, window, LH_CXX_VECTOR));
	bool is_tree = is_count(near_word(window, 3)) && !(uint32_t)near_word(window, -1);
	return is_tree ? add_cxx_place(part, window, LH_CXX_TREE) : NULL;
}

/* For a word followed by a number. */
static struct lh_error *take_counted(struct place_part *part, const struct word_window *window, uint64_t word,
				     uint64_t count)
{
	uint64_t third = near_word(window, 2);
	if (third > OWN_TEXT_BYTES && count <= third && third < COUNT_MAX)
		LH_TRY(add_cxx_place(part, window, LH_CXX_STRING));
	if (count && (uint32_t)near_word(window, 4) == LOAD_FACTOR_1 && is_count(near_word(window, 3)))
		LH_TRY(add_cxx_place(part, window, LH_CXX_HASH));
	bool is_deque = count >= MAP_MIN && near_word(window, 5) - word < 8 * count;
	return is_deque ? add_cxx_place(part, window, LH_CXX_DEQUE) : NULL;
}

static struct lh_error *take_place_word(struct place_part *part, const struct word_window *window)
{
	uint64_t word = near_word(window, 0), next = near_word(window, 1);
	uint64_t capacity = near_word(window, -2);
	if ((capacity & 15) == 1 && capacity < COUNT_MAX && near_word(window, -1) < capacity)
		LH_TRY(add_cxx_place(part, window, LH_CXX_STRING));
	if (is_in_heap(part->search->heap, next))
		return take_pointers(part, window, word, next);
	return next < COUNT_MAX ? take_counted(part, window, word, next) : NULL;
}

/* ---------------------------------------------------------------- all words */

static struct lh_error *create_place_part(void *context, void **ret)
{
	struct place_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->search = context;
	*ret = part;
	return NULL;
}

static void destroy_place_part(void *context)
{
	struct place_part *part = context;
	lh_vec_deinit(&part->places);
	free(part);
}

static struct lh_error *scan_block_for_places(struct place_part *part, const struct lh_block *block)
{
	size_t at = (size_t)(-block->addr & 7);
	struct lh_word_walk walk = {.filter = part->search->filter,
				    .ranges = part->search->heap,
				    .data = block->data + at,
				    .word_count = at < block->bytes ? (block->bytes - at) / 8 : 0};
	for (size_t offset; lh_word_walk_next(&walk, &offset);)
		LH_TRY(take_place_word(part, &(struct word_window){block, at + offset}));
	return NULL;
}

static struct lh_error *scan_places(void *context, const struct lh_stripe *stripe)
{
	struct place_part *part = context;
	part->places.count = 0;
	for (size_t i = 0; i < stripe->block_count; i++)
		LH_TRY(scan_block_for_places(part, &stripe->blocks[i]));
	return NULL;
}

static struct lh_error *merge_places(void *context, void *part_context, const struct lh_stripe *stripe)
{
	const struct place_search *search = context;
	const struct place_part *part = part_context;
	(void)stripe;
	for (size_t i = 0; i < part->places.count; i++)
		LH_TRY(search->visit(search->context, &part->places.items[i]));
	return NULL;
}

struct lh_error *lh_cxx_find_places(const struct lh_family_end *end, const struct lh_word_ranges *heap,
				    lh_cxx_place_visitor *visit, void *context)
{
	const struct lh_kernel *kernel;
	LH_TRY(lh_kernel_select(&kernel));
	struct place_search search = {heap, lh_word_filter_for(kernel), visit, context};
	struct lh_striping striping = {
		.image = end->image,
		.walk_flags = LH_WALK_CONTEXT, /* headers are also in variables */
		.stripe_bytes = STRIPE_BYTES,
		.threads = end->options->threads,
		.progress = end->options->progress,
		.progress_context = end->options->progress_context,
	};
	struct lh_stripe_work work = {
		.context = &search,
		.create_part = create_place_part,
		.destroy_part = destroy_place_part,
		.scan = scan_places,
		.merge = merge_places,
	};
	return lh_walk_stripes(&striping, &work);
}
