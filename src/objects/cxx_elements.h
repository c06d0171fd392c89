/*
 * cxx_elements: where the elements of vectors of objects end. Private to src/objects.
 */
#ifndef LEAKHUNT_OBJECTS_CXX_ELEMENTS_H
#define LEAKHUNT_OBJECTS_CXX_ELEMENTS_H

#include "family.h"

/* The header of a vector, and the block that it owns. */
struct lh_cxx_header {
	size_t block;
	uint64_t block_addr;
	uint64_t addr;
};

struct lh_cxx_elements {
	struct lh_image *image;
	const struct lh_heap *heap;
	const struct lh_hit_set *types; /* addresses by which objects are recognized */
	LH_VEC(struct lh_cxx_header) headers;
	size_t latest_block; /* asked for, and the end of its elements; 0: none */
	uint64_t latest_end;
};

void lh_cxx_elements_deinit(struct lh_cxx_elements *elements);
/* Keeps the header if the block is an array of objects of one size. */
struct lh_error *lh_cxx_elements_note(struct lh_cxx_elements *elements, size_t block,
				      uint64_t header_addr) LH_NODISCARD;
/* After the last header, before the first question. */
void lh_cxx_elements_sort(struct lh_cxx_elements *elements);
/* The end of the elements that the block holds now; UINT64_MAX if it is unknown. */
uint64_t lh_cxx_elements_end(struct lh_cxx_elements *elements, size_t block);

#endif
