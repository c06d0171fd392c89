/*
 * musl_chunks: all blocks of musl's old malloc (up to 1.2.0; later with --with-malloc=oldmalloc). Input: memory.
 * Output: claims, blocks. A chunk {previous, bytes} lies 16 bytes behind a multiple of 32, and bit 0 of both words says
 * which is in use; the next one's `previous` equals its `bytes` (src/malloc/oldmalloc/malloc_impl.h). Chunks lie in
 * areas, of brk or mapped, in mappings of their own, and in what is left of the pages of modules' data.
 */
#include "musl.h"

enum {
	UNIT = 32, /* SIZE_ALIGN */
	HEADER_BYTES = 16,
	IN_USE = 1,
	CHAIN_MIN = 6,                /* headers in a row that are taken for a heap */
	MAPPED_EXTRA = 16,            /* before the header of a mapped chunk */
	SEARCHED_PAGES_MAX = 65536,   /* pages of others that are looked at */
	CLAIMED_CHUNKS_MAX = 1 << 16, /* chunks of a mapped area that are looked at before the rest is claimed, too */
	MOVES_MAX = 40,               /* alignments of a mapped chunk */
	AREA_WORDS = 4,
};

struct header {
	uint64_t previous; /* of the chunk before, with its bit 0 */
	uint64_t bytes;    /* with bit 0 */
};

enum page_start { STARTS_NOTHING, STARTS_AREA, STARTS_MAPPED };

/* A page begins with 16 bytes that nobody writes, then a header. */
static enum page_start parse_page_start(const uint64_t words[AREA_WORDS])
{
	if (words[0] || words[1])
		return STARTS_NOTHING;
	if (words[2] == IN_USE && words[3] >= UNIT && words[3] % UNIT <= IN_USE)
		return STARTS_AREA;
	bool is_mapped = words[2] == MAPPED_EXTRA && words[3] % LH_PAGE_BYTES == LH_PAGE_BYTES - MAPPED_EXTRA;
	return is_mapped ? STARTS_MAPPED : STARTS_NOTHING;
}

static uint64_t chunk_bytes(const struct header *header)
{
	return header->bytes & ~(uint64_t)IN_USE;
}

static bool is_sentinel(const struct header *header)
{
	return header->bytes == IN_USE;
}

/* Whether a chunk at `addr`, with room for the next header, can end before `end`. */
static bool may_be_old_chunk(const struct header *header, uint64_t addr, uint64_t end)
{
	uint64_t bytes = chunk_bytes(header);
	return bytes && bytes % UNIT == 0 && end - addr >= HEADER_BYTES && bytes <= end - addr - HEADER_BYTES;
}

/* ---------------------------------------------------------------- claiming */

static bool read_chunk_header(const struct lh_heap_memory *memory, uint64_t addr, struct header *ret)
{
	uint64_t words[2];
	if (!lh_heap_read_words(memory, addr, words, 2))
		return false;
	*ret = (struct header){words[0], words[1]};
	return true;
}

/*
 * Follows headers from the one at `addr`, at most `count_max`. True when so many follow, or a sentinel does. *ret_end:
 * how far they go.
 */
static bool follow_chain(const struct lh_heap_memory *memory, uint64_t addr, uint64_t end, size_t count_max,
			 uint64_t *ret_end)
{
	struct header header, next;
	*ret_end = addr;
	if (!read_chunk_header(memory, addr, &header))
		return false;
	for (size_t i = 0; i < count_max && !is_sentinel(&header); i++) {
		if (!may_be_old_chunk(&header, addr, end) ||
		    !read_chunk_header(memory, addr + chunk_bytes(&header), &next) || next.previous != header.bytes)
			return false;
		addr += chunk_bytes(&header);
		header = next;
		*ret_end = addr + HEADER_BYTES;
	}
	return true;
}

/*
 * aligned_alloc moves the block up to a multiple of 2^k, and writes a second header: {how far, bytes left}. realloc
 * changes only that one: the first may still tell the size before. False when no header fits.
 */
static bool find_mapped_chunk(const struct lh_heap_memory *memory, uint64_t page, uint64_t end, uint64_t *ret_addr,
			      struct header *ret)
{
	struct header header;
	bool is_found = false;
	for (int bit = 5; bit < MOVES_MAX; bit++) {
		uint64_t addr = lh_align_up(page + UNIT, UINT64_C(1) << bit) - HEADER_BYTES;
		if (addr > end - HEADER_BYTES || addr < page)
			break;
		bool fits = (!is_found || addr != *ret_addr) && read_chunk_header(memory, addr, &header) &&
			    header.previous == addr - page && header.bytes && header.bytes <= end - addr &&
			    (addr + header.bytes) % LH_PAGE_BYTES == 0;
		if (!fits)
			continue;
		*ret_addr = addr;
		*ret = header;
		is_found = true;
	}
	return is_found;
}

