/*
 * snapshot_slow: what happens when a snapshot's stop would exceed --max-pause. Input: the expected pause and --on-slow.
 * Output: the mode in which the snapshot continues, announced before anything is stopped for it.
 */
#include "child_refusal.h"
#include "snapshot.h"

#include <string.h>

static struct lh_error *too_slow(const char *expected, const char *allowed)
{
	return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED,
					     "the pause would be about %s, longer than the %s of --max-pause", expected,
					     allowed),
			     "allow more with --max-pause, or choose --on-slow child, stop or live");
}

uint64_t lh_snapshot_longest_ns(const struct lh_snapshot *snapshot)
{
	return lh_job_longest_pause_ns(snapshot->job->options);
}

/* ---------------------------------------------------------------- where it takes too long */

static uint64_t judged_ns(const struct lh_snapshot *snapshot)
{
	return lh_max_u64(lh_snapshot_expected_ns(snapshot), snapshot->refused_ns);
}

static struct lh_error *accept_longer(const struct lh_snapshot *snapshot, const char *expected, const char *allowed)
{
	if (judged_ns(snapshot) > lh_snapshot_longest_ns(snapshot))
		return too_slow(expected, allowed);
	lh_job_notify(snapshot->job, "the pause will be about %s, longer than the %s of --max-pause", expected,
		      allowed);
	return NULL;
}

/* A refused child becomes a longer pause, and is not tried again. A child's plan is not that of the passes. */
static struct lh_error *fork_instead(struct lh_snapshot *snapshot, const char *expected, const char *allowed,
				     enum lh_slow_answer *ret)
{
	struct dump_job *job = snapshot->job;
	struct lh_error *refusal = NULL;
	char tracked_by[LH_MODE_REASON_MAX];
	memcpy(tracked_by, job->receipt.mode_reason, sizeof(tracked_by));
	lh_job_notify(job,
		      "the pause would be about %s, longer than the %s of --max-pause: a copy-on-write child instead",
		      expected, allowed);
	lh_job_explain_mode(job, LH_DUMP_CHILD, "a snapshot's pause would have been longer than --max-pause");
	LH_TRY(lh_job_try_child(job, &refusal));
	*ret = refusal ? LH_SLOW_ACCEPTED : LH_SLOW_DONE;
	if (!refusal)
		return NULL;
	snapshot->child_refusal = refusal;
	lh_buffer_deinit(&snapshot->maps);
	memcpy(job->receipt.mode_reason, tracked_by, sizeof(tracked_by));
	job->mode = LH_DUMP_SNAPSHOT;
	lh_job_notify(job, "no child: %s; the pause will be about %s", lh_error_message(refusal), expected);
	return NULL;
}

static struct lh_error *follow_on_slow(struct lh_snapshot *snapshot, const char *expected, const char *allowed,
				       enum lh_slow_answer *ret)
{
	struct dump_job *job = snapshot->job;
	*ret = LH_SLOW_ACCEPTED;
	switch (job->options->on_slow) {
	case LH_DUMP_SLOW_STOP:
	case LH_DUMP_SLOW_BOUNDED:
		return accept_longer(snapshot, expected, allowed);
	case LH_DUMP_SLOW_CHILD:
		if (snapshot->child_refusal) {
			lh_job_notify(job, "no child: %s", lh_error_message(snapshot->child_refusal));
			return accept_longer(snapshot, expected, allowed);
		}
		return fork_instead(snapshot, expected, allowed, ret);
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

bool lh_snapshot_goes_another_way(const struct lh_snapshot *snapshot)
{
	const struct lh_dump_options *options = snapshot->job->options;
	bool forks = options->on_slow == LH_DUMP_SLOW_CHILD && !snapshot->child_refusal;
	if (options->on_slow == LH_DUMP_SLOW_LIVE)
		return false;
	return judged_ns(snapshot) > (forks ? options->max_pause_ns : lh_snapshot_longest_ns(snapshot));
}

struct lh_error *lh_snapshot_judge_pause(struct lh_snapshot *snapshot, enum lh_slow_answer *ret)
{
	char expected[LH_FORMAT_MAX], allowed[LH_FORMAT_MAX];
	struct dump_job *job = snapshot->job;
	uint64_t expected_ns = judged_ns(snapshot);
	*ret = LH_SLOW_NOT;
	if (expected_ns <= job->options->max_pause_ns)
		return NULL;
	return follow_on_slow(snapshot, lh_format_duration(expected_ns, expected),
			      lh_format_duration(job->options->max_pause_ns, allowed), ret);
}

struct lh_error *lh_snapshot_ask_for_child(struct lh_snapshot *snapshot)
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
