/*
 * glibc_arenas: heaps of glibc's arenas. Input: memory. Output: claims. An arena's heap begins at a multiple of 64 MiB
 * with {ar_ptr, prev, size, mprotect_size} (glibc malloc/arena.c, heap_info), whatever pieces it is mapped in. Guards
 * after it are missing after a split, in a forked child, or if the next heap follows directly.
 */
#include "glibc.h"

#include <stdlib.h>

/* HEAP_MAX_SIZE: 2 * DEFAULT_MMAP_THRESHOLD_MAX on 64 bit (glibc 2.10 to 2.44). */
#define HEAP_MAX_BYTES (64 * LH_MIB)

enum { PEEKS_MAX = 65536 };

/* heap_info is 32 bytes, since 2.35 48; the arena follows the heap_info of its first heap. */
enum { ARENA_OFFSET_MIN = 32, ARENA_OFFSET_MAX = 64 };

void lh_glibc_heaps_deinit(struct lh_glibc_heaps *heaps)
{
	lh_vec_deinit(&heaps->items);
}

/*
 * size <= mprotect_size <= 64 MiB, both in whole pages; memory between the two is trimmed, and will be reused as it is.
 */
static bool parse_heap_info(const struct lh_peek *peek, struct lh_glibc_heap *ret)
{
	const uint64_t *words = peek->words;
	uint64_t offset = words[0] % HEAP_MAX_BYTES;
	if (!peek->is_read || words[0] < HEAP_MAX_BYTES || offset < ARENA_OFFSET_MIN || offset > ARENA_OFFSET_MAX ||
	    offset % 16 || words[1] % HEAP_MAX_BYTES || !words[2] || words[2] % LH_PAGE_BYTES ||
	    words[3] % LH_PAGE_BYTES || words[2] > words[3] || words[3] > HEAP_MAX_BYTES)
		return false;
	*ret = (struct lh_glibc_heap){peek->addr, words[0], words[1], words[2], words[3]};
	return true;
}

static int compare_heap_addr(const void *key, const void *item)
{
	return lh_compare_u64(*(const uint64_t *)key, ((const struct lh_glibc_heap *)item)->addr);
}

static const struct lh_glibc_heap *find_heap(const struct lh_glibc_heaps *heaps, uint64_t addr)
{
	return heaps->items.count ? bsearch(&addr, heaps->items.items, heaps->items.count, sizeof(struct lh_glibc_heap),
					    compare_heap_addr)
				  : NULL;
}

/* The other heap names the same arena; or it cannot be read, since its first page is swapped out or not in the dump. */
static bool agrees_with_other(const struct lh_heap_memory *memory, const struct lh_glibc_heaps *heaps,
			      const struct lh_glibc_heap *heap, uint64_t addr)
{
	uint64_t word;
	const struct lh_glibc_heap *other = find_heap(heaps, addr);
	if (other)
		return other->arena_addr == heap->arena_addr;
	return !lh_heap_read_words(memory, addr, &word, 1) && lh_heap_is_private(memory, addr, 1);
}

static bool is_trusted(const struct lh_heap_memory *memory, const struct lh_glibc_heaps *heaps,
		       const struct lh_glibc_heap *heap)
{
	uint64_t first_addr = lh_align_down(heap->arena_addr, HEAP_MAX_BYTES);
	bool is_first = first_addr == heap->addr;
	return is_first == !heap->previous_addr && agrees_with_other(memory, heaps, heap, first_addr) &&
	       (is_first || agrees_with_other(memory, heaps, heap, heap->previous_addr));
}

struct lh_error *lh_glibc_find_heaps(const struct lh_heap_memory *memory, struct lh_glibc_heaps *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	struct lh_glibc_heaps heaps LH_CLEANUP(lh_glibc_heaps_deinit) = {0};
	LH_TRY(lh_heap_list_aligned(memory, LH_HEAP_PLAIN, 0, HEAP_MAX_BYTES, PEEKS_MAX, &peeks));
	/* new_heap, malloc/arena.c */
	lh_heap_keep_reserved(memory, HEAP_MAX_BYTES, &peeks);
	LH_TRY(lh_heap_peek(memory, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		struct lh_glibc_heap heap;
		if (parse_heap_info(&peeks.items.items[i], &heap))
			LH_TRY(lh_vec_push(&heaps.items, heap));
	}
	for (size_t i = 0; i < heaps.items.count; i++) {
		if (is_trusted(memory, &heaps, &heaps.items.items[i]))
			LH_TRY(lh_vec_push(&ret->items, heaps.items.items[i]));
	}
	return NULL;
}

static struct lh_error *claim_arenas(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_glibc_heaps heaps LH_CLEANUP(lh_glibc_heaps_deinit) = {0};
	LH_TRY(lh_glibc_find_heaps(memory, &heaps));
	for (size_t i = 0; i < heaps.items.count; i++) {
		const struct lh_glibc_heap *heap = &heaps.items.items[i];
		LH_TRY(lh_heap_claim(memory, heap->addr, heap->addr + heap->writable_bytes, LH_REGION_ARENA, ret));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_glibc_arenas = {.name = "glibc arenas", .claim = claim_arenas};
