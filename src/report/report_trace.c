/*
 * report_trace: call stacks that allocate what is not freed, as text. Input: a judged trace. Output: a sentence that
 * sums up, the stacks that leak, a table of all, and what is missing.
 */
#include "table.h"
#include "trace_frames.h"

#include <inttypes.h>
#include <string.h>

enum { STACKS_SHOWN = 3, FRAMES_SHOWN = 24, CALLERS_IN_TABLE = 4 };

static const struct lh_column site_columns[] = {
	{"LEAKS/S", LH_COLUMN_RIGHT}, {"LIVE", LH_COLUMN_RIGHT},   {"ALLOCATED", LH_COLUMN_RIGHT},
	{"SEEN", LH_COLUMN_RIGHT},    {"VERDICT", LH_COLUMN_LEFT}, {"CALLED BY", LH_COLUMN_REST},
};

static uint64_t round_positive(double value)
{
	return value > 0 ? (uint64_t)(value + 0.5) : 0;
}

static size_t count_leaking(const struct lh_trace *trace)
{
	size_t count = 0;
	while (count < trace->sites.count && trace->sites.items[count].estimate.verdict == LH_SITE_LEAKING)
		count++;
	return count;
}

/* ---------------------------------------------------------------- sentences */

static void put_site_verdict(const struct lh_site_estimate *estimate, struct lh_buffer *ret)
{
	char text[LH_FORMAT_MAX];
	switch (estimate->verdict) {
	case LH_SITE_LEAKING:
		lh_buffer_puts(ret, "leaking");
		break;
	case LH_SITE_FREES:
		lh_buffer_printf(ret, "frees after %s", lh_format_duration(estimate->median_life_ns, text));
		break;
	case LH_SITE_NOT_YET:
		if (estimate->live_sample_count)
			lh_buffer_printf(ret, "not yet freed, oldest %s",
					 lh_format_duration(estimate->oldest_live_ns, text));
		break;
	case LH_SITE_STOPPED:
		lh_buffer_puts(ret, "grew, then stopped");
		break;
	case LH_SITE_UNCERTAIN:
		lh_buffer_puts(ret, "frees not all seen");
		break;
	}
}

static const char *end_text(enum lh_trace_end end)
{
	switch (end) {
	case LH_TRACE_OVER_BUDGET:
		return "stopped early: the process now allocates more often than the budget allows (--budget)";
	case LH_TRACE_PROCESS_ENDED:
		return "stopped early: the process has ended, or runs another program";
	case LH_TRACE_MANY_SAMPLES:
		return "stopped early: no more samples are kept";
	default:
		return NULL;
	}
}

static void put_trace_summary(const struct lh_trace_report *report, struct lh_buffer *ret)
{
	const struct lh_trace *trace = report->trace;
	char duration[LH_FORMAT_MAX], samples[LH_FORMAT_MAX], mean[LH_FORMAT_MAX], rate[LH_FORMAT_MAX];
	double seconds = (double)trace->duration_ns / (double)LH_NS_PER_S;
	lh_buffer_escape(ret, report->command, strlen(report->command));
	lh_buffer_printf(ret, " (pid %d): %s allocations/s of %s's malloc, for %s; %s sampled, one per %s\n",
			 (int)report->pid,
			 lh_format_count(round_positive((double)trace->allocation_count / seconds), rate),
			 lh_allocator_name(trace->allocator), lh_format_duration(trace->duration_ns, duration),
			 lh_format_count(trace->sample_count, samples), lh_format_bytes(trace->mean_bytes, mean));
}

