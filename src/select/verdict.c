/*
 * verdict: turns a series into a probability, one word and the reason for it. The probability comes from growth_model;
 * the word for series that do not leak comes from plain rules. No word contradicts the interval of the slope: a rise
 * beyond the resolution is never called flat, and a series that may as well be flat is never called a leak.
 */
#include "verdict.h"

#include "bursts.h"
#include "growth_model.h"
#include "last_regime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With many samples: at or below this, no leak; between this and least_leak_probability(), undecided. */
static const double NONE_PROBABILITY = 0.2;

/* A fall by more than this share of the range means up and down, not up. */
static const double FALL_SHARE = 1.0 / 3;
/* One rise of this share of all growth is a step. */
static const double STEP_SHARE = 0.85;
static const double JUMP_SHARE = 0.5;
/* Ups and downs by less than this share of the level are noise, not a sawtooth. */
static const double NOISE_SHARE = 0.1;
/* A few samples may be off by this share of the level without making it a sawtooth. */
static const double OUTLIER_SHARE = 0.5;
/* A rise below the minimum that counts, if less likely than this to be an accident, may become one. */
static const double SMALL_RISE_CHANCE = 0.001;
/* A fall by GIVEN_BACK of the range to within NEAR_START of its start: memory is given back now and then. */
static const double GIVEN_BACK = 0.5;
static const double NEAR_START = 0.05;
/* A slope whose interval extends below 0 by this share of it may as well be none. */
static const double INTERVAL_SHARE = 0.25;

const char *lh_verdict_name(enum lh_verdict verdict)
{
	static const char *const names[LH_VERDICT_COUNT] = {"leak",     "growing", "plateau",   "step",
							    "sawtooth", "steady",  "shrinking", "undecided"};
	return verdict < LH_VERDICT_COUNT ? names[verdict] : "unknown";
}

bool lh_verdict_is_rising(enum lh_verdict verdict)
{
	return verdict == LH_VERDICT_LEAK || verdict == LH_VERDICT_GROWING;
}

bool lh_verdict_may_grow(enum lh_verdict verdict)
{
	return lh_verdict_is_rising(verdict) || verdict == LH_VERDICT_UNDECIDED;
}

bool lh_growth_is_suspect(const struct lh_growth *growth)
{
	if (lh_verdict_is_rising(growth->verdict))
		return true;
	return growth->verdict == LH_VERDICT_UNDECIDED && growth->growth_bytes >= (int64_t)LH_GROWTH_MIN_BYTES;
}

bool lh_selection_leaks(const struct lh_selection *selection, double probability)
{
	return selection->total.verdict == LH_VERDICT_LEAK && selection->total.probability >= probability;
}

const struct lh_growth *lh_selection_suspect(const struct lh_selection *selection)
{
	return selection->suspect < selection->growths.count ? &selection->growths.items[selection->suspect] : NULL;
}

/* A formatted size and a time, for one printf. */
struct words {
	char text[LH_FORMAT_MAX];
};

static struct words bytes_in_words(double bytes)
{
	struct words words = {0};
	lh_format_bytes((uint64_t)fmin(fabs(bytes), 9e18), words.text);
	return words;
}

static struct words time_in_words(double seconds)
{
	struct words words = {0};
	lh_format_duration((uint64_t)(fmin(fabs(seconds), 9e9) * 1e9), words.text);
	return words;
}

static void say_verdict(struct lh_judgement *judgement, enum lh_verdict verdict, const char *format, ...)
	LH_PRINTF(3, 4);

static void say_verdict(struct lh_judgement *judgement, enum lh_verdict verdict, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(judgement->reason, sizeof(judgement->reason), format, list);
	va_end(list);
	judgement->verdict = verdict;
}

/* Undecided, and how long to watch: until there are enough samples, and twice as long as so far. */
static void say_undecided(struct lh_judgement *judgement, const struct lh_trend *trend, size_t count, const char *what)
{
	static const double LONGEST_S = 30.0 * 86400;
	double interval_s = trend->span_s / (double)(count - 1);
	double more_s = fmax(trend->span_s, (LH_GROWTH_MODEL_MIN_SAMPLES - (double)count) * interval_s);
	if (trend->slope > 0)
		more_s = fmax(more_s, 1.5 * (double)LH_GROWTH_MIN_BYTES / trend->slope - trend->span_s);
	more_s = fmin(more_s, LONGEST_S);
	judgement->watch_more_ns = (uint64_t)(more_s * 1e9);
	say_verdict(judgement, LH_VERDICT_UNDECIDED, "%s: watch %s more", what, time_in_words(more_s).text);
}

