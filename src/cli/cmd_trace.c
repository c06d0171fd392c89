/*
 * cmd_trace: `leakhunt trace PID`: watches the allocator of a process for a while, and prints which code allocates what
 * is never freed.
 */
#include "command.h"
#include "confinement.h"
#include "leakhunt/confine.h"
#include "leakhunt/heap.h"
#include "leakhunt/symbols.h"
#include "leakhunt/trace.h"
#include "manual.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DURATION_DEFAULT_NS (60 * LH_NS_PER_S)
#define DURATION_MIN_NS     LH_TRACE_TIME_MIN_NS
#define DURATION_MAX_NS     (86400 * LH_NS_PER_S)
#define BUDGET_DEFAULT      1.0
#define BUDGET_MOST         400.0
#define FOLDED_WORDS        "leak live allocated"

enum { TRACE_TOP_DEFAULT = 20, TRACE_TOP_MOST = 1000000 };

struct trace_answer {
	struct lh_process *process;
	struct lh_tracer *tracer;
	struct lh_image *image;
	struct lh_symbols *symbols;
	struct lh_trace trace;
};

static void trace_answer_deinit(struct trace_answer *answer)
{
	lh_trace_deinit(&answer->trace);
	lh_cleanup_tracer(&answer->tracer);
	lh_symbols_close(answer->symbols);
	lh_cleanup_image(&answer->image);
	lh_process_close(answer->process);
}

static struct lh_error *parse_budget(const struct lh_arguments *arguments, double *ret)
{
	const char *text = lh_arguments_value(arguments, "budget");
	char *end = NULL;
	double percent = text ? strtod(text, &end) : BUDGET_DEFAULT;
	bool is_number = !text || (end != text && (*end == '\0' || strcmp(end, "%") == 0));
	if (!is_number || !(percent > 0) || percent > BUDGET_MOST)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE,
						     "--budget %s is not a percentage of one "
						     "processor",
						     text),
				     "give percent of one processor, such as 1%% or 0.5%%");
	*ret = percent / 100;
	return NULL;
}

static struct lh_error *parse_trace_duration(const struct lh_arguments *arguments, uint64_t *ret_ns)
{
	*ret_ns = DURATION_DEFAULT_NS;
	LH_TRY(lh_arguments_duration(arguments, "for", ret_ns));
	if (*ret_ns < DURATION_MIN_NS || *ret_ns > DURATION_MAX_NS)
		return lh_error_create(LH_ERROR_USAGE, "--for takes 1s to 24h");
	return NULL;
}

static struct lh_error *parse_folded(const struct lh_arguments *arguments, enum lh_folded_weight *ret)
{
	const char *word = lh_arguments_value(arguments, "folded");
	*ret = LH_FOLDED_LEAK;
	if (word && strcmp(word, "live") == 0)
		*ret = LH_FOLDED_LIVE;
	else if (word && strcmp(word, "allocated") == 0)
		*ret = LH_FOLDED_ALLOCATED;
	if ((word != NULL) + lh_arguments_has(arguments, "json") + lh_arguments_has(arguments, "pprof") > 1)
		return lh_error_create(LH_ERROR_USAGE, "--json, --folded and --pprof exclude each other");
	if (lh_arguments_has(arguments, "pprof") && isatty(STDOUT_FILENO))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--pprof writes compressed bytes to a terminal"),
				     "redirect it: leakhunt trace --pprof PID > leak.pb.gz");
	return NULL;
}

static void announce_cost(const struct lh_process *process, const struct lh_trace_forecast *forecast, double budget)
{
	char count[LH_FORMAT_MAX], mean[LH_FORMAT_MAX];
	fprintf(stderr, "leakhunt: trace: pid %d: %s allocations/s (%s): ", (int)lh_process_pid(process),
		lh_format_count((uint64_t)forecast->allocations_per_s, count), lh_allocator_name(forecast->allocator));
	if (forecast->method == LH_TRACE_BURSTS) /* the hint: half more than needed now, since rates vary */
		fprintf(stderr,
			"probes would take %.1f%% of a processor, more than --budget %g%%; watching in bursts: rates, "
			"no "
			"verdict on leaks; hint: --budget %.0f%% finds leaks\n",
			100 * forecast->needed, 100 * budget, ceil(150 * forecast->needed));
	else
		fprintf(stderr, "tracing takes about %.2f%% of a processor, budget %g%%; one sample per %s\n",
			100 * forecast->cost, 100 * budget, lh_format_bytes(forecast->mean_bytes, mean));
}

