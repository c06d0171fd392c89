/*
 * report_samples: call stacks of the blocks that an allocator has sampled itself, as text or JSON. Input: what heap
 * found. Output: a table, and the member "samples" of leakhunt/heap/1.
 */
#include "report_samples.h"
#include "table.h"
#include "trace_frames.h"

#include <string.h>

enum { SAMPLE_CALLERS_SHOWN = 5 };

/* When a block was allocated, as seen from the report. */
struct sample_age {
	uint64_t ns;
	bool is_exact; /* otherwise: at least so old, by the newest sample of all */
};

/* Samples with prof_time_resolution:high are of another clock: later than now. */
static struct sample_age age_of_oldest(const struct lh_heap_report *report, const struct lh_sampled_stack *stack)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(report->heap);
	uint64_t instant_ns = samples->has_wall_clock ? report->realtime_ns : report->monotonic_ns;
	bool is_exact = instant_ns >= samples->newest_ns;
	uint64_t now_ns = is_exact ? instant_ns : samples->newest_ns;
	return (struct sample_age){now_ns - stack->oldest_ns, is_exact};
}

/* ---------------------------------------------------------------- text */

static const struct lh_column sample_columns[] = {
	{"BYTES", LH_COLUMN_RIGHT}, {"BLOCKS", LH_COLUMN_RIGHT}, {"SAMPLED", LH_COLUMN_RIGHT},
	{"EACH", LH_COLUMN_RIGHT},  {"OLDEST", LH_COLUMN_RIGHT}, {"ALLOCATED BY", LH_COLUMN_REST},
};

/* jemalloc may be linked into the program, with a prefix: "_rjem_je_prof_backtrace". */
static bool is_of_allocator(const struct lh_named_frame *frame)
{
	static const char *const names[] = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"};
	bool is_own = (frame->module && strstr(frame->module, "jemalloc")) ||
		      (frame->name && strstr(frame->name, "tcmalloc")) ||
		      (frame->name && (strstr(frame->name, "je_") || strncmp(frame->name, "prof_", 5) == 0)) ||
		      lh_frame_is_operator(frame);
	for (size_t i = 0; frame->name && i < LH_ARRAY_COUNT(names); i++)
		is_own |= strcmp(frame->name, names[i]) == 0;
	return is_own;
}

static void put_sampled_callers(struct lh_symbols *symbols, const uint64_t *frames, size_t count, struct lh_buffer *ret)
{
	size_t first = 0;
	while (first < count) {
		struct lh_named_frame frame = lh_trace_name_frame(symbols, frames[first]);
		if (!is_of_allocator(&frame))
			break;
		first++;
	}
	lh_trace_put_callers(symbols, frames + first, lh_min_u64(count - first, SAMPLE_CALLERS_SHOWN), ret);
}

/* Counters of a damaged dump can be of any size. */
static uint64_t round_estimate(double value)
{
	return value < (double)INT64_MAX ? (uint64_t)(value + 0.5) : INT64_MAX;
}

static void add_sample_row(const struct lh_heap_report *report, const struct lh_sampled_stack *stack,
			   struct lh_table *table)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(report->heap);
	struct lh_buffer callers LH_CLEANUP(lh_buffer_deinit) = {0};
	struct sample_age age = age_of_oldest(report, stack);
	char text[LH_FORMAT_MAX];
	put_sampled_callers(report->symbols, &samples->frames.items[stack->first_frame], stack->frame_count, &callers);
	lh_table_row(table, LH_ROW_PLAIN);
	lh_table_cell_bytes(table, round_estimate(stack->estimated_bytes));
	lh_table_cell(table, "%s", lh_format_count(round_estimate(stack->estimated_count), text));
	lh_table_cell(table, "%s", lh_format_count(stack->sample_count, text));
	lh_table_cell_bytes(table, stack->requested_bytes / stack->sample_count);
	lh_table_cell(table, "%s%s", age.is_exact ? "" : "> ", lh_format_duration(age.ns, text));
	lh_table_cell(table, "%s", callers.data ? callers.data : "");
	table->failed |= callers.failed;
}

static void put_sample_doubts(const struct lh_allocation_samples *samples, struct lh_buffer *ret)
{
	size_t torn_count = 0;
	char count[LH_FORMAT_MAX];
	for (size_t i = 0; i < samples->stacks.count; i++)
		torn_count += !samples->stacks.items[i].is_consistent;
	if (torn_count)
		lh_buffer_printf(ret, "%zu of %zu call stacks: the counters and the sampled blocks differ\n",
				 torn_count, samples->stacks.count);
	if (samples->rejected_count)
		lh_buffer_printf(ret, "%s sampled blocks without a valid call stack are not shown\n",
				 lh_format_count(samples->rejected_count, count));
}

static void put_sample_table(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(report->heap);
	struct lh_table table LH_CLEANUP(lh_table_deinit) = {0};
	size_t shown = lh_min_u64(report->top, samples->stacks.count);
	lh_table_init(&table, sample_columns, LH_ARRAY_COUNT(sample_columns));
	for (size_t i = 0; i < shown; i++)
		add_sample_row(report, &samples->stacks.items[i], &table);
	lh_table_render(&table, style, ret);
	if (samples->stacks.count > shown)
		lh_buffer_printf(ret, "%zu more call stacks: --top N\n", samples->stacks.count - shown);
}

void lh_report_samples_text(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(report->heap);
	char count[LH_FORMAT_MAX];
	if (!samples->allocator)
		return;
	lh_buffer_printf(ret, "%s has sampled %s of these blocks itself; BYTES and BLOCKS are its estimates for all\n",
			 samples->allocator, lh_format_count(samples->sample_count, count));
	put_sample_table(report, style, ret);
	put_sample_doubts(samples, ret);
	lh_buffer_puts(ret, "\n");
}

/* ---------------------------------------------------------------- JSON */

static json_t *sampled_stack_json(const struct lh_heap_report *report, const struct lh_sampled_stack *stack)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(report->heap);
	struct sample_age age = age_of_oldest(report, stack);
	return json_pack(
		"{s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o}", "estimated_bytes", stack->estimated_bytes,
		"estimated_blocks", stack->estimated_count, "sampled_blocks", lh_json_u64(stack->sample_count),
		"sampled_bytes", lh_json_u64(stack->sample_bytes), "requested_bytes",
		lh_json_u64(stack->requested_bytes), "oldest_time_ns", lh_json_u64(stack->oldest_ns), "oldest_age_ns",
		lh_json_u64(age.ns), "age_exact", (int)age.is_exact, "consistent", (int)stack->is_consistent, "frames",
		lh_frames_json(report->symbols, &samples->frames.items[stack->first_frame], stack->frame_count));
}

json_t *lh_report_samples_json(const struct lh_heap_report *report)
{
	const struct lh_allocation_samples *samples = lh_heap_allocation_samples(report->heap);
	if (!samples->allocator)
		return json_null();
	json_t *stacks = json_array();
	for (size_t i = 0; stacks && i < samples->stacks.count; i++) {
		if (json_array_append_new(stacks, sampled_stack_json(report, &samples->stacks.items[i]))) {
			json_decref(stacks);
			stacks = NULL;
		}
	}
	return json_pack("{s:s, s:o, s:o, s:o}", "allocator", samples->allocator, "sampled_blocks",
			 lh_json_u64(samples->sample_count), "rejected_blocks", lh_json_u64(samples->rejected_count),
			 "stacks", stacks);
}
