/*
 * tcmalloc_walk: all blocks of gperftools' tcmalloc 2.x. Input: spans. Output: blocks. A span holds objects of one size
 * class, or is one block. Its free objects are linked. "refcount" counts the others (src/span.h), some of which are in
 * threads' caches (src/thread_cache.h) or in the transfer caches of the central lists (src/central_freelist.h). Both
 * are found from the variables beside the page map's root, and reveal the sizes of classes.
 */
#include "tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 128, OBJECT_BYTES_MAX = 256 * 1024, PIECE_BYTES = 64 * 1024, CACHES_MAX = 65536 };

enum { OBJECTS_MAX = UINT16_MAX }; /* per span: it counts them in 16 bits */

/* From bit 0 of the word at 40: objects in use 16, size class 8, location 2 (src/span.h). */
enum { SPAN_WORDS = 6, CLASS_BIT = 16, LOCATION_BIT = 24 };
enum span_location { SPAN_IN_USE, SPAN_NORMAL, SPAN_RETURNED };

/* A class in a thread's cache: {list, length u32, low water, longest, overages, object size i32}. */
enum { FREE_LIST_WORDS = 4, CACHE_TAIL_WORDS = 32, CLASSES_MIN = 16 };

/* {lock, class, empty span, nonempty span, spans, counter, 64 x {head, tail}, slots in use i32, ...}. */
enum {
	CENTRAL_CLASS = 8,
	CENTRAL_COUNTER = 120,
	CENTRAL_SLOTS = 128,
	SLOTS_MAX = 64,
	CENTRAL_USED_SLOTS = CENTRAL_SLOTS + SLOTS_MAX * 16,
	CENTRAL_STRIDE = 1216,
	CENTRAL_PROOF = 8 /* consecutive classes that prove the array of lists */
};

struct small_span {
	uint64_t start;
	uint64_t bytes;
	uint64_t objects; /* first free one */
	uint64_t descriptor;
	uint32_t used_count;
	uint8_t size_class;
	uint8_t location;
};

struct tcmalloc_walk {
	struct lh_heap_tour *tour;
	LH_VEC(struct small_span) spans; /* all, also large ones */
	LH_VEC(uint64_t) caches;         /* of threads */
	LH_VEC(uint64_t) cached;         /* objects */
	uint64_t class_bytes[CLASSES_MAX];
	uint64_t free_counts[CLASSES_MAX]; /* in spans */
	uint64_t central_lists;
	uint8_t *free_marks; /* of the objects of a span */
	size_t mark_capacity, cached_at, cached_seen;
	uint64_t mapped_bytes, returnable_bytes;
	uint64_t used_count; /* objects that spans count as handed out, including those in caches */
	uint32_t arena, metadata;
};

static void deinit_tcmalloc_walk(struct tcmalloc_walk *walk)
{
	lh_vec_deinit(&walk->spans);
	lh_vec_deinit(&walk->caches);
	lh_vec_deinit(&walk->cached);
	free(walk->free_marks);
}

/* ---------------------------------------------------------------- spans */

static struct lh_error *take_span(void *context, const struct lh_tcmalloc_span *span, uint8_t page_bits)
{
	struct tcmalloc_walk *walk = context;
	uint64_t words[SPAN_WORDS];
	if (!lh_heap_words(walk->tour, span->addr, words, SPAN_WORDS)) {
		lh_heap_lose(walk->tour, span->page_count << page_bits);
		return NULL;
	}
	walk->used_count += words[5] & 0xffff;
	return lh_vec_push(&walk->spans, ((struct small_span){
						 .start = span->first_page << page_bits,
						 .bytes = span->page_count << page_bits,
						 .objects = words[4],
						 .descriptor = span->addr,
						 .used_count = words[5] & 0xffff,
						 .size_class = words[5] >> CLASS_BIT & 0xff,
						 .location = words[5] >> LOCATION_BIT & 3,
					 }));
}

static struct lh_error *take_map_leaf(void *context, struct lh_range leaf)
{
	struct tcmalloc_walk *walk = context;
	return lh_heap_add_range(walk->tour, walk->metadata, leaf.start, leaf.end);
}

/* ---------------------------------------------------------------- threads' caches */

/* Object sizes rise from class to class up to the last one; the lists of unused classes are zero. */
static bool parse_class_sizes(const uint64_t words[CLASSES_MAX * FREE_LIST_WORDS], uint64_t ret[CLASSES_MAX])
{
	uint64_t latest = 0;
	uint32_t count = 1;
	ret[0] = 0;
	for (uint32_t i = 1; i < CLASSES_MAX; i++) {
		uint64_t bytes = words[i * FREE_LIST_WORDS + 3] & UINT32_MAX;
		ret[i] = bytes;
		if (!bytes)
			continue;
		if (count != i || bytes <= latest || bytes > OBJECT_BYTES_MAX || bytes % 8)
			return false;
		latest = bytes;
		count++;
	}
	return count > CLASSES_MIN;
}

