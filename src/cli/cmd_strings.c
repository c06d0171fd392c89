/*
 * cmd_strings: `leakhunt strings FILE|PID`: prints what memory consists of (scan's summary), or with --list every
 * string, as GNU strings does.
 */
#include "command.h"
#include "confinement.h"
#include "leakhunt/confine.h"
#include "leakhunt/heap.h"
#include "manual.h"
#include "region_option.h"
#include "strings_diff.h"
#include "strings_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MIN_CHARS_DEFAULT = 4,
	SHORT_MIN_CHARS_DEFAULT = 8,
	MIN_CHARS_MOST = 1 << 30,
	TOP_DEFAULT = 20,
	TOP_MOST = 100000,
	THREADS_MOST = 256,
	AROUND_DEFAULT = 2,
	AROUND_MOST = 1000
};

/* ---------------------------------------------------------------- the request */

static struct lh_error *read_min_chars(const struct lh_arguments *arguments, struct lh_strings_request *ret)
{
	uint64_t chars = ret->is_short ? SHORT_MIN_CHARS_DEFAULT : MIN_CHARS_DEFAULT;
	LH_TRY(lh_arguments_u64(arguments, "bytes", 1, MIN_CHARS_MOST, &chars));
	ret->run.min_chars = chars;
	return NULL;
}

static struct lh_error *refuse_contradictions(const struct lh_arguments *arguments,
					      const struct lh_strings_request *request)
{
	if (request->radix && !request->is_list)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--radix requires --list"), "add --list");
	if (request->is_list && request->is_json)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--list prints plain strings, --json the summary"),
				     "leave one of them out");
	if (request->is_list && (lh_arguments_has(arguments, "top") || request->sysroot))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--list prints all strings and no symbols"),
				     "leave out --top and --sysroot, or --list");
	if (lh_arguments_has(arguments, "all") && (request->is_list || request->is_json))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--all does not go with --list or --json"),
				     "leave out --all: --list and --json print everything");
	if (!request->is_grep && lh_arguments_has(arguments, "around"))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--around requires --grep"), "add --grep PATTERN");
	if (lh_arguments_has(arguments, "region") && (!request->is_process || lh_strings_diff_is_wanted(arguments)))
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "--region requires one process"),
				     "name a process, or dump a region with `leakhunt dump --region`");
	if (request->is_process && request->is_raw)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "a live process has addresses, not file offsets"),
				     "leave out --offsets and --raw, or name a file");
	return NULL;
}

static struct lh_error *read_request(const struct lh_arguments *arguments, struct lh_strings_request *ret)
{
	*ret = (struct lh_strings_request){
		.arguments = arguments,
		.operand = lh_arguments_operand(arguments, 0),
		.walk_flags = lh_arguments_has(arguments, "context") ? LH_WALK_CONTEXT : 0,
		.top = TOP_DEFAULT,
		.sysroot = lh_arguments_value(arguments, "sysroot"),
		.around = AROUND_DEFAULT,
		.is_grep = lh_arguments_has(arguments, "grep"),
		.is_list = lh_arguments_has(arguments, "list") || lh_arguments_has(arguments, "grep"),
		.is_raw = lh_arguments_has(arguments, "raw") || lh_arguments_has(arguments, "offsets"),
		.is_json = lh_arguments_has(arguments, "json"),
		.shows_secrets = lh_arguments_has(arguments, "show-secrets"),
	};
	ret->is_short = !ret->is_list && !ret->is_json && !lh_arguments_has(arguments, "all") &&
			!lh_arguments_has(arguments, "top");
	pid_t pid;
	ret->is_process = lh_operand_is_pid(ret->operand, &pid);
	LH_TRY(read_min_chars(arguments, ret));
	/* Parsing has refused all letters but those of the option rows. */
	const char *radix = lh_arguments_value(arguments, "radix");
	const char *encoding = lh_arguments_value(arguments, "encoding");
	if (radix)
		ret->radix = *radix;
	ret->run.encoding = ret->is_list ? LH_ENCODING_ASCII : LH_ENCODING_UTF8;
	if (encoding)
		lh_encoding_parse(encoding, &ret->run.encoding);
	LH_TRY(lh_arguments_u64(arguments, "top", 1, TOP_MOST, &ret->top));
	LH_TRY(lh_arguments_u64(arguments, "around", 0, AROUND_MOST, &ret->around));
	LH_TRY(lh_arguments_u64(arguments, "threads", 1, THREADS_MOST, &ret->threads));
	LH_TRY(refuse_contradictions(arguments, ret));
	if (lh_arguments_has(arguments, "offsets") && ret->is_list && !ret->radix)
		ret->radix = 'x';
	return NULL;
}

