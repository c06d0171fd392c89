/*
 * report_heap_growth: how a heap grew between two moments, as text and as JSON of the schema leakhunt/heap-diff/1.
 * Input: what objects compared. Output: text.
 */
#include "report_strings.h"
#include "usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int64_t grown_bytes(const struct lh_heap_growth_row *row)
{
	return (int64_t)(row->after.bytes - row->before.bytes);
}

static int64_t grown_count(const struct lh_heap_growth_row *row)
{
	return (int64_t)(row->after.count - row->before.count);
}

static void write_group_name(const struct lh_heap_group *group, struct lh_buffer *ret)
{
	if (*group->kind) {
		lh_buffer_escape(ret, group->kind, strlen(group->kind));
		lh_buffer_puts(ret, " ");
	}
	lh_buffer_escape(ret, group->name, strlen(group->name));
	if (!*group->detail)
		return;
	lh_buffer_puts(ret, " (");
	lh_buffer_escape(ret, group->detail, strlen(group->detail));
	lh_buffer_puts(ret, ")");
}

/* "+1,234" */
static const char *format_grown_count(int64_t count, char ret[LH_FORMAT_MAX + 1])
{
	char text[LH_FORMAT_MAX];
	uint64_t size = count < 0 ? -(uint64_t)count : (uint64_t)count;
	snprintf(ret, LH_FORMAT_MAX + 1, "%s%s", count < 0 ? "-" : count > 0 ? "+" : "", lh_format_count(size, text));
	return ret;
}

/* ---------------------------------------------------------------- text */

static void write_growth_sides(const struct lh_heap_growth_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	char growth[LH_FORMAT_MAX], before_bytes[LH_FORMAT_MAX], after_bytes[LH_FORMAT_MAX];
	struct lh_heap_totals before = lh_heap_total(report->before, NULL);
	struct lh_heap_totals after = lh_heap_total(report->after, NULL);
	if (report->receipts[1])
		lh_buffer_printf(&name, "process %d", (int)lh_image_pid(report->after_image));
	else
		lh_buffer_escape(&name, lh_image_path(report->after_image), strlen(lh_image_path(report->after_image)));
	lh_write_styled(style, "1", name.data ? name.data : "", ret);
	lh_buffer_puts(ret, " against ");
	if (report->receipts[0])
		lh_buffer_puts(ret, "its earlier copy");
	else
		lh_buffer_escape(ret, lh_image_path(report->before_image), strlen(lh_image_path(report->before_image)));
	lh_buffer_printf(
		ret, ": %s in use (%s, then %s)",
		lh_format_signed_bytes((int64_t)(after.bytes[LH_CHUNK_USED] - before.bytes[LH_CHUNK_USED]), growth),
		lh_format_bytes(before.bytes[LH_CHUNK_USED], before_bytes),
		lh_format_bytes(after.bytes[LH_CHUNK_USED], after_bytes));
	lh_buffer_printf(ret, ", %s resident\n",
			 lh_format_signed_bytes((int64_t)(after.resident_bytes - before.resident_bytes), growth));
}

/* "blocks:   1,200 new (5.0 MiB), 3 with other bytes (1 KiB), 40 unchanged (2 KiB), 2 gone (1 KiB)" */
static void write_changes(const struct lh_heap_growth *growth, struct lh_buffer *ret)
{
	static const char *const words[LH_BLOCK_CHANGES] = {"new", "with other bytes", "unchanged", "gone"};
	for (size_t i = 0; i < LH_BLOCK_CHANGES; i++) {
		char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
		lh_buffer_printf(ret, "%s%s %s (%s)",
				 i ? ", " : "blocks:   ", lh_format_count(growth->counts[i], count), words[i],
				 lh_format_bytes(growth->bytes[i], bytes));
	}
	lh_buffer_puts(ret, "\n");
}

static void write_growth_conclusion(const struct lh_heap_growth *growth, struct lh_style style, struct lh_buffer *ret)
{
	enum { NAMED_MAX = 3 };
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	for (size_t i = 0; i < growth->rows.count && i < NAMED_MAX && grown_bytes(&growth->rows.items[i]) > 0; i++) {
		const struct lh_heap_growth_row *row = &growth->rows.items[i];
		char count[LH_FORMAT_MAX + 1], bytes[LH_FORMAT_MAX];
		lh_buffer_printf(&text, "%s%s ", text.length ? "; " : "", format_grown_count(grown_count(row), count));
		write_group_name(&row->after, &text);
		lh_buffer_printf(&text, ", %s", lh_format_signed_bytes(grown_bytes(row), bytes));
	}
	lh_buffer_puts(ret, "in short: ");
	lh_write_styled(style, "1", text.length ? text.data : "no group of blocks has grown", ret);
	lh_buffer_puts(ret, "\n");
}

static void add_group_growth_row(struct lh_table *table, const struct lh_heap_growth_row *row)
{
	char text[LH_FORMAT_MAX + 1], bytes[LH_FORMAT_MAX];
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	write_group_name(&row->after, &name);
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%s", format_grown_count(grown_count(row), text));
	lh_table_cell(table, "%s", lh_format_signed_bytes(grown_bytes(row), bytes));
	lh_table_cell(table, "%s", lh_format_count(row->before.count, text));
	lh_table_cell(table, "%s", lh_format_count(row->after.count, text));
	for (size_t i = 0; i < LH_BLOCK_CHANGES; i++)
		lh_table_cell(table, "%s", row->counts[i] ? lh_format_count(row->counts[i], text) : "-");
	lh_table_cell(table, "0x%" PRIx64, row->example_addr);
	lh_table_cell(table, "%s", name.data ? name.data : "");
	table->failed |= name.failed;
}

