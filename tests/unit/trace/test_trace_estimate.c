/*
 * Estimates of simulated streams of allocations with known truth: rates, lifetimes, sampling by bytes.
 */
#include "trace/estimate.h"
#include "trace/sites.h"
#include "unit.h"

#include <math.h>

#define SECOND LH_NS_PER_S

enum { LIVES_MAX = 200000 };

struct stream {
	double allocations_per_s;
	uint64_t size_bytes, mean_bytes;
	double lost_part;        /* of blocks that are never freed */
	double life_s, spread_s; /* of the others: uniform */
	double seconds;
	double births_until_s; /* 0: until the end */
};

static uint64_t random_state;

static double draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double)(random_state >> 11) / (double)(UINT64_C(1) << 53);
}

/* Blocks at random times; each is sampled with probability 1 - e^(-size/mean). */
static size_t simulate(const struct stream *stream, struct lh_life *ret, double *ret_lost_bytes_per_s)
{
	size_t count = 0;
	double until_s = stream->births_until_s > 0 ? stream->births_until_s : stream->seconds;
	double sampled = -expm1(-(double)stream->size_bytes / (double)stream->mean_bytes);
	for (double at = 0; (at += -log(1 - draw()) / stream->allocations_per_s) < until_s;) {
		double end = at + stream->life_s + stream->spread_s * draw();
		bool is_lost = draw() < stream->lost_part;
		if (draw() >= sampled)
			continue;
		assert_true(count < LIVES_MAX);
		ret[count++] = (struct lh_life){
			.birth_ns = SECOND + (uint64_t)(at * (double)SECOND),
			.death_ns =
				is_lost || end > stream->seconds ? 0 : SECOND + (uint64_t)(end * (double)SECOND) + 1,
			.size_bytes = stream->size_bytes,
			.mean_bytes = stream->mean_bytes,
		};
	}
	*ret_lost_bytes_per_s = stream->allocations_per_s * stream->lost_part * (double)stream->size_bytes;
	return count;
}

static struct lh_site_estimate estimate_stream(const struct stream *stream, uint64_t seed, double *ret_truth)
{
	struct lh_life *lives = calloc(LIVES_MAX, sizeof(*lives));
	struct lh_site_estimate estimate;
	assert_non_null(lives);
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	size_t count = simulate(stream, lives, ret_truth);
	const struct lh_site_facts facts = {SECOND, SECOND + (uint64_t)(stream->seconds * (double)SECOND), 0, false};
	assert_success(lh_site_estimate_make(lives, count, &facts, &estimate));
	free(lives);
	return estimate;
}

/* Over many runs: how often the stream is called leaking, and how often the interval holds the truth. */
static void count_runs(const struct stream *stream, unsigned runs, unsigned *ret_leaking, unsigned *ret_held)
{
	*ret_leaking = *ret_held = 0;
	for (unsigned run = 1; run <= runs; run++) {
		double truth;
		struct lh_site_estimate estimate = estimate_stream(stream, run, &truth);
		*ret_leaking += estimate.verdict == LH_SITE_LEAKING;
		*ret_held += estimate.leak_low <= truth && truth <= estimate.leak_high;
	}
}

static void finds_a_leak_and_its_rate(void **state)
{
	const struct stream stream = {2000, 200, 4096, 0.01, 0.1, 0.5, 30, 0};
	unsigned leaking, held;
	(void)state;
	count_runs(&stream, 200, &leaking, &held);
	assert_in_range(leaking, 190, 200);
	/* 95 %, and three standard deviations less. */
	assert_in_range(held, 180, 200);
}

static void interval_holds_at_many_survivors(void **state)
{
	const struct stream stream = {5000, 1000, 8192, 0.05, 0.01, 0.1, 20, 0};
	unsigned leaking, held;
	(void)state;
	count_runs(&stream, 200, &leaking, &held);
	assert_int_equal(leaking, 200);
	assert_in_range(held, 180, 200);
}

/* Blocks larger than the mean distance are all sampled. */
static void large_blocks_count_once(void **state)
{
	const struct stream stream = {100, 1 << 20, 4096, 1, 0, 0, 10, 0};
	double truth;
	struct lh_site_estimate estimate = estimate_stream(&stream, 7, &truth);
	(void)state;
	assert_int_equal(estimate.verdict, LH_SITE_LEAKING);
	assert_float_equal(estimate.allocated_count, (double)estimate.sample_count, 0.5);
}

static void never_names_what_frees(void **state)
{
	/* The second: a decoy whose blocks live a quarter of the time. */
	static const struct stream streams[] = {
		{2000, 200, 1024, 0, 0.01, 0.2, 20, 0},
		{500, 300, 1024, 0, 5, 0, 20, 0},
		{500, 300, 1024, 0, 1, 9, 30, 0},
	};
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(streams); i++) {
		unsigned leaking, held;
		count_runs(&streams[i], 100, &leaking, &held);
		assert_int_equal(leaking, 0);
	}
}