static void put_leak_sum(const struct lh_trace *trace, size_t leaking, struct lh_buffer *ret)
{
	char rate[LH_FORMAT_MAX], low[LH_FORMAT_MAX], high[LH_FORMAT_MAX], time[LH_FORMAT_MAX];
	double sum = 0;
	if (!leaking) {
		lh_buffer_printf(ret, "no leak found in %s\n", lh_format_duration(trace->duration_ns, time));
		return;
	}
	for (size_t i = 0; i < leaking; i++)
		sum += trace->sites.items[i].estimate.leak_bytes_per_s;
	lh_buffer_printf(ret, "leaking: %zu call stack%s, %s/s", leaking, leaking == 1 ? "" : "s",
			 lh_format_bytes(round_positive(sum), rate));
	if (leaking == 1) {
		const struct lh_site_estimate *estimate = &trace->sites.items[0].estimate;
		lh_buffer_printf(ret, " (95 %%: %s to %s)", lh_format_bytes(round_positive(estimate->leak_low), low),
				 lh_format_bytes(round_positive(estimate->leak_high), high));
	}
	lh_buffer_puts(ret, "\n");
}

/* With several leaking stacks: the function in which they part. */
static void put_common_frame(const struct lh_trace_report *report, size_t leaking, struct lh_buffer *ret)
{
	const uint64_t *common;
	size_t count = lh_trace_common_frames(report->trace, &common);
	if (leaking < 2 || !count)
		return;
	struct lh_named_frame frame = lh_trace_name_frame(report, common[0]);
	lh_buffer_puts(ret, "all of them pass through ");
	lh_trace_put_frame(&frame, ret);
	if (frame.name && frame.module) {
		lh_buffer_puts(ret, " (");
		lh_buffer_escape(ret, frame.module, strlen(frame.module));
		lh_buffer_puts(ret, ")");
	}
	lh_buffer_puts(ret, "\n");
}

static void put_leaking_stack(const struct lh_trace_report *report, const struct lh_trace_site *site,
			      struct lh_buffer *ret)
{
	const struct lh_site_estimate *estimate = &site->estimate;
	const uint64_t *frames = lh_trace_frames_of(report->trace, site);
	char rate[LH_FORMAT_MAX], low[LH_FORMAT_MAX], high[LH_FORMAT_MAX], live[LH_FORMAT_MAX], age[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "\n%s/s (95 %%: %s to %s), %s alive, oldest %s",
			 lh_format_bytes(round_positive(estimate->leak_bytes_per_s), rate),
			 lh_format_bytes(round_positive(estimate->leak_low), low),
			 lh_format_bytes(round_positive(estimate->leak_high), high),
			 lh_format_bytes(round_positive(estimate->live_bytes), live),
			 lh_format_duration(estimate->oldest_live_ns, age));
	if (estimate->death_sample_count)
		lh_buffer_printf(ret, "; frees come within %s\n", lh_format_duration(estimate->longest_life_ns, age));
	else
		lh_buffer_puts(ret, "; none was freed\n");
	for (size_t i = 0; i < lh_min_u64(site->frame_count, FRAMES_SHOWN); i++) {
		struct lh_named_frame frame = lh_trace_name_frame(report, frames[i]);
		lh_buffer_puts(ret, "  ");
		lh_trace_put_frame(&frame, ret);
		if (frame.name && frame.module) {
			lh_buffer_printf(ret, "+0x%" PRIx64 "  ", frame.offset);
			lh_buffer_escape(ret, frame.module, strlen(frame.module));
		}
		lh_buffer_puts(ret, "\n");
	}
	if (site->frame_count > FRAMES_SHOWN)
		lh_buffer_printf(ret, "  ... %zu more\n", site->frame_count - FRAMES_SHOWN);
	else if (!site->is_complete)
		lh_buffer_puts(ret, "  ... (cannot be unwound further)\n");
}

/* ---------------------------------------------------------------- table */

