/*
 * suspects: what grows, and what may point to it, as wants of a dump. Input: a judged selection, and the current
 * mappings. Output: wants that also match later growth.
 */
#include "leakhunt/dump.h"

#include <stdlib.h>

void lh_want_list_deinit(struct lh_want_list *list)
{
	lh_vec_deinit(&list->items);
	lh_strings_pool_deinit(&list->strings);
}

static struct lh_error *add_suspect_want(struct lh_want_list *wants, struct lh_want want)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (want.kind == LH_WANT_KINDS)
		lh_buffer_puts(&text, want.text);
	else
		lh_buffer_printf(&text, "0x%llx-0x%llx", (unsigned long long)want.range.start,
				 (unsigned long long)want.range.end);
	LH_TRY(lh_buffer_status(&text));
	LH_TRY(lh_strings_pool_add(&wants->strings, text.data, text.length, &want.text));
	return lh_vec_push(&wants->items, want);
}

static bool has_wanted(const struct lh_region_list *list, const struct lh_want *want)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		bool overlaps = region->start < want->range.end && want->range.start < region->end;
		if (want->kind == LH_WANT_KINDS ? want->kinds >> region->kind & 1 : overlaps)
			return true;
	}
	return false;
}

/* Whether what grows may continue in new mappings: a runtime's memory has no owner that leakhunt knows. */
static bool gets_new_mappings(const struct lh_growth *growth)
{
	return growth->region_count > 1 || growth->kind == LH_REGION_ANON || growth->kind == LH_REGION_HUGETLB ||
	       growth->kind == LH_REGION_THREAD_STACK;
}

/*
 * An allocator's memory is wanted by owner, since the allocator maps more; a family, and memory of which more is mapped
 * elsewhere, by its kind; any other mapping by its place, however it grows.
 */
static struct lh_want want_of(const struct lh_growth *growth, const struct lh_range *range)
{
	bool is_heap = lh_region_kind_is_heap(growth->kind);
	if (is_heap || gets_new_mappings(growth))
		return (struct lh_want){
			.kind = LH_WANT_KINDS,
			.kinds = is_heap ? LH_HEAP_KINDS : UINT32_C(1) << growth->kind,
			.text = is_heap ? "heap" : lh_region_kind_name(growth->kind),
		};
	return (struct lh_want){.kind = LH_WANT_RANGE, .range = *range, .is_whole_mapping = true};
}

struct lh_error *lh_want_list_add_suspects(const struct lh_selection *selection, const struct lh_region_list *list,
					   struct lh_want_list *wants)
{
	uint32_t known_kinds = 0;
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		size_t range_count = growth->is_suspect ? growth->ranges.count : 0;
		for (size_t j = 0; j < range_count; j++) {
			struct lh_want want = want_of(growth, &growth->ranges.items[j]);
			bool is_known = want.kind == LH_WANT_KINDS && !(want.kinds & ~known_kinds);
			known_kinds |= want.kinds;
			if (!is_known && has_wanted(list, &want))
				LH_TRY(add_suspect_want(wants, want));
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------- shared memory */

#define SHARED_BYTES_MAX (4 * LH_GIB)

struct lh_error *lh_want_list_add_shared(const struct lh_region_list *list, struct lh_want_list *wants)
{
	static const enum lh_region_kind kinds[] = {LH_REGION_SHARED, LH_REGION_MEMFD};
	uint64_t bytes = 0;
	uint32_t found = 0;
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (region->kind != LH_REGION_SHARED && region->kind != LH_REGION_MEMFD)
			continue;
		found |= UINT32_C(1) << region->kind;
		bytes += region->end - region->start;
	}
	for (size_t i = 0; i < LH_ARRAY_COUNT(kinds) && bytes <= SHARED_BYTES_MAX; i++) {
		struct lh_want want = {
			.kind = LH_WANT_KINDS, .kinds = UINT32_C(1) << kinds[i], .text = lh_region_kind_name(kinds[i])};
		if (found & want.kinds)
			LH_TRY(lh_vec_push(&wants->items, want));
	}
	return NULL;
}
