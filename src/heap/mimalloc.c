/*
 * mimalloc: segments of mimalloc 2.x. Input: memory. Output: claims. A segment begins at a multiple of 32 MiB; its
 * slices of 64 KiB are described one by one behind the header, and their counts must add up (include/mimalloc/types.h,
 * mi_segment_t, mi_slice_t).
 */
#include "walker.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_ALIGNMENT (32 * LH_MIB)
#define SLICE_BYTES       (64 * LH_KIB)

enum { PEEKS_MAX = 32768, SLICES_MAX = 512, HEADER_BYTES_MAX = 288, SLICE_ENTRY_BYTES_MAX = 96, INFO_SLICES_MAX = 64 };

/* 2.0.x; 2.1.x; 2.2 to 2.4. Offsets in the segment, and the size of a slice's entry. */
static const struct segment_layout {
	uint16_t slice_count_offset; /* of the segment; behind it that of the slices which hold the header */
	uint16_t entry_count_offset;
	uint16_t entries_offset;
	uint16_t entry_bytes;
} layouts[] = {
	{224, 248, 264, 80},
	{224, 248, 264, 96},
	{232, 272, 288, 96},
};

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;
	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static uint32_t slice_count_of(const struct segment_layout *layout, const uint8_t *bytes, uint64_t slice)
{
	uint32_t count;
	memcpy(&count, bytes + layout->entries_offset + slice * layout->entry_bytes, sizeof(count));
	return count;
}

/* Spans of slices follow one another up to the end of the segment; the first one holds the header. */
static bool adds_up(const struct segment_layout *layout, const uint8_t *bytes, uint64_t *ret_slices)
{
	uint64_t slices = word_at(bytes, layout->slice_count_offset);
	uint64_t info_slices = word_at(bytes, layout->slice_count_offset + 8);
	uint64_t entries = word_at(bytes, layout->entry_count_offset), at = 0;
	if (!entries || entries > SLICES_MAX || slices < entries || slices > UINT64_MAX / SLICE_BYTES || !info_slices ||
	    info_slices > INFO_SLICES_MAX || slice_count_of(layout, bytes, 0) != info_slices)
		return false;
	while (at < entries) {
		uint32_t count = slice_count_of(layout, bytes, at);
		if (!count)
			return false;
		at += count;
	}
	*ret_slices = slices;
	return at == entries || at == slices;
}

static struct lh_error *claim_segment(const struct lh_heap_memory *memory, uint64_t addr, uint8_t *scratch,
				      size_t scratch_bytes, struct lh_owners *ret)
{
	uint64_t slices, end;
	memset(scratch, 0, scratch_bytes);
	if (memory->read(memory->context, addr, scratch, scratch_bytes) < HEADER_BYTES_MAX)
		return NULL;
	for (size_t i = 0; i < LH_ARRAY_COUNT(layouts); i++) {
		if (adds_up(&layouts[i], scratch, &slices) && lh_add_u64(addr, slices * SLICE_BYTES, &end))
			return lh_heap_claim(memory, addr, end, LH_REGION_MIMALLOC, ret);
	}
	return NULL;
}

static struct lh_error *claim_mimalloc(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	const size_t scratch_bytes = HEADER_BYTES_MAX + SLICES_MAX * SLICE_ENTRY_BYTES_MAX;
	LH_CLEANUP(lh_cleanup_free) uint8_t *scratch = malloc(scratch_bytes);
	if (!scratch)
		return lh_error_no_memory();
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_PLAIN, 0, SEGMENT_ALIGNMENT, PEEKS_MAX, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		if (peeks.items.items[i].is_read)
			LH_TRY(claim_segment(memory, peeks.items.items[i].addr, scratch, scratch_bytes, ret));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_mimalloc = {.name = "mimalloc", .claim = claim_mimalloc};
