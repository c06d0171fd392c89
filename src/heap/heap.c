/*
 * heap: all blocks of all allocators, in one index. Input: an image and what the walkers find in it. Output: arenas
 * with their totals, blocks ascending by address, and how many self-checks of the allocators' structures failed.
 */
#include "sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *lh_chunk_state_name(enum lh_chunk_state state)
{
	static const char *const names[] = {"used", "cached", "free"};
	return names[state];
}

void lh_allocation_samples_deinit(struct lh_allocation_samples *samples)
{
	lh_vec_deinit(&samples->frames);
	lh_vec_deinit(&samples->stacks);
	*samples = (struct lh_allocation_samples){0};
}

void lh_heap_destroy(struct lh_heap *heap)
{
	if (!heap)
		return;
	lh_vec_deinit(&heap->chunks);
	lh_vec_deinit(&heap->arenas);
	lh_vec_deinit(&heap->extents);
	lh_vec_deinit(&heap->allocators);
	lh_vec_deinit(&heap->types);
	lh_vec_deinit(&heap->padded);
	lh_vec_deinit(&heap->structures);
	lh_strings_pool_deinit(&heap->strings);
	lh_allocation_samples_deinit(&heap->samples);
	free(heap->ranges);
	free(heap);
}

void lh_cleanup_heap(struct lh_heap **heap)
{
	lh_heap_destroy(*heap);
}

/* ---------------------------------------------------------------- what walkers give */

struct lh_error *lh_heap_add_arena(struct lh_heap_tour *tour, const struct lh_heap_arena *arena, uint32_t *ret)
{
	struct lh_heap *heap = tour->sink->heap;
	/* Further arenas share the last one: only the totals of single arenas are lost. */
	if (heap->arenas.count == LH_HEAP_ARENAS_MAX) {
		*ret = LH_HEAP_ARENAS_MAX - 1;
		heap->arenas.items[*ret].mapped_bytes += arena->mapped_bytes;
		return NULL;
	}
	*ret = (uint32_t)heap->arenas.count;
	return lh_vec_push(&heap->arenas, *arena);
}

struct lh_error *lh_heap_add_range(struct lh_heap_tour *tour, uint32_t arena, uint64_t start, uint64_t end)
{
	if (start >= end)
		return NULL;
	return lh_vec_push(&tour->sink->heap->extents, ((struct lh_heap_extent){{start, end}, arena}));
}

struct lh_error *lh_heap_add_chunk(struct lh_heap_tour *tour, const struct lh_heap_chunk *chunk)
{
	if (!lh_heap_take_steps(tour->sink, 1))
		return NULL;
	uint64_t slack = chunk->requested_bytes ? chunk->size_bytes - chunk->requested_bytes + 1 : 0;
	struct lh_stored_chunk stored = {
		.addr = chunk->addr,
		.size_bytes = lh_min_u64(chunk->size_bytes, LH_HEAP_CHUNK_BYTES_MAX),
		.state = chunk->state,
		.arena = chunk->arena,
		.slack = slack < 1 << 12 ? slack : 0,
	};
	return lh_vec_push(&tour->sink->heap->chunks, stored);
}

static struct lh_error *keep_type_text(struct lh_heap *heap, const char **text)
{
	return lh_strings_pool_add(&heap->strings, *text, strlen(*text), text);
}

struct lh_error *lh_heap_add_type(struct lh_heap_tour *tour, const struct lh_heap_type *type, uint32_t *ret)
{
	struct lh_heap *heap = tour->sink->heap;
	struct lh_heap_type own = *type;
	LH_TRY(keep_type_text(heap, &own.name));
	LH_TRY(keep_type_text(heap, &own.detail));
	own.count = own.bytes = own.owned_bytes = own.example_addr = 0;
	*ret = (uint32_t)heap->types.count;
	return lh_vec_push(&heap->types, own);
}

void lh_heap_own(struct lh_heap_tour *tour, uint32_t type, uint64_t bytes)
{
	tour->sink->heap->types.items[type].owned_bytes += bytes;
}

struct lh_error *lh_heap_note_structure(struct lh_heap_tour *tour, uint64_t addr, uint64_t bytes)
{
	struct lh_heap *heap = tour->sink->heap;
	uint64_t end;
	if (!heap->keeps_structures || !lh_add_u64(addr, bytes, &end))
		return NULL;
	return lh_vec_push(&heap->structures, ((struct lh_range){addr, end}));
}

