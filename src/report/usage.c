/*
 * usage: figures and names of regions, in the form that all reports use. Input: result structs. Output: JSON members
 * and escaped text.
 */
#include "usage.h"

#include <string.h>

struct figure {
	const char *key;
	size_t offset;
};

#define FIGURE(member)                                     \
	{                                                  \
#member, offsetof(struct lh_usage, member) \
	}

static const struct figure figures[] = {
	FIGURE(rss_bytes),
	FIGURE(pss_bytes),
	FIGURE(shared_clean_bytes),
	FIGURE(shared_dirty_bytes),
	FIGURE(private_clean_bytes),
	FIGURE(private_dirty_bytes),
	FIGURE(referenced_bytes),
	FIGURE(anonymous_bytes),
	FIGURE(ksm_bytes),
	FIGURE(lazy_free_bytes),
	FIGURE(anon_huge_bytes),
	FIGURE(shmem_huge_bytes),
	FIGURE(file_huge_bytes),
	FIGURE(shared_hugetlb_bytes),
	FIGURE(private_hugetlb_bytes),
	FIGURE(swap_bytes),
	FIGURE(swap_pss_bytes),
	FIGURE(locked_bytes),
};

bool lh_usage_to_json(const struct lh_usage *usage, json_t *object)
{
	int status = json_object_set_new(object, "uss_bytes", lh_json_u64(lh_usage_uss(usage)));
	for (size_t i = 0; i < LH_ARRAY_COUNT(figures) && !status; i++) {
		uint64_t bytes;
		memcpy(&bytes, (const char *)usage + figures[i].offset, sizeof(bytes));
		status = json_object_set_new(object, figures[i].key, lh_json_u64(bytes));
	}
	return !status;
}

void lh_region_label(const struct lh_region *region, struct lh_buffer *ret)
{
	if (region->kind == LH_REGION_THREAD_STACK && region->tid) {
		lh_buffer_puts(ret, "thread ");
		lh_buffer_escape(ret, region->thread_name, strlen(region->thread_name));
		lh_buffer_printf(ret, *region->thread_name ? " (%ld)" : "%ld", (long)region->tid);
		return;
	}
	lh_buffer_escape(ret, region->name, strlen(region->name));
	if (region->is_deleted)
		lh_buffer_puts(ret, " (deleted)");
}

void lh_report_append_json(json_t *value, struct lh_buffer *ret)
{
	struct lh_error *error = lh_json_append(value, false, ret);
	ret->failed |= error != NULL;
	lh_error_destroy(error);
}
