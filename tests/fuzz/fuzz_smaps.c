/*
 * fuzz_smaps: hostile texts for lh_regions_parse. What comes out must be in order, within itself, and with
 * terminated names.
 */
#include "leakhunt/regions.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_region(const struct lh_region_list *list, size_t i)
{
	const struct lh_region *region = &list->regions.items[i];
	require(region->start < region->end);
	require(!i || region[-1].end <= region->start);
	require(region->kind < LH_REGION_KIND_COUNT);
	require(strlen(region->name) < 1 << 20 && !*region->thread_name);
	require(lh_regions_find(list, region->start) == region);
	require(lh_regions_find(list, region->end - 1) == region);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_error *error = lh_regions_parse((const char *)data, size, "fuzz", &list);
	require((error == NULL) == (list.regions.count > 0));
	if (error)
		require(lh_error_code(error) == LH_ERROR_FORMAT);
	lh_error_destroy(error);
	for (size_t i = 0; i < list.regions.count; i++)
		check_region(&list, i);
	struct lh_usage usage;
	uint64_t vss_bytes;
	lh_regions_total(&list, &usage, &vss_bytes);
	require(lh_usage_uss(&usage) >= usage.private_dirty_bytes);
	return 0;
}
