/*
 * test_remote_syscall: jobs of slots in a child that holds still with known registers. Whatever becomes of a job,
 * and wherever its tracer vanishes, the child must be found as it was: registers, flags, FPU, signal mask,
 * open files, and the memory below its stack pointer.
 */
#include "unit.h"

#include "leakhunt/process.h"
#include "leakhunt/process_memory.h"
#include "tracee/remote_syscall.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BELOW_BYTES = 8192, XSTATE_BYTES = 16384, STACK_BYTES = 65536 };
enum { FLAG_CARRY = 1, FLAG_OVERFLOW = 0x800, FLAG_DIRECTION = 0x400, FLAG_RESUME = 0x10000 };

/* What the child does when it is stopped. */
enum pose { SPINS, READS, SLEEPS, POSE_COUNT };

struct child {
	pid_t pid;
	enum pose pose;
	struct lh_process *process;
	struct lh_region_list regions;
	struct lh_vdso_slots *slots;
};

/* All that a job could spoil. */
struct picture {
	struct user_regs_struct registers;
	uint8_t xstate[XSTATE_BYTES];
	size_t xstate_bytes;
	uint64_t mask;
	uint8_t below[BELOW_BYTES];
	size_t descriptor_count;
};

/* Sets registers, flags and xmm0 to numbers of its own, and stays there. The stack is nobody's but the child's. */
static _Noreturn void pose(enum pose how, int fd)
{
	static struct timespec hour = {3600, 0};
	static const uint64_t vector[2] = {0x1122334455667788, 0x99aabbccddeeff00};
	uint64_t number = how == SLEEPS ? SYS_nanosleep : SYS_read;
	uint64_t first = how == SLEEPS ? (uintptr_t)&hour : (uint64_t)fd;
	uint64_t flags = FLAG_CARRY | FLAG_OVERFLOW | FLAG_DIRECTION | 2;
	register uint64_t rdi __asm__("rdi") = first;
	register uint64_t rsi __asm__("rsi") = how == SLEEPS ? 0 : (uintptr_t)vector;
	register uint64_t rdx __asm__("rdx") = 1;
	register uint64_t rax __asm__("rax") = number;
	register uint64_t r9 __asm__("r9") = how == SPINS;
	__asm__ volatile("movdqu %[vector], %%xmm0\n"
			 "fldpi\n"
			 "mov $0x1010101010101010, %%r10\n"
			 "mov $0x1212121212121212, %%r12\n"
			 "mov $0x1313131313131313, %%r13\n"
			 "mov $0x1515151515151515, %%r15\n"
			 "mov $0x0808080808080808, %%r8\n"
			 "test %%r9, %%r9\n"
			 "push %[flags]\n"
			 "jnz 2f\n"
			 "popf\n"
			 "1: syscall\n"
			 "ud2\n"
			 "2: popf\n"
			 "mov $0x0b0b0b0b0b0b0b0b, %%r11\n"
			 "mov $0x0c0c0c0c0c0c0c0c, %%rcx\n"
			 "3: jmp 3b\n"
			 :
			 : [vector] "m"(vector), [flags] "r"(flags), "r"(rdi), "r"(rsi), "r"(rdx), "r"(rax), "r"(r9)
			 : "memory", "r8", "r10", "r11", "r12", "r13", "r15", "rcx", "xmm0", "cc");
	__builtin_unreachable();
}

static void run_child(const struct child *child, int fd)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	pose(child->pose, fd);
}

/* Until it waits in its call. It has a number: one that is preempted elsewhere shows -1. */
static void await_pose(const struct child *child)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)child->pid);
	for (int number = -1; number != SYS_read && number != SYS_nanosleep && number != SYS_restart_syscall;) {
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		if (fscanf(file, "%d", &number) != 1)
			number = -1;
		fclose(file);
	}
}

