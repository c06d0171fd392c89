/*
 * test_select_scenarios: histories that memory is known to have, played in one mapping of this test's
 * own smaps, and judged. Half of the random numbers are drawn anew in each run (the seed is printed), so
 * that no rule can have been fitted to them. Ends with the matrix of confusions.
 */
#include "unit.h"

#include "leakhunt/select.h"
#include "select/selector.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define MIB 1048576.0

enum { ROUNDS = 12, SAMPLES_MAX = 240 };

struct scene {
	size_t at;    /* number of the sample */
	size_t count; /* of all */
	uint64_t *seed;
	double *memory; /* of the history, from sample to sample; 0 at first */
	struct lh_region *region;
};

typedef void play(struct scene *scene, double *ret_mib);

static double unit(struct scene *scene)
{
	return (double)(unit_random(scene->seed) >> 11) / 9007199254740992.0;
}

/* Standard deviation 1: the sum of 12 uniform numbers less 6. */
static double noise(struct scene *scene)
{
	double sum = -6;
	for (int i = 0; i < 12; i++)
		sum += unit(scene);
	return sum;
}

static double part(const struct scene *scene)
{
	return (double)scene->at / (double)(scene->count - 1);
}

/* ---------------------------------------------------------------- steady */

static void constant(struct scene *scene, double *mib)
{
	(void)scene;
	*mib = 200;
}

static void noise_per_mille(struct scene *scene, double *mib)
{
	*mib = 200 + 0.2 * noise(scene);
}

static void noise_2_percent(struct scene *scene, double *mib)
{
	*mib = 200 + 4 * noise(scene);
}

static void noise_10_percent(struct scene *scene, double *mib)
{
	*mib = 200 + 20 * noise(scene);
}

/* An AR(1) process: each sample resembles the one before, as memory does. */
static void wandering(struct scene *scene, double *mib)
{
	scene->memory[0] = 0.7 * scene->memory[0] + 2 * noise(scene);
	*mib = 200 + scene->memory[0];
}

static void spikes(struct scene *scene, double *mib)
{
	*mib = 200 + 0.2 * noise(scene) + (unit(scene) < 0.05 ? 60 : 0);
}

static void daily_load(struct scene *scene, double *mib)
{
	*mib = 200 + 30 * sin(6 * M_PI * part(scene)) + noise(scene);
}

static void some_pages(struct scene *scene, double *mib)
{
	*mib = 200 + 0.02 * unit(scene);
}

/* ---------------------------------------------------------------- up and down */

static void garbage_collected(struct scene *scene, double *mib)
{
	*mib = 100 + 20 * (double)(scene->at % 5) + 0.5 * noise(scene);
}

static void collected_now_and_then(struct scene *scene, double *mib)
{
	scene->memory[0] += 5 + 5 * unit(scene);
	if (scene->memory[0] > 80)
		scene->memory[0] = 0;
	*mib = 100 + scene->memory[0];
}

static void log_buffer(struct scene *scene, double *mib)
{
	scene->memory[0] += 1 + 0.2 * noise(scene);
	if (scene->memory[0] > 8)
		scene->memory[0] -= 8;
	*mib = 20 + scene->memory[0];
}

static void requests_in_flight(struct scene *scene, double *mib)
{
	*mib = 50 + 40 * unit(scene);
}

/* ---------------------------------------------------------------- what ends */

static void warm_up(struct scene *scene, double *mib)
{
	*mib = 300 - 200 * exp(-25 * part(scene)) + 0.1 * noise(scene);
}

static void warm_up_straight(struct scene *scene, double *mib)
{
	*mib = 100 + 100 * fmin(1, part(scene) / 0.3) + 0.1 * noise(scene);
}

static void cache_fills_half_way(struct scene *scene, double *mib)
{
	*mib = 100 + 400 * fmin(1, part(scene) / 0.5) + 0.2 * noise(scene);
}

