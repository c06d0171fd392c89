/*
 * scudo_walk: all blocks of LLVM's Scudo, with the sizes that were asked for. Input: mappings of one class, and of one
 * block. Output: blocks. A header says whether its block is in use; a block that was never given out has none. That of
 * an aligned block lies further up: the block begins with a mark and its distance (combined.h, BlockMarker). Blocks
 * that threads' caches hold look like free ones. Those that GWP-ASan samples, up to 16, have pages of their own, and
 * are not found.
 */
#include "scudo.h"

#include <string.h>

struct scudo_walk {
	struct lh_heap_tour *tour;
	struct lh_scudo_key key;
	uint32_t arena;
};

static struct lh_error *add_scudo_block(struct scudo_walk *walk, uint64_t addr, uint64_t end, uint64_t requested_bytes,
					uint8_t state)
{
	struct lh_heap_chunk chunk = {
		.addr = addr,
		.size_bytes = end - addr,
		.requested_bytes = requested_bytes,
		.arena = walk->arena,
		.state = state,
	};
	return end > addr ? lh_heap_add_chunk(walk->tour, &chunk) : NULL;
}

/* Reads the header of the block in [start, end), and where the block begins behind it; false: never given out. */
static bool read_scudo_header(struct scudo_walk *walk, uint64_t start, uint64_t end, uint64_t *ret_word,
			      uint64_t *ret_addr)
{
	uint64_t word;
	*ret_addr = start + LH_SCUDO_HEADER_BYTES;
	if (!lh_heap_words(walk->tour, start, &word, 1) || !word)
		return false;
	uint64_t distance = word >> 32;
	if ((uint32_t)word == LH_SCUDO_BLOCK_MARK && distance % 16 == 0 &&
	    distance + LH_SCUDO_HEADER_BYTES < end - start) {
		*ret_addr += distance;
		if (!lh_heap_words(walk->tour, start + distance, &word, 1) || !word)
			return false;
	}
	*ret_word = word;
	return true;
}

static uint8_t chunk_state_of(const struct lh_scudo_header *header)
{
	return header->state == LH_SCUDO_ALLOCATED     ? LH_CHUNK_USED
	       : header->state == LH_SCUDO_QUARANTINED ? LH_CHUNK_CACHED
						       : LH_CHUNK_FREE;
}

static struct lh_error *walk_block(struct scudo_walk *walk, uint64_t start, uint64_t end, uint32_t class)
{
	struct lh_scudo_header header = {0};
	uint64_t word = 0, addr;
	if (!read_scudo_header(walk, start, end, &word, &addr))
		return add_scudo_block(walk, addr, end, 0, LH_CHUNK_FREE);
	bool holds = lh_scudo_parse_header(&walk->key, addr, word, &header) && header.class == class &&
		     header.size <= end - addr;
	if (!lh_heap_check(walk->tour, holds, start, "block: its header does not fit its checksum")) {
		lh_heap_lose(walk->tour, end - start);
		return NULL;
	}
	bool is_free = header.state == LH_SCUDO_FREE;
	return add_scudo_block(walk, addr, end, is_free ? 0 : header.size, chunk_state_of(&header));
}

static struct lh_error *walk_class(void *context, struct lh_range range, uint32_t class, uint64_t first)
{
	struct scudo_walk *walk = context;
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, range.start, range.end));
	if (!class)
		return NULL;
	uint64_t bytes = lh_scudo_class_bytes(class);
	for (uint64_t at = first; at + bytes <= range.end; at += bytes)
		LH_TRY(walk_block(walk, at, at + bytes, class));
	return NULL;
}

static struct lh_error *walk_mapping(void *context, struct lh_range range, uint64_t addr)
{
	struct scudo_walk *walk = context;
	struct lh_scudo_header header = {0};
	uint64_t word;
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, range.start, range.end));
	bool holds = lh_heap_words(walk->tour, addr - LH_SCUDO_HEADER_BYTES, &word, 1) &&
		     lh_scudo_parse_header(&walk->key, addr, word, &header) && !header.class &&
		     header.size < range.end - addr;
	if (!lh_heap_check(walk->tour, holds, range.start, "mapping: its block's header does not fit its checksum")) {
		lh_heap_lose(walk->tour, lh_range_bytes(range));
		return NULL;
	}
	return add_scudo_block(walk, addr, range.end, range.end - addr - header.size, chunk_state_of(&header));
}

static struct lh_error *walk_scudo(struct lh_heap_tour *tour)
{
	struct scudo_walk walk = {.tour = tour};
	struct lh_scudo_visitor visitor = {walk_class, walk_mapping, &walk};
	struct lh_heap_arena arena = {
		.allocator = "Scudo",
		.role = "",
		.kind = LH_REGION_SCUDO,
		.mapped_bytes = lh_heap_owned_bytes(tour->owners, LH_REGION_SCUDO),
	};
	LH_TRY(lh_heap_add_arena(tour, &arena, &walk.arena));
	return lh_scudo_visit(tour->memory, &visitor, &walk.key);
}

const struct lh_allocator_walker lh_walk_scudo = {
	.name = "Scudo",
	.claim = lh_scudo_claim,
	.kinds = UINT32_C(1) << LH_REGION_SCUDO,
	.walk = walk_scudo,
};
