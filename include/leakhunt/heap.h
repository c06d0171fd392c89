/*
 * heap: allocators, found in memory by their own structures. Input: a live process or an image. Output: which ranges
 * each allocator owns. It stops nobody, and reads only pages that are present.
 */
#ifndef LEAKHUNT_HEAP_H
#define LEAKHUNT_HEAP_H

#include "leakhunt/image.h"
#include "leakhunt/owner.h"
#include "leakhunt/regions.h"

/* An lh_owner_finder: all allocators that leakhunt knows. */
struct lh_error *lh_heap_find_owners(const struct lh_process *process, const struct lh_region_list *list,
				     struct lh_owners *ret) LH_NODISCARD;

/* lh_regions_read, and kinds by what allocators own; where owners cannot be found, what /proc tells. */
struct lh_error *lh_regions_read_owned(const struct lh_process *process, enum lh_region_detail detail,
				       struct lh_region_list *ret) LH_NODISCARD;

/* Kinds of an image's segments, likewise; live or of a file. Raw bytes without addresses have no owners. */
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
	uint64_t requested_bytes; /* 0: the allocator does not know, or it is 4095 or more below size_bytes */
	uint32_t arena;           /* index among the arenas of the heap */
	uint8_t state;            /* enum lh_chunk_state */
};

