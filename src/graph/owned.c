/*
 * owned: what a group of blocks keeps alive. Input: a marked graph, and the group of each block. Output: for each group
 * the number and bytes of blocks that would be unreachable without the group's blocks. Candidates are all blocks that
 * the group's pointers lead to, directly or indirectly. A candidate is owned if all pointers to it come from the group
 * or from owned blocks. Pointers from stacks, registers or lost blocks do not count if variables lead to the block.
 */
#include "holders.h"

#include <stdlib.h>
#include <string.h>

enum { GAP_MAX = 32 }; /* headers and alignment of blocks */

#define NOT_OWNED UINT32_MAX

struct owned_search {
	struct lh_holders holders;
	const struct lh_graph *graph;
	const uint16_t *rows;
	uint64_t *by_variables; /* one bit per block: variables lead to it */
	uint32_t *holder_count; /* per block: pointers that count for ownership, including those of roots */
	uint32_t *mark;         /* per block: the last group that it was a candidate of, + 1 */
	uint32_t *seen;         /* per candidate: pointers to it from the group's side; or NOT_OWNED */
	LH_VEC(uint32_t) behind;
	LH_VEC(uint32_t) lost_hold;
};

static void deinit_owned_search(struct owned_search *search)
{
	lh_holders_deinit(&search->holders);
	free(search->by_variables);
	free(search->holder_count);
	free(search->mark);
	free(search->seen);
	lh_vec_deinit(&search->behind);
	lh_vec_deinit(&search->lost_hold);
}

/* The gap to the next block is the allocator's; between neighbors it is small. */
static uint64_t cost_of(const struct lh_graph *graph, size_t chunk)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	uint64_t end = stored->addr + stored->size_bytes;
	bool has_next = chunk + 1 < graph->chunk_count && stored[1].arena == stored->arena;
	uint64_t gap = has_next ? stored[1].addr - end : 0;
	return stored->size_bytes + (gap <= GAP_MAX ? gap : 0);
}

