/*
 * snapshot: copies memory while the target runs, pass by pass what was written meanwhile, and stops it
 * only for the rest, which goes to memory. Input: a job that is prepared; output: its plan, layout and
 * threads, all of the instant of that stop. In the pause nothing is written, and nothing waited for.
 */
#include "child_refusal.h"
#include "dirty_tracker.h"
#include "dump_job.h"
#include "fault_point.h"
#include "final_set.h"
#include "thread_state.h"
#include "urgent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PASSES_MIN = 2, PASSES_MAX = 10, SWIFT_PASSES_MAX = 4 };

/* Memory that passes may take when the disc is slower than the target writes. */
#define SWIFT_BYTES_MAX (256 * LH_MIB)

/* Fewer bytes than this say little about the rate. */
#define RATED_BYTES_MIN LH_MIB
/* Stopping and letting go a thread, its registers included (measured on Linux 6.18: 10 to 20 us). */
#define THREAD_NS    (20 * (uint64_t)1000)
#define PAUSE_MIN_NS (200 * (uint64_t)1000)

struct snapshot {
	struct dump_job *job;
	struct lh_dirty_cost cost;
	struct lh_dirty_tracker *tracker;
	struct lh_buffer maps;                       /* the text that the plan was made from */
	struct lh_page_runs runs;                    /* what the last pass took */
	struct lh_dump_gaps failed;                  /* what passes could not read: it may come back */
	struct lh_ranges copied;                     /* taken, and not failed */
	struct lh_final_set swift[SWIFT_PASSES_MAX]; /* passes that went to memory, in their order */
	size_t swift_count;
	struct lh_final_set final;
	uint64_t maps_ns;      /* reading the mappings */
	uint64_t scan_ns;      /* looking at all pages */
	uint64_t page_cost_ns; /* copying a page */
	uint64_t left_bytes;   /* tracked, and written since they were taken, by the best guess */
	uint64_t untracked_bytes;
	struct lh_error *child_refusal; /* why --on-slow=child can't be followed; NULL: it can, or was not asked for */
};

static void snapshot_deinit(struct snapshot *snapshot)
{
	lh_error_destroy(snapshot->child_refusal);
	lh_dirty_stop(snapshot->tracker);
	lh_buffer_deinit(&snapshot->maps);
	lh_vec_deinit(&snapshot->runs.runs);
	lh_vec_deinit(&snapshot->failed.items);
	lh_vec_deinit(&snapshot->copied.items);
	for (size_t i = 0; i < snapshot->swift_count; i++)
		lh_final_set_deinit(&snapshot->swift[i]);
	lh_final_set_deinit(&snapshot->final);
}

/* ---------------------------------------------------------------- ranges */

/* Appends what of `range` lies outside of `holes`; ranges are asked about in ascending order. */
static struct lh_error *append_outside(struct lh_range range, const struct lh_ranges *holes, size_t *next_hole,
				       struct lh_ranges *ret)
{
	while (*next_hole < holes->items.count && holes->items.items[*next_hole].end <= range.start)
		++*next_hole;
	for (size_t i = *next_hole; i < holes->items.count && holes->items.items[i].start < range.end; i++) {
		struct lh_range before = {range.start, holes->items.items[i].start};
		if (before.start < before.end)
			LH_TRY(lh_vec_push(&ret->items, before));
		range.start = holes->items.items[i].end;
	}
	return range.start < range.end ? lh_vec_push(&ret->items, range) : NULL;
}

static struct lh_error *append_all_outside(const struct lh_ranges *ranges, const struct lh_ranges *holes,
					   struct lh_ranges *ret)
{
	size_t next_hole = 0;
	for (size_t i = 0; i < ranges->items.count; i++)
		LH_TRY(append_outside(ranges->items.items[i], holes, &next_hole, ret));
	return NULL;
}

static struct lh_error *ranges_of_gaps(const struct lh_dump_gaps *gaps, struct lh_ranges *ret)
{
	for (size_t i = 0; i < gaps->items.count; i++)
		LH_TRY(lh_vec_push(&ret->items, gaps->items.items[i].range));
	lh_ranges_normalise(ret);
	return NULL;
}

