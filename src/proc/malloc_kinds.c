/*
 * malloc_kinds: arenas and mmapped chunks by the headers that glibc keeps in them. Input: a live process
 * and its regions. Output: kinds. Only present pages are looked at; what cannot be read, or is not
 * explained from end to end, keeps the kind it had.
 */
#include "malloc_kinds.h"

#include "peek.h"

#include <stdlib.h>

enum { BURST_MAX = 256 };

/*
 * malloc maps chunks from 128 KiB on (M_MMAP_THRESHOLD), unless told otherwise; realloc shrinks them in place.
 * A peek costs 0.7 us (Linux 6.18): of smaller regions only this many are looked at, the lowest ones.
 */
enum { SMALL_REGIONS_MAX = 4096, SMALL_REGION_BYTES = 128 * 1024 };

/* A region being walked from chunk to chunk. */
struct walk {
	size_t region_index;
	uint64_t at;         /* the next header */
	uint64_t step_bytes; /* the size of the chunk before: neighbours are often alike */
	size_t burst;        /* how many headers to read ahead, assuming so */
	size_t first_peek;   /* of this round */
	size_t peek_count;
};

struct walks {
	LH_VEC(struct walk) items;
	LH_VEC(struct lh_peek) peeks;
};

static void walks_deinit(struct walks *walks)
{
	lh_vec_deinit(&walks->items);
	lh_vec_deinit(&walks->peeks);
}

static bool is_plain_memory(const struct lh_region *region)
{
	return region->protection == (LH_PROT_READ | LH_PROT_WRITE) && !region->is_io && lh_region_is_anonymous(region);
}

/* In one look at smaps, memory that was resident to the last page has its first page present. */
static bool is_all_resident(const struct lh_region_list *list, const struct lh_region *region)
{
	return list->has_usage && region->usage.rss_bytes == region->end - region->start;
}

/* ---------------------------------------------------------------- arenas */

/*
 * struct heap_info {ar_ptr, prev, size, mprotect_size} (glibc malloc/arena.c). The arena lies right
 * behind the heap_info (32 to 64 bytes) of its first heap.
 */
static bool is_heap_info(const uint64_t words[LH_PEEK_WORDS])
{
	uint64_t arena_offset = words[0] % LH_ARENA_HEAP_BYTES;
	return words[0] > LH_ARENA_HEAP_BYTES && arena_offset >= 32 && arena_offset <= 64 && !(arena_offset % 16) &&
	       !(words[1] % LH_ARENA_HEAP_BYTES) && words[2] && !(words[2] % LH_PAGE_BYTES) &&
	       !(words[3] % LH_PAGE_BYTES) && words[2] <= words[3] && words[3] <= LH_ARENA_HEAP_BYTES;
}

/* What the text suggested, and whole multiples of a heap, which it could not tell from other memory. */
static bool is_arena_candidate(const struct lh_region *region)
{
	bool is_aligned = !(region->start % LH_ARENA_HEAP_BYTES);
	bool is_whole = !(region->end % LH_ARENA_HEAP_BYTES);
	return is_plain_memory(region) && is_aligned &&
	       (region->kind == LH_REGION_ARENA || (region->kind == LH_REGION_ANON && is_whole));
}

struct lh_error *lh_set_arena_kinds(const struct lh_process *process, struct lh_region_list *list)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		struct lh_region *region = &list->regions.items[i];
		if (!is_arena_candidate(region))
			continue;
		struct lh_peek peek = {.addr = region->start, .is_present = is_all_resident(list, region)};
		LH_TRY(lh_process_peek(process, &peek, 1));
		if (peek.is_read)
			region->kind = is_heap_info(peek.words) ? LH_REGION_ARENA : LH_REGION_ANON;
	}
	return NULL;
}

/* ---------------------------------------------------------------- mmapped chunks */

/*
 * prev_size 0, size a multiple of the page with only IS_MMAPPED of the three low bits (glibc malloc/malloc.c,
 * sysmalloc_mmap). memalign moves the chunk up, and leaves this header as it was.
 */
