/*
 * mimalloc_map: pages of mimalloc 3.x. Input: memory. Output: pages, arenas, claims. There are no segments: a two-level
 * map names the page of each slice of 64 KiB (src/page-map.c). The root has one word per 512 MiB of addresses; a word
 * of a module's data points to it. A submap has 8192 words. A page says where its blocks begin, and thus at which place
 * of the map it must be.
 */
#include "mimalloc.h"

#include <stdlib.h>
#include <string.h>

#define SUBMAP_BYTES (64 * LH_KIB)
#define ROOT_BYTES   (2 * LH_MIB)

enum { SLICE_BITS = 16, SUBMAP_BITS = 13, SUBMAP_ENTRIES = 1 << SUBMAP_BITS, ADDRESS_BITS = 47 };

/* A page of the root covers 256 GiB: few are touched. The structures before the root's words (3.4) are small. */
enum { ROOT_PAGES_MAX = 64, ROOT_HEADER_BYTES_MAX = 256, TRIED_SLOTS_MAX = 64, TRIED_ENTRIES_MAX = 32 };

#define DATA_BYTES_MAX (16 * LH_MIB)
#define BSS_BYTES_MAX  (4 * LH_MIB)

enum { PIECE_BYTES = 64 * 1024, ENTRY_BYTES = 136, ARENAS_MAX = 4096 };

/* Offsets in mi_page_t (include/mimalloc/types.h). */
struct entry_layout {
	uint8_t free, used, capacity, reserved, local_free, thread_free, block_bytes;
	uint8_t start;      /* of where blocks begin */
	uint8_t start_unit; /* 0: an address; else a u32, in units of so many bytes from the entry */
	uint8_t heap;
	uint8_t memory; /* of mi_memid_t: {arena, u32 slice, u32 slices, kind} or {address, bytes, kind} */
	bool is_arena_apart;
};

static const struct entry_layout entry_layouts[] = {
	{8, 16, 18, 20, 24, 32, 40, 48, 0, 64, 96, false},  /* 3.0 to 3.3 */
	{8, 16, 18, 20, 24, 32, 40, 48, 8, 64, 88, false},  /* 3.4 */
	{16, 40, 56, 58, 24, 64, 32, 48, 1, 72, 104, true}, /* 3.6 */
};

/* A page's flags are in the number of its thread, before the free list. IS_OWNED is a flag of the threads' list. */
enum { IS_OWNED = 1, THREAD_BEFORE_FREE = 8 };

/*
 * Words of mi_arena_t. It begins the memory that it describes, whose slices it counts, and those that it takes itself;
 * in 3.6 it lies within, and says where the memory begins.
 */
enum {
	ARENA_SLICES_WORD = 4,
	ARENA_INFO_WORD = 5,
	ARENA_APART_START_WORD = 5,
	ARENA_APART_SLICES_WORD = 6,
	ARENA_WORDS = 8
};

struct mimalloc_map {
	const struct lh_heap_memory *memory;
	const struct lh_mimalloc_visitor *visitor;
	uint64_t *scratch; /* PIECE_BYTES */
	const struct entry_layout *layout;
	uint64_t latest_entry;
	uint64_t latest_end; /* of the latest page's blocks */
	LH_VEC(uint64_t) arenas;
	uint64_t searched_bytes;
};

static void deinit_mimalloc_map(struct mimalloc_map *map)
{
	lh_vec_deinit(&map->arenas);
	free(map->scratch);
}

/* ---------------------------------------------------------------- pages */