static void cache_to_its_limit(struct scene *scene, double *mib)
{
	*mib = 100 + 400 * fmin(1, part(scene) / 0.4);
}

static void leak_that_was_mended(struct scene *scene, double *mib)
{
	*mib = 100 + 60 * fmin(1, part(scene) / 0.35) + 0.3 * noise(scene);
}

static void step_early(struct scene *scene, double *mib)
{
	*mib = part(scene) < 0.2 ? 100 : 160;
}

static void step_half_way(struct scene *scene, double *mib)
{
	*mib = (part(scene) < 0.5 ? 100 : 160) + 0.3 * noise(scene);
}

/* ---------------------------------------------------------------- down */

static void step_down(struct scene *scene, double *mib)
{
	*mib = part(scene) < 0.5 ? 160 : 100;
}

static void released(struct scene *scene, double *mib)
{
	*mib = 300 - 200 * part(scene) + 0.5 * noise(scene);
}

static void released_ever_slower(struct scene *scene, double *mib)
{
	*mib = 100 + 200 * exp(-3 * part(scene)) + 0.5 * noise(scene);
}

/* ---------------------------------------------------------------- leaks */

static void leak(struct scene *scene, double *mib)
{
	*mib = 100 + (double)scene->at;
}

static void leak_under_noise(struct scene *scene, double *mib)
{
	*mib = 100 + (double)scene->at + 1.5 * noise(scene);
}

/* 0.1 % a sample under 2 % of noise. */
static void slow_leak_under_noise(struct scene *scene, double *mib)
{
	*mib = 200 + 0.2 * (double)scene->at + 4 * noise(scene);
}

static void leak_in_bursts(struct scene *scene, double *mib)
{
	*mib = 100 + 5 * floor((double)scene->at / 5);
}

static void leak_by_chance(struct scene *scene, double *mib)
{
	for (int i = 0; i < 20; i++)
		scene->memory[0] += unit(scene) < 0.2 ? 0.25 : 0;
	*mib = 100 + scene->memory[0];
}

static void leak_under_garbage(struct scene *scene, double *mib)
{
	*mib = 100 + 10 * (double)(scene->at % 4) + 1.5 * (double)scene->at;
}

static void leak_behind_a_step(struct scene *scene, double *mib)
{
	*mib = (part(scene) < 0.1 ? 100 : 160) + (double)scene->at;
}

static void leak_that_speeds_up(struct scene *scene, double *mib)
{
	*mib = 100 + 60 * part(scene) + 60 * part(scene) * part(scene);
}

static void leak_with_the_load(struct scene *scene, double *mib)
{
	scene->memory[0] += 1 + sin(8 * M_PI * part(scene));
	*mib = 100 + scene->memory[0];
}

static void leak_that_wanders(struct scene *scene, double *mib)
{
	scene->memory[0] = 0.7 * scene->memory[0] + noise(scene);
	*mib = 100 + 2 * (double)scene->at + scene->memory[0];
}

static void leak_that_starts_late(struct scene *scene, double *mib)
{
	*mib = 100 + fmax(0, (double)scene->at - 0.4 * (double)scene->count) + 0.05 * noise(scene);
}

static void leak_of_small_things(struct scene *scene, double *mib)
{
	*mib = 30 + 0.03 * (double)scene->at;
}

/* ---------------------------------------------------------------- what is not use */

static void swapped_out(struct scene *scene, double *mib)
{
	*mib = 200;
	double swapped = part(scene) * 150;
	scene->region->usage.swap_bytes = (uint64_t)(swapped * MIB);
	scene->region->usage.anonymous_bytes = scene->region->usage.private_dirty_bytes =
		(uint64_t)((200 - swapped) * MIB);
	*mib = NAN;
}

