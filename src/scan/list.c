/*
 * list: all runs of an image, in order, one visitor call each.
 *
 * A walk skips the holes of a sparse file; to GNU strings they are zeros, which matters only to
 * characters of 2 and 4 bytes that begin or end with them. So a few zeros are fed for each hole.
 */
#include "kernel.h"
#include "slices.h"

#include <stdlib.h>

/* As many as decide about a character at an edge of a hole; a smaller hole is fed whole. */
enum { HOLE_EDGE_BYTES = 4, HOLE_BYTES = 2 * HOLE_EDGE_BYTES };

struct listing {
	const struct lh_list_options *options;
	struct lh_run_finder *finder;
	bool fills_holes;
	uint64_t next_addr; /* end of what was fed */
	uint64_t file_bytes;
	uint64_t done_bytes;
	uint64_t total_bytes;
};

static struct lh_error *feed_zeros(struct listing *listing, uint64_t addr, size_t bytes, bool is_continued)
{
	static const uint8_t zeros[HOLE_BYTES];
	struct lh_block block = {
		.addr = addr,
		.file_offset = addr,
		.data = zeros,
		.bytes = bytes,
		.is_continued = is_continued,
	};
	return lh_run_finder_feed(listing->finder, &block);
}

/* The hole [next_addr, end): its first bytes go on from what was before, its last ones lead to what follows. */
static struct lh_error *feed_hole(struct listing *listing, uint64_t end)
{
	uint64_t start = listing->next_addr;
	if (end - start <= HOLE_BYTES)
		return feed_zeros(listing, start, end - start, start > 0);
	LH_TRY(feed_zeros(listing, start, HOLE_EDGE_BYTES, start > 0));
	return feed_zeros(listing, end - HOLE_EDGE_BYTES, HOLE_EDGE_BYTES, false);
}

static struct lh_error *feed_slice(void *context, const struct lh_block *slice)
{
	struct listing *listing = context;
	struct lh_block block = *slice;
	if (listing->fills_holes && block.addr > listing->next_addr) {
		LH_TRY(feed_hole(listing, block.addr));
		block.is_continued = true;
	}
	listing->next_addr = block.addr + block.bytes;
	listing->done_bytes += block.bytes;
	LH_TRY(lh_run_finder_feed(listing->finder, &block));
	const struct lh_list_options *options = listing->options;
	if (options->progress &&
	    !options->progress(options->progress_context, listing->done_bytes, listing->total_bytes))
		return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted");
	return NULL;
}

static struct lh_error *feed_block(void *context, const struct lh_block *block)
{
	return lh_visit_slices(block, feed_slice, context);
}

static void cleanup_finder(struct lh_run_finder **finder)
{
	lh_run_finder_destroy(*finder);
}

struct lh_error *lh_list_runs(struct lh_image *image, const struct lh_list_options *options, lh_run_visitor *visit,
			      void *context)
{
	LH_CLEANUP(cleanup_finder) struct lh_run_finder *finder = NULL;
	LH_TRY(lh_run_finder_create(&options->run, visit, context, &finder));
	struct listing listing = {
		.finder = finder,
		.fills_holes = lh_encoding_width(options->run.encoding) > 1 && lh_image_source(image) == LH_IMAGE_RAW &&
			       !lh_image_has_addresses(image),
		.file_bytes = lh_image_file_bytes(image),
		.options = options,
		.total_bytes = lh_image_walk_bytes(image, options->walk_flags),
	};
	LH_TRY(lh_image_walk(image, options->walk_flags, feed_block, &listing));
	if (listing.fills_holes && listing.file_bytes > listing.next_addr)
		LH_TRY(feed_hole(&listing, listing.file_bytes));
	return lh_run_finder_finish(finder);
}
