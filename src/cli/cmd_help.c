/*
 * cmd_help: `help`, and what distro packagers need: `man` and `completion`.
 */
#include "command.h"

#include <string.h>

/* *ret: the command that the operand names; NULL if there is no operand. */
static struct lh_error *find_operand(const struct lh_arguments *arguments, const struct lh_command **ret)
{
	const char *name = lh_arguments_operand(arguments, 0);
	*ret = name ? lh_command_find(name) : NULL;
	if (name && !*ret)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "unknown command '%s'", name),
				     "`leakhunt help` lists the commands");
	return NULL;
}

static struct lh_error *run_help(const struct lh_arguments *arguments, int *ret_status)
{
	(void)ret_status;
	const struct lh_command *command;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(find_operand(arguments, &command));
	if (command)
		lh_help_command(command, lh_terminal_style().width, &text);
	else
		lh_help_overview(&text);
	return lh_print(&text);
}

const struct lh_command lh_cmd_help = {
	.name = "help",
	.summary = "show what leakhunt or one of its commands does",
	.operands = "[COMMAND]",
	.operands_max = 1,
	.description = "Shows the list of commands, or the help of one.",
	.run = run_help,
};

static struct lh_error *run_man(const struct lh_arguments *arguments, int *ret_status)
{
	(void)ret_status;
	const struct lh_command *command;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(find_operand(arguments, &command));
	if (command)
		lh_man_command(command, &text);
	else
		lh_man_page(&text);
	return lh_print(&text);
}

const struct lh_command lh_cmd_man = {
	.name = "man",
	.summary = "write a man page",
	.operands = "[COMMAND]",
	.operands_max = 1,
	.description = "Writes the man page leakhunt(1), or leakhunt-COMMAND(1), as roff to standard output.",
	.is_hidden = true,
	.run = run_man,
};

static struct lh_error *run_completion(const struct lh_arguments *arguments, int *ret_status)
{
	(void)ret_status;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_completion_script(lh_arguments_operand(arguments, 0), &text));
	return lh_print(&text);
}

const struct lh_command lh_cmd_completion = {
	.name = "completion",
	.summary = "write a completion script for bash, zsh or fish",
	.operands = "SHELL",
	.operands_min = 1,
	.operands_max = 1,
	.description = "Writes a completion script to standard output. SHELL is bash, zsh or fish.",
	.is_hidden = true,
	.run = run_completion,
};
