/*
 * evidence: weighs facts beside the curve. Input: circumstances, gathered by select from tracks and samples. Output:
 * one row per kind, with a weight in the logarithm of the odds and a sentence. Weights are bounded: no kind alone turns
 * a clear curve into its opposite, only into a doubt.
 */
#include "evidence.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Smaller weights are not mentioned in a reason. */
static const double NOTABLE_WEIGHT = 0.6;

const char *lh_evidence_name(enum lh_evidence evidence)
{
	static const char *const names[LH_EVIDENCE_COUNT] = {"curve",  "age",       "fixed-size",
							     "in-use", "collector", "work"};
	return evidence < LH_EVIDENCE_COUNT ? names[evidence] : "unknown";
}

static void say_evidence(struct lh_evidence_row *row, double weight, const char *format, ...) LH_PRINTF(3, 4);

static void say_evidence(struct lh_evidence_row *row, double weight, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(row->text, sizeof(row->text), format, list);
	va_end(list);
	row->is_known = true;
	row->weight = weight;
}

static const char *bytes_text(double bytes, char ret[LH_FORMAT_MAX])
{
	return lh_format_bytes((uint64_t)fmin(fabs(bytes), 9e18), ret);
}

static const char *seconds_text(double seconds, char ret[LH_FORMAT_MAX])
{
	return lh_format_duration((uint64_t)(fmin(fmax(seconds, 0), 9e9) * 1e9), ret);
}

/* ---------------------------------------------------------------- age */

/*
 * Of 10 straight samples one in three is a warm-up, of 20 one in four, of 45 one in ten (records of real processes,
 * half of them sampled from their start). In a process that has run for long, a rise is no warm-up.
 */
static void weigh_age(struct lh_series series, double age_s, struct lh_evidence_row *row)
{
	static const double FEW = 10, MANY = 80, MOST = 1;
	static const double OLD_WINDOWS = 3;
	double span_s = series.seconds[series.count - 1] - series.seconds[0];
	double fewness = 1 - log((double)series.count / FEW) / log(MANY / FEW);
	double weight = -MOST * fmax(0, fmin(1, fewness));
	char age[LH_FORMAT_MAX];
	if (age_s < 0) {
		say_evidence(row, weight / 2, "%zu samples of a process of unknown age", series.count);
		return;
	}
	double youth = fmax(0, fmin(1, (OLD_WINDOWS - age_s / span_s) / (OLD_WINDOWS - 1)));
	seconds_text(age_s, age);
	if (youth > 0)
		say_evidence(row, weight * youth, "the watch began %s after the process: may be its warm-up", age);
	else
		say_evidence(row, 0, "the process had run for %s before", age);
}

/*
 * Few samples prove little: a cycle longer than the window looks as straight as a leak. An even rise over 10 samples
 * gets 0.75, over 20 samples 0.87, over 45 samples 0.98.
 */
static double most_logit(size_t count)
{
	return 1.1 + 0.085 * ((double)count - 10);
}

double lh_evidence_most(size_t count)
{
	return 1 / (1 + exp(-most_logit(count)));
}

/* ---------------------------------------------------------------- mappings of a fixed size */

/* A rise that will soon end by itself is at most an even chance of a leak until then. */
static void weigh_fixed_size(struct lh_series series, const struct lh_circumstances *about, double logit,
			     struct lh_evidence_row *row)
{
	static const double SHARE_MIN = 0.8;
	double span_s = series.seconds[series.count - 1] - series.seconds[0];
	static const double SHARED_WEIGHT = -2;
	char left[LH_FORMAT_MAX];
	if (about->fixed_share < SHARE_MIN)
		return;
	double weight = about->full_s <= span_s ? -fmax(0, logit) : about->is_shared ? SHARED_WEIGHT : 0;
	say_evidence(row, weight, "%.0f %% of the growth fills %smappings of fixed size, full in %s",
		     100 * fmin(about->fixed_share, 1), about->is_shared ? "shared " : "",
		     seconds_text(about->full_s, left));
}

/* ---------------------------------------------------------------- bytes in use */

static void weigh_use(const struct lh_circumstances *about, struct lh_evidence_row *row)
{
	static const double GROWTH_MIN = 256 * 1024.0, OWN_SHARE = 0.7, UNUSED_SHARE = 0.25, USED_SHARE = 0.6;
	static const double FOR = 0.7, AGAINST = -3;
	char used[LH_FORMAT_MAX], heap[LH_FORMAT_MAX];
	/* Growth that no walked allocator owns is no evidence. */
	if (!about->has_use || about->all_growth < GROWTH_MIN || about->heap_growth < OWN_SHARE * about->all_growth)
		return;
	double share = about->used_growth / about->heap_growth;
	bytes_text(about->heap_growth, heap);
	if (share < UNUSED_SHARE)
		say_evidence(row, AGAINST, "the heap grew by %s, the bytes in use by %s only: fragmentation or caches",
			     heap, about->used_growth > 0 ? bytes_text(about->used_growth, used) : "none");
	else
		say_evidence(row, share >= USED_SHARE ? FOR : 0, "the heap grew by %s, the bytes in use by %s", heap,
			     bytes_text(about->used_growth, used));
}

/* ---------------------------------------------------------------- collectors */

/* Counts falls in a collector's memory by at least a twentieth of its range, and by more than a few pages. */
static size_t count_collections(const uint64_t *bytes, size_t count)
{
	static const double FALL_SHARE = 0.05, FALL_MIN = 64 * 1024.0;
	uint64_t least = bytes[0], most = bytes[0];
	size_t falls = 0;
	for (size_t i = 0; i < count; i++) {
		least = lh_min_u64(least, bytes[i]);
		most = lh_max_u64(most, bytes[i]);
	}
	double fall_min = fmax(FALL_SHARE * (double)(most - least), FALL_MIN);
	for (size_t i = 1; i < count; i++)
		falls += bytes[i] < bytes[i - 1] && (double)(bytes[i - 1] - bytes[i]) >= fall_min;
	return falls;
}

