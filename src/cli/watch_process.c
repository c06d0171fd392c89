/*
 * watch_process: follows one process. A look reads one small file, the kernel's counters. A sample (smaps) is taken
 * when the counters have moved, and at every tenth look. Each sample gives a new verdict: it is drawn, recorded,
 * written as metrics, and may start the user's command.
 */
#include "command.h"
#include "leakhunt/hunt.h"
#include "leakhunt/limits.h"
#include "sampling_options.h"
#include "screen.h"
#include "watching.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS_MAX = 10, CHART_HEIGHT_MAX = 12, CHART_HEIGHT_MIN = 4 };

#define MOVED_MIN_BYTES (256 * LH_KIB)

struct watch {
	const struct lh_process *process;
	const struct lh_watch_settings *settings;
	struct lh_sampling sampling;
	struct lh_selection selection;
	enum lh_allocator allocator;  /* of the process, looked up once */
	struct lh_memory_status seen; /* at the last sample */
	size_t look_count;            /* since the last sample */
	bool has_run_command;
	bool has_lost_metrics; /* the last write of the file failed */
	bool is_terminal;
};

static void watch_deinit(struct watch *watch)
{
	lh_sampling_deinit(&watch->sampling);
	lh_selection_deinit(&watch->selection);
}

/* ---------------------------------------------------------------- looking */

static bool has_moved(uint64_t before_bytes, uint64_t now_bytes)
{
	uint64_t tolerance_bytes = lh_max_u64(MOVED_MIN_BYTES, before_bytes / 200);
	return lh_max_u64(before_bytes, now_bytes) - lh_min_u64(before_bytes, now_bytes) >= tolerance_bytes;
}

/* Without RssAnon (before Linux 4.5) no change is visible: then each look is a sample. */
static struct lh_error *look_process(struct watch *watch, bool *ret_is_due, bool *ret_has_moved)
{
	struct lh_memory_status status;
	LH_TRY(lh_memory_status_read(watch->process, &status));
	*ret_has_moved = has_moved(watch->seen.anonymous_bytes + watch->seen.swapped_bytes,
				   status.anonymous_bytes + status.swapped_bytes) ||
			 has_moved(watch->seen.mapped_bytes, status.mapped_bytes);
	*ret_is_due = *ret_has_moved || watch->look_count >= LOOKS_MAX || watch->settings->interval_ns ||
		      !watch->sampling.sample_count || !status.anonymous_bytes;
	if (*ret_is_due)
		watch->seen = status;
	watch->look_count = *ret_is_due ? 0 : watch->look_count + 1;
	return NULL;
}

/* ---------------------------------------------------------------- showing */

static struct lh_error *print_line(const struct watch *watch)
{
	struct lh_buffer line LH_CLEANUP(lh_buffer_deinit) = {0};
	const struct lh_growth *total = &watch->selection.total;
	char bytes[LH_FORMAT_MAX], growth[LH_FORMAT_MAX], date[32];
	time_t now = time(NULL);
	struct tm parts;
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
	lh_buffer_printf(&line, "%s %s %s %s: %s\n", date, lh_format_bytes(total->private_last_bytes, bytes),
			 lh_format_signed_bytes(total->growth_bytes, growth), lh_verdict_name(total->verdict),
			 total->reason);
	return lh_print(&line);
}

/* The result so far; `style` NULL: JSON. */
static struct lh_error *put_result(struct watch *watch, const struct lh_style *style, struct lh_buffer *ret)
{
	struct lh_forecast forecast;
	struct lh_runtime_facts facts = lh_runtime_facts_make(&watch->selection, watch->allocator);
	bool has_end = lh_forecast_end(&watch->selection, &forecast);
	lh_selection_find_causes(&watch->selection, &facts);
	struct lh_select_report report = {
		.selection = &watch->selection,
		.forecast = has_end ? &forecast : NULL,
		.facts = &facts,
		.command = lh_process_command(watch->process),
		.most = watch->settings->most,
		.saved_path = watch->settings->save_path,
		.is_complete = !watch->sampling.is_partial,
	};
	if (style)
		lh_report_select_text(&report, *style, ret);
	else
		lh_report_select_json(&report, ret);
	return lh_buffer_status(ret);
}

static void put_status(const struct watch *watch, char *ret, size_t ret_bytes)
{
	char span[LH_FORMAT_MAX];
	lh_format_duration(watch->selection.span_ns, span);
	snprintf(ret, ret_bytes, " leakhunt watch %d (%s)   %zu samples in %s   q: quit, with the result",
		 (int)lh_process_pid(watch->process), lh_process_command(watch->process), watch->sampling.sample_count,
		 span);
}

