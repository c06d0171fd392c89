/*
 * dump: the order of things. Everything that can fail for reasons of ours (the words, the output
 * file, the disc, memory) is tried before the target is touched; what must be of one instant is done
 * while it stands still; all else after it goes on. An error anywhere leaves nothing on disc.
 */
#include "dump/copy/ticker.h"
#include "dump/core/compress.h"
#include "dump/plan/left_out.h"
#include "dump_job.h"
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

/* ---------------------------------------------------------------- before the target is touched */

/* A thread that runs on while a snapshot is made may go deeper into its stack. */
#define STACK_SLACK_BYTES (128 * LH_KIB)

struct lh_error *lh_job_plan(struct dump_job *job, bool without_pages)
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

/* What memory is written to. */
static int memory_fd(const struct dump_job *job)
{
	return job->spool_fd >= 0 ? job->spool_fd : lh_outfile_fd(job->file);
}

static struct lh_error *create_files(struct dump_job *job)
{
	const struct lh_dump_options *options = job->options;
	LH_TRY(lh_outfile_create(options->path, options->force, &job->file));
	if (options->compress)
		LH_TRY(lh_outfile_spool(job->file, &job->spool_fd));
	if (job->mode == LH_DUMP_SNAPSHOT)
		LH_TRY(lh_outfile_spool(job->file, &job->log.fd));
	if (options->format != LH_DUMP_RAW)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) char *index_path = lh_job_index_path(options);
	if (!index_path)
		return lh_error_no_memory();
	return lh_outfile_create(index_path, options->force, &job->index);
}

static struct lh_error *check_disc(struct dump_job *job)
{
	uint64_t free_bytes;
	LH_TRY(lh_outfile_free_bytes(job->file, &free_bytes));
	uint64_t needed_bytes = lh_limits_disc_bytes(&job->plan, job->options, job->tasks.tasks.count);
	if (job->spool_fd >= 0)
		needed_bytes += lh_limits_compress_bytes(needed_bytes, lh_compress_gives_back(job->spool_fd));
	/* Half: when the log is put in place, all of its pages may be new, and need room there, too. */
	job->log.room_bytes = (free_bytes - lh_min_u64(free_bytes, needed_bytes)) / 2;
	return lh_limits_check_disc(job->options->path, needed_bytes, free_bytes);
}

struct lh_error *lh_job_look(struct dump_job *job)
{
	if (lh_process_pid(job->process) == getpid())
		return lh_error_create(LH_ERROR_USAGE, "process %d is leakhunt itself", (int)getpid());
	LH_TRY(lh_process_check_class(job->process));
	lh_process_facts_read(job->process, &job->facts);
	lh_freezer_read(job->process, &job->freezer);
	LH_TRY(lh_job_glance(job));
	LH_TRY(lh_job_plan(job, false));
	if (job->options->swapped)
		LH_TRY(lh_limits_check_swapped(job->process, job->plan.swapped_bytes));
	return lh_limits_check_own();
}

static struct lh_error *prepare(struct dump_job *job)
{
	LH_TRY(lh_job_look(job));
	LH_TRY(lh_frozen_choose_mode(job));
	LH_TRY(create_files(job));
	LH_TRY(check_disc(job));
	return lh_patience_check();
}

/* ---------------------------------------------------------------- what is said of it */

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

/* Children of the target that are there because leakhunt was killed. They must not keep it from dumping. */
static void reap_leftovers(struct dump_job *job)
{
	size_t count = 0;
	struct lh_freeze_cost cost = {0};
	if ((job->mode != LH_DUMP_SNAPSHOT && job->mode != LH_DUMP_CHILD) || job->options->no_inject)
		return;
	LH_CLEANUP(lh_cleanup_error)
	struct lh_error *error = lh_child_end_leftovers(job->process, &count, &cost);
	lh_job_charge(job, cost);
	if (error)
		lh_job_notify(job, "a child that a killed leakhunt has left could not be reaped: %s",
			      lh_error_message(error));
	else if (count)
		lh_job_notify(job, "reaped %zu child%s that a killed leakhunt had left", count,
			      count == 1 ? "" : "ren");
}

/* ---------------------------------------------------------------- copying */

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
	LH_TRY(lh_job_plan(job, false));
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

static struct lh_error *copy_in_mode(struct dump_job *job)
{
	switch (job->mode) {
	case LH_DUMP_SNAPSHOT:
		return lh_snapshot_copy(job);
	case LH_DUMP_STOP:
		return lh_job_copy_stopped(job);
	case LH_DUMP_LIVE:
		return lh_job_copy_live(job);
	case LH_DUMP_CHILD:
		return lh_job_copy_by_child(job);
	}
	return lh_error_create(LH_ERROR_USAGE, "there is no mode %d", (int)job->mode);
}

static struct lh_error *copy_memory(struct dump_job *job)
{
	LH_CLEANUP(lh_cleanup_write_behind) struct lh_write_behind *writer = NULL;
	const int fds[LH_WRITE_FILE_COUNT] = {[LH_WRITE_DUMP] = memory_fd(job), [LH_WRITE_LOG] = job->log.fd};
	LH_TRY(lh_write_behind_create(fds, job->options->path, &writer));
	job->copy.process = job->process;
	job->copy.writer = writer;
	LH_CLEANUP(lh_cleanup_ticker) struct lh_ticker *ticker = NULL;
	LH_TRY(lh_ticker_start(&job->copy, job->options->progress, job->options->progress_context,
			       job->plan.wanted_bytes + job->plan.context_bytes, &ticker));
	LH_TRY(copy_in_mode(job));
	LH_TRY(lh_write_behind_finish(writer));
	if (atomic_load(&job->copy.is_cancelled))
		return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted: nothing was written");
	return lh_snapshot_clean_file(job, memory_fd(job));
}

