/*
 * test_select_series: curves that a cascade of thresholds judged wrong: a leak behind a warm-up that dwarfs it, under
 * noise, a burst or a sawtooth; bounded memory that wanders. 100 draws of each, half of the seeds new in each run. At
 * most 5 may be firmly wrong; undecided is not wrong.
 */
#include "unit.h"

#include "select/verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define KB 1000.0
#define MB 1000000.0

enum { DRAWS = 100, WRONG_MAX = 5, SAMPLES = 45 };

struct draw {
	uint64_t seed;
	double values[SAMPLES]; /* bytes, one a second */
};

static double draw_uniform(struct draw *draw, double low, double high)
{
	return low + (high - low) * (double)(unit_random(&draw->seed) >> 11) / 9007199254740992.0;
}

/* Standard deviation 1: the sum of 12 uniform numbers less 6. */
static double draw_normal(struct draw *draw)
{
	double sum = -6;
	for (int i = 0; i < 12; i++)
		sum += draw_uniform(draw, 0, 1);
	return sum;
}

static void make_warm_up_then_leak(struct draw *draw, double rate)
{
	double warm_up = draw_uniform(draw, 0, 1) < 0.5 ? 100 * MB : 300 * MB;
	double length = floor(draw_uniform(draw, 3, 7));
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 5 * MB + warm_up * fmin(1, i / length) + fmax(0, i - length) * rate;
}

static void make_warm_up_50(struct draw *draw, double size)
{
	(void)size;
	make_warm_up_then_leak(draw, 50 * KB);
}

static void make_warm_up_500(struct draw *draw, double size)
{
	(void)size;
	make_warm_up_then_leak(draw, 500 * KB);
}

/* `share` of the teeth's height is what the floor rises by a period. */
static void make_rising_sawtooth(struct draw *draw, double share)
{
	int phase = (int)draw_uniform(draw, 0, 6);
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 20 * MB + 10 * MB * ((i + phase) % 6) / 5 + 10 * MB * share * i / 6;
}

static void make_trend_under_noise(struct draw *draw, double deviations)
{
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 100 * MB + MB * draw_normal(draw) + MB * deviations * i / (SAMPLES - 1);
}

static void make_burst(struct draw *draw, double size)
{
	(void)size;
	double burst = draw_uniform(draw, 5 * MB, 60 * MB);
	int start = (int)draw_uniform(draw, 3, SAMPLES - 6);
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 30 * MB + 100 * KB * i + (i >= start && i < start + 3 ? burst : 0);
}

static void make_sine_on_leak(struct draw *draw, double size)
{
	(void)size;
	double phase = draw_uniform(draw, 0, 2 * M_PI);
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 50 * MB + 300 * KB * i + 5 * MB * sin(4 * M_PI * i / SAMPLES + phase);
}

static void make_bounded_walk(struct draw *draw, double size)
{
	(void)size;
	double level = draw_uniform(draw, 2 * MB, 40 * MB);
	for (int i = 0; i < SAMPLES; i++) {
		level += 2 * MB * draw_normal(draw);
		level = level < 2 * MB ? 4 * MB - level : level > 40 * MB ? 80 * MB - level : level;
		draw->values[i] = level;
	}
}

static void make_resembling(struct draw *draw, double phi)
{
	double level = draw_normal(draw);
	for (int i = 0; i < SAMPLES; i++) {
		level = phi * level + sqrt(1 - phi * phi) * draw_normal(draw);
		draw->values[i] = 100 * MB + 2 * MB * level;
	}
}

/* A collector's cycles: garbage grows to a bound that differs a little from cycle to cycle. */
static void make_garbage_cycles(struct draw *draw, double size)
{
	(void)size;
	double level = 0;
	double bound = draw_uniform(draw, 10 * MB, 20 * MB);
	for (int i = 0; i < SAMPLES; i++) {
		level += draw_uniform(draw, 0.5 * MB, 1.5 * MB);
		if (level > bound) {
			level = draw_uniform(draw, 0, 2 * MB);
			bound = draw_uniform(draw, 10 * MB, 20 * MB);
		}
		draw->values[i] = 12 * MB + level;
	}
}

static void make_saturation(struct draw *draw, double tau)
{
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 5 * MB + 50 * MB * (1 - exp(-i / tau)) + 20 * KB * draw_normal(draw);
}

static const struct family {
	const char *name;
	void (*make)(struct draw *draw, double parameter);
	double parameter;
	bool is_leak;
} families[] = {
	{"warm-up, then 50 KB/s", make_warm_up_50, 0, true},
	{"warm-up, then 500 KB/s", make_warm_up_500, 0, true},
	{"sawtooth, floor rises by 5 %", make_rising_sawtooth, 0.05, true},
	{"sawtooth, floor rises by 10 %", make_rising_sawtooth, 0.1, true},
	{"sawtooth, floor rises by 20 %", make_rising_sawtooth, 0.2, true},
	{"trend of 6 deviations", make_trend_under_noise, 6, true},
	{"trend of 8 deviations", make_trend_under_noise, 8, true},
	{"trend of 12 deviations", make_trend_under_noise, 12, true},
	{"100 KB/s with a burst", make_burst, 0, true},
	{"sine of two periods on 300 KB/s", make_sine_on_leak, 0, true},
	{"bounded random walk", make_bounded_walk, 0, false},
	{"AR(1), .9", make_resembling, 0.9, false},
	{"AR(1), .97", make_resembling, 0.97, false},
	{"garbage cycles", make_garbage_cycles, 0, false},
	{"saturation, 5 s", make_saturation, 5, false},
	{"saturation, 10 s", make_saturation, 10, false},
	{"saturation, 20 s", make_saturation, 20, false},
};

