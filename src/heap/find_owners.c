/*
 * find_owners: asks all allocators what they own, in a live process or in an image. Input: memory. Output: disjoint
 * ranges with their owners.
 */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

/* Strongest self-check first: if two claim the same bytes, the earlier one keeps them. */
static const struct lh_allocator_walker *const walkers[] = {
	&lh_walk_glibc_arenas, &lh_walk_pymalloc, &lh_walk_jemalloc,     &lh_walk_tcmalloc, &lh_walk_google_tcmalloc,
	&lh_walk_mimalloc,     &lh_walk_scudo,    &lh_walk_rpmalloc,     &lh_walk_v8,       &lh_walk_zend,
	&lh_walk_musl,         &lh_walk_go,       &lh_walk_glibc_chunks, &lh_walk_jvm,
};

static struct lh_error *ask_walkers(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	for (size_t i = 0; i < LH_ARRAY_COUNT(walkers); i++) {
		LH_TRY(walkers[i]->claim(memory, &owners));
		LH_TRY(lh_owners_settle(&owners));
	}
	*ret = owners;
	owners = (struct lh_owners){0};
	return NULL;
}

/* ---------------------------------------------------------------- a live process */

static struct lh_error *peek_process(const void *context, struct lh_peek *peeks, size_t count)
{
	const struct lh_present_reader *reader = context;
	return lh_process_peek(reader->process, peeks, count);
}

static struct lh_error *find_present_in_process(const void *context, struct lh_range range, struct lh_page_runs *ret)
{
	const struct lh_present_reader *reader = context;
	size_t kept = ret->runs.count;
	LH_TRY(lh_pagemap_runs(reader->pagemap, range, ret));
	for (size_t i = kept; i < ret->runs.count; i++) {
		if (lh_page_is_present(ret->runs.items[i].state))
			ret->runs.items[kept++] = ret->runs.items[i];
	}
	ret->runs.count = kept;
	return NULL;
}

struct lh_error *lh_heap_find_owners(const struct lh_process *process, const struct lh_region_list *list,
				     struct lh_owners *ret)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	LH_TRY(lh_pagemap_open(process, &pagemap));
	struct lh_present_reader reader = {.process = process, .pagemap = pagemap};
	struct lh_heap_places places LH_CLEANUP(lh_heap_places_deinit) = {0};
	struct lh_heap_memory memory = {
		.list = list,
		.has_all_mappings = true,
		.context = &reader,
		.read = lh_present_read,
		.peek = peek_process,
		.find_present = find_present_in_process,
	};
	LH_TRY(lh_heap_places_init(&memory, &places));
	return ask_walkers(&memory, ret);
}

/* ---------------------------------------------------------------- an image */

static size_t read_image(const void *context, uint64_t addr, void *ret, size_t bytes)
{
	return lh_image_read(context, addr, ret, bytes);
}

static struct lh_error *peek_image(const void *context, struct lh_peek *peeks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		peeks[i].is_read = lh_image_read(context, peeks[i].addr, peeks[i].words, sizeof(peeks[i].words)) ==
				   sizeof(peeks[i].words);
	return NULL;
}

/* In whole pages: runs of a dump have margins around them. */
static struct lh_error *find_present_in_image(const void *context, struct lh_range range, struct lh_page_runs *ret)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	uint64_t done = range.start;
	LH_TRY(lh_image_find_present(context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range run = runs.runs.items[i].range;
		uint64_t start = lh_max_u64(lh_align_down(run.start, LH_PAGE_BYTES), done);
		uint64_t end = lh_min_u64(lh_align_up(run.end, LH_PAGE_BYTES), range.end);
		if (start < end)
			LH_TRY(lh_page_runs_add(ret, start, end, LH_PAGES_PRESENT));
		done = lh_max_u64(done, end);
	}
	return NULL;
}

/* Kinds that depend on the owner, and change with the owners that were asked earlier. */
static bool is_owned_anonymous(enum lh_region_kind kind)
{
	return kind != LH_REGION_HEAP && (kind == LH_REGION_ANON || lh_region_kind_is_heap(kind));
}

