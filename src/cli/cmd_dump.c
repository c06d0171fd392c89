/*
 * cmd_dump: `leakhunt dump`: words to options, progress on stderr, the receipt on stdout. The work
 * is done by lh_dump.
 */
#include "command.h"
#include "leakhunt/heap.h"
#include "leakhunt/watch.h"
#include "manual.h"
#include "region_option.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_NAME      "dump"
#define DEFAULT_PATH      DEFAULT_NAME ".bin"
#define DEFAULT_REGION    "private"
#define DEFAULT_MAX_PAUSE "10ms"

struct dump_words {
	struct lh_want_list wants;
	char path[64]; /* of the file, if none was given */
};

static void words_deinit(struct dump_words *words)
{
	lh_want_list_deinit(&words->wants);
}

/* ---------------------------------------------------------------- suspects of a record */

static struct lh_error *check_record(const struct lh_selection *selection, const struct lh_process *process,
				     const char *path)
{
	if (!selection->pid || selection->pid == lh_process_pid(process))
		return NULL;
	return lh_error_create(LH_ERROR_USAGE, "%s records process %d, not %d", path, (int)selection->pid,
			       (int)lh_process_pid(process));
}

static struct lh_error *select_from(const char *path, struct lh_selection *ret)
{
	struct lh_record_losses losses;
	return lh_record_file_select(path, ret, &losses);
}

static struct lh_error *want_suspects(const struct lh_process *process, const char *path, struct dump_words *words)
{
	if (!path)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "region 'suspects' needs a record of samples"),
				     "make one with `leakhunt select %d --save FILE`, then add --suspects FILE",
				     (int)lh_process_pid(process));
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	LH_TRY(select_from(path, &selection));
	LH_TRY(check_record(&selection, process, path));
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(lh_regions_read_owned(process, LH_REGIONS_MAPS, &list));
	size_t count_before = words->wants.items.count;
	LH_TRY(lh_want_list_add_suspects(&selection, &list, &words->wants));
	if (words->wants.items.count > count_before)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "%s shows no region that grows and still exists", path),
			     "record over a longer time, or name a region with --region");
}

/* ---------------------------------------------------------------- words to options */

static struct lh_error *add_want(const struct lh_process *process, const char *word, const char *record_path,
				 struct dump_words *words)
{
	if (strcmp(word, "suspects") == 0)
		return want_suspects(process, record_path, words);
	struct lh_want want;
	LH_TRY(lh_parse_region_word(word, &want));
	return lh_vec_push(&words->wants.items, want);
}

static struct lh_error *parse_regions(const struct lh_arguments *arguments, const struct lh_process *process,
				      struct dump_words *words)
{
	const char *record_path = lh_arguments_value(arguments, "suspects");
	const char *implied = record_path ? "suspects" : DEFAULT_REGION;
	if (!lh_arguments_value_count(arguments, "region"))
		return add_want(process, implied, record_path, words);
	const char *word;
	for (size_t i = 0; (word = lh_arguments_value_at(arguments, "region", i)); i++)
		LH_TRY(add_want(process, word, record_path, words));
	return NULL;
}

/* adds the hint "it is core or raw" */
static struct lh_error *hint_choices(struct lh_error *error, const char *const *names, int count)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	for (int i = 0; i < count; i++)
		lh_buffer_printf(&text, "%s%s", !i ? "" : i == count - 1 ? " or " : ", ", names[i]);
	return lh_error_hint(error, "it is %s", text.data ? text.data : "another word");
}

static struct lh_error *parse_choice(const struct lh_arguments *arguments, const char *option, const char *const *names,
				     int count, int *ret)
{
	const char *word = lh_arguments_value(arguments, option);
	for (int i = 0; word && i < count; i++) {
		if (strcmp(word, names[i]) == 0) {
			*ret = i;
			return NULL;
		}
	}
	if (!word)
		return NULL;
	return hint_choices(lh_error_create(LH_ERROR_USAGE, "--%s cannot be '%s'", option, word), names, count);
}

static bool is_taken(const char *path, const struct lh_dump_options *options)
{
	char index_path[80];
	snprintf(index_path, sizeof(index_path), "%s.json", path);
	return access(path, F_OK) == 0 || (options->format == LH_DUMP_RAW && access(index_path, F_OK) == 0);
}

