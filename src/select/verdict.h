/*
 * verdict: what a series means, and why, in words. Private to select.
 */
#ifndef LEAKHUNT_SELECT_VERDICT_H
#define LEAKHUNT_SELECT_VERDICT_H

#include "evidence.h"
#include "leakhunt/select.h"
#include "trend.h"

/* Below this number of samples two rates are not compared. */
#define LH_SAMPLES_MIN 5

struct lh_judgement {
	enum lh_verdict verdict;
	double slope; /* bytes per second, and its 95 % confidence interval */
	double slope_low;
	double slope_high;
	double probability; /* that growth goes on without bound */
	double resolution;  /* bytes per second: slower growth would not show */
	struct lh_evidence_row evidence[LH_EVIDENCE_COUNT];
	double growth_start_s;  /* LH_NEVER_S unless it rose */
	double plateau_start_s; /* LH_VERDICT_PLATEAU and LH_VERDICT_STEP; else LH_NEVER_S */
	uint64_t watch_more_ns; /* undecided or growing; else 0 */
	char reason[sizeof(((struct lh_growth *)0)->reason)];
};

/* `about`: what is known beside the curve; NULL: nothing. */
struct lh_error *lh_judge(struct lh_series series, const struct lh_circumstances *about,
			  struct lh_judgement *ret) LH_NODISCARD;

/* What struct lh_growth's is_suspect says, of a growth that is being judged. */
bool lh_growth_is_suspect(const struct lh_growth *growth);

/* Growth below this is never called a leak: page-level noise of stacks, libraries and the kernel. */
#define LH_GROWTH_MIN_BYTES (64 * LH_KIB)

#endif
