/*
 * report_diff: what the second of two memories has more than the first, as text or as JSON of the schema
 * leakhunt/strings-diff/1.
 */
#include "report_strings.h"
#include "usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *heading;
	const char *json_key;
	const char *title;
} kinds[] = {
	[LH_DIFF_OBJECTS] = {"More objects", "objects", "OBJECT"},
	[LH_DIFF_CLASSES] = {"More of recognized contents", "classes", "WHAT"},
	[LH_DIFF_TEMPLATES] = {"More texts of one template", "templates", "TEMPLATE"},
	[LH_DIFF_TEXTS] = {"More texts that are repeated", "texts", "TEXT"},
	[LH_DIFF_SYMBOLS] = {"More words that point to symbols", "symbols", "SYMBOL"},
};

static int64_t growth_bytes(const struct lh_diff_row *row)
{
	return (int64_t)(row->after_bytes - row->before_bytes);
}

static int64_t growth_count(const struct lh_diff_row *row)
{
	return (int64_t)(row->after_count - row->before_count);
}

static bool has_grown(const struct lh_diff_row *row)
{
	return growth_bytes(row) > 0 || (growth_bytes(row) == 0 && growth_count(row) > 0);
}

/* "+1,234" */
static void format_growth(int64_t count, char ret[LH_FORMAT_MAX + 1])
{
	char text[LH_FORMAT_MAX];
	uint64_t size = count < 0 ? -(uint64_t)count : (uint64_t)count;
	snprintf(ret, LH_FORMAT_MAX + 1, "%s%s", count < 0 ? "-" : count > 0 ? "+" : "", lh_format_count(size, text));
}

enum { SAID_OBJECTS_MAX = 32, SAID_NAME_MAX = 60 };

/* "SSL (server, TLS 1.3)", "malloc (libc.so.6)" */
static void write_diff_name(const struct lh_diff_row *row, struct lh_buffer *ret)
{
	lh_buffer_escape(ret, row->name, strlen(row->name));
	if (!*row->detail)
		return;
	lh_buffer_puts(ret, " (");
	lh_buffer_escape(ret, row->detail, strlen(row->detail));
	lh_buffer_puts(ret, ")");
}

/* The first characters of a long text; names of types are whole. */
static void write_short_name(const struct lh_diff_row *row, struct lh_buffer *ret)
{
	size_t length = strlen(row->name);
	if (*row->family || length <= SAID_NAME_MAX) {
		write_diff_name(row, ret);
		return;
	}
	length = SAID_NAME_MAX;
	while (length && ((uint8_t)row->name[length] & 0xc0) == 0x80) /* not within a character of UTF-8 */
		length--;
	lh_buffer_escape(ret, row->name, length);
	lh_buffer_puts(ret, "\xe2\x80\xa6"); /* U+2026 */
}

/* ---------------------------------------------------------------- text */

static void write_sides(const struct lh_diff_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer before LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer after LH_CLEANUP(lh_buffer_deinit) = {0};
	char bytes[LH_FORMAT_MAX], before_bytes[LH_FORMAT_MAX], after_bytes[LH_FORMAT_MAX];
	lh_buffer_escape(&before, lh_image_path(report->before_image), strlen(lh_image_path(report->before_image)));
	lh_buffer_escape(&after, lh_image_path(report->after_image), strlen(lh_image_path(report->after_image)));
	uint64_t used_before = lh_nonzero_bytes(report->before), used_after = lh_nonzero_bytes(report->after);
	lh_write_styled(style, "1", after.data ? after.data : "", ret);
	lh_buffer_printf(ret, " against %s: %s of bytes that are not in zero pages (%s, then %s)\n",
			 before.data ? before.data : "",
			 lh_format_signed_bytes((int64_t)(used_after - used_before), bytes),
			 lh_format_bytes(used_before, before_bytes), lh_format_bytes(used_after, after_bytes));
}