/* The next free of dump.bin, dump.2.bin, dump.3.bin: an earlier dump is never overwritten. */
static void choose_path(const struct lh_dump_options *options, struct dump_words *words)
{
	enum { NAMES_MAX = 10000 };
	const char *suffix = options->compress ? ".zst" : "";
	snprintf(words->path, sizeof(words->path), DEFAULT_PATH "%s", suffix);
	if (options->force || !is_taken(words->path, options))
		return;
	for (int number = 2; number < NAMES_MAX && is_taken(words->path, options); number++)
		snprintf(words->path, sizeof(words->path), DEFAULT_NAME ".%d.bin%s", number, suffix);
	lh_warn(DEFAULT_PATH "%s exists: this dump goes to %s", suffix, words->path);
}

/* A dump gets its name once it is complete, so it cannot go to a stream. */
static struct lh_error *parse_path(const struct lh_arguments *arguments, struct lh_dump_options *options,
				   struct dump_words *words)
{
	options->path = lh_arguments_value(arguments, "output");
	if (!options->path) {
		choose_path(options, words);
		options->path = words->path;
	}
	if (strcmp(options->path, "-") != 0)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "cannot write a dump to standard output"),
			     "name a file with -o (./- is the file named -)");
}

/* Refuses options that only mode snapshot has: other modes would ignore them silently. */
static struct lh_error *parse_snapshot_options(const struct lh_arguments *arguments, struct lh_dump_options *options)
{
	static const char *const reactions[] = {[LH_DUMP_SLOW_STOP] = "stop",
						[LH_DUMP_SLOW_LIVE] = "live",
						[LH_DUMP_SLOW_FAIL] = "fail",
						[LH_DUMP_SLOW_CHILD] = "child"};
	static const char *const trackers[] = {
		[LH_TRACKER_AUTO] = "auto", [LH_TRACKER_UFFD] = "uffd", [LH_TRACKER_SOFT] = "soft-dirty"};
	static const char *const names[] = {"max-pause", "on-slow", "tracker"};
	for (size_t i = 0; options->mode != LH_DUMP_SNAPSHOT && i < LH_ARRAY_COUNT(names); i++) {
		if (lh_arguments_value(arguments, names[i]))
			return lh_error_create(LH_ERROR_USAGE, "--%s goes with --mode snapshot only", names[i]);
	}
	int on_slow = LH_DUMP_SLOW_BOUNDED;
	LH_TRY(parse_choice(arguments, "on-slow", reactions, LH_ARRAY_COUNT(reactions), &on_slow));
	options->on_slow = (enum lh_dump_slow)on_slow;
	int tracker = LH_TRACKER_AUTO;
	LH_TRY(parse_choice(arguments, "tracker", trackers, LH_ARRAY_COUNT(trackers), &tracker));
	options->tracker = (enum lh_dump_tracker)tracker;
	options->no_inject = lh_arguments_has(arguments, "no-inject");
	if (options->no_inject && tracker == LH_TRACKER_UFFD)
		return lh_error_create(LH_ERROR_USAGE, "--no-inject forbids --tracker uffd");
	const char *max_pause = lh_arguments_value(arguments, "max-pause");
	return lh_parse_duration(max_pause ? max_pause : DEFAULT_MAX_PAUSE, &options->max_pause_ns);
}

static struct lh_error *parse_options(const struct lh_arguments *arguments, struct lh_dump_options *options,
				      struct dump_words *words)
{
	static const char *const modes[] = {[LH_DUMP_SNAPSHOT] = "snapshot",
					    [LH_DUMP_STOP] = "stop",
					    [LH_DUMP_LIVE] = "live",
					    [LH_DUMP_CHILD] = "child"};
	static const char *const formats[] = {[LH_DUMP_CORE] = "core", [LH_DUMP_RAW] = "raw"};
	int mode = LH_DUMP_SNAPSHOT, format = LH_DUMP_CORE;
	LH_TRY(parse_choice(arguments, "mode", modes, LH_ARRAY_COUNT(modes), &mode));
	LH_TRY(parse_choice(arguments, "format", formats, LH_ARRAY_COUNT(formats), &format));
	options->mode = (enum lh_dump_mode)mode;
	options->format = (enum lh_dump_format)format;
	LH_TRY(parse_snapshot_options(arguments, options));
	options->compress = lh_arguments_has(arguments, "compress");
	options->force = lh_arguments_has(arguments, "force");
	LH_TRY(parse_path(arguments, options, words));
	options->bare = lh_arguments_has(arguments, "bare");
	options->swapped = lh_arguments_has(arguments, "swapped");
	return NULL;
}

/* ---------------------------------------------------------------- running */

static bool show_dump_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	lh_progress_bytes(context, "dump", done_bytes, total_bytes);
	return !lh_interrupt_requested();
}

