/*
 * html_receipts: what was not seen, what observing cost, and how to repeat it. Input: the steps and receipts of a hunt.
 */
#include "html.h"
#include "shell_word.h"

#include <string.h>

static void put_item(const char *text, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "<li>");
	lh_html_text(ret, text);
	lh_buffer_puts(ret, "</li>");
}

/* ---------------------------------------------------------------- what was not seen */

/* Consecutive steps with the same reason share a line. */
static void put_missed_steps(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const char *last = "";
	for (int i = 0; i < LH_HUNT_STEP_COUNT; i++) {
		const struct lh_hunt_step_result *step = &hunt->steps[i];
		if ((step->outcome == LH_HUNT_DONE && !step->reason[0]) || strcmp(step->reason, last) == 0)
			continue;
		last = step->reason;
		lh_buffer_printf(ret, "<li>Step “%s”: %s%s", lh_hunt_step_name((enum lh_hunt_step)i),
				 lh_hunt_outcome_name(step->outcome), step->reason[0] ? ": " : "");
		lh_html_text(ret, step->reason);
		lh_buffer_puts(ret, ".</li>");
	}
}

static void put_losses(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX];
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		const struct lh_receipt *receipt = &hunt->receipts[side];
		if (receipt->gap_bytes)
			lh_buffer_printf(ret, "<li>Dump %c lacks %s that could not be read.</li>", 'A' + side,
					 lh_html_bytes(receipt->gap_bytes, bytes));
		if (hunt->heaps[side].is_partial)
			lh_buffer_printf(
				ret,
				"<li>Dump %c: parts of a heap could not be followed; <code>leakhunt heap</code> "
				"says which.</li>",
				'A' + side);
	}
}

static void put_not_dumped(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_receipt *receipt =
		&hunt->receipts[hunt->has_receipt[LH_HUNT_AFTER] ? LH_HUNT_AFTER : LH_HUNT_BEFORE];
	char bytes[LH_HTML_NUMBER_MAX];
	const char *separator = "<li>Not dumped, since only what grows was asked for: ";
	bool is_begun = false;
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
		if (!receipt->left_out_bytes[kind])
			continue;
		lh_buffer_printf(ret, "%s%s of %s", is_begun ? ", " : separator,
				 lh_html_bytes(receipt->left_out_bytes[kind], bytes),
				 lh_region_kind_name((enum lh_region_kind)kind));
		is_begun = true;
	}
	if (is_begun)
		lh_buffer_puts(ret, ".</li>");
}

static void put_unknown(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char share[LH_HTML_NUMBER_MAX];
	if (hunt->is_comparison && hunt->compared_bytes > 0 && hunt->explained < 0.995)
		lh_buffer_printf(ret, "<li>%s of the growth between the dumps has no type and no text.</li>",
				 lh_html_percent(100 * (1 - hunt->explained), share));
	if (!hunt->reach.is_known)
		put_item("What holds the objects that grew is not known.", ret);
}

/* ---------------------------------------------------------------- receipts */

static void put_reading_row(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_sampling_receipt *receipt = &hunt->selection.receipt;
	char count[LH_HTML_NUMBER_MAX], at[LH_HTML_NUMBER_MAX], took[LH_HTML_NUMBER_MAX], call[LH_HTML_NUMBER_MAX];
	if (!hunt->has_selection)
		return;
	lh_buffer_printf(ret,
			 "<tr><th scope=\"row\">%s samples</th><td>%s</td><td>%s</td><td>0 ms</td><td>–</td><td "
			 "class=\"l\">nothing; longest call %s</td></tr>\n",
			 lh_html_count(hunt->selection.sample_count, count),
			 lh_html_clock(hunt->selection.start_ns, at), lh_html_duration(receipt->reading_ns, took),
			 lh_html_duration(receipt->longest_call_ns, call));
}

