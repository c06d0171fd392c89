/*
 * pagemap_count: how many pages of a mapping are present, anonymous, huge, swapped. Input: an open pagemap, a range.
 * Output: sums, as smaps has them. Uses short calls, so that the target's mmap does not wait long; earlier calls
 * determine their length. Reads no memory.
 */
#include "pagemap_scan.h"

#include <errno.h>
#include <unistd.h>

/* admin-guide/mm/pagemap.rst */
#define ENTRY_GUARD     (UINT64_C(1) << 58)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56) /* Linux 4.2 */
#define ENTRY_FILE      (UINT64_C(1) << 61)
#define ENTRY_SWAPPED   (UINT64_C(1) << 62)
#define ENTRY_PRESENT   (UINT64_C(1) << 63)

/* Page tables without pages cost time, too: 0.3 ms per GiB (Linux 6.18). */
#define RANGE_BYTES_MAX LH_GIB

enum { PAGES_FIRST = 8192, PAGES_MIN = 512, PAGES_MAX = 65536 };

/* A preempted call predicts little: it makes only the next call shorter. */
static void keep_pace(struct lh_call_pace *pace, uint64_t started_ns, uint64_t page_count)
{
	uint64_t call_ns = lh_clock_monotonic_ns() - started_ns;
	pace->hold_ns_max = lh_max_u64(pace->hold_ns_max, call_ns);
	if (page_count < PAGES_MIN || !pace->goal_ns)
		return;
	uint64_t pages = (uint64_t)((double)pace->goal_ns / (double)lh_max_u64(call_ns, 1) * (double)page_count);
	pace->pages = lh_max_u64(PAGES_MIN, lh_min_u64(pages, PAGES_MAX));
}

static void count_scanned(const struct lh_scan_region *region, struct lh_page_counts *counts)
{
	uint64_t bytes = region->end - region->start;
	if (region->categories & (LH_SCAN_IS_GUARD | LH_SCAN_IS_ZERO))
		return;
	if (!(region->categories & LH_SCAN_IS_PRESENT)) {
		counts->swapped_bytes += bytes;
		return;
	}
	counts->present_bytes += bytes;
	if (region->categories & LH_SCAN_IS_FILE)
		return;
	counts->anonymous_bytes += bytes;
	if (region->categories & LH_SCAN_IS_HUGE)
		counts->huge_bytes += bytes;
}

/* Where counts go: mappings in order, and the first one that the rest of the range may be in. */
struct tally {
	const struct lh_region *regions;
	size_t count;
	size_t at;
	struct lh_page_counts *counts;
};

/* The kernel joins adjacent runs of one kind, even across two mappings. */
static void tally_piece(struct tally *tally, const struct lh_scan_region *piece)
{
	while (tally->at < tally->count && tally->regions[tally->at].end <= piece->start)
		tally->at++;
	for (size_t i = tally->at; i < tally->count && tally->regions[i].start < piece->end; i++) {
		struct lh_scan_region part = *piece;
		part.start = lh_max_u64(part.start, tally->regions[i].start);
		part.end = lh_min_u64(part.end, tally->regions[i].end);
		count_scanned(&part, &tally->counts[i]);
	}
}

/* One call from `request->start` on, which moves behind the pages looked at. */
static struct lh_error *scan_once(struct lh_pagemap *pagemap, struct lh_scan_request *request,
				  struct lh_call_pace *pace, struct tally *tally)
{
	uint64_t started_ns = lh_clock_monotonic_ns(), bytes = 0;
	request->max_pages = pace->pages;
	int count = ioctl(pagemap->fd, LH_SCAN_IOCTL, request);
	if (count < 0)
		return errno == EINTR ? NULL : lh_process_file_error(pagemap->process, "pagemap", errno);
	for (int i = 0; i < count; i++) {
		tally_piece(tally, &pagemap->regions[i]);
		bytes += pagemap->regions[i].end - pagemap->regions[i].start;
	}
	uint64_t page_count = bytes / pagemap->page_bytes;
	bool is_full = count == LH_SCAN_REGIONS || page_count >= request->max_pages;
	keep_pace(pace, started_ns, page_count);
	request->start = count && is_full ? pagemap->regions[count - 1].end : request->end;
	return NULL;
}

