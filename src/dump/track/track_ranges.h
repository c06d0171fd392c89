/*
 * track_ranges: what to register with a userfaultfd so that no mapping of the target is split. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_TRACK_RANGES_H
#define LEAKHUNT_DUMP_TRACK_RANGES_H

#include "dump/plan/ranges.h"

/* Adjacent private mappings of one kind, and the range to register for them. */
struct lh_track_run {
	struct lh_range range; /* from the end of the mapping before the run to the start of the one after it */
	bool is_anonymous;     /* else of files, or of hugetlbfs */
};

struct lh_track_runs {
	LH_VEC(struct lh_track_run) items; /* ascending, disjoint */
};

void lh_track_runs_deinit(struct lh_track_runs *runs);

/* Appends all anonymous runs, and runs of files that hold some of `wanted`, which is ascending. */
struct lh_error *lh_track_runs_find(const struct lh_region_list *list, const struct lh_ranges *wanted,
				    struct lh_track_runs *ret) LH_NODISCARD;

/* Cuts a range at the mapping in the middle of those it holds; false when it holds less than two. */
bool lh_track_range_halve(const struct lh_region_list *list, struct lh_range range, struct lh_range ret[2]);

/*
 * Whether registering the run has cut a mapping outside of it: the one before, which grew into the gap. *ret_part: the
 * part to unregister.
 */
bool lh_track_run_cuts(const struct lh_region_list *list, const struct lh_track_run *run, struct lh_range *ret_part);

/*
 * Appends the addresses where two adjacent anonymous mappings meet that differ in nothing /proc/PID/maps shows,
 * within `ranges` (normalized).
 */
struct lh_error *lh_track_seams_find(const struct lh_region_list *list, const struct lh_ranges *ranges,
				     struct lh_ranges *ret) LH_NODISCARD;

#endif
