/*
 * child_copy: mode child. Freezes the target, makes it fork, lets it continue, and copies the child. Input: a prepared
 * job. Output: its plan, layout and threads, all of the instant of the fork. Memory that a child does not inherit, and
 * shared memory, is copied in the pause, up to a limit.
 */
#include "child_refusal.h"
#include "dump/copy/final_set.h"
#include "dump/plan/plan.h"
#include "dump_job.h"
#include "leakhunt/fault_point.h"

#include <stdio.h>
#include <stdlib.h>

/* About 10 ms (Linux 6.18: 4 to 6 GB/s into memory that is resident). */
#define ASIDE_BYTES_MAX (32 * LH_MIB)

/* Where the pages of an extent are taken from. */
enum source {
	SOURCE_CHILD,
	SOURCE_ASIDE,  /* copied in the pause */
	SOURCE_SHARED, /* the child has the same memory: pages of later moments */
	SOURCE_LOST,   /* not inherited, and too much for a pause */
};

struct child_copy {
	struct dump_job *job;
	struct lh_cow_child *child;
	struct lh_region_list flagged;   /* with flags: read before the pause */
	struct lh_region_list inherited; /* the child's */
	struct lh_pagemap *target_pagemap;
	struct lh_pagemap *child_pagemap;
	LH_VEC(enum source) sources; /* by extent */
	struct lh_page_runs aside;   /* pages of extents that are copied in the pause */
	struct lh_final_set final;
	bool is_forked;
	uint64_t shared_bytes;
};

static void copy_deinit(struct child_copy *copy)
{
	lh_cleanup_cow_child(&copy->child);
	lh_region_list_deinit(&copy->flagged);
	lh_region_list_deinit(&copy->inherited);
	lh_pagemap_close(copy->target_pagemap);
	lh_pagemap_close(copy->child_pagemap);
	lh_vec_deinit(&copy->sources);
	lh_page_runs_deinit(&copy->aside);
	lh_final_set_deinit(&copy->final);
}

static bool is_inherited(const struct lh_region_list *list, const struct lh_extent *extent)
{
	const struct lh_region *region = lh_regions_find(list, extent->start);
	return !region || (!region->is_dontfork && !region->is_wipeonfork);
}

static size_t extent_index(const struct child_copy *copy, const struct lh_extent *extent)
{
	return (size_t)(extent - copy->job->plan.extents.items);
}

/* ---------------------------------------------------------------- before the pause */

static struct lh_error *prepare_child_copy(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	LH_TRY(lh_regions_read(job->process, LH_REGIONS_SMAPS, &copy->flagged));
	if (!job->may_fork)
		LH_TRY(lh_child_refuse(job->process, job->options, &copy->flagged));
	LH_TRY(lh_pagemap_open(job->process, &copy->target_pagemap));
	LH_TRY(lh_final_set_init(&copy->final, LH_MIB));
	return lh_cow_child_prepare(job->process, &job->plan.list, &copy->child);
}

/* ---------------------------------------------------------------- in the pause */

static enum source source_wanted(const struct child_copy *copy, const struct lh_extent *extent)
{
	if (extent->is_device)
		return SOURCE_CHILD;
	/* The child's copy has a slot in use (vdso_slot). */
	if (extent->region->kind == LH_REGION_VDSO)
		return SOURCE_SHARED;
	if (!is_inherited(&copy->flagged, extent))
		return SOURCE_LOST;
	return extent->region->is_shared ? SOURCE_SHARED : SOURCE_CHILD;
}

/* Sets aside extents that would come from `source`, while they fit. */
static struct lh_error *set_aside(struct child_copy *copy, enum source source, uint64_t *room_bytes)
{
	const struct lh_plan *plan = &copy->job->plan;
	for (size_t i = 0; i < plan->extents.count; i++) {
		if (copy->sources.items[i] != source)
			continue;
		struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
		uint64_t bytes = 0;
		LH_TRY(lh_extent_find_present(copy->target_pagemap, &plan->extents.items[i], &runs));
		for (size_t j = 0; j < runs.runs.count; j++)
			bytes += lh_page_is_present(runs.runs.items[j].state) ? lh_range_bytes(runs.runs.items[j].range)
									      : 0;
		if (bytes > *room_bytes)
			continue;
		*room_bytes -= bytes;
		copy->sources.items[i] = SOURCE_ASIDE;
		for (size_t j = 0; j < runs.runs.count; j++)
			LH_TRY(lh_vec_push(&copy->aside.runs, runs.runs.items[j]));
	}
	return NULL;
}

static struct lh_error *copy_aside(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	static const struct lh_plan nothing;
	uint64_t room_bytes = ASIDE_BYTES_MAX;
	for (size_t i = 0; i < job->plan.extents.count; i++)
		LH_TRY(lh_vec_push(&copy->sources, source_wanted(copy, &job->plan.extents.items[i])));
	LH_TRY(set_aside(copy, SOURCE_LOST, &room_bytes));
	LH_TRY(set_aside(copy, SOURCE_SHARED, &room_bytes));
	struct lh_ranges ranges = {0};
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < copy->aside.runs.count; i++) {
		if (lh_page_is_present(copy->aside.runs.items[i].state))
			error = lh_vec_push(&ranges.items, copy->aside.runs.items[i].range);
	}
	if (!error)
		error = lh_final_set_copy(&copy->final, job->copy.crew, job->process, &nothing, &ranges,
					  &job->receipt.gaps);
	lh_vec_deinit(&ranges.items);
	return error;
}