/* Only groups with a growth in bytes or blocks get a row. */
static bool has_growth(const struct lh_heap_growth_row *row)
{
	return grown_bytes(row) > 0 || grown_count(row) > 0;
}

static void write_growth_rows(const struct lh_heap_growth_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"MORE", LH_COLUMN_RIGHT},      {"BYTES", LH_COLUMN_RIGHT},
						   {"BEFORE", LH_COLUMN_RIGHT},    {"AFTER", LH_COLUMN_RIGHT},
						   {"NEW", LH_COLUMN_RIGHT},       {"CHANGED", LH_COLUMN_RIGHT},
						   {"UNCHANGED", LH_COLUMN_RIGHT}, {"GONE", LH_COLUMN_RIGHT},
						   {"EXAMPLE", LH_COLUMN_LEFT},    {"WHAT", LH_COLUMN_REST}};
	const struct lh_heap_growth *growth = report->growth;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	size_t grown = 0, shown = 0;
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < growth->rows.count; i++) {
		if (!has_growth(&growth->rows.items[i]))
			continue;
		grown++;
		if (shown < report->top) {
			add_group_growth_row(&table, &growth->rows.items[i]);
			shown++;
		}
	}
	if (!shown)
		return;
	lh_buffer_puts(ret, "\n");
	lh_table_render(&table, style, ret);
	if (grown > shown)
		lh_buffer_printf(ret, "%zu more groups grew: --top N\n", grown - shown);
}

static void write_growth_loss(const struct lh_heap *heap, const char *which, struct lh_style style,
			      struct lh_buffer *ret)
{
	char text[128];
	if (lh_heap_report_is_complete(heap))
		return;
	snprintf(text, sizeof(text), "incomplete: a part of the heap could not be followed %s\n", which);
	lh_write_styled(style, "33", text, ret);
}

void lh_report_heap_growth_text(const struct lh_heap_growth_report *report, struct lh_style style,
				struct lh_buffer *ret)
{
	write_growth_sides(report, style, ret);
	write_growth_loss(report->before, "before", style, ret);
	write_growth_loss(report->after, "after", style, ret);
	write_changes(report->growth, ret);
	write_growth_conclusion(report->growth, style, ret);
	write_growth_rows(report, style, ret);
	lh_report_heap_source(report->receipts[0], ret);
	lh_report_heap_source(report->receipts[1], ret);
}

/* ---------------------------------------------------------------- JSON */

static json_t *growth_side_json(const struct lh_image *image, const struct lh_heap *heap,
				const struct lh_receipt *receipt)
{
	struct lh_heap_totals totals = lh_heap_total(heap, NULL);
	return json_pack("{s:o, s:o, s:o}", "path", lh_json_string(receipt ? "" : lh_image_path(image)), "totals",
			 lh_heap_totals_json(&totals), "receipt", lh_report_receipt_json(receipt));
}

static json_t *changes_json(const struct lh_heap_growth *growth)
{
	json_t *object = json_object();
	for (size_t i = 0; object && i < LH_BLOCK_CHANGES; i++) {
		json_t *figures = json_pack("{s:o, s:o}", "count", lh_json_u64(growth->counts[i]), "bytes",
					    lh_json_u64(growth->bytes[i]));
		if (json_object_set_new(object, lh_block_change_name((enum lh_block_change)i), figures)) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* Adds "new_count", "new_bytes" ... */
static bool add_row_changes(json_t *object, const struct lh_heap_growth_row *row)
{
	bool is_whole = object != NULL;
	for (size_t i = 0; i < LH_BLOCK_CHANGES; i++) {
		char key[32];
		snprintf(key, sizeof(key), "%s_count", lh_block_change_name((enum lh_block_change)i));
		is_whole &= !json_object_set_new(object, key, lh_json_u64(row->counts[i]));
		snprintf(key, sizeof(key), "%s_bytes", lh_block_change_name((enum lh_block_change)i));
		is_whole &= !json_object_set_new(object, key, lh_json_u64(row->bytes[i]));
	}
	return is_whole;
}

static json_t *growth_row_json(const struct lh_heap_growth_row *row)
{
	json_t *object = json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:o}", "basis",
		lh_group_basis_name(row->after.basis), "kind", row->after.kind, "name", lh_json_string(row->after.name),
		"detail", lh_json_string(row->after.detail), "before_count", lh_json_u64(row->before.count),
		"after_count", lh_json_u64(row->after.count), "growth_count", (json_int_t)grown_count(row),
		"before_bytes", lh_json_u64(row->before.bytes), "after_bytes", lh_json_u64(row->after.bytes),
		"growth_bytes", (json_int_t)grown_bytes(row), "addr", lh_json_address(row->example_addr));
	if (add_row_changes(object, row))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *growth_rows_json(const struct lh_heap_growth *growth)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < growth->rows.count; i++) {
		if (json_array_append_new(array, growth_row_json(&growth->rows.items[i]))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

void lh_report_heap_growth_json(const struct lh_heap_growth_report *report, struct lh_buffer *ret)
{
	bool is_complete = lh_heap_report_is_complete(report->before) && lh_heap_report_is_complete(report->after);
	lh_report_append_json(
		json_pack("{s:s, s:b, s:o, s:o, s:o, s:o}", "schema", "leakhunt/heap-diff/1", "complete", is_complete,
			  "before", growth_side_json(report->before_image, report->before, report->receipts[0]),
			  "after", growth_side_json(report->after_image, report->after, report->receipts[1]), "blocks",
			  changes_json(report->growth), "groups", growth_rows_json(report->growth)),
		ret);
}
