/*
 * select: ranks regions by growth. Input: samples of one process in any order. It puts them in order
 * of time, has identity follow the memory through them, has verdict judge each history, and ranks.
 * Pure: opens no file, asks no clock, and keeps nothing of the samples.
 */
#include "identity.h"
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	lh_strings_pool_deinit(&selection->strings);
	*selection = (struct lh_selection){0};
}

/* What one selection is made of, while it is made. */
struct selecting {
	const struct lh_sample **samples; /* in order of time */
	double *seconds;                  /* of each, after the first */
	double *values;                   /* scratch: one series */
	struct lh_tracks tracks;
	struct lh_selection selection;
};

static void selecting_deinit(struct selecting *selecting)
{
	free(selecting->samples);
	free(selecting->seconds);
	free(selecting->values);
	lh_tracks_deinit(&selecting->tracks);
	lh_selection_deinit(&selecting->selection);
}

static int compare_times(const void *a, const void *b)
{
	const struct lh_sample *const *left = a;
	const struct lh_sample *const *right = b;
	return ((*left)->time_ns > (*right)->time_ns) - ((*left)->time_ns < (*right)->time_ns);
}

static struct lh_error *check_pids(const struct lh_samples *samples, pid_t *ret)
{
	pid_t pid = 0;
	for (size_t i = 0; i < samples->items.count; i++) {
		pid_t other = samples->items.items[i].pid;
		if (pid && other && pid != other)
			return lh_error_create(LH_ERROR_USAGE, "samples are of different processes: pids %d and %d",
					       (int)pid, (int)other);
		pid = pid ? pid : other;
	}
	*ret = pid;
	return NULL;
}

static struct lh_error *check_samples(const struct lh_samples *samples, pid_t *ret_pid)
{
	size_t count = samples->items.count;
	if (count < 2)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "%zu sample%s: growth shows from 2 samples on",
						     count, count == 1 ? "" : "s"),
				     "give two or more samples, some time apart");
	for (size_t i = 0; i < count; i++) {
		if (!samples->items.items[i].list.has_usage)
			return lh_error_hint(lh_error_create(LH_ERROR_USAGE,
							     "sample %zu holds addresses, but no memory usage", i + 1),
					     "save the smaps of the process, not its maps");
	}
	return check_pids(samples, ret_pid);
}

static struct lh_error *order_samples(const struct lh_samples *samples, struct selecting *selecting)
{
	size_t count = samples->items.count;
	selecting->samples = calloc(count, sizeof(*selecting->samples));
	selecting->seconds = calloc(count, sizeof(*selecting->seconds));
	selecting->values = calloc(count, sizeof(*selecting->values));
	if (!selecting->samples || !selecting->seconds || !selecting->values)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		selecting->samples[i] = &samples->items.items[i];
	qsort(selecting->samples, count, sizeof(*selecting->samples), compare_times);
	uint64_t first_ns = selecting->samples[0]->time_ns;
	for (size_t i = 1; i < count; i++) {
		uint64_t time_ns = selecting->samples[i]->time_ns;
		if (time_ns == selecting->samples[i - 1]->time_ns)
			return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "two samples are of the same time"),
					     "say when files were taken with --times, e.g. --times 0,60,120");
		selecting->seconds[i] = (double)(time_ns - first_ns) / 1e9;
	}
	selecting->selection.sample_count = count;
	selecting->selection.span_ns = selecting->samples[count - 1]->time_ns - first_ns;
	return NULL;
}

static struct lh_error *judge_growth(struct selecting *selecting, struct lh_growth *growth)
{
	size_t count = growth->series.count;
	for (size_t i = 0; i < count; i++)
		selecting->values[i] = (double)growth->series.items[i];
	struct lh_judgement judgement;
	LH_TRY(lh_judge((struct lh_series){selecting->seconds, selecting->values, count}, &judgement));
	growth->private_first_bytes = growth->series.items[0];
	growth->private_last_bytes = growth->series.items[count - 1];
	growth->growth_bytes = (int64_t)growth->private_last_bytes - (int64_t)growth->private_first_bytes;
	growth->rate_bytes_per_hour = judgement.slope * 3600;
	growth->verdict = judgement.verdict;
	growth->watch_more_ns = judgement.watch_more_ns;
	snprintf(growth->reason, sizeof(growth->reason), "%s", judgement.reason);
	return NULL;
}

static struct lh_error *series_create(struct lh_growth *growth, size_t count)
{
	LH_TRY(lh_vec_reserve(&growth->series, count));
	memset(growth->series.items, 0, count * sizeof(*growth->series.items));
	growth->series.count = count;
	return NULL;
}

static void series_add(struct lh_growth *growth, const uint64_t *series)
{
	for (size_t i = 0; i < growth->series.count; i++)
		growth->series.items[i] = lh_private_sum(growth->series.items[i], series[i]);
}

/* Strings of the samples are copied: the selection outlives them. */
static struct lh_error *describe_growth(struct selecting *selecting, const struct lh_track *track,
					struct lh_growth *growth)
{
	struct lh_strings_pool *pool = &selecting->selection.strings;
	const char *thread_name = track->kind == LH_REGION_THREAD_STACK ? track->thread_name : "";
	growth->kind = track->kind;
	LH_TRY(lh_strings_pool_add(pool, track->last->name, strlen(track->last->name), &growth->name));
	return lh_strings_pool_add(pool, thread_name, strlen(thread_name), &growth->thread_name);
}