static struct lh_error *fork_frozen(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	lh_thread_states_deinit(&job->threads);
	LH_CLEANUP(lh_cleanup_freeze) struct lh_freeze *freeze = NULL;
	LH_TRY(lh_freeze_begin(job->process, &job->threads, &freeze));
	lh_fault_point("child-frozen");
	job->receipt.time_ns = lh_clock_realtime_ns();
	LH_TRY(lh_job_plan(job, NULL, true));
	LH_TRY(copy_aside(copy));
	LH_TRY(lh_cow_child_make(copy->child, freeze));
	copy->is_forked = true;
	struct lh_freeze_cost cost = lh_freeze_end(freeze);
	freeze = NULL;
	lh_fault_point("child-target-resumed");
	lh_cow_child_hand_over(copy->child);
	lh_job_charge(job, cost);
	job->receipt.injected = "clone, wait4; undone";
	return NULL;
}

/* ---------------------------------------------------------------- after it goes on */

/* The program may call madvise(2) after the flags were read: only the child shows what it did not inherit. */
static void recheck_sources(struct child_copy *copy)
{
	const struct lh_plan *plan = &copy->job->plan;
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		bool has_it =
			lh_regions_find(&copy->inherited, extent->start) && is_inherited(&copy->inherited, extent);
		if (copy->sources.items[i] == SOURCE_CHILD && !extent->is_device && !has_it)
			copy->sources.items[i] = SOURCE_LOST;
	}
}

static struct lh_error *find_aside(const struct child_copy *copy, const struct lh_extent *extent,
				   struct lh_page_runs *ret)
{
	for (size_t i = 0; i < copy->aside.runs.count; i++) {
		const struct lh_page_run *run = &copy->aside.runs.items[i];
		if (run->range.start >= extent->start && run->range.start < extent->end)
			LH_TRY(lh_vec_push(&ret->runs, *run));
	}
	return NULL;
}

/*
 * The kernel copies no page tables of a file mapping without written pages: the child faults them in itself
 * (mm/memory.c, vma_needs_copy).
 */
static struct lh_error *find_in_child(const struct child_copy *copy, const struct lh_extent *extent,
				      struct lh_page_runs *ret)
{
	LH_TRY(lh_extent_find_present(copy->child_pagemap, extent, ret));
	if (ret->runs.count || extent->is_absent_zero)
		return NULL;
	return lh_extent_find_present(copy->target_pagemap, extent, ret);
}

static struct lh_error *find_child_pages(void *context, const struct lh_extent *extent, struct lh_page_runs *ret)
{
	const struct child_copy *copy = context;
	switch (copy->sources.items[extent_index(copy, extent)]) {
	case SOURCE_CHILD:
		return find_in_child(copy, extent, ret);
	case SOURCE_ASIDE:
		return find_aside(copy, extent, ret);
	case SOURCE_SHARED:
	case SOURCE_LOST:
		break;
	}
	return lh_extent_find_present(copy->target_pagemap, extent, ret);
}

static struct lh_error *plan_child(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	const struct lh_process *process = lh_cow_child_process(copy->child);
	LH_TRY(lh_regions_read(process, LH_REGIONS_SMAPS, &copy->inherited));
	LH_TRY(lh_pagemap_open(process, &copy->child_pagemap));
	recheck_sources(copy);
	LH_TRY(lh_plan_look_with(&job->plan, find_child_pages, copy));
	return lh_job_lay_out(job);
}

static struct lh_error *lose_range(struct dump_job *job, struct lh_range range)
{
	job->copy.lost_bytes += lh_range_bytes(range);
	atomic_fetch_add_explicit(&job->copy.done_bytes, lh_range_bytes(range), memory_order_relaxed);
	return lh_gaps_add(&job->receipt.gaps, range.start, range.end, LH_GAP_NOT_INHERITED);
}

/* Copies now: the child's own pages, and what it shares. The rest is copied already, or lost. */
static struct lh_error *collect_extent(struct child_copy *copy, const struct lh_extent *extent,
				       struct lh_page_runs *ret)
{
	struct dump_job *job = copy->job;
	enum source source = copy->sources.items[extent_index(copy, extent)];
	const struct lh_page_run *runs = job->plan.pages.runs.items + extent->first_run;
	copy->shared_bytes += source == SOURCE_SHARED ? extent->present_bytes : 0;
	for (size_t i = 0; i < extent->run_count && source != SOURCE_ASIDE; i++) {
		if (!lh_page_is_present(runs[i].state))
			continue;
		LH_TRY(source == SOURCE_LOST ? lose_range(job, runs[i].range) : lh_vec_push(&ret->runs, runs[i]));
	}
	return NULL;
}

