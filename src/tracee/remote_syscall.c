/*
 * remote_syscall: makes one stopped thread run a system call, and undoes it. Input: a thread in a
 * PTRACE_EVENT_STOP; output: the call's result. Nothing else in leakhunt sets a target's registers
 * or writes its memory.
 */
#include "remote_syscall.h"

#if defined(__x86_64__)

#include "leakhunt/fault_point.h"
#include "seccomp_filter.h"
#include "signal_frame.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21) /* linux/ptrace.h, since 4.3 */
#endif

enum {
	SYSCALL_INSN_BYTES = 2,
	USER_CODE_64 = 0x33, /* __USER_CS: 64-bit code segment */
	XSTATE_MAX_BYTES = 16384,
	SIGNAL_MASK_BYTES = 8,
	STACK_SPARE_BYTES = 4096,
	SYSCALL_STOP = SIGTRAP | 0x80,
	KERNEL_ERESTARTSYS = 512, /* include/linux/errno.h: the lowest of those that only tracers see */
};

/* ---------------------------------------------------------------- code to run through */

struct code_search {
	struct lh_remote_code code;
	bool has_syscall_ret;
	bool has_restorer;
};

static const uint8_t syscall_ret_bytes[] = {0x0f, 0x05, 0xc3};
/* glibc sysdeps/unix/sysv/linux/x86_64/libc_sigaction.c; musl src/signal/x86_64/restore.s. */
static const uint8_t restorer_glibc[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
static const uint8_t restorer_musl[] = {0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};

/* Whether the target's own memory holds what its file holds there. */
static bool is_in_memory(const struct lh_process *process, uint64_t addr, const uint8_t *bytes, size_t length)
{
	uint8_t seen[16];
	return lh_process_read(process, addr, seen, length) == length && memcmp(seen, bytes, length) == 0;
}

static bool find_bytes(const struct lh_process *process, const struct lh_buffer *text, uint64_t start,
		       const uint8_t *bytes, size_t length, uint64_t *ret)
{
	const char *found = text->length ? memmem(text->data, text->length, bytes, length) : NULL;
	if (!found)
		return false;
	uint64_t addr = start + (uint64_t)(found - text->data);
	if (!is_in_memory(process, addr, bytes, length))
		return false;
	*ret = addr;
	return true;
}

static void search_text(const struct lh_process *process, const struct lh_buffer *text, uint64_t start,
			struct code_search *search)
{
	struct lh_remote_code *code = &search->code;
	if (!search->has_syscall_ret)
		search->has_syscall_ret = find_bytes(process, text, start, syscall_ret_bytes, sizeof(syscall_ret_bytes),
						     &code->syscall_ret);
	if (!search->has_restorer)
		search->has_restorer =
			find_bytes(process, text, start, restorer_glibc, sizeof(restorer_glibc), &code->restorer) ||
			find_bytes(process, text, start, restorer_musl, sizeof(restorer_musl), &code->restorer);
}

/*
 * The bytes of one mapping, read from its file and not through the target, where nothing is to be
 * faulted in. false: no file, or it can't be opened; another region may do.
 */
static bool read_mapped_file(const struct lh_process *process, const struct lh_region *region, struct lh_buffer *ret)
{
	char name[64];
	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)region->start,
		 (unsigned long long)region->end);
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	struct lh_error *error = lh_process_open_file(process, name, O_RDONLY, &fd);
	if (error) {
		lh_error_destroy(error);
		return false;
	}
	size_t length = region->end - region->start;
	char *data = malloc(length);
	ssize_t count = data ? pread(fd, data, length, (off_t)region->file_offset) : -1;
	if (count <= 0) {
		free(data);
		return false;
	}
	*ret = (struct lh_buffer){.data = data, .length = (size_t)count, .capacity = length};
	return true;
}

struct lh_error *lh_remote_find_code(const struct lh_process *process, const struct lh_region_list *regions,
				     struct lh_remote_code *ret)
{
	struct code_search search = {0};
	for (size_t i = 0; i < regions->regions.count; i++) {
		const struct lh_region *region = &regions->regions.items[i];
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		if (region->kind != LH_REGION_TEXT || !read_mapped_file(process, region, &text))
			continue;
		search_text(process, &text, region->start, &search);
		if (search.has_syscall_ret && search.has_restorer) {
			*ret = search.code;
			return NULL;
		}
	}
	return lh_error_create(LH_ERROR_UNSUPPORTED, "no `syscall; ret` and signal restorer in the target's code");
}

