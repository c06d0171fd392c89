/*
 * select: ranks regions by growth. Input: tracks of memory through all samples. Sums them up into rows, has verdict
 * judge each row's history, and ranks the rows. Pure: opens no file, reads no clock.
 */
#include "circumstances.h"
#include "holding.h"
#include "selector.h"
#include "verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A leak in one part is the process's if the process grows at least at this share of its rate. */
static const double HIDDEN_SHARE = 0.5;
/* At least this share of what grew is decided by a part that is, or it is not what the process does. */
static const double DECIDING_SHARE = 0.25;

void lh_sample_deinit(struct lh_sample *sample)
{
	lh_region_list_deinit(&sample->list);
}

void lh_samples_deinit(struct lh_samples *samples)
{
	for (size_t i = 0; i < samples->items.count; i++)
		lh_sample_deinit(&samples->items.items[i]);
	lh_vec_deinit(&samples->items);
	free(samples->command);
	*samples = (struct lh_samples){0};
}

static void growth_deinit(struct lh_growth *growth)
{
	lh_vec_deinit(&growth->ranges);
	lh_vec_deinit(&growth->series);
}

void lh_selection_deinit(struct lh_selection *selection)
{
	for (size_t i = 0; i < selection->growths.count; i++)
		growth_deinit(&selection->growths.items[i]);
	lh_vec_deinit(&selection->growths);
	growth_deinit(&selection->total);
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++)
		lh_vec_deinit(&selection->holdings[i].series);
	lh_vec_deinit(&selection->moments_s);
	lh_strings_pool_deinit(&selection->strings);
	*selection = (struct lh_selection){0};
}

/* ---------------------------------------------------------------- rows */

/* State while a selection is computed. */
struct selecting {
	struct lh_tracks *tracks;
	uint64_t *bytes;  /* scratch: the series judged last */
	double *values;   /* the same */
	double *counters; /* per moment; NULL unless every moment has one and they rise */
	struct lh_collected_heaps heaps;
	const struct lh_selector *selector;
	struct lh_selection selection;
};

static void selecting_deinit(struct selecting *selecting)
{
	free(selecting->bytes);
	free(selecting->values);
	free(selecting->counters);
	lh_collected_heaps_deinit(&selecting->heaps);
	lh_selection_deinit(&selecting->selection);
}

/* A row while it is summed up: a single track, or a family. */
struct row {
	struct lh_growth growth;
	struct lh_steps used;
	struct lh_steps mapped;
	uint64_t last_sample;       /* the latest of all its tracks: their ranges in that sample are the row's */
	const char *pattern;        /* of its tracks' names; NULL if they differ in more than numbers */
	const char *thread_pattern; /* likewise */
	bool is_shared;
	bool exists;
};

struct rows {
	struct row *items;
	size_t count;
};

static void row_deinit(struct row *row)
{
	growth_deinit(&row->growth);
	lh_steps_deinit(&row->used);
	lh_steps_deinit(&row->mapped);
}

static void select_rows_deinit(struct rows *rows)
{
	for (size_t i = 0; rows->items && i < rows->count; i++)
		row_deinit(&rows->items[i]);
	free(rows->items);
}

/* Copies a string of the tracks, which the selection outlives. */
static struct lh_error *keep_string(struct selecting *selecting, const char *text, const char **ret)
{
	return lh_strings_pool_add(&selecting->selection.strings, text, strlen(text), ret);
}

static struct lh_error *describe_row(struct selecting *selecting, const struct lh_track *track, struct row *row)
{
	const char *thread_name = track->kind == LH_REGION_THREAD_STACK ? track->thread_name : "";
	row->exists = true;
	row->is_shared = track->is_shared;
	row->pattern = track->pattern;
	row->thread_pattern = track->thread_pattern;
	row->growth.kind = track->is_ended_stack ? LH_REGION_ANON : track->kind;
	row->growth.is_deleted = track->is_deleted;
	LH_TRY(keep_string(selecting, track->name, &row->growth.name));
	return keep_string(selecting, thread_name, &row->growth.thread_name);
}

