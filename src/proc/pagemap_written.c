/*
 * pagemap_written: which pages of tracked mappings were written since they were protected, by PAGEMAP_SCAN. Input: an
 * open pagemap, and which pages were taken before. Output: runs of pages.
 *
 * The kernel passes over protected pages in 0.3 ms a GiB when it is asked for the others alone, and in 1 ms when it is
 * asked for anything besides (fs/proc/task_mmu.c, pagemap_scan_pmd_entry, the branch without categories; Linux 6.18,
 * page tables in the cache; 0.5 and 0.85 when they are not). What such a quick scan leaves open is looked at again.
 */
#include "pagemap_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* One more call costs as much as looking at this much in full. */
#define DOUBT_GAP_BYTES (512 * LH_KIB)
/* Page tables of a piece: 4 KiB pages have the smallest, of 2 MiB. */
enum { AREAS_MAX = LH_SCAN_PIECE_BYTES / (2 * LH_MIB) + 1 };

/* Swapped pages stay as they are: neither read nor protected. */
static const struct lh_scan_query query_take_written = {
	.flags = LH_SCAN_PROTECT_MATCHING,
	.category_mask = LH_SCAN_IS_WRITE_TRACKED | LH_SCAN_IS_WRITTEN | LH_SCAN_IS_PRESENT,
	.return_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_WRITTEN,
	.tells_written = true,
	.is_for_running = true,
};

/*
 * All except present, tracked and unwritten pages, which are most: returning pages costs more than skipping them (4 GB:
 * 8 ms against 4 ms, Linux 6.18).
 */
static const struct lh_scan_query query_find_written = {
	.category_inverted = LH_SCAN_IS_PRESENT | LH_SCAN_IS_WRITE_TRACKED,
	.category_anyof_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_WRITE_TRACKED | LH_SCAN_IS_WRITTEN,
	.return_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_SWAPPED | LH_SCAN_IS_WRITTEN | LH_SCAN_IS_WRITE_TRACKED,
	.tells_written = true,
	.omits_present = true,
};

struct lh_error *lh_pagemap_take_written(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret)
{
	return lh_scan_range(pagemap, &query_take_written, range, ret);
}

void lh_pagemap_note_taken(struct lh_pagemap *pagemap, const struct lh_range *taken, size_t count)
{
	pagemap->taken = taken;
	pagemap->taken_count = count;
}

/* ---------------------------------------------------------------- doubts */

static struct lh_error *doubt_range(struct lh_pagemap *pagemap, uint64_t start, uint64_t end)
{
	return start < end ? lh_vec_push(&pagemap->doubts, (struct lh_range){start, end}) : NULL;
}

/* The first taken range that ends behind `addr`. */
static size_t find_taken(const struct lh_pagemap *pagemap, uint64_t addr)
{
	return lh_count_before(pagemap->taken, pagemap->taken_count, item, item->end <= addr);
}

/* A protected page that was never taken may be a mark without a page (UFFD_FEATURE_WP_UNPOPULATED). */
static struct lh_error *doubt_untaken(struct lh_pagemap *pagemap, struct lh_range piece)
{
	uint64_t at = piece.start;
	for (size_t i = find_taken(pagemap, at); i < pagemap->taken_count && pagemap->taken[i].start < piece.end; i++) {
		LH_TRY(doubt_range(pagemap, at, pagemap->taken[i].start));
		at = pagemap->taken[i].end;
	}
	return doubt_range(pagemap, at, piece.end);
}

/* admin-guide/mm/pagemap.rst: bit 63. */
static struct lh_error *is_present(const struct lh_pagemap *pagemap, uint64_t addr, bool *ret)
{
	uint64_t entry = 0;
	off_t offset = (off_t)(addr / pagemap->page_bytes * sizeof(entry));
	while (pread(pagemap->fd, &entry, sizeof(entry), offset) < 0) {
		if (errno != EINTR)
			return lh_process_file_error(pagemap->process, "pagemap", errno);
	}
	*ret = entry >> 63;
	return NULL;
}

/* One page table's worth of a piece, and one of its pages that was taken before. */
struct area {
	struct lh_range range;
	uint64_t taken_addr;
};

/*
 * Doubts the areas whose page is gone. lh_process_find_nodes costs a fifth of as many reads.
 */
static struct lh_error *doubt_absent(struct lh_pagemap *pagemap, const struct area *areas, size_t count)
{
	uint64_t pages[AREAS_MAX]; /* const void * of the target */
	int nodes[AREAS_MAX];
	for (size_t i = 0; i < count; i++)
		pages[i] = areas[i].taken_addr;
	bool is_told = lh_process_find_nodes(pagemap->process, pages, count, nodes);
	for (size_t i = 0; i < count; i++) {
		bool is_there = is_told && nodes[i] >= 0;
		if (!is_told)
			LH_TRY(is_present(pagemap, areas[i].taken_addr, &is_there));
		if (!is_there)
			LH_TRY(doubt_range(pagemap, areas[i].range.start, areas[i].range.end));
	}
	return NULL;
}

static void add_area(const struct lh_pagemap *pagemap, struct lh_range range, struct area *areas, size_t *count)
{
	size_t i = find_taken(pagemap, range.start);
	if (i == pagemap->taken_count || pagemap->taken[i].start >= range.end)
		return; /* doubted already */
	areas[(*count)++] = (struct area){range, lh_max_u64(pagemap->taken[i].start, range.start)};
}

