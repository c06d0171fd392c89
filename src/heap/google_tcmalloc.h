/*
 * google_tcmalloc: what the claim and the walk of Google's tcmalloc share. Private to heap. Offsets differ from commit
 * to commit, and users take it at head: nothing here depends on a version. gperftools' tcmalloc is tcmalloc.h.
 */
#ifndef LEAKHUNT_HEAP_GOOGLE_TCMALLOC_H
#define LEAKHUNT_HEAP_GOOGLE_TCMALLOC_H

#include "walker.h"

#include "leakhunt/hash_table.h"

#define LH_GOOGLE_TCMALLOC "Google tcmalloc"

/* The longest span descriptor seen has 64 bytes; older ones have 48. */
enum { LH_GSPAN_WORDS = 8, LH_GSPAN_BYTES = LH_GSPAN_WORDS * 8, LH_GSPAN_HALVES = LH_GSPAN_BYTES / 2 };

#define LH_GPOINTER_MASK ((UINT64_C(1) << 48) - 1)

/* The page map: a tree of two levels, or three since 2026 (pagemap.h, PageMap2 and PageMap3). */
struct lh_gshape {
	uint8_t page_bits;
	uint8_t leaf_bits;
	uint8_t middle_bits; /* 0: two levels */
	uint8_t class_bytes; /* of an entry of the leaf's array of size classes, which precedes its array of spans */
};

static inline uint64_t lh_gshape_page_mask(const struct lh_gshape *shape)
{
	return (UINT64_C(1) << (48 - shape->page_bits)) - 1;
}

/* Bytes of a leaf's two arrays. */
static inline uint64_t lh_gshape_leaf_bytes(const struct lh_gshape *shape)
{
	return (UINT64_C(8) + shape->class_bytes) << shape->leaf_bits;
}

struct lh_gleaf {
	uint64_t first_page;
	uint64_t addr;
};

struct lh_gmap {
	struct lh_gshape shape;
	uint64_t root;                  /* 0: not found */
	struct lh_range data;           /* the module's variables, which include the root */
	uint64_t node_min;              /* lowest address of a node or leaf */
	LH_VEC(struct lh_gleaf) leaves; /* ascending by page */
};

void lh_gmap_deinit(struct lh_gmap *map);
struct lh_error *lh_gmap_find(const struct lh_heap_memory *memory, struct lh_gmap *ret) LH_NODISCARD;

/* Appends to `ret` the present parts of any range. */
struct lh_error *lh_gmap_find_present(const struct lh_heap_memory *memory, struct lh_range range,
				      struct lh_page_runs *ret) LH_NODISCARD;

/* Reads a leaf; what is absent is zero. `ret`: lh_gshape_leaf_bytes. */
struct lh_error *lh_gmap_read_leaf(const struct lh_heap_memory *memory, const struct lh_gmap *map,
				   const struct lh_gleaf *leaf, uint8_t *ret) LH_NODISCARD;

static inline uint32_t lh_gleaf_class(const struct lh_gshape *shape, const uint8_t *leaf, size_t index)
{
	uint16_t wide;
	__builtin_memcpy(&wide, leaf + index * shape->class_bytes, sizeof(wide));
	return shape->class_bytes == 1 ? leaf[index] : wide;
}

static inline uint64_t lh_gleaf_span(const struct lh_gshape *shape, const uint8_t *leaf, size_t index)
{
	uint64_t word;
	__builtin_memcpy(&word, leaf + ((size_t)shape->class_bytes << shape->leaf_bits) + index * 8, sizeof(word));
	return word & LH_GPOINTER_MASK;
}

/* Whether `addr` may be a descriptor or another structure of the allocator: it maps memory for these. */
bool lh_gmap_is_metadata(const struct lh_heap_memory *memory, uint64_t addr);

/* ---------------------------------------------------------------- spans */

/* Bits of a descriptor. */
struct lh_gfield {
	uint8_t word, shift, bits;
};