const struct lh_range *lh_heap_structures(const struct lh_heap *heap, size_t *ret_count)
{
	*ret_count = heap->structures.count;
	return heap->structures.items;
}

struct lh_error *lh_heap_note_padded(struct lh_heap_tour *tour, struct lh_range range)
{
	return lh_vec_push(&tour->sink->heap->padded, range);
}

const struct lh_range *lh_heap_padded_ranges(const struct lh_heap *heap, size_t *ret_count)
{
	*ret_count = heap->padded.count;
	return heap->padded.items;
}

struct lh_error *lh_heap_add_object(struct lh_heap_tour *tour, const struct lh_heap_chunk *chunk, uint32_t type)
{
	struct lh_heap *heap = tour->sink->heap;
	struct lh_heap_type *row = &heap->types.items[type];
	struct lh_stored_chunk stored = {
		.addr = chunk->addr,
		.size_bytes = lh_min_u64(chunk->size_bytes, LH_HEAP_CHUNK_BYTES_MAX),
		.state = chunk->state,
		.arena = chunk->arena,
		.slack = lh_min_u64(type, LH_HEAP_TYPES_KEPT),
	};
	if (chunk->state == LH_CHUNK_USED) {
		if (!row->count++)
			row->example_addr = chunk->addr;
		row->bytes += chunk->size_bytes;
	}
	return lh_vec_push(&heap->chunks, stored);
}

struct lh_error *lh_heap_mark_cached(struct lh_heap_tour *tour, uint64_t addr)
{
	return lh_heap_take_steps(tour->sink, 1) ? lh_vec_push(&tour->sink->cached, addr) : NULL;
}

void lh_heap_set_returnable(struct lh_heap_tour *tour, uint32_t arena, uint64_t bytes)
{
	tour->sink->heap->arenas.items[arena].returnable_bytes = bytes;
}

bool lh_heap_check(struct lh_heap_tour *tour, bool holds, uint64_t addr, const char *what)
{
	struct lh_heap_checks *checks = &tour->sink->allocator.checks;
	checks->checked++;
	if (holds)
		return true;
	if (!checks->failed++)
		snprintf(checks->first_failure, sizeof(checks->first_failure), "0x%" PRIx64 ": %s", addr, what);
	return false;
}

void lh_heap_lose(struct lh_heap_tour *tour, uint64_t bytes)
{
	tour->sink->allocator.is_partial = true;
	tour->sink->allocator.lost_bytes += bytes;
}

void lh_heap_note(struct lh_heap_tour *tour, const char *format, ...)
{
	struct lh_heap_allocator *allocator = &tour->sink->allocator;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(allocator->note, sizeof(allocator->note), format, arguments);
	va_end(arguments);
}

/* ---------------------------------------------------------------- order */

static int compare_stored_chunks(const void *a, const void *b)
{
	return lh_compare_u64(((const struct lh_stored_chunk *)a)->addr, ((const struct lh_stored_chunk *)b)->addr);
}

static int compare_extents(const void *a, const void *b)
{
	const struct lh_heap_extent *left = a, *right = b;
	return lh_compare_u64(left->range.start, right->range.start);
}

/* Drops blocks that lie in earlier ones: they were found twice, or are not blocks. */
static size_t drop_overlapping(struct lh_heap *heap)
{
	size_t kept = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < heap->chunks.count; i++) {
		const struct lh_stored_chunk *chunk = &heap->chunks.items[i];
		if (kept && chunk->addr < end)
			continue;
		end = chunk->addr + chunk->size_bytes;
		heap->chunks.items[kept++] = *chunk;
	}
	size_t dropped = heap->chunks.count - kept;
	heap->chunks.count = kept;
	return dropped;
}

static size_t ascending_count(const struct lh_stored_chunk *chunks, size_t count)
{
	size_t at = 1;
	while (at < count && chunks[at - 1].addr <= chunks[at].addr)
		at++;
	return lh_min_u64(at, count);
}