/* Name of a family: the common name, or the common pattern. */
static struct lh_error *join_names(struct selecting *selecting, const struct lh_track *track, struct row *row)
{
	struct lh_growth *growth = &row->growth;
	growth->is_deleted &= track->is_deleted;
	if (track->kind != growth->kind && growth->kind != LH_REGION_ANON && track->kind == LH_REGION_DATA)
		growth->kind = LH_REGION_DATA;
	if (row->pattern && strcmp(row->pattern, track->pattern) != 0) {
		row->pattern = NULL;
		LH_TRY(keep_string(selecting, track->group, &growth->name));
	} else if (row->pattern && strcmp(growth->name, track->name) != 0) {
		LH_TRY(keep_string(selecting, track->pattern, &growth->name));
	}
	if (row->thread_pattern && strcmp(row->thread_pattern, track->thread_pattern) != 0) {
		row->thread_pattern = NULL;
		growth->thread_name = "";
	} else if (row->thread_pattern && growth->thread_name[0] &&
		   strcmp(growth->thread_name, track->thread_name) != 0) {
		return keep_string(selecting, track->thread_pattern, &growth->thread_name);
	}
	return NULL;
}

static void count_kinds(const struct lh_track *track, struct lh_growth *growth)
{
	growth->ended_stack_count += track->is_ended_stack;
	growth->guarded_count += track->has_guard;
	growth->text_count += track->kind == LH_REGION_TEXT;
}

static struct lh_error *add_ranges(const struct lh_track *track, struct row *row)
{
	if (track->last_sample < row->last_sample)
		return NULL;
	if (track->last_sample > row->last_sample)
		row->growth.ranges.count = 0;
	row->last_sample = track->last_sample;
	for (size_t i = 0; i < track->ranges.count; i++)
		LH_TRY(lh_vec_push(&row->growth.ranges, track->ranges.items[i]));
	return NULL;
}

static struct lh_error *add_track(struct selecting *selecting, const struct lh_track *track, struct row *row)
{
	bool is_there = track->last_sample + 1 == selecting->tracks->sample_count;
	LH_TRY(row->exists ? join_names(selecting, track, row) : describe_row(selecting, track, row));
	if (is_there)
		count_kinds(track, &row->growth);
	row->growth.huge_growth_bytes += is_there ? (int64_t)track->huge_bytes : 0;
	row->growth.huge_growth_bytes -= track->first_sample ? 0 : (int64_t)track->first_huge_bytes;
	LH_TRY(lh_steps_add(&row->used, &track->used));
	LH_TRY(lh_steps_add(&row->mapped, &track->mapped));
	return add_ranges(track, row);
}

/* The row of a single track has the track's index; families come after them. */
static struct lh_error *sum_up_rows(struct selecting *selecting, struct rows *rows)
{
	const struct lh_tracks *tracks = selecting->tracks;
	rows->count = tracks->items.count + tracks->family_count;
	rows->items = calloc(rows->count + 1, sizeof(*rows->items));
	if (!rows->items)
		return lh_error_no_memory();
	for (size_t i = 0; i < tracks->items.count; i++) {
		const struct lh_track *track = &tracks->items.items[i];
		size_t at = track->family == LH_TRACK_ALONE ? i : tracks->items.count + track->family;
		if (lh_track_is_root(tracks, i))
			LH_TRY(add_track(selecting, track, &rows->items[at]));
	}
	return NULL;
}

/* ---------------------------------------------------------------- judging */

static bool is_constant(const struct lh_steps *steps)
{
	return !steps->items.count || (steps->items.count == 1 && steps->items.items[0].moment == 0);
}

