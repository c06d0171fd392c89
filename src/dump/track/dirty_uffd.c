/*
 * dirty_uffd: the dirty tracker by asynchronous write protection of the target's pages. One thread of
 * the target is stopped for less than a millisecond, and starts a helper that makes a userfaultfd for us
 * (uffd_helper); leakhunt has its only descriptor: when it dies, the kernel drops all protection. Input: the plan's
 * extents; output: runs of written pages. It reads no memory but the first bytes of huge pages; the only trace in the
 * target, the protection itself, ends with it.
 */
#include "dirty_tracker.h"

#include "dump/plan/look.h"
#include "file_pages.h"
#include "huge_pages.h"
#include "leakhunt/fault_point.h"
#include "tracee/freeze_thread.h"
#include "tracee/uffd_helper.h"
#include "tracee/urgent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/userfaultfd.h of Linux 6.7; distributions' headers are older. */
#define FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13)
#define FEATURE_WP_ASYNC       (UINT64_C(1) << 15)
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* A piece is lifted in 0.4 ms, under a lock that page faults share (Linux 6.18). */
#define LIFT_PIECE_BYTES (32 * LH_MIB)
/* Who maps memory in the target may wait that long when tracking ends. */
#define DROP_NS_MAX      LH_NS_PER_MS
#define DROP_PATIENCE_NS (10 * LH_NS_PER_MS)

/* Passing over so many pages costs less than one more call, which flushes TLBs (Linux 6.18: 1.3 us against 4). */
#define SEEN_GAP_BYTES LH_MIB
/* More calls than this take longer than one over all pages. */
enum { SEEN_MAX = 8192 };

struct uffd_tracker {
	struct lh_dirty_tracker base;
	int userfault_fd;
	struct lh_pagemap *pagemap;
	struct lh_look *look;     /* finds written pages */
	struct lh_look *taking;   /* and protects them again */
	uint64_t rested_ns;       /* lh_rest_from_lock */
	struct lh_ranges covered; /* registered: whole mappings, ascending, disjoint */
	struct lh_ranges own;     /* lh_file_pages_note */
	struct lh_ranges seen;    /* where the last guess found written pages, ascending: the next take looks there */
	bool has_seen;
};

static struct uffd_tracker *of_base(struct lh_dirty_tracker *base)
{
	return (struct uffd_tracker *)base;
}

/* ---------------------------------------------------------------- the userfaultfd */

static struct lh_error *make_userfault(struct uffd_tracker *tracker, const struct lh_region_list *regions)
{
	struct lh_dirty_cost *cost = tracker->base.cost;
	return lh_userfault_open(tracker->base.process, regions, &cost->stops, &cost->injected, &tracker->userfault_fd);
}

static struct lh_error *ask_for_features(int userfault_fd)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED};
	if (ioctl(userfault_fd, UFFDIO_API, &api) == 0)
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "this kernel cannot track writes asynchronously (Linux 6.7)");
}

/*
 * By a userfaultfd of our own, so that no target is stopped in vain. That leakhunt may have none says nothing
 * about the target; that there are none, or none with this flag (Linux 5.11), does.
 */
static struct lh_error *check_kernel(void)
{
	LH_CLEANUP(lh_cleanup_close)
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd >= 0 || errno == EINVAL || errno == ENOSYS)
		return ask_for_features(fd);
	return NULL;
}

static struct lh_error *check(const struct lh_dirty_target *target)
{
	LH_TRY(check_kernel());
	return lh_injection_check(target->process, target->regions);
}

static struct lh_error *start(struct lh_dirty_tracker *base, const struct lh_dirty_target *target)
{
	struct uffd_tracker *tracker = of_base(base);
	tracker->userfault_fd = -1;
	LH_TRY(lh_pagemap_open(target->process, &tracker->pagemap));
	LH_TRY(lh_look_create(target->process, target->crew, lh_pagemap_find_written, &tracker->look));
	LH_TRY(lh_look_create(target->process, target->crew, lh_pagemap_take_written, &tracker->taking));
	LH_TRY(check_kernel());
	LH_TRY(make_userfault(tracker, target->regions));
	return ask_for_features(tracker->userfault_fd);
}

/* ---------------------------------------------------------------- tracking */

/*
 * Only whole mappings: a border in the middle of one would split it in two, and mremap(2) of both
 * fails in the target. Shared memory may be written through other mappings, which nobody sees here.
 * Registering what is registered already changes nothing (fs/userfaultfd.c).
 */