/* A fork shares the pages until it ends: USS falls and comes back. */
static void forked(struct scene *scene, double *mib)
{
	bool is_shared = part(scene) > 0.3 && part(scene) < 0.6;
	scene->region->usage.anonymous_bytes = (uint64_t)(200 * MIB);
	scene->region->usage.private_dirty_bytes = is_shared ? 0 : (uint64_t)(200 * MIB);
	scene->region->usage.shared_dirty_bytes = is_shared ? (uint64_t)(200 * MIB) : 0;
	*mib = NAN;
}

static void given_back_lazily(struct scene *scene, double *mib)
{
	scene->region->usage.anonymous_bytes = scene->region->usage.private_dirty_bytes =
		(uint64_t)((100 + 100 * part(scene)) * MIB);
	scene->region->usage.lazy_free_bytes = (uint64_t)(100 * part(scene) * MIB);
	*mib = NAN;
}

static void read_through_a_mapping(struct scene *scene, double *mib)
{
	scene->region->inode = 4711;
	scene->region->kind = LH_REGION_FILE;
	scene->region->usage.anonymous_bytes = (uint64_t)MIB;
	scene->region->usage.private_dirty_bytes = (uint64_t)MIB;
	scene->region->usage.private_clean_bytes = (uint64_t)(300 * part(scene) * MIB);
	*mib = NAN;
}

static void merged_by_ksm(struct scene *scene, double *mib)
{
	double merged = 100 * part(scene);
	scene->region->usage.anonymous_bytes = (uint64_t)(200 * MIB);
	scene->region->usage.private_dirty_bytes = (uint64_t)((200 - merged) * MIB);
	scene->region->usage.ksm_bytes = scene->region->usage.shared_dirty_bytes = (uint64_t)(merged * MIB);
	*mib = NAN;
}

static void made_huge(struct scene *scene, double *mib)
{
	*mib = 100 + 2 * (double)scene->at;
	scene->region->usage.anon_huge_bytes = (uint64_t)(2 * (double)scene->at * MIB);
}

static void memfd_leak(struct scene *scene, double *mib)
{
	*mib = 10 + 2 * (double)scene->at;
	scene->region->inode = 77;
	scene->region->name = "/memfd:cache";
	scene->region->is_shared = true;
	scene->region->kind = LH_REGION_MEMFD;
}

static void address_space_leak(struct scene *scene, double *mib)
{
	*mib = 10;
	scene->region->end = scene->region->start + (uint64_t)((100 + 8 * (double)scene->at) * MIB);
}

/* ---------------------------------------------------------------- the table */

#define ONE(verdict) (UINT32_C(1) << (verdict))

enum {
	LEAK = ONE(LH_VERDICT_LEAK),
	STEADY = ONE(LH_VERDICT_STEADY),
	SAWTOOTH = ONE(LH_VERDICT_SAWTOOTH),
	PLATEAU = ONE(LH_VERDICT_PLATEAU),
	STEP = ONE(LH_VERDICT_STEP),
	SHRINKING = ONE(LH_VERDICT_SHRINKING),
	UNDECIDED = ONE(LH_VERDICT_UNDECIDED),
};

