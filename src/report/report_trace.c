/*
 * report_trace: call stacks that allocate what is never freed, as text. Input: a judged trace. Output: a summary, the
 * leaking stacks, a table of all stacks, and what is missing.
 */
#include "table.h"
#include "trace_frames.h"

#include <inttypes.h>
#include <string.h>

enum { STACKS_SHOWN = 3, FRAMES_SHOWN = 24, CALLERS_IN_TABLE = 4, LONGER_FACTOR = 4 };

#define UNSEEN_PART_SHOWN 0.1

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

/* ---------------------------------------------------------------- memory that is not malloc's */

bool lh_report_trace_unseen(const char *command, const struct lh_trace_memory *memory, enum lh_allocator allocator,
			    struct lh_buffer *ret)
{
	static const char *const owners[LH_REGION_KIND_COUNT] = {
		[LH_REGION_PYMALLOC] = "pymalloc",
		[LH_REGION_V8] = "V8",
		[LH_REGION_GO] = "Go runtime",
		[LH_REGION_JVM] = "Java heap",
		[LH_REGION_ZEND] = "Zend memory manager",
		[LH_REGION_JEMALLOC] = "second malloc (jemalloc)",
		[LH_REGION_TCMALLOC] = "second malloc (tcmalloc)",
		[LH_REGION_GOOGLE_TCMALLOC] = "second malloc (Google tcmalloc)",
		[LH_REGION_MIMALLOC] = "second malloc (mimalloc)",
		[LH_REGION_RPMALLOC] = "second malloc (rpmalloc)",
		[LH_REGION_MUSL] = "second malloc (musl)",
		[LH_REGION_HEAP] = "second malloc (glibc)",
		[LH_REGION_ARENA] = "second malloc (glibc)",
		[LH_REGION_MMAP_CHUNK] = "second malloc (glibc)",
	};
	enum lh_region_kind kind = lh_trace_memory_unseen_kind(memory, allocator);
	double unseen = lh_trace_memory_unseen_part(memory, allocator);
	if (unseen < UNSEEN_PART_SHOWN || kind == LH_REGION_KIND_COUNT)
		return false;
	if (!owners[kind]) {
		lh_buffer_printf(ret, "%.0f %% of its memory is mapped without malloc", 100 * unseen);
		return true;
	}
	lh_buffer_escape(ret, command, strlen(command));
	lh_buffer_printf(ret, "'s %s hands out %.0f %% of its memory without malloc", owners[kind],
			 100 * (double)memory->kind_bytes[kind] / (double)memory->total_bytes);
	return true;
}

static void put_unseen_memory(const struct lh_trace_report *report, struct lh_buffer *ret)
{
	const struct lh_trace *trace = report->trace;
	const struct lh_trace_memory *memory = &trace->memory;
	char grown[LH_FORMAT_MAX];
	if (!lh_report_trace_unseen(report->command, memory, trace->allocator, ret))
		return;
	lh_buffer_puts(ret, ": this trace does not see it");
	if (trace->grown_bytes != INT64_MAX)
		lh_buffer_printf(ret, "; all memory together changed by %s meanwhile",
				 lh_format_signed_bytes(trace->grown_bytes, grown));
	lh_buffer_printf(ret, "\n  `leakhunt hunt %d` names what grows there by its type\n", (int)report->pid);
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
	case LH_SITE_RATE_ONLY:
		if (estimate->death_sample_count)
			lh_buffer_printf(ret, "%.0f %% freed within %s",
					 100 * (double)estimate->death_sample_count / (double)estimate->sample_count,
					 lh_format_duration(estimate->longest_life_ns, text));
		break;
	case LH_SITE_BYPRODUCT:
		lh_buffer_puts(ret, "under 1 % of the growth");
		break;
	case LH_SITE_REPLACES:
		lh_buffer_puts(ret, "outlives the trace, no growth");
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
	bool is_in_bursts = trace->method == LH_TRACE_BURSTS && trace->probed_ns;
	uint64_t seen_ns = is_in_bursts ? trace->probed_ns : lh_max_u64(trace->duration_ns, LH_TRACE_TIME_MIN_NS);
	double seconds = (double)seen_ns / (double)LH_NS_PER_S;
	lh_buffer_escape(ret, report->command, strlen(report->command));
	lh_buffer_printf(ret, " (pid %d): %s allocations/s of %s's malloc, for %s; %s sampled, one per %s\n",
			 (int)report->pid,
			 lh_format_count(round_positive((double)trace->allocation_count / seconds), rate),
			 lh_allocator_name(trace->allocator), lh_format_duration(trace->duration_ns, duration),
			 lh_format_count(trace->sample_count, samples), lh_format_bytes(trace->mean_bytes, mean));
}

