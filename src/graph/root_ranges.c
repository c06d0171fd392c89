/*
 * root_ranges: which memory besides the heap can hold pointers into it. Input: segments, threads, the heap's own
 * ranges. Output: ranges, ascending. Not roots: memory of allocators, stacks below their stack pointer, stacks of
 * threads that have ended, and malloc's own state in libc's data.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

enum {
	RED_ZONE_BYTES = 128,       /* System V ABI, x86-64, 3.2.2 */
	THREAD_RECORD_BYTES = 4096, /* struct pthread, at the end of a stack: 2304 bytes in glibc 2.36 */
	MALLOC_STATE_BYTES = 2200,  /* struct malloc_state of glibc 2.26 to 2.41 */
	TCB_SEARCH_BYTES = 16384,
	STATIC_TLS_BYTES_MAX = 65536,
	DTV_ENTRIES_MAX = 256,
};

struct exclusions {
	LH_VEC(struct lh_range) items;
};

static struct lh_error *exclude_range(struct exclusions *exclusions, uint64_t start, uint64_t end)
{
	return start < end ? lh_vec_push(&exclusions->items, ((struct lh_range){start, end})) : NULL;
}

/* ---------------------------------------------------------------- the heap */

static struct lh_error *exclude_heap(const struct lh_graph *graph, struct exclusions *exclusions)
{
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(graph->heap, &count);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < arenas[i].range_count && !lh_graph_is_opaque(arenas[i].kind); j++)
			LH_TRY(exclude_range(exclusions, arenas[i].ranges[j].start, arenas[i].ranges[j].end));
		bool has_state = strcmp(arenas[i].allocator, "glibc") == 0 && arenas[i].addr;
		if (has_state)
			LH_TRY(exclude_range(exclusions, arenas[i].addr, arenas[i].addr + MALLOC_STATE_BYTES));
	}
	return NULL;
}

/* Blocks outside of arenas: musl's malloc hands out the rest of the last page of a module's data (mallocng, donate). */
static struct lh_error *exclude_blocks(const struct lh_graph *graph, const struct lh_segment *segment,
				       struct exclusions *exclusions)
{
	size_t first = lh_count_before(graph->chunks, graph->chunk_count, item, item->addr < segment->start);
	for (size_t i = first; i < graph->chunk_count && graph->chunks[i].addr < segment->end; i++) {
		const struct lh_stored_chunk *chunk = &graph->chunks[i];
		bool is_root = lh_graph_is_opaque(graph->arenas[chunk->arena].kind);
		if (!is_root && !lh_heap_covers(graph->heap, chunk->addr))
			LH_TRY(exclude_range(exclusions, chunk->addr, chunk->addr + chunk->size_bytes));
	}
	return NULL;
}

/* ---------------------------------------------------------------- stacks */

static bool is_writable(const struct lh_segment *segment)
{
	return segment->protection & LH_PROT_WRITE;
}

/* The memory around `addr` without a gap and with one protection: the mapping and adjoining ones. */
static struct lh_range stretch_around(const struct lh_image *image, uint64_t addr)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count), *segment = lh_image_find(image, addr);
	if (!segment || !is_writable(segment))
		return (struct lh_range){0, 0};
	size_t first = (size_t)(segment - segments), last = first;
	while (first && segments[first - 1].end == segments[first].start && is_writable(&segments[first - 1]) &&
	       segments[first - 1].kind == segment->kind)
		first--;
	while (last + 1 < count && segments[last].end == segments[last + 1].start && is_writable(&segments[last + 1]) &&
	       segments[last + 1].kind == segment->kind)
		last++;
	return (struct lh_range){segments[first].start, segments[last].end};
}

static bool range_contains(struct lh_range range, uint64_t addr)
{
	return addr >= range.start && addr < range.end;
}

/* The end of the record of another thread whose stack is in the same memory below `stack_pointer`. */
static uint64_t find_neighbor_end(const struct lh_image_thread *threads, size_t count, struct lh_range stretch,
				  uint64_t stack_pointer)
{
	uint64_t end = stretch.start;
	for (size_t i = 0; i < count; i++) {
		uint64_t fs_base = threads[i].fs_base;
		if (range_contains(stretch, fs_base) && fs_base < stack_pointer)
			end = lh_max_u64(end, lh_align_up(fs_base + THREAD_RECORD_BYTES, LH_PAGE_BYTES));
	}
	return end;
}

/*
 * Memory below the stack pointer is dead if the thread is on its own stack: the main one, or one with its thread
 * control block at the end. A coroutine's stack has other stacks beside it.
 */