static void a_table_that_was_filled_is_no_leak(void **state)
{
	const struct stream stream = {1000, 500, 1024, 1, 0, 0, 20, 2};
	double truth;
	struct lh_site_estimate estimate = estimate_stream(&stream, 3, &truth);
	(void)state;
	assert_int_equal(estimate.verdict, LH_SITE_STOPPED);
	assert_true(estimate.survivor_count > 100);
}

/* Lives of given ages at the end of 100 s, all alive; A is 30 s. */
static struct lh_site_estimate estimate_ages(const unsigned *ages, size_t count, bool has_unseen_deaths)
{
	struct lh_life lives[16] = {{0}};
	struct lh_site_estimate estimate;
	for (size_t i = 0; i < count; i++)
		lives[i] =
			(struct lh_life){.birth_ns = (1000 - ages[i]) * SECOND, .size_bytes = 1 << 20, .mean_bytes = 1};
	const struct lh_site_facts facts = {900 * SECOND, 1000 * SECOND, 0, has_unseen_deaths};
	assert_success(lh_site_estimate_make(lives, count, &facts, &estimate));
	return estimate;
}

static void needs_four_survivors(void **state)
{
	static const unsigned ages[] = {90, 70, 50, 40, 29};
	(void)state;
	assert_int_equal(estimate_ages(ages, 3, false).verdict, LH_SITE_NOT_YET);
	struct lh_site_estimate estimate = estimate_ages(ages, 4, false);
	assert_int_equal(estimate.verdict, LH_SITE_LEAKING);
	/* 4 MiB in 70 s; exact Poisson: 1.09 to 10.24 events. */
	assert_float_equal(estimate.leak_bytes_per_s, 4.0 * (1 << 20) / 70, 1);
	assert_float_equal(estimate.leak_low, 1.0899 * (1 << 20) / 70, 1);
	assert_float_equal(estimate.leak_high, 10.2416 * (1 << 20) / 70, 1);
	assert_int_equal(estimate_ages(ages, 5, false).survivor_count, 4);
	assert_int_equal(estimate_ages(ages, 0, false).verdict, LH_SITE_NOT_YET);
}

static void names_nothing_when_frees_were_missed(void **state)
{
	static const unsigned ages[] = {90, 70, 50, 40};
	(void)state;
	assert_int_equal(estimate_ages(ages, 4, true).verdict, LH_SITE_UNCERTAIN);
}

static void growth_must_allow_a_leak(void **state)
{
	static const unsigned ages[] = {90, 70, 50, 40};
	static const struct {
		struct lh_trace_growth growth;
		enum lh_site_verdict verdict;
	} cases[] = {
		/* 1.09 blocks of 300 MiB in 70 s at least */
		{{0, 0}, LH_SITE_REPLACES},        {{-(100 << 20), -5}, LH_SITE_REPLACES},
		{{500 << 20, 0}, LH_SITE_LEAKING}, {{INT64_C(1) << 42, 50}, LH_SITE_BYPRODUCT},
		{{0, 500}, LH_SITE_LEAKING},       {{INT64_MAX, 0}, LH_SITE_LEAKING},
	};
	(void)state;
	for (size_t i = 0; i < LH_ARRAY_COUNT(cases); i++) {
		struct lh_site_estimate estimate = estimate_ages(ages, 4, false);
		estimate.leak_low *= 300;
		lh_site_estimate_check_growth(&estimate, 100 * SECOND, &cases[i].growth);
		assert_int_equal(estimate.verdict, cases[i].verdict);
	}
}

/* Survivors only of the first, or only of the last part of the time. */
static void a_leak_goes_on_all_the_time(void **state)
{
	static const unsigned early[] = {95, 94, 93, 92, 91, 90}, late[] = {40, 39, 38, 37, 36, 35};
	(void)state;
	assert_int_equal(estimate_ages(early, 6, false).verdict, LH_SITE_STOPPED);
	assert_int_equal(estimate_ages(late, 6, false).verdict, LH_SITE_NOT_YET);
}

/* ---------------------------------------------------------------- sites */

static struct lh_error *judge_sites(struct lh_sites *sites, bool is_tainted, struct lh_trace *ret)
{
	const struct lh_site_facts at = {100 * SECOND, 140 * SECOND, 0, is_tainted};
	const struct lh_trace_growth growth = {INT64_MAX, 0};
	return lh_sites_judge(sites, &at, &growth, ret);
}