static bool read_tcmalloc_cache(struct tcmalloc_walk *walk, uint64_t addr, uint64_t ret[CLASSES_MAX * FREE_LIST_WORDS])
{
	uint64_t sizes[CLASSES_MAX];
	if (addr % 8 || addr < LH_PAGE_BYTES || addr >> 47 ||
	    !lh_heap_words(walk->tour, addr, ret, (size_t)CLASSES_MAX * FREE_LIST_WORDS) ||
	    !parse_class_sizes(ret, sizes))
		return false;
	if (!walk->class_bytes[1])
		memcpy(walk->class_bytes, sizes, sizeof(sizes));
	return !memcmp(walk->class_bytes, sizes, sizeof(sizes));
}

static bool knows_cache(const struct tcmalloc_walk *walk, uint64_t addr)
{
	for (size_t i = 0; i < walk->caches.count; i++) {
		if (walk->caches.items[i] == addr)
			return true;
	}
	return false;
}

/* Objects are linked by their first words. At most as many are cached as spans handed out. */
static struct lh_error *collect_list(struct tcmalloc_walk *walk, uint64_t addr, uint64_t count)
{
	uint64_t i = 0;
	struct lh_list_guard guard = {0};
	while (addr && i < count && walk->cached.count < walk->used_count && !lh_list_returns(&guard, addr)) {
		LH_TRY(lh_vec_push(&walk->cached, addr));
		i++;
		if (!lh_heap_words(walk->tour, addr, &addr, 1))
			break;
	}
	lh_heap_check(walk->tour, i == count, addr, "cached objects: list and length differ");
	return NULL;
}

/* Caches are linked: their last words point to others. */
static struct lh_error *add_cache(struct tcmalloc_walk *walk, uint64_t addr)
{
	uint64_t words[CLASSES_MAX * FREE_LIST_WORDS];
	if (walk->caches.count == CACHES_MAX || knows_cache(walk, addr) || !read_tcmalloc_cache(walk, addr, words))
		return NULL;
	LH_TRY(lh_vec_push(&walk->caches, addr));
	for (size_t i = 1; i < CLASSES_MAX; i++) {
		const uint64_t *list = &words[i * FREE_LIST_WORDS];
		LH_TRY(collect_list(walk, list[0], list[1] & UINT32_MAX));
	}
	return NULL;
}

static struct lh_error *follow_caches(struct tcmalloc_walk *walk)
{
	for (size_t i = 0; i < walk->caches.count; i++) {
		uint64_t tail[CACHE_TAIL_WORDS],
			at = walk->caches.items[i] + (uint64_t)CLASSES_MAX * FREE_LIST_WORDS * 8;
		if (!lh_heap_words(walk->tour, at, tail, CACHE_TAIL_WORDS))
			continue;
		for (size_t j = 0; j < CACHE_TAIL_WORDS; j++)
			LH_TRY(add_cache(walk, tail[j]));
	}
	return NULL;
}

/* ---------------------------------------------------------------- transfer caches */

static bool begins_central_lists(struct tcmalloc_walk *walk, uint64_t addr)
{
	for (uint64_t i = 0; i < CENTRAL_PROOF; i++) {
		uint64_t size_class;
		if (!lh_heap_words(walk->tour, addr + i * CENTRAL_STRIDE + CENTRAL_CLASS, &size_class, 1) ||
		    size_class != i)
			return false;
	}
	return true;
}

static struct lh_error *collect_slot(struct tcmalloc_walk *walk, uint64_t addr, uint64_t tail)
{
	struct lh_list_guard guard = {0};
	while (addr && walk->cached.count < walk->used_count && !lh_list_returns(&guard, addr)) {
		LH_TRY(lh_vec_push(&walk->cached, addr));
		if (addr == tail || !lh_heap_words(walk->tour, addr, &addr, 1))
			break;
	}
	return NULL;
}

