/*
 * slow_vfork: one thread starts children with vfork, which take their time before they end: meanwhile it sleeps
 * where no signal reaches it, and cannot be stopped. Another one waits for any child (waitpid of -1 with __WALL). Only
 * those may come back, each with its own status.
 */
#include "self_check.h"

#include <sys/wait.h>

#define CHILD_STATUS 5
#define CHILD_NS     300000000
#define PAUSE_US     100000

static atomic_int latest_child, waited_for;

static void start_slow_children(struct checker *checker)
{
	for (;;) {
		pid_t child = vfork(); /* NOLINT: posix_spawn has no child that takes its time */
		if (!child) {
			latest_child = getpid(); /* NOLINT: it shares this memory */
			syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = CHILD_NS}, NULL);
			_exit(CHILD_STATUS);
		}
		checker_call("vfork", child);
		while (waited_for != child)
			checker_sleep_us(PAUSE_US);
		checker_round(checker);
	}
}

static void wait_for_any(struct checker *checker)
{
	for (;; checker_round(checker)) {
		int status = 0;
		pid_t found = waitpid(-1, &status, __WALL);
		if (found < 0 && errno == ECHILD)
			checker_sleep_us(200);
		else if (checker_call("waitpid", found) && found != latest_child)
			checker_report_wrong("waitpid gave process %d, not %d", found, latest_child);
		else if (found > 0 && status != CHILD_STATUS << 8)
			checker_report_wrong("waitpid gave status %x", status);
		if (found == latest_child)
			waited_for = found;
	}
}

int main(void)
{
	checker_begin();
	checker_start(start_slow_children, NULL, NULL);
	checker_start(wait_for_any, NULL, NULL);
	checker_serve("slow_vfork");
}
