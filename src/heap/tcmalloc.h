/*
 * tcmalloc: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_TCMALLOC_H
#define LEAKHUNT_HEAP_TCMALLOC_H

#include "walker.h"

enum { LH_SPAN_BYTES = 48 };

/* A run of pages. `addr` is the address of its descriptor. */
struct lh_tcmalloc_span {
	uint64_t addr;
	uint64_t first_page;
	uint64_t page_count;
};

/*
 * Receives the contents of the page map. Leaves come before their spans; spans ascend within a leaf, and are disjoint.
 */
struct lh_tcmalloc_visitor {
	struct lh_error *(*take_leaf)(void *context, struct lh_range leaf);
	struct lh_error *(*take_span)(void *context, const struct lh_tcmalloc_span *span, uint8_t page_bits);
	void *context;
};

/* `*ret_bss`: the variables that include the root; empty if there is none. */
struct lh_error *lh_tcmalloc_visit_spans(const struct lh_heap_memory *memory, const struct lh_tcmalloc_visitor *visitor,
					 struct lh_range *ret_bss) LH_NODISCARD;

/* The claim of lh_walk_tcmalloc. */
struct lh_error *lh_tcmalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