/* Where a span's descriptor has what. Found by comparing all descriptors with the page map. */
struct lh_gspan_layout {
	uint8_t page_word;            /* first page, in the low bits */
	struct lh_gfield small_count; /* pages of a span of small objects */
	struct lh_gfield large_count; /* of one block: another field since 2026 */
	uint8_t allocated_half;       /* 16-bit offset: objects that are not free */
	bool has_bitmap;
	uint8_t bitmap_word; /* bit i: object i is free */
	bool has_list;
	uint8_t list_half;  /* index of the first free object that hosts others */
	uint8_t embed_half; /* how many it hosts */
	uint8_t cache_byte; /* how many are in the descriptor itself; UINT8_MAX: none */
	uint8_t cache_mask; /* the bits of that byte; since 2025 four of them */
	uint8_t cache_half;
};

struct lh_gspan {
	uint64_t first_page;
	uint64_t addr; /* of the descriptor */
	uint32_t page_count;
	uint32_t size_class; /* 0: one block */
};

enum { LH_GCLASSES_MAX = 512 };

struct lh_gwalk {
	struct lh_heap_tour *tour;
	struct lh_gmap map;
	struct lh_gspan_layout layout;
	LH_VEC(struct lh_gspan) spans; /* ascending, disjoint */
	uint64_t class_bytes[LH_GCLASSES_MAX];
	uint32_t class_count;      /* may include words behind the table */
	uint32_t used_class_count; /* the highest class of a span, and 1 */
	uint32_t arena, metadata;
	const char *refusal; /* a literal: why blocks cannot be listed; NULL: they can */
};

static inline uint64_t lh_gspan_start(const struct lh_gwalk *walk, const struct lh_gspan *span)
{
	return span->first_page << walk->map.shape.page_bits;
}

static inline uint64_t lh_gspan_bytes(const struct lh_gwalk *walk, const struct lh_gspan *span)
{
	return (uint64_t)span->page_count << walk->map.shape.page_bits;
}

/* Objects of a span of small ones; 0: one block. */
static inline uint64_t lh_gspan_objects(const struct lh_gwalk *walk, const struct lh_gspan *span)
{
	uint64_t bytes = span->size_class < walk->class_count ? walk->class_bytes[span->size_class] : 0;
	return bytes ? lh_gspan_bytes(walk, span) / bytes : 0;
}

/* Fills spans, class sizes and layout, or refusal. */
struct lh_error *lh_gwalk_find_spans(struct lh_gwalk *walk) LH_NODISCARD;
/* The span that holds `addr`, or NULL. */
const struct lh_gspan *lh_gwalk_span_at(const struct lh_gwalk *walk, uint64_t addr);
/* Whether an object of that class begins at `addr`. */
bool lh_gwalk_is_object(const struct lh_gwalk *walk, uint64_t addr, uint32_t size_class);

/* Finds where descriptors count and keep free objects. */
struct lh_error *lh_gwalk_find_lists(struct lh_gwalk *walk) LH_NODISCARD;
/* Sets marks[i] of each free object; false if their number is not what the descriptor says. */
bool lh_gwalk_mark_free(struct lh_gwalk *walk, const struct lh_gspan *span, uint8_t *marks);

/* Marks objects in the caches of CPUs and in transfer caches. */
struct lh_error *lh_gwalk_mark_cached(struct lh_gwalk *walk) LH_NODISCARD;

/* The same for caches of threads. *ret_caches: how many there are. */
struct lh_error *lh_gwalk_mark_threads(struct lh_gwalk *walk, size_t *ret_caches) LH_NODISCARD;

/* Calls `visit` for the present words of the module's variables. */
typedef struct lh_error *lh_gword_visitor(void *context, uint64_t addr, const uint64_t *words, size_t count);
struct lh_error *lh_gwalk_visit_words(struct lh_heap_tour *tour, struct lh_range range, lh_gword_visitor *visit,
				      void *context) LH_NODISCARD;

/* Fills the heap's allocation samples. */
struct lh_error *lh_gwalk_take_samples(struct lh_gwalk *walk) LH_NODISCARD;

struct lh_error *lh_google_tcmalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

#endif
