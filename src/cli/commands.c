/*
 * commands: the table of commands, in the order of help. A command is added here and nowhere else.
 */
#include "command.h"

#include <string.h>

extern const struct lh_command lh_cmd_hunt;
extern const struct lh_command lh_cmd_maps;
extern const struct lh_command lh_cmd_ps;
extern const struct lh_command lh_cmd_select;
extern const struct lh_command lh_cmd_watch;
extern const struct lh_command lh_cmd_dump;
extern const struct lh_command lh_cmd_strings;
extern const struct lh_command lh_cmd_heap;
extern const struct lh_command lh_cmd_leaks;
extern const struct lh_command lh_cmd_explain;
extern const struct lh_command lh_cmd_trace;
extern const struct lh_command lh_cmd_redact;
extern const struct lh_command lh_cmd_help;
extern const struct lh_command lh_cmd_man;
extern const struct lh_command lh_cmd_completion;

const struct lh_command *const lh_commands[] = {
	&lh_cmd_hunt,  &lh_cmd_maps,    &lh_cmd_ps,         &lh_cmd_select,
	&lh_cmd_watch, &lh_cmd_dump,    &lh_cmd_strings,    &lh_cmd_heap,
	&lh_cmd_leaks, &lh_cmd_explain, &lh_cmd_trace,      &lh_cmd_redact,
	&lh_cmd_help,  &lh_cmd_man,     &lh_cmd_completion, NULL,
};

const struct lh_command *lh_command_find(const char *name)
{
	for (size_t i = 0; lh_commands[i]; i++) {
		if (strcmp(lh_commands[i]->name, name) == 0)
			return lh_commands[i];
	}
	return NULL;
}