static struct child start_child(enum pose how)
{
	struct child child = {.pose = how};
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	child.pid = fork();
	if (child.pid == 0)
		run_child(&child, fds[0]);
	assert_true(child.pid > 0);
	close(fds[0]); /* the writing end stays open until the test program ends */
	if (how != SPINS)
		await_pose(&child);
	assert_success(lh_process_open(child.pid, &child.process));
	assert_success(lh_regions_read(child.process, LH_REGIONS_MAPS, &child.regions));
	assert_success(lh_vdso_slots_open(child.process, &child.regions, &child.slots));
	return child;
}

static void end_child(struct child *child)
{
	int status;
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, &status, __WALL), child->pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	lh_vdso_slots_close(child->slots);
	lh_process_close(child->process);
	lh_region_list_deinit(&child->regions);
}

static void interrupt_child(const struct child *child)
{
	int stop;
	assert_int_equal(ptrace(PTRACE_INTERRUPT, child->pid, 0, 0), 0);
	assert_success(lh_await_stop(child->pid, LH_STOP_PATIENCE_NS, &stop));
	assert_int_equal(stop >> 8, PTRACE_EVENT_STOP);
}

static uint64_t pc_of(const struct child *child)
{
	struct user_regs_struct registers;
	assert_int_equal(ptrace(PTRACE_GETREGS, child->pid, 0, &registers), 0);
	return registers.rip;
}

/* A spinning child is where it stays only after it has begun to: `jmp` to itself. */
static void stop_child(const struct child *child)
{
	assert_int_equal(ptrace(PTRACE_SEIZE, child->pid, 0, 0), 0);
	interrupt_child(child);
	for (uint8_t code[2] = {0}; child->pose == SPINS;) {
		assert_int_equal(lh_process_read(child->process, pc_of(child), code, sizeof(code)), sizeof(code));
		if (code[0] == 0xeb && code[1] == 0xfe)
			break;
		assert_int_equal(ptrace(PTRACE_CONT, child->pid, 0, 0), 0);
		interrupt_child(child);
	}
}

static void let_go(const struct child *child)
{
	assert_int_equal(ptrace(PTRACE_DETACH, child->pid, 0, 0), 0);
}