static bool is_mmapped_header(const uint64_t words[LH_PEEK_WORDS], uint64_t bytes_left, uint64_t *ret_size_bytes)
{
	uint64_t size_bytes = words[1] & ~(uint64_t)7;
	if (words[0] || (words[1] & 7) != 2 || !size_bytes || size_bytes % LH_PAGE_BYTES || size_bytes > bytes_left)
		return false;
	*ret_size_bytes = size_bytes;
	return true;
}

static bool is_chunk_candidate(const struct lh_region_list *list, const struct lh_region *region)
{
	return region->kind == LH_REGION_ANON && is_plain_memory(region) &&
	       (!list->has_usage || region->usage.rss_bytes);
}

static struct lh_error *begin_walks(const struct lh_region_list *list, struct walks *ret)
{
	size_t small_count = 0;
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (!is_chunk_candidate(list, region))
			continue;
		if (region->end - region->start < SMALL_REGION_BYTES && ++small_count > SMALL_REGIONS_MAX)
			continue;
		LH_TRY(lh_vec_push(&ret->items, (struct walk){.region_index = i, .at = region->start, .burst = 1}));
	}
	return NULL;
}

static struct lh_error *plan_peeks(const struct lh_region_list *list, struct walks *walks)
{
	walks->peeks.count = 0;
	for (size_t i = 0; i < walks->items.count; i++) {
		struct walk *walk = &walks->items.items[i];
		const struct lh_region *region = &list->regions.items[walk->region_index];
		struct lh_peek peek = {.addr = walk->at, .is_present = is_all_resident(list, region)};
		walk->first_peek = walks->peeks.count;
		for (size_t j = 0; j < walk->burst && peek.addr < region->end; j++) {
			LH_TRY(lh_vec_push(&walks->peeks, peek));
			if (region->end - peek.addr <= walk->step_bytes)
				break;
			peek.addr += walk->step_bytes;
		}
		walk->peek_count = walks->peeks.count - walk->first_peek;
	}
	return NULL;
}

/* Goes as far as this round's headers lead. false when one of them is none: the region is something else. */
static bool advance(const struct lh_region_list *list, const struct walks *walks, struct walk *walk)
{
	uint64_t end = list->regions.items[walk->region_index].end;
	const struct lh_peek *peeks = &walks->peeks.items[walk->first_peek];
	for (size_t i = 0; i < walk->peek_count; i++) {
		uint64_t size_bytes;
		if (!peeks[i].is_read || !is_mmapped_header(peeks[i].words, end - walk->at, &size_bytes))
			return false;
		walk->at += size_bytes;
		if (size_bytes != walk->step_bytes) {
			walk->step_bytes = size_bytes;
			walk->burst = 4;
			return true;
		}
	}
	walk->burst = lh_min_u64(walk->burst * 2, BURST_MAX);
	return true;
}

/* Walks that came to the end of their region are done; the others go on. */
static void settle_round(struct lh_region_list *list, struct walks *walks)
{
	size_t kept = 0;
	for (size_t i = 0; i < walks->items.count; i++) {
		struct walk walk = walks->items.items[i];
		if (!advance(list, walks, &walk))
			continue;
		if (walk.at == list->regions.items[walk.region_index].end)
			list->regions.items[walk.region_index].kind = LH_REGION_MMAP_CHUNK;
		else
			walks->items.items[kept++] = walk;
	}
	walks->items.count = kept;
}

struct lh_error *lh_set_mmap_chunk_kinds(const struct lh_process *process, struct lh_region_list *list)
{
	struct walks walks LH_CLEANUP(walks_deinit) = {0};
	LH_TRY(begin_walks(list, &walks));
	while (walks.items.count) {
		LH_TRY(plan_peeks(list, &walks));
		LH_TRY(lh_process_peek(process, walks.peeks.items, walks.peeks.count));
		settle_round(list, &walks);
	}
	return NULL;
}
