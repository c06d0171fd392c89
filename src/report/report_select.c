/*
 * report_select: a selection as text or JSON. Text: two lines about the process, one row per region that changed, the
 * reasons, and the exact command to run next. JSON: schema "leakhunt/select/2", described in report.h. It judges
 * nothing: verdicts and their reasons come from select.
 */
#include "leakhunt/json.h"
#include "leakhunt/owner.h"
#include "leakhunt/report.h"
#include "report_holdings.h"
#include "shell_word.h"
#include "table.h"
#include "usage.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *format_range(const struct lh_growth *growth, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes, "0x%" PRIx64 "-0x%" PRIx64, growth->start, growth->end);
	return ret;
}

static const char *format_rate(double bytes_per_hour, char ret[LH_FORMAT_MAX])
{
	return lh_format_signed_bytes((int64_t)fmax(fmin(bytes_per_hour, 9e18), -9e18), ret);
}

static uint64_t mapped_bytes(const struct lh_growth *growth)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < growth->ranges.count; i++)
		sum += lh_range_bytes(growth->ranges.items[i]);
	return sum;
}

static bool has_changed(const struct lh_growth *growth)
{
	return growth->series.count > 0;
}

/* ---------------------------------------------------------------- the next command */

/*
 * The word of `dump --region` that names what grows now and later: an allocator keeps mapping, and a family gets new
 * members, so addresses would be outdated by the time the user types them.
 */
static const char *region_word(enum lh_region_kind kind)
{
	if (lh_region_kind_is_heap(kind))
		return "heap";
	switch (kind) {
	case LH_REGION_THREAD_STACK:
	case LH_REGION_MAIN_STACK:
		return "stacks";
	case LH_REGION_ANON:
		return "anon";
	case LH_REGION_DATA:
	case LH_REGION_BSS:
		return "data";
	case LH_REGION_VDSO:
	case LH_REGION_GUARD:
		return "all";
	default:
		return lh_region_kind_name(kind);
	}
}

static bool grows_anonymous(const struct lh_selection *selection)
{
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (growth->is_suspect && growth->kind == LH_REGION_ANON)
			return true;
	}
	return false;
}

static bool has_word(const char *const *words, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(words[i], word))
			return true;
	}
	return false;
}

/* The suspect first, then whatever else may leak: objects of one leak often lie in memory of several owners. */
static void append_region_words(struct lh_buffer *ret, const struct lh_selection *selection)
{
	const char *words[LH_REGION_KIND_COUNT] = {region_word(lh_selection_suspect(selection)->kind)};
	size_t count = 1;
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (growth->is_suspect && !has_word(words, count, region_word(growth->kind)))
			words[count++] = region_word(growth->kind);
	}
	for (size_t i = 0; i < count; i++)
		lh_buffer_printf(ret, " --region %s", words[i]);
}

/* A record, if there is one, tells anonymous memory from that of allocators, which the word "anon" includes. */
static void append_next_command(struct lh_buffer *ret, const struct lh_select_report *report)
{
	if (report->selection->pid)
		lh_buffer_printf(ret, "leakhunt dump %d", (int)report->selection->pid);
	else
		lh_buffer_puts(ret, "leakhunt dump PID");
	if (report->saved_path && grows_anonymous(report->selection)) {
		lh_buffer_puts(ret, " --suspects ");
		lh_shell_word(ret, report->saved_path);
	} else {
		append_region_words(ret, report->selection);
	}
}

/* ---------------------------------------------------------------- text */

static void text_header(const struct lh_select_report *report, struct lh_buffer *ret)
{
	const struct lh_selection *selection = report->selection;
	char span[LH_FORMAT_MAX], now[LH_FORMAT_MAX], growth[LH_FORMAT_MAX], rate[LH_FORMAT_MAX];
	if (selection->pid)
		lh_buffer_printf(ret, "process  %d", (int)selection->pid);
	else
		lh_buffer_puts(ret, "process  of unknown pid");
	if (report->command[0]) {
		lh_buffer_puts(ret, " (");
		lh_buffer_escape(ret, report->command, strlen(report->command));
		lh_buffer_puts(ret, ")");
	}
	lh_buffer_printf(ret, ", %zu samples in %s%s\n", selection->sample_count,
			 lh_format_duration(selection->span_ns, span), report->is_complete ? "" : ", not complete");
	lh_buffer_printf(ret, "private  %s now, %s, %s/h\n", lh_format_bytes(selection->total.private_last_bytes, now),
			 lh_format_signed_bytes(selection->total.growth_bytes, growth),
			 format_rate(selection->total.rate_bytes_per_hour, rate));
	lh_buffer_printf(ret, "verdict  %s: %s\n", lh_verdict_name(selection->total.verdict), selection->total.reason);
}

