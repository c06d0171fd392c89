/*
 * family_leak: leaks mappings that are alike, one each step. --what says which: unjoined (a thread that ends and is not
 * joined), pool (two threads that wait for ever, "pool-N-thread-M"), segment (shared memory with a name of its own,
 * deleted), file (a mapping of a file of its own), library (a copy of a library of the system, loaded and deleted).
 * --names says how names differ: numbers, letters, same. --block-bytes: of a stack, a segment or a file; --sizes mixed
 * makes each other one twice as large. Truth: how many, and the bytes of segments and files.
 */
#include "sample.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define TOUCHED_BYTES 20000

static const char *what = "unjoined", *names = "numbers";
static bool is_mixed;
static char library[4096];
static sem_t is_ready, never;
static _Atomic pid_t ended_tid;

static size_t bytes_of_step(const struct sample *sample)
{
	return sample->block_bytes * (is_mixed && sample->steps % 2 ? 2 : 1);
}

/* "job-17", or "job" with other letters for each step. */
static void make_name(const struct sample *sample, const char *prefix, char *ret, size_t ret_bytes)
{
	uint64_t number = sample->steps * 2654435761u % 11881376;
	char letters[6] = "aaaaa";
	for (int i = 0; i < 5; i++, number /= 26)
		letters[i] = (char)('a' + number % 26);
	if (!strcmp(names, "letters"))
		snprintf(ret, ret_bytes, "%s%s", prefix, letters);
	else if (!strcmp(names, "numbers"))
		snprintf(ret, ret_bytes, "%s-%d-%" PRIu64, prefix, getpid(), sample->steps);
	else
		snprintf(ret, ret_bytes, "%s", prefix);
}

static __attribute__((noinline)) void touch_stack(void)
{
	volatile char touched[TOUCHED_BYTES];
	for (size_t i = 0; i < sizeof(touched); i++)
		touched[i] = 1;
}

static void *end_at_once(void *argument)
{
	touch_stack();
	ended_tid = gettid();
	return argument;
}

static void *wait_for_ever(void *argument)
{
	pthread_setname_np(pthread_self(), argument);
	touch_stack();
	sem_post(&is_ready);
	for (;;)
		sem_wait(&never);
	return NULL;
}

static void start_thread(const struct sample *sample, void *(*run)(void *), char *name)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	if (pthread_attr_setstacksize(&attributes, bytes_of_step(sample)) ||
	    pthread_create(&thread, &attributes, run, name))
		sample_die("family_leak: cannot start thread %" PRIu64, sample->steps);
	pthread_attr_destroy(&attributes);
}

/* Its stack stays; the thread must be gone before the truth is printed. */
static void step_unjoined(const struct sample *sample)
{
	ended_tid = 0;
	start_thread(sample, end_at_once, NULL);
	while (!ended_tid || tgkill(getpid(), ended_tid, 0) == 0)
		sample_sleep_ms(1);
}

static void step_pool(const struct sample *sample)
{
	char name[64];
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "pool-%d-thread-%d", (int)sample->steps, i);
		name[15] = '\0'; /* as Java's machine cuts them */
		start_thread(sample, wait_for_ever, name);
		while (sem_wait(&is_ready))
			;
	}
}

static void map_file(struct sample *sample, int fd, int flags)
{
	size_t bytes = bytes_of_step(sample);
	char *mapping = fd < 0 || ftruncate(fd, (off_t)bytes) < 0
				? MAP_FAILED
				: mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	close(fd);
	sample_leak(sample, mapping, bytes);
}

static void step_segment(struct sample *sample)
{
	char name[64];
	make_name(sample, "/leakhunt-session", name, sizeof(name));
	int fd = shm_open(name, O_CREAT | O_RDWR, 0600);
	shm_unlink(name);
	map_file(sample, fd, MAP_SHARED);
}

static void step_file(struct sample *sample)
{
	char name[64], path[128];
	make_name(sample, "leakhunt-part", name, sizeof(name));
	snprintf(path, sizeof(path), "/tmp/%s.dat", name);
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	unlink(path);
	map_file(sample, fd, MAP_PRIVATE);
}

static void step_library(struct sample *sample)
{
	char name[64], path[128];
	struct stat status;
	make_name(sample, "leakhunt-plugin", name, sizeof(name));
	snprintf(path, sizeof(path), "/tmp/%s.so", name);
	int from = open(library, O_RDONLY | O_CLOEXEC), to = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	if (from < 0 || to < 0 || fstat(from, &status) < 0 ||
	    sendfile(to, from, NULL, (size_t)status.st_size) != status.st_size)
		sample_die("family_leak: cannot copy %s: %s", library, strerror(errno));
	close(from);
	close(to);
	if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
		sample_die("family_leak: %s", dlerror());
	unlink(path);
	sample->leaked_blocks++;
}

static void step(struct sample *sample)
{
	if (!strcmp(what, "unjoined"))
		step_unjoined(sample);
	else if (!strcmp(what, "pool"))
		step_pool(sample);
	else if (!strcmp(what, "segment"))
		step_segment(sample);
	else if (!strcmp(what, "file"))
		step_file(sample);
	else
		step_library(sample);
	if (!strcmp(what, "unjoined") || !strcmp(what, "pool"))
		sample->leaked_blocks += !strcmp(what, "pool") ? 2 : 1;
}

/* A library that most programs use. */
static void begin(struct sample *sample)
{
	(void)sample;
	struct link_map *map;
	sem_init(&is_ready, 0, 0);
	sem_init(&never, 0, 0);
	void *handle = !strcmp(what, "library") ? dlopen("libz.so.1", RTLD_NOW) : NULL;
	if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
		snprintf(library, sizeof(library), "%s", map->l_name);
}

static bool option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (!strcmp(name, "--what"))
		what = value;
	else if (!strcmp(name, "--names"))
		names = value;
	else if (!strcmp(name, "--sizes"))
		is_mixed = !strcmp(value, "mixed");
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "family_leak",
				.condition = "leak",
				.block_bytes = 256 << 10,
				.begin = begin,
				.step = step,
				.option = option};
	return sample_main(&sample, argc, argv);
}
