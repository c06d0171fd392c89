/*
 * pagemap_scan: the ioctl PAGEMAP_SCAN of /proc/PID/pagemap, and the open pagemap that its users share.
 * Private to proc.
 */
#ifndef LEAKHUNT_PROC_PAGEMAP_SCAN_H
#define LEAKHUNT_PROC_PAGEMAP_SCAN_H

#include "leakhunt/pages.h"
#include "leakhunt/regions.h"
#include "process.h"

#include <sys/ioctl.h>

/* include/uapi/linux/fs.h of Linux 6.7; distributions' headers are often older than their kernels. */
struct lh_scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct lh_scan_request {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t regions;
	uint64_t region_count;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define LH_SCAN_IOCTL _IOWR('f', 16, struct lh_scan_request)

enum {
	LH_SCAN_IS_WRITE_TRACKED = 1 << 0, /* PAGE_IS_WPALLOWED */
	LH_SCAN_IS_WRITTEN = 1 << 1,
	LH_SCAN_IS_FILE = 1 << 2,
	LH_SCAN_IS_PRESENT = 1 << 3,
	LH_SCAN_IS_SWAPPED = 1 << 4,
	LH_SCAN_IS_ZERO = 1 << 5, /* PAGE_IS_PFNZERO: the kernel's shared page of zeros */
	LH_SCAN_IS_HUGE = 1 << 6,
	LH_SCAN_IS_GUARD = 1 << 8,         /* PAGE_IS_GUARD, Linux 6.16: a guard page counts as swapped, too */
	LH_SCAN_PROTECT_MATCHING = 1 << 0, /* PM_SCAN_WP_MATCHING */
	LH_SCAN_DEMAND_TRACKED = 1 << 1,   /* PM_SCAN_CHECK_WPASYNC: EPERM if any mapping is not tracked */
	LH_SCAN_REGIONS = 1024,
	LH_PAGEMAP_ENTRIES = 8192,
};

struct lh_pagemap {
	int fd;
	bool is_probed;
	bool has_scan;     /* valid when is_probed */
	bool knows_guards; /* too */
	const struct lh_process *process;
	uint64_t page_bytes;
	uint64_t rested_ns;           /* when the target last had its chance at mmap_lock */
	const struct lh_range *taken; /* lh_pagemap_note_taken */
	size_t taken_count;
	LH_VEC(struct lh_range) doubts; /* scratch of lh_pagemap_find_written */
	struct lh_scan_region regions[LH_SCAN_REGIONS];
	uint64_t entries[LH_PAGEMAP_ENTRIES];
};

/* Whether the kernel has the ioctl; tries once. */
bool lh_pagemap_knows_scan(struct lh_pagemap *pagemap);

/* One call walks page tables under mmap_lock: 4 GB at once stalled the target's mmap for 35 ms (Linux 6.18). */
#define LH_SCAN_PIECE_BYTES (32 * LH_MIB)

/* A scan's parameters, as in struct pm_scan_arg. */
struct lh_scan_query {
	uint64_t flags;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
	bool tells_written;  /* tracked and unwritten pages are LH_PAGES_PRESENT, all others LH_PAGES_WRITTEN */
	bool is_for_running; /* the target runs: give it its turns at mmap_lock */
	bool omits_present;  /* what is not returned is present, tracked and unwritten */
};

/* LH_ERROR_USAGE unless the range consists of whole pages; LH_ERROR_UNSUPPORTED without the ioctl. */
struct lh_error *lh_scan_check(struct lh_pagemap *pagemap, struct lh_range range) LH_NODISCARD;

/* Appends the runs of pages that the query selects: of one piece; of a range, which is checked, piece by piece. */
struct lh_error *lh_scan_piece(struct lh_pagemap *pagemap, const struct lh_scan_query *query, struct lh_range piece,
			       struct lh_page_runs *ret) LH_NODISCARD;
struct lh_error *lh_scan_range(struct lh_pagemap *pagemap, const struct lh_scan_query *query, struct lh_range range,
			       struct lh_page_runs *ret) LH_NODISCARD;

/* The states of a range's pages, as smaps would count them. Also for hugetlbfs. */
struct lh_page_counts {
	uint64_t present_bytes;   /* without the kernel's page of zeros, where that can be told */
	uint64_t anonymous_bytes; /* of them, not of a file */
	uint64_t huge_bytes;      /* of the anonymous ones, as huge pages; 0 without PAGEMAP_SCAN */
	uint64_t exclusive_bytes; /* of those present, mapped once; 0 unless asked for */
	uint64_t swapped_bytes;
};

/*
 * How much to look at in one call, which holds the target's mmap_lock. Follows from the cost of earlier calls.
 * Zero-initialize all but `goal_ns`.
 */
struct lh_call_pace {
	uint64_t goal_ns;     /* for one call; 0: no bound */
	uint64_t pages;       /* for the next one */
	uint64_t hold_ns_max; /* the longest call so far */
};

/* One call of lh_pagemap_count never spans a larger gap between mappings. */
#define LH_COUNT_GAP_MAX LH_GIB

/*
 * Counts the pages of `count` mappings into ret[0..count), which is zero before. The mappings are in order, without
 * others between them, and without a gap longer than LH_COUNT_GAP_MAX. Faults nothing in.
 */
struct lh_error *lh_pagemap_count(struct lh_pagemap *pagemap, const struct lh_region *regions, size_t count,
				  struct lh_call_pace *pace, struct lh_page_counts *ret) LH_NODISCARD;

/* The same for one mapping, and also which pages are mapped once. Reads each page's entry. */
struct lh_error *lh_pagemap_count_exclusive(struct lh_pagemap *pagemap, const struct lh_region *region,
					    struct lh_call_pace *pace, struct lh_page_counts *ret) LH_NODISCARD;

#endif
