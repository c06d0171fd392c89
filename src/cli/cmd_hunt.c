/*
 * cmd_hunt: `leakhunt PID`, `leakhunt hunt PID`: words to options, progress on stderr, the answer on stdout and in the
 * folder. Steps and conclusions are lh_hunt's. leakhunt is confined as soon as the process need not be touched any
 * more.
 */
#include "command.h"
#include "confinement.h"
#include "leakhunt/confine.h"
#include "leakhunt/hunt.h"
#include "manual.h"
#include "redact_key.h"
#include "sampling_options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOR_NS       (180 * LH_NS_PER_S)
#define INTERVAL_NS  LH_NS_PER_S
#define MAX_PAUSE_NS (10 * LH_NS_PER_MS)
#define REPORT_HTML  "report.html"

/* The progress line, and the step that it shows. */
struct hunt_screen {
	struct lh_progress_line line;
	bool ignores_interrupt; /* Ctrl-C came before this step: the answer so far is wanted */
};

/* ---------------------------------------------------------------- progress */

static bool show_hunt_bytes(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct hunt_screen *screen = context;
	lh_progress_bytes(&screen->line, "reading", done_bytes, total_bytes);
	return screen->ignores_interrupt || !lh_interrupt_requested();
}

static void show_hunt_wait(void *context, const char *text)
{
	struct hunt_screen *screen = context;
	lh_progress_text(&screen->line, "  %s", text);
}

/* Printed without a terminal, too: minutes may pass. */
static void show_hunt_step(void *context, enum lh_hunt_step step, const char *text)
{
	struct hunt_screen *screen = context;
	(void)step;
	lh_progress_end(&screen->line);
	fprintf(stderr, "leakhunt: %s\n", text);
	lh_progress_begin(&screen->line);
}

static void show_hunt_notice(void *context, const char *text)
{
	(void)context;
	lh_warn("%s", text);
}

static void cleanup_hunt_screen(struct hunt_screen *screen)
{
	lh_progress_end(&screen->line);
}

/* ---------------------------------------------------------------- words to options */

static struct lh_error *read_hunt_options(const struct lh_arguments *arguments, struct lh_hunt_options *ret)
{
	uint64_t max_stall_ns = LH_MAX_STALL_NS;
	ret->for_ns = FOR_NS;
	ret->interval_ns = INTERVAL_NS;
	ret->max_pause_ns = MAX_PAUSE_NS;
	LH_TRY(lh_arguments_duration(arguments, "for", &ret->for_ns));
	LH_TRY(lh_arguments_duration(arguments, "interval", &ret->interval_ns));
	LH_TRY(lh_arguments_duration(arguments, "max-pause", &ret->max_pause_ns));
	LH_TRY(lh_sampling_max_stall(arguments, &max_stall_ns));
	if (ret->interval_ns < LH_NS_PER_MS)
		return lh_error_create(LH_ERROR_USAGE, "option --interval: must be at least 1ms");
	if (ret->for_ns < 3 * ret->interval_ns)
		return lh_error_create(LH_ERROR_USAGE, "option --for: must be at least three intervals");
	ret->sampling = lh_sampling_options_make(NULL, max_stall_ns);
	ret->folder = lh_arguments_value(arguments, "output");
	ret->keeps_dumps = !lh_arguments_has(arguments, "no-keep");
	ret->progress = show_hunt_bytes;
	ret->show_wait = show_hunt_wait;
	ret->show_step = show_hunt_step;
	ret->notice = show_hunt_notice;
	return NULL;
}

static bool is_live(const struct lh_arguments *arguments)
{
	pid_t pid;
	return lh_arguments_operand_count(arguments) == 1 &&
	       lh_operand_is_pid(lh_arguments_operand(arguments, 0), &pid);
}

