/*
 * report_explain: what lies at one address, as text or JSON. Input: what was found. Output: text. Contents of a target
 * appear only if the caller asks for them, escaped.
 */
#include "usage.h"

#include "leakhunt/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 16 };

static void put_explained_label(struct lh_buffer *ret, const char *label)
{
	lh_buffer_printf(ret, "%-10s", label);
}

static const struct lh_heap_arena *arena_of(const struct lh_explain_report *report)
{
	size_t count;
	return &lh_heap_arenas(report->heap, &count)[report->chunk.arena];
}

static void put_explained_mapping(const struct lh_explain_report *report, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX];
	const struct lh_segment *segment = report->segment;
	put_explained_label(ret, "mapping");
	if (!segment) {
		lh_buffer_puts(ret, "none, or not in the dump\n");
		return;
	}
	lh_buffer_printf(ret, "0x%" PRIx64 "-0x%" PRIx64 " %s, %s ", segment->start, segment->end,
			 lh_format_bytes(segment->end - segment->start, bytes), lh_region_kind_name(segment->kind));
	lh_buffer_escape(ret, segment->name, strlen(segment->name));
	lh_buffer_puts(ret, "\n");
}

static void put_explained_block(const struct lh_explain_report *report, struct lh_buffer *ret)
{
	const struct lh_heap_chunk *chunk = &report->chunk;
	const struct lh_heap_arena *arena = arena_of(report);
	char size[LH_FORMAT_MAX];
	put_explained_label(ret, "block");
	lh_buffer_printf(ret, "0x%" PRIx64 ", %s usable", chunk->addr, lh_format_bytes(chunk->size_bytes, size));
	if (chunk->requested_bytes)
		lh_buffer_printf(ret, ", %" PRIu64 " asked for", chunk->requested_bytes);
	lh_buffer_printf(ret, "; the address is %" PRIu64 " bytes into it\n", report->addr - chunk->addr);
	put_explained_label(ret, "state");
	lh_buffer_printf(ret, "%s\n", lh_chunk_state_name((enum lh_chunk_state)chunk->state));
	put_explained_label(ret, "allocator");
	lh_buffer_printf(ret, "%s, arena %s%s", arena->allocator, arena->role, *arena->role ? " " : "");
	if (arena->addr)
		lh_buffer_printf(ret, "0x%" PRIx64, arena->addr);
	lh_buffer_puts(ret, "\n");
}

static void put_explained_group(const struct lh_heap_group *group, struct lh_buffer *ret)
{
	put_explained_label(ret, "is");
	lh_buffer_printf(ret, "%s%s", group->kind, *group->kind ? " " : "");
	lh_buffer_escape(ret, group->name, strlen(group->name));
	lh_buffer_printf(ret, "%s", *group->detail ? ", " : "");
	lh_buffer_escape(ret, group->detail, strlen(group->detail));
	lh_buffer_printf(ret, " (by %s)\n", lh_group_basis_name(group->basis));
}

enum { STEPS_SHOWN = 8 };

/* root -> block+offset -> ... -> the block. */
static void put_explained_path(const struct lh_block_holding *holding, struct lh_buffer *ret)
{
	size_t count = holding->path.count;
	put_explained_label(ret, "path");
	lh_buffer_escape(ret, holding->root, strlen(holding->root));
	for (size_t i = 1; i < count; i++) {
		const struct lh_path_step *step = &holding->path.items[i];
		if (count > STEPS_SHOWN && i == STEPS_SHOWN / 2) {
			lh_buffer_printf(ret, " -> ... %zu more", count - STEPS_SHOWN);
			i = count - STEPS_SHOWN / 2 - 1;
			continue;
		}
		lh_buffer_printf(ret, " -> 0x%" PRIx64, step->addr);
		if (i + 1 < count)
			lh_buffer_printf(ret, "+%" PRIu64, step->offset);
	}
	lh_buffer_puts(ret, "\n");
}

static void put_explained_holding(const struct lh_explain_report *report, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX], count[LH_FORMAT_MAX];
	const struct lh_block_holding *holding = report->holding;
	put_explained_label(ret, "reach");
	lh_buffer_printf(ret, "%s\n", lh_leak_status_name(lh_graph_status(report->graph, report->chunk_index)));
	if (!holding->path.count)
		return;
	put_explained_path(holding, ret);
	put_explained_label(ret, "retains");
	lh_buffer_printf(ret, "%s in %s block%s, with itself\n", lh_format_bytes(holding->retained_bytes, bytes),
			 lh_format_count(holding->retained_count, count), holding->retained_count == 1 ? "" : "s");
}