static struct lh_error *collect_transfers(struct tcmalloc_walk *walk)
{
	for (uint64_t i = 1; walk->central_lists && i < CLASSES_MAX && walk->class_bytes[i]; i++) {
		uint64_t list = walk->central_lists + i * CENTRAL_STRIDE, used, slot[2];
		if (!lh_heap_words(walk->tour, list + CENTRAL_USED_SLOTS, &used, 1))
			continue;
		used &= UINT32_MAX;
		if (!lh_heap_check(walk->tour, used <= SLOTS_MAX, list, "central list: too many slots"))
			continue;
		for (uint64_t j = 0; j < used; j++) {
			if (lh_heap_words(walk->tour, list + CENTRAL_SLOTS + j * 16, slot, 2))
				LH_TRY(collect_slot(walk, slot[0], slot[1]));
		}
	}
	return NULL;
}

/* A central list counts the free objects of its spans. */
static void check_central_lists(struct tcmalloc_walk *walk)
{
	for (uint64_t i = 1; walk->central_lists && i < CLASSES_MAX && walk->class_bytes[i]; i++) {
		uint64_t list = walk->central_lists + i * CENTRAL_STRIDE, counter;
		if (lh_heap_words(walk->tour, list + CENTRAL_COUNTER, &counter, 1))
			lh_heap_check(walk->tour, counter == walk->free_counts[i], list,
				      "central list: spans have another number of free objects");
	}
}

/* ---------------------------------------------------------------- variables */

static struct lh_error *search_bss_words(struct tcmalloc_walk *walk, uint64_t addr, const uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (words[i] > LH_PAGE_BYTES && !(words[i] >> 47) &&
		    lh_heap_is_private(walk->tour->memory, words[i], 8))
			LH_TRY(add_cache(walk, words[i]));
		/* Looks for the second list: the first list's class is 0, like most words. */
		uint64_t first = addr + i * 8 - CENTRAL_CLASS - CENTRAL_STRIDE;
		if (words[i] == 1 && !walk->central_lists && begins_central_lists(walk, first))
			walk->central_lists = first;
	}
	return NULL;
}

static struct lh_error *search_variables(struct tcmalloc_walk *walk, struct lh_range range)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) uint64_t *words = malloc(LH_PAGE_BYTES);
	if (!words)
		return lh_error_no_memory();
	LH_TRY(walk->tour->memory->find_present(walk->tour->memory->context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range run = runs.runs.items[i].range;
		for (uint64_t at = run.start; at < run.end; at += LH_PAGE_BYTES) {
			if (lh_heap_words(walk->tour, at, words, LH_PAGE_BYTES / 8))
				LH_TRY(search_bss_words(walk, at, words, LH_PAGE_BYTES / 8));
		}
	}
	return NULL;
}

/* Searches the bss, and the module's data before it. */
static struct lh_error *find_caches(struct tcmalloc_walk *walk, struct lh_range bss)
{
	const struct lh_region *regions = walk->tour->memory->list->regions.items;
	size_t first = lh_heap_region_index(walk->tour->memory, bss.start);
	while (first && regions[first - 1].end == regions[first].start && regions[first - 1].protection & LH_PROT_WRITE)
		first--;
	LH_TRY(search_variables(walk, (struct lh_range){regions[first].start, bss.end}));
	LH_TRY(follow_caches(walk));
	LH_TRY(collect_transfers(walk));
	lh_vec_sort(&walk->cached, lh_compare_words);
	return NULL;
}

/* ---------------------------------------------------------------- blocks */

static struct lh_error *add_span_object(struct tcmalloc_walk *walk, uint64_t addr, uint64_t bytes, uint8_t state)
{
	while (walk->cached_at < walk->cached.count && walk->cached.items[walk->cached_at] < addr)
		walk->cached_at++;
	bool is_cached = walk->cached_at < walk->cached.count && walk->cached.items[walk->cached_at] == addr;
	if (is_cached)
		walk->cached_seen++;
	if (is_cached && state == LH_CHUNK_USED)
		state = LH_CHUNK_CACHED;
	struct lh_heap_chunk chunk = {.addr = addr, .size_bytes = bytes, .arena = walk->arena, .state = state};
	return lh_heap_add_chunk(walk->tour, &chunk);
}

/* Marks the free objects; false if the list leaves the span, or has another length than it should. */
static bool mark_free_objects(struct tcmalloc_walk *walk, const struct small_span *span, uint64_t object_bytes,
			      uint64_t capacity)
{
	uint64_t at = span->objects, count = 0;
	memset(walk->free_marks, 0, capacity);
	for (; at && count <= capacity; count++) {
		uint64_t offset = at - span->start, index = offset / object_bytes;
		if (at < span->start || index >= capacity || offset % object_bytes || walk->free_marks[index])
			return false;
		walk->free_marks[index] = 1;
		if (!lh_heap_words(walk->tour, at, &at, 1))
			return false;
	}
	walk->free_counts[span->size_class] += count;
	return count + span->used_count == capacity;
}

