/*
 * graph: what the parts of this folder share: the index from addresses to blocks, views of target memory, marks.
 * Private to graph.
 */
#ifndef LEAKHUNT_GRAPH_GRAPH_H
#define LEAKHUNT_GRAPH_GRAPH_H

#include "leakhunt/bits.h"
#include "leakhunt/graph.h"

enum {
	LH_GRAPH_PAGE_SHIFT = 12,
	LH_GRAPH_SPAN_SHIFT = 30, /* one table of page numbers per GiB */
	LH_GRAPH_ADDRESS_BITS = 47,
	LH_GRAPH_SPANS = 1 << (LH_GRAPH_ADDRESS_BITS - LH_GRAPH_SPAN_SHIFT),
	LH_GRAPH_SPAN_PAGES = 1 << (LH_GRAPH_SPAN_SHIFT - LH_GRAPH_PAGE_SHIFT),
};

#define LH_NO_CHUNK UINT32_MAX

enum { LH_ENTRY_MAX = UINT16_MAX - 1, LH_NO_ENTRY = UINT16_MAX };

/* 64 granules of a page. The block that contains granule g is rank + (number of bits up to and including g) - 1. */
struct lh_index_line {
	uint64_t starts; /* granules in which a block begins */
	uint32_t rank;   /* number of blocks that begin before this line */
	uint32_t spare;
};

/* A copy of memory that cannot be viewed directly. */
struct lh_graph_copy {
	struct lh_range range;
	uint8_t *bytes;
};

struct lh_root_range {
	struct lh_range range;
	enum lh_root_kind kind;
	uint32_t thread; /* LH_ROOT_STACK: index of the image's thread; else UINT32_MAX */
};

/* Thread-local variables of one thread, followed by its record with the data of pthread keys. */
struct lh_thread_locals {
	struct lh_range range;
	uint64_t record_addr; /* fs_base */
	uint32_t thread;      /* index among the image's threads */
};

/* A block that no other lost block points to, or one of a circle. */
struct lh_lost_block {
	uint32_t chunk; /* index in the heap */
	uint8_t status; /* LH_LEAK_LOST, LH_LEAK_CYCLE, LH_LEAK_POSSIBLE */
	/* Itself, and everything reachable from it but from no earlier lost block. */
	uint64_t owned_count;
	uint64_t owned_bytes;
};

struct lh_graph {
	struct lh_image *image;
	const struct lh_heap *heap;
	const struct lh_stored_chunk *chunks;
	size_t chunk_count;
	const struct lh_heap_arena *arenas;
	size_t arena_count;

	/* Address -> page number; 0: no block there. Pages entirely inside one block share a number. */
	uint32_t **spans;
	uint32_t *no_span;
	struct lh_index_line *lines; /* of page 1 from lines_per_page on */
	const uint8_t **pages;       /* local bytes of each numbered page; NULL: absent, or a shared number */
	size_t page_count;
	unsigned granule_shift; /* 4 when all blocks begin at multiples of 16, else 3 */
	struct lh_range bounds; /* of all blocks */
	bool has_neighbors;     /* some blocks begin where another one ends: no header is between them */

	uint64_t *unmarked; /* one bit per block: in use, and not reached */
	uint64_t *reached;  /* one bit per block: in use, and reached by plain words */
	uint64_t *possible; /* one bit per block: reached by a doubtful word; NULL: none was */
	/*
	 * Per block of padded memory: words from its beginning to the first place that a word leads to, at most
	 * LH_ENTRY_MAX, or LH_NO_ENTRY; 0 per other block. NULL: there are no such blocks.
	 */
	uint16_t *entries;
	uint64_t *tail_holders; /* one bit per block: marking did not follow a word of it to the last 8 bytes of a block
				   that had not been reached yet */
	uint64_t *tails;        /* one bit per block: words to its last 8 bytes are pointers to it; NULL: none are */

	LH_VEC(struct lh_graph_copy) copies;
	LH_VEC(struct lh_root_range) roots; /* ascending by address, except registers */
	LH_VEC(struct lh_thread_locals) thread_locals;
	LH_VEC(struct lh_lost_block) lost;
	LH_VEC(const char *) doubts;
	struct lh_strings_pool strings;
	struct lh_graph_totals totals;
	uint64_t *heads;     /* one bit per block: in `lost` */
	uint64_t *cycles;    /* likewise: one of a circle */
	uint64_t *confirmed; /* one bit per block; NULL: there is no earlier graph */
};

