/*
 * loads: turns the claims of a file's headers into reliable segments: ascending, disjoint, within the file. Claims that
 * the file does not meet become gaps. Then notes about address ranges are applied to the segments. Input is hostile;
 * memory is linear in its size.
 */
#include "view.h"

#include <stdlib.h>
#include <string.h>

void lh_loads_deinit(struct lh_loads *loads)
{
	lh_vec_deinit(&loads->loads);
}

void lh_annotations_deinit(struct lh_annotations *annotations)
{
	lh_vec_deinit(&annotations->items);
}

/* ---------------------------------------------------------------- gaps */

struct lh_error *lh_image_add_gap(struct lh_image *image, uint64_t start, uint64_t end, enum lh_gap_reason reason)
{
	if (start >= end)
		return NULL;
	struct lh_gap *last = image->gaps.count ? &image->gaps.items[image->gaps.count - 1] : NULL;
	if (last && last->range.end == start && last->reason == reason) {
		last->range.end = end;
		return NULL;
	}
	return lh_vec_push(&image->gaps, (struct lh_gap){{start, end}, reason});
}

static int compare_gaps(const void *a, const void *b)
{
	const struct lh_gap *left = a, *right = b;
	return lh_compare_u64(left->range.start, right->range.start);
}

static void make_disjoint(struct lh_image *image)
{
	lh_vec_sort(&image->gaps, compare_gaps);
	size_t kept = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < image->gaps.count; i++) {
		struct lh_gap gap = image->gaps.items[i];
		gap.range.start = lh_max_u64(gap.range.start, end);
		if (gap.range.start >= gap.range.end)
			continue;
		end = gap.range.end;
		image->gaps.items[kept++] = gap;
	}
	image->gaps.count = kept;
}

struct lh_error *lh_image_order_gaps(struct lh_image *image)
{
	if (image->gaps.count)
		make_disjoint(image);
	LH_TRY(lh_vec_reserve(&image->gaps, image->overlaps.count));
	image->lost_count = image->gaps.count;
	for (size_t i = 0; i < image->overlaps.count; i++)
		image->gaps.items[image->gaps.count++] = image->overlaps.items[i];
	return NULL;
}

/* ---------------------------------------------------------------- segments */

/* Of two segments at one address, the one with more bytes in the file comes first, and is kept. */
static int compare_loads(const void *a, const void *b)
{
	const struct lh_load *left = a, *right = b;
	int order = lh_compare_u64(left->segment.start, right->segment.start);
	if (!order)
		order = -lh_compare_u64(left->claimed_bytes, right->claimed_bytes);
	return order ? order : lh_compare_u64(left->segment.file_offset, right->segment.file_offset);
}

/* Cuts `bytes` off the start. */
static void load_trim_start(struct lh_load *load, uint64_t bytes)
{
	load->segment.start += bytes;
	load->segment.file_offset += lh_min_u64(bytes, load->claimed_bytes);
	load->claimed_bytes -= lh_min_u64(bytes, load->claimed_bytes);
}

/* How much of the claimed bytes the file has; the rest becomes gaps. */
static struct lh_error *load_settle(struct lh_image *image, struct lh_load *load)
{
	struct lh_segment *segment = &load->segment;
	uint64_t claimed = lh_min_u64(load->claimed_bytes, segment->end - segment->start);
	uint64_t in_file = image->file_bytes > segment->file_offset ? image->file_bytes - segment->file_offset : 0;
	segment->file_bytes = lh_min_u64(claimed, in_file);
	if (!segment->file_bytes)
		segment->file_offset = LH_NO_OFFSET;
	uint64_t present_end = segment->start + segment->file_bytes;
	uint64_t claimed_end = segment->start + claimed;
	LH_TRY(lh_image_add_gap(image, present_end, claimed_end, LH_GAP_TRUNCATED));
	return lh_image_add_gap(image, claimed_end, segment->end, LH_GAP_NOT_DUMPED);
}

static struct lh_error *add_overlap(struct lh_image *image, uint64_t start, uint64_t end)
{
	return lh_vec_push(&image->overlaps, (struct lh_gap){{start, end}, LH_GAP_OVERLAP});
}

/* A few bytes of a file that claim to be endless memory: scanning them would never end. */
static struct lh_error *refuse_repetition(const struct lh_image *image)
{
	enum { TIMES_MAX = 16 };
	uint64_t total = 0;
	for (size_t i = 0; i < image->segments.count; i++)
		total += image->segments.items[i].file_bytes;
	if (total / TIMES_MAX <= image->file_bytes)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT,
					     "%s is not a usable core: its headers repeat the same bytes too often",
					     image->path),
			     "as plain bytes it can still be scanned");
}

