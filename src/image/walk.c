/*
 * walk: hands the present bytes of an image to scanners, in address order. For files a block is a
 * whole stretch of data of one segment, straight from the mapping; of compressed ones it is cut into
 * pieces that are decompressed for the visit; live images have a walk of their own. A walk never
 * copies bytes of a mapped file, and never visits a gap.
 */
#include "view.h"

#include <stdlib.h>

#define PIECE_BYTES ((size_t)4 * 1024 * 1024)

struct file_walk {
	const struct lh_image *image;
	lh_block_visitor *visit;
	void *context;
	uint8_t *buffer;      /* compressed: room for a piece and what is around it */
	uint64_t visited_end; /* where the last block's own bytes ended; LH_NO_OFFSET before the first */
};

/* A block that is only there while it is visited. */
static struct lh_error *visit_packed(struct file_walk *walk, const struct lh_segment *segment, struct lh_range owned)
{
	size_t owned_bytes = lh_range_bytes(owned);
	size_t before = lh_image_bytes_before(walk->image, owned.start, LH_BLOCK_OVERLAP);
	size_t all = lh_image_bytes_from(walk->image, owned.start, owned_bytes + LH_BLOCK_OVERLAP);
	uint64_t file_offset = segment->file_offset + (owned.start - segment->start);
	LH_TRY(lh_frames_read(walk->image->frames, file_offset - before, walk->buffer, before + all));
	struct lh_block block = {
		.addr = owned.start,
		.file_offset = file_offset,
		.data = walk->buffer + before,
		.bytes = owned_bytes,
		.bytes_before = before,
		.bytes_after = all - owned_bytes,
		.is_continued = owned.start == walk->visited_end,
		.segment = segment,
	};
	walk->visited_end = owned.end;
	return walk->visit(walk->context, &block);
}

static struct lh_error *visit_packed_pieces(struct file_walk *walk, const struct lh_segment *segment, uint64_t start,
					    uint64_t end)
{
	while (start < end) {
		struct lh_range owned = {start, lh_min_u64(end - start, PIECE_BYTES) + start};
		LH_TRY(visit_packed(walk, segment, owned));
		start = owned.end;
	}
	return NULL;
}

static struct lh_error *visit_walk_piece(struct file_walk *walk, const struct lh_segment *segment, uint64_t start,
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
		LH_TRY(walk->buffer ? visit_packed_pieces(walk, segment, at, end)
				    : visit_walk_piece(walk, segment, at, end));
		at = end;
	}
	return NULL;
}

static struct lh_error *walk_segments(struct file_walk *walk, unsigned flags)
{
	for (size_t i = 0; i < walk->image->segments.count; i++) {
		if (lh_segment_is_walked(&walk->image->segments.items[i], flags))
			LH_TRY(walk_segment(walk, &walk->image->segments.items[i]));
	}
	return NULL;
}

static struct lh_error *walk_file(struct lh_image *image, unsigned flags, lh_block_visitor *visit, void *context)
{
	struct file_walk walk = {.image = image, .visit = visit, .context = context, .visited_end = LH_NO_OFFSET};
	if (!image->frames)
		return walk_segments(&walk, flags);
	walk.buffer = malloc(PIECE_BYTES + 2 * LH_BLOCK_OVERLAP);
	struct lh_error *error = walk.buffer ? walk_segments(&walk, flags) : lh_error_no_memory();
	free(walk.buffer);
	return error;
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
