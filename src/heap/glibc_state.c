/*
 * glibc_state: finds glibc malloc's own variables without symbols. Input: writable data of modules, and heaps of
 * arenas. Output: arenas, and the fields of mp_ that walks are checked against. Bin 127 is always empty in practice, so
 * its pair points to itself: that is searched for. The other bins, the ring of arenas and mp_'s sums confirm it.
 */
#include "glibc.h"

#include <stdlib.h>
#include <string.h>

/* Fields of malloc_state, counted from the pair of bin 1. */
enum {
	TOP_OFFSET = -16,
	LAST_BIN_OFFSET = (LH_GLIBC_BINS - 1) * 16,
	NEXT_OFFSET = 2048,
	SYSTEM_OFFSET = 2072,
	ARENAS_MAX = 4096,
};

/* Offset of bins in malloc_state, and its size: glibc 2.27 to 2.42, 2.43 on, 2.23 to 2.26 (2.17 to 2.22 are 8 less). */
static const struct state_layout {
	uint64_t bins_offset;
	uint64_t bytes;
} state_layouts[] = {{112, 2200}, {24, 2112}, {104, 2192}};

void lh_glibc_deinit(struct lh_glibc *glibc)
{
	lh_vec_deinit(&glibc->arenas);
	lh_glibc_heaps_deinit(&glibc->heaps);
	lh_vec_deinit(&glibc->fast);
	lh_vec_deinit(&glibc->candidates);
}

struct lh_glibc_arena *lh_glibc_arena_at(struct lh_glibc *glibc, uint64_t addr)
{
	for (size_t i = 0; i < glibc->arenas.count; i++) {
		if (glibc->arenas.items[i].addr == addr)
			return &glibc->arenas.items[i];
	}
	return NULL;
}

uint64_t lh_glibc_first_chunk(const struct lh_glibc *glibc, const struct lh_glibc_heap *heap)
{
	uint64_t state_bytes = state_layouts[0].bytes;
	for (size_t i = 0; i < LH_ARRAY_COUNT(state_layouts); i++) {
		if (state_layouts[i].bins_offset == glibc->bins_offset)
			state_bytes = state_layouts[i].bytes;
	}
	return lh_align_up(heap->arena_addr + state_bytes, LH_GLIBC_ALIGNMENT);
}

/* ---------------------------------------------------------------- bins */

/* Each pair points to itself, or to chunks. */
static bool are_bins(struct lh_heap_tour *tour, uint64_t bins_addr)
{
	uint64_t words[LH_GLIBC_BINS * 2];
	if (!lh_heap_words(tour, bins_addr, words, LH_ARRAY_COUNT(words)))
		return false;
	for (size_t i = 0; i < LH_GLIBC_BINS; i++) {
		uint64_t self = bins_addr + i * 16 - 16, fd = words[i * 2], bk = words[i * 2 + 1];
		bool is_empty = fd == self && bk == self;
		bool is_list = fd && bk && fd != self && bk != self && fd % 16 == 0 && bk % 16 == 0;
		if (!is_empty && !is_list)
			return false;
	}
	return true;
}

/* Follows the ring of arenas from the given bins, assuming that offset of bins: true if it closes. */
static bool closes_ring(struct lh_heap_tour *tour, uint64_t bins_addr, uint64_t bins_offset)
{
	uint64_t first = bins_addr - bins_offset, addr = first, next;
	for (int i = 0; i < ARENAS_MAX; i++) {
		if (addr % 8 || addr > UINT64_MAX / 2 ||
		    !lh_heap_words(tour, addr + bins_offset + NEXT_OFFSET, &next, 1))
			return false;
		if (next == first)
			return true;
		addr = next;
	}
	return false;
}

static bool find_bins_offset(struct lh_glibc *glibc, uint64_t bins_addr)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(state_layouts); i++) {
		if (!closes_ring(glibc->tour, bins_addr, state_layouts[i].bins_offset))
			continue;
		glibc->bins_offset = state_layouts[i].bins_offset;
		return true;
	}
	return false;
}

