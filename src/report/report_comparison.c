/*
 * report_comparison: two runs of one service, before and after a fix, as text or JSON. It judges nothing: the answer
 * comes from select.
 */
#include "leakhunt/json.h"
#include "leakhunt/report.h"
#include "usage.h"

static void text_watch(const char *name, const struct lh_selection *selection, double bytes_per_hour,
		       struct lh_buffer *ret)
{
	char span[LH_FORMAT_MAX], rate[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%-8s %s/h in %s, %zu samples: %s (%s)\n", name,
			 lh_format_signed_bytes((int64_t)bytes_per_hour, rate),
			 lh_format_duration(selection->span_ns, span), selection->sample_count,
			 lh_verdict_name(selection->total.verdict), selection->total.reason);
}

void lh_report_comparison_text(const struct lh_comparison_report *report, struct lh_buffer *ret)
{
	const struct lh_comparison *comparison = report->comparison;
	text_watch("before", report->before, comparison->before_bytes_per_hour, ret);
	text_watch("after", report->after, comparison->after_bytes_per_hour, ret);
	lh_buffer_printf(ret, "growth   %s: %s\n", lh_change_name(comparison->change), comparison->reason);
}

static json_t *json_watch(const struct lh_selection *selection)
{
	return json_pack("{s:I, s:o, s:s, s:o}", "samples", (json_int_t)selection->sample_count, "span_ns",
			 lh_json_u64(selection->span_ns), "verdict", lh_verdict_name(selection->total.verdict),
			 "reason", lh_json_string(selection->total.reason));
}

void lh_report_comparison_json(const struct lh_comparison_report *report, struct lh_buffer *ret)
{
	const struct lh_comparison *comparison = report->comparison;
	json_t *object = json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o}", "schema",
				   "leakhunt/comparison/1", "change", lh_change_name(comparison->change), "confidence",
				   comparison->confidence, "before_bytes_per_hour", comparison->before_bytes_per_hour,
				   "after_bytes_per_hour", comparison->after_bytes_per_hour,
				   "difference_low_bytes_per_hour", comparison->difference_low_bytes_per_hour,
				   "difference_high_bytes_per_hour", comparison->difference_high_bytes_per_hour,
				   "resolution_bytes_per_hour", comparison->resolution_bytes_per_hour, "watch_more_ns",
				   lh_json_u64(comparison->watch_more_ns), "reason", lh_json_string(comparison->reason),
				   "before", json_watch(report->before), "after", json_watch(report->after));
	lh_report_append_json(object, ret);
}
