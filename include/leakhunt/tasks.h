/*
 * tasks: the threads of a process, and its quiet children, which an ordinary wait(2) does not see.
 */
#ifndef LEAKHUNT_TASKS_H
#define LEAKHUNT_TASKS_H

#include "leakhunt/base.h"

struct lh_process;

struct lh_task {
	pid_t tid;
	char name[16];          /* comm, raw bytes, NUL-terminated */
	uint64_t stack_pointer; /* from /proc/PID/task/TID/syscall; 0 when running or not allowed */
	int64_t system_call;    /* the number of the call that it sleeps in, from the same file; -1: none, or unknown */
	uint64_t arguments[6];  /* of that call */
};

/* Zero-initialized is empty. */
struct lh_task_list {
	LH_VEC(struct lh_task) tasks; /* unordered */
};

void lh_task_list_deinit(struct lh_task_list *list);

/* Reads the threads that exist now. Omits threads that end meanwhile. */
struct lh_error *lh_tasks_read(const struct lh_process *process, struct lh_task_list *ret) LH_NODISCARD;

/*
 * A child with exit signal 0 (clone(2)). Its parent's ordinary wait(2) does not see it, and it stays a zombie until
 * somebody waits for it with __WALL.
 */
struct lh_quiet_child {
	pid_t pid;
	pid_t inner_pid; /* its number in its own pid namespace */
	bool is_zombie;
	pid_t tracer_tid;  /* the thread that traces it; 0: none that this /proc shows */
	int exit_status;   /* as wait(2) gives it; 0 unless it is a zombie whose status leakhunt may see */
	int oom_score_adj; /* proc_pid_oom_score_adj(5) */
};

struct lh_quiet_children {
	LH_VEC(struct lh_quiet_child) items;
};

/* Finds the quiet children of all threads of the process. Looks at every process in /proc. */
struct lh_error *lh_quiet_children_read(const struct lh_process *process, struct lh_quiet_children *ret) LH_NODISCARD;
void lh_quiet_children_deinit(struct lh_quiet_children *children);

#endif
