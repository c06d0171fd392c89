/*
 * mimalloc: what its claim and its walk share. Private to heap.
 */
#ifndef LEAKHUNT_HEAP_MIMALLOC_H
#define LEAKHUNT_HEAP_MIMALLOC_H

#include "walker.h"

#define LH_MIMALLOC_SLICE_BYTES (64 * LH_KIB)

enum { LH_MIMALLOC_HEADER_BYTES_MAX = 288 + 512 * 96 };

/* Offsets in a segment, and in a slice's entry, which is also the entry of its page. */
struct lh_mimalloc_layout {
	uint16_t slice_count_offset; /* preceded by pages in use and cookie, followed by the number of slices that hold
					the header */
	uint16_t entry_count_offset; /* followed by the owner thread */
	uint16_t entries_offset;
	uint16_t entry_bytes;
	uint8_t used_offset;       /* u32 */
	uint8_t local_free_offset; /* list of blocks that the owner thread freed */
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
	const uint8_t *header; /* LH_MIMALLOC_HEADER_BYTES_MAX; unreadable bytes are 0 */
};

typedef struct lh_error *lh_mimalloc_visitor(void *context, const struct lh_mimalloc_segment *segment);
/* Segments, ascending. */
struct lh_error *lh_mimalloc_visit_segments(const struct lh_heap_memory *memory, lh_mimalloc_visitor *visit,
					    void *context) LH_NODISCARD;

enum { LH_MIMALLOC_HAS_ALIGNED = 2 }; /* a page's flag, in 2.x and 3.x */

/* A run of slices with blocks of one size; the first `capacity` blocks have been handed out at least once. */
struct lh_mimalloc_page {
	uint64_t entry_addr; /* address of its entry */
	uint64_t start;      /* of its slices */
	uint64_t bytes;
	uint64_t blocks; /* address of the first block */
	uint64_t block_bytes;
	uint64_t free, local_free, thread_free, heap;
	uint32_t used;
	uint16_t capacity, reserved;
	bool has_aligned; /* some blocks begin with padding (src/alloc-aligned.c) */
};

bool lh_mimalloc_page_is_sane(const struct lh_mimalloc_page *page);

/* State of a walk, for both generations. */
struct lh_mimalloc_walk {
	struct lh_heap_tour *tour;
	LH_VEC(uint64_t) delayed; /* freed, but not counted by their page yet; ascending */
	LH_VEC(uint64_t) heaps;
	uint8_t *marks; /* UINT16_MAX + 1 */
	uint64_t cookie_key, returnable_bytes;
	uint32_t arena;
	bool has_cookie;
};

/* Adds [start, end) as one block; nothing if it is empty. */
struct lh_error *lh_mimalloc_add_block(struct lh_mimalloc_walk *walk, uint64_t start, uint64_t bytes,
				       uint8_t state) LH_NODISCARD;
/* Adds all blocks of a page; none if its lists and counts differ. */
struct lh_error *lh_mimalloc_walk_page(struct lh_mimalloc_walk *walk, const struct lh_mimalloc_page *page) LH_NODISCARD;

/* ---------------------------------------------------------------- 3.x: a map of pages */

/* Receives what an arena or the system gave to pages. */
struct lh_mimalloc_visitor {
	/* An arena that pages name, before its pages; once. `info_bytes`: its own structures, at its start. */
	struct lh_error *(*take_arena)(void *context, struct lh_range arena, uint64_t info_bytes);
	/* Ascending. `memory`: all memory of the page, with its own structure; page->start and so on if unknown. */
	struct lh_error *(*take_page)(void *context, const struct lh_mimalloc_page *page, struct lh_range memory);
	/* Submaps, and the touched part of the root. */
	struct lh_error *(*take_map)(void *context, struct lh_range map);
	void *context;
};

struct lh_error *lh_mimalloc_visit_map(const struct lh_heap_memory *memory,
				       const struct lh_mimalloc_visitor *visitor) LH_NODISCARD;
struct lh_error *lh_mimalloc_claim_map(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

/* The claim of lh_walk_mimalloc: segments, and what a map of pages names. */
struct lh_error *lh_mimalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
