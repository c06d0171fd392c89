/*
 * holders: who points to whom among reachable blocks, and who dominates whom. Private to graph. Nodes are numbered in
 * the order of a depth-first walk from a virtual root above all roots, which has number 0.
 */
#ifndef LEAKHUNT_GRAPH_HOLDERS_H
#define LEAKHUNT_GRAPH_HOLDERS_H

#include "graph.h"

/* A word of a root, and the block that it points to. */
struct lh_root_edge {
	uint64_t addr; /* 0: a register */
	uint32_t chunk;
	uint32_t range; /* index among the roots; UINT32_MAX: a register */
};

/*
 * Words of roots that belong together: a variable, a thread's stack. A node like blocks; root groups follow all blocks.
 */
struct lh_root_group {
	uint64_t addr;       /* of the variable, or of the first word */
	uint32_t range;      /* UINT32_MAX: registers */
	uint32_t first_edge; /* index of `roots`; ends at the next group's first edge */
};

/* A block, reachable or not, or a root group: what a walk needs, in one cache line. */
struct lh_place {
	uint32_t first;  /* its targets, as places, are place_to[first] up to the first of the next place */
	uint32_t number; /* 0: not reachable */
};

struct lh_holders {
	const struct lh_graph *graph;
	bool has_lost;             /* edges of unreachable blocks are requested, too */
	bool skips_collector;      /* no edges: lists of CPython's collector, which lead to all objects, and words in
				      python_rooms */
	struct lh_place *places;   /* of blocks, then of root groups, then one more as the end */
	LH_VEC(uint32_t) place_to; /* freed when all nodes have numbers */
	LH_VEC(struct lh_root_edge) roots;
	LH_VEC(struct lh_root_group) groups;

	/* For each number up to and including node_count: its targets, as numbers, are to[first[n], first[n + 1]). */
	size_t node_count;
	uint32_t *first;
	uint32_t *to;
	uint32_t *chunk; /* its place */
	uint32_t *dominator;
	uint64_t *retained_bytes;
	uint32_t *retained_count;
	uint64_t edges_cpu_ns;
	uint64_t dominators_cpu_ns;
	uint64_t memory_bytes;
};

/* A block of CPython of which only the beginning has pointers. */
struct lh_python_room {
	uint64_t start; /* of what holds nothing */
	uint32_t chunk;
};
struct lh_python_rooms {
	LH_VEC(struct lh_python_room) items; /* ascending by chunk, then by start; some blocks are there twice */
};
/* python_rooms: items of lists, str and bytes. */
struct lh_error *lh_holders_find_python_rooms(const struct lh_graph *graph, struct lh_python_rooms *ret) LH_NODISCARD;
void lh_python_rooms_deinit(struct lh_python_rooms *rooms);

/* edges: fills places, place_to, roots and groups. Without `symbols` (NULL) each word of data is a group. */
struct lh_error *lh_holders_find_edges(struct lh_holders *holders, struct lh_symbols *symbols) LH_NODISCARD;
/* dominators: fills the rest. */
struct lh_error *lh_holders_find_dominators(struct lh_holders *holders) LH_NODISCARD;

/* Blocks and root groups. */
static inline size_t lh_holders_places(const struct lh_holders *holders)
{
	return holders->graph->chunk_count + holders->groups.count;
}

static inline bool lh_holders_is_root(const struct lh_holders *holders, uint32_t number)
{
	return holders->chunk[number] >= holders->graph->chunk_count;
}

static inline uint64_t lh_holders_size(const struct lh_holders *holders, uint32_t number)
{
	bool is_root = !number || lh_holders_is_root(holders, number);
	return is_root ? 0 : holders->graph->chunks[holders->chunk[number]].size_bytes;
}

/* Fills `ret`, which must be zero. `symbols` may be NULL. */
struct lh_error *lh_holders_init(const struct lh_graph *graph, struct lh_symbols *symbols,
				 struct lh_holders *ret) LH_NODISCARD;
void lh_holders_deinit(struct lh_holders *holders);

/* What the blocks of one group own: themselves, and everything unreachable without them. */
struct lh_owned {
	uint64_t count;
	uint64_t bytes; /* including what the allocator keeps between neighbors */
	uint64_t resident_bytes;
};
/* owned: for `row_count` groups. `rows`: the group of each block; UINT16_MAX: none. Fills ret[row_count]. */
struct lh_error *lh_graph_find_owned(const struct lh_graph *graph, const uint16_t *rows, size_t row_count,
				     struct lh_owned *ret) LH_NODISCARD;

/* Whether it is a variable of a module or a thread, not a stack or registers. */
bool lh_holders_is_variable(const struct lh_holders *holders, const struct lh_root_group *group);

#endif
