/*
 * test_select_trend: figures of a series against counting and closed forms, and verdicts over
 * series that are generated from several seeds, with the confusions counted.
 */
#include "unit.h"

#include "select/verdict.h"

#include <math.h>
#include <stdio.h>

enum { SERIES_MAX = 256 };

struct made_series {
	double seconds[SERIES_MAX];
	double values[SERIES_MAX];
	size_t count;
};

static struct lh_series view(const struct made_series *made)
{
	return (struct lh_series){made->seconds, made->values, made->count};
}

static double random_unit(uint64_t *seed)
{
	return (double)(unit_random(seed) >> 11) / 9007199254740992.0;
}

/* Sum of 12 uniform numbers less 6: close to normal, standard deviation 1, never beyond 6. */
static double random_normal(uint64_t *seed)
{
	double sum = -6;
	for (int i = 0; i < 12; i++)
		sum += random_unit(seed);
	return sum;
}

static enum lh_verdict verdict_of(const struct made_series *made)
{
	struct lh_judgement judgement;
	assert_success(lh_judge(view(made), NULL, &judgement));
	assert_true(judgement.reason[0] != '\0');
	assert_true((judgement.watch_more_ns > 0) ==
		    (judgement.verdict == LH_VERDICT_UNDECIDED || judgement.verdict == LH_VERDICT_GROWING));
	return judgement.verdict;
}

static struct made_series series_of(const double *values, size_t count)
{
	struct made_series made = {.count = count};
	for (size_t i = 0; i < count; i++) {
		made.seconds[i] = 2.0 * (double)i;
		made.values[i] = values[i];
	}
	return made;
}

/* ---------------------------------------------------------------- figures */

/* All orders of n values by Heap's algorithm; counts those whose S is at least `s`. */
static void count_orders(double *values, size_t n, size_t k, double s, size_t *ret_hits, size_t *ret_all)
{
	if (k == 1) {
		double sum = 0;
		for (size_t i = 0; i < n; i++) {
			for (size_t j = i + 1; j < n; j++)
				sum += values[j] > values[i] ? 1 : -1;
		}
		*ret_hits += sum >= s;
		*ret_all += 1;
		return;
	}
	for (size_t i = 0; i < k; i++) {
		count_orders(values, n, k - 1, s, ret_hits, ret_all);
		size_t other = k % 2 ? 0 : i;
		double kept = values[other];
		values[other] = values[k - 1];
		values[k - 1] = kept;
	}
}

static double kendall_s_of(const struct made_series *made)
{
	double sum = 0;
	for (size_t i = 0; i < made->count; i++) {
		for (size_t j = i + 1; j < made->count; j++)
			sum += made->values[j] > made->values[i] ? 1 : -1;
	}
	return sum;
}

static void test_chance_equals_counting_all_orders(void **state)
{
	(void)state;
	uint64_t seed = 11;
	for (size_t n = 2; n <= 8; n++) {
		for (int round = 0; round < 6; round++) {
			double order[8];
			for (size_t i = 0; i < n; i++)
				order[i] = random_unit(&seed);
			struct made_series made = series_of(order, n);
			struct lh_trend trend;
			assert_success(lh_trend_measure(view(&made), &trend));
			double s = kendall_s_of(&made);
			size_t hits = 0, all = 0;
			count_orders(order, n, n, s, &hits, &all);
			double expected = s > 0 ? (double)hits / (double)all : 1;
			assert_true(fabs(trend.rising_chance - expected) < 1e-9);
		}
	}
}

static void test_chance_of_long_series_is_near_normal(void **state)
{
	(void)state;
	struct lh_trend below, above;
	struct made_series made = {.count = 40};
	uint64_t seed = 3;
	for (size_t i = 0; i < 41; i++) {
		made.seconds[i] = (double)i;
		made.values[i] = (double)i * 0.05 + random_normal(&seed);
	}
	assert_success(lh_trend_measure(view(&made), &below)); /* counted */
	made.count = 41;
	made.values[40] = made.values[20] + 1e-9;
	assert_success(lh_trend_measure(view(&made), &above)); /* approximated */
	assert_true(below.rising_chance < 0.5 && above.rising_chance < 0.5);
	assert_true(above.rising_chance < 3 * below.rising_chance && below.rising_chance < 3 * above.rising_chance);
}

