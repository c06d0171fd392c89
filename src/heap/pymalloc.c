/*
 * pymalloc: arenas of CPython's allocator for objects of at most 512 bytes. Input: memory. Output: claims. Arenas are
 * mapped one by one and merge with each other and with unrelated memory, so pools are recognized: each begins with a
 * header that must be consistent (Objects/obmalloc.c, pool_header). An arena's first pool is the first one carved.
 */
#include "pymalloc.h"
#include "glibc.h"

#include <stdlib.h>

enum { SIZE_CLASSES = 32, PROBES_MAX = 2048, BURST = 64 };

const struct lh_pool_layout lh_pool_layouts[LH_POOL_LAYOUTS] = {
	{16 * LH_KIB, LH_MIB},
	{4 * LH_KIB, 256 * LH_KIB},
};

struct pool_search {
	const struct lh_heap_memory *memory;
	const struct lh_pool_layout *layout;
	uint64_t known_until; /* memory before this is claimed, or examined */
	struct lh_owners *owners;
};

/*
 * Words: count, freeblock, nextpool, prevpool, arenaindex | szidx << 32, nextoffset | maxnextoffset << 32.
 * maxnextoffset = pool - size; nextoffset advances by size, beginning after the header.
 */
bool lh_pool_parse(const struct lh_pool_layout *layout, const struct lh_peek *peek, struct lh_pool_header *ret)
{
	const uint64_t *words = peek->words;
	uint64_t index = words[4] >> 32, size = (index + 1) * 16, next = words[5] & UINT32_MAX;
	if (!peek->is_read || index >= SIZE_CLASSES || words[5] >> 32 != layout->pool_bytes - size)
		return false;
	uint32_t used_count = (uint32_t)words[0];
	uint64_t capacity = (layout->pool_bytes - LH_POOL_HEADER_BYTES) / size;
	if (used_count > capacity || next < LH_POOL_HEADER_BYTES + size || next > layout->pool_bytes ||
	    (next - LH_POOL_HEADER_BYTES) % size)
		return false;
	*ret = (struct lh_pool_header){used_count, (uint32_t)words[4], size};
	return true;
}

bool lh_pymalloc_find_pool(struct lh_image *image, uint64_t addr, struct lh_pymalloc_pool *ret)
{
	for (size_t i = 0; i < LH_POOL_LAYOUTS; i++) {
		const struct lh_pool_layout *layout = &lh_pool_layouts[i];
		struct lh_peek peek = {.addr = lh_align_down(addr, layout->pool_bytes)};
		struct lh_pool_header header;
		peek.is_read = lh_image_read(image, peek.addr, peek.words, sizeof(peek.words)) == sizeof(peek.words);
		if (addr - peek.addr < LH_POOL_HEADER_BYTES || !lh_pool_parse(layout, &peek, &header))
			continue;
		*ret = (struct lh_pymalloc_pool){
			.range = {peek.addr + LH_POOL_HEADER_BYTES, peek.addr + layout->pool_bytes},
			.block_bytes = header.block_bytes,
			.used_count = header.used_count,
		};
		return true;
	}
	return false;
}

static struct lh_error *peek_steps(const struct pool_search *search, uint64_t first, uint64_t step, size_t count,
				   struct lh_peek *ret)
{
	for (size_t i = 0; i < count; i++)
		ret[i] = (struct lh_peek){.addr = first + i * step};
	return count ? search->memory->peek(search->memory->context, ret, count) : NULL;
}

/* The lowest of the adjoining pools below `pool` with the same arena, not below `floor`. */
static struct lh_error *find_first_pool(const struct pool_search *search, uint64_t pool, uint32_t arena_index,
					uint64_t floor, uint64_t *ret)
{
	struct lh_peek peeks[256] = {0};
	uint64_t pool_bytes = search->layout->pool_bytes, most = search->layout->arena_bytes / pool_bytes - 1;
	size_t count = lh_min_u64(most, (pool - floor) / pool_bytes);
	LH_TRY(peek_steps(search, pool - count * pool_bytes, pool_bytes, count, peeks));
	*ret = pool;
	for (size_t i = count; i--;) {
		struct lh_pool_header header;
		if (!lh_pool_parse(search->layout, &peeks[i], &header) || header.arena_index != arena_index)
			break;
		*ret = peeks[i].addr;
	}
	return NULL;
}

