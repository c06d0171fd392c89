/*
 * google_tcmalloc_threads: freed objects that threads of Google's tcmalloc keep, where it has no restartable sequences:
 * since 2.35 glibc takes those. Input: the module's variables. Output: marks. A thread's cache is an array of lists,
 * one per size class: {first object, length u32, ...} (thread_cache.h, FreeList). Objects are linked by their first
 * words. The caches are linked by pointers behind the array.
 */
#include "google_tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_WORDS_MIN = 2, LIST_WORDS_MAX = 5, TAIL_WORDS = 768, LENGTH_MAX = 1 << 20, CACHES_MAX = 1 << 16 };
enum { CACHE_WORDS_MAX = LH_GCLASSES_MAX * LIST_WORDS_MAX + TAIL_WORDS };

struct thread_search {
	struct lh_gwalk *walk;
	size_t list_words; /* 0: not known yet */
	LH_VEC(uint64_t) caches;
	struct lh_hash_table known;
	uint64_t words[CACHE_WORDS_MAX];
};

static void destroy_thread_search(struct thread_search **search)
{
	if (!*search)
		return;
	lh_vec_deinit(&(*search)->caches);
	lh_hash_table_deinit(&(*search)->known);
	free(*search);
}

/* How many classes have a list of their objects; 0 if one has an impossible list. */
static size_t count_lists_with(const struct thread_search *search, size_t list_words)
{
	size_t filled = 0;
	for (uint32_t i = 0; i < search->walk->used_class_count; i++) {
		uint64_t first = search->words[i * list_words], length = search->words[i * list_words + 1] & UINT32_MAX;
		if (!first && !length)
			continue;
		if (!first || !length || length > LENGTH_MAX || !lh_gwalk_is_object(search->walk, first, i))
			return 0;
		filled++;
	}
	return filled;
}

/* Reads `count` words, and as many of the tail as are present; the rest of the tail is zero. */
static bool read_with_tail(struct thread_search *search, uint64_t addr, size_t count)
{
	enum { STEP_WORDS = 16 };
	struct lh_heap_tour *tour = search->walk->tour;
	memset(&search->words[count], 0, TAIL_WORDS * sizeof(search->words[0]));
	if (!lh_heap_words(tour, addr, search->words, count))
		return false;
	for (size_t i = 0; i < TAIL_WORDS; i += STEP_WORDS) {
		if (!lh_heap_words(tour, addr + (count + i) * 8, &search->words[count + i], STEP_WORDS))
			break;
	}
	return true;
}

/* Reads a cache. False: there is none at `addr`. */
static bool read_linked_cache(struct thread_search *search, uint64_t addr, size_t lists_min)
{
	size_t known = search->list_words;
	if (!lh_gmap_is_metadata(search->walk->tour->memory, addr) || lh_gwalk_span_at(search->walk, addr))
		return false;
	for (size_t words = known ? known : LIST_WORDS_MIN; words <= (known ? known : LIST_WORDS_MAX); words++) {
		if (!read_with_tail(search, addr, search->walk->used_class_count * words))
			return false;
		if (count_lists_with(search, words) >= lists_min) {
			search->list_words = words;
			return true;
		}
	}
	return false;
}

static struct lh_error *take_thread_cache(struct thread_search *search, uint64_t addr, size_t lists_min)
{
	uint32_t number;
	if (search->caches.count == CACHES_MAX || lh_hash_table_find(&search->known, addr, &number) ||
	    !read_linked_cache(search, addr, lists_min))
		return NULL;
	LH_TRY(lh_hash_table_put(&search->known, addr, 1));
	return lh_vec_push(&search->caches, addr);
}

/* A first cache proves its layout by several lists. */
static struct lh_error *search_thread_caches(void *context, uint64_t addr, const uint64_t *words, size_t count)
{
	enum { LISTS_MIN = 3 };
	struct thread_search *search = context;
	(void)addr;
	for (size_t i = 0; i < count; i++) {
		if (words[i] && !search->caches.count)
			LH_TRY(take_thread_cache(search, words[i], LISTS_MIN));
	}
	return NULL;
}

static struct lh_error *mark_thread_list(struct thread_search *search, uint32_t size_class, uint64_t addr,
					 uint64_t length)
{
	struct lh_gwalk *walk = search->walk;
	uint64_t count = 0, first = addr;
	while (addr && count < length && lh_gwalk_is_object(walk, addr, size_class)) {
		LH_TRY(lh_heap_mark_cached(walk->tour, addr));
		count++;
		if (!lh_heap_words(walk->tour, addr, &addr, 1))
			break;
	}
	lh_heap_check(walk->tour, count == length && !addr, first, "thread's cache: list and length differ");
	return NULL;
}

/* Marks a cache's objects, and finds caches linked with it: these may be empty. */
static struct lh_error *mark_thread_cache(struct thread_search *search, uint64_t addr)
{
	uint64_t tail[TAIL_WORDS];
	if (!read_linked_cache(search, addr, 0))
		return NULL;
	size_t lists_end = search->walk->used_class_count * search->list_words;
	memcpy(tail, &search->words[lists_end], sizeof(tail));
	for (uint32_t i = 1; i < search->walk->used_class_count; i++) {
		const uint64_t *list = &search->words[i * search->list_words];
		if (list[0])
			LH_TRY(mark_thread_list(search, i, list[0], list[1] & UINT32_MAX));
	}
	for (size_t i = 0; i < TAIL_WORDS; i++) {
		if (tail[i])
			LH_TRY(take_thread_cache(search, tail[i], 1));
	}
	return NULL;
}

struct lh_error *lh_gwalk_mark_threads(struct lh_gwalk *walk, size_t *ret_caches)
{
	LH_CLEANUP(destroy_thread_search) struct thread_search *search = calloc(1, sizeof(*search));
	*ret_caches = 0;
	if (!search)
		return lh_error_no_memory();
	search->walk = walk;
	LH_TRY(lh_gwalk_visit_words(walk->tour, walk->map.data, search_thread_caches, search));
	for (size_t i = 0; i < search->caches.count; i++)
		LH_TRY(mark_thread_cache(search, search->caches.items[i]));
	*ret_caches = search->caches.count;
	return NULL;
}