/* Memory of a runtime with its own objects: all of it is roots, none of it can be lost. */
static inline bool lh_graph_is_opaque(enum lh_region_kind kind)
{
	return kind == LH_REGION_V8 || kind == LH_REGION_GO || kind == LH_REGION_JVM || kind == LH_REGION_ZEND;
}

/* Bytes of a block that the program may use: what it requested, if the allocator knows that. */
static inline uint64_t lh_graph_used_bytes(const struct lh_stored_chunk *stored)
{
	return stored->size_bytes - (stored->slack ? stored->slack - 1u : 0);
}

/*
 * Bytes of padding before what the program got of a block, if words lead to `entry` words after its beginning and not
 * before: it begins at the address with the largest alignment up to there.
 */
static inline uint64_t lh_graph_padding_before(const struct lh_stored_chunk *stored, unsigned entry)
{
	if (!entry || entry == LH_NO_ENTRY)
		return 0;
	uint64_t addr = stored->addr + entry * sizeof(uint64_t), differ = (stored->addr - 1) ^ addr;
	unsigned bit = 63 - (unsigned)__builtin_clzll(differ);
	return (addr & ~((UINT64_C(1) << bit) - 1)) - stored->addr;
}

static inline uint64_t lh_graph_padding(const struct lh_graph *graph, uint32_t chunk)
{
	return graph->entries ? lh_graph_padding_before(&graph->chunks[chunk],
							__atomic_load_n(&graph->entries[chunk], __ATOMIC_RELAXED))
			      : 0;
}

/* chunk_index: builds spans, lines, pages, copies. */
struct lh_error *lh_graph_index(struct lh_graph *graph) LH_NODISCARD;

/* Local bytes of present memory at `addr` up to the next gap; NULL, with *ret_bytes set to where to ask again. */
const uint8_t *lh_graph_view(const struct lh_graph *graph, uint64_t addr, uint64_t end, size_t *ret_bytes);

static inline uint32_t lh_graph_page(const struct lh_graph *graph, uint64_t addr)
{
	return graph->spans[addr >> LH_GRAPH_SPAN_SHIFT][addr >> LH_GRAPH_PAGE_SHIFT & (LH_GRAPH_SPAN_PAGES - 1)];
}

static inline const struct lh_index_line *lh_graph_line(const struct lh_graph *graph, uint32_t page, uint64_t addr)
{
	unsigned line_shift = graph->granule_shift + 6;
	size_t of_page = addr >> line_shift & ((1u << (LH_GRAPH_PAGE_SHIFT - line_shift)) - 1);
	return &graph->lines[((size_t)page << (LH_GRAPH_PAGE_SHIFT - line_shift)) + of_page];
}

