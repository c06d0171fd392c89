/*
 * estimate: from sampled lives of one call stack to a verdict. Private to src/trace and its tests.
 */
#ifndef LEAKHUNT_TRACE_ESTIMATE_H
#define LEAKHUNT_TRACE_ESTIMATE_H

#include "leakhunt/trace.h"

/* A sampled block. */
struct lh_life {
	uint64_t birth_ns;
	uint64_t death_ns;   /* 0: alive */
	uint64_t size_bytes; /* as requested */
	uint64_t mean_bytes; /* R, the mean distance of samples in bytes, when it was sampled */
};

/* What is known of a stack beside its own lives. */
struct lh_site_facts {
	uint64_t start_ns, end_ns; /* of the trace */
	uint64_t sibling_life_ns;  /* longest life of a freed block of stacks with the same innermost calls; 0: none */
	bool has_unseen_deaths;    /* nothing is called leaking */
};

/* `lives` of one stack within facts->start_ns and end_ns. Leaves them in their order. */
struct lh_error *lh_site_estimate_make(const struct lh_life *lives, size_t count, const struct lh_site_facts *facts,
				       struct lh_site_estimate *ret) LH_NODISCARD;

/* What the whole process did between the same two moments. */
struct lh_trace_growth {
	int64_t bytes;  /* anonymous memory, resident or swapped; INT64_MAX: not known */
	int64_t blocks; /* allocated less freed, exact */
};

/*
 * A leak of whose lower bound neither the memory nor the number of blocks has grown is none: LH_SITE_REPLACES. Its
 * blocks live longer than the trace, and older ones, which the trace did not see, are freed. A leak of whose upper
 * bound the process grows a hundred times faster is not what it grows by: LH_SITE_BYPRODUCT, such as what a collector
 * notes of a heap that grows.
 */
void lh_site_estimate_check_growth(struct lh_site_estimate *estimate, uint64_t duration_ns,
				   const struct lh_trace_growth *growth);

#endif
