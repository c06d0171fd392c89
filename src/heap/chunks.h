/*
 * chunks: which chunk of glibc's malloc holds an address, as far as the headers in front of chunks tell.
 * Private to scan.
 */
#ifndef LEAKHUNT_SCAN_CHUNKS_H
#define LEAKHUNT_SCAN_CHUNKS_H

#include "leakhunt/scan.h"

struct lh_chunk {
	uint64_t memory_addr; /* what malloc returned */
	uint64_t size_bytes;  /* as in the header: with the 8 bytes of overhead */
	bool is_used;
};

/* Zero-initialised but for the image. Asked for ascending addresses. */
struct lh_chunk_walk {
	const struct lh_image *image;
	const struct lh_segment *segment; /* of the latest address */
	uint64_t header_addr;             /* of the current chunk, when there is one: has_chunk */
	uint64_t size_bytes;
	bool has_chunk;
	bool is_used;
	bool is_mapped;       /* by mmap, for itself */
	uint64_t search_from; /* no chain of chunks was found between the last one and here */
};

/* The chunk that holds `addr`, which lies in `block`; false when it lies in none that can be told. */
bool lh_chunk_walk_to(struct lh_chunk_walk *walk, const struct lh_block *block, uint64_t addr, struct lh_chunk *ret);

#endif
