/*
 * filtered: a process under a seccomp filter on all of its threads. --profile docker: what Docker's default profile
 * refuses (docs.docker.com/engine/security/seccomp) fails with EPERM. killer: userfaultfd, clone and fork kill the
 * process. strict: every call kills it except those that it makes itself; restart_syscall(2), with which the kernel
 * continues a call after a stop, kills, too.
 */
#include "sample.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif

enum { STEPS_MAX = 160, NR_CLONE3 = 435 };

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: refused by Docker's profile. */
#define NAMESPACE_FLAGS 0x7e020000U

static struct sock_filter steps[STEPS_MAX];
static unsigned short step_count;
static const char *profile = "docker";

static void push(uint16_t code, uint32_t k, uint8_t when_true, uint8_t when_false)
{
	if (step_count == STEPS_MAX)
		sample_die("filtered: more than %d steps", STEPS_MAX);
	steps[step_count++] = (struct sock_filter)BPF_JUMP(code, k, when_true, when_false);
}

static void load(uint32_t offset)
{
	push(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void answer(uint32_t action)
{
	push(BPF_RET | BPF_K, action, 0, 0);
}

static void answer_calls(const int *numbers, size_t count, uint32_t action)
{
	for (size_t i = 0; i < count; i++) {
		push(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i], 0, 1);
		answer(action);
	}
}

#define ANSWER(action, ...) \
	answer_calls((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int), action)

static void filter_as_docker(void)
{
	ANSWER(SECCOMP_RET_ERRNO | EPERM, SYS_acct, SYS_add_key, SYS_bpf, SYS_clock_adjtime, SYS_clock_settime,
	       SYS_create_module, SYS_delete_module, SYS_finit_module, SYS_get_kernel_syms, SYS_get_mempolicy,
	       SYS_init_module, SYS_ioperm, SYS_iopl, SYS_kcmp, SYS_kexec_file_load, SYS_kexec_load, SYS_keyctl,
	       SYS_lookup_dcookie, SYS_mbind, SYS_mount, SYS_move_pages, SYS_nfsservctl, SYS_open_by_handle_at,
	       SYS_perf_event_open, SYS_pivot_root, SYS_query_module, SYS_quotactl, SYS_reboot, SYS_request_key,
	       SYS_set_mempolicy, SYS_setns, SYS_settimeofday, SYS_swapon, SYS_swapoff, SYS_sysfs, SYS__sysctl,
	       SYS_umount2, SYS_unshare, SYS_uselib, SYS_userfaultfd, SYS_ustat);
	ANSWER(SECCOMP_RET_ERRNO | ENOSYS, NR_CLONE3);
	push(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
	load(offsetof(struct seccomp_data, args[0]));
	push(BPF_JMP | BPF_JSET | BPF_K, NAMESPACE_FLAGS, 0, 1);
	answer(SECCOMP_RET_ERRNO | EPERM);
	answer(SECCOMP_RET_ALLOW);
}

static void filter_as_killer(void)
{
	ANSWER(SECCOMP_RET_KILL_PROCESS, SYS_userfaultfd, SYS_clone, NR_CLONE3, SYS_fork, SYS_vfork);
	answer(SECCOMP_RET_ALLOW);
}

static void filter_strictly(void)
{
	ANSWER(SECCOMP_RET_ALLOW, SYS_read, SYS_write, SYS_poll, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex,
	       SYS_epoll_wait, SYS_exit, SYS_exit_group, SYS_close, SYS_munmap, SYS_madvise, SYS_getpid);
	answer(SECCOMP_RET_KILL_PROCESS);
}

static void begin(struct sample *sample)
{
	(void)sample;
	load(offsetof(struct seccomp_data, arch));
	push(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	answer(SECCOMP_RET_KILL_PROCESS);
	load(offsetof(struct seccomp_data, nr));
	if (!strcmp(profile, "docker"))
		filter_as_docker();
	else if (!strcmp(profile, "killer"))
		filter_as_killer();
	else
		filter_strictly();
	/* A thread that starts makes calls of its own (rseq). */
	bool is_intact = true;
	if (!sample_workers_progress(&is_intact))
		sample_die("filtered: a thread does not run");
	const struct sock_fprog program = {.len = step_count, .filter = steps};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
		sample_die("filtered: seccomp: %s", strerror(errno));
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	profile = value;
	return !strcmp(name, "--profile");
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "filtered", .condition = "steady", .begin = begin, .option = option};
	return sample_main(&sample, argc, argv);
}
