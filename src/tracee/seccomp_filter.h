/*
 * seccomp_filter: what a thread's seccomp filters would do to a system call. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_SECCOMP_FILTER_H
#define LEAKHUNT_DUMP_SECCOMP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sock_filter;

/*
 * Runs a classic BPF program, as seccomp does, on the call `number` (x86_64) with zero arguments.
 * The program is hostile: false when it is malformed (kernel/seccomp.c seccomp_check_filter).
 * A filter that looks at arguments is thereby only estimated.
 */
bool lh_seccomp_run(const struct sock_filter *program, size_t length, long number, uint32_t *ret_action);

/*
 * Whether a filter of the traced, stopped thread `tid` would kill it for `number`. True also when
 * the filters can't be read (PTRACE_SECCOMP_GET_FILTER needs CAP_SYS_ADMIN and
 * CONFIG_CHECKPOINT_RESTORE). A thread without filters: false.
 */
bool lh_seccomp_kills(pid_t tid, long number);

#endif