/* Of series without a trend, a chance of p must come up in a share p of the cases, neither more nor less. */
static void test_chances_come_true(void **state)
{
	(void)state;
	enum { ROUNDS = 4000 };
	static const size_t counts[] = {5, 6, 11, 30};
	uint64_t seed = 77;
	for (size_t length = 0; length < LH_ARRAY_COUNT(counts); length++) {
		size_t rising = 0;
		for (int round = 0; round < ROUNDS; round++) {
			struct made_series made = {.count = counts[length]};
			for (size_t i = 0; i < made.count; i++) {
				made.seconds[i] = (double)i;
				made.values[i] = random_normal(&seed);
			}
			struct lh_trend trend;
			assert_success(lh_trend_measure(view(&made), &trend));
			rising += trend.rising_chance <= 0.1;
		}
		/* Four standard deviations of a binomial count; ranks come in steps, so they only stay below. */
		assert_true((double)rising < 0.1 * ROUNDS + 4 * sqrt(0.09 * ROUNDS));
	}
}

static void test_slope_ignores_outliers(void **state)
{
	(void)state;
	struct made_series made = {.count = 20};
	for (size_t i = 0; i < made.count; i++) {
		made.seconds[i] = 3.0 * (double)i;
		made.values[i] = 1e6 + 500.0 * made.seconds[i];
	}
	struct lh_trend trend;
	made.values[4] += 1e9;
	made.values[11] -= 1e6;
	made.values[17] = 0;
	assert_success(lh_trend_measure(view(&made), &trend));
	assert_true(fabs(trend.slope - 500) < 1e-6);
	assert_true(trend.noise < 1e-3);
}

static void test_incomplete_slope_of_a_long_series(void **state)
{
	(void)state;
	struct made_series made = {.count = SERIES_MAX};
	uint64_t seed = 5;
	for (size_t i = 0; i < made.count; i++) {
		made.seconds[i] = (double)i;
		made.values[i] = 1e8 + 1e5 * (double)i + 1e5 * random_normal(&seed);
	}
	struct lh_trend trend;
	assert_success(lh_trend_measure(view(&made), &trend));
	assert_true(fabs(trend.slope - 1e5) < 1e3);
	assert_true(fabs(trend.noise - 1e5) < 3e4);
}

/* ---------------------------------------------------------------- verdicts by hand */

#define MIB 1048576.0

static void test_few_samples_never_make_a_leak(void **state)
{
	(void)state;
	static const double rising[] = {1 * MIB,  20 * MIB,  40 * MIB,  60 * MIB, 80 * MIB,
					99 * MIB, 120 * MIB, 140 * MIB, 160 * MIB};
	for (size_t n = 2; n <= 9; n++) {
		struct made_series made = series_of(rising, n);
		assert_int_equal(verdict_of(&made), n < 5 ? LH_VERDICT_UNDECIDED : LH_VERDICT_GROWING);
	}
	static const double constant[] = {5, 5};
	struct made_series made = series_of(constant, 2);
	assert_int_equal(verdict_of(&made), LH_VERDICT_STEADY);
}