/*
 * A page table that is gone, with all its pages, is skipped like one whose pages are all protected
 * (pagemap_scan_pte_hole; stable kernels of 2026 report it as written). One of its pages, taken before, tells the two
 * apart. Where anything is unprotected, there is a page table.
 */
static struct lh_error *doubt_gone_tables(struct lh_pagemap *pagemap, struct lh_range piece, size_t found)
{
	uint64_t table_bytes = pagemap->page_bytes / sizeof(uint64_t) * pagemap->page_bytes;
	struct area areas[AREAS_MAX];
	size_t next = 0, count = 0;
	for (uint64_t at = piece.start; at < piece.end;) {
		struct lh_range area = {at, lh_min_u64(at / table_bytes * table_bytes + table_bytes, piece.end)};
		while (next < found && pagemap->regions[next].end <= area.start)
			next++;
		if (next == found || pagemap->regions[next].start >= area.end)
			add_area(pagemap, area, areas, &count);
		at = area.end;
	}
	return count ? doubt_absent(pagemap, areas, count) : NULL;
}

/* Sorts them, and joins those that one call handles faster than two. Returns their bytes. */
static uint64_t join_doubts(struct lh_pagemap *pagemap)
{
	struct lh_range *items = pagemap->doubts.items;
	uint64_t bytes = 0;
	pagemap->doubts.count = lh_range_join_all(items, pagemap->doubts.count, DOUBT_GAP_BYTES);
	for (size_t i = 0; i < pagemap->doubts.count; i++)
		bytes += lh_range_bytes(items[i]);
	return bytes;
}

/* ---------------------------------------------------------------- finding */

/*
 * Puts what is not protected, with or without a page, into pagemap->regions. LH_SCAN_REGIONS: perhaps there is more.
 * Only where all is tracked: memory that mremap(2) moved may keep protection that nobody tracks (Linux < 6.13).
 */
static struct lh_error *scan_unprotected(struct lh_pagemap *pagemap, struct lh_range piece, bool *ret_is_tracked,
					 size_t *ret_found)
{
	struct lh_scan_request request = {
		.size = sizeof(request),
		.flags = LH_SCAN_DEMAND_TRACKED,
		.start = piece.start,
		.end = piece.end,
		.regions = (uint64_t)(uintptr_t)pagemap->regions,
		.region_count = LH_SCAN_REGIONS,
		.category_mask = LH_SCAN_IS_WRITTEN,
		.return_mask = LH_SCAN_IS_WRITTEN,
	};
	int found;
	while ((found = ioctl(pagemap->fd, LH_SCAN_IOCTL, &request)) < 0 && errno == EINTR)
		;
	if (found < 0 && errno != EPERM)
		return lh_process_file_error(pagemap->process, "pagemap", errno);
	*ret_is_tracked = found >= 0;
	*ret_found = found >= 0 ? (size_t)found : 0;
	return NULL;
}

static struct lh_error *find_in_doubts(struct lh_pagemap *pagemap, struct lh_range piece, struct lh_page_runs *ret)
{
	uint64_t at = piece.start;
	for (size_t i = 0; i < pagemap->doubts.count; i++) {
		struct lh_range range = pagemap->doubts.items[i];
		if (at < range.start)
			LH_TRY(lh_page_runs_add(ret, at, range.start, LH_PAGES_PRESENT));
		LH_TRY(lh_scan_piece(pagemap, &query_find_written, range, ret));
		at = range.end;
	}
	return at < piece.end ? lh_page_runs_add(ret, at, piece.end, LH_PAGES_PRESENT) : NULL;
}

static struct lh_error *find_in_piece(struct lh_pagemap *pagemap, struct lh_range piece, struct lh_page_runs *ret)
{
	size_t found = 0;
	bool is_tracked = false;
	pagemap->doubts.count = 0;
	LH_TRY(doubt_untaken(pagemap, piece));
	if (join_doubts(pagemap) > lh_range_bytes(piece) / 2)
		return lh_scan_piece(pagemap, &query_find_written, piece, ret);
	LH_TRY(scan_unprotected(pagemap, piece, &is_tracked, &found));
	for (size_t i = 0; i < found; i++)
		LH_TRY(doubt_range(pagemap, pagemap->regions[i].start, pagemap->regions[i].end));
	LH_TRY(doubt_gone_tables(pagemap, piece, found));
	if (!is_tracked || found == LH_SCAN_REGIONS || join_doubts(pagemap) > lh_range_bytes(piece) / 2)
		return lh_scan_piece(pagemap, &query_find_written, piece, ret);
	return find_in_doubts(pagemap, piece, ret);
}

struct lh_error *lh_pagemap_find_written(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret)
{
	LH_TRY(lh_scan_check(pagemap, range));
	for (struct lh_range piece = {range.start, range.start}; piece.start < range.end; piece.start = piece.end) {
		piece.end = piece.start + lh_min_u64(range.end - piece.start, LH_SCAN_PIECE_BYTES);
		LH_TRY(find_in_piece(pagemap, piece, ret));
	}
	return NULL;
}
