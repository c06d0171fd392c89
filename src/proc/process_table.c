/*
 * process_table: the memory of every process, for ps. Input: all of /proc. Output: one row per process. Processes that
 * end meanwhile, or cannot be read, are counted, and are no failure.
 */
#include "leakhunt/process_table.h"
#include "regions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_BYTES = 2048, STATUS_BYTES = 8192, COMMAND_BYTES = 4096 };

void lh_process_table_deinit(struct lh_process_table *table)
{
	lh_vec_deinit(&table->processes);
	lh_vec_deinit(&table->unread);
	lh_strings_pool_deinit(&table->strings);
	*table = (struct lh_process_table){0};
}

static bool read_uid(const struct lh_process *process, uid_t *ret)
{
	char status[STATUS_BYTES];
	uint64_t uid;
	/* "Uid: real effective saved filesystem" */
	if (lh_proc_read_small(process->folder_fd, "status", status, sizeof(status)) <= 0 ||
	    !lh_proc_status_number(status, "Uid", 1, 10, &uid))
		return false;
	*ret = (uid_t)uid;
	return true;
}

/* Processes of one user come in runs: look the name up once per run. */
static struct lh_error *set_user(struct lh_process_table *table, struct lh_process_usage *row)
{
	const struct lh_process_usage *before =
		table->processes.count ? &table->processes.items[table->processes.count - 1] : NULL;
	if (before && before->uid == row->uid) {
		row->user = before->user;
		return NULL;
	}
	char number[16];
	const struct passwd *entry = getpwuid(row->uid);
	snprintf(number, sizeof(number), "%lu", (unsigned long)row->uid);
	const char *name = entry ? entry->pw_name : number;
	return lh_strings_pool_add(&table->strings, name, strlen(name), &row->user);
}

/* Each argument ends with NUL. A process may have overwritten them with anything, or have none. */
static struct lh_error *read_command(const struct lh_process *process, struct lh_process_table *table, const char **ret)
{
	char text[COMMAND_BYTES];
	char path[LH_PROC_PATH_BYTES];
	ssize_t count = lh_proc_read_small(process->folder_fd, lh_process_file_path(process, "cmdline", path), text,
					   sizeof(text));
	size_t length = count > 0 ? (size_t)count : 0;
	while (length && !text[length - 1])
		length--;
	for (size_t i = 0; i < length; i++)
		if (!text[i])
			text[i] = ' ';
	if (!length) {
		size_t name_bytes = strlen(process->command);
		text[0] = '[';
		memcpy(text + 1, process->command, name_bytes);
		text[1 + name_bytes] = ']';
		length = name_bytes + 2;
	}
	return lh_strings_pool_add(&table->strings, text, length, ret);
}

/* Lines "4:memory:/docker/12ab", "0::/user.slice": the memory controller's, else v2's. */
static struct lh_error *read_process_cgroup(const struct lh_process *process, struct lh_process_table *table,
					    const char **ret)
{
	char text[COMMAND_BYTES];
	char path[LH_PROC_PATH_BYTES];
	const char *found = "";
	ssize_t count = lh_proc_read_small(process->folder_fd, lh_process_file_path(process, "cgroup", path), text,
					   sizeof(text) - 1);
	text[count > 0 ? count : 0] = '\0';
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		const char *controllers = strchr(line, ':');
		const char *name = controllers ? strchr(controllers + 1, ':') : NULL;
		if (name && strncmp(controllers, ":memory:", 8) == 0)
			return lh_strings_pool_add(&table->strings, name + 1, strlen(name + 1), ret);
		if (name && name == controllers + 1)
			found = name + 1;
	}
	return lh_strings_pool_add(&table->strings, found, strlen(found), ret);
}

static struct lh_error *read_usage(const struct lh_process *process, struct lh_usage *ret)
{
	struct lh_error *error = lh_rollup_read(process, ret);
	if (!error || lh_error_code(error) != LH_ERROR_UNSUPPORTED)
		return error;
	lh_error_destroy(error);
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t vss_bytes;
	LH_TRY(lh_process_read_file(process, "smaps", &text));
	LH_TRY(text.length ? lh_regions_parse(text.data, text.length, "smaps", &list)
			   : lh_process_ended_error(process));
	lh_regions_total(&list, ret, &vss_bytes);
	return NULL;
}