static struct lh_error *check_hunt_words(const struct lh_arguments *arguments)
{
	static const char *const live_only[] = {"for", "interval", "max-pause", "max-stall", "no-keep", "output"};
	static const char *const file_only[] = {"record", "html"};
	static const char hint[] = "`leakhunt PID` watches and dumps a process; `leakhunt hunt A.core B.core --record "
				   "FILE` explains saved files";
	for (size_t i = 0; i < LH_ARRAY_COUNT(file_only) && is_live(arguments); i++) {
		if (lh_arguments_has(arguments, file_only[i]))
			return lh_error_hint(
				lh_error_create(LH_ERROR_USAGE, "option --%s does not go with a PID", file_only[i]),
				"%s", hint);
	}
	/* The last steps are confined, and may not trace. */
	const char *folder = lh_arguments_value(arguments, "output");
	if (folder && lh_path_needs_tracing(folder))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "a hunt cannot write to a folder below /proc"),
				     "`leakhunt dump PID -o FILE` can, also in a container's /proc/PID/root");
	if (is_live(arguments))
		return NULL;
	if (!lh_arguments_operand_count(arguments) && !lh_arguments_has(arguments, "record"))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "neither PID nor files are given"), "%s", hint);
	for (size_t i = 0; i < LH_ARRAY_COUNT(live_only); i++) {
		if (lh_arguments_has(arguments, live_only[i]))
			return lh_error_hint(
				lh_error_create(LH_ERROR_USAGE, "option --%s goes with a PID only", live_only[i]), "%s",
				hint);
	}
	return NULL;
}

/* ---------------------------------------------------------------- steps */

static struct lh_error *observe_process(const struct lh_arguments *arguments, const struct lh_hunt_options *options,
					struct lh_hunt *ret)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_TRY(lh_operand_process(lh_arguments_operand(arguments, 0), &process));
	/* A write beyond RLIMIT_FSIZE must fail, not kill: the unfinished file has to be removed. */
	signal(SIGXFSZ, SIG_IGN);
	return lh_hunt_observe(process, options, ret);
}

/* After this, only the files of the hunt and of modules can be opened, and only the hunt's folder written. */
static struct lh_error *confine_hunt(const struct lh_hunt *hunt)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		if (hunt->dump_paths[side])
			LH_TRY(lh_confinement_add_image(&confinement, hunt->dump_paths[side]));
	}
	if (hunt->record_path)
		LH_TRY(lh_confinement_add_path(&confinement, hunt->record_path));
	LH_TRY(lh_confinement_add_symbols(&confinement, ""));
	/* All outputs lie in one folder: the path of one names it. */
	if (hunt->folder) {
		struct lh_buffer path LH_CLEANUP(lh_buffer_deinit) = {0};
		lh_buffer_printf(&path, "%s/" REPORT_HTML, hunt->folder);
		LH_TRY(lh_buffer_status(&path));
		LH_TRY(lh_confinement_add_output(&confinement, path.data));
	}
	lh_confinement_apply(&confinement);
	return NULL;
}

/* What is read, and where the page goes: all that may be opened from then on. */
static struct lh_error *confine_files(const struct lh_arguments *arguments, char *dumps[LH_HUNT_SIDES])
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		if (dumps[side])
			LH_TRY(lh_confinement_add_image(&confinement, dumps[side]));
	}
	if (lh_arguments_has(arguments, "record"))
		LH_TRY(lh_confinement_add_path(&confinement, lh_arguments_value(arguments, "record")));
	if (lh_arguments_has(arguments, "html"))
		LH_TRY(lh_confinement_add_output(&confinement, lh_arguments_value(arguments, "html")));
	LH_TRY(lh_confinement_add_symbols(&confinement, ""));
	lh_confinement_apply(&confinement);
	return NULL;
}

static void free_dump_paths(char *(*dumps)[LH_HUNT_SIDES])
{
	for (int side = 0; side < LH_HUNT_SIDES; side++)
		free((*dumps)[side]);
}

/* Those that are named; of a record alone, those that its hunt left beside it. */
static struct lh_error *name_dumps(const struct lh_arguments *arguments, char *ret[LH_HUNT_SIDES])
{
	size_t count = lh_arguments_operand_count(arguments);
	if (!count)
		return lh_hunt_find_dumps(lh_arguments_value(arguments, "record"), ret);
	for (size_t i = 0; i < count; i++) {
		const char *path = lh_arguments_operand(arguments, i);
		if (access(path, R_OK) < 0)
			return lh_error_hint(lh_error_from_errno(errno, "cannot read %s", path),
					     "give one PID, or the files of dumps");
		ret[i] = strdup(path);
		if (!ret[i])
			return lh_error_no_memory();
	}
	return NULL;
}

