/*
 * present: which bytes of a range an image has: resident pages of a live process, or what a file holds. Input: a range.
 * Output: runs. It reads no memory of the target.
 */
#include "view.h"

#include <stdlib.h>

static struct lh_error *find_present_pages(const struct lh_image *image, struct lh_range range,
					   struct lh_page_runs *ret)
{
	struct lh_range pages = {lh_align_down(range.start, LH_PAGE_BYTES), lh_align_up(range.end, LH_PAGE_BYTES)};
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(lh_pagemap_runs(image->pagemap, pages, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		const struct lh_page_run *run = &runs.runs.items[i];
		uint64_t start = lh_max_u64(run->range.start, range.start);
		uint64_t end = lh_min_u64(run->range.end, range.end);
		if (lh_page_is_present(run->state) && start < end)
			LH_TRY(lh_page_runs_add(ret, start, end, LH_PAGES_PRESENT));
	}
	return NULL;
}

struct lh_error *lh_image_find_present(const struct lh_image *image, struct lh_range range, struct lh_page_runs *ret)
{
	if (image->process)
		return find_present_pages(image, range, ret);
	size_t first = lh_vec_count_before(&image->segments, item, item->end <= range.start);
	for (size_t i = first; i < image->segments.count && image->segments.items[i].start < range.end; i++) {
		const struct lh_segment *segment = &image->segments.items[i];
		uint64_t at = lh_max_u64(segment->start, range.start), end;
		while (at < lh_min_u64(segment->end, range.end) && lh_image_next_present(image, segment, &at, &end)) {
			end = lh_min_u64(end, range.end);
			if (at < end)
				LH_TRY(lh_page_runs_add(ret, at, end, LH_PAGES_PRESENT));
			at = end;
		}
	}
	return NULL;
}