/* ---------------------------------------------------------------- a thread */

struct lh_remote {
	pid_t tid;
	int memory_fd;
	struct lh_remote_code code;
	struct user_regs_struct original;
	uint64_t signal_mask;
	struct lh_signal_frame frame;
	uint64_t stack_floor; /* no byte of ours goes below */
	uint64_t saved_stack_addr;
	size_t saved_stack_bytes;
	uint8_t *saved_stack; /* what lay where the frames lie */
	long options;         /* PTRACE_SETOPTIONS */
	int stop_signal;
};

static struct lh_error *get_registers(pid_t tid, struct user_regs_struct *ret)
{
	struct iovec vector = {ret, sizeof(*ret)};
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &vector) < 0)
		return lh_error_from_errno(errno, "cannot read the registers of thread %d", tid);
	if (vector.iov_len != sizeof(*ret) || ret->cs != USER_CODE_64)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d runs 32-bit code", tid);
	return NULL;
}

static struct lh_error *set_registers(pid_t tid, struct user_regs_struct *registers)
{
	struct iovec vector = {registers, sizeof(*registers)};
	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &vector) < 0)
		return lh_error_from_errno(errno, "cannot set the registers of thread %d", tid);
	return NULL;
}

/* LH_ERROR_NO_PROCESS when it ended instead. */
static struct lh_error *await_stop(pid_t tid, int *ret_status)
{
	int status;
	pid_t waited;
	do
		waited = waitpid(tid, &status, __WALL);
	while (waited < 0 && errno == EINTR);
	if (waited < 0 || !WIFSTOPPED(status))
		return lh_error_create(LH_ERROR_NO_PROCESS, "thread %d ended under an injected call", tid);
	*ret_status = status;
	return NULL;
}

static struct lh_error *set_signal_mask(pid_t tid, uint64_t mask)
{
	if (ptrace(PTRACE_SETSIGMASK, tid, SIGNAL_MASK_BYTES, &mask) < 0)
		return lh_error_from_errno(errno, "cannot set the signal mask of thread %d", tid);
	return NULL;
}

/* The value after "name:" in a status text; NULL when it is not there. */
static const char *status_value(const char *status, const char *name)
{
	const char *found = strstr(status, name);
	return found ? found + strlen(name) + strspn(found + strlen(name), " \t") : NULL;
}

/* A shadow stack would fault on our return address; strict seccomp kills on anything but four calls. */
static struct lh_error *check_status(const struct lh_process *process, pid_t tid)
{
	char name[64];
	snprintf(name, sizeof(name), "task/%d/status", tid);
	struct lh_buffer status LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_process_read_file(process, name, &status));
	const char *features = status_value(status.data, "\nx86_Thread_features:");
	if (features && strncmp(features, "shstk", 5) == 0)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d has a shadow stack", tid);
	const char *seccomp = status_value(status.data, "\nSeccomp:");
	if (seccomp && *seccomp == '1')
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is in strict seccomp mode", tid);
	return NULL;
}

/*
 * In user code, the thread may be inside a restartable sequence, which the kernel forgets about when
 * it sees another rip (kernel/rseq.c). Inside a system call it can't be.
 */
static struct lh_error *check_rseq(const struct lh_process *process, pid_t tid,
				   const struct user_regs_struct *registers)
{
	if ((long)registers->orig_rax >= 0)
		return NULL;
	struct __ptrace_rseq_configuration configuration = {0};
	long size = ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(configuration), &configuration);
	if (size < 0 || !configuration.rseq_abi_pointer)
		return NULL; /* before Linux 5.13, or not registered */
	uint64_t critical_section = 0;
	const uint64_t rseq_cs_offset = 8; /* struct rseq, linux/rseq.h */
	if (lh_process_read(process, configuration.rseq_abi_pointer + rseq_cs_offset, &critical_section,
			    sizeof(critical_section)) != sizeof(critical_section) ||
	    critical_section)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is in a restartable sequence", tid);
	return NULL;
}

/* [stack] for the main thread; else a stack with its own thread control block above (pthreads). */
static struct lh_error *check_stack(struct lh_remote *remote, const struct lh_region_list *regions)
{
	const struct user_regs_struct *registers = &remote->original;
	const struct lh_region *region = lh_regions_find(regions, registers->rsp);
	bool is_own = region && (region->kind == LH_REGION_MAIN_STACK ||
				 (registers->fs_base > registers->rsp && registers->fs_base < region->end));
	if (!is_own || !(region->protection & LH_PROT_WRITE))
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is not on its own stack", remote->tid);
	remote->stack_floor = region->start + STACK_SPARE_BYTES;
	if (remote->frame.addr < remote->stack_floor)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d has too little stack left", remote->tid);
	return NULL;
}