/* Values of all moments; valid until the next call. */
static struct lh_series spread_values(struct selecting *selecting, const struct lh_steps *steps)
{
	size_t count = selecting->tracks->moments.count;
	lh_steps_spread(steps, count, selecting->bytes);
	for (size_t i = 0; i < count; i++)
		selecting->values[i] = (double)selecting->bytes[i];
	return (struct lh_series){selecting->selection.moments_s.items, selecting->values, count};
}

/* Judges a series of address space. */
static struct lh_error *judge_steps(struct selecting *selecting, const struct lh_steps *steps, struct lh_judgement *ret)
{
	struct lh_circumstances about = {.age_s = lh_process_age_s(selecting->selector),
					 .counters = selecting->counters};
	return lh_judge(spread_values(selecting, steps), &about, ret);
}

static struct lh_error *judge_region(struct selecting *selecting, const struct row *row, struct lh_judgement *ret)
{
	struct lh_circumstances about;
	struct lh_series series = spread_values(selecting, &row->used);
	lh_circumstances_of_region(selecting->selector, &selecting->heaps, row->growth.kind, row->is_shared, &row->used,
				   &row->mapped, series, &about);
	about.counters = selecting->counters;
	return lh_judge(series, &about, ret);
}

/* Judges the whole process, the only series with facts beside the curve. */
static struct lh_error *judge_sum(struct selecting *selecting, const struct lh_steps *used, struct lh_judgement *ret)
{
	struct lh_circumstances about;
	struct lh_series series = spread_values(selecting, used);
	lh_circumstances_gather(selecting->selector, &selecting->heaps, series, &about);
	about.counters = selecting->counters;
	return lh_judge(series, &about, ret);
}

static struct lh_error *keep_series(const struct selecting *selecting, const struct lh_steps *steps,
				    struct lh_growth *ret)
{
	size_t count = selecting->tracks->moments.count;
	LH_TRY(lh_vec_reserve(&ret->series, count));
	ret->series.count = count;
	lh_steps_spread(steps, count, ret->series.items);
	return NULL;
}

static void take_judgement(const struct lh_judgement *judgement, enum lh_measure measure, struct lh_growth *ret)
{
	ret->measure = measure;
	ret->rate_bytes_per_hour = judgement->slope * 3600;
	ret->rate_low_bytes_per_hour = judgement->slope_low * 3600;
	ret->rate_high_bytes_per_hour = judgement->slope_high * 3600;
	ret->probability = judgement->probability;
	ret->resolution_bytes_per_hour = judgement->resolution * 3600;
	ret->growth_start_s = judgement->growth_start_s;
	ret->plateau_start_s = judgement->plateau_start_s;
	ret->verdict = judgement->verdict;
	ret->watch_more_ns = judgement->watch_more_ns;
	snprintf(ret->reason, sizeof(ret->reason), "%s%.160s",
		 measure == LH_MEASURE_MAPPED ? "address space, not memory: " : "", judgement->reason);
}

/* Memory that does not grow but takes more and more addresses ends at vm.max_map_count or RLIMIT_AS. */
static struct lh_error *judge_mapped(struct selecting *selecting, const struct row *row, struct lh_growth *growth)
{
	struct lh_judgement judgement;
	LH_TRY(judge_steps(selecting, &row->mapped, &judgement));
	if (lh_verdict_is_rising(judgement.verdict))
		take_judgement(&judgement, LH_MEASURE_MAPPED, growth);
	return NULL;
}

/*
 * khugepaged replaces a few small pages by a huge one: pages in between become resident although nobody touched them
 * (Documentation/admin-guide/mm/transhuge.rst, max_ptes_none).
 */
static void doubt_huge_pages(uint64_t span_ns, struct lh_growth *growth)
{
	char grown[LH_FORMAT_MAX];
	if (!lh_verdict_is_rising(growth->verdict) || growth->growth_bytes <= 0 ||
	    growth->mapped_last_bytes > growth->mapped_first_bytes ||
	    growth->huge_growth_bytes < growth->growth_bytes / 10 * 9)
		return;
	growth->verdict = LH_VERDICT_UNDECIDED;
	growth->probability = fmin(growth->probability, 0.5);
	growth->watch_more_ns = span_ns;
	snprintf(growth->reason, sizeof(growth->reason),
		 "rose by %s, all of it as huge pages in a mapping that did not grow: the kernel may have made them",
		 lh_format_bytes((uint64_t)growth->growth_bytes, grown));
}