static void put_explained_content(const struct lh_explain_report *report, struct lh_buffer *ret)
{
	for (size_t start = 0; start < report->content_bytes; start += LINE_BYTES) {
		size_t count = lh_min_u64(LINE_BYTES, report->content_bytes - start);
		lh_buffer_printf(ret, "  0x%012" PRIx64 " ", report->content_addr + start);
		for (size_t i = 0; i < LINE_BYTES; i++) {
			if (i < count)
				lh_buffer_printf(ret, " %02x", report->content[start + i]);
			else
				lh_buffer_puts(ret, "   ");
		}
		lh_buffer_puts(ret, "  ");
		for (size_t i = 0; i < count; i++) {
			uint8_t byte = report->content[start + i];
			lh_buffer_printf(ret, "%c", byte >= 0x20 && byte < 0x7f ? byte : '.');
		}
		lh_buffer_puts(ret, "\n");
	}
}

void lh_report_explain_text(const struct lh_explain_report *report, struct lh_buffer *ret)
{
	put_explained_mapping(report, ret);
	if (report->symbol) {
		put_explained_label(ret, "symbol");
		lh_buffer_escape(ret, report->symbol, strlen(report->symbol));
		lh_buffer_puts(ret, "\n");
	}
	if (report->has_chunk) {
		put_explained_block(report, ret);
	} else if (lh_heap_covers(report->heap, report->addr)) {
		put_explained_label(ret, "block");
		lh_buffer_puts(ret, "none: the allocator's own memory\n");
	}
	if (report->group)
		put_explained_group(report->group, ret);
	if (report->holding)
		put_explained_holding(report, ret);
	if (report->shows_text)
		put_explained_content(report, ret);
}

/* ---------------------------------------------------------------- JSON */

static json_t *group_json(const struct lh_heap_group *group)
{
	if (!group)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:o}", "basis", lh_group_basis_name(group->basis), "kind", group->kind,
			 "name", lh_json_string(group->name), "detail", lh_json_string(group->detail));
}

static json_t *holding_path_json(const struct lh_block_holding *holding)
{
	json_t *array = json_array();
	for (size_t i = 0; array && holding && i < holding->path.count; i++) {
		const struct lh_path_step *step = &holding->path.items[i];
		json_t *item = json_pack("{s:o, s:o}", "addr", lh_json_address(step->addr), "offset",
					 lh_json_u64(step->offset));
		if (item && !json_array_append_new(array, item))
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *block_json(const struct lh_explain_report *report)
{
	if (!report->has_chunk)
		return json_null();
	const struct lh_heap_chunk *chunk = &report->chunk;
	const struct lh_heap_arena *arena = arena_of(report);
	const struct lh_block_holding *holding = report->holding;
	const char *status = holding ? lh_leak_status_name(lh_graph_status(report->graph, report->chunk_index)) : NULL;
	return json_pack("{s:o, s:o, s:o, s:s, s:o, s:s, s:o, s:s, s:o, s:s?, s:o, s:o, s:o, s:o}", "addr",
			 lh_json_address(chunk->addr), "bytes", lh_json_u64(chunk->size_bytes), "requested_bytes",
			 chunk->requested_bytes ? lh_json_u64(chunk->requested_bytes) : json_null(), "state",
			 lh_chunk_state_name((enum lh_chunk_state)chunk->state), "offset",
			 lh_json_u64(report->addr - chunk->addr), "allocator", arena->allocator, "arena",
			 arena->addr ? lh_json_address(arena->addr) : json_null(), "arena_role", arena->role, "group",
			 group_json(report->group), "status", status, "root",
			 holding && holding->root ? lh_json_string(holding->root) : json_null(), "path",
			 holding_path_json(holding), "retained_blocks",
			 lh_json_u64(holding ? holding->retained_count : 0), "retained_bytes",
			 lh_json_u64(holding ? holding->retained_bytes : 0));
}

static json_t *mapping_json(const struct lh_segment *segment)
{
	if (!segment)
		return json_null();
	return json_pack("{s:o, s:o, s:s, s:o}", "start", lh_json_address(segment->start), "end",
			 lh_json_address(segment->end), "kind", lh_region_kind_name(segment->kind), "name",
			 lh_json_string(segment->name));
}

static json_t *content_json(const struct lh_explain_report *report)
{
	struct lh_buffer hex LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!report->shows_text)
		return json_null();
	for (size_t i = 0; i < report->content_bytes; i++)
		lh_buffer_printf(&hex, "%02x", report->content[i]);
	return json_string(hex.data ? hex.data : "");
}

void lh_report_explain_json(const struct lh_explain_report *report, struct lh_buffer *ret)
{
	json_t *object =
		json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "leakhunt/explain/1", "addr",
			  lh_json_address(report->addr), "mapping", mapping_json(report->segment), "symbol",
			  report->symbol ? lh_json_string(report->symbol) : json_null(), "block", block_json(report),
			  "content_addr", lh_json_address(report->content_addr), "content_hex", content_json(report));
	lh_report_append_json(object, ret);
}
