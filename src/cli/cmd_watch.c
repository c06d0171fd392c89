/*
 * cmd_watch: `leakhunt watch`: follows one process, or all, for hours or days: draws memory over time, keeps a record,
 * writes metrics, and runs a command when a process leaks. Looks are cheap (the kernel's counters); smaps is read only
 * when something has moved. It never stops a process.
 */
#include "command.h"
#include "manual.h"
#include "sampling_options.h"
#include "watching.h"

#include <stdlib.h>

enum { MOST_MAX = 1000 };

#define SAVE_MIN_BYTES     (64 * LH_KIB)
#define SAVE_DEFAULT_BYTES (64 * LH_MIB)

/* Default of --leak-probability. */
#define LEAK_PROBABILITY 0.95

static struct lh_error *read_probability(const struct lh_arguments *arguments, double *ret)
{
	const char *text = lh_arguments_value(arguments, "leak-probability");
	char *end;
	if (!text)
		return NULL;
	*ret = strtod(text, &end);
	if (end == text || *end || !(*ret >= 0.5 && *ret < 1))
		return lh_error_create(LH_ERROR_USAGE, "option --leak-probability: must be at least 0.5 and below 1");
	return NULL;
}

static struct lh_error *read_watch_settings(const struct lh_arguments *arguments, struct lh_watch_settings *ret)
{
	struct lh_watch_settings settings = {
		.most = 5,
		.save_max_bytes = SAVE_DEFAULT_BYTES,
		.max_stall_ns = LH_MAX_STALL_NS,
		.save_path = lh_arguments_value(arguments, "save"),
		.metrics_path = lh_arguments_value(arguments, "metrics"),
		.on_leak = lh_arguments_value(arguments, "on-leak"),
		.least_probability = LEAK_PROBABILITY,
		.counter = lh_arguments_value(arguments, "counter"),
		.is_json = lh_arguments_has(arguments, "json"),
	};
	const char *save_max = lh_arguments_value(arguments, "save-max");
	LH_TRY(lh_arguments_duration(arguments, "interval", &settings.interval_ns));
	LH_TRY(lh_arguments_duration(arguments, "for", &settings.for_ns));
	LH_TRY(read_probability(arguments, &settings.least_probability));
	LH_TRY(lh_sampling_max_stall(arguments, &settings.max_stall_ns));
	LH_TRY(lh_arguments_u64(arguments, "top", 1, MOST_MAX, &settings.most));
	if (save_max)
		LH_TRY(lh_parse_bytes(save_max, &settings.save_max_bytes));
	if (settings.save_max_bytes < SAVE_MIN_BYTES)
		return lh_error_create(LH_ERROR_USAGE, "option --save-max: must be 64K or more");
	if (lh_arguments_has(arguments, "interval") &&
	    (settings.interval_ns < LH_NS_PER_MS || settings.interval_ns > 86400ull * LH_NS_PER_S))
		return lh_error_create(LH_ERROR_USAGE, "option --interval: must be between 1ms and 1d");
	*ret = settings;
	return NULL;
}

/* Refuses options of one process together with --all. */
static struct lh_error *check_watch_options(const struct lh_arguments *arguments)
{
	static const char *const one_only[] = {"save", "save-max", "counter", "max-stall"};
	bool is_all = lh_arguments_has(arguments, "all");
	if (is_all == (lh_arguments_operand_count(arguments) > 0))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, is_all ? "both PID and --all are given"
									    : "neither PID nor --all is given"),
				     "`leakhunt watch PID` follows one process, `leakhunt watch --all` each of them");
	for (size_t i = 0; is_all && i < LH_ARRAY_COUNT(one_only); i++) {
		if (lh_arguments_has(arguments, one_only[i]))
			return lh_error_create(LH_ERROR_USAGE, "option --%s goes with a PID, not with --all",
					       one_only[i]);
	}
	return NULL;
}

static struct lh_error *run_watch(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_watch_settings settings;
	bool is_partial = false;
	LH_TRY(check_watch_options(arguments));
	LH_TRY(read_watch_settings(arguments, &settings));
	lh_interrupt_install();
	if (lh_arguments_has(arguments, "all")) {
		LH_TRY(lh_watch_all(&settings, &is_partial));
	} else {
		LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
		LH_TRY(lh_operand_process(lh_arguments_operand(arguments, 0), &process));
		LH_TRY(lh_watch_process(process, &settings, &is_partial));
	}
	*ret_status = is_partial ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "all", .summary = "follow all processes by their private memory"},
	{.name = "interval",
	 .letter = 'i',
	 .argument = "TIME",
	 .summary = "wait TIME between samples (default: 1s to 1m, longer while nothing changes)"},
	{.name = "for",
	 .argument = "TIME",
	 .summary = "stop after TIME (default: at Ctrl-C, or when the process ends)"},
	{.name = "save",
	 .argument = "FILE",
	 .summary = "save the samples in a record, or continue a record of the same process",
	 .completion = LH_COMPLETE_FILE},
	{.name = "save-max",
	 .argument = "SIZE",
	 .summary = "keep the record below SIZE by dropping samples evenly (default: 64M)"},
	{.name = "metrics",
	 .argument = "FILE",
	 .summary = "write OpenMetrics text to FILE, for the textfile collector of node_exporter",
	 .completion = LH_COMPLETE_FILE},
	{.name = "on-leak",
	 .argument = "COMMAND",
	 .summary = "run COMMAND with sh when the verdict is leak, and wait for it; $LEAKHUNT_PID is the process"},
	{.name = "leak-probability",
	 .argument = "P",
	 .summary = "run --on-leak once a leak is at least this probable (default: 0.95)"},
	{.name = "counter",
	 .argument = "COMMAND",
	 .summary = "run COMMAND with sh at each sample; it prints the work done so far"},
	{.name = "max-stall", .argument = "TIME", .summary = LH_MAX_STALL_SUMMARY},
	{.name = "top", .argument = "N", .summary = "show at most N rows (default: 5)", .old_name = "most"},
	{.name = "json",
	 .letter = 'j',
	 .summary = "print only the result at the end, as JSON, schema leakhunt/select/2, or leakhunt/watch/1 of all"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt watch 4711", "draw private memory over time, and say what grows"},
	{"leakhunt watch 4711 --save week.jsonl", "keep a record, which `select --from` judges again"},
	{"leakhunt watch 4711 --on-leak 'leakhunt dump $LEAKHUNT_PID -o leak.core'", "dump at the verdict leak"},
	{"leakhunt watch --all --metrics /var/lib/node_exporter/leakhunt.prom",
	 "metrics of all processes, for alerts in Prometheus"},
	{NULL, NULL},
};

const struct lh_command lh_cmd_watch = {
	.name = "watch",
	.summary = "follow a process over hours or days, and act when it leaks",
	.operands = "[PID]",
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_PID,
	.manual = lh_manual_watch,
	.description = "Reads the kernel's counters of the process, and smaps only when these counters changed, or "
		       "from time to time. On a terminal, watch draws private memory over time; otherwise it prints "
		       "a line per sample. At the end it prints the same result as select.",
	.options = options,
	.examples = examples,
	.run = run_watch,
};
