/*
 * dirty_uffd: the dirty tracker by asynchronous write protection of the target's pages. One thread of the target is
 * stopped for less than a millisecond, and starts a helper that makes a userfaultfd for leakhunt (uffd_helper).
 * leakhunt has its only descriptor: when leakhunt dies, the kernel drops all protection. Input: the plan's extents.
 * Output: runs of written pages. Reads no memory except the first bytes of huge pages.
 */
#include "dirty_tracker.h"

#include "dump/core/process_facts.h"
#include "dump/plan/look.h"
#include "file_pages.h"
#include "huge_pages.h"
#include "leakhunt/fault_point.h"
#include "leakhunt/threads.h"
#include "leakhunt/tracee.h"
#include "track_ranges.h"

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
/* Threads that map memory in the target may wait this long when tracking ends. */
#define DROP_NS_MAX LH_NS_PER_MS
/* 54 ms for 4 GB of small pages (Linux 6.18). */
#define UNREGISTER_NS_PER_MIB ((uint64_t)13500)
/* Some 0.5 ms. */
enum { MAPPINGS_IN_PAUSE_MAX = 2048 };
#define DROP_PATIENCE_NS (10 * LH_NS_PER_MS)

/* Skipping this many pages costs less than one more call, which flushes TLBs (Linux 6.18: 1.3 us against 4 us). */
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
	struct lh_ranges covered; /* registered at some time: normalized */
	struct lh_ranges touched; /* of it, where pages may be protected: extents of the plans */
	struct lh_ranges seams;   /* where adjacent equal mappings met before they were registered: normalized */
	struct lh_ranges own;     /* lh_file_pages_note */
	struct lh_ranges taken;   /* of anonymous mappings, in any take: normalized */
	struct lh_ranges seen;    /* where the last guess found written pages, ascending; the next take looks there */
	bool has_seen;
};

static struct uffd_tracker *uffd_of_base(struct lh_dirty_tracker *base)
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
 * Tests with leakhunt's own userfaultfd, so that no target is stopped in vain. Missing permission proves nothing for
 * the target; a kernel without userfaultfd, or without this flag (Linux 5.11), does.
 */
static struct lh_error *check_kernel(void)
{
	LH_CLEANUP(lh_cleanup_close)
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd >= 0 || errno == EINVAL || errno == ENOSYS)
		return ask_for_features(fd);
	return NULL;
}

/* A mapping has one userfaultfd: the program could not register what leakhunt tracks (EBUSY, ioctl_userfaultfd(2)). */
static struct lh_error *refuse_other_user(const struct lh_process *process)
{
	if (!lh_process_has_userfault(process))
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "it has a userfaultfd of its own");
}

static struct lh_error *check_uffd(const struct lh_dirty_target *target)
{
	LH_TRY(check_kernel());
	LH_TRY(refuse_other_user(target->process));
	return lh_injection_check(target->process, target->regions);
}

static struct lh_error *start_uffd(struct lh_dirty_tracker *base, const struct lh_dirty_target *target)
{
	struct uffd_tracker *tracker = uffd_of_base(base);
	tracker->userfault_fd = -1;
	LH_TRY(lh_pagemap_open(target->process, &tracker->pagemap));
	LH_TRY(lh_look_create(target->process, target->crew, lh_pagemap_find_written, &tracker->look));
	LH_TRY(lh_look_create(target->process, target->crew, lh_pagemap_take_written, &tracker->taking));
	LH_TRY(check_kernel());
	LH_TRY(refuse_other_user(target->process));
	LH_TRY(make_userfault(tracker, target->regions));
	return ask_for_features(tracker->userfault_fd);
}

/* ---------------------------------------------------------------- tracking */

/* Addresses, names and permissions only, read as late as possible before use. */
static struct lh_error *read_mappings(const struct lh_process *process, struct lh_region_list *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_process_read_file(process, "maps", &text));
	return lh_regions_parse(text.data ? text.data : "", text.length, "maps", ret);
}

/* Registering a registered range changes nothing (fs/userfaultfd.c). */
static bool register_range(const struct uffd_tracker *tracker, struct lh_range range, uint64_t mode)
{
	struct uffdio_register request = {.range = {.start = range.start, .len = lh_range_bytes(range)}, .mode = mode};
	return ioctl(tracker->userfault_fd, UFFDIO_REGISTER, &request) == 0;
}