static struct lh_error *present_ranges(const struct lh_plan *plan, struct lh_ranges *ret)
{
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		if (lh_page_is_present(plan->pages.runs.items[i].state))
			LH_TRY(lh_vec_push(&ret->items, plan->pages.runs.items[i].range));
	}
	return NULL;
}

static void ranges_deinit(struct lh_ranges *ranges)
{
	lh_vec_deinit(&ranges->items);
}

/* ---------------------------------------------------------------- passes */

static struct lh_error *read_maps(struct snapshot *snapshot, struct lh_buffer *ret)
{
	uint64_t before_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_process_read_file(snapshot->job->process, "maps", ret));
	snapshot->maps_ns = lh_clock_monotonic_ns() - before_ns;
	return NULL;
}

static bool is_kept_text(const struct snapshot *snapshot, const struct lh_buffer *text)
{
	return snapshot->maps.length == text->length && text->length &&
	       memcmp(snapshot->maps.data, text->data, text->length) == 0;
}

static struct lh_error *mappings_changed(struct snapshot *snapshot, bool *ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(read_maps(snapshot, &text));
	*ret = !is_kept_text(snapshot, &text);
	return NULL;
}

static uint64_t untracked_bytes(const struct lh_plan *plan)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		sum += extent->is_tracked ? 0 : extent->present_bytes;
	}
	return sum;
}

/*
 * The mappings are read before the plan is made from them, and tracked after: whatever changes in between
 * makes the next text differ from the kept one.
 */
static struct lh_error *plan_anew(struct snapshot *snapshot)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(read_maps(snapshot, &text));
	if (is_kept_text(snapshot, &text))
		return NULL;
	lh_buffer_deinit(&snapshot->maps);
	snapshot->maps = text;
	text = (struct lh_buffer){0};
	LH_TRY(lh_job_glance(snapshot->job));
	LH_TRY(lh_job_plan(snapshot->job, false));
	LH_TRY(snapshot->tracker->kind->cover(snapshot->tracker, &snapshot->job->plan));
	snapshot->untracked_bytes = untracked_bytes(&snapshot->job->plan);
	lh_fault_point("snapshot-covered");
	return NULL;
}

static struct lh_error *take_written(struct snapshot *snapshot, uint64_t *ret_bytes)
{
	struct dump_job *job = snapshot->job;
	uint64_t before_ns = lh_clock_monotonic_ns(), bytes = 0;
	snapshot->runs.runs.count = 0;
	LH_TRY(snapshot->tracker->kind->take(snapshot->tracker, &job->plan, &snapshot->runs));
	snapshot->scan_ns = lh_clock_monotonic_ns() - before_ns;
	for (size_t i = 0; i < snapshot->runs.runs.count; i++) {
		LH_TRY(lh_vec_push(&job->taken.items, snapshot->runs.runs.items[i].range));
		bytes += lh_range_bytes(snapshot->runs.runs.items[i].range);
	}
	lh_ranges_normalise(&job->taken);
	*ret_bytes = bytes;
	lh_fault_point("snapshot-taken");
	return NULL;
}

/* Time of this thread only: the disc, which it may wait for, has no part in the pause. */
static uint64_t own_time_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * LH_NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct lh_error *copy_taken(struct snapshot *snapshot, uint64_t bytes)
{
	struct dump_job *job = snapshot->job;
	LH_TRY(lh_places_add(&job->places, &snapshot->runs));
	uint64_t before_ns = own_time_ns();
	LH_TRY(lh_copy_pass(&job->copy, &snapshot->runs, &snapshot->failed));
	if (bytes >= RATED_BYTES_MIN || !snapshot->page_cost_ns)
		snapshot->page_cost_ns = 1 + (own_time_ns() - before_ns) / (bytes / LH_PAGE_BYTES + 1);
	lh_fault_point("snapshot-pass-copied");
	return NULL;
}

