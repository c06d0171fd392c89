/*
 * musl: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_MUSL_H
#define LEAKHUNT_HEAP_MUSL_H

#include "walker.h"

enum { LH_MUSL_META_WORDS = 5, LH_MUSL_AREA_WORDS = 3 };

/* In the last word of a meta, from bit 0: last slot 5, freeable 1, size class 6, pages of its mapping 52. */
enum { LH_MUSL_MAP_LENGTH_BIT = 12 };

/* `words`: the area, a page, {check, next, metas, ...}. */
typedef struct lh_error *lh_musl_visitor(void *context, uint64_t area, const uint64_t *words, size_t meta_count);
/* Visits each area once, in the order of musl's own list. */
struct lh_error *lh_musl_visit_areas(const struct lh_heap_memory *memory, lh_musl_visitor *visit,
				     void *context) LH_NODISCARD;

/* The claim of lh_walk_musl. */
struct lh_error *lh_musl_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

/* The old malloc: what it owns, whether the claims are its own, and all its blocks. */
struct lh_error *lh_musl_claim_chunks(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;
bool lh_musl_has_chunks(struct lh_heap_tour *tour);
struct lh_error *lh_musl_walk_chunks(struct lh_heap_tour *tour, uint32_t arena) LH_NODISCARD;

#endif
