/*
 * threads: all threads that share work: a crew of threads that wait for rounds, and on it a pipeline that keeps order.
 */
#ifndef LEAKHUNT_THREADS_H
#define LEAKHUNT_THREADS_H

#include "leakhunt/base.h"

#include <sched.h>

/* ---------------------------------------------------------------- urgency */

/*
 * Real-time priority while a target is stopped. Only root may (CAP_SYS_NICE, sched(7)), and who has an
 * RLIMIT_RTPRIO; without the right nothing changes.
 */

/* How the calling thread was scheduled before. */
struct lh_urgency {
	bool is_urgent;
	int policy;
	struct sched_param parameters;
};

/* The calling thread runs before all that are not real-time threads, from here to the end: milliseconds. */
struct lh_urgency lh_urgent_begin(void);
void lh_urgent_end(struct lh_urgency *urgency); /* as it was before; legal twice */

/* ---------------------------------------------------------------- a crew */

struct lh_crew;

/* One piece of the work, for one member at a time. */
typedef void lh_crew_task(void *context, size_t member, size_t number);

/*
 * Starts `member_count` - 1 threads, at least none: the caller is member 0. They wait as real-time threads where they
 * may, so that they wake up at once. Threads that cannot be started only make the crew smaller.
 */
struct lh_error *lh_crew_create(size_t member_count, struct lh_crew **ret) LH_NODISCARD;
void lh_crew_destroy(struct lh_crew *crew); /* NULL is legal */

/* With the caller; 1 for NULL. */
size_t lh_crew_size(const struct lh_crew *crew);

/*
 * Does task(context, member, n) once for each n < count, and returns when all are done. Members work as real-time
 * threads when the caller is one. One caller at a time; NULL: the caller alone.
 */
void lh_crew_run(struct lh_crew *crew, lh_crew_task *task, void *context, size_t count);

/* ---------------------------------------------------------------- a pipeline */

/*
 * Places of a ring, each filled by the caller, worked on by any thread, finished by the caller in the order in which
 * they were filled. The result does not depend on the number of threads.
 */
struct lh_pipeline;

struct lh_pipeline_work {
	void *context;
	/* Fills places and submits them; the caller's thread. */
	struct lh_error *(*produce)(void *context, struct lh_pipeline *pipeline);
	struct lh_error *(*work)(void *context, size_t place);
	struct lh_error *(*finish)(void *context, size_t place);
};

/*
 * A pipeline of places 0 to place_count - 1, for `thread_count` threads with the caller. Returns when all that was
 * submitted is finished, with NULL, or with the first error in the order of the places; nothing is finished after it.
 */
struct lh_error *lh_pipeline_run(const struct lh_pipeline_work *work, size_t thread_count,
				 size_t place_count) LH_NODISCARD;
/* The place to fill next: a free one. */
size_t lh_pipeline_place(const struct lh_pipeline *pipeline);
/* The place is filled. Works and finishes, or waits, until the next one is free. */
struct lh_error *lh_pipeline_submit(struct lh_pipeline *pipeline) LH_NODISCARD;
/* Finishes all that was submitted. */
struct lh_error *lh_pipeline_drain(struct lh_pipeline *pipeline) LH_NODISCARD;

#endif
