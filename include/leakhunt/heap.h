/*
 * heap: finds allocators in memory by their own structures. Input: a live process or an image. Output: the ranges that
 * each allocator owns, and its blocks. Never stops a process; reads only present pages.
 */
#ifndef LEAKHUNT_HEAP_H
#define LEAKHUNT_HEAP_H

#include "leakhunt/image.h"
#include "leakhunt/owner.h"
#include "leakhunt/regions.h"

/* An lh_owner_finder that knows all of leakhunt's allocators. */
struct lh_error *lh_heap_find_owners(const struct lh_process *process, const struct lh_region_list *list,
				     struct lh_owners *ret) LH_NODISCARD;

/* lh_regions_read, with kinds by what allocators own; where owners cannot be found, the kinds of /proc. */
struct lh_error *lh_regions_read_owned(const struct lh_process *process, enum lh_region_detail detail,
				       struct lh_region_list *ret) LH_NODISCARD;

/*
 * Sets kinds of an image's segments in the same way, live or from a file. Raw bytes without addresses have no owners.
 */
void lh_image_ask_owners(struct lh_image *image);

/* ---------------------------------------------------------------- blocks of all allocators */

enum lh_chunk_state {
	LH_CHUNK_USED,   /* handed out, and not freed */
	LH_CHUNK_CACHED, /* freed, and kept by a thread, a CPU or a fastbin for the next request of that size */
	LH_CHUNK_FREE,
};
enum { LH_CHUNK_STATES = 3 };

const char *lh_chunk_state_name(enum lh_chunk_state state); /* "used", "cached", "free" */

/* A block of an allocator. The index keeps 16 bytes of each. */
struct lh_heap_chunk {
	uint64_t addr;            /* what malloc returned */
	uint64_t size_bytes;      /* usable: less than 2^38 */
	uint64_t requested_bytes; /* 0: unknown to the allocator, or at least 4095 below size_bytes */
	uint32_t arena;           /* index among the arenas of the heap */
	uint8_t state;            /* enum lh_chunk_state */
};

/* One arena of an allocator: a heap with its own locks and lists. Some allocators have only one. */
struct lh_heap_arena {
	const char *allocator; /* a literal, as of lh_heap_allocator */
	const char *role;      /* a literal: "main", "thread", "mmapped"; "" */
	enum lh_region_kind kind;
	bool is_typed;                    /* its blocks are objects of a runtime that knows their types */
	uint64_t addr;                    /* of its structure; 0: none, or not known */
	uint64_t mapped_bytes;            /* address space */
	uint64_t resident_bytes;          /* of it; set by lh_heap_walk when the walker left it 0 */
	uint64_t counts[LH_CHUNK_STATES]; /* set by lh_heap_walk from the blocks */
	uint64_t bytes[LH_CHUNK_STATES];  /* usable bytes; likewise */
	uint64_t used_resident_bytes;     /* of the blocks in use; likewise */
	uint64_t free_page_bytes;         /* whole pages inside free blocks; likewise */
	uint64_t free_resident_bytes;     /* of these, resident; likewise */
	uint64_t returnable_bytes;        /* resident, and given back by the allocator's own purge or trim */
	struct lh_range *ranges;          /* its memory, ascending; belongs to the heap */
	size_t range_count;
};

/* A type of a runtime's objects, by what the runtime itself knows of them. */
struct lh_heap_type {
	const char *kind;   /* a literal: "Java", "V8", "Go", "PHP" */
	const char *name;   /* "java.util.HashMap$Node", "Array"; belongs to the heap */
	const char *detail; /* additional distinction: "young"; "" */
	bool is_young;      /* not examined by the collector yet: may be garbage */
	bool is_own;        /* a type of the program, not of the runtime or its library, as far as the name tells */
	uint64_t count;     /* in use; may be garbage that is not collected yet */
	uint64_t bytes;
	uint64_t owned_bytes; /* memory outside the runtime's heap that only these objects own: buffers */
	uint64_t example_addr;
	/*
	 * For arrays whose last bytes the runtime does not wipe: `head_bytes`, then 2^element_shift bytes per element;
	 * the 32-bit element count is at length_offset. 0: other types.
	 */
	uint8_t length_offset;
	uint8_t head_bytes;
	uint8_t element_shift;
};

