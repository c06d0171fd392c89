/*
 * collector: one kind of knowledge about memory, collected stripe by stripe and merged: a row of the summary's table.
 * Private to scan.
 *
 * To add one: write src/scan/collect_<what>.c with a const struct lh_collector, declare it below, put it into
 * lh_collectors (summary.c) after the collectors whose findings it needs, add its result to struct lh_summary, and add
 * a block that shows it to src/report/report_strings.c.
 *
 * Threads scan different stripes at a time, each with its own part, in unknown order. Only the merges are sequential,
 * in the order of addresses. So a part may depend only on its stripe and on the LH_BLOCK_OVERLAP bytes around it; then
 * the result is the same for any number of threads. There are two ways to handle what spans a border: both sides see it
 * as a whole, and each counts what begins in its own stripe (collect_classes.c); or the part keeps it, and the merge
 * joins it (collect_texts.c).
 */
#ifndef LEAKHUNT_SCAN_COLLECTOR_H
#define LEAKHUNT_SCAN_COLLECTOR_H

#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "scan/recognize/recognizer_pass.h"

struct lh_collector_setup {
	struct lh_image *image;
	const struct lh_summary_options *options;
	const struct lh_live_parts *live; /* NULL: texts may lie anywhere */
};

/* What earlier collectors found in the current stripe, or, during merges, in all stripes up to it. */
struct lh_findings {
	const struct lh_stripe *stripe;
	/* Where secrets lie, up to the end of the piece: ascending, disjoint. They may extend beyond the stripe. */
	const struct lh_range *secrets;
	size_t secret_count;
	/* At the end of a stripe: which class keeps which of its bytes. */
	const struct lh_owned *owned;
	size_t owned_count;
};

struct lh_collector {
	/* Creates the sums over all stripes; on the caller's thread. */
	struct lh_error *(*create)(const struct lh_collector_setup *setup, void **ret);
	void (*destroy)(void *total);
	/* Creates the state for one stripe at a time. */
	struct lh_error *(*create_part)(void *total, void **ret);
	void (*destroy_part)(void *part);
	/* Begins a stripe: forgets the previous one. */
	struct lh_error *(*begin)(void *part, struct lh_findings *findings);
	/*
	 * Takes a piece of the stripe that lies in one slice, so that all collectors find it in the cache. It ends at a
	 * page or at the slice's end. The pieces add up to the stripe. is_continued is set as between blocks.
	 * `is_zero`: all bytes are zero.
	 */
	struct lh_error *(*take)(void *part, const struct lh_block *piece, bool is_zero, struct lh_findings *findings);
	/* Ends the stripe; may be NULL. */
	struct lh_error *(*end)(void *part, struct lh_findings *findings);
	/* Adds the part to the total, in the order of addresses; on the caller's thread. */
	struct lh_error *(*merge)(void *total, void *part, struct lh_findings *findings);
	/* Writes its results to the summary; on the caller's thread, in the order of the table. */
	struct lh_error *(*finish)(void *total, struct lh_findings *findings, struct lh_summary *ret);
};

/* Masks secrets in the texts and names of a complete summary. */
struct lh_error *lh_summary_mask(struct lh_summary *summary) LH_NODISCARD;

extern const struct lh_collector lh_collect_totals, lh_collect_classes, lh_collect_map, lh_collect_texts,
	lh_collect_symbols;

#endif
