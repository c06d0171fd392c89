/*
 * snapshot_pause: the stop at the end of a snapshot. Input: what passes have copied. Output: plan, threads and the last
 * pages, all of one instant, in memory. The pause writes nothing and waits for nothing: memory is touched, and lists
 * are sorted, before it.
 */
#include "leakhunt/fault_point.h"
#include "leakhunt/threads.h"
#include "leakhunt/tracee.h"
#include "snapshot.h"

#include <stdlib.h>

/* Stack pointers matter only when stacks are dumped, or added as context. */
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

/* Present, unwritten pages that no pass has copied: mapped, or made readable, since. */
static struct lh_error *find_uncopied(const struct lh_snapshot *snapshot, struct lh_ranges *ret)
{
	const struct lh_plan *plan = &snapshot->job->plan;
	size_t next = 0;
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[i];
		if (run->state == LH_PAGES_PRESENT)
			LH_TRY(lh_ranges_append_outside(run->range, &snapshot->copied, &next, ret));
	}
	return NULL;
}

/* The time since *since_ns, which becomes now. */
static uint64_t lap_ns(uint64_t *since_ns)
{
	uint64_t begun_ns = *since_ns;
	*since_ns = lh_clock_monotonic_ns();
	return *since_ns - begun_ns;
}

/* What must be of one instant, besides registers. */
static struct lh_error *look_snapshot_pause(struct lh_snapshot *snapshot, struct lh_ranges *ret_uncopied)
{
	struct dump_job *job = snapshot->job;
	struct lh_pause_parts *parts = &job->receipt.parts;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t since_ns = lh_clock_monotonic_ns();
	job->receipt.time_ns = lh_clock_realtime_ns();
	LH_TRY(lh_snapshot_read_maps(snapshot, &text));
	if (!lh_snapshot_knows_maps(snapshot, &text) || (wants_stacks(job->options) && !holds_stack_pointers(job)))
		LH_TRY(lh_job_plan(job, &text, true));
	parts->plan_ns = lap_ns(&since_ns);
	LH_TRY(snapshot->tracker->kind->find(snapshot->tracker, &job->plan));
	LH_TRY(find_uncopied(snapshot, ret_uncopied));
	parts->look_ns = lap_ns(&since_ns);
	return NULL;
}

static uint64_t bytes_to_copy(const struct lh_snapshot *snapshot, const struct lh_ranges *uncopied)
{
	const struct lh_page_runs *pages = &snapshot->job->plan.pages;
	uint64_t bytes = 0;
	for (size_t i = 0; i < pages->runs.count; i++) {
		if (pages->runs.items[i].state == LH_PAGES_WRITTEN)
			bytes += lh_range_bytes(pages->runs.items[i].range);
	}
	for (size_t i = 0; i < uncopied->items.count; i++)
		bytes += lh_range_bytes(uncopied->items.items[i]);
	return bytes;
}

/* More was written since the last look than expected: it would stop the target for too long, or has no room. */
static bool is_too_much(struct lh_snapshot *snapshot, const struct lh_ranges *uncopied, uint64_t begun_ns,
			uint64_t allowed_ns)
{
	uint64_t bytes = bytes_to_copy(snapshot, uncopied);
	uint64_t pause_ns = lh_clock_monotonic_ns() - begun_ns + bytes / LH_PAGE_BYTES * snapshot->page_cost_ns;
	if (pause_ns <= allowed_ns && (bytes <= snapshot->final.capacity_bytes || allowed_ns == UINT64_MAX))
		return false;
	snapshot->refused_ns = pause_ns;
	snapshot->left_bytes = bytes - lh_min_u64(bytes, snapshot->untracked_bytes);
	/* The plan may be of this stop only: the next pass makes it again. */
	lh_buffer_deinit(&snapshot->maps);
	return true;
}

static struct lh_error *look_and_copy(struct lh_snapshot *snapshot, uint64_t begun_ns, uint64_t allowed_ns,
				      bool *ret_is_copied)
{
	struct dump_job *job = snapshot->job;
	struct lh_ranges uncopied LH_CLEANUP(lh_ranges_deinit) = {0};
	LH_TRY(look_snapshot_pause(snapshot, &uncopied));
	*ret_is_copied = !is_too_much(snapshot, &uncopied, begun_ns, allowed_ns);
	if (!*ret_is_copied)
		return NULL;
	uint64_t since_ns = lh_clock_monotonic_ns();
	LH_TRY(lh_final_set_copy(&snapshot->final, job->copy.crew, job->process, &job->plan, &uncopied,
				 &job->receipt.gaps));
	job->receipt.parts.copy_ns = lap_ns(&since_ns);
	return NULL;
}

static struct lh_error *finish_stopped(struct lh_snapshot *snapshot, uint64_t allowed_ns, bool *ret_is_copied)
{
	struct dump_job *job = snapshot->job;
	lh_thread_states_deinit(&job->threads);
	LH_CLEANUP(lh_urgent_end) struct lh_urgency urgency = lh_urgent_begin();
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = NULL;
	uint64_t begun_ns = lh_clock_monotonic_ns(), since_ns = begun_ns;
	LH_TRY(lh_freeze_begin(job->process, &job->threads, &freeze));
	job->receipt.parts.stop_ns = lap_ns(&since_ns);
	lh_fault_point("snapshot-frozen");
	LH_TRY(look_and_copy(snapshot, begun_ns, allowed_ns, ret_is_copied));
	lh_fault_point("snapshot-final-copied");
	since_ns = lh_clock_monotonic_ns();
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	freeze = NULL;
	job->receipt.parts.resume_ns = lap_ns(&since_ns);
	lh_urgent_end(&urgency);
	lh_job_charge(job, cost);
	job->receipt.given_up_count += !*ret_is_copied;
	return NULL;
}

static struct lh_error *finish_live(struct lh_snapshot *snapshot, bool *ret_is_copied)
{
	LH_TRY(lh_job_glance(snapshot->job));
	LH_TRY(look_and_copy(snapshot, 0, UINT64_MAX, ret_is_copied));
	return lh_job_check_not_changed(snapshot->job);
}

/* Lists are sorted before the pause. */
static struct lh_error *list_copied(struct lh_snapshot *snapshot)
{
	struct lh_ranges failed LH_CLEANUP(lh_ranges_deinit) = {0};
	snapshot->copied.items.count = 0;
	LH_TRY(lh_ranges_of_gaps(&snapshot->failed, &failed));
	return lh_ranges_append_all_outside(&snapshot->job->taken, &failed, &snapshot->copied);
}

struct lh_error *lh_snapshot_finish(struct lh_snapshot *snapshot, uint64_t allowed_ns, bool *ret_is_copied)
{
	LH_TRY(list_copied(snapshot));
	return snapshot->job->mode == LH_DUMP_LIVE ? finish_live(snapshot, ret_is_copied)
						   : finish_stopped(snapshot, allowed_ns, ret_is_copied);
}
