/*
 * pipeline: a ring of places between a caller who fills and finishes them in order, and a crew that works on them.
 * Those before `taken` are at work or done, those before `finished` are free again. The caller works, too, when it
 * would wait.
 *
 * finished <= taken <= filled <= finished + place_count
 */
#include "leakhunt/threads.h"

#include <pthread.h>
#include <stdlib.h>

struct place_state {
	struct lh_error *error; /* of the work */
	bool is_done;
};

struct lh_pipeline {
	const struct lh_pipeline_work *work;
	size_t place_count;
	struct lh_error *error; /* the caller's */
	bool is_run;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex. */
	uint64_t filled;
	uint64_t taken;
	uint64_t finished;
	bool is_ended;
	struct place_state states[];
};

/* With the mutex held, which is released meanwhile. */
static void work_on_next(struct lh_pipeline *pipeline)
{
	size_t place = pipeline->taken++ % pipeline->place_count;
	pthread_mutex_unlock(&pipeline->mutex);
	pipeline->states[place].error = pipeline->work->work(pipeline->work->context, place);
	pthread_mutex_lock(&pipeline->mutex);
	pipeline->states[place].is_done = true;
	pthread_cond_broadcast(&pipeline->changed);
}

/* With the mutex held, which is released meanwhile: only the caller finishes. */
static struct lh_error *finish_next(struct lh_pipeline *pipeline)
{
	size_t place = pipeline->finished % pipeline->place_count;
	pthread_mutex_unlock(&pipeline->mutex);
	struct lh_error *error = pipeline->states[place].error;
	pipeline->states[place] = (struct place_state){0};
	if (!error)
		error = pipeline->work->finish(pipeline->work->context, place);
	pthread_mutex_lock(&pipeline->mutex);
	pipeline->finished++;
	return error;
}

/* Continues until at most `most` places are not finished: finishes the next one, else works, else waits. */
static struct lh_error *finish_up(struct lh_pipeline *pipeline, size_t most)
{
	struct lh_error *error = NULL;
	pthread_mutex_lock(&pipeline->mutex);
	while (!error && pipeline->finished < pipeline->filled) {
		if (pipeline->states[pipeline->finished % pipeline->place_count].is_done)
			error = finish_next(pipeline);
		else if (pipeline->filled - pipeline->finished <= most)
			break;
		else if (pipeline->taken < pipeline->filled)
			work_on_next(pipeline);
		else
			pthread_cond_wait(&pipeline->changed, &pipeline->mutex);
	}
	pthread_mutex_unlock(&pipeline->mutex);
	return error;
}

size_t lh_pipeline_place(const struct lh_pipeline *pipeline)
{
	return pipeline->filled % pipeline->place_count;
}

struct lh_error *lh_pipeline_submit(struct lh_pipeline *pipeline)
{
	pthread_mutex_lock(&pipeline->mutex);
	pipeline->filled++;
	pthread_cond_broadcast(&pipeline->changed);
	pthread_mutex_unlock(&pipeline->mutex);
	return finish_up(pipeline, pipeline->place_count - 1);
}

struct lh_error *lh_pipeline_drain(struct lh_pipeline *pipeline)
{
	return finish_up(pipeline, 0);
}

/* ---------------------------------------------------------------- the crew's task */

static void lead_pipeline(struct lh_pipeline *pipeline)
{
	pipeline->is_run = true;
	pipeline->error = pipeline->work->produce(pipeline->work->context, pipeline);
	if (!pipeline->error)
		pipeline->error = finish_up(pipeline, 0);
	pthread_mutex_lock(&pipeline->mutex);
	pipeline->is_ended = true;
	pthread_cond_broadcast(&pipeline->changed);
	pthread_mutex_unlock(&pipeline->mutex);
}

static void follow_pipeline(struct lh_pipeline *pipeline)
{
	pthread_mutex_lock(&pipeline->mutex);
	while (!pipeline->is_ended) {
		if (pipeline->taken < pipeline->filled)
			work_on_next(pipeline);
		else
			pthread_cond_wait(&pipeline->changed, &pipeline->mutex);
	}
	pthread_mutex_unlock(&pipeline->mutex);
}

/* A round has a piece for each member; who is late finds that it has ended. */
static void join_pipeline(void *context, size_t member, size_t number)
{
	struct lh_pipeline *pipeline = context;
	(void)number;
	if (member > 0)
		follow_pipeline(pipeline);
	else if (!pipeline->is_run)
		lead_pipeline(pipeline);
}

struct lh_error *lh_pipeline_run(const struct lh_pipeline_work *work, size_t thread_count, size_t place_count)
{
	struct lh_crew *crew = NULL;
	LH_CLEANUP(lh_cleanup_free)
	struct lh_pipeline *pipeline = calloc(1, sizeof(*pipeline) + place_count * sizeof(pipeline->states[0]));
	if (!pipeline)
		return lh_error_no_memory();
	LH_TRY(lh_crew_create(thread_count, &crew));
	pipeline->work = work;
	pipeline->place_count = place_count;
	pthread_mutex_init(&pipeline->mutex, NULL);
	pthread_cond_init(&pipeline->changed, NULL);
	lh_crew_run(crew, join_pipeline, pipeline, lh_crew_size(crew));
	lh_crew_destroy(crew);
	for (size_t i = 0; i < place_count; i++)
		lh_error_destroy(pipeline->states[i].error);
	pthread_cond_destroy(&pipeline->changed);
	pthread_mutex_destroy(&pipeline->mutex);
	return pipeline->error;
}
