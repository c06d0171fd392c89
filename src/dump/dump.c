/*
 * dump: the order of the steps. Everything that can fail on leakhunt's side (options, output file, disk, memory) is
 * tried before the target is touched. What must be of one instant is done in the pause, the rest after it. After an
 * error nothing is left on disk.
 */
#include "dump/copy/ticker.h"
#include "dump/core/compress.h"
#include "dump/plan/left_out.h"
#include "dump_job.h"
#include "frozen.h"
#include "leakhunt/fault_point.h"
#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TURN_PATIENCE_NS (60 * LH_NS_PER_S)

/* ---------------------------------------------------------------- before the target is touched */

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

static struct lh_error *check_disk(struct dump_job *job)
{
	uint64_t free_bytes;
	LH_TRY(lh_outfile_free_bytes(job->file, &free_bytes));
	uint64_t needed_bytes = lh_limits_disk_bytes(&job->plan, job->options, job->tasks.tasks.count);
	if (job->spool_fd >= 0)
		needed_bytes += lh_limits_compress_bytes(needed_bytes, lh_compress_gives_back(job->spool_fd));
	/* Half of the disk: replaying the log may need a new place for each of its pages. */
	job->log.room_bytes = (free_bytes - lh_min_u64(free_bytes, needed_bytes)) / 2;
	return lh_limits_check_disk(job->options->path, needed_bytes, free_bytes);
}

static struct lh_error *prepare_dump(struct dump_job *job)
{
	LH_TRY(lh_job_look(job));
	LH_TRY(lh_frozen_choose_mode(job));
	LH_TRY(create_files(job));
	LH_TRY(check_disk(job));
	return lh_patience_check();
}

/* Children that an earlier, killed leakhunt left in the target. They must not prevent a dump. */
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

/* A snapshot copies pages more than once: count what it holds in the end. */
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
	job->receipt.disk_bytes = (uint64_t)status.st_blocks * LH_STAT_BLOCK_BYTES;
	job->receipt.elapsed_ns = lh_clock_monotonic_ns() - job->started_ns;
	return NULL;
}

static struct lh_error *fill_receipt(struct dump_job *job)
{
	struct lh_receipt *receipt = &job->receipt;
	lh_gaps_normalize(&receipt->gaps);
	/* The process may have ended by now: then this is unknown. */
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

static struct lh_error *write_headers(struct dump_job *job)
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

/* After the pause, with a complete spool: the target is not involved. */
static struct lh_error *compress_file(struct dump_job *job)
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
static struct lh_error *commit_files(struct dump_job *job)
{
	return job->index ? lh_outfile_commit_both(job->file, job->index) : lh_outfile_commit(job->file);
}

/*
 * A mapping has one userfaultfd and a thread one tracer: a second leakhunt would have to copy all in the pause. The
 * lock on /proc/PID ends with its holder. Anybody may hold it, so the wait for it has a bound.
 */
static struct lh_error *take_turn(struct dump_job *job)
{
	static const struct timespec nap = {.tv_nsec = 5 * (long)LH_NS_PER_MS};
	uint64_t deadline_ns = lh_clock_monotonic_ns() + TURN_PATIENCE_NS;
	if (job->options->mode == LH_DUMP_LIVE)
		return NULL;
	LH_TRY(lh_process_open_file(job->process, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, &job->turn_fd));
	for (bool is_told = false; flock(job->turn_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK; is_told = true) {
		if (!is_told)
			lh_job_notify(job, "another leakhunt copies process %d: waiting for it to finish",
				      (int)lh_process_pid(job->process));
		if (lh_clock_monotonic_ns() > deadline_ns)
			return NULL;
		LH_TRY(lh_patience_check());
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static void end_turn(struct dump_job *job)
{
	lh_cleanup_close(&job->turn_fd);
	job->turn_fd = -1;
}

static struct lh_error *run_job(struct dump_job *job)
{
	LH_TRY(take_turn(job));
	LH_TRY(prepare_dump(job));
	reap_leftovers(job);
	LH_TRY(copy_memory(job));
	end_turn(job);
	lh_thread_states_complete(&job->tasks, job->facts.parent, job->facts.group, job->facts.session, &job->threads);
	LH_TRY(write_headers(job));
	lh_fault_point("dump-written");
	LH_TRY(compress_file(job));
	LH_TRY(commit_files(job));
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
		.turn_fd = -1,
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