static bool register_region(const struct uffd_tracker *tracker, const struct lh_region *region)
{
	struct uffdio_register request = {
		.range = {.start = region->start, .len = region->end - region->start},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	return !region->is_shared && !region->is_io && ioctl(tracker->userfault_fd, UFFDIO_REGISTER, &request) == 0;
}

static struct lh_error *cover(struct lh_dirty_tracker *base, struct lh_plan *plan)
{
	struct uffd_tracker *tracker = of_base(base);
	tracker->covered.items.count = 0;
	for (size_t i = 0; i < plan->extents.count; i++) {
		struct lh_extent *extent = &plan->extents.items[i];
		if (i && extent[-1].region == extent->region) {
			extent->is_tracked = extent[-1].is_tracked;
			continue;
		}
		extent->is_tracked =
			!extent->is_device && !extent->is_inaccessible && register_region(tracker, extent->region);
		lh_rest_from_lock(&tracker->rested_ns);
		struct lh_range range = {extent->region->start, extent->region->end};
		if (extent->is_tracked)
			LH_TRY(lh_vec_push(&tracker->covered.items, range));
	}
	return NULL;
}

static struct lh_error *list_tracked(const struct lh_plan *plan, struct lh_ranges *ret)
{
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		if (extent->is_tracked)
			LH_TRY(lh_vec_push(&ret->items, (struct lh_range){extent->start, extent->end}));
	}
	return NULL;
}

/*
 * A few pages are taken where they were seen: looking at all is faster than protecting some of all. What was written
 * elsewhere meanwhile is not lost: it is written still.
 */
static struct lh_error *take_pages(struct uffd_tracker *tracker, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	struct lh_ranges tracked LH_CLEANUP(lh_ranges_deinit) = {0};
	const struct lh_ranges *ranges = &tracker->seen;
	if (!tracker->has_seen || tracker->seen.items.count > SEEN_MAX) {
		LH_TRY(list_tracked(plan, &tracked));
		ranges = &tracked;
	}
	tracker->has_seen = false;
	LH_TRY(lh_look_at(tracker->taking, ranges->items.items, ranges->items.count));
	for (size_t i = 0; i < ranges->items.count; i++)
		LH_TRY(lh_look_append(tracker->taking, i, ret));
	return NULL;
}

static struct lh_error *take(struct lh_dirty_tracker *base, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	LH_TRY(take_pages(of_base(base), plan, ret));
	return lh_file_pages_note(of_base(base)->pagemap, plan, &of_base(base)->own);
}

/* Adds the written ones of an extent's runs to what was seen. */
static struct lh_error *see(struct uffd_tracker *tracker, const struct lh_page_runs *runs, uint64_t *bytes)
{
	size_t first = tracker->seen.items.count;
	for (size_t i = 0; i < runs->runs.count; i++) {
		const struct lh_page_run *run = &runs->runs.items[i];
		struct lh_range *last = tracker->seen.items.count > first
						? &tracker->seen.items.items[tracker->seen.items.count - 1]
						: NULL;
		if (run->state != LH_PAGES_WRITTEN)
			continue;
		*bytes += lh_range_bytes(run->range);
		if (last && run->range.start - last->end <= SEEN_GAP_BYTES)
			last->end = run->range.end;
		else
			LH_TRY(lh_vec_push(&tracker->seen.items, run->range));
	}
	return NULL;
}

static struct lh_error *look_at_tracked(struct uffd_tracker *tracker, const struct lh_plan *plan,
					struct lh_ranges *extents, struct lh_page_runs *runs, uint64_t *ret_bytes)
{
	*ret_bytes = 0;
	LH_TRY(list_tracked(plan, extents));
	LH_TRY(lh_look_at(tracker->look, extents->items.items, extents->items.count));
	for (size_t i = 0; i < extents->items.count; i++) {
		runs->runs.count = 0;
		LH_TRY(lh_look_append(tracker->look, i, runs));
		LH_TRY(see(tracker, runs, ret_bytes));
	}
	return NULL;
}

static struct lh_error *guess(struct lh_dirty_tracker *base, const struct lh_plan *plan, uint64_t *ret_bytes)
{
	struct uffd_tracker *tracker = of_base(base);
	struct lh_ranges extents LH_CLEANUP(lh_ranges_deinit) = {0};
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	uint64_t bytes;
	tracker->seen.items.count = 0;
	tracker->has_seen = false;
	LH_TRY(look_at_tracked(tracker, plan, &extents, &runs, &bytes));
	tracker->has_seen = true;
	*ret_bytes = bytes;
	return NULL;
}

static struct lh_error *find(struct lh_dirty_tracker *base, struct lh_plan *plan)
{
	LH_TRY(lh_plan_look_again(plan, of_base(base)->look));
	LH_TRY(lh_file_pages_correct(of_base(base)->pagemap, &of_base(base)->own, plan));
	return lh_huge_pages_correct(base->process, plan);
}

/* ---------------------------------------------------------------- the end */

/* Whether a piece has no protection left. EAGAIN: a fork is going on, which wants to see either state. */
static bool lift_piece(struct uffd_tracker *tracker, uint64_t start, uint64_t bytes)
{
	enum { TRIES_MAX = 100 };
	for (size_t tries = 0; tries < TRIES_MAX; tries++) {
		struct uffdio_writeprotect piece = {.range = {.start = start, .len = bytes}};
		bool is_lifted = ioctl(tracker->userfault_fd, UFFDIO_WRITEPROTECT, &piece) == 0;
		bool is_final = is_lifted || errno != EAGAIN;
		lh_rest_from_lock(&tracker->rested_ns);
		if (is_final)
			return is_lifted;
	}
	return false;
}