static void test_single_shapes(void **state)
{
	(void)state;
	static const struct {
		enum lh_verdict expected;
		double mib[12];
	} rows[] = {
		{LH_VERDICT_LEAK, {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}},
		{LH_VERDICT_UNDECIDED, {10, 10, 10, 12, 12, 14, 14, 14, 16, 16, 18, 18}}, /* in bursts: needs more */
		{LH_VERDICT_LEAK, {10, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70}},      /* behind a step */
		{LH_VERDICT_STEP, {10, 10, 10, 60, 60, 60, 60, 60, 60, 60, 60, 60}},
		{LH_VERDICT_UNDECIDED, {10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 60}},
		{LH_VERDICT_PLATEAU, {10, 20, 30, 40, 50, 60, 60, 60, 60, 60, 60, 60}},
		{LH_VERDICT_SAWTOOTH, {10, 30, 50, 10, 30, 50, 10, 30, 50, 10, 30, 50}},
		{LH_VERDICT_SHRINKING, {60, 50, 40, 40, 30, 30, 20, 20, 20, 20, 20, 20}},
		{LH_VERDICT_STEADY, {60, 60, 61, 60, 60, 61, 60, 60, 61, 60, 60, 60}},
		{LH_VERDICT_UNDECIDED, {0, 22, 32, 38, 42, 45, 47, 48.5, 49.6, 50.4, 51, 52.1}}, /* slowing down */
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(rows); i++) {
		struct made_series made = series_of(rows[i].mib, 12);
		for (size_t j = 0; j < made.count; j++)
			made.values[j] *= MIB;
		if (verdict_of(&made) != rows[i].expected)
			fail_msg("row %zu is judged %s, not %s", i, lh_verdict_name(verdict_of(&made)),
				 lh_verdict_name(rows[i].expected));
	}
}

static void test_growth_of_some_pages_is_no_leak(void **state)
{
	(void)state;
	struct made_series made = {.count = 30};
	for (size_t i = 0; i < made.count; i++) {
		made.seconds[i] = (double)i;
		made.values[i] = 1e6 + 2048.0 * (double)i; /* 58 KiB in all */
	}
	assert_int_equal(verdict_of(&made), LH_VERDICT_UNDECIDED);
	for (size_t i = 0; i < made.count; i++)
		made.values[i] = 1e6 + (i >= 20 ? 4096 : 0);
	assert_int_equal(verdict_of(&made), LH_VERDICT_STEADY);
}

static void test_floor_that_rises_under_a_sawtooth(void **state)
{
	(void)state;
	struct made_series made = {.count = 60};
	for (size_t i = 0; i < made.count; i++) {
		made.seconds[i] = (double)i;
		made.values[i] = 20 * MIB + (double)(i % 5) * 6 * MIB + (double)i * MIB;
	}
	assert_int_equal(verdict_of(&made), LH_VERDICT_LEAK);
	for (size_t i = 0; i < made.count; i++)
		made.values[i] -= (double)i * MIB;
	assert_int_equal(verdict_of(&made), LH_VERDICT_SAWTOOTH);
}

/* ---------------------------------------------------------------- confusions over seeds */

static size_t seed_count(void)
{
	return unit_is_long() ? 300 : 40;
}

typedef double make_value(size_t i, size_t count, double amplitude, uint64_t *seed);

static double make_noise(size_t i, size_t count, double amplitude, uint64_t *seed)
{
	(void)i;
	(void)count;
	return amplitude * random_normal(seed);
}

static double make_leak(size_t i, size_t count, double amplitude, uint64_t *seed)
{
	return 40 * MIB * (double)i / (double)(count - 1) + amplitude * random_normal(seed);
}

static double make_full_cache(size_t i, size_t count, double amplitude, uint64_t *seed)
{
	double filled = fmin(1, 2.5 * (double)i / (double)(count - 1));
	return 40 * MIB * filled + amplitude * random_normal(seed);
}

static double make_sawtooth(size_t i, size_t count, double amplitude, uint64_t *seed)
{
	(void)count;
	return (double)(i % 4) * 20 * MIB + amplitude * random_normal(seed);
}

static double make_release(size_t i, size_t count, double amplitude, uint64_t *seed)
{
	return -40 * MIB * (double)i / (double)(count - 1) + amplitude * random_normal(seed);
}

static void count_verdicts(make_value *make, size_t count, double amplitude, size_t ret[LH_VERDICT_COUNT])
{
	memset(ret, 0, LH_VERDICT_COUNT * sizeof(*ret));
	for (uint64_t seed_number = 1; seed_number <= seed_count(); seed_number++) {
		uint64_t seed = seed_number * 0x9e3779b97f4a7c15u;
		struct made_series made = {.count = count};
		for (size_t i = 0; i < count; i++) {
			made.seconds[i] = 2.0 * (double)i + 0.1 * random_unit(&seed);
			made.values[i] = fmax(0, 200 * MIB + make(i, count, amplitude, &seed));
		}
		ret[verdict_of(&made)]++;
	}
}

