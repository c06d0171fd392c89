/*
 * process: one live process, held open, and the files of /proc/PID. It never stops a process, attaches to it, or writes
 * its memory. Memory: process_memory.h, mappings: regions.h, pages: pages.h, threads: tasks.h, limits: limits.h.
 */
#ifndef LEAKHUNT_PROCESS_H
#define LEAKHUNT_PROCESS_H

#include "leakhunt/base.h"

/*
 * A live process, held by an open directory fd of /proc/PID. If the pid is reused, reads through the fd fail with
 * ESRCH instead of showing another process (proc(5)). Heap-allocated.
 */
struct lh_process;

/*
 * Tells two programs with the same pid apart: `start_ticks` differs if the pid was reused, the others if the process
 * called exec (proc_pid_stat(5), fields 22, 26, 28).
 */
struct lh_process_identity {
	pid_t pid;
	uint64_t start_ticks; /* clock ticks after boot */
	uint64_t start_code;  /* address; 0 without permission to see it */
	uint64_t start_stack; /* likewise */
};

/*
 * Needs no permission over the process. LH_ERROR_NO_PROCESS: there is no such pid, or it is a zombie (the message
 * says which). LH_ERROR_UNSUPPORTED: a kernel thread, which has no memory of its own.
 */
struct lh_error *lh_process_open(pid_t pid, struct lh_process **ret) LH_NODISCARD;
void lh_process_close(struct lh_process *process); /* NULL is legal */
void lh_cleanup_process(struct lh_process **process);

pid_t lh_process_pid(const struct lh_process *process);
/* comm: at most 15 raw bytes, NUL-terminated. Lives as long as `process` (proc_pid_comm(5)). */
const char *lh_process_command(const struct lh_process *process);
struct lh_process_identity lh_process_identity(const struct lh_process *process);

/* NULL while the process lives and runs the same program; LH_ERROR_NO_PROCESS, LH_ERROR_CHANGED (exec). */
struct lh_error *lh_process_check(const struct lh_process *process) LH_NODISCARD;

/*
 * Opens /proc/PID/<name>. The caller closes *ret_fd. LH_ERROR_PERMISSION has a hint that names the cause (user,
 * Yama, user namespace).
 */
struct lh_error *lh_process_open_file(const struct lh_process *process, const char *name, int flags,
				      int *ret_fd) LH_NODISCARD;
/* Appends the whole of /proc/PID/<name> to `ret`. Errors as above. */
struct lh_error *lh_process_read_file(const struct lh_process *process, const char *name,
				      struct lh_buffer *ret) LH_NODISCARD;

/* "/proc/PID/root": prefix for paths as the target sees them. `ret` holds PATH_MAX bytes. Returns `ret`. */
const char *lh_process_root(const struct lh_process *process, char *ret, size_t ret_bytes);
/* "/proc/PID", likewise. */
const char *lh_process_folder(const struct lh_process *process, char *ret, size_t ret_bytes);

/*
 * Opens /proc/PID/mem and /proc/PID/root for later reads, which then work after leakhunt has dropped its privileges
 * (ptrace(2), PTRACE_MODE_ATTACH_FSCREDS). From then on memory is read through /proc/PID/mem, also after an exec of the
 * process, and lh_process_root names the open folder.
 */
struct lh_error *lh_process_pin(struct lh_process *process) LH_NODISCARD;

/*
 * Sets the hint of `error` to why `process` may not be traced or read: another tracer (its pid and name), another
 * user, Yama's ptrace_scope, a missing CAP_SYS_PTRACE, not dumpable. Returns `error`.
 */
struct lh_error *lh_process_explain_refusal(const struct lh_process *process, struct lh_error *error) LH_NODISCARD;

/*
 * Whether a child of the process would be in the process's own pid namespace (pid_namespaces(7)); false after
 * unshare(CLONE_NEWPID).
 */
bool lh_process_forks_into_own_pid_namespace(const struct lh_process *process);

/* Makes `pid` the OOM killer's first choice (proc_pid_oom_score_adj(5)). Ignores failure. */
void lh_process_offer_to_oom_killer(pid_t pid);

/* Whether the path leads through /proc, whose links (PID/root, PID/cwd) require permission to trace (proc(5)). */
bool lh_path_needs_tracing(const char *path);

/* ---------------------------------------------------------------- leakhunt itself */

/*
 * Keeps leakhunt's own memory out of core dumps from now on: not dumpable (prctl(2), PR_SET_DUMPABLE), RLIMIT_CORE 0,
 * and no mapping in /proc/self/coredump_filter. Children inherit this until they call exec.
 */
void lh_self_forbid_cores(void);
bool lh_self_is_undumpable(void);
/* Opens /proc/thread-self/<name>, of the calling thread. The caller closes *ret_fd. */
struct lh_error *lh_self_open_thread_file(const char *name, int *ret_fd) LH_NODISCARD;

#endif
