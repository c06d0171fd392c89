/*
 * forking_main: the main thread forks all the time, several children at once that end after differing times, while
 * other threads wait in epoll_wait(2). SIGCHLD has its default action: no wait may fail with EINTR.
 */
#include "self_check.h"

#include <sys/epoll.h>
#include <sys/wait.h>

enum { WAITERS = 40, CHILDREN = 4, SPINS_MAX = 3000000 };

static void wait_in_epoll(struct checker *checker)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	for (;;) {
		checker_call("epoll_wait", epoll_wait(fd, &event, 1, 100));
		checker_round(checker);
	}
}

static pid_t fork_busy_child(void)
{
	/* glibc 2.41 blocks all signals in fork(3): an earlier child's SIGCHLD then wakes another thread. */
	pid_t child = (pid_t)syscall(SYS_fork);
	if (child)
		return child;
	/* Numbers that follow each other give ends far apart (Knuth's multiplicative hash). */
	unsigned spins = (unsigned)getpid() * 2654435761U % SPINS_MAX;
	for (volatile unsigned i = 0; i < spins; i++)
		;
	_exit(0);
}

static void fork_children(struct checker *checker)
{
	pid_t children[CHILDREN];
	for (;;) {
		for (int i = 0; i < CHILDREN; i++)
			checker_call("fork", children[i] = fork_busy_child());
		for (int i = 0; i < CHILDREN; i++)
			checker_call("waitpid", waitpid(children[i], NULL, 0));
		checker_round(checker);
	}
}

static void *serve(void *argument)
{
	checker_serve(argument);
}

int main(void)
{
	static char name[] = "forking_main";
	pthread_t server;
	checker_begin();
	for (int i = 0; i < WAITERS; i++)
		checker_start(wait_in_epoll, NULL, NULL);
	struct checker *mine = &checkers[checker_count];
	mine->index = checker_count++;
	if ((errno = pthread_create(&server, NULL, serve, name)))
		checker_die("cannot start the server");
	fork_children(mine);
}