static bool begins_area(const struct lh_heap_memory *memory, struct lh_range range)
{
	uint64_t words[AREA_WORDS], end;
	return lh_heap_read_words(memory, range.start, words, AREA_WORDS) && parse_page_start(words) == STARTS_AREA &&
	       follow_chain(memory, range.start + HEADER_BYTES, range.end, CHAIN_MIN, &end);
}

/* Finds the first chunk of those that fill the rest of a module's last page: backwards, from the sentinel on. */
static bool find_page_rest(const struct lh_heap_memory *memory, uint64_t end, uint64_t *ret)
{
	uint64_t addr = end - HEADER_BYTES;
	struct header header, before;
	if (!read_chunk_header(memory, addr, &header) || !is_sentinel(&header) || header.previous == IN_USE)
		return false;
	while (header.previous != IN_USE) {
		uint64_t bytes = header.previous & ~(uint64_t)IN_USE;
		if (!bytes || bytes % UNIT || bytes >= addr - (end - LH_PAGE_BYTES) ||
		    !read_chunk_header(memory, addr - bytes, &before) || before.bytes != header.previous)
			return false;
		addr -= bytes;
		header = before;
	}
	*ret = addr;
	return true;
}

/* And of those before a module's data, in its first page. */
static bool begins_page_head(const struct lh_heap_memory *memory, uint64_t start)
{
	struct header header;
	uint64_t end;
	return read_chunk_header(memory, start + HEADER_BYTES, &header) && header.previous == IN_USE &&
	       !is_sentinel(&header) &&
	       follow_chain(memory, start + HEADER_BYTES, start + LH_PAGE_BYTES, LH_PAGE_BYTES / UNIT, &end);
}

static bool may_be_module_data(const struct lh_region *region)
{
	return (region->kind == LH_REGION_DATA || region->kind == LH_REGION_BSS) &&
	       region->protection & LH_PROT_WRITE && region->end - region->start >= LH_PAGE_BYTES;
}

/* Memory of brk is the old malloc's from its start, or there is none of it; where brk is blocked, see modules. */
static bool has_old_malloc(const struct lh_heap_memory *memory)
{
	bool has_brk = false, has_rest = false;
	uint64_t first;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (!lh_heap_has(memory, i, LH_HEAP_PLAIN) || !lh_heap_has(memory, i, LH_HEAP_BRK))
			continue;
		has_brk = true;
		if (begins_area(memory, memory->ranges[i]))
			return true;
	}
	for (size_t i = 0; i < memory->list->regions.count && !has_brk && !has_rest; i++)
		has_rest = may_be_module_data(&memory->list->regions.items[i]) &&
			   find_page_rest(memory, memory->ranges[i].end, &first);
	return has_rest;
}

struct chunk_claim {
	const struct lh_heap_memory *memory;
	const struct lh_owners *owners; /* of walkers before */
	struct lh_owners found;
	size_t pages_left;
};

static void deinit_chunk_claim(struct chunk_claim *claim)
{
	lh_owners_deinit(&claim->found);
}

/* The end of what begins at the page `addr`; `addr` when nothing of malloc's does. */
static uint64_t find_claim_end(const struct lh_heap_memory *memory, uint64_t addr, uint64_t end)
{
	uint64_t words[AREA_WORDS], reached;
	struct header header;
	if (!lh_heap_read_words(memory, addr, words, AREA_WORDS))
		return addr;
	switch (parse_page_start(words)) {
	case STARTS_AREA:
		if (follow_chain(memory, addr + HEADER_BYTES, end, CLAIMED_CHUNKS_MAX, &reached))
			return lh_align_up(reached, LH_PAGE_BYTES);
		return addr;
	case STARTS_MAPPED:
		return find_mapped_chunk(memory, addr, end, &reached, &header) ? reached + header.bytes : addr;
	default:
		return addr;
	}
}