static const struct scenario {
	const char *name;
	play *play;
	size_t count;
	uint32_t right; /* verdicts */
} scenarios[] = {
	{"constant", constant, 20, STEADY},
	{"noise of 0.1 %", noise_per_mille, 20, STEADY},
	{"noise of 0.1 %, long", noise_per_mille, 200, STEADY},
	{"noise of 2 %", noise_2_percent, 20, STEADY},
	{"noise of 2 %, long", noise_2_percent, 200, STEADY},
	{"noise of 10 %", noise_10_percent, 60, STEADY | SAWTOOTH},
	{"wandering", wandering, 40, STEADY},
	{"wandering, long", wandering, 200, STEADY},
	{"spikes", spikes, 60, STEADY | SAWTOOTH | UNDECIDED},
	{"daily load", daily_load, 60, STEADY | SAWTOOTH},
	{"some pages", some_pages, 20, STEADY},
	{"garbage collected", garbage_collected, 20, SAWTOOTH},
	{"garbage collected, long", garbage_collected, 200, SAWTOOTH},
	{"collected now and then", collected_now_and_then, 60, SAWTOOTH},
	{"log buffer", log_buffer, 40, SAWTOOTH},
	{"requests in flight", requests_in_flight, 40, SAWTOOTH | STEADY},
	{"warm-up", warm_up, 40, PLATEAU | STEP},
	{"warm-up, straight", warm_up_straight, 40, PLATEAU},
	{"cache fills half way", cache_fills_half_way, 40, PLATEAU},
	{"cache to its limit", cache_to_its_limit, 20, PLATEAU},
	{"leak that was mended", leak_that_was_mended, 60, PLATEAU},
	{"step early", step_early, 20, STEP},
	{"step half way", step_half_way, 30, STEP},
	{"step down", step_down, 20, SHRINKING},
	{"released", released, 20, SHRINKING},
	{"released ever slower", released_ever_slower, 40, SHRINKING},
	{"leak", leak, 20, LEAK},
	{"leak, long", leak, 200, LEAK},
	{"leak under noise", leak_under_noise, 30, LEAK},
	{"slow leak under noise, short", slow_leak_under_noise, 20, UNDECIDED | STEADY},
	{"slow leak under noise, long", slow_leak_under_noise, 200, LEAK},
	{"leak in bursts", leak_in_bursts, 40, LEAK},
	{"leak by chance", leak_by_chance, 30, LEAK},
	{"leak under garbage", leak_under_garbage, 60, LEAK},
	{"leak behind a step", leak_behind_a_step, 40, LEAK},
	{"leak that speeds up", leak_that_speeds_up, 30, LEAK},
	{"leak with the load", leak_with_the_load, 60, LEAK},
	{"leak that wanders", leak_that_wanders, 40, LEAK},
	{"leak that starts late", leak_that_starts_late, 60, LEAK},
	{"leak of small things", leak_of_small_things, 60, LEAK},
	{"swapped out", swapped_out, 20, STEADY},
	{"forked", forked, 20, STEADY},
	{"given back lazily", given_back_lazily, 20, STEADY},
	{"read through a mapping", read_through_a_mapping, 20, STEADY},
	{"merged by KSM", merged_by_ksm, 20, STEADY},
	{"made huge", made_huge, 20, UNDECIDED},
	{"memfd leak", memfd_leak, 20, LEAK | UNDECIDED},
	{"address space leak", address_space_leak, 20, LEAK},
};

/* ---------------------------------------------------------------- playing */

/* Where no process maps anything by itself: above a program without PIE, below AddressSanitizer's shadow. */
#define STAGE UINT64_C(0x10000000)

static void add_stage(struct lh_region_list *list, struct lh_region **ret)
{
	struct lh_region stage = {
		.start = STAGE,
		.end = STAGE + (uint64_t)(1024 * MIB),
		.protection = LH_PROT_READ | LH_PROT_WRITE,
		.kind = LH_REGION_ANON,
		.name = "",
		.thread_name = "",
	};
	size_t at = 0;
	while (at < list->regions.count && list->regions.items[at].start < STAGE)
		at++;
	assert_success(lh_vec_push(&list->regions, stage));
	memmove(&list->regions.items[at + 1], &list->regions.items[at], (list->regions.count - 1 - at) * sizeof(stage));
	list->regions.items[at] = stage;
	*ret = &list->regions.items[at];
}

static void play_sample(const struct scenario *scenario, const struct lh_buffer *smaps, struct scene *scene,
			struct lh_selector *selector)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {.time_ns = (1 + scene->at) * LH_NS_PER_S};
	double mib = NAN;
	assert_success(lh_regions_parse(smaps->data, smaps->length, "smaps", &sample.list));
	add_stage(&sample.list, &scene->region);
	scenario->play(scene, &mib);
	if (!isnan(mib))
		scene->region->usage.anonymous_bytes = scene->region->usage.private_dirty_bytes =
			(uint64_t)(fmax(0, mib) * MIB);
	assert_success(lh_selector_add(selector, &sample));
}