static void print_counts(const char *what, size_t count, double amplitude, const size_t *counts)
{
	printf("# %-10s %3zu samples, noise %5.2f MiB:", what, count, amplitude / MIB);
	for (int verdict = 0; verdict < LH_VERDICT_COUNT; verdict++)
		printf(" %s %zu", lh_verdict_name((enum lh_verdict)verdict), counts[verdict]);
	printf("\n");
}

static const size_t lengths[] = {5, 6, 7, 8, 12, 20, 60, 200};

static void test_noise_is_never_a_leak(void **state)
{
	(void)state;
	static const double amplitudes[] = {0.01 * MIB, 0.2 * MIB, 2 * MIB, 20 * MIB};
	for (size_t length = 0; length < LH_ARRAY_COUNT(lengths); length++) {
		for (size_t i = 0; i < LH_ARRAY_COUNT(amplitudes); i++) {
			size_t counts[LH_VERDICT_COUNT];
			count_verdicts(make_noise, lengths[length], amplitudes[i], counts);
			print_counts("noise", lengths[length], amplitudes[i], counts);
			assert_int_equal(counts[LH_VERDICT_LEAK], 0);
		}
	}
}

static void test_what_ends_is_never_a_leak(void **state)
{
	(void)state;
	static make_value *const makes[] = {make_full_cache, make_sawtooth, make_release};
	static const enum lh_verdict expected[] = {LH_VERDICT_PLATEAU, LH_VERDICT_SAWTOOTH, LH_VERDICT_SHRINKING};
	static const char *const names[] = {"full cache", "sawtooth", "release"};
	for (size_t shape = 0; shape < LH_ARRAY_COUNT(makes); shape++) {
		for (size_t length = 4; length < LH_ARRAY_COUNT(lengths); length++) {
			size_t counts[LH_VERDICT_COUNT];
			count_verdicts(makes[shape], lengths[length], 0.2 * MIB, counts);
			print_counts(names[shape], lengths[length], 0.2 * MIB, counts);
			assert_int_equal(counts[LH_VERDICT_LEAK], 0);
			/* Three teeth or a third of the time on a plateau may not suffice. */
			size_t right =
				counts[expected[shape]] + (lengths[length] < 20 ? counts[LH_VERDICT_UNDECIDED] : 0);
			assert_true(right >= seed_count() * 95 / 100);
		}
	}
}

static void test_leaks_are_found(void **state)
{
	(void)state;
	for (size_t length = 0; length < LH_ARRAY_COUNT(lengths); length++) {
		size_t counts[LH_VERDICT_COUNT];
		bool is_short = lengths[length] < 10;
		count_verdicts(make_leak, lengths[length], (is_short ? 0.2 : 1) * MIB, counts);
		print_counts("leak", lengths[length], (is_short ? 0.2 : 1) * MIB, counts);
		assert_true(counts[is_short ? LH_VERDICT_GROWING : LH_VERDICT_LEAK] >= seed_count() * 95 / 100);
		assert_int_equal(counts[LH_VERDICT_GROWING] + counts[LH_VERDICT_LEAK] + counts[LH_VERDICT_UNDECIDED],
				 seed_count());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chance_equals_counting_all_orders),
		cmocka_unit_test(test_chance_of_long_series_is_near_normal),
		cmocka_unit_test(test_chances_come_true),
		cmocka_unit_test(test_slope_ignores_outliers),
		cmocka_unit_test(test_incomplete_slope_of_a_long_series),
		cmocka_unit_test(test_few_samples_never_make_a_leak),
		cmocka_unit_test(test_single_shapes),
		cmocka_unit_test(test_growth_of_some_pages_is_no_leak),
		cmocka_unit_test(test_floor_that_rises_under_a_sawtooth),
		cmocka_unit_test(test_noise_is_never_a_leak),
		cmocka_unit_test(test_what_ends_is_never_a_leak),
		cmocka_unit_test(test_leaks_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
