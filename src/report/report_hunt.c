/*
 * report_hunt: the answers of a hunt as text of at most one screen, and as JSON of the schema leakhunt/hunt/1. Each
 * answer is followed by the command that shows its evidence.
 */
#include "html.h"
#include "leakhunt/hunt.h"
#include "leakhunt/json.h"
#include "report_holdings.h"
#include "report_strings.h"
#include "shell_word.h"
#include "usage.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- shared */

/* The label of a line, or blanks if the label is "". */
static void put_hunt_label(const char *label, struct lh_style style, struct lh_buffer *ret)
{
	char text[32];
	snprintf(text, sizeof(text), "%-12s", label);
	lh_write_styled(style, "1", text, ret);
	lh_buffer_puts(ret, " ");
}

static void put_hunt_text(const char *text, struct lh_buffer *ret)
{
	lh_buffer_escape(ret, text, strlen(text));
}

/* Cuts long names and templates at a character's border. */
static void put_short_text(const char *text, struct lh_buffer *ret)
{
	enum { SHOWN_MAX = 64 };
	size_t length = strlen(text);
	if (length <= SHOWN_MAX) {
		put_hunt_text(text, ret);
		return;
	}
	for (length = SHOWN_MAX; length && ((unsigned char)text[length] & 0xc0) == 0x80; length--)
		;
	lh_buffer_escape(ret, text, length);
	lh_buffer_puts(ret, "...");
}

static int64_t whole_rate(double bytes_per_hour)
{
	return (int64_t)fmax(fmin(bytes_per_hour, 9e18), -9e18);
}

static void begin_command(struct lh_style style, struct lh_buffer *ret)
{
	put_hunt_label("", style, ret);
	lh_buffer_puts(ret, "$ leakhunt ");
}

/* ---------------------------------------------------------------- the head */

/* Names the library for the main row only. */
static void put_row_name(const struct lh_hunt_row *row, bool is_main, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	switch (row->kind) {
	case LH_HUNT_ROW_OBJECTS:
		if (is_main && *row->family)
			lh_buffer_printf(ret, "%s ", row->family);
		put_short_text(row->name, ret);
		if (*row->detail) {
			lh_buffer_puts(ret, " (");
			put_hunt_text(row->detail, ret);
			lh_buffer_puts(ret, ")");
		}
		break;
	case LH_HUNT_ROW_CONTENT:
		put_short_text(row->name, ret);
		break;
	case LH_HUNT_ROW_TEXTS:
		lh_buffer_puts(ret, "texts like `");
		put_short_text(row->name, ret);
		lh_buffer_puts(ret, "`");
		break;
	case LH_HUNT_ROW_BLOCKS:
		lh_buffer_printf(ret, "blocks of %s bytes", lh_format_count(row->each_bytes, count));
		break;
	}
}

static const char *verdict_words(const struct lh_hunt *hunt)
{
	if (!hunt->has_selection)
		return "what grew between two dumps";
	enum lh_verdict verdict = hunt->held != LH_HOLDING_COUNT ? hunt->selection.holdings[hunt->held].verdict
								 : lh_hunt_main_growth(hunt)->verdict;
	switch (verdict) {
	case LH_VERDICT_LEAK:
		return lh_hunt_is_firm_leak(hunt) ? "leaks" : "may grow";
	case LH_VERDICT_GROWING:
		return "grows";
	case LH_VERDICT_UNDECIDED:
		return hunt->suspect ? "may grow" : "no verdict yet";
	default:
		return "does not grow";
	}
}

static void put_interval(struct lh_memory_growth memory, struct lh_buffer *ret)
{
	char low[LH_FORMAT_MAX], high[LH_FORMAT_MAX];
	lh_buffer_printf(ret, " (95 %%: %s to %s)",
			 lh_format_signed_bytes(whole_rate(memory.rate_low_bytes_per_hour), low),
			 lh_format_signed_bytes(whole_rate(memory.rate_high_bytes_per_hour), high));
}