static bool parse_entry(uint64_t addr, const uint8_t *bytes, const struct entry_layout *layout,
			struct lh_mimalloc_page *ret)
{
	uint64_t block_area, end;
	*ret = (struct lh_mimalloc_page){
		.entry_addr = addr,
		.free = lh_load_u64(bytes, layout->free),
		.used = lh_load_u16(bytes, layout->used),
		.capacity = lh_load_u16(bytes, layout->capacity),
		.reserved = lh_load_u16(bytes, layout->reserved),
		.has_aligned = lh_load_u64(bytes, layout->free - THREAD_BEFORE_FREE) & LH_MIMALLOC_HAS_ALIGNED,
		.local_free = lh_load_u64(bytes, layout->local_free),
		.thread_free = lh_load_u64(bytes, layout->thread_free) & ~(uint64_t)IS_OWNED,
		.block_bytes = lh_load_u64(bytes, layout->block_bytes),
		.heap = lh_load_u64(bytes, layout->heap),
		.blocks = layout->start_unit ? addr + (uint64_t)lh_load_u32(bytes, layout->start) * layout->start_unit
					     : lh_load_u64(bytes, layout->start),
	};
	ret->start = lh_align_down(ret->blocks, LH_MIMALLOC_SLICE_BYTES);
	if (ret->blocks >> ADDRESS_BITS || ret->block_bytes % 8 || !ret->block_bytes || !ret->reserved ||
	    !lh_mul_u64(ret->reserved, ret->block_bytes, &block_area) || !lh_add_u64(ret->blocks, block_area, &end) ||
	    end >> ADDRESS_BITS || ret->used > ret->capacity)
		return false;
	ret->bytes = lh_align_up(end, LH_MIMALLOC_SLICE_BYTES) - ret->start;
	return lh_mimalloc_page_is_sane(ret);
}

/* Reads the entry at `slice` of the map, in any layout, or in the map's layout once it is known. */
static bool read_entry(struct mimalloc_map *map, uint64_t addr, uint64_t slice, uint8_t *bytes,
		       struct lh_mimalloc_page *ret)
{
	if (addr % 8 || !lh_heap_is_private(map->memory, addr, ENTRY_BYTES) ||
	    map->memory->read(map->memory->context, addr, bytes, ENTRY_BYTES) != ENTRY_BYTES)
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(entry_layouts); i++) {
		const struct entry_layout *layout = &entry_layouts[i];
		if ((!map->layout || map->layout == layout) && parse_entry(addr, bytes, layout, ret) &&
		    ret->start >> SLICE_BITS == slice) {
			map->layout = layout;
			return true;
		}
	}
	return false;
}

struct map_arena {
	uint64_t start, slices, info_slices;
};

static bool read_arena(const struct mimalloc_map *map, uint64_t addr, struct map_arena *ret)
{
	uint64_t words[ARENA_WORDS];
	bool is_apart = map->layout->is_arena_apart;
	if (addr % LH_PAGE_BYTES || !lh_heap_read_words(map->memory, addr, words, ARENA_WORDS))
		return false;
	const uint64_t *counts = words + (is_apart ? ARENA_APART_SLICES_WORD : ARENA_SLICES_WORD);
	*ret = (struct map_arena){is_apart ? words[ARENA_APART_START_WORD] : addr, counts[0], counts[1]};
	return words[0] <= addr && words[1] && words[1] >> ADDRESS_BITS == 0 && ret->slices &&
	       ret->slices <= words[1] >> SLICE_BITS && ret->info_slices && ret->info_slices < ret->slices &&
	       ret->start <= addr && addr - ret->start < words[1] && ret->start % LH_PAGE_BYTES == 0;
}

static struct lh_error *take_arena_once(struct mimalloc_map *map, uint64_t addr, const struct map_arena *arena)
{
	for (size_t i = 0; i < map->arenas.count; i++) {
		if (map->arenas.items[i] == addr)
			return NULL;
	}
	LH_TRY(lh_vec_push(&map->arenas, addr));
	if (!lh_heap_is_private(map->memory, arena->start, arena->slices * LH_MIMALLOC_SLICE_BYTES))
		return NULL;
	struct lh_range range = {arena->start, arena->start + arena->slices * LH_MIMALLOC_SLICE_BYTES};
	return map->visitor->take_arena(map->visitor->context, range, arena->info_slices * LH_MIMALLOC_SLICE_BYTES);
}

/* The page's memory, as far as its description is consistent. */
static struct lh_error *find_page_memory(struct mimalloc_map *map, const struct lh_mimalloc_page *page,
					 const uint8_t *bytes, struct lh_range *ret)
{
	uint64_t base = lh_load_u64(bytes, map->layout->memory);
	uint64_t length = lh_load_u64(bytes, map->layout->memory + 8), end = page->start + page->bytes;
	uint64_t slice = (uint32_t)length, slices = length >> 32;
	struct map_arena arena;
	*ret = (struct lh_range){page->start, end};
	if (read_arena(map, base, &arena) && arena.start + slice * LH_MIMALLOC_SLICE_BYTES == page->start &&
	    slices * LH_MIMALLOC_SLICE_BYTES >= page->bytes) {
		ret->end = page->start + slices * LH_MIMALLOC_SLICE_BYTES;
		return map->arenas.count < ARENAS_MAX ? take_arena_once(map, base, &arena) : NULL;
	}
	if (base <= page->blocks && base % LH_PAGE_BYTES == 0 && length % LH_PAGE_BYTES == 0 &&
	    length >> ADDRESS_BITS == 0 && base + length >= page->blocks + page->reserved * page->block_bytes)
		*ret = (struct lh_range){base, base + length};
	return NULL;
}

