/*
 * measure: runs a command and writes its cost to a file, as one JSON line: wall time and peak resident memory
 * (wait4(2), ru_maxrss). Usage: measure FILE COMMAND ARGUMENT... Exits as the command exited.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: measure FILE COMMAND ARGUMENT...\n");
		return 2;
	}
	uint64_t started_ns = now_ns();
	struct rusage usage;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) {
		perror("measure");
		return 2;
	}
	FILE *file = fopen(argv[1], "w");
	if (!file) {
		perror(argv[1]);
		return 2;
	}
	fprintf(file, "{\"elapsed_ns\":%" PRIu64 ",\"peak_resident_bytes\":%" PRIu64 "}\n", now_ns() - started_ns,
		(uint64_t)usage.ru_maxrss * 1024);
	fclose(file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
