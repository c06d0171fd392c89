/*
 * end_words: pointers to the end of a block, where an allocator without headers begins the next one. Input: a marked
 * graph. Output: whether a word is such an end; and for each field of holders of one size whether its words always
 * are. An end does not keep the next block alive. A field whose words also lead to other places is a pointer that
 * happens to lead to a neighbor.
 */
#include "end_words.h"

#include <stdlib.h>

enum { ENDS_MIN = 8, ELSEWHERE_SHARE = 20, OFFSET_BITS = 20 };

static bool leads_into(const struct lh_stored_chunk *chunk, uint64_t word)
{
	return word >= chunk->addr && word < chunk->addr + chunk->size_bytes;
}

/* The block that begins exactly at `addr`, or NULL. Lists of CPython hold the same neighbors in any order. */
static const struct lh_stored_chunk *find_begun_block(const struct lh_graph *graph, uint64_t addr)
{
	uint32_t index = lh_graph_find_start(graph, addr);
	if (index == LH_NO_CHUNK)
		return NULL;
	const struct lh_stored_chunk *chunk = &graph->chunks[index];
	bool may_be_array = chunk->state == LH_CHUNK_USED && graph->arenas[chunk->arena].kind != LH_REGION_PYMALLOC;
	return may_be_array ? chunk : NULL;
}

enum lh_end_word lh_graph_judge_end(const struct lh_graph *graph, uint64_t word, const uint8_t *at, size_t before,
				    size_t after)
{
	uint64_t last = before >= 8 ? lh_load_u64(at - 8, 0) : 0, second = before >= 16 ? lh_load_u64(at - 16, 0) : 0;
	uint64_t next = after >= 16 ? lh_load_u64(at, 8) : 0;
	/* begin, end of elements, this: end of capacity. */
	const struct lh_stored_chunk *block = find_begun_block(graph, second);
	bool is_range = block && last > second && last <= second + block->size_bytes;
	if (!is_range) {
		/* begin, this: end of elements, and again: end of capacity; or a place within, begin, this: end. */
		block = find_begun_block(graph, last);
		is_range = block && (next == word || leads_into(block, second));
	}
	if (!is_range || leads_into(block, word))
		return LH_END_NOT;
	return word == block->addr + block->size_bytes ? LH_END_OF_BLOCK : LH_END_ELSEWHERE;
}

/* ---------------------------------------------------------------- fields */

static uint64_t field_key(uint64_t size_bytes, uint64_t offset)
{
	return size_bytes << OFFSET_BITS | (offset & ((1u << OFFSET_BITS) - 1));
}

static struct lh_error *count_field(struct lh_end_fields *fields, uint64_t key, enum lh_end_word judgment)
{
	uint32_t number;
	if (!lh_hash_table_find(&fields->numbers, key, &number)) {
		number = (uint32_t)fields->counts.count;
		LH_TRY(lh_hash_table_put(&fields->numbers, key, number));
		LH_TRY(lh_vec_push(&fields->counts, ((struct lh_end_count){0})));
	}
	struct lh_end_count *count = &fields->counts.items[number];
	if (judgment == LH_END_OF_BLOCK)
		count->ends++;
	else
		count->elsewhere++;
	return NULL;
}

struct field_search {
	const struct lh_graph *graph;
	struct lh_end_fields *fields;
	const struct lh_stored_chunk *from;
};

static struct lh_error *count_ends(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct field_search *search = context;
	for (size_t offset = sizeof(uint64_t); offset < length; offset += sizeof(uint64_t)) {
		uint64_t word = lh_load_u64(bytes, offset);
		if (!find_begun_block(search->graph, word))
			continue;
		enum lh_end_word judgment =
			lh_graph_judge_end(search->graph, word, bytes + offset, offset, length - offset);
		if (judgment != LH_END_NOT)
			LH_TRY(count_field(search->fields,
					   field_key(search->from->size_bytes, addr + offset - search->from->addr),
					   judgment));
	}
	return NULL;
}

struct lh_error *lh_end_fields_find(const struct lh_graph *graph, struct lh_end_fields *ret)
{
	struct field_search search = {.graph = graph, .fields = ret};
	for (size_t i = 0; i < graph->chunk_count && graph->has_neighbors; i++) {
		search.from = &graph->chunks[i];
		if (lh_graph_is_reachable(graph, i))
			LH_TRY(lh_graph_visit_block(graph, (uint32_t)i, count_ends, &search));
	}
	return NULL;
}

void lh_end_fields_deinit(struct lh_end_fields *fields)
{
	lh_hash_table_deinit(&fields->numbers);
	lh_vec_deinit(&fields->counts);
}

bool lh_end_fields_has(const struct lh_end_fields *fields, uint64_t size_bytes, uint64_t offset)
{
	uint32_t number;
	if (!lh_hash_table_find(&fields->numbers, field_key(size_bytes, offset), &number))
		return false;
	const struct lh_end_count *count = &fields->counts.items[number];
	return count->ends >= ENDS_MIN && count->elsewhere * ELSEWHERE_SHARE <= count->ends;
}
