/*
 * cxx_elements: where the elements of vectors of objects end. A destructor leaves an object's table in memory, so that
 * only the vector says which elements exist. Input: headers {begin, end, end of storage} that point to a whole block.
 * Output: the end of a block's elements.
 *
 * Self-check: the block begins with an object, the next one of the same table is one size behind, and the header's
 * distances are multiples of that size. Frames that have returned keep headers of vectors that are gone: a header on a
 * stack must lie in a frame of a thread. Of several headers the one with the most elements counts.
 */
#include "cxx_elements.h"

#include <stdlib.h>

enum { HEADER_WORDS = 4, SIZE_MAX_BYTES = 1 << 16 };

void lh_cxx_elements_deinit(struct lh_cxx_elements *elements)
{
	lh_vec_deinit(&elements->headers);
}

static bool read_element_words(const struct lh_cxx_elements *elements, uint64_t addr, uint64_t *ret, size_t count)
{
	return lh_image_read(elements->image, addr, ret, 8 * count) == 8 * count;
}

/* From the word `table` at `begin` to the next one like it; 0: there is none. */
static uint64_t find_element_bytes(const struct lh_cxx_elements *elements, uint64_t begin, uint64_t limit,
				   uint64_t table)
{
	enum { WORDS = 64 };
	uint64_t words[WORDS], last = lh_min_u64(limit - begin, SIZE_MAX_BYTES) / 8;
	for (uint64_t at = 1; at < last; at += WORDS) {
		size_t count = (size_t)lh_min_u64(WORDS, last - at);
		if (!read_element_words(elements, begin + 8 * at, words, count))
			return 0;
		for (size_t i = 0; i < count; i++) {
			if (words[i] == table)
				return 8 * (at + i);
		}
	}
	return 0;
}

/* {current, first, last, node} of a deque looks alike: the node holds the address of the piece. */
static bool is_deque_place(const struct lh_cxx_elements *elements, const uint64_t header[HEADER_WORDS])
{
	uint64_t piece;
	return lh_object_is_pointer(header[3]) && read_element_words(elements, header[3], &piece, 1) &&
	       piece == header[0];
}

static bool is_stack_segment(const struct lh_segment *segment)
{
	return segment->kind == LH_REGION_MAIN_STACK || segment->kind == LH_REGION_THREAD_STACK ||
	       segment->is_ended_stack;
}

/* A thread's frames end at its record (fs_base), if that lies on the stack, too. */
static bool is_in_left_frame(const struct lh_cxx_elements *elements, uint64_t addr)
{
	const struct lh_segment *segment = lh_image_find(elements->image, addr);
	struct lh_chunk chunk;
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(elements->image, &count);
	if (!segment || !is_stack_segment(segment) || lh_object_find_chunk(elements->heap, addr, &chunk))
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t top = threads[i].stack_pointer, record = threads[i].fs_base;
		if (top >= segment->start && top <= addr && (record < top || record > addr))
			return false;
	}
	return true;
}

struct lh_error *lh_cxx_elements_note(struct lh_cxx_elements *elements, size_t block, uint64_t header_addr)
{
	uint64_t header[HEADER_WORDS] = {0}, table, bytes;
	if (!read_element_words(elements, header_addr, header, HEADER_WORDS - 1) ||
	    !read_element_words(elements, header[0], &table, 1) || lh_hit_set_find(elements->types, table) == SIZE_MAX)
		return NULL;
	read_element_words(elements, header_addr + 24, header + 3, 1);
	bytes = find_element_bytes(elements, header[0], header[2], table);
	if (!bytes || (header[1] - header[0]) % bytes || (header[2] - header[0]) % bytes ||
	    is_deque_place(elements, header) || is_in_left_frame(elements, header_addr))
		return NULL;
	return lh_vec_push(&elements->headers, ((struct lh_cxx_header){block, header[0], header_addr}));
}

static int compare_header_blocks(const void *a, const void *b)
{
	const struct lh_cxx_header *left = a, *right = b;
	return lh_compare_u64(left->block, right->block);
}

void lh_cxx_elements_sort(struct lh_cxx_elements *elements)
{
	lh_vec_sort(&elements->headers, compare_header_blocks);
	elements->latest_end = 0;
}

/* Headers are read again: a process that runs adds elements, or moves them to another block. */
uint64_t lh_cxx_elements_end(struct lh_cxx_elements *elements, size_t block)
{
	uint64_t header[3], end = 0;
	if (elements->latest_end && elements->latest_block == block)
		return elements->latest_end;
	size_t i = lh_vec_count_before(&elements->headers, item, item->block < block);
	for (; i < elements->headers.count && elements->headers.items[i].block == block; i++) {
		const struct lh_cxx_header *place = &elements->headers.items[i];
		if (read_element_words(elements, place->addr, header, 3) && header[0] == place->block_addr)
			end = lh_max_u64(end, header[1]);
	}
	elements->latest_block = block;
	elements->latest_end = end ? end : UINT64_MAX;
	return elements->latest_end;
}