/* Takes the judgment on the values spread last. */
static struct lh_error *take_used(struct selecting *selecting, const struct row *row,
				  const struct lh_judgement *judgement, struct lh_growth *growth)
{
	take_judgement(judgement, LH_MEASURE_USED, growth);
	growth->private_first_bytes = lh_steps_first(&row->used);
	growth->private_last_bytes = lh_steps_last(&row->used);
	growth->growth_bytes = (int64_t)growth->private_last_bytes - (int64_t)growth->private_first_bytes;
	if (selecting->counters && !is_constant(&row->used))
		LH_TRY(lh_slope(
			(struct lh_series){selecting->counters, selecting->values, selecting->tracks->moments.count},
			&growth->bytes_per_count));
	return NULL;
}

static struct lh_error *judge_used(struct selecting *selecting, const struct row *row, struct lh_growth *growth)
{
	struct lh_judgement judgement;
	LH_TRY(judge_region(selecting, row, &judgement));
	return take_used(selecting, row, &judgement, growth);
}

/* Most rows never change: they need no judgment, and no series. */
static void judge_constant(const struct selecting *selecting, const struct row *row, struct lh_growth *growth)
{
	growth->private_first_bytes = growth->private_last_bytes = lh_steps_first(&row->used);
	growth->mapped_first_bytes = growth->mapped_last_bytes = lh_steps_first(&row->mapped);
	growth->verdict = LH_VERDICT_STEADY;
	growth->growth_start_s = growth->plateau_start_s = LH_NEVER_S;
	snprintf(growth->reason, sizeof(growth->reason), "did not change in %zu samples",
		 selecting->selection.sample_count);
}

static struct lh_error *judge_row(struct selecting *selecting, const struct row *row, struct lh_growth *growth)
{
	if (is_constant(&row->used) && is_constant(&row->mapped)) {
		judge_constant(selecting, row, growth);
		return NULL;
	}
	growth->mapped_first_bytes = lh_steps_first(&row->mapped);
	growth->mapped_last_bytes = lh_steps_last(&row->mapped);
	LH_TRY(judge_used(selecting, row, growth));
	doubt_huge_pages(selecting->selection.span_ns, growth);
	if (!lh_growth_is_suspect(growth))
		LH_TRY(judge_mapped(selecting, row, growth));
	const struct lh_steps *shown = growth->measure == LH_MEASURE_MAPPED ? &row->mapped : &row->used;
	return is_constant(shown) ? NULL : keep_series(selecting, shown, growth);
}

static void set_extent(struct lh_growth *growth)
{
	qsort(growth->ranges.items, growth->ranges.count, sizeof(*growth->ranges.items), lh_compare_range_starts);
	growth->region_count = growth->ranges.count;
	growth->start = growth->ranges.items[0].start;
	growth->end = growth->ranges.items[growth->ranges.count - 1].end;
}

static struct lh_error *judge_rows(struct selecting *selecting, struct rows *rows)
{
	struct lh_selection *selection = &selecting->selection;
	LH_TRY(lh_vec_reserve(&selection->growths, rows->count + 1));
	for (size_t i = 0; i < rows->count; i++) {
		struct row *row = &rows->items[i];
		if (!row->exists)
			continue;
		set_extent(&row->growth);
		LH_TRY(judge_row(selecting, row, &row->growth));
		selection->growths.items[selection->growths.count++] = row->growth;
		row->growth = (struct lh_growth){0};
	}
	return NULL;
}

