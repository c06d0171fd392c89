/*
 * heap_memory: what walkers share: reading words, peeking at aligned places, and claiming what is really mapped. Input:
 * memory of a live process or an image. Output: words, peeks, claims.
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

static bool is_of_brk(const struct lh_region *region)
{
	return (region->kind == LH_REGION_HEAP || !strcmp(region->name, "[heap]")) && !region->is_shared;
}

static bool is_private(const struct lh_region *region)
{
	bool is_file = region->kind == LH_REGION_FILE || region->kind == LH_REGION_TEXT ||
		       region->kind == LH_REGION_RODATA || region->kind == LH_REGION_DATA;
	return !region->is_io && !region->is_hugetlb && region->kind != LH_REGION_HUGETLB && !is_file &&
	       (is_of_brk(region) || lh_region_is_anonymous(region));
}

static uint8_t access_of(const struct lh_region_list *list, const struct lh_region *region)
{
	const uint8_t both = LH_PROT_READ | LH_PROT_WRITE;
	if (!is_private(region))
		return 0;
	bool is_touched = !list->has_usage || region->usage.rss_bytes;
	return (uint8_t)(LH_HEAP_PRIVATE | (region->protection & LH_PROT_READ ? LH_HEAP_READABLE : 0) |
			 (region->protection == both ? LH_HEAP_PLAIN : 0) | (is_of_brk(region) ? LH_HEAP_BRK : 0) |
			 (is_touched ? LH_HEAP_TOUCHED : 0));
}

struct lh_error *lh_heap_places_init(struct lh_heap_memory *memory, struct lh_heap_places *ret)
{
	size_t count = memory->list->regions.count;
	struct lh_heap_places places LH_CLEANUP(lh_heap_places_deinit) = {
		.ranges = calloc(count + 1, sizeof(*places.ranges)),
		.access = calloc(count + 1, sizeof(*places.access)),
	};
	if (!places.ranges || !places.access)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		places.ranges[i] = (struct lh_range){region->start, region->end};
		places.access[i] = access_of(memory->list, region);
	}
	memory->ranges = places.ranges;
	memory->access = places.access;
	*ret = places;
	places = (struct lh_heap_places){0};
	return NULL;
}

void lh_heap_places_deinit(struct lh_heap_places *places)
{
	free(places->ranges);
	free(places->access);
	*places = (struct lh_heap_places){0};
}

size_t lh_heap_region_index(const struct lh_heap_memory *memory, uint64_t addr)
{
	return lh_count_before(memory->ranges, memory->list->regions.count, item, item->end <= addr);
}

bool lh_heap_is_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes)
{
	uint64_t end;
	if (!lh_add_u64(addr, bytes, &end))
		return false;
	for (size_t i = lh_heap_region_index(memory, addr); addr < end; i++) {
		if (i == memory->list->regions.count || memory->ranges[i].start > addr ||
		    !lh_heap_has(memory, i, LH_HEAP_PRIVATE))
			return false;
		addr = memory->ranges[i].end;
	}
	return true;
}

/* Whether regions with that access extend that far without a gap: in a dump a mapping is in pieces. */
static bool reaches_range_end(const struct lh_heap_memory *memory, size_t index, enum lh_heap_access access,
			      uint64_t bytes)
{
	const struct lh_range *ranges = memory->ranges;
	uint64_t start = ranges[index].start;
	while (ranges[index].end - start < bytes) {
		if (index + 1 == memory->list->regions.count || ranges[index + 1].start != ranges[index].end ||
		    !lh_heap_has(memory, index + 1, access))
			return false;
		index++;
	}
	return true;
}

/* The first multiple in the region; the region's end if there is none, or the region is not examined. */
static uint64_t first_aligned(const struct lh_heap_memory *memory, size_t index, enum lh_heap_access access,
			      uint64_t region_bytes_min, uint64_t alignment)
{
	const struct lh_range *range = &memory->ranges[index];
	uint64_t first = lh_align_up(range->start, alignment);
	bool is_inside = lh_heap_has(memory, index, access) && first >= range->start && first < range->end &&
			 reaches_range_end(memory, index, access, region_bytes_min);
	return is_inside ? first : range->end;
}

/* Adds those places of a region whose number is a multiple of `stride`; its first place has the number `seen`. */
static struct lh_error *add_strided_peeks(struct lh_range places, uint64_t alignment, uint64_t seen, uint64_t stride,
					  struct lh_peeks *ret)
{
	uint64_t left = lh_range_bytes(places), skipped = (stride - seen % stride) % stride;
	while (skipped <= (left - 1) / alignment) {
		places.start += skipped * alignment;
		left -= skipped * alignment;
		LH_TRY(lh_vec_push(&ret->items, (struct lh_peek){.addr = places.start}));
		skipped = stride;
	}
	return NULL;
}

struct lh_error *lh_heap_peek_aligned(const struct lh_heap_memory *memory, enum lh_heap_access access,
				      uint64_t region_bytes_min, uint64_t alignment, size_t max, struct lh_peeks *ret)
{
	uint64_t count = 0, seen = 0;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		uint64_t first = first_aligned(memory, i, access, region_bytes_min, alignment);
		uint64_t end = memory->ranges[i].end;
		count += first < end ? (end - first - 1) / alignment + 1 : 0;
	}
	uint64_t stride = count / max + 1;
	for (size_t i = 0; count && i < memory->list->regions.count; i++) {
		struct lh_range places = {first_aligned(memory, i, access, region_bytes_min, alignment),
					  memory->ranges[i].end};
		if (places.start >= places.end)
			continue;
		LH_TRY(add_strided_peeks(places, alignment, seen, stride, ret));
		seen += (lh_range_bytes(places) - 1) / alignment + 1;
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
		if (region->protection && lh_heap_has(memory, i, LH_HEAP_PRIVATE) &&
		    owner.range.start < owner.range.end)
			LH_TRY(lh_vec_push(&ret->items, owner));
	}
	return NULL;
}
