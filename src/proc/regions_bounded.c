/*
 * regions_bounded: the mappings of a live process with usage, at a bounded cost for the process. Input: an open
 * process, and the cost of earlier readings. Output: regions, from smaps where that is short, else from maps and
 * pagemap. Predicts the longest hold of mmap_lock by one call.
 */
#include "pagemap_scan.h"
#include "regions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of smaps, for small pages, until measured: 5 to 17 ms per GiB (Linux 6.18, two virtual machines). */
#define NS_PER_BYTE (17.0 * (double)LH_NS_PER_MS / (double)LH_GIB)

/* Reading a smaller mapping is too quick to measure speed. */
#define MEASURED_BYTES_MIN (128 * LH_MIB)

/* A preempted reading looks slow: no machine is slower than this. */
#define SLOWER_MAX 2.0

/* Safety factor: a call may take longer than earlier ones, with cold page tables or on a busier CPU. */
enum { STALL_PARTS = 8 };

/* From this many mappings on, smaps takes several times as long as maps and PAGEMAP_SCAN together (Linux 6.18). */
enum { MANY_MAPPINGS = 4096 };

/* proc_pid_statm(5): size and resident, in pages. false when the process has ended. */
static bool read_resident(const struct lh_process *process, uint64_t *ret_bytes)
{
	char text[128], path[LH_PROC_PATH_BYTES];
	uint64_t size_pages, resident_pages;
	if (lh_proc_read_small(process->folder_fd, lh_process_file_path(process, "statm", path), text, sizeof(text)) <=
		    0 ||
	    sscanf(text, "%" SCNu64 " %" SCNu64, &size_pages, &resident_pages) != 2)
		return false;
	return lh_mul_u64(resident_pages, (uint64_t)sysconf(_SC_PAGESIZE), ret_bytes);
}

/* The page table entries that a reader of the mapping's usage walks over, as bytes in small pages. */
static uint64_t walked_bytes(const struct lh_usage *usage)
{
	uint64_t huge_bytes = usage->anon_huge_bytes + usage->shmem_huge_bytes + usage->file_huge_bytes;
	return usage->rss_bytes - lh_min_u64(usage->rss_bytes, huge_bytes) + usage->swap_bytes;
}

static bool would_stall(const struct lh_regions_pace *pace, uint64_t resident_bytes)
{
	if (!pace->max_stall_ns)
		return false;
	uint64_t grown_bytes = resident_bytes - lh_min_u64(resident_bytes, pace->resident_bytes);
	double ns_per_byte = pace->ns_per_byte > 0 ? pace->ns_per_byte : NS_PER_BYTE;
	return ((double)pace->biggest_bytes + (double)grown_bytes) * ns_per_byte > (double)pace->max_stall_ns;
}

static void learn_cost(const struct lh_region_list *list, uint64_t resident_bytes, struct lh_regions_pace *pace)
{
	pace->read_count++;
	pace->mapping_count = list->regions.count;
	pace->resident_bytes = resident_bytes;
	pace->biggest_bytes = 0;
	for (size_t i = 0; i < list->regions.count; i++)
		pace->biggest_bytes = lh_max_u64(pace->biggest_bytes, walked_bytes(&list->regions.items[i].usage));
}

static struct lh_error *read_smaps(const struct lh_process *process, uint64_t resident_bytes,
				   struct lh_regions_pace *pace, struct lh_region_list *ret)
{
	uint64_t hold_ns = 0;
	LH_TRY(lh_regions_read_text(process, LH_REGIONS_SMAPS, &hold_ns, ret));
	learn_cost(ret, resident_bytes, pace);
	pace->hold_ns_max = lh_max_u64(pace->hold_ns_max, hold_ns);
	if (pace->biggest_bytes >= MEASURED_BYTES_MIN) {
		double ns_per_byte = (double)hold_ns / (double)pace->biggest_bytes;
		pace->ns_per_byte = ns_per_byte < SLOWER_MAX * NS_PER_BYTE ? ns_per_byte : SLOWER_MAX * NS_PER_BYTE;
	}
	return NULL;
}

static void set_usage(struct lh_region *region, bool is_exclusive_known, const struct lh_page_counts *counts)
{
	struct lh_usage *usage = &region->usage;
	usage->swap_bytes = counts->swapped_bytes;
	if (region->kind == LH_REGION_HUGETLB) { /* does not count as resident (fs/proc/task_mmu.c) */
		usage->private_hugetlb_bytes = counts->exclusive_bytes;
		usage->shared_hugetlb_bytes = counts->present_bytes - counts->exclusive_bytes;
		return;
	}
	usage->rss_bytes = counts->present_bytes;
	usage->anonymous_bytes = counts->anonymous_bytes;
	usage->anon_huge_bytes = counts->huge_bytes;
	if (is_exclusive_known)
		usage->private_dirty_bytes = counts->exclusive_bytes;
}

