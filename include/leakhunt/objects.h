/*
 * objects: what memory is used for: pointers into modules, and objects of programs and libraries by type. Input: an
 * image and its symbols. Output: counts. An object counts only after a check that unrelated memory does not pass.
 */
#ifndef LEAKHUNT_OBJECTS_H
#define LEAKHUNT_OBJECTS_H

#include "leakhunt/heap.h"
#include "leakhunt/symbols.h"

/* ---------------------------------------------------------------- pointer census */

struct lh_census_row {
	struct lh_symbol symbol; /* what lies at the address that the words hold; only for the first named_count rows */
	uint64_t target_addr;
	uint64_t count;        /* words that hold it */
	uint64_t example_addr; /* the first of these words */
	/*
	 * The smallest distance between two neighbors of these words, and how many pairs are that far apart: nearly all
	 * in an array, or for objects of one size side by side. 0: there are fewer than two words.
	 */
	uint32_t distance_bytes;
	uint32_t distance_count;
};

struct lh_census {
	LH_VEC(struct lh_census_row) rows; /* most frequent first */
	size_t named_count;                /* rows with a symbol: as many as it took to find the wanted names */
	uint64_t word_count;               /* aligned words examined */
	uint64_t pointer_count;            /* examined words that point into a module */
	uint64_t dropped_count;            /* pointers not counted by row because the table was full */
};

/* Counts aligned 8-byte words that point into modules of the image. Feed in any order. */
struct lh_census_pass;
struct lh_error *lh_census_pass_create(const struct lh_image *image, struct lh_census_pass **ret) LH_NODISCARD;
struct lh_error *lh_census_pass_feed(struct lh_census_pass *pass, const struct lh_block *block) LH_NODISCARD;
/* For threads: each feeds its own pass, which is then added to another one, in address order. */
void lh_census_pass_reset(struct lh_census_pass *pass);
void lh_census_pass_merge(struct lh_census_pass *pass, const struct lh_census_pass *part);
/*
 * Ranks the rows, and looks up symbols until `wanted` rows have a name, or too many have none. `symbols` must outlive
 * the rows.
 */
struct lh_error *lh_census_pass_finish(struct lh_census_pass *pass, struct lh_symbols *symbols, size_t wanted,
				       struct lh_census *ret) LH_NODISCARD;
void lh_census_pass_destroy(struct lh_census_pass *pass);
void lh_census_deinit(struct lh_census *census);

/* ---------------------------------------------------------------- objects */

/* Objects of one type. Strings belong to the result, or to the symbols that it was made with. */
struct lh_object_count {
	const char *kind;   /* a literal: "C++", "Python", a runtime, "Java", or the library, "OpenSSL" */
	const char *name;   /* "app::Session", "dict", "SSL" */
	const char *detail; /* for objects of a library: "server, TLS 1.3", "BIO_s_socket()"; else "" */
	uint64_t count;
	/*
	 * Estimated: malloc chunks, with their overhead, that the objects begin, perhaps behind a header of up to 40
	 * bytes, and buffers that only an object of a library owns. C++ objects further behind share their chunk. No
	 * chunk counts twice. For Python: the size that the type states, and the storage of lists, dicts, sets and
	 * bytearrays. 0 for objects that lie in others, or if the chunk is unknown. Other memory is not included.
	 */
	uint64_t bytes;
	bool is_own;          /* a class of the program's own code (Python, Java), not of the runtime */
	bool is_young;        /* not collected by the runtime yet: may be garbage */
	uint64_t freed_count; /* further words of this type in freed chunks: not included in `count` */
	uint64_t example_addr;
};

struct lh_objects {
	LH_VEC(struct lh_object_count) rows; /* by bytes, most first */
	struct lh_strings_pool strings;
};

/* An object in use. Strings are valid during the call only. */
struct lh_found_object {
	const char *kind;
	const char *name;
	const char *detail;
	uint64_t addr;
};

struct lh_objects_options {
	/* Blocks of the image, which tell what was freed. NULL: the heap is walked. */
	const struct lh_heap *heap;
	void (*found)(void *context, const struct lh_found_object *object); /* in address order; may be NULL */
	void *found_context;
	unsigned walk_flags;   /* enum lh_walk_flags */
	unsigned threads;      /* 0: one for each processor */
	lh_progress *progress; /* may be NULL */
	void *progress_context;
};

/*
 * Counts the objects whose types the addresses of `census` name: classes of C++ (by run-time type information) and of
 * CPython; and objects of libraries (listed in src/objects/families.c). Reads the image once, or up to three times if
 * it contains Python. LH_ERROR_INTERRUPTED if progress said stop.
 */
struct lh_error *lh_objects_find(struct lh_image *image, struct lh_symbols *symbols, const struct lh_census *census,
				 const struct lh_objects_options *options, struct lh_objects *ret) LH_NODISCARD;
void lh_objects_deinit(struct lh_objects *objects);

/* ---------------------------------------------------------------- groups of blocks */