/*
 * The kernel refuses a whole range for one mapping that cannot be registered: memory under a userfaultfd of the
 * target's own, or MAP_DROPPABLE (Linux 6.11; glibc 2.41 has a page of it). Halving finds these.
 */
static struct lh_error *cover_range(struct uffd_tracker *tracker, const struct lh_region_list *list,
				    struct lh_range range)
{
	struct lh_ranges pending LH_CLEANUP(lh_ranges_deinit) = {0};
	LH_TRY(lh_vec_push(&pending.items, range));
	while (pending.items.count) {
		struct lh_range halves[2], next = pending.items.items[--pending.items.count];
		bool is_covered = register_range(tracker, next, UFFDIO_REGISTER_MODE_WP);
		lh_rest_from_lock(&tracker->rested_ns);
		if (is_covered) {
			LH_TRY(lh_vec_push(&tracker->covered.items, next));
		} else if (lh_track_range_halve(list, next, halves)) {
			LH_TRY(lh_vec_push(&pending.items, halves[1]));
			LH_TRY(lh_vec_push(&pending.items, halves[0]));
		}
	}
	return NULL;
}

static struct lh_error *cover_runs(struct uffd_tracker *tracker, const struct lh_region_list *list,
				   const struct lh_track_runs *runs, bool is_anonymous)
{
	for (size_t i = 0; i < runs->items.count; i++) {
		const struct lh_track_run *run = &runs->items.items[i];
		if (run->is_anonymous == is_anonymous)
			LH_TRY(cover_range(tracker, list, run->range));
	}
	return NULL;
}

/* Of all memory: extents that are covered later existed before, too. */
static struct lh_error *find_seams_before(struct uffd_tracker *tracker, const struct lh_region_list *list)
{
	struct lh_ranges everything LH_CLEANUP(lh_ranges_deinit) = {0};
	LH_TRY(lh_vec_push(&everything.items, (struct lh_range){0, UINT64_MAX}));
	tracker->seams.items.count = 0;
	return lh_track_seams_find(list, &everything, &tracker->seams);
}

/* The kernel looks at all pages meanwhile, with mmap_lock held for writing: 54 ms for 4 GB (Linux 6.18). */
static bool unregister_range(struct uffd_tracker *tracker, struct lh_range range)
{
	struct uffdio_range whole = {.start = range.start, .len = lh_range_bytes(range)};
	bool is_done = ioctl(tracker->userfault_fd, UFFDIO_UNREGISTER, &whole) == 0;
	lh_rest_from_lock(&tracker->rested_ns);
	return is_done;
}

/* Mappings of files and shared memory that grew between reading the mappings and registering them. */
static struct lh_error *uncover_strangers(struct uffd_tracker *tracker, const struct lh_track_runs *runs)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(read_mappings(tracker->base.process, &list));
	for (size_t i = 0; i < runs->items.count; i++) {
		struct lh_range part;
		if (lh_track_run_cuts(&list, &runs->items.items[i], &part))
			(void)unregister_range(tracker, part);
	}
	return NULL;
}

static struct lh_error *cover_wanted(struct uffd_tracker *tracker, const struct lh_ranges *wanted)
{
	struct lh_track_runs runs LH_CLEANUP(lh_track_runs_deinit) = {0};
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(read_mappings(tracker->base.process, &list));
	if (!tracker->covered.items.count)
		LH_TRY(find_seams_before(tracker, &list));
	LH_TRY(lh_track_runs_find(&list, wanted, &runs));
	/* First what grows into gaps, so that a file's range finds it registered there. */
	LH_TRY(cover_runs(tracker, &list, &runs, true));
	LH_TRY(cover_runs(tracker, &list, &runs, false));
	return uncover_strangers(tracker, &runs);
}

static struct lh_error *list_wanted(const struct lh_plan *plan, struct lh_ranges *ret)
{
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		if (!extent->is_device && !extent->region->is_shared && extent->region->kind != LH_REGION_VDSO)
			LH_TRY(lh_vec_push(&ret->items, (struct lh_range){extent->start, extent->end}));
	}
	return NULL;
}

