/*
 * user_command: runs the user's command with sh. leakhunt ignores SIGPIPE, its children must not.
 */
#include "user_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * `output`: the command's standard output; -1: leakhunt's. With an output of its own, the command is a process group,
 * so that all of it can be killed. Otherwise Ctrl-C reaches it, too.
 */
static int spawn_command(const char *command, int output, pid_t *ret)
{
	LH_CLEANUP(lh_cleanup_free) char *copy = strdup(command);
	if (!copy)
		return ENOMEM;
	char shell[] = "sh", option[] = "-c";
	char *const arguments[] = {shell, option, copy, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | (output >= 0 ? POSIX_SPAWN_SETPGROUP : 0));
	if (output >= 0)
		posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	int error_number = posix_spawn(ret, "/bin/sh", &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error_number;
}

static int wait_for(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The command may go on after its first line, but not beyond the deadline. */
static void wait_until(pid_t pid, uint64_t deadline_ns)
{
	static const struct timespec nap = {.tv_nsec = (long)LH_NS_PER_MS};
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (lh_clock_monotonic_ns() < deadline_ns) {
			nanosleep(&nap, NULL);
			continue;
		}
		kill(-pid, SIGKILL);
		wait_for(pid);
		return;
	}
}

struct lh_error *lh_user_command_run(const char *command, int *ret_status)
{
	pid_t pid;
	int error_number = spawn_command(command, -1, &pid);
	if (error_number)
		return lh_error_from_errno(error_number, "cannot run `%s`", command);
	*ret_status = wait_for(pid);
	return NULL;
}

/* Whether there is input, or its end, before the deadline. */
static bool wait_for_input(int fd, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now_ns = lh_clock_monotonic_ns();
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		if (now_ns >= deadline_ns)
			return false;
		int count = poll(&poll_fd, 1, (int)((deadline_ns - now_ns) / LH_NS_PER_MS + 1));
		if (count > 0)
			return true;
		if (count < 0 && errno != EINTR)
			return false;
	}
}

static bool read_command_line(int fd, uint64_t deadline_ns, char *ret, size_t ret_bytes)
{
	size_t length = 0;
	while (length + 1 < ret_bytes && !memchr(ret, '\n', length)) {
		if (!wait_for_input(fd, deadline_ns))
			return false;
		ssize_t count = read(fd, ret + length, ret_bytes - 1 - length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			break;
		length += (size_t)count;
	}
	ret[length] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return length > 0;
}

bool lh_user_command_read(const char *command, uint64_t limit_ns, char *ret, size_t ret_bytes)
{
	int ends[2];
	pid_t pid;
	uint64_t deadline_ns = lh_clock_monotonic_ns() + limit_ns;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	int error_number = spawn_command(command, ends[1], &pid);
	close(ends[1]);
	bool is_good = !error_number && read_command_line(ends[0], deadline_ns, ret, ret_bytes);
	close(ends[0]);
	if (!error_number)
		wait_until(pid, deadline_ns);
	return is_good;
}
