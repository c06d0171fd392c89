/*
 * threads: all threads that share work: a crew of threads that wait for work, and a pipeline on top of it that keeps
 * results in order.
 */
#ifndef LEAKHUNT_THREADS_H
#define LEAKHUNT_THREADS_H

#include "leakhunt/base.h"

#include <sched.h>

/* ---------------------------------------------------------------- urgency */

/*
 * Real-time priority while a target is stopped. It requires root (CAP_SYS_NICE, sched(7)) or an RLIMIT_RTPRIO; without
 * the right nothing changes.
 */

/* The calling thread's previous scheduling. */
struct lh_urgency {
	bool is_urgent;
	int policy;
	struct sched_param parameters;
};

/* From here to lh_urgent_end the calling thread runs before all threads that are not real-time: for milliseconds. */
struct lh_urgency lh_urgent_begin(void);
void lh_urgent_end(struct lh_urgency *urgency); /* restores the previous scheduling; may be called twice */

/* ---------------------------------------------------------------- a crew */

struct lh_crew;

/* One piece of the work, for one member at a time. */
typedef void lh_crew_task(void *context, size_t member, size_t number);

/*
 * Starts `member_count` - 1 threads, at least none: the caller is member 0. If permitted, they wait as real-time
 * threads, so that they wake up at once. Threads that cannot be started only make the crew smaller.
 */
struct lh_error *lh_crew_create(size_t member_count, struct lh_crew **ret) LH_NODISCARD;
void lh_crew_destroy(struct lh_crew *crew); /* NULL is legal */

/* Including the caller; 1 for NULL. */
size_t lh_crew_size(const struct lh_crew *crew);

/*
 * Calls task(context, member, n) once for each n < count, and returns when all calls have returned. Members work as
 * real-time threads if the caller is one. One caller at a time; NULL: the caller works alone.
 */
void lh_crew_run(struct lh_crew *crew, lh_crew_task *task, void *context, size_t count);

/* ---------------------------------------------------------------- a pipeline */

/*
 * A ring of places. The caller fills each place, any thread works on it, and the caller finishes places in the order in
 * which they were filled. The result does not depend on the number of threads.
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
 * Runs a pipeline of places 0 to place_count - 1 on `thread_count` threads including the caller. Returns when
 * everything submitted is finished: NULL, or the first error in the order of the places; nothing is finished after an
 * error.
 */
struct lh_error *lh_pipeline_run(const struct lh_pipeline_work *work, size_t thread_count,
				 size_t place_count) LH_NODISCARD;
/* The next free place to fill. */
size_t lh_pipeline_place(const struct lh_pipeline *pipeline);
/* Submits the filled place. Works and finishes, or waits, until the next place is free. */
struct lh_error *lh_pipeline_submit(struct lh_pipeline *pipeline) LH_NODISCARD;
/* Finishes everything that was submitted. */
struct lh_error *lh_pipeline_drain(struct lh_pipeline *pipeline) LH_NODISCARD;

#endif
