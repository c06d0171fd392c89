/*
 * layout: gives every page of a plan its place in the file. Pure. Short stretches of absent pages are holes in the
 * file. Long ones take no place, so that a copy without holes (scp, another file system) does not grow.
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

/* Puts the pages of `part` at `offset`: behind the last piece, with a hole between, or in a piece of their own. */
static struct lh_error *append_part(struct lh_layout *layout, const struct lh_extent *extent, struct lh_range part,
				    uint64_t offset)
{
	struct lh_piece *piece = last_piece(layout);
	uint64_t absent_bytes = part.start - (piece->start + piece->file_bytes);
	bool is_linear = piece->file_offset + (part.start - piece->start) == offset;
	if (absent_bytes > hole_limit(extent) || !is_linear) {
		piece->end = part.start;
		if (piece->start == part.start)
			layout->pieces.count--;
		LH_TRY(begin_piece(layout, extent, part.start));
		piece = last_piece(layout);
		piece->file_offset = offset;
	}
	piece->file_bytes = part.end - piece->start;
	layout->end_offset = lh_max_u64(layout->end_offset, piece->file_offset + piece->file_bytes);
	return NULL;
}

static struct lh_error *lay_out_run(struct lh_layout *layout, const struct lh_extent *extent, struct lh_range run)
{
	const struct lh_piece *piece = last_piece(layout);
	uint64_t absent_bytes = run.start - (piece->start + piece->file_bytes);
	if (absent_bytes > hole_limit(extent))
		return append_part(layout, extent, run, layout->end_offset);
	return append_part(layout, extent, run, piece->file_offset + (run.start - piece->start));
}

static struct lh_error *lay_out_placed_run(struct lh_layout *layout, const struct lh_extent *extent,
					   const struct lh_layout *places, struct lh_range run)
{
	while (run.start < run.end) {
		const struct lh_piece *place = lh_layout_find(places, run.start);
		if (!place)
			return lh_error_create(LH_ERROR_SYSTEM, "page 0x%llx has no place in the file",
					       (unsigned long long)run.start);
		struct lh_range part = {run.start, lh_min_u64(run.end, place->end)};
		LH_TRY(append_part(layout, extent, part, place->file_offset + (part.start - place->start)));
		run.start = part.end;
	}
	return NULL;
}

static struct lh_error *lay_out_extent(struct lh_layout *layout, const struct lh_plan *plan,
				       const struct lh_layout *places, const struct lh_extent *extent)
{
	LH_TRY(begin_piece(layout, extent, extent->start));
	for (size_t i = 0; i < extent->run_count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[extent->first_run + i];
		if (!lh_page_is_present(run->state))
			continue;
		LH_TRY(places ? lay_out_placed_run(layout, extent, places, run->range)
			      : lay_out_run(layout, extent, run->range));
	}
	return NULL;
}

static struct lh_error *lay_out_plan(const struct lh_plan *plan, const struct lh_layout *places, uint64_t base_offset,
				     struct lh_layout *ret)
{
	struct lh_layout layout = {.end_offset = base_offset};
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < plan->extents.count; i++)
		error = lay_out_extent(&layout, plan, places, &plan->extents.items[i]);
	if (error)
		lh_layout_deinit(&layout);
	else
		*ret = layout;
	return error;
}

struct lh_error *lh_layout_create(const struct lh_plan *plan, uint64_t base_offset, struct lh_layout *ret)
{
	return lay_out_plan(plan, NULL, base_offset, ret);
}

struct lh_error *lh_layout_create_placed(const struct lh_plan *plan, const struct lh_layout *places,
					 struct lh_layout *ret)
{
	return lay_out_plan(plan, places, places->end_offset, ret);
}

/* ---------------------------------------------------------------- places */

static int compare_pieces(const void *a, const void *b)
{
	const struct lh_piece *left = a, *right = b;
	return left->start < right->start ? -1 : left->start > right->start;
}

static struct lh_error *add_place(struct lh_layout *places, struct lh_range range)
{
	uint64_t bytes = lh_range_bytes(range);
	struct lh_piece place = {
		.start = range.start,
		.end = range.end,
		.file_bytes = bytes,
		.file_offset = places->end_offset,
	};
	places->end_offset += bytes;
	return lh_vec_push(&places->pieces, place);
}

/* `known_count` places are sorted; new ones are appended behind them. */
static struct lh_error *place_run(struct lh_layout *places, size_t known_count, struct lh_range run)
{
	size_t low = 0, high = known_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (places->pieces.items[middle].end <= run.start)
			low = middle + 1;
		else
			high = middle;
	}
	for (; run.start < run.end; low++) {
		bool is_last = low >= known_count || places->pieces.items[low].start >= run.end;
		uint64_t gap_end = is_last ? run.end : places->pieces.items[low].start;
		uint64_t next = is_last ? run.end : places->pieces.items[low].end;
		if (gap_end > run.start)
			LH_TRY(add_place(places, (struct lh_range){run.start, gap_end}));
		run.start = next;
	}
	return NULL;
}

struct lh_error *lh_places_add(struct lh_layout *places, const struct lh_page_runs *runs)
{
	size_t known_count = places->pieces.count;
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < runs->runs.count; i++) {
		if (lh_page_is_present(runs->runs.items[i].state))
			error = place_run(places, known_count, runs->runs.items[i].range);
	}
	if (places->pieces.count > known_count)
		lh_vec_sort(&places->pieces, compare_pieces);
	return error;
}

struct lh_error *lh_places_create(const struct lh_layout *layout, struct lh_layout *ret)
{
	struct lh_layout places = {.end_offset = layout->end_offset};
	for (size_t i = 0; i < layout->pieces.count; i++) {
		struct lh_piece place = layout->pieces.items[i];
		place.end = place.start + place.file_bytes;
		place.extent = NULL;
		struct lh_error *error = place.file_bytes ? lh_vec_push(&places.pieces, place) : NULL;
		if (error) {
			lh_layout_deinit(&places);
			return error;
		}
	}
	*ret = places;
	return NULL;
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
