/*
 * report_strings_objects: the block of objects: how many of each type, and their estimated size.
 */
#include "report_strings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "SSL (server, TLS 1.3)" */
static void write_object_name(const struct lh_object_count *row, struct lh_buffer *ret)
{
	lh_buffer_escape(ret, row->name, strlen(row->name));
	if (*row->detail) {
		lh_buffer_puts(ret, " (");
		lh_buffer_escape(ret, row->detail, strlen(row->detail));
		lh_buffer_puts(ret, ")");
	}
}

static double share_of(const struct lh_summary *summary, const struct lh_object_count *row)
{
	return lh_percent(row->bytes, lh_nonzero_bytes(summary));
}

bool lh_objects_are_notable(const struct lh_summary *summary)
{
	return summary->objects.rows.count && share_of(summary, &summary->objects.rows.items[0]) >= LH_NOTABLE_PERCENT;
}

/* "4,009 SSL (server, TLS 1.3) in 29.8 MiB": the two largest types, and the largest of the program's own classes. */
static void conclude_strings_objects(const struct lh_summary *summary, struct lh_clauses *clauses)
{
	enum { LARGEST = 2 };
	size_t said = 0;
	bool has_own = false;
	if (!lh_objects_are_notable(summary))
		return;
	struct lh_buffer *ret = lh_clause_add(clauses, share_of(summary, &summary->objects.rows.items[0]));
	for (size_t i = 0; i < summary->objects.rows.count; i++) {
		const struct lh_object_count *row = &summary->objects.rows.items[i];
		char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
		if (share_of(summary, row) < LH_NOTABLE_PERCENT || (said >= LARGEST && has_own))
			break;
		if (said >= LARGEST && !row->is_own)
			continue;
		lh_buffer_printf(ret, "%s%s ", said++ ? ", " : "objects: ", lh_format_count(row->count, count));
		write_object_name(row, ret);
		lh_buffer_printf(ret, " in %s", lh_format_bytes(row->bytes, bytes));
		has_own |= row->is_own;
	}
}

static void write_object_row(struct lh_table *table, const struct lh_object_count *row)
{
	char count[LH_FORMAT_MAX];
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	write_object_name(row, &name);
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%s", lh_format_count(row->count, count));
	lh_table_cell_bytes(table, row->bytes);
	lh_table_cell(table, "0x%" PRIx64, row->example_addr);
	lh_table_cell(table, "%s", row->kind);
	lh_table_cell(table, "%s", name.data ? name.data : "");
}

static void write_text(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"ADDRESS", LH_COLUMN_RIGHT},
						   {"KIND", LH_COLUMN_LEFT},
						   {"OBJECT", LH_COLUMN_REST}};
	const struct lh_objects *objects = &report->summary->objects;
	if (!objects->rows.count)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < objects->rows.count && i < report->top; i++)
		write_object_row(&table, &objects->rows.items[i]);
	lh_write_heading(style, "Objects, by type", ret);
	lh_table_render(&table, style, ret);
	if (objects->rows.count > report->top) {
		char count[LH_FORMAT_MAX];
		lh_buffer_printf(ret, "%s more types\n", lh_format_count(objects->rows.count - report->top, count));
	}
}

/* Key "objects": [{kind, name, detail, count, bytes, freed_count, addr}]; bytes are estimated. */
static json_t *make_json(const struct lh_strings_report *report)
{
	const struct lh_objects *objects = &report->summary->objects;
	json_t *list = json_array();
	for (size_t i = 0; i < objects->rows.count && i < report->top; i++) {
		const struct lh_object_count *row = &objects->rows.items[i];
		json_array_append_new(
			list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", row->kind, "name",
					lh_json_string(row->name), "detail", lh_json_string(row->detail), "count",
					lh_json_u64(row->count), "bytes", lh_json_u64(row->bytes), "freed_count",
					lh_json_u64(row->freed_count), "addr", lh_json_address(row->example_addr)));
	}
	return list;
}

const struct lh_strings_block lh_strings_objects = {
	.conclude = conclude_strings_objects,
	.write_text = write_text,
	.json_key = "objects",
	.make_json = make_json,
};
