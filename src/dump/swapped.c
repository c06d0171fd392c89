/*
 * swapped: pages that were in swap when all others were copied. Reading one brings it back into the target's memory
 * (mode child: into the child's), so leakhunt reads them last, and only on request. In mode stop the target is still
 * stopped, and a child never runs. Otherwise the target runs, and leakhunt takes a page only while it is still in swap,
 * untouched.
 */
#include "dump_job.h"

#include <stdlib.h>

/* A page may be written between looking at a piece and reading it: short pieces make this rare. */
#define PIECE_BYTES (256 * LH_KIB)

static struct lh_error *collect_swapped(const struct lh_plan *plan, struct lh_page_runs *ret)
{
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		struct lh_page_run run = plan->pages.runs.items[i];
		if (lh_page_is_present(run.state))
			continue;
		run.state = LH_PAGES_PRESENT;
		LH_TRY(lh_vec_push(&ret->runs, run));
	}
	return NULL;
}

static struct lh_error *add_changed(struct dump_job *job, uint64_t start, uint64_t end)
{
	if (start >= end)
		return NULL;
	job->copy.lost_bytes += end - start;
	return lh_gaps_add(&job->receipt.gaps, start, end, LH_GAP_CHANGED);
}

/* Of a piece, only pages that are still in swap are read; the others have changed, or are gone. */
static struct lh_error *sort_out(struct dump_job *job, struct lh_range piece, const struct lh_page_runs *now,
				 struct lh_page_runs *ret)
{
	uint64_t at = piece.start;
	for (size_t i = 0; i < now->runs.count; i++) {
		struct lh_page_run run = now->runs.items[i];
		if (lh_page_is_present(run.state))
			continue;
		LH_TRY(add_changed(job, at, run.range.start));
		at = run.range.end;
		run.state = LH_PAGES_PRESENT;
		LH_TRY(lh_vec_push(&ret->runs, run));
	}
	return add_changed(job, at, piece.end);
}

static struct lh_error *copy_piece(struct dump_job *job, struct lh_pagemap *pagemap, struct lh_range piece)
{
	struct lh_page_runs now LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_page_runs still LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(lh_pagemap_runs(pagemap, piece, &now));
	LH_TRY(sort_out(job, piece, &now, &still));
	return lh_copy_pass(&job->copy, &still, &job->receipt.gaps);
}

static struct lh_error *copy_running(struct dump_job *job, const struct lh_page_runs *swapped)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	LH_TRY(lh_pagemap_open(job->process, &pagemap));
	for (size_t i = 0; i < swapped->runs.count; i++) {
		struct lh_range run = swapped->runs.items[i].range;
		for (; run.start < run.end; run.start += PIECE_BYTES) {
			struct lh_range piece = {run.start, lh_min_u64(run.end, run.start + PIECE_BYTES)};
			LH_TRY(copy_piece(job, pagemap, piece));
		}
	}
	return NULL;
}

/* From now on the plan holds them like all others. */
static void count_as_present(struct lh_plan *plan)
{
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		struct lh_page_run *run = &plan->pages.runs.items[i];
		run->state = lh_page_is_present(run->state) ? run->state : LH_PAGES_PRESENT;
	}
	for (size_t i = 0; i < plan->extents.count; i++) {
		struct lh_extent *extent = &plan->extents.items[i];
		extent->present_bytes += extent->swapped_bytes;
		*(extent->is_context ? &plan->context_bytes : &plan->wanted_bytes) += extent->swapped_bytes;
		extent->swapped_bytes = 0;
	}
	plan->swapped_bytes = 0;
}

struct lh_error *lh_swapped_copy(struct dump_job *job)
{
	struct lh_page_runs swapped LH_CLEANUP(lh_page_runs_deinit) = {0};
	if (!job->options->swapped || !job->plan.swapped_bytes)
		return NULL;
	LH_TRY(collect_swapped(&job->plan, &swapped));
	if (!job->places.pieces.count)
		LH_TRY(lh_places_create(&job->layout, &job->places));
	LH_TRY(lh_places_add(&job->places, &swapped));
	job->copy.layout = &job->places;
	uint64_t lost_before = job->copy.lost_bytes;
	LH_TRY(job->mode == LH_DUMP_STOP || job->copy.child ? lh_copy_pass(&job->copy, &swapped, &job->receipt.gaps)
							    : copy_running(job, &swapped));
	job->receipt.swapped_in_bytes = job->plan.swapped_bytes - (job->copy.lost_bytes - lost_before);
	count_as_present(&job->plan);
	return NULL;
}
