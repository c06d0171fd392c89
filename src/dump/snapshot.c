/*
 * snapshot: copies memory while the target runs, then pass by pass what was written meanwhile. Stops the target only
 * for the rest, which goes to memory. Input: a prepared job. Output: its plan, layout and threads, all of the instant
 * of the stop.
 */
#include "snapshot.h"

#include "copy/page_log_replay.h"
#include "leakhunt/fault_point.h"
#include "limits.h"

#include <stdlib.h>
#include <string.h>

/* Fewer bytes than this say little about the rate. */
#define RATED_BYTES_MIN LH_MIB

enum { PASSES_MAX = 20, STALLS_MAX = 3, TRIES_MAX = 5, KEPT_RUNS_MAX = 65536 };
#define LONG_PASS_NS LH_NS_PER_S

/* The final buffer is allocated once this much suffices: twice what 10 ms can copy. */
#define FINAL_BYTES_EARLY (32 * LH_MIB)
#define FINAL_BYTES_MIN   (4 * LH_MIB)

static void snapshot_deinit(struct lh_snapshot *snapshot)
{
	lh_error_destroy(snapshot->child_refusal);
	lh_dirty_stop(snapshot->tracker);
	lh_buffer_deinit(&snapshot->maps);
	lh_vec_deinit(&snapshot->runs.runs);
	lh_vec_deinit(&snapshot->failed.items);
	lh_vec_deinit(&snapshot->copied.items);
	lh_final_set_deinit(&snapshot->final);
	snapshot->job->copy.crew = NULL;
	lh_crew_destroy(snapshot->crew);
}

/* ---------------------------------------------------------------- passes */

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
 * The plan is made from the text that is kept, and what it names is tracked after: whatever changes in between makes
 * the next text differ. A plan from a later look at the mappings would not do: they may change, and change back.
 */
static struct lh_error *plan_anew(struct lh_snapshot *snapshot)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_snapshot_read_maps(snapshot, &text));
	if (lh_snapshot_knows_maps(snapshot, &text))
		return NULL;
	lh_buffer_deinit(&snapshot->maps);
	snapshot->maps = text;
	text = (struct lh_buffer){0};
	LH_TRY(lh_job_glance(snapshot->job));
	LH_TRY(lh_job_plan(snapshot->job, &snapshot->maps, false));
	LH_TRY(snapshot->tracker->kind->cover(snapshot->tracker, &snapshot->job->plan));
	snapshot->untracked_bytes = untracked_bytes(&snapshot->job->plan);
	lh_fault_point("snapshot-covered");
	return NULL;
}

/* Adds the runs to what was taken before. Most runs are part of it. */
static struct lh_error *note_taken(struct dump_job *job, const struct lh_page_runs *runs)
{
	struct lh_ranges fresh LH_CLEANUP(lh_ranges_deinit) = {0};
	size_t next_taken = 0;
	for (size_t i = 0; i < runs->runs.count; i++)
		LH_TRY(lh_ranges_append_outside(runs->runs.items[i].range, &job->taken, &next_taken, &fresh));
	for (size_t i = 0; i < fresh.items.count; i++)
		LH_TRY(lh_vec_push(&job->taken.items, fresh.items.items[i]));
	if (fresh.items.count)
		lh_ranges_normalize(&job->taken);
	return NULL;
}

static struct lh_error *take_written(struct lh_snapshot *snapshot, uint64_t *ret_bytes)
{
	struct dump_job *job = snapshot->job;
	uint64_t bytes = 0;
	snapshot->runs.runs.count = 0;
	LH_TRY(snapshot->tracker->kind->take(snapshot->tracker, &job->plan, &snapshot->runs));
	for (size_t i = 0; i < snapshot->runs.runs.count; i++)
		bytes += lh_range_bytes(snapshot->runs.runs.items[i].range);
	LH_TRY(note_taken(job, &snapshot->runs));
	*ret_bytes = bytes;
	lh_fault_point("snapshot-taken");
	return NULL;
}

