/*
 * slices: an image's blocks cut into slices that fit a cache, with progress and a way to stop.
 * Private to scan.
 */
#ifndef LEAKHUNT_SCAN_SLICES_H
#define LEAKHUNT_SCAN_SLICES_H

#include "leakhunt/scan.h"

/* Bytes of a slice: several passes read it after each other. A multiple of a page. */
#define LH_SLICE_BYTES ((size_t)1024 * 1024)

struct lh_slicing {
	struct lh_image *image;
	unsigned walk_flags;
	lh_block_visitor *visit; /* of slices; is_continued is set as between blocks */
	void *context;
	bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
	void *progress_context;
};

/* Bytes [start, end) of a block, as a block of its own that may look at what is around it. */
struct lh_block lh_block_part(const struct lh_block *block, size_t start, size_t end, bool is_continued);

/* LH_ERROR_INTERRUPTED when progress said stop. */
struct lh_error *lh_walk_slices(const struct lh_slicing *slicing) LH_NODISCARD;

#endif
