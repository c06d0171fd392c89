/*
 * deputy: another thread's files, for a process whose first thread has ended: /proc/PID then shows no memory, but
 * /proc/PID/task/TID does.
 */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_BYTES = 2048 };

static bool thread_is_alive(int folder_fd, pid_t tid)
{
	char path[LH_PROC_PATH_BYTES], text[STAT_BYTES];
	struct lh_proc_stat stat;
	snprintf(path, sizeof(path), "task/%ld/stat", (long)tid);
	return lh_proc_read_small(folder_fd, path, text, sizeof(text)) > 0 && lh_proc_stat_parse(text, &stat) &&
	       !lh_proc_stat_is_dead(&stat);
}

pid_t lh_process_find_deputy(int folder_fd, pid_t pid)
{
	int fd = openat(folder_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		pid_t tid;
		if (lh_proc_pid_parse(entry->d_name, &tid) && tid != pid && thread_is_alive(folder_fd, tid))
			return tid;
	}
	return 0;
}

pid_t lh_process_deputy(const struct lh_process *process)
{
	return process->deputy ? atomic_load(process->deputy) : 0;
}

bool lh_process_renew_deputy(const struct lh_process *process)
{
	pid_t tid = lh_process_deputy(process);
	if (!process->deputy || (tid && thread_is_alive(process->folder_fd, tid)))
		return tid != 0;
	tid = lh_process_find_deputy(process->folder_fd, process->identity.pid);
	atomic_store(process->deputy, tid);
	return tid != 0;
}

pid_t lh_process_memory_tid(const struct lh_process *process)
{
	pid_t tid = lh_process_deputy(process);
	return tid ? tid : process->identity.pid;
}

const char *lh_process_file_path(const struct lh_process *process, const char *name, char ret[LH_PROC_PATH_BYTES])
{
	pid_t tid = lh_process_deputy(process);
	bool is_of_group = strncmp(name, "task", 4) == 0 || strcmp(name, "stat") == 0;
	if (!tid || is_of_group)
		return name;
	snprintf(ret, LH_PROC_PATH_BYTES, "task/%ld/%s", (long)tid, name);
	return ret;
}
