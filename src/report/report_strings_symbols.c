/*
 * report_strings_symbols: the blocks of symbols that words point to, and of modules that could not be read.
 */
#include "report_strings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From this share of the pointers on, the sentence at the top names a module. */
#define MODULE_PERCENT 10.0

static bool is_named_symbol(const struct lh_census_row *row)
{
	return row->symbol.origin != LH_SYMBOL_SECTION;
}

/* "SSL_new", or ".data.rel.ro+0x120": what lies at the address. */
static void write_symbol(const struct lh_census_row *row, struct lh_buffer *ret)
{
	const char *name = row->symbol.name ? row->symbol.name : "";
	lh_buffer_escape(ret, name, strlen(name));
	if (row->symbol.offset)
		lh_buffer_printf(ret, "+0x%" PRIx64, row->symbol.offset);
}

/* "9,500 libcrypto.so.3, 8,700 libssl.so.3": the modules with a notable share of the pointers, at most three. */
static void write_modules(const struct lh_summary *summary, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	for (size_t i = 0; i < summary->modules.count && i < 3; i++) {
		const struct lh_module_count *module = &summary->modules.items[i];
		if (lh_percent(module->count, summary->census.pointer_count) < MODULE_PERCENT)
			break;
		lh_buffer_printf(ret, "%s%s into ", i ? ", " : "", lh_format_count(module->count, count));
		lh_buffer_escape(ret, module->name, strlen(module->name));
	}
}

static void say_modules(const struct lh_summary *summary, struct lh_clauses *clauses)
{
	if (!summary->modules.count ||
	    lh_percent(summary->modules.items[0].count, summary->census.pointer_count) < MODULE_PERCENT)
		return;
	struct lh_buffer *ret = lh_clause_add(clauses, 0);
	lh_buffer_puts(ret, "pointers: ");
	write_modules(summary, ret);
}

/* A place in the allocator itself: free chunks point to it in every program. */
static bool is_allocators(const struct lh_census_row *row)
{
	return strncmp(row->symbol.name, "main_arena", strlen("main_arena")) == 0;
}

/* The most frequent targets with a name, at most three of a notable count; objects are more informative. */
static void say_most_pointed_to(const struct lh_summary *summary, struct lh_clauses *clauses)
{
	enum { NAMES = 3, NOTABLE_FRACTION = 4 };
	uint64_t most = 0;
	size_t said = 0;
	struct lh_buffer *ret = NULL;
	for (size_t i = 0; i < summary->census.named_count && said < NAMES && !lh_objects_are_notable(summary); i++) {
		const struct lh_census_row *row = &summary->census.rows.items[i];
		if (!is_named_symbol(row) || is_allocators(row))
			continue;
		most = most ? most : row->count;
		if (row->count < 2 || row->count < most / NOTABLE_FRACTION)
			break;
		char count[LH_FORMAT_MAX];
		ret = ret ? ret : lh_clause_add(clauses, 0);
		lh_buffer_printf(ret, "%s%s to ", said++ ? ", " : "", lh_format_count(row->count, count));
		write_symbol(row, ret);
	}
}

static void conclude_strings_symbols(const struct lh_summary *summary, struct lh_clauses *clauses)
{
	say_modules(summary, clauses);
	say_most_pointed_to(summary, clauses);
}

/* Whether most of the words are the same distance apart. */
static bool is_regular_file_problem(const struct lh_census_row *row)
{
	return row->count > 2 && row->distance_count >= (row->count - 1) / 2;
}

static void write_census_row(struct lh_table *table, const struct lh_census_row *row)
{
	char count[LH_FORMAT_MAX];
	struct lh_buffer symbol LH_CLEANUP(lh_buffer_deinit) = {0};
	write_symbol(row, &symbol);
	lh_table_row(table, is_named_symbol(row) ? LH_ROW_PLAIN : LH_ROW_DIM);
	lh_table_cell(table, "%s", lh_format_count(row->count, count));
	lh_table_cell_bytes(table, is_regular_file_problem(row) ? row->distance_bytes : 0);
	lh_table_cell(table, "0x%" PRIx64, row->example_addr);
	lh_table_cell_escaped(table, row->symbol.module_name);
	lh_table_cell(table, "%s", symbol.data ? symbol.data : "");
}