static struct lh_error *read_pattern(const struct lh_arguments *arguments, const char *option,
				     struct lh_text_filter **ret)
{
	const char *pattern = lh_arguments_value(arguments, option);
	return pattern ? lh_text_filter_create(pattern, ret) : NULL;
}

/* ---------------------------------------------------------------- the image */

static void warn_of_unpacking(const struct lh_image *image)
{
	char bytes[LH_FORMAT_MAX];
	if (lh_image_unpacked_bytes(image))
		lh_warn("%s was unpacked into a temporary file of %s, since it cannot be read in parts",
			lh_image_path(image), lh_format_bytes(lh_image_unpacked_bytes(image), bytes));
}

/* Opens and parses the file confined: only the file and what belongs to it can be opened. */
static struct lh_error *open_file(const struct lh_strings_request *request, struct lh_image **ret)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	LH_TRY(lh_confinement_add_image(&confinement, request->operand));
	if (!request->is_list)
		LH_TRY(lh_confinement_add_symbols(&confinement, request->sysroot ? request->sysroot : ""));
	lh_confinement_apply(&confinement);
	LH_TRY(lh_image_open_file(request->operand, &(struct lh_image_options){.raw = request->is_raw}, ret));
	warn_of_unpacking(*ret);
	return NULL;
}

static struct lh_error *narrow_to_regions(const struct lh_arguments *arguments, const struct lh_process *process,
					  struct lh_image *image)
{
	enum { WANTS_MAX = 64 };
	struct lh_want wants[WANTS_MAX];
	size_t count = lh_arguments_value_count(arguments, "region"), range_count;
	LH_CLEANUP(lh_cleanup_free) struct lh_range *ranges = NULL;
	if (count > WANTS_MAX)
		return lh_error_create(LH_ERROR_USAGE, "at most %d regions can be named", WANTS_MAX);
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_parse_region_word(lh_arguments_value_at(arguments, "region", i), &wants[i]));
	if (!count)
		return NULL;
	LH_TRY(lh_want_find(process, wants, count, lh_heap_find_owners, &ranges, &range_count));
	return lh_image_narrow(image, ranges, range_count);
}

/* Memory, files and mappings of a process are opened before the confinement, which would refuse them. */
static struct lh_error *open_process(const struct lh_strings_request *request, struct lh_process **ret_process,
				     struct lh_image **ret)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	LH_TRY(lh_operand_process(request->operand, ret_process));
	LH_TRY(lh_process_pin(*ret_process));
	LH_TRY(lh_image_open_process(*ret_process, ret));
	LH_TRY(narrow_to_regions(request->arguments, *ret_process, *ret));
	LH_TRY(lh_confinement_add_process(&confinement, *ret_process));
	if (!request->is_list)
		LH_TRY(lh_confinement_add_symbols(&confinement,
						  request->sysroot ? request->sysroot : lh_image_root(*ret)));
	lh_confinement_apply(&confinement);
	return NULL;
}

/* *ret_process lives as long as the image; NULL for a file. Afterwards leakhunt is confined. */
static struct lh_error *open_image(const struct lh_strings_request *request, struct lh_process **ret_process,
				   struct lh_image **ret)
{
	LH_TRY(request->is_process ? open_process(request, ret_process, ret) : open_file(request, ret));
	lh_image_ask_owners(*ret);
	/* Modules and their symbols are opened while scanning. */
	lh_confine_settle();
	return NULL;
}

