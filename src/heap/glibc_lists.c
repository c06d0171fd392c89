/*
 * glibc_lists: lists of freed chunks: fastbins and threads' caches, whose chunks look used, and bins, which a walk is
 * checked against. Input: arenas, and chunks of a cache's size. Output: addresses. Lists are bounded. Links are decoded
 * as "safe linking" (glibc 2.32: address of the link >> 12 XOR the link) or plain: whichever makes the list end
 * properly.
 */
#include "glibc.h"

#include <stdlib.h>
#include <string.h>

enum { FASTBINS = 10, FASTBINS_OFFSET = -96 /* from bins */, LINK_OFFSET = 16 };

static uint64_t decode_link(uint64_t stored, uint64_t addr, bool is_safe)
{
	return is_safe ? stored ^ addr >> 12 : stored;
}

/* The size in the header of the chunk whose memory is at `addr`; 0 if it is invalid. */
static uint64_t chunk_bytes_at(struct lh_heap_tour *tour, uint64_t addr)
{
	uint64_t size;
	if (!addr || addr % LH_GLIBC_ALIGNMENT || !lh_heap_words(tour, addr - 8, &size, 1))
		return 0;
	return size & ~(uint64_t)LH_GLIBC_FLAGS;
}

/* ---------------------------------------------------------------- fastbins */

/* Appends the headers of one list of chunks of `chunk_bytes`; false if the list does not end. */
static bool follow_fastbin(struct lh_glibc *glibc, uint64_t header, uint64_t chunk_bytes, bool is_safe,
			   struct lh_error **ret_error)
{
	struct lh_list_guard guard = {0};
	while (header) {
		uint64_t link;
		if (lh_list_returns(&guard, header) ||
		    chunk_bytes_at(glibc->tour, header + LH_GLIBC_HEADER_BYTES) != chunk_bytes ||
		    !lh_heap_words(glibc->tour, header + LINK_OFFSET, &link, 1))
			return false;
		*ret_error = lh_vec_push(&glibc->fast, header);
		if (*ret_error)
			return false;
		header = decode_link(link, header + LINK_OFFSET, is_safe);
	}
	return true;
}

static struct lh_error *read_fastbin(struct lh_glibc *glibc, uint64_t head, uint64_t chunk_bytes)
{
	struct lh_error *error = NULL;
	size_t kept = glibc->fast.count;
	bool is_whole = follow_fastbin(glibc, head, chunk_bytes, true, &error);
	if (!error && !is_whole) {
		glibc->fast.count = kept;
		is_whole = follow_fastbin(glibc, head, chunk_bytes, false, &error);
	}
	LH_TRY(error);
	if (!lh_heap_check(glibc->tour, is_whole, head, "fastbin: the list does not end"))
		lh_heap_lose(glibc->tour, 0);
	return NULL;
}

struct lh_error *lh_glibc_read_fastbins(struct lh_glibc *glibc)
{
	bool has_fastbins = glibc->bins_offset > -FASTBINS_OFFSET;
	for (size_t i = 0; has_fastbins && i < glibc->arenas.count; i++) {
		uint64_t heads[FASTBINS];
		if (!lh_heap_words(glibc->tour, glibc->arenas.items[i].bins_addr + FASTBINS_OFFSET, heads, FASTBINS))
			continue;
		for (size_t bin = 0; bin < FASTBINS; bin++) {
			if (heads[bin])
				LH_TRY(read_fastbin(glibc, heads[bin], LH_GLIBC_CHUNK_MIN + bin * LH_GLIBC_ALIGNMENT));
		}
	}
	lh_vec_sort(&glibc->fast, lh_compare_words);
	return NULL;
}

bool lh_glibc_is_fast(const struct lh_glibc *glibc, uint64_t header_addr)
{
	return glibc->fast.count &&
	       bsearch(&header_addr, glibc->fast.items, glibc->fast.count, sizeof(uint64_t), lh_compare_words);
}

/* ---------------------------------------------------------------- tcache */

/* struct tcache_perthread_struct: counters, then one list per size. Bins from 64 on hold several sizes. */
struct tcache_layout {
	uint64_t chunk_bytes; /* of the chunk, or 16 more */
	size_t bins;
	size_t counter_bytes;
	bool counts_free_places; /* num_slots: tcache_count minus the entries */
};

/* 2.26 to 2.29, 2.30 to 2.41, 2.42 on. */
static const struct tcache_layout tcache_layouts[] = {
	{0x250, 64, 1, false}, {0x290, 64, 2, false}, {0x300, 76, 2, true}};

enum { SMALL_TCACHE_BINS = 64, TCACHE_BYTES_MAX = 0x300 };

struct tcache {
	const struct tcache_layout *layout;
	uint64_t places; /* of a list, if num_slots counts them */
	bool is_safe;
	uint8_t bytes[TCACHE_BYTES_MAX];
};

bool lh_glibc_may_be_tcache(uint64_t chunk_bytes)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(tcache_layouts); i++) {
		if (chunk_bytes - tcache_layouts[i].chunk_bytes <= LH_GLIBC_ALIGNMENT)
			return true;
	}
	return false;
}

static uint64_t cached_count(const struct tcache *cache, size_t bin)
{
	uint16_t counter = 0;
	memcpy(&counter, cache->bytes + bin * cache->layout->counter_bytes, cache->layout->counter_bytes);
	if (!cache->layout->counts_free_places)
		return counter;
	return counter <= cache->places ? cache->places - counter : UINT64_MAX;
}

