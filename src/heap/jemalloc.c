/*
 * jemalloc: extents of jemalloc 5.x. Input: memory. Output: claims. Its metadata is in base blocks, which begin at a
 * multiple of 2 MiB with {size, next, extent of the rest} (src/base.c, base_block_s). They describe all extents
 * (edata.h, edata_t, 128 bytes), whatever mapping these are in. Symbols and build options do not matter.
 */
#include "jemalloc.h"

#include <stdlib.h>

#define BLOCK_ALIGNMENT (2 * LH_MIB)

enum { PEEKS_MAX = 32768 };

#define BLOCK_BYTES_MAX LH_GIB

/* Only this much metadata is read; it describes at least 100 GiB. Of further extents only their neighbors are known. */
#define METADATA_BYTES_MAX (64 * LH_MIB)
enum { CLAIM_BYTES = 256 * 1024, PIECE_BYTES = 64 * 1024 };

/* The address of a large extent is moved by whole cache lines within its first page (option cache_oblivious). */
enum { CACHE_LINE_BYTES = 64 };

enum { STATE_MAX = 6 };

/* Slabs have size classes below 14 KiB or, with other quanta, a little more: fewer than 48 of 232. */
enum { SLAB_INDEX_MAX = 48, LARGE_INDEX_MIN = 16, SIZE_INDEX_MAX = 235 };

void lh_base_blocks_deinit(struct lh_base_blocks *blocks)
{
	lh_vec_deinit(&blocks->items);
}

/*
 * The block's own extent is the rest of the block, with the arena number that means "none". In a dump, pages that were
 * never touched may be unmapped.
 */
static bool parse_base_block(const struct lh_heap_memory *memory, const struct lh_peek *peek, struct lh_base_block *ret)
{
	const uint64_t *words = peek->words;
	uint64_t bytes = words[0], next = words[1], e_bits = words[2], e_addr = words[3], e_bytes = words[4];
	if (!peek->is_read || !bytes || bytes % BLOCK_ALIGNMENT || next % BLOCK_ALIGNMENT ||
	    (e_bits & LH_EDATA_ARENA_MASK) != LH_EDATA_ARENA_MASK || e_addr <= peek->addr ||
	    e_addr - peek->addr > bytes || e_bytes != bytes - (e_addr - peek->addr) || bytes > BLOCK_BYTES_MAX ||
	    !lh_heap_is_private(memory, peek->addr, LH_PAGE_BYTES))
		return false;
	*ret = (struct lh_base_block){peek->addr, bytes};
	return true;
}

struct lh_error *lh_base_blocks_find(const struct lh_heap_memory *memory, struct lh_base_blocks *ret)
{
	struct lh_peeks peeks LH_CLEANUP(lh_peeks_deinit) = {0};
	uint64_t known_until = 0;
	LH_TRY(lh_heap_peek_aligned(memory, LH_HEAP_PLAIN, BLOCK_ALIGNMENT, BLOCK_ALIGNMENT, PEEKS_MAX, &peeks));
	for (size_t i = 0; i < peeks.items.count; i++) {
		struct lh_base_block block;
		if (peeks.items.items[i].addr < known_until || !parse_base_block(memory, &peeks.items.items[i], &block))
			continue;
		LH_TRY(lh_vec_push(&ret->items, block));
		known_until = block.addr + block.bytes;
	}
	return NULL;
}

/* ---------------------------------------------------------------- extents */

bool lh_edata_is_plausible(const uint64_t *words)
{
	uint64_t e_bits = words[0], e_addr = words[1], e_bytes = lh_align_down(words[2], LH_PAGE_BYTES);
	uint64_t state = e_bits >> LH_EDATA_STATE_BIT & 7, size_index = e_bits >> LH_EDATA_SIZE_INDEX_BIT & 0xff;
	bool is_slab = !state && e_bits >> LH_EDATA_SLAB_BIT & 1; /* the bit stays set when the slab is freed */
	if (!e_addr || e_addr % CACHE_LINE_BYTES || (is_slab && e_addr % LH_PAGE_BYTES) || !e_bytes ||
	    (e_bits & LH_EDATA_ARENA_MASK) == LH_EDATA_ARENA_MASK || state > STATE_MAX || size_index > SIZE_INDEX_MAX)
		return false;
	bool is_sampled_small = !state && e_bytes <= LH_SAMPLED_SMALL_BYTES + LH_PAGE_BYTES;
	return is_slab ? size_index < SLAB_INDEX_MAX : size_index >= LARGE_INDEX_MIN || is_sampled_small;
}

