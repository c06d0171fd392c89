/*
 * html_grew: what the second dump has more than the first, as tables: all kinds of contents together, and texts by
 * template. Input: the difference of two summaries. The script only sorts and filters: tables are complete without it.
 */
#include "html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Limits for all kinds together, and for each kind. */
enum { GREW_MAX = 100, KIND_ROWS_MAX = 40, TEXTS_MAX = 100, NAME_BYTES_MAX = 160 };

/* A row of the difference with its kind. */
struct grew_row {
	const struct lh_diff_row *row;
	enum lh_diff_kind kind;
};

static const struct {
	const char *word;  /* data-k, and in the column */
	const char *title; /* of its button */
} kinds[] = {
	[LH_DIFF_OBJECTS] = {"object", "Objects"},   [LH_DIFF_CLASSES] = {"content", "Contents"},
	[LH_DIFF_TEMPLATES] = {"template", "Texts"}, [LH_DIFF_TEXTS] = {"text", "Texts"},
	[LH_DIFF_SYMBOLS] = {"pointer", "Pointers"},
};

static int64_t bytes_more(const struct lh_diff_row *row)
{
	return (int64_t)(row->after_bytes - row->before_bytes);
}

static int64_t count_more(const struct lh_diff_row *row)
{
	return (int64_t)(row->after_count - row->before_count);
}

/* ---------------------------------------------------------------- rows */

static int compare_grew(const void *a, const void *b)
{
	const struct grew_row *left = a, *right = b;
	int64_t more = bytes_more(right->row) - bytes_more(left->row);
	return more ? (more > 0) - (more < 0) : (int)left->kind - (int)right->kind;
}

/* Omits texts that also have a row as a template. Returns how many rows there are; keeps at most GREW_MAX. */
static size_t collect_grew(const struct lh_hunt *hunt, struct grew_row *ret)
{
	static const enum lh_diff_kind shown[] = {LH_DIFF_OBJECTS, LH_DIFF_CLASSES, LH_DIFF_TEMPLATES, LH_DIFF_SYMBOLS};
	size_t count = 0;
	for (size_t i = 0; i < LH_ARRAY_COUNT(shown); i++) {
		const struct lh_diff_rows *rows = &hunt->diff.kinds[shown[i]];
		for (size_t j = 0; j < rows->rows.count && j < KIND_ROWS_MAX; j++)
			ret[count++] = (struct grew_row){&rows->rows.items[j], shown[i]};
	}
	if (count)
		qsort(ret, count, sizeof(*ret), compare_grew);
	return lh_min_u64(count, GREW_MAX);
}

static void put_grew_name(const struct grew_row *grew, struct lh_buffer *ret)
{
	const struct lh_diff_row *row = grew->row;
	if (grew->kind == LH_DIFF_CLASSES) {
		lh_html_text(ret, row->name);
		return;
	}
	if (*row->family)
		lh_buffer_printf(ret, "<span class=\"mut\">%s</span> ", row->family);
	lh_buffer_puts(ret, grew->kind == LH_DIFF_OBJECTS ? "<bdi>" : "<bdi class=\"mono\">");
	lh_html_text_cut(ret, row->name, NAME_BYTES_MAX);
	lh_buffer_puts(ret, "</bdi>");
	if (!*row->detail)
		return;
	lh_buffer_puts(ret, " (");
	lh_html_text_cut(ret, row->detail, NAME_BYTES_MAX);
	lh_buffer_puts(ret, ")");
}

