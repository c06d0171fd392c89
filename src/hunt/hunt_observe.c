/*
 * hunt_observe: the steps of a hunt that touch the process: sample until the verdict is firm, dump what grows, sample
 * until growth is worth comparing, dump again. When a step is impossible, the samples so far are the result.
 */
#include "hunt.h"

#include "leakhunt/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A verdict is firm when the last samples all give it: this many, of at least this many or LH_LEAK_SAMPLES_MIN. */
enum { LEAK_AGREE = 3, QUIET_SAMPLES_MIN = 30, QUIET_AGREE = 10 };

/* The verdict may take two thirds of the time; the rest is for growth between the dumps. */
enum { VERDICT_PARTS = 2, ALL_PARTS = 3 };

/* Growth worth comparing: what leaks in 15 s, within these bounds. */
#define WORTH_SECONDS   15.0
#define WORTH_MIN_BYTES (256 * LH_KIB)
#define WORTH_MAX_BYTES (64 * LH_MIB)

/* Less is noise. */
#define NOTABLE_BYTES ((int64_t)(64 * LH_KIB))

/* Shorter waits do not show that growth has ended. */
#define MEASURED_NS ((uint64_t)WORTH_SECONDS * LH_NS_PER_S)

#define RECORD_MAX_BYTES (64 * LH_MIB)

struct observation {
	const struct lh_process *process;
	const struct lh_hunt_options *options;
	struct lh_hunt *hunt;
	struct lh_sampling sampling;
	struct lh_want_list wants; /* of both dumps */
	uint64_t next_ns;          /* when the next sample is due; monotonic, as the next two */
	uint64_t verdict_end_ns;
	uint64_t end_ns;
	size_t leak_count; /* how many of the latest samples have this verdict */
	size_t quiet_count;
	uint64_t base_bytes;  /* private memory at the first dump */
	uint64_t worth_bytes; /* growth to wait for since then; 0: waiting for a verdict */
	uint64_t measured_ns; /* from the first to the last sample after the first dump; 0: there is only one */
	bool has_ended;       /* the process has, or it called exec */
};

static void observation_deinit(struct observation *observation)
{
	lh_sampling_deinit(&observation->sampling);
	lh_want_list_deinit(&observation->wants);
}

static bool is_interrupted(const struct observation *observation)
{
	return observation->options->sampling.is_interrupted && observation->options->sampling.is_interrupted();
}

/* ---------------------------------------------------------------- what is shown */

static void show_wait(void *context)
{
	const struct observation *observation = context;
	const struct lh_sampling *sampling = &observation->sampling;
	const struct lh_hunt *hunt = observation->hunt;
	char text[256], now[LH_FORMAT_MAX], growth[LH_FORMAT_MAX], wanted[LH_FORMAT_MAX], left[LH_FORMAT_MAX],
		chance[LH_FORMAT_MAX];
	uint64_t base = observation->worth_bytes ? observation->base_bytes : sampling->first_bytes;
	uint64_t end_ns = observation->worth_bytes ? observation->end_ns : observation->verdict_end_ns;
	uint64_t now_ns = lh_clock_monotonic_ns();
	if (!observation->options->show_wait)
		return;
	lh_format_bytes(sampling->latest_bytes, now);
	lh_format_signed_bytes((int64_t)(sampling->latest_bytes - base), growth);
	lh_format_duration(end_ns - lh_min_u64(end_ns, now_ns), left);
	if (observation->worth_bytes)
		snprintf(text, sizeof(text), "private memory %s, %s of %s wanted; at most %s more", now, growth,
			 lh_format_bytes(observation->worth_bytes, wanted), left);
	else
		snprintf(text, sizeof(text),
			 "sample %zu: private memory %s (%s), so far %s (chance of a leak: %s); "
			 "at most %s more",
			 sampling->sample_count, now, growth,
			 hunt->has_selection ? lh_verdict_name(hunt->selection.total.verdict) : "no verdict",
			 lh_format_chance(hunt->has_selection ? hunt->selection.total.probability : 0, chance), left);
	observation->options->show_wait(observation->options->context, text);
}

