/*
 * owner: ranges with their owners: order, lookup, and the kinds of regions that follow from them. Input: claims of
 * allocators. Output: kinds of regions. Reads no memory.
 */
#include "leakhunt/owner.h"

#include "regions.h"

#include <stdlib.h>

void lh_owners_deinit(struct lh_owners *owners)
{
	lh_vec_deinit(&owners->items);
	*owners = (struct lh_owners){0};
}

size_t lh_owners_index(const struct lh_owners *owners, uint64_t addr)
{
	return lh_vec_count_before(&owners->items, item, item->range.end <= addr);
}

const struct lh_owner_range *lh_owners_find(const struct lh_owners *owners, uint64_t addr)
{
	size_t index = lh_owners_index(owners, addr);
	bool is_inside = index < owners->items.count && owners->items.items[index].range.start <= addr;
	return is_inside ? &owners->items.items[index] : NULL;
}

/* ---------------------------------------------------------------- claims to disjoint ranges */

/* A claim with its rank: the lower one wins. */
struct ranked_claim {
	struct lh_owner_range owner;
	size_t rank;
};

static int compare_claims_by_start(const void *a, const void *b)
{
	const struct ranked_claim *x = a, *y = b;
	int order = lh_compare_u64(x->owner.range.start, y->owner.range.start);
	return order ? order : lh_compare_u64(x->rank, y->rank);
}

static struct lh_error *append_owner(struct lh_owners *owners, struct lh_owner_range owner)
{
	struct lh_owner_range *last = owners->items.count ? &owners->items.items[owners->items.count - 1] : NULL;
	if (owner.range.start >= owner.range.end)
		return NULL;
	if (last && last->range.end == owner.range.start && last->kind == owner.kind) {
		last->range.end = owner.range.end;
		return NULL;
	}
	return lh_vec_push(&owners->items, owner);
}

/*
 * `claim` starts at or behind the start of all before it. Allocators with exact knowledge come first, so the earlier
 * claim wins only when its rank is lower; else the later one cuts it.
 */
static struct lh_error *settle_claim(struct lh_owners *ret, struct lh_owner_range owner, bool wins)
{
	struct lh_owner_range *last = ret->items.count ? &ret->items.items[ret->items.count - 1] : NULL;
	if (!last || last->range.end <= owner.range.start)
		return append_owner(ret, owner);
	uint64_t last_end = last->range.end;
	if (last->kind != owner.kind)
		ret->overlap_bytes += lh_min_u64(last_end, owner.range.end) - owner.range.start;
	if (!wins || last->kind == owner.kind) {
		owner.range.start = last_end;
		return append_owner(ret, owner);
	}
	struct lh_owner_range rest = {{owner.range.end, last_end}, last->kind};
	last->range.end = owner.range.start;
	if (last->range.start == last->range.end)
		ret->items.count--;
	LH_TRY(append_owner(ret, owner));
	return append_owner(ret, rest);
}

static struct lh_error *settle_claims_in_order(const struct ranked_claim *claims, size_t count, struct lh_owners *ret)
{
	size_t rank_before = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		LH_TRY(settle_claim(ret, claims[i].owner, claims[i].rank < rank_before));
		rank_before = claims[i].rank;
	}
	return NULL;
}

struct lh_error *lh_owners_settle(struct lh_owners *owners)
{
	size_t count = owners->items.count;
	struct lh_owners settled LH_CLEANUP(lh_owners_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) struct ranked_claim *claims = calloc(count + 1, sizeof(*claims));
	if (!claims)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		claims[i] = (struct ranked_claim){owners->items.items[i], i};
	qsort(claims, count, sizeof(*claims), compare_claims_by_start);
	LH_TRY(settle_claims_in_order(claims, count, &settled));
	settled.overlap_bytes += owners->overlap_bytes;
	settled.has_v8_limit = owners->has_v8_limit;
	settled.v8_left_bytes = owners->v8_left_bytes;
	struct lh_owners unsettled = *owners;
	*owners = settled;
	settled = unsettled;
	return NULL;
}

/* ---------------------------------------------------------------- kinds of mappings */

/* Only private memory has an owner: shared memory is no allocator's heap. */
static bool can_have_owner(const struct lh_region *region)
{
	return region->kind != LH_REGION_GUARD && (lh_region_is_anonymous(region) || region->kind == LH_REGION_HEAP);
}

bool lh_owners_main_kind(const struct lh_owners *owners, struct lh_range range, uint64_t used_bytes,
			 enum lh_region_kind *ret)
{
	uint64_t bytes[LH_REGION_KIND_COUNT] = {0};
	enum lh_region_kind best = LH_REGION_HEAP;
	for (size_t i = lh_owners_index(owners, range.start); i < owners->items.count; i++) {
		const struct lh_owner_range *owner = &owners->items.items[i];
		if (owner->range.start >= range.end)
			break;
		bytes[owner->kind] +=
			lh_min_u64(owner->range.end, range.end) - lh_max_u64(owner->range.start, range.start);
		best = bytes[owner->kind] > bytes[best] ? owner->kind : best;
	}
	if (bytes[best] <= used_bytes / 2)
		return false;
	*ret = best;
	return true;
}

/* A stack merged with chunks is mostly stack by its size, and mostly chunks by what is resident. */
static uint64_t used_bytes_max(const struct lh_region_list *list, const struct lh_region *region)
{
	uint64_t bytes = region->end - region->start;
	return list->has_usage ? lh_min_u64(bytes, region->usage.rss_bytes + region->usage.swap_bytes) : bytes;
}

void lh_regions_take_owners(struct lh_region_list *list, const struct lh_owners *owners)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		struct lh_region *region = &list->regions.items[i];
		struct lh_range range = {region->start, region->end};
		if (!can_have_owner(region) ||
		    !lh_owners_main_kind(owners, range, used_bytes_max(list, region), &region->kind))
			continue;
		region->tid = 0;
		region->thread_name = "";
	}
}
