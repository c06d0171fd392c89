/*
 * self: leakhunt's own process. It holds bytes of its targets: its memory never goes into a core.
 */
#include "leakhunt/process.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* core(5): bits of the mappings that a core holds. Children inherit them, also over exec. */
static void keep_mappings_out_of_cores(void)
{
	LH_CLEANUP(lh_cleanup_close) int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "0", 1) != 1)
		return;
}

void lh_self_forbid_cores(void)
{
	struct rlimit limit;
	/* Before the process stops being dumpable: its files in /proc are root's then (proc(5)). */
	keep_mappings_out_of_cores();
	/* 0 stops cores that go to files, but not those that go to a pipe; 1 stops both (Linux 2.6.32, fs/coredump.c).
	 */
	if (getrlimit(RLIMIT_CORE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max < 1 ? 0 : 1;
		(void)setrlimit(RLIMIT_CORE, &limit);
	}
	(void)prctl(PR_SET_DUMPABLE, 0);
}

bool lh_path_needs_tracing(const char *path)
{
	return !strncmp(path, "/proc/", strlen("/proc/"));
}

bool lh_self_is_undumpable(void)
{
	return prctl(PR_GET_DUMPABLE) == 0;
}

int lh_self_open(const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/%s", name);
	int fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0 || errno != EACCES || !lh_self_is_undumpable())
		return fd;
	/* The files belong to the process's user only while it is dumpable. RLIMIT_CORE holds meanwhile. */
	(void)prctl(PR_SET_DUMPABLE, 1);
	fd = open(path, flags | O_CLOEXEC);
	int saved_errno = errno;
	(void)prctl(PR_SET_DUMPABLE, 0);
	errno = saved_errno;
	return fd;
}

struct lh_error *lh_self_open_thread_file(const char *name, int *ret_fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/thread-self/%s", name);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? lh_error_from_errno(errno, "cannot open %s", path) : NULL;
}
