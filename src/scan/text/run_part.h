/*
 * run_part: the runs of a stripe, found without knowing what is before it. A run that a border cuts is put
 * together in the merge, by a run finder that sees only the cut ends. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_RUN_PART_H
#define LEAKHUNT_SCAN_RUN_PART_H

#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "runs.h"

/*
 * The stripe's `head` goes on with what was before it, up to the first place where every reading, from
 * whatever byte on, begins anew. From there on `finder` has found the runs; the one at the end is pending.
 */
struct lh_run_part {
	const struct lh_kernel *kernel;
	enum lh_encoding encoding;
	struct lh_run_finder *finder;
	LH_VEC(struct lh_block) head;
	bool is_fed;
	bool is_in_head;
};

/* The visitor gets the runs that lie in the stripe as a whole. */
struct lh_error *lh_run_part_init(struct lh_run_part *part, const struct lh_run_options *options,
				  lh_run_batch_visitor *visit, void *context) LH_NODISCARD;
void lh_run_part_deinit(struct lh_run_part *part);

/* A new stripe. */
void lh_run_part_begin(struct lh_run_part *part);
/* A block's bytes must stay till the merge. */
struct lh_error *lh_run_part_feed(struct lh_run_part *part, const struct lh_block *block) LH_NODISCARD;
/* Instead of feeding bytes that end every run. */
struct lh_error *lh_run_part_break(struct lh_run_part *part) LH_NODISCARD;

/*
 * The merge: first `finder` gets the head, and visits the runs that end in it; the part's own runs come
 * after them; then `finder` takes the pending run over.
 */
struct lh_error *lh_run_part_join_head(struct lh_run_part *part, struct lh_run_finder *finder) LH_NODISCARD;
void lh_run_part_hand_on(struct lh_run_part *part, struct lh_run_finder *finder);

#endif
