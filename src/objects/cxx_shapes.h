/*
 * cxx_shapes: what the parts of family_cxx.c share: where the header of a string or container of C++ may be. Private
 * to src/objects.
 */
#ifndef LEAKHUNT_OBJECTS_CXX_SHAPES_H
#define LEAKHUNT_OBJECTS_CXX_SHAPES_H

#include "family.h"

enum lh_cxx_shape {
	LH_CXX_STRING,
	LH_CXX_VECTOR,
	LH_CXX_LIST,
	LH_CXX_TREE,   /* std::map, std::set */
	LH_CXX_TREE_B, /* the same of libc++ */
	LH_CXX_HASH,   /* std::unordered_map and the others */
	LH_CXX_DEQUE,
};

/* A word that points into the heap and, by the words around it, may belong to a header. */
struct lh_cxx_place {
	uint64_t addr;
	enum lh_cxx_shape shape;
};

typedef struct lh_error *lh_cxx_place_visitor(void *context, const struct lh_cxx_place *place);

/*
 * Visits places in ascending order, on the caller's thread. Only their own words were examined: most are not headers.
 */
struct lh_error *lh_cxx_find_places(const struct lh_family_end *end, const struct lh_word_ranges *heap,
				    lh_cxx_place_visitor *visit, void *context) LH_NODISCARD;

#endif
