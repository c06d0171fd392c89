/*
 * look: looks at the pages of many ranges at once, with several threads that wait ready: for a target that
 * stands still, whose processors are free meanwhile. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_LOOK_H
#define LEAKHUNT_DUMP_LOOK_H

#include "leakhunt/proc.h"

struct lh_look;

/* How to look at one range: lh_pagemap_find_written and its like. Called by several threads, each with a pagemap. */
typedef struct lh_error *lh_page_finder(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret);

/* Opens its pagemaps and starts its threads, one fewer than there are processors, LH_LOOK_THREADS_MAX at most. */
#define LH_LOOK_THREADS_MAX 7
struct lh_error *lh_look_create(const struct lh_process *process, lh_page_finder *find,
				struct lh_look **ret) LH_NODISCARD;
void lh_look_destroy(struct lh_look *look); /* NULL is legal */

/* Looks at `count` ranges of whole pages; what an earlier call found is forgotten. */
struct lh_error *lh_look_at(struct lh_look *look, const struct lh_range *ranges, size_t count) LH_NODISCARD;

/* Appends what was found in ranges[index]: in order, neighbours of one state merged within the range. */
struct lh_error *lh_look_append(const struct lh_look *look, size_t index, struct lh_page_runs *ret) LH_NODISCARD;

#endif
