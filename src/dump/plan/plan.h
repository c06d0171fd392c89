/*
 * plan: makes a plan, and looks at the pages of its extents. Private to dump and its tests.
 */
#ifndef LEAKHUNT_DUMP_PLAN_H
#define LEAKHUNT_DUMP_PLAN_H

#include "leakhunt/dump.h"

struct lh_plan_request {
	const struct lh_want *wants;
	size_t want_count;
	const struct lh_buffer *maps;   /* the mappings: a text of /proc/PID/maps; NULL: read now */
	bool bare;                      /* no context */
	const uint64_t *stack_pointers; /* of the threads; 0: unknown */
	size_t stack_pointer_count;
	uint64_t stack_slack_bytes;   /* taken along below each stack pointer, for a thread that runs on */
	bool without_pages;           /* extents only; lh_plan_look_again finds their pages */
	lh_owner_finder *find_owners; /* NULL: nobody is asked */
	/* Instead of asking, where no want depends on owners: they only name what is copied. May be NULL. */
	const struct lh_owners *known_owners;
};

/*
 * Finds the mappings and the present pages. LH_ERROR_USAGE when a want matches nothing (the hint
 * lists what there is).
 */
struct lh_error *lh_plan_create(const struct lh_process *process, const struct lh_plan_request *request,
				struct lh_plan *ret) LH_NODISCARD;
void lh_plan_deinit(struct lh_plan *plan);

/*
 * Looks at the pages of the same extents again, telling written pages from unwritten ones as `look`
 * does: for a target that stands still.
 */
struct lh_look;
struct lh_error *lh_plan_look_again(struct lh_plan *plan, struct lh_look *look) LH_NODISCARD;

/* Appends the pages of one extent, ascending. */
typedef struct lh_error *lh_extent_finder(void *context, const struct lh_extent *extent, struct lh_page_runs *ret);

/* Looks at the pages of the same extents again, with `find`. */
struct lh_error *lh_plan_look_with(struct lh_plan *plan, lh_extent_finder *find, void *context) LH_NODISCARD;

/* As a plan has them at first: the present and swapped pages, and the vdso. */
struct lh_error *lh_extent_find_present(struct lh_pagemap *pagemap, const struct lh_extent *extent,
					struct lh_page_runs *ret) LH_NODISCARD;

#endif