/* A collector lets its heap grow by a factor before it collects: until then the straightest rise proves little. */
static void weigh_collector(struct lh_series series, const struct lh_circumstances *about, double logit,
			    struct lh_evidence_row *row)
{
	static const double UNSEEN = -1.5, SEEN = 0.3, UNSEEN_MOST = 1.7;
	enum { COLLECTIONS_MIN = 2 };
	if (!about->collector)
		return;
	size_t collections = count_collections(about->collected, series.count);
	double growth = (double)about->collected[series.count - 1] / fmax((double)about->collected[0], 1);
	if (collections >= COLLECTIONS_MIN)
		say_evidence(row, SEEN, "%s was collected at least %zu times", about->collector, collections);
	else if (growth < about->collector_range)
		say_evidence(row, fmin(UNSEEN, UNSEEN_MOST - logit), "%s grew as it does between two collections",
			     about->collector);
	else
		say_evidence(row, 0, "%s grew %.1f-fold", about->collector, growth);
}

/* ---------------------------------------------------------------- work done */

/*
 * Correlation of the increments of two series over equal parts. *ret_spread: standard deviation of the counter's rate
 * divided by its mean.
 */
static double correlate_increments(struct lh_series series, const double *counters, size_t parts, double *ret_spread)
{
	double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t part = 0; part < parts; part++) {
			size_t start = part * (series.count - 1) / parts, end = (part + 1) * (series.count - 1) / parts;
			double s = series.seconds[end] - series.seconds[start];
			double x = (counters[end] - counters[start]) / s,
			       y = (series.values[end] - series.values[start]) / s;
			if (pass == 0) {
				mean_x += x / (double)parts;
				mean_y += y / (double)parts;
				continue;
			}
			xx += (x - mean_x) * (x - mean_x);
			yy += (y - mean_y) * (y - mean_y);
			xy += (x - mean_x) * (y - mean_y);
		}
	}
	*ret_spread = mean_x > 0 ? sqrt(xx / (double)parts) / mean_x : 0;
	return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* Growth that follows uneven work is caused by the work; work at an even pace tells nothing beyond the curve. */
static void weigh_work(struct lh_series series, const double *counters, struct lh_evidence_row *row)
{
	enum { PARTS_MAX = 30, SAMPLES_A_PART = 2, PARTS_MIN = 8 };
	static const double UNEVEN = 0.2, MOST = 2;
	size_t parts = series.count / SAMPLES_A_PART;
	double spread = 0;
	if (!counters || parts < PARTS_MIN)
		return;
	parts = parts > PARTS_MAX ? PARTS_MAX : parts;
	double r = correlate_increments(series, counters, parts, &spread);
	if (spread < UNEVEN) {
		say_evidence(row, 0, "the work went on at an even pace");
		return;
	}
	double t = r * sqrt((double)(parts - 2) / fmax(1 - r * r, 1e-3));
	double weight = t > 0 ? fmin(MOST, t / 3) : fmax(-MOST / 2, t / 3 - 0.3);
	say_evidence(row, weight, "growth %s the work counted (correlation %.2f)",
		     r > 0.5 ? "follows" : "does not follow", r);
}

/* ---------------------------------------------------------------- all of it */

double lh_evidence_weigh(struct lh_series series, const struct lh_circumstances *about, double curve,
			 struct lh_evidence_row rows[LH_EVIDENCE_COUNT])
{
	double bounded = fmax(1e-6, fmin(1 - 1e-6, curve));
	double logit = log(bounded / (1 - bounded));
	memset(rows, 0, LH_EVIDENCE_COUNT * sizeof(*rows));
	say_evidence(&rows[LH_EVIDENCE_CURVE], logit, "%zu samples, by their curve alone: %.2f", series.count, curve);
	weigh_use(about, &rows[LH_EVIDENCE_IN_USE]);
	weigh_collector(series, about, logit, &rows[LH_EVIDENCE_COLLECTOR]);
	weigh_work(series, about->counters, &rows[LH_EVIDENCE_WORK]);
	weigh_age(series, about->age_s, &rows[LH_EVIDENCE_AGE]);
	/* A series that does not rise has no warm-up. */
	if (logit < 0)
		rows[LH_EVIDENCE_AGE].weight = 0;
	rows[LH_EVIDENCE_AGE].weight = fmin(rows[LH_EVIDENCE_AGE].weight, most_logit(series.count) - logit);
	for (int i = LH_EVIDENCE_AGE; i < LH_EVIDENCE_COUNT; i++)
		logit += rows[i].weight;
	weigh_fixed_size(series, about, logit, &rows[LH_EVIDENCE_FIXED_SIZE]);
	logit += rows[LH_EVIDENCE_FIXED_SIZE].weight;
	return 1 / (1 + exp(-logit));
}

const struct lh_evidence_row *lh_evidence_main(const struct lh_evidence_row rows[LH_EVIDENCE_COUNT])
{
	const struct lh_evidence_row *most = NULL;
	for (int i = LH_EVIDENCE_CURVE + 1; i < LH_EVIDENCE_COUNT; i++) {
		double weight = fabs(rows[i].weight);
		if (rows[i].is_known && weight >= NOTABLE_WEIGHT && (!most || weight > fabs(most->weight)))
			most = &rows[i];
	}
	return most;
}
