/*
 * hunt_steps: the life of a struct lh_hunt: its steps and their outcomes, saved files instead of a process, and the
 * order from dumps to conclusions.
 */
#include "hunt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *lh_hunt_step_name(enum lh_hunt_step step)
{
	static const char *const names[] = {"watch", "dump before", "wait for growth", "dump after", "compare"};
	return step < LH_HUNT_STEP_COUNT ? names[step] : "?";
}

const char *lh_hunt_outcome_name(enum lh_hunt_outcome outcome)
{
	static const char *const names[] = {"skipped", "done", "cut short", "failed"};
	return outcome <= LH_HUNT_FAILED ? names[outcome] : "?";
}

const char *lh_hunt_why_name(enum lh_hunt_why why)
{
	static const char *const names[] = {"unknown", "no-growth",  "not-released", "in-use",
					    "freed",   "referenced", "collector",    "running"};
	return why <= LH_HUNT_WHY_RUNNING ? names[why] : "?";
}

void lh_hunt_step_note(struct lh_hunt *hunt, enum lh_hunt_step step, enum lh_hunt_outcome outcome, const char *format,
		       ...)
{
	struct lh_hunt_step_result *result = &hunt->steps[step];
	va_list list;
	va_start(list, format);
	vsnprintf(result->reason, sizeof(result->reason), format, list);
	va_end(list);
	result->outcome = outcome;
}

void lh_hunt_step_fail(struct lh_hunt *hunt, enum lh_hunt_step step, struct lh_error *error)
{
	const char *hint = lh_error_hint_text(error);
	lh_hunt_step_note(hunt, step, lh_error_code(error) == LH_ERROR_INTERRUPTED ? LH_HUNT_CUT_SHORT : LH_HUNT_FAILED,
			  "%s%s%s", lh_error_message(error), hint ? "; " : "", hint ? hint : "");
	lh_error_destroy(error);
}

void lh_hunt_deinit(struct lh_hunt *hunt)
{
	lh_diff_deinit(&hunt->diff);
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		lh_heap_groups_deinit(&hunt->groups[side]);
		lh_summary_deinit(&hunt->summaries[side]);
		lh_image_close(hunt->images[side]);
		lh_receipt_deinit(&hunt->receipts[side]);
		free(hunt->dump_paths[side]);
	}
	lh_leaks_deinit(&hunt->reach.leaks);
	lh_holder_list_deinit(&hunt->reach.holders);
	lh_hunt_owners_deinit(&hunt->owners);
	lh_selection_deinit(&hunt->selection);
	free(hunt->record_path);
	free(hunt->report_path);
	free(hunt->folder);
	*hunt = (struct lh_hunt){0};
}

