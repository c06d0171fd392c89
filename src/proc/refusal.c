/*
 * refusal: why the kernel refused access to a process, in words. Input: a process and the error. Output: the same error
 * with a hint. The order follows ptrace(2), "Ptrace access mode checking".
 */
#include "process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_BYTES = 8192 };

static bool has_capability(unsigned number)
{
	char status[TEXT_BYTES];
	uint64_t effective = 0;
	return lh_proc_read_small(AT_FDCWD, "/proc/self/status", status, sizeof(status)) >= 0 &&
	       lh_proc_status_number(status, "CapEff", 0, 16, &effective) && effective >> number & 1;
}

/* pagemap, mem, auxv and syscall are readable by the process's user only, as files (proc(5)). */
static bool is_refused_as_file(const struct lh_process *process)
{
	char status[TEXT_BYTES];
	uint64_t uid;
	return has_capability(CAP_SYS_PTRACE) && !has_capability(CAP_DAC_OVERRIDE) &&
	       !has_capability(CAP_DAC_READ_SEARCH) &&
	       lh_proc_read_small(process->folder_fd, "status", status, sizeof(status)) >= 0 &&
	       lh_proc_status_number(status, "Uid", 1, 10, &uid) && uid != geteuid();
}

struct lh_error *lh_process_explain_file_refusal(const struct lh_process *process, struct lh_error *error)
{
	if (is_refused_as_file(process))
		return lh_error_hint(error, "only its user may open that file: give leakhunt CAP_DAC_READ_SEARCH, too");
	return lh_process_explain_refusal(process, error);
}

/* 0 to 3 (admin-guide/LSM/Yama.rst); 0 where Yama is not built in. */
static unsigned yama_scope(void)
{
	char text[16];
	if (lh_proc_read_small(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)) < 0)
		return 0;
	return (unsigned)strtoul(text, NULL, 10);
}

static bool is_in_other_user_namespace(const struct lh_process *process)
{
	char own[64] = "", other[64] = "", path[LH_PROC_PATH_BYTES];
	return readlink("/proc/self/ns/user", own, sizeof(own) - 1) > 0 &&
	       readlinkat(process->folder_fd, lh_process_file_path(process, "ns/user", path), other,
			  sizeof(other) - 1) > 0 &&
	       strcmp(own, other) != 0;
}

/* The kernel gives /proc/PID of a process that is not dumpable to root (proc(5), "/proc/pid"). */
static bool is_not_dumpable(const struct lh_process *process, uid_t uid)
{
	struct stat status;
	return fstat(process->folder_fd, &status) == 0 && status.st_uid != uid;
}

static struct lh_error *explain_tracer(struct lh_error *error, pid_t tracer)
{
	char path[64], name[LH_COMMAND_BYTES] = "";
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)tracer);
	if (lh_proc_read_small(AT_FDCWD, path, name, sizeof(name)) > 0)
		name[strcspn(name, "\n")] = '\0';
	return lh_error_hint(error, "it is being traced by process %ld (%s): detach that first", (long)tracer, name);
}

static struct lh_error *explain_yama(struct lh_error *error, unsigned scope)
{
	if (scope >= 3)
		return lh_error_hint(error,
				     "kernel.yama.ptrace_scope is %u: no process may be attached to until the "
				     "next boot",
				     scope);
	return lh_error_hint(error,
			     "kernel.yama.ptrace_scope is %u: run leakhunt with sudo, or give it "
			     "CAP_SYS_PTRACE",
			     scope);
}

struct lh_error *lh_process_explain_refusal(const struct lh_process *process, struct lh_error *error)
{
	char status[TEXT_BYTES];
	uint64_t uid, tracer;
	if (lh_proc_read_small(process->folder_fd, "status", status, sizeof(status)) < 0 ||
	    !lh_proc_status_number(status, "Uid", 1, 10, &uid))
		return lh_error_hint(error, "run leakhunt as root");
	bool is_capable = has_capability(CAP_SYS_PTRACE);
	if (!is_capable && uid != geteuid())
		return lh_error_hint(
			error,
			"it belongs to uid %llu and leakhunt runs as uid %lu: run it with sudo, or give it "
			"CAP_SYS_PTRACE",
			(unsigned long long)uid, (unsigned long)geteuid());
	if (lh_proc_status_number(status, "TracerPid", 0, 10, &tracer) && tracer)
		return explain_tracer(error, (pid_t)tracer);
	if (yama_scope() >= (is_capable ? 3u : 1u))
		return explain_yama(error, yama_scope());
	if (is_in_other_user_namespace(process))
		return lh_error_hint(error, "it lives in another user namespace: run leakhunt as root of the machine, "
					    "outside of containers");
	if (!is_capable && is_not_dumpable(process, (uid_t)uid))
		return lh_error_hint(error, "it is not dumpable (set-uid, or PR_SET_DUMPABLE): run leakhunt with sudo");
	return lh_error_hint(error, "a security module or the container's seccomp filter refused: allow ptrace (for "
				    "Docker: --cap-add SYS_PTRACE)");
}
