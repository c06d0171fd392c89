/*
 * google_tcmalloc_lists: the free objects of Google tcmalloc's spans. Input: descriptors. Output: free marks. A span
 * counts the objects that it handed out. Its free ones are in a bitmap, or, for many small objects, in a list of free
 * objects that host the 16-bit indexes of others (span.h, span.cc). The offsets of all these are those for which the
 * counts of all spans come out.
 */
#include "google_tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_END = 0xffff, PROBES_MAX = 96, CACHED_MAX = 16, AGREE_PERCENT = 97, OBJECTS_MAX = 1 << 16 };
enum { INDEX_BYTES = 8 }; /* an index counts these (common.h, kAlignment) */

struct list_probe {
	const struct lh_gspan *span;
	uint64_t objects;
	uint64_t free_count;
	uint8_t bytes[LH_GSPAN_BYTES];
};

struct list_search {
	struct lh_gwalk *walk;
	LH_VEC(struct list_probe) probes;
	uint8_t *marks;
};

static void deinit_list_search(struct list_search *search)
{
	lh_vec_deinit(&search->probes);
	free(search->marks);
}

static uint16_t half_at(const uint8_t *bytes, size_t half)
{
	uint16_t value;
	memcpy(&value, bytes + half * 2, sizeof(value));
	return value;
}

static bool has_most_hits(size_t hits, size_t tried)
{
	return tried && hits * 100 >= tried * AGREE_PERCENT;
}

/* ---------------------------------------------------------------- the two forms */

/* Bits beyond the last object are zero. */
static bool mark_bitmap(const struct lh_gspan_layout *layout, const uint8_t *descriptor, uint64_t objects,
			uint64_t free_count, uint8_t *marks)
{
	uint64_t count = 0, words = (objects + 63) / 64;
	if (layout->bitmap_word + words > LH_GSPAN_WORDS)
		return false;
	memset(marks, 0, objects);
	for (uint64_t i = 0; i < words * 64; i++) {
		if (!(descriptor[layout->bitmap_word * UINT64_C(8) + i / 8] >> i % 8 & 1))
			continue;
		if (i >= objects)
			return false;
		marks[i] = 1;
		count++;
	}
	return count == free_count;
}

struct list_marker {
	struct lh_gwalk *walk;
	uint64_t start, object_bytes, objects, count;
	uint8_t *marks;
};

static bool mark_index(struct list_marker *marker, uint16_t index)
{
	uint64_t offset = (uint64_t)index * INDEX_BYTES, number = offset / marker->object_bytes;
	if (offset % marker->object_bytes || number >= marker->objects || marker->marks[number])
		return false;
	marker->marks[number] = 1;
	marker->count++;
	return true;
}

/* A host has the index of the next host, then those that it hosts: the first host some, others as many as fit. */
static bool mark_hosts(struct list_marker *marker, uint16_t index, uint64_t embedded)
{
	uint64_t fitting = marker->object_bytes / 2 - 1;
	while (index != LIST_END) {
		uint64_t addr = marker->start + (uint64_t)index * INDEX_BYTES;
		if (embedded > fitting || !mark_index(marker, index))
			return false;
		const uint8_t *host = lh_heap_bytes(marker->walk->tour, addr, (embedded + 1) * 2);
		if (!host)
			return false;
		index = half_at(host, 0);
		for (uint64_t i = 1; i <= embedded; i++) {
			if (!mark_index(marker, half_at(host, i)))
				return false;
		}
		embedded = fitting;
	}
	return true;
}

static bool mark_object_list(struct lh_gwalk *walk, const struct lh_gspan *span, const uint8_t *descriptor,
			     uint64_t free_count, uint8_t *marks)
{
	const struct lh_gspan_layout *layout = &walk->layout;
	struct list_marker marker = {
		.walk = walk,
		.start = lh_gspan_start(walk, span),
		.object_bytes = walk->class_bytes[span->size_class],
		.objects = lh_gspan_objects(walk, span),
		.marks = marks,
	};
	memset(marks, 0, marker.objects);
	uint64_t cached = layout->cache_byte == UINT8_MAX ? 0 : descriptor[layout->cache_byte] & layout->cache_mask;
	if (cached > CACHED_MAX || layout->cache_half + cached > LH_GSPAN_HALVES)
		return false;
	for (uint64_t i = 0; i < cached; i++) {
		if (!mark_index(&marker, half_at(descriptor, layout->cache_half + i)))
			return false;
	}
	return mark_hosts(&marker, half_at(descriptor, layout->list_half), half_at(descriptor, layout->embed_half)) &&
	       marker.count == free_count;
}

