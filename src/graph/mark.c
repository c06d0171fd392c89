/*
 * mark: which blocks can be reached from the roots. Input: index and roots. Output: the bits of blocks that cannot.
 * Memory is read where it lies, once each reachable block. Misses of the cache cost most: words and blocks wait in
 * short rings while their lines are fetched.
 */
#include "holders.h"

#include <stdlib.h>
#include <time.h>

enum { RING = 8 };

/* A word that may be a pointer, whose line is on its way. */
struct candidate {
	uint64_t word;
	const struct lh_index_line *line;
	const uint8_t *at;
	size_t before;
};

/* A block on its way: first its record, then its bytes. */
struct waiting_block {
	const uint8_t *bytes; /* NULL: in pieces */
	uint64_t size_bytes;
	uint32_t chunk;
};

struct marker {
	struct lh_graph *graph;
	LH_VEC(uint32_t) stack;
	struct candidate candidates[RING];
	unsigned candidate_at;
	uint32_t records[RING];
	unsigned record_first, record_count;
	struct waiting_block blocks[RING];
	unsigned block_first, block_count;
	bool is_out_of_memory;
};

static void push_marked(struct marker *marker, uint32_t chunk)
{
	if (marker->stack.count == marker->stack.capacity) {
		struct lh_error *error = lh_vec_reserve(&marker->stack, marker->stack.count + 1024);
		if (error) {
			lh_error_destroy(error);
			marker->is_out_of_memory = true;
			return;
		}
	}
	marker->stack.items[marker->stack.count++] = chunk;
}

static inline void mark_candidate(struct marker *marker, const struct candidate *candidate)
{
	struct lh_graph *graph = marker->graph;
	uint32_t chunk = lh_graph_line_chunk(graph, candidate->line, candidate->word);
	if (chunk == LH_NO_CHUNK || !lh_bit(graph->unmarked, chunk))
		return;
	if (!lh_graph_is_start(graph, candidate->line, candidate->word) &&
	    !lh_graph_is_interior(graph, chunk, candidate->word, candidate->at, candidate->before))
		return;
	lh_bit_clear(graph->unmarked, chunk);
	push_marked(marker, chunk);
}

/* `bytes` is aligned to words in the target; a mapped file keeps that. */
static inline void scan_marked_words(struct marker *marker, const uint8_t *bytes, size_t length)
{
	const struct lh_graph *graph = marker->graph;
	uint64_t low = graph->bounds.start, span = lh_range_bytes(graph->bounds);
	for (size_t offset = 0; offset + sizeof(uint64_t) <= length; offset += sizeof(uint64_t)) {
		uint64_t word = lh_load_u64(bytes, offset);
		if (word - low >= span)
			continue;
		uint32_t page = lh_graph_page(graph, word);
		if (!page)
			continue;
		const struct lh_index_line *line = lh_graph_line(graph, page, word);
		__builtin_prefetch(line);
		struct candidate *slot = &marker->candidates[marker->candidate_at++ % RING];
		if (slot->line)
			mark_candidate(marker, slot);
		*slot = (struct candidate){word, line, bytes + offset, offset};
	}
}

static void flush_candidates(struct marker *marker)
{
	for (unsigned i = 0; i < RING; i++) {
		struct candidate *slot = &marker->candidates[(marker->candidate_at + i) % RING];
		struct candidate candidate = *slot;
		slot->line = NULL;
		if (candidate.line)
			mark_candidate(marker, &candidate);
	}
}

static struct lh_error *mark_piece(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	(void)addr;
	scan_marked_words(context, bytes, length);
	return NULL;
}

/* The first lines of its bytes are fetched. */
static struct waiting_block find_waiting_block(const struct lh_graph *graph, uint32_t chunk)
{
	struct waiting_block block = {lh_graph_block_bytes(graph, chunk), lh_graph_used_bytes(&graph->chunks[chunk]),
				      chunk};
	if (block.bytes) {
		__builtin_prefetch(block.bytes);
		__builtin_prefetch(block.bytes + 64);
	}
	return block;
}

static struct lh_error *scan_waiting_block(struct marker *marker, const struct waiting_block *block)
{
	if (block->bytes) {
		scan_marked_words(marker, block->bytes, block->size_bytes);
		return NULL;
	}
	return lh_graph_visit_block(marker->graph, block->chunk, mark_piece, marker);
}

/* Takes blocks from the stack into the rings; false when nothing waits any more. */
static bool fill_rings(struct marker *marker)
{
	while (marker->block_count < RING && marker->record_count) {
		uint32_t chunk = marker->records[marker->record_first++ % RING];
		marker->record_count--;
		marker->blocks[(marker->block_first + marker->block_count++) % RING] =
			find_waiting_block(marker->graph, chunk);
	}
	while (marker->record_count < RING && marker->stack.count) {
		uint32_t chunk = marker->stack.items[--marker->stack.count];
		__builtin_prefetch(&marker->graph->chunks[chunk]);
		marker->records[(marker->record_first + marker->record_count++) % RING] = chunk;
	}
	return marker->block_count || marker->record_count;
}

static struct lh_error *drain_marker(struct marker *marker)
{
	for (;;) {
		if (!fill_rings(marker)) {
			flush_candidates(marker);
			if (!marker->stack.count)
				return marker->is_out_of_memory ? lh_error_no_memory() : NULL;
			continue;
		}
		if (!marker->block_count)
			continue;
		struct waiting_block block = marker->blocks[marker->block_first++ % RING];
		marker->block_count--;
		LH_TRY(scan_waiting_block(marker, &block));
	}
}

/* ---------------------------------------------------------------- roots */

static struct lh_error *mark_registers(struct marker *marker)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(marker->graph->image, &count);
	for (size_t i = 0; i < count; i++) {
		if (threads[i].registers)
			scan_marked_words(marker, threads[i].registers,
					  lh_align_down(threads[i].registers_bytes, sizeof(uint64_t)));
	}
	return NULL;
}

uint64_t lh_graph_cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * LH_NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct lh_error *mark_roots(struct marker *marker)
{
	const struct lh_graph *graph = marker->graph;
	LH_TRY(mark_registers(marker));
	for (size_t i = 0; i < graph->roots.count; i++) {
		LH_TRY(lh_graph_visit_words(graph, graph->roots.items[i].range, mark_piece, marker));
		LH_TRY(drain_marker(marker));
	}
	return drain_marker(marker);
}

struct lh_error *lh_graph_mark(struct lh_graph *graph)
{
	uint64_t before_ns = lh_graph_cpu_ns();
	LH_CLEANUP(lh_cleanup_free) struct marker *marker = calloc(1, sizeof(*marker));
	if (!marker)
		return lh_error_no_memory();
	marker->graph = graph;
	struct lh_error *error = mark_roots(marker);
	graph->totals.memory_bytes += marker->stack.capacity * sizeof(uint32_t);
	graph->totals.mark_cpu_ns = lh_graph_cpu_ns() - before_ns;
	lh_vec_deinit(&marker->stack);
	return error;
}
