/*
 * child_guard: a process of its own that traces the copy-on-write child while leakhunt copies it, and has it reaped
 * when leakhunt asks for that, or is killed. A child dies under its tracer only: of a zombie that nobody traces, the
 * target, which does not know of it, would learn by wait(2) with __WALL. So a killed leakhunt never leaves one. It may
 * leave a child that it had not handed over yet, alive: the guard traces it before it wakes.
 *
 * Other ways were weighed and left: CLONE_PARENT hands the zombie and a SIGCHLD to a
 * supervisor that did not ask for either; a grandchild goes to init, which in a container may be the
 * target itself, and the child in between leaves the same zombie; a thread of ours in the target, blocked
 * in wait4, is seen there (unshare and setns then fail) and leaves its stack. Should the guard
 * be killed too, the child ends after its sleep, and the next run reaps it (child_reap).
 */
#include "child_guard.h"

#include "leakhunt/fault_point.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A thread that was told to fork when leakhunt died still forks: wait this long for the child to appear. */
#define BIRTH_PATIENCE_NS (5 * LH_NS_PER_S)
#define DEATH_PATIENCE_NS (180 * LH_NS_PER_S) /* several tries of reaping */

struct lh_child_guard {
	pid_t pid;
	int fd; /* of a socket pair: the guard reads requests, and sees the end of leakhunt */
};

enum { REQUESTS_FD = 3 }; /* in the guard */

enum word {
	WORD_ANNOUNCE, /* a child may be there from now on */
	WORD_HOLD,     /* trace it; answered */
	WORD_END,      /* end it; answered */
	WORD_DONE,
};

struct request {
	enum word word;
	struct lh_traced_child child; /* WORD_HOLD */
};

/* An error in a form that can be sent. */
struct answer {
	bool is_error;
	enum lh_error_code code;
	char message[256];
	struct lh_freeze_cost cost;
};

/* What the guard knows. */
struct guarded {
	const struct lh_process *process;
	const struct lh_quiet_children *before; /* children that were there when it began */
	struct lh_traced_child held;            /* pid 0: none */
	bool is_announced;
};

/* ---------------------------------------------------------------- in the guard */

/* Detached from what ends or stops leakhunt (Ctrl-C, a closed terminal), and from its descriptors. */
static void become_guard(int socket_fd)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
	for (size_t i = 0; i < LH_ARRAY_COUNT(signals); i++)
		signal(signals[i], SIG_IGN);
	setpgid(0, 0); /* not setsid(2), which also makes a scheduling group (sched(7), autogroup) */
	prctl(PR_SET_NAME, "leakhunt-guard");
	if (socket_fd != REQUESTS_FD)
		dup2(socket_fd, REQUESTS_FD);
	int null_fd = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < REQUESTS_FD; fd++)
		dup2(null_fd, fd);
	close_range(REQUESTS_FD + 1, ~0U, 0);
}

static bool is_listed(const struct lh_quiet_children *children, pid_t pid)
{
	for (size_t i = 0; i < children->items.count; i++) {
		if (children->items.items[i].pid == pid)
			return true;
	}
	return false;
}

/* Whether there is a new quiet child. */
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
 * Until the child has appeared and is gone, or does not appear. leakhunt may still be exiting, and trace the target:
 * retry whatever fails.
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

/* The child that the guard holds. leakhunt may still be exiting, as above. */
static void end_held(const struct guarded *guarded)
{
	static const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t deadline_ns = lh_clock_monotonic_ns() + DEATH_PATIENCE_NS;
	for (bool is_ended = false; !is_ended && lh_clock_monotonic_ns() < deadline_ns;) {
		struct lh_freeze_cost cost = {0};
		struct lh_error *error LH_CLEANUP(lh_cleanup_error) =
			lh_child_end(guarded->process, &guarded->held, &cost);
		is_ended = !error;
		if (!is_ended)
			nanosleep(&nap, NULL);
	}
}

static void send_answer(const struct lh_error *error, struct lh_freeze_cost cost)
{
	struct answer answer = {.is_error = error != NULL, .cost = cost};
	if (error) {
		answer.code = lh_error_code(error);
		snprintf(answer.message, sizeof(answer.message), "%s", lh_error_message(error));
	}
	(void)send(REQUESTS_FD, &answer, sizeof(answer), MSG_NOSIGNAL);
}

