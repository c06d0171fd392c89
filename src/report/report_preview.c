/*
 * report_preview: what a dump would copy, as a table, and what it would cost, or both as JSON. It computes nothing.
 */
#include "table.h"
#include "usage.h"

#include <inttypes.h>
#include <string.h>

static const struct lh_column columns[] = {
	{"ADDRESS", LH_COLUMN_LEFT},  {"KIND", LH_COLUMN_LEFT}, {"PRESENT", LH_COLUMN_RIGHT},
	{"SWAPPED", LH_COLUMN_RIGHT}, {"WHY", LH_COLUMN_LEFT},  {"NAME", LH_COLUMN_REST},
};

static const char *mode_reason_of(const struct lh_extent *extent)
{
	if (extent->is_device)
		return "device";
	return extent->is_context ? "context" : "asked";
}

static const char *name_of(const struct lh_region *region)
{
	return region->thread_name[0] ? region->thread_name : region->name;
}

static void put_extents(const struct lh_preview *preview, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < preview->plan.extents.count; i++) {
		const struct lh_extent *extent = &preview->plan.extents.items[i];
		lh_table_row(&table, extent->is_context ? LH_ROW_DIM : LH_ROW_PLAIN);
		lh_table_cell(&table, "%" PRIx64 "-%" PRIx64, extent->start, extent->end);
		lh_table_cell(&table, "%s", lh_region_kind_name(extent->region->kind));
		lh_table_cell_bytes(&table, extent->present_bytes);
		lh_table_cell_bytes(&table, extent->swapped_bytes);
		lh_table_cell(&table, "%s", mode_reason_of(extent));
		lh_table_cell_escaped(&table, name_of(extent->region));
	}
	lh_table_render(&table, style, ret);
}

static void put_preview_memory(const struct lh_preview *preview, struct lh_buffer *ret)
{
	char wanted[LH_FORMAT_MAX], context[LH_FORMAT_MAX], gaps[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "  %-10s%s asked for, %s of context", "memory",
			 lh_format_bytes(preview->plan.wanted_bytes, wanted),
			 lh_format_bytes(preview->plan.context_bytes, context));
	if (preview->gap_bytes)
		lh_buffer_printf(ret, "; %s would be missing", lh_format_bytes(preview->gap_bytes, gaps));
	lh_buffer_puts(ret, "\n");
}

static void put_preview_pause(const char *label, uint64_t pause_ns, struct lh_buffer *ret)
{
	char pause[LH_FORMAT_MAX];
	if (pause_ns)
		lh_buffer_printf(ret, "%sabout %s", label, lh_format_duration(pause_ns, pause));
	else
		lh_buffer_printf(ret, "%snone", label);
}

static void put_mode(const struct lh_mode_check *check, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "    %-10s", lh_dump_mode_name(check->mode));
	if (check->works)
		put_preview_pause("works; pause: ", check->pause_ns, ret);
	else
		lh_buffer_puts(ret, "would not work");
	lh_buffer_puts(ret, check->reason[0] ? ": " : "");
	lh_buffer_escape(ret, check->reason, strlen(check->reason));
	lh_buffer_puts(ret, "\n");
}

static void put_modes(const struct lh_preview *preview, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "  %-10s%s: ", "mode", lh_dump_mode_name(preview->mode));
	lh_buffer_escape(ret, preview->mode_reason, strlen(preview->mode_reason));
	lh_buffer_puts(ret, "\n");
	for (size_t i = 0; i < preview->modes.count; i++)
		put_mode(&preview->modes.items[i], ret);
	lh_buffer_printf(ret, "  %-10s", "pause");
	put_preview_pause("", preview->pause_ns, ret);
	lh_buffer_printf(ret, ", %zu thread%s\n", preview->thread_count, preview->thread_count == 1 ? "" : "s");
}

void lh_report_preview_text(const struct lh_preview *preview, struct lh_style style, struct lh_buffer *ret)
{
	char needed[LH_FORMAT_MAX], available[LH_FORMAT_MAX];
	put_extents(preview, style, ret);
	lh_buffer_escape(ret, preview->path, strlen(preview->path));
	lh_buffer_printf(ret, " of process %d (", (int)preview->pid);
	lh_buffer_escape(ret, preview->command, strlen(preview->command));
	lh_buffer_puts(ret, "), a dry run: nothing was written, nothing stopped\n");
	put_preview_memory(preview, ret);
	put_modes(preview, ret);
	lh_buffer_printf(ret, "  %-10sat most %s, %s are free\n", "disk", lh_format_bytes(preview->disk_bytes, needed),
			 lh_format_bytes(preview->disk_free_bytes, available));
}

/* ---------------------------------------------------------------- JSON */

static json_t *extent_json(const struct lh_extent *extent)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:b, s:o, s:o, s:b}", "start", lh_json_address(extent->start),
			 "end", lh_json_address(extent->end), "kind", lh_region_kind_name(extent->region->kind), "name",
			 lh_json_string(extent->region->name), "thread_name",
			 lh_json_string(extent->region->thread_name), "context", (int)extent->is_context,
			 "present_bytes", lh_json_u64(extent->present_bytes), "swapped_bytes",
			 lh_json_u64(extent->swapped_bytes), "device", (int)extent->is_device);
}

static json_t *mode_json(const struct lh_mode_check *check)
{
	return json_pack("{s:s, s:b, s:o, s:o}", "mode", lh_dump_mode_name(check->mode), "works", (int)check->works,
			 "reason", lh_json_string(check->reason), "expected_pause_ns", lh_json_u64(check->pause_ns));
}

/* NULL once appending failed. */
static json_t *append_reason(json_t *list, json_t *element)
{
	if (json_array_append_new(list, element) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *extents_json(const struct lh_preview *preview)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < preview->plan.extents.count; i++)
		list = append_reason(list, extent_json(&preview->plan.extents.items[i]));
	return list;
}

static json_t *modes_json(const struct lh_preview *preview)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < preview->modes.count; i++)
		list = append_reason(list, mode_json(&preview->modes.items[i]));
	return list;
}

void lh_report_preview_json(const struct lh_preview *preview, struct lh_buffer *ret)
{
	json_t *object = json_pack(
		"{s:s, s:i, s:o, s:o, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
		"leakhunt/dump-plan/1", "pid", (int)preview->pid, "command", lh_json_string(preview->command), "path",
		lh_json_string(preview->path), "mode", lh_dump_mode_name(preview->mode), "mode_reason",
		lh_json_string(preview->mode_reason), "expected_pause_ns", lh_json_u64(preview->pause_ns), "threads",
		(json_int_t)preview->thread_count, "wanted_bytes", lh_json_u64(preview->plan.wanted_bytes),
		"context_bytes", lh_json_u64(preview->plan.context_bytes), "swapped_bytes",
		lh_json_u64(preview->plan.swapped_bytes), "gap_bytes", lh_json_u64(preview->gap_bytes),
		"disk_needed_bytes", lh_json_u64(preview->disk_bytes), "disk_free_bytes",
		lh_json_u64(preview->disk_free_bytes), "modes", modes_json(preview), "extents", extents_json(preview));
	lh_report_append_json(object, ret);
}
