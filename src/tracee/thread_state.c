/*
 * thread_state: reads the register sets of stopped threads with PTRACE_GETREGSET, or of sleeping ones from outside, in
 * the form of the kernel's own cores (struct elf_prstatus, sys/procfs.h). Neither stops nor resumes a thread.
 */
#include "thread_state.h"
#include "leakhunt/process.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static void state_deinit(struct lh_thread_state *state)
{
	free(state->prstatus);
	free(state->fpregset);
	free(state->xstate);
	*state = (struct lh_thread_state){0};
}

void lh_thread_states_deinit(struct lh_thread_states *states)
{
	for (size_t i = 0; i < states->threads.count; i++)
		state_deinit(&states->threads.items[i]);
	lh_vec_deinit(&states->threads);
}

static uint64_t stack_pointer_of(const struct user_regs_struct *registers)
{
#if defined(__aarch64__)
	return registers->sp;
#else
	return registers->rsp;
#endif
}

/* An NT_PRSTATUS descriptor in *state; parent, group and session are added later. */
static struct lh_error *make_prstatus(pid_t tid, int signal, uint64_t blocked, const struct user_regs_struct *registers,
				      struct lh_thread_state *state)
{
	struct elf_prstatus *status = calloc(1, sizeof(*status));
	if (!status)
		return lh_error_no_memory();
	status->pr_info.si_signo = signal;
	status->pr_cursig = (short)signal;
	status->pr_sighold = blocked;
	status->pr_pid = tid;
	_Static_assert(sizeof(status->pr_reg) == sizeof(*registers), "elf_gregset_t is user_regs_struct");
	memcpy(&status->pr_reg, registers, sizeof(*registers));
	state->tid = tid;
	state->stack_pointer = stack_pointer_of(registers);
	state->prstatus = (uint8_t *)status;
	state->prstatus_bytes = sizeof(*status);
	return NULL;
}

/* A register set, to be freed; NULL when this CPU or kernel has none. */
static uint8_t *read_register_set(pid_t tid, unsigned type, size_t *ret_bytes)
{
	uint8_t set[LH_XSTATE_MAX];
	struct iovec place = {.iov_base = set, .iov_len = sizeof(set)};
	if (ptrace(PTRACE_GETREGSET, tid, type, &place) < 0)
		return NULL;
	uint8_t *copy = malloc(place.iov_len);
	if (!copy)
		return NULL;
	memcpy(copy, set, place.iov_len);
	*ret_bytes = place.iov_len;
	return copy;
}

static struct lh_error *read_thread_registers(pid_t tid, struct user_regs_struct *ret, bool *ret_is_gone)
{
	struct iovec place = {.iov_base = ret, .iov_len = sizeof(*ret)};
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &place) < 0) {
		*ret_is_gone = errno == ESRCH;
		return *ret_is_gone ? NULL : lh_error_from_errno(errno, "cannot read the registers of thread %d", tid);
	}
	/* The kernel gives struct user_regs_struct32, 68 bytes, of a thread in 32-bit code. */
	if (place.iov_len != sizeof(*ret))
		return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d runs 32-bit code", tid),
				     "leakhunt dumps 64-bit processes only; gcore can dump this one");
	return NULL;
}

void lh_thread_state_set_registers(struct lh_thread_state *state, const struct user_regs_struct *registers)
{
	struct elf_prstatus *status = (void *)state->prstatus;
	memcpy(&status->pr_reg, registers, sizeof(*registers));
	state->stack_pointer = stack_pointer_of(registers);
}

struct lh_error *lh_thread_state_capture(pid_t tid, int signal, struct lh_thread_state *ret, bool *ret_is_gone)
{
	struct user_regs_struct registers;
	uint64_t blocked = 0;
	*ret_is_gone = false;
	LH_TRY(read_thread_registers(tid, &registers, ret_is_gone));
	if (*ret_is_gone)
		return NULL;
	(void)ptrace(PTRACE_GETSIGMASK, tid, sizeof(blocked), &blocked);
	struct lh_thread_state state = {0};
	LH_TRY(make_prstatus(tid, signal, blocked, &registers, &state));
	state.fpregset = read_register_set(tid, NT_PRFPREG, &state.fpregset_bytes);
#if defined(__x86_64__)
	state.xstate = read_register_set(tid, NT_X86_XSTATE, &state.xstate_bytes);
#endif
	struct elf_prstatus *status = (void *)state.prstatus;
	if (status && state.fpregset)
		status->pr_fpvalid = 1;
	*ret = state;
	return NULL;
}

