/*
 * vfork_waiter: a thread in vfork(2), whose child shares its memory and waits for "step": until then the
 * thread is in uninterruptible sleep, and no tracer can stop it. With --late 1 another "step" before lets it call
 * vfork. Truth: whether it came back, and how.
 */
#include "sample.h"

#include <sys/syscall.h>
#include <sys/wait.h>

static int gate[2];
static _Atomic int child_status = -1;
static _Atomic pid_t sleeper;
static _Atomic bool may_fork;
static bool is_late;

static void *wait_in_vfork(void *argument)
{
	char byte;
	(void)argument;
	sleeper = (pid_t)syscall(SYS_gettid);
	while (!may_fork)
		sample_sleep_ms(1);
	pid_t child = vfork();  /* NOLINT: what others should not do */
	if (child == 0) {       /* its own end of the pipe closed, it ends with its parent */
		close(gate[1]); /* NOLINT */
		_exit(read(gate[0], &byte, 1) == 1 ? 42 : 1); /* NOLINT */
	}
	int status;
	if (waitpid(child, &status, 0) == child)
		child_status = WEXITSTATUS(status);
	for (;;)
		pause();
	return NULL;
}

/* "12 (name) D ...": as the kernel says (proc_pid_stat(5)). */
static bool is_uninterruptible(pid_t tid)
{
	char path[64], line[256] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	FILE *stat = fopen(path, "re");
	bool is_read = stat && fgets(line, sizeof(line), stat);
	if (stat)
		fclose(stat);
	return is_read && strstr(line, ") D ");
}

static void let_it_fork(void)
{
	may_fork = true;
	while (!sleeper || !is_uninterruptible(sleeper))
		sample_sleep_ms(1);
}

static void begin(struct sample *sample)
{
	pthread_t thread;
	(void)sample;
	if (pipe(gate) || pthread_create(&thread, NULL, wait_in_vfork, NULL))
		sample_die("vfork_waiter: %s", strerror(errno));
	if (!is_late)
		let_it_fork();
}

static void step(struct sample *sample)
{
	(void)sample;
	if (!may_fork) {
		let_it_fork();
		return;
	}
	if (write(gate[1], "x", 1) != 1)
		sample_die("vfork_waiter: %s", strerror(errno));
	for (unsigned i = 0; child_status < 0 && i < 10000; i++)
		sample_sleep_ms(1);
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes, ",\"child_status\":%d", child_status);
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (strcmp(name, "--late") != 0)
		return false;
	is_late = sample_number(name, value) != 0;
	return true;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "vfork_waiter",
				.condition = "steady",
				.steps_max = 2,
				.begin = begin,
				.step = step,
				.describe = describe,
				.option = option};
	return sample_main(&sample, argc, argv);
}