bool lh_gwalk_mark_free(struct lh_gwalk *walk, const struct lh_gspan *span, uint8_t *marks)
{
	uint64_t objects = lh_gspan_objects(walk, span);
	uint8_t descriptor[LH_GSPAN_BYTES];
	const uint8_t *bytes = lh_heap_bytes(walk->tour, span->addr, LH_GSPAN_BYTES);
	memset(marks, 0, objects);
	if (!bytes)
		return false;
	memcpy(descriptor, bytes, sizeof(descriptor));
	uint64_t allocated = half_at(descriptor, walk->layout.allocated_half);
	/* An object that fills its span is not counted since 2025. */
	if (objects == 1 || allocated == objects)
		return true;
	if (allocated > objects)
		return false;
	uint64_t free_count = objects - allocated;
	return (walk->layout.has_bitmap && mark_bitmap(&walk->layout, descriptor, objects, free_count, marks)) ||
	       (walk->layout.has_list && mark_object_list(walk, span, descriptor, free_count, marks));
}

/* ---------------------------------------------------------------- finding the offsets */

static struct lh_error *read_list_probes(struct list_search *search)
{
	struct lh_gwalk *walk = search->walk;
	for (size_t i = 0; i < walk->spans.count; i++) {
		struct list_probe probe = {.span = &walk->spans.items[i]};
		probe.objects = lh_gspan_objects(walk, probe.span);
		if (probe.objects < 2 || probe.objects >= OBJECTS_MAX)
			continue;
		const uint8_t *bytes = lh_heap_bytes(walk->tour, probe.span->addr, LH_GSPAN_BYTES);
		if (!bytes)
			continue;
		memcpy(probe.bytes, bytes, LH_GSPAN_BYTES);
		LH_TRY(lh_vec_push(&search->probes, probe));
	}
	return NULL;
}

/* The 16 bits that never exceed the number of objects, and equal it most often: most spans are full. */
static bool find_allocated(struct list_search *search)
{
	size_t best = 0;
	for (size_t half = 0; half < LH_GSPAN_HALVES; half++) {
		size_t possible = 0, full = 0;
		for (size_t i = 0; i < search->probes.count; i++) {
			uint16_t value = half_at(search->probes.items[i].bytes, half);
			possible += value <= search->probes.items[i].objects;
			full += value == search->probes.items[i].objects;
		}
		if (has_most_hits(possible, search->probes.count) && full > best) {
			best = full;
			search->walk->layout.allocated_half = (uint8_t)half;
		}
	}
	return best;
}

/* Keeps spans with free objects. */
static void keep_probes_with_free(struct list_search *search)
{
	size_t kept = 0;
	for (size_t i = 0; i < search->probes.count; i++) {
		struct list_probe probe = search->probes.items[i];
		uint64_t allocated = half_at(probe.bytes, search->walk->layout.allocated_half);
		if (allocated >= probe.objects)
			continue;
		probe.free_count = probe.objects - allocated;
		search->probes.items[kept++] = probe;
	}
	search->probes.count = kept;
}

/* The word from which on as many bits are set as objects are free, in most spans. Drops these spans. */
static void find_bitmap(struct list_search *search)
{
	struct lh_gspan_layout *layout = &search->walk->layout;
	size_t best = 0, kept = 0;
	uint8_t best_word = 0;
	for (unsigned word = 0; word < LH_GSPAN_WORDS; word++) {
		size_t hits = 0;
		layout->bitmap_word = (uint8_t)word;
		for (size_t i = 0; i < search->probes.count; i++) {
			const struct list_probe *probe = &search->probes.items[i];
			hits += mark_bitmap(layout, probe->bytes, probe->objects, probe->free_count, search->marks);
		}
		if (hits > best) {
			best = hits;
			best_word = (uint8_t)word;
		}
	}
	layout->bitmap_word = best_word;
	layout->has_bitmap = best;
	for (size_t i = 0; best && i < search->probes.count; i++) {
		const struct list_probe *probe = &search->probes.items[i];
		if (!mark_bitmap(layout, probe->bytes, probe->objects, probe->free_count, search->marks))
			search->probes.items[kept++] = *probe;
	}
	search->probes.count = best ? kept : search->probes.count;
}

