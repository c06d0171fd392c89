/*
 * glibc_chunks: chunks that glibc's malloc maps individually, and its main heap. Input: memory. Output: claims. A
 * mapped chunk begins a page. The kernel merges neighbors, also with unrelated memory, so a chain of valid headers
 * counts as far as it goes. The main heap is a chain of chunks that begins where brk began, or, if brk is blocked,
 * where a mapping began.
 */
#include "glibc.h"

#include <stdlib.h>

enum {
	FLAG_PREVIOUS_USED = 1,
	FLAG_MAPPED = 2,
	FLAGS = 7,
	BURST_MAX = 256,
	CHAIN_MIN = 6, /* consecutive headers that prove a heap */
	CHUNK_BYTES_MIN = 32,
};

/*
 * malloc maps chunks of at least 128 KiB (M_MMAP_THRESHOLD by default); realloc shrinks them in place. Of smaller
 * mappings only this many are examined, the lowest ones.
 */
enum { SMALL_REGIONS_MAX = 4096, SMALL_REGION_BYTES = 128 * 1024 };

/*
 * Mappings of one size are a family: stacks, buffers of a program. In a family of more than FAMILY_MAX, this many are
 * examined, and the others only if one of them begins with a chunk. Sizes can share a slot: then their families count
 * as one.
 */
enum { FAMILY_MAX = 1024, FAMILY_SAMPLES = 256, FAMILY_SLOTS_LOG2 = 12 };

struct size_family {
	uint32_t count;
	uint32_t seen;
	bool has_chunks;
};

/*
 * After unrelated memory in the same mapping, such as a stack, chunks are searched at page starts: at the first pages
 * of each present run, in mappings of at most this size together.
 */
#define SEARCHED_BYTES_MAX (2 * LH_GIB)
enum { SEARCHED_REGIONS_MAX = 512, SEARCHED_PAGES_MAX = 8192, SEARCHED_RUN_PAGES = 64 };

/* A stretch of a mapping that is being walked from chunk to chunk. */
struct chunk_walk {
	size_t region_index;
	uint64_t start;      /* of the chain */
	uint64_t at;         /* the next header */
	uint64_t step_bytes; /* the size of the previous chunk: neighbors often have one size */
	size_t burst;        /* how many headers to read ahead on that assumption */
	size_t first_peek;   /* of this round */
	size_t peek_count;
	bool may_be_heap; /* ended at its first header, which may be that of the main heap */
};

struct chunk_walks {
	const struct lh_heap_memory *memory;
	LH_VEC(struct chunk_walk) items;
	LH_VEC(struct chunk_walk) done;   /* walks that did not reach the end of their mapping */
	LH_VEC(struct lh_range) searched; /* where to search after these */
	struct lh_peeks peeks;
	struct size_family *families; /* 2^FAMILY_SLOTS_LOG2 slots */
};

static void chunk_walks_deinit(struct chunk_walks *walks)
{
	lh_vec_deinit(&walks->items);
	lh_vec_deinit(&walks->done);
	lh_vec_deinit(&walks->searched);
	lh_peeks_deinit(&walks->peeks);
	free(walks->families);
}

static const struct lh_region *region_of(const struct chunk_walks *walks, const struct chunk_walk *walk)
{
	return &walks->memory->list->regions.items[walk->region_index];
}

/* If one look at smaps shows memory as fully resident, its first page is present. */
static bool is_all_resident(const struct lh_region_list *list, const struct lh_region *region)
{
	return list->has_usage && region->usage.rss_bytes == region->end - region->start;
}

bool lh_glibc_parse_mapped(const uint64_t words[2], uint64_t bytes_left, uint64_t *ret_bytes)
{
	uint64_t size_bytes = words[1] & ~(uint64_t)FLAGS;
	bool is_new = size_bytes % LH_PAGE_BYTES == LH_PAGE_BYTES - 16;
	uint64_t total_bytes = is_new ? size_bytes + 16 : size_bytes;
	if (words[0] & ~(uint64_t)is_new || (words[1] & FLAGS) != FLAG_MAPPED || !total_bytes ||
	    total_bytes % LH_PAGE_BYTES || total_bytes > bytes_left)
		return false;
	*ret_bytes = total_bytes;
	return true;
}

/* ---------------------------------------------------------------- walking */

static struct lh_error *begin_chunk_walk(struct chunk_walks *walks, size_t region_index, uint64_t at)
{
	return lh_vec_push(&walks->items,
			   (struct chunk_walk){.region_index = region_index, .start = at, .at = at, .burst = 1});
}

