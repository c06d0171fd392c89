/*
 * child_guard: waits, in a process of its own, for leakhunt's word that all is done. When leakhunt
 * is killed instead, the kernel lets the copy-on-write child go, which sleeps; the guard traces it before it
 * wakes, kills it, and has the target reap it. It never touches a target while leakhunt lives.
 *
 * Why a guard: a child that ends without a signal to its parent stays a zombie of the target, which
 * does not know of it. Other ways were weighed and left: CLONE_PARENT hands the zombie and a SIGCHLD to a
 * supervisor that did not ask for either; a grandchild goes to init, which in a container may be the
 * target itself, and the child in between leaves the same zombie; a thread of ours in the target, blocked
 * in wait4, is seen there (unshare and setns then fail) and leaves its stack. Should guard and
 * leakhunt both be killed, the child ends after its sleep, and the next run reaps it (child_reap).
 */
#include "child_guard.h"

#include "child_reap.h"
#include "leakhunt/fault_point.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A thread that had been told to fork when we died does so by itself: so long until the child shows. */
#define BIRTH_PATIENCE_NS (5 * LH_NS_PER_S)
#define DEATH_PATIENCE_NS (30 * LH_NS_PER_S)

struct lh_child_guard {
	pid_t pid;
	int fd; /* of a socket pair: the guard reads words from its end, and the end of leakhunt */
};

enum { WORDS_FD = 3 }; /* in the guard */

enum word { WORD_NONE, WORD_ANNOUNCED = 'a', WORD_DONE = 'd' };

/* ---------------------------------------------------------------- in the guard */

/* Not to be ended by what ends leakhunt (Ctrl-C, a closed terminal), and to hold nothing of its. */
static void become_guard(int socket_fd)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	for (size_t i = 0; i < LH_ARRAY_COUNT(signals); i++)
		signal(signals[i], SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "leakhunt-guard");
	if (socket_fd != WORDS_FD)
		dup2(socket_fd, WORDS_FD);
	int null_fd = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < WORDS_FD; fd++)
		dup2(null_fd, fd);
	close_range(WORDS_FD + 1, ~0U, 0);
}

/* The last word before leakhunt ended, or that it is done. */
static enum word listen_until_end(void)
{
	enum word last = WORD_NONE;
	for (;;) {
		char word;
		ssize_t count = read(WORDS_FD, &word, 1);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0 || word == WORD_DONE)
			return count <= 0 ? last : WORD_DONE;
		last = (enum word)word;
	}
}

static bool is_listed(const struct lh_quiet_children *children, pid_t pid)
{
	for (size_t i = 0; i < children->items.count; i++) {
		if (children->items.items[i].pid == pid)
			return true;
	}
	return false;
}

/* Whether there is a quiet child that was not there before. */
static bool has_new_child(const struct lh_process *process, const struct lh_quiet_children *before)
{
	struct lh_quiet_children now LH_CLEANUP(lh_quiet_children_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_quiet_children_read(process, &now);
	bool has_new = error != NULL;
	for (size_t i = 0; !has_new && i < now.items.count; i++)
		has_new = !is_listed(before, now.items.items[i].pid);
	return has_new;
}

/*
 * Until the child has shown itself and is gone, or does not show itself. Leakhunt may still be on its way out, and the
 * target traced by it: whatever fails is tried again.
 */
static void clean_up(const struct lh_process *process, const struct lh_quiet_children *before)
{
	static const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t deadline_ns = lh_clock_monotonic_ns() + BIRTH_PATIENCE_NS;
	bool has_seen_it = false;
	while (lh_clock_monotonic_ns() < deadline_ns) {
		struct lh_freeze_cost cost = {0};
		size_t count;
		bool is_there = has_new_child(process, before);
		if (is_there && !has_seen_it)
			deadline_ns = lh_clock_monotonic_ns() + DEATH_PATIENCE_NS;
		has_seen_it |= is_there;
		if (has_seen_it && !is_there)
			return;
		if (is_there)
			lh_error_destroy(lh_child_end_leftovers(process, &count, &cost));
		nanosleep(&nap, NULL);
	}
}

static _Noreturn void guard(const struct lh_process *process, const struct lh_quiet_children *before, int socket_fd)
{
	become_guard(socket_fd);
	if (listen_until_end() == WORD_ANNOUNCED) {
		lh_fault_points_survive();
		lh_fault_point("child-guard-alone");
		clean_up(process, before);
	}
	_exit(0);
}

/* ---------------------------------------------------------------- in leakhunt */

static void cleanup_guard(struct lh_child_guard **guard)
{
	lh_child_guard_end(*guard, true);
}

static void tell(const struct lh_child_guard *guard, enum word word)
{
	char byte = (char)word;
	while (send(guard->fd, &byte, 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

struct lh_error *lh_child_guard_start(const struct lh_process *process, struct lh_child_guard **ret)
{
	struct lh_quiet_children before LH_CLEANUP(lh_quiet_children_deinit) = {0};
	LH_TRY(lh_quiet_children_read(process, &before));
	int fds[2];
	LH_CLEANUP(cleanup_guard) struct lh_child_guard *started = calloc(1, sizeof(*started));
	if (!started)
		return lh_error_no_memory();
	started->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return lh_error_from_errno(errno, "cannot make a pair of sockets");
	started->fd = fds[1];
	started->pid = fork();
	if (!started->pid) {
		close(fds[1]);
		guard(process, &before, fds[0]);
	}
	int saved_errno = errno;
	close(fds[0]);
	if (started->pid < 0)
		return lh_error_from_errno(saved_errno, "cannot fork");
	*ret = started;
	started = NULL;
	return NULL;
}

void lh_child_guard_announce(const struct lh_child_guard *guard)
{
	tell(guard, WORD_ANNOUNCED);
}

void lh_child_guard_end(struct lh_child_guard *guard, bool is_done)
{
	if (!guard)
		return;
	if (guard->pid > 0 && is_done)
		tell(guard, WORD_DONE);
	if (guard->fd >= 0)
		close(guard->fd);
	while (guard->pid > 0 && is_done && waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(guard);
}
