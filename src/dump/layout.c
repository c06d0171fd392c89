/*
 * layout: gives every page of a plan its place in the file. Pure. Short stretches of absent pages
 * are holes in the file; long ones are left out, so that a copy that knows no holes (scp, cp to
 * another file system, a scan) does not blow up.
 */
#include "layout.h"

#include <stdlib.h>

#define HOLE_MAX LH_MIB

/* Absent pages longer than this end a piece's bytes in the file. */
static uint64_t hole_limit(const struct lh_extent *extent)
{
	return extent->is_absent_zero ? HOLE_MAX : 0;
}

static struct lh_error *begin_piece(struct lh_layout *layout, const struct lh_extent *extent, uint64_t start)
{
	return lh_vec_push(&layout->pieces, (struct lh_piece){
	                                            .start = start,
	                                            .end = extent->end,
	                                            .file_offset = layout->end_offset,
	                                            .extent = extent,
	                                    });
}

static struct lh_piece *last_piece(struct lh_layout *layout)
{
	return &layout->pieces.items[layout->pieces.count - 1];
}

static struct lh_error *lay_out_run(struct lh_layout *layout, const struct lh_extent *extent, struct lh_range run)
{
	struct lh_piece *piece = last_piece(layout);
	uint64_t absent_bytes = run.start - (piece->start + piece->file_bytes);
	if (absent_bytes > hole_limit(extent)) {
		piece->end = run.start;
		LH_TRY(begin_piece(layout, extent, run.start));
		piece = last_piece(layout);
	}
	piece->file_bytes = run.end - piece->start;
	layout->end_offset = piece->file_offset + piece->file_bytes;
	return NULL;
}

static struct lh_error *lay_out_extent(struct lh_layout *layout, const struct lh_plan *plan,
                                       const struct lh_extent *extent)
{
	LH_TRY(begin_piece(layout, extent, extent->start));
	for (size_t i = 0; i < extent->run_count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[extent->first_run + i];
		if (run->state == LH_PAGES_PRESENT)
			LH_TRY(lay_out_run(layout, extent, run->range));
	}
	return NULL;
}

struct lh_error *lh_layout_create(const struct lh_plan *plan, uint64_t base_offset, struct lh_layout *ret)
{
	struct lh_layout layout = {.end_offset = base_offset};
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < plan->extents.count; i++)
		error = lay_out_extent(&layout, plan, &plan->extents.items[i]);
	if (error)
		lh_layout_deinit(&layout);
	else
		*ret = layout;
	return error;
}

void lh_layout_deinit(struct lh_layout *layout)
{
	lh_vec_deinit(&layout->pieces);
	*layout = (struct lh_layout){0};
}

static int compare_address(const void *key, const void *item)
{
	const uint64_t *addr = key;
	const struct lh_piece *piece = item;
	return *addr < piece->start ? -1 : *addr >= piece->end;
}

const struct lh_piece *lh_layout_find(const struct lh_layout *layout, uint64_t addr)
{
	if (!layout->pieces.count)
		return NULL;
	return bsearch(&addr, layout->pieces.items, layout->pieces.count, sizeof(struct lh_piece), compare_address);
}

/* The part [start, end) of a piece. */
static struct lh_error *add_part(struct lh_layout *ret, const struct lh_piece *piece, uint64_t start, uint64_t end)
{
	if (start >= end)
		return NULL;
	uint64_t skipped_bytes = start - piece->start;
	struct lh_piece part = *piece;
	part.start = start;
	part.end = end;
	part.file_offset = piece->file_offset + lh_min_u64(skipped_bytes, piece->file_bytes);
	part.file_bytes =
	        piece->file_bytes > skipped_bytes ? lh_min_u64(piece->file_bytes - skipped_bytes, end - start) : 0;
	return lh_vec_push(&ret->pieces, part);
}

struct lh_error *lh_layout_without_gaps(const struct lh_layout *layout, const struct lh_dump_gaps *gaps,
                                        struct lh_layout *ret)
{
	size_t next_gap = 0;
	for (size_t i = 0; i < layout->pieces.count; i++) {
		const struct lh_piece *piece = &layout->pieces.items[i];
		uint64_t at = piece->start;
		while (next_gap < gaps->items.count && gaps->items.items[next_gap].range.end <= at)
			next_gap++;
		for (size_t j = next_gap; j < gaps->items.count; j++) {
			const struct lh_range *gap = &gaps->items.items[j].range;
			if (gap->start >= piece->end)
				break;
			LH_TRY(add_part(ret, piece, at, gap->start));
			at = lh_max_u64(at, gap->end);
		}
		LH_TRY(add_part(ret, piece, at, piece->end));
	}
	ret->end_offset = layout->end_offset;
	return NULL;
}
