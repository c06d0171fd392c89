/*
 * html_answer: the head of report.html: one sentence that says what grows, what it is and why it stays; how certain
 * that is; the four figures; what to do next. Input: a hunt. It judges nothing.
 */
#include "html.h"
#include "shell_word.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t whole_bytes(double bytes)
{
	return (int64_t)fmax(fmin(bytes, 9e18), -9e18);
}

static void put_span(struct lh_buffer *ret, const char *text)
{
	lh_buffer_printf(ret, "<span>%s</span>", text);
}

static void put_top(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char date[LH_HTML_NUMBER_MAX], span[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<p class=\"top\"><span><b>leakhunt</b> report</span><span><b>");
	lh_html_text(ret, hunt->command[0] ? hunt->command : "process");
	lh_buffer_puts(ret, "</b>");
	if (hunt->pid)
		lh_buffer_printf(ret, " (pid %d)", (int)hunt->pid);
	lh_buffer_puts(ret, "</span>");
	if (hunt->host[0]) {
		lh_buffer_puts(ret, "<span>host ");
		lh_html_text(ret, hunt->host);
		lh_buffer_puts(ret, "</span>");
	}
	put_span(ret, lh_html_date(lh_hunt_observed_ns(hunt), date));
	if (hunt->has_selection)
		lh_buffer_printf(ret, "<span>observed for %s</span>", lh_html_duration(hunt->selection.span_ns, span));
	lh_buffer_puts(ret, "</p>\n");
}

/* ---------------------------------------------------------------- the sentence */

static void put_verdict(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char rate[LH_HTML_NUMBER_MAX];
	const struct lh_growth *growth = lh_hunt_main_growth(hunt);
	if (!hunt->has_selection) {
		lh_buffer_puts(ret, ", between two dumps");
		return;
	}
	enum lh_verdict verdict =
		hunt->held != LH_HOLDING_COUNT ? hunt->selection.holdings[hunt->held].verdict : growth->verdict;
	bool is_open = verdict == LH_VERDICT_UNDECIDED || verdict == LH_VERDICT_LEAK;
	const char *words = lh_hunt_is_firm_leak(hunt)                            ? "leaks"
			    : verdict == LH_VERDICT_GROWING                       ? "grows"
			    : !is_open                                            ? "does not grow"
			    : hunt->suspect || hunt->why != LH_HUNT_WHY_NO_GROWTH ? "may grow"
										  : "does not grow";
	lh_buffer_printf(ret, " %s", words);
	if (hunt->suspect)
		lh_buffer_printf(ret, " <span class=\"acc nw\">%s/h</span>",
				 lh_html_bytes((uint64_t)llabs(whole_bytes(hunt->whole.rate_bytes_per_hour)), rate));
	else if (hunt->held != LH_HOLDING_COUNT)
		lh_buffer_printf(ret, ": %s", lh_holding_text(hunt->held));
}

static void put_content(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char count[LH_HTML_NUMBER_MAX], share[LH_HTML_NUMBER_MAX];
	const struct lh_hunt_row *row = hunt->row_count ? &hunt->rows[0] : NULL;
	if (!row || !hunt->is_comparison) {
		if (hunt->has_cause && hunt->why == LH_HUNT_WHY_NOT_RELEASED) {
			lh_buffer_puts(ret, ": ");
			lh_html_text(ret, hunt->cause.text);
		}
		return;
	}
	lh_buffer_printf(ret, ": %s ", lh_html_count((uint64_t)(row->count > 0 ? row->count : 0), count));
	if (row->kind == LH_HUNT_ROW_OBJECTS) {
		lh_buffer_puts(ret, "<bdi>");
		lh_html_text_cut(ret, row->name, 80);
		lh_buffer_puts(ret, "</bdi> objects");
	} else {
		lh_html_row_name(ret, row);
	}
	if (hunt->owned_bytes > row->bytes)
		lh_buffer_puts(ret, " and what grew along with them");
	if (row->kind == LH_HUNT_ROW_OBJECTS && hunt->compared_bytes > 0)
		lh_buffer_printf(ret, " (%s of the growth)", lh_html_percent(100 * hunt->explained, share));
}

