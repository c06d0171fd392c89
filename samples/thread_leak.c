/*
 * thread_leak: starts a thread each step that never ends, as a server does whose clients hang: each
 * holds its stack, --block-bytes of it touched, and waits. Truth: one more thread stack per step.
 */
#include "sample.h"

#include <semaphore.h>

#define STACK_BYTES ((size_t)256 << 10)
#define TOUCHED_MAX ((size_t)192 << 10)
#define THREADS_MAX 300

static sem_t is_ready, never;

static void *wait_for_ever(void *argument)
{
	struct sample *sample = argument;
	char request[TOUCHED_MAX];
	sample_leak(sample, request, sample->block_bytes);
	sem_post(&is_ready);
	for (;;)
		sem_wait(&never);
	return NULL;
}

static void begin(struct sample *sample)
{
	if (sample->block_bytes > TOUCHED_MAX)
		sample_die("thread_leak: --block-bytes must be at most %zu", TOUCHED_MAX);
	sem_init(&is_ready, 0, 0);
	sem_init(&never, 0, 0);
}

static void step(struct sample *sample)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (pthread_create(&thread, &attributes, wait_for_ever, sample))
		sample_die("thread_leak: cannot start thread %" PRIu64, sample->steps);
	pthread_attr_destroy(&attributes);
	pthread_setname_np(thread, "hanging");
	while (sem_wait(&is_ready))
		;
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "thread_leak",
				.condition = "leak",
				.region_kind = "thread-stack",
				.step_bytes = 64 << 10,
				.block_bytes = 64 << 10,
				.steps_max = THREADS_MAX,
				.begin = begin,
				.step = step};
	return sample_main(&sample, argc, argv);
}
