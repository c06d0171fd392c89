/*
 * profiled: allocates from three functions, of which allocate_and_lose leaks, and a thread that ends; then jemalloc
 * writes its own heap profile to --file (mallctl "prof.dump"), and nothing is allocated any more. Needs
 * LD_PRELOAD=libjemalloc.so.2; without MALLOC_CONF=prof:true there is no profile. Truth: what each function holds, and
 * between which times it was allocated.
 */
#include "sample.h"

#include <dlfcn.h>

enum { SMALL = 20000, MEDIUM = 2000, LOST = 100, SMALL_BYTES = 100, MEDIUM_BYTES = 5000, LOST_BYTES = 100000 };

static void *small[SMALL], *medium[MEDIUM];
static uint64_t first_ns, last_ns;
static const char *profile;
static bool is_profiled;

static uint64_t profiled_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * SAMPLE_NS_PER_MS + (uint64_t)now.tv_nsec;
}

static __attribute__((noinline)) void *allocate_small(void)
{
	void *block = malloc(SMALL_BYTES);
	memset(block, 1, SMALL_BYTES);
	return block;
}

static __attribute__((noinline)) void *allocate_medium(void)
{
	void *block = malloc(MEDIUM_BYTES);
	memset(block, 2, MEDIUM_BYTES);
	return block;
}

static __attribute__((noinline)) void allocate_and_lose(struct sample *sample)
{
	sample_leak(sample, malloc(LOST_BYTES), LOST_BYTES);
}

/* The second half of the small blocks. */
static void *allocate_in_thread(void *unused)
{
	for (size_t i = SMALL / 2; i < SMALL; i++)
		small[i] = allocate_small();
	return unused;
}

static void write_profile(void)
{
	int (*control)(const char *, void *, size_t *, void *, size_t) = NULL;
	*(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
	if (!control)
		sample_die("profiled: this malloc has no mallctl");
	is_profiled = profile && control("prof.dump", NULL, NULL, (void *)&profile, sizeof(profile)) == 0;
}

/* Every second medium block is freed again. */
static void begin(struct sample *sample)
{
	pthread_t thread;
	first_ns = profiled_now_ns();
	if (pthread_create(&thread, NULL, allocate_in_thread, NULL) || pthread_join(thread, NULL))
		sample_die("profiled: cannot start a thread");
	for (size_t i = 0; i < SMALL / 2; i++)
		small[i] = allocate_small();
	for (size_t i = 0; i < MEDIUM; i++)
		medium[i] = allocate_medium();
	for (size_t i = 0; i < MEDIUM; i += 2)
		free(medium[i]);
	for (size_t i = 0; i < LOST; i++)
		allocate_and_lose(sample);
	last_ns = profiled_now_ns();
	write_profile();
}

static bool take_option(struct sample *sample, const char *name, const char *value)
{
	(void)sample;
	if (strcmp(name, "--file") != 0)
		return false;
	profile = value;
	return true;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes,
		 ",\"profiled\":%s,\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64
		 ",\"sites\":{\"allocate_small\":{\"blocks\":%d,\"bytes\":%d},\"allocate_medium\":{\"blocks\":%d,"
		 "\"bytes\":%d},\"allocate_and_lose\":{\"blocks\":%d,\"bytes\":%d}}",
		 is_profiled ? "true" : "false", first_ns, last_ns, SMALL, SMALL * SMALL_BYTES, MEDIUM / 2,
		 MEDIUM / 2 * MEDIUM_BYTES, LOST, LOST * LOST_BYTES);
}

int main(int argc, char **argv)
{
	static struct sample sample = {
		.name = "profiled",
		.condition = "leak",
		.begin = begin,
		.option = take_option,
		.describe = describe,
	};
	return sample_main(&sample, argc, argv);
}