/* Merges two adjacent ascending runs; the second one, of `tail_count`, is copied aside. */
static struct lh_error *merge_tail(struct lh_stored_chunk *chunks, size_t head_count, size_t tail_count)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_stored_chunk *tail = malloc(tail_count * sizeof(*tail));
	if (!tail)
		return lh_error_no_memory();
	memcpy(tail, chunks + head_count, tail_count * sizeof(*tail));
	while (tail_count) {
		bool is_head_last = head_count && chunks[head_count - 1].addr > tail[tail_count - 1].addr;
		struct lh_stored_chunk *place = &chunks[head_count + tail_count - 1];
		*place = is_head_last ? chunks[--head_count] : tail[--tail_count];
	}
	return NULL;
}

/* Walkers give few ascending runs, the later ones short: sorting would need memory for all blocks once more. */
static struct lh_error *sort_chunks(struct lh_stored_chunk *chunks, size_t count)
{
	enum { MERGES_MAX = 16 };
	size_t sorted_count = ascending_count(chunks, count);
	for (size_t merges = 0; sorted_count < count; merges++) {
		size_t next_count = ascending_count(chunks + sorted_count, count - sorted_count);
		if (merges == MERGES_MAX) {
			qsort(chunks, count, sizeof(*chunks), compare_stored_chunks);
			return NULL;
		}
		LH_TRY(merge_tail(chunks, sorted_count, next_count));
		sorted_count += next_count;
	}
	return NULL;
}

/* Both are ascending. A free block keeps its state: two structures disagree. */
static void mark_cached_chunks(struct lh_heap_tour *tour, struct lh_stored_chunk *chunks, size_t count)
{
	const struct lh_heap_sink *sink = tour->sink;
	size_t at = 0;
	for (size_t i = 0; i < sink->cached.count; i++) {
		uint64_t addr = sink->cached.items[i];
		while (at < count && chunks[at].addr < addr)
			at++;
		bool is_block = at < count && chunks[at].addr == addr && chunks[at].state != LH_CHUNK_FREE;
		if (lh_heap_check(tour, is_block, addr, "cached, but no block in use begins there"))
			chunks[at].state = LH_CHUNK_CACHED;
	}
}

struct lh_error *lh_heap_settle(struct lh_heap_tour *tour)
{
	struct lh_heap_sink *sink = tour->sink;
	size_t count = sink->heap->chunks.count - sink->first_chunk;
	struct lh_stored_chunk *chunks = count ? sink->heap->chunks.items + sink->first_chunk : NULL;
	LH_TRY(sort_chunks(chunks, count));
	lh_vec_sort(&sink->cached, lh_compare_words);
	mark_cached_chunks(tour, chunks, count);
	sink->cached.count = 0;
	return NULL;
}

/* ---------------------------------------------------------------- totals */

/* Resident bytes of a block in use: pages of large ones may never have been touched. */
static uint64_t resident_of(struct lh_heap_tour *tour, const struct lh_stored_chunk *chunk)
{
	bool is_small = chunk->size_bytes < LH_PAGE_BYTES;
	return is_small ? chunk->size_bytes
			: lh_heap_resident_bytes(tour, chunk->addr, chunk->addr + chunk->size_bytes);
}

/* Whole pages of a free block, after the words that glibc keeps at its beginning. */
static void add_free_pages(struct lh_heap_tour *tour, struct lh_heap_arena *arena, const struct lh_stored_chunk *chunk)
{
	uint64_t start = lh_align_up(chunk->addr, LH_PAGE_BYTES);
	uint64_t end = lh_align_down(chunk->addr + chunk->size_bytes, LH_PAGE_BYTES);
	if (start >= end)
		return;
	arena->free_page_bytes += end - start;
	arena->free_resident_bytes += lh_heap_resident_bytes(tour, start, end);
}

static void total_chunks(struct lh_heap_tour *tour)
{
	struct lh_heap *heap = tour->sink->heap;
	for (size_t i = 0; i < heap->chunks.count; i++) {
		const struct lh_stored_chunk *chunk = &heap->chunks.items[i];
		struct lh_heap_arena *arena = &heap->arenas.items[chunk->arena];
		arena->counts[chunk->state]++;
		arena->bytes[chunk->state] += chunk->size_bytes;
		if (chunk->state == LH_CHUNK_USED)
			arena->used_resident_bytes += resident_of(tour, chunk);
		if (chunk->state == LH_CHUNK_FREE)
			add_free_pages(tour, arena, chunk);
	}
}

