/*
 * tracee: the only room that can hurt. It stops threads, reads their registers, and has the target run system
 * calls: all of ptrace, userfaultfd and writing to a target is there. Whatever happens to leakhunt, the target goes
 * on: freezing is a guard, the kernel detaches a tracer that dies, and a thread in our hands finds its own way back
 * (src/README.md).
 */
#ifndef LEAKHUNT_TRACEE_H
#define LEAKHUNT_TRACEE_H

#include "leakhunt/regions.h"
#include "leakhunt/tasks.h"

/* ---------------------------------------------------------------- threads */

#define LH_XSTATE_MAX 16384 /* bytes; AMX makes it 11,008 on x86_64 (Intel SDM vol. 1, ch. 13) */

/* A frozen thread's state, as a core's notes want it. */
struct lh_thread_state {
	pid_t tid;
	char name[16];
	bool is_partial;        /* live: only what the kernel shows of a thread that sleeps in a system call */
	uint64_t stack_pointer; /* 0 when unknown */
	uint8_t *prstatus;      /* struct elf_prstatus; owned */
	size_t prstatus_bytes;
	uint8_t *fpregset; /* owned; NULL when not captured */
	size_t fpregset_bytes;
	uint8_t *xstate; /* owned; NULL when not captured */
	size_t xstate_bytes;
};

struct lh_thread_states {
	LH_VEC(struct lh_thread_state) threads; /* main thread first */
};

void lh_thread_states_deinit(struct lh_thread_states *states);

/*
 * What the kernel shows of threads that sleep in a system call, without stopping them
 * (proc_pid_syscall(5)); running ones are left out.
 */
struct lh_error *lh_thread_states_glance(const struct lh_process *process, const struct lh_task_list *tasks,
					 struct lh_thread_states *ret) LH_NODISCARD;

/* Sets the names, and parent, group and session in each NT_PRSTATUS. */
void lh_thread_states_complete(const struct lh_task_list *tasks, pid_t parent, pid_t group, pid_t session,
			       struct lh_thread_states *states);

