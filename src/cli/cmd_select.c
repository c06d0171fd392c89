/*
 * cmd_select: `leakhunt select`: takes samples of a live process, or reads saved ones, hands them to select, and prints
 * what grows. Reads smaps only: it never stops the process. If the sampling ends early (Ctrl-C, exit, exec), two
 * samples are enough for a result, which then says that it is incomplete.
 */
#include "command.h"
#include "confinement.h"
#include "leakhunt/hunt.h"
#include "leakhunt/modules.h"
#include "leakhunt/process.h"
#include "leakhunt/regions.h"
#include "leakhunt/select.h"
#include "manual.h"
#include "sampling_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SAMPLES_MAX = 100000, MOST_MAX = 1000000 };

#define TEXT_MAX_BYTES (16 * LH_GIB)

struct settings {
	uint64_t interval_ns;
	uint64_t samples;
	uint64_t most;
	uint64_t max_stall_ns;
	const char *save_path; /* NULL: not saved */
	const char *svg_path;  /* NULL: no picture */
	bool replace;
	bool is_json;
	bool explains;
};

/* The result of a run, live or from files. */
struct finding {
	struct lh_sampling sampling; /* live */
	struct lh_samples samples;   /* of files */
	struct lh_selection selection;
	struct lh_runtime_facts facts;
	bool is_saved;
	bool is_partial;
	char command[16]; /* comm, "" when unknown */
};

static void finding_deinit(struct finding *finding)
{
	lh_sampling_deinit(&finding->sampling);
	lh_samples_deinit(&finding->samples);
	lh_selection_deinit(&finding->selection);
}

/* ---------------------------------------------------------------- live */

/* What the progress line shows. */
struct waiting {
	struct lh_progress_line *line;
	const struct lh_sampling *sampling;
	uint64_t wanted;
};

static void show_sampling_progress(void *context)
{
	const struct waiting *waiting = context;
	struct lh_progress_line *line = waiting->line;
	const struct lh_sampling *sampling = waiting->sampling;
	char elapsed[LH_FORMAT_MAX], now[LH_FORMAT_MAX], growth[LH_FORMAT_MAX];
	lh_progress_text(line, "sample %zu of %zu, %s, private memory %s (%s)", sampling->sample_count,
			 (size_t)waiting->wanted,
			 lh_format_duration(lh_clock_monotonic_ns() - line->started_ns, elapsed),
			 lh_format_bytes(sampling->latest_bytes, now),
			 lh_format_signed_bytes((int64_t)(sampling->latest_bytes - sampling->first_bytes), growth));
}

/*
 * Deadlines are multiples of the interval after the start, so that the time of a reading does not add up. A deadline
 * that passed during a long reading is skipped. Ctrl-C takes one last sample: after an hour of waiting it is worth more
 * than the previous one.
 */
static struct lh_error *take_samples(struct lh_sampling *sampling, const struct settings *settings,
				     struct lh_progress_line *line)
{
	struct waiting waiting = {line, sampling, settings->samples};
	uint64_t deadline_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_sampling_take(sampling));
	while (sampling->sample_count < settings->samples && !lh_interrupt_requested()) {
		uint64_t now_ns = lh_clock_monotonic_ns();
		deadline_ns += settings->interval_ns;
		if (deadline_ns < now_ns)
			deadline_ns += (now_ns - deadline_ns) / settings->interval_ns * settings->interval_ns;
		LH_TRY(lh_sampling_wait(sampling, deadline_ns, show_sampling_progress, &waiting));
		sampling->is_last = sampling->sample_count + 1 == settings->samples || lh_interrupt_requested();
		LH_TRY(lh_sampling_take(sampling));
	}
	return NULL;
}

static struct lh_error *watch_samples(struct lh_sampling *sampling, const struct settings *settings)
{
	struct lh_progress_line line;
	lh_progress_begin(&line);
	struct lh_error *error = take_samples(sampling, settings, &line);
	lh_progress_end(&line);
	if (sampling->sample_count < 2)
		return error ? error
			     : lh_error_create(LH_ERROR_INTERRUPTED,
					       "stopped after one sample: growth needs at least two");
	if (error)
		lh_go_on_without(&sampling->is_partial, error, "the result covers the samples before");
	sampling->is_partial |= sampling->sample_count < settings->samples;
	return NULL;
}

