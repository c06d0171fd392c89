/*
 * chunk_index: finds the block that a word leads into by one access to a page table and one to a line of bits. Input:
 * the blocks of a heap, ascending. Output: page numbers, lines, and the local bytes of each page.
 */
#include "graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Larger blocks are reserved address space: page tables for one alone would take 64 MiB. */
#define CHUNK_BYTES_MAX (64 * LH_GIB)

struct lh_error *lh_graph_visit_words(const struct lh_graph *graph, struct lh_range range, lh_words_visitor *visit,
				      void *context)
{
	uint64_t addr = lh_align_up(range.start, sizeof(uint64_t)), end = lh_align_down(range.end, sizeof(uint64_t));
	while (addr < end) {
		size_t length;
		const uint8_t *bytes = lh_graph_view(graph, addr, end, &length);
		length = lh_align_down(length, sizeof(uint64_t));
		if (bytes && length)
			LH_TRY(visit(context, addr, bytes, length));
		addr += length ? length : sizeof(uint64_t);
	}
	return NULL;
}

struct lh_error *lh_graph_visit_block(const struct lh_graph *graph, uint32_t chunk, lh_words_visitor *visit,
				      void *context)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	const uint8_t *bytes = lh_graph_block_bytes(graph, chunk);
	uint64_t padding = lh_graph_padding(graph, chunk), used_bytes = lh_graph_used_bytes(stored);
	if (bytes)
		return visit(context, stored->addr + padding, bytes + padding,
			     lh_align_down(used_bytes - padding, sizeof(uint64_t)));
	struct lh_range range = {stored->addr + padding, stored->addr + used_bytes};
	return lh_graph_visit_words(graph, range, visit, context);
}

static const struct lh_graph_copy *find_copy(const struct lh_graph *graph, uint64_t addr)
{
	size_t at = lh_vec_count_before(&graph->copies, item, item->range.end <= addr);
	return at < graph->copies.count ? &graph->copies.items[at] : NULL;
}

/* Where the next segment begins, which may be present. */
static uint64_t next_segment(const struct lh_graph *graph, uint64_t addr)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(graph->image, &count);
	size_t next = lh_count_before(segments, count, item, item->start <= addr);
	return next < count ? segments[next].start : UINT64_MAX;
}

const uint8_t *lh_graph_view(const struct lh_graph *graph, uint64_t addr, uint64_t end, size_t *ret_bytes)
{
	const uint8_t *bytes;
	size_t length = 0;
	if (lh_image_blocks_stay(graph->image)) {
		bytes = lh_image_view(graph->image, addr, &length);
	} else {
		const struct lh_graph_copy *copy = find_copy(graph, addr);
		bool is_inside = copy && copy->range.start <= addr;
		length = is_inside ? copy->range.end - addr : 0;
		bytes = is_inside ? copy->bytes + (addr - copy->range.start) : NULL;
	}
	/* In a gap: continue at the next page, or where memory is mapped again. */
	if (!bytes) {
		const struct lh_segment *segment = lh_image_find(graph->image, addr);
		uint64_t next = lh_align_down(addr, LH_PAGE_BYTES) + LH_PAGE_BYTES;
		length = lh_max_u64(next, segment ? next : next_segment(graph, addr)) - addr;
	}
	*ret_bytes = lh_min_u64(length, end - addr);
	return bytes;
}

/* ---------------------------------------------------------------- copies */

static bool is_read(const struct lh_segment *segment)
{
	return segment->protection & LH_PROT_WRITE || segment->kind == LH_REGION_DATA;
}

/* Copies memory of files that are not mapped: runs of present pages. */
static struct lh_error *copy_segments(struct lh_graph *graph)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(graph->image, &count);
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	for (size_t i = 0; i < count; i++) {
		struct lh_range range = {segments[i].start, segments[i].end};
		if (is_read(&segments[i]))
			LH_TRY(lh_image_find_present(graph->image, range, &runs));
	}
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range range = runs.runs.items[i].range;
		uint8_t *bytes = mmap(NULL, lh_range_bytes(range), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (bytes == MAP_FAILED)
			return lh_error_no_memory();
		struct lh_error *error =
			lh_vec_push(&graph->copies, ((struct lh_graph_copy){.range = range, .bytes = bytes}));
		if (error) {
			munmap(bytes, lh_range_bytes(range));
			return error;
		}
		size_t got = lh_image_read(graph->image, range.start, bytes, lh_range_bytes(range));
		(void)got; /* the rest stays zero */
	}
	return NULL;
}

/* ---------------------------------------------------------------- page numbers */

static uint32_t *page_slot(struct lh_graph *graph, uint64_t addr)
{
	uint32_t **span = &graph->spans[addr >> LH_GRAPH_SPAN_SHIFT];
	if (*span == graph->no_span) {
		uint32_t *fresh = calloc(LH_GRAPH_SPAN_PAGES, sizeof(**span));
		if (!fresh)
			return NULL;
		*span = fresh;
	}
	return &(*span)[addr >> LH_GRAPH_PAGE_SHIFT & (LH_GRAPH_SPAN_PAGES - 1)];
}

static struct lh_error *number_page(struct lh_graph *graph, uint64_t addr, bool is_new)
{
	uint32_t *slot = page_slot(graph, addr);
	if (!slot)
		return lh_error_no_memory();
	if (!*slot) {
		graph->page_count += is_new || !graph->page_count;
		*slot = (uint32_t)graph->page_count;
	}
	return NULL;
}

