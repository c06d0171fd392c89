/*
 * mark: which blocks are reachable from the roots. Input: index and roots. Output: a bit for each block that is not.
 * All threads read memory in place, each reachable block once. Cache misses dominate the cost: waiting blocks are read
 * in the order of their addresses, and words wait in a short ring while their lines are prefetched.
 */
#include "holders.h"
#include "leakhunt/threads.h"
#include "mark_windows.h"

#include <stdlib.h>

enum {
	RING = 8,
	BATCH_MIN = 64,     /* blocks; fewer only if no more are queued */
	RECORDS_AHEAD = 16, /* how far records and bytes are prefetched */
	BYTES_AHEAD = 8,
	MARKERS_MAX = 16,
};

/* A word that may be a pointer; its line is being prefetched. */
struct candidate {
	uint64_t word;
	const struct lh_index_line *line;
	const uint8_t *at;
	size_t before, after;
	uint32_t from; /* the block that contains it; LH_NO_CHUNK: a root */
};

/* State of one thread. */
struct marker {
	struct lh_graph *graph;
	struct lh_window_queue queue;
	uint32_t from; /* the block whose words are being examined */
	struct candidate candidates[RING];
	unsigned candidate_at;
	size_t batch_count;
	uint32_t batch[BATCH_MIN + LH_WINDOW_BLOCKS];
	const uint8_t *bytes[BYTES_AHEAD]; /* of the next blocks of the batch */
	uint64_t cpu_ns;
	struct lh_error *error;
};

struct marking {
	struct lh_graph *graph;
	struct lh_mark_windows windows;
	LH_VEC(struct lh_range) slices; /* of the roots */
	size_t next_slice;
	size_t marker_count;
	struct marker *markers;
};

/* Notes a word that leads into a padded block; true if more of the block has to be read now. */
static bool lower_entry(struct lh_graph *graph, uint32_t chunk, uint64_t word)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	uint16_t *entry = &graph->entries[chunk], before = __atomic_load_n(entry, __ATOMIC_RELAXED);
	uint16_t fresh = (uint16_t)lh_min_u64((word - stored->addr) / sizeof(word), LH_ENTRY_MAX);
	while (fresh < before) {
		if (__atomic_compare_exchange_n(entry, &before, fresh, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return before == LH_NO_ENTRY ||
			       lh_graph_padding_before(stored, fresh) < lh_graph_padding_before(stored, before);
	}
	return false;
}

static void note_tail(struct marker *marker, const struct candidate *candidate, uint32_t chunk)
{
	struct lh_graph *graph = marker->graph;
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	if (candidate->from == LH_NO_CHUNK || !lh_graph_is_tail(stored, candidate->word - stored->addr))
		return;
	lh_window_set(marker->queue.windows, &graph->tail_holders[candidate->from / 64],
		      UINT64_C(1) << candidate->from % 64);
}

static inline void mark_candidate(struct marker *marker, const struct candidate *candidate)
{
	struct lh_graph *graph = marker->graph;
	uint32_t chunk = lh_graph_line_chunk(graph, candidate->line, candidate->word);
	if (chunk == LH_NO_CHUNK)
		return;
	bool may_be_padded = graph->entries && graph->entries[chunk];
	if (!may_be_padded && !lh_window_has(graph->unmarked, chunk))
		return;
	if (!lh_graph_is_pointer(graph, candidate->line, chunk, candidate->word, candidate->at, candidate->before,
				 candidate->after)) {
		note_tail(marker, candidate, chunk);
		return;
	}
	bool has_more_words = may_be_padded && lower_entry(graph, chunk, candidate->word);
	if (lh_window_claim(marker->queue.windows, graph->unmarked, chunk) || has_more_words)
		lh_window_queue_add(&marker->queue, chunk);
}

/* `bytes` is word-aligned in the target; a mapped file preserves that. */
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
		*slot = (struct candidate){word, line, bytes + offset, offset, length - offset, marker->from};
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

/* ---------------------------------------------------------------- blocks */

/* Prefetches the first lines of a block of the batch. */
static inline void fetch_batch_bytes(struct marker *marker, size_t at)
{
	const uint8_t *bytes = lh_graph_block_bytes(marker->graph, marker->batch[at]);
	marker->bytes[at % BYTES_AHEAD] = bytes;
	if (bytes) {
		__builtin_prefetch(bytes);
		__builtin_prefetch(bytes + 64);
	}
}

static void scan_batch(struct marker *marker)
{
	const struct lh_graph *graph = marker->graph;
	size_t count = marker->batch_count;
	for (size_t i = 0; i < count && i < RECORDS_AHEAD; i++)
		__builtin_prefetch(&graph->chunks[marker->batch[i]]);
	for (size_t i = 0; i < count && i < BYTES_AHEAD; i++)
		fetch_batch_bytes(marker, i);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *bytes = marker->bytes[i % BYTES_AHEAD];
		uint32_t chunk = marker->batch[i];
		marker->from = chunk;
		if (i + RECORDS_AHEAD < count)
			__builtin_prefetch(&graph->chunks[marker->batch[i + RECORDS_AHEAD]]);
		if (i + BYTES_AHEAD < count)
			fetch_batch_bytes(marker, i + BYTES_AHEAD);
		uint64_t padding = lh_graph_padding(graph, chunk);
		if (bytes)
			scan_marked_words(marker, bytes + padding,
					  lh_graph_used_bytes(&graph->chunks[chunk]) - padding);
		else if (!marker->error)
			marker->error = lh_graph_visit_block(graph, chunk, mark_piece, marker);
	}
}