/* What a longer trace would decide. */
static void put_undecided(const struct lh_trace *trace, struct lh_buffer *ret)
{
	char live[LH_FORMAT_MAX];
	size_t count = 0;
	double live_bytes = 0;
	for (size_t i = 0; i < trace->sites.count; i++) {
		const struct lh_site_estimate *estimate = &trace->sites.items[i].estimate;
		if (estimate->verdict != LH_SITE_NOT_YET || !estimate->live_sample_count)
			continue;
		count++;
		live_bytes += estimate->live_bytes;
	}
	if (count)
		lh_buffer_printf(ret, "; too short for %zu call stack%s with %s not yet freed (--for %" PRIu64 "s)",
				 count, count == 1 ? "" : "s", lh_format_bytes(round_positive(live_bytes), live),
				 LONGER_FACTOR * (trace->duration_ns / LH_NS_PER_S + 1));
	lh_buffer_puts(ret, "\n");
}

static void put_leak_sum(const struct lh_trace *trace, size_t leaking, struct lh_buffer *ret)
{
	char rate[LH_FORMAT_MAX], low[LH_FORMAT_MAX], high[LH_FORMAT_MAX], time[LH_FORMAT_MAX];
	double sum = 0;
	if (trace->method == LH_TRACE_BURSTS) {
		lh_buffer_printf(
			ret,
			"watched in bursts, %s together: what allocates, and what is freed at once; no "
			"verdict on leaks\na busy process is slower while probes are in: it allocates more without "
			"them\n",
			lh_format_duration(trace->probed_ns, time));
		return;
	}
	if (!leaking && trace->duration_ns < LH_TRACE_TIME_MIN_NS) {
		lh_buffer_puts(ret, "ended too early to tell anything\n");
		return;
	}
	if (!leaking) {
		lh_buffer_printf(
			ret, "no leak found in %s%s",
			lh_trace_sees_most(trace) ? "" : "the smaller part of its memory, which malloc hands out, in ",
			lh_format_duration(trace->duration_ns, time));
		put_undecided(trace, ret);
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

/* If several stacks leak: the function that they have in common. */
static void put_common_frame(const struct lh_trace_report *report, size_t leaking, struct lh_buffer *ret)
{
	const uint64_t *common;
	size_t count = lh_trace_common_frames(report->trace, &common);
	if (leaking < 2 || !count)
		return;
	struct lh_named_frame frame = lh_trace_name_frame(report->symbols, common[0]);
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
		struct lh_named_frame frame = lh_trace_name_frame(report->symbols, frames[i]);
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
	lh_trace_put_callers(report->symbols, frames + first, lh_min_u64(site->frame_count - first, CALLERS_IN_TABLE),
			     &callers);
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
	put_unseen_memory(report, ret);
	put_common_frame(report, leaking, ret);
	for (size_t i = 0; i < lh_min_u64(leaking, STACKS_SHOWN); i++)
		put_leaking_stack(report, &report->trace->sites.items[i], ret);
	put_site_table(report, style, ret);
	lh_buffer_puts(ret, "\n");
	put_trace_loss(report->trace, ret);
	put_trace_cost(report->trace, ret);
}