static void show_notice(void *context, const char *text)
{
	(void)context;
	lh_warn("%s", text);
}

static struct lh_error *print_dump_receipt(const struct lh_arguments *arguments, const struct lh_receipt *receipt)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (lh_arguments_has(arguments, "json"))
		LH_TRY(lh_receipt_encode(receipt, &text));
	else
		lh_report_receipt_text(receipt, lh_terminal_style(), &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

static struct lh_error *print_preview(const struct lh_arguments *arguments, const struct lh_preview *preview)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (lh_arguments_has(arguments, "json"))
		lh_report_preview_json(preview, &text);
	else
		lh_report_preview_text(preview, lh_terminal_style(), &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

static struct lh_error *run_dry(const struct lh_arguments *arguments, const struct lh_process *process,
				const struct lh_dump_options *options, int *ret_status)
{
	struct lh_preview preview LH_CLEANUP(lh_preview_deinit) = {0};
	LH_TRY(lh_dump_preview(process, options, &preview));
	if (preview.gap_bytes)
		*ret_status = LH_EXIT_PARTIAL;
	return print_preview(arguments, &preview);
}

static struct lh_error *dump_process(const struct lh_process *process, const struct lh_dump_options *options,
				     struct lh_receipt *ret)
{
	struct lh_progress_line line;
	lh_interrupt_install();
	lh_interrupt_grace(1);
	/* A write beyond RLIMIT_FSIZE must fail, not kill: the unfinished file has to be removed. */
	signal(SIGXFSZ, SIG_IGN);
	lh_progress_begin(&line);
	struct lh_dump_options with_progress = *options;
	with_progress.progress = show_dump_progress;
	with_progress.is_interrupted = lh_interrupt_requested;
	with_progress.notice = show_notice;
	with_progress.progress_context = &line;
	struct lh_error *error = lh_dump(process, &with_progress, ret);
	lh_interrupt_grace(0);
	lh_progress_end(&line);
	return error;
}

static struct lh_error *run_dump(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_dump_options options = {0};
	struct dump_words words LH_CLEANUP(words_deinit) = {0};
	struct lh_receipt receipt LH_CLEANUP(lh_receipt_deinit) = {0};
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_TRY(parse_options(arguments, &options, &words));
	LH_TRY(lh_operand_process(lh_arguments_operand(arguments, 0), &process));
	LH_TRY(parse_regions(arguments, process, &words));
	options.wants = words.wants.items.items;
	options.want_count = words.wants.items.count;
	options.find_owners = lh_heap_find_owners;
	if (lh_arguments_has(arguments, "dry-run"))
		return run_dry(arguments, process, &options, ret_status);
	LH_TRY(dump_process(process, &options, &receipt));
	if (receipt.gaps.items.count)
		*ret_status = LH_EXIT_PARTIAL;
	lh_warn("%s holds the memory of a process: passwords, keys, personal data; it is readable by you only",
		receipt.path);
	struct lh_error *error = print_dump_receipt(arguments, &receipt);
	return error ? lh_error_hint(error, "%s is complete all the same", receipt.path) : NULL;
}

static const struct lh_option options[] = {
	{
		.name = "region",
		.letter = 'r',
		.argument = "WHAT",
		.summary = "copy WHAT: heap (all memory of allocators), anon, stacks, private (anon and stacks), data, "
			   "all, suspects, 0xSTART-0xEND, name:GLOB, or a kind of `leakhunt maps` (default: private)",
		.words = LH_REGION_WORDS " suspects name:...",
		.is_repeatable = true,
	},
	{
		.name = "output",
		.letter = 'o',
		.argument = "FILE",
		.summary = "write to FILE (default: " DEFAULT_PATH ", or the next free name: " DEFAULT_NAME ".2.bin)",
		.completion = LH_COMPLETE_FILE,
	},
	{
		.name = "suspects",
		.old_letter = 's',
		.argument = "RECORD",
		.summary = "copy what grows in RECORD, made by `leakhunt select --save`",
		.completion = LH_COMPLETE_FILE,
	},
	{
		.name = "mode",
		.letter = 'm',
		.argument = "MODE",
		.summary = "snapshot: copy while the target runs, then stop it to copy what it wrote meanwhile; stop: "
			   "stop all threads while copying; child: stop all threads for a fork, and copy the child; "
			   "live: stop nothing (default: snapshot)",
		.words = "snapshot stop child live",
	},
	{
		.name = "max-pause",
		.argument = "TIME",
		.summary = "stop a snapshot's target for at most TIME (default: " DEFAULT_MAX_PAUSE ")",
	},
	{
		.name = "on-slow",
		.argument = "WHAT",
		.summary = "if the pause would exceed --max-pause: stop: accept any pause; child: continue in mode "
			   "child; live: continue in mode live; fail: write nothing (default: accept up to 10 times "
			   "--max-pause, and warn first)",
		.words = "stop child live fail",
	},
	{
		.name = "tracker",
		.argument = "HOW",
		.summary =
			"track the pages that the target writes by uffd: write protection, set up by a thread of the "
			"target (Linux 6.7); soft-dirty: the kernel's soft-dirty bits, without running code in the "
			"target, but with pauses that grow with its memory; auto: the first that works (default: "
			"auto)",
		.words = "auto uffd soft-dirty",
	},
	{
		.name = "no-inject",
		.summary = "run no code in the target: excludes --tracker uffd and mode child; falls back to mode stop",
	},
	{
		.name = "format",
		.argument = "FORMAT",
		.summary = "core: write an ELF core, which debuggers open; raw: write plain bytes, and an index "
			   "FILE.json (default: core)",
		.words = "core raw",
	},
	{.name = "bare", .summary = "omit the context that later analysis needs"},
	{
		.name = "compress",
		.letter = 'z',
		.summary = "compress with zstd after the pause (default FILE: " DEFAULT_PATH
			   ".zst); `leakhunt strings` reads the result, `zstd -d` makes it a core",
	},
	{
		.name = "swapped",
		.summary = "also dump swapped-out pages, last; this swaps them back in",
	},
	{.name = "force", .letter = 'f', .summary = "replace an existing file"},
	{
		.name = "dry-run",
		.old_letter = 'n',
		.summary =
			"print what a dump would copy, its mode, its pause and the disk space it needs; copy nothing",
	},
	{.name = "json", .letter = 'j', .summary = "print the receipt, or the plan of a dry run, as JSON"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt dump 4711", "all private memory, into " DEFAULT_PATH},
	{"leakhunt dump 4711 --region heap -o proxy.core", "the memory of all allocators and runtimes"},
	{"leakhunt dump 4711 --suspects proxy.jsonl", "the regions that grew in a saved record"},
	{"leakhunt dump 4711 --region all --dry-run", "what a dump would copy, its pause and its disk space"},
	{"leakhunt dump 4711 --region 0x7f10a0000000-0x7f10a4000000 --format raw --bare", "one range, plain bytes"},
	{NULL, NULL},
};

const struct lh_command lh_cmd_dump = {
	.name = "dump",
	.summary = "copy memory of a process into an ELF core",
	.operands = "PID",
	.operands_min = 1,
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_PID,
	.manual = lh_manual_dump,
	.description = "Copies the regions named by --region (repeatable) into an ELF core. Addresses stay the "
		       "target's; gdb, eu-stack and `leakhunt strings` open the file. Without --region, leakhunt "
		       "dumps all private anonymous memory, which is what can leak; the receipt lists what was left "
		       "out. Except for address ranges, a region also matches mappings that appear during the dump. "
		       "leakhunt reads only pages that are present: the target's memory does not grow. Swapped "
		       "pages stay in swap and are listed as missing, unless --swapped is given.\n"
		       "\n"
		       "leakhunt adds the context that later analysis needs: writable data of all modules, the used "
		       "part of stacks, and ELF headers. --bare omits it.\n"
		       "\n"
		       "Mode snapshot copies while the target runs, tracks the pages that the target writes, and "
		       "copies those again. It stops all threads only for the last of them, for some milliseconds. "
		       "All bytes are of that instant. One thread of the target makes a userfaultfd, which leakhunt "
		       "takes over and closes in the target at once (Linux 6.7, x86-64). Where this is impossible, "
		       "leakhunt uses mode child; where that is unsafe, or --no-inject forbids both, it uses mode "
		       "stop. The receipt says why.\n"
		       "\n"
		       "Mode child stops all threads while one of them forks (10 to 30 ms per GiB). The child never "
		       "runs; leakhunt copies, kills and reaps it. Until then, every page the target writes exists "
		       "twice.\n"
		       "\n"
		       "Mode stop stops all threads while it copies (250 to 500 ms per GiB). All bytes are of one "
		       "instant. Mode live stops nothing: pages may be of different moments. Whatever happens to "
		       "leakhunt, the target continues.\n"
		       "\n"
		       "Only the owner can read the file. The file gets its name when it is complete. Exit status: "
		       "0: complete; 1: incomplete, missing parts are listed; 2: failed, nothing written; 64: usage.",
	.options = options,
	.examples = examples,
	.run = run_dump,
};