static struct lh_error *load_files(const struct lh_arguments *arguments, struct lh_hunt *ret)
{
	LH_CLEANUP(free_dump_paths) char *dumps[LH_HUNT_SIDES] = {NULL, NULL};
	LH_TRY(name_dumps(arguments, dumps));
	LH_TRY(confine_files(arguments, dumps));
	bool are_found = !lh_arguments_operand_count(arguments) && (dumps[LH_HUNT_BEFORE] || dumps[LH_HUNT_AFTER]);
	if (are_found)
		fputs("leakhunt: the dumps beside the record are compared, too\n", stderr);
	return lh_hunt_load(dumps[LH_HUNT_BEFORE], dumps[LH_HUNT_AFTER], lh_arguments_value(arguments, "record"), ret);
}

static void remove_dumps(const struct lh_hunt *hunt)
{
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		if (hunt->dump_paths[side] && unlink(hunt->dump_paths[side]) < 0)
			lh_warn("cannot remove %s", hunt->dump_paths[side]);
	}
}

static struct lh_error *write_hunt_file(const char *path, const struct lh_buffer *report)
{
	LH_CLEANUP(lh_cleanup_outfile) struct lh_outfile *file = NULL;
	LH_TRY(lh_outfile_create(path, false, &file));
	LH_TRY(lh_fd_write_all(lh_outfile_fd(file), path, report->data, report->length));
	return lh_outfile_commit(file);
}

static struct lh_error *write_hunt_json(const struct lh_hunt *hunt, const struct lh_buffer *json)
{
	LH_CLEANUP(lh_cleanup_free) char *path = NULL;
	if (asprintf(&path, "%s/report.json", hunt->folder) < 0) {
		path = NULL;
		return lh_error_no_memory();
	}
	return write_hunt_file(path, json);
}

/* Sets the hunt's report_path once the page is written. */
static struct lh_error *write_hunt_html(struct lh_hunt *hunt, const char *output)
{
	struct lh_buffer html LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free) char *path = NULL;
	int length = output ? asprintf(&path, "%s", output) : asprintf(&path, "%s/" REPORT_HTML, hunt->folder);
	if (length < 0) {
		path = NULL;
		return lh_error_no_memory();
	}
	lh_report_hunt_html(hunt, &html);
	LH_TRY(lh_buffer_status(&html));
	LH_TRY(write_hunt_file(path, &html));
	hunt->report_path = path;
	path = NULL;
	return NULL;
}

static struct lh_error *print_hunt(struct lh_hunt *hunt, const struct lh_arguments *arguments, bool *ret_is_partial)
{
	struct lh_buffer json LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_hunt_measure_disk(hunt);
	lh_report_hunt_json(hunt, &json);
	LH_TRY(lh_buffer_status(&json));
	struct lh_error *error = hunt->folder ? write_hunt_json(hunt, &json) : NULL;
	if (error)
		lh_go_on_without(ret_is_partial, error, "there is no report.json");
	if (lh_arguments_has(arguments, "html"))
		LH_TRY(write_hunt_html(hunt, lh_arguments_value(arguments, "html")));
	error = hunt->folder ? write_hunt_html(hunt, NULL) : NULL;
	if (error)
		lh_go_on_without(ret_is_partial, error, "there is no " REPORT_HTML);
	if (lh_arguments_has(arguments, "json"))
		return lh_print(&json);
	lh_hunt_measure_disk(hunt);
	lh_report_hunt_text(hunt, lh_terminal_style(), &text);
	return lh_print(&text);
}