static struct lh_error *claim_extents(const struct lh_heap_memory *memory, const uint64_t *words, size_t word_count,
				      struct lh_owners *ret)
{
	for (size_t i = 0; i + LH_EDATA_WORDS <= word_count; i += LH_EDATA_WORDS) {
		uint64_t addr = lh_align_down(words[i + 1], LH_PAGE_BYTES);
		uint64_t bytes = lh_align_down(words[i + 2], LH_PAGE_BYTES);
		if (lh_edata_is_plausible(&words[i]) && lh_heap_is_private(memory, addr, bytes))
			LH_TRY(lh_heap_claim(memory, addr, addr + bytes, LH_REGION_JEMALLOC, ret));
	}
	return NULL;
}

/* `*left_bytes`: how many bytes may still be read. */
static struct lh_error *read_metadata(const struct lh_heap_memory *memory, struct lh_range range, uint64_t *scratch,
				      uint64_t *left_bytes, struct lh_owners *ret)
{
	while (range.start < range.end && *left_bytes) {
		size_t bytes = lh_min_u64(lh_min_u64(lh_range_bytes(range), CLAIM_BYTES), *left_bytes);
		size_t got = memory->read(memory->context, range.start, scratch, bytes);
		LH_TRY(claim_extents(memory, scratch, got / 8, ret));
		range.start += bytes;
		*left_bytes -= bytes;
	}
	return NULL;
}

static struct lh_error *read_base_block(const struct lh_heap_memory *memory, const struct lh_base_block *block,
					uint64_t *scratch, uint64_t *left_bytes, struct lh_owners *ret)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = {block->addr, block->addr + block->bytes};
	LH_TRY(lh_heap_claim(memory, range.start, range.end, LH_REGION_JEMALLOC, ret));
	LH_TRY(memory->find_present(memory->context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(read_metadata(memory, runs.runs.items[i].range, scratch, left_bytes, ret));
	return NULL;
}

struct lh_error *lh_jemalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct lh_base_blocks blocks LH_CLEANUP(lh_base_blocks_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) uint64_t *scratch = malloc(CLAIM_BYTES);
	uint64_t left_bytes = METADATA_BYTES_MAX;
	if (!scratch)
		return lh_error_no_memory();
	LH_TRY(lh_base_blocks_find(memory, &blocks));
	for (size_t i = 0; i < blocks.items.count; i++)
		LH_TRY(read_base_block(memory, &blocks.items.items[i], scratch, &left_bytes, ret));
	return NULL;
}

/* ---------------------------------------------------------------- words of base blocks */

/* If a piece cannot be read at once, reads it page by page. */
static struct lh_error *visit_piece(struct lh_heap_tour *tour, struct lh_range piece, uint64_t *scratch,
				    lh_word_visitor *visit, void *context)
{
	bool is_whole = lh_heap_words(tour, piece.start, scratch, lh_range_bytes(piece) / 8);
	if (is_whole)
		return visit(context, piece.start, scratch, lh_range_bytes(piece) / 8);
	for (uint64_t at = piece.start, end; at < piece.end; at = end) {
		end = lh_min_u64(piece.end, lh_align_down(at, LH_PAGE_BYTES) + LH_PAGE_BYTES);
		if (lh_heap_words(tour, at, scratch, (end - at) / 8))
			LH_TRY(visit(context, at, scratch, (end - at) / 8));
		else
			lh_heap_lose(tour, 0);
	}
	return NULL;
}

static struct lh_error *visit_pieces(struct lh_heap_tour *tour, struct lh_range range, uint64_t *scratch,
				     lh_word_visitor *visit, void *context)
{
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t end = lh_min_u64(range.end, lh_align_down(at, PIECE_BYTES) + PIECE_BYTES);
		LH_TRY(visit_piece(tour, (struct lh_range){at, end}, scratch, visit, context));
		at = end;
	}
	return NULL;
}

struct lh_error *lh_jemalloc_visit_words(struct lh_heap_tour *tour, struct lh_range range, lh_word_visitor *visit,
					 void *context)
{
	LH_CLEANUP(lh_cleanup_free) uint64_t *scratch = malloc(PIECE_BYTES);
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range pages = {lh_align_down(range.start, LH_PAGE_BYTES), lh_align_up(range.end, LH_PAGE_BYTES)};
	if (!scratch)
		return lh_error_no_memory();
	LH_TRY(tour->memory->find_present(tour->memory->context, pages, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range run = runs.runs.items[i].range;
		run.start = lh_max_u64(run.start, range.start);
		run.end = lh_min_u64(run.end, range.end);
		LH_TRY(visit_pieces(tour, run, scratch, visit, context));
	}
	return NULL;
}

struct lh_error *lh_base_blocks_visit(struct lh_heap_tour *tour, const struct lh_base_blocks *blocks,
				      lh_word_visitor *visit, void *context)
{
	for (size_t i = 0; i < blocks->items.count; i++) {
		const struct lh_base_block *block = &blocks->items.items[i];
		struct lh_range range = {block->addr, block->addr + block->bytes};
		LH_TRY(lh_jemalloc_visit_words(tour, range, visit, context));
	}
	return NULL;
}
