/*
 * cmd_select: `leakhunt select`: takes samples of a live process, or reads saved ones, hands them to
 * select, and prints what grows. Reads smaps only: it never stops the process. Whatever ends the
 * sampling early (Ctrl-C, exit, exec), two samples are enough for a result, which says that it is
 * not complete.
 */
#include "cli/command.h"
#include "cli/record_file.h"
#include "leakhunt/proc.h"
#include "leakhunt/select.h"

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
	const char *save_path; /* NULL: not saved */
	bool is_json;
};

/* What a run has gathered, live or from files. */
struct gathering {
	struct lh_samples samples;     /* of files */
	struct lh_selector *selector;  /* of a live process */
	struct lh_selection selection; /* of one record */
	size_t sample_count;           /* live */
	uint64_t first_bytes;          /* used, in the first sample and the latest */
	uint64_t latest_bytes;
	struct lh_outfile *record; /* NULL: not saved, or given up */
	struct lh_record_writer *writer;
	bool is_partial;
	size_t read_count;
	uint64_t reading_ns;
	uint64_t reading_max_ns;
	char command[16]; /* comm, "" when unknown */
};

static void gathering_deinit(struct gathering *gathering)
{
	lh_samples_deinit(&gathering->samples);
	lh_selector_destroy(gathering->selector);
	lh_selection_deinit(&gathering->selection);
	lh_outfile_destroy(gathering->record);
	lh_record_writer_destroy(gathering->writer);
}

/* Warns, and makes the result partial. Takes `error`. */
static void go_on_without(struct gathering *gathering, struct lh_error *error, const char *consequence)
{
	lh_warn("%s; %s", lh_error_message(error), consequence);
	lh_error_destroy(error);
	gathering->is_partial = true;
}

static void warn_of_losses(struct gathering *gathering, const char *what, size_t count, const char *losses)
{
	if (!count)
		return;
	lh_warn("%s: %zu %s, and are left out", what, count, losses);
	gathering->is_partial = true;
}

/* Samples that could not be read in whole. */
static void note_losses(struct gathering *gathering, const struct lh_region_list *list, const char *what)
{
	warn_of_losses(gathering, what, list->skipped_lines + list->dropped_regions,
		       "lines or mappings were not understood");
}

/* ---------------------------------------------------------------- saving */

static struct lh_error *write_record(struct gathering *gathering, const struct lh_buffer *line)
{
	return lh_fd_write_all(lh_outfile_fd(gathering->record), lh_outfile_path(gathering->record), line->data,
			       line->length);
}

static struct lh_error *begin_record(struct gathering *gathering, const struct lh_process *process, const char *path,
				     bool replace)
{
	struct lh_error *error = lh_outfile_create(path, replace, &gathering->record);
	if (error && lh_error_code(error) == LH_ERROR_EXISTS)
		return lh_error_hint(error, "give another name with --save, or --force to replace it");
	LH_TRY(error);
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_process_identity identity = lh_process_identity(process);
	LH_TRY(lh_record_writer_create(&gathering->writer));
	LH_TRY(lh_record_encode_header(&identity, lh_process_command(process), &line));
	return write_record(gathering, &line);
}

static struct lh_error *try_save_sample(struct gathering *gathering, const struct lh_sample *sample)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_record_encode_sample(gathering->writer, sample, &line));
	return write_record(gathering, &line);
}

/* A full disc ends the record, not the watch. */
static void save_sample(struct gathering *gathering, const struct lh_sample *sample)
{
	struct lh_error *error = gathering->record ? try_save_sample(gathering, sample) : NULL;
	if (!error)
		return;
	go_on_without(gathering, error, "the samples are not saved");
	lh_outfile_destroy(gathering->record);
	gathering->record = NULL;
}

/* Returns whether there is a record under its name. */
static bool finish_record(struct gathering *gathering)
{
	if (!gathering->record)
		return false;
	struct lh_error *error = lh_outfile_commit(gathering->record);
	if (error)
		go_on_without(gathering, error, "the samples are not saved");
	return !error;
}

/* ---------------------------------------------------------------- live */

/* Samples are dated by the monotonic clock, from one look at the calendar: that one may be set back. */
struct sample_clock {
	uint64_t realtime_ns;
	uint64_t monotonic_ns;
};

static struct sample_clock sample_clock_now(void)
{
	return (struct sample_clock){lh_clock_realtime_ns(), lh_clock_monotonic_ns()};
}

