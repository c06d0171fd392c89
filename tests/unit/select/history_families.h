/*
 * history_families: histories of memory with a truth that their construction gives. A family is a trend, a load on top
 * of it, and what came before; sizes, periods, phases, noise, page sizes, gaps and the number of samples are drawn for
 * each history. Half of the families are held out: nothing is fitted to them.
 */
#ifndef LEAKHUNT_TESTS_SELECT_HISTORY_FAMILIES_H
#define LEAKHUNT_TESTS_SELECT_HISTORY_FAMILIES_H

#include "unit.h"

#include <math.h>

enum { HISTORY_MAX = 200 };

struct history {
	uint64_t seed;
	size_t count;
	double seconds[HISTORY_MAX];
	double bytes[HISTORY_MAX];
	double x[HISTORY_MAX];    /* time, 0 to 1 */
	double load[HISTORY_MAX]; /* what comes and goes, in units of its size */
	double parameter;         /* of the trend */
	double period;            /* of the load, in samples; 0: none */
	bool is_periodic;         /* it repeats often enough to be averaged out */
	bool is_knowable;         /* false: in this history the truth does not show */
};

/* 0 to 1 at x, as `parameter` asks; it may say that nobody can know. */
typedef double family_trend(struct history *history, double x, double parameter);
/* Fills history->load; `parameter` is drawn from 0 to 1. */
typedef void family_load(struct history *history, double parameter);

struct history_family {
	const char *name;
	family_trend *trend; /* NULL: none */
	family_load *load;   /* NULL: none */
	bool is_leak;
	bool has_warm_up; /* before it, of 1 to 30 times its size */
	bool is_held;
	double load_share; /* size of the load for a trend of 1; drawn up to twice as high */
};

static inline double family_draw(struct history *history, double low, double high)
{
	return low + (high - low) * (double)(unit_random(&history->seed) >> 11) / 9007199254740992.0;
}

static inline double family_draw_log(struct history *history, double low, double high)
{
	return low * pow(high / low, family_draw(history, 0, 1));
}

/* Standard deviation 1: the sum of 12 uniform numbers less 6. */
static inline double family_normal(struct history *history)
{
	double sum = -6;
	for (int i = 0; i < 12; i++)
		sum += family_draw(history, 0, 1);
	return sum;
}

/* ---------------------------------------------------------------- trends that go on */

static inline double trend_straight(struct history *history, double x, double parameter)
{
	(void)history;
	(void)parameter;
	return x;
}

static inline double trend_stairs(struct history *history, double x, double parameter)
{
	(void)history;
	double steps = 5 + floor(20 * parameter);
	return floor(x * steps) / steps;
}

static inline double trend_late(struct history *history, double x, double parameter)
{
	double start = 0.1 + 0.5 * parameter;
	history->is_knowable &= (1 - start) * (double)history->count >= 12;
	return fmax(0, x - start) / (1 - start);
}

static inline double trend_faster(struct history *history, double x, double parameter)
{
	(void)history;
	return (x + 3 * parameter * x * x) / (1 + 3 * parameter);
}

static inline double trend_slower(struct history *history, double x, double parameter)
{
	(void)history;
	return pow(x, 0.75 + 0.2 * parameter);
}

static inline double trend_with_the_load(struct history *history, double x, double parameter)
{
	(void)history;
	double periods = 2.5 + floor(6 * parameter);
	return x + 0.9 * sin(2 * M_PI * periods * x) / (2 * M_PI * periods);
}

static inline double trend_with_pauses(struct history *history, double x, double parameter)
{
	(void)history;
	double phases = 4 + floor(6 * parameter);
	double phase = floor(x * phases);
	return (phase + fmin(1, 2 * (x * phases - phase))) / phases;
}

/* Each phase gives back a third of what it took. */
static inline double trend_with_drops(struct history *history, double x, double parameter)
{
	(void)history;
	double phases = 4 + floor(6 * parameter);
	double phase = floor(x * phases);
	return (2 * phase / 3 + (x * phases - phase)) / phases;
}

