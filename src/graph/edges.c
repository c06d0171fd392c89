/*
 * edges: pointers between blocks, block by block. Input: a marked graph. Output: targets of each reachable block (on
 * request, of lost blocks, too), and words of roots that lead to blocks. Omits pointers of a block to itself and
 * consecutive repeats.
 */
#include "holders.h"

#include <stdlib.h>

enum { RING = 16 };

/* A word that may be a pointer; its line of the index is being prefetched. */
struct edge_candidate {
	uint64_t word;
	const struct lh_index_line *line; /* NULL: none */
	const uint8_t *at;
	size_t before, after;
	uint64_t addr; /* where it stands; 0: in a register */
	uint32_t from;
};

struct edge_search {
	struct lh_holders *holders;
	uint32_t from;
	uint32_t done, latest; /* the block whose edges were added last, and its last target */
	uint32_t range;
	struct edge_candidate candidates[RING];
	unsigned candidate_at;
	struct lh_python_rooms rooms;
	uint64_t room; /* words from here on are no edges */
};

static void deinit_edge_search(struct edge_search *search)
{
	lh_python_rooms_deinit(&search->rooms);
}

/* Whether edges from and to the block are requested. */
static inline bool has_edges(const struct lh_holders *holders, uint32_t chunk)
{
	return holders->has_lost ? lh_graph_is_node(holders->graph, chunk)
				 : lh_graph_is_reachable(holders->graph, chunk);
}

/* ---------------------------------------------------------------- CPython's collector */

static bool is_pymalloc(const struct lh_graph *graph, uint32_t chunk)
{
	return graph->arenas[graph->chunks[chunk].arena].kind == LH_REGION_PYMALLOC;
}

/*
 * Whether a word only keeps a block in a list of CPython's collector: an object that it tracks has {next, previous} in
 * front, with marks in the lowest bits, and who refers to it points behind them (Include/internal/pycore_gc.h,
 * PyGC_Head). In front of that, instances have two more words for their dict and weak references
 * (Include/internal/pycore_object.h, _PyType_PreHeaderSize, since 3.11). Such lists hold nothing: an object goes when
 * its last reference does.
 */
static bool is_collector_link(const struct lh_holders *holders, uint32_t from, uint32_t target, uint64_t addr,
			      uint64_t word)
{
	enum { MARK_BITS = 3, NEXT_MARK = 1, INSTANCE_BYTES = 16 };
	const struct lh_graph *graph = holders->graph;
	const struct lh_stored_chunk *stored = &graph->chunks[target];
	uint64_t offset = (word & ~(uint64_t)MARK_BITS) - stored->addr;
	bool may_be = holders->skips_collector && (offset == 0 || offset == INSTANCE_BYTES) && addr &&
		      (is_pymalloc(graph, target) || (from != LH_NO_CHUNK && is_pymalloc(graph, from)));
	const uint8_t *bytes = may_be ? lh_graph_block_bytes(graph, target) : NULL;
	if (!bytes || stored->size_bytes < offset + 2 * sizeof(word))
		return false;
	uint64_t next = lh_load_u64(bytes, offset) & ~(uint64_t)NEXT_MARK;
	uint64_t previous = lh_load_u64(bytes, offset + sizeof(word)) & ~(uint64_t)MARK_BITS;
	return previous == addr || next == addr - sizeof(word);
}

/* Candidates leave the ring in the order of their blocks. */
static struct lh_error *add_edge(struct edge_search *search, const struct edge_candidate *candidate)
{
	struct lh_holders *holders = search->holders;
	const struct lh_graph *graph = holders->graph;
	uint32_t target = lh_graph_line_chunk(graph, candidate->line, candidate->word);
	if (target == LH_NO_CHUNK || target == candidate->from || !has_edges(holders, target))
		return NULL;
	if (!lh_graph_is_pointer(graph, candidate->line, target, candidate->word, candidate->at, candidate->before,
				 candidate->after))
		return NULL;
	if (candidate->from == search->done && target == search->latest)
		return NULL;
	if (is_collector_link(holders, candidate->from, target, candidate->addr, candidate->word))
		return NULL;
	while (search->done != candidate->from)
		holders->places[++search->done].first = (uint32_t)holders->place_to.count;
	search->latest = target;
	return lh_vec_push(&holders->place_to, target);
}

