/*
 * crew: pieces of work are taken by any free thread, the caller among them. A thread that wakes up late finds no piece
 * left: nobody waits for it. Waiting threads are real-time threads, so that they wake up at once; at work they are
 * scheduled as the caller is.
 */
#include "leakhunt/threads.h"
#include "urgent.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct member {
	struct lh_crew *crew;
	size_t number;
	pthread_t thread;
};

struct lh_crew {
	size_t member_count;
	atomic_size_t next;
	lh_crew_task *task;
	void *context;
	size_t count;
	bool is_urgent;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex. */
	uint64_t round; /* counts lh_crew_run */
	size_t busy_count;
	bool is_open; /* a round goes on, and may be joined */
	bool is_ended;
	struct member members[]; /* the first is the caller, and has no thread */
};

static void work_on_pieces(struct lh_crew *crew, size_t member)
{
	for (;;) {
		size_t number = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed);
		if (number >= crew->count)
			return;
		crew->task(crew->context, member, number);
	}
}

static void work_as_caller_does(struct lh_crew *crew, size_t member, struct lh_urgency *urgency)
{
	if (!crew->is_urgent)
		lh_urgent_end(urgency);
	work_on_pieces(crew, member);
	if (!crew->is_urgent)
		*urgency = lh_urgent_begin();
}

static void *wait_and_work(void *context)
{
	const struct member *member = context;
	struct lh_crew *crew = member->crew;
	struct lh_urgency urgency = lh_urgent_begin();
	uint64_t joined = 0;
	pthread_mutex_lock(&crew->mutex);
	while (!crew->is_ended) {
		if (!crew->is_open || joined == crew->round) {
			pthread_cond_wait(&crew->changed, &crew->mutex);
			continue;
		}
		joined = crew->round;
		crew->busy_count++;
		pthread_mutex_unlock(&crew->mutex);
		work_as_caller_does(crew, member->number, &urgency);
		pthread_mutex_lock(&crew->mutex);
		crew->busy_count--;
		pthread_cond_broadcast(&crew->changed);
	}
	pthread_mutex_unlock(&crew->mutex);
	return NULL;
}

/* ---------------------------------------------------------------- rounds */

static void open_round(struct lh_crew *crew)
{
	pthread_mutex_lock(&crew->mutex);
	crew->round++;
	crew->is_open = true;
	if (crew->count > 1)
		pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->mutex);
}

/* No piece is left to take; wait for members still working. */
static void close_round(struct lh_crew *crew)
{
	pthread_mutex_lock(&crew->mutex);
	crew->is_open = false;
	while (crew->busy_count)
		pthread_cond_wait(&crew->changed, &crew->mutex);
	pthread_mutex_unlock(&crew->mutex);
}

void lh_crew_run(struct lh_crew *crew, lh_crew_task *task, void *context, size_t count)
{
	if (!crew) {
		for (size_t number = 0; number < count; number++)
			task(context, 0, number);
		return;
	}
	crew->task = task;
	crew->context = context;
	crew->count = count;
	crew->is_urgent = lh_is_urgent();
	atomic_store(&crew->next, 0);
	open_round(crew);
	work_on_pieces(crew, 0);
	close_round(crew);
}

/* ---------------------------------------------------------------- threads */

size_t lh_crew_size(const struct lh_crew *crew)
{
	return crew ? crew->member_count : 1;
}

struct lh_error *lh_crew_create(size_t member_count, struct lh_crew **ret)
{
	struct lh_crew *crew = calloc(1, sizeof(*crew) + (member_count + 1) * sizeof(crew->members[0]));
	if (!crew)
		return lh_error_no_memory();
	pthread_mutex_init(&crew->mutex, NULL);
	pthread_cond_init(&crew->changed, NULL);
	while (++crew->member_count < member_count) {
		struct member *member = &crew->members[crew->member_count];
		*member = (struct member){.crew = crew, .number = crew->member_count};
		if (pthread_create(&member->thread, NULL, wait_and_work, member))
			break;
	}
	*ret = crew;
	return NULL;
}

void lh_crew_destroy(struct lh_crew *crew)
{
	if (!crew)
		return;
	pthread_mutex_lock(&crew->mutex);
	crew->is_ended = true;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->mutex);
	for (size_t i = 1; i < crew->member_count; i++)
		pthread_join(crew->members[i].thread, NULL);
	pthread_mutex_destroy(&crew->mutex);
	pthread_cond_destroy(&crew->changed);
	free(crew);
}
