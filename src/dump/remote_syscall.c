/*
 * remote_syscall: makes one stopped thread run a system call, and undoes it. Input: a thread in a
 * PTRACE_EVENT_STOP; output: the call's result. Nothing else in leakhunt sets a target's registers
 * or writes its memory.
 */
#include "dump/remote_syscall.h"

#if defined(__x86_64__)

#include "dump/fault_point.h"
#include "dump/seccomp_filter.h"
#include "dump/signal_frame.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
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
	uint8_t *saved_stack; /* what lay where the frame lies */
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
static struct lh_error *check_stack(pid_t tid, const struct lh_region_list *regions,
				    const struct user_regs_struct *registers, uint64_t frame_addr)
{
	const struct lh_region *region = lh_regions_find(regions, registers->rsp);
	bool is_own = region && (region->kind == LH_REGION_MAIN_STACK ||
				 (registers->fs_base > registers->rsp && registers->fs_base < region->end));
	if (!is_own || !(region->protection & LH_PROT_WRITE))
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d is not on its own stack", tid);
	if (frame_addr < region->start + STACK_SPARE_BYTES)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "thread %d has too little stack left", tid);
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

static struct lh_error *write_stack(const struct lh_remote *remote, const uint8_t *bytes)
{
	size_t length = remote->frame.length;
	if (pwrite(remote->memory_fd, bytes, length, (off_t)remote->frame.addr) != (ssize_t)length)
		return lh_error_from_errno(errno, "cannot write the stack of thread %d", remote->tid);
	return NULL;
}

static struct lh_error *save_stack(struct lh_remote *remote)
{
	size_t length = remote->frame.length;
	remote->saved_stack = malloc(length);
	if (!remote->saved_stack)
		return lh_error_no_memory();
	if (pread(remote->memory_fd, remote->saved_stack, length, (off_t)remote->frame.addr) != (ssize_t)length)
		return lh_error_from_errno(errno, "cannot read the stack of thread %d", remote->tid);
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
	LH_TRY(check_stack(remote->tid, regions, &remote->original, remote->frame.addr));
	LH_TRY(lh_process_open_file(process, "mem", O_RDWR, &remote->memory_fd));
	return save_stack(remote);
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

/*
 * From the first change on, the order is: the way back on the stack, then the registers that lead
 * to it, then the signal mask. Whenever we die, the thread restores all three.
 */
static struct lh_error *enter(struct lh_remote *remote)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SETOPTIONS, remote->tid, 0, options) < 0 &&
	    ptrace(PTRACE_SETOPTIONS, remote->tid, 0, PTRACE_O_TRACESYSGOOD) < 0)
		return lh_error_from_errno(errno, "cannot set ptrace options of thread %d", remote->tid);
	LH_TRY(write_stack(remote, remote->frame.bytes));
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

/* Waits for the next stop; stop signals met on the way are kept for later. */
static struct lh_error *resume_until(struct lh_remote *remote, int request, int wanted_signal, int wanted_event)
{
	for (;;) {
		if (ptrace(request, remote->tid, 0, 0) < 0)
			return lh_error_from_errno(errno, "cannot resume thread %d", remote->tid);
		int status;
		pid_t waited;
		do
			waited = waitpid(remote->tid, &status, __WALL);
		while (waited < 0 && errno == EINTR);
		if (waited < 0 || !WIFSTOPPED(status))
			return lh_error_create(LH_ERROR_NO_PROCESS, "thread %d ended under an injected call",
					       remote->tid);
		int event = status >> 16;
		bool is_wanted = wanted_event ? event == wanted_event : !event && WSTOPSIG(status) == wanted_signal;
		if (is_wanted)
			return NULL;
		/* All signals are blocked but SIGSTOP, which can't be. */
		if (!event && WSTOPSIG(status) == SIGSTOP)
			remote->stop_signal = SIGSTOP;
		else if (!event)
			return lh_error_create(LH_ERROR_SYSTEM, "signal %d met an injected call in thread %d",
					       WSTOPSIG(status), remote->tid);
	}
}

struct lh_error *lh_remote_call(struct lh_remote *remote, long number, const uint64_t arguments[6], int64_t *ret)
{
	struct user_regs_struct registers = returning_registers(remote);
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
	LH_TRY(resume_until(remote, PTRACE_SYSCALL, SYSCALL_STOP, 0));
	lh_fault_point("remote-call-entered");
	LH_TRY(resume_until(remote, PTRACE_SYSCALL, SYSCALL_STOP, 0));
	lh_fault_point("remote-call-left");
	LH_TRY(get_registers(remote->tid, &registers));
	*ret = (int64_t)registers.rax;
	return NULL;
}

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
	LH_TRY(resume_until(remote, PTRACE_CONT, 0, PTRACE_EVENT_STOP));
	LH_TRY(set_registers(remote->tid, &remote->original));
	lh_fault_point("remote-registers-restored");
	LH_TRY(write_stack(remote, remote->saved_stack));
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

struct lh_error *lh_remote_find_code(const struct lh_process *process, const struct lh_region_list *regions,
				     struct lh_remote_code *ret)
{
	(void)process;
	(void)regions;
	(void)ret;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "system calls are injected on x86_64 only");
}

#endif
