/*
 * graph: the steps from a heap to statuses of its blocks, in order. Input: an image and its heap. Output: a graph.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const char *lh_leak_status_name(enum lh_leak_status status)
{
	static const char *const names[] = {"reachable", "possible", "lost", "held", "cycle"};
	return names[status];
}

const char *lh_leak_status_lsan(enum lh_leak_status status)
{
	static const char *const names[] = {"", "", "direct leak", "indirect leak", "indirect leak"};
	return names[status];
}

const char *lh_leak_status_valgrind(enum lh_leak_status status)
{
	static const char *const names[] = {"still reachable", "possibly lost", "definitely lost", "indirectly lost",
					    "definitely lost"};
	return names[status];
}

const char *lh_root_kind_name(enum lh_root_kind kind)
{
	static const char *const names[] = {"registers", "stack", "module", "other", "opaque"};
	return names[kind];
}

void lh_graph_destroy(struct lh_graph *graph)
{
	if (!graph)
		return;
	for (size_t i = 0; graph->spans && i < LH_GRAPH_SPANS; i++) {
		if (graph->spans[i] != graph->no_span)
			free(graph->spans[i]);
	}
	for (size_t i = 0; i < graph->copies.count; i++)
		munmap(graph->copies.items[i].bytes, lh_range_bytes(graph->copies.items[i].range));
	free(graph->spans);
	free(graph->no_span);
	free(graph->lines);
	free(graph->pages);
	free(graph->unmarked);
	free(graph->reached);
	free(graph->possible);
	free(graph->entries);
	free(graph->tails);
	free(graph->tail_holders);
	free(graph->heads);
	free(graph->cycles);
	free(graph->confirmed);
	lh_vec_deinit(&graph->copies);
	lh_vec_deinit(&graph->roots);
	lh_vec_deinit(&graph->thread_locals);
	lh_vec_deinit(&graph->lost);
	lh_vec_deinit(&graph->doubts);
	lh_strings_pool_deinit(&graph->strings);
	free(graph);
}

void lh_cleanup_graph(struct lh_graph **graph)
{
	lh_graph_destroy(*graph);
}

static struct lh_error *begin_marks(struct lh_graph *graph)
{
	size_t words = lh_bits_words(graph->chunk_count);
	graph->unmarked = lh_bits_create(graph->chunk_count);
	graph->reached = lh_bits_create(graph->chunk_count);
	graph->heads = lh_bits_create(graph->chunk_count);
	graph->cycles = lh_bits_create(graph->chunk_count);
	graph->tail_holders = lh_bits_create(graph->chunk_count);
	if (!graph->unmarked || !graph->reached || !graph->heads || !graph->cycles || !graph->tail_holders)
		return lh_error_no_memory();
	graph->totals.memory_bytes += 5 * words * sizeof(uint64_t);
	for (size_t i = 0; i < graph->chunk_count; i++) {
		if (lh_graph_is_node(graph, i))
			lh_bit_set(graph->unmarked, i);
	}
	memcpy(graph->reached, graph->unmarked, words * sizeof(uint64_t));
	return NULL;
}

static bool has_lost(const struct lh_graph *graph)
{
	uint64_t any = 0;
	for (size_t i = 0; i < lh_bits_words(graph->chunk_count); i++)
		any |= graph->unmarked[i];
	return any;
}

static void total_statuses(struct lh_graph *graph)
{
	for (size_t i = 0; i < graph->chunk_count; i++) {
		if (!lh_graph_is_node(graph, i))
			continue;
		enum lh_leak_status status = lh_graph_status(graph, i);
		graph->totals.counts[status]++;
		graph->totals.bytes[status] += graph->chunks[i].size_bytes;
	}
}

static struct lh_error *build_graph(struct lh_graph *graph)
{
	LH_TRY(lh_graph_index(graph));
	LH_TRY(begin_marks(graph));
	LH_TRY(lh_graph_find_padded(graph));
	LH_TRY(lh_graph_find_roots(graph));
	LH_TRY(lh_graph_find_doubts(graph));
	LH_TRY(lh_graph_mark(graph));
	for (size_t i = 0; i < lh_bits_words(graph->chunk_count); i++)
		graph->reached[i] &= ~graph->unmarked[i];
	if (has_lost(graph)) {
		LH_TRY(lh_graph_mark_tails(graph));
		LH_TRY(lh_graph_mark_possible(graph));
		LH_TRY(lh_graph_find_lost(graph));
	}
	total_statuses(graph);
	return NULL;
}

struct lh_error *lh_graph_create(struct lh_image *image, const struct lh_heap *heap, struct lh_graph **ret)
{
	LH_CLEANUP(lh_cleanup_graph) struct lh_graph *graph = calloc(1, sizeof(*graph));
	if (!graph)
		return lh_error_no_memory();
	graph->image = image;
	graph->heap = heap;
	graph->chunks = lh_heap_stored_chunks(heap, &graph->chunk_count);
	graph->arenas = lh_heap_arenas(heap, &graph->arena_count);
	LH_TRY(build_graph(graph));
	*ret = graph;
	graph = NULL;
	return NULL;
}

const char *const *lh_graph_doubts(const struct lh_graph *graph, size_t *ret_count)
{
	*ret_count = graph->doubts.count;
	return graph->doubts.items;
}

enum lh_leak_status lh_graph_status(const struct lh_graph *graph, size_t chunk)
{
	if (chunk >= graph->chunk_count || !lh_bit(graph->unmarked, chunk))
		return LH_LEAK_REACHABLE;
	if (graph->doubts.count || (graph->possible && lh_bit(graph->possible, chunk)))
		return LH_LEAK_POSSIBLE;
	if (lh_bit(graph->heads, chunk))
		return LH_LEAK_LOST;
	return lh_bit(graph->cycles, chunk) ? LH_LEAK_CYCLE : LH_LEAK_HELD;
}

struct lh_graph_totals lh_graph_totals(const struct lh_graph *graph)
{
	return graph->totals;
}
