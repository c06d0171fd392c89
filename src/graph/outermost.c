/*
 * outermost: which block of a circle stands for it. Input: a block of the circle, and all that can be reached from it.
 * Output: the block that most words of the circle lead to: a document, to which each node and attribute points, rather
 * than one of these.
 */
#include "graph.h"

#include "leakhunt/hash_table.h"

#include <stdlib.h>

/* Blocks are known by their place in the list. */
struct circle_search {
	const struct lh_graph *graph;
	const uint32_t *chunks;
	size_t count;
	struct lh_hash_table places; /* by chunk */
	uint64_t *members;           /* one bit per block from which the first one can be reached */
	uint32_t *word_counts;       /* words of members that lead to it */
	uint32_t from;               /* the place of the block whose words are being examined */
	bool is_member;
};

static bool find_member(const struct circle_search *search, const uint8_t *bytes, size_t offset, size_t length,
			uint32_t *ret)
{
	uint32_t target = lh_graph_target(search->graph, bytes, offset, length);
	return target != LH_NO_CHUNK && lh_hash_table_find(&search->places, target, ret) &&
	       lh_bit(search->members, *ret);
}

static struct lh_error *look_for_member(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct circle_search *search = context;
	uint32_t place;
	(void)addr;
	for (size_t offset = 0; offset < length && !search->is_member; offset += sizeof(uint64_t))
		search->is_member = find_member(search, bytes, offset, length, &place);
	return NULL;
}

static struct lh_error *count_member_words(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct circle_search *search = context;
	uint32_t place;
	(void)addr;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		if (find_member(search, bytes, offset, length, &place) && place != search->from)
			search->word_counts[place]++;
	}
	return NULL;
}

/*
 * From what is reached late to what is reached early: a ring and a tree whose nodes know their parents need one pass.
 * Blocks that need more than PASSES_MAX are not taken for members.
 */
static struct lh_error *find_members(struct circle_search *search)
{
	enum { PASSES_MAX = 8 };
	bool has_changed = true;
	lh_bit_set(search->members, 0);
	for (int pass = 0; pass < PASSES_MAX && has_changed; pass++) {
		has_changed = false;
		for (size_t i = search->count; i-- > 1;) {
			if (lh_bit(search->members, i))
				continue;
			search->is_member = false;
			LH_TRY(lh_graph_visit_block(search->graph, search->chunks[i], look_for_member, search));
			if (search->is_member)
				lh_bit_set(search->members, i);
			has_changed |= search->is_member;
		}
	}
	return NULL;
}

/* Of two blocks that as many words lead to, the larger one; then the one at the lower address. */
static bool is_further_out(const struct circle_search *search, uint32_t left, uint32_t right)
{
	const struct lh_stored_chunk *chunks = search->graph->chunks;
	if (search->word_counts[left] != search->word_counts[right])
		return search->word_counts[left] > search->word_counts[right];
	uint32_t first = search->chunks[left], second = search->chunks[right];
	if (chunks[first].size_bytes != chunks[second].size_bytes)
		return chunks[first].size_bytes > chunks[second].size_bytes;
	return first < second;
}

static struct lh_error *choose_member(struct circle_search *search, uint32_t *ret)
{
	uint32_t best = 0;
	search->members = lh_bits_create(search->count);
	search->word_counts = calloc(search->count, sizeof(*search->word_counts));
	if (!search->members || !search->word_counts)
		return lh_error_no_memory();
	LH_TRY(lh_hash_table_reserve(&search->places, search->count));
	for (size_t i = 0; i < search->count; i++)
		LH_TRY(lh_hash_table_put(&search->places, search->chunks[i], (uint32_t)i));
	LH_TRY(find_members(search));
	for (size_t i = 0; i < search->count; i++) {
		search->from = (uint32_t)i;
		if (lh_bit(search->members, i))
			LH_TRY(lh_graph_visit_block(search->graph, search->chunks[i], count_member_words, search));
	}
	for (uint32_t i = 1; i < search->count; i++) {
		if (lh_bit(search->members, i) && is_further_out(search, i, best))
			best = i;
	}
	*ret = search->chunks[best];
	return NULL;
}

struct lh_error *lh_graph_find_outermost(const struct lh_graph *graph, const uint32_t *chunks, size_t count,
					 uint32_t *ret)
{
	struct circle_search search = {.graph = graph, .chunks = chunks, .count = count};
	struct lh_error *error = choose_member(&search, ret);
	free(search.members);
	free(search.word_counts);
	lh_hash_table_deinit(&search.places);
	return error;
}