static void put_why_clause(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	switch (hunt->why) {
	case LH_HUNT_WHY_NOT_RELEASED:
		lh_buffer_puts(ret, ", never given back");
		break;
	case LH_HUNT_WHY_IN_USE:
		lh_buffer_puts(ret, ", not freed");
		break;
	case LH_HUNT_WHY_FREED:
		lh_buffer_puts(ret, ", freed by the program and kept by its allocator");
		break;
	case LH_HUNT_WHY_REFERENCED:
		lh_buffer_puts(ret, ", still referenced");
		break;
	case LH_HUNT_WHY_RUNNING:
		lh_buffer_puts(ret, ", of threads that do not end");
		break;
	case LH_HUNT_WHY_COLLECTOR:
		lh_buffer_puts(ret, ", not freed by its collector");
		break;
	default:
		break;
	}
	if (hunt->counterpart) {
		lh_buffer_puts(ret, ". <code class=\"nw\">");
		lh_html_text(ret, hunt->counterpart->release);
		lh_buffer_puts(ret, "</code> is missing on some path");
	}
	lh_buffer_puts(ret, ".");
}

static void put_sentence(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<h1><bdi>");
	lh_html_text(ret, hunt->command[0] ? hunt->command : hunt->has_selection ? "The process" : "What grew");
	lh_buffer_puts(ret, "</bdi>");
	put_verdict(hunt, ret);
	put_content(hunt, ret);
	put_why_clause(hunt, ret);
	lh_buffer_puts(ret, "</h1>\n");
}

/* ---------------------------------------------------------------- how sure */

/* Advice contains commands in backquotes. */
static void put_marked_advice(const char *text, struct lh_buffer *ret)
{
	bool is_code = false;
	while (*text) {
		size_t length = strcspn(text, "`");
		char piece[512];
		snprintf(piece, sizeof(piece), "%.*s", (int)length, text);
		lh_html_text(ret, piece);
		text += length;
		if (!*text)
			break;
		lh_buffer_puts(ret, is_code ? "</code>" : "<code>");
		is_code = !is_code;
		text++;
	}
	if (is_code)
		lh_buffer_puts(ret, "</code>");
}

static void put_level(unsigned level, struct lh_buffer *ret)
{
	static const char *const places[] = {"0", "11", "23", "34"};
	lh_buffer_printf(ret, "<svg role=\"img\" aria-label=\"confidence %u of %d\" viewBox=\"0 0 44 8\">", level,
			 LH_HUNT_LEVEL_MAX);
	for (unsigned i = 0; i < LH_HUNT_LEVEL_MAX; i++)
		lh_buffer_printf(ret, "<rect x=\"%s\" width=\"9\" height=\"8\" rx=\"2\" class=\"%s\"/>", places[i],
				 i < level ? "c-i" : "c-2");
	lh_buffer_puts(ret, "</svg>");
}

static void put_confidences(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	bool is_quiet = hunt->why == LH_HUNT_WHY_NO_GROWTH;
	lh_buffer_puts(ret, "<ul class=\"conf\">");
	for (int i = 0; i < (is_quiet ? 1 : LH_HUNT_QUESTIONS); i++) {
		const struct lh_hunt_confidence *confidence = &hunt->confidences[i];
		const char *name = is_quiet ? "that it does not grow" : lh_hunt_question_name((enum lh_hunt_question)i);
		lh_buffer_puts(ret, "<li><b>");
		put_level(confidence->level, ret);
		lh_buffer_printf(ret, "%c%s: %s</b>", name[0] - 'a' + 'A', name + 1,
				 lh_hunt_level_name(confidence->level));
		lh_html_sentence(ret, confidence->reason);
		lh_buffer_puts(ret, "</li>");
	}
	if (hunt->caveat[0]) {
		lh_buffer_puts(ret, "<li><b>Or is it?</b>");
		put_marked_advice(hunt->caveat, ret);
		lh_buffer_puts(ret, "</li>");
	}
	lh_buffer_puts(ret, "</ul>\n");
}

