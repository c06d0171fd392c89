/*
 * slot_code: encodes a slot. Input: a thread's registers and its job. Output: bytes for the target. No instruction of a
 * slot may touch the stack, the program's memory or the FPU: the stack pointer stays the thread's own, so that a
 * signal's frame is where it always is.
 */
#include "slot_code.h"

#if defined(__x86_64__)

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* include/linux/errno.h: only tracers see these. */
enum {
	KERNEL_ERESTARTSYS = 512,
	KERNEL_ERESTARTNOINTR = 513,
	KERNEL_ERESTARTNOHAND = 514,
	KERNEL_ERESTART_RESTARTBLOCK = 516,
};

enum {
	SYSCALL_INSN_BYTES = 2,
	SIGNAL_MASK_BYTES = 8,
	FLAG_OVERFLOW = 1 << 11,
	CLOSE_RANGE_UNSHARES = 2, /* CLOSE_RANGE_UNSHARE, linux/close_range.h */
	HELPER_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
	USERFAULT_FLAGS = O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY,
};

/* ---------------------------------------------------------------- the calls, for seccomp */

#define CALL_BACK                   \
	{                           \
		SYS_rt_sigprocmask, \
		{                   \
			SIG_SETMASK \
		}                   \
	}
#define CALL_RESTART                 \
	{                            \
		SYS_restart_syscall, \
		{                    \
			0            \
		}                    \
	}

const struct lh_filtered_call *lh_slot_calls(enum lh_slot_job_kind kind, size_t *ret_count)
{
	static const struct lh_filtered_call helper[] = {
		{SYS_clone, {HELPER_FLAGS}},
		{SYS_close_range, {0, ~0U, CLOSE_RANGE_UNSHARES}},
		{SYS_userfaultfd, {USERFAULT_FLAGS}},
		{SYS_exit, {0}},
		CALL_BACK,
		CALL_RESTART,
	};
	static const struct lh_filtered_call here[] = {
		{SYS_userfaultfd, {USERFAULT_FLAGS}},
		{SYS_close, {0}},
		CALL_BACK,
		CALL_RESTART,
	};
	static const struct lh_filtered_call child[] = {
		{SYS_clone, {CLONE_FILES}},
		{SYS_nanosleep, {0}},
		{SYS_exit_group, {0}},
		{SYS_wait4, {0}},
		CALL_BACK,
		CALL_RESTART,
	};
	static const struct lh_filtered_call reap[] = {{SYS_wait4, {0}}, CALL_BACK, CALL_RESTART};
	static const struct {
		const struct lh_filtered_call *calls;
		size_t count;
	} jobs[] = {
		[LH_SLOT_USERFAULT_HELPER] = {helper, LH_ARRAY_COUNT(helper)},
		[LH_SLOT_USERFAULT] = {here, LH_ARRAY_COUNT(here)},
		[LH_SLOT_CHILD] = {child, LH_ARRAY_COUNT(child)},
		[LH_SLOT_REAP] = {reap, LH_ARRAY_COUNT(reap)},
	};
	*ret_count = jobs[kind].count;
	return jobs[kind].calls;
}

/* ---------------------------------------------------------------- instructions (Intel SDM vol. 2) */

static void put_bytes(struct lh_slot_code *code, const void *bytes, size_t length)
{
	if (length <= sizeof(code->bytes) - code->length)
		memcpy(code->bytes + code->length, bytes, length);
	code->length += length; /* too long: test_slot_code sees it */
}

#define PUT(code, ...) put_bytes(code, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void put_u32(struct lh_slot_code *code, uint32_t value)
{
	put_bytes(code, &value, sizeof(value));
}

static void put_u64(struct lh_slot_code *code, uint64_t value)
{
	put_bytes(code, &value, sizeof(value));
}

/* mov r32, imm32, which clears the upper half; `opcode` names the register. */
enum { MOV_EAX = 0xb8, MOV_EDX = 0xba, MOV_ESI = 0xbe, MOV_EDI = 0xbf };

static void put_mov(struct lh_slot_code *code, uint8_t opcode, uint32_t value)
{
	PUT(code, opcode);
	put_u32(code, value);
}

/* mov r64, imm64 */
static void put_mov_u64(struct lh_slot_code *code, uint8_t prefix, uint8_t opcode, uint64_t value)
{
	PUT(code, prefix, opcode);
	put_u64(code, value);
}

