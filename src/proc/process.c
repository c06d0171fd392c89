/*
 * process: one live process, held by an fd of its /proc folder. Input: a pid. Output: its identity, its files, its
 * memory. Never stops it, and never confuses it with a later owner of the pid: all reads of /proc use the fd.
 */
#include "process.h"
#include "leakhunt/process_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { STAT_BYTES = 2048, STATUS_BYTES = 8192 };

struct lh_error *lh_proc_check_mounted(void)
{
	struct statfs status;
	if (statfs("/proc", &status) == 0 && status.f_type == PROC_SUPER_MAGIC)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "/proc is not mounted"),
			     "leakhunt reads processes through it: mount -t proc proc /proc");
}

/* /proc mounted with hidepid shows no folder for processes of others (proc(5)). */
static struct lh_error *no_process_error(pid_t pid)
{
	LH_TRY(lh_proc_check_mounted());
	if (kill(pid, 0) < 0 && errno == EPERM)
		return lh_error_hint(
			lh_error_create(LH_ERROR_PERMISSION, "process %ld is hidden from this user", (long)pid),
			"/proc is mounted with hidepid: run leakhunt as root or as the process's user");
	return lh_error_hint(lh_error_create(LH_ERROR_NO_PROCESS, "no process %ld", (long)pid),
			     "list them with `leakhunt ps`");
}

static struct lh_error *dead_error(pid_t pid, const struct lh_proc_stat *stat)
{
	return lh_error_hint(lh_error_create(LH_ERROR_NO_PROCESS,
					     "process %ld (%s) is a zombie: it has ended and has no memory", (long)pid,
					     stat->command),
			     "it waits for its parent to collect it; list the living with `leakhunt ps`");
}

/* ---------------------------------------------------------------- opening */

static struct lh_error *refuse_useless(const struct lh_process *process, const struct lh_proc_stat *stat)
{
	pid_t pid = process->identity.pid;
	if (lh_proc_stat_is_dead(stat) && !lh_process_renew_deputy(process))
		return dead_error(pid, stat);
	if (lh_proc_stat_is_kernel_thread(stat))
		return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED,
						     "process %ld (%s) is a kernel thread: it has no memory of its own",
						     (long)pid, stat->command),
				     "list processes with `leakhunt ps`");
	return NULL;
}

/* /proc/TID exists for threads, too, unlisted; but a thread's folder is not the process's. */
static struct lh_error *refuse_thread(const struct lh_process *process)
{
	char status[STATUS_BYTES];
	uint64_t group;
	pid_t pid = process->identity.pid;
	if (lh_proc_read_small(process->folder_fd, "status", status, sizeof(status)) < 0)
		return no_process_error(pid);
	if (!lh_proc_status_number(status, "Tgid", 0, 10, &group) || group == (uint64_t)pid)
		return NULL;
	return lh_error_hint(lh_error_create(LH_ERROR_NO_PROCESS,
					     "%ld is not a process but a thread (%s) of process %llu", (long)pid,
					     process->command, (unsigned long long)group),
			     "give the process: %llu", (unsigned long long)group);
}

struct lh_process_identity lh_proc_stat_identity(pid_t pid, const struct lh_proc_stat *stat)
{
	return (struct lh_process_identity){
		.pid = pid,
		.start_ticks = stat->start_ticks,
		.start_code = stat->start_code,
		.start_stack = stat->start_stack,
	};
}

struct lh_error *lh_process_open(pid_t pid, struct lh_process **ret)
{
	if (pid <= 0)
		return lh_error_create(LH_ERROR_USAGE, "%ld is not a pid", (long)pid);
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld", (long)pid);
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = calloc(1, sizeof(*process));
	if (!process)
		return lh_error_no_memory();
	process->deputy = calloc(1, sizeof(*process->deputy));
	if (!process->deputy)
		return lh_error_no_memory();
	process->memory_fd = process->root_fd = -1;
	process->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process->folder_fd < 0 && errno != ENOENT && errno != ESRCH)
		return lh_error_from_errno(errno, "cannot open %s", path);
	char text[STAT_BYTES];
	struct lh_proc_stat stat;
	ssize_t count =
		process->folder_fd < 0 ? -ENOENT : lh_proc_read_small(process->folder_fd, "stat", text, sizeof(text));
	if (lh_proc_is_gone(count))
		return no_process_error(pid);
	if (count < 0)
		return lh_error_from_errno((int)-count, "cannot read %s/stat", path);
	if (!lh_proc_stat_parse(text, &stat))
		return lh_error_create(LH_ERROR_FORMAT, "cannot parse %s/stat", path);
	memcpy(process->command, stat.command, sizeof(process->command));
	process->identity = lh_proc_stat_identity(pid, &stat);
	LH_TRY(refuse_useless(process, &stat));
	LH_TRY(refuse_thread(process));
	*ret = process;
	process = NULL;
	return NULL;
}

