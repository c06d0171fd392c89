/*
 * report_strings: scan's summary for people, and as JSON of the schema leakhunt/strings/1.
 *
 * The sentence at the top is put together from shares and counts of the result; it knows nothing of
 * any class or library by name, and states what was counted, never what it means.
 */
#include "leakhunt/json.h"
#include "leakhunt/report.h"
#include "report/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static uint64_t nonzero_bytes(const struct lh_summary *summary)
{
	return summary->scanned_bytes - summary->zero_bytes;
}

static bool is_named(const struct lh_census_row *row)
{
	return row->symbol.origin != LH_SYMBOL_SECTION;
}

/* "SSL_new", or ".data.rel.ro+0x120": what stands at the address. */
static void write_symbol(const struct lh_census_row *row, struct lh_buffer *ret)
{
	const char *name = row->symbol.name ? row->symbol.name : "";
	lh_buffer_escape(ret, name, strlen(name));
	if (row->symbol.offset)
		lh_buffer_printf(ret, "+0x%" PRIx64, row->symbol.offset);
}

/* ---------------------------------------------------------------- the sentence at the top */

/* From this share of what is not zero on, something is worth naming, or makes up most of it. */
static const double notable_percent = 0.5, most_percent = 40, module_percent = 10;

static void say_largest_class(const struct lh_summary *summary, struct lh_buffer *ret)
{
	if (!summary->classes.count)
		return;
	const struct lh_class_count *class = &summary->classes.items[0];
	double share = percent(class->bytes, nonzero_bytes(summary));
	if (share < notable_percent)
		return;
	char count[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s %s, %.*f %% of what is not zero (%s found); ",
			 share >= most_percent ? "mostly" : "most of what is recognised:", class->title,
			 share < 10 ? 1 : 0, share, lh_format_count(class->count, count));
}

static void say_most_repeated(const struct lh_summary *summary, struct lh_buffer *ret)
{
	if (!summary->repeated.count)
		return;
	const struct lh_repeated *text = &summary->repeated.items[0];
	double share = percent(text->bytes, nonzero_bytes(summary));
	char count[LH_FORMAT_MAX];
	if (share >= notable_percent)
		lh_buffer_printf(ret, "one text, repeated %s times, makes up %.0f %%; ",
				 lh_format_count(text->count, count), share);
}

/* "9,500 libcrypto.so.3, 8,700 libssl.so.3": the modules with a notable share of the pointers, at most three. */
static void write_modules(const struct lh_summary *summary, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	for (size_t i = 0; i < summary->modules.count && i < 3; i++) {
		const struct lh_module_count *module = &summary->modules.items[i];
		if (percent(module->count, summary->census.pointer_count) < module_percent)
			break;
		lh_buffer_printf(ret, "%s%s into ", i ? ", " : "", lh_format_count(module->count, count));
		lh_buffer_escape(ret, module->name, strlen(module->name));
	}
}

static void say_modules(const struct lh_summary *summary, struct lh_buffer *ret)
{
	if (!summary->modules.count ||
	    percent(summary->modules.items[0].count, summary->census.pointer_count) < module_percent)
		return;
	lh_buffer_puts(ret, "words that are pointers: ");
	write_modules(summary, ret);
	lh_buffer_puts(ret, "; ");
}

/* A place in the allocator itself: free chunks point to it, whatever the program does. */
static bool is_allocators(const struct lh_census_row *row)
{
	return strncmp(row->symbol.name, "main_arena", strlen("main_arena")) == 0;
}