/* ---------------------------------------------------------------- without stopping */

/* "0 0x4 0x7ffd 0x400 0x0 0x0 0x0 0x7ffd3a40 0x7f1c22": call, six arguments, stack pointer, pc. */
static bool parse_syscall(const char *text, struct user_regs_struct *ret)
{
	int64_t call;
	uint64_t arguments[6], stack_pointer, pc;
	int count = sscanf(text,
			   "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
			   " %" SCNx64 " %" SCNx64,
			   &call, &arguments[0], &arguments[1], &arguments[2], &arguments[3], &arguments[4],
			   &arguments[5], &stack_pointer, &pc);
	if (count != 9)
		return false;
	struct user_regs_struct registers = {0};
#if defined(__x86_64__)
	registers.orig_rax = (uint64_t)call;
	registers.rdi = arguments[0];
	registers.rsi = arguments[1];
	registers.rdx = arguments[2];
	registers.r10 = arguments[3];
	registers.r8 = arguments[4];
	registers.r9 = arguments[5];
	registers.rsp = stack_pointer;
	registers.rip = pc;
#elif defined(__aarch64__)
	memcpy(registers.regs, arguments, sizeof(arguments));
	registers.regs[8] = (uint64_t)call;
	registers.sp = stack_pointer;
	registers.pc = pc;
#endif
	*ret = registers;
	return true;
}

static struct lh_error *glance_at(const struct lh_process *process, pid_t tid, struct lh_thread_states *ret)
{
	char name[64];
	snprintf(name, sizeof(name), "task/%d/syscall", (int)tid);
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, name, &text);
	struct user_regs_struct registers;
	if (error || !text.data || !parse_syscall(text.data, &registers))
		return NULL;
	struct lh_thread_state state = {.is_partial = true};
	LH_TRY(lh_vec_reserve(&ret->threads, 1));
	LH_TRY(make_prstatus(tid, 0, 0, &registers, &state));
	ret->threads.items[ret->threads.count++] = state;
	return NULL;
}

struct lh_error *lh_thread_states_glance(const struct lh_process *process, const struct lh_task_list *tasks,
					 struct lh_thread_states *ret)
{
	pid_t main_tid = lh_process_pid(process);
	LH_TRY(glance_at(process, main_tid, ret));
	for (size_t i = 0; i < tasks->tasks.count; i++) {
		if (tasks->tasks.items[i].tid != main_tid)
			LH_TRY(glance_at(process, tasks->tasks.items[i].tid, ret));
	}
	return NULL;
}

/* ---------------------------------------------------------------- names and families */

static const char *task_name(const struct lh_task_list *tasks, pid_t tid)
{
	for (size_t i = 0; i < tasks->tasks.count; i++) {
		if (tasks->tasks.items[i].tid == tid)
			return tasks->tasks.items[i].name;
	}
	return "";
}

void lh_thread_states_complete(const struct lh_task_list *tasks, pid_t parent, pid_t group, pid_t session,
			       struct lh_thread_states *states)
{
	for (size_t i = 0; i < states->threads.count; i++) {
		struct lh_thread_state *state = &states->threads.items[i];
		struct elf_prstatus *status = (void *)state->prstatus;
		status->pr_ppid = parent;
		status->pr_pgrp = group;
		status->pr_sid = session;
		snprintf(state->name, sizeof(state->name), "%s", task_name(tasks, state->tid));
	}
}

struct lh_error *lh_stack_pointers_of(const struct lh_thread_states *states, struct lh_stack_pointers *ret)
{
	for (size_t i = 0; i < states->threads.count; i++) {
		if (states->threads.items[i].stack_pointer)
			LH_TRY(lh_vec_push(&ret->items, states->threads.items[i].stack_pointer));
	}
	return NULL;
}