/* Each kind of evidence with its text and weight. */
static void text_evidence(const struct lh_selection *selection, struct lh_buffer *ret)
{
	for (int i = 0; i < LH_EVIDENCE_COUNT; i++) {
		const struct lh_evidence_row *row = &selection->evidence[i];
		if (row->is_known)
			lh_buffer_printf(ret, "         %-10s %+5.1f  %s\n", lh_evidence_name((enum lh_evidence)i),
					 row->weight, row->text);
	}
}

static enum lh_row_style style_of(const struct lh_growth *growth)
{
	if (growth->verdict == LH_VERDICT_LEAK)
		return LH_ROW_RED;
	return growth->is_suspect ? LH_ROW_YELLOW : LH_ROW_PLAIN;
}

/* "heap", "anon x37", "thread-stack worker": kind, number, and thread. */
static void cell_kind(struct lh_table *table, const struct lh_growth *growth)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *whose = growth->thread_name[0] ? growth->thread_name : growth->name;
	lh_buffer_puts(&text, lh_region_kind_name(growth->kind));
	if (growth->region_count > 1)
		lh_buffer_printf(&text, " x%zu", growth->region_count);
	if (whose[0] && whose[0] != '[') {
		const char *slash = strrchr(whose, '/');
		lh_buffer_printf(&text, " %s", slash && slash[1] ? slash + 1 : whose);
	}
	lh_table_cell_escaped(table, text.data ? text.data : "");
}

/* On narrower terminals, the address column shows only the start, and reasons get their own lines. */
enum { WIDE_COLUMNS = 120 };

static bool is_narrow(struct lh_style style)
{
	return style.width && style.width < WIDE_COLUMNS;
}

static void add_narrow_row(struct lh_table *table, const struct lh_growth *growth)
{
	char growth_text[LH_FORMAT_MAX], rate[LH_FORMAT_MAX];
	lh_table_row(table, style_of(growth));
	lh_table_cell(table, "0x%" PRIx64, growth->start);
	lh_table_cell_bytes(table, growth->private_last_bytes);
	lh_table_cell(table, "%s", lh_format_signed_bytes(growth->growth_bytes, growth_text));
	lh_table_cell(table, "%s", format_rate(growth->rate_bytes_per_hour, rate));
	lh_table_cell(table, "%s", lh_verdict_name(growth->verdict));
	cell_kind(table, growth);
	lh_table_cell(table, "%s", growth->reason);
}

static void add_growth_row(struct lh_table *table, const struct lh_growth *growth)
{
	char range[64], growth_text[LH_FORMAT_MAX], rate[LH_FORMAT_MAX];
	lh_table_row(table, style_of(growth));
	lh_table_cell(table, "%s", format_range(growth, range, sizeof(range)));
	cell_kind(table, growth);
	lh_table_cell_bytes(table, mapped_bytes(growth));
	lh_table_cell_bytes(table, growth->private_last_bytes);
	lh_table_cell(table, "%s", lh_format_signed_bytes(growth->growth_bytes, growth_text));
	lh_table_cell(table, "%s", format_rate(growth->rate_bytes_per_hour, rate));
	lh_table_cell(table, "%s", lh_verdict_name(growth->verdict));
	lh_table_cell(table, "%s", growth->reason);
}

/* Returns how many rows were omitted. */
static size_t text_rows(const struct lh_select_report *report, struct lh_style style, struct lh_buffer *ret)
{
	static const struct lh_column columns[] = {
		{"ADDRESS", LH_COLUMN_LEFT},  {"KIND", LH_COLUMN_LEFT},    {"VSS", LH_COLUMN_RIGHT},
		{"USS NOW", LH_COLUMN_RIGHT}, {"GROWTH", LH_COLUMN_RIGHT}, {"RATE/h", LH_COLUMN_RIGHT},
		{"VERDICT", LH_COLUMN_LEFT},  {"WHY", LH_COLUMN_REST},
	};
	static const struct lh_column narrow_columns[] = {
		{"STARTS AT", LH_COLUMN_LEFT}, {"USS NOW", LH_COLUMN_RIGHT}, {"GROWTH", LH_COLUMN_RIGHT},
		{"RATE/h", LH_COLUMN_RIGHT},   {"VERDICT", LH_COLUMN_LEFT},  {"KIND", LH_COLUMN_LEFT},
		{"", LH_COLUMN_BELOW},
	};
	struct lh_table table LH_CLEANUP(lh_table_deinit);
	if (is_narrow(style))
		lh_table_init(&table, narrow_columns, LH_ARRAY_COUNT(narrow_columns));
	else
		lh_table_init(&table, columns, LH_ARRAY_COUNT(columns));
	size_t shown = 0, left_out = 0;
	for (size_t i = 0; i < report->selection->growths.count; i++) {
		const struct lh_growth *growth = &report->selection->growths.items[i];
		if (!has_changed(growth))
			continue;
		if (report->most && shown == report->most) {
			left_out++;
			continue;
		}
		if (is_narrow(style))
			add_narrow_row(&table, growth);
		else
			add_growth_row(&table, growth);
		shown++;
	}
	if (shown) {
		lh_buffer_puts(ret, "\n");
		lh_table_render(&table, style, ret);
	}
	return left_out;
}