static void put_zero_edi(struct lh_slot_code *code)
{
	PUT(code, 0x31, 0xff); /* xor edi, edi */
}

static void put_zero_esi(struct lh_slot_code *code)
{
	PUT(code, 0x31, 0xf6); /* xor esi, esi */
}

static void put_syscall(struct lh_slot_code *code, uint32_t number)
{
	put_mov(code, MOV_EAX, number);
	PUT(code, 0x0f, 0x05);
}

/* lea r64, [rip + offset - here]; `reg` as ModRM has it. */
enum { LEA_RSI = 0x35, LEA_RDI = 0x3d };

static void put_address_code(struct lh_slot_code *code, uint8_t reg, size_t offset)
{
	PUT(code, 0x48, 0x8d, reg);
	put_u32(code, (uint32_t)(offset - (code->length + 4)));
}

/* test eax, eax, and a short jump whose target set_target names. */
enum { JNZ = 0x75, JS = 0x78 };

static size_t put_test_and_jump(struct lh_slot_code *code, uint8_t opcode)
{
	PUT(code, 0x85, 0xc0, opcode, 0);
	return code->length;
}

static void set_target(struct lh_slot_code *code, size_t after_jump, size_t target)
{
	if (after_jump <= sizeof(code->bytes))
		code->bytes[after_jump - 1] = (uint8_t)(target - after_jump);
}

/* Ends the thread or process, and never returns. */
static void put_end(struct lh_slot_code *code, uint32_t number)
{
	size_t start = code->length;
	put_syscall(code, number);
	PUT(code, 0xeb, 0); /* jmp */
	set_target(code, code->length, start);
}

static void put_result_as_argument(struct lh_slot_code *code)
{
	PUT(code, 0x89, 0xc7); /* mov edi, eax */
}

/* ---------------------------------------------------------------- the jobs */

/* The new thread has the same rsp, and never uses it. It ends with the result of its last call, for its tracer. */
static size_t put_userfault_helper(struct lh_slot_code *code)
{
	put_mov(code, MOV_EDI, HELPER_FLAGS);
	put_zero_esi(code);
	put_syscall(code, SYS_clone);
	size_t to_back = put_test_and_jump(code, JNZ);
	put_zero_edi(code);
	PUT(code, 0x83, 0xce, 0xff); /* or esi, -1 */
	put_mov(code, MOV_EDX, CLOSE_RANGE_UNSHARES);
	put_syscall(code, SYS_close_range);
	size_t to_end = put_test_and_jump(code, JNZ); /* never a userfaultfd in the shared table */
	put_mov(code, MOV_EDI, USERFAULT_FLAGS);
	put_syscall(code, SYS_userfaultfd);
	set_target(code, to_end, code->length);
	put_result_as_argument(code);
	put_end(code, SYS_exit);
	return to_back;
}

static size_t put_userfault(struct lh_slot_code *code)
{
	put_mov(code, MOV_EDI, USERFAULT_FLAGS);
	put_syscall(code, SYS_userfaultfd);
	size_t to_back = put_test_and_jump(code, JS);
	put_result_as_argument(code);
	put_syscall(code, SYS_close);
	return to_back;
}

/* CLONE_FILES: what the target closes meanwhile is closed; no peer and no lock waits for the child. */
static size_t put_child(struct lh_slot_code *code, int exit_code)
{
	const uint64_t time[2] = {LH_SLOT_CHILD_SLEEP_S};
	const size_t time_offset = LH_SLOT_BYTES - sizeof(time);
	memcpy(code->bytes + time_offset, time, sizeof(time));
	put_mov(code, MOV_EDI, CLONE_FILES);
	put_zero_esi(code);
	put_syscall(code, SYS_clone);
	size_t to_back = put_test_and_jump(code, JNZ);
	put_address_code(code, LEA_RDI, time_offset);
	put_zero_esi(code);
	put_syscall(code, SYS_nanosleep);
	put_mov(code, MOV_EDI, (uint32_t)exit_code);
	put_end(code, SYS_exit_group);
	return to_back;
}

static void put_reap(struct lh_slot_code *code, pid_t child)
{
	put_mov(code, MOV_EDI, (uint32_t)child);
	put_zero_esi(code);
	put_mov(code, MOV_EDX, __WALL);
	PUT(code, 0x45, 0x31, 0xd2); /* xor r10d, r10d */
	put_syscall(code, SYS_wait4);
}

