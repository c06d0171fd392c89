/*
 * graph: which blocks of a heap the program can still reach, and which are lost. Input: an image of one instant and
 * its heap. Output: a status for each block in use, lost blocks with what they own, and reasons for doubt. Every word
 * of roots and of reachable blocks counts as a pointer, also one into the middle of a block.
 */
#ifndef LEAKHUNT_GRAPH_H
#define LEAKHUNT_GRAPH_H

#include "leakhunt/objects.h"

enum lh_leak_status {
	LH_LEAK_REACHABLE,
	LH_LEAK_POSSIBLE, /* found only by a word that may not be a pointer, or the graph has doubts */
	LH_LEAK_LOST,     /* no pointer leads to it */
	LH_LEAK_HELD,     /* only lost blocks point to it */
	LH_LEAK_CYCLE,    /* one of a circle of lost blocks that point to each other */
};
enum { LH_LEAK_STATUSES = 5 };

const char *lh_leak_status_name(enum lh_leak_status status); /* "reachable", "possible", "lost", "held", "cycle" */
/* What LeakSanitizer and valgrind's memcheck call it: "direct leak", "definitely lost". */
const char *lh_leak_status_lsan(enum lh_leak_status status);
const char *lh_leak_status_valgrind(enum lh_leak_status status);

/* Where words were examined. */
enum lh_root_kind {
	LH_ROOT_REGISTERS,
	LH_ROOT_STACK,  /* of a thread, from its stack pointer upward, with its TLS */
	LH_ROOT_MODULE, /* data and bss of a program or library */
	LH_ROOT_OTHER,  /* other writable memory */
	LH_ROOT_OPAQUE, /* memory of a runtime that moves or packs its pointers */
};
enum { LH_ROOT_KINDS = 5 };
const char *lh_root_kind_name(enum lh_root_kind kind); /* "registers", "stack", "module", "other", "opaque" */

struct lh_graph_totals {
	uint64_t counts[LH_LEAK_STATUSES];
	uint64_t bytes[LH_LEAK_STATUSES]; /* usable */
	uint64_t confirmed_count;         /* lost blocks and circles that were lost before, too: lh_graph_confirm */
	uint64_t root_bytes[LH_ROOT_KINDS];
	size_t thread_count;
	uint64_t mark_cpu_ns; /* of the marking alone, all threads together */
	uint64_t mark_ns;     /* of the marking, elapsed */
	size_t mark_threads;
	uint64_t memory_bytes; /* of index and marks, without the heap's own index */
};

struct lh_graph;

/*
 * Marks all blocks of `heap`, which must belong to `image`, and finds the lost ones. `image` and `heap` must outlive
 * it. Takes about 2 to 8 bytes per block; images that are not mapped (compressed, live) are copied to memory. Errors:
 * out of memory, blocks not aligned to 8 bytes, progress said stop.
 */
struct lh_error *lh_graph_create(struct lh_image *image, const struct lh_heap *heap,
				 struct lh_graph **ret) LH_NODISCARD;
void lh_graph_destroy(struct lh_graph *graph); /* NULL is legal */

/* Why no block is called lost: memory is missing or torn, or a runtime hides its pointers. Whole sentences. */
const char *const *lh_graph_doubts(const struct lh_graph *graph, size_t *ret_count);

/* Status of a block in use. */
enum lh_leak_status lh_graph_status(const struct lh_graph *graph, size_t chunk);
struct lh_graph_totals lh_graph_totals(const struct lh_graph *graph);

/*
 * Notes which lost blocks of `later` were lost in `earlier`, too, at the same address and with the same bytes: the
 * program did not touch them in between.
 */
struct lh_error *lh_graph_confirm(const struct lh_graph *earlier, struct lh_graph *later) LH_NODISCARD;

/* ---------------------------------------------------------------- suppressions */

/*
 * Lines "leak:PATTERN", as in LeakSanitizer; "#" begins a comment. A pattern matches anywhere in the type, text or
 * module of a group; "*" matches any text, "^" the beginning, "$" the end.
 */
struct lh_suppressions {
	LH_VEC(const char *) patterns;
	struct lh_strings_pool strings;
};
struct lh_error *lh_suppressions_parse(const char *text, size_t length, struct lh_suppressions *ret) LH_NODISCARD;
void lh_suppressions_deinit(struct lh_suppressions *suppressions);

/* ---------------------------------------------------------------- groups of lost blocks */

/* Blocks of one status, kind of content and size. */
struct lh_leak_group {
	size_t row; /* index of lh_leaks.rows: what the blocks are */
	enum lh_leak_status status;
	uint64_t size_bytes; /* of each */
	uint64_t count;
	uint64_t bytes;
	uint64_t held_count;  /* more blocks of the same kind and size that other lost blocks point to */
	uint64_t owned_count; /* including everything that only they hold; 0 for LH_LEAK_HELD */
	uint64_t owned_bytes;
	uint64_t confirmed_count;
	uint64_t example_addr;
	bool is_suppressed;
};