static const struct lh_growth *find_stage(const struct lh_selection *selection)
{
	const struct lh_growth *found = NULL;
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (growth->start == STAGE)
			found = growth;
		else
			assert_int_not_equal(growth->verdict, LH_VERDICT_LEAK);
	}
	assert_non_null(found);
	return found;
}

static enum lh_verdict play_scenario(const struct scenario *scenario, const struct lh_buffer *smaps, uint64_t seed)
{
	LH_CLEANUP(lh_cleanup_selector) struct lh_selector *selector = NULL;
	struct lh_selection selection LH_CLEANUP(lh_selection_deinit) = {0};
	double memory[4] = {0};
	struct scene scene = {.count = scenario->count, .seed = &seed, .memory = memory};
	assert_success(lh_selector_create(&selector));
	for (scene.at = 0; scene.at < scene.count; scene.at++)
		play_sample(scenario, smaps, &scene, selector);
	assert_success(lh_selector_judge(selector, &selection));
	const struct lh_growth *growth = find_stage(&selection);
	if (!(scenario->right & ONE(growth->verdict)))
		printf("# %s, seed 0x%" PRIx64 ": %s: %s\n", scenario->name, seed, lh_verdict_name(growth->verdict),
		       growth->reason);
	return growth->verdict;
}

static void print_row(const struct scenario *scenario, const size_t *counts)
{
	printf("# %-30s %4zu samples:", scenario->name, scenario->count);
	for (int verdict = 0; verdict < LH_VERDICT_COUNT; verdict++) {
		if (counts[verdict])
			printf(" %s %zu%s", lh_verdict_name((enum lh_verdict)verdict), counts[verdict],
			       scenario->right & ONE(verdict) ? "" : " (wrong)");
	}
	printf("\n");
}

struct tally {
	size_t right;
	size_t all;
	size_t false_alarms;
};

static void play_rounds(const struct scenario *scenario, const struct lh_buffer *smaps, uint64_t fresh,
			struct tally *tally)
{
	size_t counts[LH_VERDICT_COUNT] = {0};
	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t seed = (round % 2 ? fresh : 42) + round * 0x9e3779b97f4a7c15u;
		enum lh_verdict verdict = play_scenario(scenario, smaps, seed);
		counts[verdict]++;
		tally->all++;
		tally->right += (scenario->right & ONE(verdict)) != 0;
		tally->false_alarms += verdict == LH_VERDICT_LEAK && !(scenario->right & LEAK);
	}
	print_row(scenario, counts);
}

static void test_scenarios(void **state)
{
	(void)state;
	struct lh_buffer smaps LH_CLEANUP(lh_buffer_deinit) = {0};
	struct tally tally = {0};
	uint64_t fresh;
	assert_success(lh_file_read("/proc/self/smaps", LH_GIB, &smaps));
	assert_int_equal(getrandom(&fresh, sizeof(fresh), 0), sizeof(fresh));
	printf("# seed of this run: 0x%" PRIx64 "\n", fresh);
	for (size_t i = 0; i < LH_ARRAY_COUNT(scenarios); i++)
		play_rounds(&scenarios[i], &smaps, fresh, &tally);
	printf("# %zu of %zu right (%.1f %%), %zu false alarms\n", tally.right, tally.all,
	       100.0 * (double)tally.right / (double)tally.all, tally.false_alarms);
	assert_true(LH_ARRAY_COUNT(scenarios) >= 40);
	assert_int_equal(tally.false_alarms, 0);
	assert_true(tally.right * 100 >= tally.all * 95);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scenarios)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