static void write_diff_loss(const struct lh_image *image, const struct lh_summary *summary, struct lh_style style,
			    struct lh_buffer *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_loss loss = lh_image_loss(image);
	char bytes[LH_FORMAT_MAX];
	lh_write_match_loss(summary, &text);
	if (loss.count || summary->is_interrupted) {
		lh_buffer_puts(&text, "incomplete: ");
		lh_buffer_escape(&text, lh_image_path(image), strlen(lh_image_path(image)));
	}
	if (summary->is_interrupted)
		lh_buffer_puts(&text, " was not scanned to its end\n");
	else if (loss.count)
		lh_buffer_printf(&text, ": %s could not be read\n", lh_format_bytes(loss.bytes, bytes));
	if (text.length)
		lh_write_styled(style, "33", text.data, ret);
}

static int64_t most_growth(const struct lh_diff_report *report, enum lh_diff_kind kind)
{
	const struct lh_diff_rows *rows = &report->diff->kinds[kind];
	return rows->rows.count ? growth_bytes(&rows->rows.items[0]) : 0;
}

/* Growth below this is omitted: a hundredth of the whole growth, unless nothing grew that much. */
static int64_t least_row_growth(const struct lh_diff_report *report)
{
	int64_t least = (int64_t)(lh_nonzero_bytes(report->after) - lh_nonzero_bytes(report->before)) / 100;
	bool has_some = most_growth(report, LH_DIFF_OBJECTS) >= least ||
			most_growth(report, LH_DIFF_CLASSES) >= least ||
			most_growth(report, LH_DIFF_TEMPLATES) >= least;
	return has_some ? least : 1;
}

static bool is_worth_a_row(const struct lh_diff_report *report, const struct lh_diff_row *row)
{
	return has_grown(row) && growth_bytes(row) >= least_row_growth(report);
}

/* "+400 SSL (server, TLS 1.3)"; "larger dict" if there are as many as before */
static void say_row_count(const struct lh_diff_row *row, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX + 1];
	format_growth(growth_count(row), count);
	lh_buffer_printf(ret, "%s%s ", ret->length ? "; " : "", growth_count(row) ? count : "larger");
	write_short_name(row, ret);
}

/* What grew most of contents or templates. */
static void say_growth(const struct lh_diff_report *report, enum lh_diff_kind kind, struct lh_buffer *ret)
{
	const struct lh_diff_rows *rows = &report->diff->kinds[kind];
	char bytes[LH_FORMAT_MAX];
	if (!rows->rows.count || !is_worth_a_row(report, &rows->rows.items[0]))
		return;
	say_row_count(&rows->rows.items[0], ret);
	lh_buffer_printf(ret, ", %s", lh_format_signed_bytes(growth_bytes(&rows->rows.items[0]), bytes));
}

/* A text that is worth a row is said later, with its bytes. */
static void say_text_alike(const struct lh_diff_report *report, uint64_t count, struct lh_buffer *ret)
{
	const struct lh_diff_row *text = lh_diff_find_text_alike(report->diff, count);
	if (!text || is_worth_a_row(report, text))
		return;
	lh_buffer_puts(ret, "; as many texts like `");
	write_short_name(text, ret);
	lh_buffer_puts(ret, "`");
}

/* Names the objects that grew most, with those that grew in the same number. Returns how often it named some. */
static size_t say_object_growth(const struct lh_diff_report *report, bool is_young, size_t most, struct lh_buffer *ret)
{
	const struct lh_diff_rows *objects = &report->diff->kinds[LH_DIFF_OBJECTS];
	const struct lh_diff_row *rows[SAID_OBJECTS_MAX];
	const char *names[SAID_OBJECTS_MAX];
	struct lh_companion_row sizes[SAID_OBJECTS_MAX];
	struct lh_companions found;
	size_t count = 0, said = 0;
	for (size_t i = 0; i < objects->rows.count && count < SAID_OBJECTS_MAX; i++) {
		const struct lh_diff_row *row = &objects->rows.items[i];
		if (row->is_young != is_young || !is_worth_a_row(report, row))
			continue;
		int64_t grown = growth_count(row);
		sizes[count] = (struct lh_companion_row){.count = grown > 0 ? (uint64_t)grown : 0,
							 .bytes = (uint64_t)growth_bytes(row),
							 .is_own = row->is_own};
		names[count] = row->name;
		rows[count++] = row;
	}
	for (; said < most && lh_companions_find(sizes, count, LH_GROWN_ALIKE, &found); said++) {
		char bytes[LH_FORMAT_MAX];
		say_row_count(rows[found.lead], ret);
		lh_write_companions(&found, names, ret);
		lh_buffer_printf(ret, "%s%s", found.count ? ": " : ", ",
				 lh_format_signed_bytes((int64_t)found.bytes, bytes));
		say_text_alike(report, sizes[found.lead].count, ret);
	}
	return said;
}

