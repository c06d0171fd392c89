/*
 * report_strings: scan's summary as text, and as JSON of the schema leakhunt/strings/1: the head, and the blocks in
 * their order.
 *
 * The sentence at the top is composed of clauses in which blocks state shares and counts.
 */
#include "report_strings.h"
#include "usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct lh_strings_block *const blocks[] = {
	&lh_strings_classes,  &lh_strings_rest,    &lh_strings_map,     &lh_strings_examples, &lh_strings_templates,
	&lh_strings_repeated, &lh_strings_objects, &lh_strings_symbols, &lh_strings_problems,
};

/* ---------------------------------------------------------------- shared by the blocks */

uint64_t lh_nonzero_bytes(const struct lh_summary *summary)
{
	return summary->scanned_bytes - summary->zero_bytes;
}

void lh_write_styled(struct lh_style style, const char *code, const char *text, struct lh_buffer *ret)
{
	if (style.color)
		lh_buffer_printf(ret, "\033[%sm%s\033[0m", code, text);
	else
		lh_buffer_puts(ret, text);
}

void lh_write_heading(struct lh_style style, const char *text, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "\n");
	lh_write_styled(style, "1", text, ret);
	lh_buffer_puts(ret, "\n");
}

/* ---------------------------------------------------------------- the head */

struct lh_buffer *lh_clause_add(struct lh_clauses *clauses, double percent)
{
	struct lh_clause *clause = &clauses->items[lh_min_u64(clauses->count, LH_ARRAY_COUNT(clauses->items) - 1)];
	clauses->count = (size_t)(clause - clauses->items) + 1;
	clause->percent = percent;
	return &clause->text;
}

static void say_zeros(const struct lh_summary *summary, struct lh_clauses *ret)
{
	double share = lh_percent(summary->rest_bytes[LH_REST_ZERO], summary->scanned_bytes);
	if (share >= LH_MOST_PERCENT)
		lh_buffer_printf(lh_clause_add(ret, share), "%.0f %% is zeros", share);
}

/* The largest first; equal ones in the order of the blocks. */
static void sort_clauses(struct lh_clauses *clauses)
{
	for (size_t i = 1; i < clauses->count; i++) {
		struct lh_clause clause = clauses->items[i];
		size_t at = i;
		for (; at && clauses->items[at - 1].percent < clause.percent; at--)
			clauses->items[at] = clauses->items[at - 1];
		clauses->items[at] = clause;
	}
}

/* Says so if the sentence's shares have another base than the tables'. */
static void write_whole(const struct lh_summary *summary, struct lh_buffer *ret)
{
	enum { NOTABLE_PERCENT = 1 };
	char bytes[LH_FORMAT_MAX];
	if (ret->length && lh_percent(summary->zero_bytes, summary->scanned_bytes) >= NOTABLE_PERCENT)
		lh_buffer_printf(ret, " (other shares are of %s that are not in zero pages)",
				 lh_format_bytes(lh_nonzero_bytes(summary), bytes));
}

/* "" if nothing stands out. */
static void write_conclusion(const struct lh_summary *summary, struct lh_buffer *ret)
{
	struct lh_clauses clauses = {.count = 0};
	say_zeros(summary, &clauses);
	for (size_t i = 0; i < LH_ARRAY_COUNT(blocks); i++) {
		if (blocks[i]->conclude)
			blocks[i]->conclude(summary, &clauses);
	}
	sort_clauses(&clauses);
	for (size_t i = 0; i < clauses.count; i++) {
		struct lh_buffer *text = &clauses.items[i].text;
		if (text->length)
			lh_buffer_printf(ret, "%s%s", ret->length ? "; " : "", text->data);
		ret->failed |= text->failed;
		lh_buffer_deinit(text);
	}
	write_whole(summary, ret);
}

static void write_source(const struct lh_image *image, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer path LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_escape(&path, lh_image_path(image), strlen(lh_image_path(image)));
	lh_write_styled(style, "1", path.data ? path.data : "", ret);
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
			 lh_percent(summary->zero_bytes, summary->scanned_bytes),
			 lh_percent(summary->printable_bytes, summary->scanned_bytes),
			 lh_format_count(summary->run_count, runs), report->min_chars,
			 summary->is_sampled       ? "about "
			 : summary->uncounted_runs ? "at most "
						   : "",
			 lh_format_count(summary->distinct_count, distinct));
}

static void write_loss(const struct lh_image *image, struct lh_buffer *ret)
{
	struct lh_loss loss = lh_image_loss(image);
	char bytes[LH_FORMAT_MAX];
	if (!loss.count)
		return;
	lh_buffer_printf(ret, "incomplete: %s in %zu places could not be read (the first: ",
			 lh_format_bytes(loss.bytes, bytes), loss.count);
	lh_buffer_puts(ret, lh_gap_reason_name(loss.reason));
	lh_buffer_puts(ret, ")\n");
}

