/*
 * report_strings_texts: the block of texts that are repeated.
 */
#include "report/report_strings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_most_repeated(const struct lh_summary *summary, struct lh_buffer *ret)
{
	if (!summary->repeated.count)
		return;
	const struct lh_repeated *text = &summary->repeated.items[0];
	double share = lh_percent(text->bytes, lh_nonzero_bytes(summary));
	char count[LH_FORMAT_MAX];
	if (share >= LH_NOTABLE_PERCENT)
		lh_buffer_printf(ret, "one text, repeated %s times, makes up %.0f %%; ",
				 lh_format_count(text->count, count), share);
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

static void write_repeated_notes(const struct lh_summary *summary, size_t secret_count, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	if (secret_count)
		lh_buffer_printf(ret, "%s texts lie in secrets and are not shown\n",
				 lh_format_count(secret_count, count));
	if (summary->uncounted_runs)
		lh_buffer_printf(ret,
				 "%s texts that were seen rarely are not counted here: there were too many different "
				 "ones\n",
				 lh_format_count(summary->uncounted_runs, count));
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
	for (size_t i = 0; i < summary->repeated.count && i < report->top; i++) {
		if (summary->repeated.items[i].is_secret)
			secret_count++;
		else
			write_repeated_row(&table, &summary->repeated.items[i]);
	}
	lh_write_heading(style, "Texts that are repeated", ret);
	lh_table_render(&table, style, ret);
	write_repeated_notes(summary, secret_count, ret);
}

/* "text" is null when it lies in a secret. */
static json_t *repeated_json(const struct lh_strings_report *report)
{
	json_t *list = json_array();
	for (size_t i = 0; i < report->summary->repeated.count && i < report->top; i++) {
		const struct lh_repeated *text = &report->summary->repeated.items[i];
		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "count", lh_json_u64(text->count),
						"bytes", lh_json_u64(text->bytes), "chars", lh_json_u64(text->chars),
						"addr", lh_json_address(text->example_addr), "text",
						text->is_secret ? json_null() : lh_json_string(text->text), "secret",
						text->is_secret));
	}
	return list;
}

const struct lh_strings_block lh_strings_repeated = {
	.conclude = say_most_repeated,
	.write_text = write_repeated,
	.json_key = "repeated",
	.make_json = repeated_json,
};