/* ---------------------------------------------------------------- the summary */

static bool show_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	lh_progress_bytes(context, "scanning", done_bytes, total_bytes);
	return !lh_interrupt_requested();
}

static void cleanup_progress(struct lh_progress_line *line)
{
	lh_progress_end(line);
}

static struct lh_error *print_summary(const struct lh_strings_request *request, const struct lh_image *image,
				      const struct lh_summary *summary)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_strings_report report = {
		.image = image,
		.summary = summary,
		.min_chars = request->run.min_chars,
		.top = request->top,
		.is_short = request->is_short,
	};
	if (request->is_json)
		lh_report_strings_json(&report, &text);
	else
		lh_report_strings_text(&report, lh_terminal_style(), &text);
	return lh_print(&text);
}

static struct lh_summary_options summary_options(const struct lh_strings_request *request)
{
	return (struct lh_summary_options){
		.run = request->run,
		.walk_flags = request->walk_flags,
		.top = request->top,
		.threads = (unsigned)request->threads,
		.shows_secrets = request->shows_secrets,
		.root = request->sysroot,
	};
}

static struct lh_error *run_summary(const struct lh_strings_request *request, struct lh_image *image, int *ret_status)
{
	struct lh_progress_line progress LH_CLEANUP(cleanup_progress);
	lh_progress_begin(&progress);
	struct lh_summary_options options = summary_options(request);
	options.progress = show_progress;
	options.progress_context = &progress;
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	LH_TRY(lh_summarize(image, &options, &summary));
	lh_progress_end(&progress);
	*ret_status = lh_strings_status(image, summary.is_interrupted || summary.match_loss.count);
	return print_summary(request, image, &summary);
}

/* ---------------------------------------------------------------- the command */

static struct lh_error *run_strings(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_strings_request request;
	LH_CLEANUP(lh_cleanup_text_filter) struct lh_text_filter *match = NULL;
	LH_CLEANUP(lh_cleanup_text_filter) struct lh_text_filter *mark = NULL;
	LH_TRY(read_request(arguments, &request));
	LH_TRY(read_pattern(arguments, "match", &match));
	LH_TRY(read_pattern(arguments, "grep", &mark));
	request.run.match = match;
	request.run.mark = mark;
	lh_interrupt_install();
	if (lh_strings_diff_is_wanted(arguments)) {
		struct lh_summary_options options = summary_options(&request);
		return lh_strings_diff_run(arguments, &options, ret_status);
	}
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	LH_TRY(open_image(&request, &process, &image));
	return request.is_list ? lh_strings_list(&request, image, ret_status)
			       : run_summary(&request, image, ret_status);
}