/* Objects that grew most, then contents and templates, more bytes first; objects that may be garbage come last. */
static void write_diff_conclusion(const struct lh_diff_report *report, struct lh_style style, struct lh_buffer *ret)
{
	enum { OBJECTS = 2 };
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	size_t objects = say_object_growth(report, false, OBJECTS, &text);
	bool texts_first = most_growth(report, LH_DIFF_TEMPLATES) > most_growth(report, LH_DIFF_CLASSES);
	say_growth(report, texts_first ? LH_DIFF_TEMPLATES : LH_DIFF_CLASSES, &text);
	say_growth(report, texts_first ? LH_DIFF_CLASSES : LH_DIFF_TEMPLATES, &text);
	say_object_growth(report, true, OBJECTS - objects, &text);
	lh_buffer_puts(ret, "in short: ");
	lh_write_styled(style, "1", text.length ? text.data : "nothing that leakhunt recognizes has grown", ret);
	lh_buffer_puts(ret, "\n");
}

static void write_diff_row(struct lh_table *table, const struct lh_diff_row *row)
{
	char count[LH_FORMAT_MAX + 1], before[LH_FORMAT_MAX], after[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	write_diff_name(row, &name);
	format_growth(growth_count(row), count);
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%s", count);
	lh_table_cell(table, "%s", lh_format_signed_bytes(growth_bytes(row), bytes));
	lh_table_cell(table, "%s", lh_format_count(row->before_count, before));
	lh_table_cell(table, "%s", lh_format_count(row->after_count, after));
	lh_table_cell(table, "%s", name.data ? name.data : "");
}

static void write_kind(const struct lh_diff_report *report, int kind, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_column columns[] = {{"MORE", LH_COLUMN_RIGHT},
					    {"BYTES", LH_COLUMN_RIGHT},
					    {"BEFORE", LH_COLUMN_RIGHT},
					    {"AFTER", LH_COLUMN_RIGHT},
					    {kinds[kind].title, LH_COLUMN_REST}};
	const struct lh_diff_rows *rows = &report->diff->kinds[kind];
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	size_t shown = 0;
	for (; shown < rows->rows.count && shown < report->top && has_grown(&rows->rows.items[shown]); shown++)
		write_diff_row(&table, &rows->rows.items[shown]);
	if (!shown)
		return;
	lh_write_heading(style, kinds[kind].heading, ret);
	lh_table_render(&table, style, ret);
}

/* ---------------------------------------------------------------- one table of all kinds */

enum { RANKED_MAX = 12 };

/* Objects that the collector has not visited may be garbage: they come last. */
static int compare_diff_rows(const void *a, const void *b)
{
	const struct lh_diff_row *const *left = a, *const *right = b;
	if ((*left)->is_young != (*right)->is_young)
		return (*left)->is_young ? 1 : -1;
	int64_t left_bytes = growth_bytes(*left), right_bytes = growth_bytes(*right);
	return left_bytes != right_bytes ? (left_bytes > right_bytes ? -1 : 1) : strcmp((*left)->name, (*right)->name);
}

/* The objects, contents and templates that grew most: *ret_count rows, at most RANKED_MAX of each kind. */
static size_t rank_growth(const struct lh_diff *diff, const struct lh_diff_row *ret[3 * RANKED_MAX])
{
	static const enum lh_diff_kind order[] = {LH_DIFF_OBJECTS, LH_DIFF_CLASSES, LH_DIFF_TEMPLATES};
	size_t count = 0;
	for (size_t i = 0; i < LH_ARRAY_COUNT(order); i++) {
		const struct lh_diff_rows *rows = &diff->kinds[order[i]];
		for (size_t k = 0; k < rows->rows.count && k < RANKED_MAX && has_grown(&rows->rows.items[k]); k++)
			ret[count++] = &rows->rows.items[k];
	}
	if (count)
		qsort(ret, count, sizeof(*ret), compare_diff_rows);
	return count;
}

static void write_ranked_growth(const struct lh_diff_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"MORE", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"BEFORE", LH_COLUMN_RIGHT},
						   {"AFTER", LH_COLUMN_RIGHT},
						   {"WHAT", LH_COLUMN_REST}};
	const struct lh_diff_row *rows[3 * RANKED_MAX];
	size_t count = rank_growth(report->diff, rows), shown = 0;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < count && shown < RANKED_MAX; i++) {
		if (!is_worth_a_row(report, rows[i]))
			continue;
		write_diff_row(&table, rows[i]);
		shown++;
	}
	if (shown) {
		lh_buffer_puts(ret, "\n");
		lh_table_render(&table, style, ret);
	}
	lh_buffer_puts(ret,
		       "next:    --all also shows which texts and pointers to symbols grew; `leakhunt heap A B` counts "
		       "blocks of no known type\n");
}