/* Target of its jump to `back`; 0: it has none. */
static size_t put_job(struct lh_slot_code *code, const struct lh_slot_job *job)
{
	switch (job->kind) {
	case LH_SLOT_USERFAULT_HELPER:
		return put_userfault_helper(code);
	case LH_SLOT_USERFAULT:
		return put_userfault(code);
	case LH_SLOT_CHILD:
		return put_child(code, job->exit_code);
	case LH_SLOT_REAP:
		put_reap(code, job->child);
	}
	return 0;
}

/* ---------------------------------------------------------------- the way back */

struct user_regs_struct lh_slot_resolve(const struct user_regs_struct *original)
{
	struct user_regs_struct registers = *original;
	int64_t result = (int64_t)registers.rax;
	if ((int64_t)registers.orig_rax < 0)
		return registers;
	if (result == -KERNEL_ERESTARTSYS || result == -KERNEL_ERESTARTNOINTR || result == -KERNEL_ERESTARTNOHAND) {
		registers.rax = registers.orig_rax;
		registers.rip -= SYSCALL_INSN_BYTES;
	} else if (result == -KERNEL_ERESTART_RESTARTBLOCK) {
		registers.rax = SYS_restart_syscall;
		registers.rip -= SYSCALL_INSN_BYTES;
	}
	registers.orig_rax = (unsigned long)-1;
	return registers;
}

/* The status flags from ah (SAHF), and OF from an addition that overflows; no other instruction here sets DF or AC. */
static void put_flags(struct lh_slot_code *code, uint64_t flags)
{
	uint32_t overflow = flags & FLAG_OVERFLOW ? 0x7f : 0;
	put_mov(code, MOV_EAX, (uint32_t)(flags & 0xff) << 8 | overflow);
	PUT(code, 0x04, 0x01); /* add al, 1 */
	PUT(code, 0x9e);       /* sahf */
}

/* rcx and r11 are lost to `syscall`; rbx, rbp, rsp, r8, r9 and r12 to r15 are never touched. mov sets no flags. */
static void put_back_code(struct lh_slot_code *code, const struct user_regs_struct *registers)
{
	put_mov(code, MOV_EDI, SIG_SETMASK);
	put_address_code(code, LEA_RSI, offsetof(struct lh_slot_record, signal_mask));
	PUT(code, 0x31, 0xd2);            /* xor edx, edx */
	PUT(code, 0x41, 0xba);            /* mov r10d, */
	put_u32(code, SIGNAL_MASK_BYTES); /* 8 */
	put_syscall(code, SYS_rt_sigprocmask);
	put_flags(code, registers->eflags);
	put_mov_u64(code, 0x48, 0xbf, registers->rdi);
	put_mov_u64(code, 0x48, 0xbe, registers->rsi);
	put_mov_u64(code, 0x48, 0xba, registers->rdx);
	put_mov_u64(code, 0x49, 0xba, registers->r10);
	put_mov_u64(code, 0x48, 0xb9, registers->rcx);
	put_mov_u64(code, 0x49, 0xbb, registers->r11);
	put_mov_u64(code, 0x48, 0xb8, registers->rax);
	PUT(code, 0xff, 0x25, 0, 0, 0, 0); /* jmp [rip + 0] */
	put_u64(code, registers->rip);
}

void lh_slot_encode(const struct user_regs_struct *original, const struct lh_slot_record *record,
		    const struct lh_slot_job *job, struct lh_slot_code *ret)
{
	struct user_regs_struct resumed = lh_slot_resolve(original);
	struct lh_slot_record head = *record;
	*ret = (struct lh_slot_code){0};
	memcpy(head.mark, LH_SLOT_MARK, sizeof(head.mark));
	head.rsp = resumed.rsp;
	head.rip = resumed.rip;
	put_bytes(ret, &head, sizeof(head));
	ret->call_offset = ret->length;
	size_t to_back = put_job(ret, job);
	ret->back_offset = ret->length;
	if (to_back)
		set_target(ret, to_back, ret->back_offset);
	put_back_code(ret, &resumed);
	if (job->kind == LH_SLOT_CHILD)
		ret->length += 2 * sizeof(uint64_t); /* the time, at the end */
}

#endif
