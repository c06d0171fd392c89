/*
 * distinct: the estimate of HyperLogLog, with linear counting where few registers were hit.
 */
#include "distinct.h"

#include <math.h>
#include <stddef.h>

void lh_distinct_merge(struct lh_distinct *distinct, const struct lh_distinct *part)
{
	for (size_t i = 0; i < LH_DISTINCT_REGISTERS; i++) {
		uint8_t most = part->most_zeros[i];
		distinct->most_zeros[i] = most > distinct->most_zeros[i] ? most : distinct->most_zeros[i];
	}
}

uint64_t lh_distinct_estimate(const struct lh_distinct *distinct)
{
	const double registers = LH_DISTINCT_REGISTERS;
	double sum = 0, empty = 0;
	for (size_t i = 0; i < LH_DISTINCT_REGISTERS; i++) {
		sum += ldexp(1, -distinct->most_zeros[i]);
		empty += !distinct->most_zeros[i];
	}
	double estimate = 0.7213 / (1 + 1.079 / registers) * registers * registers / sum;
	if (estimate <= 2.5 * registers && empty > 0)
		estimate = registers * log(registers / empty);
	return (uint64_t)(estimate + 0.5);
}
