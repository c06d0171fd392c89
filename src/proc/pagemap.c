/*
 * pagemap: which pages of a range are present or swapped out, without touching any. Input: an open /proc/PID/pagemap.
 * Output: runs of pages. By ioctl PAGEMAP_SCAN where the kernel has it (6.7), else from one entry per page.
 */
#include "pagemap_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Longest wait for mmap_lock that leakhunt causes in the target. */
#define HOLD_NS_MAX LH_NS_PER_MS

struct lh_error *lh_pagemap_open(const struct lh_process *process, struct lh_pagemap **ret)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = calloc(1, sizeof(*pagemap));
	if (!pagemap)
		return lh_error_no_memory();
	pagemap->fd = -1;
	pagemap->process = process;
	pagemap->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	pagemap->rested_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_process_open_file(process, "pagemap", O_RDONLY, &pagemap->fd));
	*ret = pagemap;
	pagemap = NULL;
	return NULL;
}

void lh_page_runs_deinit(struct lh_page_runs *runs)
{
	lh_vec_deinit(&runs->runs);
}

void lh_pagemap_close(struct lh_pagemap *pagemap)
{
	if (!pagemap)
		return;
	if (pagemap->fd >= 0)
		close(pagemap->fd);
	lh_vec_deinit(&pagemap->doubts);
	free(pagemap);
}

void lh_cleanup_pagemap(struct lh_pagemap **pagemap)
{
	lh_pagemap_close(*pagemap);
}

struct lh_error *lh_page_runs_add(struct lh_page_runs *runs, uint64_t start, uint64_t end, enum lh_page_state state)
{
	struct lh_page_run *last = runs->runs.count ? &runs->runs.items[runs->runs.count - 1] : NULL;
	if (last && last->range.end == start && last->state == state) {
		last->range.end = end;
		return NULL;
	}
	return lh_vec_push(&runs->runs, (struct lh_page_run){.range = {start, end}, .state = state});
}

static const struct lh_scan_query query_present = {
	.category_anyof_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_SWAPPED,
	.return_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_SWAPPED,
	.is_for_running = true,
};

/* In a private mapping: written once, so no longer a page of the file. */
static const struct lh_scan_query query_own = {
	.category_inverted = LH_SCAN_IS_FILE,
	.category_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_FILE,
	.return_mask = LH_SCAN_IS_PRESENT,
	.is_for_running = true,
};

static enum lh_page_state state_of(const struct lh_scan_query *query, uint64_t categories)
{
	if (!(categories & LH_SCAN_IS_PRESENT))
		return LH_PAGES_SWAPPED;
	bool is_unwritten = categories & LH_SCAN_IS_WRITE_TRACKED && !(categories & LH_SCAN_IS_WRITTEN);
	return query->tells_written && !is_unwritten ? LH_PAGES_WRITTEN : LH_PAGES_PRESENT;
}

/* *at: up to where all is known. */
static struct lh_error *add_omitted(const struct lh_scan_query *query, uint64_t *at, uint64_t end,
				    struct lh_page_runs *ret)
{
	if (query->omits_present && *at < end)
		LH_TRY(lh_page_runs_add(ret, *at, end, LH_PAGES_PRESENT));
	*at = lh_max_u64(*at, end);
	return NULL;
}

/* A guard page (MADV_GUARD_INSTALL) has no contents: it is absent. */
static struct lh_error *add_scanned(const struct lh_pagemap *pagemap, const struct lh_scan_query *query, size_t count,
				    uint64_t *at, struct lh_page_runs *ret)
{
	for (size_t i = 0; i < count; i++) {
		const struct lh_scan_region *region = &pagemap->regions[i];
		LH_TRY(add_omitted(query, at, region->start, ret));
		*at = region->end;
		if (region->categories & (LH_SCAN_IS_PRESENT | LH_SCAN_IS_SWAPPED) &&
		    !(region->categories & LH_SCAN_IS_GUARD))
			LH_TRY(lh_page_runs_add(ret, region->start, region->end, state_of(query, region->categories)));
	}
	return NULL;
}

