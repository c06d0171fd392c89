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
	       (lh_region_is_anonymous(region) || is_of_brk(region));
}

static uint8_t access_of(const struct lh_region_list *list, const struct lh_region *region)
{
	const uint8_t both = LH_PROT_READ | LH_PROT_WRITE;
	bool is_data = region->kind == LH_REGION_DATA || region->kind == LH_REGION_BSS;
	uint8_t of_module = is_data && region->protection & LH_PROT_WRITE ? LH_HEAP_DATA : 0;
	if (!is_private(region))
		return of_module | (region->name[0] == '/' && !region->is_shared ? LH_HEAP_OF_FILE : 0);
	bool is_touched = !list->has_usage || region->usage.rss_bytes;
	return (uint8_t)(of_module | LH_HEAP_PRIVATE | (region->protection & LH_PROT_READ ? LH_HEAP_READABLE : 0) |
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
	memory->known = &ret->known;
	*ret = places;
	places = (struct lh_heap_places){0};
	return NULL;
}

void lh_heap_places_deinit(struct lh_heap_places *places)
{
	free(places->ranges);
	free(places->access);
	lh_peeks_deinit(&places->known);
	*places = (struct lh_heap_places){0};
}

uint64_t lh_heap_owned_bytes(const struct lh_owners *owners, enum lh_region_kind kind)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < owners->items.count; i++)
		sum += owners->items.items[i].kind == kind ? lh_range_bytes(owners->items.items[i].range) : 0;
	return sum;
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

bool lh_heap_may_be_private(const struct lh_heap_memory *memory, uint64_t addr, uint64_t bytes)
{
	return !memory->has_all_mappings || lh_heap_is_private(memory, addr, bytes);
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

/* The first multiple in the region; the region's end if there is none, or the region is too small. */
static uint64_t first_aligned(const struct lh_heap_memory *memory, size_t index, enum lh_heap_access access,
			      uint64_t region_bytes_min, uint64_t alignment)
{
	const struct lh_range *range = &memory->ranges[index];
	uint64_t first = lh_align_up(range->start, alignment);
	bool is_inside = first >= range->start && first < range->end &&
			 reaches_range_end(memory, index, access, region_bytes_min);
	return is_inside ? first : range->end;
}

/* ---------------------------------------------------------------- aligned places */

/* Of regions with places, ascending: from the first place to the region's end. */
struct place_ranges {
	LH_VEC(struct lh_range) items;
};

static void place_ranges_deinit(struct place_ranges *ranges)
{
	lh_vec_deinit(&ranges->items);
}

static struct lh_error *list_places(const struct lh_heap_memory *memory, enum lh_heap_access access,
				    uint64_t region_bytes_min, uint64_t alignment, struct place_ranges *ret)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (!lh_heap_has(memory, i, access))
			continue;
		struct lh_range range = {first_aligned(memory, i, access, region_bytes_min, alignment),
					 memory->ranges[i].end};
		if (range.start < range.end)
			LH_TRY(lh_vec_push(&ret->items, range));
	}
	return NULL;
}

/* A shift, as `grid` is a power of two: a division for each of 60,000 mappings takes .3 ms. */
static uint64_t count_below(uint64_t addr, uint64_t grid)
{
	return addr ? ((addr - 1) >> __builtin_ctzll(grid)) + 1 : 0;
}

static uint64_t count_on_grid(const struct place_ranges *places, uint64_t grid)
{
	uint64_t count = 0;
	for (size_t i = 0; i < places->items.count; i++)
		count +=
			count_below(places->items.items[i].end, grid) - count_below(places->items.items[i].start, grid);
	return count;
}

static struct lh_error *add_grid_peeks(const struct place_ranges *places, uint64_t grid, struct lh_peeks *ret)
{
	for (size_t i = 0; i < places->items.count; i++) {
		struct lh_range range = places->items.items[i];
		for (uint64_t at = lh_align_up(range.start, grid); at >= range.start && at < range.end; at += grid)
			LH_TRY(lh_vec_push(&ret->items, (struct lh_peek){.addr = at}));
	}
	return NULL;
}