/* If several slices have the same entry, the first one contains the beginning of the blocks. */
static struct lh_error *take_slice(struct mimalloc_map *map, uint64_t slice, uint64_t entry_addr)
{
	struct lh_mimalloc_page page;
	uint8_t bytes[ENTRY_BYTES];
	struct lh_range range;
	if (!entry_addr || entry_addr == map->latest_entry || slice << SLICE_BITS < map->latest_end ||
	    !read_entry(map, entry_addr, slice, bytes, &page))
		return NULL;
	map->latest_entry = entry_addr;
	/* 3.0 leaves freed pages in the map. */
	if (!page.used && !page.heap)
		return NULL;
	map->latest_end = page.start + page.bytes;
	LH_TRY(find_page_memory(map, &page, bytes, &range));
	page.bytes = lh_max_u64(page.start + page.bytes, range.end) - page.start;
	return lh_heap_is_private(map->memory, page.start, LH_PAGE_BYTES)
		       ? map->visitor->take_page(map->visitor->context, &page, range)
		       : NULL;
}

/* ---------------------------------------------------------------- the map */

static struct lh_error *visit_submap(struct mimalloc_map *map, uint64_t first_slice, uint64_t submap)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = {lh_align_down(submap, LH_PAGE_BYTES),
				 lh_align_up(submap + SUBMAP_BYTES, LH_PAGE_BYTES)};
	LH_TRY(map->visitor->take_map(map->visitor->context, range));
	LH_TRY(map->memory->find_present(map->memory->context, range, &runs));
	for (size_t i = 0; i < runs.runs.count; i++) {
		uint64_t at = lh_max_u64(runs.runs.items[i].range.start, submap);
		uint64_t end = lh_min_u64(runs.runs.items[i].range.end, submap + SUBMAP_BYTES);
		size_t bytes = end > at ? end - at : 0;
		size_t got = map->memory->read(map->memory->context, at, map->scratch, bytes) / 8;
		for (size_t word = 0; word < got; word++)
			LH_TRY(take_slice(map, first_slice + (at - submap) / 8 + word, map->scratch[word]));
	}
	return NULL;
}

/* The slice of a submap's entry, by the page that it names. */
static bool find_slice_of(struct mimalloc_map *map, uint64_t entry_addr, uint64_t index, uint64_t *ret_first)
{
	struct lh_mimalloc_page page;
	uint8_t bytes[ENTRY_BYTES];
	if (map->memory->read(map->memory->context, entry_addr, bytes, ENTRY_BYTES) != ENTRY_BYTES)
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(entry_layouts); i++) {
		if (parse_entry(entry_addr, bytes, &entry_layouts[i], &page) &&
		    (page.start >> SLICE_BITS) % SUBMAP_ENTRIES == index) {
			*ret_first = (page.start >> SLICE_BITS) - index;
			return true;
		}
	}
	return false;
}

/* The first slice of a submap. Its first entries may belong to a page that began in the previous submap. */
static bool find_first_slice(struct mimalloc_map *map, uint64_t submap, uint64_t *ret)
{
	uint64_t words[LH_PAGE_BYTES / 8], latest = 0;
	size_t left = TRIED_ENTRIES_MAX;
	if (submap % 8 || submap >> ADDRESS_BITS)
		return false;
	for (uint64_t at = submap; at < submap + SUBMAP_BYTES; at += sizeof(words)) {
		size_t count = map->memory->read(map->memory->context, at, words, sizeof(words)) / 8;
		for (size_t i = 0; i < count; i++) {
			if (!words[i] || words[i] == latest)
				continue;
			latest = words[i];
			if (latest % 8 || latest >> ADDRESS_BITS || !left--)
				return false;
			if (find_slice_of(map, latest, (at - submap) / 8 + i, ret))
				return true;
		}
	}
	return false;
}

