/*
 * estimate: from sampled lives of one call stack to a verdict. Pure: no clock, no process.
 *
 * A block of s bytes is sampled with the probability p = 1 - e^(-s/R), so it stands for 1/p blocks. Blocks that are
 * older than min_age_ns and alive are survivors; they were born in a time of known length. Divided by that time, their
 * bytes are the rate at which memory is lost, if blocks of this stack are ever freed as late as 1.5 times the latest
 * free that was seen.
 */
#include "estimate.h"

#include <math.h>
#include <stdlib.h>

#define AGE_FACTOR     1.5
#define AGE_PART       0.3
#define NORMAL_95      1.96
#define SURVIVORS_LEAK 4

/* Where a process grows by GROWTH_LARGE_BYTES, a stack that explains less than BYPRODUCT_PART of it is no leak. */
#define GROWTH_LARGE_BYTES (INT64_C(1) << 20)
#define BYPRODUCT_PART     0.01

/* A leak goes on all the time: survivors are counted by thirds of the time in which they could be born. */
enum { WINDOW_PARTS = 3 };

/* Counters of resident pages lag behind by some pages per thread (mm/memory.c, SPLIT_RSS_COUNTING). */
#define GROWTH_SLACK_BYTES  (256 * LH_KIB)
#define GROWTH_SLACK_BLOCKS 16

/* Exact 95 % bounds of a Poisson mean after n events: chi-square quantiles / 2 (Garwood 1936). */
static const struct {
	double low, high;
} poisson_95[] = {
	{0.0, 3.6889},     {0.02532, 5.5716}, {0.24221, 7.2247}, {0.61867, 8.7673}, {1.0899, 10.2416},
	{1.6235, 11.6683}, {2.2019, 13.0595}, {2.8144, 14.4227}, {3.4538, 15.7632}, {4.1154, 17.0848},
};

static double weight_of(const struct lh_life *life)
{
	double size = life->size_bytes ? (double)life->size_bytes : 1.0;
	return 1.0 / -expm1(-size / (double)life->mean_bytes);
}

static int compare_durations(const void *left, const void *right)
{
	return lh_compare_u64(*(const uint64_t *)left, *(const uint64_t *)right);
}

static struct lh_error *measure_lives(const struct lh_life *lives, size_t count, struct lh_site_estimate *ret)
{
	size_t deaths = 0;
	LH_CLEANUP(lh_cleanup_free) uint64_t *durations = calloc(count + 1, sizeof(*durations));
	if (!durations)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		if (lives[i].death_ns)
			durations[deaths++] = lives[i].death_ns - lives[i].birth_ns;
	}
	if (!deaths)
		return NULL;
	qsort(durations, deaths, sizeof(*durations), compare_durations);
	ret->death_sample_count = deaths;
	ret->median_life_ns = durations[deaths / 2];
	ret->longest_life_ns = durations[deaths - 1];
	return NULL;
}

static void add_totals(const struct lh_life *lives, size_t count, uint64_t end_ns, struct lh_site_estimate *ret)
{
	ret->sample_count = count;
	for (size_t i = 0; i < count; i++) {
		double weight = weight_of(&lives[i]), bytes = weight * (double)lives[i].size_bytes;
		ret->allocated_count += weight;
		ret->allocated_bytes += bytes;
		if (lives[i].death_ns)
			continue;
		ret->live_sample_count++;
		ret->live_count += weight;
		ret->live_bytes += bytes;
		ret->oldest_live_ns = lh_max_u64(ret->oldest_live_ns, end_ns - lives[i].birth_ns);
	}
}