/* Takes over what is known of the peeks, which are ascending, and lists the others. */
static struct lh_error *take_known_peeks(const struct lh_peeks *known, struct lh_peeks *peeks, struct lh_peeks *ret_new)
{
	for (size_t i = 0, k = 0; i < peeks->items.count; i++) {
		struct lh_peek *peek = &peeks->items.items[i];
		while (k < known->items.count && known->items.items[k].addr < peek->addr)
			k++;
		if (k < known->items.count && known->items.items[k].addr == peek->addr)
			*peek = known->items.items[k];
		else
			LH_TRY(lh_vec_push(&ret_new->items, *peek));
	}
	return NULL;
}

static void fill_new_peeks(const struct lh_peeks *new, struct lh_peeks *peeks)
{
	for (size_t i = 0, k = 0; i < peeks->items.count && k < new->items.count; i++) {
		if (peeks->items.items[i].addr == new->items.items[k].addr)
			peeks->items.items[i] = new->items.items[k++];
	}
}

/* Both are ascending, and no address is in both: merged from the end. */
static struct lh_error *keep_new_peeks(const struct lh_peeks *new, struct lh_peeks *known)
{
	enum { KNOWN_MAX = 1 << 16 };
	size_t left = known->items.count, added = new->items.count;
	if (added > KNOWN_MAX - lh_min_u64(left, KNOWN_MAX))
		return NULL;
	LH_TRY(lh_vec_reserve(&known->items, added));
	known->items.count = left + added;
	for (size_t at = left + added; added; at--) {
		bool is_old = left && known->items.items[left - 1].addr > new->items.items[added - 1].addr;
		known->items.items[at - 1] = is_old ? known->items.items[--left] : new->items.items[--added];
	}
	return NULL;
}

struct lh_error *lh_heap_peek(const struct lh_heap_memory *memory, struct lh_peeks *peeks)
{
	struct lh_peeks new LH_CLEANUP(lh_peeks_deinit) = {0};
	LH_TRY(take_known_peeks(memory->known, peeks, &new));
	if (!new.items.count)
		return NULL;
	LH_TRY(memory->peek(memory->context, new.items.items, new.items.count));
	fill_new_peeks(&new, peeks);
	return keep_new_peeks(&new, memory->known);
}

struct lh_error *lh_heap_list_aligned(const struct lh_heap_memory *memory, enum lh_heap_access access,
				      uint64_t region_bytes_min, uint64_t alignment, size_t max, struct lh_peeks *ret)
{
	struct place_ranges places LH_CLEANUP(place_ranges_deinit) = {0};
	uint64_t grid = alignment;
	LH_TRY(list_places(memory, access, region_bytes_min, alignment, &places));
	for (uint64_t count; (count = count_on_grid(&places, grid)) > max;) {
		for (; count > max; count /= 2)
			grid *= 2;
	}
	return add_grid_peeks(&places, grid, ret);
}

void lh_heap_keep_reserved(const struct lh_heap_memory *memory, uint64_t bytes, struct lh_peeks *peeks)
{
	size_t kept = 0;
	for (size_t i = 0; i < peeks->items.count; i++) {
		if (lh_heap_may_be_private(memory, peeks->items.items[i].addr, bytes))
			peeks->items.items[kept++] = peeks->items.items[i];
	}
	peeks->items.count = kept;
}

struct lh_error *lh_heap_peek_aligned(const struct lh_heap_memory *memory, enum lh_heap_access access,
				      uint64_t region_bytes_min, uint64_t alignment, size_t max, struct lh_peeks *ret)
{
	LH_TRY(lh_heap_list_aligned(memory, access, region_bytes_min, alignment, max, ret));
	return lh_heap_peek(memory, ret);
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
