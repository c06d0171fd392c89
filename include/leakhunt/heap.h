/*
 * heap: allocators, found in memory by their own structures. Input: a live process or an image. Output: which ranges
 * each allocator owns. It stops nobody, and reads only pages that are present.
 */
#ifndef LEAKHUNT_HEAP_H
#define LEAKHUNT_HEAP_H

#include "leakhunt/image.h"
#include "leakhunt/owner.h"

/* An lh_owner_finder: all allocators that leakhunt knows. */
struct lh_error *lh_heap_find_owners(const struct lh_process *process, const struct lh_region_list *list,
				     struct lh_owners *ret) LH_NODISCARD;

/* The same in any image. What it does not hold cannot be found: a dump of stacks has no heap. */
struct lh_error *lh_heap_find_owners_in_image(const struct lh_image *image, struct lh_owners *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- chunks of glibc's malloc */

struct lh_chunk {
	uint64_t memory_addr; /* what malloc returned */
	uint64_t size_bytes;  /* as in the header: with the 8 bytes of overhead */
	bool is_used;
};

/* Zero-initialized but for the image. Asked for ascending addresses. */
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

/* The number by which glibc marks chunks that lie in a thread's cache: they look used. */
/* 0 when there is none, or it can't be told. Since glibc 2.34 it is one random number for the whole process. */
uint64_t lh_tcache_key_find(const struct lh_image *image);

#endif
