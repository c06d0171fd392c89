/*
 * evidence: what speaks for a leak or against it beside the curve. Private to select.
 */
#ifndef LEAKHUNT_SELECT_EVIDENCE_H
#define LEAKHUNT_SELECT_EVIDENCE_H

#include "leakhunt/select.h"
#include "trend.h"

/* What is known of a series beside its values. Zero-initialized is nothing, but for the age. */
struct lh_circumstances {
	double age_s; /* of the process at the first sample; LH_NEVER_S: not known */

	double fixed_share; /* of the growth in the second half: in mappings of other than malloc's that keep their size
			     */
	double full_s;      /* until these are full */
	bool is_shared;     /* most of that is shared memory, which is made as large as it is meant to become */

	bool has_use;       /* allocators were asked twice: */
	double used_growth; /* of their bytes in use, */
	double heap_growth; /* of the memory that they have resident, */
	double all_growth;  /* and of the series meanwhile */

	const char *collector; /* whose heap makes most of the growth: "V8's heap"; NULL: no collector's */
	double collected_first, collected_last;
	size_t collection_count; /* falls of that heap */

	const double *counters; /* the user's, per sample; they rise. NULL: none */
};

/*
 * Weighs what is known of the series together with `curve`, the probability from its curve. Sets all rows; returns the
 * probability.
 */
double lh_evidence_weigh(struct lh_series series, const struct lh_circumstances *about, double curve,
			 struct lh_evidence_row rows[LH_EVIDENCE_COUNT]);

/* The probability that the straightest series of that many samples gets, with nothing else known. */
double lh_evidence_most(size_t count);

/* The row beside the curve that weighs most, for or against; NULL: none weighs as much as to be named. */
const struct lh_evidence_row *lh_evidence_main(const struct lh_evidence_row rows[LH_EVIDENCE_COUNT]);

#endif
