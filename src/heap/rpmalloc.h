/*
 * rpmalloc: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_RPMALLOC_H
#define LEAKHUNT_HEAP_RPMALLOC_H

#include "walker.h"

enum { LH_RPMALLOC_HEADER_BYTES = 128, LH_RPMALLOC_CLASSES = 109, LH_RPMALLOC_TYPES = 4 };

/* Offsets in a heap_t, which a thread has; lists of blocks that still count as used by their pages. */
enum {
	LH_RPMALLOC_HEAP_LOCAL_FREE = 8,     /* one a class */
	LH_RPMALLOC_HEAP_THREAD_FREE = 1800, /* one a type of page: freed by other threads in full pages */
	LH_RPMALLOC_HEAP_PARTIAL = 1832,     /* one a type of page: the span that still has untouched pages */
	LH_RPMALLOC_HEAP_ID = 1920,
};

/* Flags of a page. */
enum { LH_RPMALLOC_IS_FREE = 2, LH_RPMALLOC_HAS_ALIGNED = 16 };

/* Pages of one size; or one block, of huge type. Pages, and such a span, begin with LH_RPMALLOC_HEADER_BYTES. */
struct lh_rpmalloc_span {
	uint64_t addr;
	uint64_t bytes;
	uint64_t heap; /* address of the heap that owns it */
	uint64_t page_bytes;
	uint32_t pages_given; /* the first ones: the others have never been touched */
	uint32_t type;        /* LH_RPMALLOC_TYPES: huge */
	uint32_t flags;       /* of its first page */
};

struct lh_rpmalloc_page {
	uint32_t block_bytes, capacity;
	uint32_t given; /* the first blocks: the others have never been handed out */
	uint32_t used;  /* counts blocks that wait in lists of the heap, and those that other threads freed */
	uint32_t flags;
	uint32_t local_count;
	uint64_t local_free; /* list of blocks that the owner thread freed */
	uint64_t heap;
	uint32_t thread_free, thread_count; /* list of blocks that other threads freed: index of its first block */
};

/* False unless the header at `bytes` belongs to a page of that size: used + local_count == given. */
bool lh_rpmalloc_parse_page(const uint8_t *bytes, uint64_t page_bytes, struct lh_rpmalloc_page *ret);

typedef struct lh_error *lh_rpmalloc_visitor(void *context, const struct lh_rpmalloc_span *span);
/* Spans, ascending. */
struct lh_error *lh_rpmalloc_visit_spans(const struct lh_heap_memory *memory, lh_rpmalloc_visitor *visit,
					 void *context) LH_NODISCARD;
struct lh_error *lh_rpmalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
