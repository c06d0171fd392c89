/*
 * family: how objects of a C library are found: by addresses of tables in modules, or of other objects, that they hold,
 * and by words with few possible values. Each library is one const struct lh_object_family in its own file; families.c
 * lists them. Private to src/objects.
 *
 * A rule of a family recognizes a structure by fields that must agree with each other: a heap without such objects must
 * yield none. Sizes and versions are not required.
 */
#ifndef LEAKHUNT_OBJECTS_FAMILY_H
#define LEAKHUNT_OBJECTS_FAMILY_H

#include "leakhunt/heap.h"
#include "leakhunt/objects.h"
#include "leakhunt/sweep.h"

#define LH_OBJECT_DETAIL_MAX 64

/* An address that objects of a family point to. */
struct lh_family_target {
	uint64_t addr;
	unsigned role;    /* the family's own */
	const char *name; /* belongs to the symbols, or a literal; "" */
};

/* A block that an allocator handed out, possibly freed since. */
struct lh_chunk {
	uint64_t memory_addr; /* what malloc returned */
	uint64_t size_bytes;  /* including what malloc keeps before it */
	bool is_used;         /* neither free nor in a cache */
};

/* The word by which an object was found, and what is around it. */
struct lh_object_view {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_hit *hit;
	const struct lh_family_target *target; /* the target that the word holds; NULL: the word matches a pattern */
	size_t pattern;                        /* index in the family's patterns, without a target */
	const struct lh_heap *heap;            /* NULL: raw bytes have no heap */
	bool has_chunk;                        /* false for unknown allocators */
	struct lh_chunk chunk;
};

/* The block with that index. Sizes include what malloc keeps before the block. */
struct lh_chunk lh_object_chunk_at(const struct lh_heap *heap, size_t index);
/* The block that contains `addr`, if the heap was walked and covers it. */
bool lh_object_find_chunk(const struct lh_heap *heap, uint64_t addr, struct lh_chunk *ret);
/* The word at `addr`; false if it cannot be read. */
bool lh_object_read(const struct lh_object_view *view, uint64_t addr, uint64_t *ret);
/* The 32-bit word at `addr`, which is a multiple of 4. */
bool lh_object_read_int(const struct lh_object_view *view, uint64_t addr, uint32_t *ret);
/* The word at `offset` bytes from the word that was found. */
bool lh_object_word(const struct lh_object_view *view, int64_t offset, uint64_t *ret);
/* Whether it is a user-space address of x86_64 and a multiple of 8. */
bool lh_object_is_pointer(uint64_t word);
bool lh_object_is_pointer_or_null(uint64_t word);
/* False if the object's chunk is known and begins elsewhere. */
bool lh_object_may_begin_at(const struct lh_object_view *view, uint64_t addr);
/* What a buffer of `least` bytes at `addr` takes of malloc: its chunk's size, else `least` rounded up. 0 for NULL. */
uint64_t lh_object_buffer_bytes(const struct lh_object_view *view, uint64_t addr, uint64_t least);
/* The size of the chunk that begins at `addr`; 0 if none does. */
uint64_t lh_object_chunk_bytes(const struct lh_object_view *view, uint64_t addr);

/* An object that was recognized. */
struct lh_object_claim {
	const char *name; /* a literal, or of the symbols */
	char detail[LH_OBJECT_DETAIL_MAX];
	uint64_t addr;
	uint64_t count; /* number of similar objects that this one represents; 0: only itself */
	uint64_t bytes; /* including buffers that only it owns */
	bool has_block; /* `bytes` includes the block around `addr`, although the object may not begin it */
	bool is_freed;
};

struct lh_object_sink;
/* Counts it in the row of the family's kind, its name and detail. */
struct lh_error *lh_object_sink_add(struct lh_object_sink *sink, const struct lh_object_claim *claim) LH_NODISCARD;
/* The number of objects in use with that kind and name counted so far, with any detail. */
uint64_t lh_object_sink_count(const struct lh_object_sink *sink, const char *kind, const char *name);
/* A claim for the view's chunk, or for what begins at `addr` if there is no chunk. */
struct lh_object_claim lh_object_claim_of(const struct lh_object_view *view, const char *name, uint64_t addr);

/* Arguments of `prepare`. */
struct lh_family_setup {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_census *census;
	struct lh_object_sink *sink;
};
struct lh_error *lh_family_add_target(const struct lh_family_setup *setup,
				      const struct lh_family_target *target) LH_NODISCARD;

/* Rows of the census to examine: the most frequent ones. */
enum { LH_FAMILY_CENSUS_MAX = 1 << 16 };

/* Walks over all memory before the main walk; `visit` gets views without chunk and target. */
typedef struct lh_error *lh_family_visitor(void *setup /* struct lh_family_setup */, const struct lh_object_view *view);
struct lh_error *lh_family_walk(const struct lh_family_setup *setup, const struct lh_word_pattern *patterns,
				size_t count, lh_family_visitor *visit) LH_NODISCARD;

/* Calls `visit` for pieces of the writable and relocated data of modules; `words` are in the image's order. */
struct lh_module_data {
	uint64_t addr;
	const uint64_t *words;
	size_t count;
};
typedef struct lh_error *lh_module_data_visitor(void *context, const struct lh_module_data *data);
struct lh_error *lh_family_visit_module_data(const struct lh_family_setup *setup, lh_module_data_visitor *visit,
					     void *context) LH_NODISCARD;

/* Arguments of `finish`. */
struct lh_family_end {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_heap *heap; /* NULL: raw bytes have none */
	const struct lh_objects_options *options;
	const struct lh_hit_set *types; /* addresses by which objects are recognized */
	bool has_cxx_classes;
	bool has_program_classes;                 /* of C++, and one of them in the program itself */
	const struct lh_cxx_storage *cxx_storage; /* NULL: the program does not use the C++ library */
	struct lh_object_sink *sink;
};

struct lh_object_family {
	const char *kind; /* "zlib" */
	const struct lh_word_pattern *patterns;
	size_t pattern_count;
	bool yields_to_classes; /* its tables count only if they belong neither to C++ nor to Python */
	/* Whether words with the address of this module table are objects; fills role and name. NULL: none. */
	bool (*is_table)(struct lh_symbols *symbols, struct lh_family_target *ret);
	/* Finds further addresses that objects point to, before memory is searched. NULL: nothing to find. */
	struct lh_error *(*prepare)(const struct lh_family_setup *setup);
	/*
	 * A word was found: adds the object that it belongs to, if any. NULL: the family has neither targets nor
	 * patterns.
	 */
	struct lh_error *(*take)(struct lh_object_sink *sink, const struct lh_object_view *view);
	/* Adds objects that no word identifies, after all others were found. NULL: nothing to add. */
	struct lh_error *(*finish)(const struct lh_family_end *end);
};

extern const struct lh_object_family *const lh_object_families[]; /* NULL-terminated; the first that fits wins */

#endif
