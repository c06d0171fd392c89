/*
 * walk: hands the present bytes of an image to scanners, in address order. For files a block is a
 * whole stretch of data of one segment, straight from the mapping; live images have a walk of their
 * own. A walk never copies file bytes, and never visits a gap.
 */
#include "image/view.h"

struct file_walk {
	const struct lh_image *image;
	lh_block_visitor *visit;
	void *context;
	uint64_t visited_end; /* where the last block's own bytes ended; LH_NO_OFFSET before the first */
};

static struct lh_error *visit_piece(struct file_walk *walk, const struct lh_segment *segment, uint64_t start,
				    uint64_t end)
{
	uint64_t file_offset = segment->file_offset + (start - segment->start);
	struct lh_block block = {
		.addr = start,
		.file_offset = file_offset,
		.data = walk->image->bytes + file_offset,
		.bytes = end - start,
		.bytes_before = lh_image_bytes_before(walk->image, start, LH_BLOCK_OVERLAP),
		.is_continued = start == walk->visited_end,
		.segment = segment,
	};
	size_t all = lh_image_bytes_from(walk->image, start, block.bytes + LH_BLOCK_OVERLAP);
	block.bytes_after = all - block.bytes;
	walk->visited_end = end;
	return walk->visit(walk->context, &block);
}

static struct lh_error *walk_segment(struct file_walk *walk, const struct lh_segment *segment)
{
	uint64_t at = segment->start, end;
	while (lh_image_next_present(walk->image, segment, &at, &end)) {
		LH_TRY(visit_piece(walk, segment, at, end));
		at = end;
	}
	return NULL;
}

static struct lh_error *walk_file(struct lh_image *image, unsigned flags, lh_block_visitor *visit, void *context)
{
	struct file_walk walk = {image, visit, context, LH_NO_OFFSET};
	for (size_t i = 0; i < image->segments.count; i++) {
		if (lh_segment_is_walked(&image->segments.items[i], flags))
			LH_TRY(walk_segment(&walk, &image->segments.items[i]));
	}
	return NULL;
}

struct lh_error *lh_image_walk(struct lh_image *image, unsigned flags, lh_block_visitor *visit, void *context)
{
	if (image->process)
		return lh_live_walk(image, flags, visit, context);
	return walk_file(image, flags, visit, context);
}

uint64_t lh_image_walk_bytes(const struct lh_image *image, unsigned flags)
{
	if (image->process)
		return lh_live_walk_bytes(image, flags);
	uint64_t total = 0;
	for (size_t i = 0; i < image->segments.count; i++) {
		const struct lh_segment *segment = &image->segments.items[i];
		if (!lh_segment_is_walked(segment, flags))
			continue;
		uint64_t at = segment->start, end;
		for (; lh_image_next_present(image, segment, &at, &end); at = end)
			total += end - at;
	}
	return total;
}
