/*
 * test_remote_syscall: injected system calls in a child that checks its own state. The child counts in
 * every register that a call could spoil, blocks in read(2), and answers each byte with its sum.
 */
#include "unit.h"

#include "tracee/remote_syscall.h"
#include "tracee/seccomp_filter.h"
#include "tracee/signal_frame.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int to;   /* our end of its stdin */
	int from; /* our end of its stdout */
	struct lh_process *process;
	struct lh_region_list regions;
	struct lh_remote_code code;
};

/* Floating point and integers over each round: wrong registers after a restore show in the reply. */
static void run_child(int in, int out)
{
	double sum = 0;
	uint64_t hash = 1;
	for (;;) {
		uint8_t byte;
		ssize_t count = read(in, &byte, 1);
		if (count != 1)
			_exit(count < 0 ? 70 : 0); /* EINTR would be seen as 70 */
		for (int i = 0; i < 1000; i++) {
			sum += byte * 0.5;
			hash = hash * 31 + byte;
		}
		char reply[64] = {0};
		snprintf(reply, sizeof(reply), "%.1f %016llx", sum, (unsigned long long)hash);
		if (write(out, reply, sizeof(reply)) != (ssize_t)sizeof(reply))
			_exit(71);
	}
}

static void expect_reply(const struct child *child, uint8_t byte, double *sum, uint64_t *hash)
{
	char reply[64], expected[64] = {0};
	assert_int_equal(write(child->to, &byte, 1), 1);
	assert_int_equal(read(child->from, reply, sizeof(reply)), sizeof(reply));
	for (int i = 0; i < 1000; i++) {
		*sum += byte * 0.5;
		*hash = *hash * 31 + byte;
	}
	snprintf(expected, sizeof(expected), "%.1f %016llx", *sum, (unsigned long long)*hash);
	assert_string_equal(reply, expected);
}

static int start_child(void **state)
{
	struct child *child = calloc(1, sizeof(*child));
	int in[2], out[2];
	if (pipe(in) || pipe(out))
		return -1;
	child->pid = fork();
	if (child->pid == 0) {
		close(in[1]);
		close(out[0]);
		run_child(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	child->to = in[1];
	child->from = out[0];
	*state = child;
	assert_success(lh_process_open(child->pid, &child->process));
	assert_success(lh_regions_read(child->process, LH_REGIONS_MAPS, &child->regions));
	assert_success(lh_remote_find_code(child->process, &child->regions, &child->code));
	return 0;
}

static int end_child(void **state)
{
	struct child *child = *state;
	close(child->to);
	int status;
	waitpid(child->pid, &status, 0);
	close(child->from);
	lh_process_close(child->process);
	lh_region_list_deinit(&child->regions);
	bool is_fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	free(child);
	return is_fine ? 0 : -1;
}

static void stop(const struct child *child)
{
	int status;
	assert_int_equal(ptrace(PTRACE_SEIZE, child->pid, 0, 0), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, child->pid, 0, 0), 0);
	assert_int_equal(waitpid(child->pid, &status, __WALL), child->pid);
	assert_int_equal(status >> 16, PTRACE_EVENT_STOP);
}

static void resume(const struct child *child)
{
	assert_int_equal(ptrace(PTRACE_DETACH, child->pid, 0, 0), 0);
}

static const long calls[] = {SYS_getpid, SYS_rt_sigreturn, 0};
static const uint64_t no_arguments[6] = {0};

static void test_call_and_restore(void **state)
{
	const struct child *child = *state;
	double sum = 0;
	uint64_t hash = 1;
	for (int round = 0; round < 50; round++) {
		expect_reply(child, (uint8_t)round, &sum, &hash);
		struct lh_remote *remote = NULL;
		int64_t result = 0;
		int signal;
		stop(child);
		assert_success(
			lh_remote_begin(child->process, child->pid, &child->regions, &child->code, calls, &remote));
		for (int i = 0; i < 3; i++) {
			assert_success(lh_remote_call(remote, SYS_getpid, no_arguments, &result));
			assert_int_equal(result, child->pid);
		}
		assert_success(lh_remote_call(remote, SYS_close, (uint64_t[6]){999}, &result));
		assert_int_equal(result, -EBADF);
		assert_success(lh_remote_end(remote, &signal));
		assert_int_equal(signal, 0);
		resume(child);
	}
	expect_reply(child, 200, &sum, &hash);
}

/* What the stack below the red zone holds: a leftover there is a leak of ours. */
static void test_stack_is_restored(void **state)
{
	const struct child *child = *state;
	uint8_t before[4096], after[sizeof(before)];
	struct user_regs_struct registers;
	struct lh_remote *remote = NULL;
	int64_t result;
	int signal;
	stop(child);
	ptrace(PTRACE_GETREGS, child->pid, 0, &registers);
	uint64_t addr = registers.rsp - 128 - sizeof(before);
	assert_int_equal(lh_process_read(child->process, addr, before, sizeof(before)), sizeof(before));
	assert_success(lh_remote_begin(child->process, child->pid, &child->regions, &child->code, calls, &remote));
	assert_success(lh_remote_call(remote, SYS_getpid, no_arguments, &result));
	assert_int_equal(lh_process_read(child->process, addr, after, sizeof(after)), sizeof(after));
	assert_memory_not_equal(before, after, sizeof(before));
	assert_success(lh_remote_end(remote, &signal));
	assert_int_equal(lh_process_read(child->process, addr, after, sizeof(after)), sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	resume(child);
}

/* Detaching without restoring is what the kernel does for us when we are killed. */
static void test_way_back_without_us(void **state)
{
	const struct child *child = *state;
	double sum = 0;
	uint64_t hash = 1;
	for (int round = 0; round < 50; round++) {
		expect_reply(child, (uint8_t)(round + 100), &sum, &hash);
		struct lh_remote *remote = NULL;
		int64_t result;
		stop(child);
		assert_success(
			lh_remote_begin(child->process, child->pid, &child->regions, &child->code, calls, &remote));
		for (int i = 0; i < round % 3; i++)
			assert_success(lh_remote_call(remote, SYS_getpid, no_arguments, &result));
		resume(child); /* `remote` is given up: what a killed leakhunt leaves */
		expect_reply(child, (uint8_t)round, &sum, &hash);
		lh_remote_abandon(remote);
	}
}

/* ---------------------------------------------------------------- seccomp */

static uint32_t action_of(const struct sock_filter *program, size_t length, long number)
{
	uint32_t action = 0xffffffff;
	assert_true(lh_seccomp_run(program, length, number, &action));
	return action;
}

static void test_seccomp_interpreter(void **state)
{
	(void)state;
	/* Kill one call, refuse those from 400 on, allow the rest; wrong architecture kills. */
	static const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 400, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	size_t length = LH_ARRAY_COUNT(program);
	assert_true(action_of(program, length, SYS_clone) == SECCOMP_RET_KILL_PROCESS);
	assert_true(action_of(program, length, SYS_read) == SECCOMP_RET_ALLOW);
	assert_true(action_of(program, length, 450) == (SECCOMP_RET_ERRNO | 38));
	uint32_t action;
	assert_false(lh_seccomp_run(program, length - 1, SYS_read, &action)); /* runs off its end */
	static const struct sock_filter wild[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4096)};
	assert_false(lh_seccomp_run(wild, 1, 0, &action));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call_and_restore, start_child, end_child),
		cmocka_unit_test_setup_teardown(test_stack_is_restored, start_child, end_child),
		cmocka_unit_test_setup_teardown(test_way_back_without_us, start_child, end_child),
		cmocka_unit_test(test_seccomp_interpreter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