static struct lh_error *build_frame(struct lh_remote *remote)
{
	LH_CLEANUP(lh_cleanup_free) uint8_t *xstate = malloc(XSTATE_MAX_BYTES);
	if (!xstate)
		return lh_error_no_memory();
	struct iovec vector = {xstate, XSTATE_MAX_BYTES};
	if (ptrace(PTRACE_GETREGSET, remote->tid, NT_X86_XSTATE, &vector) < 0)
		return lh_error_from_errno(errno, "cannot read the FPU state of thread %d", remote->tid);
	return lh_signal_frame_build(&remote->original, remote->signal_mask, xstate, vector.iov_len,
				     remote->original.rsp, remote->code.restorer, &remote->frame);
}

static struct lh_error *write_stack(const struct lh_remote *remote, uint64_t addr, const uint8_t *bytes, size_t length)
{
	if (pwrite(remote->memory_fd, bytes, length, (off_t)addr) != (ssize_t)length)
		return lh_error_from_errno(errno, "cannot write the stack of thread %d", remote->tid);
	return NULL;
}

/* Keeps the bytes from `addr` to what is kept already, or to the end of the way back. */
static struct lh_error *save_stack(struct lh_remote *remote, uint64_t addr)
{
	uint64_t end = remote->saved_stack ? remote->saved_stack_addr : remote->frame.addr + remote->frame.length;
	size_t length = end - addr, kept_bytes = remote->saved_stack_bytes;
	uint8_t *saved = malloc(length + kept_bytes);
	if (!saved)
		return lh_error_no_memory();
	if (pread(remote->memory_fd, saved, length, (off_t)addr) != (ssize_t)length) {
		free(saved);
		return lh_error_from_errno(errno, "cannot read the stack of thread %d", remote->tid);
	}
	if (remote->saved_stack)
		memcpy(saved + length, remote->saved_stack, kept_bytes);
	free(remote->saved_stack);
	remote->saved_stack = saved;
	remote->saved_stack_addr = addr;
	remote->saved_stack_bytes = length + kept_bytes;
	return NULL;
}

/* Everything that can be found out without changing the target. */
static struct lh_error *examine(struct lh_remote *remote, const struct lh_process *process,
				const struct lh_region_list *regions, const long *calls)
{
	LH_TRY(get_registers(remote->tid, &remote->original));
	LH_TRY(check_status(process, remote->tid));
	LH_TRY(check_rseq(process, remote->tid, &remote->original));
	for (; *calls; calls++) {
		if (lh_seccomp_kills(remote->tid, *calls))
			return lh_error_create(LH_ERROR_UNSUPPORTED, "seccomp would kill thread %d for system call %ld",
					       remote->tid, *calls);
	}
	if (ptrace(PTRACE_GETSIGMASK, remote->tid, SIGNAL_MASK_BYTES, &remote->signal_mask) < 0)
		return lh_error_from_errno(errno, "cannot read the signal mask of thread %d", remote->tid);
	LH_TRY(build_frame(remote));
	LH_TRY(check_stack(remote, regions));
	LH_TRY(lh_process_open_file(process, "mem", O_RDWR, &remote->memory_fd));
	return save_stack(remote, remote->frame.addr);
}

/* The registers with which the thread, were it let go, would return to its original state. */
static struct user_regs_struct returning_registers(const struct lh_remote *remote)
{
	struct user_regs_struct registers = remote->original;
	registers.rsp = remote->frame.addr;
	registers.rip = remote->code.syscall_ret + SYSCALL_INSN_BYTES;
	registers.orig_rax = (unsigned long)-1; /* nothing to restart */
	registers.rax = 0;
	return registers;
}

/* The registers with which a child, were it let go, would end. */
static struct user_regs_struct exiting_registers(const struct lh_remote *remote, int exit_code)
{
	struct user_regs_struct registers = returning_registers(remote);
	registers.rip = remote->code.syscall_ret;
	registers.rax = SYS_exit_group;
	registers.rdi = (unsigned long)exit_code;
	return registers;
}

/*
 * From the first change on, the order is: the way back on the stack, then the registers that lead
 * to it, then the signal mask. Whenever we die, the thread restores all three.
 */