/* The most frequent targets that have a name, at most three of a notable count. */
static void say_most_pointed_to(const struct lh_summary *summary, struct lh_buffer *ret)
{
	enum { NAMES = 3, NOTABLE_FRACTION = 4 };
	uint64_t most = 0;
	size_t said = 0;
	for (size_t i = 0; i < summary->census.rows.count && said < NAMES; i++) {
		const struct lh_census_row *row = &summary->census.rows.items[i];
		if (!is_named(row) || is_allocators(row))
			continue;
		most = most ? most : row->count;
		if (row->count < 2 || row->count < most / NOTABLE_FRACTION)
			break;
		char count[LH_FORMAT_MAX];
		lh_buffer_printf(ret, "%s%s to ", said++ ? ", " : "", lh_format_count(row->count, count));
		write_symbol(row, ret);
	}
	if (said)
		lh_buffer_puts(ret, "; ");
}

/* "" when nothing stands out. */
static void write_conclusion(const struct lh_summary *summary, struct lh_buffer *ret)
{
	size_t start = ret->length;
	double zero_share = percent(summary->zero_bytes, summary->scanned_bytes);
	if (zero_share >= most_percent)
		lh_buffer_printf(ret, "%.0f %% is zero pages; ", zero_share);
	say_largest_class(summary, ret);
	say_most_repeated(summary, ret);
	say_modules(summary, ret);
	say_most_pointed_to(summary, ret);
	if (!ret->failed && ret->length > start) {
		ret->length -= strlen("; ");
		ret->data[ret->length] = '\0';
	}
}

/* ---------------------------------------------------------------- text: head */

static void write_styled(struct lh_style style, const char *code, const char *text, struct lh_buffer *ret)
{
	if (style.color)
		lh_buffer_printf(ret, "\033[%sm%s\033[0m", code, text);
	else
		lh_buffer_puts(ret, text);
}

static void write_heading(struct lh_style style, const char *text, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "\n");
	write_styled(style, "1", text, ret);
	lh_buffer_puts(ret, "\n");
}

static void write_source(const struct lh_image *image, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer path LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_escape(&path, lh_image_path(image), strlen(lh_image_path(image)));
	write_styled(style, "1", path.data ? path.data : "", ret);
	lh_buffer_printf(ret, ": %s", lh_image_source_name(lh_image_source(image)));
	if (lh_image_pid(image) && lh_image_source(image) != LH_IMAGE_PROCESS)
		lh_buffer_printf(ret, " of pid %d", (int)lh_image_pid(image));
	char bytes[LH_FORMAT_MAX];
	if (lh_image_source(image) != LH_IMAGE_PROCESS)
		lh_buffer_printf(ret, ", %s", lh_format_bytes(lh_image_file_bytes(image), bytes));
	lh_buffer_puts(ret, "\n");
}

static void write_totals(const struct lh_strings_report *report, struct lh_buffer *ret)
{
	const struct lh_summary *summary = report->summary;
	char scanned[LH_FORMAT_MAX], runs[LH_FORMAT_MAX], distinct[LH_FORMAT_MAX];
	lh_buffer_printf(ret,
			 "scanned %s: %.1f %% in zero pages, %.1f %% printable (%s texts of %zu or more characters, "
			 "%s%s different)\n",
			 lh_format_bytes(summary->scanned_bytes, scanned),
			 percent(summary->zero_bytes, summary->scanned_bytes),
			 percent(summary->printable_bytes, summary->scanned_bytes),
			 lh_format_count(summary->run_count, runs), report->min_chars,
			 summary->uncounted_runs ? "at most " : "", lh_format_count(summary->distinct_count, distinct));
}

static void write_loss(const struct lh_image *image, struct lh_buffer *ret)
{
	struct lh_loss loss = lh_image_loss(image);
	char bytes[LH_FORMAT_MAX];
	if (!loss.count)
		return;
	lh_buffer_printf(ret, "incomplete: %s in %zu places could not be read (the first: ",
			 lh_format_bytes(loss.bytes, bytes), loss.count);
	lh_buffer_escape(ret, loss.reason, strlen(loss.reason));
	lh_buffer_puts(ret, ")\n");
}