static struct lh_error *take_sample(struct gathering *gathering, const struct lh_process *process,
				    struct sample_clock clock)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {
		.pid = lh_process_pid(process),
		.start_ticks = lh_process_identity(process).start_ticks,
		.uptime_ns = lh_clock_boottime_ns(),
	};
	uint64_t started_ns = lh_clock_monotonic_ns();
	struct lh_error *error = lh_regions_read(process, LH_REGIONS_SMAPS, &sample.list);
	uint64_t reading_ns = lh_clock_monotonic_ns() - started_ns;
	/* A process that ends or calls exec while it is read shows as a strange text: say what happened. */
	struct lh_error *change = lh_process_check(process);
	if (change) {
		lh_error_destroy(error);
		return change;
	}
	LH_TRY(error);
	sample.time_ns = clock.realtime_ns + (started_ns - clock.monotonic_ns);
	note_losses(gathering, &sample.list, "smaps");
	save_sample(gathering, &sample);
	gathering->read_count++;
	gathering->reading_ns += reading_ns;
	gathering->reading_max_ns = lh_max_u64(gathering->reading_max_ns, reading_ns);
	gathering->latest_bytes = lh_sample_used_bytes(&sample);
	if (!gathering->sample_count++)
		gathering->first_bytes = gathering->latest_bytes;
	return lh_selector_add(gathering->selector, &sample);
}

static void show_progress(struct lh_progress_line *line, const struct gathering *gathering, uint64_t wanted)
{
	char elapsed[LH_FORMAT_MAX], now[LH_FORMAT_MAX], growth[LH_FORMAT_MAX];
	lh_progress_text(line, "sample %zu of %zu, %s, private memory %s (%s)", gathering->sample_count, (size_t)wanted,
			 lh_format_duration(lh_clock_monotonic_ns() - line->started_ns, elapsed),
			 lh_format_bytes(gathering->latest_bytes, now),
			 lh_format_signed_bytes((int64_t)(gathering->latest_bytes - gathering->first_bytes), growth));
}

/* In slices, so that the end of the process, and a Ctrl-C just before the call, are seen soon. */
static void sleep_slice(uint64_t deadline_ns)
{
	uint64_t slice_end_ns = lh_min_u64(deadline_ns, lh_clock_monotonic_ns() + LH_NS_PER_S / 4);
	struct timespec until = {.tv_sec = (time_t)(slice_end_ns / LH_NS_PER_S),
				 .tv_nsec = (long)(slice_end_ns % LH_NS_PER_S)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Until the deadline, Ctrl-C, or the end of the process, which is the error. */
static struct lh_error *wait_for_sample(const struct gathering *gathering, const struct lh_process *process,
					uint64_t wanted, uint64_t deadline_ns, struct lh_progress_line *line)
{
	while (!lh_interrupt_requested() && lh_clock_monotonic_ns() < deadline_ns) {
		show_progress(line, gathering, wanted);
		sleep_slice(deadline_ns);
		LH_TRY(lh_process_check(process));
	}
	return NULL;
}

/*
 * Deadlines are multiples of the interval after the start, so that the time that a reading takes does
 * not add up; those that a long reading has missed are skipped. Ctrl-C takes one last sample: after an
 * hour of waiting it is worth more than the one before.
 */
static struct lh_error *take_samples(struct gathering *gathering, const struct lh_process *process,
				     const struct settings *settings, struct lh_progress_line *line)
{
	struct sample_clock clock = sample_clock_now();
	uint64_t deadline_ns = clock.monotonic_ns;
	LH_TRY(take_sample(gathering, process, clock));
	while (gathering->sample_count < settings->samples && !lh_interrupt_requested()) {
		uint64_t now_ns = lh_clock_monotonic_ns();
		deadline_ns += settings->interval_ns;
		if (deadline_ns < now_ns)
			deadline_ns += (now_ns - deadline_ns) / settings->interval_ns * settings->interval_ns;
		LH_TRY(wait_for_sample(gathering, process, settings->samples, deadline_ns, line));
		LH_TRY(take_sample(gathering, process, clock));
	}
	return NULL;
}

static struct lh_error *watch(struct gathering *gathering, const struct lh_process *process,
			      const struct settings *settings)
{
	struct lh_progress_line line;
	lh_progress_begin(&line);
	struct lh_error *error = take_samples(gathering, process, settings, &line);
	lh_progress_end(&line);
	size_t count = gathering->sample_count;
	if (count < 2)
		return error ? error
			     : lh_error_create(LH_ERROR_INTERRUPTED,
					       "interrupted after one sample: growth shows from 2 on");
	if (error)
		go_on_without(gathering, error, "the result is of the samples before that");
	gathering->is_partial |= count < settings->samples;
	return NULL;
}

static struct lh_error *gather_live(const struct lh_arguments *arguments, const struct settings *settings,
				    struct gathering *gathering)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_TRY(lh_operand_process(lh_arguments_operand(arguments, 0), &process));
	snprintf(gathering->command, sizeof(gathering->command), "%s", lh_process_command(process));
	if (settings->save_path)
		LH_TRY(begin_record(gathering, process, settings->save_path, lh_arguments_has(arguments, "force")));
	LH_TRY(lh_selector_create(&gathering->selector));
	lh_interrupt_install();
	return watch(gathering, process, settings);
}

/* ---------------------------------------------------------------- from files */

/* "0,60,2m": the i-th of the list into *ret. */
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
		return lh_error_from_errno(errno, "cannot look at %s", path);
	*ret = (uint64_t)status.st_mtim.tv_sec * LH_NS_PER_S + (uint64_t)status.st_mtim.tv_nsec;
	return NULL;
}