static struct lh_error *find_candidates(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct edge_search *search = context;
	const struct lh_graph *graph = search->holders->graph;
	length = search->room > addr ? lh_min_u64(length, search->room - addr) : 0;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		uint64_t word = lh_load_u64(bytes, offset);
		uint32_t page =
			word - graph->bounds.start < lh_range_bytes(graph->bounds) ? lh_graph_page(graph, word) : 0;
		if (!page)
			continue;
		const struct lh_index_line *line = lh_graph_line(graph, page, word);
		__builtin_prefetch(line);
		struct edge_candidate *slot = &search->candidates[search->candidate_at++ % RING];
		if (slot->line)
			LH_TRY(add_edge(search, slot));
		*slot = (struct edge_candidate){word,          line,        bytes + offset, offset, length - offset,
						addr + offset, search->from};
	}
	return NULL;
}

static struct lh_error *flush_edge_candidates(struct edge_search *search)
{
	for (unsigned i = 0; i < RING; i++) {
		struct edge_candidate *slot = &search->candidates[(search->candidate_at + i) % RING];
		if (slot->line)
			LH_TRY(add_edge(search, slot));
		slot->line = NULL;
	}
	return NULL;
}

static struct lh_error *add_root_edges(void *context, uint64_t addr, const uint8_t *bytes, size_t length)
{
	struct edge_search *search = context;
	const struct lh_graph *graph = search->holders->graph;
	for (size_t offset = 0; offset < length; offset += sizeof(uint64_t)) {
		uint32_t target = lh_graph_target(graph, bytes, offset, length);
		if (target == LH_NO_CHUNK || !lh_graph_is_reachable(graph, target))
			continue;
		struct lh_root_edge edge = {addr ? addr + offset : 0, target, search->range};
		if (is_collector_link(search->holders, LH_NO_CHUNK, target, edge.addr, lh_load_u64(bytes, offset)))
			continue;
		LH_TRY(lh_vec_push(&search->holders->roots, edge));
	}
	return NULL;
}

static struct lh_error *find_root_edges(struct edge_search *search)
{
	const struct lh_graph *graph = search->holders->graph;
	size_t count;
	const struct lh_image_thread *threads = lh_image_threads(graph->image, &count);
	for (size_t i = 0; i < graph->roots.count; i++) {
		search->range = (uint32_t)i;
		LH_TRY(lh_graph_visit_words(graph, graph->roots.items[i].range, add_root_edges, search));
	}
	search->range = UINT32_MAX;
	for (size_t i = 0; i < count; i++) {
		if (threads[i].registers)
			LH_TRY(add_root_edges(search, 0, threads[i].registers,
					      lh_align_down(threads[i].registers_bytes, sizeof(uint64_t))));
	}
	return NULL;
}

/* ---------------------------------------------------------------- root groups */

/*
 * The start of the variable that contains the word; for thread-local data the word itself, for other memory the page.
 */
static uint64_t find_group_addr(const struct lh_graph *graph, struct lh_symbols *symbols,
				const struct lh_root_edge *edge)
{
	if (edge->range == UINT32_MAX)
		return 0;
	const struct lh_root_range *range = &graph->roots.items[edge->range];
	struct lh_symbol symbol;
	if (lh_graph_find_thread_locals(graph, edge->addr))
		return edge->addr;
	if (range->kind == LH_ROOT_STACK)
		return range->range.start;
	if (range->kind != LH_ROOT_MODULE)
		return lh_align_down(edge->addr, LH_PAGE_BYTES);
	bool is_known = symbols && lh_symbols_find(symbols, edge->addr, &symbol) && symbol.origin == LH_SYMBOL_TABLE;
	return is_known ? symbol.addr : edge->addr;
}

