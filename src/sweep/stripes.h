/*
 * stripes: an image cut into stripes that several threads look at, and whose results are merged in the
 * order of addresses. Where an image is cut depends on the image alone, so that a result that is a
 * function of its stripes is the same for any number of threads. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_STRIPES_H
#define LEAKHUNT_SCAN_STRIPES_H

#include "leakhunt/scan.h"

/*
 * Bytes that lie together: blocks in ascending order, about stripe_bytes in all. The first block's
 * is_continued says whether the stripe before ended right before it; `goes_on` whether its last block
 * was cut, so that the next stripe begins right after it.
 */
struct lh_stripe {
	const struct lh_block *blocks;
	size_t block_count;
	uint64_t bytes;
	bool goes_on;
};

/* What is done with stripes. A part holds what was found in one stripe; after its merge it serves another. */
struct lh_stripe_work {
	void *context;
	struct lh_error *(*create_part)(void *context, void **ret);
	void (*destroy_part)(void *part);
	/* On any thread, several parts at a time. The bytes of the stripe stay till its merge. */
	struct lh_error *(*scan)(void *part, const struct lh_stripe *stripe);
	/* On the caller's thread, one after the other, in the order of stripes. */
	struct lh_error *(*merge)(void *context, void *part, const struct lh_stripe *stripe);
};

struct lh_striping {
	struct lh_image *image;
	unsigned walk_flags;
	size_t stripe_bytes; /* a multiple of a page: stripes end at addresses that are multiples of it */
	bool fills_holes;    /* of a raw file: a few zeros at both ends of a hole stand for all of it */
	unsigned threads;    /* 0: one for each processor this process may run on */
	bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* false: stop; may be NULL */
	void *progress_context;
};

/*
 * LH_ERROR_INTERRUPTED when progress said stop: what was merged till then is complete. Else the first
 * error of the work.
 */
struct lh_error *lh_walk_stripes(const struct lh_striping *striping, const struct lh_stripe_work *work) LH_NODISCARD;

#endif