static struct lh_error *run_hunt(const struct lh_arguments *arguments, int *ret_status)
{
	struct hunt_screen screen LH_CLEANUP(cleanup_hunt_screen) = {.ignores_interrupt = false};
	struct lh_hunt hunt LH_CLEANUP(lh_hunt_deinit) = {0};
	struct lh_hunt_options options = {.context = &screen};
	uint8_t key[LH_REDACT_KEY_BYTES];
	bool is_partial = false;
	LH_TRY(check_hunt_words(arguments));
	LH_TRY(lh_redact_key_read(NULL, key));
	LH_TRY(read_hunt_options(arguments, &options));
	lh_interrupt_install();
	lh_progress_begin(&screen.line);
	if (is_live(arguments)) {
		LH_TRY(observe_process(arguments, &options, &hunt));
		LH_TRY(confine_hunt(&hunt));
	} else {
		LH_TRY(load_files(arguments, &hunt));
	}
	screen.ignores_interrupt = lh_interrupt_requested();
	struct lh_error *error = lh_hunt_conclude(&hunt, &options);
	if (!options.keeps_dumps)
		remove_dumps(&hunt);
	LH_TRY(error);
	lh_progress_end(&screen.line);
	if (lh_arguments_has(arguments, "redact"))
		LH_TRY(lh_report_redact_hunt(&hunt, key));
	LH_TRY(print_hunt(&hunt, arguments, &is_partial));
	*ret_status = is_partial || !lh_hunt_is_complete(&hunt) ? LH_EXIT_PARTIAL : LH_EXIT_COMPLETE;
	return NULL;
}

static const struct lh_option options[] = {
	{.name = "for",
	 .argument = "TIME",
	 .summary = "spend at most TIME on watching and on waiting for growth "
		    "(default: 3m)"},
	{.name = "interval", .letter = 'i', .argument = "TIME", .summary = "wait TIME between samples (default: 1s)"},
	{.name = "output",
	 .letter = 'o',
	 .argument = "FOLDER",
	 .summary = "create FOLDER for all files (default: COMMAND.PID.TIME)",
	 .completion = LH_COMPLETE_FILE},
	{.name = "no-keep", .summary = "remove the dumps at the end, and keep the record and the reports"},
	{.name = "record",
	 .argument = "FILE",
	 .summary = "without PID: judge the samples of this record",
	 .completion = LH_COMPLETE_FILE},
	{.name = "html",
	 .argument = "FILE",
	 .summary = "without PID: also write the report as a page to FILE",
	 .completion = LH_COMPLETE_FILE},
	{.name = "max-pause",
	 .argument = "TIME",
	 .summary = "stop the process for at most TIME per dump (default: 10ms)"},
	{.name = "max-stall", .argument = "TIME", .summary = LH_MAX_STALL_SUMMARY},
	{.name = "redact", .summary = "replace texts of the process in all reports by keyed hashes; dumps keep them"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/hunt/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt 4711", "what grows in process 4711, what it is, why it stays, what to do next"},
	{"leakhunt hunt 4711 --for 20m --no-keep", "a slow leak; keep no dumps"},
	{"leakhunt hunt monday.core tuesday.core --record week.jsonl", "the same from saved files"},
	{NULL, NULL},
};

const struct lh_command lh_cmd_hunt = {
	.name = "hunt",
	.summary = "show what grows, what it is, why it stays, and what to do next",
	.operands = "[PID|FILE] [FILE]",
	.operands_max = 2,
	.operand_completion = LH_COMPLETE_PID_OR_FILE,
	.manual = lh_manual_hunt,
	.description =
		"`leakhunt PID` is the same. Samples the process until the verdict is firm, dumps what grows, waits "
		"for growth worth comparing, dumps it again, compares both dumps, and prints an answer that fits a "
		"screen. Each answer is followed by the command that shows its evidence.\n\n"
		"A step that is impossible is listed, and the hunt continues without it. Ctrl-C ends the waiting and "
		"gives the answer so far.\n\n"
		"All files go to a new folder with mode 0700: record.jsonl, before.core, after.core, report.json, and "
		"report.html, a page that works offline. The dumps hold the memory of the process: passwords, keys, "
		"personal data.",
	.options = options,
	.examples = examples,
	.run = run_hunt,
};