/* Chains begin where a mapping begins, or where an arena's heap in it ends. */
static struct lh_error *begin_region_walks(struct chunk_walks *walks, size_t region_index,
					   const struct lh_owners *owners)
{
	const struct lh_region *region = &walks->memory->list->regions.items[region_index];
	uint64_t at = region->start;
	for (size_t i = lh_owners_index(owners, at); at < region->end; i++) {
		const struct lh_owner_range *owner = i < owners->items.count ? &owners->items.items[i] : NULL;
		if (!owner || owner->range.start > at)
			LH_TRY(begin_chunk_walk(walks, region_index, at));
		if (!owner)
			break;
		at = owner->range.end;
	}
	return NULL;
}

static struct size_family *family_of(const struct chunk_walks *walks, size_t region_index)
{
	uint64_t pages = lh_range_bytes(walks->memory->ranges[region_index]) / LH_PAGE_BYTES;
	return &walks->families[pages * UINT64_C(0x9e3779b97f4a7c15) >> (64 - FAMILY_SLOTS_LOG2)];
}

static bool may_hold_chunks(const struct chunk_walks *walks, size_t region_index)
{
	return lh_heap_has(walks->memory, region_index, LH_HEAP_PLAIN) &&
	       lh_heap_has(walks->memory, region_index, LH_HEAP_TOUCHED) &&
	       !lh_heap_has(walks->memory, region_index, LH_HEAP_BRK);
}

static bool is_small_region(const struct chunk_walks *walks, size_t region_index)
{
	return lh_range_bytes(walks->memory->ranges[region_index]) < SMALL_REGION_BYTES;
}

static struct lh_error *count_families(struct chunk_walks *walks)
{
	walks->families = calloc(1 << FAMILY_SLOTS_LOG2, sizeof(*walks->families));
	if (!walks->families)
		return lh_error_no_memory();
	for (size_t i = 0; i < walks->memory->list->regions.count; i++) {
		if (!is_small_region(walks, i) && may_hold_chunks(walks, i))
			family_of(walks, i)->count++;
	}
	return NULL;
}

/* Evenly spaced members of a large family; all members of the others. */
static bool is_sampled(struct size_family *family)
{
	uint32_t stride = family->count > FAMILY_MAX ? family->count / FAMILY_SAMPLES : 1;
	return family->seen++ % stride == 0;
}

static struct lh_error *begin_all_walks(struct chunk_walks *walks, const struct lh_owners *owners)
{
	size_t small_count = 0;
	LH_TRY(count_families(walks));
	for (size_t i = 0; i < walks->memory->list->regions.count; i++) {
		bool is_small = is_small_region(walks, i);
		if (!may_hold_chunks(walks, i) ||
		    (is_small ? small_count++ >= SMALL_REGIONS_MAX : !is_sampled(family_of(walks, i))))
			continue;
		LH_TRY(begin_region_walks(walks, i, owners));
	}
	return NULL;
}

/* Begins at the unsampled members of families in which chunks were found. */
static struct lh_error *begin_other_walks(struct chunk_walks *walks, const struct lh_owners *owners)
{
	for (int slot = 0; slot < 1 << FAMILY_SLOTS_LOG2; slot++)
		walks->families[slot].seen = 0;
	for (size_t i = 0; i < walks->memory->list->regions.count; i++) {
		if (is_small_region(walks, i) || !may_hold_chunks(walks, i))
			continue;
		struct size_family *family = family_of(walks, i);
		if (!is_sampled(family) && family->has_chunks)
			LH_TRY(begin_region_walks(walks, i, owners));
	}
	return NULL;
}

static struct lh_error *plan_chunk_peeks(struct chunk_walks *walks)
{
	walks->peeks.items.count = 0;
	for (size_t i = 0; i < walks->items.count; i++) {
		struct chunk_walk *walk = &walks->items.items[i];
		const struct lh_region *region = region_of(walks, walk);
		struct lh_peek peek = {.addr = walk->at, .is_present = is_all_resident(walks->memory->list, region)};
		walk->first_peek = walks->peeks.items.count;
		for (size_t j = 0; j < walk->burst && peek.addr < region->end; j++) {
			LH_TRY(lh_vec_push(&walks->peeks.items, peek));
			if (region->end - peek.addr <= walk->step_bytes)
				break;
			peek.addr += walk->step_bytes;
		}
		walk->peek_count = walks->peeks.items.count - walk->first_peek;
	}
	return NULL;
}

/* The header of the main heap's first chunk: the previous chunk counts as used, and prev_size is 0. */
static bool is_first_heap_header(const struct lh_peek *peek)
{
	return peek->is_read && !peek->words[0] && (peek->words[1] & FLAGS) == FLAG_PREVIOUS_USED &&
	       peek->words[1] >= CHUNK_BYTES_MIN;
}

