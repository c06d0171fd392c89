/*
 * tasks: the threads of a process: ids, names and stack pointers, without stopping one. Input: the
 * folder task/. A thread that ends meanwhile is left out; one that runs has no stack pointer to show.
 */
#include "tasks.h"
#include "leakhunt/tasks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A running thread may block a moment later: it is asked again this often. */
enum { STACK_POINTER_TRIES = 4 };

static struct lh_error *open_tasks_folder(const struct lh_process *process, DIR **ret)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_TRY(lh_process_open_file(process, "task", O_RDONLY | O_DIRECTORY, &fd));
	*ret = fdopendir(fd);
	if (!*ret)
		return lh_error_from_errno(errno, "cannot list the threads of process %ld",
					   (long)process->identity.pid);
	fd = -1;
	return NULL;
}

static bool read_task_name(const struct lh_process *process, struct lh_task *task)
{
	char path[64];
	snprintf(path, sizeof(path), "task/%ld/comm", (long)task->tid);
	if (lh_proc_read_small(process->folder_fd, path, task->name, sizeof(task->name)) <= 0)
		return false;
	/* A name of 15 bytes leaves no room for the newline that the kernel adds. */
	size_t length = strlen(task->name);
	if (length && task->name[length - 1] == '\n')
		task->name[length - 1] = '\0';
	return true;
}

/* What /proc/PID/task/TID/syscall says (proc_pid_syscall(5)). */
enum stack_answer { STACK_KNOWN, STACK_RUNNING, STACK_REFUSED };

/* "202 0x7f.. 0x80 0x0 0x0 0x0 0x7f.. SP PC", "-1 SP PC" when blocked outside of a system call, or "running". */
static enum stack_answer read_stack_pointer(const struct lh_process *process, struct lh_task *task)
{
	char path[64], text[256];
	snprintf(path, sizeof(path), "task/%ld/syscall", (long)task->tid);
	if (lh_proc_read_small(process->folder_fd, path, text, sizeof(text)) <= 0)
		return STACK_REFUSED;
	if (!strncmp(text, "running", 7))
		return STACK_RUNNING;
	char *words[9] = {NULL}, *rest = text;
	size_t count = 0;
	for (char *word; count < LH_ARRAY_COUNT(words) && (word = strsep(&rest, " \n")) && *word;)
		words[count++] = word;
	if (count < 3)
		return STACK_REFUSED;
	task->stack_pointer = strtoull(words[count - 2], NULL, 16);
	task->system_call = strtoll(words[0], NULL, 10);
	for (size_t i = 0; i < LH_ARRAY_COUNT(task->arguments) && i + 3 < count; i++)
		task->arguments[i] = strtoull(words[i + 1], NULL, 16);
	return STACK_KNOWN;
}

static struct lh_error *add_tasks(const struct lh_process *process, DIR *folder, struct lh_task_list *list)
{
	for (struct dirent *entry; (entry = readdir(folder));) {
		struct lh_task task = {.system_call = -1};
		if (!lh_proc_pid_parse(entry->d_name, &task.tid) || !read_task_name(process, &task))
			continue;
		LH_TRY(lh_vec_push(&list->tasks, task));
	}
	return NULL;
}

/* Whether it is worth asking again: some thread was running. */
static bool read_stack_pointers(const struct lh_process *process, struct lh_task_list *list)
{
	bool is_one_running = false;
	for (size_t i = 0; i < list->tasks.count; i++) {
		struct lh_task *task = &list->tasks.items[i];
		if (task->stack_pointer)
			continue;
		enum stack_answer answer = read_stack_pointer(process, task);
		is_one_running |= answer == STACK_RUNNING;
	}
	return is_one_running;
}

void lh_task_list_deinit(struct lh_task_list *list)
{
	lh_vec_deinit(&list->tasks);
}

struct lh_error *lh_tasks_read(const struct lh_process *process, struct lh_task_list *ret)
{
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = NULL;
	struct lh_task_list list LH_CLEANUP(lh_task_list_deinit) = {0};
	LH_TRY(open_tasks_folder(process, &folder));
	LH_TRY(add_tasks(process, folder, &list));
	if (!list.tasks.count)
		return lh_process_file_error(process, "task", ESRCH);
	for (int i = 0; i < STACK_POINTER_TRIES && read_stack_pointers(process, &list); i++)
		sched_yield();
	*ret = list;
	list = (struct lh_task_list){0};
	return NULL;
}

/*
 * set_robust_list(2): glibc and musl put the head into the thread's control block, at the top of the
 * mapping that pthread_create made for its stack. Needs PTRACE_MODE_READ only, and no stop.
 */
uint64_t lh_task_control_block(pid_t tid)
{
	void *head = NULL;
	size_t length = 0;
	if (syscall(SYS_get_robust_list, tid, &head, &length) < 0)
		return 0;
	return (uint64_t)(uintptr_t)head;
}
