/*
 * thread_state: a thread's registers as a core's notes want them. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_THREAD_STATE_H
#define LEAKHUNT_DUMP_THREAD_STATE_H

#include "leakhunt/dump.h"

#include <sys/user.h>

/*
 * Reads the registers of a thread in a ptrace stop. *ret_is_gone: it was killed meanwhile, and there
 * is nothing in *ret. LH_ERROR_UNSUPPORTED when it runs 32-bit code.
 */
struct lh_error *lh_thread_state_capture(pid_t tid, int signal, struct lh_thread_state *ret,
					 bool *ret_is_gone) LH_NODISCARD;
/* Puts others in the place of the general registers, for a thread whose own were changed after it stopped. */
void lh_thread_state_set_registers(struct lh_thread_state *state, const struct user_regs_struct *registers);

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

#endif