/* Things, and their table, which doubles. */
static inline double trend_doubling(struct history *history, double x, double parameter)
{
	(void)history;
	double things = 20 + 500 * parameter;
	return 0.7 * x + 0.3 * pow(2, floor(log2(1 + things * x))) / (1 + things);
}

/* ---------------------------------------------------------------- what ends, or may */

static inline double trend_saturation(struct history *history, double x, double parameter)
{
	double tau = 0.02 + 0.25 * parameter;
	history->is_knowable &= tau < 0.2;
	return 1 - exp(-x / tau);
}

static inline double trend_filling(struct history *history, double x, double parameter)
{
	double end = 0.1 + 0.85 * parameter;
	history->is_knowable &= end < 0.8;
	return fmin(1, x / end);
}

static inline double trend_step(struct history *history, double x, double parameter)
{
	double at = 0.05 + 0.9 * parameter;
	history->is_knowable &= at < 0.8;
	return x > at;
}

static inline double trend_ended_stairs(struct history *history, double x, double parameter)
{
	double end = 0.2 + 0.6 * parameter;
	history->is_knowable &= end < 0.7;
	return floor(4 * fmin(1, x / end)) / 4;
}

static inline double trend_logarithm(struct history *history, double x, double parameter)
{
	(void)parameter;
	history->is_knowable = false;
	return log(1 + x / 0.02) / log(1 + 1 / 0.02);
}

static inline double trend_hump(struct history *history, double x, double parameter)
{
	double top = 0.2 + 0.4 * parameter;
	history->is_knowable &= top < 0.5;
	return fmax(0, 1 - fabs(x - top) / (0.9 - top));
}

static inline double trend_fall(struct history *history, double x, double parameter)
{
	(void)history;
	return pow(1 - x, 1 + 2 * parameter);
}

/* ---------------------------------------------------------------- loads: a unit is about their standard deviation */

static inline void load_resembling(struct history *history, double phi)
{
	double level = family_normal(history);
	for (size_t i = 0; i < history->count; i++) {
		history->load[i] = level;
		level = phi * level + sqrt(1 - phi * phi) * family_normal(history);
	}
}

static inline void load_white(struct history *history, double parameter)
{
	(void)parameter;
	load_resembling(history, 0);
}

static inline void load_red(struct history *history, double parameter)
{
	load_resembling(history, 0.3 + 0.6 * parameter);
}

static inline void load_very_red(struct history *history, double parameter)
{
	load_resembling(history, 0.9 + 0.07 * parameter);
}

static inline void load_walk(struct history *history, double parameter)
{
	double level = family_draw(history, -1.7, 1.7);
	double step = 0.1 + 0.4 * parameter;
	for (size_t i = 0; i < history->count; i++) {
		level += step * family_normal(history);
		level = level < -1.7 ? -3.4 - level : level > 1.7 ? 3.4 - level : level;
		history->load[i] = level;
	}
}

static inline void load_saw(struct history *history, double parameter)
{
	double period = 3 + floor(parameter * fmax(1, (double)history->count / 5 - 3));
	double phase = floor(family_draw(history, 0, period));
	for (size_t i = 0; i < history->count; i++)
		history->load[i] = 3.4 * fmod((double)i + phase, period) / period;
	history->period = period;
	history->is_periodic = true;
}

static inline void load_garbage(struct history *history, double parameter)
{
	double mean = 4 + parameter * (double)history->count / 8;
	double level = family_draw(history, 0, 3);
	double bound = 3;
	for (size_t i = 0; i < history->count; i++) {
		level += 3 / mean * family_draw(history, 0.5, 1.5);
		if (level > bound) {
			level = family_draw(history, 0, 0.4);
			bound = family_draw(history, 2, 4);
		}
		history->load[i] = level;
	}
	history->period = 3 * mean;
	history->is_periodic = true;
}

static inline void load_sine(struct history *history, double parameter)
{
	double periods = 2 + 6 * parameter;
	double phase = family_draw(history, 0, 2 * M_PI);
	for (size_t i = 0; i < history->count; i++)
		history->load[i] = 1.4 * sin(2 * M_PI * periods * history->x[i] + phase);
	history->period = (double)history->count / periods;
	history->is_periodic = periods > 2.5;
}

