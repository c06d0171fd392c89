/*
 * preview: what a dump would do. Plans with the same code, and stops before touching anything. Input: process and
 * options of a dump. Output: the plan, the modes that would work, and the cost. Creates no file. Stops, traces and
 * writes nothing.
 */
#include "child_refusal.h"
#include "dump/plan/plan.h"
#include "dump/track/dirty_tracker.h"
#include "dump_job.h"
#include "frozen.h"
#include "limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Measured on Linux 6.18, two CPUs: stopped, 0.43 s per GB written; looking at pages, 0.7 ms per GB; forking, 15 ms. */
#define STOPPED_NS_PER_MIB ((uint64_t)450 * 1000)
#define LOOK_NS_PER_MIB    ((uint64_t)730)
#define FORK_NS_PER_MIB    ((uint64_t)15 * 1000)
#define STOPPING_NS        ((uint64_t)200 * 1000)

/* Why a mode would not work; NULL when it does. */
typedef struct lh_error *mode_checker(const struct dump_job *job);

/* Opening `mem` needs the same permission as tracing (ptrace(2), PTRACE_MODE_ATTACH). */
static struct lh_error *check_stop(const struct dump_job *job)
{
	LH_TRY(lh_frozen_refuse_stop(job->process, &job->freezer));
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_TRY(lh_process_open_file(job->process, "mem", O_RDONLY, &fd));
	if (!job->facts.tracer)
		return NULL;
	struct lh_error *error = lh_error_create(LH_ERROR_PERMISSION, "cannot stop process %d (%s)",
						 (int)lh_process_pid(job->process), lh_process_command(job->process));
	return lh_process_explain_refusal(job->process, error);
}

static struct lh_error *check_snapshot(const struct dump_job *job)
{
	LH_TRY(check_stop(job));
	LH_TRY(lh_frozen_refuse_injection(&job->freezer));
	char reason[LH_MODE_REASON_MAX];
	const struct lh_dirty_target target = {.process = job->process, .regions = &job->plan.list};
	return lh_dirty_check(&target, job->options, reason);
}

static struct lh_error *check_child(const struct dump_job *job)
{
	struct lh_region_list regions LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(check_stop(job));
	LH_TRY(lh_frozen_refuse_injection(&job->freezer));
	LH_TRY(lh_regions_read(job->process, LH_REGIONS_SMAPS, &regions));
	return lh_child_refuse(job->process, job->options, &regions);
}

static struct lh_error *check_live(const struct dump_job *job)
{
	(void)job;
	return NULL;
}

static const struct {
	enum lh_dump_mode mode;
	mode_checker *check;
} checks[] = {
	{LH_DUMP_SNAPSHOT, check_snapshot},
	{LH_DUMP_CHILD, check_child},
	{LH_DUMP_STOP, check_stop},
	{LH_DUMP_LIVE, check_live},
};

uint64_t lh_job_expected_pause_ns(const struct dump_job *job, enum lh_dump_mode mode)
{
	uint64_t present_mib = (job->plan.wanted_bytes + job->plan.context_bytes) / LH_MIB + 1;
	uint64_t stopping_ns = STOPPING_NS + job->tasks.tasks.count * LH_THREAD_STOP_NS;
	switch (mode) {
	case LH_DUMP_SNAPSHOT:
		return stopping_ns + present_mib * LOOK_NS_PER_MIB;
	case LH_DUMP_CHILD:
		return stopping_ns + present_mib * FORK_NS_PER_MIB +
		       lh_process_pinned_bytes(job->process) / LH_MIB * STOPPED_NS_PER_MIB;
	case LH_DUMP_STOP:
		return stopping_ns + present_mib * STOPPED_NS_PER_MIB;
	case LH_DUMP_LIVE:
		break;
	}
	return 0;
}

static const char *remark_mode(const struct dump_job *job, enum lh_dump_mode mode)
{
	if ((mode == LH_DUMP_SNAPSHOT || mode == LH_DUMP_CHILD) && job->facts.has_seccomp_filter)
		return "unless the target's seccomp filter forbids it";
	return "";
}