/*
 * Arenas adjoining the one at `arena`, upwards or downwards: each is recognized by its first pool. Returns the end of
 * the last one, or with `down` the start of the lowest.
 */
static struct lh_error *follow_arenas(const struct pool_search *search, uint64_t arena, uint64_t limit, bool down,
				      uint64_t *ret)
{
	struct lh_peek peeks[BURST];
	uint64_t arena_bytes = search->layout->arena_bytes;
	for (bool goes_on = true; goes_on;) {
		uint64_t room = (down ? arena - limit : limit - arena) / arena_bytes;
		size_t count = lh_min_u64(room, BURST), good = 0;
		uint64_t lowest = down ? arena - count * arena_bytes : arena;
		LH_TRY(peek_steps(search, lh_align_up(lowest, search->layout->pool_bytes), arena_bytes, count, peeks));
		struct lh_pool_header header;
		while (good < count && lh_pool_parse(search->layout, &peeks[down ? count - 1 - good : good], &header))
			good++;
		arena = down ? arena - good * arena_bytes : arena + good * arena_bytes;
		goes_on = good == BURST;
	}
	*ret = arena;
	return NULL;
}

/*
 * If an arena does not begin at a multiple of the pool's size, its end is within the last pool's place, where no pool
 * fits: those pages stay untouched. The first present page belongs to the next mapping, which the kernel has merged
 * with the arena.
 */
static struct lh_error *trim_last_place(const struct pool_search *search, uint64_t start, uint64_t *end)
{
	struct lh_peek peeks[16] = {0};
	struct lh_pool_header header;
	uint64_t pool_bytes = search->layout->pool_bytes, place = *end - pool_bytes;
	size_t count = lh_min_u64(pool_bytes / LH_PAGE_BYTES, LH_ARRAY_COUNT(peeks));
	if (*end % pool_bytes || pool_bytes == LH_PAGE_BYTES || place <= start)
		return NULL;
	LH_TRY(peek_steps(search, place, LH_PAGE_BYTES, count, peeks));
	if (lh_pool_parse(search->layout, &peeks[0], &header))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (!peeks[i].is_read)
			continue;
		*end = peeks[i].addr;
		return NULL;
	}
	return NULL;
}

/*
 * Arenas begin at a page, pools at a multiple of their size: if unrelated memory precedes an arena, the arena's first
 * pages are lost.
 */
static struct lh_error *claim_around(struct pool_search *search, const struct lh_region *region, uint64_t pool,
				     uint32_t arena_index)
{
	uint64_t floor = lh_max_u64(region->start, search->known_until), first, start, end;
	LH_TRY(find_first_pool(search, pool, arena_index, lh_align_up(floor, search->layout->pool_bytes), &first));
	uint64_t arena = first - floor < search->layout->pool_bytes ? floor : first;
	LH_TRY(follow_arenas(search, arena, floor, true, &start));
	uint64_t next = lh_min_u64(arena + search->layout->arena_bytes, region->end);
	LH_TRY(follow_arenas(search, next, region->end, false, &end));
	LH_TRY(trim_last_place(search, start, &end));
	search->known_until = end;
	return lh_heap_claim(search->memory, start, end, LH_REGION_PYMALLOC, search->owners);
}

static struct lh_error *claim_layout(struct pool_search *search)
{
	struct lh_peeks probes LH_CLEANUP(lh_peeks_deinit) = {0};
	/* A quarter of an arena: pools are carved from its start, so the first probe in an arena hits a pool. */
	LH_TRY(lh_heap_peek_aligned(search->memory, LH_HEAP_PLAIN, search->layout->arena_bytes,
				    search->layout->arena_bytes / 4, PROBES_MAX, &probes));
	for (size_t i = 0; i < probes.items.count; i++) {
		struct lh_pool_header header;
		const struct lh_peek *probe = &probes.items.items[i];
		if (probe->addr < search->known_until || !lh_pool_parse(search->layout, probe, &header))
			continue;
		size_t index = lh_heap_region_index(search->memory, probe->addr);
		LH_TRY(claim_around(search, &search->memory->list->regions.items[index], probe->addr,
				    header.arena_index));
	}
	return NULL;
}