/*
 * Too few samples for the model. Of 10 samples that rise straight, one in three processes is warming up: what the model
 * calls a leak at 10 samples was one in 64 of 100 records.
 */
static void judge_few(const struct lh_trend *trend, size_t count, struct lh_judgement *ret)
{
	static const double STRAIGHT_PROBABILITY = 0.6;
	char what[120];
	double change = trend->last - trend->first;
	ret->probability = 0.5;
	if (count >= LH_SAMPLES_MIN && trend->up_count >= LH_SAMPLES_MIN - 1 && !trend->down_count &&
	    trend->late_slope >= 0.5 * trend->early_slope && trend->late_slope > 0) {
		ret->probability = STRAIGHT_PROBABILITY;
		ret->watch_more_ns = (uint64_t)(trend->span_s * 1e9);
		say_verdict(ret, LH_VERDICT_GROWING,
			    "rose in %zu of %zu intervals, by %s in %s; %zu samples are too few to tell a "
			    "leak from a warm-up",
			    trend->up_count, count - 1, bytes_in_words(change).text, time_in_words(trend->span_s).text,
			    count);
		return;
	}
	snprintf(what, sizeof(what), "%s by %s, but %zu samples are too few to tell a trend",
		 change < 0   ? "fell"
		 : change > 0 ? "rose"
			      : "moved",
		 bytes_in_words(change != 0 ? change : trend->max - trend->min).text, count);
	say_undecided(ret, trend, count, what);
}

static void judge_small(const struct lh_trend *trend, size_t count, struct lh_judgement *ret)
{
	double range = trend->max - trend->min;
	if (trend->last > trend->first && trend->rising_chance <= SMALL_RISE_CHANCE) {
		char what[120];
		snprintf(what, sizeof(what), "rises, but only by %s so far", bytes_in_words(range).text);
		ret->probability = 0.5;
		say_undecided(ret, trend, count, what);
		return;
	}
	say_verdict(ret, LH_VERDICT_STEADY, "moves by no more than %s", bytes_in_words(range).text);
}

/* The series from a sample on, including that sample. */
static struct lh_series series_from(struct lh_series series, size_t at)
{
	return (struct lh_series){series.seconds + at, series.values + at, series.count - at};
}

/*
 * The limit of a curve that converges geometrically, from three equal parts (Aitken 1926); NAN: it does not converge.
 */
static double level_ahead(struct lh_series series)
{
	double third[3] = {0};
	size_t count = series.count / 3;
	for (size_t part = 0; part < 3; part++) {
		for (size_t i = 0; i < count; i++)
			third[part] += series.values[part * count + i] / (double)count;
	}
	double first = third[1] - third[0];
	double second = third[2] - third[1];
	if (first <= 0 || second <= 0 || second >= 0.8 * first)
		return NAN;
	return third[2] + second * second / (first - second);
}

/* ---------------------------------------------------------------- leaks */

/* What was judged: a whole series, or the part after a regime that ended. */
struct evidence {
	struct lh_series series;
	struct lh_trend trend; /* of it */
	struct lh_growth_odds odds;
	size_t start; /* its first sample in the whole series */
};

/* The flat time before a leak that began late. */
static double flat_time_s(const struct evidence *evidence, const struct lh_trend *whole)
{
	if (evidence->start)
		return whole->span_s - evidence->trend.span_s;
	return evidence->series.seconds[evidence->trend.first_rise_at - 1] - evidence->series.seconds[0];
}

