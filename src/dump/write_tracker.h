/*
 * write_tracker: knows which pages the target has written since they were last copied, by
 * write-protecting them through a userfaultfd whose faults the kernel resolves by itself. Private to
 * dump.
 */
#ifndef LEAKHUNT_DUMP_WRITE_TRACKER_H
#define LEAKHUNT_DUMP_WRITE_TRACKER_H

#include "context.h"

struct lh_write_tracker;

/*
 * Needs UFFD_FEATURE_WP_ASYNC and PAGEMAP_SCAN (Linux >= 6.7). One thread of the target is stopped
 * for about a millisecond; it makes the userfaultfd for us, which is taken over with pidfd_getfd(2) and
 * closed again in the target within the same stop: when leakhunt dies, the kernel drops it and all
 * protection. LH_ERROR_UNSUPPORTED, with the reason, where any of this can't be had; the target is
 * then as it was. *ret_pause_ns: how long that thread stood still, also on an error.
 */
struct lh_error *lh_write_tracker_start(const struct lh_process *process, const struct lh_region_list *regions,
					uint64_t *ret_pause_ns, struct lh_write_tracker **ret) LH_NODISCARD;

/* Tracks the plan's extents from now on, too, and says which (is_tracked). */
struct lh_error *lh_write_tracker_cover(struct lh_write_tracker *tracker, struct lh_plan *plan) LH_NODISCARD;

/* Appends the pages of tracked extents written since they were last taken (at first: all that are there). */
struct lh_error *lh_write_tracker_take(struct lh_write_tracker *tracker, const struct lh_plan *plan,
				       struct lh_page_runs *ret) LH_NODISCARD;

/* Looks at the plan's pages again (the target stands still): LH_PAGES_PRESENT are unwritten since taken. */
struct lh_error *lh_write_tracker_find(struct lh_write_tracker *tracker, struct lh_plan *plan) LH_NODISCARD;

/* Lifts all protection, piece by piece while the target runs. NULL is legal. */
void lh_write_tracker_stop(struct lh_write_tracker *tracker);
void lh_cleanup_write_tracker(struct lh_write_tracker **tracker);

#endif
