/*
 * child_waiter: waits for any child (waitpid of -1 with __WALL and __WCLONE, waitid of P_ALL), as a debugger or an init
 * does, and traces some of its children. Only its own children may be returned, each with its own status; without
 * children none may be returned.
 */
#include "self_check.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static pid_t clone_with_signal(int exit_signal)
{
	return (pid_t)syscall(SYS_clone, (long)exit_signal, 0, 0, 0, 0);
}

static _Noreturn void run_traced_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* or it would stay stopped when this program ends between */
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	_exit(7);
}

static void expect_child(const char *name, pid_t found, pid_t expected, int status, int expected_status)
{
	if (!checker_call(name, found))
		return;
	if (found != expected)
		checker_report_wrong("%s gave process %d, not %d", name, found, expected);
	else if (status != expected_status)
		checker_report_wrong("%s gave status %x, not %x", name, status, expected_status);
}

static void wait_for_traced(int flags)
{
	int status = 0;
	pid_t child = clone_with_signal(SIGCHLD);
	if (child == 0)
		run_traced_child();
	if (!checker_call("fork", child))
		return;
	pid_t found = waitpid(-1, &status, flags);
	expect_child("waitpid of a stopped child", found, child, status, SIGSTOP << 8 | 0x7f);
	checker_sleep_us(500);
	checker_call("PTRACE_CONT", ptrace(PTRACE_CONT, child, NULL, NULL));
	found = waitpid(-1, &status, flags);
	expect_child("waitpid of a traced child", found, child, status, 7 << 8);
}

static void wait_for_clone(void)
{
	int status = 0;
	pid_t child = clone_with_signal(0);
	if (child == 0) {
		syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = 500000}, NULL);
		_exit(9);
	}
	if (!checker_call("clone", child))
		return;
	pid_t found = waitpid(-1, &status, __WCLONE);
	expect_child("waitpid of a clone child", found, child, status, 9 << 8);
}

/*
 * During a dump, a copy-on-write child is among our children for some milliseconds. Waits with __WALL and __WCLONE can
 * notice it: they return 0 instead of ECHILD. No wait may return it.
 */
static void expect_no_child(void)
{
	siginfo_t info = {0};
	pid_t found = waitpid(-1, NULL, __WALL | WNOHANG);
	if (found > 0 || (found < 0 && errno != ECHILD))
		checker_report_wrong("waitpid with __WALL gave %d", found);
	found = waitpid(-1, NULL, __WCLONE | WNOHANG);
	if (found > 0 || (found < 0 && errno != ECHILD))
		checker_report_wrong("waitpid with __WCLONE gave %d", found);
	found = waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | __WALL);
	if (info.si_pid || (found < 0 && errno != ECHILD))
		checker_report_wrong("waitid gave %d", info.si_pid);
	/* Without these flags no such child is eligible. */
	if (waitpid(-1, NULL, 0) != -1 || errno != ECHILD)
		checker_report_wrong("waitpid: there is a child");
}

static void wait_for_all(struct checker *checker)
{
	sigset_t child_signal;
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child_signal, NULL);
	for (;;) {
		wait_for_traced(__WALL);
		wait_for_traced(0);
		wait_for_clone();
		expect_no_child();
		while (sigtimedwait(&child_signal, NULL, &(struct timespec){0}) > 0)
			continue;
		for (int i = 0; i < 10; i++) {
			sigset_t pending;
			checker_sleep_us(200);
			expect_no_child();
			if (checker_call("sigpending", sigpending(&pending)) && sigismember(&pending, SIGCHLD))
				checker_report_wrong("SIGCHLD without a child");
		}
		checker_round(checker);
	}
}

int main(void)
{
	sigset_t child_signal;
	checker_begin();
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_signal, NULL);
	checker_start(wait_for_all, NULL, NULL);
	checker_serve("child_waiter");
}