static struct lh_error *exclude_dead_stack(const struct lh_graph *graph, const struct lh_image_thread *threads,
					   size_t count, size_t thread, struct exclusions *exclusions)
{
	uint64_t stack_pointer = threads[thread].stack_pointer;
	if (stack_pointer < RED_ZONE_BYTES)
		return NULL;
	const struct lh_segment *segment = lh_image_find(graph->image, stack_pointer);
	struct lh_range stretch = stretch_around(graph->image, stack_pointer);
	if (!segment || !range_contains(stretch, stack_pointer))
		return NULL;
	bool is_own = segment->kind == LH_REGION_MAIN_STACK ||
		      (range_contains(stretch, threads[thread].fs_base) && threads[thread].fs_base > stack_pointer);
	if (!is_own)
		return NULL;
	uint64_t start = find_neighbor_end(threads, count, stretch, stack_pointer);
	return exclude_range(exclusions, start, lh_align_down(stack_pointer - RED_ZONE_BYTES, sizeof(uint64_t)));
}

static bool read_word(const struct lh_graph *graph, uint64_t addr, uint64_t *ret)
{
	return lh_image_read(graph->image, addr, ret, sizeof(*ret)) == sizeof(*ret);
}

/* Whether `addr` is a thread control block: tcb and self (glibc nptl/descr.h, tcbhead_t; musl struct pthread: self). */
static bool is_thread_block(const struct lh_graph *graph, uint64_t addr)
{
	uint64_t words[3];
	return lh_image_read(graph->image, addr, words, sizeof(words)) == sizeof(words) && words[0] == addr &&
	       words[2] == addr;
}

static bool is_live_thread_block(const struct lh_image_thread *threads, size_t count, uint64_t addr)
{
	for (size_t i = 0; i < count; i++) {
		if (threads[i].fs_base == addr)
			return true;
	}
	return false;
}

/* glibc keeps stacks of ended threads mapped, with their last frames (allocate_stack, nptl/allocatestack.c). */
static struct lh_error *exclude_cached_stack(const struct lh_graph *graph, const struct lh_segment *segment,
					     struct exclusions *exclusions)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	struct lh_range stretch = stretch_around(graph->image, segment->start);
	bool is_candidate = (segment->kind == LH_REGION_ANON || segment->kind == LH_REGION_THREAD_STACK) &&
			    segment->end == stretch.end && count;
	uint64_t lowest = segment->end - lh_min_u64(TCB_SEARCH_BYTES, segment->end - segment->start);
	for (uint64_t addr = lh_align_down(segment->end - 1, 64); is_candidate && addr >= lowest; addr -= 64) {
		uint64_t word;
		if (!read_word(graph, addr, &word) || word != addr || !is_thread_block(graph, addr))
			continue;
		if (is_live_thread_block(threads, count, addr))
			return NULL;
		uint64_t start = find_neighbor_end(threads, count, stretch, addr);
		return exclude_range(exclusions, start, stretch.end);
	}
	return NULL;
}

static struct lh_error *exclude_stacks(const struct lh_graph *graph, struct exclusions *exclusions)
{
	size_t count, segment_count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	const struct lh_segment *segments = lh_image_segments(graph->image, &segment_count);
	for (size_t i = 0; i < count; i++)
		LH_TRY(exclude_dead_stack(graph, threads, count, i, exclusions));
	for (size_t i = 0; i < segment_count; i++) {
		if (is_writable(&segments[i]))
			LH_TRY(exclude_cached_stack(graph, &segments[i], exclusions));
	}
	return NULL;
}

/* ---------------------------------------------------------------- what is left */

static enum lh_root_kind kind_of_segment(const struct lh_segment *segment)
{
	if (lh_graph_is_opaque(segment->kind))
		return LH_ROOT_OPAQUE;
	switch (segment->kind) {
	case LH_REGION_MAIN_STACK:
	case LH_REGION_THREAD_STACK:
		return LH_ROOT_STACK;
	case LH_REGION_DATA:
	case LH_REGION_BSS:
		return LH_ROOT_MODULE;
	default:
		return LH_ROOT_OTHER;
	}
}

static bool is_root_segment(const struct lh_segment *segment)
{
	/* Relocated data becomes read-only, with pointers in it. */
	return is_writable(segment) || segment->kind == LH_REGION_DATA;
}

static uint32_t thread_of_segment(const struct lh_graph *graph, const struct lh_segment *segment)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	for (size_t i = 0; i < count; i++) {
		if (threads[i].stack_pointer >= segment->start && threads[i].stack_pointer < segment->end)
			return (uint32_t)i;
	}
	return UINT32_MAX;
}

