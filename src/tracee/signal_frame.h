/*
 * signal_frame: builds the frame that rt_sigreturn restores a thread from. Private to dump, x86_64.
 */
#ifndef LEAKHUNT_DUMP_SIGNAL_FRAME_H
#define LEAKHUNT_DUMP_SIGNAL_FRAME_H

#include "leakhunt/base.h"

struct user_regs_struct;

/* A frame as it is to lie in the target's memory. Owns `bytes`. */
struct lh_signal_frame {
	uint64_t addr; /* where bytes[0], the return address, goes; rsp of the thread when it returns */
	uint8_t *bytes;
	size_t length;
};

/*
 * A frame below `stack_pointer` that restores `regs`, `signal_mask` and the extended state `xstate`
 * (as PTRACE_GETREGSET NT_X86_XSTATE gives it). `restorer` is where the frame's return address leads.
 * Layout: arch/x86/include/asm/sigframe.h struct rt_sigframe; arch/x86/kernel/fpu/signal.c.
 */
struct lh_error *lh_signal_frame_build(const struct user_regs_struct *regs, uint64_t signal_mask, const uint8_t *xstate,
				       size_t xstate_bytes, uint64_t stack_pointer, uint64_t restorer,
				       struct lh_signal_frame *ret) LH_NODISCARD;
void lh_signal_frame_deinit(struct lh_signal_frame *frame);

/*
 * What a system call that a ptrace stop interrupted is to do when the thread resumes: `regs` as
 * user space must see them, where the kernel cannot restart it itself (kernel/signal.c,
 * arch/x86/kernel/signal.c arch_do_signal_or_restart): -ERESTART* calls are issued again, those
 * that cannot be (-ERESTART_RESTARTBLOCK) return -EINTR.
 */
void lh_restart_resolve(struct user_regs_struct *regs);

#endif
