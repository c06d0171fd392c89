/*
 * live_parts: blocks that a runtime's heap has free, and what arrays leave of their blocks, are cut out. Input: blocks
 * of a heap. Output: what of a block of memory lies between two cuts. Memory that no block is known of is not cut.
 */
#include "live_parts.h"

#include <stdlib.h>
#include <string.h>

struct lh_live_parts {
	const struct lh_image *image;
	const struct lh_heap *heap;
	const struct lh_stored_chunk *chunks;
	size_t count;
	const struct lh_heap_arena *arenas;
};

struct lh_error *lh_live_parts_create(const struct lh_image *image, const struct lh_heap *heap,
				      struct lh_live_parts **ret)
{
	size_t arena_count;
	struct lh_live_parts found = {.image = image, .heap = heap, .arenas = lh_heap_arenas(heap, &arena_count)};
	bool has_typed = false;
	for (size_t i = 0; i < arena_count; i++)
		has_typed |= found.arenas[i].is_typed;
	if (!has_typed)
		return NULL;
	found.chunks = lh_heap_stored_chunks(heap, &found.count);
	struct lh_live_parts *parts = malloc(sizeof(*parts));
	if (!parts)
		return lh_error_no_memory();
	*parts = found;
	*ret = parts;
	return NULL;
}

void lh_live_parts_destroy(struct lh_live_parts *parts)
{
	free(parts);
}

void lh_cleanup_live_parts(struct lh_live_parts **parts)
{
	lh_live_parts_destroy(*parts);
}

/* ---------------------------------------------------------------- arrays */

/* Bytes of the block, or of the file that is mapped. */
static bool read_word_near(const struct lh_live_parts *parts, const struct lh_block *block, uint64_t addr,
			   uint32_t *ret)
{
	uint64_t low = block->addr - block->bytes_before;
	uint64_t readable = block->bytes_before + block->bytes + block->bytes_after;
	size_t bytes = 0;
	const uint8_t *data = NULL;
	if (addr >= low && addr - low < readable) {
		data = block->data - block->bytes_before + (addr - low);
		bytes = readable - (addr - low);
	} else {
		data = lh_image_view(parts->image, addr, &bytes);
	}
	if (!data || bytes < sizeof(*ret))
		return false;
	memcpy(ret, data, sizeof(*ret));
	return true;
}

/*
 * What the array leaves out of its block: between the length and the first element, when that ends behind `addr`, else
 * behind the last one. The latter may be empty. False when the object is no array.
 */
static bool find_array_cut(const struct lh_live_parts *parts, const struct lh_block *block, size_t index, uint64_t addr,
			   struct lh_range *ret)
{
	const struct lh_stored_chunk *chunk = &parts->chunks[index];
	const struct lh_heap_type *type;
	uint32_t length;
	if (!lh_heap_chunk_type(parts->heap, index, &type) || !type || !type->length_offset ||
	    !read_word_near(parts, block, chunk->addr + type->length_offset, &length))
		return false;
	*ret = (struct lh_range){chunk->addr + type->length_offset + sizeof(length), chunk->addr + type->head_bytes};
	if (ret->start < ret->end && ret->end > addr)
		return true;
	uint64_t bytes = type->head_bytes + ((uint64_t)length << type->element_shift);
	*ret = (struct lh_range){chunk->addr + lh_min_u64(bytes, chunk->size_bytes), chunk->addr + chunk->size_bytes};
	return true;
}

/* ---------------------------------------------------------------- cuts */

/*
 * The first cut that ends behind `addr`, of blocks that begin before `limit`. It is empty behind an array that fills
 * its block: the mark word of the next object may begin with a printable byte.
 */
static bool find_next_cut(const struct lh_live_parts *parts, const struct lh_block *block, uint64_t addr,
			  uint64_t limit, struct lh_range *ret)
{
	size_t first = lh_count_before(parts->chunks, parts->count, item, item->addr + item->size_bytes <= addr);
	for (size_t i = first; i < parts->count && parts->chunks[i].addr < limit; i++) {
		const struct lh_stored_chunk *chunk = &parts->chunks[i];
		if (!parts->arenas[chunk->arena].is_typed)
			continue;
		*ret = (struct lh_range){chunk->addr, chunk->addr + chunk->size_bytes};
		if (chunk->state != LH_CHUNK_USED || find_array_cut(parts, block, i, addr, ret))
			return true;
	}
	return false;
}

bool lh_live_parts_next(const struct lh_live_parts *parts, const struct lh_block *block, size_t at,
			struct lh_live_part *ret)
{
	uint64_t start = block->addr + at, limit = block->addr + block->bytes;
	struct lh_range cut = {limit, limit};
	bool is_cut;
	while ((is_cut = start < limit && find_next_cut(parts, block, start, limit, &cut)) && cut.start <= start)
		start = cut.end;
	*ret = (struct lh_live_part){
		.start = start - block->addr,
		.end = is_cut ? lh_min_u64(cut.start, limit) - block->addr : block->bytes,
		.is_last_of_run = is_cut && cut.start <= limit,
	};
	return start < limit;
}