static void put_head(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	char rate[LH_FORMAT_MAX];
	put_hunt_text(hunt->command[0] ? hunt->command : "process", &line);
	if (hunt->pid)
		lh_buffer_printf(&line, " (pid %d)", (int)hunt->pid);
	lh_buffer_printf(&line, ": %s", verdict_words(hunt));
	if (hunt->suspect) {
		lh_buffer_printf(&line, " %s/h",
				 lh_format_signed_bytes(whole_rate(hunt->whole.rate_bytes_per_hour), rate));
		if (!lh_hunt_is_firm_leak(hunt))
			put_interval(hunt->whole, &line);
	}
	if (hunt->is_comparison && hunt->row_count) {
		lh_buffer_puts(&line, ", ");
		put_row_name(&hunt->rows[0], true, &line);
	}
	ret->failed |= line.failed;
	lh_write_styled(style, "1", line.data ? line.data : "", ret);
	lh_buffer_puts(ret, "\n\n");
}

/* ---------------------------------------------------------------- what grows */

/* Of the growth that the headline and the forecast speak of. */
static void put_figures(const struct lh_hunt *hunt, const struct lh_growth *judged, struct lh_buffer *ret)
{
	bool is_open_leak = judged->verdict == LH_VERDICT_LEAK && !lh_hunt_is_firm_leak(hunt);
	char growth[LH_FORMAT_MAX], span[LH_FORMAT_MAX], rate[LH_FORMAT_MAX], chance[LH_FORMAT_MAX];
	lh_buffer_printf(ret, " (%s%s, chance of a leak: %s): %s in %s, %s/h", lh_verdict_name(judged->verdict),
			 is_open_leak ? ", not firm" : "", lh_format_chance(judged->probability, chance),
			 lh_format_signed_bytes(hunt->whole.growth_bytes, growth),
			 lh_format_duration(hunt->selection.span_ns, span),
			 lh_format_signed_bytes(whole_rate(hunt->whole.rate_bytes_per_hour), rate));
	put_interval(hunt->whole, ret);
	lh_buffer_puts(ret, "\n");
}

static const char *suspect_kind(const struct lh_hunt *hunt)
{
	return lh_hunt_has_sums_only(hunt) ? "private anonymous memory, as a sum"
					   : lh_region_kind_name(hunt->suspect->kind);
}

static void put_suspect_regions(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, suspect_kind(hunt));
	if (hunt->alike.region_count > 1)
		lh_buffer_printf(ret, " x%zu", hunt->alike.region_count);
}

static void put_cause_text(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	put_hunt_text(hunt->cause.text, ret);
	lh_buffer_puts(ret, "\n");
}

/* Which part of the growth the suspect is, and its cause. */
static void put_part(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	static const double MORE = 1.05; /* less may be chance */
	double share = hunt->alike.rate_bytes_per_hour / hunt->whole.rate_bytes_per_hour;
	put_hunt_label("", style, ret);
	if (share > MORE)
		lh_buffer_puts(ret, "more than that, while other memory shrinks, in ");
	else
		lh_buffer_printf(ret, "%.0f %% of that in ", 100 * fmin(fmax(share, 0), 1));
	put_suspect_regions(hunt, ret);
	lh_buffer_puts(ret, lh_verdict_is_rising(hunt->suspect->verdict) ? ": " : " (undecided by itself): ");
	put_cause_text(hunt, ret);
}

static void put_suspect(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	if (hunt->is_sum && hunt->has_cause) {
		bool is_all = lh_hunt_main_growth(hunt) == &hunt->selection.total;
		lh_buffer_puts(ret, is_all ? "the process" : "all regions that leak");
		put_figures(hunt, lh_hunt_main_growth(hunt), ret);
		put_part(hunt, style, ret);
		return;
	}
	put_suspect_regions(hunt, ret);
	put_figures(hunt, hunt->suspect, ret);
	if (!hunt->has_cause)
		return;
	put_hunt_label("", style, ret);
	put_cause_text(hunt, ret);
}

static void put_held(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_holding_growth *growth = &hunt->selection.holdings[hunt->held];
	char rate[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s (%s): %s, %s/h\n", lh_holding_text(hunt->held), lh_verdict_name(growth->verdict),
			 growth->reason, lh_format_signed_bytes(whole_rate(growth->rate_per_hour), rate));
}

static void put_total(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_growth *total = &hunt->selection.total;
	char now[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%s: private memory %s (%s): %s\n",
			 lh_verdict_is_rising(total->verdict) ? "all regions together" : "nothing",
			 lh_format_bytes(total->private_last_bytes, now), lh_verdict_name(total->verdict),
			 total->reason);
}