/* One arena of an allocator: a heap with locks and lists of its own; of some allocators, all there is. */
struct lh_heap_arena {
	const char *allocator; /* a literal, as of lh_heap_allocator */
	const char *role;      /* a literal: "main", "thread", "mmapped"; "" */
	enum lh_region_kind kind;
	bool is_typed;                    /* its blocks are objects of a runtime, which knows their types */
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
	const char *detail; /* what else tells them apart: "young"; "" */
	bool is_young;      /* not looked at by the collector yet: much of it may be garbage */
	bool is_own;        /* of the program, not of the runtime or its library, as far as the name tells */
	uint64_t count;     /* in use; may be garbage that was not collected yet */
	uint64_t bytes;
	uint64_t owned_bytes; /* outside of the runtime's heap, which they alone own: stores of buffers */
	uint64_t example_addr;
	/*
	 * Of arrays whose last bytes the runtime does not wipe: they hold `head_bytes`, and 2^element_shift bytes for
	 * each of the number that stands at length_offset (32 bits). 0: another type.
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

/* An allocator that was found. `chunk_count` is 0 when it was refused. */
struct lh_heap_allocator {
	const char *name; /* a literal: "glibc" */
	uint32_t kinds;   /* of the memory it owns: bits 1 << enum lh_region_kind */
	struct lh_heap_checks checks;
	bool is_refused;     /* too many checks failed (find_owners.c): its blocks are not in the result */
	bool is_partial;     /* parts could not be read or followed */
	uint64_t lost_bytes; /* of its memory that no block could be told for */
	uint64_t chunk_count;
	char note[160]; /* what else there is to say: "glibc 2.36 to 2.41 layout"; "" */
};

struct lh_heap;

/*
 * Walks all allocators of a live process or a dump. A process that runs on changes its heap meanwhile: of it, an
 * allocator is refused only when more than 5 % of the checks fail. Damage is data: checks count it, and walks end.
 * Errors: out of memory.
 */
struct lh_error *lh_heap_walk(struct lh_image *image, struct lh_heap **ret) LH_NODISCARD;
/* The same, and keeps lh_heap_structures, which take 16 bytes for each string of V8. */
struct lh_error *lh_heap_walk_structures(struct lh_image *image, struct lh_heap **ret) LH_NODISCARD;
/*
 * What a walk rests on besides pointers and small numbers, and that holds none of the program's data: headers of pages,
 * shapes and lengths of objects. At multiples of 4 bytes, ascending, disjoint. None but after lh_heap_walk_structures.
 */
const struct lh_range *lh_heap_structures(const struct lh_heap *heap, size_t *ret_count);
void lh_heap_destroy(struct lh_heap *heap); /* NULL is legal */
void lh_cleanup_heap(struct lh_heap **heap);

const struct lh_heap_allocator *lh_heap_allocators(const struct lh_heap *heap, size_t *ret_count);
const struct lh_heap_arena *lh_heap_arenas(const struct lh_heap *heap, size_t *ret_count);

/* Blocks are ascending by address, and disjoint, whatever allocators they are of. */
size_t lh_heap_chunk_count(const struct lh_heap *heap);
struct lh_heap_chunk lh_heap_chunk_at(const struct lh_heap *heap, size_t index);
/* A block as the index keeps it: for code that visits all blocks again and again. Addresses are those of the target. */
struct lh_stored_chunk {
	uint64_t addr;
	uint64_t size_bytes : 38;
	uint64_t state : 2; /* enum lh_chunk_state */
	uint64_t arena : 12;
	uint64_t slack : 12; /* size - requested + 1; 0: the request is not known. Of typed arenas: the type */
};
_Static_assert(sizeof(struct lh_stored_chunk) == 16, "16 bytes a chunk");
/* All blocks, in the order of lh_heap_chunk_at. Belongs to the heap. */
const struct lh_stored_chunk *lh_heap_stored_chunks(const struct lh_heap *heap, size_t *ret_count);
/* Types of all runtimes, in no order; several may have the same name. */
const struct lh_heap_type *lh_heap_types(const struct lh_heap *heap, size_t *ret_count);
/* Whether the block is in use by a runtime; *ret is its type, or NULL when there were too many to keep. */
bool lh_heap_chunk_type(const struct lh_heap *heap, size_t index, const struct lh_heap_type **ret);
/* The index of the block that holds `addr`; false when none does. */
bool lh_heap_find_chunk(const struct lh_heap *heap, uint64_t addr, size_t *ret);
/* Whether an allocator that was walked owns `addr`: memory without a block there is its own, or free. */
bool lh_heap_covers(const struct lh_heap *heap, uint64_t addr);

/* A pool of CPython's pymalloc: blocks of one size, behind a header (Objects/obmalloc.c, pool_header). */
struct lh_pymalloc_pool {
	struct lh_range range; /* of its blocks */
	uint64_t block_bytes;  /* each; at most 512 */
	uint32_t used_count;
};
/* The pool that holds `addr`, by its header alone: no heap need be walked. False when there is none. */
bool lh_pymalloc_find_pool(struct lh_image *image, uint64_t addr, struct lh_pymalloc_pool *ret);

/* An lh_heap_use_reader. */
bool lh_heap_read_use(const struct lh_process *process, struct lh_heap_use *ret);

/* ---------------------------------------------------------------- what it adds up to */

struct lh_heap_totals {
	uint64_t mapped_bytes;
	uint64_t resident_bytes;
	uint64_t counts[LH_CHUNK_STATES];
	uint64_t bytes[LH_CHUNK_STATES];
	uint64_t used_resident_bytes;
	uint64_t free_page_bytes;
	uint64_t free_resident_bytes;
	uint64_t returnable_bytes;
	/* In no block: headers, tables, remainders. */
	uint64_t overhead_bytes;
	size_t arena_count;
};

/* Of the arenas of one allocator (lh_heap_allocator.name), or with NULL of all. */
struct lh_heap_totals lh_heap_total(const struct lh_heap *heap, const char *allocator);
struct lh_heap_totals lh_heap_arena_total(const struct lh_heap_arena *arena);

/* Blocks of (size_max / 2, size_max] bytes; the first row holds all of up to 16, the last one all others. */
enum { LH_HEAP_SIZE_ROWS = 28 };
struct lh_heap_size_row {
	uint64_t size_max_bytes;
	uint64_t counts[LH_CHUNK_STATES];
	uint64_t bytes[LH_CHUNK_STATES];
};
void lh_heap_sizes(const struct lh_heap *heap, struct lh_heap_size_row ret[LH_HEAP_SIZE_ROWS]);

/* What resident memory of an allocator is made of, and what would give how much of it back. */
enum lh_heap_finding_kind {
	LH_HEAP_LIVE,       /* blocks in use: if this grows, it is a leak or a cache of the program's */
	LH_HEAP_RETURNABLE, /* free, resident, and given back by a trim or purge */
	LH_HEAP_FRAGMENTED, /* free, resident, and pinned by blocks in use beside it */
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
	LH_VEC(struct lh_heap_finding) items; /* what has most bytes first; nothing below 5 % of what is resident */
	uint64_t resident_bytes;              /* of all allocators */
};
struct lh_error *lh_heap_judge(const struct lh_heap *heap, struct lh_heap_findings *ret) LH_NODISCARD;
void lh_heap_findings_deinit(struct lh_heap_findings *findings);

#endif
