/*
 * selector: takes samples one by one, checks that they belong together, and measures the time between them. Input:
 * samples in order of time. Output: tracks, for select to judge. Keeps only what changed.
 */
#include "selector.h"

#include <stdlib.h>

struct lh_error *lh_selector_create(struct lh_selector **ret)
{
	struct lh_selector *selector = calloc(1, sizeof(*selector));
	if (!selector)
		return lh_error_no_memory();
	*ret = selector;
	return NULL;
}

void lh_selector_destroy(struct lh_selector *selector)
{
	if (!selector)
		return;
	lh_tracks_deinit(&selector->tracks);
	free(selector);
}

void lh_cleanup_selector(struct lh_selector **selector)
{
	lh_selector_destroy(*selector);
}

static struct lh_error *check_process(const struct lh_selector *selector, const struct lh_sample *sample)
{
	if (selector->pid && sample->pid && selector->pid != sample->pid)
		return lh_error_create(LH_ERROR_USAGE, "samples are of different processes: pids %d and %d",
				       (int)selector->pid, (int)sample->pid);
	if (selector->start_ticks && sample->start_ticks && selector->start_ticks != sample->start_ticks)
		return lh_error_create(LH_ERROR_USAGE,
				       "samples are of different processes: pid %d was given to another one meanwhile",
				       (int)sample->pid);
	return NULL;
}

/* Time since the previous sample, by uptime if both samples have it. */
static struct lh_error *measure_step(const struct lh_selector *selector, const struct lh_sample *sample,
				     uint64_t *ret_ns)
{
	bool has_uptime = selector->latest_uptime_ns && sample->uptime_ns > selector->latest_uptime_ns;
	uint64_t before_ns = has_uptime ? selector->latest_uptime_ns : selector->latest_time_ns;
	uint64_t now_ns = has_uptime ? sample->uptime_ns : sample->time_ns;
	if (now_ns == before_ns)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "two samples have the same time"),
				     "give the times of the files with --times, such as 0,60,120");
	if (now_ns < before_ns)
		return lh_error_create(LH_ERROR_USAGE, "a sample is older than the one before it");
	*ret_ns = now_ns - before_ns;
	return NULL;
}

struct lh_error *lh_selector_add(struct lh_selector *selector, const struct lh_sample *sample)
{
	uint64_t step_ns = 0;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a selector that was created. */
	bool is_first = !selector->tracks.sample_count;
	if (!sample->list.has_usage)
		return lh_error_hint(lh_error_create(LH_ERROR_USAGE, "a sample holds addresses, but no memory usage"),
				     "save the smaps of the process, not its maps");
	LH_TRY(check_process(selector, sample));
	if (!is_first)
		LH_TRY(measure_step(selector, sample, &step_ns));
	LH_TRY(lh_tracks_add(&selector->tracks, sample, selector->elapsed_ns + step_ns));
	selector->elapsed_ns += step_ns;
	selector->first_uptime_ns = is_first ? sample->uptime_ns : selector->first_uptime_ns;
	selector->start_ns = is_first ? sample->time_ns : selector->start_ns;
	selector->latest_time_ns = sample->time_ns;
	selector->latest_uptime_ns = sample->uptime_ns;
	selector->pid = selector->pid ? selector->pid : sample->pid;
	selector->start_ticks = selector->start_ticks ? selector->start_ticks : sample->start_ticks;
	return NULL;
}

/* ---------------------------------------------------------------- all at once */

static bool has_uptimes(const struct lh_samples *samples)
{
	for (size_t i = 0; i < samples->items.count; i++) {
		if (!samples->items.items[i].uptime_ns)
			return false;
	}
	return true;
}

static int compare_times(const void *a, const void *b)
{
	const struct lh_sample *const *left = a;
	const struct lh_sample *const *right = b;
	return lh_compare_u64((*left)->time_ns, (*right)->time_ns);
}

static int compare_uptimes(const void *a, const void *b)
{
	const struct lh_sample *const *left = a;
	const struct lh_sample *const *right = b;
	return lh_compare_u64((*left)->uptime_ns, (*right)->uptime_ns);
}

struct lh_error *lh_select(const struct lh_samples *samples, struct lh_selection *ret)
{
	size_t count = samples->items.count;
	LH_CLEANUP(lh_cleanup_selector) struct lh_selector *selector = NULL;
	LH_CLEANUP(lh_cleanup_free) const struct lh_sample **order = calloc(count + 1, sizeof(*order));
	if (!order)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		order[i] = &samples->items.items[i];
	qsort(order, count, sizeof(*order), has_uptimes(samples) ? compare_uptimes : compare_times);
	LH_TRY(lh_selector_create(&selector));
	for (size_t i = 0; i < count; i++)
		LH_TRY(lh_selector_add(selector, order[i]));
	return lh_selector_judge(selector, ret);
}
