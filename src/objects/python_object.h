/*
 * python_object: what is a live object of CPython, and how many bytes it takes. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_PYTHON_OBJECT_H
#define LEAKHUNT_SCAN_PYTHON_OBJECT_H

#include "leakhunt/sweep.h"
#include "leakhunt/symbols.h"

/* A word that points to a type: the second one of an object, if it is one. */
struct lh_python_view {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_hit_set *types;
	bool has_tagged_ints;
	const struct lh_hit *hit;
};

bool lh_python_is_object(const struct lh_python_view *view);
/* What the object of this type takes, as malloc rounds it; false when it has no room: then it is none. */
bool lh_python_object_bytes(const struct lh_python_view *view, const struct lh_python_type *type, uint64_t *ret);
/* Of these bytes, those from the object's head on: without what the collector keeps in front of it. */
uint64_t lh_python_own_bytes(const struct lh_python_type *type, uint64_t bytes);
/* Whether ints keep a tag beside their size (CPython 3.12 and later), told by `str`, which changed with them. */
bool lh_python_has_tagged_ints(const struct lh_python_type *str);

#endif
