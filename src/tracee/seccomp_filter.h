/*
 * seccomp_filter: what a thread's seccomp filters would do to a system call. Private to tracee.
 */
#ifndef LEAKHUNT_TRACEE_SECCOMP_FILTER_H
#define LEAKHUNT_TRACEE_SECCOMP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sock_filter;

/* A system call as filters see it (x86_64). Missing arguments are 0. */
struct lh_filtered_call {
	int number;
	uint32_t arguments[6];
};

/*
 * Runs a classic BPF program, as seccomp does. The program is hostile: false when it is malformed
 * (kernel/seccomp.c seccomp_check_filter).
 */
bool lh_seccomp_run(const struct sock_filter *program, size_t length, const struct lh_filtered_call *call,
		    uint32_t *ret_action);

enum lh_seccomp_answer {
	LH_SECCOMP_ALLOWS, /* the call runs or fails; or the thread has no filters */
	LH_SECCOMP_KILLS,  /* or lets somebody else decide */
	/* PTRACE_SECCOMP_GET_FILTER needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE, be there filters or not. */
	LH_SECCOMP_HIDDEN,
};

/* What the filters of the traced, stopped thread `tid` would do to `call`. */
enum lh_seccomp_answer lh_seccomp_ask(pid_t tid, const struct lh_filtered_call *call);

/* Whether it is not known to be allowed. */
bool lh_seccomp_kills(pid_t tid, const struct lh_filtered_call *call);

#endif