static struct lh_error *enter(struct lh_remote *remote)
{
	remote->options = PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SETOPTIONS, remote->tid, 0, remote->options) < 0) {
		remote->options = PTRACE_O_TRACESYSGOOD;
		if (ptrace(PTRACE_SETOPTIONS, remote->tid, 0, remote->options) < 0)
			return lh_error_from_errno(errno, "cannot set ptrace options of thread %d", remote->tid);
	}
	LH_TRY(write_stack(remote, remote->frame.addr, remote->frame.bytes, remote->frame.length));
	lh_fault_point("remote-frame-written");
	struct user_regs_struct registers = returning_registers(remote);
	LH_TRY(set_registers(remote->tid, &registers));
	lh_fault_point("remote-registers-set");
	LH_TRY(set_signal_mask(remote->tid, UINT64_MAX));
	lh_fault_point("remote-signals-blocked");
	return NULL;
}

void lh_remote_abandon(struct lh_remote *remote)
{
	if (!remote)
		return;
	if (remote->memory_fd >= 0)
		close(remote->memory_fd);
	lh_signal_frame_deinit(&remote->frame);
	free(remote->saved_stack);
	free(remote);
}

struct lh_error *lh_remote_begin(const struct lh_process *process, pid_t tid, const struct lh_region_list *regions,
				 const struct lh_remote_code *code, const long *calls, struct lh_remote **ret)
{
	struct lh_remote *remote = calloc(1, sizeof(*remote));
	if (!remote)
		return lh_error_no_memory();
	*remote = (struct lh_remote){.tid = tid, .memory_fd = -1, .code = *code};
	struct lh_error *error = examine(remote, process, regions, calls);
	if (error) {
		lh_remote_abandon(remote);
		return error;
	}
	error = enter(remote);
	if (error) {
		int signal;
		lh_error_destroy(lh_remote_end(remote, &signal));
		return error;
	}
	*ret = remote;
	return NULL;
}

/* ---------------------------------------------------------------- running calls */

/* Lets the thread go on to its next stop. Stop signals met on the way are kept for later. */
static struct lh_error *next_stop(struct lh_remote *remote, int request, int *ret_signal, int *ret_event)
{
	for (;;) {
		if (ptrace(request, remote->tid, 0, 0) < 0)
			return lh_error_from_errno(errno, "cannot resume thread %d", remote->tid);
		int status;
		LH_TRY(await_stop(remote->tid, &status));
		*ret_event = status >> 16;
		*ret_signal = WSTOPSIG(status);
		if (*ret_event || *ret_signal == SYSCALL_STOP)
			return NULL;
		/* All signals are blocked but SIGSTOP, which can't be. */
		if (*ret_signal != SIGSTOP)
			return lh_error_create(LH_ERROR_SYSTEM, "signal %d met an injected call in thread %d",
					       *ret_signal, remote->tid);
		remote->stop_signal = SIGSTOP;
	}
}

static struct lh_error *resume_until_event(struct lh_remote *remote, int request, int wanted_event)
{
	int signal = 0, event = 0;
	do
		LH_TRY(next_stop(remote, request, &signal, &event));
	while (event != wanted_event);
	return NULL;
}

/* *ret_event: an event met on the way that is waited for, too; else 0. */
static struct lh_error *resume_until_syscall_stop(struct lh_remote *remote, int other_event, int *ret_event)
{
	int signal = 0, event = 0;
	do
		LH_TRY(next_stop(remote, PTRACE_SYSCALL, &signal, &event));
	while (event && event != other_event);
	*ret_event = event;
	return NULL;
}

/* The thread at the entry of the call. */
static struct lh_error *start_call(struct lh_remote *remote, long number, const uint64_t arguments[6])
{
	struct user_regs_struct registers = returning_registers(remote);
	int event;
	registers.rip = remote->code.syscall_ret;
	registers.rax = (unsigned long)number;
	registers.rdi = arguments[0];
	registers.rsi = arguments[1];
	registers.rdx = arguments[2];
	registers.r10 = arguments[3];
	registers.r8 = arguments[4];
	registers.r9 = arguments[5];
	LH_TRY(set_registers(remote->tid, &registers));
	lh_fault_point("remote-call-set");
	LH_TRY(resume_until_syscall_stop(remote, 0, &event));
	lh_fault_point("remote-call-entered");
	return NULL;
}

static struct lh_error *call_result(const struct lh_remote *remote, int64_t *ret)
{
	struct user_regs_struct registers;
	lh_fault_point("remote-call-left");
	LH_TRY(get_registers(remote->tid, &registers));
	*ret = (int64_t)registers.rax;
	return NULL;
}