static void describe_leak(const struct evidence *evidence, const struct lh_trend *whole, char *ret, size_t size)
{
	const struct lh_trend *trend = &evidence->trend;
	struct words grown = bytes_in_words(trend->last - trend->first);
	if (evidence->start && whole->max - whole->min > 2 * (trend->max - trend->min))
		snprintf(ret, size, "moved by %s at first, and has risen by %s in the %s since",
			 bytes_in_words(whole->max - whole->min).text, grown.text, time_in_words(trend->span_s).text);
	else if (evidence->start || (trend->first_rise_at > evidence->series.count / 5 && trend->drawdown <= 0))
		snprintf(ret, size, "flat for %s, then rose by %s, and still does",
			 time_in_words(flat_time_s(evidence, whole)).text, grown.text);
	else if (trend->drawdown > FALL_SHARE * (trend->max - trend->min))
		snprintf(ret, size, "goes up and down by %s, but its floor rises, by %s/h",
			 bytes_in_words(trend->drawdown).text, bytes_in_words(trend->slope * 3600).text);
	else if (trend->largest_rise >= JUMP_SHARE * (trend->max - trend->first) && trend->rise_count > 1)
		snprintf(ret, size, "jumped by %s, and has risen by %s since", bytes_in_words(trend->largest_rise).text,
			 bytes_in_words(trend->last - evidence->series.values[trend->largest_rise_at]).text);
	else
		snprintf(ret, size, "rose in %zu of %zu intervals, by %s in %s, and still does", trend->up_count,
			 evidence->series.count - 1, grown.text, time_in_words(trend->span_s).text);
}

/* ---------------------------------------------------------------- what is in between */

/* Why a rise is not called a leak yet: the strongest counterevidence. */
static void describe_doubt(const struct evidence *evidence, char *ret, size_t size)
{
	const struct lh_trend *trend = &evidence->trend;
	double growth = trend->last - trend->first;
	struct words grown = bytes_in_words(growth);
	double level = level_ahead(evidence->series);
	if (growth <= 0)
		snprintf(ret, size, "fell by %s, with rises of up to %s", grown.text,
			 bytes_in_words(trend->drawup).text);
	else if (!isnan(level))
		snprintf(ret, size, "rose by %s, ever slower, as if to %s", grown.text, bytes_in_words(level).text);
	else if (trend->late_slope < 0.5 * trend->early_slope)
		snprintf(ret, size, "rose by %s, but slows down: %s/h at first, %s/h lately", grown.text,
			 bytes_in_words(trend->early_slope * 3600).text,
			 bytes_in_words(fmax(trend->late_slope, 0) * 3600).text);
	else if (trend->drawdown > FALL_SHARE * (trend->max - trend->min))
		snprintf(ret, size, "rose by %s, under ups and downs of %s", grown.text,
			 bytes_in_words(trend->drawdown).text);
	else if (trend->rise_count <= 2)
		snprintf(ret, size, "rose by %s, %s", grown.text, trend->rise_count < 2 ? "once" : "twice");
	else
		snprintf(ret, size, "rose by %s in %zu of %zu intervals, not steadily enough to tell", grown.text,
			 trend->up_count, evidence->series.count - 1);
}

static void judge_between(const struct evidence *evidence, struct lh_judgement *ret)
{
	char doubt[160], what[200], chance[LH_FORMAT_MAX];
	describe_doubt(evidence, doubt, sizeof(doubt));
	snprintf(what, sizeof(what), "%s (chance of a leak: %s)", doubt, lh_format_chance(ret->probability, chance));
	say_undecided(ret, &evidence->trend, evidence->series.count, what);
}

/* ---------------------------------------------------------------- what does not leak */

/* Whether a slope's interval excludes 0 by more than its own half width. */
static bool excludes_zero(const struct lh_judgement *judgement, double sign)
{
	double half_width = (judgement->slope_high - judgement->slope_low) / 2;
	return sign * judgement->slope > 2 * half_width;
}

/* The rate is then that of the part after the rise. */
static struct lh_error *take_rate_from(struct lh_series series, const struct lh_trend *whole, size_t start,
				       struct lh_judgement *ret)
{
	struct lh_trend trend;
	struct lh_series rest = series_from(series, start);
	double rest_s = series.seconds[series.count - 1] - series.seconds[start];
	ret->resolution = fmax((double)LH_GROWTH_MIN_BYTES, whole->tolerance) / fmax(rest_s, 1e-9);
	if (rest.count < 3)
		return NULL;
	LH_TRY(lh_trend_measure(rest, &trend));
	ret->slope = trend.slope;
	ret->slope_low = trend.slope_low;
	ret->slope_high = trend.slope_high;
	return NULL;
}

/* Up and down, without a rising floor. */
static void judge_level(const struct lh_trend *trend, struct lh_judgement *ret)
{
	double range = trend->max - trend->min;
	/* Outliers do not move the noise, but they must not be far off a level that is called steady. */
	bool is_calm = 4 * trend->noise <= NOISE_SHARE * trend->median && range <= OUTLIER_SHARE * trend->median;
	const char *how = trend->drawdown <= FALL_SHARE * range ? "moves by no more than" : "goes up and down by";
	if (is_calm || range <= NOISE_SHARE * trend->median)
		say_verdict(ret, LH_VERDICT_STEADY, "%s %s around %s", how, bytes_in_words(range).text,
			    bytes_in_words(trend->median).text);
	else
		say_verdict(ret, LH_VERDICT_SAWTOOTH, "goes up and down between %s and %s; the floor does not rise",
			    bytes_in_words(trend->min).text, bytes_in_words(trend->max).text);
}