/* Stores the extents of all arenas in one array. */
static struct lh_error *give_ranges(struct lh_heap_tour *tour)
{
	struct lh_heap *heap = tour->sink->heap;
	heap->ranges = calloc(heap->extents.count + 1, sizeof(*heap->ranges));
	if (!heap->ranges)
		return lh_error_no_memory();
	for (size_t i = 0; i < heap->extents.count; i++)
		heap->arenas.items[heap->extents.items[i].arena].range_count++;
	struct lh_range *next = heap->ranges;
	for (size_t i = 0; i < heap->arenas.count; i++) {
		heap->arenas.items[i].ranges = next;
		next += heap->arenas.items[i].range_count;
		heap->arenas.items[i].range_count = 0;
	}
	for (size_t i = 0; i < heap->extents.count; i++) {
		const struct lh_heap_extent *extent = &heap->extents.items[i];
		struct lh_heap_arena *arena = &heap->arenas.items[extent->arena];
		arena->ranges[arena->range_count++] = extent->range;
		arena->resident_bytes += lh_heap_resident_bytes(tour, extent->range.start, extent->range.end);
	}
	return NULL;
}

struct lh_error *lh_heap_finish(struct lh_heap_tour *tour)
{
	struct lh_heap *heap = tour->sink->heap;
	LH_TRY(sort_chunks(heap->chunks.items, heap->chunks.count));
	lh_vec_sort(&heap->extents, compare_extents);
	lh_vec_sort(&heap->padded, lh_compare_range_starts);
	drop_overlapping(heap);
	for (size_t i = 0; i < heap->arenas.count; i++)
		heap->arenas.items[i].resident_bytes = 0;
	tour->sink->present_at = 0;
	total_chunks(tour);
	return give_ranges(tour);
}

/* ---------------------------------------------------------------- the result */

const struct lh_heap_allocator *lh_heap_allocators(const struct lh_heap *heap, size_t *ret_count)
{
	*ret_count = heap->allocators.count;
	return heap->allocators.items;
}

const struct lh_heap_arena *lh_heap_arenas(const struct lh_heap *heap, size_t *ret_count)
{
	*ret_count = heap->arenas.count;
	return heap->arenas.items;
}

const struct lh_allocation_samples *lh_heap_allocation_samples(const struct lh_heap *heap)
{
	return &heap->samples;
}

size_t lh_heap_chunk_count(const struct lh_heap *heap)
{
	return heap->chunks.count;
}

const struct lh_stored_chunk *lh_heap_stored_chunks(const struct lh_heap *heap, size_t *ret_count)
{
	*ret_count = heap->chunks.count;
	return heap->chunks.items;
}

struct lh_heap_chunk lh_heap_chunk_at(const struct lh_heap *heap, size_t index)
{
	const struct lh_stored_chunk *stored = &heap->chunks.items[index];
	bool has_slack = stored->slack && !heap->arenas.items[stored->arena].is_typed;
	return (struct lh_heap_chunk){
		.addr = stored->addr,
		.size_bytes = stored->size_bytes,
		.requested_bytes = has_slack ? stored->size_bytes - (stored->slack - 1) : 0,
		.arena = (uint32_t)stored->arena,
		.state = (uint8_t)stored->state,
	};
}

const struct lh_heap_type *lh_heap_types(const struct lh_heap *heap, size_t *ret_count)
{
	*ret_count = heap->types.count;
	return heap->types.items;
}

bool lh_heap_chunk_type(const struct lh_heap *heap, size_t index, const struct lh_heap_type **ret)
{
	const struct lh_stored_chunk *stored = &heap->chunks.items[index];
	bool is_kept = stored->slack < LH_HEAP_TYPES_KEPT && stored->slack < heap->types.count;
	*ret = NULL;
	if (stored->state != LH_CHUNK_USED || !heap->arenas.items[stored->arena].is_typed)
		return false;
	if (is_kept)
		*ret = &heap->types.items[stored->slack];
	return true;
}

bool lh_heap_find_chunk(const struct lh_heap *heap, uint64_t addr, size_t *ret)
{
	size_t low = lh_vec_count_before(&heap->chunks, item, item->addr <= addr);
	if (!low || addr - heap->chunks.items[low - 1].addr >= heap->chunks.items[low - 1].size_bytes)
		return false;
	*ret = low - 1;
	return true;
}

bool lh_heap_covers(const struct lh_heap *heap, uint64_t addr)
{
	size_t low = lh_vec_count_before(&heap->extents, item, item->range.end <= addr);
	return low < heap->extents.count && heap->extents.items[low].range.start <= addr;
}