static void begin_step(const struct observation *observation, enum lh_hunt_step step, const char *text)
{
	if (observation->options->show_step)
		observation->options->show_step(observation->options->context, step, text);
}

/* ---------------------------------------------------------------- samples */

static struct lh_error *take_hunt_sample(struct observation *observation)
{
	struct lh_hunt *hunt = observation->hunt;
	LH_TRY(lh_sampling_take(&observation->sampling));
	if (observation->sampling.sample_count < 2)
		return NULL;
	lh_selection_deinit(&hunt->selection);
	hunt->has_selection = false;
	LH_TRY(lh_selector_judge(observation->sampling.selector, &hunt->selection));
	hunt->has_selection = true;
	return NULL;
}

static struct lh_error *wait_for_next(struct observation *observation, uint64_t end_ns)
{
	uint64_t now_ns = lh_clock_monotonic_ns(), interval_ns = observation->options->interval_ns;
	observation->next_ns += interval_ns;
	if (observation->next_ns < now_ns)
		observation->next_ns = now_ns + interval_ns;
	return lh_sampling_wait(&observation->sampling, lh_min_u64(observation->next_ns, end_ns), show_wait,
				observation);
}

static bool is_leak(const struct lh_selection *selection)
{
	const struct lh_growth *suspect = lh_selection_suspect(selection);
	enum lh_holding held = lh_selection_held_leak(selection);
	return (suspect && suspect->verdict == LH_VERDICT_LEAK) || selection->total.verdict == LH_VERDICT_LEAK ||
	       (held != LH_HOLDING_COUNT && selection->holdings[held].verdict == LH_VERDICT_LEAK);
}

static bool is_quiet(const struct lh_selection *selection)
{
	return !lh_selection_suspect(selection) && lh_selection_held_leak(selection) == LH_HOLDING_COUNT &&
	       !lh_verdict_may_grow(selection->total.verdict);
}

static bool is_firm(struct observation *observation)
{
	const struct lh_hunt *hunt = observation->hunt;
	size_t count = observation->sampling.sample_count;
	if (!hunt->has_selection)
		return false;
	observation->leak_count = is_leak(&hunt->selection) ? observation->leak_count + 1 : 0;
	observation->quiet_count = is_quiet(&hunt->selection) ? observation->quiet_count + 1 : 0;
	return (observation->leak_count >= LEAK_AGREE && count >= LH_LEAK_SAMPLES_MIN) ||
	       (observation->quiet_count >= QUIET_AGREE && count >= QUIET_SAMPLES_MIN);
}

/* Sets the step's outcome, unless it fails. */
static struct lh_error *wait_for_verdict(struct observation *observation)
{
	struct lh_hunt *hunt = observation->hunt;
	char allowed[LH_FORMAT_MAX];
	lh_format_duration(observation->options->for_ns / ALL_PARTS * VERDICT_PARTS, allowed);
	for (;;) {
		LH_TRY(take_hunt_sample(observation));
		hunt->is_firm = is_firm(observation);
		if (hunt->is_firm) {
			lh_hunt_step_note(hunt, LH_HUNT_WATCH, LH_HUNT_DONE, "%s", "");
			return NULL;
		}
		if (is_interrupted(observation)) {
			lh_hunt_step_note(hunt, LH_HUNT_WATCH, LH_HUNT_CUT_SHORT, "interrupted before a firm verdict");
			return NULL;
		}
		if (lh_clock_monotonic_ns() >= observation->verdict_end_ns) {
			lh_hunt_step_note(hunt, LH_HUNT_WATCH, LH_HUNT_CUT_SHORT,
					  "no firm verdict within %s; --for allows more time", allowed);
			return NULL;
		}
		LH_TRY(wait_for_next(observation, observation->verdict_end_ns));
	}
}

/* Since the first dump. */
static int64_t grown_since_dump(const struct observation *observation)
{
	return (int64_t)(observation->sampling.latest_bytes - observation->base_bytes);
}