/* false: there is nothing left to guard. */
static bool serve_request(struct guarded *guarded, const struct request *request)
{
	struct lh_freeze_cost cost = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	switch (request->word) {
	case WORD_ANNOUNCE:
		guarded->is_announced = true;
		break;
	case WORD_HOLD:
		error = lh_child_take_over(request->child.pid);
		if (!error)
			guarded->held = request->child;
		send_answer(error, cost);
		break;
	case WORD_END:
		error = lh_child_end(guarded->process, &guarded->held, &cost);
		if (!error)
			*guarded = (struct guarded){.process = guarded->process, .before = guarded->before};
		send_answer(error, cost);
		break;
	case WORD_DONE:
		guarded->is_announced = false;
		return false;
	}
	return true;
}

static _Noreturn void run_guard(struct guarded *guarded, int socket_fd)
{
	become_guard(socket_fd);
	lh_fault_points_survive();
	for (bool is_needed = true; is_needed;) {
		struct request request;
		ssize_t count = recv(REQUESTS_FD, &request, sizeof(request), 0);
		if (count == sizeof(request))
			is_needed = serve_request(guarded, &request);
		else if (count >= 0 || errno != EINTR)
			break;
	}
	lh_fault_point("child-guard-alone");
	if (guarded->held.pid)
		end_held(guarded);
	else if (guarded->is_announced)
		clean_up(guarded->process, guarded->before);
	_exit(0);
}

/* ---------------------------------------------------------------- in leakhunt */

static void cleanup_guard(struct lh_child_guard **guard)
{
	lh_child_guard_end(*guard, true);
}

static bool send_request(const struct lh_child_guard *guard, const struct request *request)
{
	ssize_t count;
	do
		count = send(guard->fd, request, sizeof(*request), MSG_NOSIGNAL);
	while (count < 0 && errno == EINTR);
	return count == sizeof(*request);
}

static struct lh_error *ask_guard(const struct lh_child_guard *guard, const struct request *request,
				  struct lh_freeze_cost *cost)
{
	struct answer answer = {0};
	ssize_t count = -1;
	if (send_request(guard, request)) {
		do
			count = recv(guard->fd, &answer, sizeof(answer), 0);
		while (count < 0 && errno == EINTR);
	}
	if (count != sizeof(answer))
		return lh_error_create(LH_ERROR_NO_PROCESS, "the guard of the child has ended");
	lh_freeze_cost_add(cost, answer.cost);
	answer.message[sizeof(answer.message) - 1] = 0;
	return answer.is_error ? lh_error_create(answer.code, "%s", answer.message) : NULL;
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
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return lh_error_from_errno(errno, "cannot make a pair of sockets");
	started->fd = fds[1];
	started->pid = fork();
	if (!started->pid) {
		struct guarded guarded = {.process = process, .before = &before};
		close(fds[1]);
		run_guard(&guarded, fds[0]);
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
	(void)send_request(guard, &(const struct request){.word = WORD_ANNOUNCE});
}

struct lh_error *lh_child_guard_hold(const struct lh_child_guard *guard, const struct lh_traced_child *child)
{
	const struct request request = {.word = WORD_HOLD, .child = *child};
	struct lh_freeze_cost none = {0};
	if (ptrace(PTRACE_DETACH, child->pid, 0, 0) < 0)
		return lh_error_from_errno(errno, "cannot let go of child %d", (int)child->pid);
	lh_fault_point("child-between-tracers");
	LH_TRY(ask_guard(guard, &request, &none));
	lh_fault_point("child-held");
	return NULL;
}

struct lh_error *lh_child_guard_end_child(const struct lh_child_guard *guard, struct lh_freeze_cost *cost)
{
	return ask_guard(guard, &(const struct request){.word = WORD_END}, cost);
}

void lh_child_guard_end(struct lh_child_guard *guard, bool is_done)
{
	if (!guard)
		return;
	if (guard->pid > 0 && is_done)
		(void)send_request(guard, &(const struct request){.word = WORD_DONE});
	if (guard->fd >= 0)
		close(guard->fd);
	while (guard->pid > 0 && is_done && waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(guard);
}