void lh_process_close(struct lh_process *process)
{
	if (!process)
		return;
	lh_cleanup_close(&process->folder_fd);
	lh_cleanup_close(&process->memory_fd);
	lh_cleanup_close(&process->root_fd);
	free(process->deputy);
	free(process);
}

void lh_cleanup_process(struct lh_process **process)
{
	lh_process_close(*process);
}

pid_t lh_process_pid(const struct lh_process *process)
{
	return process->identity.pid;
}

const char *lh_process_command(const struct lh_process *process)
{
	return process->command;
}

struct lh_process_identity lh_process_identity(const struct lh_process *process)
{
	return process->identity;
}

struct lh_error *lh_process_ended_error(const struct lh_process *process)
{
	return lh_error_create(LH_ERROR_NO_PROCESS, "process %ld (%s) has ended", (long)process->identity.pid,
			       process->command);
}

/*
 * Without permission, start_code reads as 1 and start_stack as 0 (fs/proc/array.c, Linux 6.18); both read as 0 while
 * the process dumps core. Then they are no evidence.
 */
static bool identity_differs(uint64_t before, uint64_t now)
{
	return before > 1 && now > 1 && before != now;
}

struct lh_error *lh_process_check(const struct lh_process *process)
{
	char text[STAT_BYTES];
	struct lh_proc_stat stat;
	ssize_t count = lh_proc_read_small(process->folder_fd, "stat", text, sizeof(text));
	if (count < 0 && !lh_proc_is_gone(count))
		return lh_error_from_errno((int)-count, "cannot read /proc/%ld/stat", (long)process->identity.pid);
	if (count < 0 || !lh_proc_stat_parse(text, &stat))
		return lh_process_ended_error(process);
	const struct lh_process_identity *before = &process->identity;
	bool is_dead = lh_proc_stat_is_dead(&stat), has_deputy = lh_process_deputy(process) != 0;
	if (stat.start_ticks != before->start_ticks || (is_dead && !lh_process_renew_deputy(process)))
		return lh_process_ended_error(process);
	/* The thread that calls exec takes the place of an ended main thread (fs/exec.c, de_thread). */
	if ((has_deputy && !is_dead) || identity_differs(before->start_code, stat.start_code) ||
	    identity_differs(before->start_stack, stat.start_stack))
		return lh_error_hint(
			lh_error_create(LH_ERROR_CHANGED,
					"process %ld (%s) has called exec: it now runs another program (%s)",
					(long)before->pid, process->command, stat.command),
			"start again with the same pid");
	return NULL;
}

struct lh_error *lh_process_file_error(const struct lh_process *process, const char *name, int saved_errno)
{
	LH_TRY(lh_process_check(process));
	long pid = (long)process->identity.pid;
	if (saved_errno == ENOENT)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "this kernel has no /proc/%ld/%s", pid, name);
	if (saved_errno == ESRCH)
		return lh_process_ended_error(process);
	struct lh_error *error =
		lh_error_from_errno(saved_errno, "cannot read /proc/%ld/%s of %s", pid, name, process->command);
	if (lh_error_code(error) == LH_ERROR_PERMISSION)
		return lh_process_explain_file_refusal(process, error);
	return error;
}

struct lh_error *lh_process_open_file(const struct lh_process *process, const char *name, int flags, int *ret_fd)
{
	char path[LH_PROC_PATH_BYTES];
	int fd = openat(process->folder_fd, lh_process_file_path(process, name, path), flags | O_CLOEXEC);
	if (fd < 0 && lh_proc_is_gone(-errno) && lh_process_deputy(process) && lh_process_renew_deputy(process))
		fd = openat(process->folder_fd, lh_process_file_path(process, name, path), flags | O_CLOEXEC);
	if (fd < 0)
		return lh_process_file_error(process, name, errno);
	*ret_fd = fd;
	return NULL;
}

struct lh_error *lh_process_read_file(const struct lh_process *process, const char *name, struct lh_buffer *ret)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_TRY(lh_process_open_file(process, name, O_RDONLY, &fd));
	char what[96];
	snprintf(what, sizeof(what), "/proc/%ld/%s", (long)process->identity.pid, name);
	return lh_fd_read_all(fd, what, 8 * LH_GIB, ret);
}