static struct lh_error *check_modes(const struct dump_job *job, struct lh_preview *preview)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(checks); i++) {
		LH_CLEANUP(lh_cleanup_error) struct lh_error *refusal = checks[i].check(job);
		struct lh_mode_check check = {.mode = checks[i].mode, .works = !refusal};
		check.pause_ns = refusal ? 0 : lh_job_expected_pause_ns(job, check.mode);
		snprintf(check.reason, sizeof(check.reason), "%s",
			 refusal ? lh_error_message(refusal) : remark_mode(job, check.mode));
		LH_TRY(lh_vec_push(&preview->modes, check));
	}
	return NULL;
}

static const struct lh_mode_check *find_check(const struct lh_preview *preview, enum lh_dump_mode mode)
{
	for (size_t i = 0; i < preview->modes.count; i++) {
		if (preview->modes.items[i].mode == mode)
			return &preview->modes.items[i];
	}
	return NULL;
}

static enum lh_dump_mode mode_instead(const struct lh_preview *preview, enum lh_dump_mode asked)
{
	const struct lh_mode_check *child = find_check(preview, LH_DUMP_CHILD);
	return asked == LH_DUMP_SNAPSHOT && child && child->works ? LH_DUMP_CHILD : LH_DUMP_STOP;
}

/* An impossible snapshot becomes a child, and an impossible child a stop; everything else fails as the dump would. */
static struct lh_error *choose_mode(const struct dump_job *job, struct lh_preview *preview)
{
	if (job->mode != LH_DUMP_LIVE)
		LH_TRY(check_stop(job));
	const struct lh_mode_check *asked = find_check(preview, job->mode);
	bool works = !asked || asked->works;
	preview->mode = works ? job->mode : mode_instead(preview, job->mode);
	const struct lh_mode_check *chosen = find_check(preview, preview->mode);
	preview->pause_ns = chosen ? chosen->pause_ns : 0;
	snprintf(preview->mode_reason, sizeof(preview->mode_reason), "%s",
		 works ? lh_mode_reason(job->mode) : asked->reason);
	return NULL;
}

static struct lh_error *check_files(const struct dump_job *job, struct lh_preview *preview)
{
	const struct lh_dump_options *options = job->options;
	LH_TRY(lh_outfile_check(options->path, options->force, &preview->disk_free_bytes));
	if (options->format == LH_DUMP_RAW) {
		uint64_t free_bytes;
		LH_CLEANUP(lh_cleanup_free) char *index_path = lh_job_index_path(options);
		if (!index_path)
			return lh_error_no_memory();
		LH_TRY(lh_outfile_check(index_path, options->force, &free_bytes));
	}
	preview->disk_bytes = lh_limits_disk_bytes(&job->plan, job->options, job->tasks.tasks.count);
	if (options->compress)
		preview->disk_bytes += lh_limits_compress_bytes(preview->disk_bytes, true);
	return lh_limits_check_disk(options->path, preview->disk_bytes, preview->disk_free_bytes);
}

static struct lh_error *fill_preview(struct dump_job *job, struct lh_preview *preview)
{
	struct lh_dump_gaps gaps = {0};
	LH_TRY(lh_job_look(job));
	LH_TRY(check_files(job, preview));
	LH_TRY(check_modes(job, preview));
	LH_TRY(choose_mode(job, preview));
	struct lh_error *error = lh_gaps_of_plan(&job->plan, &gaps);
	preview->gap_bytes = lh_gaps_bytes(&gaps) - (job->options->swapped ? job->plan.swapped_bytes : 0);
	lh_vec_deinit(&gaps.items);
	preview->pid = lh_process_pid(job->process);
	snprintf(preview->command, sizeof(preview->command), "%s", lh_process_command(job->process));
	preview->path = job->options->path;
	preview->thread_count = job->tasks.tasks.count;
	preview->plan = job->plan;
	job->plan = (struct lh_plan){0};
	return error;
}

struct lh_error *lh_dump_preview(const struct lh_process *process, const struct lh_dump_options *options,
				 struct lh_preview *ret)
{
	struct dump_job job = {.process = process,
			       .options = options,
			       .mode = options->mode,
			       .spool_fd = -1,
			       .turn_fd = -1,
			       .log.fd = -1};
	struct lh_preview preview = {0};
	struct lh_error *error = fill_preview(&job, &preview);
	if (error)
		lh_preview_deinit(&preview);
	else
		*ret = preview;
	lh_job_deinit(&job);
	return error;
}

void lh_preview_deinit(struct lh_preview *preview)
{
	lh_plan_deinit(&preview->plan);
	lh_vec_deinit(&preview->modes);
	*preview = (struct lh_preview){0};
}
