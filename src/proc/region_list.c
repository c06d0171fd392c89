/*
 * region_list: what can be asked of a list of regions without knowing where it came from: lookups,
 * sums, and the words for kinds.
 */
#include "regions.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[LH_REGION_KIND_COUNT] = {
	[LH_REGION_HEAP] = "heap",
	[LH_REGION_ARENA] = "arena",
	[LH_REGION_MMAP_CHUNK] = "mmap-chunk",
	[LH_REGION_MAIN_STACK] = "stack",
	[LH_REGION_THREAD_STACK] = "thread-stack",
	[LH_REGION_ANON] = "anon",
	[LH_REGION_TEXT] = "text",
	[LH_REGION_RODATA] = "rodata",
	[LH_REGION_DATA] = "data",
	[LH_REGION_BSS] = "bss",
	[LH_REGION_FILE] = "file",
	[LH_REGION_SHARED] = "shared",
	[LH_REGION_MEMFD] = "memfd",
	[LH_REGION_HUGETLB] = "hugetlb",
	[LH_REGION_VDSO] = "vdso",
	[LH_REGION_GUARD] = "guard",
	[LH_REGION_JEMALLOC] = "jemalloc",
	[LH_REGION_TCMALLOC] = "tcmalloc",
	[LH_REGION_GOOGLE_TCMALLOC] = "google-tcmalloc",
	[LH_REGION_MIMALLOC] = "mimalloc",
	[LH_REGION_MUSL] = "musl",
	[LH_REGION_PYMALLOC] = "pymalloc",
	[LH_REGION_V8] = "v8-heap",
	[LH_REGION_GO] = "go-heap",
	[LH_REGION_JVM] = "java-heap",
	[LH_REGION_ZEND] = "zend-mm",
	[LH_REGION_SCUDO] = "scudo",
	[LH_REGION_RPMALLOC] = "rpmalloc",
};

const char *lh_region_kind_name(enum lh_region_kind kind)
{
	return kind < LH_REGION_KIND_COUNT ? kind_names[kind] : "?";
}

bool lh_region_kind_parse(const char *name, enum lh_region_kind *ret)
{
	for (size_t i = 0; i < LH_REGION_KIND_COUNT; i++) {
		if (strcmp(kind_names[i], name) != 0)
			continue;
		*ret = (enum lh_region_kind)i;
		return true;
	}
	return false;
}

static uint64_t saturating_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return lh_add_u64(a, b, &sum) ? sum : UINT64_MAX;
}

uint64_t lh_usage_uss(const struct lh_usage *usage)
{
	return saturating_sum(saturating_sum(usage->private_clean_bytes, usage->private_dirty_bytes),
			      usage->private_hugetlb_bytes);
}

_Static_assert(sizeof(struct lh_usage) % sizeof(uint64_t) == 0, "lh_usage_add treats it as an array of counters");

void lh_usage_add(struct lh_usage *sum, const struct lh_usage *usage)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)usage;
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] = saturating_sum(to[i], from[i]);
}

void lh_region_list_deinit(struct lh_region_list *list)
{
	lh_vec_deinit(&list->regions);
	lh_strings_pool_deinit(&list->strings);
	*list = (struct lh_region_list){0};
}

size_t lh_regions_index(const struct lh_region_list *list, uint64_t addr)
{
	size_t low = lh_vec_count_before(&list->regions, item, item->end <= addr);
	bool is_inside = low < list->regions.count && list->regions.items[low].start <= addr;
	return is_inside ? low : list->regions.count;
}

const struct lh_region *lh_regions_find(const struct lh_region_list *list, uint64_t addr)
{
	size_t index = lh_regions_index(list, addr);
	return index < list->regions.count ? &list->regions.items[index] : NULL;
}

void lh_regions_total(const struct lh_region_list *list, struct lh_usage *ret, uint64_t *ret_vss_bytes)
{
	struct lh_usage sum = {0};
	uint64_t vss_bytes = 0;
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		lh_usage_add(&sum, &region->usage);
		vss_bytes = saturating_sum(vss_bytes, region->end - region->start);
	}
	if (list->exact_pss_bytes)
		sum.pss_bytes = list->exact_pss_bytes;
	*ret = sum;
	*ret_vss_bytes = vss_bytes;
}