static void note_short_wait(struct observation *observation)
{
	char growth[LH_FORMAT_MAX], span[LH_FORMAT_MAX];
	const char *what = is_interrupted(observation) ? "interrupted" : "--for was over";
	if (observation->measured_ns)
		lh_hunt_step_note(observation->hunt, LH_HUNT_GROW, LH_HUNT_CUT_SHORT, "%s after %s of growth in %s",
				  what, lh_format_signed_bytes(grown_since_dump(observation), growth),
				  lh_format_duration(observation->measured_ns, span));
	else
		lh_hunt_step_note(observation->hunt, LH_HUNT_GROW, LH_HUNT_CUT_SHORT,
				  "%s before growth since the first dump could be measured", what);
}

static struct lh_error *begin_growth_wait(struct observation *observation)
{
	LH_TRY(take_hunt_sample(observation));
	observation->base_bytes = observation->sampling.latest_bytes;
	double per_second = observation->hunt->selection.total.rate_bytes_per_hour / 3600;
	double worth = per_second > 0 ? per_second * WORTH_SECONDS : 0;
	observation->worth_bytes =
		worth > (double)WORTH_MAX_BYTES ? WORTH_MAX_BYTES : lh_max_u64((uint64_t)worth, WORTH_MIN_BYTES);
	return NULL;
}

static struct lh_error *wait_for_growth(struct observation *observation)
{
	LH_TRY(begin_growth_wait(observation));
	uint64_t base_ns = lh_clock_monotonic_ns();
	for (;;) {
		if (grown_since_dump(observation) >= (int64_t)observation->worth_bytes) {
			lh_hunt_step_note(observation->hunt, LH_HUNT_GROW, LH_HUNT_DONE, "%s", "");
			return NULL;
		}
		if (is_interrupted(observation) || lh_clock_monotonic_ns() >= observation->end_ns) {
			note_short_wait(observation);
			return NULL;
		}
		LH_TRY(wait_for_next(observation, observation->end_ns));
		LH_TRY(take_hunt_sample(observation));
		observation->measured_ns = lh_clock_monotonic_ns() - base_ns;
	}
}

/* ---------------------------------------------------------------- dumps */

/* The region that grows; if only the sum of all grows, all private memory. */
static struct lh_error *choose_wants(struct observation *observation)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	struct lh_want want;
	LH_TRY(lh_regions_read_owned(observation->process, LH_REGIONS_MAPS, &list));
	LH_TRY(lh_want_list_add_suspects(&observation->hunt->selection, &list, &observation->wants));
	if (observation->wants.items.count)
		return NULL;
	LH_TRY(lh_want_parse("private", &want));
	LH_TRY(lh_vec_push(&observation->wants.items, want));
	return lh_want_list_add_shared(&list, &observation->wants);
}

static struct lh_error *dump_with(const struct observation *observation, enum lh_dump_mode mode, const char *path,
				  struct lh_receipt *ret)
{
	const struct lh_hunt_options *options = observation->options;
	struct lh_dump_options dump = {
		.mode = mode,
		.format = LH_DUMP_CORE,
		.path = path,
		.wants = observation->wants.items.items,
		.want_count = observation->wants.items.count,
		.find_owners = options->sampling.find_owners,
		.max_pause_ns = options->max_pause_ns,
		.on_slow = LH_DUMP_SLOW_BOUNDED,
		.progress = options->progress,
		.is_interrupted = options->sampling.is_interrupted,
		.notice = options->notice,
		.progress_context = options->context,
	};
	return lh_dump(observation->process, &dump, ret);
}

/* Whether a copy of the running process may work where stopping it does not. */
static bool may_work_live(const struct lh_error *error)
{
	enum lh_error_code code = lh_error_code(error);
	return code == LH_ERROR_PERMISSION || code == LH_ERROR_UNSUPPORTED || code == LH_ERROR_SYSTEM;
}

static void note_live(struct observation *observation, enum lh_hunt_step step, struct lh_error *error)
{
	const char *hint = lh_error_hint_text(error);
	lh_hunt_step_note(observation->hunt, step, LH_HUNT_DONE, "copied while it ran, since %s%s%s",
			  lh_error_message(error), hint ? "; " : "", hint ? hint : "");
	lh_error_destroy(error);
}