/* Advances as far as this round's headers lead. False when the chain ends here. */
static bool advance_chunk_walk(const struct chunk_walks *walks, struct chunk_walk *walk)
{
	uint64_t end = region_of(walks, walk)->end;
	const struct lh_peek *peeks = &walks->peeks.items.items[walk->first_peek];
	for (size_t i = 0; i < walk->peek_count; i++) {
		uint64_t bytes;
		if (!peeks[i].is_read || !lh_glibc_parse_mapped(peeks[i].words, end - walk->at, &bytes)) {
			walk->may_be_heap = walk->at == walk->start && is_first_heap_header(&peeks[i]);
			return false;
		}
		walk->at += bytes;
		if (bytes != walk->step_bytes) {
			walk->step_bytes = bytes;
			walk->burst = 4;
			return true;
		}
	}
	walk->burst = lh_min_u64(walk->burst * 2, BURST_MAX);
	return true;
}

static struct lh_error *settle_chunk_round(struct chunk_walks *walks, struct lh_owners *ret)
{
	size_t kept = 0;
	for (size_t i = 0; i < walks->items.count; i++) {
		struct chunk_walk walk = walks->items.items[i];
		bool goes_on = advance_chunk_walk(walks, &walk);
		bool is_at_end = walk.at == region_of(walks, &walk)->end;
		if (goes_on && !is_at_end) {
			walks->items.items[kept++] = walk;
			continue;
		}
		if (walk.at > walk.start) {
			family_of(walks, walk.region_index)->has_chunks = true;
			LH_TRY(lh_heap_claim(walks->memory, walk.start, walk.at, LH_REGION_MMAP_CHUNK, ret));
		}
		if (!is_at_end)
			LH_TRY(lh_vec_push(&walks->done, walk));
	}
	walks->items.count = kept;
	return NULL;
}

static struct lh_error *walk_chunks(struct chunk_walks *walks, struct lh_owners *ret)
{
	while (walks->items.count) {
		LH_TRY(plan_chunk_peeks(walks));
		LH_TRY(walks->memory->peek(walks->memory->context, walks->peeks.items.items, walks->peeks.items.count));
		LH_TRY(settle_chunk_round(walks, ret));
	}
	return NULL;
}

/* ---------------------------------------------------------------- behind memory of others */

/* Adds at most `count_max` pages in all, so that no mapping takes the share of later ones. */
static struct lh_error *add_run_pages(const struct lh_page_runs *runs, size_t count_max, struct lh_peeks *ret)
{
	const size_t until = ret->items.count + count_max;
	for (size_t i = 0; i < runs->runs.count; i++) {
		struct lh_range range = runs->runs.items[i].range;
		uint64_t end = lh_min_u64(range.end, range.start + (uint64_t)SEARCHED_RUN_PAGES * LH_PAGE_BYTES);
		for (uint64_t addr = range.start; addr < end && ret->items.count < until; addr += LH_PAGE_BYTES)
			LH_TRY(lh_vec_push(&ret->items, (struct lh_peek){.addr = addr, .is_present = true}));
	}
	return NULL;
}

static int compare_searched(const void *a, const void *b)
{
	const struct lh_range *first = a, *second = b;
	int order = lh_compare_u64(lh_range_bytes(*first), lh_range_bytes(*second));
	return order ? order : lh_compare_u64(first->start, second->start);
}

/* Page starts after the ends of chains: the smallest mappings first, each with an even share of the pages. */
static struct lh_error *list_searched_pages(struct chunk_walks *walks, struct lh_peeks *ret)
{
	for (size_t i = 0; i < walks->done.count; i++) {
		const struct chunk_walk *walk = &walks->done.items[i];
		struct lh_range range = {walk->at, region_of(walks, walk)->end};
		if (lh_range_bytes(range) > SMALL_REGION_BYTES && lh_range_bytes(range) <= SEARCHED_BYTES_MAX)
			LH_TRY(lh_vec_push(&walks->searched, range));
	}
	lh_vec_sort(&walks->searched, compare_searched);
	const size_t count = lh_min_u64(walks->searched.count, SEARCHED_REGIONS_MAX);
	uint64_t bytes_left = SEARCHED_BYTES_MAX;
	for (size_t i = 0; i < count && lh_range_bytes(walks->searched.items[i]) <= bytes_left; i++) {
		struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
		bytes_left -= lh_range_bytes(walks->searched.items[i]);
		LH_TRY(walks->memory->find_present(walks->memory->context, walks->searched.items[i], &runs));
		LH_TRY(add_run_pages(&runs, (SEARCHED_PAGES_MAX - ret->items.count) / (count - i), ret));
	}
	return NULL;
}

