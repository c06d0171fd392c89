/*
 * quiet_children: children of a process that end without a signal to it. Input: the folders of all processes, since not
 * every kernel lists a process's children (CONFIG_PROC_CHILDREN). Omits processes that end meanwhile.
 */
#include "leakhunt/tasks.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_BYTES = 2048, STATUS_BYTES = 8192 };

/* proc_pid_stat(5) */
enum { FIELD_STATE = 3, FIELD_PARENT = 4, FIELD_EXIT_SIGNAL = 38, FIELD_EXIT_CODE = 52 };

/* The text of a field behind "1234 (name) "; NULL when the kernel writes fewer. */
static const char *stat_field(const char *text, int wanted)
{
	const char *at = strrchr(text, ')');
	for (int field = FIELD_STATE - 1; at && field < wanted; field++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return at;
}

static long read_stat_field(const char *text, int field)
{
	const char *at = stat_field(text, field);
	return at ? strtol(at, NULL, 10) : -1;
}

/* "NSpid:\t4711\t12": in our namespace first, in its own last. */
static void read_child_status(int folder_fd, struct lh_quiet_child *child)
{
	char status[STATUS_BYTES];
	uint64_t number;
	if (lh_proc_read_small(folder_fd, "status", status, sizeof(status)) < 0)
		return;
	for (unsigned level = 0; lh_proc_status_number(status, "NSpid", level, 10, &number); level++)
		child->inner_pid = (pid_t)number;
	child->tracer_tid = lh_proc_status_number(status, "TracerPid", 0, 10, &number) ? (pid_t)number : 0;
}

static int oom_score_adj(int folder_fd)
{
	char text[32];
	return lh_proc_read_small(folder_fd, "oom_score_adj", text, sizeof(text)) < 0 ? 0 : atoi(text);
}

static struct lh_error *add_if_quiet(pid_t parent, int folder_fd, pid_t pid, struct lh_quiet_children *children)
{
	char text[STAT_BYTES];
	if (lh_proc_read_small(folder_fd, "stat", text, sizeof(text)) < 0 ||
	    read_stat_field(text, FIELD_PARENT) != parent || read_stat_field(text, FIELD_EXIT_SIGNAL) != 0)
		return NULL;
	const char *state = stat_field(text, FIELD_STATE);
	long exit_status = read_stat_field(text, FIELD_EXIT_CODE);
	struct lh_quiet_child child = {
		.pid = pid,
		.inner_pid = pid,
		.is_zombie = state && *state == 'Z',
		.exit_status = exit_status > 0 ? (int)exit_status : 0,
		.oom_score_adj = oom_score_adj(folder_fd),
	};
	read_child_status(folder_fd, &child);
	return lh_vec_push(&children->items, child);
}

static struct lh_error *add_quiet_children(pid_t parent, DIR *folder, struct lh_quiet_children *children)
{
	for (struct dirent *entry; (entry = readdir(folder));) {
		pid_t pid;
		if (!lh_proc_pid_parse(entry->d_name, &pid))
			continue;
		LH_CLEANUP(lh_cleanup_close)
		int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			LH_TRY(add_if_quiet(parent, fd, pid, children));
	}
	return NULL;
}

struct lh_error *lh_quiet_children_read(const struct lh_process *process, struct lh_quiet_children *ret)
{
	struct lh_quiet_children children LH_CLEANUP(lh_quiet_children_deinit) = {0};
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = opendir("/proc");
	if (!folder)
		return lh_error_from_errno(errno, "cannot open /proc");
	LH_TRY(add_quiet_children(process->identity.pid, folder, &children));
	*ret = children;
	children = (struct lh_quiet_children){0};
	return NULL;
}

void lh_quiet_children_deinit(struct lh_quiet_children *children)
{
	lh_vec_deinit(&children->items);
}

void lh_process_offer_to_oom_killer(pid_t pid)
{
	static const char highest[] = "1000"; /* OOM_SCORE_ADJ_MAX, linux/oom.h */
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld/oom_score_adj", (long)pid);
	LH_CLEANUP(lh_cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, highest, sizeof(highest) - 1) < 0)
		return;
}

bool lh_process_forks_into_own_pid_namespace(const struct lh_process *process)
{
	char own[64], childrens[sizeof(own)], path[LH_PROC_PATH_BYTES];
	ssize_t own_bytes =
		readlinkat(process->folder_fd, lh_process_file_path(process, "ns/pid", path), own, sizeof(own));
	ssize_t bytes = readlinkat(process->folder_fd, lh_process_file_path(process, "ns/pid_for_children", path),
				   childrens, sizeof(childrens));
	return bytes > 0 && bytes == own_bytes && memcmp(own, childrens, (size_t)bytes) == 0;
}
