/*
 * musl: groups of musl's mallocng (since 1.2.1). Input: memory. Output: claims. Areas of metadata fill pages at the
 * start of brk's memory: {check, next, slots, metas}; each meta names a group of slots, which names the meta
 * (src/malloc/mallocng/meta.h).
 */
#include "walker.h"

#include <stdlib.h>

enum { AREA_PAGES_MAX = 8192, META_WORDS = 5, AREA_HEADER_WORDS = 3, METAS_MAX = 101 };

/* From bit 0: last_idx 5, freeable 1, sizeclass 6, maplen 52. */
enum { MAP_LENGTH_BIT = 12 };

struct area_header {
	uint64_t check;
	size_t meta_count;
};

/* `check` is one secret of the process. */
static bool parse_area(const uint64_t *words, struct area_header *ret)
{
	uint64_t meta_count = words[2] & UINT32_MAX;
	if (!words[0] || words[1] % LH_PAGE_BYTES || !meta_count || meta_count > METAS_MAX)
		return false;
	*ret = (struct area_header){words[0], meta_count};
	return true;
}

/* The groups of an area that have mappings of their own; *ret_count: how many point back to their meta. */
static struct lh_error *claim_groups(const struct lh_heap_memory *memory, uint64_t area, const uint64_t *words,
				     size_t meta_count, size_t *ret_count, struct lh_owners *ret)
{
	*ret_count = 0;
	for (size_t i = 0; i < meta_count; i++) {
		const uint64_t *meta = words + AREA_HEADER_WORDS + i * META_WORDS;
		uint64_t meta_addr = area + (AREA_HEADER_WORDS + i * META_WORDS) * 8, group = meta[2], back, bytes, end;
		if (!group || group % 16 || !lh_heap_read_words(memory, group, &back, 1) || back != meta_addr)
			continue;
		++*ret_count;
		if (lh_mul_u64(meta[4] >> MAP_LENGTH_BIT, LH_PAGE_BYTES, &bytes) && bytes &&
		    lh_add_u64(group, bytes, &end) && lh_heap_is_private(memory, group, bytes))
			LH_TRY(lh_heap_claim(memory, group, end, LH_REGION_MUSL, ret));
	}
	return NULL;
}

static struct lh_error *claim_areas(const struct lh_heap_memory *memory, const struct lh_region *region,
				    uint64_t *check, struct lh_owners *ret)
{
	uint64_t words[LH_PAGE_BYTES / 8];
	uint64_t end = lh_min_u64(region->end, region->start + (uint64_t)AREA_PAGES_MAX * LH_PAGE_BYTES);
	for (uint64_t page = region->start; page < end; page += LH_PAGE_BYTES) {
		struct area_header header;
		size_t group_count;
		if (!lh_heap_read_words(memory, page, words, LH_ARRAY_COUNT(words)) || !parse_area(words, &header) ||
		    (*check && header.check != *check))
			break;
		LH_TRY(claim_groups(memory, page, words, header.meta_count, &group_count, ret));
		if (!group_count && !*check)
			break;
		*check = header.check;
		LH_TRY(lh_heap_claim(memory, page, page + LH_PAGE_BYTES, LH_REGION_MUSL, ret));
	}
	return NULL;
}

static struct lh_error *claim_musl(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	uint64_t check = 0;
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		const struct lh_region *region = &memory->list->regions.items[i];
		if (lh_heap_has(memory, i, LH_HEAP_PLAIN) && region->kind == LH_REGION_HEAP)
			LH_TRY(claim_areas(memory, region, &check, ret));
	}
	return NULL;
}

const struct lh_allocator_walker lh_walk_musl = {.name = "musl", .claim = claim_musl};