void lh_report_diff_text(const struct lh_diff_report *report, struct lh_style style, struct lh_buffer *ret)
{
	write_sides(report, style, ret);
	write_diff_loss(report->before_image, report->before, style, ret);
	write_diff_loss(report->after_image, report->after, style, ret);
	write_diff_conclusion(report, style, ret);
	if (report->is_short) {
		write_ranked_growth(report, style, ret);
		return;
	}
	for (int kind = 0; kind < LH_DIFF_KIND_COUNT; kind++)
		write_kind(report, kind, style, ret);
}

/* ---------------------------------------------------------------- JSON */

static json_t *side_json(const struct lh_image *image, const struct lh_summary *summary)
{
	return json_pack("{s:o, s:s, s:o, s:o}", "path", lh_json_string(lh_image_path(image)), "kind",
			 lh_image_source_name(lh_image_source(image)), "scanned_bytes",
			 lh_json_u64(summary->scanned_bytes), "zero_bytes", lh_json_u64(summary->zero_bytes));
}

static json_t *row_json(const struct lh_diff_row *row)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:o}", "name", lh_json_string(row->name), "detail",
			 lh_json_string(row->detail), "before_count", lh_json_u64(row->before_count), "after_count",
			 lh_json_u64(row->after_count), "growth_count", (json_int_t)growth_count(row), "before_bytes",
			 lh_json_u64(row->before_bytes), "after_bytes", lh_json_u64(row->after_bytes), "growth_bytes",
			 (json_int_t)growth_bytes(row), "addr",
			 row->after_count ? lh_json_address(row->after_addr) : json_null());
}

static json_t *rows_json(const struct lh_diff_report *report, int kind)
{
	const struct lh_diff_rows *rows = &report->diff->kinds[kind];
	json_t *list = json_array();
	for (size_t i = 0; i < rows->rows.count && i < report->top; i++)
		json_array_append_new(list, row_json(&rows->rows.items[i]));
	return list;
}

static bool is_side_complete(const struct lh_image *image, const struct lh_summary *summary)
{
	return !lh_image_loss(image).count && !summary->is_interrupted && !summary->match_loss.count;
}

void lh_report_diff_json(const struct lh_diff_report *report, struct lh_buffer *ret)
{
	bool is_complete = is_side_complete(report->before_image, report->before) &&
			   is_side_complete(report->after_image, report->after);
	json_t *json = json_pack("{s:s, s:b, s:o, s:o}", "schema", "leakhunt/strings-diff/1", "complete", is_complete,
				 "before", side_json(report->before_image, report->before), "after",
				 side_json(report->after_image, report->after));
	for (int kind = 0; kind < LH_DIFF_KIND_COUNT; kind++)
		json_object_set_new(json, kinds[kind].json_key, rows_json(report, kind));
	lh_report_append_json(json, ret);
}
