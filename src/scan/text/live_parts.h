/*
 * live_parts: the parts of memory in which texts of objects in use can lie. A runtime's heap also holds copies that its
 * collector has moved away from, and old bytes behind arrays. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_LIVE_PARTS_H
#define LEAKHUNT_SCAN_LIVE_PARTS_H

#include "leakhunt/heap.h"

/* Of one heap and image, which must outlive it. Threads may share it. */
struct lh_live_parts;

/* *ret stays NULL when no runtime has a heap: then all parts are live. */
struct lh_error *lh_live_parts_create(const struct lh_image *image, const struct lh_heap *heap,
				      struct lh_live_parts **ret) LH_NODISCARD;
void lh_live_parts_destroy(struct lh_live_parts *parts);
void lh_cleanup_live_parts(struct lh_live_parts **parts);

/* Offsets in a block. */
struct lh_live_part {
	size_t start, end;
	bool is_last_of_run; /* no text goes on behind it, even where the next part adjoins */
};

/* The first live part of the block's own bytes from `at` on. False when there is none. */
bool lh_live_parts_next(const struct lh_live_parts *parts, const struct lh_block *block, size_t at,
			struct lh_live_part *ret);

#endif