static void put_forecast(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	if (!hunt->has_forecast)
		return;
	put_hunt_label("", style, ret);
	lh_report_forecast_text(&hunt->forecast, ret);
}

static void put_growth(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	put_hunt_label("what grows", style, ret);
	if (!hunt->has_selection) {
		lh_buffer_puts(ret, "not known: there are no samples\n");
		return;
	}
	if (hunt->suspect)
		put_suspect(hunt, style, ret);
	else if (hunt->held != LH_HOLDING_COUNT)
		put_held(hunt, ret);
	else
		put_total(hunt, ret);
	put_forecast(hunt, style, ret);
	if (hunt->record_path) {
		begin_command(style, ret);
		lh_buffer_puts(ret, "select --from ");
		lh_shell_word(ret, hunt->record_path);
		lh_buffer_puts(ret, "\n");
	}
}

/* ---------------------------------------------------------------- what it is */

static void put_row(const struct lh_hunt *hunt, const struct lh_hunt_row *row, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX], owned[LH_FORMAT_MAX];
	bool is_less = row->count < 0;
	lh_buffer_printf(ret, "%s%s ",
			 is_less               ? "-"
			 : hunt->is_comparison ? "+"
					       : "",
			 lh_format_count(is_less ? 0 - (uint64_t)row->count : (uint64_t)row->count, count));
	put_row_name(row, row == hunt->rows, ret);
	lh_buffer_printf(ret, ", %s",
			 hunt->is_comparison ? lh_format_signed_bytes(row->bytes, bytes)
					     : lh_format_bytes((uint64_t)row->bytes, bytes));
	if (row == hunt->rows && hunt->owned_bytes > row->bytes)
		lh_buffer_printf(ret, "; %s with what grew along with them",
				 lh_format_signed_bytes(hunt->owned_bytes, owned));
	lh_buffer_puts(ret, row->is_counted ? ", counted in the first row\n" : "\n");
}

/* ", made 16.0 s apart,"; "" if that is not known. */
static const char *time_between(const struct lh_hunt *hunt, char *ret, size_t size)
{
	char span[LH_FORMAT_MAX];
	uint64_t before_ns = hunt->receipts[LH_HUNT_BEFORE].time_ns, after_ns = hunt->receipts[LH_HUNT_AFTER].time_ns;
	ret[0] = '\0';
	if (hunt->has_receipt[LH_HUNT_BEFORE] && hunt->has_receipt[LH_HUNT_AFTER] && after_ns > before_ns)
		snprintf(ret, size, ", made %s apart,", lh_format_duration(after_ns - before_ns, span));
	return ret;
}

/* Whether what is named in the first row has more bytes than the dumps differ by. */
static bool has_more_than_pages(const struct lh_hunt *hunt)
{
	int64_t named_bytes = hunt->row_count ? hunt->rows[0].bytes : 0;
	if (hunt->owned_bytes > named_bytes)
		named_bytes = hunt->owned_bytes;
	return named_bytes > hunt->compared_bytes + hunt->zero_bytes;
}

static void put_share(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	char bytes[LH_FORMAT_MAX], zeros[LH_FORMAT_MAX], apart[64];
	put_hunt_label("", style, ret);
	lh_buffer_printf(ret,
			 "(the dumps%s differ by %s of pages that are not zero and %s of zero pages; types and texts "
			 "account for %.0f %% of the former%s)\n",
			 time_between(hunt, apart, sizeof(apart)), lh_format_signed_bytes(hunt->compared_bytes, bytes),
			 lh_format_signed_bytes(hunt->zero_bytes, zeros), 100 * hunt->explained,
			 has_more_than_pages(hunt)
				 ? "; the rest of their bytes is in pages never written, or there before"
				 : "");
}

/* `leakhunt COMMAND` for the dumps from side `first` on. */
static void put_dump_command(const struct lh_hunt *hunt, const char *command, int first, struct lh_style style,
			     struct lh_buffer *ret)
{
	begin_command(style, ret);
	lh_buffer_puts(ret, command);
	for (int side = first; side < LH_HUNT_SIDES; side++) {
		if (!hunt->dump_paths[side])
			continue;
		lh_buffer_puts(ret, " ");
		lh_shell_word(ret, hunt->dump_paths[side]);
	}
	lh_buffer_puts(ret, "\n");
}

