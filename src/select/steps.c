/*
 * steps: series that are stored only where they change. Input: values at moments in order. Output: sums, and dense
 * series when one is judged. Knows neither times nor mappings.
 */
#include "steps.h"

#include <stdlib.h>

void lh_steps_deinit(struct lh_steps *steps)
{
	lh_vec_deinit(&steps->items);
}

struct lh_error *lh_steps_set(struct lh_steps *steps, uint32_t moment, uint64_t bytes)
{
	size_t count = steps->items.count;
	if (bytes == (count ? steps->items.items[count - 1].bytes : 0))
		return NULL;
	if (!count || steps->items.items[count - 1].moment != moment)
		return lh_vec_push(&steps->items, ((struct lh_step){moment, bytes}));
	uint64_t before = count > 1 ? steps->items.items[count - 2].bytes : 0;
	if (bytes == before)
		steps->items.count--;
	else
		steps->items.items[count - 1].bytes = bytes;
	return NULL;
}

struct lh_error *lh_steps_add(struct lh_steps *steps, const struct lh_steps *other)
{
	LH_CLEANUP(lh_steps_deinit) struct lh_steps sum = {0};
	uint64_t a_bytes = 0, b_bytes = 0;
	for (size_t a = 0, b = 0; a < steps->items.count || b < other->items.count;) {
		uint32_t a_moment = a < steps->items.count ? steps->items.items[a].moment : UINT32_MAX;
		uint32_t b_moment = b < other->items.count ? other->items.items[b].moment : UINT32_MAX;
		if (a_moment <= b_moment)
			a_bytes = steps->items.items[a++].bytes;
		if (b_moment <= a_moment)
			b_bytes = other->items.items[b++].bytes;
		uint32_t moment = a_moment < b_moment ? a_moment : b_moment;
		LH_TRY(lh_steps_set(&sum, moment, lh_steps_sum(a_bytes, b_bytes)));
	}
	struct lh_steps replaced = *steps;
	*steps = sum;
	sum = replaced;
	return NULL;
}

void lh_steps_spread(const struct lh_steps *steps, size_t moment_count, uint64_t *ret)
{
	uint64_t bytes = 0;
	for (size_t moment = 0, next = 0; moment < moment_count; moment++) {
		for (; next < steps->items.count && steps->items.items[next].moment <= moment; next++)
			bytes = steps->items.items[next].bytes;
		ret[moment] = bytes;
	}
}

void lh_steps_halve(struct lh_steps *steps)
{
	struct lh_steps kept = {.items = steps->items};
	kept.items.count = 0;
	for (size_t i = 0; i < steps->items.count; i++) {
		/* The first kept moment that is not earlier; of two steps before it the later one counts. */
		struct lh_step step = {(steps->items.items[i].moment + 1) / 2, steps->items.items[i].bytes};
		size_t count = kept.items.count;
		if (count && kept.items.items[count - 1].moment == step.moment)
			count--;
		if (step.bytes != (count ? kept.items.items[count - 1].bytes : 0))
			kept.items.items[count++] = step;
		kept.items.count = count;
	}
	*steps = kept;
}