static struct lh_error *find_live(const struct lh_arguments *arguments, const struct settings *settings,
				  struct finding *finding)
{
	struct lh_sampling *sampling = &finding->sampling;
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_TRY(lh_operand_process(lh_arguments_operand(arguments, 0), &process));
	snprintf(finding->command, sizeof(finding->command), "%s", lh_process_command(process));
	struct lh_sampling_options options =
		lh_sampling_options_make(lh_arguments_value(arguments, "counter"), settings->max_stall_ns);
	LH_TRY(lh_sampling_begin(process, &options, sampling));
	if (settings->save_path)
		LH_TRY(lh_sampling_save(sampling, settings->save_path, lh_arguments_has(arguments, "force")));
	lh_interrupt_install();
	LH_TRY(watch_samples(sampling, settings));
	finding->is_saved = lh_sampling_commit(sampling);
	finding->is_partial = sampling->is_partial;
	LH_TRY(lh_selector_judge(sampling->selector, &finding->selection));
	finding->facts = lh_runtime_facts_make(&finding->selection, lh_allocator_of(process));
	finding->facts.has_owners = true;
	return NULL;
}

/* ---------------------------------------------------------------- from files */

/* Parses the i-th time of a list such as "0,60,2m". */
static struct lh_error *time_of_list(const char *list, size_t i, uint64_t *ret)
{
	for (; i; i--)
		list = strchr(list, ',') + 1;
	LH_CLEANUP(lh_cleanup_free) char *text = strndup(list, strcspn(list, ","));
	return text ? lh_parse_duration(text, ret) : lh_error_no_memory();
}

static size_t list_length(const char *list)
{
	size_t count = 1;
	for (; *list; list++)
		count += *list == ',';
	return count;
}

static struct lh_error *time_of_file(const char *path, uint64_t *ret)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return lh_error_from_errno(errno, "cannot get the status of %s", path);
	*ret = (uint64_t)status.st_mtim.tv_sec * LH_NS_PER_S + (uint64_t)status.st_mtim.tv_nsec;
	return NULL;
}

/* Notes samples that could not be read completely. */
static void note_losses(struct finding *finding, const struct lh_region_list *list, const char *what)
{
	lh_warn_of_losses(&finding->is_partial, what, list->skipped_lines + list->dropped_regions,
			  "lines or mappings were not understood");
}

static struct lh_error *add_smaps(struct finding *finding, const char *path, const struct lh_buffer *text,
				  uint64_t time_ns)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {.time_ns = time_ns};
	LH_TRY(lh_regions_parse(text->data ? text->data : "", text->length, path, &sample.list));
	if (!sample.list.has_usage)
		return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s holds addresses, but no memory usage", path),
				     "save the smaps of the process, not its maps");
	note_losses(finding, &sample.list, path);
	LH_TRY(lh_vec_push(&finding->samples.items, sample));
	sample = (struct lh_sample){0};
	return NULL;
}

static struct lh_error *add_record(struct finding *finding, const char *path, const struct lh_buffer *text)
{
	size_t skipped_before = finding->samples.skipped_lines;
	size_t count_before = finding->samples.items.count;
	LH_TRY(lh_record_decode(text->data, text->length, path, &finding->samples));
	lh_warn_of_losses(&finding->is_partial, path, finding->samples.skipped_lines - skipped_before,
			  "lines were not understood or are cut off");
	for (size_t i = count_before; i < finding->samples.items.count; i++)
		note_losses(finding, &finding->samples.items.items[i].list, path);
	return NULL;
}

static struct lh_error *add_file(struct finding *finding, const char *path, const char *times, size_t i)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t time_ns = 0;
	LH_TRY(lh_file_read(path, TEXT_MAX_BYTES, &text));
	bool is_record = text.length && lh_record_detect(text.data, text.length);
	if (is_record && times)
		return lh_error_create(LH_ERROR_USAGE, "%s is a record, which has its own times: leave out --times",
				       path);
	if (is_record)
		return add_record(finding, path, &text);
	LH_TRY(times ? time_of_list(times, i, &time_ns) : time_of_file(path, &time_ns));
	return add_smaps(finding, path, &text, time_ns);
}

