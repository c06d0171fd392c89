/*
 * cxx_storage: which blocks strings and containers of C++ own (family_cxx.c). Found before objects are counted:
 * elements that a vector has destroyed keep their tables. Private to src/objects.
 */
#ifndef LEAKHUNT_OBJECTS_CXX_STORAGE_H
#define LEAKHUNT_OBJECTS_CXX_STORAGE_H

#include "family.h"

struct lh_cxx_storage;

/* Reads all memory once. NULL if the program does not use the C++ library. */
struct lh_error *lh_cxx_storage_find(const struct lh_family_end *end, struct lh_cxx_storage **ret) LH_NODISCARD;
void lh_cxx_storage_destroy(struct lh_cxx_storage *storage);
/* Whether a vector of objects owns the block with that index, and has no element at `addr`. */
bool lh_cxx_storage_is_past_elements(struct lh_cxx_storage *storage, size_t block, uint64_t addr);

/* `count` nodes of a container, of which the block is the first one; or that block only. */
typedef struct lh_error *lh_cxx_owned_visitor(void *context, const char *name, size_t block, uint64_t count);
struct lh_error *lh_cxx_storage_visit(const struct lh_cxx_storage *storage, lh_cxx_owned_visitor *visit,
				      void *context) LH_NODISCARD;

#endif