/* Takes `error`: the reason is what stands behind the last colon. Failed allocations end the reading. */
static struct lh_error *note_reason(struct lh_process_table *table, struct lh_error *error, const char **ret)
{
	if (lh_error_code(error) == LH_ERROR_NO_MEMORY)
		return error;
	const char *message = lh_error_message(error), *colon = strrchr(message, ':');
	const char *reason = colon ? colon + strspn(colon, ": ") : message;
	struct lh_error *failure = lh_strings_pool_add(&table->strings, reason, strlen(reason), ret);
	lh_error_destroy(error);
	return failure;
}

static bool is_end_of_process(const struct lh_error *error)
{
	return lh_error_code(error) == LH_ERROR_NO_PROCESS || lh_error_code(error) == LH_ERROR_CHANGED;
}

static struct lh_error *add_table_process(const struct lh_process *process, struct lh_process_table *table)
{
	struct lh_process_usage row = {.pid = process->identity.pid};
	struct lh_error *error = read_usage(process, &row.usage);
	if ((error && is_end_of_process(error)) || !read_uid(process, &row.uid)) {
		lh_error_destroy(error);
		table->vanished_count++;
		return NULL;
	}
	if (error)
		LH_TRY(note_reason(table, error, &row.unread));
	LH_TRY(set_user(table, &row));
	LH_TRY(read_command(process, table, &row.command));
	LH_TRY(read_process_cgroup(process, table, &row.cgroup));
	return row.unread ? lh_vec_push(&table->unread, row) : lh_vec_push(&table->processes, row);
}

/* A /proc mounted with hidepid=1 shows nothing of a process but its number. */
static struct lh_error *add_hidden_process(pid_t pid, int saved_errno, struct lh_process_table *table)
{
	struct lh_process_usage row = {.pid = pid, .uid = (uid_t)-1, .user = "", .command = "", .cgroup = ""};
	LH_TRY(note_reason(table, lh_error_from_errno(saved_errno, "cannot open /proc/%ld/stat", (long)pid),
			   &row.unread));
	return lh_vec_push(&table->unread, row);
}

/* Cheaper than lh_process_open, which formats errors that nobody reads here. */
static struct lh_error *add_process(int proc_fd, pid_t pid, const char *name, struct lh_process_table *table)
{
	_Atomic pid_t deputy = 0;
	struct lh_process process = {.identity.pid = pid, .deputy = &deputy};
	char text[STAT_BYTES];
	struct lh_proc_stat stat;
	LH_CLEANUP(lh_cleanup_close) int fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t count = fd < 0 ? -errno : lh_proc_read_small(fd, "stat", text, sizeof(text));
	if (count == -EMFILE || count == -ENFILE)
		return lh_error_from_errno((int)-count, "cannot open /proc/%s/stat", name);
	if (count <= 0 || !lh_proc_stat_parse(text, &stat)) {
		if (count < 0 && !lh_proc_is_gone(count))
			return add_hidden_process(pid, (int)-count, table);
		table->vanished_count++;
		return NULL;
	}
	deputy = lh_proc_stat_is_dead(&stat) && stat.thread_count > 1 ? lh_process_find_deputy(fd, pid) : 0;
	if ((lh_proc_stat_is_dead(&stat) && !deputy) || lh_proc_stat_is_kernel_thread(&stat)) {
		table->kernel_count++;
		return NULL;
	}
	process.folder_fd = fd;
	process.identity = lh_proc_stat_identity(pid, &stat);
	memcpy(process.command, stat.command, sizeof(process.command));
	return add_table_process(&process, table);
}

static int compare_uss(const void *a, const void *b)
{
	const struct lh_process_usage *x = a, *y = b;
	uint64_t x_bytes = lh_usage_uss(&x->usage), y_bytes = lh_usage_uss(&y->usage);
	if (x_bytes != y_bytes)
		return x_bytes > y_bytes ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

struct lh_error *lh_process_table_read(struct lh_process_table *ret)
{
	struct lh_process_table table LH_CLEANUP(lh_process_table_deinit) = {0};
	LH_TRY(lh_proc_check_mounted());
	LH_CLEANUP(lh_cleanup_dir) DIR *folder = opendir("/proc");
	if (!folder)
		return lh_error_from_errno(errno, "cannot open /proc");
#ifdef LEAKHUNT_STATIC /* other services are shared libraries of exactly the glibc that leakhunt was linked with */
	__nss_configure_lookup("passwd", "files");
#endif
	for (struct dirent *entry; (entry = readdir(folder));) {
		pid_t pid;
		if (lh_proc_pid_parse(entry->d_name, &pid))
			LH_TRY(add_process(dirfd(folder), pid, entry->d_name, &table));
	}
	lh_vec_sort(&table.processes, compare_uss);
	*ret = table;
	table = (struct lh_process_table){0};
	return NULL;
}
