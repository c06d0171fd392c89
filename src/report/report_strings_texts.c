/*
 * report_strings_texts: the blocks of templates, and of texts that are repeated.
 */
#include "report_strings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says by how much counting in bounded memory can be wrong. */
static void write_missed(const struct lh_summary *summary, uint64_t missed_bytes, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX];
	if (summary->is_sampled)
		lh_buffer_puts(ret,
			       "found by a sample, counted exactly: what makes up less than 0.013 % can be missing\n");
	if (missed_bytes)
		lh_buffer_printf(ret, "there were too many different ones to count exactly: a row lacks at most %s\n",
				 lh_format_bytes(missed_bytes, bytes));
}

/* ---------------------------------------------------------------- templates */

/* From this share of the texts on, the sentence at the top names a template. */
#define TEMPLATE_PERCENT 5.0

/* "96 % of the texts are like `GET /api/v2/session/<n>`": the template with the most bytes. */
static void say_template(const struct lh_summary *summary, struct lh_clauses *clauses)
{
	if (!summary->templates.count)
		return;
	const struct lh_template_count *template = &summary->templates.items[0];
	double share = lh_percent(template->count, summary->run_count);
	double bytes_share = lh_percent(template->bytes, lh_nonzero_bytes(summary));
	char count[LH_FORMAT_MAX];
	if (share < TEMPLATE_PERCENT && bytes_share < LH_NOTABLE_PERCENT)
		return;
	struct lh_buffer *ret = lh_clause_add(clauses, bytes_share);
	lh_buffer_printf(ret, "%.0f %% of the texts (%s, %.1f %% of the bytes) are like `", share,
			 lh_format_count(template->count, count), bytes_share);
	lh_buffer_escape(ret, template->text, strlen(template->text));
	lh_buffer_puts(ret, "`");
}

static void write_templates(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"SHARE", LH_COLUMN_RIGHT},
						   {"TEXTS LIKE", LH_COLUMN_REST}};
	const struct lh_summary *summary = report->summary;
	if (!summary->templates.count)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	uint64_t missed_bytes = 0;
	for (size_t i = 0; i < summary->templates.count && i < report->top; i++) {
		const struct lh_template_count *template = &summary->templates.items[i];
		char count[LH_FORMAT_MAX];
		lh_table_row(&table, LH_ROW_PLAIN);
		lh_table_cell(&table, "%s", lh_format_count(template->count, count));
		lh_table_cell_bytes(&table, template->bytes);
		lh_table_cell(&table, "%.1f %%", lh_percent(template->bytes, summary->scanned_bytes));
		lh_table_cell_escaped(&table, template->text);
		missed_bytes = lh_max_u64(missed_bytes, template->missed_bytes);
	}
	lh_write_heading(style, "Texts that differ only in numbers, dates, ids", ret);
	lh_table_render(&table, style, ret);
	write_missed(summary, missed_bytes, ret);
}

static json_t *template_examples_json(const struct lh_template_count *template)
{
	json_t *list = json_array();
	for (size_t i = 0; i < template->example_count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "addr", lh_json_address(template->examples[i].addr),
						      "text", lh_json_string(template->examples[i].text)));
	return list;
}

static json_t *templates_json(const struct lh_strings_report *report)
{
	const struct lh_summary *summary = report->summary;
	json_t *rows = json_array();
	for (size_t i = 0; i < summary->templates.count && i < report->top; i++) {
		const struct lh_template_count *template = &summary->templates.items[i];
		json_array_append_new(
			rows, json_pack("{s:o, s:o, s:o, s:o, s:o}", "template", lh_json_string(template->text),
					"count", lh_json_u64(template->count), "bytes", lh_json_u64(template->bytes),
					"missed_bytes_at_most", lh_json_u64(template->missed_bytes), "examples",
					template_examples_json(template)));
	}
	return json_pack("{s:o, s:o, s:o}", "texts", lh_json_u64(summary->template_texts), "bytes",
			 lh_json_u64(summary->template_bytes), "rows", rows);
}

const struct lh_strings_block lh_strings_templates = {
	.conclude = say_template,
	.write_text = write_templates,
	.json_key = "templates",
	.make_json = templates_json,
};

/* ---------------------------------------------------------------- repeated texts */

static void say_most_repeated(const struct lh_summary *summary, struct lh_clauses *clauses)
{
	if (!summary->repeated.count)
		return;
	const struct lh_repeated *text = &summary->repeated.items[0];
	double share = lh_percent(text->bytes, lh_nonzero_bytes(summary));
	char count[LH_FORMAT_MAX];
	if (share >= LH_NOTABLE_PERCENT)
		lh_buffer_printf(lh_clause_add(clauses, share), "%.*f %% is one text, repeated %s times",
				 share < 10 ? 1 : 0, share, lh_format_count(text->count, count));
}

static void write_repeated_row(struct lh_table *table, const struct lh_repeated *text)
{
	char count[LH_FORMAT_MAX];
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell(table, "%s", lh_format_count(text->count, count));
	lh_table_cell_bytes(table, text->bytes);
	lh_table_cell(table, "0x%" PRIx64, text->example_addr);
	lh_table_cell_escaped(table, text->text);
}

static void write_repeated_notes(const struct lh_summary *summary, size_t secret_count, uint64_t missed_bytes,
				 struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	if (secret_count)
		lh_buffer_printf(ret, "%s texts lie in secrets and are not shown\n",
				 lh_format_count(secret_count, count));
	write_missed(summary, missed_bytes, ret);
}

static void write_repeated(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"ADDRESS", LH_COLUMN_RIGHT},
						   {"TEXT", LH_COLUMN_REST}};
	const struct lh_summary *summary = report->summary;
	if (!summary->repeated.count)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	size_t secret_count = 0;
	uint64_t missed_bytes = 0;
	for (size_t i = 0; i < summary->repeated.count && i < report->top; i++) {
		missed_bytes = lh_max_u64(missed_bytes, summary->repeated.items[i].missed_bytes);
		if (summary->repeated.items[i].is_secret)
			secret_count++;
		else
			write_repeated_row(&table, &summary->repeated.items[i]);
	}
	lh_write_heading(style, "Texts that are repeated", ret);
	lh_table_render(&table, style, ret);
	write_repeated_notes(summary, secret_count, missed_bytes, ret);
}

/* "text" is null if it is part of a secret. */
static json_t *repeated_json(const struct lh_strings_report *report)
{
	json_t *list = json_array();
	for (size_t i = 0; i < report->summary->repeated.count && i < report->top; i++) {
		const struct lh_repeated *text = &report->summary->repeated.items[i];
		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "count",
						lh_json_u64(text->count), "bytes", lh_json_u64(text->bytes),
						"missed_bytes_at_most", lh_json_u64(text->missed_bytes), "chars",
						lh_json_u64(text->chars), "addr", lh_json_address(text->example_addr),
						"text", text->is_secret ? json_null() : lh_json_string(text->text),
						"secret", text->is_secret));
	}
	return list;
}

const struct lh_strings_block lh_strings_repeated = {
	.conclude = say_most_repeated,
	.write_text = write_repeated,
	.json_key = "repeated",
	.make_json = repeated_json,
};
