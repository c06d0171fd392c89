/*
 * watch_all: follows every process by the sum of its private memory, with one selector each. Input: the table of
 * processes, again and again. A process that ended is forgotten; a process that reuses its pid is a new one.
 */
#include "command.h"
#include "sampling_options.h"
#include "screen.h"
#include "watching.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND_BYTES = 64 };

struct followed {
	struct lh_process_identity identity;
	char command[COMMAND_BYTES];
	struct lh_selector *selector;
	struct lh_selection selection;
	uint64_t bytes;
	size_t sample_count;
	bool is_there;
	bool has_run_command;
};

struct watch_all {
	const struct lh_watch_settings *settings;
	LH_VEC(struct followed) items;
	bool has_moved;
	bool has_lost_metrics; /* the last write of the file failed */
	bool is_partial;
};

static void followed_deinit(struct followed *followed)
{
	lh_selector_destroy(followed->selector);
	lh_selection_deinit(&followed->selection);
}

static void watch_all_deinit(struct watch_all *watch)
{
	for (size_t i = 0; i < watch->items.count; i++)
		followed_deinit(&watch->items.items[i]);
	lh_vec_deinit(&watch->items);
}

/* ---------------------------------------------------------------- one look at all */

static struct followed *find_all(struct watch_all *watch, const struct lh_process_identity *identity)
{
	for (size_t i = 0; i < watch->items.count; i++) {
		struct followed *followed = &watch->items.items[i];
		if (followed->identity.pid == identity->pid && followed->identity.start_ticks == identity->start_ticks)
			return followed;
	}
	return NULL;
}

static struct lh_error *begin_following(struct watch_all *watch, const struct lh_process_identity *identity,
					const char *command, struct followed **ret)
{
	struct followed followed = {.identity = *identity};
	snprintf(followed.command, sizeof(followed.command), "%s", command);
	LH_TRY(lh_selector_create(&followed.selector));
	struct lh_error *error = lh_vec_push(&watch->items, followed);
	if (error) {
		followed_deinit(&followed);
		return error;
	}
	*ret = &watch->items.items[watch->items.count - 1];
	return NULL;
}

/* All memory of a process as if it were one mapping; `watch PID` shows the parts. */
static struct lh_error *add_sample(struct followed *followed, const struct lh_process *process,
				   const struct lh_process_usage *row)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {
		.time_ns = lh_clock_realtime_ns(),
		.uptime_ns = lh_clock_boottime_ns(),
		.pid = row->pid,
		.list = {.has_usage = true},
	};
	static const struct lh_holdings nothing = {.values = {[LH_HOLDING_DESCRIPTORS] = LH_HOLDING_UNKNOWN}};
	static const struct lh_owners unowned = {0};
	const struct lh_region whole = {
		.end = UINT64_MAX,
		.kind = LH_REGION_ANON,
		.name = "",
		.thread_name = "",
		.usage = {.private_dirty_bytes = row->usage.private_dirty_bytes,
			  .private_hugetlb_bytes = row->usage.private_hugetlb_bytes,
			  .swap_bytes = row->usage.swap_bytes},
	};
	/* Reading limits opens ten files: only for processes that grow. */
	if (lh_verdict_is_rising(followed->selection.total.verdict) && followed->sample_count >= 2) {
		sample.ceilings = lh_ceilings_read(process, &nothing, &sample.list, &unowned);
		sample.has_ceilings = true;
	}
	LH_TRY(lh_vec_push(&sample.list.regions, whole));
	LH_TRY(lh_selector_add(followed->selector, &sample));
	followed->sample_count++;
	lh_selection_deinit(&followed->selection);
	return followed->sample_count < 2 ? NULL : lh_selector_judge(followed->selector, &followed->selection);
}

/* Ignores a process that ends meanwhile. */
static struct lh_error *take_row(struct watch_all *watch, const struct lh_process_usage *row)
{
	LH_CLEANUP(lh_cleanup_process) struct lh_process *process = NULL;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *ended = lh_process_open(row->pid, &process);
	if (ended)
		return NULL;
	struct lh_process_identity identity = lh_process_identity(process);
	struct followed *followed = find_all(watch, &identity);
	if (!followed)
		LH_TRY(begin_following(watch, &identity, lh_process_command(process), &followed));
	uint64_t bytes = row->usage.private_dirty_bytes + row->usage.swap_bytes;
	watch->has_moved |= bytes != followed->bytes;
	followed->bytes = bytes;
	followed->is_there = true;
	return add_sample(followed, process, row);
}

static void forget_ended(struct watch_all *watch)
{
	size_t kept = 0;
	for (size_t i = 0; i < watch->items.count; i++) {
		if (watch->items.items[i].is_there)
			watch->items.items[kept++] = watch->items.items[i];
		else
			followed_deinit(&watch->items.items[i]);
	}
	watch->items.count = kept;
}

static struct lh_error *look_all(struct watch_all *watch)
{
	struct lh_process_table table LH_CLEANUP(lh_process_table_deinit) = {0};
	LH_TRY(lh_process_table_read(&table));
	watch->has_moved = false;
	for (size_t i = 0; i < watch->items.count; i++)
		watch->items.items[i].is_there = false;
	for (size_t i = 0; i < table.processes.count; i++)
		LH_TRY(take_row(watch, &table.processes.items[i]));
	forget_ended(watch);
	return NULL;
}

/* ---------------------------------------------------------------- showing and acting */

