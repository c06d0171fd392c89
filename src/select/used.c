/*
 * used: how much of a mapping is the process's own memory. Input: the mapping's smaps. Output: one number that only the
 * program's own actions change: not a fork that shares pages, not KSM that merges them, not reading files through a
 * mapping.
 */
#include "identity.h"
#include "leakhunt/select.h"

static uint64_t less_used(uint64_t bytes, uint64_t taken_off)
{
	return bytes - lh_min_u64(bytes, taken_off);
}

/* The kernel counts hugetlbfs pages as resident nowhere else (fs/proc/task_mmu.c). */
static uint64_t resident_bytes(const struct lh_region *region, bool knows_anonymous)
{
	const struct lh_usage *usage = &region->usage;
	uint64_t small_bytes;
	if (region->is_shared)
		return region->kind == LH_REGION_FILE ? 0 : lh_usage_uss(usage);
	if (knows_anonymous)
		small_bytes = less_used(usage->anonymous_bytes, usage->lazy_free_bytes);
	else
		small_bytes = region->inode ? usage->private_dirty_bytes : lh_usage_uss(usage);
	return lh_max_u64(small_bytes, usage->private_hugetlb_bytes);
}

bool lh_regions_know_anonymous(const struct lh_region_list *list)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		if (list->regions.items[i].usage.anonymous_bytes)
			return true;
	}
	return false;
}

uint64_t lh_region_used_bytes(const struct lh_region *region, bool knows_anonymous)
{
	uint64_t sum;
	if (!lh_add_u64(resident_bytes(region, knows_anonymous), region->usage.swap_bytes, &sum))
		return UINT64_MAX;
	return sum;
}

uint64_t lh_sample_used_bytes(const struct lh_sample *sample)
{
	bool knows_anonymous = lh_regions_know_anonymous(&sample->list);
	uint64_t sum = 0;
	for (size_t i = 0; i < sample->list.regions.count; i++) {
		if (!lh_add_u64(sum, lh_region_used_bytes(&sample->list.regions.items[i], knows_anonymous), &sum))
			return UINT64_MAX;
	}
	return sum;
}
