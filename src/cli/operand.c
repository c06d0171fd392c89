/*
 * operand: what a "PID|FILE" operand names.
 */
#include "command.h"

#include <limits.h>
#include <string.h>

bool lh_operand_is_pid(const char *operand, pid_t *ret)
{
	if (!*operand || operand[strspn(operand, "0123456789")])
		return false;
	uint64_t value = 0;
	struct lh_error *error = lh_parse_u64(operand, &value);
	lh_error_destroy(error);
	/*
	 * Digits that are no valid pid (0, or too many) still mean a pid, not a file: INT_MAX, which no kernel assigns.
	 */
	*ret = error || value > INT_MAX ? INT_MAX : (pid_t)value;
	return true;
}

struct lh_error *lh_operand_process(const char *operand, struct lh_process **ret)
{
	pid_t pid;
	if (!lh_operand_is_pid(operand, &pid) || pid == 0 || pid == INT_MAX)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "'%s' is not a process id", operand),
				     "list the processes with `leakhunt ps`");
	return lh_process_open(pid, ret);
}
