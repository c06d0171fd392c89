/*
 * verdict: turns a series' figures into one word and the reason for it. Careful before eager: a
 * steady process must not be called a leak, so a leak has to rise beyond chance, beyond its own
 * noise, spread over the whole time, and still at the end. Whatever fails that is undecided.
 */
#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A fall of more than this share of the whole range means up and down rather than up. */
static const double FALL_SHARE = 1.0 / 3;
/* One rise of this share of all growth is a step; from the other on, what follows is judged by itself. */
static const double STEP_SHARE = 0.85;
static const double JUMP_SHARE = 0.5;
/* A second half that rises by no more than this share of the whole range is flat. */
static const double FLAT_SHARE = 0.02;
/* Slower than this share of its first half's slope, the second half is slowing down. */
static const double SLOWING_SHARE = 0.5;
/* Up and down by less than this share of its level is noise, not a sawtooth. */
static const double NOISE_SHARE = 0.1;
/*
 * Chance of a false alarm that is put up with. Of a short series the order alone cannot say enough (5
 * samples rise by accident in 1 of 120 cases), so that it must lie straight as well: of a process with
 * 50 regions of independent noise, one is called a leak by accident less than once in 1000 times.
 */
static const double LEAK_CHANCE = 0.001;
static const double LEAK_CHANCE_SHORT = 0.01;
static const double STRAIGHT_CHANCE = 0.00001;
/* Likelier than this to come about by accident, a rise within the noise share is none. */
static const double NOISE_CHANCE = 0.05;
enum { SHORT_SERIES = 8, LONG_SERIES = 20, LEAK_NOISES = 4, LEAK_RISES = 3 };

const char *lh_verdict_name(enum lh_verdict verdict)
{
	static const char *const names[LH_VERDICT_COUNT] = {"leak",   "plateau",   "step",     "sawtooth",
							    "steady", "shrinking", "undecided"};
	return verdict < LH_VERDICT_COUNT ? names[verdict] : "unknown";
}

bool lh_growth_is_suspect(const struct lh_growth *growth)
{
	if (growth->verdict == LH_VERDICT_LEAK)
		return true;
	return growth->verdict == LH_VERDICT_UNDECIDED && growth->growth_bytes >= (int64_t)LH_GROWTH_MIN_BYTES;
}

/* A size and a time as people read them, for use in one printf. */
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

static void say(struct lh_judgement *judgement, enum lh_verdict verdict, const char *format, ...) LH_PRINTF(3, 4);

static void say(struct lh_judgement *judgement, enum lh_verdict verdict, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(judgement->reason, sizeof(judgement->reason), format, list);
	va_end(list);
	judgement->verdict = verdict;
}

/* Undecided; how long to watch: till there are enough samples, and till it is above what is noise. */
static void say_undecided(struct lh_judgement *judgement, const struct lh_trend *trend, size_t count, const char *what)
{
	static const double LONGEST_S = 30.0 * 86400;
	double interval_s = trend->span_s / (double)(count - 1);
	double more_s = fmax(trend->span_s, (LH_SAMPLES_MIN + 1 - (double)count) * interval_s);
	if (trend->slope > 0) {
		double needed = fmax((double)LH_GROWTH_MIN_BYTES, LEAK_NOISES * trend->noise);
		more_s = fmax(more_s, 1.5 * needed / trend->slope - trend->span_s);
	}
	more_s = fmin(more_s, LONGEST_S);
	judgement->watch_more_ns = (uint64_t)(more_s * 1e9);
	say(judgement, LH_VERDICT_UNDECIDED, "%s: watch %s more", what, time_in_words(more_s).text);
}

static void judge_few(const struct lh_trend *trend, size_t count, struct lh_judgement *ret)
{
	char what[120];
	double change = trend->last - trend->first;
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
	double chance = count < SHORT_SERIES ? LEAK_CHANCE_SHORT : LEAK_CHANCE;
	if (trend->up_count >= LEAK_RISES && trend->last > trend->first && trend->rising_chance <= chance) {
		char what[120];
		snprintf(what, sizeof(what), "rises, but only by %s so far", bytes_in_words(range).text);
		say_undecided(ret, trend, count, what);
		return;
	}
	say(ret, LH_VERDICT_STEADY, "moves by no more than %s", bytes_in_words(range).text);
}

static bool rises_beyond_chance(const struct lh_trend *trend, size_t count)
{
	double rise = trend->slope * trend->span_s;
	bool is_short = count < SHORT_SERIES;
	return rise >= (double)LH_GROWTH_MIN_BYTES && trend->rise_count >= LEAK_RISES &&
	       trend->rising_chance <= (is_short ? LEAK_CHANCE_SHORT : LEAK_CHANCE) &&
	       trend->straight_chance <= STRAIGHT_CHANCE && rise >= LEAK_NOISES * trend->noise;
}

