/*
 * google_tcmalloc_caches: freed objects that CPUs and transfer caches of Google's tcmalloc keep. Input: the module's
 * variables. Output: marks. A variable holds the address of the CPUs' slabs together with the logarithm of their size
 * (percpu_tcmalloc.h, SlabsAndShift). A slab begins with a header per class that says up to which word its pointers
 * reach. A transfer cache points to an array of objects of one class (transfer_cache_internals.h).
 */
#include "google_tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum { SHIFT_MIN = 12, SHIFT_MAX = 20, SHIFT_MASK = 0xff, CPUS_MAX = 4096, BEGIN_MARK = 1 };

/* A header has 8 bytes {current, copy of end, begin, end}, or since 2023 4 bytes {current, end or remaining}. */
static const uint8_t header_sizes[] = {4, 8};
enum { HEADER_BEGIN = 4 };

struct cache_search {
	struct lh_gwalk *walk;
	uint64_t slabs; /* of the first CPU */
	uint8_t shift;
	uint8_t header_bytes;
	uint8_t *slab;             /* 1 << SHIFT_MAX bytes */
	LH_VEC(uint64_t) pointers; /* addresses of variables that point to arrays of objects */
	LH_VEC(uint32_t) classes;  /* of these */
};

static void deinit_slab_search(struct cache_search *search)
{
	free(search->slab);
	lh_vec_deinit(&search->pointers);
	lh_vec_deinit(&search->classes);
}

static uint16_t slab_half(const struct cache_search *search, uint64_t offset)
{
	uint16_t value;
	memcpy(&value, search->slab + offset, sizeof(value));
	return value;
}

static uint64_t slab_word(const struct cache_search *search, uint64_t index)
{
	uint64_t value;
	memcpy(&value, search->slab + index * 8, sizeof(value));
	return value;
}

/* ---------------------------------------------------------------- slabs of CPUs */

/* Absent pages are zero. False: no page is present. */
static bool read_slab(struct cache_search *search, uint64_t addr, uint64_t bytes)
{
	struct lh_heap_tour *tour = search->walk->tour;
	bool is_present = false;
	for (uint64_t at = 0; at < bytes; at += LH_PAGE_BYTES) {
		const uint8_t *page = lh_gmap_is_metadata(tour->memory, addr + at)
					      ? lh_heap_bytes(tour, addr + at, LH_PAGE_BYTES)
					      : NULL;
		if (page)
			memcpy(search->slab + at, page, LH_PAGE_BYTES);
		else
			memset(search->slab + at, 0, LH_PAGE_BYTES);
		is_present |= page != NULL;
	}
	return is_present;
}

/* The objects of a class lie below its current word, down to a marked word, or to where its header says. */
static uint64_t first_slot(const struct cache_search *search, uint32_t size_class, uint64_t current)
{
	uint64_t header = (uint64_t)size_class * search->header_bytes, at = current;
	uint64_t low = search->header_bytes == 8 ? slab_half(search, header + HEADER_BEGIN) : 0;
	while (at > low && lh_gwalk_is_object(search->walk, slab_word(search, at - 1), size_class))
		at--;
	return at;
}

/* How many classes have objects in this slab as its headers say; 0 if one header is impossible. */
static size_t count_slab_classes(const struct cache_search *search)
{
	uint64_t words = (UINT64_C(1) << search->shift) / 8, header_words;
	size_t filled = 0;
	header_words = (uint64_t)search->walk->used_class_count * search->header_bytes / 8;
	for (uint32_t i = 1; i < search->walk->used_class_count; i++) {
		uint64_t current = slab_half(search, (uint64_t)i * search->header_bytes);
		if (!current || !search->walk->class_bytes[i])
			continue;
		if (current > words)
			return 0;
		uint64_t first = first_slot(search, i, current);
		uint64_t begin = search->header_bytes == 8 ? slab_half(search, (uint64_t)i * 8 + HEADER_BEGIN) : first;
		bool is_closed =
			search->header_bytes == 8 ? first == begin : first && slab_word(search, first - 1) & BEGIN_MARK;
		if (current < header_words / 2 || !is_closed)
			return 0;
		filled += first < current;
	}
	return filled;
}

static struct lh_error *mark_slab(struct cache_search *search)
{
	for (uint32_t i = 1; i < search->walk->used_class_count; i++) {
		uint64_t current = slab_half(search, (uint64_t)i * search->header_bytes);
		if (!current || !search->walk->class_bytes[i])
			continue;
		for (uint64_t at = first_slot(search, i, current); at < current; at++) {
			LH_TRY(lh_heap_mark_cached(search->walk->tour, slab_word(search, at)));
		}
	}
	return NULL;
}

/* Takes the slabs there if one of the first CPUs has one. */
static void try_slabs(struct cache_search *search, uint64_t addr, uint8_t shift)
{
	enum { CPUS_TRIED = 64 };
	uint64_t bytes = UINT64_C(1) << shift;
	for (uint64_t cpu = 0; cpu < CPUS_TRIED && lh_gmap_is_metadata(search->walk->tour->memory, addr + cpu * bytes);
	     cpu++) {
		if (!read_slab(search, addr + cpu * bytes, bytes))
			continue;
		search->shift = shift;
		for (size_t i = 0; i < LH_ARRAY_COUNT(header_sizes); i++) {
			search->header_bytes = header_sizes[i];
			if (count_slab_classes(search) > 1) {
				search->slabs = addr;
				return;
			}
		}
	}
}