/* Structures that were checked against themselves. */
struct lh_heap_checks {
	uint64_t checked;
	uint64_t failed;
	char first_failure[96]; /* "chunk at 0x...: size 0"; "" */
};

/* An allocator that was found. `chunk_count` is 0 if it was refused. */
struct lh_heap_allocator {
	const char *name; /* a literal: "glibc" */
	uint32_t kinds;   /* of the memory it owns: bits 1 << enum lh_region_kind */
	struct lh_heap_checks checks;
	bool is_refused;     /* too many checks failed (find_owners.c): the result does not contain its blocks */
	bool is_partial;     /* parts could not be read or followed */
	uint64_t lost_bytes; /* bytes of its memory whose blocks could not be determined */
	uint64_t chunk_count;
	char note[160]; /* remarks: "glibc 2.36 to 2.41 layout"; "" */
};

struct lh_heap;

/*
 * Walks all allocators of a live process or a dump. A running process changes its heap meanwhile; there an allocator is
 * refused only if more than 5 % of its checks fail. Damage is data: failed checks are counted, and walks end. Errors:
 * out of memory.
 */
struct lh_error *lh_heap_walk(struct lh_image *image, struct lh_heap **ret) LH_NODISCARD;
/* The same, and keeps lh_heap_structures, which take 16 bytes per string of V8. */
struct lh_error *lh_heap_walk_structures(struct lh_image *image, struct lh_heap **ret) LH_NODISCARD;
/*
 * What a walk depends on besides pointers and small numbers, and that contains none of the program's data: page
 * headers, shapes and lengths of objects. Multiples of 4 bytes, ascending, disjoint. Empty unless
 * lh_heap_walk_structures made the heap.
 */
const struct lh_range *lh_heap_structures(const struct lh_heap *heap, size_t *ret_count);
void lh_heap_destroy(struct lh_heap *heap); /* NULL is legal */
void lh_cleanup_heap(struct lh_heap **heap);

const struct lh_heap_allocator *lh_heap_allocators(const struct lh_heap *heap, size_t *ret_count);
const struct lh_heap_arena *lh_heap_arenas(const struct lh_heap *heap, size_t *ret_count);

/* Blocks of all allocators, ascending by address, disjoint. */
size_t lh_heap_chunk_count(const struct lh_heap *heap);
struct lh_heap_chunk lh_heap_chunk_at(const struct lh_heap *heap, size_t index);
/* A block as the index stores it, for code that visits all blocks repeatedly. Addresses are the target's. */
struct lh_stored_chunk {
	uint64_t addr;
	uint64_t size_bytes : 38;
	uint64_t state : 2; /* enum lh_chunk_state */
	uint64_t arena : 12;
	uint64_t slack : 12; /* size - requested + 1; 0: the request is unknown. In typed arenas: the type */
};
_Static_assert(sizeof(struct lh_stored_chunk) == 16, "16 bytes a chunk");
/* All blocks, in the order of lh_heap_chunk_at. Belongs to the heap. */
const struct lh_stored_chunk *lh_heap_stored_chunks(const struct lh_heap *heap, size_t *ret_count);
/*
 * Memory with padded blocks, ascending: what the program got may begin within its block, at a multiple of what it asked
 * for. The bytes before were not handed out, and keep old contents. Other blocks there have no padding.
 */