static struct lh_error *judge_ended_rise(struct lh_series series, const struct lh_trend *trend,
					 struct lh_judgement *ret)
{
	double growth = trend->max - trend->first;
	double rose_s = series.seconds[trend->last_rise_at] - series.seconds[0];
	struct words grown = bytes_in_words(trend->last - trend->first);
	ret->plateau_start_s = series.seconds[trend->last_rise_at];
	LH_TRY(take_rate_from(series, trend, trend->last_rise_at, ret));
	if (excludes_zero(ret, 1) && ret->slope * (trend->span_s - rose_s) >= (double)LH_GROWTH_MIN_BYTES)
		say_verdict(ret, LH_VERDICT_PLATEAU, "rose by %s, and levels off: %s/h lately", grown.text,
			    bytes_in_words(ret->slope * 3600).text);
	else if (trend->largest_rise >= STEP_SHARE * growth)
		say_verdict(
			ret, LH_VERDICT_STEP, "one jump by %s, %s ago; no trend since",
			bytes_in_words(trend->largest_rise).text,
			time_in_words(series.seconds[series.count - 1] - series.seconds[trend->largest_rise_at]).text);
	else
		say_verdict(ret, LH_VERDICT_PLATEAU, "rose by %s in %s, then stayed for %s", grown.text,
			    time_in_words(rose_s).text, time_in_words(trend->span_s - rose_s).text);
	return NULL;
}