struct lh_leaks {
	LH_VEC(struct lh_leak_group) groups; /* by owned bytes, most first; suppressed ones last */
	struct lh_heap_groups rows;
	/* Sums over groups that are not suppressed. */
	uint64_t count; /* lost blocks that nothing points to, and one per circle */
	uint64_t owned_count;
	uint64_t owned_bytes;
	uint64_t confirmed_count;
	uint64_t possible_count; /* not included in `count` */
	uint64_t possible_bytes;
	uint64_t suppressed_count;
	uint64_t suppressed_bytes;
};

/* Groups the lost blocks of `graph`. `suppressions` may be NULL. Reads the image several times if there are any. */
struct lh_error *lh_leaks_find(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
			       const struct lh_graph *graph, const struct lh_suppressions *suppressions,
			       struct lh_leaks *ret) LH_NODISCARD;
void lh_leaks_deinit(struct lh_leaks *leaks);

/* ---------------------------------------------------------------- what groups own */

/*
 * Like lh_heap_group_blocks; also computes, for the `most` groups with most bytes, what they own (blocks that only they
 * hold, directly or through others), and which groups pin free memory. Builds a graph: some 40 bytes and 0.3 us per
 * block. If blocks are not aligned, this is impossible, and groups have no owned bytes.
 */
struct lh_error *lh_graph_group_blocks(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				       size_t most, struct lh_heap_groups *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- holders */

enum lh_holder_shape {
	LH_HOLDER_BLOCK, /* one block makes up most of it */
	LH_HOLDER_ARRAY,
	LH_HOLDER_LIST,
	LH_HOLDER_HASH,
	LH_HOLDER_TREE,
};
const char *lh_holder_shape_name(enum lh_holder_shape shape); /* "block", "array", "list", "hash table", "tree" */

/* An owner of many similar elements: without it none of them could be reached. */
struct lh_holder {
	enum lh_holder_shape shape;
	/*
	 * "global g_sessions in proxy", "stack of thread 123 (worker)"; in CPython the variable:
	 * "CACHE in Python module __main__", "local history of Python function serve"
	 */
	const char *root;
	bool is_shared;     /* other roots lead to it as well */
	uint64_t root_addr; /* of the variable; 0: registers */
	uint64_t addr;      /* of the block that holds the elements; 0: the root itself does */
	const char *name;   /* what that block is; "" */
	uint64_t retained_count;
	uint64_t retained_bytes;
	uint64_t element_count; /* blocks of the most frequent kind */
	uint64_t element_bytes; /* of each */
	uint64_t element_addr;  /* an example; when two moments are compared, a new element */
	const char *element_name;
	enum lh_group_basis element_basis; /* how element_name was found; LH_GROUP_SIZE: there is no name */
	uint64_t grown_count;              /* elements that did not exist before */
	uint64_t grown_bytes;              /* growth of everything that it retains */
	bool is_library;                   /* the root belongs to libc, the dynamic linker or OpenSSL */
};

struct lh_holder_list {
	LH_VEC(struct lh_holder) items; /* by grown bytes if two moments are compared, else by retained bytes */
	/* Reachable blocks; when two moments are compared, only new ones. */
	uint64_t all_count;
	uint64_t all_bytes;
	/* The root that most of them can be reached from, in bytes; perhaps they can be reached from others, too. "":
	 * there are none */
	const char *main_root;
	uint64_t main_root_bytes; /* at least */
	struct lh_strings_pool strings;
	uint64_t edges_cpu_ns;
	uint64_t dominators_cpu_ns;
	uint64_t memory_bytes;
};

/*
 * Finds the holders of most reachable blocks: at most `most`, each with at least 2 % of them. `earlier` may be NULL.
 * Takes some 60 bytes per block.
 */
struct lh_error *lh_graph_find_holders(struct lh_image *image, struct lh_symbols *symbols, const struct lh_graph *graph,
				       const struct lh_graph *earlier, size_t most,
				       struct lh_holder_list *ret) LH_NODISCARD;
void lh_holder_list_deinit(struct lh_holder_list *list);

/* One step of the path from a root to a block. */
struct lh_path_step {
	uint64_t addr;   /* of the block; for a root, of the word */
	uint64_t offset; /* of the word in the block that leads on; 0 for a root and for the last block */
	size_t chunk;    /* SIZE_MAX: a root */
};

/* What is known of one block. */
struct lh_block_holding {
	LH_VEC(struct lh_path_step) path; /* a shortest path; empty: not reachable */
	const char *root;
	uint64_t retained_count;
	uint64_t retained_bytes;
	struct lh_strings_pool strings;
};
struct lh_error *lh_graph_explain_block(const struct lh_graph *graph, struct lh_symbols *symbols, size_t chunk,
					struct lh_block_holding *ret) LH_NODISCARD;
void lh_block_holding_deinit(struct lh_block_holding *holding);

#endif