/* A week: days, with less of it on two of seven, and noise. */
static inline void load_days(struct history *history, double parameter)
{
	double phase = family_draw(history, 0, 7);
	for (size_t i = 0; i < history->count; i++) {
		double day = 7 * history->x[i] + phase;
		double size = fmod(day, 7) < 2 ? 0.3 + 0.5 * parameter : 1;
		history->load[i] = size * fmax(-0.5, sin(2 * M_PI * day)) + 0.1 * family_normal(history);
	}
	history->period = (double)history->count / 7;
	history->is_periodic = true;
}

static inline void load_bursts(struct history *history, double parameter)
{
	for (size_t i = 0; i < history->count; i++)
		history->load[i] = 0.05 * family_normal(history);
	for (int burst = 0; burst < 1 + (int)(4 * parameter); burst++) {
		size_t start = (size_t)family_draw(history, 0, (double)history->count - 3);
		double height = family_draw(history, 1, 20);
		for (size_t i = start; i < start + 3; i++)
			history->load[i] += height;
	}
}

static inline void load_on_off(struct history *history, double parameter)
{
	bool is_on = family_draw(history, 0, 1) < 0.5;
	for (size_t i = 0; i < history->count; i++) {
		is_on ^= family_draw(history, 0, 1) < 0.05 + 0.3 * parameter;
		history->load[i] = 2.0 * is_on + 0.05 * family_normal(history);
	}
}

static inline void load_requests(struct history *history, double parameter)
{
	for (size_t i = 0; i < history->count; i++)
		history->load[i] = -(0.5 + parameter) * log(1 - family_draw(history, 0, 0.999));
}

/* Things that are born and live for a random time. */
static inline void load_births(struct history *history, double parameter)
{
	double mean = 20 + 200 * parameter;
	double alive = mean;
	double life = family_draw_log(history, 2, 20);
	for (size_t i = 0; i < history->count; i++) {
		alive += mean / life + sqrt(mean / life) * family_normal(history) - alive / life;
		history->load[i] = (alive - mean) / sqrt(mean);
	}
}

/* ---------------------------------------------------------------- the table */

#define LEAKS(name, trend, load, share, held)               \
	{                                                   \
		name, trend, load, true, false, held, share \
	}
#define WARM(name, trend, load, share, held)               \
	{                                                  \
		name, trend, load, true, true, held, share \
	}
#define BOUNDED(name, trend, load, share, held)              \
	{                                                    \
		name, trend, load, false, false, held, share \
	}