/* Timed in CPU time: waiting for the disk is no part of the pause. */
static struct lh_error *copy_taken(struct lh_snapshot *snapshot, uint64_t bytes)
{
	struct dump_job *job = snapshot->job;
	LH_TRY(lh_places_add(&job->places, &snapshot->runs));
	uint64_t before_ns = lh_clock_thread_cpu_ns();
	LH_TRY(lh_copy_pass(&job->copy, &snapshot->runs, &snapshot->failed));
	if (bytes >= RATED_BYTES_MIN || !snapshot->page_cost_ns)
		snapshot->page_cost_ns = 1 + (lh_clock_thread_cpu_ns() - before_ns) / (bytes / LH_PAGE_BYTES + 1);
	if (snapshot->runs.runs.capacity > KEPT_RUNS_MAX)
		lh_vec_deinit(&snapshot->runs.runs);
	lh_fault_point("snapshot-pass-copied");
	return NULL;
}

/* The pause looks in the same way: this measures how long it will take. */
static struct lh_error *guess_left(struct lh_snapshot *snapshot)
{
	struct lh_dirty_tracker *tracker = snapshot->tracker;
	LH_TRY(plan_anew(snapshot));
	uint64_t before_ns = lh_clock_monotonic_ns();
	LH_TRY(tracker->kind->guess(tracker, &snapshot->job->plan, &snapshot->left_bytes));
	snapshot->scan_ns = lh_clock_monotonic_ns() - before_ns;
	return NULL;
}

/*
 * Later passes go to the log: the disk must be faster than the target writes. When the disk has no room for one more
 * pass, the log is replayed first, and the next pass starts a new one.
 */
static struct lh_error *choose_file(struct lh_snapshot *snapshot, uint64_t bytes)
{
	struct dump_job *job = snapshot->job;
	job->copy.log = NULL;
	if (!job->receipt.passes.count)
		return NULL;
	if (job->log.used_bytes + bytes > job->log.room_bytes)
		return lh_page_log_replay(&job->log, &job->copy);
	job->copy.log = &job->log;
	return NULL;
}

static struct lh_error *run_pass(struct lh_snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	struct lh_dump_pass pass = {.elapsed_ns = lh_clock_monotonic_ns()};
	LH_TRY(plan_anew(snapshot));
	if (!job->copy.layout)
		LH_TRY(lh_places_create(&job->layout, &job->places));
	job->copy.layout = &job->places;
	LH_TRY(take_written(snapshot, &pass.bytes));
	LH_TRY(choose_file(snapshot, pass.bytes));
	LH_TRY(copy_taken(snapshot, pass.bytes));
	job->copy.log = NULL;
	LH_TRY(guess_left(snapshot));
	pass.elapsed_ns = lh_clock_monotonic_ns() - pass.elapsed_ns;
	return lh_vec_push(&job->receipt.passes, pass);
}

/*
 * Short enough: at most half of --max-pause, of which copying dirty pages (all that another pass can reduce) is at most
 * a quarter. Or as short as the stop that another pass would cost, which saves nothing.
 */
static bool is_short_enough(const struct lh_snapshot *snapshot)
{
	uint64_t pause_ns = lh_snapshot_expected_ns(snapshot);
	return pause_ns <= snapshot->tracker->take_pause_ns || (pause_ns <= snapshot->job->options->max_pause_ns / 2 &&
								lh_snapshot_final_copy_ns(snapshot) <= pause_ns / 4);
}

/* A pass without progress may be bad luck; a long one is not repeated. */
static bool is_stalled(const struct lh_snapshot *snapshot, size_t *stalls)
{
	const struct lh_receipt *receipt = &snapshot->job->receipt;
	const struct lh_dump_pass *last = &receipt->passes.items[receipt->passes.count - 1];
	*stalls = snapshot->left_bytes >= last->bytes / 10 * 9 ? *stalls + 1 : 0;
	return *stalls >= STALLS_MAX || (*stalls && last->elapsed_ns > LONG_PASS_NS);
}

/* The size of the final set, with an allowance for writes before the stop. */
static uint64_t final_room_bytes(const struct lh_snapshot *snapshot)
{
	return lh_max_u64(FINAL_BYTES_MIN, snapshot->untracked_bytes + 2 * snapshot->left_bytes);
}

static struct lh_error *make_final_room(struct lh_snapshot *snapshot)
{
	uint64_t room_bytes = final_room_bytes(snapshot);
	lh_final_set_deinit(&snapshot->final);
	LH_TRY(lh_limits_check_final(room_bytes));
	return lh_final_set_init(&snapshot->final, room_bytes);
}