struct lh_error *lh_remote_call(struct lh_remote *remote, long number, const uint64_t arguments[6], int64_t *ret)
{
	int event;
	LH_TRY(start_call(remote, number, arguments));
	LH_TRY(resume_until_syscall_stop(remote, 0, &event));
	return call_result(remote, ret);
}

/* ---------------------------------------------------------------- a child */

/*
 * The child's way out, should nobody stop it: a stack of its own, below the thread's way back, with a
 * frame that makes it call exit_group. The child shares no memory, and so never touches the thread's.
 */
static struct lh_error *build_exit_frame(struct lh_remote *remote, int exit_code, struct lh_signal_frame *ret)
{
	LH_CLEANUP(lh_cleanup_free) uint8_t *xstate = malloc(XSTATE_MAX_BYTES);
	if (!xstate)
		return lh_error_no_memory();
	struct user_regs_struct registers = exiting_registers(remote, exit_code);
	struct iovec vector = {xstate, XSTATE_MAX_BYTES};
	if (ptrace(PTRACE_GETREGSET, remote->tid, NT_X86_XSTATE, &vector) < 0)
		return lh_error_from_errno(errno, "cannot read the FPU state of thread %d", remote->tid);
	return lh_signal_frame_build(&registers, UINT64_MAX, xstate, vector.iov_len, remote->frame.addr,
				     remote->code.restorer, ret);
}

/*
 * From its first stop on, which comes before its first instruction: a child that is let go calls
 * exit_group at once, without a stack; and it is killed when we die.
 */
static struct lh_error *arm_child(const struct lh_remote *remote, pid_t pid, int exit_code)
{
	int status;
	LH_TRY(await_stop(pid, &status));
	lh_fault_point("child-stopped");
	struct user_regs_struct registers = exiting_registers(remote, exit_code);
	LH_TRY(set_registers(pid, &registers));
	lh_fault_point("child-parked");
	/* First: it is a mark, too, by which one that was killed is known as ours (child_reap). */
	lh_process_offer_to_oom_killer(pid);
	lh_fault_point("child-offered");
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) < 0)
		return lh_error_from_errno(errno, "cannot set ptrace options of process %d", pid);
	lh_fault_point("child-armed");
	return NULL;
}

static struct lh_error *finish_clone(struct lh_remote *remote, int exit_code, struct lh_remote_child *ret)
{
	unsigned long pid;
	if (ptrace(PTRACE_GETEVENTMSG, remote->tid, 0, &pid) < 0)
		return lh_error_from_errno(errno, "cannot learn the child of thread %d", remote->tid);
	ret->pid = (pid_t)pid;
	lh_fault_point("child-made");
	struct lh_error *error = arm_child(remote, ret->pid, exit_code);
	if (error)
		kill(ret->pid, SIGKILL);
	return error;
}

/*
 * CLONE_FILES: what the target closes meanwhile is closed, and no peer or lock waits for the child. The
 * child holds no reference of its own to any file, and its end closes none.
 */
static struct lh_error *call_clone(struct lh_remote *remote, uint64_t stack, int exit_code, struct lh_remote_child *ret,
				   int64_t *ret_result)
{
	int event;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	LH_TRY(start_call(remote, SYS_clone, (uint64_t[6]){CLONE_FILES, stack}));
	LH_TRY(resume_until_syscall_stop(remote, PTRACE_EVENT_CLONE, &event));
	if (event == PTRACE_EVENT_CLONE) {
		error = finish_clone(remote, exit_code, ret);
		LH_TRY(resume_until_syscall_stop(remote, 0, &event));
	}
	LH_TRY(call_result(remote, ret_result));
	ret->inner_pid = *ret_result > 0 ? (pid_t)*ret_result : 0;
	struct lh_error *child_error = error;
	error = NULL;
	return child_error;
}

/* A stop signal makes clone say ERESTARTNOINTR (kernel/fork.c copy_process). */
static struct lh_error *clone_patiently(struct lh_remote *remote, uint64_t stack, int exit_code,
					struct lh_remote_child *ret)
{
	enum { TRIES = 8 };
	int64_t result = -KERNEL_ERESTARTSYS;
	for (int i = 0; i < TRIES && result <= -KERNEL_ERESTARTSYS; i++)
		LH_TRY(call_clone(remote, stack, exit_code, ret, &result));
	if (result > 0)
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "the target may not fork (errno %d)", (int)-result);
}