static void add_site_row(const struct lh_trace_report *report, const struct lh_trace_site *site, struct lh_table *table)
{
	const struct lh_site_estimate *estimate = &site->estimate;
	const uint64_t *frames = lh_trace_frames_of(report->trace, site);
	struct lh_buffer verdict LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer callers LH_CLEANUP(lh_buffer_deinit) = {0};
	bool is_leaking = estimate->verdict == LH_SITE_LEAKING;
	char count[LH_FORMAT_MAX];
	put_site_verdict(estimate, &verdict);
	size_t first = lh_trace_first_caller(report, site);
	for (size_t i = first; i < lh_min_u64(site->frame_count, first + CALLERS_IN_TABLE); i++) {
		struct lh_named_frame frame = lh_trace_name_frame(report, frames[i]);
		lh_buffer_puts(&callers, i > first ? " < " : "");
		lh_trace_put_frame(&frame, &callers);
	}
	lh_table_row(table, is_leaking ? LH_ROW_RED : LH_ROW_PLAIN);
	lh_table_cell_bytes(table, is_leaking ? round_positive(estimate->leak_bytes_per_s) : 0);
	lh_table_cell_bytes(table, round_positive(estimate->live_bytes));
	lh_table_cell_bytes(table, round_positive(estimate->allocated_bytes));
	lh_table_cell(table, "%s", lh_format_count(estimate->sample_count, count));
	lh_table_cell(table, "%s", verdict.data ? verdict.data : "");
	lh_table_cell(table, "%s", callers.data ? callers.data : "");
}

static void put_site_table(const struct lh_trace_report *report, struct lh_style style, struct lh_buffer *ret)
{
	struct lh_table table LH_CLEANUP(lh_table_deinit) = {0};
	size_t shown = lh_min_u64(report->top, report->trace->sites.count);
	if (!shown)
		return;
	lh_buffer_puts(ret, "\n");
	lh_table_init(&table, site_columns, LH_ARRAY_COUNT(site_columns));
	for (size_t i = 0; i < shown; i++)
		add_site_row(report, &report->trace->sites.items[i], &table);
	lh_table_render(&table, style, ret);
	if (shown < report->trace->sites.count)
		lh_buffer_printf(ret, "%zu more call stacks: --top N shows them\n", report->trace->sites.count - shown);
}

/* ---------------------------------------------------------------- what is missing, what it cost */

static void put_trace_loss(const struct lh_trace *trace, struct lh_buffer *ret)
{
	char count[LH_FORMAT_MAX];
	const char *end = end_text(trace->end);
	if (end)
		lh_buffer_printf(ret, "%s\n", end);
	if (trace->lost_death_count)
		lh_buffer_printf(ret, "nothing is called leaking: %s frees were lost\n",
				 lh_format_count(trace->lost_death_count, count));
	if (trace->unseen_death_count)
		lh_buffer_printf(ret, "%s sampled blocks were freed by functions without a probe\n",
				 lh_format_count(trace->unseen_death_count, count));
	if (trace->lost_sample_count)
		lh_buffer_printf(ret, "%s samples were lost: their stacks allocate more than it says here\n",
				 lh_format_count(trace->lost_sample_count, count));
	if (trace->incomplete_count)
		lh_buffer_printf(ret, "%s stacks are incomplete\n", lh_format_count(trace->incomplete_count, count));
}

static void put_trace_cost(const struct lh_trace *trace, struct lh_buffer *ret)
{
	lh_buffer_printf(
		ret,
		"cost: %.2f%% of a processor in the process (estimate), %.2f%% in leakhunt; budget %g%%; never "
		"stopped; probes removed%s\n",
		100 * trace->target_cost, 100 * trace->own_cost, 100 * trace->budget,
		trace->has_uprobes_page ? "; the kernel's [uprobes] page stays mapped" : "");
}

void lh_report_trace_text(const struct lh_trace_report *report, struct lh_style style, struct lh_buffer *ret)
{
	size_t leaking = count_leaking(report->trace);
	put_trace_summary(report, ret);
	put_leak_sum(report->trace, leaking, ret);
	put_common_frame(report, leaking, ret);
	for (size_t i = 0; i < lh_min_u64(leaking, STACKS_SHOWN); i++)
		put_leaking_stack(report, &report->trace->sites.items[i], ret);
	put_site_table(report, style, ret);
	lh_buffer_puts(ret, "\n");
	put_trace_loss(report->trace, ret);
	put_trace_cost(report->trace, ret);
}