static struct lh_error *judge_no_leak(const struct evidence *evidence, struct lh_series series,
				      const struct lh_trend *trend, struct lh_judgement *ret)
{
	enum { STAYED_MIN = 2 };
	double range = trend->max - trend->min;
	if (trend->last < trend->first && (trend->drawup <= FALL_SHARE * range || excludes_zero(ret, -1))) {
		say_verdict(ret, LH_VERDICT_SHRINKING, "fell by %s", bytes_in_words(trend->first - trend->last).text);
		return NULL;
	}
	bool goes_up = trend->drawdown <= FALL_SHARE * range && range > NOISE_SHARE * trend->median;
	if (goes_up && trend->last_rise_at && series.count - 1 - trend->last_rise_at >= STAYED_MIN)
		return judge_ended_rise(series, trend, ret);
	double least_rise = fmax((double)LH_GROWTH_MIN_BYTES, NEAR_START * range);
	if (goes_up || (excludes_zero(ret, 1) && ret->slope_low * trend->span_s >= least_rise))
		judge_between(evidence, ret);
	else
		judge_level(trend, ret);
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

/* Memory is given back now and then: a cache or a collector, even if it grows at the moment. */
static bool has_given_back(struct lh_series series, const struct lh_trend *trend)
{
	double range = trend->max - trend->min;
	double low = fmin(series.values[0], fmin(series.values[1], series.values[2])) + NEAR_START * range;
	double highest = series.values[0];
	for (size_t i = 1; i < series.count; i++) {
		if (series.values[i] <= low && highest - series.values[i] >= GIVEN_BACK * range)
			return true;
		highest = fmax(highest, series.values[i]);
	}
	return false;
}

static struct lh_error *gather_from(struct lh_series series, size_t start, struct evidence *ret)
{
	ret->start = start;
	ret->series = series_from(series, start);
	LH_TRY(lh_growth_odds_of(ret->series, &ret->odds));
	return lh_trend_measure(ret->series, &ret->trend);
}

/* What came after a jump decides, where it does so itself: by standing still for as long as before, or by its odds. */
static struct lh_error *gather_after_jump(struct lh_series series, size_t jump, struct evidence *ret)
{
	struct evidence part;
	struct lh_series rest = series_from(series, jump);
	if (rest.count < LH_GROWTH_MODEL_MIN_SAMPLES && rest.count < jump)
		return NULL;
	LH_TRY(lh_trend_measure(rest, &part.trend));
	if (part.trend.max - part.trend.min < (double)LH_GROWTH_MIN_BYTES) {
		ret->odds.probability = fmin(ret->odds.probability, NONE_PROBABILITY);
		return NULL;
	}
	if (rest.count < LH_GROWTH_MODEL_MIN_SAMPLES)
		return NULL;
	LH_TRY(gather_from(series, jump, &part));
	if (part.odds.probability <= NONE_PROBABILITY || part.odds.probability >= 0.8)
		*ret = part;
	return NULL;
}

/*
 * The whole series; or what came after a regime that ended, when that leaks; or after a jump, where the whole does not
 * tell.
 */
static struct lh_error *gather_evidence(struct lh_series series, const struct lh_trend *whole, struct evidence *ret)
{
	struct evidence part;
	size_t regime = 0;
	LH_TRY(gather_from(series, 0, ret));
	if (has_given_back(series, whole))
		ret->odds.probability = fmin(ret->odds.probability, 0.5);
	LH_TRY(lh_last_regime_find(series, &regime));
	if (regime) {
		LH_TRY(gather_from(series, regime, &part));
		if (part.odds.probability >= 0.5)
			*ret = part;
	}
	bool is_open = ret->odds.probability > NONE_PROBABILITY && ret->odds.probability < 0.8;
	if (!is_open || whole->largest_rise < STEP_SHARE * (whole->max - whole->first))
		return NULL;
	return gather_after_jump(series, whole->largest_rise_at, ret);
}

/* The rate is that of the series averaged over its period, so that a sawtooth's phase does not count. */
static struct lh_error *take_rate(const struct evidence *evidence, struct lh_judgement *ret)
{
	struct lh_trend mean = evidence->trend;
	if (evidence->odds.period > 1)
		LH_TRY(lh_trend_measure((struct lh_series){evidence->odds.mean_seconds, evidence->odds.mean_bytes,
							   evidence->odds.mean_count},
					&mean));
	ret->slope = mean.slope;
	ret->slope_low = mean.slope_low;
	ret->slope_high = mean.slope_high;
	return NULL;
}

/*
 * A short series looks straighter than it is: bounded memory is called a leak early, unless more is asked for. Of very
 * few samples none but the straightest is one, and its probability says what that is worth.
 */
static double least_leak_probability(size_t count)
{
	static const double NEAR_MOST = 0.99;
	return count < 80 ? fmin(0.9, NEAR_MOST * lh_evidence_most(count)) : 0.8;
}

/* What is known of the part that decides, which may begin later than the whole. */
static struct lh_circumstances circumstances_from(const struct lh_circumstances *about, struct lh_series whole,
						  size_t start)
{
	struct lh_circumstances part = *about;
	if (part.age_s >= 0)
		part.age_s += whole.seconds[start] - whole.seconds[0];
	if (part.counters)
		part.counters += start;
	if (part.collected)
		part.collected += start;
	return part;
}

/* Names what beside the curve speaks for a leak that is one, and against one that is not decided. */
static void append_evidence(struct lh_judgement *judgement)
{
	const struct lh_evidence_row *row = lh_evidence_main(judgement->evidence);
	bool is_named = row && (judgement->verdict == LH_VERDICT_LEAK) == (row->weight > 0);
	size_t length = strlen(judgement->reason);
	if (is_named && length + strlen(row->text) + sizeof("; ") <= sizeof(judgement->reason))
		snprintf(judgement->reason + length, sizeof(judgement->reason) - length, "; %s", row->text);
}

/* Few samples show less: not all that stands still in them stays where it is. */
static double most_none_probability(size_t count)
{
	static const double MANY = 80;
	return NONE_PROBABILITY * fmin(1, pow((double)count / MANY, 0.25));
}

/* Whether the curve would be a leak, were there more of it, and nothing else speaks against one. */
static bool is_only_early(const struct lh_judgement *judgement, double least)
{
	double beside = 0;
	for (int i = LH_EVIDENCE_AGE + 1; i < LH_EVIDENCE_COUNT; i++)
		beside += judgement->evidence[i].weight;
	return beside >= 0 && judgement->evidence[LH_EVIDENCE_CURVE].weight >= log(least / (1 - least));
}

static void judge_early(const struct evidence *evidence, struct lh_judgement *ret)
{
	const struct lh_trend *trend = &evidence->trend;
	ret->watch_more_ns = (uint64_t)(trend->span_s * 1e9);
	say_verdict(ret, LH_VERDICT_GROWING,
		    "rose in %zu of %zu intervals, by %s in %s; too few samples to tell a leak from a warm-up",
		    trend->up_count, evidence->series.count - 1, bytes_in_words(trend->last - trend->first).text,
		    time_in_words(trend->span_s).text);
}

static struct lh_error *judge_curve(struct lh_series series, const struct lh_circumstances *about,
				    const struct lh_trend *whole, struct lh_judgement *ret)
{
	struct evidence evidence;
	LH_TRY(gather_evidence(series, whole, &evidence));
	LH_TRY(take_rate(&evidence, ret));
	struct lh_circumstances part = circumstances_from(about, series, evidence.start);
	ret->probability = lh_evidence_weigh(evidence.series, &part, evidence.odds.probability, ret->evidence);
	bool may_stand_still = ret->slope_low < -INTERVAL_SHARE * ret->slope;
	if (ret->probability <= most_none_probability(evidence.series.count))
		return judge_no_leak(&evidence, series, whole, ret);
	double least = least_leak_probability(evidence.series.count);
	if (!may_stand_still && ret->probability < least && is_only_early(ret, least)) {
		judge_early(&evidence, ret);
		return NULL;
	}
	if (ret->probability < least || may_stand_still) {
		judge_between(&evidence, ret);
		append_evidence(ret);
		return NULL;
	}
	char what[160], chance[LH_FORMAT_MAX];
	describe_leak(&evidence, whole, what, sizeof(what));
	say_verdict(ret, LH_VERDICT_LEAK, "%s (chance of a leak: %s)", what,
		    lh_format_chance(ret->probability, chance));
	append_evidence(ret);
	return NULL;
}

/* Judges a series without the bursts that hide the rest of it. */
static struct lh_error *judge_without_bursts(struct lh_series series, const struct lh_circumstances *about,
					     struct lh_judgement *ret)
{
	LH_CLEANUP(lh_cleanup_free) double *values = calloc(series.count, sizeof(*values));
	struct lh_trend trend;
	if (!values)
		return lh_error_no_memory();
	double burst = lh_bursts_cut(series, values);
	series.values = values;
	LH_TRY(lh_trend_measure(series, &trend));
	if (trend.max - trend.min < (double)LH_GROWTH_MIN_BYTES)
		judge_small(&trend, series.count, ret);
	else
		LH_TRY(judge_curve(series, about, &trend, ret));
	if (burst > 0) {
		size_t length = strlen(ret->reason);
		snprintf(ret->reason + length, sizeof(ret->reason) - length, "; bursts of up to %s left out",
			 bytes_in_words(burst).text);
	}
	return NULL;
}

/* What does not grow may do so at the upper end of its interval, or by too little for the time it was watched. */
static void take_resolution(const struct lh_trend *trend, struct lh_judgement *judgement)
{
	double half_width = (judgement->slope_high - judgement->slope_low) / 2;
	bool is_open = lh_verdict_may_grow(judgement->verdict);
	double slowest =
		fmax((double)LH_GROWTH_MIN_BYTES / trend->span_s, is_open ? half_width : judgement->slope_high);
	judgement->resolution = fmax(judgement->resolution, slowest);
}

struct lh_error *lh_judge(struct lh_series series, const struct lh_circumstances *about, struct lh_judgement *ret)
{
	static const struct lh_circumstances nothing = {.age_s = LH_NEVER_S};
	struct lh_trend trend;
	LH_TRY(lh_trend_measure(series, &trend));
	struct lh_judgement judgement = {
		.verdict = LH_VERDICT_UNDECIDED,
		.slope = trend.slope,
		.slope_low = trend.slope_low,
		.slope_high = trend.slope_high,
		.growth_start_s = trend.first_rise_at ? series.seconds[trend.first_rise_at - 1] : LH_NEVER_S,
		.plateau_start_s = LH_NEVER_S,
	};
	double range = trend.max - trend.min;
	if (range <= 0)
		say_verdict(&judgement, LH_VERDICT_STEADY, "did not change in %zu samples", series.count);
	else if (range < (double)LH_GROWTH_MIN_BYTES)
		judge_small(&trend, series.count, &judgement);
	else if (series.count < LH_GROWTH_MODEL_MIN_SAMPLES)
		judge_few(&trend, series.count, &judgement);
	else
		LH_TRY(judge_without_bursts(series, about ? about : &nothing, &judgement));
	take_resolution(&trend, &judgement);
	*ret = judgement;
	return NULL;
}
