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

/* A system call as filters see it (x86_64). Arguments that are not given are 0. */
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

/*
 * Whether a filter of the traced, stopped thread `tid` would kill it for `call`, or let somebody else decide. True
 * also when the filters can't be read (PTRACE_SECCOMP_GET_FILTER needs CAP_SYS_ADMIN and
 * CONFIG_CHECKPOINT_RESTORE), be there any or not. A thread without filters: false.
 */
bool lh_seccomp_kills(pid_t tid, const struct lh_filtered_call *call);

#endif
