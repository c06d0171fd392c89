/*
 * report_heap_json: a heap as JSON, schema "leakhunt/heap/1" (report.h). Input: what heap found. Output: text.
 */
#include "report_samples.h"
#include "usage.h"

#include <string.h>

static const char *const state_keys[LH_CHUNK_STATES][2] = {
	{"used_bytes", "used_blocks"}, {"cached_bytes", "cached_blocks"}, {"free_bytes", "free_blocks"}};

/* Adds members to `object`; frees `object` if memory runs out. */
static json_t *add_states(json_t *object, const uint64_t bytes[LH_CHUNK_STATES], const uint64_t counts[LH_CHUNK_STATES])
{
	bool is_whole = object != NULL;
	for (size_t i = 0; i < LH_CHUNK_STATES; i++)
		is_whole &= !json_object_set_new(object, state_keys[i][0], lh_json_u64(bytes[i])) &&
			    !json_object_set_new(object, state_keys[i][1], lh_json_u64(counts[i]));
	if (is_whole)
		return object;
	json_decref(object);
	return NULL;
}

json_t *lh_heap_totals_json(const struct lh_heap_totals *totals)
{
	json_t *object = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o}", "mapped_bytes", lh_json_u64(totals->mapped_bytes), "resident_bytes",
		lh_json_u64(totals->resident_bytes), "overhead_bytes", lh_json_u64(totals->overhead_bytes),
		"free_page_bytes", lh_json_u64(totals->free_page_bytes), "free_resident_bytes",
		lh_json_u64(totals->free_resident_bytes), "returnable_bytes", lh_json_u64(totals->returnable_bytes));
	return add_states(object, totals->bytes, totals->counts);
}

static json_t *allocator_json(const struct lh_heap_allocator *allocator)
{
	return json_pack("{s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "name", allocator->name, "refused",
			 allocator->is_refused, "partial", allocator->is_partial, "lost_bytes",
			 lh_json_u64(allocator->lost_bytes), "checked", lh_json_u64(allocator->checks.checked),
			 "failed", lh_json_u64(allocator->checks.failed), "first_failure",
			 lh_json_string(allocator->checks.first_failure), "note", lh_json_string(allocator->note),
			 "blocks", lh_json_u64(allocator->chunk_count));
}

static json_t *arena_json(const struct lh_heap_arena *arena)
{
	struct lh_heap_totals totals = lh_heap_arena_total(arena);
	json_t *object = lh_heap_totals_json(&totals);
	bool is_whole = !json_object_set_new(object, "allocator", json_string(arena->allocator)) &&
			!json_object_set_new(object, "role", json_string(arena->role)) &&
			!json_object_set_new(object, "kind", json_string(lh_region_kind_name(arena->kind))) &&
			!json_object_set_new(object, "addr", arena->addr ? lh_json_address(arena->addr) : json_null());
	if (is_whole)
		return object;
	json_decref(object);
	return NULL;
}

static const char *finding_word(enum lh_heap_finding_kind kind)
{
	static const char *const words[LH_HEAP_FINDING_KINDS] = {"live", "returnable", "fragmented", "cached",
								 "arenas"};
	return words[kind];
}

/* Appends `item`; if it is NULL, frees the array. */
static json_t *append_item(json_t *array, json_t *item)
{
	if (array && json_array_append_new(array, item) == 0)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *allocators_json(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		array = append_item(array, allocator_json(&allocators[i]));
	return array;
}

static json_t *arenas_json(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &count);
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		array = append_item(array, arena_json(&arenas[i]));
	return array;
}

static json_t *findings_json(const struct lh_heap_findings *findings)
{
	json_t *array = json_array();
	for (size_t i = 0; i < findings->items.count; i++) {
		const struct lh_heap_finding *finding = &findings->items.items[i];
		array = append_item(array,
				    json_pack("{s:s, s:s, s:o, s:I}", "kind", finding_word(finding->kind), "allocator",
					      finding->allocator, "bytes", lh_json_u64(finding->bytes), "arenas",
					      (json_int_t)finding->arena_count));
	}
	return array;
}

static json_t *owned_json(uint64_t value)
{
	return value ? lh_json_u64(value) : json_null();
}

static json_t *groups_json(const struct lh_heap_groups *groups)
{
	json_t *array = json_array();
	for (size_t i = 0; i < groups->rows.count; i++) {
		const struct lh_heap_group *group = &groups->rows.items[i];
		array = append_item(
			array, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "basis",
					 lh_group_basis_name(group->basis), "kind", group->kind, "name",
					 lh_json_string(group->name), "detail", lh_json_string(group->detail), "count",
					 lh_json_u64(group->count), "bytes", lh_json_u64(group->bytes), "owned_count",
					 owned_json(group->owned_count), "owned_bytes", owned_json(group->owned_bytes),
					 "pinned_bytes", lh_json_u64(group->pinned_bytes), "owned_resident_bytes",
					 owned_json(group->owned_resident_bytes), "example_addr",
					 lh_json_address(group->example_addr)));
	}
	return array;
}

static json_t *sizes_json(const struct lh_heap *heap)
{
	struct lh_heap_size_row rows[LH_HEAP_SIZE_ROWS];
	lh_heap_sizes(heap, rows);
	json_t *array = json_array();
	for (size_t i = 0; i < LH_HEAP_SIZE_ROWS; i++) {
		bool has_bound = rows[i].size_max_bytes != UINT64_MAX;
		json_t *object = json_pack("{s:o}", "size_max_bytes",
					   has_bound ? lh_json_u64(rows[i].size_max_bytes) : json_null());
		array = append_item(array, add_states(object, rows[i].bytes, rows[i].counts));
	}
	return array;
}

bool lh_heap_report_is_complete(const struct lh_heap *heap)
{
	size_t count;
	const struct lh_heap_allocator *allocators = lh_heap_allocators(heap, &count);
	for (size_t i = 0; i < count; i++) {
		if (allocators[i].is_partial || allocators[i].is_refused)
			return false;
	}
	return true;
}

void lh_report_heap_json(const struct lh_heap_report *report, struct lh_buffer *ret)
{
	struct lh_heap_totals totals = lh_heap_total(report->heap, NULL);
	pid_t pid = lh_image_pid(report->image);
	json_t *object =
		json_pack("{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "leakhunt/heap/1",
			  "path", lh_json_string(report->receipt ? "" : lh_image_path(report->image)), "pid",
			  pid ? json_integer(pid) : json_null(), "complete", lh_heap_report_is_complete(report->heap),
			  "totals", lh_heap_totals_json(&totals), "allocators", allocators_json(report->heap), "arenas",
			  arenas_json(report->heap), "findings", findings_json(report->findings), "groups",
			  groups_json(report->groups), "sizes", sizes_json(report->heap), "samples",
			  lh_report_samples_json(report), "receipt", lh_report_receipt_json(report->receipt));
	lh_report_append_json(object, ret);
}