bool lh_hunt_is_complete(const struct lh_hunt *hunt)
{
	for (int i = 0; i < LH_HUNT_STEP_COUNT; i++) {
		bool is_needless = hunt->steps[i].outcome == LH_HUNT_NOT_REACHED && hunt->why == LH_HUNT_WHY_NO_GROWTH;
		if (hunt->steps[i].outcome != LH_HUNT_DONE && !is_needless)
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- saved files */

static struct lh_error *copy_path(const char *path, char **ret)
{
	*ret = path ? strdup(path) : NULL;
	return path && !*ret ? lh_error_no_memory() : NULL;
}

static struct lh_error *load_record(const char *path, struct lh_hunt *ret)
{
	struct lh_record_losses losses;
	LH_TRY(lh_record_file_select(path, &ret->selection, &losses));
	ret->has_selection = true;
	ret->is_firm = ret->selection.sample_count >= LH_LEAK_SAMPLES_MIN;
	ret->pid = ret->selection.pid;
	memcpy(ret->command, losses.command, sizeof(ret->command));
	ret->facts = lh_runtime_facts_make(&ret->selection, LH_ALLOCATOR_UNKNOWN);
	size_t lost = losses.skipped_lines + losses.lost_regions + losses.unordered_samples;
	if (lost)
		lh_hunt_step_note(ret, LH_HUNT_WATCH, LH_HUNT_CUT_SHORT, "%zu lines or mappings of %s were left out",
				  lost, path);
	else
		lh_hunt_step_note(ret, LH_HUNT_WATCH, LH_HUNT_DONE, "%s", "");
	return NULL;
}

struct lh_error *lh_hunt_load(const char *before_path, const char *after_path, const char *record_path,
			      struct lh_hunt *ret)
{
	LH_TRY(copy_path(before_path, &ret->dump_paths[LH_HUNT_BEFORE]));
	LH_TRY(copy_path(after_path, &ret->dump_paths[LH_HUNT_AFTER]));
	LH_TRY(copy_path(record_path, &ret->record_path));
	ret->keeps_dumps = true;
	ret->held = LH_HOLDING_COUNT;
	lh_hunt_step_note(ret, LH_HUNT_WATCH, LH_HUNT_NOT_REACHED, "no record is given: --record names one");
	lh_hunt_step_note(ret, LH_HUNT_DUMP_BEFORE, before_path ? LH_HUNT_DONE : LH_HUNT_NOT_REACHED, "%s",
			  before_path ? "" : "no dump is given");
	lh_hunt_step_note(ret, LH_HUNT_GROW, LH_HUNT_DONE, "%s", "");
	lh_hunt_step_note(ret, LH_HUNT_DUMP_AFTER, after_path ? LH_HUNT_DONE : LH_HUNT_NOT_REACHED, "%s",
			  after_path ? "" : "no second dump is given");
	return record_path ? load_record(record_path, ret) : NULL;
}

/* ---------------------------------------------------------------- conclusions */

static void free_sizes(struct lh_size_table (*sizes)[LH_HUNT_SIDES])
{
	for (int side = 0; side < LH_HUNT_SIDES; side++)
		free((*sizes)[side].slots);
}

static bool have_one_key(const struct lh_hunt *hunt)
{
	return lh_image_redaction_key(hunt->images[LH_HUNT_BEFORE]) ==
	       lh_image_redaction_key(hunt->images[LH_HUNT_AFTER]);
}

/* Files that do not belong together are compared all the same. */
static void note_other_process(struct lh_hunt *hunt, enum lh_hunt_side side)
{
	pid_t pid = hunt->images[side] ? lh_image_pid(hunt->images[side]) : 0;
	if (pid && hunt->pid && pid != hunt->pid)
		lh_hunt_step_note(hunt, side == LH_HUNT_BEFORE ? LH_HUNT_DUMP_BEFORE : LH_HUNT_DUMP_AFTER,
				  LH_HUNT_CUT_SHORT, "the dump is of process %d, the record of process %d", (int)pid,
				  (int)hunt->pid);
}

/* A failed comparison is noted: the samples alone are a result. */
static struct lh_error *compare_dumps(struct lh_hunt *hunt, const struct lh_hunt_options *options,
				      struct lh_size_table sizes[LH_HUNT_SIDES])
{
	struct lh_error *error = lh_hunt_compare(hunt, options);
	for (int side = 0; side < LH_HUNT_SIDES && !error; side++) {
		if (hunt->images[side])
			error = lh_hunt_heap_count(hunt, (enum lh_hunt_side)side, &sizes[side]);
		note_other_process(hunt, (enum lh_hunt_side)side);
	}
	if (!error && hunt->is_comparison && hunt->heaps[LH_HUNT_BEFORE].is_known &&
	    hunt->heaps[LH_HUNT_AFTER].is_known)
		error = lh_hunt_find_reach(hunt);
	if (error && lh_error_code(error) == LH_ERROR_NO_MEMORY)
		return error;
	if (error)
		lh_hunt_step_fail(hunt, LH_HUNT_COMPARE, error);
	else if (hunt->is_comparison)
		lh_hunt_step_note(hunt, LH_HUNT_COMPARE, LH_HUNT_DONE, "%s",
				  have_one_key(hunt) ? ""
						     : "the dumps were not redacted with the same key, so that "
						       "equal texts and values of the two differ");
	else
		lh_hunt_step_note(hunt, LH_HUNT_COMPARE, LH_HUNT_CUT_SHORT,
				  "one dump shows what fills memory, not what grew");
	return NULL;
}

struct lh_error *lh_hunt_conclude(struct lh_hunt *hunt, const struct lh_hunt_options *options)
{
	LH_CLEANUP(free_sizes) struct lh_size_table sizes[LH_HUNT_SIDES] = {{0}, {0}};
	uint64_t started_ns = lh_clock_monotonic_ns();
	if (hunt->dump_paths[LH_HUNT_BEFORE] || hunt->dump_paths[LH_HUNT_AFTER])
		LH_TRY(compare_dumps(hunt, options, sizes));
	hunt->steps[LH_HUNT_COMPARE].elapsed_ns = lh_clock_monotonic_ns() - started_ns;
	lh_hunt_explain(hunt, sizes);
	lh_hunt_weigh(hunt);
	hunt->time_ns = lh_clock_realtime_ns();
	return lh_hunt_fill_owners(hunt);
}