static struct lh_error *collect_runs(struct child_copy *copy, struct lh_page_runs *ret)
{
	const struct lh_plan *plan = &copy->job->plan;
	for (size_t i = 0; i < plan->extents.count; i++)
		LH_TRY(collect_extent(copy, &plan->extents.items[i], ret));
	return NULL;
}

static struct lh_error *copy_runs(struct child_copy *copy, const struct lh_page_runs *runs)
{
	struct dump_job *job = copy->job;
	struct lh_dump_pass pass = {.elapsed_ns = lh_clock_monotonic_ns()};
	for (size_t i = 0; i < runs->runs.count; i++)
		pass.bytes += lh_range_bytes(runs->runs.items[i].range);
	LH_TRY(lh_copy_pass(&job->copy, runs, &job->receipt.gaps));
	LH_TRY(lh_swapped_copy(job));
	LH_TRY(lh_cow_child_check(copy->child));
	pass.elapsed_ns = lh_clock_monotonic_ns() - pass.elapsed_ns;
	return lh_vec_push(&job->receipt.passes, pass);
}

static struct lh_error *copy_child(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	job->copy.lost_bytes = 0;
	LH_TRY(collect_runs(copy, &runs));
	/* An abandoned snapshot has given pages their places. */
	bool has_places = job->places.pieces.count != 0;
	if (has_places)
		LH_TRY(lh_places_add(&job->places, &job->plan.pages));
	job->copy.layout = has_places ? &job->places : &job->layout;
	job->copy.child = copy->child;
	struct lh_error *error = copy_runs(copy, &runs);
	job->copy.child = NULL;
	return error;
}

static void end_child(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	struct lh_freeze_cost cost = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_cow_child_end(copy->child, &cost);
	lh_job_charge(job, cost);
	copy->child = NULL;
	if (error)
		lh_job_notify(job, "a zombie child of process %d is left for now: %s",
			      (int)lh_process_pid(job->process), lh_error_message(error));
}

static struct lh_error *tell_shared(struct child_copy *copy)
{
	char bytes[LH_FORMAT_MAX];
	const char *before = copy->job->receipt.mode_reason;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!copy->shared_bytes)
		return NULL;
	lh_buffer_printf(&text, "%s; %s of shared memory are of later moments",
			 before[0] ? before : lh_mode_reason(LH_DUMP_CHILD),
			 lh_format_bytes(copy->shared_bytes, bytes));
	LH_TRY(lh_buffer_status(&text));
	lh_job_explain_mode(copy->job, LH_DUMP_CHILD, text.data);
	return NULL;
}

/* Swapped pages that were read have places behind all others. */
static struct lh_error *finish_layout(struct dump_job *job)
{
	if (job->places.pieces.count) {
		lh_layout_deinit(&job->layout);
		LH_TRY(lh_layout_create_placed(&job->plan, &job->places, &job->layout));
	}
	return lh_gaps_of_plan(&job->plan, &job->receipt.gaps);
}

static struct lh_error *copy_forked(struct child_copy *copy)
{
	struct dump_job *job = copy->job;
	uint64_t resident_before = lh_process_resident_bytes(job->process);
	LH_TRY(fork_frozen(copy));
	LH_TRY(plan_child(copy));
	LH_TRY(copy_child(copy));
	lh_fault_point("child-copied");
	end_child(copy);
	LH_TRY(lh_final_set_write(&copy->final, &job->copy));
	LH_TRY(finish_layout(job));
	job->receipt.final_bytes = copy->final.used_bytes;
	LH_TRY(tell_shared(copy));
	job->receipt.resident_delta_bytes = (int64_t)(lh_process_resident_bytes(job->process) - resident_before);
	return NULL;
}

static struct lh_error *copy_without_child(struct dump_job *job, const struct lh_error *refusal)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	const char *before = job->receipt.mode_reason;
	lh_buffer_printf(&text, "%s%sno child: %s", before, before[0] ? "; " : "", lh_error_message(refusal));
	LH_TRY(lh_buffer_status(&text));
	bool goes_live;
	LH_TRY(lh_job_judge_instead(job, LH_DUMP_STOP, text.data, &goes_live));
	lh_job_explain_mode(job, goes_live ? LH_DUMP_LIVE : LH_DUMP_STOP, text.data);
	return goes_live ? lh_job_copy_live(job) : lh_job_copy_stopped(job);
}

struct lh_error *lh_job_try_child(struct dump_job *job, struct lh_error **ret_refusal)
{
	struct child_copy copy LH_CLEANUP(copy_deinit) = {.job = job};
	struct lh_error *error = prepare_child_copy(&copy);
	if (!error)
		error = copy_forked(&copy);
	if (!error || copy.is_forked || lh_error_code(error) != LH_ERROR_UNSUPPORTED)
		return error;
	job->receipt.gaps.items.count = 0;
	*ret_refusal = error;
	return NULL;
}

struct lh_error *lh_job_copy_by_child(struct dump_job *job)
{
	LH_CLEANUP(lh_cleanup_error) struct lh_error *refusal = NULL;
	LH_TRY(lh_job_try_child(job, &refusal));
	return refusal ? copy_without_child(job, refusal) : NULL;
}