/* ---------------------------------------------------------------- arenas that have just begun */

struct gap_starts {
	LH_VEC(uint64_t) items; /* ascending, like the peeks */
	struct lh_peeks peeks;  /* of the first possible pool in each gap */
};

static void gap_starts_deinit(struct gap_starts *gaps)
{
	lh_vec_deinit(&gaps->items);
	lh_peeks_deinit(&gaps->peeks);
}

/* After chunks of glibc, which are claimed later. */
static uint64_t skip_mapped_chunks(const struct pool_search *search, struct lh_range gap)
{
	enum { CHUNKS_MAX = 16 };
	uint64_t words[2], bytes;
	for (int i = 0; i < CHUNKS_MAX && gap.start < gap.end; i++) {
		if (!lh_heap_read_words(search->memory, gap.start, words, 2) ||
		    !lh_glibc_parse_mapped(words, lh_range_bytes(gap), &bytes))
			break;
		gap.start += bytes;
	}
	return gap.start;
}

static struct lh_error *add_gap_start(const struct pool_search *search, struct lh_range gap, struct gap_starts *ret)
{
	gap.start = skip_mapped_chunks(search, gap);
	struct lh_peek peek = {.addr = lh_align_up(gap.start, search->layout->pool_bytes)};
	if (gap.end < gap.start || lh_range_bytes(gap) < search->layout->arena_bytes || ret->items.count >= PROBES_MAX)
		return NULL;
	LH_TRY(lh_vec_push(&ret->items, gap.start));
	return lh_vec_push(&ret->peeks.items, peek);
}

/* Unowned memory: where a mapping begins, and after owned ranges in it. */
static struct lh_error *find_gaps(const struct pool_search *search, struct gap_starts *ret)
{
	const struct lh_owners *owners = search->owners;
	for (size_t i = 0; i < search->memory->list->regions.count; i++) {
		const struct lh_region *region = &search->memory->list->regions.items[i];
		uint64_t at = region->start;
		if (!lh_heap_has(search->memory, i, LH_HEAP_PLAIN))
			continue;
		for (size_t k = lh_owners_index(owners, at); at < region->end; k++) {
			const struct lh_owner_range *owner = k < owners->items.count ? &owners->items.items[k] : NULL;
			uint64_t end = owner ? lh_min_u64(owner->range.start, region->end) : region->end;
			LH_TRY(add_gap_start(search, (struct lh_range){at, end}, ret));
			if (!owner)
				break;
			at = owner->range.end;
		}
	}
	return NULL;
}

/* The newest arena may have too few pools for a probe to hit one. Its first pool gives it away. */
static struct lh_error *claim_newest_arenas(const struct pool_search *search)
{
	struct gap_starts gaps LH_CLEANUP(gap_starts_deinit) = {0};
	LH_TRY(lh_owners_settle(search->owners));
	LH_TRY(find_gaps(search, &gaps));
	if (!gaps.items.count)
		return NULL;
	LH_TRY(search->memory->peek(search->memory->context, gaps.peeks.items.items, gaps.peeks.items.count));
	for (size_t i = 0; i < gaps.items.count; i++) {
		struct lh_pool_header header;
		uint64_t start = gaps.items.items[i];
		if (lh_pool_parse(search->layout, &gaps.peeks.items.items[i], &header))
			LH_TRY(lh_heap_claim(search->memory, start, start + search->layout->arena_bytes,
					     LH_REGION_PYMALLOC, search->owners));
	}
	return NULL;
}

struct lh_error *lh_pymalloc_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	for (size_t i = 0; i < LH_POOL_LAYOUTS; i++) {
		struct pool_search search = {.memory = memory, .layout = &lh_pool_layouts[i], .owners = ret};
		size_t count_before = ret->items.count;
		LH_TRY(claim_layout(&search));
		if (ret->items.count > count_before)
			return claim_newest_arenas(&search);
	}
	return NULL;
}