static struct lh_error *add_state(struct lh_glibc *glibc, uint64_t bins_addr, bool is_main)
{
	struct lh_glibc_arena arena = {
		.addr = bins_addr - glibc->bins_offset,
		.bins_addr = bins_addr,
		.is_main = is_main,
	};
	uint64_t system_addr = bins_addr + SYSTEM_OFFSET;
	if (!lh_heap_words(glibc->tour, bins_addr + TOP_OFFSET, &arena.top_addr, 1) ||
	    !lh_heap_words(glibc->tour, system_addr, &arena.system_bytes, 1) || lh_glibc_arena_at(glibc, arena.addr))
		return NULL;
	/* The top of an unused arena is in the arena itself (initial_top). */
	if (arena.top_addr >= arena.addr && arena.top_addr < arena.addr + state_layouts[0].bytes)
		arena.top_addr = 0;
	return lh_vec_push(&glibc->arenas, arena);
}

/* The main arena and those that it is chained with. */
static struct lh_error *add_ring(struct lh_glibc *glibc, uint64_t bins_addr)
{
	uint64_t first = bins_addr - glibc->bins_offset, addr = first, next = 0;
	for (int i = 0; i < ARENAS_MAX; i++) {
		LH_TRY(add_state(glibc, addr + glibc->bins_offset, addr == first));
		if (!lh_heap_words(glibc->tour, addr + glibc->bins_offset + NEXT_OFFSET, &next, 1) || next == first)
			break;
		addr = next;
	}
	return NULL;
}

/* ---------------------------------------------------------------- mp_ */

/*
 * Offsets from n_mmaps_max, an int that is 65536 unless mallopt changed it. Since 2.35 max_n_mmaps, no_dyn_threshold
 * and 4 bytes of padding follow it; before 2.35 only the first two. tcache_count: 0 before 2.26.
 */
static const struct parameter_layout {
	uint64_t alignment_rest; /* alignment of n_mmaps_max modulo 8 */
	uint64_t mapped_bytes_offset;
	uint64_t sbrk_base_offset;
	uint64_t tcache_count_offset;
} parameter_layouts[] = {
	{0, 16, 32, 56}, /* 2.35 to 2.44 */
	{4, 12, 28, 52}, /* 2.24 to 2.34 */
	{4, 12, 36, 0},  /* 2.17 to 2.23 */
};

enum { MMAPS_MAX_DEFAULT = 65536, SEARCHED_AROUND = 16384, TCACHE_COUNT_MAX = 65535 };

static bool begins_main_heap(struct lh_glibc *glibc, uint64_t sbrk_base)
{
	uint64_t words[2], start = lh_align_up(sbrk_base, LH_GLIBC_ALIGNMENT);
	const struct lh_glibc_arena *arena = &glibc->arenas.items[0];
	return sbrk_base && sbrk_base < UINT64_MAX / 2 && arena->top_addr >= start &&
	       lh_heap_words(glibc->tour, start, words, 2) && words[1] & LH_GLIBC_PREVIOUS_USED &&
	       (words[1] & ~(uint64_t)LH_GLIBC_FLAGS) >= LH_GLIBC_CHUNK_MIN;
}

static bool read_parameters(struct lh_glibc *glibc, uint64_t anchor, const struct parameter_layout *layout)
{
	uint64_t mapped[2], sbrk_base, tcache_count = 0;
	const uint8_t *counts = lh_heap_bytes(glibc->tour, anchor - 4, 12);
	uint32_t count, most;
	if (!counts)
		return false;
	memcpy(&count, counts, sizeof(count));
	memcpy(&most, counts + 8, sizeof(most));
	if (count > most || !lh_heap_words(glibc->tour, anchor + layout->mapped_bytes_offset, mapped, 2) ||
	    mapped[0] > mapped[1] || mapped[0] % LH_PAGE_BYTES % 4080 || (count && !mapped[0]) ||
	    !lh_heap_words(glibc->tour, anchor + layout->sbrk_base_offset, &sbrk_base, 1))
		return false;
	if (layout->tcache_count_offset &&
	    (!lh_heap_words(glibc->tour, anchor + layout->tcache_count_offset, &tcache_count, 1) ||
	     tcache_count > TCACHE_COUNT_MAX))
		return false;
	bool is_unused = !sbrk_base && !glibc->arenas.items[0].top_addr;
	if (!is_unused && !begins_main_heap(glibc, sbrk_base))
		return false;
	glibc->parameters = (struct lh_glibc_parameters){true, sbrk_base, count, mapped[0], tcache_count};
	return true;
}

