/*
 * weak_words: blocks that no plain word leads to, but a doubtful one. Input: marks. Output: blocks that are possible.
 * A word is doubtful if it may hide a pointer: if it has a tag in its upper 16 bits, is mangled by glibc with the guard
 * in the thread control block, or may be the end of the previous block. Of these, only words that lead exactly to a
 * block's beginning count. A word in what may be padding of an aligned block is doubtful, too. Alternate signal stacks
 * have no word at all.
 */
#include "end_words.h"

#include <stdlib.h>

enum { TAG_SHIFT = 48, MANGLE_ROTATION = 17, GUARD_OFFSET = 0x30 }; /* glibc sysdeps/x86_64/tls.h, pointer_guard */

struct weak_search {
	struct lh_graph *graph;
	uint64_t guard; /* 0: not known */
	struct lh_end_fields ends;
	const struct lh_stored_chunk *from; /* the block whose words are being examined; NULL: a root */
	LH_VEC(uint32_t) stack;
};

static struct lh_error *take_weak(struct weak_search *search, uint32_t chunk)
{
	const struct lh_graph *graph = search->graph;
	if (chunk == LH_NO_CHUNK || !lh_bit(graph->unmarked, chunk) || lh_bit(graph->possible, chunk))
		return NULL;
	lh_bit_set(graph->possible, chunk);
	return lh_vec_push(&search->stack, chunk);
}

static uint64_t demangle_word(uint64_t word, uint64_t guard)
{
	return (word >> MANGLE_ROTATION | word << (64 - MANGLE_ROTATION)) ^ guard;
}

/*
 * An end of the previous block makes the next block possible, unless the same field of blocks of that size contains
 * only ends.
 */
static struct lh_error *take_end(struct weak_search *search, uint64_t addr, const uint8_t *bytes, size_t offset,
				 size_t length)
{
	uint64_t word = lh_load_u64(bytes, offset);
	uint32_t chunk = lh_graph_find_start(search->graph, word);
	if (chunk == LH_NO_CHUNK || !lh_bit(search->graph->unmarked, chunk) ||
	    !lh_graph_is_end(search->graph, word, bytes + offset, offset, length - offset))
		return NULL;
	bool is_sure = search->from &&
		       lh_end_fields_has(&search->ends, search->from->size_bytes, addr + offset - search->from->addr);
	return is_sure ? NULL : take_weak(search, chunk);
}

static struct lh_error *visit_weak_words(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct weak_search *search = context;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		uint64_t word = lh_load_u64(bytes, offset);
		if (!(word >> TAG_SHIFT)) {
			if (search->graph->has_neighbors)
				LH_TRY(take_end(search, addr, bytes, offset, length));
			continue;
		}
		uint64_t untagged = word & ((UINT64_C(1) << TAG_SHIFT) - 1);
		LH_TRY(take_weak(search, lh_graph_find_start(search->graph, untagged)));
		if (search->guard)
			LH_TRY(take_weak(search,
					 lh_graph_find_start(search->graph, demangle_word(word, search->guard))));
	}
	return NULL;
}

static struct lh_error *visit_plain_words(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct weak_search *search = context;
	(void)addr;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		LH_TRY(take_weak(search, lh_graph_target(search->graph, bytes, offset, length)));
	}
	return NULL;
}

/* The same for all threads. */
static uint64_t find_pointer_guard(const struct lh_graph *graph)
{
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	uint64_t guard = 0;
	for (size_t i = 0; i < count && !guard; i++) {
		if (threads[i].fs_base && lh_image_read(graph->image, threads[i].fs_base + GUARD_OFFSET, &guard,
							sizeof(guard)) != sizeof(guard))
			guard = 0;
	}
	return guard;
}

static struct lh_error *visit_doubtful_paddings(struct weak_search *search)
{
	struct lh_graph *graph = search->graph;
	if (!graph->entries)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) uint64_t *doubtful = lh_bits_create(graph->chunk_count);
	if (!doubtful)
		return lh_error_no_memory();
	LH_TRY(lh_graph_find_doubtful_paddings(graph, doubtful));
	for (size_t i = 0; i < graph->chunk_count; i++) {
		uint64_t addr = graph->chunks[i].addr;
		struct lh_range padding = {addr, addr + lh_graph_padding(graph, (uint32_t)i)};
		if (lh_bit(doubtful, i))
			LH_TRY(lh_graph_visit_words(graph, padding, visit_plain_words, search));
	}
	return NULL;
}

/*
 * sysconf(_SC_SIGSTKSZ) is four times AT_MINSIGSTKSZ, but at least 8192 (glibc 2.34, sysconf-sigstksz.h). Blocks of
 * that many bytes, as glibc rounds them, may be alternate signal stacks: a thread has one, and only the kernel knows
 * where (sigaltstack(2), task_struct.sas_ss_sp). No file of /proc shows it. More such blocks than threads are a leak.
 */
static bool has_signal_stack_size(const struct lh_graph *graph, const struct lh_stored_chunk *stored)
{
	enum { FRAMES = 4, STACK_MIN_BYTES = 8192, ROUNDED_MAX = 24 };
	uint64_t frame_bytes = lh_image_signal_frame_bytes(graph->image);
	uint64_t stack_bytes = lh_max_u64(FRAMES * lh_min_u64(frame_bytes, UINT32_MAX), STACK_MIN_BYTES);
	return frame_bytes && stored->size_bytes - stack_bytes <= ROUNDED_MAX;
}

static struct lh_error *take_signal_stacks(struct weak_search *search)
{
	const struct lh_graph *graph = search->graph;
	size_t thread_count, count = 0;
	(void)lh_image_threads(graph->image, &thread_count);
	for (size_t i = 0; i < graph->chunk_count; i++)
		count += lh_bit(graph->unmarked, i) && has_signal_stack_size(graph, &graph->chunks[i]);
	for (size_t i = 0; count <= thread_count && i < graph->chunk_count; i++) {
		if (lh_bit(graph->unmarked, i) && has_signal_stack_size(graph, &graph->chunks[i]))
			LH_TRY(take_weak(search, (uint32_t)i));
	}
	return NULL;
}

static struct lh_error *search_weak(struct weak_search *search)
{
	struct lh_graph *graph = search->graph;
	LH_TRY(lh_end_fields_find(graph, &search->ends));
	for (size_t i = 0; i < graph->roots.count; i++)
		LH_TRY(lh_graph_visit_words(graph, graph->roots.items[i].range, visit_weak_words, search));
	for (size_t i = 0; i < graph->chunk_count; i++) {
		search->from = &graph->chunks[i];
		if (lh_graph_is_reachable(graph, i))
			LH_TRY(lh_graph_visit_block(graph, (uint32_t)i, visit_weak_words, search));
	}
	LH_TRY(visit_doubtful_paddings(search));
	LH_TRY(take_signal_stacks(search));
	while (search->stack.count) {
		uint32_t chunk = search->stack.items[--search->stack.count];
		search->from = &graph->chunks[chunk];
		LH_TRY(lh_graph_visit_block(graph, chunk, visit_plain_words, search));
		LH_TRY(lh_graph_visit_block(graph, chunk, visit_weak_words, search));
	}
	return NULL;
}

struct lh_error *lh_graph_mark_possible(struct lh_graph *graph)
{
	struct weak_search search = {.graph = graph, .guard = find_pointer_guard(graph)};
	graph->possible = lh_bits_create(graph->chunk_count);
	if (!graph->possible)
		return lh_error_no_memory();
	struct lh_error *error = search_weak(&search);
	lh_vec_deinit(&search.stack);
	lh_end_fields_deinit(&search.ends);
	return error;
}