static size_t count_lists(struct list_search *search, size_t probes_max)
{
	size_t hits = 0;
	for (size_t i = 0; i < search->probes.count && i < probes_max; i++) {
		const struct list_probe *probe = &search->probes.items[i];
		hits += mark_object_list(search->walk, probe->span, probe->bytes, probe->free_count, search->marks);
	}
	return hits;
}

/* Whether these 16 bits are an index, or the list's end, in nearly all spans. */
static bool may_be_list(const struct list_search *search, size_t half)
{
	size_t hits = 0;
	for (size_t i = 0; i < search->probes.count; i++) {
		const struct list_probe *probe = &search->probes.items[i];
		uint64_t bytes = search->walk->class_bytes[probe->span->size_class];
		uint64_t value = half_at(probe->bytes, half), offset = value * INDEX_BYTES;
		hits += value == LIST_END || (offset % bytes == 0 && offset / bytes < probe->objects);
	}
	return has_most_hits(hits, search->probes.count);
}

/* Whether that byte may count indexes in the descriptor: small in all spans, and not 0 in all. */
static bool may_be_index_cache(const struct list_search *search, size_t byte, uint8_t mask)
{
	size_t possible = 0, filled = 0;
	for (size_t i = 0; i < search->probes.count; i++) {
		possible += (search->probes.items[i].bytes[byte] & mask) <= CACHED_MAX;
		filled += (search->probes.items[i].bytes[byte] & mask) != 0;
	}
	return filled && has_most_hits(possible, search->probes.count);
}

/* Keeps the layout if more lists come out with it. */
static void try_layout(struct list_search *search, struct lh_gspan_layout *best, size_t *best_hits)
{
	size_t hits = count_lists(search, PROBES_MAX);
	if (hits <= *best_hits)
		return;
	*best_hits = hits;
	*best = search->walk->layout;
}

/* Tries no cache, then the cache's counter and place, for given places of the list. */
static void try_caches(struct list_search *search, struct lh_gspan_layout *best, size_t *best_hits)
{
	static const uint8_t masks[] = {0xff, 0x0f};
	struct lh_gspan_layout *layout = &search->walk->layout;
	size_t probes_max = lh_min_u64(search->probes.count, PROBES_MAX);
	layout->cache_byte = UINT8_MAX;
	try_layout(search, best, best_hits);
	for (size_t i = 0; i < LH_ARRAY_COUNT(masks) * LH_GSPAN_BYTES && *best_hits < probes_max; i++) {
		layout->cache_byte = (uint8_t)(i % LH_GSPAN_BYTES);
		layout->cache_mask = masks[i / LH_GSPAN_BYTES];
		if (!may_be_index_cache(search, layout->cache_byte, layout->cache_mask))
			continue;
		for (uint8_t half = 0; half < LH_GSPAN_HALVES && *best_hits < probes_max; half++) {
			layout->cache_half = half;
			try_layout(search, best, best_hits);
		}
	}
}

static void find_object_list(struct list_search *search)
{
	struct lh_gspan_layout *layout = &search->walk->layout, best = *layout;
	size_t best_hits = 0;
	for (unsigned list = 0; list < LH_GSPAN_HALVES; list++) {
		if (list == layout->allocated_half || !may_be_list(search, list))
			continue;
		for (unsigned embed = 0; embed < LH_GSPAN_HALVES; embed++) {
			layout->list_half = (uint8_t)list;
			layout->embed_half = (uint8_t)embed;
			if (embed != list && embed != layout->allocated_half)
				try_caches(search, &best, &best_hits);
		}
	}
	*layout = best;
	layout->has_list = best_hits;
}

struct lh_error *lh_gwalk_find_lists(struct lh_gwalk *walk)
{
	struct list_search search LH_CLEANUP(deinit_list_search) = {.walk = walk, .marks = malloc(OBJECTS_MAX)};
	if (!search.marks)
		return lh_error_no_memory();
	LH_TRY(read_list_probes(&search));
	if (!search.probes.count)
		return NULL;
	if (!find_allocated(&search)) {
		walk->refusal = "no field of descriptors counts objects";
		return NULL;
	}
	keep_probes_with_free(&search);
	find_bitmap(&search);
	if (search.probes.count)
		find_object_list(&search);
	return NULL;
}
