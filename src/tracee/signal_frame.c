/*
 * signal_frame: a thread's whole user state as the bytes that rt_sigreturn(2) restores it from. This is
 * the way back of a target whose injected call outlives leakhunt.
 */
#include "signal_frame.h"

#if defined(__x86_64__)

#include "restart.h"

#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>
#include <ucontext.h>

/* include/linux/errno.h: never seen by programs, only by tracers. */
enum {
	KERNEL_ERESTARTSYS = 512,
	KERNEL_ERESTARTNOINTR = 513,
	KERNEL_ERESTARTNOHAND = 514,
	KERNEL_ERESTART_RESTARTBLOCK = 516,
	KERNEL_EINTR = 4,
};

enum {
	RED_ZONE_BYTES = 128, /* System V ABI, x86-64, 3.2.2 */
	XSTATE_ALIGNMENT = 64,
	FXSAVE_BYTES = 512,
	XSAVE_HEADER_BYTES = 64,
	SW_RESERVED_OFFSET = 464, /* in the FXSAVE area: struct _fpx_sw_bytes */
	XFEATURE_XTILEDATA = 18,
	UC_FP_XSTATE = 1, /* arch/x86/include/uapi/asm/ucontext.h */
	UC_SIGCONTEXT_SS = 2,
	UC_STRICT_RESTORE_SS = 4,
};

static const uint32_t fp_xstate_magic1 = 0x46505853;
static const uint32_t fp_xstate_magic2 = 0x46505845;

/*
 * The kernel's struct rt_sigframe up to uc_sigmask; what follows is not read by rt_sigreturn.
 * glibc's ucontext_t has the same offsets up to there.
 */
struct frame_head {
	uint64_t return_address;
	ucontext_t context;
};

void lh_restart_resolve(struct user_regs_struct *regs)
{
	long result = (long)regs->rax;
	if ((long)regs->orig_rax < 0)
		return;
	if (result == -KERNEL_ERESTARTSYS || result == -KERNEL_ERESTARTNOINTR || result == -KERNEL_ERESTARTNOHAND)
		*regs = lh_restart_rewound(regs);
	else if (result == -KERNEL_ERESTART_RESTARTBLOCK)
		regs->rax = (unsigned long)-KERNEL_EINTR;
	regs->orig_rax = (unsigned long)-1;
}

/*
 * A frame must not claim more state than the thread's own buffer has (fpstate->user_size), or the
 * kernel restores only the SSE part: without live AMX tiles that is the size up to component 18.
 */
static size_t frame_xstate_bytes(const uint8_t *xstate, size_t xstate_bytes)
{
	uint64_t features;
	memcpy(&features, xstate + FXSAVE_BYTES, sizeof(features));
	uint32_t size, offset, flags, unused;
	if (features >> XFEATURE_XTILEDATA & 1)
		return xstate_bytes;
	if (__get_cpuid_count(0xd, XFEATURE_XTILEDATA, &size, &offset, &flags, &unused) && size &&
	    offset < xstate_bytes)
		return offset;
	return xstate_bytes;
}

static void write_registers(const struct user_regs_struct *from, mcontext_t *to)
{
	const struct {
		int index;
		unsigned long long value;
	} registers[] = {
		{REG_R8, from->r8},   {REG_R9, from->r9},      {REG_R10, from->r10}, {REG_R11, from->r11},
		{REG_R12, from->r12}, {REG_R13, from->r13},    {REG_R14, from->r14}, {REG_R15, from->r15},
		{REG_RDI, from->rdi}, {REG_RSI, from->rsi},    {REG_RBP, from->rbp}, {REG_RBX, from->rbx},
		{REG_RDX, from->rdx}, {REG_RAX, from->rax},    {REG_RCX, from->rcx}, {REG_RSP, from->rsp},
		{REG_RIP, from->rip}, {REG_EFL, from->eflags},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(registers); i++)
		to->gregs[registers[i].index] = (greg_t)registers[i].value;
	to->gregs[REG_CSGSFS] = (greg_t)(from->cs | from->ss << 48);
}

/* struct _fpx_sw_bytes, and the magic number after the state (asm/sigcontext.h). */
static void mark_xstate(uint8_t *area, size_t state_bytes)
{
	struct {
		uint32_t magic1;
		uint32_t extended_size;
		uint64_t xfeatures;
		uint32_t xstate_size;
		uint32_t padding[7];
	} mark = {
		.magic1 = fp_xstate_magic1,
		.extended_size = (uint32_t)(state_bytes + sizeof(fp_xstate_magic2)),
		.xstate_size = (uint32_t)state_bytes,
	};
	/* ptrace leaves XCR0 in the first reserved word (regset.c): the features that the size covers. */
	memcpy(&mark.xfeatures, area + SW_RESERVED_OFFSET, sizeof(mark.xfeatures));
	memcpy(area + SW_RESERVED_OFFSET, &mark, sizeof(mark));
	memcpy(area + state_bytes, &fp_xstate_magic2, sizeof(fp_xstate_magic2));
}

struct lh_error *lh_signal_frame_build(const struct user_regs_struct *regs, uint64_t signal_mask, const uint8_t *xstate,
				       size_t xstate_bytes, uint64_t stack_pointer, uint64_t restorer,
				       struct lh_signal_frame *ret)
{
	if (xstate_bytes < FXSAVE_BYTES + XSAVE_HEADER_BYTES)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "this CPU has no XSAVE");
	size_t state_bytes = frame_xstate_bytes(xstate, xstate_bytes);
	uint64_t state_addr = lh_align_down(stack_pointer - RED_ZONE_BYTES - state_bytes - sizeof(fp_xstate_magic2),
					    XSTATE_ALIGNMENT);
	/* As after a call: rsp + 8 is a multiple of 16 where the frame begins. */
	uint64_t head_addr = lh_align_down(state_addr - sizeof(struct frame_head), 16) - 8;
	size_t length = state_addr - head_addr + state_bytes + sizeof(fp_xstate_magic2);
	uint8_t *bytes = calloc(1, length);
	if (!bytes)
		return lh_error_no_memory();

	struct user_regs_struct resumed = *regs;
	lh_restart_resolve(&resumed);
	struct frame_head head = {.return_address = restorer};
	head.context.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	/* An alternate stack of 0 bytes is refused by the kernel, which thereby keeps the thread's own. */
	head.context.uc_stack = (stack_t){0};
	write_registers(&resumed, &head.context.uc_mcontext);
	head.context.uc_mcontext.fpregs = (fpregset_t)(uintptr_t)state_addr; /* NOLINT(performance-no-int-to-ptr) */
	memcpy(&head.context.uc_sigmask, &signal_mask, sizeof(signal_mask));
	memcpy(bytes, &head, sizeof(head));
	uint8_t *area = bytes + (state_addr - head_addr);
	memcpy(area, xstate, state_bytes);
	mark_xstate(area, state_bytes);
	*ret = (struct lh_signal_frame){.addr = head_addr, .bytes = bytes, .length = length};
	return NULL;
}

void lh_signal_frame_deinit(struct lh_signal_frame *frame)
{
	free(frame->bytes);
	*frame = (struct lh_signal_frame){0};
}

#endif