/* Counts survivors by the part of the time in which they were born. */
static void add_survivors(const struct lh_life *lives, size_t count, const struct lh_site_facts *facts,
			  uint64_t *ret_parts, struct lh_site_estimate *ret)
{
	double bytes = 0, squares = 0, seconds;
	uint64_t window_ns = facts->end_ns - facts->start_ns - ret->min_age_ns;
	for (size_t i = 0; i < count; i++) {
		if (lives[i].death_ns || facts->end_ns - lives[i].birth_ns < ret->min_age_ns)
			continue;
		double one = weight_of(&lives[i]) * (double)lives[i].size_bytes;
		bytes += one;
		squares += one * one;
		ret->survivor_count++;
		uint64_t part = (lives[i].birth_ns - facts->start_ns) / (window_ns / WINDOW_PARTS + 1);
		ret_parts[lh_min_u64(part, WINDOW_PARTS - 1)]++;
	}
	seconds = (double)window_ns / (double)LH_NS_PER_S;
	uint64_t n = ret->survivor_count;
	ret->leak_bytes_per_s = bytes / seconds;
	if (n < LH_ARRAY_COUNT(poisson_95)) {
		ret->leak_low = n ? bytes / (double)n * poisson_95[n].low / seconds : 0;
		ret->leak_high = n ? bytes / (double)n * poisson_95[n].high / seconds : 0;
	} else {
		double half = NORMAL_95 * sqrt(squares) / seconds;
		ret->leak_low = fmax(0, ret->leak_bytes_per_s - half);
		ret->leak_high = ret->leak_bytes_per_s + half;
	}
}

static enum lh_site_verdict judge_site(const struct lh_site_estimate *estimate, const uint64_t *parts,
				       bool has_unseen_deaths)
{
	bool is_enough = estimate->survivor_count >= SURVIVORS_LEAK && estimate->leak_low > 0;
	bool is_steady = true;
	for (size_t i = 0; i < WINDOW_PARTS; i++)
		is_steady &= parts[i] > 0;
	if (has_unseen_deaths)
		return LH_SITE_UNCERTAIN;
	if (is_enough && is_steady)
		return LH_SITE_LEAKING;
	if (is_enough && !parts[WINDOW_PARTS - 1])
		return LH_SITE_STOPPED;
	if (estimate->death_sample_count && !estimate->survivor_count)
		return LH_SITE_FREES;
	return LH_SITE_NOT_YET;
}

struct lh_error *lh_site_estimate_make(const struct lh_life *lives, size_t count, const struct lh_site_facts *facts,
				       struct lh_site_estimate *ret)
{
	uint64_t parts[WINDOW_PARTS] = {0}, duration_ns = facts->end_ns - facts->start_ns;
	*ret = (struct lh_site_estimate){0};
	LH_TRY(measure_lives(lives, count, ret));
	add_totals(lives, count, facts->end_ns, ret);
	double longest_ns = (double)lh_max_u64(ret->longest_life_ns, facts->sibling_life_ns);
	ret->min_age_ns = (uint64_t)fmax(AGE_FACTOR * longest_ns, AGE_PART * (double)duration_ns);
	if (ret->min_age_ns < duration_ns)
		add_survivors(lives, count, facts, parts, ret);
	ret->verdict = judge_site(ret, parts, facts->has_unseen_deaths);
	return NULL;
}

void lh_site_estimate_check_growth(struct lh_site_estimate *estimate, uint64_t duration_ns,
				   const struct lh_trace_growth *growth)
{
	if (estimate->verdict != LH_SITE_LEAKING || growth->bytes == INT64_MAX)
		return;
	double seconds = (double)(duration_ns - estimate->min_age_ns) / (double)LH_NS_PER_S;
	double bytes = estimate->leak_low * seconds;
	double blocks = bytes / estimate->live_bytes * estimate->live_count;
	if (bytes > (double)growth->bytes + GROWTH_SLACK_BYTES && blocks > (double)growth->blocks + GROWTH_SLACK_BLOCKS)
		estimate->verdict = LH_SITE_REPLACES;
	else if (growth->bytes > GROWTH_LARGE_BYTES && estimate->leak_high * (double)duration_ns / (double)LH_NS_PER_S <
							       BYPRODUCT_PART * (double)growth->bytes)
		estimate->verdict = LH_SITE_BYPRODUCT;
}

const char *lh_site_verdict_name(enum lh_site_verdict verdict)
{
	static const char *const names[] = {
		[LH_SITE_LEAKING] = "leaking",     [LH_SITE_FREES] = "frees",         [LH_SITE_NOT_YET] = "not-yet",
		[LH_SITE_STOPPED] = "stopped",     [LH_SITE_UNCERTAIN] = "uncertain", [LH_SITE_RATE_ONLY] = "rate-only",
		[LH_SITE_BYPRODUCT] = "byproduct", [LH_SITE_REPLACES] = "replaces",
	};
	return names[verdict];
}
