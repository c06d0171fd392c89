/*
 * musl: groups of musl's mallocng (since 1.2.1); where there are none, musl_chunks looks for the malloc before. Input:
 * memory. Output: claims. Areas of metadata fill pages at the start of brk's memory: {check, next, slots, metas}; each
 * meta names a group of slots, which names the meta (src/malloc/mallocng/meta.h).
 */
#include "musl.h"

#include <string.h>

enum { METAS_MAX = 101 };

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

/* How many groups point back to their metas in this area. */
static size_t count_groups(const struct lh_heap_memory *memory, uint64_t area, const uint64_t *words, size_t meta_count)
{
	size_t count = 0;
	for (size_t i = 0; i < meta_count; i++) {
		size_t at = LH_MUSL_AREA_WORDS + i * LH_MUSL_META_WORDS;
		uint64_t group = words[at + 2], back;
		count += group && group % 16 == 0 && lh_heap_read_words(memory, group, &back, 1) &&
			 back == area + at * 8;
	}
	return count;
}

/* Areas are linked in the order in which they were made, from the first page of brk's memory on. */
static struct lh_error *follow_areas(const struct lh_heap_memory *memory, uint64_t area, lh_musl_visitor *visit,
				     void *context)
{
	uint64_t words[LH_PAGE_BYTES / 8], check = 0;
	struct lh_list_guard guard = {0};
	while (area && !lh_list_returns(&guard, area)) {
		struct area_header header;
		if (!lh_heap_read_words(memory, area, words, LH_ARRAY_COUNT(words)) || !parse_area(words, &header) ||
		    (check && header.check != check) ||
		    (!check && !count_groups(memory, area, words, header.meta_count)))
			break;
		check = header.check;
		LH_TRY(visit(context, area, words, header.meta_count));
		area = words[1];
	}
	return NULL;
}

struct lh_error *lh_musl_visit_areas(const struct lh_heap_memory *memory, lh_musl_visitor *visit, void *context)
{
	for (size_t i = 0; i < memory->list->regions.count; i++) {
		if (lh_heap_has(memory, i, LH_HEAP_PLAIN) && lh_heap_has(memory, i, LH_HEAP_BRK))
			LH_TRY(follow_areas(memory, memory->ranges[i].start, visit, context));
	}
	return NULL;
}

/* ---------------------------------------------------------------- claiming */

struct musl_claim {
	const struct lh_heap_memory *memory;
	struct lh_owners *owners;
};

/* The area, and groups that have mappings of their own; others lie in slots of these. */
static struct lh_error *claim_area(void *context, uint64_t area, const uint64_t *words, size_t meta_count)
{
	struct musl_claim *claim = context;
	for (size_t i = 0; i < meta_count; i++) {
		const uint64_t *meta = words + LH_MUSL_AREA_WORDS + i * LH_MUSL_META_WORDS;
		uint64_t group = meta[2], bytes, end;
		if (group && lh_mul_u64(meta[4] >> LH_MUSL_MAP_LENGTH_BIT, LH_PAGE_BYTES, &bytes) && bytes &&
		    lh_add_u64(group, bytes, &end) && lh_heap_is_private(claim->memory, group, LH_PAGE_BYTES))
			LH_TRY(lh_heap_claim(claim->memory, group, end, LH_REGION_MUSL, claim->owners));
	}
	return lh_heap_claim(claim->memory, area, area + LH_PAGE_BYTES, LH_REGION_MUSL, claim->owners);
}

struct lh_error *lh_musl_claim(const struct lh_heap_memory *memory, struct lh_owners *ret)
{
	struct musl_claim claim = {memory, ret};
	size_t count = ret->items.count;
	LH_TRY(lh_musl_visit_areas(memory, claim_area, &claim));
	return ret->items.count == count ? lh_musl_claim_chunks(memory, ret) : NULL;
}