/* ---------------------------------------------------------------- four figures */

static void begin_fact(struct lh_buffer *ret, const char *name, const char *class)
{
	lh_buffer_printf(ret, "<div><dt>%s</dt><dd%s>", name, class);
}

static void put_rate_fact(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char rate[LH_HTML_NUMBER_MAX], low[LH_HTML_NUMBER_MAX], high[LH_HTML_NUMBER_MAX];
	const struct lh_growth *growth = lh_hunt_main_growth(hunt);
	bool is_rising = lh_verdict_is_rising(growth->verdict);
	const struct lh_memory_growth *whole = &hunt->whole;
	begin_fact(ret, is_rising ? "Growth" : "Growth, if any", is_rising ? " class=\"acc\"" : "");
	lh_buffer_printf(ret, "%s/h<small>95&nbsp;%%: %s to %s</small></dd></div>",
			 lh_html_signed_bytes(whole_bytes(whole->rate_bytes_per_hour), rate),
			 lh_html_signed_bytes(whole_bytes(whole->rate_low_bytes_per_hour), low),
			 lh_html_signed_bytes(whole_bytes(whole->rate_high_bytes_per_hour), high));
}

static void put_size_fact(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX], growth[LH_HTML_NUMBER_MAX], span[LH_HTML_NUMBER_MAX];
	const struct lh_growth *total = &hunt->selection.total;
	begin_fact(ret, "Private memory now", "");
	lh_buffer_printf(ret, "%s<small>%s in %s</small></dd></div>", lh_html_bytes(total->private_last_bytes, bytes),
			 lh_html_signed_bytes(total->growth_bytes, growth),
			 lh_html_duration(hunt->selection.span_ns, span));
}

static void put_end_fact(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char left[LH_HTML_NUMBER_MAX], early[LH_HTML_NUMBER_MAX], late[LH_HTML_NUMBER_MAX], at[LH_HTML_NUMBER_MAX];
	const struct lh_forecast *forecast = &hunt->forecast;
	enum { HOURS_TO_NAME = 20 };
	if (!hunt->has_forecast)
		return;
	begin_fact(ret, "Runs out in", "");
	lh_buffer_printf(ret, "%s<small>95&nbsp;%%: %s to %s; ",
			 lh_html_duration((uint64_t)(forecast->seconds * 1e9), left),
			 lh_html_duration((uint64_t)(forecast->earliest_s * 1e9), early),
			 isfinite(forecast->latest_s) ? lh_html_duration((uint64_t)(forecast->latest_s * 1e9), late)
						      : "perhaps never");
	if (forecast->seconds < HOURS_TO_NAME * 3600.0)
		lh_buffer_printf(ret, "at %.5s UTC, ",
				 lh_html_clock(lh_hunt_observed_ns(hunt) + (uint64_t)(forecast->seconds * 1e9), at));
	lh_buffer_printf(ret, "at the end of %s, %s away</small></dd></div>", lh_ceiling_text(forecast->ceiling),
			 lh_ceiling_is_memory(forecast->ceiling) ? lh_html_bytes(forecast->left, left)
								 : lh_html_count(forecast->left, left));
}

