/*
 * v8: what finding and walking V8's heap share. Private to heap.
 *
 * A page or a large object begins at a multiple of 256 KiB with a header of words, in one of three orders
 * (src/heap/memory-chunk.h and basic-memory-chunk.h of V8 8 to 12), or from V8 13 on with {flags, pointer to its
 * metadata}, which malloc has (src/heap/memory-chunk.h, memory-chunk-metadata.h). An object begins with a tagged
 * pointer to its map, and a map with one to the map of maps, whose own map is itself (src/objects/map.h). Numbers of
 * instance types differ from version to version: the program exports them for debuggers as v8dbg_*.
 */
#ifndef LEAKHUNT_HEAP_V8_H
#define LEAKHUNT_HEAP_V8_H

#include "leakhunt/hash_table.h"
#include "leakhunt/symbols.h"
#include "walker.h"

#define LH_V8_PAGE_ALIGNMENT (256 * LH_KIB)

enum { LH_V8_HEADER_WORDS = 10 };

struct lh_v8_page {
	uint64_t addr, bytes;
	uint64_t flags;
	uint64_t heap; /* 0: read-only, shared by isolates */
	uint64_t area, area_end;
	uint64_t mark;  /* fill level, from the beginning; 0: the header has it */
	uint64_t owner; /* the space it belongs to; 0: the header has it */
};
/* Parses the first 6 words of a page, and its metadata; false if they are inconsistent. */
bool lh_v8_page_parse(const struct lh_heap_memory *memory, uint64_t addr, const uint64_t *words,
		      struct lh_v8_page *ret);

/* Flags of all versions: pages of the young generation that objects were moved from, or live on. */
enum { LH_V8_FROM_PAGE = 8, LH_V8_TO_PAGE = 16 };

/* The claim of lh_walk_v8. */
struct lh_error *lh_v8_claim(const struct lh_heap_memory *memory, struct lh_owners *ret) LH_NODISCARD;

/* How the size of an object is determined. */
enum lh_v8_shape {
	LH_V8_FIXED,      /* by its map */
	LH_V8_STRING,     /* by its length and encoding */
	LH_V8_ARRAY,      /* {map, length, words} */
	LH_V8_WEAK_LIST,  /* {map, capacity, length, words} */
	LH_V8_BYTES,      /* {map, length, bytes} */
	LH_V8_FREE_SPACE, /* {map, size} */
	LH_V8_FREE_WORDS, /* {map, size in words}: from V8 13 on */
	LH_V8_UNNAMED,    /* LH_V8_ARRAY, or LH_V8_FREE_WORDS */
	LH_V8_PROPERTIES, /* {map, length in the low 10 bits, words} */
	LH_V8_DESCRIPTORS,
	LH_V8_UNKNOWN, /* up to where the next object begins */
};

enum { LH_V8_TYPES = 1 << 16, LH_V8_NO_FIELD = -1 };

/* What the program exports about its V8. */
struct lh_v8_names {
	char *types[LH_V8_TYPES]; /* of instance types: "JSArray", "FixedArray"; NULL: none. Owned. */
	uint32_t first_nonstring;
	uint32_t representation_mask, encoding_mask, one_byte, sequential, cons, sliced, thin, external;
	uint32_t map_type;
	uint32_t first_context, last_context;
	int constructor, instance_size, instance_type; /* offsets in a map */
	int shared, shared_name;                       /* of a JSFunction, of its SharedFunctionInfo */
	int buffer_bytes, buffer_store;                /* of a JSArrayBuffer */
	bool has_free_space;                           /* its type has a name */
};

/* False in *ret if there are none: no V8, or one without exported names. */
struct lh_error *lh_v8_names_read(struct lh_heap_tour *tour, struct lh_v8_names *names, bool *ret) LH_NODISCARD;
void lh_v8_names_deinit(struct lh_v8_names *names);

/* A map that objects point to. */
struct lh_v8_map {
	bool is_valid;
	uint16_t type;
	uint64_t bytes; /* of instances; 0: stored in the object */
	enum lh_v8_shape shape;
	bool is_filler;
	bool is_buffer;
	uint32_t types[2]; /* in the old generation, in the young one */
};

struct lh_v8_heap {
	struct lh_heap_tour *tour;
	struct lh_v8_names *names;
	struct lh_hash_table numbers; /* of maps, by their tagged pointer */
	LH_VEC(struct lh_v8_map) maps;
	struct lh_hash_table leanings; /* of types of LH_V8_UNNAMED: above UNDECIDED, instances are free words */
};

/* The map that a tagged word points to; NULL in *ret if there is none. Valid until the next call. */
struct lh_error *lh_v8_find_map(struct lh_v8_heap *heap, uint64_t word, const struct lh_v8_map **ret) LH_NODISCARD;
bool lh_v8_read_words(struct lh_v8_heap *heap, uint64_t addr, uint64_t *ret, size_t count);

/* Adds the addresses of pages that a young space has not filled again since it was collected. None if in doubt. */
struct lh_error *lh_v8_find_waiting(struct lh_v8_heap *heap, uint64_t owner, struct lh_hash_table *ret) LH_NODISCARD;

static inline bool lh_v8_is_pointer(uint64_t word)
{
	return (word & 7) == 1 && word >> 48 == 0 && word > LH_PAGE_BYTES;
}

/* A small integer: its upper half, the lower one is 0. */
static inline bool lh_v8_is_smi(uint64_t word)
{
	return !(uint32_t)word;
}

#endif