static void put_number_cells(const struct lh_diff_row *row, struct lh_buffer *ret)
{
	char more[LH_HTML_NUMBER_MAX], before[LH_HTML_NUMBER_MAX], after[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(ret,
			 "<td data-v=\"%" PRId64 "\">%s</td><td data-v=\"%" PRIu64 "\">%s</td><td data-v=\"%" PRIu64
			 "\">%s</td></tr>\n",
			 count_more(row), lh_html_signed_count(count_more(row), more), row->before_count,
			 lh_html_count(row->before_count, before), row->after_count,
			 lh_html_count(row->after_count, after));
}

/* Grey is the amount before, accent the growth: all bars share one scale. */
static void put_growth_bar(const struct lh_diff_row *row, uint64_t full_bytes, struct lh_buffer *ret)
{
	double before = full_bytes ? 100.0 * (double)row->before_bytes / (double)full_bytes : 0;
	double more = full_bytes && bytes_more(row) > 0 ? 100.0 * (double)bytes_more(row) / (double)full_bytes : 0;
	lh_buffer_printf(
		ret,
		"<td class=\"l ph\"><svg class=\"pb\" aria-hidden=\"true\"><rect class=\"z\" width=\"100%%\" "
		"height=\"8\"/><rect class=\"a\" width=\"%.2f%%\" height=\"8\"/><rect class=\"m\" x=\"%.2f%%\" "
		"width=\"%.2f%%\" height=\"8\"/></svg></td>",
		before, before, more);
}

static void put_grew_row(const struct grew_row *grew, uint64_t full_bytes, struct lh_buffer *ret)
{
	const char *word = kinds[grew->kind].word;
	char bytes[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(ret, "<tr data-k=\"%s\"><th scope=\"row\">", word);
	put_grew_name(grew, ret);
	lh_buffer_printf(ret, "</th><td class=\"l mut ph\">%s</td>", word);
	put_growth_bar(grew->row, full_bytes, ret);
	lh_buffer_printf(ret, "<td data-v=\"%" PRId64 "\">%s</td>", bytes_more(grew->row),
			 lh_html_signed_bytes(bytes_more(grew->row), bytes));
	put_number_cells(grew->row, ret);
}

/* ---------------------------------------------------------------- what grew */

static bool has_grew(const struct lh_hunt *hunt)
{
	for (int kind = 0; hunt->has_diff && kind < LH_DIFF_KIND_COUNT; kind++) {
		if (hunt->diff.kinds[kind].rows.count)
			return true;
	}
	return false;
}

static void put_filter(const struct grew_row *rows, size_t count, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<div class=\"bar jsonly\" id=\"grew-t-f\"><label class=\"vh\" for=\"q\">Filter rows by "
			    "text</label><input type=\"search\" id=\"q\" placeholder=\"Filter by name\"><button "
			    "type=\"button\" class=\"btn\" data-k=\"\" aria-pressed=\"true\">All</button>");
	for (int kind = 0; kind < LH_DIFF_KIND_COUNT; kind++) {
		bool is_there = false;
		for (size_t i = 0; i < count; i++)
			is_there |= rows[i].kind == (enum lh_diff_kind)kind;
		if (is_there)
			lh_buffer_printf(ret,
					 "<button type=\"button\" class=\"btn\" data-k=\"%s\" "
					 "aria-pressed=\"false\">%s</button>",
					 kinds[kind].word, kinds[kind].title);
	}
	lh_buffer_puts(ret, "<output class=\"mut\" aria-live=\"polite\"></output></div>\n");
}

static void put_grew_head(struct lh_buffer *ret)
{
	lh_html_begin_table(ret, "grew-t", "What grew between the dumps", " class=\"sort\" data-most=\"15\"");
	lh_html_column(ret, "What", false, "");
	lh_buffer_puts(ret,
		       "<th scope=\"col\" class=\"l ph\"><button type=\"button\">Kind</button></th><th scope=\"col\" "
		       "class=\"l ph\">Bytes before, more</th>");
	lh_html_column(ret, "More bytes", true, " aria-sort=\"descending\"");
	lh_html_column(ret, "More", true, "");
	lh_html_column(ret, "Before", true, "");
	lh_html_column(ret, "After", true, "");
	lh_buffer_puts(ret, "</tr></thead><tbody>\n");
}

static void write_grew(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	struct grew_row rows[LH_DIFF_KIND_COUNT * KIND_ROWS_MAX];
	size_t count = collect_grew(hunt, rows);
	uint64_t full_bytes = 1;
	char bytes[LH_HTML_NUMBER_MAX], zeros[LH_HTML_NUMBER_MAX];
	for (size_t i = 0; i < count; i++)
		full_bytes = lh_max_u64(full_bytes, lh_max_u64(rows[i].row->after_bytes, rows[i].row->before_bytes));
	lh_html_begin_section(ret, "grew", "What grew between the dumps");
	lh_buffer_printf(
		ret,
		"<p class=\"lead\">The dumps differ by %s of pages that are not zero, and by %s of zero pages. A text "
		"lies inside a buffer, so rows of different kinds overlap.</p>\n",
		lh_html_signed_bytes(hunt->compared_bytes, bytes), lh_html_signed_bytes(hunt->zero_bytes, zeros));
	put_filter(rows, count, ret);
	put_grew_head(ret);
	for (size_t i = 0; i < count; i++)
		put_grew_row(&rows[i], full_bytes, ret);
	lh_html_end_table(ret);
	lh_buffer_printf(
		ret,
		"<p class=\"read\">Bars share one scale: grey is before, accent is more. Bytes of objects are those of "
		"their blocks, touched or not. The %d rows of each kind that grew most are here, %d in all.</p>"
		"</section>\n",
		KIND_ROWS_MAX, GREW_MAX);
}

const struct lh_html_section lh_html_grew = {.id = "grew", .title = "What grew", .has = has_grew, .write = write_grew};

/* ---------------------------------------------------------------- texts */

static bool has_texts(const struct lh_hunt *hunt)
{
	return hunt->has_diff && hunt->diff.kinds[LH_DIFF_TEMPLATES].rows.count > 0;
}

static void put_text_row(const struct lh_diff_row *row, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<tr><th scope=\"row\">");
	lh_html_quote(ret, row->name);
	lh_buffer_printf(ret, "</th><td data-v=\"%" PRId64 "\">%s</td>", bytes_more(row),
			 lh_html_signed_bytes(bytes_more(row), bytes));
	put_number_cells(row, ret);
}