static struct lh_error *add_root_groups(struct lh_holders *holders, struct lh_symbols *symbols)
{
	for (size_t i = 0; i < holders->roots.count; i++) {
		const struct lh_root_edge *edge = &holders->roots.items[i];
		uint64_t addr = find_group_addr(holders->graph, symbols, edge);
		const struct lh_root_group *last =
			holders->groups.count ? &holders->groups.items[holders->groups.count - 1] : NULL;
		if (!last || last->addr != addr || last->range != edge->range)
			LH_TRY(lh_vec_push(&holders->groups, ((struct lh_root_group){addr, edge->range, (uint32_t)i})));
	}
	return NULL;
}

/* Appends their targets after those of all blocks. */
static struct lh_error *add_group_edges(struct lh_holders *holders)
{
	size_t chunk_count = holders->graph->chunk_count;
	struct lh_place *places = realloc(holders->places, (lh_holders_places(holders) + 1) * sizeof(*places));
	if (!places)
		return lh_error_no_memory();
	holders->places = places;
	size_t edge = 0;
	for (size_t i = 0; i < holders->groups.count; i++) {
		size_t end =
			i + 1 < holders->groups.count ? holders->groups.items[i + 1].first_edge : holders->roots.count;
		places[chunk_count + i] = (struct lh_place){(uint32_t)holders->place_to.count, 0};
		for (; edge < end; edge++)
			LH_TRY(lh_vec_push(&holders->place_to, holders->roots.items[edge].chunk));
	}
	places[chunk_count + holders->groups.count] = (struct lh_place){(uint32_t)holders->place_to.count, 0};
	return NULL;
}

static struct lh_error *find_block_edges(struct edge_search *search)
{
	struct lh_holders *holders = search->holders;
	const struct lh_graph *graph = holders->graph;
	const struct lh_python_room *rooms = search->rooms.items.items;
	size_t room_count = rooms ? search->rooms.items.count : 0;
	search->latest = LH_NO_CHUNK;
	for (size_t i = 0, next = 0; i < graph->chunk_count; i++) {
		search->from = (uint32_t)i;
		search->room = UINT64_MAX;
		for (; next < room_count && rooms[next].chunk == i; next++)
			search->room = rooms[next].start;
		if (!has_edges(holders, (uint32_t)i))
			continue;
		LH_TRY(lh_graph_visit_block(graph, search->from, find_candidates, search));
		if (holders->place_to.count > UINT32_MAX)
			return lh_error_create(LH_ERROR_UNSUPPORTED, "more than %u pointers between blocks",
					       UINT32_MAX);
	}
	LH_TRY(flush_edge_candidates(search));
	while (search->done != graph->chunk_count)
		holders->places[++search->done].first = (uint32_t)holders->place_to.count;
	return NULL;
}

struct lh_error *lh_holders_find_edges(struct lh_holders *holders, struct lh_symbols *symbols)
{
	struct edge_search search LH_CLEANUP(deinit_edge_search) = {.holders = holders};
	uint64_t before_ns = lh_clock_thread_cpu_ns();
	holders->places = calloc(holders->graph->chunk_count + 1, sizeof(*holders->places));
	if (!holders->places)
		return lh_error_no_memory();
	if (holders->skips_collector)
		LH_TRY(lh_holders_find_python_rooms(holders->graph, &search.rooms));
	LH_TRY(find_block_edges(&search));
	LH_TRY(find_root_edges(&search));
	LH_TRY(add_root_groups(holders, symbols));
	LH_TRY(add_group_edges(holders));
	holders->edges_cpu_ns = lh_clock_thread_cpu_ns() - before_ns;
	return NULL;
}
