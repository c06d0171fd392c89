/*
 * help: --help and the man page, made from the command rows: the only place where options are described.
 */
#include "command.h"
#include "manual.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char synopsis[] = "leakhunt finds memory leaks in running Linux processes, from outside, without "
			       "restarting or noticeably stopping them.";

void lh_help_overview(struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "usage: leakhunt COMMAND [OPERAND]... [OPTION]...\n\n%s\n\ncommands:\n", synopsis);
	for (size_t i = 0; lh_commands[i]; i++) {
		if (!lh_commands[i]->is_hidden)
			lh_buffer_printf(ret, "  %-10s %s\n", lh_commands[i]->name, lh_commands[i]->summary);
	}
	lh_buffer_puts(ret, "\n"
			    "`leakhunt COMMAND --help` describes a command; `leakhunt --version` prints the version.\n"
			    "exit codes: 0 complete, 1 incomplete (missing parts are listed), 2 failed, 3 lost blocks "
			    "(leaks) or leaking code (trace), 64 usage\n");
}

/*
 * Puts the words of `text`, wrapped at `width`, each line indented by `indent`; the output is at `column` before the
 * first.
 */
static void wrap_text(struct lh_buffer *ret, const char *text, size_t indent, size_t column, size_t width)
{
	while (*text) {
		text += strspn(text, " ");
		size_t length = strcspn(text, " ");
		if (column > indent && column + 1 + length > width) {
			lh_buffer_printf(ret, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			lh_buffer_puts(ret, " ");
			column++;
		}
		lh_buffer_append(ret, text, length);
		column += length;
		text += length;
	}
	lh_buffer_puts(ret, "\n");
}

/* "-n, --min N" with its metavariable. */
static void option_spelling(const struct lh_option *option, struct lh_buffer *ret)
{
	if (option->letter)
		lh_buffer_printf(ret, "-%c, ", option->letter);
	lh_buffer_printf(ret, "--%s", option->name);
	if (option->argument)
		lh_buffer_printf(ret, " %s", option->argument);
}

static void option_help(const struct lh_option *option, size_t width, struct lh_buffer *ret)
{
	enum { INDENT = 28 };
	struct lh_buffer spelling LH_CLEANUP(lh_buffer_deinit) = {0};
	option_spelling(option, &spelling);
	if (spelling.failed) {
		ret->failed = true;
		return;
	}
	lh_buffer_printf(ret, "  %-*s", INDENT - 2, spelling.data);
	if (spelling.length > INDENT - 4)
		lh_buffer_printf(ret, "\n%*s", INDENT, "");
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_puts(&text, option->summary);
	if (option->is_repeatable)
		lh_buffer_puts(&text, " (repeatable)");
	if (option->old_name && option->old_letter)
		lh_buffer_printf(&text, " (until 0.2 also --%s, -%c)", option->old_name, option->old_letter);
	else if (option->old_name)
		lh_buffer_printf(&text, " (until 0.2 also --%s)", option->old_name);
	else if (option->old_letter)
		lh_buffer_printf(&text, " (until 0.2 also -%c)", option->old_letter);
	if (text.failed) {
		ret->failed = true;
		return;
	}
	wrap_text(ret, text.data, INDENT, INDENT, width);
}

static void options_help(const struct lh_command *command, size_t width, struct lh_buffer *ret)
{
	static const struct lh_option help = {.name = "help", .letter = 'h', .summary = "show this help"};
	lh_buffer_puts(ret, "\noptions:\n");
	for (const struct lh_option *option = command->options; option && option->name; option++)
		option_help(option, width, ret);
	option_help(&help, width, ret);
}

void lh_help_command(const struct lh_command *command, unsigned width, struct lh_buffer *ret)
{
	size_t columns = width && width < 100 ? width : 100;
	lh_buffer_printf(ret, "usage: leakhunt %s%s%s [OPTION]...\n\n", command->name, *command->operands ? " " : "",
			 command->operands);
	const char *paragraph = command->description;
	while (*paragraph) {
		const char *end = strstr(paragraph, "\n\n");
		size_t length = end ? (size_t)(end - paragraph) : strlen(paragraph);
		LH_CLEANUP(lh_cleanup_free) char *text = strndup(paragraph, length);
		if (!text) {
			ret->failed = true;
			return;
		}
		wrap_text(ret, text, 0, 0, columns);
		paragraph += length + strspn(paragraph + length, "\n");
		if (*paragraph)
			lh_buffer_puts(ret, "\n");
	}
	options_help(command, columns, ret);
	if (command->examples && command->examples->command)
		lh_buffer_puts(ret, "\nexamples:\n");
	for (const struct lh_usage_example *example = command->examples; example && example->command; example++)
		lh_buffer_printf(ret, "  %s\n      %s\n", example->command, example->meaning);
}

static void paragraph_text(const char *text, size_t columns, struct lh_buffer *ret)
{
	enum { TERM_COLUMNS = 12 };
	size_t term = strcspn(text, "\n");
	if (text[0] != '*' || !text[term] || term < 2) {
		wrap_text(ret, text, 0, 0, columns);
		return;
	}
	lh_buffer_printf(ret, "  %-*.*s", TERM_COLUMNS - 2, (int)(term - 2), text + 2);
	if (term > TERM_COLUMNS - 1)
		lh_buffer_printf(ret, "\n%*s", TERM_COLUMNS, "");
	wrap_text(ret, text + term + 1, TERM_COLUMNS, TERM_COLUMNS, columns);
}

void lh_manual_section_text(const struct lh_manual_section *section, unsigned width, struct lh_buffer *ret)
{
	size_t columns = width && width < 100 ? width : 100;
	for (const char *at = section->text; *at;) {
		const char *end = strstr(at, "\n\n");
		size_t length = end ? (size_t)(end - at) : strlen(at);
		LH_CLEANUP(lh_cleanup_free) char *text = strndup(at, length);
		if (!text) {
			ret->failed = true;
			return;
		}
		paragraph_text(text, columns, ret);
		at += length + strspn(at + length, "\n");
	}
}

/* ---------------------------------------------------------------- man page */

/* man(7): a backslash is \e, a literal hyphen is \-, a leading dot or quote needs \&. */
static void roff_text(struct lh_buffer *ret, const char *text)
{
	bool at_line_start = true;
	for (; *text; text++) {
		if (at_line_start && (*text == '.' || *text == '\''))
			lh_buffer_puts(ret, "\\&");
		if (*text == '\\')
			lh_buffer_puts(ret, "\\e");
		else if (*text == '-')
			lh_buffer_puts(ret, "\\-");
		else if (*text == '\n' && text[1] == '\n')
			lh_buffer_puts(ret, "\n.PP");
		else
			lh_buffer_append(ret, text, 1);
		at_line_start = *text == '\n';
	}
	lh_buffer_puts(ret, "\n");
}

static void man_option(const struct lh_option *option, struct lh_buffer *ret)
{
	lh_buffer_puts(ret, ".TP\n.B ");
	struct lh_buffer spelling LH_CLEANUP(lh_buffer_deinit) = {0};
	option_spelling(option, &spelling);
	roff_text(ret, spelling.data ? spelling.data : "");
	roff_text(ret, option->summary);
	if (option->is_repeatable)
		lh_buffer_puts(ret, "May be given more than once.\n");
}

/* Lines unchanged, without the two blanks that mark them. */
static void man_literal(struct lh_buffer *ret, const char *text)
{
	lh_buffer_puts(ret, ".PP\n.RS 4\n.EX\n");
	while (*text) {
		size_t length = strcspn(text, "\n");
		size_t margin = strspn(text, " ") < 2 ? strspn(text, " ") : 2;
		LH_CLEANUP(lh_cleanup_free) char *line = strndup(text + margin, length - margin);
		if (!line) {
			ret->failed = true;
			return;
		}
		roff_text(ret, line);
		text += length + (text[length] == '\n');
	}
	lh_buffer_puts(ret, ".EE\n.RE\n");
}

/* One paragraph of struct lh_manual_section. */
static void man_paragraph(struct lh_buffer *ret, const char *text)
{
	size_t term = strcspn(text, "\n");
	if (text[0] == ' ') {
		man_literal(ret, text);
	} else if (text[0] == '*' && text[term]) {
		LH_CLEANUP(lh_cleanup_free) char *name = strndup(text + 2, term - 2);
		lh_buffer_puts(ret, ".TP\n.B ");
		roff_text(ret, name ? name : "");
		ret->failed |= !name;
		roff_text(ret, text + term + 1);
	} else {
		lh_buffer_puts(ret, ".PP\n");
		roff_text(ret, text);
	}
}

static void man_sections(struct lh_buffer *ret, const struct lh_manual_section *section)
{
	for (; section && section->heading; section++) {
		lh_buffer_printf(ret, ".SH %s\n", section->heading);
		const char *paragraph = section->text;
		while (*paragraph) {
			const char *end = strstr(paragraph, "\n\n");
			size_t length = end ? (size_t)(end - paragraph) : strlen(paragraph);
			LH_CLEANUP(lh_cleanup_free) char *text = strndup(paragraph, length);
			if (!text) {
				ret->failed = true;
				return;
			}
			man_paragraph(ret, text);
			paragraph += length + strspn(paragraph + length, "\n");
		}
	}
}

/* .TH expects the name in capitals. */
static void man_title(struct lh_buffer *ret, const char *command)
{
	lh_buffer_puts(ret, ".TH LEAKHUNT");
	if (command)
		lh_buffer_puts(ret, "\\-");
	for (; command && *command; command++)
		lh_buffer_printf(ret, "%c", toupper((unsigned char)*command));
	lh_buffer_puts(ret, " 1 \"\" \"leakhunt " LH_VERSION "\" \"User Commands\"\n.SH NAME\n");
}

static void man_examples(struct lh_buffer *ret, const struct lh_usage_example *example)
{
	if (example && example->command)
		lh_buffer_puts(ret, ".SH EXAMPLES\n");
	for (; example && example->command; example++) {
		lh_buffer_puts(ret, ".PP\n.EX\n");
		roff_text(ret, example->command);
		lh_buffer_puts(ret, ".EE\n.RS\n");
		roff_text(ret, example->meaning);
		lh_buffer_puts(ret, ".RE\n");
	}
}

void lh_man_command(const struct lh_command *command, struct lh_buffer *ret)
{
	man_title(ret, command->name);
	lh_buffer_printf(ret, "leakhunt\\-%s \\- ", command->name);
	roff_text(ret, command->summary);
	lh_buffer_printf(ret, ".SH SYNOPSIS\n.B leakhunt %s\n", command->name);
	lh_buffer_printf(ret, "%s%s[OPTION]...\n.SH DESCRIPTION\n", command->operands, *command->operands ? " " : "");
	roff_text(ret, command->description);
	lh_buffer_puts(ret, ".SH OPTIONS\n");
	for (const struct lh_option *option = command->options; option && option->name; option++)
		man_option(option, ret);
	man_sections(ret, command->manual);
	if (!command->is_hidden)
		man_sections(ret, lh_manual_shared);
	man_examples(ret, command->examples);
	lh_buffer_puts(ret, ".SH SEE ALSO\n.BR leakhunt (1)\n");
}

void lh_man_page(struct lh_buffer *ret)
{
	man_title(ret, NULL);
	lh_buffer_puts(ret, "leakhunt \\- memory\\-leak forensics on live processes\n"
			    ".SH SYNOPSIS\n.B leakhunt\n.I COMMAND\n[OPERAND]... [OPTION]...\n"
			    ".SH DESCRIPTION\n");
	roff_text(ret, synopsis);
	lh_buffer_puts(ret, ".SH COMMANDS\n");
	for (size_t i = 0; lh_commands[i]; i++) {
		if (lh_commands[i]->is_hidden)
			continue;
		lh_buffer_printf(ret, ".TP\n.BR leakhunt\\-%s (1)\n", lh_commands[i]->name);
		roff_text(ret, lh_commands[i]->summary);
	}
	man_sections(ret, lh_manual_common);
	man_sections(ret, lh_manual_shared);
	lh_buffer_puts(ret, ".SH SEE ALSO\n.BR proc (5),\n.BR ptrace (2),\n.BR gcore (1),\n.BR strings (1)\n");
}