/* Rows with a name come before places without one, however frequent those are. */
static void write_census_rows(const struct lh_strings_report *report, struct lh_table *table)
{
	const struct lh_census *census = &report->summary->census;
	size_t shown = 0;
	for (int wants_name = 1; wants_name >= 0; wants_name--) {
		for (size_t i = 0; i < census->named_count && shown < report->top; i++) {
			if (is_named_symbol(&census->rows.items[i]) != wants_name)
				continue;
			write_census_row(table, &census->rows.items[i]);
			shown++;
		}
	}
}

static void write_census(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {{"COUNT", LH_COLUMN_RIGHT},
						   {"STRIDE", LH_COLUMN_RIGHT},
						   {"ADDRESS", LH_COLUMN_RIGHT},
						   {"MODULE", LH_COLUMN_LEFT},
						   {"SYMBOL", LH_COLUMN_REST}};
	const struct lh_census *census = &report->summary->census;
	if (!census->rows.count)
		return;
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	write_census_rows(report, &table);
	lh_write_heading(style, "Pointers into code and static data", ret);
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

static void write_problems(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_summary *summary = report->summary;
	size_t count = 0;
	const struct lh_symbols_problem *problems =
		summary->symbols ? lh_symbols_problems(summary->symbols, &count) : NULL;
	if (!count)
		return;
	lh_write_heading(style, "Modules without names", ret);
	for (size_t i = 0; i < count; i++) {
		lh_buffer_puts(ret, "  ");
		lh_buffer_escape(ret, problems[i].path, strlen(problems[i].path));
		lh_buffer_printf(ret, ": %s\n", problems[i].reason);
	}
}

static const char *origin_name(enum lh_symbol_origin origin)
{
	switch (origin) {
	case LH_SYMBOL_TABLE:
		return "table";
	case LH_SYMBOL_ACCESSOR:
		return "accessor";
	case LH_SYMBOL_TYPE:
		return "type";
	case LH_SYMBOL_STRING:
		return "string";
	case LH_SYMBOL_SIMILAR:
		return "similar";
	default:
		return "section";
	}
}

static json_t *census_row_json(const struct lh_census_row *row)
{
	const char *name = row->symbol.name ? row->symbol.name : "";
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "count", lh_json_u64(row->count), "symbol",
			 lh_json_string(name), "offset_bytes", lh_json_u64(row->symbol.offset), "module",
			 lh_json_string(row->symbol.module_name), "origin", origin_name(row->symbol.origin), "target",
			 lh_json_address(row->target_addr), "addr", lh_json_address(row->example_addr),
			 "distance_bytes", lh_json_u64(row->distance_bytes), "distance_count",
			 lh_json_u64(row->distance_count));
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
	for (size_t i = 0; i < census->named_count && i < report->top; i++)
		json_array_append_new(rows, census_row_json(&census->rows.items[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "words", lh_json_u64(census->word_count), "pointers",
			 lh_json_u64(census->pointer_count), "dropped", lh_json_u64(census->dropped_count), "modules",
			 modules_json(report->summary), "rows", rows);
}

static json_t *problems_json(const struct lh_strings_report *report)
{
	const struct lh_summary *summary = report->summary;
	size_t count = 0;
	const struct lh_symbols_problem *problems =
		summary->symbols ? lh_symbols_problems(summary->symbols, &count) : NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:o, s:s}", "path", lh_json_string(problems[i].path), "reason",
						      problems[i].reason));
	return list;
}

const struct lh_strings_block lh_strings_symbols = {
	.conclude = conclude_strings_symbols,
	.write_text = write_census,
	.json_key = "symbols",
	.make_json = census_json,
};

const struct lh_strings_block lh_strings_problems = {
	.write_text = write_problems,
	.json_key = "unnamed_modules",
	.make_json = problems_json,
};