static size_t count_descriptors(pid_t pid)
{
	char path[64];
	size_t count = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void take_picture(const struct child *child, struct picture *ret)
{
	memset(ret, 0, sizeof(*ret));
	struct iovec xstate = {ret->xstate, sizeof(ret->xstate)};
	assert_int_equal(ptrace(PTRACE_GETREGS, child->pid, 0, &ret->registers), 0);
	assert_int_equal(ptrace(PTRACE_GETREGSET, child->pid, NT_X86_XSTATE, &xstate), 0);
	ret->xstate_bytes = xstate.iov_len;
	assert_int_equal(ptrace(PTRACE_GETSIGMASK, child->pid, sizeof(ret->mask), &ret->mask), 0);
	uint64_t addr = ret->registers.rsp - BELOW_BYTES;
	assert_int_equal(lh_process_read(child->process, addr, ret->below, BELOW_BYTES), BELOW_BYTES);
	ret->descriptor_count = count_descriptors(child->pid);
}

/* A call that goes on by restart_syscall is one of that number from then on. */
static void normalize_restart(struct picture *picture)
{
	enum { KERNEL_ERESTART_RESTARTBLOCK = 516 };
	if ((int64_t)picture->registers.rax == -KERNEL_ERESTART_RESTARTBLOCK)
		picture->registers.orig_rax = SYS_restart_syscall;
	picture->registers.eflags &= ~(unsigned long)FLAG_RESUME;
}

static void assert_same(struct picture *before, struct picture *after)
{
	normalize_restart(before);
	normalize_restart(after);
	assert_memory_equal(&before->registers, &after->registers, sizeof(before->registers));
	assert_int_equal(before->xstate_bytes, after->xstate_bytes);
	assert_memory_equal(before->xstate, after->xstate, before->xstate_bytes);
	assert_int_equal(before->mask, after->mask);
	assert_memory_equal(before->below, after->below, BELOW_BYTES);
	assert_int_equal(before->descriptor_count, after->descriptor_count);
}

/* ---------------------------------------------------------------- jobs */

static const struct lh_slot_job jobs[] = {
	{.kind = LH_SLOT_USERFAULT_HELPER},
	{.kind = LH_SLOT_USERFAULT},
	{.kind = LH_SLOT_CHILD, .exit_code = 7},
	{.kind = LH_SLOT_REAP, .child = 1}, /* it has no such child */
};

static bool is_clone(const struct lh_slot_job *job)
{
	return job->kind == LH_SLOT_USERFAULT_HELPER || job->kind == LH_SLOT_CHILD;
}

/* How far a job gets. */
enum progress { BEGUN, ENTERED, RUN, PROGRESS_COUNT };

static struct lh_remote *begin(const struct child *child, const struct lh_slot_job *job, uint64_t *ret_addr)
{
	struct lh_remote *remote = NULL;
	assert_success(lh_vdso_slots_find_free(child->slots, NULL, ret_addr));
	assert_success(lh_remote_begin(child->slots, *ret_addr, child->pid, job, &remote));
	return remote;
}

static void await_end(pid_t tid)
{
	int stop;
	assert_int_equal(ptrace(PTRACE_CONT, tid, 0, 0), 0);
	assert_failure(lh_await_stop(tid, LH_STOP_PATIENCE_NS, &stop), LH_ERROR_NO_PROCESS);
}

/* What the job has started: a helper ends by itself; a child sleeps, and is killed. */
static void end_started(const struct lh_slot_job *job, pid_t tid, bool is_let_go)
{
	int stop;
	assert_success(lh_await_stop(tid, LH_STOP_PATIENCE_NS, &stop));
	if (job->kind == LH_SLOT_CHILD)
		kill(tid, SIGKILL);
	else if (is_let_go)
		assert_int_equal(ptrace(PTRACE_DETACH, tid, 0, 0), 0);
	else
		await_end(tid);
	if (job->kind == LH_SLOT_CHILD)
		assert_int_equal(waitpid(tid, NULL, __WALL), tid);
}

static pid_t run(struct lh_remote *remote, const struct child *child, const struct lh_slot_job *job)
{
	pid_t tid = 0;
	int64_t result = -1;
	if (is_clone(job))
		assert_success(lh_remote_clone(remote, &tid, &result));
	else
		assert_success(lh_remote_call(remote, &result));
	if (job->kind == LH_SLOT_REAP) {
		assert_int_equal(result, -ECHILD);
	} else {
		assert_true(result >= 0);
		assert_int_equal(tid != 0, is_clone(job));
	}
	if (job->kind == LH_SLOT_USERFAULT)
		assert_success(lh_remote_call(remote, &result));
	assert_true(kill(child->pid, 0) == 0);
	return tid;
}

static void test_jobs_are_undone(void **state)
{
	(void)state;
	for (enum pose how = 0; how < POSE_COUNT; how++) {
		struct child child = start_child(how);
		static struct picture before, after;
		stop_child(&child);
		take_picture(&child, &before);
		for (size_t i = 0; i < LH_ARRAY_COUNT(jobs); i++) {
			uint64_t addr, next;
			int signal;
			struct lh_remote *remote = begin(&child, &jobs[i], &addr);
			pid_t tid = run(remote, &child, &jobs[i]);
			if (tid)
				end_started(&jobs[i], tid, false);
			assert_success(lh_remote_end(remote, &signal));
			assert_int_equal(signal, 0);
			take_picture(&child, &after);
			assert_same(&before, &after);
			assert_success(lh_vdso_slots_find_free(child.slots, NULL, &next));
			assert_int_equal(addr, next); /* the slot was cleared */
		}
		let_go(&child);
		end_child(&child);
	}
}

/* Those that sleep in a slot, and that nobody traces. */
static void kill_children(const struct child *child)
{
	struct lh_quiet_children children = {0};
	assert_success(lh_quiet_children_read(child->process, &children));
	for (size_t i = 0; i < children.items.count; i++)
		kill(children.items.items[i].pid, SIGKILL);
	lh_quiet_children_deinit(&children);
}

/* One that was in a call is back when it waits in it again: before that, its registers are those that begin it anew. */
static void stop_when_back(const struct child *child)
{
	for (;;) {
		if (child->pose != SPINS)
			await_pose(child);
		stop_child(child);
		if (!lh_vdso_slots_hold(child->slots, pc_of(child)))
			break;
		let_go(child);
	}
}

/* Lets go without restoring anything, which is what the kernel does when leakhunt is killed. */
static void lose(struct child *child, const struct lh_slot_job *job, enum progress progress)
{
	static struct picture before, after;
	uint64_t addr, next;
	pid_t tid = 0;
	stop_child(child);
	take_picture(child, &before);
	struct lh_remote *remote = begin(child, job, &addr);
	if (progress == ENTERED)
		assert_success(lh_remote_enter_call(remote));
	else if (progress == RUN)
		tid = run(remote, child, job);
	let_go(child);
	if (tid)
		end_started(job, tid, true);
	lh_remote_abandon(remote);
	stop_when_back(child);
	take_picture(child, &after);
	assert_same(&before, &after);
	kill_children(child);
	assert_success(lh_vdso_slots_find_free(child->slots, NULL, &next));
	assert_true(next > addr); /* not used again while threads may run */
	let_go(child);
}

static void test_way_back_without_us(void **state)
{
	(void)state;
	for (enum pose how = 0; how < POSE_COUNT; how++) {
		for (size_t i = 0; i < LH_ARRAY_COUNT(jobs); i++) {
			struct child child = start_child(how);
			for (enum progress progress = 0; progress < PROGRESS_COUNT; progress++)
				lose(&child, &jobs[i], progress);
			end_child(&child);
		}
	}
}

static void test_slots_run_out(void **state)
{
	(void)state;
	static const struct lh_slot_job job = {.kind = LH_SLOT_REAP, .child = 1};
	struct child child = start_child(READS);
	struct lh_error *error = NULL;
	int lost = 0;
	for (; !error; lost++) {
		uint64_t addr;
		error = lh_vdso_slots_find_free(child.slots, NULL, &addr);
		if (!error) {
			stop_child(&child);
			lh_remote_abandon(begin(&child, &job, &addr));
			let_go(&child);
			stop_when_back(&child);
			let_go(&child);
		}
		assert_true(lost < 100);
	}
	assert_int_equal(lh_error_code(error), LH_ERROR_UNSUPPORTED);
	lh_error_destroy(error);
	assert_true(lost > 1);
	end_child(&child);
}

/* ---------------------------------------------------------------- slots, without a process */

static const struct lh_slot_record record = {
	.mark = LH_SLOT_MARK, .inner_tid = 12, .rsp = 0x7000, .rip = 0x4000, .signal_mask = 0xf0, .caught = 0x30};

static void test_slot_is_over(void **state)
{
	(void)state;
	const uint64_t addr = 0x100000;
	const struct lh_slot_user other = {13, 0x7000, 0x4000}, there = {12, 0x7000, 0x4000},
				  moved = {12, 0x7008, 0x4000}, elsewhere = {12, 0x7000, 0x4008},
				  inside = {14, 0, addr + 50};
	assert_true(lh_slot_is_over(&record, addr, &other, 1, UINT64_MAX));
	assert_true(lh_slot_is_over(&record, addr, &there, 1, UINT64_MAX));
	assert_false(lh_slot_is_over(&record, addr, &moved, 1, UINT64_MAX));
	assert_false(lh_slot_is_over(&record, addr, &elsewhere, 1, UINT64_MAX));
	assert_false(lh_slot_is_over(&record, addr, &moved, 1, 0x100));
	assert_true(lh_slot_is_over(&record, addr, &moved, 1, 0xc0));
	const struct lh_slot_user all[] = {there, inside};
	assert_false(lh_slot_is_over(&record, addr, all, 2, 0));
}

static void test_padding(void **state)
{
	(void)state;
	uint8_t image[8192] = {0};
	Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
		.e_machine = EM_X86_64,
		.e_phoff = 64,
		.e_phnum = 1,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_shoff = 1000,
		.e_shnum = 2,
		.e_shentsize = sizeof(Elf64_Shdr),
	};
	Elf64_Phdr program = {.p_type = PT_LOAD, .p_filesz = 1522, .p_memsz = 1522};
	memcpy(image, &header, sizeof(header));
	memcpy(image + 64, &program, sizeof(program));
	assert_int_equal(lh_vdso_padding_start(image, sizeof(image)), 1536);
	Elf64_Shdr section = {.sh_type = SHT_STRTAB, .sh_offset = 5000, .sh_size = 33};
	memcpy(image + 1000 + sizeof(section), &section, sizeof(section));
	assert_int_equal(lh_vdso_padding_start(image, sizeof(image)), 5040);
	header.e_shoff = 6000; /* a table behind all that it lists */
	memcpy(image, &header, sizeof(header));
	assert_int_equal(lh_vdso_padding_start(image, sizeof(image)), 6128);
	header.e_shoff = 8100; /* cut off */
	memcpy(image, &header, sizeof(header));
	assert_int_equal(lh_vdso_padding_start(image, sizeof(image)), sizeof(image));
	header.e_shoff = UINT64_MAX - 8;
	memcpy(image, &header, sizeof(header));
	assert_int_equal(lh_vdso_padding_start(image, sizeof(image)), sizeof(image));
	assert_int_equal(lh_vdso_padding_start(image, 10), 10);
}

