/*
 * fork_maker: forks, vforks and spawns all the time. Each child checks memory that its parent wrote, and exits with its
 * own number, which its parent must see.
 */
#include "self_check.h"

#include <spawn.h>
#include <sys/wait.h>

#define PATTERN_BYTES ((size_t)1 << 20)

static unsigned char *pattern;

static bool pattern_is_whole(void)
{
	for (size_t i = 0; i < PATTERN_BYTES; i += 64)
		if (pattern[i] != (unsigned char)(i >> 6))
			return false;
	return true;
}

static void await_status(const char *name, pid_t child, int expected)
{
	int status;
	if (!checker_call(name, child))
		return;
	while (!checker_call("waitpid", waitpid(child, &status, 0)))
		if (errno != EINTR)
			return;
	if (status != expected << 8)
		checker_report_wrong("%s: status %x, not %x", name, status, expected << 8);
}

static void fork_children(struct checker *checker)
{
	for (int number = 1;; number = number % 100 + 1) {
		pid_t child = fork();
		if (child == 0)
			_exit(pattern_is_whole() ? number : 200);
		await_status("fork", child, number);
		checker_round(checker);
		checker_sleep_us(500);
	}
}

static __attribute__((noinline)) pid_t vfork_and_end(int status)
{
	pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
	if (child == 0)
		_exit(status);
	return child;
}

static void vfork_children(struct checker *checker)
{
	for (int number = 1;; number = number % 100 + 1) {
		await_status("vfork", vfork_and_end(number), number);
		checker_round(checker);
		checker_sleep_us(500);
	}
}

static void spawn_children(struct checker *checker)
{
	static char name[] = "sh", option[] = "-c", command[] = "exit 42";
	char *const words[] = {name, option, command, NULL};
	for (;;) {
		pid_t child = -1;
		if ((errno = posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ)))
			child = -1;
		await_status("posix_spawn", child, 42);
		checker_round(checker);
		checker_sleep_us(2000);
	}
}

static void write_pattern(struct checker *checker)
{
	for (;;) {
		for (size_t i = 0; i < PATTERN_BYTES; i += 64) {
			if (pattern[i] != (unsigned char)(i >> 6))
				checker_report_wrong("byte %zu of the pattern is %x", i, pattern[i]);
			pattern[i] = (unsigned char)(i >> 6); /* unshares the page */
		}
		checker_round(checker);
		checker_sleep_us(1000);
	}
}

int main(void)
{
	checker_begin();
	pattern = checker_map(PATTERN_BYTES);
	for (size_t i = 0; i < PATTERN_BYTES; i += 64)
		pattern[i] = (unsigned char)(i >> 6);
	checker_start(fork_children, NULL, NULL);
	checker_start(vfork_children, NULL, NULL);
	checker_start(spawn_children, NULL, NULL);
	checker_start(write_pattern, NULL, NULL);
	checker_serve("fork_maker");
}