/* The line of progress, and whose samples it counts. */
struct trace_screen {
	struct lh_progress_line line;
	const struct lh_tracer *tracer;
};

static bool show_trace_progress(void *context, uint64_t done_ns, uint64_t total_ns)
{
	struct trace_screen *screen = context;
	char left[LH_FORMAT_MAX], count[LH_FORMAT_MAX];
	lh_progress_text(&screen->line, "tracing: %s samples, %s left, Ctrl-C ends it with a result",
			 lh_format_count(lh_tracer_sample_count(screen->tracer), count),
			 lh_format_duration(total_ns - lh_min_u64(done_ns, total_ns), left));
	return !lh_interrupt_requested();
}

/* From here on files of the process are parsed, and no probe is set up any more. */
static struct lh_error *confine_to_reading(const struct trace_answer *answer)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	LH_TRY(lh_confinement_add_process(&confinement, answer->process));
	LH_TRY(lh_confinement_add_symbols(&confinement, lh_image_root(answer->image)));
	lh_confinement_apply(&confinement);
	return NULL;
}

/* Finds out whose memory the process has. If it has ended, nothing is known. */
static void weigh_memory(const struct lh_process *process, struct lh_trace_memory *ret)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_error *error = lh_regions_read_owned(process, LH_REGIONS_SMAPS, &list);
	if (!error)
		lh_trace_memory_weigh(&list, ret);
	lh_error_destroy(error);
}

/*
 * If the program's runtime does not use malloc: says whose memory it is, instead of which function names were not
 * found.
 */
static struct lh_error *explain_refusal(struct lh_error *error, const struct lh_process *process,
					enum lh_allocator allocator)
{
	struct lh_trace_memory memory = {0};
	struct lh_buffer why LH_CLEANUP(lh_buffer_deinit) = {0};
	int pid = (int)lh_process_pid(process);
	if (!error || lh_error_code(error) != LH_ERROR_UNSUPPORTED || allocator != LH_ALLOCATOR_UNKNOWN)
		return error;
	weigh_memory(process, &memory);
	bool is_runtime = lh_report_trace_unseen(lh_process_command(process), &memory, LH_ALLOCATOR_GLIBC, &why);
	if (!is_runtime || lh_buffer_status(&why) != NULL)
		return error;
	lh_error_destroy(error);
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "process %d: %s", pid, why.data),
			     "`leakhunt hunt %d` names what grows there by its type", pid);
}

/* Bursts set probes again and again, which needs all rights; their stacks are unwound without. */
static struct lh_error *follow_confined(struct trace_answer *answer, const struct lh_trace_follow *follow,
					enum lh_trace_method method)
{
	if (method == LH_TRACE_BURSTS)
		LH_TRY(lh_tracer_collect(answer->tracer, follow));
	LH_TRY(confine_to_reading(answer));
	LH_TRY(lh_symbols_open(answer->image, NULL, &answer->symbols));
	return lh_tracer_follow(answer->tracer, follow, &answer->trace);
}

static struct lh_error *trace_process(struct trace_answer *answer, double budget, uint64_t duration_ns)
{
	struct lh_trace_forecast forecast = {0};
	struct lh_trace_memory memory = {0};
	struct trace_screen screen;
	LH_TRY(lh_process_pin(answer->process));
	LH_TRY(lh_image_open_process(answer->process, &answer->image));
	lh_interrupt_install();
	LH_TRY(explain_refusal(lh_tracer_start(answer->process, answer->image, budget, lh_interrupt_requested,
					       &forecast, &answer->tracer),
			       answer->process, forecast.allocator));
	announce_cost(answer->process, &forecast, budget);
	weigh_memory(answer->process, &memory);
	screen.tracer = answer->tracer;
	lh_progress_begin(&screen.line);
	struct lh_trace_follow follow = {
		.image = answer->image,
		.duration_ns = duration_ns,
		.progress = show_trace_progress,
		.progress_context = &screen,
	};
	struct lh_error *error = follow_confined(answer, &follow, forecast.method);
	lh_progress_end(&screen.line);
	answer->trace.memory = memory;
	return error;
}

static struct lh_error *print_trace(const struct lh_arguments *arguments, const struct lh_trace_report *report,
				    enum lh_folded_weight weight)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (lh_arguments_has(arguments, "json"))
		lh_report_trace_json(report, &text);
	else if (lh_arguments_has(arguments, "pprof"))
		LH_TRY(lh_report_trace_pprof(report, &text));
	else if (lh_arguments_has(arguments, "folded"))
		lh_report_trace_folded(report, weight, &text);
	else
		lh_report_trace_text(report, lh_terminal_style(), &text);
	LH_TRY(lh_buffer_status(&text));
	return text.length ? lh_print(&text) : NULL;
}