static struct lh_error *judge_record(struct finding *finding, const char *path)
{
	struct lh_record_losses losses;
	LH_TRY(lh_record_file_select(path, &finding->selection, &losses));
	memcpy(finding->command, losses.command, sizeof(losses.command));
	lh_warn_of_losses(&finding->is_partial, path, losses.skipped_lines, "lines were not understood or are cut off");
	lh_warn_of_losses(&finding->is_partial, path, losses.lost_regions, "lines or mappings were not understood");
	lh_warn_of_losses(&finding->is_partial, path, losses.unordered_samples,
			  "samples are older than those before them");
	return NULL;
}

/* Saved samples are hostile: after this, only they and the folder of --svg can be opened. */
static struct lh_error *confine_to_files(const struct lh_arguments *arguments)
{
	static const char *const inputs[] = {"from", "before", "after"};
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	for (size_t i = 0; i < LH_ARRAY_COUNT(inputs); i++) {
		for (size_t k = 0; k < lh_arguments_value_count(arguments, inputs[i]); k++)
			LH_TRY(lh_confinement_add_path(&confinement, lh_arguments_value_at(arguments, inputs[i], k)));
	}
	if (lh_arguments_has(arguments, "svg"))
		LH_TRY(lh_confinement_add_output(&confinement, lh_arguments_value(arguments, "svg")));
	lh_confinement_apply(&confinement);
	return NULL;
}

static struct lh_error *find_in_files(const struct lh_arguments *arguments, struct finding *finding)
{
	const char *times = lh_arguments_value(arguments, "times");
	size_t count = lh_arguments_value_count(arguments, "from");
	if (times && list_length(times) != count)
		return lh_error_create(LH_ERROR_USAGE, "option --times gives %zu times for %zu files",
				       list_length(times), count);
	if (count == 1 && !times && lh_record_file_detect(lh_arguments_value(arguments, "from")))
		return judge_record(finding, lh_arguments_value(arguments, "from"));
	for (size_t i = 0; i < count; i++)
		LH_TRY(add_file(finding, lh_arguments_value_at(arguments, "from", i), times, i));
	if (finding->samples.command)
		snprintf(finding->command, sizeof(finding->command), "%s", finding->samples.command);
	return lh_select(&finding->samples, &finding->selection);
}

/* ---------------------------------------------------------------- the command */

static struct lh_error *read_select_settings(const struct lh_arguments *arguments, struct settings *ret)
{
	struct settings settings = {
		.interval_ns = 2 * LH_NS_PER_S, .samples = 10, .most = 10, .max_stall_ns = LH_MAX_STALL_NS};
	LH_TRY(lh_arguments_duration(arguments, "interval", &settings.interval_ns));
	LH_TRY(lh_arguments_u64(arguments, "samples", 2, SAMPLES_MAX, &settings.samples));
	LH_TRY(lh_arguments_u64(arguments, "top", 0, MOST_MAX, &settings.most));
	if (settings.interval_ns < LH_NS_PER_MS || settings.interval_ns > 31 * 86400ull * LH_NS_PER_S)
		return lh_error_create(LH_ERROR_USAGE, "option --interval: must be between 1ms and 31d");
	LH_TRY(lh_sampling_max_stall(arguments, &settings.max_stall_ns));
	settings.save_path = lh_arguments_value(arguments, "save");
	settings.svg_path = lh_arguments_value(arguments, "svg");
	settings.replace = lh_arguments_has(arguments, "force");
	settings.is_json = lh_arguments_has(arguments, "json");
	settings.explains = lh_arguments_has(arguments, "explain");
	*ret = settings;
	return NULL;
}

/* The options that say what is judged, and the options that go with each. */
static const struct source {
	const char *option; /* NULL: a PID */
	const char *not_with[10];
} sources[] = {
	{NULL, {"from", "before", "after", "times"}},
	{"from", {"before", "after", "interval", "samples", "save", "counter", "max-stall"}},
	{"before", {"times", "interval", "samples", "save", "force", "counter", "max-stall", "top", "svg"}},
};

static const struct source *find_source(const struct lh_arguments *arguments)
{
	if (lh_arguments_operand_count(arguments))
		return &sources[0];
	if (lh_arguments_has(arguments, "from"))
		return &sources[1];
	return lh_arguments_has(arguments, "before") || lh_arguments_has(arguments, "after") ? &sources[2] : NULL;
}

