/*
 * cmd_redact: `leakhunt redact A.core -o B.core`: a core to send to a colleague.
 */
#include "command.h"
#include "confinement.h"
#include "redact_key.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { KEY_FILE_MAX = 1 << 20 };

struct lh_error *lh_redact_key_read(const char *path, uint8_t ret[LH_REDACT_KEY_BYTES])
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!path) {
		if (getrandom(ret, LH_REDACT_KEY_BYTES, 0) != LH_REDACT_KEY_BYTES)
			return lh_error_from_errno(errno, "cannot make a random key");
		return NULL;
	}
	LH_TRY(lh_file_read(path, KEY_FILE_MAX, &text));
	if (text.length < LH_REDACT_KEY_BYTES)
		return lh_error_hint(
			lh_error_create(LH_ERROR_USAGE, "%s holds less than %d bytes", path, LH_REDACT_KEY_BYTES),
			"make one with `head -c 32 /dev/urandom >FILE`");
	lh_redact_key_of((const uint8_t *)text.data, text.length, ret);
	return NULL;
}

static struct lh_error *open_redacted_output(const struct lh_arguments *arguments, struct lh_outfile **ret)
{
	const char *path = lh_arguments_value(arguments, "output");
	if (!path)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "no file for the redacted core is named"),
				     "add -o FILE");
	return lh_outfile_create(path, lh_arguments_has(arguments, "force"), ret);
}

static struct lh_error *run_redact(const struct lh_arguments *arguments, int *ret_status)
{
	struct lh_confinement confinement LH_CLEANUP(lh_confinement_deinit) = {0};
	LH_CLEANUP(lh_cleanup_outfile) struct lh_outfile *out = NULL;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *path = lh_arguments_operand(arguments, 0);
	uint8_t key[LH_REDACT_KEY_BYTES];
	struct lh_redaction redaction;
	LH_TRY(lh_redact_key_read(lh_arguments_value(arguments, "key"), key));
	LH_TRY(open_redacted_output(arguments, &out));
	LH_TRY(lh_confinement_add_image(&confinement, path));
	LH_TRY(lh_confinement_add_output(&confinement, lh_outfile_path(out)));
	LH_TRY(lh_confinement_add_symbols(&confinement, ""));
	lh_confinement_apply(&confinement);
	LH_TRY(lh_redact_core(path, key, out, &redaction));
	LH_TRY(lh_outfile_commit(out));
	*ret_status = redaction.is_same_heap ? LH_EXIT_COMPLETE : LH_EXIT_PARTIAL;
	if (lh_arguments_has(arguments, "json"))
		lh_report_redact_json(&redaction, lh_outfile_path(out), &text);
	else
		lh_report_redact_text(&redaction, lh_outfile_path(out), &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_print(&text);
}

static const struct lh_option options[] = {
	{.name = "output",
	 .letter = 'o',
	 .argument = "FILE",
	 .summary = "write the redacted core to FILE, which must not exist",
	 .completion = LH_COMPLETE_FILE},
	{.name = "key",
	 .argument = "FILE",
	 .summary = "hash with the content of FILE, so that equal texts of several cores stay equal (default: a random "
		    "key, which is forgotten)",
	 .completion = LH_COMPLETE_FILE},
	{.name = "force", .letter = 'f', .summary = "replace an existing file"},
	{.name = "json", .letter = 'j', .summary = "print JSON instead of text, schema leakhunt/redact/1"},
	{.name = NULL},
};

static const struct lh_usage_example examples[] = {
	{"leakhunt redact proxy.core -o shared.core", "a core without the process's data, to send to a colleague"},
	{"leakhunt redact tuesday.core --key key -o b.core",
	 "with the same key as Monday's: `leakhunt leaks` compares them"},
	{.command = NULL},
};

const struct lh_command lh_cmd_redact = {
	.name = "redact",
	.summary = "copy a core without the texts and values of the process",
	.operands = "FILE",
	.operands_min = 1,
	.operands_max = 1,
	.operand_completion = LH_COMPLETE_FILE,
	.description =
		"Copies a 64-bit ELF core, of leakhunt, gcore or the kernel. `leakhunt heap` and `leakhunt leaks` "
		"find the same blocks in the copy, with the same sizes and the same pointers.\n\n"
		"The copy keeps addresses of mapped memory, small numbers (up to 3 bytes, multiples of a page, pairs "
		"of 2 bytes), read-only memory of programs and libraries, the names of modules and of types of "
		"managed runtimes, and the command's name. Everything else becomes a keyed hash (SipHash-2-4) of the "
		"same length: texts, keys, floating-point numbers, environment and arguments on the stack, registers, "
		"the command line, names of threads and of other files. Vector registers become zeros.\n\n"
		"The copy still reveals how long texts are and which are equal, sizes and numbers of blocks, and "
		"texts of up to 3 characters. Groups that `leakhunt heap` recognizes by content, such as JSON, appear "
		"as groups by size.\n\n"
		"leakhunt walks the heap of both cores and compares them. Exit status: 0: the heaps are the same; 1: "
		"they differ, and leakhunt says where; 2: failed, nothing written; 64: usage. Only the owner can read "
		"the file. Compressed and raw dumps are refused.",
	.options = options,
	.examples = examples,
	.run = run_redact,
};
