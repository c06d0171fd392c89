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

/* `lives` of one stack between start_ns and end_ns. `has_unseen_deaths`: nothing is called leaking. Leaves them in
 * their order. */
struct lh_error *lh_site_estimate_make(const struct lh_life *lives, size_t count, uint64_t start_ns, uint64_t end_ns,
				       bool has_unseen_deaths, struct lh_site_estimate *ret) LH_NODISCARD;

#endif
