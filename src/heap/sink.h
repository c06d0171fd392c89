/*
 * sink: where walkers put what they find, and the memory they read it from. Private to heap; walkers use walker.h
 * instead.
 */
#ifndef LEAKHUNT_HEAP_SINK_H
#define LEAKHUNT_HEAP_SINK_H

#include "walker.h"

#include "leakhunt/allocation_samples.h"

/* In typed arenas, blocks of further types get the last number: only the type of single blocks is lost. */
enum { LH_HEAP_ARENAS_MAX = 1 << 12, LH_HEAP_TYPES_KEPT = (1 << 12) - 1 };
#define LH_HEAP_CHUNK_BYTES_MAX ((UINT64_C(1) << 38) - 1)

/* Memory of an arena. */
struct lh_heap_extent {
	struct lh_range range;
	uint32_t arena;
};

struct lh_heap {
	LH_VEC(struct lh_stored_chunk) chunks; /* ascending once walked */
	LH_VEC(struct lh_heap_arena) arenas;
	LH_VEC(struct lh_heap_extent) extents; /* ascending once walked */
	LH_VEC(struct lh_heap_allocator) allocators;
	struct lh_range *ranges; /* of all arenas, one arena after the other */
	LH_VEC(struct lh_heap_type) types;
	struct lh_strings_pool strings; /* of types */
	LH_VEC(struct lh_range) padded; /* ascending once walked */
	bool keeps_structures;
	LH_VEC(struct lh_range) structures; /* ascending and disjoint once walked */
	struct lh_allocation_samples samples;
};

/* Copies of target memory, for images that cannot be viewed: windows in slots chosen by address. */
enum { LH_WINDOW_BYTES = 64 * 1024, LH_WINDOWS = 16, LH_WINDOW_PAGES = LH_WINDOW_BYTES / LH_PAGE_BYTES };

struct lh_heap_window {
	uint64_t addr; /* multiple of LH_WINDOW_BYTES; UINT64_MAX: empty */
	uint32_t page_bits;
	uint8_t *bytes;
};

struct lh_heap_sink {
	struct lh_heap *heap;
	struct lh_heap_allocator allocator; /* being walked */
	struct lh_heap_window windows[LH_WINDOWS];
	uint8_t *scratch;
	struct lh_page_runs present; /* of all private memory, ascending */
	size_t present_at;           /* run of the latest query */
	/* The latest stretch that could be viewed. */
	const uint8_t *view;
	struct lh_range viewed;
	LH_VEC(uint64_t) cached; /* addresses marked by the walker */
	size_t first_chunk, first_arena, first_extent, first_type;
	uint64_t steps_left; /* reads and blocks that this walk may still take */
};

/* Limits the reads of a walk: bounds what lists and counts of a damaged heap demand. */
static inline bool lh_heap_take_steps(struct lh_heap_sink *sink, uint64_t steps)
{
	bool is_possible = steps <= sink->steps_left;
	sink->steps_left = is_possible ? sink->steps_left - steps : 0;
	return is_possible;
}

/* Empties them. */
void lh_allocation_samples_deinit(struct lh_allocation_samples *samples);

/* Ends the walk of one allocator: its blocks ascending, with those in caches marked. */
struct lh_error *lh_heap_settle(struct lh_heap_tour *tour) LH_NODISCARD;
/* Sorts, drops overlapping blocks, and computes totals. */
struct lh_error *lh_heap_finish(struct lh_heap_tour *tour) LH_NODISCARD;

#endif