/* The row of a track: its own, or the family's, whose index comes after those of all lone tracks. */
static size_t row_of_track(const struct lh_tracks *tracks, size_t track)
{
	size_t family = tracks->items.items[track].family;
	return family == LH_TRACK_ALONE ? track : tracks->items.count + family;
}

/* Per row the last sample that had any of it: its pieces are the row's ranges. */
static void find_last_samples(const struct lh_tracks *tracks, size_t *ret_last)
{
	for (size_t i = 0; i < tracks->items.count; i++) {
		size_t *last = &ret_last[row_of_track(tracks, i)];
		if (tracks->items.items[i].last_sample > *last)
			*last = tracks->items.items[i].last_sample;
	}
}

static struct lh_error *add_track(struct selecting *selecting, size_t track, struct lh_growth *row)
{
	const struct lh_track *item = &selecting->tracks.items.items[track];
	if (!row->series.count) {
		LH_TRY(series_create(row, selecting->tracks.sample_count));
		LH_TRY(describe_growth(selecting, item, row));
	} else if (strcmp(row->thread_name, item->thread_name) != 0) {
		row->thread_name = "";
	}
	series_add(row, lh_track_series(&selecting->tracks, track));
	return NULL;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct lh_range *left = a;
	const struct lh_range *right = b;
	return (left->start > right->start) - (left->start < right->start);
}

static struct lh_error *add_pieces(struct selecting *selecting, struct lh_growth *rows, const size_t *last_of_row)
{
	const struct lh_tracks *tracks = &selecting->tracks;
	for (size_t i = 0; i < tracks->pieces.count; i++) {
		const struct lh_track_piece *piece = &tracks->pieces.items[i];
		size_t row = row_of_track(tracks, piece->track);
		if (tracks->items.items[piece->track].last_sample == last_of_row[row])
			LH_TRY(lh_vec_push(&rows[row].ranges, piece->range));
	}
	return NULL;
}

static void set_extent(struct lh_growth *growth)
{
	qsort(growth->ranges.items, growth->ranges.count, sizeof(*growth->ranges.items), compare_ranges);
	growth->region_count = growth->ranges.count;
	growth->start = growth->ranges.items[0].start;
	growth->end = growth->ranges.items[growth->ranges.count - 1].end;
}

struct rows {
	struct lh_growth *items;
	size_t *last_samples;
	size_t count;
};

static void rows_deinit(struct rows *rows)
{
	for (size_t i = 0; rows->items && i < rows->count; i++)
		growth_deinit(&rows->items[i]);
	free(rows->items);
	free(rows->last_samples);
}

static struct lh_error *fill_rows(struct selecting *selecting, struct rows *rows)
{
	rows->count = selecting->tracks.items.count + selecting->tracks.family_count;
	rows->items = calloc(rows->count + 1, sizeof(*rows->items));
	rows->last_samples = calloc(rows->count + 1, sizeof(*rows->last_samples));
	if (!rows->items || !rows->last_samples)
		return lh_error_no_memory();
	find_last_samples(&selecting->tracks, rows->last_samples);
	for (size_t i = 0; i < selecting->tracks.items.count; i++)
		LH_TRY(add_track(selecting, i, &rows->items[row_of_track(&selecting->tracks, i)]));
	return add_pieces(selecting, rows->items, rows->last_samples);
}

static struct lh_error *make_growths(struct selecting *selecting)
{
	struct rows rows LH_CLEANUP(rows_deinit) = {0};
	LH_TRY(fill_rows(selecting, &rows));
	struct lh_selection *selection = &selecting->selection;
	LH_TRY(lh_vec_reserve(&selection->growths, rows.count + 1));
	for (size_t i = 0; i < rows.count; i++) {
		if (!rows.items[i].series.count)
			continue;
		set_extent(&rows.items[i]);
		LH_TRY(judge_growth(selecting, &rows.items[i]));
		selection->growths.items[selection->growths.count++] = rows.items[i];
		rows.items[i] = (struct lh_growth){0};
	}
	return NULL;
}

static struct lh_error *make_total(struct selecting *selecting)
{
	struct lh_growth *total = &selecting->selection.total;
	total->name = total->thread_name = "";
	LH_TRY(series_create(total, selecting->tracks.sample_count));
	for (size_t i = 0; i < selecting->tracks.items.count; i++)
		series_add(total, lh_track_series(&selecting->tracks, i));
	for (size_t i = 0; i < selecting->selection.growths.count; i++)
		total->region_count += selecting->selection.growths.items[i].region_count;
	return judge_growth(selecting, total);
}

/* What still grows, before what grew once: a cache that has filled must not hide a small leak. */
static bool is_rising(const struct lh_growth *growth)
{
	return growth->verdict == LH_VERDICT_LEAK ||
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
	return (left->start > right->start) - (left->start < right->start);
}

struct lh_error *lh_select(const struct lh_samples *samples, struct lh_selection *ret)
{
	struct selecting selecting LH_CLEANUP(selecting_deinit) = {0};
	struct lh_selection *selection = &selecting.selection;
	LH_TRY(check_samples(samples, &selection->pid));
	LH_TRY(order_samples(samples, &selecting));
	LH_TRY(lh_tracks_create(selecting.samples, selection->sample_count, &selecting.tracks));
	LH_TRY(lh_tracks_group(&selecting.tracks));
	LH_TRY(make_growths(&selecting));
	LH_TRY(make_total(&selecting));
	if (selection->growths.count)
		qsort(selection->growths.items, selection->growths.count, sizeof(struct lh_growth), compare_growths);
	*ret = *selection;
	*selection = (struct lh_selection){0};
	return NULL;
}
