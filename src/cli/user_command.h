/*
 * user_command: runs the user's command with sh. Private to cli.
 */
#ifndef LEAKHUNT_CLI_USER_COMMAND_H
#define LEAKHUNT_CLI_USER_COMMAND_H

#include "leakhunt/base.h"

/* Runs it to its end. *ret_status: as of waitpid(2). */
struct lh_error *lh_user_command_run(const char *command, int *ret_status) LH_NODISCARD;

/*
 * Reads the first line that the command prints, without the newline, cut off at `ret_bytes` - 1. False if there is none
 * within `limit_ns`. A command that runs longer is killed.
 */
bool lh_user_command_read(const char *command, uint64_t limit_ns, char *ret, size_t ret_bytes);

#endif