static struct lh_error *walk_small_span(struct tcmalloc_walk *walk, const struct small_span *span)
{
	uint64_t object_bytes = span->size_class < CLASSES_MAX ? walk->class_bytes[span->size_class] : 0;
	uint64_t capacity = object_bytes ? span->bytes / object_bytes : 0;
	if (capacity > walk->mark_capacity) {
		uint8_t *marks = capacity <= OBJECTS_MAX ? realloc(walk->free_marks, capacity) : NULL;
		walk->free_marks = marks ? marks : walk->free_marks;
		walk->mark_capacity = marks ? capacity : walk->mark_capacity;
	}
	bool holds =
		capacity && capacity <= walk->mark_capacity && mark_free_objects(walk, span, object_bytes, capacity);
	lh_heap_check(walk->tour, holds, span->descriptor, "span: free objects and count differ");
	if (!holds) {
		lh_heap_lose(walk->tour, span->bytes);
		return NULL;
	}
	for (uint64_t i = 0; i < capacity; i++)
		LH_TRY(add_span_object(walk, span->start + i * object_bytes, object_bytes,
				       walk->free_marks[i] ? LH_CHUNK_FREE : LH_CHUNK_USED));
	return NULL;
}

static struct lh_error *walk_tcmalloc_span(struct tcmalloc_walk *walk, const struct small_span *span)
{
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, span->start, span->start + span->bytes));
	if (span->location == SPAN_IN_USE && span->size_class)
		return walk_small_span(walk, span);
	bool holds = span->location <= SPAN_RETURNED;
	if (!lh_heap_check(walk->tour, holds, span->descriptor, "span: impossible location"))
		return NULL;
	return add_span_object(walk, span->start, span->bytes,
			       span->location == SPAN_IN_USE ? LH_CHUNK_USED : LH_CHUNK_FREE);
}

/* ReleaseFreeMemory gives back memory that is free and not yet returned. */
static void total_spans(struct tcmalloc_walk *walk)
{
	for (size_t i = 0; i < walk->spans.count; i++) {
		const struct small_span *span = &walk->spans.items[i];
		walk->mapped_bytes += span->bytes;
		if (span->location == SPAN_NORMAL)
			walk->returnable_bytes +=
				lh_heap_resident_bytes(walk->tour, span->start, span->start + span->bytes);
	}
}

static struct lh_error *add_metadata(struct tcmalloc_walk *walk)
{
	struct lh_heap_arena arena = {.allocator = "tcmalloc", .role = "metadata", .kind = LH_REGION_TCMALLOC};
	return lh_heap_add_arena(walk->tour, &arena, &walk->metadata);
}

static struct lh_error *walk_spans(struct tcmalloc_walk *walk)
{
	total_spans(walk);
	struct lh_heap_arena arena = {
		.allocator = "tcmalloc",
		.role = "",
		.kind = LH_REGION_TCMALLOC,
		.mapped_bytes = walk->mapped_bytes,
		.returnable_bytes = walk->returnable_bytes,
	};
	LH_TRY(lh_heap_add_arena(walk->tour, &arena, &walk->arena));
	for (size_t i = 0; i < walk->spans.count; i++)
		LH_TRY(walk_tcmalloc_span(walk, &walk->spans.items[i]));
	check_central_lists(walk);
	for (size_t i = walk->cached_seen; i < walk->cached.count; i++)
		lh_heap_check(walk->tour, false, 0, "cached object is none in use");
	return NULL;
}

static struct lh_error *walk_tcmalloc(struct lh_heap_tour *tour)
{
	struct tcmalloc_walk walk LH_CLEANUP(deinit_tcmalloc_walk) = {.tour = tour};
	struct lh_tcmalloc_visitor visitor = {take_map_leaf, take_span, &walk};
	struct lh_range bss;
	LH_TRY(add_metadata(&walk));
	LH_TRY(lh_tcmalloc_visit_spans(tour->memory, &visitor, &bss));
	if (!bss.end)
		return NULL;
	LH_TRY(find_caches(&walk, bss));
	if (!walk.caches.count)
		lh_heap_note(tour, "no thread cache found: the sizes of objects are not known");
	else if (!walk.central_lists)
		lh_heap_note(tour, "no central lists found: objects in transfer caches count as used");
	return walk_spans(&walk);
}

const struct lh_allocator_walker lh_walk_tcmalloc = {
	.name = "tcmalloc",
	.claim = lh_tcmalloc_claim,
	.kinds = UINT32_C(1) << LH_REGION_TCMALLOC,
	.walk = walk_tcmalloc,
};
