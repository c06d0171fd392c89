/*
 * snapshot: what the parts of a snapshot share. snapshot.c: order and passes; snapshot_pause.c: the stop;
 * snapshot_slow.c: what happens when the stop would take too long. Private to dump.
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
	struct lh_dump_gaps failed; /* what passes could not read; it may become readable */
	struct lh_ranges copied;    /* taken, and not failed */
	struct lh_final_set final;
	uint64_t maps_ns;      /* reading the mappings */
	uint64_t scan_ns;      /* looking at all pages, as in the pause */
	uint64_t page_cost_ns; /* copying a page */
	uint64_t left_bytes;   /* at the last look: tracked, and written since they were taken */
	uint64_t untracked_bytes;
	uint64_t refused_ns;            /* estimated length of the last abandoned stop; 0: none */
	struct lh_error *child_refusal; /* why --on-slow=child is impossible; NULL: possible, or not asked for */
};

/* Reads the text of the mappings. */
struct lh_error *lh_snapshot_read_maps(struct lh_snapshot *snapshot, struct lh_buffer *ret) LH_NODISCARD;

/* Whether the mappings are those that the plan was made from. */
bool lh_snapshot_knows_maps(const struct lh_snapshot *snapshot, const struct lh_buffer *text);

/* Estimated length of a stop, from the last look and the last pass. */
uint64_t lh_snapshot_expected_ns(const struct lh_snapshot *snapshot);

/* Of this, copying what is still dirty. */
uint64_t lh_snapshot_final_copy_ns(const struct lh_snapshot *snapshot);

/* ---------------------------------------------------------------- the stop */

/*
 * Stops the target (not in mode live), looks, and copies the pages that no pass has copied since their last write. When
 * this would take longer than allowed_ns, or has no room, releases the target without copying: *ret_is_copied is false,
 * and left_bytes and refused_ns say what was found.
 */
struct lh_error *lh_snapshot_finish(struct lh_snapshot *snapshot, uint64_t allowed_ns,
				    bool *ret_is_copied) LH_NODISCARD;

/* ---------------------------------------------------------------- when it takes too long */

enum lh_slow_answer {
	LH_SLOW_NOT,      /* it is short enough */
	LH_SLOW_ACCEPTED, /* stop for longer, or not at all: see job->mode */
	LH_SLOW_DONE,     /* a child has been copied instead */
};

/* Whether --on-slow=child is possible. Asked before tracking, which looks like a userfaultfd of the target's own. */
struct lh_error *lh_snapshot_ask_for_child(struct lh_snapshot *snapshot) LH_NODISCARD;

/* The longest acceptable pause, by --max-pause and --on-slow. */
uint64_t lh_snapshot_longest_ns(const struct lh_snapshot *snapshot);

/* Whether the stop exceeds --max-pause, and --on-slow asks for a child or for failure then. */
bool lh_snapshot_goes_another_way(const struct lh_snapshot *snapshot);

/* Compares the expected pause with --max-pause, and follows --on-slow. LH_ERROR_UNSUPPORTED: fail. */
struct lh_error *lh_snapshot_judge_pause(struct lh_snapshot *snapshot, enum lh_slow_answer *ret) LH_NODISCARD;

#endif
