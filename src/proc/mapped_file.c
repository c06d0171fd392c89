/*
 * mapped_file: the file that a mapping shows, although its path may lead to another one by now: a program or
 * library that was replaced or removed while it runs. Input: a mapping of a process. Output: an open file, or none.
 *
 * proc_pid_exe(5): the program's file opens even when it is removed. proc_pid_map_files(5): so does any mapped file,
 * with CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
 */
#include "leakhunt/regions.h"
#include "process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_mapped_file(const struct stat *status, const struct lh_region *region)
{
	return S_ISREG(status->st_mode) && status->st_ino == region->inode;
}

/* Checked before it is opened: opening a device can have side effects. */
static int open_if_mapped(int folder_fd, const char *path, const struct lh_region *region)
{
	struct stat status;
	if (fstatat(folder_fd, path, &status, 0) != 0 || !is_mapped_file(&status, region))
		return -1;
	LH_CLEANUP(lh_cleanup_close) int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &status) != 0 || !is_mapped_file(&status, region))
		return -1;
	int opened = fd;
	fd = -1;
	return opened;
}

static int open_by_path(const struct lh_process *process, const struct lh_region *region)
{
	char root[PATH_MAX];
	LH_CLEANUP(lh_cleanup_free) char *path = NULL;
	if (region->is_deleted)
		return -1;
	if (asprintf(&path, "%s%s", lh_process_root(process, root, sizeof(root)), region->name) < 0) {
		path = NULL;
		return -1;
	}
	return open_if_mapped(AT_FDCWD, path, region);
}

int lh_process_open_mapped(const struct lh_process *process, const struct lh_region *region)
{
	char name[64];
	if (region->name[0] != '/')
		return -1;
	int fd = open_by_path(process, region);
	if (fd < 0)
		fd = open_if_mapped(process->folder_fd, "exe", region);
	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, region->start, region->end);
	return fd < 0 ? open_if_mapped(process->folder_fd, name, region) : fd;
}
