/*
 * report_leaks_json: lost blocks as JSON. Input: groups of a graph. Output: text, schema in report.h.
 */
#include "usage.h"

#include <string.h>

static json_t *append_leak_item(json_t *array, json_t *item)
{
	if (array && item && !json_array_append_new(array, item))
		return array;
	json_decref(array);
	return NULL;
}

static json_t *doubts_json(const struct lh_graph *graph)
{
	size_t count;
	const char *const *doubts = lh_graph_doubts(graph, &count);
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		array = append_leak_item(array, lh_json_string(doubts[i]));
	return array;
}

static json_t *leak_group_json(const struct lh_leak_group *group, const struct lh_heap_group *row)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "status",
			 lh_leak_status_name(group->status), "lsan", lh_leak_status_lsan(group->status), "valgrind",
			 lh_leak_status_valgrind(group->status), "basis", lh_group_basis_name(row->basis), "kind",
			 row->kind, "name", lh_json_string(row->name), "detail", lh_json_string(row->detail),
			 "size_bytes", lh_json_u64(group->size_bytes), "blocks", lh_json_u64(group->count), "bytes",
			 lh_json_u64(group->bytes), "held_blocks", lh_json_u64(group->held_count), "owned_blocks",
			 lh_json_u64(group->owned_count), "owned_bytes", lh_json_u64(group->owned_bytes),
			 "confirmed_blocks", lh_json_u64(group->confirmed_count), "example_addr",
			 lh_json_address(group->example_addr), "suppressed", (int)group->is_suppressed);
}

static json_t *leak_groups_json(const struct lh_leaks *leaks)
{
	json_t *array = json_array();
	for (size_t i = 0; i < leaks->groups.count; i++) {
		const struct lh_leak_group *group = &leaks->groups.items[i];
		array = append_leak_item(array, leak_group_json(group, &leaks->rows.rows.items[group->row]));
	}
	return array;
}

static json_t *graph_json(const struct lh_graph *graph)
{
	struct lh_graph_totals totals = lh_graph_totals(graph);
	json_t *blocks = json_object(), *bytes = json_object(), *roots = json_object();
	int status = 0;
	for (int i = 0; i < LH_LEAK_STATUSES; i++) {
		const char *name = lh_leak_status_name((enum lh_leak_status)i);
		status |= json_object_set_new(blocks, name, lh_json_u64(totals.counts[i]));
		status |= json_object_set_new(bytes, name, lh_json_u64(totals.bytes[i]));
	}
	for (int i = 0; i < LH_ROOT_KINDS; i++)
		status |= json_object_set_new(roots, lh_root_kind_name((enum lh_root_kind)i),
					      lh_json_u64(totals.root_bytes[i]));
	json_t *object =
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "blocks", blocks, "bytes", bytes, "root_bytes",
			  roots, "threads", lh_json_u64(totals.thread_count), "mark_cpu_ns",
			  lh_json_u64(totals.mark_cpu_ns), "mark_ns", lh_json_u64(totals.mark_ns), "mark_threads",
			  lh_json_u64(totals.mark_threads), "memory_bytes", lh_json_u64(totals.memory_bytes));
	if (!status)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *holder_json(const struct lh_holder *holder)
{
	return json_pack("{s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:b}", "shape",
			 lh_holder_shape_name(holder->shape), "root", lh_json_string(holder->root), "shared",
			 (int)holder->is_shared, "root_addr", lh_json_address(holder->root_addr), "addr",
			 holder->addr ? lh_json_address(holder->addr) : json_null(), "name",
			 lh_json_string(holder->name), "blocks", lh_json_u64(holder->retained_count), "bytes",
			 lh_json_u64(holder->retained_bytes), "elements", lh_json_u64(holder->element_count),
			 "element_bytes", lh_json_u64(holder->element_bytes), "element_addr",
			 lh_json_address(holder->element_addr), "element_name", lh_json_string(holder->element_name),
			 "element_by", lh_group_basis_name(holder->element_basis), "grown_elements",
			 lh_json_u64(holder->grown_count), "grown_bytes", lh_json_u64(holder->grown_bytes), "library",
			 (int)holder->is_library);
}

static json_t *holders_json(const struct lh_holder_list *list)
{
	json_t *array = json_array();
	for (size_t i = 0; i < list->items.count; i++)
		array = append_leak_item(array, holder_json(&list->items.items[i]));
	return array;
}

static json_t *holders_cost_json(const struct lh_holder_list *list)
{
	return json_pack("{s:o, s:o, s:o}", "edges_cpu_ns", lh_json_u64(list->edges_cpu_ns), "dominators_cpu_ns",
			 lh_json_u64(list->dominators_cpu_ns), "memory_bytes", lh_json_u64(list->memory_bytes));
}

void lh_report_leaks_json(const struct lh_leaks_report *report, struct lh_buffer *ret)
{
	const struct lh_leaks *leaks = report->leaks;
	pid_t pid = lh_image_pid(report->image);
	json_t *lost = json_pack("{s:o, s:o, s:o, s:o}", "blocks", lh_json_u64(leaks->count), "owned_blocks",
				 lh_json_u64(leaks->owned_count), "owned_bytes", lh_json_u64(leaks->owned_bytes),
				 "confirmed_blocks", lh_json_u64(leaks->confirmed_count));
	json_t *possible = json_pack("{s:o, s:o}", "blocks", lh_json_u64(leaks->possible_count), "bytes",
				     lh_json_u64(leaks->possible_bytes));
	json_t *suppressed = json_pack("{s:o, s:o}", "blocks", lh_json_u64(leaks->suppressed_count), "bytes",
				       lh_json_u64(leaks->suppressed_bytes));
	json_t *object = json_pack(
		"{s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "leakhunt/leaks/1",
		"path", lh_json_string(report->receipt ? "" : lh_image_path(report->image)), "pid",
		pid ? json_integer(pid) : json_null(), "doubts", doubts_json(report->graph), "compared",
		(int)report->is_confirmed, "lost", lost, "possible", possible, "suppressed", suppressed, "groups",
		leak_groups_json(leaks), "graph", graph_json(report->graph), "holders", holders_json(report->holders),
		"holders_cost", holders_cost_json(report->holders), "receipt", lh_report_receipt_json(report->receipt));
	lh_report_append_json(object, ret);
}