/* Address space can run out although memory does not grow. */
static struct lh_error *judge_address_space(struct selecting *selecting, const struct lh_steps *mapped)
{
	struct lh_judgement judgement = {.verdict = LH_VERDICT_STEADY};
	if (!is_constant(mapped))
		LH_TRY(judge_steps(selecting, mapped, &judgement));
	selecting->selection.mapped = (struct lh_mapped_growth){
		.verdict = judgement.verdict,
		.rate_bytes_per_hour = judgement.slope * 3600,
		.rate_low_bytes_per_hour = judgement.slope_low * 3600,
		.rate_high_bytes_per_hour = judgement.slope_high * 3600,
	};
	return NULL;
}

/* What the whole process does. */
static struct lh_error *judge_total(struct selecting *selecting, const struct rows *rows)
{
	struct lh_judgement judgement;
	struct row total LH_CLEANUP(row_deinit) = {0};
	struct lh_growth *growth = &selecting->selection.total;
	growth->name = growth->thread_name = "";
	for (size_t i = 0; i < rows->count; i++) {
		LH_TRY(lh_steps_add(&total.used, &rows->items[i].used));
		LH_TRY(lh_steps_add(&total.mapped, &rows->items[i].mapped));
	}
	for (size_t i = 0; i < selecting->selection.growths.count; i++) {
		growth->region_count += selecting->selection.growths.items[i].region_count;
		growth->huge_growth_bytes += selecting->selection.growths.items[i].huge_growth_bytes;
	}
	growth->mapped_first_bytes = lh_steps_first(&total.mapped);
	growth->mapped_last_bytes = lh_steps_last(&total.mapped);
	LH_TRY(judge_sum(selecting, &total.used, &judgement));
	LH_TRY(take_used(selecting, &total, &judgement, growth));
	memcpy(selecting->selection.evidence, judgement.evidence, sizeof(judgement.evidence));
	doubt_huge_pages(selecting->selection.span_ns, growth);
	LH_TRY(judge_address_space(selecting, &total.mapped));
	return keep_series(selecting, &total.used, growth);
}

/* Whether a part of `bytes` is enough of what grew in all, or elsewhere. */
static bool is_large_part(int64_t bytes, int64_t all_bytes)
{
	return (double)bytes >= DECIDING_SHARE * (double)all_bytes;
}

/*
 * A leak hidden by the ups and downs of other memory is still a leak of the process, unless other memory shrinks as
 * fast, or grew so much more that the leak explains little. The rows must be ranked.
 */
static void take_hidden_leak(struct lh_selection *selection)
{
	struct lh_growth *total = &selection->total;
	const struct lh_growth *first = selection->growths.items;
	bool is_open = total->verdict == LH_VERDICT_UNDECIDED || total->verdict == LH_VERDICT_SAWTOOTH;
	char grown[LH_FORMAT_MAX];
	const struct lh_evidence_row *main = lh_evidence_main(selection->evidence);
	if (main && main->weight < 0)
		return;
	if (!is_open || !selection->growths.count || first->verdict != LH_VERDICT_LEAK ||
	    first->measure != LH_MEASURE_USED ||
	    total->rate_bytes_per_hour < HIDDEN_SHARE * first->rate_bytes_per_hour ||
	    !is_large_part(first->growth_bytes, total->growth_bytes))
		return;
	total->verdict = LH_VERDICT_LEAK;
	total->probability = first->probability;
	total->watch_more_ns = 0;
	snprintf(total->reason, sizeof(total->reason),
		 "one part (%s at 0x%" PRIx64 ") leaks, by %s so far, under ups and downs of the rest",
		 lh_region_kind_name(first->kind), first->start,
		 lh_format_bytes((uint64_t)(first->growth_bytes > 0 ? first->growth_bytes : 0), grown));
}

