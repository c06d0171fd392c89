/*
 * collector: one kind of knowledge about memory, collected stripe by stripe and added up: a row of the
 * summary's table. Private to scan.
 *
 * To add one: write src/scan/collect_<what>.c with a const struct lh_collector, declare it below, put
 * it into lh_collectors (summary.c) behind what it needs the findings of, add its result to struct
 * lh_summary, and a block that shows it to src/report/report_strings.c.
 *
 * Threads scan different stripes at a time, each with a part of its own, and the order in which they
 * do is not known: only the merges come one after the other, in the order of addresses. So a part may
 * depend on its stripe and on the LH_BLOCK_OVERLAP bytes around it, and on nothing else; then the
 * result is the same for any number of threads. What a border cuts is either seen as a whole by both
 * sides, each of which counts what begins in its own stripe (collect_classes.c), or kept in the part and
 * put together in the merge (collect_texts.c).
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

/* What earlier collectors found in the stripe that is being scanned, or, in merges, in all till then. */
struct lh_findings {
	const struct lh_stripe *stripe;
	/* Where secrets lie, up to the end of the piece: ascending, disjoint. They may reach out of the stripe. */
	const struct lh_range *secrets;
	size_t secret_count;
	/* At the end of a stripe: which class keeps which bytes of it. */
	const struct lh_owned *owned;
	size_t owned_count;
};

struct lh_collector {
	/* What all stripes add up to; on the caller's thread. */
	struct lh_error *(*create)(const struct lh_collector_setup *setup, void **ret);
	void (*destroy)(void *total);
	/* What is known of one stripe; serves one after the other. */
	struct lh_error *(*create_part)(void *total, void **ret);
	void (*destroy_part)(void *part);
	/* A new stripe: forgets the one before. */
	struct lh_error *(*begin)(void *part, struct lh_findings *findings);
	/*
	 * A piece of the stripe that lies in one slice, so that all collectors find it in the cache; it ends at
	 * a page or at the slice's end. The pieces of a stripe together are the stripe. is_continued is set as
	 * between blocks. `is_zero`: all bytes are zero.
	 */
	struct lh_error *(*take)(void *part, const struct lh_block *piece, bool is_zero, struct lh_findings *findings);
	/* The stripe is over; may be NULL. */
	struct lh_error *(*end)(void *part, struct lh_findings *findings);
	/* Adds the part to the total, in the order of addresses; on the caller's thread. */
	struct lh_error *(*merge)(void *total, void *part, struct lh_findings *findings);
	/* Fills its share of the summary; on the caller's thread, in the order of the table. */
	struct lh_error *(*finish)(void *total, struct lh_findings *findings, struct lh_summary *ret);
};

/* Masks secrets in the texts and names of a summary that is complete. */
struct lh_error *lh_summary_mask(struct lh_summary *summary) LH_NODISCARD;

extern const struct lh_collector lh_collect_totals, lh_collect_classes, lh_collect_map, lh_collect_texts,
	lh_collect_symbols;

#endif
