/*
 * report_holdings: what a process holds beside its mappings, and which limit it approaches. Input: a selection. Output:
 * lines of text, members of JSON. It judges nothing.
 */
#include "report_holdings.h"

#include "leakhunt/limits.h"
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *format_value(enum lh_holding holding, uint64_t value, char ret[LH_FORMAT_MAX])
{
	return lh_holding_is_memory(holding) ? lh_format_bytes(value, ret) : lh_format_count(value, ret);
}

static int64_t make_whole_row(double value)
{
	return (int64_t)fmax(fmin(value, 9e18), -9e18);
}

static const char *format_signed(enum lh_holding holding, int64_t value, char ret[LH_FORMAT_MAX])
{
	char count[LH_FORMAT_MAX];
	if (lh_holding_is_memory(holding))
		return lh_format_signed_bytes(value, ret);
	lh_format_count(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, count);
	snprintf(ret, LH_FORMAT_MAX, "%s%.30s", value < 0 ? "-" : value > 0 ? "+" : "", count);
	return ret;
}

static void add_holding_row(struct lh_table *table, const struct lh_selection *selection, enum lh_holding holding)
{
	const struct lh_holding_growth *growth = &selection->holdings[holding];
	char text[LH_FORMAT_MAX];
	lh_table_row(table, growth->verdict == LH_VERDICT_LEAK ? LH_ROW_RED : LH_ROW_YELLOW);
	lh_table_cell(table, "%s", lh_holding_text(holding));
	lh_table_cell(table, "%s", format_value(holding, growth->last, text));
	lh_table_cell(table, "%s", format_signed(holding, growth->growth, text));
	lh_table_cell(table, "%s", format_signed(holding, make_whole_row(growth->rate_per_hour), text));
	lh_table_cell(table, "%s", lh_verdict_name(growth->verdict));
	lh_table_cell(table, "%s", growth->reason);
}

void lh_report_holdings_text(const struct lh_selection *selection, struct lh_style style, struct lh_buffer *ret)
{
	enum { WIDE_COLUMNS = 120 };
	bool is_narrow = style.width && style.width < WIDE_COLUMNS;
	const struct lh_column columns[] = {
		{"BESIDE ITS MAPPINGS", LH_COLUMN_LEFT},
		{"NOW", LH_COLUMN_RIGHT},
		{"GROWTH", LH_COLUMN_RIGHT},
		{"RATE/h", LH_COLUMN_RIGHT},
		{"VERDICT", LH_COLUMN_LEFT},
		{is_narrow ? "" : "WHY", is_narrow ? LH_COLUMN_BELOW : LH_COLUMN_REST},
	};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	for (int i = 0; i < LH_HOLDING_COUNT; i++) {
		if (selection->holdings[i].is_suspect)
			add_holding_row(&table, selection, (enum lh_holding)i);
	}
	if (!table.row_styles.count)
		return;
	lh_buffer_puts(ret, "\n");
	lh_table_render(&table, style, ret);
}

/* ---------------------------------------------------------------- the one that leaks */

static void put_cause(const struct lh_selection *selection, enum lh_holding holding, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	const struct lh_holding_growth *files = &selection->holdings[LH_HOLDING_HELD_FILES];
	switch (holding) {
	case LH_HOLDING_HELD_FILE_BYTES:
		lh_buffer_printf(ret, "%s memfds or deleted files of tmpfs are held open, and not mapped",
				 lh_format_count(files->last, count));
		if (selection->held_name[0]) {
			lh_buffer_puts(ret, "; one is \"");
			lh_buffer_escape(ret, selection->held_name, strlen(selection->held_name));
			lh_buffer_puts(ret, "\"");
		}
		break;
	case LH_HOLDING_SHM_BYTES:
		lh_buffer_puts(ret, "System V segments that the process made and nobody has attached; `ipcs -m` lists "
				    "them, `ipcrm -m` removes them");
		break;
	case LH_HOLDING_PAGE_TABLE_BYTES:
		lh_buffer_puts(ret, "page tables of the kernel: pages touched far apart, in large mappings");
		break;
	default:
		lh_buffer_printf(ret, "%s, which other processes may share", lh_holding_text(holding));
	}
}

