/*
 * dirty_tracker: which pages the target has written since they were last copied. One interface, and one back end per
 * kernel feature: write protection through a userfaultfd (dirty_uffd.c), soft-dirty bits (dirty_soft.c). Private to
 * dump.
 */
#ifndef LEAKHUNT_DUMP_DIRTY_TRACKER_H
#define LEAKHUNT_DUMP_DIRTY_TRACKER_H

#include "dump/plan/context.h"
#include "dump/plan/crew_read.h"
#include "leakhunt/tracee.h"

/* What tracking has done to the target so far, also after a failure. */
struct lh_dirty_cost {
	struct lh_freeze_cost stops;
	struct lh_injected injected;
	size_t seam_count; /* upper bound of borders left between mappings that would have merged */
};

struct lh_dirty_target {
	const struct lh_process *process;
	const struct lh_region_list *regions; /* needed while starting only */
	struct lh_dirty_cost *cost;           /* outlives the tracker */
	struct lh_crew *crew;                 /* helps to look; outlives the tracker; NULL: none */
};

/* What all back ends begin with. */
struct lh_dirty_tracker {
	const struct lh_dirty_kind *kind;
	const struct lh_process *process;
	struct lh_dirty_cost *cost;
	uint64_t take_pause_ns; /* expected stop of the next take; 0: it stops nothing */
};

/* A back end. */
struct lh_dirty_kind {
	const char *name;     /* the word of --tracker */
	size_t tracker_bytes; /* of its struct */
	bool injects;         /* the target has to run something for it */

	/* The refusal of `start`, as far as it is known without touching the target. */
	struct lh_error *(*check)(const struct lh_dirty_target *target);

	/*
	 * The rest of the struct is zero. LH_ERROR_UNSUPPORTED, with the reason, when tracking is impossible; the
	 * target is then as it was. The caller calls `stop` in any case.
	 */
	struct lh_error *(*start)(struct lh_dirty_tracker *tracker, const struct lh_dirty_target *target);

	/* Also tracks the plan's extents from now on, and says which (is_tracked). */
	struct lh_error *(*cover)(struct lh_dirty_tracker *tracker, struct lh_plan *plan);

	/*
	 * Appends the pages of tracked extents written since the last take (first: all present pages). No write is
	 * lost: what this take misses, the next one or `find` returns.
	 */
	struct lh_error *(*take)(struct lh_dirty_tracker *tracker, const struct lh_plan *plan,
				 struct lh_page_runs *ret);

	/* How much a take would append now. Changes and stops nothing; looks as `find` does. */
	struct lh_error *(*guess)(struct lh_dirty_tracker *tracker, const struct lh_plan *plan, uint64_t *ret_bytes);

	/* Looks at the plan's pages again, while the target is stopped: LH_PAGES_PRESENT are unwritten since taken. */
	struct lh_error *(*find)(struct lh_dirty_tracker *tracker, struct lh_plan *plan);

	/* Undoes its changes to the target piece by piece, while the target runs. */
	void (*stop)(struct lh_dirty_tracker *tracker);
};

/* Asynchronous write protection: UFFD_FEATURE_WP_ASYNC and PAGEMAP_SCAN (Linux >= 6.7). */
extern const struct lh_dirty_kind lh_dirty_uffd;
/* Soft-dirty bits, when a test on a page of leakhunt's own shows that this kernel keeps them. */
extern const struct lh_dirty_kind lh_dirty_soft;

/*
 * Starts the best back end that works here and that the options allow. LH_ERROR_UNSUPPORTED, with the reasons of all,
 * when there is none. `ret_reason`: why it is not a better one; "" for the best.
 */
struct lh_error *lh_dirty_start(const struct lh_dirty_target *target, const struct lh_dump_options *options,
				char ret_reason[LH_MODE_REASON_MAX], struct lh_dirty_tracker **ret) LH_NODISCARD;

/* Starts this back end. The caller checks that the options allow it. */
struct lh_error *lh_dirty_start_kind(const struct lh_dirty_kind *kind, const struct lh_dirty_target *target,
				     struct lh_dirty_tracker **ret) LH_NODISCARD;

/* Which back end it would be, or the same error, as far as known without touching the target. */
struct lh_error *lh_dirty_check(const struct lh_dirty_target *target, const struct lh_dump_options *options,
				char ret_reason[LH_MODE_REASON_MAX]) LH_NODISCARD;

/*
 * Why no tracker sees all writes to the process: memory that the kernel or a device writes through pins
 * (lh_process_pinned_bytes). NULL: nothing is known that says so.
 */
struct lh_error *lh_dirty_refuse_pinned(const struct lh_process *process) LH_NODISCARD;

/* NULL is legal. */
void lh_dirty_stop(struct lh_dirty_tracker *tracker);

#endif