static int status_of_trace(const struct lh_trace *trace)
{
	if (trace->sites.count && trace->sites.items[0].estimate.verdict == LH_SITE_LEAKING)
		return LH_EXIT_LOST;
	return lh_trace_is_complete(trace) ? LH_EXIT_COMPLETE : LH_EXIT_PARTIAL;
}

static struct lh_error *run_trace(const struct lh_arguments *arguments, int *ret_status)
{
	struct trace_answer answer LH_CLEANUP(trace_answer_deinit) = {0};
	uint64_t top = TRACE_TOP_DEFAULT, duration_ns = 0;
	enum lh_folded_weight weight = LH_FOLDED_LEAK;
	double budget = 0;
	LH_TRY(parse_budget(arguments, &budget));
	LH_TRY(parse_trace_duration(arguments, &duration_ns));
	LH_TRY(parse_folded(arguments, &weight));
	LH_TRY(lh_arguments_u64(arguments, "top", 1, TRACE_TOP_MOST, &top));
	LH_TRY(lh_operand_process(lh_arguments_operand(arguments, 0), &answer.process));
	LH_TRY(trace_process(&answer, budget, duration_ns));
	*ret_status = status_of_trace(&answer.trace);
	struct lh_trace_report report = {
		.trace = &answer.trace,
		.symbols = answer.symbols,
		.pid = lh_process_pid(answer.process),
		.command = lh_process_command(answer.process),
		.top = top,
	};
	return print_trace(arguments, &report, weight);
}

static const struct lh_option options[] = {
	{.name = "for", .argument = "TIME", .summary = "trace for TIME, 1s to 24h (default: 60s)"},
	{.name = "budget",
	 .argument = "PERCENT",
	 .summary = "take at most PERCENT of one processor, in the process and in leakhunt together (default: 1%)"},
	{.name = "top", .argument = "N", .summary = "show at most N call stacks (default: 20)"},
	{.name = "folded",
	 .argument = "WEIGHT",
	 .summary = "print a line per call stack for flame graphs: bytes leaked per hour, alive, or allocated",
	 .words = FOLDED_WORDS},
	{.name = "pprof",
	 .summary = "print a profile for `go tool pprof` and other viewers of pprof's format, gzip-compressed"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/trace/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt trace 1234", "which code of process 1234 allocates what is not freed, within a minute"},
	{"leakhunt trace --for 10m --budget 5% 1234", "the same for a slow leak in a busy process"},
	{"leakhunt trace --folded leak 1234 | flamegraph.pl > leak.svg", "a flame graph of the leak"},
	{"leakhunt trace --pprof 1234 > leak.pb.gz && go tool pprof -top leak.pb.gz", "the same for pprof"},
	{.command = NULL},
};

const struct lh_command lh_cmd_trace = {
	.name = "trace",
	.summary = "find the code that allocates what is never freed, in a running process",
	.operands = "PID",
	.operands_min = 1,
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_PID,
	.manual = lh_manual_trace,
	.description =
		"Sets probes of the kernel (uprobes) in the malloc and free that the process calls, samples "
		"allocations by their bytes, and watches for the free of each sampled block. Call stacks are unwound "
		"in leakhunt, from copies of registers and stack: without frame pointers, without debug packages. A "
		"call stack is called leaking when its blocks outlive all blocks that it freed, and keep "
		"accumulating.\n\n"
		"First leakhunt measures for at most 0.2 s how often the process allocates, and prints the cost of "
		"tracing on standard error. When that exceeds --budget, leakhunt sets the probes for 6 ms at a time, "
		"as often as the budget allows. Such bursts show who allocates how much and what is freed at once, "
		"but no leaks. leakhunt ends the trace early if the process begins to allocate more often. leakhunt "
		"never stops the process and injects no code. However leakhunt ends, the kernel removes the probes.\n\n"
		"Needs Linux 6.14 on x86_64, and root or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE. Knows glibc's "
		"malloc, jemalloc and tcmalloc.\n\n"
		"Runtimes with an allocator of their own (CPython's objects up to 512 bytes, V8, Java, Go, PHP) hand "
		"out memory without malloc. leakhunt says how much of the process's memory this is; `leakhunt hunt` "
		"finds what grows there by its type.\n\n"
		"The exit code is 3 when a call stack leaks, and 0 when none does. It is 1 when no leak was found, "
		"but the trace is incomplete, or more than half of the memory is not malloc's.",
	.options = options,
	.examples = examples,
	.run = run_trace,
};