static const struct lh_option options[] = {
	{.name = "bytes",
	 .letter = 'n',
	 .argument = "N",
	 .summary = "take only strings of at least N characters (default: 8; with --list, --all or --json: 4)"},
	{.name = "list", .letter = 'l', .summary = "print every string, as GNU strings does, instead of the summary"},
	{.name = "match",
	 .argument = "REGEX",
	 .summary = "take only strings that match REGEX (pcre2pattern)",
	 .old_letter = 'm'},
	{.name = "grep",
	 .letter = 'g',
	 .argument = "REGEX",
	 .summary = "print the strings that match REGEX, and their neighbors in memory, as grep -C does"},
	{.name = "around",
	 .letter = 'C',
	 .argument = "N",
	 .summary = "with --grep: print N strings before and after each match (default: 2)"},
	{.name = "radix",
	 .letter = 't',
	 .argument = "RADIX",
	 .summary = "with --list or --grep: begin each line with the address, in octal (o), decimal (d) or hexadecimal "
		    "(x)",
	 .words = "o d x"},
	{.name = "encoding",
	 .letter = 'e',
	 .argument = "ENCODING",
	 .summary =
		 "look for characters of 7 bits (s), 8 bits (S), 16 bits big or little endian (b, l), 32 bits (B, L), "
		 "or valid UTF-8 (u) (default: u; with --list: s)",
	 .words = "s S b l B L u"},
	{.name = "offsets",
	 .summary =
		 "scan the whole file, and print offsets instead of addresses: with --list --show-secrets the output "
		 "of `strings -a -t x`"},
	{.name = "region",
	 .letter = 'r',
	 .argument = "WHAT",
	 .summary = "scan only WHAT of a process, as in `leakhunt dump --region`: heap, stacks, 0xSTART-0xEND, "
		    "name:GLOB, ... (default: private)",
	 .words = LH_REGION_WORDS " name:...",
	 .is_repeatable = true},
	{.name = "raw", .summary = "read a dump or a core as plain bytes"},
	{.name = "context", .summary = "also scan the context of a dump or a process: data of modules, files"},
	{.name = "all", .summary = "print every part of the summary instead of one table"},
	{.name = "top", .argument = "N", .summary = "show at most N rows in each part; implies --all (default: 20)"},
	{.name = "threads", .argument = "N", .summary = "use N threads; the result is the same (default: one per CPU)"},
	{.name = "sysroot",
	 .argument = "DIR",
	 .summary = "look for the files of modules below DIR, for a dump of another machine",
	 .completion = LH_COMPLETE_FILE},
	{.name = "against",
	 .argument = "FILE|PID",
	 .summary = "show what grew since this dump: `strings B --against A` is `strings A B`",
	 .completion = LH_COMPLETE_PID_OR_FILE},
	{.name = "show-secrets", .summary = "print keys, passwords, tokens and cookies without masking them"},
	{.name = "json",
	 .letter = 'j',
	 .summary = "print JSON instead of text, schema leakhunt/strings/1; of two dumps leakhunt/strings-diff/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt strings dump.bin -n 100", "what the dump consists of; only texts of at least 100 characters"},
	{"leakhunt strings 4711", "the same of a running process, which is not stopped"},
	{"leakhunt strings --list -t x dump.bin | grep -i token", "every string with its address in the process"},
	{"leakhunt strings --grep 'Authorization:' -t x dump.bin", "which strings lie around these headers in memory"},
	{"leakhunt strings --list --offsets --show-secrets core", "the output of GNU strings -a -t x, byte for byte"},
	{"leakhunt strings monday.bin tuesday.bin", "what grew between the two dumps"},
	{.command = NULL},
};

const struct lh_command lh_cmd_strings = {
	.name = "strings",
	.summary = "show what memory consists of: texts, recognized contents, objects",
	.operands = "FILE|PID [FILE|PID]",
	.operands_min = 1,
	.operands_max = 2,
	.operand_completion = LH_COMPLETE_PID_OR_FILE,
	.manual = lh_manual_strings,
	.description =
		"Reads a dump of leakhunt, a core file of gcore, the kernel or systemd-coredump, any other file, or "
		"the memory of a running process. Summarizes what is in it: recognized contents (TLS records, "
		"certificates, HTTP, JSON ...), the most repeated texts, objects by type (OpenSSL, C++ and Python "
		"classes, other libraries), and the symbols that pointers lead to. Programs and libraries may be "
		"stripped. leakhunt uses debug packages where they are installed, and asks debuginfod servers when "
		"DEBUGINFOD_URLS is set.\n\n"
		"Given two dumps or processes, shows what grew between them.\n\n"
		"Scans the regions that the dump was made of, or the private anonymous memory of a process. --context "
		"adds the rest.\n\n"
		"leakhunt masks secrets with '*' in every output unless --show-secrets is given: private keys, TLS "
		"session secrets, tokens, password hashes, cookies, and passwords in URLs, key=value pairs, command "
		"lines, SQL and mail logins. `man leakhunt`, SECRETS, lists the forms. Secrets without a recognizable "
		"form are not masked: protect outputs as you protect the dump.\n\n"
		"Exit status 1: a part could not be read and is listed, or Ctrl-C ended the scan early.",
	.options = options,
	.examples = examples,
	.run = run_strings,
};