/* A leak beside the mappings is a leak of the process, too. */
static void take_held_leak(struct lh_selection *selection)
{
	struct lh_growth *total = &selection->total;
	enum lh_holding holding = lh_holding_leak(selection);
	char grown[LH_FORMAT_MAX];
	if (lh_verdict_is_rising(total->verdict) || holding == LH_HOLDING_COUNT)
		return;
	int64_t growth = selection->holdings[holding].growth;
	total->verdict = selection->holdings[holding].verdict;
	total->probability = selection->holdings[holding].probability;
	total->watch_more_ns = selection->holdings[holding].watch_more_ns;
	snprintf(total->reason, sizeof(total->reason), "memory beside its mappings grows, by %s so far: %s",
		 lh_format_bytes((uint64_t)(growth > 0 ? growth : 0), grown), lh_holding_text(holding));
}

/* ---------------------------------------------------------------- ranking */

/* Growing rows come before rows that grew once: a filled cache must not hide a small leak. */
static bool is_rising(const struct lh_growth *growth)
{
	return lh_verdict_is_rising(growth->verdict) ||
	       (growth->verdict == LH_VERDICT_UNDECIDED && growth->growth_bytes > 0);
}

static int compare_growths(const void *a, const void *b)
{
	const struct lh_growth *left = a;
	const struct lh_growth *right = b;
	if (is_rising(left) != is_rising(right))
		return is_rising(left) ? -1 : 1;
	if (left->growth_bytes != right->growth_bytes)
		return left->growth_bytes > right->growth_bytes ? -1 : 1;
	return lh_compare_u64(left->start, right->start);
}

/* ---------------------------------------------------------------- all of it */

/* Growth per unit of work needs a counter that is known at each moment and always rises. */
static bool can_count(const struct lh_tracks *tracks)
{
	for (size_t i = 0; i < tracks->moments.count; i++) {
		const struct lh_moment *moment = &tracks->moments.items[i];
		if (isnan(moment->counter) || (i && moment->counter <= moment[-1].counter))
			return false;
	}
	return true;
}

static struct lh_error *take_moments(struct selecting *selecting)
{
	const struct lh_tracks *tracks = selecting->tracks;
	struct lh_selection *selection = &selecting->selection;
	size_t count = tracks->moments.count;
	bool has_counters = can_count(tracks);
	selecting->bytes = calloc(count, sizeof(*selecting->bytes));
	selecting->values = calloc(count, sizeof(*selecting->values));
	LH_TRY(lh_vec_reserve(&selection->moments_s, count));
	if (has_counters)
		selecting->counters = calloc(count, sizeof(*selecting->counters));
	if (!selecting->bytes || !selecting->values || (has_counters && !selecting->counters))
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++) {
		selection->moments_s.items[i] = (double)tracks->moments.items[i].elapsed_ns / 1e9;
		if (selecting->counters)
			selecting->counters[i] = tracks->moments.items[i].counter;
	}
	selection->moments_s.count = count;
	return lh_collected_heaps_read(tracks, &selecting->heaps);
}

static struct lh_error *judge_holdings(struct selecting *selecting)
{
	const struct lh_tracks *tracks = selecting->tracks;
	struct lh_selection *selection = &selecting->selection;
	for (size_t i = 0; i < LH_HOLDING_COUNT; i++)
		LH_TRY(lh_holding_judge(tracks, (enum lh_holding)i, selection->moments_s.items, selecting->values,
					&selection->holdings[i]));
	memcpy(selection->held_name, tracks->held_name, sizeof(selection->held_name));
	selection->has_ceilings = tracks->has_ceilings;
	selection->ceilings = tracks->ceilings;
	selection->has_receipt = tracks->has_receipt;
	selection->receipt = tracks->receipt;
	return NULL;
}