/* What the last pass took was written in the time of the one before: about as much will be left again. */
static struct lh_error *guess_left(struct snapshot *snapshot, uint64_t taken_bytes)
{
	struct lh_dirty_tracker *tracker = snapshot->tracker;
	snapshot->left_bytes = taken_bytes;
	if (!tracker->kind->guess)
		return NULL;
	LH_TRY(plan_anew(snapshot));
	uint64_t before_ns = lh_clock_monotonic_ns();
	LH_TRY(tracker->kind->guess(tracker, &snapshot->job->plan, &snapshot->left_bytes));
	snapshot->scan_ns = lh_clock_monotonic_ns() - before_ns;
	return NULL;
}

static struct lh_error *run_pass(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	struct lh_dump_pass pass = {.elapsed_ns = lh_clock_monotonic_ns()};
	LH_TRY(plan_anew(snapshot));
	if (!job->copy.layout)
		LH_TRY(lh_places_create(&job->layout, &job->places));
	job->copy.layout = &job->places;
	LH_TRY(take_written(snapshot, &pass.bytes));
	LH_TRY(copy_taken(snapshot, pass.bytes));
	LH_TRY(guess_left(snapshot, pass.bytes));
	pass.elapsed_ns = lh_clock_monotonic_ns() - pass.elapsed_ns;
	return lh_vec_push(&job->receipt.passes, pass);
}

static uint64_t expected_pause_ns(const struct snapshot *snapshot)
{
	const struct dump_job *job = snapshot->job;
	uint64_t page_count = (snapshot->left_bytes + snapshot->untracked_bytes) / LH_PAGE_BYTES;
	return PAUSE_MIN_NS + job->tasks.tasks.count * THREAD_NS + snapshot->maps_ns + snapshot->scan_ns +
	       page_count * snapshot->page_cost_ns;
}

/* Or as short as the stop that another pass would cost: that saves nothing. */
static bool is_short_enough(const struct snapshot *snapshot)
{
	uint64_t enough_ns = lh_max_u64(snapshot->job->options->max_pause_ns / 2, snapshot->tracker->take_pause_ns);
	return expected_pause_ns(snapshot) <= enough_ns;
}

static struct lh_error *is_last_pass(struct snapshot *snapshot, bool *ret)
{
	const struct dump_job *job = snapshot->job;
	size_t count = job->receipt.passes.count;
	const struct lh_dump_pass *last = &job->receipt.passes.items[count - 1];
	bool changed = false;
	if (snapshot->tracker->kind->guess) { /* of the mappings as they are now */
		*ret = count >= PASSES_MAX || is_short_enough(snapshot) || snapshot->left_bytes >= last->bytes / 10 * 7;
		return NULL;
	}
	LH_TRY(mappings_changed(snapshot, &changed));
	bool shrinks = count < 2 || last->bytes < last[-1].bytes / 10 * 7;
	*ret = count >= PASSES_MAX || (count >= PASSES_MIN && !changed && (is_short_enough(snapshot) || !shrinks));
	return NULL;
}

/* ---------------------------------------------------------------- passes into memory */

static struct lh_error *copy_swiftly(struct snapshot *snapshot, uint64_t bytes)
{
	struct dump_job *job = snapshot->job;
	struct lh_final_set *set = &snapshot->swift[snapshot->swift_count++];
	const struct lh_plan taken = {.pages = snapshot->runs};
	const struct lh_ranges nothing_more = {0};
	LH_TRY(lh_places_add(&job->places, &snapshot->runs));
	LH_TRY(lh_final_set_init(set, bytes));
	uint64_t before_ns = own_time_ns();
	LH_TRY(lh_final_set_copy(set, job->process, &taken, &nothing_more, &snapshot->failed));
	if (bytes >= RATED_BYTES_MIN)
		snapshot->page_cost_ns = 1 + (own_time_ns() - before_ns) / (bytes / LH_PAGE_BYTES);
	return NULL;
}

/* In their order, and before any later copy of the same pages. */
static struct lh_error *write_swift(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->swift_count; i++) {
		LH_TRY(lh_final_set_write(&snapshot->swift[i], &snapshot->job->copy));
		lh_final_set_deinit(&snapshot->swift[i]);
	}
	snapshot->swift_count = 0;
	return NULL;
}

