/*
 * slices: blocks cut into slices that fit a cache. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_SLICES_H
#define LEAKHUNT_SCAN_SLICES_H

#include "leakhunt/scan.h"

/* Bytes of a slice: several passes read it after each other. A multiple of a page. */
#define LH_SLICE_BYTES ((size_t)256 * 1024)

/* Bytes [start, end) of a block, as a block of its own that may look at what is around it. */
struct lh_block lh_block_part(const struct lh_block *block, size_t start, size_t end, bool is_continued);

/*
 * Visits the slices of a block in order; is_continued is set as between blocks. A slice ends at a
 * multiple of LH_SLICE_BYTES, so that it is the same whatever the blocks were.
 */
struct lh_error *lh_visit_slices(const struct lh_block *block, lh_block_visitor *visit, void *context) LH_NODISCARD;

#endif
