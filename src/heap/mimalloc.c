/*
 * mimalloc: segments of mimalloc 2.x. Input: memory. Output: claims. A segment begins at a multiple of 32 MiB. After
 * its header, an entry describes each slice of 64 KiB; the counts in the entries must add up (include/mimalloc/types.h,
 * mi_segment_t, mi_slice_t).
 */
#include "mimalloc.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_ALIGNMENT (32 * LH_MIB)

enum { PEEKS_MAX = 32768, SLICES_MAX = 512, HEADER_BYTES_MIN = 288, INFO_SLICES_MAX = 64 };
enum { COUNTS_OFFSET = 224 };

/* 2.0.x; 2.1.x; 2.2 to 2.4. */
static const struct lh_mimalloc_layout layouts[] = {
	{224, 248, 264, 80, 24, 32, 28, false, 0, 40},
	{224, 248, 264, 96, 32, 24, 40, true, 48, 56},
	{232, 272, 288, 96, 32, 24, 40, true, 48, 56},
};

static uint32_t slice_count_of(const struct lh_mimalloc_layout *layout, const uint8_t *bytes, uint64_t slice)
{
	uint32_t count;
	memcpy(&count, bytes + layout->entries_offset + slice * layout->entry_bytes, sizeof(count));
	return count;
}

/* A check of the first bytes: the first slices hold the header. */
static bool begins_segment(const struct lh_mimalloc_layout *layout, const uint8_t *bytes,
			   struct lh_mimalloc_segment *ret)
{
	ret->slices = lh_load_u64(bytes, layout->slice_count_offset);
	ret->info_slices = lh_load_u64(bytes, layout->slice_count_offset + 8);
	ret->entries = lh_load_u64(bytes, layout->entry_count_offset);
	ret->layout = layout;
	/* mi_segment_os_alloc: one entry per slice; huge segments have as many entries as fit. */
	return ret->entries && ret->entries == lh_min_u64(ret->slices, SLICES_MAX) &&
	       ret->slices <= UINT64_MAX / LH_MIMALLOC_SLICE_BYTES && ret->info_slices &&
	       ret->info_slices <= INFO_SLICES_MAX && slice_count_of(layout, bytes, 0) == ret->info_slices;
}

/* Spans of slices are adjacent up to the end of the segment. */
static bool adds_up(const struct lh_mimalloc_segment *segment)
{
	uint64_t at = 0;
	while (at < segment->entries) {
		uint32_t count = slice_count_of(segment->layout, segment->header, at);
		if (!count)
			return false;
		at += count;
	}
	return at == segment->entries || at == segment->slices;
}

/* Header pages that were never touched are absent. */
static void read_segment_header(const struct lh_heap_memory *memory, uint64_t addr, uint8_t *ret)
{
	size_t got = memory->read(memory->context, addr, ret, LH_MIMALLOC_HEADER_BYTES_MAX);
	for (size_t at = lh_align_down(got, LH_PAGE_BYTES); at < LH_MIMALLOC_HEADER_BYTES_MAX; at += LH_PAGE_BYTES) {
		size_t bytes = lh_min_u64(LH_PAGE_BYTES, LH_MIMALLOC_HEADER_BYTES_MAX - at);
		if (memory->read(memory->context, addr + at, ret + at, bytes) != bytes)
			memset(ret + at, 0, bytes);
	}
}

static struct lh_error *visit_segment(const struct lh_heap_memory *memory, uint64_t addr, uint8_t *header,
				      lh_mimalloc_visitor *visit, void *context)
{
	uint8_t first[HEADER_BYTES_MIN + 8];
	uint64_t end;
	if (memory->read(memory->context, addr, first, sizeof(first)) != sizeof(first))
		return NULL;
	for (size_t i = 0; i < LH_ARRAY_COUNT(layouts); i++) {
		struct lh_mimalloc_segment segment = {.addr = addr, .header = header};
		if (!begins_segment(&layouts[i], first, &segment) ||
		    !lh_add_u64(addr, segment.slices * LH_MIMALLOC_SLICE_BYTES, &end))
			continue;
		read_segment_header(memory, addr, header);
		if (begins_segment(&layouts[i], header, &segment) && adds_up(&segment))
			return visit(context, &segment);
	}
	return NULL;
}

/* Checks only the words from COUNTS_OFFSET on: {slices, slices of the header}, the second word in 2.2 to 2.4. */
static bool may_begin_segment(const struct lh_peek *peek)
{
	for (size_t i = 0; peek->is_read && i < 2; i++) {
		if (peek->words[i] && peek->words[i + 1] - 1 < INFO_SLICES_MAX)
			return true;
	}
	return false;
}

/* Reads the counts where a segment may begin. It is mapped whole, but a dump leaves out what cannot be accessed yet. */
static struct lh_error *peek_counts(const struct lh_heap_memory *memory, struct lh_peeks *ret)
{
	LH_TRY(lh_heap_list_aligned(memory, LH_HEAP_PLAIN, 0, SEGMENT_ALIGNMENT, PEEKS_MAX, ret));
	for (size_t i = 0; i < ret->items.count; i++)
		ret->items.items[i].addr += COUNTS_OFFSET;
	return lh_heap_peek(memory, ret);
}

struct lh_error *lh_mimalloc_visit_segments(const struct lh_heap_memory *memory, lh_mimalloc_visitor *visit,
					    void *context)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) uint8_t *header = malloc(LH_MIMALLOC_HEADER_BYTES_MAX);
	if (!header)
		return lh_error_no_memory();
	LH_TRY(peek_counts(memory, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		const struct lh_peek *counts = &peeks.items.items[i];
		if (may_begin_segment(counts))
			LH_TRY(visit_segment(memory, counts->addr - COUNTS_OFFSET, header, visit, context));
	}
	return NULL;
}

/* ---------------------------------------------------------------- claiming */

struct mimalloc_claim {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
};

static struct lh_error *claim_segment(void *context, const struct lh_mimalloc_segment *segment)
{
	struct mimalloc_claim *claim = context;
	uint64_t end = segment->addr + segment->slices * LH_MIMALLOC_SLICE_BYTES;
	/* It was mapped as a whole. */
	if (!lh_heap_is_private(claim->memory, segment->addr, end - segment->addr))
		return NULL;
	return lh_heap_claim(claim->memory, segment->addr, end, LH_REGION_MIMALLOC, claim->owners);
}

struct lh_error *lh_mimalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct mimalloc_claim claim = {memory, ret};
	LH_TRY(lh_mimalloc_visit_segments(memory, claim_segment, &claim));
	return lh_mimalloc_claim_map(memory, ret);
}