struct lh_error *lh_image_add_loads(struct lh_image *image, struct lh_loads *loads)
{
	if (!loads->loads.count)
		return NULL;
	LH_TRY(lh_vec_reserve(&image->segments, loads->loads.count));
	lh_vec_sort(&loads->loads, compare_loads);
	uint64_t end = 0;
	for (size_t i = 0; i < loads->loads.count; i++) {
		struct lh_load *load = &loads->loads.items[i];
		if (load->segment.start < end) {
			uint64_t cut_end = lh_min_u64(load->segment.end, end);
			LH_TRY(add_overlap(image, load->segment.start, cut_end));
			load_trim_start(load, cut_end - load->segment.start);
		}
		if (load->segment.start >= load->segment.end)
			continue;
		LH_TRY(load_settle(image, load));
		end = load->segment.end;
		image->segments.items[image->segments.count++] = load->segment;
	}
	return refuse_repetition(image);
}

/* ---------------------------------------------------------------- annotations */

static int compare_annotations(const void *a, const void *b)
{
	const struct lh_annotation *left = a, *right = b;
	int order = lh_compare_u64(left->start, right->start);
	return order ? order : lh_compare_u64(left->end, right->end);
}

static void drop_overlapping_loads(struct lh_annotations *annotations)
{
	size_t kept = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < annotations->items.count; i++) {
		struct lh_annotation item = annotations->items.items[i];
		if (item.start < end || item.start >= item.end)
			continue;
		end = item.end;
		annotations->items.items[kept++] = item;
	}
	annotations->items.count = kept;
}

/* The part [start, end) of a segment. */
static struct lh_segment segment_part(const struct lh_segment *whole, uint64_t start, uint64_t end)
{
	struct lh_segment part = *whole;
	uint64_t skipped = start - whole->start;
	part.start = start;
	part.end = end;
	part.file_bytes = skipped < whole->file_bytes ? lh_min_u64(whole->file_bytes - skipped, end - start) : 0;
	part.file_offset = part.file_bytes ? whole->file_offset + skipped : LH_NO_OFFSET;
	return part;
}

static void apply_annotation(struct lh_segment *segment, const struct lh_annotation *annotation)
{
	segment->kind = annotation->kind;
	segment->name = annotation->name;
	segment->thread_name = annotation->thread_name;
	segment->is_context = annotation->is_context;
	segment->is_ended_stack = annotation->is_ended_stack;
	if (annotation->has_protection)
		segment->protection = annotation->protection;
}

struct segment_list {
	LH_VEC(struct lh_segment) segments;
};

static void segment_list_deinit(struct segment_list *list)
{
	lh_vec_deinit(&list->segments);
}

/* Cuts `whole` at the borders of the annotations; `*next` is the first that may concern it. */
static struct lh_error *annotate_segment(const struct lh_segment *whole, const struct lh_annotations *annotations,
					 size_t *next, struct segment_list *ret)
{
	uint64_t at = whole->start;
	while (at < whole->end) {
		while (*next < annotations->items.count && annotations->items.items[*next].end <= at)
			++*next;
		const struct lh_annotation *item =
			*next < annotations->items.count ? &annotations->items.items[*next] : NULL;
		bool is_inside = item && item->start <= at;
		uint64_t until = whole->end;
		if (item)
			until = lh_min_u64(until, is_inside ? item->end : item->start);
		struct lh_segment part = segment_part(whole, at, until);
		if (is_inside)
			apply_annotation(&part, item);
		LH_TRY(lh_vec_push(&ret->segments, part));
		at = until;
	}
	return NULL;
}

struct lh_error *lh_image_annotate(struct lh_image *image, struct lh_annotations *annotations)
{
	if (!annotations->items.count || !image->segments.count)
		return NULL;
	lh_vec_sort(&annotations->items, compare_annotations);
	drop_overlapping_loads(annotations);
	struct segment_list parts LH_CLEANUP(segment_list_deinit) = {0};
	size_t next = 0;
	for (size_t i = 0; i < image->segments.count; i++)
		LH_TRY(annotate_segment(&image->segments.items[i], annotations, &next, &parts));
	struct lh_segment *whole = image->segments.items;
	image->segments.items = parts.segments.items;
	image->segments.count = parts.segments.count;
	image->segments.capacity = parts.segments.capacity;
	parts.segments.items = whole;
	return NULL;
}