static const struct history_family history_families[] = {
	LEAKS("leak", trend_straight, NULL, 0, false),
	LEAKS("leak under white noise", trend_straight, load_white, 0.15, false),
	LEAKS("leak under red noise", trend_straight, load_red, 0.1, false),
	LEAKS("leak under a walk", trend_straight, load_walk, 0.06, true),
	LEAKS("leak under a saw", trend_straight, load_saw, 0.5, false),
	LEAKS("leak under garbage", trend_straight, load_garbage, 0.3, true),
	LEAKS("leak under a sine", trend_straight, load_sine, 0.15, true),
	LEAKS("leak under days", trend_straight, load_days, 0.4, true),
	LEAKS("leak under bursts", trend_straight, load_bursts, 0.2, false),
	LEAKS("leak under load that is on and off", trend_straight, load_on_off, 0.15, true),
	LEAKS("leak under requests", trend_straight, load_requests, 0.15, false),
	LEAKS("leak under births and deaths", trend_straight, load_births, 0.1, true),
	LEAKS("stairs", trend_stairs, NULL, 0, false),
	LEAKS("stairs under white noise", trend_stairs, load_white, 0.08, true),
	LEAKS("stairs under garbage", trend_stairs, load_garbage, 0.2, false),
	LEAKS("late leak", trend_late, NULL, 0, true),
	LEAKS("late leak under white noise", trend_late, load_white, 0.05, false),
	LEAKS("late leak under a saw", trend_late, load_saw, 0.1, true),
	LEAKS("leak that gets faster", trend_faster, load_white, 0.05, false),
	LEAKS("leak that gets faster, under garbage", trend_faster, load_garbage, 0.2, true),
	LEAKS("leak that gets slower", trend_slower, load_white, 0.02, true),
	LEAKS("leak with the load", trend_with_the_load, NULL, 0, false),
	LEAKS("leak with the load, under red noise", trend_with_the_load, load_red, 0.04, true),
	LEAKS("leak with pauses", trend_with_pauses, NULL, 0, true),
	LEAKS("leak with pauses, under white noise", trend_with_pauses, load_white, 0.06, false),
	LEAKS("leak with drops", trend_with_drops, load_white, 0.02, false),
	LEAKS("leak with drops, under requests", trend_with_drops, load_requests, 0.06, true),
	LEAKS("leak in a table that doubles", trend_doubling, NULL, 0, true),
	LEAKS("leak in a table that doubles, under white noise", trend_doubling, load_white, 0.03, false),
	WARM("warm-up, then a leak", trend_straight, NULL, 0, false),
	WARM("warm-up, then a leak under white noise", trend_straight, load_white, 0.06, true),
	WARM("warm-up, then stairs", trend_stairs, NULL, 0, true),
	WARM("warm-up, then a leak under a saw", trend_straight, load_saw, 0.2, false),
	WARM("warm-up, then a leak with pauses", trend_with_pauses, load_white, 0.03, true),
	BOUNDED("white noise", NULL, load_white, 1, false),
	BOUNDED("red noise", NULL, load_red, 1, false),
	BOUNDED("very red noise", NULL, load_very_red, 1, true),
	BOUNDED("bounded walk", NULL, load_walk, 1, false),
	BOUNDED("saw", NULL, load_saw, 1, false),
	BOUNDED("garbage", NULL, load_garbage, 1, true),
	BOUNDED("sine", NULL, load_sine, 1, false),
	BOUNDED("days", NULL, load_days, 1, true),
	BOUNDED("bursts", NULL, load_bursts, 1, false),
	BOUNDED("on and off", NULL, load_on_off, 1, true),
	BOUNDED("requests", NULL, load_requests, 1, false),
	BOUNDED("births and deaths", NULL, load_births, 1, true),
	BOUNDED("saturation", trend_saturation, NULL, 0, false),
	BOUNDED("saturation under white noise", trend_saturation, load_white, 0.02, true),
	BOUNDED("saturation under a saw", trend_saturation, load_saw, 0.2, true),
	BOUNDED("saturation under red noise", trend_saturation, load_red, 0.05, false),
	BOUNDED("cache that fills", trend_filling, NULL, 0, true),
	BOUNDED("cache that fills, under white noise", trend_filling, load_white, 0.03, false),
	BOUNDED("cache that fills, under garbage", trend_filling, load_garbage, 0.15, true),
	BOUNDED("cache that fills, under a walk", trend_filling, load_walk, 0.1, false),
	BOUNDED("step", trend_step, NULL, 0, false),
	BOUNDED("step under white noise", trend_step, load_white, 0.1, true),
	BOUNDED("step under red noise", trend_step, load_red, 0.15, false),
	BOUNDED("step under a saw", trend_step, load_saw, 0.3, true),
	BOUNDED("stairs that end", trend_ended_stairs, NULL, 0, true),
	BOUNDED("stairs that end, under white noise", trend_ended_stairs, load_white, 0.05, false),
	BOUNDED("stairs that end, under requests", trend_ended_stairs, load_requests, 0.1, true),
	BOUNDED("hump", trend_hump, load_white, 0.03, false),
	BOUNDED("hump under garbage", trend_hump, load_garbage, 0.2, true),
	BOUNDED("fall", trend_fall, load_white, 0.05, false),
	BOUNDED("fall under a saw", trend_fall, load_saw, 0.2, true),
	BOUNDED("logarithm", trend_logarithm, load_white, 0.01, true),
};