static int compare_peeks(const void *a, const void *b)
{
	return lh_compare_u64(((const struct lh_peek *)a)->addr, ((const struct lh_peek *)b)->addr);
}

static struct lh_error *begin_found_walks(struct chunk_walks *walks, const struct lh_peeks *peeks,
					  const struct lh_owners *owners)
{
	uint64_t known_until = 0;
	for (size_t i = 0; i < peeks->items.count; i++) {
		const struct lh_peek *peek = &peeks->items.items[i];
		size_t index = lh_heap_region_index(walks->memory, peek->addr);
		uint64_t bytes, end = walks->memory->list->regions.items[index].end;
		if (!peek->is_read || peek->addr < known_until ||
		    !lh_glibc_parse_mapped(peek->words, end - peek->addr, &bytes) || lh_owners_find(owners, peek->addr))
			continue;
		known_until = peek->addr + bytes;
		LH_TRY(begin_chunk_walk(walks, index, peek->addr));
	}
	return NULL;
}

static struct lh_error *search_for_chunks(struct chunk_walks *walks, struct lh_owners *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	LH_TRY(list_searched_pages(walks, &peeks));
	if (!peeks.items.count)
		return NULL;
	LH_TRY(lh_owners_settle(ret));
	lh_vec_sort(&peeks.items, compare_peeks);
	LH_TRY(walks->memory->peek(walks->memory->context, peeks.items.items, peeks.items.count));
	LH_TRY(begin_found_walks(walks, &peeks, ret));
	return walk_chunks(walks, ret);
}

/* ---------------------------------------------------------------- the main heap */

/* {prev_size, size | A | M | P}: neither mapped individually nor of another arena. */
static bool parse_heap_header(const uint64_t words[2], uint64_t bytes_left, uint64_t *ret_bytes)
{
	uint64_t bytes = words[1] & ~(uint64_t)FLAGS;
	if ((words[1] & FLAGS) > FLAG_PREVIOUS_USED || bytes % 16 || bytes < CHUNK_BYTES_MIN || bytes > bytes_left)
		return false;
	*ret_bytes = bytes;
	return true;
}

/* CHAIN_MIN chunks from `start` on, or as many as there are; at least one: "top" of an unused heap. */
static bool begins_heap(const struct lh_heap_memory *memory, uint64_t start, uint64_t end)
{
	uint64_t words[2], bytes, before_bytes = 0;
	for (int i = 0; i < CHAIN_MIN; i++) {
		if (!lh_heap_read_words(memory, start, words, 2) || !parse_heap_header(words, end - start, &bytes))
			return false;
		bool is_previous_used = words[1] & FLAG_PREVIOUS_USED;
		if (!is_previous_used && (!i || words[0] != before_bytes))
			return false;
		if (!i && words[0])
			return false;
		start += bytes;
		before_bytes = bytes;
		if (start == end)
			return true;
	}
	return true;
}

/*
 * sbrk_base is where brk began. A mapping that malloc took instead of brk also begins with a chunk, and has the first
 * chunk's P set (malloc/malloc.c, sysmalloc, MMAP_AS_MORECORE_SIZE: 1 MiB).
 */
static struct lh_error *claim_main_heap(const struct lh_heap_memory *memory, const struct chunk_walks *walks,
					struct lh_owners *ret)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (lh_heap_has(memory, i, LH_HEAP_BRK) && region->kind == LH_REGION_HEAP &&
		    begins_heap(memory, region->start, region->end))
			LH_TRY(lh_heap_claim(memory, region->start, region->end, LH_REGION_HEAP, ret));
	}
	for (size_t i = 0; i < walks->done.count; i++) {
		const struct chunk_walk *walk = &walks->done.items[i];
		const struct lh_region *region = region_of(walks, walk);
		if (walk->may_be_heap && walk->at == region->start && region->end - region->start >= LH_MIB &&
		    begins_heap(memory, region->start, region->end))
			LH_TRY(lh_heap_claim(memory, region->start, region->end, LH_REGION_HEAP, ret));
	}
	return NULL;
}

struct lh_error *lh_glibc_claim_chunks(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct chunk_walks walks LH_CLEANUP(chunk_walks_deinit) = {.memory = memory};
	LH_TRY(begin_all_walks(&walks, ret));
	LH_TRY(walk_chunks(&walks, ret));
	LH_TRY(lh_owners_settle(ret));
	LH_TRY(begin_other_walks(&walks, ret));
	LH_TRY(walk_chunks(&walks, ret));
	LH_TRY(claim_main_heap(memory, &walks, ret));
	return search_for_chunks(&walks, ret);
}