/* A dump has a segment per run of present pages: joins those of one mapping. */
static bool continues_region(const struct lh_region *region, const struct lh_segment *segment)
{
	bool is_same_kind = region->kind == segment->kind ||
			    (is_owned_anonymous(region->kind) && is_owned_anonymous(segment->kind));
	return region->end == segment->start && region->protection == segment->protection && is_same_kind &&
	       strcmp(region->name, segment->name) == 0;
}

static struct lh_error *list_segments(const struct lh_image *image, struct lh_region_list *ret)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	LH_TRY(lh_vec_reserve(&ret->regions, count + 1));
	for (size_t i = 0; i < count; i++) {
		struct lh_region *last = ret->regions.count ? &ret->regions.items[ret->regions.count - 1] : NULL;
		if (last && continues_region(last, &segments[i])) {
			last->kind = last->kind == segments[i].kind ? last->kind : LH_REGION_ANON;
			last->end = segments[i].end;
			continue;
		}
		LH_TRY(lh_vec_push(&ret->regions, ((struct lh_region){
							  .start = segments[i].start,
							  .end = segments[i].end,
							  .protection = segments[i].protection,
							  .kind = segments[i].kind,
							  .name = segments[i].name,
							  .thread_name = "",
						  })));
	}
	return NULL;
}

static struct lh_heap_memory memory_of_image(const struct lh_image *image, const struct lh_region_list *list)
{
	return (struct lh_heap_memory){
		.list = list,
		.context = image,
		.read = read_image,
		.peek = peek_image,
		.find_present = find_present_in_image,
	};
}

struct lh_error *lh_heap_find_owners_in_image(const struct lh_image *image, struct lh_owners *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_heap_places places LH_CLEANUP(lh_heap_places_deinit) = {0};
	LH_TRY(list_segments(image, &list));
	struct lh_heap_memory memory = memory_of_image(image, &list);
	LH_TRY(lh_heap_places_init(&memory, &places));
	return ask_walkers(&memory, ret);
}

/* ---------------------------------------------------------------- all blocks */

static void deinit_sink(struct lh_heap_sink *sink)
{
	for (size_t i = 0; i < LH_WINDOWS; i++)
		free(sink->windows[i].bytes);
	free(sink->scratch);
	lh_vec_deinit(&sink->cached);
	lh_page_runs_deinit(&sink->present);
}

static struct lh_error *find_present(const struct lh_image *image, const struct lh_heap_memory *memory,
				     struct lh_page_runs *ret)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (lh_heap_has(memory, i, LH_HEAP_READABLE))
			LH_TRY(lh_image_find_present(image, (struct lh_range){region->start, region->end}, ret));
	}
	return NULL;
}

/* Allocators need at most three reads per 16 bytes; several times as many mean a circle. */
static uint64_t count_steps(const struct lh_page_runs *present)
{
	enum { STEP_BYTES = 1, STEPS_MIN = 1 << 22 };
	uint64_t bytes = 0;
	for (size_t i = 0; i < present->runs.count; i++)
		bytes += lh_range_bytes(present->runs.items[i].range);
	return STEPS_MIN + bytes / STEP_BYTES;
}

static bool owns_any(const struct lh_owners *owners, uint32_t kinds)
{
	for (size_t i = 0; i < owners->items.count; i++) {
		if (kinds >> owners->items.items[i].kind & 1)
			return true;
	}
	return false;
}

/*
 * At most 1 in 1000 checks may fail; in a running process, 1 in 20. Up to FAILED_FEW failures are damage or an
 * interrupted call, not a wrong decoder, unless there were few checks.
 */
static bool is_to_be_refused(const struct lh_heap_checks *checks, bool is_running)
{
	enum { FAILED_FEW = 4, STILL_CHECKS = 1000, RUNNING_CHECKS = 20 };
	bool is_wrong = checks->failed > checks->checked / (is_running ? RUNNING_CHECKS : STILL_CHECKS);
	return is_wrong && (checks->failed > FAILED_FEW || checks->failed > checks->checked / 10);
}

