/*
 * lost: the blocks that marking did not reach, and who holds whom among them. Input: marks. Output: heads, which no
 * other lost block points to; one block per circle, its outermost; and what each owns. No recursion: lists can have
 * millions of members.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

struct lost_search {
	struct lh_graph *graph;
	uint64_t *rest; /* one bit per lost block that no head has reached yet */
	uint64_t *held; /* one bit per block that another lost block points to */
	LH_VEC(uint32_t) stack;
	LH_VEC(uint32_t) owned; /* by the latest head, itself first */
	uint32_t from;          /* the block whose words are being examined */
};

static struct lh_error *note_held(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct lost_search *search = context;
	(void)addr;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		uint32_t target = lh_graph_target(search->graph, bytes, offset, length);
		if (target != LH_NO_CHUNK && target != search->from && lh_bit(search->rest, target))
			lh_bit_set(search->held, target);
	}
	return NULL;
}

/* Removes from `rest` all blocks that the words point to. */
static struct lh_error *take_targets(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct lost_search *search = context;
	(void)addr;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		uint32_t target = lh_graph_target(search->graph, bytes, offset, length);
		if (target == LH_NO_CHUNK || !lh_bit(search->rest, target))
			continue;
		lh_bit_clear(search->rest, target);
		LH_TRY(lh_vec_push(&search->stack, target));
	}
	return NULL;
}

/* A head owns what is left of the blocks that it reaches. The outermost block of a circle becomes its head. */
static struct lh_error *own_block(struct lost_search *search, uint32_t chunk, enum lh_leak_status status)
{
	struct lh_graph *graph = search->graph;
	struct lh_lost_block block = {.chunk = chunk, .status = (uint8_t)status};
	lh_bit_clear(search->rest, chunk);
	search->stack.count = search->owned.count = 0;
	LH_TRY(lh_vec_push(&search->stack, chunk));
	while (search->stack.count) {
		uint32_t at = search->stack.items[--search->stack.count];
		block.owned_count++;
		block.owned_bytes += graph->chunks[at].size_bytes;
		if (status == LH_LEAK_CYCLE)
			LH_TRY(lh_vec_push(&search->owned, at));
		LH_TRY(lh_graph_visit_block(graph, at, take_targets, search));
	}
	if (status == LH_LEAK_CYCLE)
		LH_TRY(lh_graph_find_outermost(graph, search->owned.items, search->owned.count, &block.chunk));
	lh_bit_set(status == LH_LEAK_CYCLE ? graph->cycles : graph->heads, block.chunk);
	return lh_vec_push(&graph->lost, block);
}

/* The next set bit at or after `index`; `count` if there is none. */
static size_t next_bit(const uint64_t *bits, size_t index, size_t count)
{
	for (size_t word = index / 64; word * 64 < count; word++) {
		uint64_t left = word == index / 64 ? bits[word] & (UINT64_MAX << index % 64) : bits[word];
		if (left)
			return lh_min_u64(word * 64 + (size_t)__builtin_ctzll(left), count);
	}
	return count;
}

static struct lh_error *own_heads(struct lost_search *search)
{
	struct lh_graph *graph = search->graph;
	for (size_t i = next_bit(search->rest, 0, graph->chunk_count); i < graph->chunk_count;
	     i = next_bit(search->rest, i + 1, graph->chunk_count)) {
		search->from = (uint32_t)i;
		LH_TRY(lh_graph_visit_block(graph, search->from, note_held, search));
	}
	for (size_t i = next_bit(search->rest, 0, graph->chunk_count); i < graph->chunk_count;
	     i = next_bit(search->rest, i + 1, graph->chunk_count)) {
		if (!lh_bit(search->held, i))
			LH_TRY(own_block(search, (uint32_t)i, LH_LEAK_LOST));
	}
	return NULL;
}

/* ---------------------------------------------------------------- circles */

/* A block on the current path, and how many of its words were followed. */
struct walk_step {
	uint64_t offset;
	uint32_t chunk;
};

struct circle_walk {
	const struct lh_graph *graph;
	uint64_t *unseen;
	LH_VEC(struct walk_step) steps;
	LH_VEC(uint32_t) finished;
};

