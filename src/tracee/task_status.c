/*
 * task_status: reads the status file of one thread, and copies its descriptors.
 */
#include "task_status.h"
#include "leakhunt/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The value after "\nname:\t"; "" when the kernel has no such line. */
static const char *find_value(const char *status, const char *name)
{
	const char *found = strstr(status, name);
	return found ? found + strlen(name) + strspn(found + strlen(name), "\t ") : "";
}

/* "4711\t12": in our pid namespace first, in its own last. */
static pid_t last_number(const char *text, pid_t otherwise)
{
	long number = otherwise;
	for (char *end; *text && *text != '\n'; text = end) {
		long next = strtol(text, &end, 10);
		if (end == text)
			break;
		number = next;
	}
	return (pid_t)number;
}

struct lh_error *lh_task_status_read(const struct lh_process *process, pid_t tid, struct lh_task_status *ret)
{
	char name[64];
	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_process_read_file(process, name, &text));
	const char *status = text.data ? text.data : "";
	const char *caught = find_value(status, "\nSigCgt:");
	*ret = (struct lh_task_status){
		.tracer_tid = (pid_t)strtol(find_value(status, "\nTracerPid:"), NULL, 10),
		.inner_tid = last_number(find_value(status, "\nNSpid:"), tid),
		.seccomp = *find_value(status, "\nSeccomp:"),
		.blocked = strtoull(find_value(status, "\nSigBlk:"), NULL, 16),
		.caught = *caught ? strtoull(caught, NULL, 16) : UINT64_MAX,
	};
	return NULL;
}

bool lh_task_is_filtered(const struct lh_process *process, pid_t tid)
{
	struct lh_task_status status;
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_task_status_read(process, tid, &status);
	return !error && status.seccomp == '2';
}

bool lh_task_has_children(const struct lh_process *process, pid_t tid)
{
	char name[64];
	snprintf(name, sizeof(name), "task/%d/children", (int)tid);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, name, &text);
	return error || text.length;
}

int lh_task_copy_descriptor(pid_t tid, unsigned flags, int number)
{
	LH_CLEANUP(lh_cleanup_close) int pidfd = (int)syscall(SYS_pidfd_open, tid, flags);
	return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}
