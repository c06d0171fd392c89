/*
 * steps: series kept where they change. Input: values at moments in order; output: sums, and dense
 * series when somebody judges one. It knows neither times nor mappings.
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

/* NULL behind the last one. */
static const struct lh_step *step_at(const struct lh_steps *steps, size_t number)
{
	return number < steps->items.count ? &steps->items.items[number] : NULL;
}

struct lh_error *lh_steps_add(struct lh_steps *steps, const struct lh_steps *other)
{
	LH_CLEANUP(lh_steps_deinit) struct lh_steps sum = {0};
	size_t next_a = 0, next_b = 0;
	uint64_t a_bytes = 0, b_bytes = 0;
	while (next_a < steps->items.count || next_b < other->items.count) {
		const struct lh_step *a = step_at(steps, next_a), *b = step_at(other, next_b);
		bool takes_a = a && (!b || a->moment <= b->moment);
		bool takes_b = b && (!a || b->moment <= a->moment);
		uint32_t moment = takes_a ? a->moment : b->moment;
		a_bytes = takes_a ? a->bytes : a_bytes;
		b_bytes = takes_b ? b->bytes : b_bytes;
		next_a += takes_a;
		next_b += takes_b;
		LH_TRY(lh_steps_set(&sum, moment, lh_steps_sum(a_bytes, b_bytes)));
	}
	struct lh_steps replaced = *steps;
	*steps = sum;
	sum = replaced;
	return NULL;
}

void lh_steps_add_to(const struct lh_steps *steps, uint64_t *series, size_t moment_count)
{
	for (size_t i = 0; i < steps->items.count; i++) {
		const struct lh_step *step = &steps->items.items[i];
		size_t end = i + 1 < steps->items.count ? step[1].moment : moment_count;
		for (size_t moment = step->moment; moment < end && moment < moment_count; moment++)
			series[moment] = lh_steps_sum(series[moment], step->bytes);
	}
}

void lh_steps_halve(struct lh_steps *steps)
{
	struct lh_steps kept = {.items = steps->items};
	kept.items.count = 0;
	for (size_t i = 0; i < steps->items.count; i++) {
		/* The first kept moment that is no earlier; of two steps before it the later one holds. */
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