static void put_hunt_content(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	if (hunt->why == LH_HUNT_WHY_NO_GROWTH && !hunt->row_count)
		return;
	put_hunt_label("what it is", style, ret);
	if (!hunt->row_count && hunt->why == LH_HUNT_WHY_NOT_RELEASED && hunt->has_cause) {
		put_hunt_text(hunt->cause.text, ret);
		lh_buffer_puts(ret, "\n");
	} else if (!hunt->row_count)
		lh_buffer_puts(ret, hunt->has_diff ? "not known: no type, text or size of block stands out\n"
						   : "not known: there are no dumps to compare\n");
	for (size_t i = 0; i < hunt->row_count; i++) {
		if (i)
			put_hunt_label("", style, ret);
		else if (!hunt->is_comparison)
			lh_buffer_puts(ret, "not compared; most of it is: ");
		put_row(hunt, &hunt->rows[i], ret);
	}
	if (hunt->has_diff && (hunt->row_count || hunt->why != LH_HUNT_WHY_NOT_RELEASED))
		put_share(hunt, style, ret);
	if (hunt->keeps_dumps && (hunt->dump_paths[LH_HUNT_BEFORE] || hunt->dump_paths[LH_HUNT_AFTER]))
		put_dump_command(hunt, "strings", LH_HUNT_BEFORE, style, ret);
}

/* ---------------------------------------------------------------- why it stays */

static void put_blocks(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_hunt_heap *before = &hunt->heaps[LH_HUNT_BEFORE], *after = &hunt->heaps[LH_HUNT_AFTER];
	char used[LH_FORMAT_MAX], freed[LH_FORMAT_MAX];
	if (!before->is_known || !after->is_known) {
		lh_buffer_puts(ret, "the counted objects are in blocks that are in use");
		return;
	}
	lh_buffer_printf(ret, "%s in blocks that are in use, %s in freed ones (as the allocator counts)",
			 lh_format_signed_bytes((int64_t)(after->used_bytes - before->used_bytes), used),
			 lh_format_signed_bytes((int64_t)(after->free_bytes - before->free_bytes), freed));
}

/* Reachable, for the most part, but nobody alone holds most of it. */
static void put_many_holders(const struct lh_hunt_reach *reach, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX];
	if (reach->lost_growth_bytes > 0)
		lh_buffer_printf(ret, "; %s of it lost, the rest still reachable",
				 lh_format_bytes((uint64_t)reach->lost_growth_bytes, bytes));
	else
		lh_buffer_puts(ret, "; none of it lost: all still reachable");
	if (*reach->root && reach->new_bytes) {
		lh_buffer_printf(ret, ", %.0f %% of %s new blocks from ",
				 100 * (double)reach->root_bytes / (double)reach->new_bytes,
				 lh_format_count(reach->new_count, count));
		lh_buffer_escape(ret, reach->root, strlen(reach->root));
	}
	lh_buffer_puts(ret, "; no single block holds most of it");
	if (!*reach->holder)
		return;
	lh_buffer_puts(ret, "; the largest holder is ");
	lh_buffer_escape(ret, reach->holder, strlen(reach->holder));
	lh_buffer_printf(ret, " (%s, +%s)", reach->shape, lh_format_bytes(reach->holder_growth_bytes, bytes));
}

/* Says whether most of what grew is lost, and else who holds it. */
static void put_reach(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_hunt_reach *reach = &hunt->reach;
	char count[LH_FORMAT_MAX], bytes[LH_FORMAT_MAX], confirmed[LH_FORMAT_MAX];
	int64_t grown = (int64_t)(hunt->heaps[LH_HUNT_AFTER].used_bytes - hunt->heaps[LH_HUNT_BEFORE].used_bytes);
	if (reach->is_known && reach->lost_growth_bytes * 2 >= grown && reach->lost_growth_bytes > 0) {
		lh_buffer_printf(
			ret,
			"; lost: nothing points to %s blocks (%s with what they own); %s of them are confirmed: "
			"lost in both dumps",
			lh_format_count(reach->lost_count, count), lh_format_bytes(reach->lost_bytes, bytes),
			lh_format_count(reach->confirmed_count, confirmed));
	} else if (reach->is_known && *reach->holder && (int64_t)reach->holder_growth_bytes * 2 >= grown) {
		lh_buffer_puts(ret, "; held by ");
		lh_buffer_escape(ret, reach->holder, strlen(reach->holder));
		lh_buffer_printf(ret, " (%s, +%s elements, +%s)", reach->shape,
				 lh_format_count(reach->holder_growth_count, count),
				 lh_format_bytes(reach->holder_growth_bytes, bytes));
	} else if (reach->is_known) {
		put_many_holders(reach, ret);
	} else {
		lh_buffer_puts(ret, "; whether it is lost or still held is not known");
		if (*reach->doubt) {
			lh_buffer_puts(ret, ": ");
			lh_buffer_escape(ret, reach->doubt, strlen(reach->doubt));
		}
	}
}