/* Shared memory counts as the process's own only when nobody else maps it (lh_region_used_bytes). */
static bool wants_exclusive(const struct lh_region *region)
{
	return region->kind == LH_REGION_HUGETLB || (region->is_shared && region->kind != LH_REGION_FILE);
}

/* vdso and vvar are the kernel's own; vsyscall is outside of pagemap's range. */
static bool is_counted(const struct lh_region *region)
{
	return region->kind != LH_REGION_VDSO;
}

/* How many mappings from the first on can be counted together. */
static size_t bounded_group_length(const struct lh_region *regions, size_t count)
{
	size_t length = 1;
	while (length < count && is_counted(&regions[length]) && !wants_exclusive(&regions[length]) &&
	       regions[length].start - regions[length - 1].end <= LH_COUNT_GAP_MAX)
		length++;
	return length;
}

static struct lh_error *count_group(struct lh_pagemap *pagemap, struct lh_region *regions, size_t count,
				    struct lh_call_pace *pace)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_page_counts *counts = calloc(count, sizeof(*counts));
	bool is_exclusive = wants_exclusive(regions);
	if (!counts)
		return lh_error_no_memory();
	LH_TRY(is_exclusive ? lh_pagemap_count_exclusive(pagemap, regions, pace, counts)
			    : lh_pagemap_count(pagemap, regions, count, pace, counts));
	for (size_t i = 0; i < count; i++)
		set_usage(&regions[i], is_exclusive, &counts[i]);
	return NULL;
}

static struct lh_error *count_bounded_pages(const struct lh_process *process, struct lh_call_pace *pace,
					    struct lh_region_list *list)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	struct lh_region *regions = list->regions.items;
	LH_TRY(lh_pagemap_open(process, &pagemap));
	for (size_t i = 0, length = 1; i < list->regions.count; i += length) {
		bool is_alone = !is_counted(&regions[i]) || wants_exclusive(&regions[i]);
		length = is_alone ? 1 : bounded_group_length(&regions[i], list->regions.count - i);
		if (is_counted(&regions[i]))
			LH_TRY(count_group(pagemap, &regions[i], length, pace));
	}
	list->has_usage = true;
	return NULL;
}

/* `ret`: the mappings, from maps already when it has any. */
static struct lh_error *read_in_pieces(const struct lh_process *process, uint64_t resident_bytes,
				       struct lh_regions_pace *pace, struct lh_region_list *ret)
{
	struct lh_call_pace calls = {.goal_ns = pace->max_stall_ns / STALL_PARTS};
	if (!ret->regions.count)
		LH_TRY(lh_regions_read_text(process, LH_REGIONS_MAPS, &calls.hold_ns_max, ret));
	LH_TRY(count_bounded_pages(process, &calls, ret));
	learn_cost(ret, resident_bytes, pace);
	pace->hold_ns_max = lh_max_u64(pace->hold_ns_max, calls.hold_ns_max);
	pace->bounded_count++;
	return NULL;
}

/*
 * With thousands of mappings, writing text takes the kernel longer than counting pages. Mappings are counted before the
 * first reading, since figures of lazily freed pages differ between the two ways.
 */
static struct lh_error *would_be_slow(const struct lh_process *process, struct lh_regions_pace *pace,
				      struct lh_region_list *list, bool *ret)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	size_t count = pace->mapping_count;
	*ret = false;
	if (!pace->max_stall_ns)
		return NULL;
	if (!pace->read_count) {
		LH_TRY(lh_regions_read_text(process, LH_REGIONS_MAPS, &pace->hold_ns_max, list));
		count = list->regions.count;
	}
	if (count >= MANY_MAPPINGS) {
		LH_TRY(lh_pagemap_open(process, &pagemap));
		*ret = lh_pagemap_knows_scan(pagemap);
	}
	if (!*ret)
		lh_region_list_deinit(list);
	return NULL;
}

struct lh_error *lh_regions_read_bounded(const struct lh_process *process, struct lh_regions_pace *pace,
					 struct lh_region_list *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	uint64_t resident_bytes;
	if (!read_resident(process, &resident_bytes))
		return lh_process_file_error(process, "statm", ESRCH);
	bool is_slow;
	LH_TRY(would_be_slow(process, pace, &list, &is_slow));
	LH_TRY(is_slow || would_stall(pace, resident_bytes) ? read_in_pieces(process, resident_bytes, pace, &list)
							    : read_smaps(process, resident_bytes, pace, &list));
	LH_TRY(lh_regions_set_live_kinds(process, &list));
	*ret = list;
	list = (struct lh_region_list){0};
	return NULL;
}