static bool lift_pages(struct uffd_tracker *tracker, struct lh_range range)
{
	bool is_lifted = true;
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t bytes = lh_min_u64(range.end - at, LIFT_PIECE_BYTES);
		is_lifted &= lift_piece(tracker, at, bytes);
		at += bytes;
	}
	return is_lifted;
}

/*
 * The mapping as a whole: it must never be in two halves (see register_region). The kernel looks at all
 * pages again meanwhile, with mmap_lock held for writing: 54 ms for 4 GB (Linux 6.18). What is no longer
 * mapped is registered no longer.
 */
static void unregister(struct uffd_tracker *tracker, struct lh_range range)
{
	struct uffdio_range whole = {.start = range.start, .len = lh_range_bytes(range)};
	(void)ioctl(tracker->userfault_fd, UFFDIO_UNREGISTER, &whole);
}

/*
 * In no time: registered for missing pages instead, a mapping is not write-protected, and the kernel does
 * not look at its pages when that ends (fs/userfaultfd.c, userfaultfd_clear_vma: 0.01 ms for 4 GB). Meanwhile a
 * page that is not there must not be touched, by a system call in particular, which would fail.
 */
static bool drop_while_stopped(struct uffd_tracker *tracker, struct lh_range range)
{
	struct uffdio_register request = {
		.range = {.start = range.start, .len = lh_range_bytes(range)},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(tracker->userfault_fd, UFFDIO_REGISTER, &request) < 0)
		return false;
	lh_fault_point("tracker-dropping");
	unregister(tracker, range);
	return true;
}

static bool is_worth_a_stop(struct uffd_tracker *tracker, uint64_t drop_ns)
{
	struct lh_task_list tasks = {0};
	struct lh_error *error = lh_tasks_read(tracker->base.process, &tasks);
	bool is_worth = !error && tasks.tasks.count * LH_THREAD_STOP_NS < drop_ns;
	lh_vec_deinit(&tasks.tasks);
	lh_error_destroy(error);
	return is_worth;
}

/* Of the mappings that were lifted, those whose end would take long; drop_ns: how long in all. */
static void drop_long(struct uffd_tracker *tracker, const struct lh_ranges *ranges, uint64_t drop_ns)
{
	LH_CLEANUP(lh_urgent_end) struct lh_urgency urgency = lh_urgent_begin();
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = NULL;
	if (ranges->items.count && is_worth_a_stop(tracker, drop_ns))
		lh_error_destroy(lh_freeze_begin_brief(tracker->base.process, DROP_PATIENCE_NS, &freeze));
	size_t dropped = 0;
	while (freeze && dropped < ranges->items.count && drop_while_stopped(tracker, ranges->items.items[dropped]))
		dropped++;
	lh_freeze_cost_add(&tracker->base.cost->stops, lh_freeze_end(freeze));
	freeze = NULL;
	lh_urgent_end(&urgency);
	for (size_t i = dropped; i < ranges->items.count; i++)
		unregister(tracker, ranges->items.items[i]);
}

static void lift_all(struct uffd_tracker *tracker)
{
	struct lh_ranges lasting = {0};
	uint64_t lasting_ns = 0;
	for (size_t i = 0; i < tracker->covered.items.count; i++) {
		struct lh_range range = tracker->covered.items.items[i];
		uint64_t before_ns = lh_clock_monotonic_ns();
		bool is_lifted = lift_pages(tracker, range);
		uint64_t lift_ns = lh_clock_monotonic_ns() - before_ns;
		struct lh_error *error = NULL;
		if (is_lifted && lift_ns > DROP_NS_MAX)
			error = lh_vec_push(&lasting.items, range);
		if (!is_lifted || lift_ns <= DROP_NS_MAX || error)
			unregister(tracker, range);
		else
			lasting_ns += lift_ns;
		lh_error_destroy(error);
	}
	drop_long(tracker, &lasting, lasting_ns);
	lh_vec_deinit(&lasting.items);
}

static void stop(struct lh_dirty_tracker *base)
{
	struct uffd_tracker *tracker = of_base(base);
	if (tracker->userfault_fd >= 0) {
		lift_all(tracker);
		close(tracker->userfault_fd);
	}
	lh_look_destroy(tracker->look);
	lh_look_destroy(tracker->taking);
	lh_pagemap_close(tracker->pagemap);
	lh_vec_deinit(&tracker->covered.items);
	lh_vec_deinit(&tracker->own.items);
	lh_vec_deinit(&tracker->seen.items);
}

const struct lh_dirty_kind lh_dirty_uffd = {
	.name = "uffd",
	.tracker_bytes = sizeof(struct uffd_tracker),
	.injects = true,
	.check = check,
	.start = start,
	.cover = cover,
	.take = take,
	.guess = guess,
	.find = find,
	.stop = stop,
};