static bool holds_range(const struct lh_ranges *ranges, uint64_t addr)
{
	size_t low = lh_vec_count_before(&ranges->items, item, item->end <= addr);
	return low < ranges->items.count && ranges->items.items[low].start <= addr;
}

/* Shared memory may be written through other mappings, whose writes do not show here. */
static struct lh_error *cover_uffd(struct lh_dirty_tracker *base, struct lh_plan *plan)
{
	struct uffd_tracker *tracker = uffd_of_base(base);
	struct lh_ranges wanted LH_CLEANUP(lh_ranges_deinit) = {0};
	LH_TRY(list_wanted(plan, &wanted));
	LH_TRY(cover_wanted(tracker, &wanted));
	lh_ranges_normalize(&tracker->covered);
	for (size_t i = 0; i < plan->extents.count; i++) {
		struct lh_extent *extent = &plan->extents.items[i];
		bool is_private = !extent->is_device && !extent->is_inaccessible && !extent->region->is_shared;
		extent->is_tracked = is_private && holds_range(&tracker->covered, extent->start);
		if (extent->is_tracked)
			LH_TRY(lh_vec_push(&tracker->touched.items, (struct lh_range){extent->start, extent->end}));
	}
	lh_ranges_normalize(&tracker->touched);
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
 * Takes a few pages where they were seen: looking at all pages is faster than protecting some of all. A page written
 * elsewhere meanwhile stays written.
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

/* A file's page that is given back leaves its protection behind (lh_pagemap_find_own): those are not noted. */
static struct lh_error *note_anonymous(struct uffd_tracker *tracker, const struct lh_plan *plan,
				       const struct lh_page_runs *runs, size_t first)
{
	size_t next = 0;
	for (size_t i = first; i < runs->runs.count; i++) {
		struct lh_range range = runs->runs.items[i].range;
		while (next < plan->extents.count && plan->extents.items[next].end <= range.start)
			next++;
		if (next < plan->extents.count && plan->extents.items[next].is_absent_zero)
			LH_TRY(lh_vec_push(&tracker->taken.items, range));
	}
	lh_ranges_normalize(&tracker->taken);
	lh_look_note_taken(tracker->look, &tracker->taken);
	return NULL;
}

static struct lh_error *take_uffd(struct lh_dirty_tracker *base, const struct lh_plan *plan, struct lh_page_runs *ret)
{
	struct uffd_tracker *tracker = uffd_of_base(base);
	size_t first = ret->runs.count;
	LH_TRY(take_pages(tracker, plan, ret));
	LH_TRY(note_anonymous(tracker, plan, ret, first));
	return lh_file_pages_note(tracker->pagemap, plan, &tracker->own);
}

/* Adds the written runs of an extent to what was seen. */
static struct lh_error *see_region(struct uffd_tracker *tracker, const struct lh_page_runs *runs, uint64_t *bytes)
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
		LH_TRY(see_region(tracker, runs, ret_bytes));
	}
	return NULL;
}

static struct lh_error *guess_uffd(struct lh_dirty_tracker *base, const struct lh_plan *plan, uint64_t *ret_bytes)
{
	struct uffd_tracker *tracker = uffd_of_base(base);
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

static struct lh_error *find_uffd(struct lh_dirty_tracker *base, struct lh_plan *plan)
{
	LH_TRY(lh_plan_look_again(plan, uffd_of_base(base)->look));
	LH_TRY(lh_file_pages_correct(uffd_of_base(base)->pagemap, &uffd_of_base(base)->own, plan));
	return lh_huge_pages_correct(base->process, plan);
}

/* ---------------------------------------------------------------- the end */

/* 0, or errno. EAGAIN: a fork is in progress. */
static int lift_piece(struct uffd_tracker *tracker, uint64_t start, uint64_t bytes)
{
	enum { TRIES_MAX = 100 };
	int status = EAGAIN;
	for (size_t tries = 0; tries < TRIES_MAX && status == EAGAIN; tries++) {
		struct uffdio_writeprotect piece = {.range = {.start = start, .len = bytes}};
		status = ioctl(tracker->userfault_fd, UFFDIO_WRITEPROTECT, &piece) == 0 ? 0 : errno;
		lh_rest_from_lock(&tracker->rested_ns);
	}
	return status;
}

/*
 * Whether a piece has no protection left. The kernel stops with ENOENT at unregistered memory (mm/userfaultfd.c,
 * mwriteprotect_range), such as the last page of [heap]: then the parts around it are lifted one by one.
 */
static bool lift_around_gaps(struct uffd_tracker *tracker, uint64_t start, uint64_t bytes)
{
	int status = lift_piece(tracker, start, bytes);
	if (status != ENOENT || bytes <= LH_PAGE_BYTES)
		return !status || status == ENOENT;
	uint64_t half = lh_align_up(bytes / 2, LH_PAGE_BYTES);
	bool is_lifted = lift_around_gaps(tracker, start, half);
	return lift_around_gaps(tracker, start + half, bytes - half) && is_lifted;
}

static bool lift_pages(struct uffd_tracker *tracker, struct lh_range range)
{
	bool is_lifted = true;
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t bytes = lh_min_u64(range.end - at, LIFT_PIECE_BYTES);
		is_lifted &= lift_around_gaps(tracker, at, bytes);
		at += bytes;
	}
	return is_lifted;
}