/* Asks for the size each time: windows are resized. */
static struct lh_error *draw_chart(struct watch *watch)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_screen_size window = lh_screen_size();
	size_t height = window.rows / 3;
	char status[160];
	struct lh_chart_size size = {
		.width = window.columns - 1,
		.height = height < CHART_HEIGHT_MIN   ? CHART_HEIGHT_MIN
			  : height > CHART_HEIGHT_MAX ? CHART_HEIGHT_MAX
						      : height,
		.is_plain = strcmp(nl_langinfo(CODESET), "UTF-8") != 0,
	};
	LH_TRY(lh_report_chart(&watch->selection, watch->selection.total.series.items, size, &text));
	lh_report_chart_axis(&watch->selection, size, &text);
	lh_buffer_puts(&text, "\n");
	struct lh_style style = lh_terminal_style();
	LH_TRY(put_result(watch, &style, &text));
	put_status(watch, status, sizeof(status));
	return lh_screen_show(&text, status);
}

static struct lh_error *redraw_process(void *context)
{
	struct watch *watch = context;
	return watch->sampling.sample_count >= 2 ? draw_chart(watch) : NULL;
}

/* ---------------------------------------------------------------- acting */

/* A failure here is a warning: the watch goes on. */
static void act_process(struct watch *watch)
{
	const struct lh_watch_settings *settings = watch->settings;
	struct lh_watched watched = {
		.pid = lh_process_pid(watch->process),
		.command = lh_process_command(watch->process),
		.selection = &watch->selection,
	};
	watched.has_forecast = lh_forecast_end(&watch->selection, &watched.forecast);
	lh_metrics_update(settings->metrics_path, &watched, 1, &watch->has_lost_metrics, &watch->sampling.is_partial);
	if (!lh_selection_leaks(&watch->selection, settings->least_probability) || watch->has_run_command ||
	    !settings->on_leak)
		return;
	watch->has_run_command = true;
	lh_leak_command_run(settings->on_leak, watched.pid, &watch->sampling.is_partial);
}

static struct lh_error *judge_samples(struct watch *watch)
{
	lh_selection_deinit(&watch->selection);
	LH_TRY(lh_selector_judge(watch->sampling.selector, &watch->selection));
	if (!watch->settings->is_json)
		LH_TRY(lh_screen_is_on() ? draw_chart(watch) : print_line(watch));
	act_process(watch);
	return NULL;
}

static struct lh_error *take_watched_sample(struct watch *watch)
{
	LH_TRY(lh_sampling_take(&watch->sampling));
	return watch->sampling.sample_count >= 2 ? judge_samples(watch) : NULL;
}

/* ---------------------------------------------------------------- the loop */

static struct lh_error *follow_process(struct watch *watch)
{
	struct lh_pace pace;
	uint64_t end_ns = watch->settings->for_ns ? lh_clock_monotonic_ns() + watch->settings->for_ns : UINT64_MAX;
	lh_pace_begin(&pace, watch->settings->interval_ns);
	while (!lh_watch_is_over(end_ns)) {
		uint64_t started_ns = lh_clock_monotonic_ns();
		bool is_due, moved;
		LH_TRY(look_process(watch, &is_due, &moved));
		if (is_due)
			LH_TRY(take_watched_sample(watch));
		lh_pace_update(&pace, moved, lh_clock_monotonic_ns() - started_ns);
		LH_TRY(lh_pace_wait(&pace, watch->process, end_ns, redraw_process, watch));
	}
	watch->sampling.is_last = true;
	return take_watched_sample(watch);
}

static struct lh_error *print_result(struct watch *watch)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_style style = lh_terminal_style();
	bool is_json = watch->settings->is_json;
	lh_buffer_puts(&text, watch->is_terminal || is_json ? "" : "\n");
	LH_TRY(put_result(watch, is_json ? NULL : &style, &text));
	return lh_print(&text);
}

struct lh_error *lh_watch_process(const struct lh_process *process, const struct lh_watch_settings *settings,
				  bool *ret_is_partial)
{
	struct watch watch LH_CLEANUP(watch_deinit) = {
		.process = process,
		.settings = settings,
		.allocator = lh_allocator_of(process),
		.is_terminal = isatty(STDOUT_FILENO),
	};
	setlocale(LC_CTYPE, "");
	struct lh_sampling_options options = lh_sampling_options_make(settings->counter, settings->max_stall_ns);
	LH_TRY(lh_sampling_begin(process, &options, &watch.sampling));
	if (settings->save_path)
		LH_TRY(lh_record_log_open(settings->save_path, process, settings->save_max_bytes, &watch.sampling.log));
	if (!settings->is_json)
		lh_screen_begin();
	struct lh_error *error = follow_process(&watch);
	lh_screen_end();
	if (watch.sampling.sample_count < 2)
		return error ? error
			     : lh_error_create(LH_ERROR_INTERRUPTED,
					       "stopped after one sample: growth needs at least two");
	if (error)
		lh_go_on_without(&watch.sampling.is_partial, error, "the result covers the samples before");
	*ret_is_partial = watch.sampling.is_partial;
	return print_result(&watch);
}