/* ---------------------------------------------------------------- after it goes on */

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

/* A snapshot copies pages more than once: what counts is what it holds in the end. */
static uint64_t copied_bytes(const struct dump_job *job)
{
	if (!job->places.pieces.count)
		return atomic_load(&job->copy.done_bytes) - job->copy.lost_bytes;
	uint64_t bytes = job->plan.wanted_bytes + job->plan.context_bytes;
	return bytes - lh_min_u64(bytes, job->copy.lost_bytes);
}

static struct lh_error *measure_file(struct dump_job *job)
{
	struct stat status;
	int fd = lh_outfile_fd(job->file);
	if (fstat(fd, &status) < 0)
		return lh_error_from_errno(errno, "cannot measure %s", job->options->path);
	job->receipt.file_bytes = (uint64_t)status.st_size;
	job->receipt.disc_bytes = (uint64_t)status.st_blocks * 512;
	job->receipt.elapsed_ns = lh_clock_monotonic_ns() - job->started_ns;
	return NULL;
}

static struct lh_error *fill_receipt(struct dump_job *job)
{
	struct lh_receipt *receipt = &job->receipt;
	lh_gaps_normalise(&receipt->gaps);
	/* The process may have ended by now: then nobody can tell. */
	lh_error_destroy(lh_plan_count_left_out(job->process, &job->plan, receipt->left_out_bytes));
	receipt->pid = lh_process_pid(job->process);
	snprintf(receipt->command, sizeof(receipt->command), "%s", lh_process_command(job->process));
	receipt->mode = job->mode;
	if (!receipt->mode_reason[0])
		snprintf(receipt->mode_reason, sizeof(receipt->mode_reason), "%s", lh_mode_reason(receipt->mode));
	receipt->thread_count = job->threads.threads.count;
	receipt->copied_bytes = copied_bytes(job);
	receipt->context_bytes = job->plan.context_bytes;
	receipt->gap_bytes = lh_gaps_bytes(&receipt->gaps);
	receipt->path = job->options->path;
	return measure_file(job);
}

static struct lh_error *write_rest(struct dump_job *job)
{
	int fd = memory_fd(job);
	if (ftruncate(fd, (off_t)job->layout.end_offset) < 0)
		return lh_error_from_errno(errno, "cannot size %s", job->options->path);
	LH_TRY(fill_receipt(job));
	LH_TRY(lh_layout_without_gaps(&job->layout, &job->receipt.gaps, &job->held));
	struct lh_capture capture = {
		.process = job->process,
		.options = job->options,
		.facts = &job->facts,
		.plan = &job->plan,
		.held = &job->held,
		.threads = &job->threads,
		.receipt = &job->receipt,
	};
	if (job->options->format == LH_DUMP_RAW)
		return lh_raw_index_write(&capture, lh_outfile_fd(job->index), lh_outfile_path(job->index));
	return lh_core_finish(&capture, fd);
}

/* After the pause, and after the spool is complete: the target has no part in it. */
static struct lh_error *compress(struct dump_job *job)
{
	struct stat status;
	if (job->spool_fd < 0)
		return NULL;
	if (fstat(job->spool_fd, &status) < 0)
		return lh_error_from_errno(errno, "cannot measure %s", job->options->path);
	uint64_t before_ns = lh_clock_monotonic_ns();
	atomic_store(&job->copy.done_bytes, 0);
	job->receipt.unpacked_bytes = (uint64_t)status.st_size;
	LH_CLEANUP(lh_cleanup_ticker) struct lh_ticker *ticker = NULL;
	LH_TRY(lh_ticker_start(&job->copy, job->options->progress, job->options->progress_context,
			       job->receipt.unpacked_bytes, &ticker));
	LH_TRY(lh_compress(job->spool_fd, lh_outfile_fd(job->file), job->options->path, &job->copy));
	job->receipt.compress_ns = lh_clock_monotonic_ns() - before_ns;
	return NULL;
}

/* Both or none: a raw file without its index would have no addresses. */
static struct lh_error *commit(struct dump_job *job)
{
	return job->index ? lh_outfile_commit_both(job->file, job->index) : lh_outfile_commit(job->file);
}

static struct lh_error *run_job(struct dump_job *job)
{
	LH_TRY(prepare(job));
	reap_leftovers(job);
	LH_TRY(copy_memory(job));
	lh_thread_states_complete(&job->tasks, job->facts.parent, job->facts.group, job->facts.session, &job->threads);
	LH_TRY(write_rest(job));
	lh_fault_point("dump-written");
	LH_TRY(compress(job));
	LH_TRY(commit(job));
	return measure_file(job);
}

struct lh_error *lh_dump(const struct lh_process *process, const struct lh_dump_options *options,
			 struct lh_receipt *ret)
{
	struct dump_job job = {
		.process = process,
		.options = options,
		.mode = options->mode,
		.started_ns = lh_clock_monotonic_ns(),
		.spool_fd = -1,
		.log.fd = -1,
	};
	lh_patience_heed(options->is_interrupted);
	struct lh_error *error = run_job(&job);
	lh_patience_heed(NULL);
	if (!error) {
		*ret = job.receipt;
		job.receipt = (struct lh_receipt){0};
	}
	lh_job_deinit(&job);
	return error;
}