static uint64_t unchecked_count(const struct lh_summary *summary)
{
	uint64_t count = 0;
	for (size_t i = 0; i < summary->classes.count; i++)
		count += summary->classes.items[i].unchecked;
	return count;
}

static void write_losses(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (report->summary->is_interrupted)
		lh_buffer_puts(&text, "incomplete: interrupted; the figures are of what was scanned till then\n");
	write_loss(report->image, &text);
	if (unchecked_count(report->summary))
		lh_buffer_printf(&text,
				 "%s places that may hold more of the contents below were not looked at: too many\n",
				 lh_format_count(unchecked_count(report->summary), count));
	if (text.length)
		write_styled(style, "33", text.data, ret);
}

static void write_head(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	write_source(report->image, style, ret);
	write_totals(report, ret);
	struct lh_buffer conclusion LH_CLEANUP(lh_buffer_deinit) = {0};
	write_conclusion(report->summary, &conclusion);
	if (conclusion.length) {
		lh_buffer_puts(ret, "in short: ");
		write_styled(style, "1", conclusion.data, ret);
		lh_buffer_puts(ret, "\n");
	}
	write_losses(report, style, ret);
}

/* ---------------------------------------------------------------- text: tables */

static void write_classes(const struct lh_summary *summary, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"BYTES", LH_COLUMN_RIGHT},
						   {"SHARE", LH_COLUMN_RIGHT},
						   {"WHAT", LH_COLUMN_LEFT},
						   {"EXAMPLE", LH_COLUMN_REST}};
	if (!summary->classes.count)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		char count[LH_FORMAT_MAX];
		lh_table_row(&table, class->is_secret ? LH_ROW_RED : LH_ROW_PLAIN);
		lh_table_cell(&table, "%s", lh_format_count(class->count, count));
		lh_table_cell_bytes(&table, class->bytes);
		lh_table_cell(&table, "%.1f %%", percent(class->bytes, summary->scanned_bytes));
		lh_table_cell(&table, "%s", class->title);
		if (class->is_secret)
			lh_table_cell(&table, "(not shown)");
		else
			lh_table_cell_escaped(&table, class->example_count ? class->examples[0].text : "");
	}
	write_heading(style, "What it is", ret);
	lh_table_render(&table, style, ret);
}

/* One class: its title, then an example a line. */
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
		write_styled(style, "2", addr, ret);
		lh_buffer_printf(ret, "  %s\n", text.data);
	}
}

/* The table shows one example a class; those that have more are worth a look at them. */
static void write_examples(const struct lh_summary *summary, struct lh_style style, struct lh_buffer *ret)
{
	bool has_heading = false;
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		if (class->is_secret || class->example_count < 2)
			continue;
		if (!has_heading)
			write_heading(style, "Examples", ret);
		has_heading = true;
		write_class_examples(class, style, ret);
	}
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
	write_heading(style, "Texts that are repeated", ret);
	lh_table_render(&table, style, ret);
	write_repeated_notes(summary, secret_count, ret);
}

static void write_census_row(struct lh_table *table, const struct lh_census_row *row)
{
	char count[LH_FORMAT_MAX];
	struct lh_buffer symbol LH_CLEANUP(lh_buffer_deinit) = {0};
	write_symbol(row, &symbol);
	lh_table_row(table, is_named(row) ? LH_ROW_PLAIN : LH_ROW_DIM);
	lh_table_cell(table, "%s", lh_format_count(row->count, count));
	lh_table_cell(table, "0x%" PRIx64, row->example_addr);
	lh_table_cell_escaped(table, row->symbol.module_name);
	lh_table_cell(table, "%s", symbol.data ? symbol.data : "");
}

/* What has a name says more than a place that has none, however often that occurs. */
static void write_census_rows(const struct lh_strings_report *report, struct lh_table *table)
{
	const struct lh_census *census = &report->summary->census;
	size_t shown = 0;
	for (int wants_name = 1; wants_name >= 0; wants_name--) {
		for (size_t i = 0; i < census->rows.count && shown < report->top; i++) {
			if (is_named(&census->rows.items[i]) != wants_name)
				continue;
			write_census_row(table, &census->rows.items[i]);
			shown++;
		}
	}
}