/* How a group was recognized, strongest first. */
enum lh_group_basis {
	LH_GROUP_TYPE,    /* an object at the beginning of the block: C++, Python, a library's */
	LH_GROUP_POINTER, /* the block's first pointer into a module that has a name */
	LH_GROUP_CONTENT, /* text of one class, zeros */
	LH_GROUP_SIZE,    /* nothing but the size */
};
const char *lh_group_basis_name(enum lh_group_basis basis); /* "type", "pointer", "content", "size" */

struct lh_heap_group {
	enum lh_group_basis basis;
	const char *kind;   /* LH_GROUP_TYPE: "C++", "OpenSSL"; else "" */
	const char *name;   /* "SSL", "vtable for Foo at +0", "JSON", "48 B" */
	const char *detail; /* "server, TLS 1.3"; "" */
	uint64_t count;
	uint64_t bytes; /* usable bytes of the blocks themselves */
	uint64_t example_addr;
	uint64_t resident_bytes; /* part of `bytes` in memory: pages of large blocks may never have been touched */
	/*
	 * Including everything that only they hold, and what the allocator keeps between neighbors: what freeing the
	 * group would free. 0: not requested (lh_graph_group_blocks).
	 */
	uint64_t owned_count;
	uint64_t owned_bytes;
	uint64_t owned_resident_bytes;
	uint64_t pinned_bytes; /* free bytes on pages with blocks of the group, by its share of the page; likewise */
};

struct lh_heap_groups {
	LH_VEC(struct lh_heap_group) rows; /* by bytes, most first; each block in use is in exactly one */
	uint64_t count;
	uint64_t bytes;
	struct lh_strings_pool strings;
};

/* Puts each block in use into one group. Reads the image several times. `heap` must be the image's. */
struct lh_error *lh_heap_group_blocks(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				      const struct lh_objects_options *options,
				      struct lh_heap_groups *ret) LH_NODISCARD;
/*
 * The same for the blocks with their bit set in `chosen` (one bit per block of the heap; NULL: all blocks in use).
 * Calls `visit` with the index and the row of each block: rows stay in the order in which they were found. `visit`
 * returns an error to end.
 */
typedef struct lh_error *lh_heap_group_visitor(void *context, size_t index, const struct lh_heap_chunk *chunk,
					       size_t row);
struct lh_error *lh_heap_group_chosen(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				      const uint64_t *chosen, lh_heap_group_visitor *visit, void *context,
				      struct lh_heap_groups *ret) LH_NODISCARD;
/* The same for one block in any state: a single row. */
struct lh_error *lh_heap_group_block(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				     size_t chunk_index, struct lh_heap_groups *ret) LH_NODISCARD;
/* Fills pinned_bytes. `rows`: for each block of the heap the index of its group; UINT16_MAX: none. */
void lh_heap_find_pins(const struct lh_heap *heap, const uint16_t *rows, struct lh_heap_groups *groups);
/* Rows by bytes, most first; those without blocks are dropped. */
void lh_heap_groups_sort(struct lh_heap_groups *groups);
void lh_heap_groups_deinit(struct lh_heap_groups *groups);

/* ---------------------------------------------------------------- two moments of a heap */

/* What happened to a block in use between two moments of one process. */
enum lh_block_change {
	LH_BLOCK_NEW,     /* no block in use of that size began at its address before */
	LH_BLOCK_CHANGED, /* one did, with other bytes: it was written to, or freed and handed out again */
	LH_BLOCK_KEPT,    /* one did, with the same bytes */
	LH_BLOCK_GONE,    /* was in use before, and no longer is at that address with that size */
};
enum { LH_BLOCK_CHANGES = 4 };
const char *lh_block_change_name(enum lh_block_change change); /* "new", "changed", "kept", "gone" */

/* Blocks of one group at both moments: before == kept + changed + gone of all groups, after == new + changed + kept. */
struct lh_heap_growth_row {
	struct lh_heap_group before; /* its names are those of `after`; count 0: no such group before */
	struct lh_heap_group after;
	uint64_t counts[LH_BLOCK_CHANGES];
	uint64_t bytes[LH_BLOCK_CHANGES];
	uint64_t example_addr; /* of a new block, else of one of `after`, else of one of `before` */
};

struct lh_heap_growth {
	LH_VEC(struct lh_heap_growth_row) rows; /* by growth in bytes, most first */
	uint64_t counts[LH_BLOCK_CHANGES];
	uint64_t bytes[LH_BLOCK_CHANGES];
	struct lh_strings_pool strings;
};

/* One moment: an image, with its symbols and heap. */
struct lh_heap_moment {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_heap *heap;
};

/*
 * Groups the blocks in use of both moments of one process, and tells which existed before. In runtimes that move
 * objects, many appear as new. Reads both images several times.
 */
struct lh_error *lh_heap_compare_groups(const struct lh_heap_moment *before, const struct lh_heap_moment *after,
					struct lh_heap_growth *ret) LH_NODISCARD;
void lh_heap_growth_deinit(struct lh_heap_growth *growth);

#endif