static void put_hunt_reason(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	switch (hunt->why) {
	case LH_HUNT_WHY_NOT_RELEASED:
		lh_buffer_printf(ret, "never given back: %s was not called for it (certain)",
				 hunt->counterpart ? hunt->counterpart->release : "what ends it");
		break;
	case LH_HUNT_WHY_IN_USE:
		lh_buffer_puts(ret, "nobody has freed it: ");
		put_blocks(hunt, ret);
		put_reach(hunt, ret);
		break;
	case LH_HUNT_WHY_FREED:
		lh_buffer_puts(ret, "it was freed, and the allocator keeps it: ");
		put_blocks(hunt, ret);
		break;
	case LH_HUNT_WHY_REFERENCED:
		lh_buffer_puts(ret,
			       hunt->suspect && hunt->suspect->kind == LH_REGION_ZEND
				       ? "still referenced, by whom is not known: PHP frees a value with its last "
					 "reference, and a cycle when its collector runs"
				       : "still referenced, by whom is not known: CPython frees an object with its "
					 "last reference, and a cycle when gc runs");
		break;
	case LH_HUNT_WHY_RUNNING:
		lh_buffer_puts(ret, "these threads have not ended: their stacks are in use (certain)");
		break;
	case LH_HUNT_WHY_COLLECTOR:
		lh_buffer_puts(ret, "its collector has not freed it: whether it is reachable is not known");
		break;
	case LH_HUNT_WHY_NO_GROWTH:
	case LH_HUNT_WHY_UNKNOWN:
		lh_buffer_puts(ret, "not known");
		break;
	}
	lh_buffer_puts(ret, "\n");
}

static void put_why(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	if (hunt->why == LH_HUNT_WHY_NO_GROWTH)
		return;
	put_hunt_label("why it stays", style, ret);
	put_hunt_reason(hunt, ret);
	if (hunt->caveat[0]) {
		put_hunt_label("or is it", style, ret);
		put_hunt_text(hunt->caveat, ret);
		lh_buffer_puts(ret, "\n");
	}
	if (hunt->keeps_dumps && hunt->dump_paths[LH_HUNT_AFTER] && hunt->heaps[LH_HUNT_AFTER].is_known) {
		bool tells_reach = hunt->reach.is_known && hunt->dump_paths[LH_HUNT_BEFORE];
		put_dump_command(hunt, tells_reach ? "leaks" : "heap", tells_reach ? LH_HUNT_BEFORE : LH_HUNT_AFTER,
				 style, ret);
	}
}

static void put_advice(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	put_hunt_label("what to do", style, ret);
	put_hunt_text(hunt->advice, ret);
	if (hunt->advice_source[0])
		lh_buffer_printf(ret, " [%s]", hunt->advice_source);
	lh_buffer_puts(ret, "\n");
}

/* ---------------------------------------------------------------- steps and cost */

static bool has_to_be_said(const struct lh_hunt_step_result *step)
{
	return step->outcome != LH_HUNT_DONE || step->reason[0];
}

/* Consecutive steps with the same reason share a line. */
static void put_steps(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	const char *last = "";
	for (int i = 0; i < LH_HUNT_STEP_COUNT; i++) {
		const struct lh_hunt_step_result *step = &hunt->steps[i];
		if (!has_to_be_said(step) || strcmp(step->reason, last) == 0)
			continue;
		if (hunt->why == LH_HUNT_WHY_NO_GROWTH && step->outcome == LH_HUNT_NOT_REACHED)
			continue;
		last = step->reason;
		put_hunt_label(step->outcome == LH_HUNT_DONE ? "note" : "not done", style, ret);
		lh_buffer_printf(ret, "%s (%s)%s", lh_hunt_step_name((enum lh_hunt_step)i),
				 lh_hunt_outcome_name(step->outcome), step->reason[0] ? ": " : "");
		put_hunt_text(step->reason, ret);
		lh_buffer_puts(ret, "\n");
	}
}