/* A refused allocator leaves no blocks. */
static struct lh_error *end_walk(struct lh_heap_tour *tour)
{
	struct lh_heap_sink *sink = tour->sink;
	struct lh_heap_allocator *allocator = &sink->allocator;
	struct lh_heap *heap = sink->heap;
	if (!sink->steps_left) {
		lh_heap_lose(tour, 0);
		lh_heap_note(tour, "gave up: its lists and counts lead in circles");
	}
	LH_TRY(lh_heap_settle(tour));
	bool is_running = lh_image_source(tour->image) == LH_IMAGE_PROCESS;
	allocator->is_refused = is_to_be_refused(&allocator->checks, is_running);
	allocator->is_partial |= allocator->checks.failed > 0;
	if (allocator->is_refused) {
		heap->chunks.count = sink->first_chunk;
		heap->arenas.count = sink->first_arena;
		heap->extents.count = sink->first_extent;
		heap->types.count = sink->first_type;
		if (heap->samples.allocator == allocator->name)
			lh_allocation_samples_deinit(&heap->samples);
	}
	allocator->chunk_count = heap->chunks.count - sink->first_chunk;
	bool is_there = allocator->chunk_count || allocator->checks.checked || allocator->is_partial;
	return is_there ? lh_vec_push(&heap->allocators, *allocator) : NULL;
}

static struct lh_error *walk_allocators(struct lh_heap_tour *tour)
{
	struct lh_heap_sink *sink = tour->sink;
	for (size_t i = 0; i < LH_ARRAY_COUNT(walkers); i++) {
		bool is_there = walkers[i]->walks_unclaimed || owns_any(tour->owners, walkers[i]->kinds);
		if (!walkers[i]->walk || !is_there)
			continue;
		sink->allocator = (struct lh_heap_allocator){.name = walkers[i]->name, .kinds = walkers[i]->kinds};
		sink->first_chunk = sink->heap->chunks.count;
		sink->first_arena = sink->heap->arenas.count;
		sink->first_extent = sink->heap->extents.count;
		sink->steps_left = count_steps(&sink->present);
		sink->first_type = sink->heap->types.count;
		LH_TRY(walkers[i]->walk(tour));
		LH_TRY(end_walk(tour));
	}
	return lh_heap_finish(tour);
}

static struct lh_error *walk_image_heap(struct lh_image *image, bool keeps_structures, struct lh_heap **ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_owners owners LH_CLEANUP(lh_owners_deinit) = {0};
	struct lh_heap_sink sink LH_CLEANUP(deinit_sink) = {0};
	struct lh_heap_places places LH_CLEANUP(lh_heap_places_deinit) = {0};
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = calloc(1, sizeof(*heap));
	if (!heap)
		return lh_error_no_memory();
	LH_TRY(list_segments(image, &list));
	struct lh_heap_memory memory = memory_of_image(image, &list);
	LH_TRY(lh_heap_places_init(&memory, &places));
	LH_TRY(ask_walkers(&memory, &owners));
	LH_TRY(find_present(image, &memory, &sink.present));
	sink.heap = heap;
	heap->keeps_structures = keeps_structures;
	struct lh_heap_tour tour = {.memory = &memory, .image = image, .owners = &owners, .sink = &sink};
	LH_TRY(walk_allocators(&tour));
	heap->structures.count = lh_range_join_all(heap->structures.items, heap->structures.count, 0);
	*ret = heap;
	heap = NULL;
	return NULL;
}

struct lh_error *lh_heap_walk(struct lh_image *image, struct lh_heap **ret)
{
	return walk_image_heap(image, false, ret);
}

struct lh_error *lh_heap_walk_structures(struct lh_image *image, struct lh_heap **ret)
{
	return walk_image_heap(image, true, ret);
}