/* Takes blocks whose words have to be read; false when no thread has any left. */
static bool take_batch(struct marker *marker)
{
	marker->batch_count = 0;
	for (;;) {
		while (marker->queue.count && marker->batch_count < BATCH_MIN)
			marker->batch_count +=
				lh_window_queue_take(&marker->queue, marker->batch + marker->batch_count);
		if (marker->batch_count)
			return true;
		flush_candidates(marker);
		if (!marker->queue.count && !lh_window_queue_wait(&marker->queue))
			return false;
	}
}

/* ---------------------------------------------------------------- roots */

/* Slices do not depend on the number of threads, so the result does not either. */
static struct lh_error *slice_roots(struct marking *marking)
{
	for (size_t i = 0; i < marking->graph->roots.count; i++) {
		struct lh_range range = marking->graph->roots.items[i].range;
		for (uint64_t start = range.start; start < range.end; start += LH_MIB) {
			struct lh_range slice = {start, lh_min_u64(start + LH_MIB, range.end)};
			LH_TRY(lh_vec_push(&marking->slices, slice));
		}
	}
	return NULL;
}

static void mark_registers(struct marker *marker)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(marker->graph->image, &count);
	for (size_t i = 0; i < count; i++) {
		if (threads[i].registers)
			scan_marked_words(marker, threads[i].registers,
					  lh_align_down(threads[i].registers_bytes, sizeof(uint64_t)));
	}
}

/* One member's share: roots first, then what they lead to. */
static void mark_share(void *context, size_t member, size_t number)
{
	struct marking *marking = context;
	struct marker *marker = &marking->markers[number];
	uint64_t before_ns = lh_clock_thread_cpu_ns();
	(void)member;
	if (!lh_window_queue_join(&marker->queue))
		return;
	marker->from = LH_NO_CHUNK;
	if (number == 0)
		mark_registers(marker);
	for (;;) {
		size_t slice = __atomic_fetch_add(&marking->next_slice, 1, __ATOMIC_RELAXED);
		if (slice >= marking->slices.count)
			break;
		if (!marker->error)
			marker->error =
				lh_graph_visit_words(marking->graph, marking->slices.items[slice], mark_piece, marker);
	}
	while (take_batch(marker)) {
		lh_window_queue_offer(&marker->queue);
		scan_batch(marker);
	}
	marker->cpu_ns = lh_clock_thread_cpu_ns() - before_ns;
}

/* ---------------------------------------------------------------- all of it */

static struct lh_error *run_marking(struct marking *marking)
{
	struct lh_crew *crew = NULL;
	struct lh_graph *graph = marking->graph;
	LH_TRY(slice_roots(marking));
	for (size_t i = 0; i < marking->marker_count; i++) {
		marking->markers[i].graph = graph;
		LH_TRY(lh_window_queue_init(&marking->windows, &marking->markers[i].queue));
		graph->totals.memory_bytes += sizeof(marking->markers[i]) + marking->windows.count * sizeof(uint32_t);
	}
	if (marking->marker_count > 1)
		LH_TRY(lh_crew_create(marking->marker_count, &crew));
	uint64_t before_ns = lh_clock_monotonic_ns();
	lh_crew_run(crew, mark_share, marking, marking->marker_count);
	lh_crew_destroy(crew);
	graph->totals.mark_ns = lh_clock_monotonic_ns() - before_ns;
	graph->totals.mark_threads = marking->marker_count;
	graph->totals.memory_bytes += lh_mark_windows_bytes(&marking->windows);
	struct lh_error *error = NULL;
	for (size_t i = 0; i < marking->marker_count; i++) {
		graph->totals.mark_cpu_ns += marking->markers[i].cpu_ns;
		error = error ? error : marking->markers[i].error;
		if (marking->markers[i].error != error)
			lh_error_destroy(marking->markers[i].error);
	}
	return error;
}

struct lh_error *lh_graph_mark(struct lh_graph *graph)
{
	struct marking marking = {.graph = graph};
	/* At least four windows per thread: fewer do not pay for starting a thread. */
	size_t useful = graph->chunk_count / LH_WINDOW_BLOCKS / 4 + 1;
	marking.marker_count = lh_min_u64(lh_min_u64(lh_usable_processors(), MARKERS_MAX), useful);
	marking.markers = calloc(marking.marker_count, sizeof(*marking.markers));
	struct lh_error *error = lh_mark_windows_init(graph->chunk_count, marking.marker_count > 1, &marking.windows);
	if (!error)
		error = marking.markers ? run_marking(&marking) : lh_error_no_memory();
	for (size_t i = 0; marking.markers && i < marking.marker_count; i++)
		lh_window_queue_deinit(&marking.markers[i].queue);
	free(marking.markers);
	lh_vec_deinit(&marking.slices);
	lh_mark_windows_deinit(&marking.windows);
	return error;
}
