/*
 * completion: scripts for bash, zsh and fish, made from the command rows.
 */
#include "command.h"

#include <string.h>

/* Text inside single quotes of a shell: ' becomes '\''. */
static void quote_word(struct lh_buffer *ret, const char *text)
{
	lh_buffer_puts(ret, "'");
	for (; *text; text++) {
		if (*text == '\'')
			lh_buffer_puts(ret, "'\\''");
		else
			lh_buffer_append(ret, text, 1);
	}
	lh_buffer_puts(ret, "'");
}

/* The words that an option takes, without those that only show a form ("name:..."). */
static void put_words(struct lh_buffer *ret, const char *words)
{
	for (bool is_first = true; *words; words += strspn(words, " ")) {
		size_t length = strcspn(words, " ");
		bool is_open = length >= 3 && memcmp(words + length - 3, "...", 3) == 0;
		if (!is_open)
			lh_buffer_printf(ret, "%s%.*s", is_first ? "" : " ", (int)length, words);
		is_first = is_first && is_open;
		words += length;
	}
}

/* ---------------------------------------------------------------- bash */

static const char *bash_words(enum lh_completion completion)
{
	switch (completion) {
	case LH_COMPLETE_FILE:
		return "-f";
	case LH_COMPLETE_PID:
		return "-W \"$(_leakhunt_pids)\"";
	case LH_COMPLETE_PID_OR_FILE:
		return "-f -W \"$(_leakhunt_pids)\"";
	case LH_COMPLETE_USER:
		return "-u";
	case LH_COMPLETE_NOTHING:
	default:
		return "";
	}
}

static void bash_option_values(const struct lh_command *command, struct lh_buffer *ret)
{
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		if (!option->argument)
			continue;
		lh_buffer_printf(ret, "\t'%s --%s'", command->name, option->name);
		if (option->letter)
			lh_buffer_printf(ret, " | '%s -%c'", command->name, option->letter);
		lh_buffer_puts(ret, ") COMPREPLY=(");
		if (option->words) {
			lh_buffer_puts(ret, "$(compgen -W '");
			put_words(ret, option->words);
			lh_buffer_puts(ret, "' -- \"$cur\")");
		} else if (option->completion != LH_COMPLETE_NOTHING) {
			lh_buffer_printf(ret, "$(compgen %s -- \"$cur\")", bash_words(option->completion));
		}
		lh_buffer_puts(ret, "); return ;;\n");
	}
}

static void bash_command(const struct lh_command *command, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "\t%s) options='--help", command->name);
	for (const struct lh_option *option = command->options; option && option->name; option++)
		lh_buffer_printf(ret, " --%s", option->name);
	lh_buffer_puts(ret, "'");
	if (command->operand_completion != LH_COMPLETE_NOTHING)
		lh_buffer_printf(ret, "; operands=$(compgen %s -- \"$cur\")", bash_words(command->operand_completion));
	lh_buffer_puts(ret, " ;;\n");
}

static void bash_script(struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "# bash completion for leakhunt; made by `leakhunt completion bash`\n"
			    "_leakhunt_pids() { ps -eo pid= | tr -d ' '; }\n"
			    "_leakhunt() {\n"
			    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
			    "\tlocal command=${COMP_WORDS[1]} options='' operands='' IFS=$' \\t\\n'\n"
			    "\t# --name=value is three words\n"
			    "\tif [[ $cur == = ]]; then cur=''; fi\n"
			    "\tif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
			    "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\tCOMPREPLY=($(compgen -W '");
	for (size_t i = 0; lh_commands[i]; i++)
		lh_buffer_printf(ret, "%s ", lh_commands[i]->name);
	lh_buffer_puts(ret, "--help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase \"$command $prev\" in\n");
	for (size_t i = 0; lh_commands[i]; i++)
		bash_option_values(lh_commands[i], ret);
	lh_buffer_puts(ret, "\tesac\n\tcase $command in\n");
	for (size_t i = 0; lh_commands[i]; i++)
		bash_command(lh_commands[i], ret);
	lh_buffer_puts(ret, "\tesac\n"
			    "\tif [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
			    "\telse COMPREPLY=($operands); fi\n"
			    "}\n"
			    "complete -o filenames -F _leakhunt leakhunt\n");
}

/* ---------------------------------------------------------------- zsh */

/* ':' and ']' have a meaning within a spec of _arguments. */
static void zsh_spec_text(struct lh_buffer *ret, const char *text)
{
	for (; *text; text++) {
		if (strchr(":[]\\", *text))
			lh_buffer_puts(ret, "\\");
		if (*text == '\'')
			lh_buffer_puts(ret, "'\\''");
		else
			lh_buffer_append(ret, text, 1);
	}
}

