/*
 * crew: pieces of work are taken by whichever thread is free, the caller among them. A thread that is late to wake up
 * finds no piece left: nobody waits for it. Who waits is a real-time thread, so that it wakes up at once; at work it is
 * what the caller is.
 */
#include "crew.h"

#include "leakhunt/tracee.h"

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
	struct member members[LH_CREW_MEMBERS_MAX]; /* the first is the caller, and has no thread */
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

/* All pieces have been taken: what is left to wait for are those who are at one. */
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

struct lh_error *lh_crew_create(struct lh_crew **ret)
{
	struct lh_crew *crew = calloc(1, sizeof(*crew));
	if (!crew)
		return lh_error_no_memory();
	pthread_mutex_init(&crew->mutex, NULL);
	pthread_cond_init(&crew->changed, NULL);
	for (size_t count = lh_min_u64(lh_usable_processors(), LH_CREW_MEMBERS_MAX); ++crew->member_count < count;) {
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

/* ---------------------------------------------------------------- reading */

/* Fewer bytes are read sooner than a thread wakes up. */
#define PART_BYTES_MIN (128 * LH_KIB)

struct part {
	const struct lh_range *ranges;
	size_t count;
	uint8_t *ret;
	size_t bytes;
	size_t got_bytes;
};

struct reading {
	const struct lh_process *process;
	struct part parts[LH_CREW_MEMBERS_MAX];
	size_t part_count;
};

static void read_part(void *context, size_t member, size_t number)
{
	struct reading *reading = context;
	struct part *part = &reading->parts[number];
	(void)member;
	part->got_bytes = lh_process_read_ranges(reading->process, part->ranges, part->count, part->ret);
}

/* Neighbors in parts of about `part_bytes`. */
static void divide_runs(struct reading *reading, const struct lh_range *ranges, size_t count, uint64_t part_bytes,
			uint8_t *ret)
{
	size_t bytes = 0;
	struct part *part = NULL;
	for (size_t i = 0; i < count; i++) {
		bool is_full = !part || (part->bytes >= part_bytes && reading->part_count < LH_CREW_MEMBERS_MAX);
		if (is_full) {
			part = &reading->parts[reading->part_count++];
			*part = (struct part){.ranges = ranges + i, .ret = ret + bytes};
		}
		part->count++;
		part->bytes += lh_range_bytes(ranges[i]);
		bytes += lh_range_bytes(ranges[i]);
	}
}

size_t lh_crew_read_ranges(struct lh_crew *crew, const struct lh_process *process, const struct lh_range *ranges,
			   size_t count, void *ret)
{
	struct reading reading = {.process = process};
	uint64_t bytes = 0;
	size_t got_bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += lh_range_bytes(ranges[i]);
	divide_runs(&reading, ranges, count, lh_max_u64(bytes / lh_crew_size(crew) + 1, PART_BYTES_MIN), ret);
	lh_crew_run(crew, read_part, &reading, reading.part_count);
	for (size_t i = 0; i < reading.part_count; i++) {
		got_bytes += reading.parts[i].got_bytes;
		if (reading.parts[i].got_bytes < reading.parts[i].bytes)
			break;
	}
	return got_bytes;
}