const struct lh_range *lh_heap_padded_ranges(const struct lh_heap *heap, size_t *ret_count);
/* Types of all runtimes, unordered; several may have the same name. */
const struct lh_heap_type *lh_heap_types(const struct lh_heap *heap, size_t *ret_count);
/* Whether a runtime uses the block; *ret is its type, or NULL if there were too many types to keep. */
bool lh_heap_chunk_type(const struct lh_heap *heap, size_t index, const struct lh_heap_type **ret);
/* The index of the block that holds `addr`; false if there is none. */
bool lh_heap_find_chunk(const struct lh_heap *heap, uint64_t addr, size_t *ret);
/* Whether a walked allocator owns `addr`: memory outside of blocks is its own, or free. */
bool lh_heap_covers(const struct lh_heap *heap, uint64_t addr);

/* A pool of CPython's pymalloc: blocks of one size, behind a header (Objects/obmalloc.c, pool_header). */
struct lh_pymalloc_pool {
	struct lh_range range; /* of its blocks */
	uint64_t block_bytes;  /* each; at most 512 */
	uint32_t used_count;
};
/* The pool that holds `addr`, by its header alone, without walking the heap. False if there is none. */
bool lh_pymalloc_find_pool(struct lh_image *image, uint64_t addr, struct lh_pymalloc_pool *ret);

/* An lh_heap_use_reader. */
bool lh_heap_read_use(const struct lh_process *process, struct lh_heap_use *ret);

/* ---------------------------------------------------------------- sums */

struct lh_heap_totals {
	uint64_t mapped_bytes;
	uint64_t resident_bytes;
	uint64_t counts[LH_CHUNK_STATES];
	uint64_t bytes[LH_CHUNK_STATES];
	uint64_t used_resident_bytes;
	uint64_t free_page_bytes;
	uint64_t free_resident_bytes;
	uint64_t returnable_bytes;
	/* Bytes in no block: headers, tables, remainders. */
	uint64_t overhead_bytes;
	size_t arena_count;
};

/* Sums over the arenas of one allocator (lh_heap_allocator.name); NULL: of all. */
struct lh_heap_totals lh_heap_total(const struct lh_heap *heap, const char *allocator);
struct lh_heap_totals lh_heap_arena_total(const struct lh_heap_arena *arena);

/* Blocks of (size_max / 2, size_max] bytes; the first row holds all up to 16 bytes, the last one all larger blocks. */
enum { LH_HEAP_SIZE_ROWS = 28 };
struct lh_heap_size_row {
	uint64_t size_max_bytes;
	uint64_t counts[LH_CHUNK_STATES];
	uint64_t bytes[LH_CHUNK_STATES];
};
void lh_heap_sizes(const struct lh_heap *heap, struct lh_heap_size_row ret[LH_HEAP_SIZE_ROWS]);

/* What an allocator's resident memory consists of, and what would give how much of it back. */
enum lh_heap_finding_kind {
	LH_HEAP_LIVE,       /* blocks in use: growth here is a leak, or a cache of the program */
	LH_HEAP_RETURNABLE, /* free, resident, and given back by a trim or purge */
	LH_HEAP_FRAGMENTED, /* free, resident, and pinned by neighboring blocks in use */
	LH_HEAP_CACHED,     /* freed blocks that threads keep */
	LH_HEAP_ARENAS,     /* free memory spread over many threads' arenas */
};
enum { LH_HEAP_FINDING_KINDS = 5 };

struct lh_heap_finding {
	enum lh_heap_finding_kind kind;
	const char *allocator; /* a literal */
	uint64_t bytes;
	size_t arena_count; /* LH_HEAP_ARENAS */
};

struct lh_heap_findings {
	LH_VEC(struct lh_heap_finding) items; /* most bytes first; nothing below 5 % of the resident memory */
	uint64_t resident_bytes;              /* of all allocators */
};
struct lh_error *lh_heap_judge(const struct lh_heap *heap, struct lh_heap_findings *ret) LH_NODISCARD;
void lh_heap_findings_deinit(struct lh_heap_findings *findings);

#endif