/* A leak that is smaller than the ups and downs on top of it shows in a long series only. */
static bool rises_under_noise(const struct lh_trend *trend, size_t count)
{
	return count >= LONG_SERIES && rises_beyond_chance(trend, count) && trend->slope_low > 0 &&
	       trend->late_slope >= SLOWING_SHARE * trend->early_slope;
}

/* The blocks' order alone is no proof where neighbours resemble each other: then the whole must rise, too. */
static bool floor_rises(const struct lh_trend *trend)
{
	return trend->floor_rise >= FALL_SHARE * (trend->max - trend->min) &&
	       trend->floor_rise >= (double)LH_GROWTH_MIN_BYTES && trend->rising_chance <= NOISE_CHANCE;
}

static void judge_up_and_down(const struct lh_trend *trend, size_t count, struct lh_judgement *ret)
{
	double range = trend->max - trend->min;
	if (trend->drawup <= FALL_SHARE * range && trend->last < trend->first) {
		say(ret, LH_VERDICT_SHRINKING, "fell by %s", bytes_in_words(trend->first - trend->last).text);
	} else if (floor_rises(trend)) {
		say(ret, LH_VERDICT_LEAK, "goes up and down by %s, but its floor rises all the time, by %s",
		    bytes_in_words(trend->drawdown).text, bytes_in_words(trend->floor_rise).text);
	} else if (rises_under_noise(trend, count)) {
		say(ret, LH_VERDICT_LEAK, "rises by %s an hour under ups and downs of %s, by %s so far",
		    bytes_in_words(trend->slope * 3600).text, bytes_in_words(LEAK_NOISES * trend->noise).text,
		    bytes_in_words(trend->slope * trend->span_s).text);
	} else if (range <= NOISE_SHARE * trend->median || LEAK_NOISES * trend->noise <= NOISE_SHARE * trend->median) {
		say(ret, LH_VERDICT_STEADY, "goes up and down by %s around %s", bytes_in_words(range).text,
		    bytes_in_words(trend->median).text);
	} else {
		say(ret, LH_VERDICT_SAWTOOTH, "goes up and down between %s and %s; the floor does not rise",
		    bytes_in_words(trend->min).text, bytes_in_words(trend->max).text);
	}
}

/*
 * How long it has stayed, in seconds, or 0. Either no rise for a quarter of the time, and for twice as
 * long as it ever paused between rises; or, in a long series, where noise makes a late rise now and
 * then, no slope in its second half.
 */
static double levelled_off_for(const struct lh_trend *trend, size_t count)
{
	if (count - 1 - trend->last_rise_at >= 2 && trend->tail_s >= trend->span_s / 4 &&
	    trend->tail_s > 2 * trend->longest_gap_s)
		return trend->tail_s;
	bool is_flat = fabs(trend->late_slope) * trend->span_s / 2 <= FLAT_SHARE * (trend->max - trend->min);
	return count >= LONG_SERIES && is_flat ? trend->span_s / 2 : 0;
}

static void judge_rise(const struct lh_trend *trend, size_t count, struct lh_judgement *ret)
{
	char what[180];
	double growth = trend->last - trend->first;
	struct words grown = bytes_in_words(growth);
	double stayed_s = levelled_off_for(trend, count);
	if (stayed_s > 0) {
		say(ret, LH_VERDICT_PLATEAU, "rose by %s in %s, then stayed for %s", grown.text,
		    time_in_words(trend->span_s - stayed_s).text, time_in_words(stayed_s).text);
	} else if (trend->late_slope < SLOWING_SHARE * trend->early_slope) {
		snprintf(what, sizeof(what), "rose by %s, but slows down: %s/h at first, %s/h lately", grown.text,
			 bytes_in_words(trend->early_slope * 3600).text,
			 bytes_in_words(fmax(trend->late_slope, 0) * 3600).text);
		say_undecided(ret, trend, count, what);
	} else if (rises_beyond_chance(trend, count)) {
		say(ret, LH_VERDICT_LEAK, "rose in %zu of %zu intervals, by %s in %s, and still does (%s)",
		    trend->up_count, count - 1, grown.text, time_in_words(trend->span_s).text,
		    trend->rising_chance <= LEAK_CHANCE ? "by chance: less than 1 in 1000"
							: "by chance: less than 1 in 100");
	} else if (trend->rising_chance > NOISE_CHANCE && trend->max - trend->min <= NOISE_SHARE * trend->median) {
		say(ret, LH_VERDICT_STEADY, "moves by %s around %s, without a trend",
		    bytes_in_words(trend->max - trend->min).text, bytes_in_words(trend->median).text);
	} else {
		snprintf(what, sizeof(what), "rose by %s in %zu of %zu intervals, not steadily enough to tell",
			 grown.text, trend->up_count, count - 1);
		say_undecided(ret, trend, count, what);
	}
}

/* From a sample on, that one included. */
static struct lh_series series_from(struct lh_series series, size_t at)
{
	return (struct lh_series){series.seconds + at, series.values + at, series.count - at};
}

