/*
 * crew: threads that wait ready to share work with their caller: for a target that stands still, whose processors
 * are free meanwhile. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_CREW_H
#define LEAKHUNT_DUMP_CREW_H

#include "leakhunt/base.h"
#include "leakhunt/proc.h"

struct lh_crew;

/* The caller is member 0. */
#define LH_CREW_MEMBERS_MAX 8

/* One piece of the work, for one member at a time. */
typedef void lh_crew_task(void *context, size_t member, size_t number);

/* Starts its threads, one fewer than there are processors. That some can't be started only makes it slower. */
struct lh_error *lh_crew_create(struct lh_crew **ret) LH_NODISCARD;
void lh_crew_destroy(struct lh_crew *crew); /* NULL is legal */

/* With the caller; 1 for NULL. */
size_t lh_crew_size(const struct lh_crew *crew);

/*
 * Does task(context, member, n) once for each n < count, and returns when all are done. As real-time threads when the
 * caller is one. One caller at a time; NULL: the caller alone.
 */
void lh_crew_run(struct lh_crew *crew, lh_crew_task *task, void *context, size_t count);

/* lh_process_read_ranges, shared. */
size_t lh_crew_read_ranges(struct lh_crew *crew, const struct lh_process *process, const struct lh_range *ranges,
			   size_t count, void *ret);

#endif