#undef LEAKS
#undef WARM
#undef BOUNDED

/* ---------------------------------------------------------------- a history */

/* One in five has irregular times, one in ten a gap, in which what goes on goes on. */
static inline void draw_times(struct history *history)
{
	double interval_s = family_draw_log(history, 0.5, 120);
	double jitter = family_draw(history, 0, 1) < 0.2 ? 0.8 : 0.02;
	size_t gap_at =
		family_draw(history, 0, 1) < 0.1 ? 1 + (size_t)family_draw(history, 0, (double)history->count - 2) : 0;
	double gap_s = interval_s * family_draw_log(history, 5, (double)history->count);
	for (size_t i = 1; i < history->count; i++)
		history->seconds[i] = history->seconds[i - 1] +
				      interval_s * (1 + family_draw(history, -jitter, jitter)) +
				      (i == gap_at ? gap_s : 0);
	for (size_t i = 0; i < history->count; i++)
		history->x[i] = history->seconds[i] / history->seconds[history->count - 1];
}

/* Whether a trend of 1 under this load shows: by six standard errors of a slope, samples that resemble each other
 * counted less. */
static inline bool shows_trend(const struct history *history, double share)
{
	double n = (double)history->count, mean = 0, square = 0, product = 0;
	for (size_t i = 0; i < history->count; i++)
		mean += history->load[i] / n;
	for (size_t i = 0; i < history->count; i++) {
		square += (history->load[i] - mean) * (history->load[i] - mean);
		if (i)
			product += (history->load[i] - mean) * (history->load[i - 1] - mean);
	}
	double rho = history->is_periodic ? 0 : fmax(0, fmin(0.99, product / fmax(square, 1e-12)));
	double effective = fmax(2, n * (1 - rho) / (1 + rho));
	return 1 >= 6 * share * sqrt(square / n * 12 / effective);
}

/* Memory comes by pages, by steps of brk, by huge pages. */
static inline double draw_grain(struct history *history, double size)
{
	static const double grains[] = {4096, 4096, 4096, 135168, 1048576, 2097152};
	double grain = grains[(size_t)family_draw(history, 0, LH_ARRAY_COUNT(grains))];
	return grain > size / 16 ? 4096 : grain;
}

/* `count`: samples; 0: drawn, 20 to 200. */
static inline void draw_history(const struct history_family *family, uint64_t seed, size_t count, struct history *ret)
{
	*ret = (struct history){.seed = seed * 0x9e3779b97f4a7c15u + 1, .is_knowable = true};
	for (int i = 0; i < 4; i++)
		unit_random(&ret->seed);
	ret->count = count ? count : (size_t)family_draw_log(ret, 20, HISTORY_MAX + 0.999);
	draw_times(ret);
	double size = family_draw_log(ret, 600 * 1024, 500.0 * 1048576);
	double level = family_draw_log(ret, 1048576, 2048.0 * 1048576);
	double share = family->load_share * family_draw_log(ret, 0.25, 2);
	double grain = draw_grain(ret, size);
	ret->parameter = family_draw(ret, 0, 1);
	double warm_up = family->has_warm_up ? family_draw_log(ret, 1, 30) : 0;
	double warm_end = family_draw(ret, 0.03, 0.25);
	bool is_gradual = family_draw(ret, 0, 1) < 0.5;
	if (family->load)
		family->load(ret, family_draw(ret, 0, 1));
	ret->is_knowable &= !family->is_leak || shows_trend(ret, share);
	for (size_t i = 0; i < ret->count; i++) {
		double x = ret->x[i];
		double warm = is_gradual ? 1 - exp(-5 * x / warm_end) : fmin(1, x / warm_end);
		double value = (family->trend ? family->trend(ret, x, ret->parameter) : 0) + share * ret->load[i] +
			       warm_up * warm;
		ret->bytes[i] =
			grain * floor(fmax(0, level + size * (value + (family->trend ? 0 : 4 * share))) / grain);
	}
}

#endif