/* Repeats until little is left or it stops shrinking. Allocates the final buffer after freeing the lists of pages. */
static struct lh_error *run_passes_while_they_help(struct lh_snapshot *snapshot)
{
	size_t stalls = 0, count = 0;
	bool is_room_new = false;
	while (!count || is_room_new ||
	       (count < PASSES_MAX && !is_short_enough(snapshot) && !is_stalled(snapshot, &stalls))) {
		LH_TRY(run_pass(snapshot));
		count++;
		is_room_new = !snapshot->final.memory && final_room_bytes(snapshot) <= FINAL_BYTES_EARLY;
		if (is_room_new)
			LH_TRY(make_final_room(snapshot));
	}
	return NULL;
}

/*
 * At least one pass. Touching memory takes long, and the target writes meanwhile: so the buffer grows once, and passes
 * continue after it.
 */
static struct lh_error *run_passes(struct lh_snapshot *snapshot)
{
	snapshot->refused_ns = 0;
	LH_TRY(run_passes_while_they_help(snapshot));
	if (final_room_bytes(snapshot) <= snapshot->final.capacity_bytes || lh_snapshot_goes_another_way(snapshot))
		return NULL;
	LH_TRY(make_final_room(snapshot));
	return run_passes_while_they_help(snapshot);
}

/* ---------------------------------------------------------------- the end */

static struct lh_error *write_final(struct lh_snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	LH_TRY(lh_places_add(&job->places, &job->plan.pages));
	LH_TRY(lh_page_log_replay(&job->log, &job->copy));
	LH_TRY(lh_final_set_write(&snapshot->final, &job->copy));
	LH_TRY(lh_swapped_copy(job));
	job->receipt.final_bytes = snapshot->final.used_bytes;
	/* Only final losses: gaps of earlier passes may have been filled since. */
	job->copy.lost_bytes = lh_gaps_bytes(&job->receipt.gaps);
	LH_TRY(lh_gaps_of_plan(&job->plan, &job->receipt.gaps));
	lh_layout_deinit(&job->layout);
	return lh_layout_create_placed(&job->plan, &job->places, &job->layout);
}

static void take_off(struct lh_snapshot *snapshot)
{
	lh_dirty_stop(snapshot->tracker);
	snapshot->tracker = NULL;
	lh_fault_point("snapshot-lifted");
}

static struct lh_error *finish_snapshot(struct lh_snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	job->receipt.held_bytes = snapshot->final.capacity_bytes;
	take_off(snapshot);
	LH_TRY(write_final(snapshot));
	return job->mode == LH_DUMP_LIVE ? lh_gaps_tell_vanished(job->process, &job->receipt.gaps) : NULL;
}

/* Even an accepted stop can exceed its estimate; retry at most TRIES_MAX times. */
static uint64_t allowed_ns(const struct lh_snapshot *snapshot, enum lh_slow_answer answer, size_t tries)
{
	uint64_t max_pause_ns = snapshot->job->options->max_pause_ns;
	if (answer == LH_SLOW_NOT)
		return max_pause_ns;
	uint64_t longest_ns = lh_snapshot_longest_ns(snapshot);
	return tries < TRIES_MAX ? lh_min_u64(longest_ns, max_pause_ns + 2 * lh_snapshot_expected_ns(snapshot))
				 : longest_ns;
}

/*
 * Repeats until a stop is short enough. A stop that finds too much lets the target go at once, and passes continue.
 * After some of those --on-slow decides. *ret_is_done: a child was copied instead.
 */
static struct lh_error *copy_and_stop(struct lh_snapshot *snapshot, bool *ret_is_done)
{
	bool is_copied = false;
	*ret_is_done = false;
	for (size_t tries = 0; !is_copied; tries++) {
		enum lh_slow_answer answer;
		if (tries < TRIES_MAX)
			LH_TRY(run_passes(snapshot));
		else if (final_room_bytes(snapshot) > snapshot->final.capacity_bytes)
			LH_TRY(make_final_room(snapshot));
		LH_TRY(lh_snapshot_judge_pause(snapshot, &answer));
		*ret_is_done = answer == LH_SLOW_DONE;
		if (*ret_is_done)
			return NULL;
		lh_fault_point("snapshot-judged");
		LH_TRY(lh_write_behind_check(snapshot->job->copy.writer));
		LH_TRY(lh_snapshot_finish(snapshot, allowed_ns(snapshot, answer, tries), &is_copied));
		/*
		 * Stopping this many threads takes too long, and that was accepted: the next stop would be no shorter.
		 */
		if (answer == LH_SLOW_ACCEPTED &&
		    snapshot->job->receipt.parts.stop_ns > snapshot->job->options->max_pause_ns)
			tries = TRIES_MAX;
	}
	return NULL;
}

