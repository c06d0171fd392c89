/*
 * hunt_compare: opens the dumps of a hunt, summarizes both, and compares them. Input: paths. Output: summaries,
 * differences, and what the allocators say. Touches no process.
 */
#include "hunt.h"

#include "leakhunt/heap.h"

#include <stdio.h>
#include <stdlib.h>

/* Rows kept of each dump: what is rare in one may be frequent in the other. */
enum { KEPT_ROWS = 10000, TEXT_CHARS_MIN = 8 };

/* ---------------------------------------------------------------- blocks by size */

static struct lh_size_count *find_size_slot(const struct lh_size_table *table, uint64_t size_bytes)
{
	size_t at = (size_t)(size_bytes * UINT64_C(0x9e3779b97f4a7c15) >> 50) % LH_SIZE_SLOTS;
	while (table->slots[at].count && table->slots[at].size_bytes != size_bytes)
		at = (at + 1) % LH_SIZE_SLOTS;
	return &table->slots[at];
}

static void count_size(struct lh_size_table *table, uint64_t size_bytes)
{
	struct lh_size_count *slot = find_size_slot(table, size_bytes);
	if (!slot->count) {
		/* Never full, so that a search always ends. */
		if (table->used >= LH_SIZE_SLOTS / 2)
			return;
		table->used++;
		slot->size_bytes = size_bytes;
	}
	slot->count++;
}

uint64_t lh_size_table_get(const struct lh_size_table *table, uint64_t size_bytes)
{
	return table->slots ? find_size_slot(table, size_bytes)->count : 0;
}

static void count_chunk(const struct lh_heap_chunk *chunk, struct lh_hunt_heap *ret, struct lh_size_table *sizes)
{
	if (chunk->state != LH_CHUNK_USED) {
		ret->free_bytes += chunk->size_bytes;
		return;
	}
	ret->used_count++;
	ret->used_bytes += chunk->size_bytes;
	if (sizes)
		count_size(sizes, chunk->size_bytes);
}

/* Which allocators were found, and whether all of each heap was walked. */
static void note_allocators(const struct lh_heap *heap, struct lh_hunt_heap *ret)
{
	size_t count, used = 0;
	const struct lh_heap_allocator *all = lh_heap_allocators(heap, &count);
	for (size_t i = 0; i < count; i++) {
		ret->is_partial |= all[i].is_refused || all[i].is_partial;
		if (all[i].is_refused || !all[i].chunk_count)
			continue;
		ret->kinds |= all[i].kinds;
		int length = snprintf(ret->allocators + used, sizeof(ret->allocators) - used, "%s%s", used ? ", " : "",
				      all[i].name);
		used = lh_min_u64(used + (size_t)length, sizeof(ret->allocators) - 1);
	}
}

struct lh_error *lh_hunt_heap_count(struct lh_hunt *hunt, enum lh_hunt_side side, struct lh_size_table *ret_sizes)
{
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	struct lh_hunt_heap *ret = &hunt->heaps[side];
	LH_TRY(lh_heap_walk(hunt->images[side], &heap));
	ret_sizes->slots = calloc(LH_SIZE_SLOTS, sizeof(*ret_sizes->slots));
	if (!ret_sizes->slots)
		return lh_error_no_memory();
	size_t count = lh_heap_chunk_count(heap);
	for (size_t i = 0; i < count; i++) {
		struct lh_heap_chunk chunk = lh_heap_chunk_at(heap, i);
		const struct lh_heap_type *type;
		/* Objects of a runtime have types, which say more than sizes. */
		count_chunk(&chunk, ret, lh_heap_chunk_type(heap, i, &type) ? NULL : ret_sizes);
	}
	ret->totals = lh_heap_total(heap, NULL);
	note_allocators(heap, ret);
	ret->is_known = count > 0;
	if (!ret->is_known || !hunt->summaries[side].symbols)
		return NULL;
	return lh_heap_group_blocks(hunt->images[side], hunt->summaries[side].symbols, heap,
				    &(struct lh_objects_options){0}, &hunt->groups[side]);
}

/* ---------------------------------------------------------------- contents */

static struct lh_error *sum_up_side(struct lh_hunt *hunt, enum lh_hunt_side side, const struct lh_hunt_options *options)
{
	LH_TRY(lh_image_open_file(hunt->dump_paths[side], &(struct lh_image_options){0}, &hunt->images[side]));
	lh_image_ask_owners(hunt->images[side]);
	struct lh_summary_options summary = {
		.run = {.min_chars = TEXT_CHARS_MIN, .encoding = LH_ENCODING_UTF8},
		.top = KEPT_ROWS,
		.keeps_single = true,
		.wants_live_texts = true,
		.progress = options->progress,
		.progress_context = options->context,
	};
	return lh_summarize(hunt->images[side], &summary, &hunt->summaries[side]);
}

struct lh_error *lh_hunt_compare(struct lh_hunt *hunt, const struct lh_hunt_options *options)
{
	bool is_interrupted = false;
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		if (!hunt->dump_paths[side])
			continue;
		LH_TRY(sum_up_side(hunt, (enum lh_hunt_side)side, options));
		is_interrupted |= hunt->summaries[side].is_interrupted;
	}
	if (is_interrupted)
		return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted while the dumps were read");
	hunt->is_comparison = hunt->images[LH_HUNT_BEFORE] && hunt->images[LH_HUNT_AFTER];
	if (hunt->is_comparison)
		LH_TRY(lh_diff_summaries(&hunt->summaries[LH_HUNT_BEFORE], &hunt->summaries[LH_HUNT_AFTER],
					 &hunt->diff));
	hunt->has_diff = hunt->is_comparison;
	return NULL;
}