static void write_census(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"ADDRESS", LH_COLUMN_RIGHT},
						   {"MODULE", LH_COLUMN_LEFT},
						   {"SYMBOL", LH_COLUMN_REST}};
	const struct lh_census *census = &report->summary->census;
	if (!census->rows.count)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	write_census_rows(report, &table);
	write_heading(style, "Symbols that its words point to", ret);
	lh_table_render(&table, style, ret);
	char pointers[LH_FORMAT_MAX], words[LH_FORMAT_MAX], dropped[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s of %s words point into modules", lh_format_count(census->pointer_count, pointers),
			 lh_format_count(census->word_count, words));
	if (census->dropped_count)
		lh_buffer_printf(ret, "; %s of them to too many different places to count",
				 lh_format_count(census->dropped_count, dropped));
	if (report->summary->modules.count) {
		lh_buffer_puts(ret, ": ");
		write_modules(report->summary, ret);
	}
	lh_buffer_puts(ret, "\n");
}

static void write_problems(const struct lh_summary *summary, struct lh_style style, struct lh_buffer *ret)
{
	size_t count = 0;
	const struct lh_symbols_problem *problems =
		summary->symbols ? lh_symbols_problems(summary->symbols, &count) : NULL;
	if (!count)
		return;
	write_heading(style, "Modules without names", ret);
	for (size_t i = 0; i < count; i++) {
		lh_buffer_puts(ret, "  ");
		lh_buffer_escape(ret, problems[i].path, strlen(problems[i].path));
		lh_buffer_printf(ret, ": %s\n", problems[i].reason);
	}
}

void lh_report_strings_text(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	write_head(report, style, ret);
	write_classes(report->summary, style, ret);
	write_examples(report->summary, style, ret);
	write_repeated(report, style, ret);
	write_census(report, style, ret);
	write_problems(report->summary, style, ret);
	char bytes[LH_FORMAT_MAX];
	if (lh_image_source(report->image) == LH_IMAGE_PROCESS)
		lh_buffer_printf(ret, "\nreceipt: read %s of %s, which was never stopped\n",
				 lh_format_bytes(report->summary->scanned_bytes, bytes), lh_image_path(report->image));
}

/* ---------------------------------------------------------------- JSON */

static json_t *source_json(const struct lh_image *image)
{
	json_t *json =
		json_pack("{s:o, s:s, s:o, s:b}", "path", lh_json_string(lh_image_path(image)), "kind",
			  lh_image_source_name(lh_image_source(image)), "file_bytes",
			  lh_json_u64(lh_image_file_bytes(image)), "has_addresses", lh_image_has_addresses(image));
	if (json && lh_image_pid(image))
		json_object_set_new(json, "pid", json_integer(lh_image_pid(image)));
	return json;
}

static json_t *gaps_json(const struct lh_image *image)
{
	size_t count;
	const struct lh_gap *gaps = lh_image_gaps(image, &count);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "start", lh_json_address(gaps[i].range.start),
						      "end", lh_json_address(gaps[i].range.end), "reason",
						      lh_json_string(gaps[i].reason)));
	return list;
}

static json_t *examples_json(const struct lh_class_count *class)
{
	json_t *list = json_array();
	for (size_t i = 0; i < class->example_count && !class->is_secret; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "addr", lh_json_address(class->examples[i].addr),
						      "text", lh_json_string(class->examples[i].text)));
	return list;
}

static json_t *classes_json(const struct lh_summary *summary)
{
	json_t *list = json_array();
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o}", "class", class->name, "title",
						class->title, "count", lh_json_u64(class->count), "bytes",
						lh_json_u64(class->bytes), "unchecked", lh_json_u64(class->unchecked),
						"secret", class->is_secret, "examples", examples_json(class)));
	}
	return list;
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