static void find_parameters(struct lh_glibc *glibc)
{
	uint64_t around = glibc->arenas.items[0].bins_addr;
	uint64_t start = lh_align_down(around - lh_min_u64(around, SEARCHED_AROUND), 8);
	for (uint64_t addr = start; addr < around + SEARCHED_AROUND; addr += 4) {
		uint32_t value;
		const uint8_t *bytes = lh_heap_bytes(glibc->tour, addr, sizeof(value));
		if (!bytes)
			continue;
		memcpy(&value, bytes, sizeof(value));
		for (size_t i = 0; value == MMAPS_MAX_DEFAULT && i < LH_ARRAY_COUNT(parameter_layouts); i++) {
			if (addr % 8 == parameter_layouts[i].alignment_rest &&
			    read_parameters(glibc, addr, &parameter_layouts[i]))
				return;
		}
	}
}

/* ---------------------------------------------------------------- search */

/* The highest of a cluster: the place one bin before the right one looks like bins, too. */
static struct lh_error *take_main(struct lh_glibc *glibc, uint64_t last_bin_addr)
{
	uint64_t bins_addr = last_bin_addr - LAST_BIN_OFFSET;
	if (!are_bins(glibc->tour, bins_addr) || are_bins(glibc->tour, bins_addr + 16) ||
	    !find_bins_offset(glibc, bins_addr))
		return NULL;
	size_t known_count = glibc->arenas.count;
	LH_TRY(add_ring(glibc, bins_addr));
	if (!known_count && glibc->arenas.count)
		find_parameters(glibc);
	return NULL;
}

static struct lh_error *search_run(struct lh_glibc *glibc, struct lh_range run)
{
	uint64_t words[512];
	for (uint64_t page = run.start; page < run.end; page += LH_PAGE_BYTES) {
		if (!lh_heap_words(glibc->tour, page, words, LH_ARRAY_COUNT(words)))
			continue;
		for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
			uint64_t addr = page + i * 8, second;
			if (words[i] != addr - 16)
				continue;
			if (i + 1 < LH_ARRAY_COUNT(words))
				second = words[i + 1];
			else if (!lh_heap_words(glibc->tour, addr + 8, &second, 1))
				continue;
			if (second == addr - 16)
				LH_TRY(take_main(glibc, addr));
		}
	}
	return NULL;
}

static struct lh_error *search_data(struct lh_glibc *glibc, const struct lh_region *region)
{
	const struct lh_heap_memory *memory = glibc->tour->memory;
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(memory->find_present(memory->context, (struct lh_range){region->start, region->end}, &runs));
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(search_run(glibc, runs.runs.items[i].range));
	return NULL;
}

/* Arenas that no ring names, since the dump lacks the module's data. */
static struct lh_error *add_unchained_arenas(struct lh_glibc *glibc)
{
	for (size_t i = 0; i < glibc->heaps.items.count; i++) {
		uint64_t addr = glibc->heaps.items.items[i].arena_addr;
		for (size_t j = 0; !glibc->bins_offset && j < LH_ARRAY_COUNT(state_layouts); j++) {
			if (are_bins(glibc->tour, addr + state_layouts[j].bins_offset))
				glibc->bins_offset = state_layouts[j].bins_offset;
		}
		if (!lh_glibc_arena_at(glibc, addr) && are_bins(glibc->tour, addr + glibc->bins_offset))
			LH_TRY(add_state(glibc, addr + glibc->bins_offset, false));
	}
	return NULL;
}

struct lh_error *lh_glibc_find_state(struct lh_glibc *glibc)
{
	const struct lh_region_list *list = glibc->tour->memory->list;
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		bool is_data = region->kind == LH_REGION_DATA || region->kind == LH_REGION_BSS;
		if (is_data && region->protection & LH_PROT_WRITE)
			LH_TRY(search_data(glibc, region));
	}
	LH_TRY(lh_glibc_find_heaps(glibc->tour->memory, &glibc->heaps));
	return add_unchained_arenas(glibc);
}
