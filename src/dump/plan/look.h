/*
 * look: reads the page states of many ranges in parallel, by a crew. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_LOOK_H
#define LEAKHUNT_DUMP_LOOK_H

#include "crew_read.h"
#include "plan.h"
#include "ranges.h"

struct lh_look;

/*
 * Finds the pages of one range: lh_pagemap_find_written and the like. Several threads call it, each with its own
 * pagemap.
 */
typedef struct lh_error *lh_page_finder(struct lh_pagemap *pagemap, struct lh_range range, struct lh_page_runs *ret);

/* Opens one pagemap per member. The crew (NULL: the caller alone) stays the caller's, and must outlive it. */
struct lh_error *lh_look_create(const struct lh_process *process, struct lh_crew *crew, lh_page_finder *find,
				struct lh_look **ret) LH_NODISCARD;
void lh_look_destroy(struct lh_look *look); /* NULL is legal */

/* lh_pagemap_note_taken, for all of them. */
void lh_look_note_taken(struct lh_look *look, const struct lh_ranges *taken);

/* Looks at `count` ranges of whole pages, and forgets what an earlier call found. */
struct lh_error *lh_look_at(struct lh_look *look, const struct lh_range *ranges, size_t count) LH_NODISCARD;

/* Appends what was found in ranges[index]: in order, neighbors of one state merged within the range. */
struct lh_error *lh_look_append(const struct lh_look *look, size_t index, struct lh_page_runs *ret) LH_NODISCARD;

#endif