static struct lh_error *search_slabs(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct cache_search *search = context;
	(void)addr;
	for (size_t i = 0; i < count && !search->slabs; i++) {
		uint64_t shift = words[i] & SHIFT_MASK, slabs = words[i] & ~(uint64_t)SHIFT_MASK;
		if (shift >= SHIFT_MIN && shift <= SHIFT_MAX && slabs % LH_PAGE_BYTES == 0 &&
		    lh_gmap_is_metadata(search->walk->tour->memory, slabs))
			try_slabs(search, slabs, (uint8_t)shift);
	}
	return NULL;
}

static struct lh_error *mark_slabs(struct cache_search *search)
{
	uint64_t bytes = UINT64_C(1) << search->shift;
	for (uint64_t cpu = 0; cpu < CPUS_MAX; cpu++) {
		uint64_t addr = search->slabs + cpu * bytes;
		if (!lh_gmap_is_metadata(search->walk->tour->memory, addr))
			break;
		if (read_slab(search, addr, bytes) && count_slab_classes(search))
			LH_TRY(mark_slab(search));
	}
	return NULL;
}

/* ---------------------------------------------------------------- transfer caches */

enum { POINTERS_MIN = 4, USED_DISTANCE = 64, USED_MAX = 4096, NO_OFFSET = INT32_MIN };

static struct lh_error *search_transfers(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	struct cache_search *search = context;
	struct lh_gwalk *walk = search->walk;
	for (size_t i = 0; i < count; i++) {
		uint64_t object;
		if (!words[i] || !lh_gmap_is_metadata(walk->tour->memory, words[i]) ||
		    lh_gwalk_span_at(walk, words[i]) || !lh_heap_words(walk->tour, words[i], &object, 1))
			continue;
		const struct lh_gspan *span = lh_gwalk_span_at(walk, object);
		if (!span || !lh_gwalk_is_object(walk, object, span->size_class))
			continue;
		LH_TRY(lh_vec_push(&search->pointers, addr + i * 8));
		LH_TRY(lh_vec_push(&search->classes, span->size_class));
	}
	return NULL;
}

static bool read_used(struct cache_search *search, size_t index, int32_t offset, uint32_t ret[2])
{
	const uint8_t *bytes = lh_heap_bytes(search->walk->tour, search->pointers.items[index] + (uint64_t)offset, 8);
	if (!bytes)
		return false;
	memcpy(ret, bytes, 8);
	return ret[0] <= ret[1] && ret[1] && ret[1] <= USED_MAX;
}

/* Whether the first `used` words of the array are objects of its class. */
static bool are_objects(struct cache_search *search, size_t index, uint32_t used)
{
	uint64_t array, object;
	if (!lh_heap_words(search->walk->tour, search->pointers.items[index], &array, 1))
		return false;
	for (uint32_t i = 0; i < used; i++) {
		if (!lh_heap_words(search->walk->tour, array + (uint64_t)i * 8, &object, 1) ||
		    !lh_gwalk_is_object(search->walk, object, search->classes.items[index]))
			return false;
	}
	return true;
}

/* The distance of {used, capacity} from the pointer: the one at which most caches hold what they say. */
static int32_t find_used_offset(struct cache_search *search)
{
	int32_t best = NO_OFFSET;
	size_t best_hits = POINTERS_MIN - 1;
	uint64_t best_sum = 0;
	for (int32_t offset = -USED_DISTANCE; offset <= USED_DISTANCE; offset += 4) {
		size_t hits = 0;
		uint64_t sum = 0;
		for (size_t i = 0; i < search->pointers.count; i++) {
			uint32_t used[2];
			bool holds = read_used(search, i, offset, used) && are_objects(search, i, used[0]);
			hits += holds;
			sum += holds ? used[0] : 0;
		}
		if (sum && (hits > best_hits || (hits == best_hits && sum > best_sum))) {
			best_hits = hits;
			best_sum = sum;
			best = offset;
		}
	}
	return best;
}

static struct lh_error *mark_transfers(struct cache_search *search, int32_t offset)
{
	for (size_t i = 0; i < search->pointers.count; i++) {
		uint32_t used[2];
		uint64_t array, object;
		if (!read_used(search, i, offset, used) || !are_objects(search, i, used[0]) ||
		    !lh_heap_words(search->walk->tour, search->pointers.items[i], &array, 1))
			continue;
		for (uint32_t j = 0; j < used[0]; j++) {
			if (lh_heap_words(search->walk->tour, array + (uint64_t)j * 8, &object, 1))
				LH_TRY(lh_heap_mark_cached(search->walk->tour, object));
		}
	}
	return NULL;
}

struct lh_error *lh_gwalk_mark_cached(struct lh_gwalk *walk)
{
	struct cache_search search LH_CLEANUP(deinit_slab_search) = {
		.walk = walk,
		.slab = malloc((size_t)1 << SHIFT_MAX),
	};
	size_t threads;
	if (!search.slab)
		return lh_error_no_memory();
	LH_TRY(lh_gwalk_visit_words(walk->tour, walk->map.data, search_slabs, &search));
	if (search.slabs)
		LH_TRY(mark_slabs(&search));
	LH_TRY(lh_gwalk_mark_threads(walk, &threads));
	if (!search.slabs && !threads)
		lh_heap_note(walk->tour, "no cache of a CPU or thread found: objects in them count as used");
	LH_TRY(lh_gwalk_visit_words(walk->tour, walk->map.data, search_transfers, &search));
	int32_t offset = find_used_offset(&search);
	return offset == NO_OFFSET ? NULL : mark_transfers(&search, offset);
}