void lh_rest_from_lock(uint64_t *rested_ns)
{
	static const struct timespec nap = {.tv_nsec = 1000}; /* and the timer slack of 50 us */
	uint64_t now_ns = lh_clock_monotonic_ns();
	if (now_ns - *rested_ns < HOLD_NS_MAX)
		return;
	nanosleep(&nap, NULL);
	*rested_ns = lh_clock_monotonic_ns();
}

struct lh_error *lh_scan_piece(struct lh_pagemap *pagemap, const struct lh_scan_query *query, struct lh_range piece,
			       struct lh_page_runs *ret)
{
	uint64_t at = piece.start;
	struct lh_scan_request request = {
		.size = sizeof(request),
		.flags = query->flags,
		.start = piece.start,
		.end = piece.end,
		.regions = (uint64_t)(uintptr_t)pagemap->regions,
		.region_count = LH_SCAN_REGIONS,
		.category_inverted = query->category_inverted,
		.category_mask = query->category_mask,
		.category_anyof_mask = query->category_anyof_mask,
		.return_mask = query->return_mask | (pagemap->knows_guards ? LH_SCAN_IS_GUARD : 0),
	};
	while (request.start < piece.end) {
		int count = ioctl(pagemap->fd, LH_SCAN_IOCTL, &request);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return lh_process_file_error(pagemap->process, "pagemap", errno);
		if (query->is_for_running)
			lh_rest_from_lock(&pagemap->rested_ns);
		LH_TRY(add_scanned(pagemap, query, (size_t)count, &at, ret));
		/*
		 * walk_end may lie before runs that were already returned: the kernel leaves it where its own
		 * buffer of 512 runs was last full (fs/proc/task_mmu.c, do_pagemap_scan; seen on Linux 6.18).
		 */
		if (count < LH_SCAN_REGIONS)
			break;
		request.start = pagemap->regions[count - 1].end;
	}
	return add_omitted(query, &at, piece.end, ret);
}

/* An empty scan: only a kernel that knows the ioctl, and the category, returns 0 for it. */
static bool accepts_scan(const struct lh_pagemap *pagemap, uint64_t category)
{
	struct lh_scan_request request = {
		.size = sizeof(request), .category_anyof_mask = category, .return_mask = category};
	return ioctl(pagemap->fd, LH_SCAN_IOCTL, &request) >= 0;
}

bool lh_pagemap_knows_scan(struct lh_pagemap *pagemap)
{
	if (pagemap->is_probed)
		return pagemap->has_scan;
	pagemap->has_scan = accepts_scan(pagemap, LH_SCAN_IS_PRESENT);
	pagemap->knows_guards = accepts_scan(pagemap, LH_SCAN_IS_GUARD);
	pagemap->is_probed = true;
	return pagemap->has_scan;
}

/*
 * When the kernel removes a write-protected page of a file, it leaves a mark of the protection, which counts as swapped
 * (mm/memory.c, zap_install_uffd_wp_if_needed; include/linux/swap.h, SWP_PTE_MARKER: the last of 32 types). Without
 * permission to see page frames, every type reads as 0.
 */
static bool is_marker(uint64_t entry)
{
	return !(entry >> 63) && (entry & 31) == 31;
}

/*
 * admin-guide/mm/pagemap.rst: bit 63 present, bit 62 swapped, bit 61 a file's page, bit 58 guard (which sets
 * bit 62, too).
 */
static struct lh_error *add_entries(const struct lh_pagemap *pagemap, uint64_t start, size_t count, bool tells_file,
				    struct lh_page_runs *ret)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t entry = pagemap->entries[i];
		if (!(entry >> 62) || (entry >> 58 & 1) || is_marker(entry))
			continue;
		uint64_t addr = start + i * pagemap->page_bytes;
		enum lh_page_state state = entry >> 63 ? LH_PAGES_PRESENT : LH_PAGES_SWAPPED;
		if (tells_file && entry >> 63 && (entry >> 61 & 1))
			state = LH_PAGES_WRITTEN;
		LH_TRY(lh_page_runs_add(ret, addr, addr + pagemap->page_bytes, state));
	}
	return NULL;
}