static uint64_t cached_head(const struct tcache *cache, size_t bin)
{
	uint64_t head;
	memcpy(&head, cache->bytes + cache->layout->bins * cache->layout->counter_bytes + bin * sizeof(head),
	       sizeof(head));
	return head;
}

static bool has_bin_size(uint64_t chunk_bytes, size_t bin)
{
	if (bin < SMALL_TCACHE_BINS)
		return chunk_bytes == LH_GLIBC_CHUNK_MIN + bin * LH_GLIBC_ALIGNMENT;
	return chunk_bytes >= LH_GLIBC_CHUNK_MIN + SMALL_TCACHE_BINS * LH_GLIBC_ALIGNMENT;
}

/* Appends the list's blocks; false unless their number is the counted one, and all have its size. */
static bool follow_tcache_bin(struct lh_heap_tour *tour, const struct tcache *cache, size_t bin, uint64_t *ret,
			      size_t room)
{
	uint64_t count = cached_count(cache, bin), addr = cached_head(cache, bin);
	if (count > room)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t link;
		if (!has_bin_size(chunk_bytes_at(tour, addr), bin) || !lh_heap_words(tour, addr, &link, 1))
			return false;
		ret[i] = addr;
		addr = decode_link(link, addr, cache->is_safe);
	}
	return !addr;
}

enum { TCACHE_ENTRIES_MAX = 76 * 1024 };

/* Appends all blocks of a cache. False, with nothing appended, if any list is broken, or all are empty. */
static bool follow_tcache(struct lh_heap_tour *tour, const struct tcache *cache, uint64_t *entries, size_t *ret_count)
{
	size_t count = 0;
	for (size_t bin = 0; bin < cache->layout->bins; bin++) {
		if (!follow_tcache_bin(tour, cache, bin, entries + count, TCACHE_ENTRIES_MAX - count))
			return false;
		count += cached_count(cache, bin);
	}
	*ret_count = count;
	return count;
}

/* Tries safe and plain links; num_slots with the number of places from mp_, or the default if mp_ was not found. */
static bool try_tcache(struct lh_glibc *glibc, struct tcache *cache, uint64_t *entries, size_t *ret_count)
{
	const uint64_t known = glibc->parameters.tcache_count;
	const uint64_t places[] = {glibc->parameters.is_known ? known : 16, glibc->parameters.is_known ? known : 7};
	for (int i = 0; i < 4; i++) {
		cache->places = places[i / 2];
		cache->is_safe = i % 2 == 0;
		if (follow_tcache(glibc->tour, cache, entries, ret_count))
			return true;
	}
	return false;
}

static struct lh_error *mark_tcache(struct lh_glibc *glibc, uint64_t addr, uint64_t *entries)
{
	uint64_t chunk_bytes = chunk_bytes_at(glibc->tour, addr);
	for (size_t i = 0; i < LH_ARRAY_COUNT(tcache_layouts); i++) {
		struct tcache cache = {.layout = &tcache_layouts[i]};
		size_t bytes = cache.layout->bins * (cache.layout->counter_bytes + sizeof(uint64_t)), count = 0;
		if (chunk_bytes - cache.layout->chunk_bytes > LH_GLIBC_ALIGNMENT)
			continue;
		const uint8_t *found = lh_heap_bytes(glibc->tour, addr, bytes);
		if (!found)
			continue;
		memcpy(cache.bytes, found, bytes);
		if (!try_tcache(glibc, &cache, entries, &count))
			continue;
		for (size_t entry = 0; entry < count; entry++)
			LH_TRY(lh_heap_mark_cached(glibc->tour, entries[entry]));
		break;
	}
	return NULL;
}

struct lh_error *lh_glibc_mark_tcaches(struct lh_glibc *glibc)
{
	LH_CLEANUP(lh_cleanup_free) uint64_t *entries = calloc(TCACHE_ENTRIES_MAX, sizeof(*entries));
	if (!entries)
		return lh_error_no_memory();
	for (size_t i = 0; i < glibc->candidates.count; i++)
		LH_TRY(mark_tcache(glibc, glibc->candidates.items[i], entries));
	return NULL;
}

/* ---------------------------------------------------------------- bins */

/* Counts the chunks of one bin; each must point back to the previous one. Stops at the first that does not. */
static uint64_t count_bin(struct lh_glibc *glibc, uint64_t bin_addr, uint64_t room)
{
	uint64_t self = bin_addr - LH_GLIBC_HEADER_BYTES, previous = self, header, count = 0;
	if (!lh_heap_words(glibc->tour, bin_addr, &header, 1))
		return 0;
	while (header != self && count <= room) {
		uint64_t links[2];
		bool is_linked = lh_heap_words(glibc->tour, header + LINK_OFFSET, links, 2) && links[1] == previous;
		if (!lh_heap_check(glibc->tour, is_linked, header, "bin: a chunk does not point back"))
			break;
		count++;
		previous = header;
		header = links[0];
	}
	return count;
}

void lh_glibc_check_bins(struct lh_glibc *glibc)
{
	for (size_t i = 0; i < glibc->arenas.count; i++) {
		const struct lh_glibc_arena *arena = &glibc->arenas.items[i];
		uint64_t count = 0;
		for (size_t bin = 0; arena->bins_addr && bin < LH_GLIBC_BINS; bin++)
			count += count_bin(glibc, arena->bins_addr + bin * 16, arena->free_count);
		if (arena->bins_addr)
			lh_heap_check(glibc->tour, count == arena->free_count, arena->addr,
				      "arena: its bins hold other chunks than its memory");
	}
}