static void test_code_fits(void **state)
{
	(void)state;
	const struct user_regs_struct registers = {.rip = 0x401000, .rax = SYS_read, .orig_rax = (unsigned long)-1};
	for (size_t i = 0; i < LH_ARRAY_COUNT(jobs); i++) {
		struct lh_slot_code code;
		lh_slot_encode(&registers, &record, &jobs[i], &code);
		assert_in_range(code.length, 100, LH_SLOT_BYTES);
		assert_true(code.call_offset == sizeof(record) && code.back_offset > code.call_offset);
	}
}

/* ---------------------------------------------------------------- seccomp */

static uint32_t action_of(const struct sock_filter *program, size_t length, const struct lh_filtered_call *call)
{
	uint32_t action = 0xffffffff;
	assert_true(lh_seccomp_run(program, length, call, &action));
	return action;
}

static void test_seccomp_interpreter(void **state)
{
	(void)state;
	/* Kill one call with one argument, refuse those from 400 on, allow the rest; wrong architecture kills. */
	static const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x10000000, 0, 4),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 400, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	size_t length = LH_ARRAY_COUNT(program);
	const struct lh_filtered_call own_namespace = {SYS_clone, {0x10000000}}, clone = {SYS_clone, {0x10f00}},
				      read = {SYS_read, {0}}, late = {450, {0}};
	assert_true(action_of(program, length, &own_namespace) == SECCOMP_RET_KILL_PROCESS);
	assert_true(action_of(program, length, &clone) == SECCOMP_RET_ALLOW);
	assert_true(action_of(program, length, &read) == SECCOMP_RET_ALLOW);
	assert_true(action_of(program, length, &late) == (SECCOMP_RET_ERRNO | 38));
	uint32_t action;
	assert_false(lh_seccomp_run(program, length - 2, &read, &action)); /* runs off its end */
	static const struct sock_filter wild[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4096)};
	assert_false(lh_seccomp_run(wild, 1, &read, &action));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jobs_are_undone),
		cmocka_unit_test(test_way_back_without_us),
		cmocka_unit_test(test_slots_run_out),
		cmocka_unit_test(test_slot_is_over),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_code_fits),
		cmocka_unit_test(test_seccomp_interpreter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