static const char *origin_name(enum lh_symbol_origin origin)
{
	switch (origin) {
	case LH_SYMBOL_TABLE:
		return "table";
	case LH_SYMBOL_ACCESSOR:
		return "accessor";
	default:
		return "section";
	}
}

static json_t *census_row_json(const struct lh_census_row *row)
{
	const char *name = row->symbol.name ? row->symbol.name : "";
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "count", lh_json_u64(row->count), "symbol",
			 lh_json_string(name), "offset_bytes", lh_json_u64(row->symbol.offset), "module",
			 lh_json_string(row->symbol.module_name), "origin", origin_name(row->symbol.origin), "target",
			 lh_json_address(row->target_addr), "addr", lh_json_address(row->example_addr));
}

static json_t *modules_json(const struct lh_summary *summary)
{
	json_t *list = json_array();
	for (size_t i = 0; i < summary->modules.count; i++)
		json_array_append_new(list,
				      json_pack("{s:o, s:o}", "module", lh_json_string(summary->modules.items[i].name),
						"count", lh_json_u64(summary->modules.items[i].count)));
	return list;
}

static json_t *census_json(const struct lh_strings_report *report)
{
	const struct lh_census *census = &report->summary->census;
	json_t *rows = json_array();
	for (size_t i = 0; i < census->rows.count && i < report->top; i++)
		json_array_append_new(rows, census_row_json(&census->rows.items[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "words", lh_json_u64(census->word_count), "pointers",
			 lh_json_u64(census->pointer_count), "dropped", lh_json_u64(census->dropped_count), "modules",
			 modules_json(report->summary), "rows", rows);
}

static json_t *problems_json(const struct lh_summary *summary)
{
	size_t count = 0;
	const struct lh_symbols_problem *problems =
		summary->symbols ? lh_symbols_problems(summary->symbols, &count) : NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:o, s:s}", "path", lh_json_string(problems[i].path), "reason",
						      problems[i].reason));
	return list;
}

static json_t *totals_json(const struct lh_strings_report *report)
{
	const struct lh_summary *summary = report->summary;
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "scanned_bytes", lh_json_u64(summary->scanned_bytes),
			 "zero_bytes", lh_json_u64(summary->zero_bytes), "printable_bytes",
			 lh_json_u64(summary->printable_bytes), "min_chars", lh_json_u64(report->min_chars), "texts",
			 lh_json_u64(summary->run_count), "distinct_texts", lh_json_u64(summary->distinct_count),
			 "uncounted_texts", lh_json_u64(summary->uncounted_runs));
}

static json_t *conclusion_json(const struct lh_summary *summary)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	write_conclusion(summary, &text);
	return text.failed ? NULL : json_stringn(text.data ? text.data : "", text.length);
}

void lh_report_strings_json(const struct lh_strings_report *report, struct lh_buffer *ret)
{
	bool is_complete = !lh_image_loss(report->image).count && !report->summary->is_interrupted;
	json_t *json = json_pack(
		"{s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "leakhunt/strings/1", "complete",
		is_complete, "interrupted", report->summary->is_interrupted, "source", source_json(report->image),
		"totals", totals_json(report), "conclusion", conclusion_json(report->summary), "classes",
		classes_json(report->summary), "repeated", repeated_json(report), "symbols", census_json(report),
		"unnamed_modules", problems_json(report->summary), "gaps", gaps_json(report->image));
	if (json && lh_image_source(report->image) == LH_IMAGE_PROCESS)
		json_object_set_new(json, "receipt",
				    json_pack("{s:o, s:i}", "read_bytes", lh_json_u64(report->summary->scanned_bytes),
					      "pause_ns", 0));
	struct lh_error *error = lh_json_append(json, false, ret);
	ret->failed |= error != NULL;
	lh_error_destroy(error);
}