/* Slots of one page of the root. Words after the root are not slots. */
static struct lh_error *visit_root_page(struct mimalloc_map *map, uint64_t root, uint64_t page)
{
	uint64_t words[LH_PAGE_BYTES / 8], found_slice;
	if (!lh_heap_read_words(map->memory, page, words, LH_ARRAY_COUNT(words)))
		return NULL;
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
		uint64_t slot = page + i * 8, first_slice = (slot - root) / 8 << SUBMAP_BITS;
		if (words[i] && slot >= root && find_first_slice(map, words[i], &found_slice) &&
		    found_slice == first_slice)
			LH_TRY(visit_submap(map, first_slice, words[i]));
	}
	return NULL;
}

static struct lh_error *visit_root(struct mimalloc_map *map, uint64_t root, const struct lh_page_runs *runs)
{
	for (size_t i = 0; i < runs->runs.count; i++) {
		struct lh_range range = runs->runs.items[i].range;
		struct lh_range own = {range.start,
				       lh_min_u64(range.end, lh_align_down(root, LH_PAGE_BYTES) + ROOT_BYTES)};
		if (own.start < own.end)
			LH_TRY(map->visitor->take_map(map->visitor->context, own));
		for (uint64_t at = range.start; at < range.end; at += LH_PAGE_BYTES)
			LH_TRY(visit_root_page(map, root, at));
	}
	return NULL;
}

/* ---------------------------------------------------------------- finding the root */

/* From `first` on, all words of the root are zero or point to submaps. A dump may lack a submap's first pages. */
static bool may_be_slots(const struct mimalloc_map *map, const uint64_t *words, size_t first, size_t count)
{
	for (size_t i = first; i < count; i++) {
		if (words[i] % 8 || (words[i] && !lh_heap_may_be_private(map->memory, words[i], SUBMAP_BYTES)))
			return false;
	}
	return true;
}

/* A slot of the root tells where the root begins, by the page that its submap names. */
static bool find_root_by_slots(struct mimalloc_map *map, uint64_t addr, struct lh_range page, size_t *left,
			       uint64_t *ret)
{
	uint64_t words[LH_PAGE_BYTES / 8], first_slice;
	size_t before = page.start == addr ? ROOT_HEADER_BYTES_MAX / 8 : 0;
	if (!lh_heap_read_words(map->memory, page.start, words, LH_ARRAY_COUNT(words)) ||
	    !may_be_slots(map, words, before, LH_ARRAY_COUNT(words)))
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(words) && *left; i++) {
		if (!words[i] || words[i] % 8)
			continue;
		--*left;
		if (!find_first_slice(map, words[i], &first_slice))
			continue;
		*ret = page.start + i * 8 - (first_slice >> SUBMAP_BITS) * 8;
		if (*ret >= addr && *ret - addr <= ROOT_HEADER_BYTES_MAX)
			return true;
	}
	return false;
}

static uint64_t count_run_pages(const struct lh_page_runs *runs)
{
	uint64_t count = 0;
	for (size_t i = 0; i < runs->runs.count; i++)
		count += lh_range_bytes(runs->runs.items[i].range) / LH_PAGE_BYTES;
	return count;
}

/* Looks after an address in a module's data. The root's first page is touched; it contains the root's first words. */
static struct lh_error *try_root(struct mimalloc_map *map, uint64_t addr, bool *ret_is_found)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	size_t left = TRIED_SLOTS_MAX;
	uint64_t root;
	if (!lh_heap_may_be_private(map->memory, addr, ROOT_BYTES))
		return NULL;
	/* If words precede the slots, they end one page later. */
	LH_TRY(map->memory->find_present(map->memory->context,
					 (struct lh_range){addr, addr + ROOT_BYTES + LH_PAGE_BYTES}, &runs));
	if (!runs.runs.count || runs.runs.items[0].range.start != addr || count_run_pages(&runs) > ROOT_PAGES_MAX)
		return NULL;
	for (size_t i = 0; i < runs.runs.count; i++) {
		struct lh_range range = runs.runs.items[i].range;
		for (uint64_t at = range.start; at < range.end; at += LH_PAGE_BYTES) {
			*ret_is_found =
				find_root_by_slots(map, addr, (struct lh_range){at, at + LH_PAGE_BYTES}, &left, &root);
			if (*ret_is_found)
				return visit_root(map, root, &runs);
		}
	}
	return NULL;
}