/* The last indexed byte: for blocks that are too large, only the first byte. */
static uint64_t last_indexed(const struct lh_stored_chunk *chunk)
{
	uint64_t end = chunk->addr + chunk->size_bytes;
	bool is_whole = chunk->size_bytes && chunk->size_bytes <= CHUNK_BYTES_MAX && !(end >> LH_GRAPH_ADDRESS_BITS);
	return is_whole ? end - 1 : chunk->addr;
}

/* The pages between the first and the last page of a block share a number. */
static struct lh_error *number_chunk(struct lh_graph *graph, const struct lh_stored_chunk *chunk)
{
	uint64_t first = lh_align_down(chunk->addr, LH_PAGE_BYTES);
	uint64_t last = lh_align_down(last_indexed(chunk), LH_PAGE_BYTES);
	LH_TRY(number_page(graph, first, true));
	for (uint64_t page = first + LH_PAGE_BYTES; page < last; page += LH_PAGE_BYTES)
		LH_TRY(number_page(graph, page, page == first + LH_PAGE_BYTES));
	return last > first ? number_page(graph, last, true) : NULL;
}

static struct lh_error *number_pages(struct lh_graph *graph)
{
	unsigned shift = 4;
	for (size_t i = 0; i < graph->chunk_count; i++) {
		const struct lh_stored_chunk *chunk = &graph->chunks[i];
		if (chunk->addr % 8)
			return lh_error_create(LH_ERROR_FORMAT, "the block at 0x%" PRIx64 " is not aligned",
					       chunk->addr);
		shift = chunk->addr % 16 ? 3 : shift;
		LH_TRY(number_chunk(graph, chunk));
	}
	graph->granule_shift = shift;
	return NULL;
}

/* ---------------------------------------------------------------- lines */

static void set_ranks(struct lh_graph *graph)
{
	unsigned lines_shift = LH_GRAPH_PAGE_SHIFT - graph->granule_shift - 6;
	size_t done = 0; /* lines that have their rank */
	for (size_t i = 0; i < graph->chunk_count; i++) {
		const struct lh_stored_chunk *chunk = &graph->chunks[i];
		struct lh_index_line *line =
			&graph->lines[lh_graph_line(graph, lh_graph_page(graph, chunk->addr), chunk->addr) -
				      graph->lines];
		size_t here = (size_t)(line - graph->lines);
		for (; done <= here; done++)
			graph->lines[done].rank = (uint32_t)i;
		line->starts |= UINT64_C(1) << (chunk->addr >> graph->granule_shift & 63);
	}
	for (; done < (graph->page_count + 1) << lines_shift; done++)
		graph->lines[done].rank = (uint32_t)graph->chunk_count;
}

static void find_page_bytes(struct lh_graph *graph)
{
	uint32_t latest = 0;
	for (size_t i = 0; i < graph->chunk_count; i++) {
		const struct lh_stored_chunk *chunk = &graph->chunks[i];
		uint64_t ends[2] = {lh_align_down(chunk->addr, LH_PAGE_BYTES),
				    lh_align_down(last_indexed(chunk), LH_PAGE_BYTES)};
		for (size_t end = 0; end < 2; end++) {
			uint32_t page = lh_graph_page(graph, ends[end]);
			size_t bytes;
			if (page == latest)
				continue;
			latest = page;
			const uint8_t *view = lh_graph_view(graph, ends[end], ends[end] + LH_PAGE_BYTES, &bytes);
			graph->pages[page] = bytes == LH_PAGE_BYTES ? view : NULL;
		}
	}
}

static void find_bounds(struct lh_graph *graph)
{
	graph->bounds = (struct lh_range){UINT64_MAX, UINT64_MAX};
	for (size_t i = 0; i < graph->chunk_count; i++) {
		const struct lh_stored_chunk *chunk = &graph->chunks[i];
		graph->bounds.start = lh_min_u64(graph->bounds.start, chunk->addr);
		graph->bounds.end = last_indexed(chunk) + 1;
		graph->has_neighbors |= i && chunk[-1].addr + chunk[-1].size_bytes == chunk->addr;
	}
}

static struct lh_error *allocate_spans(struct lh_graph *graph)
{
	graph->spans = malloc(LH_GRAPH_SPANS * sizeof(*graph->spans));
	graph->no_span = calloc(LH_GRAPH_SPAN_PAGES, sizeof(*graph->no_span));
	if (!graph->spans || !graph->no_span)
		return lh_error_no_memory();
	for (size_t i = 0; i < LH_GRAPH_SPANS; i++)
		graph->spans[i] = graph->no_span;
	return NULL;
}

struct lh_error *lh_graph_index(struct lh_graph *graph)
{
	if (graph->chunk_count >= LH_NO_CHUNK)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "more than %u blocks", LH_NO_CHUNK);
	if (!lh_image_blocks_stay(graph->image))
		LH_TRY(copy_segments(graph));
	/* Blocks are ascending: the last ones have addresses that no process can have. */
	while (graph->chunk_count && graph->chunks[graph->chunk_count - 1].addr >> LH_GRAPH_ADDRESS_BITS)
		graph->chunk_count--;
	LH_TRY(allocate_spans(graph));
	LH_TRY(number_pages(graph));
	size_t lines = (graph->page_count + 1) << (LH_GRAPH_PAGE_SHIFT - graph->granule_shift - 6);
	graph->lines = calloc(lines, sizeof(*graph->lines));
	graph->pages = calloc(graph->page_count + 1, sizeof(*graph->pages));
	if (!graph->lines || !graph->pages)
		return lh_error_no_memory();
	graph->totals.memory_bytes += lines * sizeof(*graph->lines) + graph->page_count * sizeof(*graph->pages);
	set_ranks(graph);
	find_page_bytes(graph);
	find_bounds(graph);
	return NULL;
}
