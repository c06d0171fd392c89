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
	struct lh_run_finder *finder;
	bool fills_holes;
	uint64_t next_addr; /* end of what was fed */
	uint64_t file_bytes;
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
	return lh_run_finder_feed(listing->finder, &block);
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
	};
	struct lh_slicing slicing = {
		.image = image,
		.walk_flags = options->walk_flags,
		.visit = feed_slice,
		.context = &listing,
		.progress = options->progress,
		.progress_context = options->progress_context,
	};
	LH_TRY(lh_walk_slices(&slicing));
	if (listing.fills_holes && listing.file_bytes > listing.next_addr)
		LH_TRY(feed_hole(&listing, listing.file_bytes));
	return lh_run_finder_finish(finder);
}