static uint64_t longest_pause(const struct lh_hunt *hunt, size_t *ret_count)
{
	uint64_t longest = 0;
	*ret_count = 0;
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		longest = lh_max_u64(longest, hunt->receipts[side].pause_ns);
		*ret_count += hunt->has_receipt[side] && hunt->receipts[side].pause_ns > 0;
	}
	return longest;
}

static void put_receipt(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	char pause[LH_FORMAT_MAX], span[LH_FORMAT_MAX], call[LH_FORMAT_MAX], disk[LH_FORMAT_MAX], excess[64];
	size_t pause_count;
	uint64_t longest = longest_pause(hunt, &pause_count);
	if (!hunt->folder)
		return;
	put_hunt_label("receipt", style, ret);
	if (pause_count)
		lh_buffer_printf(ret, "stopped %zu time%s, %s at most%s; ", pause_count, pause_count > 1 ? "s" : "",
				 lh_format_duration(longest, pause), lh_hunt_pause_excess(hunt, excess));
	else
		lh_buffer_puts(ret, "never stopped; ");
	lh_buffer_printf(ret, "%zu samples in %s, the longest call %s; %s on disk in ", hunt->selection.sample_count,
			 lh_format_duration(hunt->elapsed_ns, span),
			 lh_format_duration(hunt->selection.receipt.longest_call_ns, call),
			 lh_format_bytes(hunt->disk_bytes, disk));
	put_hunt_text(hunt->folder, ret);
	lh_buffer_puts(ret, "/\n");
}

static void put_page(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	if (!hunt->report_path)
		return;
	put_hunt_label("report", style, ret);
	put_hunt_text(hunt->report_path, ret);
	lh_buffer_puts(ret, "\n");
}

void lh_report_hunt_text(const struct lh_hunt *hunt, struct lh_style style, struct lh_buffer *ret)
{
	put_head(hunt, style, ret);
	put_growth(hunt, style, ret);
	put_hunt_content(hunt, style, ret);
	put_why(hunt, style, ret);
	put_advice(hunt, style, ret);
	put_steps(hunt, style, ret);
	put_receipt(hunt, style, ret);
	put_page(hunt, style, ret);
}

/* ---------------------------------------------------------------- JSON */

static json_t *path_json(const char *path)
{
	return path ? lh_json_string(path) : json_null();
}

static json_t *process_growth_json(const struct lh_memory_growth *whole)
{
	return json_pack("{s:I, s:f, s:f, s:f}", "growth_bytes", (json_int_t)whole->growth_bytes, "rate_bytes_per_hour",
			 whole->rate_bytes_per_hour, "rate_low_bytes_per_hour", whole->rate_low_bytes_per_hour,
			 "rate_high_bytes_per_hour", whole->rate_high_bytes_per_hour);
}

static json_t *hunt_growth_json(const struct lh_hunt *hunt)
{
	if (!hunt->has_selection)
		return json_null();
	const struct lh_growth *growth = lh_hunt_main_growth(hunt);
	const struct lh_hunt_alike *alike = &hunt->alike;
	return json_pack("{s:s, s:I, s:s, s:o, s:s, s:b, s:f, s:I, s:f, s:f, s:f, s:I, s:o, s:o, s:o, s:o}", "region",
			 hunt->suspect && !lh_hunt_has_sums_only(hunt) ? lh_region_kind_name(hunt->suspect->kind)
								       : "all",
			 "regions", (json_int_t)alike->region_count, "cause", hunt->has_cause ? hunt->cause.word : "",
			 "cause_text", lh_json_string(hunt->has_cause ? hunt->cause.text : ""), "verdict",
			 lh_verdict_name(growth->verdict), "is_firm", hunt->is_firm, "probability", growth->probability,
			 "growth_bytes", (json_int_t)alike->growth_bytes, "rate_bytes_per_hour",
			 alike->rate_bytes_per_hour, "rate_low_bytes_per_hour", alike->rate_low_bytes_per_hour,
			 "rate_high_bytes_per_hour", alike->rate_high_bytes_per_hour, "samples",
			 (json_int_t)hunt->selection.sample_count, "reason", lh_json_string(growth->reason), "held",
			 hunt->held == LH_HOLDING_COUNT ? json_null() : json_string(lh_holding_name(hunt->held)),
			 "process", process_growth_json(&hunt->whole), "forecast",
			 lh_report_forecast_json(hunt->has_forecast ? &hunt->forecast : NULL));
}