/* Blocks of one stack live for 30 s; of another with the same innermost calls none has died yet. */
static void siblings_know_how_long_blocks_live(void **state)
{
	struct lh_sites sites LH_CLEANUP(lh_sites_deinit) = {0};
	struct lh_trace trace LH_CLEANUP(lh_trace_deinit) = {0};
	const uint64_t frees[] = {1, 2, 3, 4, 5}, sibling[] = {1, 2, 3, 4, 6}, stranger[] = {1, 2, 3, 7, 5};
	const uint64_t *const stacks[] = {frees, sibling, stranger};
	const struct lh_life life = {.size_bytes = 1 << 20, .mean_bytes = 1};
	(void)state;
	for (uint64_t id = 1; id <= 60; id++) {
		assert_success(lh_sites_add_sample(&sites, id, &life, stacks[id % 3], 5, true));
		lh_sites_add_birth(&sites, id, 100 * SECOND + id * SECOND / 2);
	}
	lh_sites_add_death(&sites, 3, 135 * SECOND, false);
	assert_success(judge_sites(&sites, false, &trace));
	assert_int_equal(trace.sites.count, 3);
	assert_int_equal(trace.sites.items[0].estimate.verdict, LH_SITE_LEAKING);
	assert_int_equal(trace.frames.items[trace.sites.items[0].first_frame + 3], 7);
	assert_int_not_equal(trace.sites.items[1].estimate.verdict, LH_SITE_LEAKING);
	assert_int_not_equal(trace.sites.items[2].estimate.verdict, LH_SITE_LEAKING);
}

static void records_meet_by_id(void **state)
{
	struct lh_sites sites LH_CLEANUP(lh_sites_deinit) = {0};
	struct lh_trace trace LH_CLEANUP(lh_trace_deinit) = {0};
	const uint64_t one[] = {1, 2, 3}, other[] = {1, 5, 3};
	const struct lh_life life = {.size_bytes = 1 << 20, .mean_bytes = 1};
	const uint64_t *common;
	(void)state;
	for (uint64_t id = 5000; id < 5040; id++) {
		assert_success(lh_sites_add_sample(&sites, id, &life, id % 2 ? one : other, 3, true));
		lh_sites_add_birth(&sites, id, (id - 5000 + 100) * SECOND);
		if (id % 2)
			lh_sites_add_death(&sites, id, (id - 5000 + 101) * SECOND, false);
	}
	/* Without a birth; ids that were never seen. */
	assert_success(lh_sites_add_sample(&sites, 5040, &life, one, 3, true));
	lh_sites_add_birth(&sites, 1, 100 * SECOND);
	lh_sites_add_death(&sites, 9999999, 100 * SECOND, false);
	assert_success(judge_sites(&sites, false, &trace));
	assert_int_equal(trace.sites.count, 2);
	assert_int_equal(trace.sample_count, 40);
	assert_int_equal(trace.sites.items[0].estimate.verdict, LH_SITE_LEAKING);
	assert_int_equal(trace.frames.items[trace.sites.items[0].first_frame + 1], 5);
	assert_int_equal(trace.sites.items[1].estimate.verdict, LH_SITE_FREES);
	assert_int_equal(trace.sites.items[1].estimate.median_life_ns, SECOND);
	assert_int_equal(lh_trace_common_frames(&trace, &common), 3);
}

static void leaking_stacks_have_their_callers_in_common(void **state)
{
	struct lh_sites sites LH_CLEANUP(lh_sites_deinit) = {0};
	struct lh_trace trace LH_CLEANUP(lh_trace_deinit) = {0};
	const uint64_t one[] = {1, 2, 30, 40}, other[] = {1, 7, 8, 30, 40};
	const struct lh_life life = {.size_bytes = 1 << 20, .mean_bytes = 1};
	const uint64_t *common;
	(void)state;
	for (uint64_t id = 1; id <= 40; id++) {
		assert_success(lh_sites_add_sample(&sites, id, &life, id % 2 ? one : other, id % 2 ? 4 : 5, true));
		lh_sites_add_birth(&sites, id, (id + 99) * SECOND);
	}
	assert_success(judge_sites(&sites, false, &trace));
	assert_int_equal(lh_trace_common_frames(&trace, &common), 2);
	assert_int_equal(common[0], 30);
}

static void lost_deaths_taint_all(void **state)
{
	struct lh_sites sites LH_CLEANUP(lh_sites_deinit) = {0};
	struct lh_trace trace LH_CLEANUP(lh_trace_deinit) = {0};
	const uint64_t frames[] = {1};
	const struct lh_life life = {.size_bytes = 1 << 20, .mean_bytes = 1};
	(void)state;
	for (uint64_t id = 1; id <= 40; id++) {
		assert_success(lh_sites_add_sample(&sites, id, &life, frames, 1, true));
		lh_sites_add_birth(&sites, id, (id + 99) * SECOND);
	}
	assert_success(judge_sites(&sites, true, &trace));
	assert_int_equal(trace.sites.items[0].estimate.verdict, LH_SITE_UNCERTAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_leak_and_its_rate),
		cmocka_unit_test(interval_holds_at_many_survivors),
		cmocka_unit_test(large_blocks_count_once),
		cmocka_unit_test(never_names_what_frees),
		cmocka_unit_test(a_table_that_was_filled_is_no_leak),
		cmocka_unit_test(needs_four_survivors),
		cmocka_unit_test(names_nothing_when_frees_were_missed),
		cmocka_unit_test(growth_must_allow_a_leak),
		cmocka_unit_test(a_leak_goes_on_all_the_time),
		cmocka_unit_test(siblings_know_how_long_blocks_live),
		cmocka_unit_test(records_meet_by_id),
		cmocka_unit_test(leaking_stacks_have_their_callers_in_common),
		cmocka_unit_test(lost_deaths_taint_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
