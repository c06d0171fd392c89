/*
 * slot_code: the bytes of a slot: who has borrowed which thread, and the code that the thread runs. Pure: it
 * touches no process. x86_64 only. Private to tracee.
 *
 * A slot begins with a record of its use. Two entries into its code follow: `call` runs the system calls of a
 * job, and goes on to `back`; `back` gives the thread its signal mask, flags and registers, and jumps to where
 * it was. All values are immediate operands: the code uses no stack, no memory of the program and no FPU.
 */
#ifndef LEAKHUNT_TRACEE_SLOT_CODE_H
#define LEAKHUNT_TRACEE_SLOT_CODE_H

#include "leakhunt/base.h"
#include "seccomp_filter.h"

#include <sys/types.h>
#include <sys/user.h>

enum { LH_SLOT_BYTES = 224 };

/* What a killed leakhunt leaves: the head of a slot. All versions with this mark share the layout. */
struct lh_slot_record {
	char mark[4];      /* LH_SLOT_MARK */
	int32_t inner_tid; /* the thread, as its own pid namespace numbers it */
	uint64_t rsp;      /* its registers, once its system call is resolved */
	uint64_t rip;
	uint64_t signal_mask; /* what `back` restores */
	uint64_t caught;      /* signals that the program handled then; bit N-1 is signal N */
};
#define LH_SLOT_MARK "LHs1"

enum lh_slot_job_kind {
	LH_SLOT_USERFAULT_HELPER, /* clone a thread; it gets an empty table of files, makes a userfaultfd, and ends */
	LH_SLOT_USERFAULT, /* userfaultfd, then close of it: for kernels without access to a thread's own files */
	LH_SLOT_CHILD,     /* clone a process; it sleeps, and ends with an exit code */
	LH_SLOT_REAP,      /* wait4(child, __WALL), until it has ended */
};

struct lh_slot_job {
	enum lh_slot_job_kind kind;
	pid_t child;   /* LH_SLOT_REAP: as the target's pid namespace numbers it */
	int exit_code; /* LH_SLOT_CHILD */
};

/* How long an untraced child sleeps: its guard has this long to take it over. */
enum { LH_SLOT_CHILD_SLEEP_S = 30 };

/* All calls of a job, those of the way back included, which may end with restart_syscall. Static. */
const struct lh_filtered_call *lh_slot_calls(enum lh_slot_job_kind kind, size_t *ret_count);

struct lh_slot_code {
	uint8_t bytes[LH_SLOT_BYTES];
	size_t call_offset;
	size_t back_offset;
	size_t length; /* of record and code */
};

/*
 * `original`: the thread's registers in a stop outside of a system call's entry and exit. A system call that
 * the stop interrupted is resolved as the kernel does at the end of such a stop (arch/x86/kernel/signal.c
 * arch_do_signal_or_restart). `record`: mark, rsp and rip are filled in. `addr`: where the bytes will lie.
 */
void lh_slot_encode(const struct user_regs_struct *original, const struct lh_slot_record *record,
		    const struct lh_slot_job *job, struct lh_slot_code *ret);

/* The registers with which the thread goes on in user code: a system call that is to be restarted is rewound. */
struct user_regs_struct lh_slot_resolve(const struct user_regs_struct *original);

#endif
