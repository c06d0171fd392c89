/*
 * report_strings_classes: the blocks of recognized contents.
 */
#include "report_strings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "16 % JSON texts (50,001, the first {"user":48015,...)" */
static void say_class(const struct lh_class_count *class, double share, struct lh_buffer *ret)
{
	enum { EXAMPLE_CHARS = 60 };
	char count[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%.*f %% %s (%s", share < 10 ? 1 : 0, share, class->title,
			 lh_format_count(class->count, count));
	const char *example = class->is_secret || !class->example_count ? "" : class->examples[0].text;
	size_t length = strlen(example), cut = lh_min_u64(length, EXAMPLE_CHARS);
	while (cut && cut < length && (example[cut] & 0xc0) == 0x80)
		cut--; /* not within a character */
	if (length) {
		lh_buffer_puts(ret, ", the first ");
		lh_buffer_escape(ret, example, cut);
		lh_buffer_puts(ret, cut < length ? "\xe2\x80\xa6" : ""); /* U+2026 */
	}
	lh_buffer_puts(ret, ")");
}

/* The two largest classes, if they take a notable share. */
static void say_largest_classes(const struct lh_summary *summary, struct lh_clauses *ret)
{
	enum { CLASSES = 2 };
	for (size_t i = 0; i < summary->classes.count && i < CLASSES; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		double share = lh_percent(class->bytes, lh_nonzero_bytes(summary));
		if (share >= LH_NOTABLE_PERCENT)
			say_class(class, share, lh_clause_add(ret, share));
	}
}

static uint64_t unchecked_count(const struct lh_summary *summary)
{
	uint64_t count = 0;
	for (size_t i = 0; i < summary->classes.count; i++)
		count += summary->classes.items[i].unchecked;
	return count;
}

static void warn_of_unchecked(const struct lh_strings_report *report, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	if (unchecked_count(report->summary))
		lh_buffer_printf(ret,
				 "%s places that may contain more of the contents below were not examined: too many\n",
				 lh_format_count(unchecked_count(report->summary), count));
}

static void write_counts(struct lh_table *table, uint64_t count, uint64_t bytes, uint64_t scanned_bytes)
{
	char text[LH_FORMAT_MAX];
	lh_table_cell(table, "%s", lh_format_count(count, text));
	lh_table_cell_bytes(table, bytes);
	lh_table_cell(table, "%.1f %%", lh_percent(bytes, scanned_bytes));
}

/* A class, and below it the kinds of its matches. */
static void write_class(struct lh_table *table, const struct lh_class_count *class, uint64_t scanned_bytes)
{
	lh_table_row(table, class->is_secret ? LH_ROW_RED : LH_ROW_PLAIN);
	write_counts(table, class->count, class->bytes, scanned_bytes);
	lh_table_cell(table, "%s", class->title);
	lh_table_cell_escaped(table, class->example_count ? class->examples[0].text : "");
	for (size_t i = 0; i < class->kind_count; i++) {
		if (!class->kinds[i].count && !class->kinds[i].bytes)
			continue;
		lh_table_row(table, LH_ROW_DIM);
		write_counts(table, class->kinds[i].count, class->kinds[i].bytes, scanned_bytes);
		lh_table_cell(table, "  %s", class->kinds[i].name);
		lh_table_cell(table, "%s", "");
	}
}

/* Bytes that no class claims. All rows together add up to the scanned bytes. */
static void write_class_rest(struct lh_table *table, const struct lh_summary *summary)
{
	for (unsigned rest = 0; rest < LH_REST_COUNT; rest++) {
		if (!summary->rest_bytes[rest])
			continue;
		lh_table_row(table, LH_ROW_PLAIN);
		lh_table_cell(table, "%s", "");
		lh_table_cell_bytes(table, summary->rest_bytes[rest]);
		lh_table_cell(table, "%.1f %%", lh_percent(summary->rest_bytes[rest], summary->scanned_bytes));
		lh_table_cell(table, "%s", lh_map_class_title(LH_MAP_REST + rest));
		lh_table_cell(table, "%s", "");
	}
}

static void write_classes(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_summary *summary = report->summary;
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"SHARE", LH_COLUMN_RIGHT},
						   {"WHAT", LH_COLUMN_NAME},
						   {"EXAMPLE", LH_COLUMN_REST}};
	if (!summary->scanned_bytes)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < summary->classes.count; i++)
		write_class(&table, &summary->classes.items[i], summary->scanned_bytes);
	write_class_rest(&table, summary);
	lh_write_heading(style, "What it is", ret);
	lh_table_render(&table, style, ret);
}

/* One class: its title, then one example per line. */
static void write_class_examples(const struct lh_class_count *class, struct lh_style style, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "%s\n", class->title);
	for (size_t i = 0; i < class->example_count; i++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		lh_buffer_escape(&text, class->examples[i].text, strlen(class->examples[i].text));
		if (!text.length)
			continue;
		char addr[LH_FORMAT_MAX];
		snprintf(addr, sizeof(addr), "%#16" PRIx64, class->examples[i].addr);
		lh_write_styled(style, "2", addr, ret);
		lh_buffer_printf(ret, "  %s\n", text.data);
	}
}

/* The table shows one example per class; classes with more are listed here. */
static void write_examples(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_summary *summary = report->summary;
	bool has_heading = false;
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		if (class->example_count < 2)
			continue;
		if (!has_heading)
			lh_write_heading(style, "Examples", ret);
		has_heading = true;
		write_class_examples(class, style, ret);
	}
}

static json_t *examples_json(const struct lh_class_count *class)
{
	json_t *list = json_array();
	for (size_t i = 0; i < class->example_count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "addr", lh_json_address(class->examples[i].addr),
						      "text", lh_json_string(class->examples[i].text)));
	return list;
}

static json_t *class_kinds_json(const struct lh_class_count *class)
{
	json_t *list = json_array();
	for (size_t i = 0; i < class->kind_count; i++) {
		const struct lh_kind_count *kind = &class->kinds[i];
		if (kind->count || kind->bytes)
			json_array_append_new(list,
					      json_pack("{s:s, s:o, s:o}", "kind", kind->name, "count",
							lh_json_u64(kind->count), "bytes", lh_json_u64(kind->bytes)));
	}
	return list;
}

static json_t *classes_json(const struct lh_strings_report *report)
{
	const struct lh_summary *summary = report->summary;
	json_t *list = json_array();
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o}", "class", class->name,
						"title", class->title, "count", lh_json_u64(class->count), "bytes",
						lh_json_u64(class->bytes), "unchecked", lh_json_u64(class->unchecked),
						"secret", class->is_secret, "kinds", class_kinds_json(class),
						"examples", examples_json(class)));
	}
	return list;
}

static json_t *rest_json(const struct lh_strings_report *report)
{
	json_t *list = json_array();
	for (unsigned rest = 0; rest < LH_REST_COUNT; rest++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "class", lh_map_class_name(LH_MAP_REST + rest),
						      "title", lh_map_class_title(LH_MAP_REST + rest), "bytes",
						      lh_json_u64(report->summary->rest_bytes[rest])));
	return list;
}

const struct lh_strings_block lh_strings_classes = {
	.conclude = say_largest_classes,
	.warn = warn_of_unchecked,
	.write_text = write_classes,
	.json_key = "classes",
	.make_json = classes_json,
};

const struct lh_strings_block lh_strings_examples = {.write_text = write_examples};

const struct lh_strings_block lh_strings_rest = {.json_key = "rest", .make_json = rest_json};