static struct lh_error *add_smaps(struct gathering *gathering, const char *path, const struct lh_buffer *text,
				  uint64_t time_ns)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {.time_ns = time_ns};
	LH_TRY(lh_regions_parse(text->data ? text->data : "", text->length, path, &sample.list));
	if (!sample.list.has_usage)
		return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s holds addresses, but no memory usage", path),
				     "save the smaps of the process, not its maps");
	note_losses(gathering, &sample.list, path);
	LH_TRY(lh_vec_push(&gathering->samples.items, sample));
	sample = (struct lh_sample){0};
	return NULL;
}

static struct lh_error *add_record(struct gathering *gathering, const char *path, const struct lh_buffer *text)
{
	size_t skipped_before = gathering->samples.skipped_lines;
	size_t count_before = gathering->samples.items.count;
	LH_TRY(lh_record_decode(text->data, text->length, path, &gathering->samples));
	warn_of_losses(gathering, path, gathering->samples.skipped_lines - skipped_before,
		       "lines were not understood or are cut off");
	for (size_t i = count_before; i < gathering->samples.items.count; i++)
		note_losses(gathering, &gathering->samples.items.items[i].list, path);
	return NULL;
}

static struct lh_error *add_file(struct gathering *gathering, const char *path, const char *times, size_t i)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t time_ns = 0;
	LH_TRY(lh_file_read(path, TEXT_MAX_BYTES, &text));
	bool is_record = text.length && lh_record_detect(text.data, text.length);
	if (is_record && times)
		return lh_error_create(LH_ERROR_USAGE, "%s is a record, which has its own times: leave out --times",
				       path);
	if (is_record)
		return add_record(gathering, path, &text);
	LH_TRY(times ? time_of_list(times, i, &time_ns) : time_of_file(path, &time_ns));
	return add_smaps(gathering, path, &text, time_ns);
}

static struct lh_error *judge_record(struct gathering *gathering, const char *path)
{
	struct lh_record_losses losses;
	LH_TRY(lh_record_file_select(path, &gathering->selection, &losses));
	memcpy(gathering->command, losses.command, sizeof(losses.command));
	warn_of_losses(gathering, path, losses.skipped_lines, "lines were not understood or are cut off");
	warn_of_losses(gathering, path, losses.lost_regions, "lines or mappings were not understood");
	warn_of_losses(gathering, path, losses.unordered_samples, "samples are older than those before them");
	return NULL;
}

static struct lh_error *gather_files(const struct lh_arguments *arguments, struct gathering *gathering)
{
	const char *times = lh_arguments_value(arguments, "times");
	size_t count = lh_arguments_value_count(arguments, "from");
	if (times && list_length(times) != count)
		return lh_error_create(LH_ERROR_USAGE, "option --times gives %zu times for %zu files",
				       list_length(times), count);
	if (count == 1 && !times && lh_record_file_detect(lh_arguments_value(arguments, "from")))
		return judge_record(gathering, lh_arguments_value(arguments, "from"));
	for (size_t i = 0; i < count; i++)
		LH_TRY(add_file(gathering, lh_arguments_value_at(arguments, "from", i), times, i));
	if (gathering->samples.command)
		snprintf(gathering->command, sizeof(gathering->command), "%s", gathering->samples.command);
	return lh_select(&gathering->samples, &gathering->selection);
}

/* ---------------------------------------------------------------- the command */

static struct lh_error *read_settings(const struct lh_arguments *arguments, struct settings *ret)
{
	struct settings settings = {.interval_ns = 2 * LH_NS_PER_S, .samples = 10, .most = 10};
	LH_TRY(lh_arguments_duration(arguments, "interval", &settings.interval_ns));
	LH_TRY(lh_arguments_u64(arguments, "samples", 2, SAMPLES_MAX, &settings.samples));
	LH_TRY(lh_arguments_u64(arguments, "most", 0, MOST_MAX, &settings.most));
	if (settings.interval_ns < LH_NS_PER_MS || settings.interval_ns > 31 * 86400ull * LH_NS_PER_S)
		return lh_error_create(LH_ERROR_USAGE, "option --interval: must be between 1ms and 31d");
	settings.save_path = lh_arguments_value(arguments, "save");
	settings.is_json = lh_arguments_has(arguments, "json");
	*ret = settings;
	return NULL;
}