/* Appends to ret the threads' known stack pointers. */
struct lh_stack_pointers {
	LH_VEC(uint64_t) items;
};
struct lh_error *lh_stack_pointers_of(const struct lh_thread_states *states,
				      struct lh_stack_pointers *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- freezing */

/* All threads of a process, stopped. Releasing resumes them exactly as they were. */
struct lh_freeze;

struct lh_freeze_cost {
	uint64_t pause_ns;   /* the longest time that any thread stood still */
	size_t mended_count; /* system calls saved from a spurious EINTR */
};

/*
 * PTRACE_SEIZE + PTRACE_INTERRUPT of every thread (never ATTACH + SIGSTOP: ptrace(2)), rescanning
 * until passes find no new one. `ret_states` are the threads' registers, the caller's to deinit.
 * Calls that a ptrace stop makes fail with a spurious EINTR (epoll_wait and the like: restart.h)
 * are mended. A group-stopped target stays stopped. Errors: LH_ERROR_PERMISSION explained (already
 * traced by whom, Yama, uid), LH_ERROR_NO_PROCESS, LH_ERROR_CHANGED, LH_ERROR_UNSUPPORTED when a
 * thread cannot be stopped (uninterruptible sleep) or runs 32-bit code.
 */
struct lh_error *lh_freeze_begin(const struct lh_process *process, struct lh_thread_states *ret_states,
				 struct lh_freeze **ret) LH_NODISCARD;
/*
 * Detaches from every thread, handing on the signals that arrived meanwhile; must be called by the
 * thread that began it. NULL is legal.
 */
struct lh_freeze_cost lh_freeze_end(struct lh_freeze *freeze);

/* The cost of one stop more, to that of those before. */
void lh_freeze_cost_add(struct lh_freeze_cost *cost, struct lh_freeze_cost stop);
void lh_cleanup_freeze(struct lh_freeze **freeze);

/*
 * Stops all threads, and none that can't be stopped is left running: LH_ERROR_UNSUPPORTED then, or when one
 * does not stop within the patience.
 */
struct lh_error *lh_freeze_begin_brief(const struct lh_process *process, uint64_t patience_ns,
				       struct lh_freeze **ret) LH_NODISCARD;

/* ---------------------------------------------------------------- a userfaultfd */

/* The calls that the target ran for us, as the receipt has them: literals, or NULL. */
struct lh_injected {
	const char *calls;
	const char *calls_with_child; /* these, and those of a child after them */
};

/*
 * One thread of the target is stopped and starts a helper thread; the helper has an empty table of files of its
 * own, makes the userfaultfd there, and ends when we have taken it over. Before Linux 6.9 all threads are stopped,
 * and one makes it and closes it. LH_ERROR_UNSUPPORTED, with the reason, where that can't be done; the target is as it
 * was. `regions` are the target's mappings. *ret_injected is set also on an error. The stop is added to *cost.
 */
struct lh_error *lh_userfault_open(const struct lh_process *process, const struct lh_region_list *regions,
				   struct lh_freeze_cost *cost, struct lh_injected *ret_injected,
				   int *ret_fd) LH_NODISCARD;

/* Whether system calls can be injected, as far as that can be known without stopping anything. */
struct lh_error *lh_injection_check(const struct lh_process *process,
				    const struct lh_region_list *regions) LH_NODISCARD;

/* ---------------------------------------------------------------- a copy-on-write child */

/* A copy-on-write child of a frozen target: its memory at that instant, to be read while the target runs on. */
struct lh_cow_child;

/* All that needs no standing target. LH_ERROR_UNSUPPORTED, with the reason, where no call can be injected. */
struct lh_error *lh_cow_child_prepare(const struct lh_process *process, const struct lh_region_list *regions,
				      struct lh_cow_child **ret) LH_NODISCARD;

/*
 * Makes it: one thread of `freeze` forks. LH_ERROR_UNSUPPORTED when no thread can, or the target may not
 * fork: it is as it was then.
 */
struct lh_error *lh_cow_child_make(struct lh_cow_child *child, struct lh_freeze *freeze) LH_NODISCARD;

/*
 * Gives it to a process of ours that traces it from now on and outlives us, should we be killed. Not while the target
 * stands still: it takes two switches of processes.
 */
void lh_cow_child_hand_over(struct lh_cow_child *child);

/* The child as a process, for its mappings and pagemap. */
const struct lh_process *lh_cow_child_process(const struct lh_cow_child *child);

/*
 * Like lh_process_read, but through /proc/PID/mem: process_vm_readv(2) asks for pages as if to write and so
 * copies each (measured on Linux 6.18: 1 GB more memory per GB read). Of the vDSO the child has a copy with a slot in
 * use.
 */
size_t lh_cow_child_read(const struct lh_cow_child *child, uint64_t addr, void *ret, size_t bytes);

/* LH_ERROR_NO_MEMORY when somebody has killed it: mostly the OOM killer, to which it is offered first. */
struct lh_error *lh_cow_child_check(const struct lh_cow_child *child) LH_NODISCARD;

/*
 * Kills it, and has the target reap it: a second stop of all threads; its cost is added to *cost. On an
 * error the zombie is left to the guard or the next run. NULL is legal.
 */
struct lh_error *lh_cow_child_end(struct lh_cow_child *child, struct lh_freeze_cost *cost) LH_NODISCARD;
void lh_cleanup_cow_child(struct lh_cow_child **child);

/*
 * Ends what a leakhunt that was killed has left: children that still sleep in a slot, and zombies that ended by
 * their own way out, or were killed after they had been offered to the OOM killer, as every child of ours is.
 * *ret_count: how many. *cost as in lh_cow_child_end.
 */
struct lh_error *lh_child_end_leftovers(const struct lh_process *process, size_t *ret_count,
					struct lh_freeze_cost *cost) LH_NODISCARD;

/* ---------------------------------------------------------------- patience */

typedef bool lh_interrupt_check(void);

/* Waits of the calling thread that nothing depends on end when `is_interrupted` says so; NULL: they do not ask. */
void lh_patience_heed(lh_interrupt_check *is_interrupted);

/* LH_ERROR_INTERRUPTED when the calling thread is to end. */
struct lh_error *lh_patience_check(void) LH_NODISCARD;

#endif