static struct lh_error *add_root(struct lh_graph *graph, const struct lh_segment *segment, uint64_t start, uint64_t end)
{
	struct lh_root_range root = {{start, end}, kind_of_segment(segment), UINT32_MAX};
	if (start >= end)
		return NULL;
	if (root.kind == LH_ROOT_STACK || root.kind == LH_ROOT_OTHER)
		root.thread = thread_of_segment(graph, segment);
	root.kind = root.thread != UINT32_MAX ? LH_ROOT_STACK : root.kind;
	graph->totals.root_bytes[root.kind] += end - start;
	return lh_vec_push(&graph->roots, root);
}

static struct lh_error *add_root_rest(struct lh_graph *graph, const struct lh_segment *segment,
				      const struct exclusions *exclusions)
{
	uint64_t start = segment->start;
	size_t at = lh_vec_count_before(&exclusions->items, item, item->end <= segment->start);
	for (; at < exclusions->items.count && exclusions->items.items[at].start < segment->end; at++) {
		struct lh_range out = exclusions->items.items[at];
		LH_TRY(add_root(graph, segment, start, lh_min_u64(out.start, segment->end)));
		start = lh_max_u64(start, lh_min_u64(out.end, segment->end));
	}
	return add_root(graph, segment, start, segment->end);
}

/* Ascending and disjoint. */
static void settle_exclusions(struct exclusions *exclusions)
{
	size_t kept = 0;
	if (exclusions->items.count)
		qsort(exclusions->items.items, exclusions->items.count, sizeof(struct lh_range),
		      lh_compare_range_starts);
	for (size_t i = 0; i < exclusions->items.count; i++) {
		struct lh_range range = exclusions->items.items[i];
		struct lh_range *last = kept ? &exclusions->items.items[kept - 1] : NULL;
		if (last && range.start <= last->end)
			last->end = lh_max_u64(last->end, range.end);
		else
			exclusions->items.items[kept++] = range;
	}
	exclusions->items.count = kept;
}

static struct lh_error *find_root_ranges(struct lh_graph *graph, struct exclusions *exclusions)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(graph->image, &count);
	LH_TRY(exclude_heap(graph, exclusions));
	LH_TRY(exclude_stacks(graph, exclusions));
	for (size_t i = 0; i < count; i++) {
		if (is_root_segment(&segments[i]) && !lh_region_kind_is_heap(segments[i].kind))
			LH_TRY(exclude_blocks(graph, &segments[i], exclusions));
	}
	settle_exclusions(exclusions);
	for (size_t i = 0; i < count; i++) {
		if (is_root_segment(&segments[i]))
			LH_TRY(add_root_rest(graph, &segments[i], exclusions));
	}
	return NULL;
}

/* ---------------------------------------------------------------- thread-local data */

const struct lh_thread_locals *lh_graph_find_thread_locals(const struct lh_graph *graph, uint64_t addr)
{
	for (size_t i = 0; i < graph->thread_locals.count; i++) {
		if (range_contains(graph->thread_locals.items[i].range, addr))
			return &graph->thread_locals.items[i];
	}
	return NULL;
}

/*
 * The variables of initially loaded modules lie below the thread control block, the program's closest to it. The
 * dynamic thread vector tells where each module's begin (glibc elf/dl-tls.c; dtv[-1] is the number of entries).
 */
static uint64_t find_static_tls(const struct lh_graph *graph, uint64_t fs_base)
{
	uint64_t vector = 0, count = 0, start = fs_base;
	if (!read_word(graph, fs_base + 8, &vector) || vector < 16 || !read_word(graph, vector - 16, &count))
		return start;
	for (uint64_t i = 1; i <= lh_min_u64(count, DTV_ENTRIES_MAX); i++) {
		uint64_t variables;
		if (!read_word(graph, vector + 16 * i, &variables))
			break;
		if (variables < fs_base && fs_base - variables <= STATIC_TLS_BYTES_MAX)
			start = lh_min_u64(start, variables);
	}
	return start;
}

static struct lh_error *find_all_thread_locals(struct lh_graph *graph)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	for (size_t i = 0; i < count; i++) {
		uint64_t fs_base = threads[i].fs_base;
		if (!fs_base || !is_thread_block(graph, fs_base))
			continue;
		struct lh_range range = {find_static_tls(graph, fs_base), fs_base + THREAD_RECORD_BYTES};
		LH_TRY(lh_vec_push(&graph->thread_locals, ((struct lh_thread_locals){range, fs_base, (uint32_t)i})));
	}
	return NULL;
}

struct lh_error *lh_graph_find_roots(struct lh_graph *graph)
{
	struct exclusions exclusions = {0};
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	struct lh_error *error = find_root_ranges(graph, &exclusions);
	lh_vec_deinit(&exclusions.items);
	for (size_t i = 0; i < count; i++) {
		graph->totals.thread_count++;
		graph->totals.root_bytes[LH_ROOT_REGISTERS] += threads[i].registers_bytes;
	}
	return error ? error : find_all_thread_locals(graph);
}
