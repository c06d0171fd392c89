/*
 * describe: what a dump knows beyond ELF, as JSON. A core's vendor notes and a raw file's index have the same parts.
 * Names of the target are escaped.
 */
#include "module_pages.h"

#include <stdio.h>
#include <string.h>

static void format_extent_permissions(const struct lh_region *region, char ret[5])
{
	snprintf(ret, 5, "%c%c%c%c", region->protection & LH_PROT_READ ? 'r' : '-',
		 region->protection & LH_PROT_WRITE ? 'w' : '-', region->protection & LH_PROT_EXEC ? 'x' : '-',
		 region->is_shared ? 's' : 'p');
}

int lh_describe_extent(json_t *object, const struct lh_extent *extent, uint64_t start, uint64_t end)
{
	const struct lh_region *region = extent->region;
	char permissions[5];
	format_extent_permissions(region, permissions);
	int status = json_object_set_new(object, "start", lh_json_address(start));
	status |= json_object_set_new(object, "end", lh_json_address(end));
	status |= json_object_set_new(object, "kind", json_string(lh_region_kind_name(region->kind)));
	status |= json_object_set_new(object, "perms", json_string(permissions));
	status |= json_object_set_new(object, "name", lh_json_string(region->name));
	status |= json_object_set_new(object, "context", json_boolean(extent->is_context));
	if (region->is_ended_stack)
		status |= json_object_set_new(object, "ended_stack", json_true());
	if (region->tid) {
		status |= json_object_set_new(object, "tid", json_integer(region->tid));
		status |= json_object_set_new(object, "thread_name", lh_json_string(region->thread_name));
	}
	return status;
}

/* A list whose elements fail as a whole: NULL rather than a list with some missing. */
static json_t *append_or_drop(json_t *list, json_t *element)
{
	if (json_array_append_new(list, element) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *append_region(json_t *list, const struct lh_extent *extent, struct lh_range range, bool is_from_file)
{
	json_t *object = json_object();
	int status = lh_describe_extent(object, extent, range.start, range.end);
	if (is_from_file)
		status |= json_object_set_new(object, "from_file", json_true());
	if (status) {
		json_decref(object);
		object = NULL;
	}
	return append_or_drop(list, object);
}

json_t *lh_describe_regions(const struct lh_capture *capture, const struct lh_module_pages *pages)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < capture->plan->extents.count; i++) {
		const struct lh_extent *extent = &capture->plan->extents.items[i];
		list = append_region(list, extent, (struct lh_range){extent->start, extent->end}, false);
	}
	for (size_t i = 0; list && i < pages->pieces.count; i++) {
		const struct lh_module_piece *piece = &pages->pieces.items[i];
		struct lh_extent extent = {.region = piece->region, .is_context = true};
		list = append_region(list, &extent, (struct lh_range){piece->start, piece->end}, true);
	}
	return list;
}

static json_t *describe_module(const struct lh_module *module)
{
	char build_id[2 * LH_BUILD_ID_MAX + 1] = "";
	for (size_t i = 0; i < module->build_id_bytes && i < LH_BUILD_ID_MAX; i++)
		snprintf(build_id + 2 * i, 3, "%02x", module->build_id[i]);
	json_t *object = json_pack("{s:o, s:o, s:o, s:s, s:b}", "start", lh_json_address(module->start), "end",
				   lh_json_address(module->end), "path", lh_json_string(module->path), "build_id",
				   build_id, "deleted", (int)module->is_deleted);
	if (object && module->has_bias && json_object_set_new(object, "bias", lh_json_address(module->bias))) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

json_t *lh_describe_modules(const struct lh_module_list *modules)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < modules->modules.count; i++)
		list = append_or_drop(list, describe_module(&modules->modules.items[i]));
	return list;
}

json_t *lh_describe_gaps(const struct lh_dump_gaps *gaps)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < gaps->items.count; i++) {
		const struct lh_gap *gap = &gaps->items.items[i];
		list = append_or_drop(list, json_pack("{s:o, s:o, s:s}", "start", lh_json_address(gap->range.start),
						      "end", lh_json_address(gap->range.end), "reason",
						      lh_gap_reason_name(gap->reason)));
	}
	return list;
}

json_t *lh_describe_threads(const struct lh_thread_states *threads)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < threads->threads.count; i++) {
		const struct lh_thread_state *thread = &threads->threads.items[i];
		list = append_or_drop(list,
				      json_pack("{s:i, s:o, s:b}", "tid", (int)thread->tid, "name",
						lh_json_string(thread->name), "partial", (int)thread->is_partial));
	}
	return list;
}
