/*
 * explain_block: why one block stays. Input: a graph. Output: a shortest path of pointers from a root to the block, and
 * what it retains.
 */
#include "holders.h"

#include "root_names.h"

#include <stdlib.h>

void lh_block_holding_deinit(struct lh_block_holding *holding)
{
	lh_vec_deinit(&holding->path);
	lh_strings_pool_deinit(&holding->strings);
}

/* By number. */
struct way_search {
	const struct lh_holders *holders;
	uint32_t *from; /* the previous node on the path; 0: not reached; UINT32_MAX: a root */
	LH_VEC(uint32_t) queue;
};

static struct lh_error *reach_node(struct way_search *search, uint32_t number, uint32_t from)
{
	if (search->from[number])
		return NULL;
	search->from[number] = from;
	return lh_vec_push(&search->queue, number);
}

/* Breadth-first search from all roots; variables before stacks and registers, which are less informative. */
static struct lh_error *find_way(struct way_search *search, uint32_t target)
{
	const struct lh_holders *holders = search->holders;
	size_t chunk_count = holders->graph->chunk_count;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < holders->groups.count; i++) {
			if (lh_holders_is_variable(holders, &holders->groups.items[i]) == (pass == 0))
				LH_TRY(reach_node(search, holders->places[chunk_count + i].number, UINT32_MAX));
		}
	}
	for (size_t at = 0; at < search->queue.count && !search->from[target]; at++) {
		uint32_t number = search->queue.items[at];
		for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++)
			LH_TRY(reach_node(search, holders->to[i], number));
	}
	return NULL;
}

struct word_search {
	const struct lh_graph *graph;
	uint32_t target;
	uint64_t addr; /* 0: not found yet */
};

static struct lh_error *find_word(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct word_search *search = context;
	for (size_t offset = 0; offset < length && !search->addr; offset += sizeof(uint64_t)) {
		if (lh_graph_target(search->graph, bytes, offset, length) == search->target)
			search->addr = addr + offset;
	}
	return NULL;
}

static struct lh_error *add_block_step(const struct lh_graph *graph, uint32_t chunk, uint32_t next,
				       struct lh_block_holding *ret)
{
	struct word_search search = {.graph = graph, .target = next};
	struct lh_path_step step = {.addr = graph->chunks[chunk].addr, .chunk = chunk};
	if (next != LH_NO_CHUNK)
		LH_TRY(lh_graph_visit_block(graph, chunk, find_word, &search));
	step.offset = search.addr ? search.addr - step.addr : 0;
	return lh_vec_push(&ret->path, step);
}

static struct lh_error *add_root_step(const struct lh_holders *holders, struct lh_symbols *symbols, size_t index,
				      uint32_t next, struct lh_block_holding *ret)
{
	const struct lh_root_group *group = &holders->groups.items[index];
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_path_step step = {.addr = group->addr, .chunk = SIZE_MAX};
	bool is_library;
	for (size_t i = group->first_edge; i < holders->roots.count; i++) {
		if (holders->roots.items[i].chunk == next) {
			step.addr = holders->roots.items[i].addr;
			break;
		}
	}
	lh_root_name(holders->graph, symbols, group->range == UINT32_MAX ? 0 : step.addr, group->range, &name,
		     &is_library);
	LH_TRY(lh_buffer_status(&name));
	LH_TRY(lh_strings_pool_add(&ret->strings, name.data, name.length, &ret->root));
	return lh_vec_push(&ret->path, step);
}

static void reverse_path(struct lh_block_holding *ret)
{
	for (size_t i = 0; i < ret->path.count / 2; i++) {
		struct lh_path_step step = ret->path.items[i];
		ret->path.items[i] = ret->path.items[ret->path.count - 1 - i];
		ret->path.items[ret->path.count - 1 - i] = step;
	}
}

static struct lh_error *follow_back(const struct way_search *search, struct lh_symbols *symbols, uint32_t target,
				    struct lh_block_holding *ret)
{
	const struct lh_graph *graph = search->holders->graph;
	uint32_t next = LH_NO_CHUNK;
	for (uint32_t number = target;; number = search->from[number]) {
		uint32_t place = search->holders->chunk[number];
		if (place >= graph->chunk_count) {
			LH_TRY(add_root_step(search->holders, symbols, place - graph->chunk_count, next, ret));
			break;
		}
		LH_TRY(add_block_step(graph, place, next, ret));
		next = place;
	}
	reverse_path(ret);
	return NULL;
}

static struct lh_error *explain_reachable(struct way_search *search, struct lh_symbols *symbols, uint32_t target,
					  struct lh_block_holding *ret)
{
	const struct lh_holders *holders = search->holders;
	uint32_t number = holders->places[target].number;
	search->from = calloc(holders->node_count + 1, sizeof(*search->from));
	if (!search->from)
		return lh_error_no_memory();
	LH_TRY(find_way(search, number));
	if (number && search->from[number])
		LH_TRY(follow_back(search, symbols, number, ret));
	ret->retained_bytes = number ? holders->retained_bytes[number] : 0;
	ret->retained_count = number ? holders->retained_count[number] : 0;
	return NULL;
}

struct lh_error *lh_graph_explain_block(const struct lh_graph *graph, struct lh_symbols *symbols, size_t chunk,
					struct lh_block_holding *ret)
{
	struct lh_holders holders LH_CLEANUP(lh_holders_deinit) = {0};
	if (chunk >= graph->chunk_count || !lh_graph_is_reachable(graph, chunk))
		return NULL;
	LH_TRY(lh_holders_init(graph, symbols, &holders));
	struct way_search search = {.holders = &holders};
	struct lh_error *error = explain_reachable(&search, symbols, (uint32_t)chunk, ret);
	free(search.from);
	lh_vec_deinit(&search.queue);
	return error;
}