static size_t count_unchanged(const struct lh_selection *selection)
{
	size_t count = 0;
	for (size_t i = 0; i < selection->growths.count; i++)
		count += has_changed(&selection->growths.items[i]) ? 0 : selection->growths.items[i].region_count;
	return count;
}

static void text_cause(const struct lh_growth *growth, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "cause:   ");
	lh_buffer_escape(ret, growth->cause.text, strlen(growth->cause.text));
	lh_buffer_puts(ret, "\n");
}

static void text_rate(const struct lh_growth *growth, struct lh_buffer *ret)
{
	char rate[LH_FORMAT_MAX], low[LH_FORMAT_MAX], high[LH_FORMAT_MAX], each[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "rate:    %s/h (95 %%: %s to %s)", format_rate(growth->rate_bytes_per_hour, rate),
			 format_rate(growth->rate_low_bytes_per_hour, low),
			 format_rate(growth->rate_high_bytes_per_hour, high));
	if (growth->bytes_per_count != 0)
		lh_buffer_printf(ret, ", %s for each one counted", format_rate(growth->bytes_per_count, each));
	lh_buffer_puts(ret, "\n");
}

/* The reason in full below the table: its column may be cut to the width of the terminal. */
static void text_suspect(const struct lh_select_report *report, const struct lh_growth *suspect, struct lh_style style,
			 struct lh_buffer *ret)
{
	char range[64];
	bool is_rising = lh_verdict_is_rising(suspect->verdict);
	lh_buffer_printf(ret, "%s %s %s%s%s\n", is_rising ? "grows:  " : "perhaps:", lh_region_kind_name(suspect->kind),
			 format_range(suspect, range, sizeof(range)), style.width ? ": " : "",
			 style.width ? suspect->reason : "");
	text_cause(suspect, ret);
	text_rate(suspect, ret);
	lh_report_forecast_text(report->forecast, ret);
	lh_buffer_puts(ret, "next:    ");
	append_next_command(ret, report);
	lh_buffer_puts(ret, report->selection->pid ? "\n" : "   (these samples do not say which PID)\n");
}

static void text_no_suspect(const struct lh_select_report *report, struct lh_buffer *ret)
{
	const struct lh_selection *selection = report->selection;
	const struct lh_growth *total = &selection->total;
	bool has_risen = total->verdict == LH_VERDICT_PLATEAU || total->verdict == LH_VERDICT_STEP;
	char span[LH_FORMAT_MAX];
	lh_format_duration(selection->span_ns, span);
	if (lh_report_held_leak_text(selection, ret)) {
		lh_report_forecast_text(report->forecast, ret);
		return;
	}
	if (total->verdict == LH_VERDICT_UNDECIDED && total->growth_bytes > 0)
		lh_buffer_printf(ret, "no region stands out yet: private memory %s\n", total->reason);
	else if (lh_verdict_is_rising(total->verdict))
		lh_buffer_printf(ret, "no single region grows, but all together do: private memory %s\n",
				 total->reason);
	else
		lh_buffer_printf(
			ret, "nothing grows%s%s: private memory %s (%s); a slow leak may need more than %s to show\n",
			has_risen ? " any more" : "", report->is_complete ? "" : " in what was read", total->reason,
			lh_verdict_name(total->verdict), span);
}