/* Short random bytes look like texts: texts that grew by less than a part of the first row are omitted. */
static size_t count_notable_texts(const struct lh_diff_rows *rows)
{
	enum { PART = 500 };
	size_t count = 0;
	while (count < rows->rows.count && count < TEXTS_MAX &&
	       bytes_more(&rows->rows.items[count]) >= bytes_more(&rows->rows.items[0]) / PART)
		count++;
	return count;
}

static void write_texts(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_diff_rows *rows = &hunt->diff.kinds[LH_DIFF_TEMPLATES];
	lh_html_begin_section(ret, "texts", "Texts, by template");
	lh_buffer_puts(
		ret, "<p class=\"lead\">Texts that differ only in numbers, dates or ids are one row. Secrets of known "
		     "form are masked; bytes that could change how a line reads are shown as their code.</p>\n");
	lh_buffer_puts(ret,
		       "<div class=\"bar jsonly\" id=\"text-t-f\"><label class=\"vh\" for=\"q2\">Filter templates by "
		       "text</label><input type=\"search\" id=\"q2\" placeholder=\"Filter by text\"><output "
		       "class=\"mut\" aria-live=\"polite\"></output></div>\n");
	lh_html_begin_table(ret, "text-t", "Texts by template", " class=\"sort\" data-most=\"15\"");
	lh_html_column(ret, "Template", false, "");
	lh_html_column(ret, "More bytes", true, " aria-sort=\"descending\"");
	lh_html_column(ret, "More", true, "");
	lh_html_column(ret, "Before", true, "");
	lh_html_column(ret, "After", true, "");
	lh_buffer_puts(ret, "</tr></thead><tbody>\n");
	size_t count = count_notable_texts(rows);
	for (size_t i = 0; i < count; i++)
		put_text_row(&rows->rows.items[i], ret);
	lh_html_end_table(ret);
	if (rows->rows.count > count)
		lh_buffer_printf(ret,
				 "<p class=\"read\">%zu of %zu templates that differ are here, the most grown.</p>",
				 count, rows->rows.count);
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_texts = {.id = "texts", .title = "Texts", .has = has_texts, .write = write_texts};
