/*
 * confirm: blocks that were lost before, too. Input: graphs of two moments of one process. Output: bits for the later
 * one. Nobody can free or write a lost block, so a block with other bytes at its address is a new one.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

static bool has_same_bytes(const struct lh_graph *earlier, const struct lh_graph *later, struct lh_range range)
{
	uint64_t addr = range.start;
	while (addr < range.end) {
		size_t old_bytes, new_bytes;
		const uint8_t *old = lh_graph_view(earlier, addr, range.end, &old_bytes);
		const uint8_t *new = lh_graph_view(later, addr, range.end, &new_bytes);
		size_t both = lh_min_u64(old_bytes, new_bytes);
		if (!old != !new || (old && memcmp(old, new, both) != 0))
			return false;
		addr += both;
	}
	return true;
}

bool lh_graph_find_same_block(const struct lh_graph *earlier, const struct lh_stored_chunk *chunk, size_t *ret)
{
	if (!lh_heap_find_chunk(earlier->heap, chunk->addr, ret))
		return false;
	struct lh_heap_chunk old = lh_heap_chunk_at(earlier->heap, *ret);
	return old.addr == chunk->addr && old.size_bytes == chunk->size_bytes;
}

static bool was_lost(const struct lh_graph *earlier, const struct lh_graph *later, const struct lh_stored_chunk *chunk)
{
	size_t index;
	if (!lh_graph_find_same_block(earlier, chunk, &index) || index >= earlier->chunk_count)
		return false;
	enum lh_leak_status status = lh_graph_status(earlier, index);
	return status != LH_LEAK_REACHABLE && status != LH_LEAK_POSSIBLE &&
	       has_same_bytes(earlier, later, (struct lh_range){chunk->addr, chunk->addr + chunk->size_bytes});
}

struct lh_error *lh_graph_confirm(const struct lh_graph *earlier, struct lh_graph *later)
{
	free(later->confirmed);
	later->totals.confirmed_count = 0;
	later->confirmed = lh_bits_create(later->chunk_count);
	if (!later->confirmed)
		return lh_error_no_memory();
	for (size_t i = 0; i < later->lost.count; i++) {
		const struct lh_lost_block *block = &later->lost.items[i];
		if (block->status != LH_LEAK_POSSIBLE && was_lost(earlier, later, &later->chunks[block->chunk]))
			lh_bit_set(later->confirmed, block->chunk);
		later->totals.confirmed_count += lh_bit(later->confirmed, block->chunk);
	}
	return NULL;
}

bool lh_graph_is_confirmed(const struct lh_graph *graph, size_t chunk)
{
	return graph->confirmed && chunk < graph->chunk_count && lh_bit(graph->confirmed, chunk);
}
