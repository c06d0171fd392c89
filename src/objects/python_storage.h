/*
 * python_storage: what an object of CPython keeps its contents in, beside itself. Private to src/objects.
 */
#ifndef LEAKHUNT_OBJECTS_PYTHON_STORAGE_H
#define LEAKHUNT_OBJECTS_PYTHON_STORAGE_H

#include "python_object.h"

/* A block of memory that the object alone owns. */
struct lh_python_storage {
	const char *what; /* a literal: "items", "keys" */
	uint64_t addr;
	uint64_t bytes; /* as sys.getsizeof counts them */
};

enum { LH_PYTHON_STORAGES_MAX = 2 };

/* How many there are; 0 when what the object says of them does not agree. */
size_t lh_python_find_storage(const struct lh_python_view *view, const struct lh_python_type *type,
			      struct lh_python_storage ret[LH_PYTHON_STORAGES_MAX]);

#endif