/* *ret_goes_on: this pass went to memory, too. */
static struct lh_error *run_swift_pass(struct snapshot *snapshot, uint64_t *room_bytes, bool *ret_goes_on)
{
	struct lh_dump_pass pass = {.elapsed_ns = lh_clock_monotonic_ns()};
	LH_TRY(plan_anew(snapshot));
	LH_TRY(take_written(snapshot, &pass.bytes));
	*ret_goes_on = pass.bytes <= *room_bytes;
	if (*ret_goes_on)
		*room_bytes -= pass.bytes;
	if (!*ret_goes_on)
		LH_TRY(write_swift(snapshot));
	LH_TRY(*ret_goes_on ? copy_swiftly(snapshot, pass.bytes) : copy_taken(snapshot, pass.bytes));
	LH_TRY(guess_left(snapshot, pass.bytes));
	pass.elapsed_ns = lh_clock_monotonic_ns() - pass.elapsed_ns;
	return lh_vec_push(&snapshot->job->receipt.passes, pass);
}

/*
 * Passes that wait for the disc don't shrink when the target writes faster than that. What they left is
 * copied to memory, and what is written while that is copied. A pass that does not fit ends them.
 */
static struct lh_error *run_swift_passes(struct snapshot *snapshot)
{
	uint64_t room_bytes = SWIFT_BYTES_MAX;
	bool goes_on = true;
	while (goes_on && snapshot->swift_count < SWIFT_PASSES_MAX && !is_short_enough(snapshot))
		LH_TRY(run_swift_pass(snapshot, &room_bytes, &goes_on));
	return NULL;
}

/* ---------------------------------------------------------------- the pause */

/* Without stacks asked for or taken along, a stack pointer has nothing to lie in. */
static bool wants_stacks(const struct lh_dump_options *options)
{
	const uint32_t stacks = UINT32_C(1) << LH_REGION_MAIN_STACK | UINT32_C(1) << LH_REGION_THREAD_STACK;
	bool wants = !options->bare;
	for (size_t i = 0; i < options->want_count; i++) {
		const struct lh_want *want = &options->wants[i];
		wants |= want->kind == LH_WANT_NAME || (want->kind == LH_WANT_KINDS && want->kinds & stacks);
	}
	return wants;
}

static int compare_extent(const void *key, const void *item)
{
	const uint64_t *addr = key;
	const struct lh_extent *extent = item;
	return *addr < extent->start ? -1 : *addr >= extent->end;
}

static bool holds_stack_pointers(const struct dump_job *job)
{
	const struct lh_plan *plan = &job->plan;
	for (size_t i = 0; i < job->threads.threads.count; i++) {
		uint64_t addr = job->threads.threads.items[i].stack_pointer;
		if (addr &&
		    !bsearch(&addr, plan->extents.items, plan->extents.count, sizeof(struct lh_extent), compare_extent))
			return false;
	}
	return true;
}

/* Pages that are there, unwritten, and of which no pass has a copy: mapped or readable only lately. */
static struct lh_error *find_uncopied(const struct snapshot *snapshot, struct lh_ranges *ret)
{
	const struct lh_plan *plan = &snapshot->job->plan;
	size_t next = 0;
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[i];
		if (run->state == LH_PAGES_PRESENT)
			LH_TRY(append_outside(run->range, &snapshot->copied, &next, ret));
	}
	return NULL;
}

/* The time since *since_ns, from which the next lap begins. */
static uint64_t lap_ns(uint64_t *since_ns)
{
	uint64_t begun_ns = *since_ns;
	*since_ns = lh_clock_monotonic_ns();
	return *since_ns - begun_ns;
}

static uint64_t held_bytes(const struct snapshot *snapshot)
{
	uint64_t bytes = snapshot->final.capacity_bytes;
	for (size_t i = 0; i < snapshot->swift_count; i++)
		bytes += snapshot->swift[i].capacity_bytes;
	return bytes;
}