struct lh_error *lh_process_pin(struct lh_process *process)
{
	LH_CLEANUP(lh_cleanup_close) int memory_fd = -1;
	LH_TRY(lh_process_open_file(process, "mem", O_RDONLY, &memory_fd));
	LH_TRY(lh_process_open_file(process, "root", O_PATH | O_DIRECTORY, &process->root_fd));
	process->memory_fd = memory_fd;
	memory_fd = -1;
	return NULL;
}

const char *lh_process_root(const struct lh_process *process, char *ret, size_t ret_bytes)
{
	char path[LH_PROC_PATH_BYTES];
	if (process->root_fd >= 0)
		snprintf(ret, ret_bytes, "/proc/self/fd/%d", process->root_fd);
	else
		snprintf(ret, ret_bytes, "/proc/%ld/%s", (long)process->identity.pid,
			 lh_process_file_path(process, "root", path));
	return ret;
}

const char *lh_process_folder(const struct lh_process *process, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes, "/proc/%ld", (long)process->identity.pid);
	return ret;
}

static size_t read_pinned(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes)
{
	size_t done = 0;
	while (done < bytes && addr + done <= INT64_MAX) {
		ssize_t count = pread(process->memory_fd, (char *)ret + done, bytes - done, (off_t)(addr + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			break;
		done += (size_t)count;
	}
	return done;
}

size_t lh_process_read(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes)
{
	size_t done = 0;
	if (process->memory_fd >= 0)
		return read_pinned(process, addr, ret, bytes);
	while (done < bytes) {
		struct iovec local = {.iov_base = (char *)ret + done, .iov_len = bytes - done};
		struct iovec remote = {.iov_base = lh_remote_pointer(addr + done), .iov_len = bytes - done};
		ssize_t count = process_vm_readv(lh_process_memory_tid(process), &local, 1, &remote, 1, 0);
		if (count <= 0)
			break;
		done += (size_t)count;
	}
	return done;
}

/* Only tracers can read pages behind ---p and -w-p (mm/memory.c, FOLL_FORCE). 0 when refused. */
static size_t read_by_force(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes)
{
	char path[LH_PROC_PATH_BYTES];
	LH_CLEANUP(lh_cleanup_close)
	int fd = openat(process->folder_fd, lh_process_file_path(process, "mem", path), O_RDONLY | O_CLOEXEC);
	ssize_t count = fd < 0 || addr > INT64_MAX ? 0 : pread(fd, ret, bytes, (off_t)addr);
	return count > 0 ? (size_t)count : 0;
}

size_t lh_process_read_present(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes)
{
	size_t done = lh_process_read(process, addr, ret, bytes);
	return done < bytes ? done + read_by_force(process, addr + done, (char *)ret + done, bytes - done) : done;
}

enum { READ_BATCH = 256 }; /* below IOV_MAX */

/* Bytes read of up to READ_BATCH ranges before the first unreadable one. */
static size_t read_batch_of_ranges(const struct lh_process *process, const struct lh_range *ranges, size_t count,
				   void *ret)
{
	struct iovec remote[READ_BATCH];
	struct iovec local = {.iov_base = ret};
	for (size_t i = 0; i < count; i++) {
		remote[i] = (struct iovec){.iov_base = lh_remote_pointer(ranges[i].start),
					   .iov_len = lh_range_bytes(ranges[i])};
		local.iov_len += remote[i].iov_len;
	}
	ssize_t got = process_vm_readv(lh_process_memory_tid(process), &local, 1, remote, count, 0);
	return got > 0 ? (size_t)got : 0;
}

/* Whether all of `range` was read in the end; `*got` bytes were read before. */
static bool read_rest_of_range(const struct lh_process *process, struct lh_range range, void *ret, size_t *got)
{
	size_t bytes = lh_range_bytes(range);
	*got += lh_process_read_present(process, range.start + *got, (char *)ret + *got, bytes - *got);
	return *got == bytes;
}

size_t lh_process_read_ranges(const struct lh_process *process, const struct lh_range *ranges, size_t count, void *ret)
{
	size_t done = 0;
	for (size_t first = 0; first < count;) {
		size_t batch_count = lh_min_u64(count - first, READ_BATCH);
		size_t got = read_batch_of_ranges(process, ranges + first, batch_count, (char *)ret + done);
		size_t end = first + batch_count;
		while (first < end && got >= lh_range_bytes(ranges[first])) {
			got -= lh_range_bytes(ranges[first]);
			done += lh_range_bytes(ranges[first++]);
		}
		if (first == end)
			continue;
		bool is_whole = read_rest_of_range(process, ranges[first], (char *)ret + done, &got);
		done += got;
		if (!is_whole)
			break;
		first++;
	}
	return done;
}
