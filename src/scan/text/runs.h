/*
 * runs: finds printable runs over the borders of blocks. Private to scan and its tests.
 */
#ifndef LEAKHUNT_SCAN_RUNS_H
#define LEAKHUNT_SCAN_RUNS_H

#include "leakhunt/scan.h"

typedef struct lh_error *lh_run_visitor(void *context, const struct lh_run *run);

typedef struct lh_error *lh_run_batch_visitor(void *context, const struct lh_run_batch *batch);

/*
 * Finds runs in blocks that are fed in address order; a run may span any number of continued
 * blocks. Finish ends the last run. Memory: the longest run that spans blocks.
 */
struct lh_run_finder;
struct lh_error *lh_run_finder_create(const struct lh_run_options *options, lh_run_visitor *visit, void *context,
				      struct lh_run_finder **ret) LH_NODISCARD;
/* The same, but runs are visited many at a time. */
struct lh_error *lh_run_finder_create_batched(const struct lh_run_options *options, lh_run_batch_visitor *visit,
					      void *context, struct lh_run_finder **ret) LH_NODISCARD;
struct lh_error *lh_run_finder_feed(struct lh_run_finder *finder, const struct lh_block *block) LH_NODISCARD;
struct lh_error *lh_run_finder_finish(struct lh_run_finder *finder) LH_NODISCARD;
/* Goes on where `from`, of the same options, has got to, which has nothing pending then; `finder` must be finished. */
void lh_run_finder_take_over(struct lh_run_finder *finder, struct lh_run_finder *from);
/*
 * From now on the bytes of runs that lie in several blocks stay where they are until they are dropped, as those
 * of a block do while it is there.
 */
void lh_run_finder_keep_copies(struct lh_run_finder *finder);
void lh_run_finder_drop_copies(struct lh_run_finder *finder);
void lh_run_finder_destroy(struct lh_run_finder *finder);

#endif
