/*
 * dump_job: the steps of which dump, snapshot and child_copy are made. Each looks at one dump in progress; none decides
 * what comes next.
 */
#include "dump_job.h"
#include "dump/copy/ticker.h"
#include "dump/core/compress.h"
#include "dump/plan/left_out.h"
#include "dump/plan/plan.h"
#include "frozen.h"
#include "leakhunt/fault_point.h"
#include "limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void lh_job_deinit(struct dump_job *job)
{
	lh_outfile_destroy(job->file);
	lh_cleanup_close(&job->spool_fd);
	lh_cleanup_close(&job->turn_fd);
	lh_outfile_destroy(job->index);
	lh_process_facts_deinit(&job->facts);
	lh_task_list_deinit(&job->tasks);
	lh_thread_states_deinit(&job->threads);
	lh_layout_deinit(&job->held);
	lh_layout_deinit(&job->layout);
	lh_layout_deinit(&job->places);
	lh_vec_deinit(&job->taken.items);
	lh_cleanup_close(&job->log.fd);
	lh_page_log_deinit(&job->log);
	lh_plan_deinit(&job->plan);
	lh_receipt_deinit(&job->receipt);
}

/* A thread that runs on while a snapshot is made may go deeper into its stack. */
#define STACK_SLACK_BYTES (128 * LH_KIB)

struct lh_error *lh_job_plan(struct dump_job *job, const struct lh_buffer *maps, bool without_pages)
{
	struct lh_stack_pointers pointers = {0};
	struct lh_error *error = lh_stack_pointers_of(&job->threads, &pointers);
	/* In the pause nobody is asked in vain: what only names memory may be as old as the last plan. */
	struct lh_owners known LH_CLEANUP(lh_owners_deinit) = {0};
	if (without_pages) {
		known = job->plan.owners;
		job->plan.owners = (struct lh_owners){0};
	}
	struct lh_plan_request request = {
		.wants = job->options->wants,
		.want_count = job->options->want_count,
		.maps = maps,
		.bare = job->options->bare,
		.stack_pointers = pointers.items.items,
		.stack_pointer_count = pointers.items.count,
		.stack_slack_bytes = job->mode == LH_DUMP_SNAPSHOT ? STACK_SLACK_BYTES : 0,
		.without_pages = without_pages,
		.find_owners = job->options->find_owners,
		.known_owners = without_pages ? &known : NULL,
	};
	lh_layout_deinit(&job->layout);
	lh_plan_deinit(&job->plan);
	if (!error)
		error = lh_plan_create(job->process, &request, &job->plan);
	lh_vec_deinit(&pointers.items);
	LH_TRY(error);
	return without_pages ? NULL : lh_job_lay_out(job);
}

struct lh_error *lh_job_lay_out(struct dump_job *job)
{
	return lh_layout_create(&job->plan, job->options->format == LH_DUMP_CORE ? LH_CORE_BASE_OFFSET : 0,
				&job->layout);
}

struct lh_error *lh_job_glance(struct dump_job *job)
{
	lh_task_list_deinit(&job->tasks);
	lh_thread_states_deinit(&job->threads);
	LH_TRY(lh_tasks_read(job->process, &job->tasks));
	return lh_thread_states_glance(job->process, &job->tasks, &job->threads);
}

char *lh_job_index_path(const struct lh_dump_options *options)
{
	char *path = NULL;
	return asprintf(&path, "%s%s", options->path, LH_RAW_INDEX_SUFFIX) < 0 ? NULL : path;
}

struct lh_error *lh_job_look(struct dump_job *job)
{
	if (lh_process_pid(job->process) == getpid())
		return lh_error_create(LH_ERROR_USAGE, "process %d is leakhunt itself", (int)getpid());
	LH_TRY(lh_process_check_class(job->process));
	lh_process_facts_read(job->process, &job->facts);
	lh_freezer_read(job->process, &job->freezer);
	LH_TRY(lh_job_glance(job));
	LH_TRY(lh_job_plan(job, NULL, false));
	if (job->options->swapped)
		LH_TRY(lh_limits_check_swapped(job->process, job->plan.swapped_bytes));
	return lh_limits_check_own();
}

void lh_job_notify(const struct dump_job *job, const char *format, ...)
{
	char text[LH_MODE_REASON_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (job->options->notice)
		job->options->notice(job->options->progress_context, text);
}

void lh_job_charge(struct dump_job *job, struct lh_freeze_cost cost)
{
	job->receipt.pause_ns = lh_max_u64(job->receipt.pause_ns, cost.pause_ns);
	job->receipt.mended_count += cost.mended_count;
}

void lh_job_explain_mode(struct dump_job *job, enum lh_dump_mode mode, const char *reason)
{
	job->mode = mode;
	snprintf(job->receipt.mode_reason, sizeof(job->receipt.mode_reason), "%s", reason);
}

static struct lh_error *copy_planned(struct dump_job *job)
{
	uint64_t resident_before = lh_process_resident_bytes(job->process);
	job->receipt.time_ns = lh_clock_realtime_ns();
	job->copy.layout = &job->layout;
	LH_TRY(lh_copy_pass(&job->copy, &job->plan.pages, &job->receipt.gaps));
	LH_TRY(lh_swapped_copy(job));
	if (job->places.pieces.count) {
		lh_layout_deinit(&job->layout);
		LH_TRY(lh_layout_create_placed(&job->plan, &job->places, &job->layout));
	}
	LH_TRY(lh_gaps_of_plan(&job->plan, &job->receipt.gaps));
	uint64_t resident_after = lh_process_resident_bytes(job->process);
	job->receipt.resident_delta_bytes = (int64_t)(resident_after - resident_before);
	return NULL;
}

struct lh_error *lh_job_copy_stopped(struct dump_job *job)
{
	lh_thread_states_deinit(&job->threads);
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = NULL;
	LH_TRY(lh_freeze_begin(job->process, &job->threads, &freeze));
	LH_TRY(lh_job_plan(job, NULL, false));
	LH_TRY(copy_planned(job));
	lh_fault_point("stop-copied");
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	freeze = NULL;
	lh_job_charge(job, cost);
	return NULL;
}

/* The bytes may be of another program when it called exec; when it only ended, they are its own. */
struct lh_error *lh_job_check_not_changed(const struct dump_job *job)
{
	struct lh_error *error = lh_process_check(job->process);
	if (error && lh_error_code(error) == LH_ERROR_CHANGED)
		return error;
	lh_error_destroy(error);
	return NULL;
}

struct lh_error *lh_job_copy_live(struct dump_job *job)
{
	LH_TRY(copy_planned(job));
	LH_TRY(lh_job_check_not_changed(job));
	return lh_gaps_tell_vanished(job->process, &job->receipt.gaps);
}

const char *lh_mode_reason(enum lh_dump_mode mode)
{
	switch (mode) {
	case LH_DUMP_SNAPSHOT:
		return "copied while it ran; what was written meanwhile, while all threads stood still";
	case LH_DUMP_STOP:
		return "all threads stood still while memory was copied";
	case LH_DUMP_LIVE:
		return "nothing was stopped: pages may be of different moments";
	case LH_DUMP_CHILD:
		return "it forked while all threads stood still; a child that never ran was copied";
	}
	return "";
}
