/*
 * padded_blocks: blocks of which the program got only a part, since it asked for an alignment. Input: padded memory of
 * the heap. Output: which blocks may be padded, and for which of those it is doubtful. An allocator keeps no record of
 * the place; words that lead into the block tell it. Padding keeps the link of a free list (first word, 0 or a
 * block of the same memory) and other old contents, which hold nothing.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRY_WORDS = (LH_ENTRY_MAX + 64) / 64, PADDING_LIKELY_MIN = 32 };

/* The first block that begins in the range, or behind it. */
static size_t first_block(const struct lh_graph *graph, struct lh_range range)
{
	return lh_count_before(graph->chunks, graph->chunk_count, item, item->addr < range.start);
}

static bool begins_in(const struct lh_graph *graph, size_t chunk, struct lh_range range)
{
	return chunk < graph->chunk_count && graph->chunks[chunk].addr < range.end;
}

/* Whether the first word is what a free list leaves there. */
static bool begins_with_link(const struct lh_graph *graph, struct lh_range range, size_t chunk)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	size_t length;
	const uint8_t *bytes = lh_graph_view(graph, stored->addr, stored->addr + stored->size_bytes, &length);
	if (!bytes || length < sizeof(uint64_t))
		return false;
	uint64_t word = lh_load_u64(bytes, 0);
	return !word || (word >= range.start && word < range.end && !((word - range.start) % stored->size_bytes));
}

struct lh_error *lh_graph_find_padded(struct lh_graph *graph)
{
	size_t count;
	const struct lh_range *ranges = lh_heap_padded_ranges(graph->heap, &count);
	if (!count)
		return NULL;
	graph->entries = calloc(graph->chunk_count + 1, sizeof(*graph->entries));
	if (!graph->entries)
		return lh_error_no_memory();
	graph->totals.memory_bytes += graph->chunk_count * sizeof(*graph->entries);
	for (size_t at = 0; at < count; at++) {
		for (size_t i = first_block(graph, ranges[at]); begins_in(graph, i, ranges[at]); i++) {
			if (lh_graph_is_node(graph, i) && begins_with_link(graph, ranges[at], i))
				graph->entries[i] = LH_NO_ENTRY;
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- doubts */

struct padding_search {
	const struct lh_graph *graph;
	uint64_t alignments; /* a sum of those that were asked for: powers of two */
	/* Of the blocks of one range. */
	uint64_t entered[ENTRY_WORDS]; /* one bit per entry that a block has */
	uint64_t members[ENTRY_WORDS]; /* one bit per entry that blocks with different padding have */
	uint64_t paddings[LH_ENTRY_MAX + 1];
};

/* Whether the first word that leads into the block leads to its place of largest alignment. */
static bool enters_at_alignment(const struct lh_graph *graph, size_t chunk)
{
	return lh_graph_padding(graph, (uint32_t)chunk) == graph->entries[chunk] * sizeof(uint64_t);
}

/* A member has the same offset in all objects that are not aligned; the beginning of what is aligned has not. */
static void compare_paddings(struct padding_search *search, struct lh_range range)
{
	const struct lh_graph *graph = search->graph;
	memset(search->entered, 0, sizeof(search->entered));
	memset(search->members, 0, sizeof(search->members));
	for (size_t i = first_block(graph, range); begins_in(graph, i, range); i++) {
		uint16_t entry = graph->entries[i];
		uint64_t padding = lh_graph_padding(graph, (uint32_t)i);
		if (entry == 0 || entry == LH_NO_ENTRY)
			continue;
		if (lh_bit(search->entered, entry) && search->paddings[entry] != padding)
			lh_bit_set(search->members, entry);
		lh_bit_set(search->entered, entry);
		search->paddings[entry] = padding;
	}
}

static void note_alignments(struct padding_search *search, struct lh_range range)
{
	const struct lh_graph *graph = search->graph;
	for (size_t i = first_block(graph, range); begins_in(graph, i, range); i++) {
		uint64_t padding = lh_graph_padding(graph, (uint32_t)i);
		if (padding && enters_at_alignment(graph, i) && !lh_bit(search->members, graph->entries[i]))
			search->alignments |= UINT64_C(2) << (63 - __builtin_clzll(padding));
	}
}

/*
 * Words that lead behind what may be the beginning prove little: it must have an alignment that others have, too.
 * Every second block contains a multiple of 32 by chance.
 */
static bool is_likely_padding(const struct padding_search *search, uint64_t addr, uint64_t padding)
{
	for (uint64_t left = padding < PADDING_LIKELY_MIN ? 0 : search->alignments; left; left &= left - 1) {
		if (lh_align_up(addr, left & -left) - addr == padding)
			return true;
	}
	return false;
}

static void judge_paddings(const struct padding_search *search, struct lh_range range, uint64_t *ret)
{
	const struct lh_graph *graph = search->graph;
	for (size_t i = first_block(graph, range); begins_in(graph, i, range); i++) {
		uint64_t padding = lh_graph_padding(graph, (uint32_t)i);
		if (padding &&
		    (lh_bit(search->members, graph->entries[i]) ||
		     (!enters_at_alignment(graph, i) && !is_likely_padding(search, graph->chunks[i].addr, padding))))
			lh_bit_set(ret, i);
	}
}

struct lh_error *lh_graph_find_doubtful_paddings(const struct lh_graph *graph, uint64_t *ret)
{
	size_t count;
	const struct lh_range *ranges = lh_heap_padded_ranges(graph->heap, &count);
	LH_CLEANUP(lh_cleanup_free) struct padding_search *search = malloc(sizeof(*search));
	if (!search)
		return lh_error_no_memory();
	search->graph = graph;
	search->alignments = 0;
	for (size_t at = 0; at < count; at++) {
		compare_paddings(search, ranges[at]);
		note_alignments(search, ranges[at]);
	}
	for (size_t at = 0; at < count; at++) {
		compare_paddings(search, ranges[at]);
		judge_paddings(search, ranges[at], ret);
	}
	return NULL;
}