static void put_dump_row(const struct lh_hunt *hunt, enum lh_hunt_side side, struct lh_buffer *ret)
{
	const struct lh_receipt *receipt = &hunt->receipts[side];
	char at[LH_HTML_NUMBER_MAX], took[LH_HTML_NUMBER_MAX], pause[LH_HTML_NUMBER_MAX], copied[LH_HTML_NUMBER_MAX],
		delta[LH_HTML_NUMBER_MAX];
	if (!hunt->has_receipt[side])
		return;
	lh_buffer_printf(
		ret,
		"<tr><th scope=\"row\">Dump %c <span class=\"mut\">%s</span></th><td>%s</td><td>%s</td><td>%s</td>"
		"<td>%s</td><td class=\"l\">%s in memory",
		'A' + (int)side, lh_dump_mode_name(receipt->mode), lh_html_clock(receipt->time_ns, at),
		lh_html_duration(receipt->elapsed_ns, took), lh_html_duration(receipt->pause_ns, pause),
		lh_html_bytes(receipt->copied_bytes, copied),
		lh_html_signed_bytes(receipt->resident_delta_bytes, delta));
	if (receipt->injected) {
		lh_buffer_puts(ret, "; ");
		lh_html_text(ret, receipt->injected);
	}
	if (receipt->mended_count)
		lh_buffer_printf(ret, "; %zu interrupted system call%s mended", receipt->mended_count,
				 receipt->mended_count == 1 ? "" : "s");
	lh_buffer_puts(ret, "</td></tr>\n");
}

static void put_receipt_table(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	if (!hunt->has_selection && !hunt->has_receipt[LH_HUNT_BEFORE])
		return;
	lh_buffer_puts(ret, "<h3>Receipts</h3>");
	lh_html_begin_table(ret, "receipt-t", "What leakhunt did to the process", "");
	lh_buffer_puts(ret, "<th scope=\"col\">Step</th><th scope=\"col\">At, UTC</th><th scope=\"col\">Took</th><th "
			    "scope=\"col\">Target stood still</th><th scope=\"col\">Copied</th><th scope=\"col\" "
			    "class=\"l\">Left in the target</th></tr></thead><tbody>\n");
	put_reading_row(hunt, ret);
	put_dump_row(hunt, LH_HUNT_BEFORE, ret);
	put_dump_row(hunt, LH_HUNT_AFTER, ret);
	lh_html_end_table(ret);
}

/* ---------------------------------------------------------------- versions, repeating */

static void put_fact_row(const char *name, const char *value, struct lh_buffer *ret)
{
	if (!*value)
		return;
	lh_buffer_printf(ret, "<dt>%s</dt><dd><bdi>", name);
	lh_html_text(ret, value);
	lh_buffer_puts(ret, "</bdi></dd>");
}

static void put_repeat(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!hunt->keeps_dumps || !hunt->dump_paths[LH_HUNT_AFTER])
		return;
	lh_buffer_puts(&command, "leakhunt hunt");
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		if (!hunt->dump_paths[side])
			continue;
		lh_buffer_puts(&command, " ");
		lh_shell_word(&command, hunt->dump_paths[side]);
	}
	if (hunt->record_path) {
		lh_buffer_puts(&command, " --record ");
		lh_shell_word(&command, hunt->record_path);
	}
	lh_buffer_puts(ret, "<h3>Repeat it</h3>");
	if (command.data)
		lh_html_command(ret, command.data);
	ret->failed |= command.failed;
}

static void put_facts_list(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX];
	lh_buffer_puts(ret, "<details><summary>Files and versions</summary><dl class=\"kv\">");
	put_fact_row("Format", "leakhunt/hunt/1", ret);
	put_fact_row("Kernel", hunt->kernel, ret);
	put_fact_row("Allocators", hunt->heaps[LH_HUNT_BEFORE].allocators, ret);
	put_fact_row("Record", hunt->record_path ? hunt->record_path : "", ret);
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		if (hunt->keeps_dumps && hunt->dump_paths[side])
			put_fact_row(side == LH_HUNT_BEFORE ? "Dump A" : "Dump B", hunt->dump_paths[side], ret);
	}
	if (hunt->disk_bytes)
		put_fact_row("On disk", lh_html_bytes(hunt->disk_bytes, bytes), ret);
	lh_buffer_puts(ret, "</dl></details>");
}

static bool has_receipts(const struct lh_hunt *hunt)
{
	(void)hunt;
	return true;
}

static void write_receipts(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	lh_html_begin_section(ret, "receipts", "What was not seen");
	lh_buffer_puts(ret, "<ul class=\"plain\">");
	put_missed_steps(hunt, ret);
	put_losses(hunt, ret);
	put_not_dumped(hunt, ret);
	put_unknown(hunt, ret);
	lh_buffer_puts(ret, "</ul>\n");
	put_receipt_table(hunt, ret);
	put_repeat(hunt, ret);
	put_facts_list(hunt, ret);
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_receipts = {
	.id = "receipts", .title = "Not seen, receipts", .has = has_receipts, .write = write_receipts};