/* Refuses options that have no effect with this source. */
static struct lh_error *check_select_options(const struct lh_arguments *arguments, const struct source **ret)
{
	static const char hint[] = "`leakhunt select PID` watches a process, `--from FILE` reads saved samples, "
				   "`--before A --after B` compares two records";
	const struct source *source = find_source(arguments);
	if (!source)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "neither PID nor --from is given"), "%s", hint);
	for (size_t i = 0; i < LH_ARRAY_COUNT(source->not_with) && source->not_with[i]; i++) {
		if (lh_arguments_has(arguments, source->not_with[i]))
			return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "option --%s does not go with %s%s",
							     source->not_with[i], source->option ? "--" : "a PID",
							     source->option ? source->option : ""),
					     "%s", hint);
	}
	if (source->option && strcmp(source->option, "before") == 0 &&
	    (!lh_arguments_has(arguments, "before") || !lh_arguments_has(arguments, "after")))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--before and --after go together"), "%s", hint);
	*ret = source;
	return NULL;
}

static struct lh_error *write_svg(const struct lh_select_report *report, const struct settings *settings)
{
	LH_CLEANUP(lh_cleanup_outfile) struct lh_outfile *file = NULL;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error = lh_outfile_create(settings->svg_path, settings->replace, &file);
	if (error && lh_error_code(error) == LH_ERROR_EXISTS)
		return lh_error_hint(error, "give another name with --svg, or --force to replace it");
	LH_TRY(error);
	lh_report_select_svg(report, &text);
	LH_TRY(lh_buffer_status(&text));
	LH_TRY(lh_fd_write_all(lh_outfile_fd(file), settings->svg_path, text.data, text.length));
	return lh_outfile_commit(file);
}

/* Explains verdicts and the other words of the report: the first sections of the man page. */
static void put_explanation(struct lh_buffer *ret)
{
	for (const struct lh_manual_section *section = lh_manual_select; section->heading; section++) {
		if (strcmp(section->heading, "COST") == 0)
			return;
		lh_buffer_printf(ret, "%s%s\n", ret->length ? "\n" : "", section->heading);
		lh_manual_section_text(section, lh_terminal_style().width, ret);
	}
}

static struct lh_error *print_explanation(void)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	put_explanation(&text);
	return lh_print(&text);
}

static struct lh_error *print_selection(struct finding *finding, const struct settings *settings)
{
	struct lh_forecast forecast;
	bool has_end = lh_forecast_end(&finding->selection, &forecast);
	lh_selection_find_causes(&finding->selection, &finding->facts);
	struct lh_select_report report = {
		.selection = &finding->selection,
		.forecast = has_end ? &forecast : NULL,
		.facts = &finding->facts,
		.command = finding->command,
		.most = settings->most,
		.saved_path = finding->is_saved ? settings->save_path : NULL,
		.is_complete = !finding->is_partial,
		.shows_evidence = settings->explains,
	};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (settings->svg_path)
		LH_TRY(write_svg(&report, settings));
	if (settings->is_json)
		lh_report_select_json(&report, &text);
	else
		lh_report_select_text(&report, lh_terminal_style(), &text);
	if (settings->explains && !settings->is_json)
		put_explanation(&text);
	return lh_print(&text);
}

static struct lh_error *compare_records(const struct lh_arguments *arguments, const struct settings *settings,
					bool *ret_is_partial)
{
	struct finding before LH_CLEANUP(finding_deinit) = {0};
	struct finding after LH_CLEANUP(finding_deinit) = {0};
	struct lh_comparison comparison;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(judge_record(&before, lh_arguments_value(arguments, "before")));
	LH_TRY(judge_record(&after, lh_arguments_value(arguments, "after")));
	LH_TRY(lh_compare(&before.selection, &after.selection, &comparison));
	const struct lh_comparison_report report = {&comparison, &before.selection, &after.selection};
	if (settings->is_json)
		lh_report_comparison_json(&report, &text);
	else
		lh_report_comparison_text(&report, &text);
	*ret_is_partial = before.is_partial || after.is_partial;
	return lh_print(&text);
}