static struct lh_error *make_dump(struct observation *observation, enum lh_hunt_step step, enum lh_hunt_side side)
{
	struct lh_hunt *hunt = observation->hunt;
	LH_CLEANUP(lh_cleanup_free) char *path = NULL;
	LH_TRY(lh_hunt_path(hunt->folder, side == LH_HUNT_BEFORE ? "before.core" : "after.core", &path));
	lh_hunt_step_note(hunt, step, LH_HUNT_DONE, "%s", "");
	struct lh_error *error = dump_with(observation, LH_DUMP_SNAPSHOT, path, &hunt->receipts[side]);
	if (error && may_work_live(error) && !is_interrupted(observation)) {
		struct lh_error *second = dump_with(observation, LH_DUMP_LIVE, path, &hunt->receipts[side]);
		if (second) {
			lh_error_destroy(second);
			return error;
		}
		note_live(observation, step, error);
		error = NULL;
	}
	LH_TRY(error);
	hunt->has_receipt[side] = true;
	hunt->dump_paths[side] = path;
	hunt->receipts[side].path = path;
	path = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- the order of steps */

static void skip_steps_from(struct lh_hunt *hunt, enum lh_hunt_step first, const char *reason)
{
	for (int step = (int)first; step < LH_HUNT_STEP_COUNT; step++)
		lh_hunt_step_note(hunt, (enum lh_hunt_step)step, LH_HUNT_NOT_REACHED, "%s", reason);
}

typedef struct lh_error *hunt_step_function(struct observation *observation);

static struct lh_error *dump_before(struct observation *observation)
{
	LH_TRY(choose_wants(observation));
	return make_dump(observation, LH_HUNT_DUMP_BEFORE, LH_HUNT_BEFORE);
}

static struct lh_error *dump_after(struct observation *observation)
{
	LH_TRY(make_dump(observation, LH_HUNT_DUMP_AFTER, LH_HUNT_AFTER));
	observation->sampling.is_last = true;
	return take_hunt_sample(observation);
}

/* Notes a failure instead of returning it. False: later steps are pointless without this one. */
static bool run_hunt_step(struct observation *observation, enum lh_hunt_step step, hunt_step_function *run,
			  const char *text)
{
	struct lh_hunt *hunt = observation->hunt;
	uint64_t started_ns = lh_clock_monotonic_ns();
	begin_step(observation, step, text);
	struct lh_error *error = run(observation);
	hunt->steps[step].elapsed_ns = lh_clock_monotonic_ns() - started_ns;
	if (!error)
		return true;
	enum lh_error_code code = lh_error_code(error);
	observation->has_ended |= code == LH_ERROR_NO_PROCESS || code == LH_ERROR_CHANGED;
	/* The second dump exists, even if the sample after it failed. */
	if (step == LH_HUNT_DUMP_AFTER && hunt->has_receipt[LH_HUNT_AFTER])
		lh_error_destroy(error);
	else
		lh_hunt_step_fail(hunt, step, error);
	return false;
}

static const char *reason_to_stop(const struct observation *observation)
{
	const struct lh_selection *selection = &observation->hunt->selection;
	if (observation->has_ended)
		return "the process has ended";
	if (is_interrupted(observation))
		return "interrupted";
	if (lh_hunt_has_sums_only(observation->hunt))
		return "its memory cannot be read; run leakhunt as root or as the user of the process";
	if (lh_selection_suspect(selection) || lh_verdict_is_rising(selection->total.verdict))
		return NULL;
	return lh_selection_held_leak(selection) != LH_HOLDING_COUNT ? "what grows is not in the process's mappings"
								     : "nothing grows";
}

/* NULL: make it. Too short a wait says nothing about growth: only the second dump does. */
static const char *reason_against_second_dump(const struct observation *observation)
{
	if (observation->hunt->steps[LH_HUNT_GROW].outcome != LH_HUNT_CUT_SHORT ||
	    grown_since_dump(observation) >= NOTABLE_BYTES)
		return NULL;
	if (is_interrupted(observation))
		return "interrupted";
	return observation->measured_ns >= MEASURED_NS ? "it did not grow since the first dump" : NULL;
}

static void run_dumps(struct observation *observation)
{
	struct lh_hunt *hunt = observation->hunt;
	if (!run_hunt_step(observation, LH_HUNT_DUMP_BEFORE, dump_before, "dumping what grows")) {
		skip_steps_from(hunt, LH_HUNT_GROW, "there is no first dump");
		return;
	}
	if (!run_hunt_step(observation, LH_HUNT_GROW, wait_for_growth, "waiting for growth worth comparing")) {
		skip_steps_from(hunt, LH_HUNT_DUMP_AFTER, "the process has ended");
		return;
	}
	const char *reason = reason_against_second_dump(observation);
	if (reason)
		skip_steps_from(hunt, LH_HUNT_DUMP_AFTER, reason);
	else
		run_hunt_step(observation, LH_HUNT_DUMP_AFTER, dump_after, "dumping it again");
}

static struct lh_error *prepare_files(struct observation *observation)
{
	struct lh_hunt *hunt = observation->hunt;
	LH_TRY(lh_hunt_folder_create(observation->process, observation->options->folder, &hunt->folder));
	LH_TRY(lh_hunt_path(hunt->folder, "record.jsonl", &hunt->record_path));
	return lh_record_log_open(hunt->record_path, observation->process, RECORD_MAX_BYTES,
				  &observation->sampling.log);
}

/* The record has it, too. A process that cannot be sampled leaves no folder behind. */
static struct lh_error *take_first_sample(struct observation *observation)
{
	struct lh_hunt *hunt = observation->hunt;
	struct lh_error *error = take_hunt_sample(observation);
	if (!error)
		return wait_for_next(observation, observation->verdict_end_ns);
	unlink(hunt->record_path);
	rmdir(hunt->folder);
	return error;
}

static void note_machine(struct lh_hunt *hunt)
{
	struct utsname machine;
	if (uname(&machine) < 0)
		return;
	snprintf(hunt->host, sizeof(hunt->host), "%.64s", machine.nodename);
	snprintf(hunt->kernel, sizeof(hunt->kernel), "%.16s %.64s %.64s", machine.sysname, machine.release,
		 machine.machine);
}

struct lh_error *lh_hunt_observe(const struct lh_process *process, const struct lh_hunt_options *options,
				 struct lh_hunt *ret)
{
	struct observation observation LH_CLEANUP(observation_deinit) = {
		.process = process, .options = options, .hunt = ret};
	uint64_t started_ns = lh_clock_monotonic_ns();
	ret->pid = lh_process_pid(process);
	ret->keeps_dumps = options->keeps_dumps;
	ret->max_pause_ns = options->max_pause_ns;
	snprintf(ret->command, sizeof(ret->command), "%s", lh_process_command(process));
	note_machine(ret);
	observation.next_ns = started_ns;
	observation.verdict_end_ns = started_ns + options->for_ns / ALL_PARTS * VERDICT_PARTS;
	observation.end_ns = started_ns + options->for_ns;
	struct lh_sampling_options sampling = options->sampling;
	sampling.takes_sums = true;
	LH_TRY(lh_sampling_begin(process, &sampling, &observation.sampling));
	LH_TRY(prepare_files(&observation));
	LH_TRY(take_first_sample(&observation));
	run_hunt_step(&observation, LH_HUNT_WATCH, wait_for_verdict, "sampling until the verdict is firm");
	if (lh_hunt_has_sums_only(ret) && ret->steps[LH_HUNT_WATCH].outcome == LH_HUNT_DONE)
		lh_hunt_step_note(ret, LH_HUNT_WATCH, LH_HUNT_CUT_SHORT,
				  "the mappings cannot be read, only the sum of private anonymous memory");
	if (ret->has_selection) {
		const char *reason = reason_to_stop(&observation);
		if (reason)
			skip_steps_from(ret, LH_HUNT_DUMP_BEFORE, reason);
		else
			run_dumps(&observation);
		ret->facts = lh_runtime_facts_make(&ret->selection, lh_allocator_of(process));
		ret->facts.has_owners = options->sampling.find_owners != NULL;
	} else {
		skip_steps_from(ret, LH_HUNT_DUMP_BEFORE, "there are no two samples");
	}
	ret->elapsed_ns = lh_clock_monotonic_ns() - started_ns;
	return NULL;
}