static void text_receipt(const struct lh_sampling_receipt *receipt, struct lh_buffer *ret)
{
	char sum[LH_FORMAT_MAX], longest[LH_FORMAT_MAX], hold[LH_FORMAT_MAX];
	uint64_t smaps_count = receipt->reading_count - lh_min_u64(receipt->reading_count, receipt->bounded_count);
	if (!receipt->reading_count)
		return;
	lh_buffer_puts(ret, "receipt: ");
	if (smaps_count)
		lh_buffer_printf(ret, "%" PRIu64 " readings of smaps", smaps_count);
	if (receipt->bounded_count)
		lh_buffer_printf(ret, "%s%" PRIu64 " of maps and pagemap in short calls", smaps_count ? " and " : "",
				 receipt->bounded_count);
	lh_buffer_printf(ret, " took %s in all, %s at most; the longest call took %s; the process was not stopped\n",
			 lh_format_duration(receipt->reading_ns, sum),
			 lh_format_duration(receipt->reading_max_ns, longest),
			 lh_format_duration(receipt->longest_call_ns, hold));
}

void lh_report_select_text(const struct lh_select_report *report, struct lh_style style, struct lh_buffer *ret)
{
	text_header(report, ret);
	if (report->shows_evidence)
		text_evidence(report->selection, ret);
	size_t left_out = text_rows(report, style, ret);
	if (left_out)
		lh_buffer_printf(ret, "(%zu more rows that changed: --top 0 shows all)\n", left_out);
	size_t unchanged = count_unchanged(report->selection);
	if (unchanged)
		lh_buffer_printf(ret, "(%zu mappings that did not change)\n", unchanged);
	lh_report_holdings_text(report->selection, style, ret);
	lh_buffer_puts(ret, "\n");
	const struct lh_growth *suspect = lh_selection_suspect(report->selection);
	if (suspect)
		text_suspect(report, suspect, style, ret);
	else
		text_no_suspect(report, ret);
	text_receipt(&report->selection->receipt, ret);
}

/* ---------------------------------------------------------------- JSON */

static json_t *json_ranges(const struct lh_growth *growth)
{
	json_t *array = json_array();
	for (size_t i = 0; i < growth->ranges.count; i++) {
		const struct lh_range *range = &growth->ranges.items[i];
		json_array_append_new(array, json_pack("{s:o, s:o}", "start", lh_json_address(range->start), "end",
						       lh_json_address(range->end)));
	}
	return array;
}

static json_t *json_series(const struct lh_growth *growth)
{
	json_t *array = json_array();
	for (size_t i = 0; i < growth->series.count; i++)
		json_array_append_new(array, lh_json_u64(growth->series.items[i]));
	return array;
}

static json_t *json_moment(double seconds)
{
	return seconds >= 0 && isfinite(seconds) ? json_real(seconds) : json_null();
}

static void json_rate(const struct lh_growth *growth, json_t *object)
{
	json_object_set_new(object, "measure", json_string(growth->measure == LH_MEASURE_USED ? "used" : "mapped"));
	json_object_set_new(object, "rate_bytes_per_hour", json_real(growth->rate_bytes_per_hour));
	json_object_set_new(object, "rate_low_bytes_per_hour", json_real(growth->rate_low_bytes_per_hour));
	json_object_set_new(object, "rate_high_bytes_per_hour", json_real(growth->rate_high_bytes_per_hour));
	json_object_set_new(object, "probability", json_real(growth->probability));
	json_object_set_new(object, "resolution_bytes_per_hour", json_real(growth->resolution_bytes_per_hour));
	json_object_set_new(object, "growth_start_s", json_moment(growth->growth_start_s));
	json_object_set_new(object, "plateau_start_s", json_moment(growth->plateau_start_s));
	json_object_set_new(object, "bytes_per_count",
			    growth->bytes_per_count != 0 ? json_real(growth->bytes_per_count) : json_null());
}

/* The members that the whole process and a region share. */
static json_t *json_growth(const struct lh_growth *growth)
{
	json_t *object = json_pack(
		"{s:I, s:o, s:o, s:I, s:o, s:o, s:I, s:s, s:o, s:o, s:b, s:o}", "mappings",
		(json_int_t)growth->region_count, "private_first_bytes", lh_json_u64(growth->private_first_bytes),
		"private_last_bytes", lh_json_u64(growth->private_last_bytes), "growth_bytes",
		(json_int_t)growth->growth_bytes, "mapped_first_bytes", lh_json_u64(growth->mapped_first_bytes),
		"mapped_last_bytes", lh_json_u64(growth->mapped_last_bytes), "huge_growth_bytes",
		(json_int_t)growth->huge_growth_bytes, "verdict", lh_verdict_name(growth->verdict), "reason",
		lh_json_string(growth->reason), "watch_more_ns", lh_json_u64(growth->watch_more_ns), "suspect",
		growth->is_suspect, "series_bytes", json_series(growth));
	if (object)
		json_rate(growth, object);
	return object;
}

