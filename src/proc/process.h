/*
 * process: what the files of proc share about one open process. Private to proc.
 */
#ifndef LEAKHUNT_PROC_PROCESS_H
#define LEAKHUNT_PROC_PROCESS_H

#include "leakhunt/limits.h"
#include "leakhunt/process.h"

#include <stdatomic.h>

enum { LH_COMMAND_BYTES = 16 }; /* TASK_COMM_LEN, with the NUL (proc_pid_comm(5)) */

struct lh_process {
	int folder_fd; /* of /proc/PID */
	/*
	 * A living thread when the main one has ended, whose files then show no memory. 0: the main thread lives. NULL:
	 * not checked. Shared by all threads of leakhunt.
	 */
	_Atomic pid_t *deputy;
	int memory_fd; /* of /proc/PID/mem, once pinned; else -1 */
	int root_fd;   /* of /proc/PID/root, once pinned; else -1 */
	struct lh_process_identity identity;
	char command[LH_COMMAND_BYTES];
};

/* Any living thread except `pid` in the folder of /proc/PID; 0: none. */
pid_t lh_process_find_deputy(int folder_fd, pid_t pid);

/* The deputy in use; 0: none. */
pid_t lh_process_deputy(const struct lh_process *process);

/* Looks for a new deputy if there is none, or if it has ended. Returns whether there is one. */
bool lh_process_renew_deputy(const struct lh_process *process);

/* The thread whose files show memory: the main one, or its deputy. */
pid_t lh_process_memory_tid(const struct lh_process *process);

/*
 * Which node each of the pages lies on, negative errnos for those that are nowhere, or whose place is not told.
 * Without target nodes, move_pages(2) only reports, and faults nothing in. False where it is refused: by a container's
 * seccomp filter, or by a kernel without NUMA.
 */
bool lh_process_find_nodes(const struct lh_process *process, const uint64_t *pages, size_t count, int *ret);

/* The path below folder_fd of a file that needs the process's memory, in `ret`. */
enum { LH_PROC_PATH_BYTES = 128 };
const char *lh_process_file_path(const struct lh_process *process, const char *name, char ret[LH_PROC_PATH_BYTES]);

/* NULL when /proc is a mounted procfs; else an error that says what is wrong. */
struct lh_error *lh_proc_check_mounted(void) LH_NODISCARD;

/* The fields of /proc/PID/stat that matter here (proc_pid_stat(5)). */
struct lh_proc_stat {
	char command[LH_COMMAND_BYTES];
	char state;            /* field 3: 'Z' zombie, 'X' dead */
	uint64_t flags;        /* field 9: PF_* of include/linux/sched.h */
	uint64_t thread_count; /* field 20 */
	uint64_t start_ticks;  /* field 22 */
	uint64_t start_code;   /* field 26 */
	uint64_t start_stack;  /* field 28 */
};

/* false, and *ret untouched, when the text is not a line of /proc/PID/stat. `text` is NUL-terminated. */
bool lh_proc_stat_parse(const char *text, struct lh_proc_stat *ret);

struct lh_process_identity lh_proc_stat_identity(pid_t pid, const struct lh_proc_stat *stat);

/* A zombie, or exiting: its memory is gone (PF_EXITING). */
bool lh_proc_stat_is_dead(const struct lh_proc_stat *stat);
bool lh_proc_stat_is_kernel_thread(const struct lh_proc_stat *stat);

/*
 * Reads a small file below `folder_fd`, NUL-terminated and cut to `ret_bytes` - 1. Returns the bytes
 * read, or a negative errno.
 */
ssize_t lh_proc_read_small(int folder_fd, const char *name, char *ret, size_t ret_bytes);
/* Whether this negative result means that the process has ended; else something failed on leakhunt's side. */
bool lh_proc_is_gone(ssize_t count);

/*
 * The number in field `index` (from 0) of the line "<key>:" of a status text, in `base`; false when
 * there is no such line or field.
 */
bool lh_proc_status_number(const char *status, const char *key, unsigned index, int base, uint64_t *ret);

/* "process 12 (nginx) has ended" */
struct lh_error *lh_process_ended_error(const struct lh_process *process) LH_NODISCARD;

/* As lh_process_explain_refusal, for a file below /proc/PID that could not be opened. */
struct lh_error *lh_process_explain_file_refusal(const struct lh_process *process, struct lh_error *error) LH_NODISCARD;

/* The error for an errno met with /proc/PID/<name>: ended, refused (explained), not in this kernel, or other. */
struct lh_error *lh_process_file_error(const struct lh_process *process, const char *name,
				       int saved_errno) LH_NODISCARD;

/* Digits only, above 0, fits pid_t: names of folders in /proc and /proc/PID/task. */
bool lh_proc_pid_parse(const char *name, pid_t *ret);

/* A target address as process_vm_readv(2) takes it; never to be followed here. */
static inline void *lh_remote_pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr; /* NOLINT(performance-no-int-to-ptr): another process's address */
}

/* Opens /proc/self/<name>, also as the user of a process that is not dumpable. -1 and errno. */
int lh_self_open(const char *name, int flags);

/*
 * The same from texts of /proc/PID/cgroup and /proc/self/mountinfo, with all mount points looked up
 * below the folder `root` ("" is the real one). Lines that are not understood are passed over.
 */
struct lh_error *lh_cgroup_read_at(const char *root, const char *cgroup_text, const char *mountinfo_text,
				   struct lh_cgroup_limits *ret) LH_NODISCARD;

/* The same from texts, as lh_cgroup_read_at. */
void lh_freezer_read_at(const char *root, const char *cgroup_text, const char *mountinfo_text, struct lh_freezer *ret);

/* The same from a text of /proc/meminfo; overcommit_mode is left alone. */
void lh_system_memory_parse(const char *meminfo, struct lh_system_memory *ret);

/* The folder of its memory cgroup below a mount of cgroups, in PATH_MAX bytes; false when it has none that can be seen.
 */
bool lh_cgroup_memory_folder(const struct lh_process *process, char *ret, size_t ret_bytes, bool *ret_is_v1);

#endif