/* Whether a part of a series is a leak by itself. */
static bool keeps_rising(const struct lh_trend *part, size_t count)
{
	return levelled_off_for(part, count) <= 0 && part->late_slope >= SLOWING_SHARE * part->early_slope &&
	       part->drawdown <= FALL_SHARE * (part->max - part->min) && rises_beyond_chance(part, count);
}

/* Judges what follows a jump by itself. Leaves `ret` when that is no leak. */
static struct lh_error *judge_after_jump(struct lh_series series, const struct lh_trend *trend,
					 struct lh_judgement *ret)
{
	struct lh_series rest = series_from(series, trend->largest_rise_at);
	struct lh_trend after;
	if (rest.count < LH_SAMPLES_MIN)
		return NULL;
	LH_TRY(lh_trend_measure(rest, &after));
	if (!keeps_rising(&after, rest.count))
		return NULL;
	ret->slope = after.slope;
	say(ret, LH_VERDICT_LEAK, "jumped by %s, and has risen by %s since, in %zu of %zu intervals",
	    bytes_in_words(trend->largest_rise).text, bytes_in_words(after.last - after.first).text, after.up_count,
	    rest.count - 1);
	return NULL;
}

/* A series that was flat at first tells more without that part. Leaves `ret` when it does not. */
static struct lh_error *judge_late_start(struct lh_series series, const struct lh_trend *trend,
					 struct lh_judgement *ret)
{
	size_t start = trend->first_rise_at ? trend->first_rise_at - 1 : 0;
	struct lh_series rest = series_from(series, start);
	struct lh_trend after;
	if (start < series.count / 5 || rest.count < SHORT_SERIES)
		return NULL;
	LH_TRY(lh_trend_measure(rest, &after));
	if (!keeps_rising(&after, rest.count))
		return NULL;
	ret->slope = after.slope;
	ret->slope_low = after.slope_low;
	ret->slope_high = after.slope_high;
	ret->chance = after.rising_chance;
	ret->watch_more_ns = 0;
	say(ret, LH_VERDICT_LEAK, "flat for %s, then rose by %s in %zu of %zu intervals, and still does",
	    time_in_words(trend->span_s - after.span_s).text, bytes_in_words(after.last - after.first).text,
	    after.up_count, rest.count - 1);
	return NULL;
}

static void judge_step(struct lh_series series, const struct lh_trend *trend, struct lh_judgement *ret)
{
	struct lh_series rest = series_from(series, trend->largest_rise_at);
	struct words step = bytes_in_words(trend->largest_rise);
	if (rest.count < 3) {
		char what[120];
		snprintf(what, sizeof(what), "rose once, by %s, at the end", step.text);
		say_undecided(ret, trend, series.count, what);
		return;
	}
	double ago_s = rest.seconds[rest.count - 1] - rest.seconds[0];
	say(ret, LH_VERDICT_STEP, "one jump by %s, %s ago; no trend since", step.text, time_in_words(ago_s).text);
}

static struct lh_error *judge_upward(struct lh_series series, const struct lh_trend *trend, struct lh_judgement *ret)
{
	double growth = trend->max - trend->first;
	if (trend->largest_rise >= JUMP_SHARE * growth)
		LH_TRY(judge_after_jump(series, trend, ret));
	if (ret->verdict == LH_VERDICT_LEAK)
		return NULL;
	if (trend->largest_rise >= STEP_SHARE * growth)
		judge_step(series, trend, ret);
	else
		judge_rise(trend, series.count, ret);
	return ret->verdict == LH_VERDICT_UNDECIDED ? judge_late_start(series, trend, ret) : NULL;
}

struct lh_error *lh_judge(struct lh_series series, struct lh_judgement *ret)
{
	struct lh_trend trend;
	LH_TRY(lh_trend_measure(series, &trend));
	struct lh_judgement judgement = {
		.verdict = LH_VERDICT_UNDECIDED,
		.slope = trend.slope,
		.slope_low = trend.slope_low,
		.slope_high = trend.slope_high,
		.chance = trend.rising_chance,
		.growth_start_s = trend.first_rise_at ? series.seconds[trend.first_rise_at - 1] : LH_NEVER_S,
		.plateau_start_s = LH_NEVER_S,
	};
	double range = trend.max - trend.min;
	if (range <= 0)
		say(&judgement, LH_VERDICT_STEADY, "did not change in %zu samples", series.count);
	else if (series.count < LH_SAMPLES_MIN)
		judge_few(&trend, series.count, &judgement);
	else if (range < (double)LH_GROWTH_MIN_BYTES)
		judge_small(&trend, series.count, &judgement);
	else if (trend.drawdown > FALL_SHARE * range)
		judge_up_and_down(&trend, series.count, &judgement);
	else
		LH_TRY(judge_upward(series, &trend, &judgement));
	if (judgement.verdict == LH_VERDICT_PLATEAU || judgement.verdict == LH_VERDICT_STEP)
		judgement.plateau_start_s = series.seconds[trend.last_rise_at];
	*ret = judgement;
	return NULL;
}