/* Without popcnt, which not all CPUs have, the compiler would call a function: too slow per word. */
static inline uint32_t lh_count_bits(uint64_t bits)
{
	bits -= bits >> 1 & UINT64_C(0x5555555555555555);
	bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
	bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (uint32_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

/* The last block that begins at or before `addr`; LH_NO_CHUNK if there is none on this page or before. */
static inline uint32_t lh_graph_line_chunk(const struct lh_graph *graph, const struct lh_index_line *line,
					   uint64_t addr)
{
	unsigned bit = addr >> graph->granule_shift & 63;
	return line->rank + lh_count_bits(line->starts & ((UINT64_C(2) << bit) - 1)) - 1;
}

/* Whether a block begins exactly at this address. */
static inline bool lh_graph_is_start(const struct lh_graph *graph, const struct lh_index_line *line, uint64_t addr)
{
	return (line->starts >> (addr >> graph->granule_shift & 63) & 1) &&
	       !(addr & ((UINT64_C(1) << graph->granule_shift) - 1));
}

/* The block that begins exactly at `addr`; LH_NO_CHUNK: none. */
static inline uint32_t lh_graph_find_start(const struct lh_graph *graph, uint64_t addr)
{
	if (addr - graph->bounds.start >= lh_range_bytes(graph->bounds))
		return LH_NO_CHUNK;
	uint32_t page = lh_graph_page(graph, addr);
	const struct lh_index_line *line = lh_graph_line(graph, page, addr);
	return page && lh_graph_is_start(graph, line, addr) ? lh_graph_line_chunk(graph, line, addr) : LH_NO_CHUNK;
}

/* ---------------------------------------------------------------- words */

/*
 * Whether glibc's links between free blocks lead there: to the next block's header, which begins with its size field.
 */
static inline bool lh_graph_is_tail(const struct lh_stored_chunk *stored, uint64_t offset)
{
	return offset + 8 == stored->size_bytes && stored->size_bytes % 16 == 8;
}

/*
 * Whether a word that leads into the middle of a block is a pointer: neither to the glibc header of the next block, nor
 * the rest of an old pointer whose lowest bytes the end of a text overwrote. `before`: bytes of the same memory before
 * the word.
 */
static inline bool lh_graph_is_interior(const struct lh_graph *graph, uint32_t chunk, uint64_t word, const uint8_t *at,
					size_t before)
{
	enum { TEXT_BYTES = 16, TAIL_BYTES = 5 };
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	uint64_t offset = word - stored->addr;
	if (offset >= lh_graph_used_bytes(stored))
		return false;
	if (lh_graph_is_tail(stored, offset))
		return graph->tails && lh_bit(graph->tails, chunk);
	if (before < TEXT_BYTES)
		return true;
	size_t tail = 0;
	while (tail <= TAIL_BYTES && at[tail] >= 0x20 && at[tail] < 0x7f)
		tail++;
	if (!tail || tail > TAIL_BYTES || at[tail])
		return true;
	for (size_t i = 1; i <= TEXT_BYTES; i++) {
		uint8_t byte = at[-(ptrdiff_t)i];
		if ((byte < 0x20 || byte >= 0x7f) && byte != '\n' && byte != '\t' && byte != '\r')
			return true;
	}
	return false;
}

/* What the words beside a word that leads to a block's beginning say: whether it is the end of the previous block. */
enum lh_end_word {
	LH_END_NOT,
	LH_END_ELSEWHERE, /* neighboring words are those of an end pointer, but the word leads elsewhere */
	LH_END_OF_BLOCK,
};
/* end_words: like lh_graph_is_end, by the two words before `at` and the one after it. */
enum lh_end_word lh_graph_judge_end(const struct lh_graph *graph, uint64_t word, const uint8_t *at, size_t before,
				    size_t after);

/*
 * Whether a word that leads exactly to the beginning of `chunk` is the end of the previous block: its neighbors are
 * those of std::vector (begin, end of elements, end of capacity) or of an iterator of std::deque (current, begin, end).
 * `before`, `after`: bytes of the same memory before the word, and from it on.
 */
static inline bool lh_graph_is_end(const struct lh_graph *graph, uint64_t word, const uint8_t *at, size_t before,
				   size_t after)
{
	if (!graph->has_neighbors || before < sizeof(word) || word - lh_load_u64(at - sizeof(word), 0) > LH_GIB)
		return false;
	return lh_graph_judge_end(graph, word, at, before, after) == LH_END_OF_BLOCK;
}

/* Whether a word that leads into `chunk` is a pointer. `line`: the word's line. */
static inline bool lh_graph_is_pointer(const struct lh_graph *graph, const struct lh_index_line *line, uint32_t chunk,
				       uint64_t word, const uint8_t *at, size_t before, size_t after)
{
	if (lh_graph_is_start(graph, line, word))
		return !lh_graph_is_end(graph, word, at, before, after);
	return lh_graph_is_interior(graph, chunk, word, at, before);
}

/*
 * The block that a word of the target leads to; LH_NO_CHUNK if it is not a pointer. The word is at `offset` from
 * `bytes`, which has `length` bytes.
 */
static inline uint32_t lh_graph_target(const struct lh_graph *graph, const uint8_t *bytes, size_t offset, size_t length)
{
	uint64_t word = lh_load_u64(bytes, offset);
	if (word - graph->bounds.start >= lh_range_bytes(graph->bounds))
		return LH_NO_CHUNK;
	uint32_t page = lh_graph_page(graph, word);
	if (!page)
		return LH_NO_CHUNK;
	const struct lh_index_line *line = lh_graph_line(graph, page, word);
	uint32_t chunk = lh_graph_line_chunk(graph, line, word);
	if (chunk == LH_NO_CHUNK)
		return chunk;
	bool is_pointer = lh_graph_is_pointer(graph, line, chunk, word, bytes + offset, offset, length - offset);
	return is_pointer ? chunk : LH_NO_CHUNK;
}

/* Called for each stretch of present, aligned words of [start, end). */
typedef struct lh_error *lh_words_visitor(void *context, uint64_t addr, const uint8_t *bytes, size_t length);
struct lh_error *lh_graph_visit_words(const struct lh_graph *graph, struct lh_range range, lh_words_visitor *visit,
				      void *context) LH_NODISCARD;

struct lh_error *lh_graph_visit_block(const struct lh_graph *graph, uint32_t chunk, lh_words_visitor *visit,
				      void *context) LH_NODISCARD;

/* Whether the block is in use and not a runtime's own object. */
static inline bool lh_graph_is_node(const struct lh_graph *graph, size_t chunk)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	return stored->state == LH_CHUNK_USED && !lh_graph_is_opaque(graph->arenas[stored->arena].kind);
}

/* Whether the block is in use and reached by plain words. */
static inline bool lh_graph_is_reachable(const struct lh_graph *graph, size_t chunk)
{
	return lh_bit(graph->reached, chunk);
}

/* Whether some blocks are CPython's. */
static inline bool lh_graph_has_python(const struct lh_graph *graph)
{
	for (size_t i = 0; i < graph->arena_count; i++) {
		if (graph->arenas[i].kind == LH_REGION_PYMALLOC)
			return true;
	}
	return false;
}

/* The bytes of a block on one page, or on two adjoining ones; NULL: it is in pieces, or absent. */
static inline const uint8_t *lh_graph_block_bytes(const struct lh_graph *graph, uint32_t chunk)
{
	const struct lh_stored_chunk *stored = &graph->chunks[chunk];
	uint64_t first = stored->addr, last = stored->addr + stored->size_bytes - 1;
	uint64_t pages = (last >> LH_GRAPH_PAGE_SHIFT) - (first >> LH_GRAPH_PAGE_SHIFT);
	if (pages > 1)
		return NULL;
	const uint8_t *bytes = graph->pages[lh_graph_page(graph, first)];
	if (!bytes || (pages == 1 && graph->pages[lh_graph_page(graph, last)] != bytes + LH_PAGE_BYTES))
		return NULL;
	return bytes + (first & (LH_PAGE_BYTES - 1));
}

/* root_ranges: fills roots and the sums of their bytes. */
struct lh_error *lh_graph_find_roots(struct lh_graph *graph) LH_NODISCARD;
/* root_ranges: the thread-local data that contains `addr`; NULL: none. */
const struct lh_thread_locals *lh_graph_find_thread_locals(const struct lh_graph *graph, uint64_t addr);
/* doubts: what is missing. */
struct lh_error *lh_graph_find_doubts(struct lh_graph *graph) LH_NODISCARD;
/* padded_blocks: fills entries. */
struct lh_error *lh_graph_find_padded(struct lh_graph *graph) LH_NODISCARD;
/* padded_blocks: sets the bits of blocks whose padding, by lh_graph_padding, may be contents. `ret`: a bit per block.
 */
struct lh_error *lh_graph_find_doubtful_paddings(const struct lh_graph *graph, uint64_t *ret) LH_NODISCARD;
/* mark: clears the bits of `unmarked` that roots lead to. */
struct lh_error *lh_graph_mark(struct lh_graph *graph) LH_NODISCARD;
/* tail_words: marks blocks to which only words to their last 8 bytes lead, and everything reachable from them. */
struct lh_error *lh_graph_mark_tails(struct lh_graph *graph) LH_NODISCARD;
/* weak_words: sets `possible` for blocks to which only tagged or mangled words lead, and for signal stacks. */
struct lh_error *lh_graph_mark_possible(struct lh_graph *graph) LH_NODISCARD;
/*
 * outermost: the block that stands for a circle. `chunks`: a block of it, then everything else reachable from there, as
 * a depth-first search finds it.
 */
struct lh_error *lh_graph_find_outermost(const struct lh_graph *graph, const uint32_t *chunks, size_t count,
					 uint32_t *ret) LH_NODISCARD;
/* lost: fills lost. */
struct lh_error *lh_graph_find_lost(struct lh_graph *graph) LH_NODISCARD;

void lh_cleanup_graph(struct lh_graph **graph);
bool lh_graph_is_confirmed(const struct lh_graph *graph, size_t chunk);
bool lh_suppressions_match(const struct lh_suppressions *suppressions, const char *name);

/* The block of `earlier` with the address and size of `chunk`, in use or not; false if there is none. */
bool lh_graph_find_same_block(const struct lh_graph *earlier, const struct lh_stored_chunk *chunk, size_t *ret);

#endif
