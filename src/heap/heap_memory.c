/*
 * heap_memory: what walkers share: reading words, looking at aligned places, and claiming what is really mapped.
 * Input: memory of a live process or an image. Output: words, peeks, claims.
 */
#include "walker.h"

#include <stdlib.h>
#include <string.h>

void lh_peeks_deinit(struct lh_peeks *peeks)
{
	lh_vec_deinit(&peeks->items);
}

bool lh_heap_read_words(const struct lh_heap_memory *memory, uint64_t addr, uint64_t *ret, size_t count)
{
	return memory->read(memory->context, addr, ret, count * sizeof(*ret)) == count * sizeof(*ret);
}

static bool is_private(const struct lh_region *region)
{
	bool is_brk = region->kind == LH_REGION_HEAP && !region->is_shared;
	bool is_file = region->kind == LH_REGION_FILE || region->kind == LH_REGION_TEXT ||
		       region->kind == LH_REGION_RODATA || region->kind == LH_REGION_DATA;
	return !region->is_io && !region->is_hugetlb && region->kind != LH_REGION_HUGETLB && !is_file &&
	       (is_brk || lh_region_is_anonymous(region));
}

bool lh_region_is_plain(const struct lh_region *region)
{
	return region->protection == (LH_PROT_READ | LH_PROT_WRITE) && is_private(region);
}

bool lh_region_is_readable(const struct lh_region *region)
{
	return region->protection & LH_PROT_READ && is_private(region);
}

size_t lh_heap_region_index(const struct lh_heap_memory *memory, uint64_t addr)
{
	size_t low = 0, high = memory->list->regions.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memory->list->regions.items[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool lh_heap_is_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes)
{
	uint64_t end;
	if (!lh_add_u64(addr, bytes, &end))
		return false;
	for (size_t i = lh_heap_region_index(memory, addr); addr < end; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (i == memory->list->regions.count || region->start > addr || !is_private(region))
			return false;
		addr = region->end;
	}
	return true;
}

static size_t count_aligned(const struct lh_heap_memory *memory, lh_region_test *test, uint64_t alignment)
{
	size_t count = 0;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		uint64_t first = lh_align_up(region->start, alignment);
		if (test(region) && first >= region->start && first < region->end)
			count += (region->end - first - 1) / alignment + 1;
	}
	return count;
}

struct lh_error *lh_heap_peek_aligned(const struct lh_heap_memory *memory, lh_region_test *test, uint64_t alignment,
				      size_t max, struct lh_peeks *ret)
{
	size_t count = count_aligned(memory, test, alignment), seen = 0;
	size_t stride = count / max + 1;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		uint64_t first = lh_align_up(region->start, alignment);
		if (!test(region) || first < region->start)
			continue;
		for (uint64_t addr = first; addr < region->end; addr += alignment) {
			if (seen++ % stride == 0)
				LH_TRY(lh_vec_push(&ret->items, (struct lh_peek){.addr = addr}));
			if (region->end - addr <= alignment)
				break;
		}
	}
	return ret->items.count ? memory->peek(memory->context, ret->items.items, ret->items.count) : NULL;
}

struct lh_error *lh_heap_claim(const struct lh_heap_memory *memory, uint64_t start, uint64_t end,
			       enum lh_region_kind kind, struct lh_owners *ret)
{
	start = lh_align_down(start, LH_PAGE_BYTES);
	end = end > UINT64_MAX - LH_PAGE_BYTES ? end : lh_align_up(end, LH_PAGE_BYTES);
	for (size_t i = lh_heap_region_index(memory, start); i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		struct lh_owner_range owner = {{lh_max_u64(start, region->start), lh_min_u64(end, region->end)}, kind};
		if (region->start >= end)
			break;
		if (region->protection && is_private(region) && owner.range.start < owner.range.end)
			LH_TRY(lh_vec_push(&ret->items, owner));
	}
	return NULL;
}
