/*
 * arena_leak: loses blocks in a second malloc arena: a thread of its own allocates them, and glibc
 * gives a thread an arena other than the brk heap (malloc/arena.c, arena_get2). Truth: the arena
 * grows, "[heap]" does not.
 */
#include "sample.h"

#include <semaphore.h>

static sem_t work_wanted, work_done;

static void *leak_when_told(void *argument)
{
	struct sample *sample = argument;
	for (;;) {
		while (sem_wait(&work_wanted))
			;
		for (uint64_t done = 0; done < sample->step_bytes; done += sample->block_bytes)
			sample_leak(sample, malloc(sample->block_bytes), sample->block_bytes);
		sem_post(&work_done);
	}
	return NULL;
}

static void begin(struct sample *sample)
{
	pthread_t leaker;
	sem_init(&work_wanted, 0, 0);
	sem_init(&work_done, 0, 0);
	if (pthread_create(&leaker, NULL, leak_when_told, sample))
		sample_die("arena_leak: cannot start a thread");
	pthread_setname_np(leaker, "leaker");
}

static void step(struct sample *sample)
{
	(void)sample;
	sem_post(&work_wanted);
	while (sem_wait(&work_done))
		;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "arena_leak",
				.condition = "leak",
				.region_kind = "arena",
				.step_bytes = 64 << 10,
				.block_bytes = 1000,
				.begin = begin,
				.step = step};
	return sample_main(&sample, argc, argv);
}