static enum lh_verdict judge_draw(const struct family *family, uint64_t seed, struct lh_judgement *ret)
{
	double seconds[SAMPLES];
	struct draw draw = {.seed = seed};
	for (int i = 0; i < SAMPLES; i++)
		seconds[i] = i;
	family->make(&draw, family->parameter);
	for (int i = 0; i < SAMPLES; i++)
		draw.values[i] = 4096 * floor(draw.values[i] / 4096);
	assert_success(lh_judge((struct lh_series){seconds, draw.values, SAMPLES}, NULL, ret));
	return ret->verdict;
}

/* No word contradicts the interval of the slope. */
static void check_interval(const struct lh_judgement *judgement)
{
	double half_width = (judgement->slope_high - judgement->slope_low) / 2;
	bool rises = judgement->slope > 2.5 * half_width && judgement->slope_low * SAMPLES > MB;
	if (judgement->verdict == LH_VERDICT_STEADY || judgement->verdict == LH_VERDICT_SAWTOOTH ||
	    judgement->verdict == LH_VERDICT_STEP)
		assert_false(rises);
	if (judgement->verdict == LH_VERDICT_LEAK)
		assert_true(judgement->slope > half_width / 2);
}

static void test_series(void **state)
{
	(void)state;
	uint64_t fresh;
	bool is_right = true;
	assert_int_equal(getrandom(&fresh, sizeof(fresh), 0), sizeof(fresh));
	printf("# seed of this run: 0x%" PRIx64 "\n", fresh);
	for (size_t i = 0; i < LH_ARRAY_COUNT(families); i++) {
		const struct family *family = &families[i];
		size_t leak_count = 0, undecided_count = 0;
		for (uint64_t round = 0; round < DRAWS; round++) {
			struct lh_judgement judgement;
			uint64_t seed = (round % 2 ? fresh : 42) + round * 0x9e3779b97f4a7c15u;
			enum lh_verdict verdict = judge_draw(family, seed, &judgement);
			leak_count += verdict == LH_VERDICT_LEAK;
			undecided_count += verdict == LH_VERDICT_UNDECIDED || verdict == LH_VERDICT_GROWING;
			check_interval(&judgement);
		}
		size_t wrong = family->is_leak ? DRAWS - leak_count - undecided_count : leak_count;
		printf("# %-32s leak %3zu  undecided %3zu  no leak %3zu%s\n", family->name, leak_count, undecided_count,
		       DRAWS - leak_count - undecided_count, wrong > WRONG_MAX ? "  WRONG" : "");
		is_right = is_right && wrong <= WRONG_MAX;
	}
	assert_true(is_right);
}

/* ---------------------------------------------------------------- nothing but noise */

static void make_white(struct draw *draw, double parameter)
{
	(void)parameter;
	make_resembling(draw, 0);
}

static void make_sine(struct draw *draw, double parameter)
{
	(void)parameter;
	double periods = draw_uniform(draw, 0.8, 3);
	double phase = draw_uniform(draw, 0, 2 * M_PI);
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 50 * MB + 5 * MB * sin(2 * M_PI * periods * i / SAMPLES + phase);
}

static void make_bursts(struct draw *draw, double parameter)
{
	(void)parameter;
	for (int i = 0; i < SAMPLES; i++)
		draw->values[i] = 50 * MB + 100 * KB * draw_normal(draw);
	for (int burst = 0; burst < 4; burst++) {
		int start = (int)draw_uniform(draw, 0, SAMPLES - 3);
		double height = draw_uniform(draw, MB, 40 * MB);
		for (int i = start; i < start + 3; i++)
			draw->values[i] += height;
	}
}

static const struct family null_families[] = {
	{"white noise", make_white, 0, false},
	{"AR(1), .5", make_resembling, 0.5, false},
	{"AR(1), .9", make_resembling, 0.9, false},
	{"AR(1), .97", make_resembling, 0.97, false},
	{"bounded random walk", make_bounded_walk, 0, false},
	{"sine of .8 to 3 periods", make_sine, 0, false},
	{"bursts", make_bursts, 0, false},
};

static void test_nothing_but_noise(void **state)
{
	(void)state;
	bool is_right = true;
	uint64_t draws = unit_is_long() ? 1000 : 200; /* at most 2 % of them called a leak */
	for (size_t i = 0; i < LH_ARRAY_COUNT(null_families); i++) {
		size_t counts[LH_VERDICT_COUNT] = {0};
		for (uint64_t round = 0; round < draws; round++) {
			struct lh_judgement judgement;
			counts[judge_draw(&null_families[i], 7 + round * 0x9e3779b97f4a7c15u, &judgement)]++;
			check_interval(&judgement);
		}
		printf("# %-24s of %" PRIu64 ": leak %zu, undecided %zu\n", null_families[i].name, draws,
		       counts[LH_VERDICT_LEAK], counts[LH_VERDICT_UNDECIDED]);
		is_right = is_right && counts[LH_VERDICT_LEAK] * 50 <= draws;
	}
	assert_true(is_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_series), cmocka_unit_test(test_nothing_but_noise)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