/* What must be of one instant, beside registers. */
static struct lh_error *look_and_copy(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	struct lh_ranges uncopied LH_CLEANUP(ranges_deinit) = {0};
	struct lh_pause_parts *parts = &job->receipt.parts;
	uint64_t since_ns = lh_clock_monotonic_ns();
	bool changed;
	job->receipt.time_ns = lh_clock_realtime_ns();
	LH_TRY(mappings_changed(snapshot, &changed));
	if (changed || (wants_stacks(job->options) && !holds_stack_pointers(job)))
		LH_TRY(lh_job_plan(job, true));
	parts->plan_ns = lap_ns(&since_ns);
	LH_TRY(snapshot->tracker->kind->find(snapshot->tracker, &job->plan));
	LH_TRY(find_uncopied(snapshot, &uncopied));
	parts->look_ns = lap_ns(&since_ns);
	LH_TRY(lh_final_set_copy(&snapshot->final, job->process, &job->plan, &uncopied, &job->receipt.gaps));
	parts->copy_ns = lap_ns(&since_ns);
	return NULL;
}

static struct lh_error *look_and_copy_stopped(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	lh_thread_states_deinit(&job->threads);
	LH_CLEANUP(lh_urgent_end) struct lh_urgency urgency = lh_urgent_begin();
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = NULL;
	uint64_t since_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_freeze_begin(job->process, &job->threads, &freeze));
	job->receipt.parts.stop_ns = lap_ns(&since_ns);
	lh_fault_point("snapshot-frozen");
	LH_TRY(look_and_copy(snapshot));
	lh_fault_point("snapshot-final-copied");
	since_ns = lh_clock_monotonic_ns();
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	freeze = NULL;
	job->receipt.parts.resume_ns = lap_ns(&since_ns);
	lh_urgent_end(&urgency);
	lh_job_charge(job, cost);
	return NULL;
}

static struct lh_error *look_and_copy_live(struct snapshot *snapshot)
{
	LH_TRY(lh_job_glance(snapshot->job));
	LH_TRY(look_and_copy(snapshot));
	return lh_job_check_not_changed(snapshot->job);
}

/* Memory is touched, and lists are sorted, before the pause. */
static struct lh_error *prepare_final(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	struct lh_ranges failed LH_CLEANUP(ranges_deinit) = {0};
	LH_TRY(ranges_of_gaps(&snapshot->failed, &failed));
	LH_TRY(append_all_outside(&job->taken, &failed, &snapshot->copied));
	return lh_final_set_init(&snapshot->final, 2 * snapshot->left_bytes + snapshot->untracked_bytes + LH_MIB);
}

static struct lh_error *write_final(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	LH_TRY(lh_places_add(&job->places, &job->plan.pages));
	LH_TRY(write_swift(snapshot));
	LH_TRY(lh_final_set_write(&snapshot->final, &job->copy));
	LH_TRY(lh_swapped_copy(job));
	job->receipt.final_bytes = snapshot->final.used_bytes;
	/* Only what is lost in the end: passes before may have met gaps that are none any more. */
	job->copy.lost_bytes = lh_gaps_bytes(&job->receipt.gaps);
	LH_TRY(lh_gaps_of_plan(&job->plan, &job->receipt.gaps));
	lh_layout_deinit(&job->layout);
	return lh_layout_create_placed(&job->plan, &job->places, &job->layout);
}

static void take_off(struct snapshot *snapshot)
{
	lh_dirty_stop(snapshot->tracker);
	snapshot->tracker = NULL;
	lh_fault_point("snapshot-lifted");
}

static struct lh_error *finish(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	LH_TRY(prepare_final(snapshot));
	LH_TRY(job->mode == LH_DUMP_LIVE ? look_and_copy_live(snapshot) : look_and_copy_stopped(snapshot));
	job->receipt.held_bytes = held_bytes(snapshot);
	take_off(snapshot);
	LH_TRY(write_final(snapshot));
	return job->mode == LH_DUMP_LIVE ? lh_gaps_tell_vanished(job->process, &job->receipt.gaps) : NULL;
}

/* ---------------------------------------------------------------- when it takes too long */

static struct lh_error *too_slow(const char *expected, const char *allowed)
{
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED,
					     "the pause would be about %s, longer than the %s of --max-pause", expected,
					     allowed),
			     "allow more with --max-pause, or choose --on-slow child, stop or live");
}

