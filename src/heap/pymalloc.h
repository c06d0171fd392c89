/*
 * pymalloc: what finding and walking CPython's pools share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_PYMALLOC_H
#define LEAKHUNT_HEAP_PYMALLOC_H

#include "walker.h"

enum { LH_POOL_LAYOUTS = 2, LH_POOL_HEADER_BYTES = 48 };

/* CPython 3.10 to 3.14; 3.3 to 3.9. */
struct lh_pool_layout {
	uint64_t pool_bytes;
	uint64_t arena_bytes;
};
extern const struct lh_pool_layout lh_pool_layouts[LH_POOL_LAYOUTS];

struct lh_pool_header {
	uint32_t used_count;
	uint32_t arena_index;
	uint64_t block_bytes;
};
/* Parses the first words of a pool; false if they are inconsistent. */
bool lh_pool_parse(const struct lh_pool_layout *layout, const struct lh_peek *peek, struct lh_pool_header *ret);

/* The claim of lh_walk_pymalloc. */
struct lh_error *lh_pymalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