static json_t *rows_of_hunt_json(const struct lh_hunt *hunt)
{
	static const char *const kinds[] = {"objects", "content", "texts", "blocks"};
	json_t *list = json_array();
	for (size_t i = 0; i < hunt->row_count; i++) {
		const struct lh_hunt_row *row = &hunt->rows[i];
		json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:b}", "kind",
						      kinds[row->kind], "family", lh_json_string(row->family), "name",
						      lh_json_string(row->name), "detail", lh_json_string(row->detail),
						      "count", (json_int_t)row->count, "bytes", (json_int_t)row->bytes,
						      "before_count", lh_json_u64(row->before_count), "after_count",
						      lh_json_u64(row->after_count), "each_bytes",
						      row->each_bytes ? lh_json_u64(row->each_bytes) : json_null(),
						      "addr", row->addr ? lh_json_address(row->addr) : json_null(),
						      "is_counted", row->is_counted));
	}
	return list;
}

static json_t *content_of_hunt_json(const struct lh_hunt *hunt)
{
	return json_pack("{s:b, s:I, s:I, s:f, s:I, s:o}", "compared", hunt->is_comparison, "growth_bytes",
			 (json_int_t)hunt->compared_bytes, "zero_growth_bytes", (json_int_t)hunt->zero_bytes,
			 "explained", hunt->explained, "owned_bytes", (json_int_t)hunt->owned_bytes, "rows",
			 rows_of_hunt_json(hunt));
}

static json_t *heap_side_json(const struct lh_hunt_heap *heap)
{
	return heap->is_known ? json_pack("{s:o, s:o, s:o}", "used_blocks", lh_json_u64(heap->used_count), "used_bytes",
					  lh_json_u64(heap->used_bytes), "free_bytes", lh_json_u64(heap->free_bytes))
			      : json_null();
}

static json_t *lost_of_hunt_json(const struct lh_hunt_reach *reach)
{
	if (!reach->is_known)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:I}", "blocks", lh_json_u64(reach->lost_count), "confirmed",
			 lh_json_u64(reach->confirmed_count), "bytes", lh_json_u64(reach->lost_bytes), "growth_bytes",
			 (json_int_t)reach->lost_growth_bytes);
}

static json_t *holder_of_hunt_json(const struct lh_hunt_reach *reach)
{
	if (!*reach->holder)
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:o}", "root", lh_json_string(reach->holder), "shape", reach->shape,
			 "elements", lh_json_u64(reach->holder_growth_count), "growth_bytes",
			 lh_json_u64(reach->holder_growth_bytes));
}

static json_t *new_of_hunt_json(const struct lh_hunt_reach *reach)
{
	if (!reach->is_known)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "reachable_blocks", lh_json_u64(reach->new_count), "reachable_bytes",
			 lh_json_u64(reach->new_bytes), "root",
			 *reach->root ? lh_json_string(reach->root) : json_null(), "root_bytes",
			 lh_json_u64(reach->root_bytes));
}

static json_t *why_json(const struct lh_hunt *hunt)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "word", lh_hunt_why_name(hunt->why), "caveat",
			 hunt->caveat[0] ? lh_json_string(hunt->caveat) : json_null(), "before",
			 heap_side_json(&hunt->heaps[LH_HUNT_BEFORE]), "after",
			 heap_side_json(&hunt->heaps[LH_HUNT_AFTER]), "lost", lost_of_hunt_json(&hunt->reach), "holder",
			 holder_of_hunt_json(&hunt->reach), "new", new_of_hunt_json(&hunt->reach), "doubt",
			 lh_json_string(hunt->reach.doubt));
}

