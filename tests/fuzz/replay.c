/*
 * replay: runs a fuzz target without libFuzzer: on the empty input and on each file of the corpus
 * folders or files given. Each input runs in a process of its own, so that a crash, a leak or a
 * hang names the input; output is TAP. Fails when there is not a single seed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* What all inputs share is made once, before the first one, as libFuzzer does. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

#define SECONDS_PER_INPUT 60

static unsigned run_count, failed_count;

static void fail_hard(const char *what, const char *path)
{
	printf("Bail out! %s %s: %s\n", what, path, strerror(errno));
	exit(2);
}

static void report(const char *name, int status)
{
	bool is_ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	failed_count += !is_ok;
	printf("%s %u - %s\n", is_ok ? "ok" : "not ok", ++run_count, name);
	if (WIFSIGNALED(status))
		printf("# killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!is_ok)
		printf("# ended with status %d\n", WEXITSTATUS(status));
	fflush(stdout);
}

static void run_input(const char *name, const uint8_t *data, size_t size)
{
	int status;
	pid_t child = fork();
	if (child < 0)
		fail_hard("cannot fork for", name);
	if (child == 0) {
		alarm(SECONDS_PER_INPUT);
		exit(LLVMFuzzerTestOneInput(data, size));
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			fail_hard("cannot wait for", name);
	report(name, status);
}

static void run_file(const char *path, off_t file_bytes)
{
	size_t size = (size_t)file_bytes;
	uint8_t *data = malloc(size ? size : 1); /* exactly as long as the input: reads past it show */
	FILE *file = fopen(path, "rb");
	if (!data || !file || fread(data, 1, size, file) != size)
		fail_hard("cannot read", path);
	fclose(file);
	run_input(path, data, size);
	free(data);
}

static void run_path(const char *path);

static void run_folder(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	if (count < 0)
		fail_hard("cannot list", path);
	for (int i = 0; i < count; i++) {
		char *inner = NULL;
		if (entries[i]->d_name[0] != '.' && asprintf(&inner, "%s/%s", path, entries[i]->d_name) >= 0)
			run_path(inner);
		free(inner);
		free(entries[i]);
	}
	free(entries);
}

static void run_path(const char *path)
{
	struct stat status;
	if (stat(path, &status))
		fail_hard("cannot find", path);
	if (S_ISDIR(status.st_mode))
		run_folder(path);
	else
		run_file(path, status.st_size);
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	run_input("empty input", (const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	if (run_count < 2)
		printf("not ok %u - the corpus holds no seed\n", ++run_count), failed_count++;
	printf("1..%u\n", run_count);
	return failed_count ? 1 : 0;
}