bool lh_report_held_leak_text(const struct lh_selection *selection, struct lh_buffer *ret)
{
	enum lh_holding holding = lh_selection_held_leak(selection);
	if (holding == LH_HOLDING_COUNT)
		return false;
	const struct lh_holding_growth *growth = &selection->holdings[holding];
	char rate[LH_FORMAT_MAX], low[LH_FORMAT_MAX], high[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "grows:   %s: %s\ncause:   ", lh_holding_text(holding), growth->reason);
	put_cause(selection, holding, ret);
	lh_buffer_printf(ret, "\nrate:    %s/h (95 %%: %s to %s)\n",
			 format_signed(holding, make_whole_row(growth->rate_per_hour), rate),
			 format_signed(holding, make_whole_row(growth->rate_low_per_hour), low),
			 format_signed(holding, make_whole_row(growth->rate_high_per_hour), high));
	return true;
}

/* ---------------------------------------------------------------- forecast */

static const char *format_seconds(double seconds, char ret[LH_FORMAT_MAX])
{
	return lh_format_duration((uint64_t)(fmin(seconds, 9e9) * 1e9), ret);
}

void lh_report_forecast_text(const struct lh_forecast *forecast, struct lh_buffer *ret)
{
	char in[LH_FORMAT_MAX], earliest[LH_FORMAT_MAX], latest[LH_FORMAT_MAX], left[LH_FORMAT_MAX];
	if (!forecast)
		return;
	if (lh_ceiling_is_memory(forecast->ceiling))
		lh_format_bytes(forecast->left, left);
	else
		lh_format_count(forecast->left, left);
	lh_buffer_printf(ret, "runs out: in %s (%s, %s left; 95 %%: %s to %s)\n", format_seconds(forecast->seconds, in),
			 lh_ceiling_text(forecast->ceiling), left, format_seconds(forecast->earliest_s, earliest),
			 isfinite(forecast->latest_s) ? format_seconds(forecast->latest_s, latest) : "never");
}

/* ---------------------------------------------------------------- JSON */

static json_t *json_holding(const struct lh_selection *selection, enum lh_holding holding)
{
	const struct lh_holding_growth *growth = &selection->holdings[holding];
	json_t *series = json_array();
	for (size_t i = 0; i < growth->series.count; i++)
		json_array_append_new(series, lh_json_u64(growth->series.items[i]));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:f, s:f, s:f, s:s, s:o, s:b, s:o}", "name",
			 lh_holding_name(holding), "text", lh_holding_text(holding), "unit",
			 lh_holding_is_memory(holding) ? "bytes" : "count", "first", lh_json_u64(growth->first), "last",
			 lh_json_u64(growth->last), "growth", (json_int_t)growth->growth, "rate_per_hour",
			 growth->rate_per_hour, "rate_low_per_hour", growth->rate_low_per_hour, "rate_high_per_hour",
			 growth->rate_high_per_hour, "verdict", lh_verdict_name(growth->verdict), "reason",
			 lh_json_string(growth->reason), "suspect", (int)growth->is_suspect, "series", series);
}

void lh_report_holdings_json(const struct lh_selection *selection, json_t *object)
{
	json_t *holdings = json_array(), *left = json_object();
	for (int i = 0; i < LH_HOLDING_COUNT; i++) {
		if (selection->holdings[i].is_known)
			json_array_append_new(holdings, json_holding(selection, (enum lh_holding)i));
	}
	for (int i = 0; selection->has_ceilings && i < LH_CEILING_COUNT; i++) {
		if (selection->ceilings.left[i] != LH_NO_LIMIT)
			json_object_set_new(left, lh_ceiling_name((enum lh_ceiling)i),
					    lh_json_u64(selection->ceilings.left[i]));
	}
	json_object_set_new(object, "holdings", holdings);
	json_object_set_new(object, "held_name", lh_json_string(selection->held_name));
	json_object_set_new(object, "left", left);
}

json_t *lh_report_forecast_json(const struct lh_forecast *forecast)
{
	if (!forecast)
		return json_null();
	bool is_memory = lh_ceiling_is_memory(forecast->ceiling);
	json_t *latest = isfinite(forecast->latest_s) ? json_real(forecast->latest_s) : json_null();
	return json_pack("{s:s, s:s, s:o, s:o, s:f, s:f, s:o}", "what", lh_ceiling_text(forecast->ceiling), "limit",
			 lh_ceiling_name(forecast->ceiling), "left_bytes",
			 is_memory ? lh_json_u64(forecast->left) : json_null(), "left_count",
			 is_memory ? json_null() : lh_json_u64(forecast->left), "seconds", forecast->seconds,
			 "earliest_s", forecast->earliest_s, "latest_s", latest);
}