void lh_write_match_loss(const struct lh_summary *summary, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	if (summary->match_loss.count)
		lh_buffer_printf(ret, "incomplete: --match gave up on %s texts (the first: 0x%" PRIx64 ")\n",
				 lh_format_count(summary->match_loss.count, count), summary->match_loss.first_addr);
}

static void write_losses(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (report->summary->is_interrupted)
		lh_buffer_puts(&text, "incomplete: interrupted; the figures cover what was scanned until then\n");
	lh_write_match_loss(report->summary, &text);
	write_loss(report->image, &text);
	for (size_t i = 0; i < LH_ARRAY_COUNT(blocks); i++) {
		if (blocks[i]->warn)
			blocks[i]->warn(report, &text);
	}
	if (text.length)
		lh_write_styled(style, "33", text.data, ret);
}

static void write_head(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	write_source(report->image, style, ret);
	write_totals(report, ret);
	struct lh_buffer conclusion LH_CLEANUP(lh_buffer_deinit) = {0};
	write_conclusion(report->summary, &conclusion);
	if (conclusion.length) {
		lh_buffer_puts(ret, "in short: ");
		lh_write_styled(style, "1", conclusion.data, ret);
		lh_buffer_puts(ret, "\n");
	}
	write_losses(report, style, ret);
}

static void write_all_blocks(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	write_head(report, style, ret);
	for (size_t i = 0; i < LH_ARRAY_COUNT(blocks); i++) {
		if (blocks[i]->write_text)
			blocks[i]->write_text(report, style, ret);
	}
}

void lh_report_strings_text(const struct lh_strings_report *report, struct lh_style style, struct lh_buffer *ret)
{
	if (report->is_short) {
		write_source(report->image, style, ret);
		write_totals(report, ret);
		write_losses(report, style, ret);
		lh_write_ranking(report, style, ret);
	} else {
		write_all_blocks(report, style, ret);
	}
	char bytes[LH_FORMAT_MAX];
	if (lh_image_source(report->image) == LH_IMAGE_PROCESS)
		lh_buffer_printf(ret, "%sreceipt: read %s of %s, which was never stopped\n",
				 report->is_short ? "" : "\n", lh_format_bytes(report->summary->scanned_bytes, bytes),
				 lh_image_path(report->image));
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
						      json_string(lh_gap_reason_name(gaps[i].reason))));
	return list;
}

static json_t *summary_totals_json(const struct lh_strings_report *report)
{
	const struct lh_summary *summary = report->summary;
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "scanned_bytes",
			 lh_json_u64(summary->scanned_bytes), "zero_bytes", lh_json_u64(summary->zero_bytes),
			 "printable_bytes", lh_json_u64(summary->printable_bytes), "min_chars",
			 lh_json_u64(report->min_chars), "texts", lh_json_u64(summary->run_count), "distinct_texts",
			 lh_json_u64(summary->distinct_count), "uncounted_texts", lh_json_u64(summary->uncounted_runs),
			 "sampled", (int)summary->is_sampled, "given_up_texts", lh_json_u64(summary->match_loss.count));
}

static json_t *conclusion_json(const struct lh_summary *summary)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	write_conclusion(summary, &text);
	return text.failed ? NULL : json_stringn(text.data ? text.data : "", text.length);
}

void lh_report_strings_json(const struct lh_strings_report *report, struct lh_buffer *ret)
{
	bool is_complete = !lh_image_loss(report->image).count && !report->summary->is_interrupted &&
			   !report->summary->match_loss.count;
	json_t *json =
		json_pack("{s:s, s:b, s:b, s:o, s:o, s:o}", "schema", "leakhunt/strings/1", "complete", is_complete,
			  "interrupted", report->summary->is_interrupted, "source", source_json(report->image),
			  "totals", summary_totals_json(report), "conclusion", conclusion_json(report->summary));
	for (size_t i = 0; i < LH_ARRAY_COUNT(blocks); i++) {
		if (blocks[i]->make_json)
			json_object_set_new(json, blocks[i]->json_key, blocks[i]->make_json(report));
	}
	json_object_set_new(json, "gaps", gaps_json(report->image));
	if (lh_image_source(report->image) == LH_IMAGE_PROCESS)
		json_object_set_new(json, "receipt",
				    json_pack("{s:o, s:i}", "read_bytes", lh_json_u64(report->summary->scanned_bytes),
					      "pause_ns", 0));
	lh_report_append_json(json, ret);
}
