/*
 * tail_words: pointers to the last 8 bytes of a block. Input: marks, and which blocks contain such words. Output:
 * blocks that such words keep alive, marked with everything reachable from them. Usually such a word is an old link of
 * glibc's free lists to the header of the next block. But PHP points past the first entry of a function's arguments,
 * which is the last entry if there are none. The field distinguishes the two: PHP's field leads to the same distance in
 * larger blocks, too; links of free lists lead only to headers.
 */
#include "graph.h"
#include "leakhunt/hash_table.h"

#include <stdlib.h>

enum {
	OTHERS_MIN = 8,  /* larger blocks that the field must point into */
	FIELD_BITS = 20, /* for each of: the holder's size, the offset in it, the distance */
	HOLDER_BITS = 64 - 2 * FIELD_BITS,
};

/* A word that points to the last 8 bytes of a block that nothing else reaches. */
struct tail_word {
	uint32_t target;
	uint32_t field; /* index in `others` */
};

struct tail_search {
	struct lh_graph *graph;
	const struct lh_stored_chunk *from;
	struct lh_hash_table fields;
	struct lh_hash_table sizes; /* of their holders */
	LH_VEC(uint64_t) others;    /* per field: words to the same distance in larger blocks */
	LH_VEC(struct tail_word) words;
	LH_VEC(uint32_t) stack;
};

/* Key for a word in a block of `search->from`'s size that leads to `distance` after a block's beginning. */
static uint64_t make_field_key(const struct tail_search *search, uint64_t offset, uint64_t distance)
{
	return (uint64_t)search->from->size_bytes << 2 * FIELD_BITS | offset << FIELD_BITS | distance;
}

/*
 * The block that the word leads into, and the distance from its beginning; LH_NO_CHUNK: none, or too far for a field.
 */
static uint32_t find_distance(const struct tail_search *search, uint64_t word, uint64_t *ret)
{
	const struct lh_graph *graph = search->graph;
	if (word - graph->bounds.start >= lh_range_bytes(graph->bounds) || search->from->size_bytes >> HOLDER_BITS)
		return LH_NO_CHUNK;
	uint32_t page = lh_graph_page(graph, word);
	uint32_t chunk = page ? lh_graph_line_chunk(graph, lh_graph_line(graph, page, word), word) : LH_NO_CHUNK;
	if (chunk == LH_NO_CHUNK)
		return chunk;
	*ret = word - graph->chunks[chunk].addr;
	return *ret && !(*ret >> FIELD_BITS) && *ret < lh_graph_used_bytes(&graph->chunks[chunk]) ? chunk : LH_NO_CHUNK;
}

static struct lh_error *add_tail_word(struct tail_search *search, uint32_t target, uint64_t key)
{
	struct tail_word tail = {.target = target};
	if (!lh_hash_table_find(&search->fields, key, &tail.field)) {
		tail.field = (uint32_t)search->others.count;
		LH_TRY(lh_hash_table_put(&search->fields, key, tail.field));
		LH_TRY(lh_hash_table_put(&search->sizes, search->from->size_bytes, 0));
		LH_TRY(lh_vec_push(&search->others, 0));
	}
	return lh_vec_push(&search->words, tail);
}

static struct lh_error *collect_tail_words(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct tail_search *search = context;
	uint64_t begin = addr - search->from->addr, distance;
	for (size_t offset = 0; offset < length && !((begin + offset) >> FIELD_BITS); offset += sizeof(uint64_t)) {
		uint32_t target = find_distance(search, lh_load_u64(bytes, offset), &distance);
		if (target != LH_NO_CHUNK && lh_bit(search->graph->unmarked, target) &&
		    lh_graph_is_tail(&search->graph->chunks[target], distance))
			LH_TRY(add_tail_word(search, target, make_field_key(search, begin + offset, distance)));
	}
	return NULL;
}

