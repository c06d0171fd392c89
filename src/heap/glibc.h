/*
 * glibc: what the parts of the walker of glibc's malloc share. Private to heap. Offsets: malloc/malloc.c of glibc 2.17
 * to 2.44, struct malloc_state, malloc_par, malloc_chunk; they count from fields that can be recognized.
 */
#ifndef LEAKHUNT_HEAP_GLIBC_H
#define LEAKHUNT_HEAP_GLIBC_H

#include "walker.h"

enum {
	LH_GLIBC_PREVIOUS_USED = 1,
	LH_GLIBC_MAPPED = 2,
	LH_GLIBC_OTHER_ARENA = 4,
	LH_GLIBC_FLAGS = 7,
	LH_GLIBC_ALIGNMENT = 16,
	LH_GLIBC_CHUNK_MIN = 32,
	LH_GLIBC_HEADER_BYTES = 16, /* prev_size, size */
	LH_GLIBC_FENCEPOST = 16,
	LH_GLIBC_LONG_FENCEPOST = 32,
	LH_GLIBC_BINS = 127,
};

/* An arena's heap: at a multiple of 64 MiB, beginning with {ar_ptr, prev, size, mprotect_size}. */
struct lh_glibc_heap {
	uint64_t addr;
	uint64_t arena_addr;
	uint64_t previous_addr; /* of the same arena; 0: the first one */
	uint64_t used_bytes;    /* size: chunks end there */
	uint64_t writable_bytes;
};
struct lh_glibc_heaps {
	LH_VEC(struct lh_glibc_heap) items; /* ascending */
};
void lh_glibc_heaps_deinit(struct lh_glibc_heaps *heaps);
/* All heaps that are consistent with the others of their arena. */
struct lh_error *lh_glibc_find_heaps(const struct lh_heap_memory *memory, struct lh_glibc_heaps *ret) LH_NODISCARD;

/*
 * Parses the header of a chunk with a mapping of its own, at a page: false if it is not one, or longer than
 * `bytes_left`. *ret_bytes: size of the mapping. Up to glibc 2.42, prev_size is 0 and size is that of the mapping.
 * Since 2.43 prev_size + size + 16 is the mapping, and the lowest bit of prev_size marks huge pages (sysmalloc_mmap).
 * memalign moves the chunk up, and leaves this header unchanged.
 */
bool lh_glibc_parse_mapped(const uint64_t words[2], uint64_t bytes_left, uint64_t *ret_bytes);

/* struct malloc_state: main_arena, or the one in an arena's first heap. */
struct lh_glibc_arena {
	uint64_t addr;      /* 0: unknown, as in a dump without the module's data */
	uint64_t bins_addr; /* of the pair of bin 1 */
	uint64_t top_addr;  /* header of the top chunk; 0: not known */
	uint64_t system_bytes;
	uint32_t index; /* in the heap */
	bool is_main;
	/* Counted while the arena's chunks are walked. */
	uint64_t walked_bytes;
	uint64_t free_count; /* in bins: excludes top and fastbins */
	uint64_t returnable_bytes;
};

/* struct malloc_par, mp_; zeros if it was not found. */
struct lh_glibc_parameters {
	bool is_known;
	uint64_t sbrk_base;
	uint64_t mapped_count;
	uint64_t mapped_bytes;
	uint64_t tcache_count; /* maximum length of a list; 0: no tcache */
};

/* One glibc malloc; a process can have several (dlmopen, static parts), each with a main arena. */
struct lh_glibc {
	struct lh_heap_tour *tour;
	uint64_t bins_offset; /* in malloc_state; 0: unknown */
	struct lh_glibc_parameters parameters;
	LH_VEC(struct lh_glibc_arena) arenas; /* the first is the main one */
	struct lh_glibc_heaps heaps;
	LH_VEC(uint64_t) fast;       /* headers of chunks in fastbins, ascending */
	LH_VEC(uint64_t) candidates; /* memory of chunks that have the size of a tcache */
};

void lh_glibc_deinit(struct lh_glibc *glibc);

/* glibc_state: finds the arenas and parameters. */
struct lh_error *lh_glibc_find_state(struct lh_glibc *glibc) LH_NODISCARD;
struct lh_glibc_arena *lh_glibc_arena_at(struct lh_glibc *glibc, uint64_t addr);
/* Where chunks begin after the malloc_state in an arena's first heap. */
uint64_t lh_glibc_first_chunk(const struct lh_glibc *glibc, const struct lh_glibc_heap *heap);

/* glibc_lists: fastbins, before the walk; bins and tcaches, after it. */
struct lh_error *lh_glibc_read_fastbins(struct lh_glibc *glibc) LH_NODISCARD;
bool lh_glibc_is_fast(const struct lh_glibc *glibc, uint64_t header_addr);
bool lh_glibc_may_be_tcache(uint64_t chunk_bytes);
struct lh_error *lh_glibc_mark_tcaches(struct lh_glibc *glibc) LH_NODISCARD;
void lh_glibc_check_bins(struct lh_glibc *glibc);

/* glibc_spans: walks chunk by chunk. */
struct lh_error *lh_glibc_walk_heaps(struct lh_glibc *glibc) LH_NODISCARD;
struct lh_error *lh_glibc_walk_mapped(struct lh_glibc *glibc) LH_NODISCARD;

/* The claim of lh_walk_glibc_chunks. */
struct lh_error *lh_glibc_claim_chunks(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