struct lh_error *lh_remote_clone(struct lh_remote *remote, int exit_code, struct lh_remote_child *ret)
{
	struct lh_signal_frame frame LH_CLEANUP(lh_signal_frame_deinit) = {0};
	LH_TRY(build_exit_frame(remote, exit_code, &frame));
	if (frame.addr < remote->stack_floor)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d has too little stack left", remote->tid);
	if (ptrace(PTRACE_SETOPTIONS, remote->tid, 0, remote->options | PTRACE_O_TRACECLONE) < 0)
		return lh_error_from_errno(errno, "cannot set ptrace options of thread %d", remote->tid);
	LH_TRY(save_stack(remote, frame.addr));
	LH_TRY(write_stack(remote, frame.addr, frame.bytes, frame.length));
	lh_fault_point("child-way-out-written");
	return clone_patiently(remote, frame.addr, exit_code, ret);
}

struct lh_error *lh_remote_restore_copy(const struct lh_remote *remote, int memory_fd)
{
	size_t length = remote->saved_stack_bytes;
	if (pwrite(memory_fd, remote->saved_stack, length, (off_t)remote->saved_stack_addr) != (ssize_t)length)
		return lh_error_from_errno(errno, "cannot restore the stack in the copy of thread %d", remote->tid);
	return NULL;
}

/* ---------------------------------------------------------------- the way back */

/*
 * A system call is restarted only on the way out of a stop in get_signal (PTRACE_EVENT_STOP), not
 * out of a syscall-exit-stop: go there first. The interrupt is seen before any user instruction and
 * before any pending signal (kernel/signal.c get_signal).
 */
static struct lh_error *leave(struct lh_remote *remote)
{
	struct user_regs_struct registers = returning_registers(remote);
	LH_TRY(set_registers(remote->tid, &registers));
	LH_TRY(set_signal_mask(remote->tid, remote->signal_mask));
	lh_fault_point("remote-signals-restored");
	if (ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0)
		return lh_error_from_errno(errno, "cannot interrupt thread %d", remote->tid);
	LH_TRY(resume_until_event(remote, PTRACE_CONT, PTRACE_EVENT_STOP));
	LH_TRY(set_registers(remote->tid, &remote->original));
	lh_fault_point("remote-registers-restored");
	LH_TRY(write_stack(remote, remote->saved_stack_addr, remote->saved_stack, remote->saved_stack_bytes));
	if (ptrace(PTRACE_SETOPTIONS, remote->tid, 0, 0) < 0)
		return lh_error_from_errno(errno, "cannot reset ptrace options of thread %d", remote->tid);
	return NULL;
}

struct lh_error *lh_remote_end(struct lh_remote *remote, int *ret_signal)
{
	*ret_signal = 0;
	if (!remote)
		return NULL;
	struct lh_error *error = leave(remote);
	*ret_signal = remote->stop_signal;
	lh_remote_abandon(remote);
	return error;
}

#else

static struct lh_error *unsupported(void)
{
	return lh_error_create(LH_ERROR_UNSUPPORTED, "system calls are injected on x86_64 only");
}

struct lh_error *lh_remote_find_code(const struct lh_process *process, const struct lh_region_list *regions,
				     struct lh_remote_code *ret)
{
	(void)process;
	(void)regions;
	(void)ret;
	return unsupported();
}

struct lh_error *lh_remote_begin(const struct lh_process *process, pid_t tid, const struct lh_region_list *regions,
				 const struct lh_remote_code *code, const long *calls, struct lh_remote **ret)
{
	(void)process;
	(void)tid;
	(void)regions;
	(void)code;
	(void)calls;
	(void)ret;
	return unsupported();
}

struct lh_error *lh_remote_call(struct lh_remote *remote, long number, const uint64_t arguments[6], int64_t *ret)
{
	(void)remote;
	(void)number;
	(void)arguments;
	(void)ret;
	return unsupported();
}

struct lh_error *lh_remote_clone(struct lh_remote *remote, int exit_code, struct lh_remote_child *ret)
{
	(void)remote;
	(void)exit_code;
	(void)ret;
	return unsupported();
}

struct lh_error *lh_remote_restore_copy(const struct lh_remote *remote, int memory_fd)
{
	(void)remote;
	(void)memory_fd;
	return unsupported();
}

struct lh_error *lh_remote_end(struct lh_remote *remote, int *ret_signal)
{
	(void)remote;
	*ret_signal = 0;
	return NULL;
}

void lh_remote_abandon(struct lh_remote *remote)
{
	(void)remote;
}

#endif