static void put_harm_fact(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char longest[LH_HTML_NUMBER_MAX], sum[LH_HTML_NUMBER_MAX], delta[LH_HTML_NUMBER_MAX], excess[64];
	uint64_t longest_ns = 0, sum_ns = 0;
	int64_t resident_bytes = 0;
	unsigned count = 0;
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		const struct lh_receipt *receipt = &hunt->receipts[side];
		longest_ns = lh_max_u64(longest_ns, receipt->pause_ns);
		sum_ns += receipt->pause_ns;
		resident_bytes += receipt->resident_delta_bytes;
		count += hunt->has_receipt[side] && receipt->pause_ns;
	}
	if (!hunt->folder)
		return;
	begin_fact(ret, "Harm done by looking", "");
	if (!count)
		lh_buffer_puts(ret, "none<small>it was never stopped. ");
	else
		lh_buffer_printf(ret, "%s<small>longest pause%s. %u pause%s, %s in all; %s in the target. ",
				 lh_html_duration(longest_ns, longest), lh_hunt_pause_excess(hunt, excess), count,
				 count > 1 ? "s" : "", lh_html_duration(sum_ns, sum),
				 lh_html_signed_bytes(resident_bytes, delta));
	lh_buffer_puts(ret, "<a href=\"#receipts\">Receipts</a></small></dd></div>");
}

static void put_facts(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	if (!hunt->has_selection)
		return;
	lh_buffer_puts(ret, "<dl class=\"facts\">");
	put_rate_fact(hunt, ret);
	put_size_fact(hunt, ret);
	put_end_fact(hunt, ret);
	put_harm_fact(hunt, ret);
	lh_buffer_puts(ret, "</dl>\n");
}

/* ---------------------------------------------------------------- what to do next */

static void begin_next(struct lh_buffer *ret, const char *name)
{
	lh_buffer_printf(ret, "<li><div><p><b>%s.</b> ", name);
}

static void put_check_step(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!hunt->record_path || hunt->why == LH_HUNT_WHY_NO_GROWTH)
		return;
	lh_buffer_puts(&command, "leakhunt select --before ");
	lh_shell_word(&command, hunt->record_path);
	lh_buffer_puts(&command, " --after fixed.jsonl");
	begin_next(ret, "Check the fix");
	lh_buffer_puts(ret, "Under the same load, save a record of the mended program, then compare.</p>");
	if (command.data)
		lh_html_command(ret, command.data);
	lh_buffer_puts(ret, "</div></li>");
	ret->failed |= command.failed;
}

static void put_meanwhile_step(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char at[LH_HTML_NUMBER_MAX], gain[LH_HTML_NUMBER_MAX];
	const struct lh_hunt_heap *heap = &hunt->heaps[LH_HUNT_AFTER];
	enum { HOURS_TO_NAME = 20 };
	if (!hunt->has_forecast)
		return;
	lh_buffer_puts(ret, "<li><div><p><b>Until then</b> ");
	if (hunt->forecast.earliest_s < HOURS_TO_NAME * 3600.0)
		lh_buffer_printf(
			ret, "restart it before %.5s UTC.",
			lh_html_clock(lh_hunt_observed_ns(hunt) + (uint64_t)(hunt->forecast.earliest_s * 1e9), at));
	else
		lh_buffer_printf(ret, "restart it within %s.",
				 lh_html_duration((uint64_t)(hunt->forecast.earliest_s * 1e9), at));
	if (heap->is_known)
		lh_buffer_printf(ret, " A trim of the heap would give back %s.",
				 lh_html_bytes(heap->totals.returnable_bytes, gain));
	lh_buffer_puts(ret, "</p></div></li>");
}

static void put_next(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<h2 class=\"vh\">What to do next</h2><ol class=\"next\">");
	begin_next(ret, hunt->counterpart ? "Fix" : "Next");
	put_marked_advice(hunt->advice, ret);
	lh_buffer_puts(ret, ".");
	if (hunt->advice_source[0]) {
		lh_buffer_puts(ret, " <span class=\"mut\">");
		lh_html_text(ret, hunt->advice_source);
		lh_buffer_puts(ret, "</span>");
	}
	lh_buffer_puts(ret, "</p></div></li>");
	put_check_step(hunt, ret);
	put_meanwhile_step(hunt, ret);
	lh_buffer_puts(ret, "</ol>\n");
}

void lh_html_answer(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	put_top(hunt, ret);
	put_sentence(hunt, ret);
	put_confidences(hunt, ret);
	put_facts(hunt, ret);
	put_next(hunt, ret);
}