static json_t *next_of_hunt_json(const struct lh_hunt *hunt)
{
	const struct lh_counterpart *row = hunt->counterpart;
	return json_pack("{s:o, s:s, s:o, s:o}", "text", lh_json_string(hunt->advice), "source", hunt->advice_source,
			 "acquire", row ? json_string(row->acquire) : json_null(), "release",
			 row ? json_string(row->release) : json_null());
}

static json_t *confidence_json(const struct lh_hunt *hunt)
{
	json_t *list = json_array();
	for (int i = 0; i < LH_HUNT_QUESTIONS; i++)
		json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:o}", "question",
						      lh_hunt_question_name((enum lh_hunt_question)i), "level",
						      (int)hunt->confidences[i].level, "word",
						      lh_hunt_level_name(hunt->confidences[i].level), "reason",
						      lh_json_string(hunt->confidences[i].reason)));
	return list;
}

static json_t *fill_types_json(const struct lh_hunt_owner *owner)
{
	json_t *list = json_array();
	for (size_t i = 0; i < owner->fills.count; i++) {
		const struct lh_hunt_fill *fill = &owner->fills.items[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "family", fill->family, "prefix",
					fill->prefix ? fill->prefix : "", "name", lh_json_string(fill->name), "detail",
					lh_json_string(fill->detail), "count",
					fill->count ? lh_json_u64(fill->count) : json_null(), "bytes",
					lh_json_u64(fill->bytes), "growth_bytes", (json_int_t)fill->growth_bytes,
					"addr", fill->addr ? lh_json_address(fill->addr) : json_null()));
	}
	return list;
}

static json_t *fills_json(const struct lh_hunt *hunt)
{
	json_t *list = json_array();
	for (size_t i = 0; i < hunt->owners.items.count; i++) {
		const struct lh_hunt_owner *owner = &hunt->owners.items.items[i];
		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:I, s:o}", "owner", lh_json_string(owner->name), "bytes",
						lh_json_u64(owner->bytes), "growth_bytes",
						(json_int_t)owner->growth_bytes, "types", fill_types_json(owner)));
	}
	return list;
}

static json_t *steps_json(const struct lh_hunt *hunt)
{
	json_t *list = json_array();
	for (int i = 0; i < LH_HUNT_STEP_COUNT; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:o, s:o}", "step", lh_hunt_step_name((enum lh_hunt_step)i),
						"outcome", lh_hunt_outcome_name(hunt->steps[i].outcome), "reason",
						lh_json_string(hunt->steps[i].reason), "elapsed_ns",
						lh_json_u64(hunt->steps[i].elapsed_ns)));
	return list;
}

static json_t *cost_json(const struct lh_hunt *hunt)
{
	size_t pause_count;
	uint64_t longest_ns = longest_pause(hunt, &pause_count);
	return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "longest_pause_ns", lh_json_u64(longest_ns),
			 "max_pause_ns", hunt->max_pause_ns ? lh_json_u64(hunt->max_pause_ns) : json_null(), "pauses",
			 (json_int_t)pause_count, "longest_call_ns",
			 lh_json_u64(hunt->selection.receipt.longest_call_ns), "elapsed_ns",
			 lh_json_u64(hunt->elapsed_ns), "disk_bytes", lh_json_u64(hunt->disk_bytes), "copied_bytes",
			 lh_json_u64(hunt->receipts[0].copied_bytes + hunt->receipts[1].copied_bytes));
}

void lh_report_hunt_json(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	json_t *object =
		json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
			  "leakhunt/hunt/1", "complete", lh_hunt_is_complete(hunt), "pid",
			  hunt->pid ? json_integer(hunt->pid) : json_null(), "command", lh_json_string(hunt->command),
			  "folder", path_json(hunt->folder), "record", path_json(hunt->record_path), "before",
			  path_json(hunt->keeps_dumps ? hunt->dump_paths[0] : NULL), "after",
			  path_json(hunt->keeps_dumps ? hunt->dump_paths[1] : NULL), "grows", hunt_growth_json(hunt),
			  "is", content_of_hunt_json(hunt), "why", why_json(hunt), "next", next_of_hunt_json(hunt),
			  "confidence", confidence_json(hunt), "fills", fills_json(hunt), "steps", steps_json(hunt),
			  "receipt", cost_json(hunt));
	lh_report_append_json(object, ret);
}