static json_t *json_region(const struct lh_growth *growth)
{
	json_t *object = json_growth(growth);
	json_object_set_new(object, "start", lh_json_address(growth->start));
	json_object_set_new(object, "end", lh_json_address(growth->end));
	json_object_set_new(object, "ranges", json_ranges(growth));
	json_object_set_new(object, "size_bytes", lh_json_u64(mapped_bytes(growth)));
	json_object_set_new(object, "kind", json_string(lh_region_kind_name(growth->kind)));
	json_object_set_new(object, "cause", json_string(growth->cause.word));
	json_object_set_new(object, "cause_text", lh_json_string(growth->cause.text));
	json_object_set_new(object, "name", lh_json_string(growth->name));
	json_object_set_new(object, "thread_name", lh_json_string(growth->thread_name));
	return object;
}

static json_t *json_regions(const struct lh_select_report *report)
{
	json_t *array = json_array();
	for (size_t i = 0; i < report->selection->growths.count; i++) {
		const struct lh_growth *growth = &report->selection->growths.items[i];
		if (has_changed(growth) && (!report->most || json_array_size(array) < report->most))
			json_array_append_new(array, json_region(growth));
	}
	return array;
}

static json_t *json_moments(const struct lh_selection *selection)
{
	json_t *array = json_array();
	for (size_t i = 0; i < selection->moments_s.count; i++)
		json_array_append_new(array, json_real(selection->moments_s.items[i]));
	return array;
}

static json_t *json_next(const struct lh_select_report *report)
{
	if (!lh_selection_suspect(report->selection))
		return json_null();
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	append_next_command(&command, report);
	return command.failed ? NULL : lh_json_string(command.data);
}

/* The evidence for the verdict on the process. */
static json_t *json_evidence(const struct lh_selection *selection)
{
	json_t *array = json_array();
	for (int i = 0; i < LH_EVIDENCE_COUNT; i++) {
		const struct lh_evidence_row *row = &selection->evidence[i];
		if (row->is_known)
			json_array_append_new(array, json_pack("{s:s, s:f, s:o}", "kind",
							       lh_evidence_name((enum lh_evidence)i), "weight",
							       row->weight, "text", lh_json_string(row->text)));
	}
	return array;
}

static json_t *json_receipt(const struct lh_sampling_receipt *receipt)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "readings", lh_json_u64(receipt->reading_count),
			 "bounded_readings", lh_json_u64(receipt->bounded_count), "reading_ns",
			 lh_json_u64(receipt->reading_ns), "reading_max_ns", lh_json_u64(receipt->reading_max_ns),
			 "longest_call_ns", lh_json_u64(receipt->longest_call_ns));
}

void lh_report_select_json(const struct lh_select_report *report, struct lh_buffer *ret)
{
	const struct lh_selection *selection = report->selection;
	json_t *object = json_pack(
		"{s:s, s:o, s:o, s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "schema", "leakhunt/select/2",
		"pid", selection->pid ? json_integer(selection->pid) : json_null(), "command",
		lh_json_string(report->command), "allocator", lh_allocator_name(report->facts->allocator), "complete",
		report->is_complete, "samples", (json_int_t)selection->sample_count, "span_ns",
		lh_json_u64(selection->span_ns), "moments_s", json_moments(selection), "process",
		json_growth(&selection->total), "regions", json_regions(report), "forecast",
		lh_report_forecast_json(report->forecast), "next_command", json_next(report), "unchanged_mappings",
		(json_int_t)count_unchanged(selection), "receipt", json_receipt(&selection->receipt));
	json_object_set_new(object, "evidence", json_evidence(selection));
	lh_report_holdings_json(selection, object);
	lh_report_append_json(object, ret);
}

static json_t *json_watched(const struct lh_watched *watched)
{
	const struct lh_selection *selection = watched->selection;
	json_t *object = json_growth(&selection->total);
	json_object_set_new(object, "pid", json_integer(watched->pid));
	json_object_set_new(object, "command", lh_json_string(watched->command));
	json_object_set_new(object, "samples", lh_json_u64(selection->sample_count));
	json_object_set_new(object, "span_ns", lh_json_u64(selection->span_ns));
	json_object_set_new(object, "forecast",
			    lh_report_forecast_json(watched->has_forecast ? &watched->forecast : NULL));
	return object;
}

void lh_report_watched_json(const struct lh_watched *watched, size_t count, struct lh_buffer *ret)
{
	json_t *processes = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(processes, json_watched(&watched[i]));
	lh_report_append_json(json_pack("{s:s, s:o}", "schema", "leakhunt/watch/1", "processes", processes), ret);
}