/* What of a mapping may be protected. `next` as lh_ranges_append_outside has it. */
static bool lift_mapping(struct uffd_tracker *tracker, const struct lh_region *region, size_t *next)
{
	const struct lh_ranges *touched = &tracker->touched;
	bool is_lifted = true;
	while (*next < touched->items.count && touched->items.items[*next].end <= region->start)
		++*next;
	for (size_t i = *next; i < touched->items.count && touched->items.items[i].start < region->end; i++) {
		const struct lh_range *range = &touched->items.items[i];
		struct lh_range part = {lh_max_u64(range->start, region->start), lh_min_u64(range->end, region->end)};
		is_lifted &= lift_pages(tracker, part);
	}
	return is_lifted;
}

/*
 * Page by page, while the target runs, so that little is left to do while it waits. Returns whether no page is
 * protected any more.
 */
static bool lift_all(struct uffd_tracker *tracker, const struct lh_region_list *list)
{
	bool is_lifted = true;
	size_t next = 0;
	for (size_t i = 0; i < list->regions.count; i++)
		is_lifted &= lift_mapping(tracker, &list->regions.items[i], &next);
	return is_lifted;
}

/* The kernel unregisters what is left, and merges mappings, in one step (fs/userfaultfd.c, userfaultfd_release_all). */
static void close_userfault(struct uffd_tracker *tracker)
{
	lh_cleanup_close(&tracker->userfault_fd);
	tracker->userfault_fd = -1;
}

/* How long the target would wait for its mappings if all of it were unregistered at once. */
static uint64_t drop_ns(const struct uffd_tracker *tracker)
{
	return lh_process_resident_bytes(tracker->base.process) / LH_MIB * UNREGISTER_NS_PER_MIB;
}

static bool is_worth_a_stop(struct uffd_tracker *tracker)
{
	struct lh_task_list tasks = {0};
	struct lh_error *error = lh_tasks_read(tracker->base.process, &tasks);
	bool is_worth = !error && tasks.tasks.count * LH_THREAD_STOP_NS < drop_ns(tracker);
	lh_vec_deinit(&tasks.tasks);
	lh_error_destroy(error);
	return is_worth;
}

/*
 * Registering a mapping for missing pages instead removes its write protection, and the kernel does not look at its
 * pages when this ends (fs/userfaultfd.c, userfaultfd_clear_vma: 0.01 ms for 4 GB). Meanwhile nobody may touch an
 * absent page: a system call that does fails. So all threads are stopped until the end.
 */
static void drop_while_stopped(struct uffd_tracker *tracker, const struct lh_track_runs *runs)
{
	size_t dropped = 0;
	for (; dropped < runs->items.count; dropped++) {
		const struct lh_track_run *run = &runs->items.items[dropped];
		if (run->is_anonymous && !register_range(tracker, run->range, UFFDIO_REGISTER_MODE_MISSING))
			break;
		lh_fault_point("tracker-dropping");
	}
	if (dropped == runs->items.count) {
		close_userfault(tracker);
		return;
	}
	/* Never left registered for missing pages. */
	while (dropped--)
		(void)unregister_range(tracker, runs->items.items[dropped].range);
}