/* A child that is refused becomes a longer pause. *ret_is_done: all is copied. */
static struct lh_error *fork_instead(struct dump_job *job, const char *expected, const char *allowed, bool *ret_is_done)
{
	LH_CLEANUP(lh_cleanup_error) struct lh_error *refusal = NULL;
	char *const reason = job->receipt.mode_reason;
	lh_job_notify(job,
		      "the pause would be about %s, longer than the %s of --max-pause: a copy-on-write child instead",
		      expected, allowed);
	lh_job_explain_mode(job, LH_DUMP_CHILD, "a snapshot's pause would have been longer than --max-pause");
	LH_TRY(lh_job_try_child(job, &refusal));
	*ret_is_done = !refusal;
	if (!refusal)
		return NULL;
	reason[0] = '\0';
	job->mode = LH_DUMP_SNAPSHOT;
	lh_job_notify(job, "no child: %s; the pause will be about %s", lh_error_message(refusal), expected);
	return NULL;
}

static struct lh_error *follow_on_slow(const struct snapshot *snapshot, const char *expected, const char *allowed,
				       bool *ret_is_done)
{
	struct dump_job *job = snapshot->job;
	switch (job->options->on_slow) {
	case LH_DUMP_SLOW_STOP:
		lh_job_notify(job, "the pause will be about %s, longer than the %s of --max-pause", expected, allowed);
		return NULL;
	case LH_DUMP_SLOW_CHILD:
		if (snapshot->child_refusal) {
			lh_job_notify(job,
				      "the pause will be about %s, longer than the %s of --max-pause; no child: %s",
				      expected, allowed, lh_error_message(snapshot->child_refusal));
			return NULL;
		}
		return fork_instead(job, expected, allowed, ret_is_done);
	case LH_DUMP_SLOW_LIVE:
		lh_job_notify(job,
			      "the pause would be about %s, longer than the %s of --max-pause: going on in mode live",
			      expected, allowed);
		lh_job_explain_mode(job, LH_DUMP_LIVE, "a snapshot's pause would have been longer than --max-pause");
		return NULL;
	case LH_DUMP_SLOW_FAIL:
		break;
	}
	return too_slow(expected, allowed);
}

static struct lh_error *check_pause(const struct snapshot *snapshot, bool *ret_is_done)
{
	char expected[LH_FORMAT_MAX], allowed[LH_FORMAT_MAX];
	struct dump_job *job = snapshot->job;
	uint64_t expected_ns = expected_pause_ns(snapshot);
	*ret_is_done = false;
	if (expected_ns <= job->options->max_pause_ns)
		return NULL;
	return follow_on_slow(snapshot, lh_format_duration(expected_ns, expected),
			      lh_format_duration(job->options->max_pause_ns, allowed), ret_is_done);
}