/* An option that means nothing here is a mistake, not to be passed over. */
static struct lh_error *check_combination(const struct lh_arguments *arguments)
{
	static const char *const live_only[] = {"interval", "samples", "save", "force"};
	bool is_live = lh_arguments_operand_count(arguments) > 0;
	bool has_files = lh_arguments_has(arguments, "from");
	if (is_live == has_files)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, is_live ? "both PID and --from are given"
									     : "neither PID nor --from is given"),
				     "`leakhunt select PID` watches a process, `--from FILE` reads saved samples");
	if (is_live && lh_arguments_has(arguments, "times"))
		return lh_error_create(LH_ERROR_USAGE, "option --times goes with --from only");
	for (size_t i = 0; has_files && i < LH_ARRAY_COUNT(live_only); i++) {
		if (lh_arguments_has(arguments, live_only[i]))
			return lh_error_create(LH_ERROR_USAGE, "option --%s goes with a PID, not with --from",
					       live_only[i]);
	}
	return NULL;
}

static struct lh_error *print_selection(const struct gathering *gathering, const struct settings *settings,
					bool is_saved)
{
	struct lh_select_report report = {
		.selection = &gathering->selection,
		.command = gathering->command,
		.most = settings->most,
		.saved_path = is_saved ? settings->save_path : NULL,
		.is_complete = !gathering->is_partial,
		.read_count = gathering->read_count,
		.reading_ns = gathering->reading_ns,
		.reading_max_ns = gathering->reading_max_ns,
	};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (settings->is_json)
		lh_report_select_json(&report, &text);
	else
		lh_report_select_text(&report, lh_terminal_style(), &text);
	return lh_print(&text);
}

static struct lh_error *run(const struct lh_arguments *arguments, int *ret_status)
{
	struct settings settings = {0};
	struct gathering gathering LH_CLEANUP(gathering_deinit) = {0};
	LH_TRY(check_combination(arguments));
	LH_TRY(read_settings(arguments, &settings));
	if (lh_arguments_has(arguments, "from"))
		LH_TRY(gather_files(arguments, &gathering));
	else
		LH_TRY(gather_live(arguments, &settings, &gathering));
	if (gathering.selector)
		LH_TRY(lh_selector_judge(gathering.selector, &gathering.selection));
	bool is_saved = finish_record(&gathering);
	LH_TRY(print_selection(&gathering, &settings, is_saved));
	*ret_status = gathering.is_partial ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "interval", .letter = 'i', .argument = "TIME", .summary = "time between samples (default 2s)"},
	{.name = "samples", .letter = 'n', .argument = "N", .summary = "how many samples to take (default 10)"},
	{.name = "save",
	 .argument = "FILE",
	 .summary = "keep the samples as JSON lines, for --from and for `dump --region suspects`",
	 .completion = LH_COMPLETE_FILE},
	{.name = "force", .summary = "let --save replace an existing file"},
	{.name = "from",
	 .argument = "FILE",
	 .summary = "read samples from a record, or one from a saved smaps text, instead of a process",
	 .is_repeatable = true,
	 .completion = LH_COMPLETE_FILE},
	{.name = "times",
	 .argument = "LIST",
	 .summary = "when each --from file was taken, such as 0,60,2m (default: when it was last modified)"},
	{.name = "most", .argument = "N", .summary = "rows to show at most, 0 for all that changed (default 10)"},
	{.name = "json", .summary = "print JSON instead of text"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt select 4711", "watch process 4711 for 18 seconds, and say what grows"},
	{"leakhunt select 4711 -i 10m -n 50 --save night.jsonl", "watch it for 8 hours, and keep the samples"},
	{"leakhunt select --from night.jsonl --json", "judge the saved samples again, for a program"},
	{"leakhunt select --from a.smaps --from b.smaps --times 0,1h", "compare two saved smaps texts"},
	{NULL, NULL},
};

const struct lh_command lh_cmd_select = {
	.name = "select",
	.summary = "say which memory of a process grows, and how to dump it",
	.operands = "[PID]",
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_PID,
	.description =
		"Samples the private memory (USS and swap) of each mapping, follows mappings as they grow, split and "
		"merge, and ranks them by growth, with a verdict and the reason for it: leak, plateau, step, sawtooth, "
		"steady, shrinking or undecided. Ends with the command that dumps what grows.\n\n"
		"Ctrl-C takes a last sample and gives the result so far. The process is never stopped, but reading "
		"smaps "
		"holds a lock that its mmap and munmap wait for: the receipt says for how long.",
	.options = options,
	.examples = examples,
	.run = run,
};
