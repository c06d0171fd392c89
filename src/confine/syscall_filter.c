/*
 * syscall_filter: which system calls stay allowed (seccomp(2), by libseccomp). Without debuginfod: only those that
 * reading, computing on threads and printing need. With debuginfod, which loads libcurl and its libraries: all except
 * those that reach other processes, other programs or the kernel's settings. Anything else fails with EPERM.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCAN_PAGEMAP 0xc0606610u /* PAGEMAP_SCAN: _IOWR('f', 16, struct pm_scan_arg), Linux 6.7 */

#define UNNAMED_FILE 020000000 /* __O_TMPFILE of include/uapi/asm-generic/fcntl.h */

static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(readv),
	SCMP_SYS(preadv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(close),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(lseek),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(fcntl),
	SCMP_SYS(fadvise64),
	SCMP_SYS(getdents64),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_yield),
	SCMP_SYS(getcpu),
	SCMP_SYS(membarrier),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getrusage),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(capget),
	SCMP_SYS(capset),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
};

/* For an output file that is named at the end (outfile.c). Landlock limits where. */
static const int allowed_for_writing[] = {
	SCMP_SYS(linkat),   SCMP_SYS(rename), SCMP_SYS(renameat),  SCMP_SYS(renameat2), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat), SCMP_SYS(fsync),  SCMP_SYS(fdatasync), SCMP_SYS(fchmod),    SCMP_SYS(mkdir),
};

/* Other processes, other programs, the kernel and its settings. */
static const int denied[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(kill),
	SCMP_SYS(tkill),
	SCMP_SYS(rt_sigqueueinfo),
	SCMP_SYS(rt_tgsigqueueinfo),
	SCMP_SYS(kcmp),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(syslog),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(personality),
};

static void add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)seccomp_rule_add(filter, action, calls[i], 0);
}

/* openat2's open_how is in memory, which a filter cannot read: allowed only where Landlock checks paths. */
static void allow_opening(scmp_filter_ctx filter, bool writes, bool has_landlock)
{
	const scmp_datum_t mask = O_ACCMODE | O_CREAT | O_TRUNC | UNNAMED_FILE;
	const unsigned conditions = writes ? 0 : 1;
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), conditions,
			       SCMP_A1(SCMP_CMP_MASKED_EQ, mask, 0));
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), conditions,
			       SCMP_A2(SCMP_CMP_MASKED_EQ, mask, 0));
	if (has_landlock)
		(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat2), 0);
}

/* Memory, but no code. */
static void allow_mapping(scmp_filter_ctx filter)
{
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Threads, but no processes. clone3's flags are in memory: without clone3, glibc uses clone. */
static void allow_threads(scmp_filter_ctx filter)
{
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	(void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Needed by abort, which ends a sanitized build. */
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

static void allow_some_uses(scmp_filter_ctx filter)
{
	static const scmp_datum_t requests[] = {TCGETS, TIOCGWINSZ, SCAN_PAGEMAP};
	static const scmp_datum_t options[] = {PR_GET_DUMPABLE, PR_SET_NAME,    PR_GET_NAME, PR_CAPBSET_READ,
					       PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_SET_VMA};
	for (size_t i = 0; i < LH_ARRAY_COUNT(requests); i++)
		(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				       SCMP_A1(SCMP_CMP_EQ, requests[i], 0));
	for (size_t i = 0; i < LH_ARRAY_COUNT(options); i++)
		(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, options[i], 0));
	/* getrlimit(3), and sysconf(3) by it: of this process, reading. */
	(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
			       SCMP_A2(SCMP_CMP_EQ, 0, 0));
}

static void allow_what_scanning_needs(scmp_filter_ctx filter, const struct lh_confine_options *options,
				      bool has_landlock)
{
	add_rules(filter, SCMP_ACT_ALLOW, allowed, LH_ARRAY_COUNT(allowed));
	if (options->write_folder)
		add_rules(filter, SCMP_ACT_ALLOW, allowed_for_writing, LH_ARRAY_COUNT(allowed_for_writing));
	allow_opening(filter, options->write_folder, has_landlock);
	allow_mapping(filter);
	allow_threads(filter);
	allow_some_uses(filter);
}

bool lh_syscall_filter_is_supported(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

void lh_syscall_filter_apply(const struct lh_confine_options *options, bool has_landlock)
{
	bool asks_servers = options->cache_folder;
	scmp_filter_ctx filter = seccomp_init(asks_servers ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (asks_servers)
		add_rules(filter, SCMP_ACT_ERRNO(EPERM), denied, LH_ARRAY_COUNT(denied));
	else
		allow_what_scanning_needs(filter, options, has_landlock);
	(void)seccomp_load(filter);
	seccomp_release(filter);
}
