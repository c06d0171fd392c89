/*
 * mimalloc: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_MIMALLOC_H
#define LEAKHUNT_HEAP_MIMALLOC_H

#include "walker.h"

#define LH_MIMALLOC_SLICE_BYTES (64 * LH_KIB)

enum { LH_MIMALLOC_HEADER_BYTES_MAX = 288 + 512 * 96 };

/* Offsets in a segment, and in a slice's entry, which is that of its page, too. */
struct lh_mimalloc_layout {
	uint16_t slice_count_offset; /* before it: pages in use, cookie; behind it: slices that hold the header */
	uint16_t entry_count_offset; /* behind it: the owner thread */
	uint16_t entries_offset;
	uint16_t entry_bytes;
	uint8_t used_offset;       /* u32 */
	uint8_t local_free_offset; /* blocks that its thread freed */
	uint8_t block_bytes_offset;
	bool is_block_bytes_word; /* 8 bytes, else 4 */
	uint8_t start_offset;     /* of the word that tells where blocks begin; 0: none */
	uint8_t thread_free_offset;
};

struct lh_mimalloc_segment {
	uint64_t addr;
	uint64_t slices; /* of 64 KiB */
	uint64_t info_slices;
	uint64_t entries;
	const struct lh_mimalloc_layout *layout;
	const uint8_t *header; /* LH_MIMALLOC_HEADER_BYTES_MAX; what could not be read is 0 */
};

typedef struct lh_error *lh_mimalloc_visitor(void *context, const struct lh_mimalloc_segment *segment);
/* Segments, ascending. */
struct lh_error *lh_mimalloc_visit_segments(const struct lh_heap_memory *memory, lh_mimalloc_visitor *visit,
					    void *context) LH_NODISCARD;

/* The claim of lh_walk_mimalloc. */
struct lh_error *lh_mimalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