static struct lh_error *judge_all(struct selecting *selecting)
{
	struct lh_selection *selection = &selecting->selection;
	struct rows rows LH_CLEANUP(select_rows_deinit) = {0};
	LH_TRY(take_moments(selecting));
	LH_TRY(lh_tracks_group(selecting->tracks));
	LH_TRY(sum_up_rows(selecting, &rows));
	LH_TRY(judge_rows(selecting, &rows));
	LH_TRY(judge_total(selecting, &rows));
	lh_vec_sort(&selection->growths, compare_growths);
	take_hidden_leak(selection);
	LH_TRY(judge_holdings(selecting));
	take_held_leak(selection);
	return NULL;
}

static int64_t measured_growth(const struct lh_growth *growth)
{
	return growth->measure == LH_MEASURE_MAPPED ? (int64_t)(growth->mapped_last_bytes - growth->mapped_first_bytes)
						    : growth->growth_bytes;
}

/*
 * What to dump, and to show: the first leak, unless an undecided row grew so much more that the leak explains little.
 * The rows are ranked.
 */
static size_t find_suspect(const struct lh_selection *selection)
{
	const struct lh_growth *growths = selection->growths.items;
	size_t first = 0, rising = 0, count = selection->growths.count;
	while (first < count && !growths[first].is_suspect)
		first++;
	while (rising < count && !lh_verdict_is_rising(growths[rising].verdict))
		rising++;
	if (rising == count)
		return first;
	return is_large_part(measured_growth(&growths[rising]), growths[first].growth_bytes) ? rising : first;
}

/* The row that grew most of those that are no suspects; NULL: none grew by what counts. */
static struct lh_growth *find_unsuspected(struct lh_selection *selection)
{
	struct lh_growth *most = NULL;
	for (size_t i = 0; i < selection->growths.count; i++) {
		struct lh_growth *growth = &selection->growths.items[i];
		if (!growth->is_suspect && growth->growth_bytes >= (int64_t)LH_GROWTH_MIN_BYTES &&
		    (!most || growth->growth_bytes > most->growth_bytes))
			most = growth;
	}
	return most;
}

/* Rows that grow in bursts are no leaks by themselves; but if the process grows, it grows by what is in them. */
static void suspect_what_explains(struct lh_selection *selection)
{
	const struct lh_growth *total = &selection->total;
	int64_t left = lh_verdict_is_rising(total->verdict) ? total->growth_bytes : 0;
	for (size_t i = 0; left > 0 && i < selection->growths.count; i++)
		left -= selection->growths.items[i].is_suspect ? selection->growths.items[i].growth_bytes : 0;
	struct lh_growth *growth;
	while (left > 0 && is_large_part(left, total->growth_bytes) && (growth = find_unsuspected(selection))) {
		growth->is_suspect = true;
		left -= growth->growth_bytes;
	}
}

static void mark_suspects(struct lh_selection *selection)
{
	for (size_t i = 0; i < selection->growths.count; i++)
		selection->growths.items[i].is_suspect = lh_growth_is_suspect(&selection->growths.items[i]);
	suspect_what_explains(selection);
	for (int i = 0; i < LH_HOLDING_COUNT; i++)
		selection->holdings[i].is_suspect = lh_holding_is_suspect(selection, (enum lh_holding)i);
	selection->total.is_suspect = lh_growth_is_suspect(&selection->total);
	selection->suspect = find_suspect(selection);
}

struct lh_error *lh_selector_judge(struct lh_selector *selector, struct lh_selection *ret)
{
	uint64_t count = selector->tracks.sample_count;
	if (count < 2)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "%zu sample%s: growth needs at least two",
						     (size_t)count, count == 1 ? "" : "s"),
				     "give two or more samples, some time apart");
	struct selecting selecting LH_CLEANUP(selecting_deinit) = {
		.tracks = &selector->tracks,
		.selector = selector,
		.selection =
			{
				.sample_count = count,
				.span_ns = selector->elapsed_ns,
				.start_ns = selector->start_ns,
				.pid = selector->pid,
			},
	};
	LH_TRY(judge_all(&selecting));
	mark_suspects(&selecting.selection);
	*ret = selecting.selection;
	selecting.selection = (struct lh_selection){0};
	return NULL;
}