/* Memory that was registered since tracking began: writes to it were missed. */
static struct lh_error *refuse_newly_pinned(const struct lh_process *process)
{
	struct lh_error *error = lh_dirty_refuse_pinned(process);
	return error ? lh_error_hint(error, "it was registered during the dump; run the command again") : NULL;
}

static struct lh_error *copy_tracked(struct lh_snapshot *snapshot)
{
	struct dump_job *job = snapshot->job;
	uint64_t resident_before = lh_process_resident_bytes(job->process);
	bool is_done;
	LH_TRY(copy_and_stop(snapshot, &is_done));
	if (is_done) {
		take_off(snapshot);
		return NULL;
	}
	if (job->mode != LH_DUMP_LIVE)
		LH_TRY(refuse_newly_pinned(job->process));
	LH_TRY(finish_snapshot(snapshot));
	job->receipt.resident_delta_bytes = (int64_t)(lh_process_resident_bytes(job->process) - resident_before);
	return NULL;
}

/* Adds the cost of tracking to the receipt. */
static void charge_stop(struct lh_snapshot *snapshot)
{
	struct lh_receipt *receipt = &snapshot->job->receipt;
	lh_job_charge(snapshot->job, snapshot->cost.stops);
	const struct lh_injected *injected = &snapshot->cost.injected;
	if (injected->calls)
		receipt->injected = receipt->injected ? injected->calls_with_child : injected->calls;
	receipt->seam_count += snapshot->cost.seam_count;
}

/* Whether a snapshot is possible; if not, *ret_refusal says why. */
static struct lh_error *start_tracking(struct lh_snapshot *snapshot, struct lh_error **ret_refusal)
{
	struct dump_job *job = snapshot->job;
	const struct lh_dirty_target target = {job->process, &job->plan.list, &snapshot->cost,
					       snapshot->job->copy.crew};
	struct lh_error *error = lh_dirty_start(&target, job->options, job->receipt.mode_reason, &snapshot->tracker);
	if (!error || lh_error_code(error) != LH_ERROR_UNSUPPORTED)
		return error;
	*ret_refusal = error;
	return NULL;
}

static struct lh_error *copy_without_snapshot(struct dump_job *job, const struct lh_error *refusal)
{
	enum lh_dump_mode mode = job->options->no_inject ? LH_DUMP_STOP : LH_DUMP_CHILD;
	struct lh_buffer why LH_CLEANUP(lh_buffer_deinit) = {0};
	bool goes_live;
	lh_buffer_printf(&why, "no snapshot: %s", lh_error_message(refusal));
	LH_TRY(lh_buffer_status(&why));
	LH_TRY(lh_job_judge_instead(job, mode, why.data, &goes_live));
	lh_job_explain_mode(job, goes_live ? LH_DUMP_LIVE : mode, lh_error_message(refusal));
	if (goes_live)
		return lh_job_copy_live(job);
	return mode == LH_DUMP_STOP ? lh_job_copy_stopped(job) : lh_job_copy_by_child(job);
}

struct lh_error *lh_snapshot_copy(struct dump_job *job)
{
	struct lh_snapshot snapshot LH_CLEANUP(snapshot_deinit) = {.job = job};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *refusal = NULL;
	LH_TRY(lh_crew_create(lh_min_u64(lh_usable_processors(), LH_CREW_MEMBERS_MAX), &snapshot.crew));
	job->copy.crew = snapshot.crew;
	LH_TRY(lh_snapshot_ask_for_child(&snapshot));
	LH_TRY(start_tracking(&snapshot, &refusal));
	lh_fault_point("snapshot-started");
	LH_TRY(refusal ? copy_without_snapshot(job, refusal) : copy_tracked(&snapshot));
	charge_stop(&snapshot);
	return NULL;
}