static int compare_watched_growth(const void *a, const void *b)
{
	const struct lh_watched *left = a;
	const struct lh_watched *right = b;
	const struct lh_growth *left_total = &left->selection->total, *right_total = &right->selection->total;
	bool left_leaks = lh_verdict_is_rising(left_total->verdict);
	bool right_leaks = lh_verdict_is_rising(right_total->verdict);
	if (left_leaks != right_leaks)
		return left_leaks ? -1 : 1;
	if (left_total->growth_bytes != right_total->growth_bytes)
		return left_total->growth_bytes > right_total->growth_bytes ? -1 : 1;
	return left->pid - right->pid;
}

static void put_watched_row(const struct lh_watched *watched, struct lh_buffer *ret)
{
	const struct lh_growth *total = &watched->selection->total;
	char bytes[LH_FORMAT_MAX], growth[LH_FORMAT_MAX];
	lh_buffer_printf(ret, "%8d %11s %11s %-9s ", (int)watched->pid,
			 lh_format_bytes(total->private_last_bytes, bytes),
			 lh_format_signed_bytes(total->growth_bytes, growth), lh_verdict_name(total->verdict));
	lh_buffer_escape(ret, watched->command, strlen(watched->command));
	lh_buffer_printf(ret, ": %s\n", total->reason);
}

static struct lh_error *show_watched(const struct watch_all *watch, const struct lh_watched *watched, size_t count)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_buffer_printf(&text, "%8s %11s %11s %-9s %s\n", "PID", "PRIVATE", "GROWTH", "VERDICT", "COMMAND");
	for (size_t i = 0; i < count && i < watch->settings->most; i++)
		put_watched_row(&watched[i], &text);
	if (lh_screen_is_on())
		return lh_screen_show(&text, " leakhunt watch --all   q: quit");
	lh_buffer_puts(&text, "\n");
	return lh_print(&text);
}

static void run_commands(struct watch_all *watch)
{
	for (size_t i = 0; watch->settings->on_leak && i < watch->items.count; i++) {
		struct followed *followed = &watch->items.items[i];
		if (followed->sample_count < 2 || followed->has_run_command ||
		    !lh_selection_leaks(&followed->selection, watch->settings->least_probability))
			continue;
		followed->has_run_command = true;
		lh_leak_command_run(watch->settings->on_leak, followed->identity.pid, &watch->is_partial);
	}
}

/* Collects the processes with a judgment, worst first, into *ret, which the caller frees. */
static struct lh_error *gather_all(const struct watch_all *watch, struct lh_watched **ret, size_t *ret_count)
{
	struct lh_watched *watched = calloc(watch->items.count + 1, sizeof(*watched));
	size_t count = 0;
	if (!watched)
		return lh_error_no_memory();
	for (size_t i = 0; i < watch->items.count; i++) {
		const struct followed *followed = &watch->items.items[i];
		if (followed->sample_count >= 2)
			watched[count++] = (struct lh_watched){
				.pid = followed->identity.pid,
				.command = followed->command,
				.selection = &followed->selection,
			};
	}
	for (size_t i = 0; i < count; i++)
		watched[i].has_forecast = lh_forecast_end(watched[i].selection, &watched[i].forecast);
	qsort(watched, count, sizeof(*watched), compare_watched_growth);
	*ret = watched;
	*ret_count = count;
	return NULL;
}

static struct lh_error *act_all(struct watch_all *watch)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_watched *watched = NULL;
	size_t count = 0;
	LH_TRY(gather_all(watch, &watched, &count));
	lh_metrics_update(watch->settings->metrics_path, watched, count, &watch->has_lost_metrics, &watch->is_partial);
	if (count && !watch->settings->is_json)
		LH_TRY(show_watched(watch, watched, count));
	run_commands(watch);
	return NULL;
}

static struct lh_error *redraw_all(void *context)
{
	const struct watch_all *watch = context;
	LH_CLEANUP(lh_cleanup_free) struct lh_watched *watched = NULL;
	size_t count = 0;
	LH_TRY(gather_all(watch, &watched, &count));
	return count ? show_watched(watch, watched, count) : NULL;
}

static struct lh_error *print_watched_json(const struct watch_all *watch)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_watched *watched = NULL;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	size_t count = 0;
	LH_TRY(gather_all(watch, &watched, &count));
	lh_report_watched_json(watched, count, &text);
	return lh_print(&text);
}

struct lh_error *lh_watch_all(const struct lh_watch_settings *settings, bool *ret_is_partial)
{
	struct watch_all watch LH_CLEANUP(watch_all_deinit) = {.settings = settings};
	struct lh_pace pace;
	size_t look_count = 0;
	uint64_t end_ns = settings->for_ns ? lh_clock_monotonic_ns() + settings->for_ns : UINT64_MAX;
	lh_pace_begin(&pace, settings->interval_ns);
	if (!settings->is_json)
		lh_screen_begin();
	struct lh_error *error = NULL;
	while (!error && !lh_watch_is_over(end_ns)) {
		uint64_t started_ns = lh_clock_monotonic_ns();
		error = look_all(&watch);
		look_count++;
		if (!error)
			error = act_all(&watch);
		lh_pace_update(&pace, watch.has_moved, lh_clock_monotonic_ns() - started_ns);
		if (!error)
			error = lh_pace_wait(&pace, NULL, end_ns, redraw_all, &watch);
	}
	bool was_on_screen = lh_screen_is_on();
	lh_screen_end();
	LH_TRY(error);
	/* Leaves the last table on the terminal. */
	if (was_on_screen)
		LH_TRY(redraw_all(&watch));
	if (look_count < 2)
		return lh_error_create(LH_ERROR_INTERRUPTED, "stopped after one sample: growth needs at least two");
	if (settings->is_json)
		LH_TRY(print_watched_json(&watch));
	*ret_is_partial = watch.is_partial;
	return NULL;
}