static struct lh_error *try_roots(struct mimalloc_map *map, size_t count, bool *ret_is_found)
{
	uint64_t latest = 0;
	for (size_t i = 0; i < count && !*ret_is_found; i++) {
		uint64_t word = map->scratch[i];
		if (!word || word % LH_PAGE_BYTES || word >> ADDRESS_BITS || word == latest ||
		    !lh_heap_is_private(map->memory, word, LH_PAGE_BYTES))
			continue;
		latest = word;
		LH_TRY(try_root(map, word, ret_is_found));
	}
	return NULL;
}

static struct lh_error *search_for_root(struct mimalloc_map *map, struct lh_range data, bool *ret_is_found)
{
	for (uint64_t at = data.start, step; at < data.end && map->searched_bytes < DATA_BYTES_MAX; at += step) {
		size_t bytes = lh_min_u64(PIECE_BYTES, data.end - at);
		size_t got = map->memory->read(map->memory->context, at, map->scratch, bytes);
		/* Behind what is there, a page is not. */
		step = lh_align_down(got, LH_PAGE_BYTES) + (got < bytes ? LH_PAGE_BYTES : 0);
		map->searched_bytes += got;
		LH_TRY(try_roots(map, got / 8, ret_is_found));
		if (*ret_is_found)
			break;
	}
	return NULL;
}

/* The part of `*data` to search next, if any. In a dump, a module's bss is anonymous memory after its data. */
static bool take_module_data(const struct lh_heap_memory *memory, size_t index, struct lh_range *data)
{
	bool is_data = lh_heap_has(memory, index, LH_HEAP_DATA), touches = memory->ranges[index].start == data->end;
	if (!is_data && !touches)
		return false;
	const struct lh_region *region = &memory->list->regions.items[index];
	bool is_behind = touches && region->kind == LH_REGION_ANON && region->protection & LH_PROT_WRITE;
	if (!is_data && !is_behind)
		return false;
	*data = (struct lh_range){region->start, region->end};
	if (is_behind)
		data->end = lh_min_u64(data->end, region->start + BSS_BYTES_MAX);
	return true;
}

struct lh_error *lh_mimalloc_visit_map(const struct lh_heap_memory *memory, const struct lh_mimalloc_visitor *visitor)
{
	struct mimalloc_map map LH_CLEANUP(deinit_mimalloc_map) = {.memory = memory, .visitor = visitor};
	map.scratch = malloc(PIECE_BYTES);
	if (!map.scratch)
		return lh_error_no_memory();
	struct lh_range data = {0};
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		bool is_found = false;
		if (take_module_data(memory, i, &data))
			LH_TRY(search_for_root(&map, data, &is_found));
		if (is_found)
			break;
	}
	return NULL;
}

/* ---------------------------------------------------------------- claiming */

struct map_claim {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
	struct lh_range arena; /* the latest arena: its pages are claimed with it */
};

static struct lh_error *claim_arena(void *context, struct lh_range arena, uint64_t info_bytes)
{
	struct map_claim *claim = context;
	(void)info_bytes;
	claim->arena = arena;
	return lh_heap_claim(claim->memory, arena.start, arena.end, LH_REGION_MIMALLOC, claim->owners);
}

static struct lh_error *claim_page(void *context, const struct lh_mimalloc_page *page, struct lh_range memory)
{
	struct map_claim *claim = context;
	(void)page;
	if (memory.start >= claim->arena.start && memory.end <= claim->arena.end)
		return NULL;
	return lh_heap_claim(claim->memory, memory.start, memory.end, LH_REGION_MIMALLOC, claim->owners);
}

static struct lh_error *claim_map(void *context, struct lh_range map)
{
	struct map_claim *claim = context;
	return lh_heap_claim(claim->memory, map.start, map.end, LH_REGION_MIMALLOC, claim->owners);
}

struct lh_error *lh_mimalloc_claim_map(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct map_claim claim = {.memory = memory, .owners = ret};
	struct lh_mimalloc_visitor visitor = {claim_arena, claim_page, claim_map, &claim};
	return lh_mimalloc_visit_map(memory, &visitor);
}
