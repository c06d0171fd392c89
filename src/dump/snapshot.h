/*
 * snapshot: what the parts of a snapshot know: its order and passes (snapshot.c), the stop (snapshot_pause.c),
 * what is done where that would take too long (snapshot_slow.c). Private to dump.
 */
#ifndef LEAKHUNT_DUMP_SNAPSHOT_H
#define LEAKHUNT_DUMP_SNAPSHOT_H

#include "dump/copy/final_set.h"
#include "dump/plan/ranges.h"
#include "dump/track/dirty_tracker.h"
#include "dump_job.h"

struct lh_snapshot {
	struct dump_job *job;
	struct lh_crew *crew;
	struct lh_dirty_cost cost;
	struct lh_dirty_tracker *tracker;
	struct lh_buffer maps;      /* the text that the plan was made from */
	struct lh_page_runs runs;   /* what the last pass took */
	struct lh_dump_gaps failed; /* what passes could not read: it may come back */
	struct lh_ranges copied;    /* taken, and not failed */
	struct lh_final_set final;
	uint64_t maps_ns;      /* reading the mappings */
	uint64_t scan_ns;      /* looking at all pages, as in the pause */
	uint64_t page_cost_ns; /* copying a page */
	uint64_t left_bytes;   /* tracked, and written since they were taken, when last looked */
	uint64_t untracked_bytes;
	uint64_t refused_ns;            /* estimated length of the last abandoned stop; 0: none */
	struct lh_error *child_refusal; /* why --on-slow=child is impossible; NULL: possible, or not asked for */
};

/* Reads the text of the mappings. */
struct lh_error *lh_snapshot_read_maps(struct lh_snapshot *snapshot, struct lh_buffer *ret) LH_NODISCARD;

/* Whether it is the text that the plan was made from. */
bool lh_snapshot_knows_maps(const struct lh_snapshot *snapshot, const struct lh_buffer *text);

/* What a stop would take, by what the last look and the last pass took. */
uint64_t lh_snapshot_expected_ns(const struct lh_snapshot *snapshot);

/* Of that, copying what was written and is left. */
uint64_t lh_snapshot_final_copy_ns(const struct lh_snapshot *snapshot);

/* ---------------------------------------------------------------- the stop */

/*
 * Stops the target (in mode live: does not), looks, and copies what no pass has, or has a copy of before a write. When
 * that would take longer than allowed_ns, it lets go of the target uncopied: *ret_is_copied is false,
 * and left_bytes and refused_ns are what it found.
 */
struct lh_error *lh_snapshot_finish(struct lh_snapshot *snapshot, uint64_t allowed_ns,
				    bool *ret_is_copied) LH_NODISCARD;

/* ---------------------------------------------------------------- when it takes too long */

enum lh_slow_answer {
	LH_SLOW_NOT,      /* it is short enough */
	LH_SLOW_ACCEPTED, /* stop for longer, or not at all: job->mode says which */
	LH_SLOW_DONE,     /* a child has been copied instead */
};

/* Whether --on-slow=child could be followed: before the target is tracked, which looks like memory under a userfaultfd.
 */
struct lh_error *lh_snapshot_ask_for_child(struct lh_snapshot *snapshot) LH_NODISCARD;

/* The longest pause that is accepted in the end, by --max-pause and --on-slow. */
uint64_t lh_snapshot_longest_ns(const struct lh_snapshot *snapshot);

/* Whether it takes longer than --max-pause, and --on-slow wants no last set then: a child, or to fail. */
bool lh_snapshot_goes_another_way(const struct lh_snapshot *snapshot);

/* Compares what the stop is expected to take with --max-pause, and follows --on-slow. LH_ERROR_UNSUPPORTED: fail. */
struct lh_error *lh_snapshot_judge_pause(struct lh_snapshot *snapshot, enum lh_slow_answer *ret) LH_NODISCARD;

#endif