static void zsh_action(struct lh_buffer *ret, enum lh_completion completion, const char *words)
{
	if (words) {
		lh_buffer_puts(ret, "(");
		put_words(ret, words);
		lh_buffer_puts(ret, ")");
	} else if (completion == LH_COMPLETE_FILE)
		lh_buffer_puts(ret, "_files");
	else if (completion == LH_COMPLETE_PID)
		lh_buffer_puts(ret, "_pids");
	else if (completion == LH_COMPLETE_PID_OR_FILE)
		lh_buffer_puts(ret, "{_pids; _files}");
	else if (completion == LH_COMPLETE_USER)
		lh_buffer_puts(ret, "_users");
	else
		lh_buffer_puts(ret, " ");
}

/* With a letter, both spellings: '(-s --sort)'{-s,--sort}'[ or, if repeatable, '*'{-r,--region}'[ */
static void zsh_option_names(struct lh_buffer *ret, const struct lh_option *option)
{
	lh_buffer_puts(ret, " \\\n\t\t'");
	if (!option->letter)
		lh_buffer_printf(ret, "%s--%s[", option->is_repeatable ? "*" : "", option->name);
	else if (option->is_repeatable)
		lh_buffer_printf(ret, "*'{-%c,--%s}'[", option->letter, option->name);
	else
		lh_buffer_printf(ret, "(-%c --%s)'{-%c,--%s}'[", option->letter, option->name, option->letter,
				 option->name);
}

static void zsh_command(const struct lh_command *command, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "\t%s) _arguments", command->name);
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		zsh_option_names(ret, option);
		zsh_spec_text(ret, option->summary);
		lh_buffer_puts(ret, "]");
		if (option->argument) {
			lh_buffer_puts(ret, ":");
			zsh_spec_text(ret, option->argument);
			lh_buffer_puts(ret, ":");
			zsh_action(ret, option->completion, option->words);
		}
		lh_buffer_puts(ret, "'");
	}
	lh_buffer_puts(ret, " \\\n\t\t'--help[show help]'");
	if (command->operand_completion != LH_COMPLETE_NOTHING) {
		lh_buffer_puts(ret, " \\\n\t\t'*:operand:");
		zsh_action(ret, command->operand_completion, NULL);
		lh_buffer_puts(ret, "'");
	}
	lh_buffer_puts(ret, " ;;\n");
}

static void zsh_script(struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "#compdef leakhunt\n# made by `leakhunt completion zsh`\n"
			    "local -a commands=(\n");
	for (size_t i = 0; lh_commands[i]; i++) {
		lh_buffer_printf(ret, "\t'%s:", lh_commands[i]->name);
		zsh_spec_text(ret, lh_commands[i]->summary);
		lh_buffer_puts(ret, "'\n");
	}
	lh_buffer_puts(ret, ")\nif (( CURRENT == 2 )); then\n\t_describe command commands\n\treturn\nfi\n"
			    "local command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n");
	for (size_t i = 0; lh_commands[i]; i++)
		zsh_command(lh_commands[i], ret);
	lh_buffer_puts(ret, "esac\n");
}

/* ---------------------------------------------------------------- fish */

static void fish_command(const struct lh_command *command, struct lh_buffer *ret)
{
	lh_buffer_printf(ret, "complete -c leakhunt -n __fish_use_subcommand -f -a %s -d ", command->name);
	quote_word(ret, command->summary);
	lh_buffer_puts(ret, "\n");
	for (const struct lh_option *option = command->options; option && option->name; option++) {
		lh_buffer_printf(ret, "complete -c leakhunt -n '__fish_seen_subcommand_from %s' -l %s", command->name,
				 option->name);
		if (option->letter)
			lh_buffer_printf(ret, " -s %c", option->letter);
		if (option->argument)
			lh_buffer_puts(ret, option->completion == LH_COMPLETE_FILE ? " -r -F" : " -x");
		if (option->words) {
			lh_buffer_puts(ret, " -a '");
			put_words(ret, option->words);
			lh_buffer_puts(ret, "'");
		} else if (option->completion == LH_COMPLETE_USER) {
			lh_buffer_puts(ret, " -a '(__fish_complete_users)'");
		}
		lh_buffer_puts(ret, " -d ");
		quote_word(ret, option->summary);
		lh_buffer_puts(ret, "\n");
	}
	bool takes_pid = command->operand_completion == LH_COMPLETE_PID ||
			 command->operand_completion == LH_COMPLETE_PID_OR_FILE;
	if (takes_pid)
		lh_buffer_printf(ret,
				 "complete -c leakhunt -n '__fish_seen_subcommand_from %s' -a "
				 "'(__fish_complete_pids)'\n",
				 command->name);
}

static void fish_script(struct lh_buffer *ret)
{
	lh_buffer_puts(ret, "# fish completion for leakhunt; made by `leakhunt completion fish`\n");
	for (size_t i = 0; lh_commands[i]; i++)
		fish_command(lh_commands[i], ret);
}

struct lh_error *lh_completion_script(const char *shell, struct lh_buffer *ret)
{
	static const struct {
		const char *name;
		void (*write)(struct lh_buffer *ret);
	} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(shells); i++) {
		if (strcmp(shells[i].name, shell) == 0) {
			shells[i].write(ret);
			return lh_buffer_status(ret);
		}
	}
	return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "unknown shell '%s'", shell), "one of bash, zsh, fish");
}