/* The kernel merges mappings of malloc's with each other, and with those of others: each page may begin one. */
static struct lh_error *claim_run(struct chunk_claim *claim, struct lh_range run, uint64_t region_end,
				  uint64_t *ret_claimed_until)
{
	uint64_t addr = lh_max_u64(run.start, *ret_claimed_until);
	while (addr < run.end && claim->pages_left) {
		uint64_t end =
			lh_owners_find(claim->owners, addr) ? addr : find_claim_end(claim->memory, addr, region_end);
		if (end == addr) {
			claim->pages_left--;
			addr += LH_PAGE_BYTES;
			continue;
		}
		LH_TRY(lh_heap_claim(claim->memory, addr, end, LH_REGION_MUSL, &claim->found));
		*ret_claimed_until = addr = end;
	}
	return NULL;
}

static struct lh_error *claim_region(struct chunk_claim *claim, size_t index)
{
	const struct lh_heap_memory *memory = claim->memory;
	struct lh_range range = memory->ranges[index];
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	uint64_t claimed_until = range.start;
	if (lh_heap_has(memory, index, LH_HEAP_BRK))
		return begins_area(memory, range)
			       ? lh_heap_claim(memory, range.start, range.end, LH_REGION_MUSL, &claim->found)
			       : NULL;
	LH_TRY(memory->find_present(memory->context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(claim_run(claim, runs.runs.items[i].range, range.end, &claimed_until));
	return NULL;
}

struct lh_error *lh_musl_claim_chunks(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct chunk_claim claim LH_CLEANUP(deinit_chunk_claim) = {
		.memory = memory,
		.owners = ret,
		.pages_left = SEARCHED_PAGES_MAX,
	};
	if (!has_old_malloc(memory))
		return NULL;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (lh_heap_has(memory, i, LH_HEAP_PLAIN) && lh_heap_has(memory, i, LH_HEAP_TOUCHED))
			LH_TRY(claim_region(&claim, i));
	}
	for (size_t i = 0; i < claim.found.items.count; i++)
		LH_TRY(lh_vec_push(&ret->items, claim.found.items.items[i]));
	return NULL;
}

/* ---------------------------------------------------------------- walking */

struct chunk_tour {
	struct lh_heap_tour *tour;
	uint32_t arena;
};

static bool tour_chunk_header(struct lh_heap_tour *tour, uint64_t addr, struct header *ret)
{
	uint64_t words[2];
	if (!lh_heap_words(tour, addr, words, 2))
		return false;
	*ret = (struct header){words[0], words[1]};
	return true;
}

static bool begins_old_chain(struct lh_heap_tour *tour, uint64_t addr, uint64_t end)
{
	struct header header;
	uint64_t unused;
	return tour_chunk_header(tour, addr, &header) && may_be_old_chunk(&header, addr, end) &&
	       follow_chain(tour->memory, addr, end, CHAIN_MIN, &unused);
}

/* Where the next chain begins behind `addr`; `end` when none does. Pages that are not there are skipped. */
static uint64_t find_old_chain(struct lh_heap_tour *tour, uint64_t addr, uint64_t end)
{
	while (addr < end) {
		struct header header;
		if (begins_old_chain(tour, addr, end))
			return addr;
		uint64_t next_page = lh_align_down(addr, LH_PAGE_BYTES) + LH_PAGE_BYTES;
		bool is_there = tour_chunk_header(tour, addr, &header);
		addr = is_there ? addr + UNIT
				: lh_align_up(lh_heap_next_resident(tour, next_page), UNIT) + HEADER_BYTES;
	}
	return end;
}

/* A link at `addr` that leads elsewhere; of a dump, modules' data with bins and chunks may be missing. */
static bool links_elsewhere(struct lh_heap_tour *tour, uint64_t addr, uint64_t target)
{
	uint64_t link;
	return lh_heap_words(tour, addr, &link, 1) && link != target;
}

/* Free chunks are linked: {header, next, previous}, and the head of their bin looks like one. */
static bool is_in_bin(struct lh_heap_tour *tour, uint64_t addr)
{
	uint64_t links[2];
	return lh_heap_words(tour, addr + HEADER_BYTES, links, 2) &&
	       !links_elsewhere(tour, links[0] + HEADER_BYTES + 8, addr) &&
	       !links_elsewhere(tour, links[1] + HEADER_BYTES, addr);
}

static struct lh_error *add_old_block(const struct chunk_tour *walk, uint64_t header_addr, uint64_t bytes, bool is_used)
{
	struct lh_heap_chunk chunk = {
		.addr = header_addr + HEADER_BYTES,
		.size_bytes = bytes - HEADER_BYTES,
		.arena = walk->arena,
		.state = is_used ? LH_CHUNK_USED : LH_CHUNK_FREE,
	};
	return lh_heap_add_chunk(walk->tour, &chunk);
}

/* From the first header to behind the sentinel. Where a header cannot be right, the next chain goes on. */
static struct lh_error *walk_chain(const struct chunk_tour *walk, uint64_t addr, uint64_t end, uint64_t *ret_end)
{
	struct lh_heap_tour *tour = walk->tour;
	struct header header = {0}, next;
	*ret_end = end;
	while (addr < end && end - addr >= HEADER_BYTES) {
		bool is_read = tour_chunk_header(tour, addr, &header);
		if (is_read && is_sentinel(&header)) {
			*ret_end = addr + HEADER_BYTES;
			return NULL;
		}
		bool holds = is_read && may_be_old_chunk(&header, addr, end) &&
			     tour_chunk_header(tour, addr + chunk_bytes(&header), &next) &&
			     next.previous == header.bytes;
		if (!lh_heap_check(tour, holds, addr, "chunk: its size and the next one's differ")) {
			uint64_t resumed = find_old_chain(tour, addr + UNIT, end);
			lh_heap_lose(tour, resumed - addr);
			addr = resumed;
			continue;
		}
		bool is_used = header.bytes & IN_USE;
		if (!is_used)
			lh_heap_check(tour, is_in_bin(tour, addr), addr, "free chunk: its neighbors do not link back");
		LH_TRY(add_old_block(walk, addr, chunk_bytes(&header), is_used));
		addr += chunk_bytes(&header);
	}
	return NULL;
}

static struct lh_error *walk_mapped_chunk(const struct chunk_tour *walk, uint64_t page, uint64_t end, uint64_t *ret_end)
{
	struct header header = {0};
	uint64_t addr = page;
	bool is_found = find_mapped_chunk(walk->tour->memory, page, end, &addr, &header);
	*ret_end = page + LH_PAGE_BYTES;
	if (!lh_heap_check(walk->tour, is_found, page, "mapped chunk: no header fits"))
		return NULL;
	*ret_end = addr + header.bytes;
	LH_TRY(lh_heap_add_range(walk->tour, walk->arena, page, *ret_end));
	return add_old_block(walk, addr, header.bytes, true);
}

static struct lh_error *walk_old_range(const struct chunk_tour *walk, struct lh_range range)
{
	uint64_t addr = range.start, end, words[AREA_WORDS];
	while (addr < range.end) {
		bool is_read = lh_heap_words(walk->tour, addr, words, AREA_WORDS);
		switch (is_read ? parse_page_start(words) : STARTS_NOTHING) {
		case STARTS_AREA:
			LH_TRY(walk_chain(walk, addr + HEADER_BYTES, range.end, &end));
			end = lh_align_up(end, LH_PAGE_BYTES);
			LH_TRY(lh_heap_add_range(walk->tour, walk->arena, addr, end));
			break;
		case STARTS_MAPPED:
			LH_TRY(walk_mapped_chunk(walk, addr, range.end, &end));
			break;
		default:
			end = lh_heap_next_resident(walk->tour, addr + LH_PAGE_BYTES);
		}
		addr = end;
	}
	return NULL;
}

/* The dynamic linker gives malloc what is left of the first and the last page of each module's data. */
static struct lh_error *walk_module_rests(const struct chunk_tour *walk)
{
	const struct lh_heap_memory *memory = walk->tour->memory;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		uint64_t first, end;
		if (!may_be_module_data(region))
			continue;
		if (begins_page_head(memory, region->start))
			LH_TRY(walk_chain(walk, region->start + HEADER_BYTES, region->start + LH_PAGE_BYTES, &end));
		if (find_page_rest(memory, region->end, &first))
			LH_TRY(walk_chain(walk, first, region->end, &end));
	}
	return NULL;
}

/* Areas of mallocng begin with a secret. */
bool lh_musl_has_chunks(struct lh_heap_tour *tour)
{
	for (size_t i = 0; i < tour->owners->items.count; i++) {
		const struct lh_owner_range *owner = &tour->owners->items.items[i];
		uint64_t words[AREA_WORDS];
		if (owner->kind == LH_REGION_MUSL)
			return lh_heap_words(tour, owner->range.start, words, AREA_WORDS) &&
			       parse_page_start(words) != STARTS_NOTHING;
	}
	return false;
}

struct lh_error *lh_musl_walk_chunks(struct lh_heap_tour *tour, uint32_t arena)
{
	struct chunk_tour walk = {tour, arena};
	for (size_t i = 0; i < tour->owners->items.count; i++) {
		if (tour->owners->items.items[i].kind == LH_REGION_MUSL)
			LH_TRY(walk_old_range(&walk, tour->owners->items.items[i].range));
	}
	return walk_module_rests(&walk);
}