static struct lh_error *scan_pagemap_count(struct lh_pagemap *pagemap, struct lh_call_pace *pace, struct tally *tally)
{
	const struct lh_range range = {tally->regions[0].start, tally->regions[tally->count - 1].end};
	struct lh_scan_request request = {
		.size = sizeof(request),
		.regions = (uint64_t)(uintptr_t)pagemap->regions,
		.region_count = LH_SCAN_REGIONS,
		.category_anyof_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_SWAPPED,
		.return_mask = LH_SCAN_IS_PRESENT | LH_SCAN_IS_SWAPPED | LH_SCAN_IS_FILE | LH_SCAN_IS_HUGE |
			       LH_SCAN_IS_ZERO | (pagemap->knows_guards ? LH_SCAN_IS_GUARD : 0),
	};
	for (uint64_t at = range.start; at < range.end; at = request.end) {
		request.start = at;
		request.end = at + lh_min_u64(range.end - at, RANGE_BYTES_MAX);
		while (request.start < request.end) {
			LH_TRY(scan_once(pagemap, &request, pace, tally));
			lh_rest_from_lock(&pagemap->rested_ns);
		}
	}
	return NULL;
}

static void count_entry(uint64_t entry, uint64_t page_bytes, struct lh_page_counts *counts)
{
	if (entry & ENTRY_GUARD || !(entry & (ENTRY_PRESENT | ENTRY_SWAPPED)))
		return;
	if (!(entry & ENTRY_PRESENT)) {
		counts->swapped_bytes += page_bytes;
		return;
	}
	counts->present_bytes += page_bytes;
	counts->anonymous_bytes += entry & ENTRY_FILE ? 0 : page_bytes;
	counts->exclusive_bytes += entry & ENTRY_EXCLUSIVE ? page_bytes : 0;
}

static struct lh_error *read_count_entries(struct lh_pagemap *pagemap, const struct lh_region *region,
					   struct lh_call_pace *pace, struct lh_page_counts *counts)
{
	for (uint64_t at = region->start; at < region->end;) {
		uint64_t wanted = lh_min_u64(lh_min_u64((region->end - at) / pagemap->page_bytes, pace->pages),
					     LH_PAGEMAP_ENTRIES);
		uint64_t started_ns = lh_clock_monotonic_ns();
		ssize_t bytes = pread(pagemap->fd, pagemap->entries, wanted * sizeof(uint64_t),
				      (off_t)(at / pagemap->page_bytes * sizeof(uint64_t)));
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return lh_process_file_error(pagemap->process, "pagemap", errno);
		size_t count = (size_t)bytes / sizeof(uint64_t);
		if (!count) /* the process has ended */
			return NULL;
		keep_pace(pace, started_ns, count);
		for (size_t i = 0; i < count; i++)
			count_entry(pagemap->entries[i], pagemap->page_bytes, counts);
		at += count * pagemap->page_bytes;
		lh_rest_from_lock(&pagemap->rested_ns);
	}
	return NULL;
}

struct lh_error *lh_pagemap_count(struct lh_pagemap *pagemap, const struct lh_region *regions, size_t count,
				  struct lh_call_pace *pace, struct lh_page_counts *ret)
{
	struct tally tally = {.regions = regions, .count = count, .counts = ret};
	if (!pace->pages)
		pace->pages = PAGES_FIRST;
	if (lh_pagemap_knows_scan(pagemap))
		return scan_pagemap_count(pagemap, pace, &tally);
	for (size_t i = 0; i < count; i++) {
		LH_TRY(read_count_entries(pagemap, &regions[i], pace, &ret[i]));
		ret[i].exclusive_bytes = 0;
	}
	return NULL;
}

struct lh_error *lh_pagemap_count_exclusive(struct lh_pagemap *pagemap, const struct lh_region *region,
					    struct lh_call_pace *pace, struct lh_page_counts *ret)
{
	if (!pace->pages)
		pace->pages = PAGES_FIRST;
	return read_count_entries(pagemap, region, pace, ret);
}