/* Asked for before the target is tracked: then it has memory under a userfaultfd, ours. */
static struct lh_error *ask_for_child(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	if (job->options->on_slow != LH_DUMP_SLOW_CHILD)
		return NULL;
	LH_TRY(lh_regions_read(job->process, LH_REGIONS_SMAPS, &regions));
	struct lh_error *error = lh_child_refuse(job->process, job->options, &regions);
	job->may_fork = !error;
	if (error && lh_error_code(error) != LH_ERROR_UNSUPPORTED)
		return error;
	snapshot->child_refusal = error;
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

static struct lh_error *copy_tracked(struct snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	uint64_t resident_before = lh_process_resident_bytes(job->process);
	for (bool is_last = false; !is_last;) {
		LH_TRY(run_pass(snapshot));
		LH_TRY(is_last_pass(snapshot, &is_last));
	}
	LH_TRY(run_swift_passes(snapshot));
	bool is_done;
	LH_TRY(check_pause(snapshot, &is_done));
	if (is_done)
		return NULL;
	LH_TRY(finish(snapshot));
	job->receipt.resident_delta_bytes = (int64_t)(lh_process_resident_bytes(job->process) - resident_before);
	return NULL;
}

/* What tracking has cost the target, to what the receipt says already. */
static void charge(struct snapshot *snapshot)
{
	struct lh_receipt *receipt = &snapshot->job->receipt;
	lh_job_charge(snapshot->job, snapshot->cost.stops);
	if (!receipt->injected)
		receipt->injected = snapshot->cost.injected;
	else if (snapshot->cost.injected)
		receipt->injected = "userfaultfd, close, clone, wait4; undone";
}

/* Whether a snapshot is possible; if not, *ret_refusal says why. */
static struct lh_error *start_tracking(struct snapshot *snapshot, struct lh_error **ret_refusal)
{
	struct dump_job *job = snapshot->job;
	const struct lh_dirty_target target = {job->process, &job->plan.list, &snapshot->cost};
	struct lh_error *error = lh_dirty_start(&target, job->options, job->receipt.mode_reason, &snapshot->tracker);
	if (!error || lh_error_code(error) != LH_ERROR_UNSUPPORTED)
		return error;
	*ret_refusal = error;
	return NULL;
}

static struct lh_error *copy_instead(struct dump_job *job, const struct lh_error *refusal)
{
	if (job->options->no_inject) {
		lh_job_explain_mode(job, LH_DUMP_STOP, lh_error_message(refusal));
		return lh_job_copy_stopped(job);
	}
	lh_job_notify(job, "no snapshot: %s; a copy-on-write child instead", lh_error_message(refusal));
	lh_job_explain_mode(job, LH_DUMP_CHILD, lh_error_message(refusal));
	return lh_job_copy_by_child(job);
}

struct lh_error *lh_snapshot_copy(struct dump_job *job)
{
	struct snapshot snapshot LH_CLEANUP(snapshot_deinit) = {.job = job};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *refusal = NULL;
	LH_TRY(ask_for_child(&snapshot));
	LH_TRY(start_tracking(&snapshot, &refusal));
	lh_fault_point("snapshot-started");
	LH_TRY(refusal ? copy_instead(job, refusal) : copy_tracked(&snapshot));
	charge(&snapshot);
	return NULL;
}

/* ---------------------------------------------------------------- the file */

static struct lh_error *clear(int fd, const char *what, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeros[65536];
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) == 0)
		return NULL;
	for (uint64_t done = 0; done < bytes; done += sizeof(zeros))
		LH_TRY(lh_fd_pwrite_all(fd, what, zeros, lh_min_u64(bytes - done, sizeof(zeros)), offset + done));
	return NULL;
}

/* A range of stale pages, each of which has its place. */
static struct lh_error *clear_range(const struct dump_job *job, int fd, struct lh_range range)
{
	while (range.start < range.end) {
		const struct lh_piece *place = lh_layout_find(&job->places, range.start);
		if (!place)
			return lh_error_create(LH_ERROR_SYSTEM, "page 0x%llx has lost its place",
					       (unsigned long long)range.start);
		uint64_t end = lh_min_u64(range.end, place->end);
		LH_TRY(clear(fd, job->options->path, place->file_offset + (range.start - place->start),
			     end - range.start));
		range.start = end;
	}
	return NULL;
}

static struct lh_error *find_stale(const struct dump_job *job, struct lh_ranges *ret)
{
	struct lh_ranges gaps LH_CLEANUP(ranges_deinit) = {0};
	struct lh_ranges present LH_CLEANUP(ranges_deinit) = {0};
	struct lh_ranges held LH_CLEANUP(ranges_deinit) = {0};
	LH_TRY(ranges_of_gaps(&job->receipt.gaps, &gaps));
	LH_TRY(present_ranges(&job->plan, &present));
	LH_TRY(append_all_outside(&present, &gaps, &held));
	return append_all_outside(&job->taken, &held, ret);
}

struct lh_error *lh_snapshot_clean_file(const struct dump_job *job, int fd)
{
	struct lh_ranges stale LH_CLEANUP(ranges_deinit) = {0};
	if (!job->places.pieces.count)
		return NULL;
	LH_TRY(find_stale(job, &stale));
	for (size_t i = 0; i < stale.items.count; i++)
		LH_TRY(clear_range(job, fd, stale.items.items[i]));
	return NULL;
}