/* Pages of large blocks that were never touched are not resident. */
static struct lh_error *add_owned(const struct lh_graph *graph, size_t chunk, struct lh_owned *ret)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	struct lh_range range = {stored->addr, stored->addr + stored->size_bytes};
	uint64_t cost = cost_of(graph, chunk), present = 0;
	ret->count++;
	ret->bytes += cost;
	ret->resident_bytes += cost;
	if (stored->size_bytes < LH_PAGE_BYTES)
		return NULL;
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(lh_image_find_present(graph->image, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		present += lh_range_bytes(runs.runs.items[i].range);
	ret->resident_bytes -= stored->size_bytes - lh_min_u64(present, stored->size_bytes);
	return NULL;
}

/* ---------------------------------------------------------------- who counts as holder */

/* Variables are better evidence of ownership than stacks, and stacks than lost blocks. */
static unsigned ownership_rank(const struct owned_search *search, uint32_t chunk)
{
	return lh_bit(search->by_variables, chunk) ? 2 : lh_bit(search->graph->reached, chunk);
}

static bool is_owning_edge(const struct owned_search *search, uint32_t from, uint32_t target)
{
	return ownership_rank(search, from) >= ownership_rank(search, target);
}

static bool is_variable_edge(const struct owned_search *search, const struct lh_root_edge *edge)
{
	return edge->range != UINT32_MAX && search->graph->roots.items[edge->range].kind != LH_ROOT_STACK;
}

static struct lh_error *reach_by_variables(struct owned_search *search)
{
	const struct lh_holders *holders = &search->holders;
	search->behind.count = 0;
	for (size_t i = 0; i < holders->roots.count; i++) {
		if (is_variable_edge(search, &holders->roots.items[i]))
			LH_TRY(lh_vec_push(&search->behind, holders->roots.items[i].chunk));
	}
	while (search->behind.count) {
		uint32_t chunk = search->behind.items[--search->behind.count];
		if (lh_bit(search->by_variables, chunk))
			continue;
		lh_bit_set(search->by_variables, chunk);
		for (uint32_t i = holders->places[chunk].first; i < holders->places[chunk + 1].first; i++) {
			if (!lh_bit(search->by_variables, holders->place_to.items[i]))
				LH_TRY(lh_vec_push(&search->behind, holders->place_to.items[i]));
		}
	}
	return NULL;
}

/* Drops edges that do not count for ownership; counts all others at their target. */
static void count_holders(struct owned_search *search)
{
	struct lh_holders *holders = &search->holders;
	uint32_t kept = 0;
	for (size_t from = 0, next = holders->places[0].first; from < search->graph->chunk_count; from++) {
		uint32_t end = holders->places[from + 1].first, begin = kept;
		for (; next < end; next++) {
			uint32_t target = holders->place_to.items[next];
			if (!is_owning_edge(search, (uint32_t)from, target))
				continue;
			holders->place_to.items[kept++] = target;
			search->holder_count[target]++;
		}
		holders->places[from].first = begin;
	}
	holders->places[search->graph->chunk_count].first = kept;
	for (size_t i = 0; i < holders->roots.count; i++) {
		uint32_t chunk = holders->roots.items[i].chunk;
		bool counts = is_variable_edge(search, &holders->roots.items[i]) || ownership_rank(search, chunk) < 2;
		search->holder_count[chunk] += counts;
	}
}

/* ---------------------------------------------------------------- one group */

static struct lh_error *visit_holder(struct owned_search *search, uint32_t chunk, uint16_t row)
{
	const struct lh_holders *holders = &search->holders;
	for (uint32_t i = holders->places[chunk].first; i < holders->places[chunk + 1].first; i++) {
		uint32_t target = holders->place_to.items[i];
		if (search->rows[target] == row)
			continue;
		if (search->mark[target] != row + 1u) {
			search->mark[target] = row + 1u;
			search->seen[target] = 0;
			LH_TRY(lh_vec_push(&search->behind, target));
		}
		search->seen[target]++;
	}
	return NULL;
}

/* Drops candidates that have a holder elsewhere, and everything that these hold. */
static struct lh_error *drop_shared(struct owned_search *search, uint16_t row)
{
	const struct lh_holders *holders = &search->holders;
	search->lost_hold.count = 0;
	for (size_t i = 0; i < search->behind.count; i++) {
		uint32_t chunk = search->behind.items[i];
		if (search->seen[chunk] == search->holder_count[chunk])
			continue;
		search->seen[chunk] = NOT_OWNED;
		LH_TRY(lh_vec_push(&search->lost_hold, chunk));
	}
	while (search->lost_hold.count) {
		uint32_t chunk = search->lost_hold.items[--search->lost_hold.count];
		for (uint32_t i = holders->places[chunk].first; i < holders->places[chunk + 1].first; i++) {
			uint32_t target = holders->place_to.items[i];
			bool is_behind = search->mark[target] == row + 1u && search->rows[target] != row;
			if (!is_behind || search->seen[target] == NOT_OWNED)
				continue;
			search->seen[target] = NOT_OWNED;
			LH_TRY(lh_vec_push(&search->lost_hold, target));
		}
	}
	return NULL;
}

static struct lh_error *find_owned_by(struct owned_search *search, uint16_t row, struct lh_owned *ret)
{
	*ret = (struct lh_owned){0};
	search->behind.count = 0;
	for (size_t i = 0; i < search->graph->chunk_count; i++) {
		if (search->rows[i] != row)
			continue;
		LH_TRY(add_owned(search->graph, i, ret));
		LH_TRY(visit_holder(search, (uint32_t)i, row));
	}
	for (size_t i = 0; i < search->behind.count; i++)
		LH_TRY(visit_holder(search, search->behind.items[i], row));
	LH_TRY(drop_shared(search, row));
	for (size_t i = 0; i < search->behind.count; i++) {
		if (search->seen[search->behind.items[i]] == NOT_OWNED)
			continue;
		LH_TRY(add_owned(search->graph, search->behind.items[i], ret));
	}
	return NULL;
}

static struct lh_error *begin_owned_search(struct owned_search *search)
{
	size_t count = search->graph->chunk_count;
	search->by_variables = lh_bits_create(count);
	search->holder_count = calloc(count + 1, sizeof(uint32_t));
	search->mark = calloc(count + 1, sizeof(uint32_t));
	search->seen = calloc(count + 1, sizeof(uint32_t));
	bool is_complete = search->by_variables && search->holder_count && search->mark && search->seen;
	return is_complete ? NULL : lh_error_no_memory();
}

struct lh_error *lh_graph_find_owned(const struct lh_graph *graph, const uint16_t *rows, size_t row_count,
				     struct lh_owned *ret)
{
	struct owned_search search LH_CLEANUP(deinit_owned_search) = {
		.holders = {.graph = graph, .has_lost = true, .skips_collector = true}, .graph = graph, .rows = rows};
	LH_TRY(begin_owned_search(&search));
	LH_TRY(lh_holders_find_edges(&search.holders, NULL));
	LH_TRY(reach_by_variables(&search));
	count_holders(&search);
	for (size_t i = 0; i < row_count; i++)
		LH_TRY(find_owned_by(&search, (uint16_t)i, &ret[i]));
	return NULL;
}
