/*
 * google_tcmalloc_walk: all blocks of Google's tcmalloc. Input: spans. Output: blocks. A span holds objects of one size
 * class, or is one block. Pages without a span are free.
 */
#include "google_tcmalloc.h"

#include <stdlib.h>

enum { OBJECTS_MAX = 1 << 16 };

static void deinit_google_walk(struct lh_gwalk *walk)
{
	lh_gmap_deinit(&walk->map);
	lh_vec_deinit(&walk->spans);
}

static struct lh_error *add_google_block(struct lh_gwalk *walk, uint64_t addr, uint64_t bytes, uint8_t state)
{
	struct lh_heap_chunk chunk = {.addr = addr, .size_bytes = bytes, .arena = walk->arena, .state = state};
	return lh_heap_add_chunk(walk->tour, &chunk);
}

static struct lh_error *walk_small_objects(struct lh_gwalk *walk, const struct lh_gspan *span, uint8_t *marks)
{
	uint64_t bytes = walk->class_bytes[span->size_class], objects = lh_gspan_objects(walk, span);
	uint64_t start = lh_gspan_start(walk, span);
	bool holds = objects && objects <= OBJECTS_MAX && lh_gwalk_mark_free(walk, span, marks);
	if (!lh_heap_check(walk->tour, holds, start, "span: free objects and count differ")) {
		lh_heap_lose(walk->tour, lh_gspan_bytes(walk, span));
		return NULL;
	}
	for (uint64_t i = 0; i < objects; i++)
		LH_TRY(add_google_block(walk, start + i * bytes, bytes, marks[i] ? LH_CHUNK_FREE : LH_CHUNK_USED));
	return NULL;
}

/* Free pages between spans, as one block each. It gives back what is resident of them (ReleaseMemoryToSystem). */
static struct lh_error *add_page_gaps(struct lh_gwalk *walk, uint64_t start, uint64_t end, uint64_t *returnable_bytes)
{
	if (start >= end)
		return NULL;
	*returnable_bytes += lh_heap_resident_bytes(walk->tour, start, end);
	return add_google_block(walk, start, end - start, LH_CHUNK_FREE);
}

/* The free pages of an owned range; spans before *at end before it. */
static struct lh_error *walk_gaps(struct lh_gwalk *walk, struct lh_range range, size_t *at, uint64_t *returnable_bytes)
{
	uint64_t end = range.start;
	for (; *at < walk->spans.count; ++*at) {
		const struct lh_gspan *span = &walk->spans.items[*at];
		uint64_t start = lh_gspan_start(walk, span);
		if (start >= range.end)
			break;
		LH_TRY(add_page_gaps(walk, end, start, returnable_bytes));
		end = lh_max_u64(end, start + lh_gspan_bytes(walk, span));
	}
	return add_page_gaps(walk, end, range.end, returnable_bytes);
}

/* Ranges without any span are the allocator's own structures. */
static struct lh_error *walk_ranges(struct lh_gwalk *walk)
{
	size_t at = 0;
	uint64_t returnable_bytes = 0;
	for (size_t i = 0; i < walk->tour->owners->items.count; i++) {
		const struct lh_owner_range *owner = &walk->tour->owners->items.items[i];
		if (owner->kind != LH_REGION_GOOGLE_TCMALLOC)
			continue;
		bool has_spans =
			at < walk->spans.count && lh_gspan_start(walk, &walk->spans.items[at]) < owner->range.end;
		LH_TRY(lh_heap_add_range(walk->tour, has_spans ? walk->arena : walk->metadata, owner->range.start,
					 owner->range.end));
		if (has_spans)
			LH_TRY(walk_gaps(walk, owner->range, &at, &returnable_bytes));
	}
	lh_heap_set_returnable(walk->tour, walk->arena, returnable_bytes);
	return NULL;
}

static struct lh_error *walk_google_spans(struct lh_gwalk *walk)
{
	LH_CLEANUP(lh_cleanup_free) uint8_t *marks = calloc(OBJECTS_MAX, 1);
	if (!marks)
		return lh_error_no_memory();
	for (size_t i = 0; i < walk->spans.count; i++) {
		const struct lh_gspan *span = &walk->spans.items[i];
		if (span->size_class)
			LH_TRY(walk_small_objects(walk, span, marks));
		else
			LH_TRY(add_google_block(walk, lh_gspan_start(walk, span), lh_gspan_bytes(walk, span),
						LH_CHUNK_USED));
	}
	return walk_ranges(walk);
}

static struct lh_error *add_google_arenas(struct lh_gwalk *walk)
{
	struct lh_heap_arena arena = {
		.allocator = LH_GOOGLE_TCMALLOC,
		.role = "metadata",
		.kind = LH_REGION_GOOGLE_TCMALLOC,
	};
	LH_TRY(lh_heap_add_arena(walk->tour, &arena, &walk->metadata));
	arena.role = "";
	arena.mapped_bytes = lh_heap_owned_bytes(walk->tour->owners, LH_REGION_GOOGLE_TCMALLOC);
	return lh_heap_add_arena(walk->tour, &arena, &walk->arena);
}

static struct lh_error *walk_google_tcmalloc(struct lh_heap_tour *tour)
{
	struct lh_gwalk walk LH_CLEANUP(deinit_google_walk) = {.tour = tour};
	LH_TRY(add_google_arenas(&walk));
	LH_TRY(lh_gmap_find(tour->memory, &walk.map));
	if (!walk.map.root)
		return NULL;
	LH_TRY(lh_gwalk_find_spans(&walk));
	if (!walk.refusal)
		LH_TRY(lh_gwalk_find_lists(&walk));
	if (walk.refusal) {
		lh_heap_check(tour, false, walk.map.root, walk.refusal);
		return NULL;
	}
	LH_TRY(walk_google_spans(&walk));
	LH_TRY(lh_gwalk_mark_cached(&walk));
	return lh_gwalk_take_samples(&walk);
}

const struct lh_allocator_walker lh_walk_google_tcmalloc = {
	.name = LH_GOOGLE_TCMALLOC,
	.claim = lh_google_tcmalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_GOOGLE_TCMALLOC,
	.walk = walk_google_tcmalloc,
};
