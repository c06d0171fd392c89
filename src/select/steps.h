/*
 * steps: a series of bytes that is kept only where it changes, so that 60,000 mappings over thousands
 * of moments fit in memory. Private to select.
 */
#ifndef LEAKHUNT_SELECT_STEPS_H
#define LEAKHUNT_SELECT_STEPS_H

#include "leakhunt/base.h"

/* The series has the value `bytes` from this moment's index on, until the next step. */
struct lh_step {
	uint32_t moment;
	uint64_t bytes;
};

/* 0 before the first step. Zero-initialized is 0 throughout. */
struct lh_steps {
	LH_VEC(struct lh_step) items; /* ascending moments; no two neighbors of the same bytes */
};

void lh_steps_deinit(struct lh_steps *steps);

/* Sets the value from `moment` on; `moment` must not be earlier than in previous calls. */
struct lh_error *lh_steps_set(struct lh_steps *steps, uint32_t moment, uint64_t bytes) LH_NODISCARD;

/* Adds another series to this one. Sums saturate at INT64_MAX, so that differences stay representable. */
struct lh_error *lh_steps_add(struct lh_steps *steps, const struct lh_steps *other) LH_NODISCARD;

/* Writes the whole series, one entry per moment. */
void lh_steps_spread(const struct lh_steps *steps, size_t moment_count, uint64_t *ret);

/* Keeps only every second moment: 0, 2, 4 ... become 0, 1, 2 ... */
void lh_steps_halve(struct lh_steps *steps);

/* At the first moment, and at the last. */
static inline uint64_t lh_steps_first(const struct lh_steps *steps)
{
	return steps->items.count && steps->items.items[0].moment == 0 ? steps->items.items[0].bytes : 0;
}

static inline uint64_t lh_steps_last(const struct lh_steps *steps)
{
	return steps->items.count ? steps->items.items[steps->items.count - 1].bytes : 0;
}

static inline uint64_t lh_steps_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return !lh_add_u64(a, b, &sum) || sum > INT64_MAX ? INT64_MAX : sum;
}

#endif