/* The next unseen block that the step's block points to; LH_NO_CHUNK if there is none. */
static uint32_t next_target(const struct circle_walk *walk, struct walk_step *step)
{
	const struct lh_stored_chunk *stored = &walk->graph->chunks[step->chunk];
	uint64_t end = lh_align_down(lh_graph_used_bytes(stored), sizeof(uint64_t));
	while (step->offset < end) {
		size_t length;
		const uint8_t *bytes =
			lh_graph_view(walk->graph, stored->addr + step->offset, stored->addr + end, &length);
		length = lh_align_down(length, sizeof(uint64_t));
		for (size_t offset = 0; bytes && offset < length; offset += sizeof(uint64_t)) {
			uint32_t target = lh_graph_target(walk->graph, bytes, offset, length);
			if (target == LH_NO_CHUNK || !lh_bit(walk->unseen, target))
				continue;
			step->offset += offset + sizeof(uint64_t);
			return target;
		}
		step->offset += length ? length : sizeof(uint64_t);
	}
	return LH_NO_CHUNK;
}

/* Finishes each block after everything reachable from it, except blocks on the current path. */
static struct lh_error *finish_from(struct circle_walk *walk, uint32_t chunk)
{
	lh_bit_clear(walk->unseen, chunk);
	LH_TRY(lh_vec_push(&walk->steps, ((struct walk_step){0, chunk})));
	while (walk->steps.count) {
		struct walk_step *step = &walk->steps.items[walk->steps.count - 1];
		uint32_t target = next_target(walk, step);
		if (target == LH_NO_CHUNK) {
			LH_TRY(lh_vec_push(&walk->finished, step->chunk));
			walk->steps.count--;
			continue;
		}
		lh_bit_clear(walk->unseen, target);
		LH_TRY(lh_vec_push(&walk->steps, ((struct walk_step){0, target})));
	}
	return NULL;
}

/*
 * Each remaining block is in a circle or reachable from one. The block that finishes last belongs to a circle that
 * nothing else leads to (order of Kosaraju and Sharir).
 */
static struct lh_error *own_circles(struct lost_search *search, struct circle_walk *walk)
{
	size_t count = search->graph->chunk_count;
	memcpy(walk->unseen, search->rest, lh_bits_words(count) * sizeof(uint64_t));
	for (size_t i = next_bit(walk->unseen, 0, count); i < count; i = next_bit(walk->unseen, i + 1, count))
		LH_TRY(finish_from(walk, (uint32_t)i));
	for (size_t i = walk->finished.count; i-- > 0;) {
		if (lh_bit(search->rest, walk->finished.items[i]))
			LH_TRY(own_block(search, walk->finished.items[i], LH_LEAK_CYCLE));
	}
	return NULL;
}

static struct lh_error *find_circles(struct lost_search *search)
{
	struct circle_walk walk = {.graph = search->graph};
	if (next_bit(search->rest, 0, search->graph->chunk_count) == search->graph->chunk_count)
		return NULL;
	walk.unseen = lh_bits_create(search->graph->chunk_count);
	struct lh_error *error = walk.unseen ? own_circles(search, &walk) : lh_error_no_memory();
	free(walk.unseen);
	lh_vec_deinit(&walk.steps);
	lh_vec_deinit(&walk.finished);
	return error;
}

/* ---------------------------------------------------------------- the result */

static int compare_lost(const void *a, const void *b)
{
	const struct lh_lost_block *left = a, *right = b;
	return lh_compare_u64(left->chunk, right->chunk);
}

static struct lh_error *search_lost(struct lost_search *search)
{
	struct lh_graph *graph = search->graph;
	size_t words = lh_bits_words(graph->chunk_count);
	search->rest = lh_bits_create(graph->chunk_count);
	search->held = lh_bits_create(graph->chunk_count);
	if (!search->rest || !search->held)
		return lh_error_no_memory();
	for (size_t i = 0; i < words; i++)
		search->rest[i] = graph->unmarked[i] & ~(graph->possible ? graph->possible[i] : 0);
	LH_TRY(own_heads(search));
	LH_TRY(find_circles(search));
	if (graph->lost.count)
		qsort(graph->lost.items, graph->lost.count, sizeof(*graph->lost.items), compare_lost);
	for (size_t i = 0; graph->doubts.count && i < graph->lost.count; i++)
		graph->lost.items[i].status = LH_LEAK_POSSIBLE;
	return NULL;
}

struct lh_error *lh_graph_find_lost(struct lh_graph *graph)
{
	struct lost_search search = {.graph = graph};
	struct lh_error *error = search_lost(&search);
	free(search.rest);
	free(search.held);
	lh_vec_deinit(&search.stack);
	lh_vec_deinit(&search.owned);
	return error;
}