static struct lh_error *read_piece(struct lh_pagemap *pagemap, struct lh_range piece, bool tells_file,
				   struct lh_page_runs *ret)
{
	uint64_t at = piece.start;
	while (at < piece.end) {
		uint64_t wanted = lh_min_u64((piece.end - at) / pagemap->page_bytes, LH_PAGEMAP_ENTRIES);
		ssize_t bytes = pread(pagemap->fd, pagemap->entries, wanted * sizeof(uint64_t),
				      (off_t)(at / pagemap->page_bytes * sizeof(uint64_t)));
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return lh_process_file_error(pagemap->process, "pagemap", errno);
		size_t count = (size_t)bytes / sizeof(uint64_t);
		if (!count) /* beyond the end of user space, or the process has ended */
			return NULL;
		LH_TRY(add_entries(pagemap, at, count, tells_file, ret));
		at += count * pagemap->page_bytes;
	}
	return NULL;
}

static struct lh_error *check_range(const struct lh_pagemap *pagemap, struct lh_range range)
{
	if (range.start % pagemap->page_bytes == 0 && range.end % pagemap->page_bytes == 0 && range.start <= range.end)
		return NULL;
	return lh_error_create(LH_ERROR_USAGE, "0x%llx-0x%llx is not a range of whole pages",
			       (unsigned long long)range.start, (unsigned long long)range.end);
}

struct lh_error *lh_pagemap_runs(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret)
{
	LH_TRY(check_range(pagemap, range));
	for (uint64_t at = range.start; at < range.end;) {
		struct lh_range piece = {at, lh_min_u64(range.end - at, LH_SCAN_PIECE_BYTES) + at};
		LH_TRY(lh_pagemap_knows_scan(pagemap) ? lh_scan_piece(pagemap, &query_present, piece, ret)
						      : read_piece(pagemap, piece, false, ret));
		at = piece.end;
	}
	return NULL;
}

struct lh_error *lh_scan_check(struct lh_pagemap *pagemap, struct lh_range range)
{
	LH_TRY(check_range(pagemap, range));
	return lh_pagemap_knows_scan(pagemap)
		       ? NULL
		       : lh_error_create(LH_ERROR_UNSUPPORTED, "this kernel has no PAGEMAP_SCAN (Linux 6.7)");
}

struct lh_error *lh_scan_range(struct lh_pagemap *pagemap, const struct lh_scan_query *query, struct lh_range range,
			       struct lh_page_runs *ret)
{
	LH_TRY(lh_scan_check(pagemap, range));
	for (uint64_t at = range.start; at < range.end;) {
		struct lh_range piece = {at, lh_min_u64(range.end - at, LH_SCAN_PIECE_BYTES) + at};
		LH_TRY(lh_scan_piece(pagemap, query, piece, ret));
		at = piece.end;
	}
	return NULL;
}

static struct lh_error *read_own(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret)
{
	struct lh_page_runs told LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(lh_pagemap_tell_file(pagemap, range, &told));
	for (size_t i = 0; i < told.runs.count; i++) {
		const struct lh_page_run *run = &told.runs.items[i];
		if (run->state == LH_PAGES_PRESENT)
			LH_TRY(lh_page_runs_add(ret, run->range.start, run->range.end, run->state));
	}
	return NULL;
}

struct lh_error *lh_pagemap_find_own(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret)
{
	if (!lh_pagemap_knows_scan(pagemap))
		return read_own(pagemap, range, ret);
	return lh_scan_range(pagemap, &query_own, range, ret);
}

struct lh_error *lh_pagemap_tell_file(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret)
{
	LH_TRY(check_range(pagemap, range));
	return read_piece(pagemap, range, true, ret);
}