static struct lh_error *run_select(const struct lh_arguments *arguments, int *ret_status)
{
	struct settings settings = {0};
	const struct source *source = &sources[0];
	struct finding finding LH_CLEANUP(finding_deinit) = {0};
	if (lh_arguments_has(arguments, "explain") && !find_source(arguments))
		return print_explanation();
	LH_TRY(check_select_options(arguments, &source));
	LH_TRY(read_select_settings(arguments, &settings));
	if (source->option)
		LH_TRY(confine_to_files(arguments));
	if (lh_arguments_has(arguments, "before")) {
		LH_TRY(compare_records(arguments, &settings, &finding.is_partial));
	} else {
		LH_TRY(source->option ? find_in_files(arguments, &finding) : find_live(arguments, &settings, &finding));
		if (source->option)
			finding.facts = lh_runtime_facts_make(&finding.selection, LH_ALLOCATOR_UNKNOWN);
		LH_TRY(print_selection(&finding, &settings));
	}
	*ret_status = finding.is_partial ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "interval", .letter = 'i', .argument = "TIME", .summary = "wait TIME between samples (default: 2s)"},
	{.name = "samples",
	 .letter = 'c',
	 .argument = "N",
	 .summary = "take N samples (default: 10)",
	 .old_letter = 'n'},
	{.name = "save",
	 .argument = "FILE",
	 .summary = "save the samples as JSON lines, for --from and for `dump --suspects`",
	 .completion = LH_COMPLETE_FILE},
	{.name = "force", .letter = 'f', .summary = "replace existing files with --save and --svg"},
	{.name = "from",
	 .argument = "FILE",
	 .summary = "read samples from a record, or one sample from a saved smaps text, instead of a process",
	 .is_repeatable = true,
	 .completion = LH_COMPLETE_FILE},
	{.name = "times",
	 .argument = "LIST",
	 .summary = "times of the --from files, such as 0,60,2m (default: when each was last modified)"},
	{.name = "counter",
	 .argument = "COMMAND",
	 .summary = "run COMMAND with sh at each sample; it prints the work done so far, and leakhunt computes "
		    "growth per unit of work"},
	{.name = "svg",
	 .argument = "FILE",
	 .summary = "draw growth over time, with trend and verdict, into FILE",
	 .completion = LH_COMPLETE_FILE},
	{.name = "max-stall", .argument = "TIME", .summary = LH_MAX_STALL_SUMMARY},
	{.name = "before",
	 .argument = "FILE",
	 .summary = "compare this record of the time before a fix with the record of --after",
	 .completion = LH_COMPLETE_FILE},
	{.name = "after",
	 .argument = "FILE",
	 .summary = "the record of the time after the fix",
	 .completion = LH_COMPLETE_FILE},
	{.name = "top",
	 .argument = "N",
	 .summary = "show at most N rows; 0: all that changed (default: 10)",
	 .old_name = "most"},
	{.name = "explain",
	 .summary = "explain the words of the result; without PID or FILE, print only the explanation"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/select/2"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt select 4711", "sample process 4711 for 18 seconds, and say what grows"},
	{"leakhunt select 4711 -i 10m -c 50 --save night.jsonl", "sample it for 8 hours, and save the samples"},
	{"leakhunt select --from night.jsonl --json", "judge the saved samples again, for a program"},
	{"leakhunt select --before monday.jsonl --after tuesday.jsonl", "did the fix help?"},
	{"leakhunt select --from a.smaps --from b.smaps --times 0,1h", "compare two saved smaps texts"},
	{NULL, NULL},
};

const struct lh_command lh_cmd_select = {
	.name = "select",
	.summary = "show which memory of a process grows, and how to dump it",
	.operands = "[PID]",
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_PID,
	.manual = lh_manual_select,
	.description = "Samples the private memory (USS and swap) of each mapping. Follows mappings as they grow, "
		       "split and merge, ranks them by growth, and gives each a verdict with its reason: leak, "
		       "growing, plateau, step, sawtooth, steady, shrinking or undecided. The last line is the "
		       "command that dumps what grows.\n"
		       "\n"
		       "Ctrl-C takes a last sample and prints the result so far. select never stops the process. "
		       "Reading smaps holds a lock that mmap and munmap of the process wait for. If that would "
		       "exceed --max-stall, leakhunt counts pages in short calls instead. The receipt says how "
		       "memory was read, and for how long.",
	.options = options,
	.examples = examples,
	.run = run_select,
};
