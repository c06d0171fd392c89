/*
 * evidence: what speaks for or against a leak beside the curve. Private to select.
 */
#ifndef LEAKHUNT_SELECT_EVIDENCE_H
#define LEAKHUNT_SELECT_EVIDENCE_H

#include "leakhunt/select.h"
#include "trend.h"

/* Facts about a series beside its values. Zero-initialized: no facts, except for the age. */
struct lh_circumstances {
	double age_s; /* of the process at the first sample; LH_NEVER_S: not known */

	double fixed_share; /* share of the growth in the second half that is in mappings of constant size, malloc's
			       excluded */
	double full_s;      /* time until these are full */
	bool is_shared;     /* most of that is shared memory, which is usually created at its final size */

	bool has_use;       /* allocators were asked twice: */
	double used_growth; /* growth in bytes in use, */
	double heap_growth; /* in resident memory of the allocators, */
	double all_growth;  /* and in the series meanwhile */

	const char *collector;     /* whose heap makes most of the growth, or contains it: "V8's heap"; NULL: none */
	double collector_range;    /* by which factor that heap grows between two collections */
	const uint64_t *collected; /* its bytes, one per sample */

	const double *counters; /* the user's, one per sample, rising; NULL: none */
};

/* Weighs the facts together with `curve`, the probability by the curve. Sets all rows; returns the probability. */
double lh_evidence_weigh(struct lh_series series, const struct lh_circumstances *about, double curve,
			 struct lh_evidence_row rows[LH_EVIDENCE_COUNT]);

/* The probability of the straightest series with that many samples, without further facts. */
double lh_evidence_most(size_t count);

/* The row beside the curve with the largest weight, for or against; NULL: none is notable. */
const struct lh_evidence_row *lh_evidence_main(const struct lh_evidence_row rows[LH_EVIDENCE_COUNT]);

#endif