static struct lh_error *find_runs_anew(const struct uffd_tracker *tracker, struct lh_region_list *ret_list,
				       struct lh_track_runs *ret_runs)
{
	lh_region_list_deinit(ret_list);
	ret_runs->items.count = 0;
	LH_TRY(read_mappings(tracker->base.process, ret_list));
	return lh_track_runs_find(ret_list, &tracker->covered, ret_runs);
}

/* Many mappings take too long to read in a pause. Borders may then be out of date, and this way is impossible. */
static void drop_in_a_stop(struct uffd_tracker *tracker, struct lh_region_list *list, struct lh_track_runs *runs)
{
	LH_CLEANUP(lh_urgent_end) struct lh_urgency urgency = lh_urgent_begin();
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = NULL;
	struct lh_error *error = lh_freeze_begin_brief(tracker->base.process, DROP_PATIENCE_NS, &freeze);
	if (!error && list->regions.count <= MAPPINGS_IN_PAUSE_MAX)
		error = find_runs_anew(tracker, list, runs);
	if (!error)
		drop_while_stopped(tracker, runs);
	lh_freeze_cost_add(&tracker->base.cost->stops, lh_freeze_end(freeze));
	freeze = NULL;
	lh_urgent_end(&urgency);
	lh_error_destroy(error);
}

/* Mappings of files know no missing pages. */
static bool unregister_files(struct uffd_tracker *tracker, const struct lh_track_runs *runs)
{
	bool is_done = true;
	for (size_t i = 0; i < runs->items.count; i++)
		is_done &= runs->items.items[i].is_anonymous || unregister_range(tracker, runs->items.items[i].range);
	return is_done;
}

/* The lists are some milliseconds old by then: mappings are read again before each step that needs their borders. */
static struct lh_error *drop_all(struct uffd_tracker *tracker)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_track_runs runs LH_CLEANUP(lh_track_runs_deinit) = {0};
	LH_TRY(find_runs_anew(tracker, &list, &runs));
	if (drop_ns(tracker) <= DROP_NS_MAX)
		return NULL;
	bool is_lifted = lift_all(tracker, &list);
	LH_TRY(find_runs_anew(tracker, &list, &runs));
	if (is_lifted && is_worth_a_stop(tracker) && unregister_files(tracker, &runs))
		drop_in_a_stop(tracker, &list, &runs);
	if (tracker->userfault_fd < 0)
		return NULL;
	LH_TRY(find_runs_anew(tracker, &list, &runs));
	for (size_t i = 0; i < runs.items.count; i++)
		(void)unregister_range(tracker, runs.items.items[i].range);
	return NULL;
}

/* Two mappings that grew towards each other while one of them was registered never merge again. */
static struct lh_error *count_seams(struct uffd_tracker *tracker)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_ranges seams LH_CLEANUP(lh_ranges_deinit) = {0}, fresh LH_CLEANUP(lh_ranges_deinit) = {0};
	LH_TRY(read_mappings(tracker->base.process, &list));
	LH_TRY(lh_track_seams_find(&list, &tracker->covered, &seams));
	LH_TRY(lh_ranges_append_all_outside(&seams, &tracker->seams, &fresh));
	tracker->base.cost->seam_count += fresh.items.count;
	return NULL;
}

static void stop_uffd(struct lh_dirty_tracker *base)
{
	struct uffd_tracker *tracker = uffd_of_base(base);
	if (tracker->userfault_fd >= 0) {
		lh_error_destroy(drop_all(tracker));
		close_userfault(tracker);
		lh_error_destroy(count_seams(tracker));
	}
	lh_look_destroy(tracker->look);
	lh_look_destroy(tracker->taking);
	lh_pagemap_close(tracker->pagemap);
	lh_ranges_deinit(&tracker->covered);
	lh_ranges_deinit(&tracker->touched);
	lh_ranges_deinit(&tracker->seams);
	lh_ranges_deinit(&tracker->own);
	lh_ranges_deinit(&tracker->seen);
	lh_ranges_deinit(&tracker->taken);
}

const struct lh_dirty_kind lh_dirty_uffd = {
	.name = "uffd",
	.tracker_bytes = sizeof(struct uffd_tracker),
	.injects = true,
	.check = check_uffd,
	.start = start_uffd,
	.cover = cover_uffd,
	.take = take_uffd,
	.guess = guess_uffd,
	.find = find_uffd,
	.stop = stop_uffd,
};