static struct lh_error *count_others(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct tail_search *search = context;
	uint64_t begin = addr - search->from->addr, distance;
	for (size_t offset = 0; offset < length && !((begin + offset) >> FIELD_BITS); offset += sizeof(uint64_t)) {
		uint32_t field, target = find_distance(search, lh_load_u64(bytes, offset), &distance);
		if (target != LH_NO_CHUNK && !lh_graph_is_tail(&search->graph->chunks[target], distance) &&
		    lh_hash_table_find(&search->fields, make_field_key(search, begin + offset, distance), &field))
			search->others.items[field]++;
	}
	return NULL;
}

/* ---------------------------------------------------------------- marks */

static struct lh_error *reach_block(struct tail_search *search, uint32_t chunk)
{
	struct lh_graph *graph = search->graph;
	if (chunk == LH_NO_CHUNK || !lh_bit(graph->unmarked, chunk))
		return NULL;
	lh_bit_clear(graph->unmarked, chunk);
	lh_bit_set(graph->reached, chunk);
	return lh_vec_push(&search->stack, chunk);
}

static struct lh_error *reach_targets(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct tail_search *search = context;
	(void)addr;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t))
		LH_TRY(reach_block(search, lh_graph_target(search->graph, bytes, offset, length)));
	return NULL;
}

/* Blocks reached now may contain such words themselves: their words are appended to `words`. */
static struct lh_error *reach_tails(struct tail_search *search)
{
	struct lh_graph *graph = search->graph;
	for (size_t i = 0; i < search->words.count; i++) {
		struct tail_word tail = search->words.items[i];
		if (search->others.items[tail.field] < OTHERS_MIN)
			continue;
		lh_bit_set(graph->tails, tail.target);
		LH_TRY(reach_block(search, tail.target));
		while (search->stack.count) {
			uint32_t chunk = search->stack.items[--search->stack.count];
			search->from = &graph->chunks[chunk];
			LH_TRY(lh_graph_visit_block(graph, chunk, reach_targets, search));
			LH_TRY(lh_graph_visit_block(graph, chunk, collect_tail_words, search));
		}
	}
	return NULL;
}

static struct lh_error *visit_tail_holders(struct tail_search *search)
{
	struct lh_graph *graph = search->graph;
	for (size_t i = 0; i < graph->chunk_count; i++) {
		search->from = &graph->chunks[i];
		if (lh_bit(graph->tail_holders, i))
			LH_TRY(lh_graph_visit_block(graph, (uint32_t)i, collect_tail_words, search));
	}
	return NULL;
}

static struct lh_error *visit_sizes_of_holders(struct tail_search *search)
{
	struct lh_graph *graph = search->graph;
	for (size_t i = 0; i < graph->chunk_count; i++) {
		uint32_t unused;
		search->from = &graph->chunks[i];
		if (lh_graph_is_reachable(graph, i) &&
		    lh_hash_table_find(&search->sizes, search->from->size_bytes, &unused))
			LH_TRY(lh_graph_visit_block(graph, (uint32_t)i, count_others, search));
	}
	return NULL;
}

static struct lh_error *search_tails(struct tail_search *search)
{
	LH_TRY(visit_tail_holders(search));
	if (!search->words.count)
		return NULL;
	search->graph->tails = lh_bits_create(search->graph->chunk_count);
	if (!search->graph->tails)
		return lh_error_no_memory();
	LH_TRY(visit_sizes_of_holders(search));
	return reach_tails(search);
}

struct lh_error *lh_graph_mark_tails(struct lh_graph *graph)
{
	struct tail_search search = {.graph = graph};
	struct lh_error *error = search_tails(&search);
	lh_hash_table_deinit(&search.fields);
	lh_hash_table_deinit(&search.sizes);
	lh_vec_deinit(&search.others);
	lh_vec_deinit(&search.words);
	lh_vec_deinit(&search.stack);
	return error;
}
