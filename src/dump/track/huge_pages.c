/*
 * huge_pages: corrects write protection in private memory of hugetlbfs. A page that is given back (MADV_DONTNEED, Linux
 * 5.18) comes back at a read as a protected page of zeros, and counts as unwritten (mm/hugetlb.c, hugetlb_no_page; seen
 * on Linux 6.18). It holds only zeros, or it would count as written: so a page that begins with another byte was not
 * given back. Input: the runs found at the end. Output: corrected runs.
 */
#include "huge_pages.h"

#include <stdlib.h>
#include <string.h>

#define HUGE_BYTES  (2 * LH_MIB) /* larger ones (1 GiB) are looked at in pieces of this size */
#define PROBE_BYTES ((uint64_t)256)

struct correction {
	struct lh_page_runs found; /* of all extents, in their order */
	struct lh_ranges probes;   /* the beginnings of huge pages, in the same order */
	uint8_t *beginnings;       /* what was read there; zeros where nothing was readable */
	size_t next;
};

/* Nothing cheap tells files of hugetlbfs from others: some other files are looked at in vain. */
static bool may_be_huge(const struct lh_extent *extent)
{
	const struct lh_region *region = extent->region;
	return extent->is_tracked && !extent->is_absent_zero && region->start % HUGE_BYTES == 0 &&
	       region->end % HUGE_BYTES == 0;
}

static uint64_t piece_end(uint64_t start, uint64_t end)
{
	return lh_min_u64(lh_align_down(start, HUGE_BYTES) + HUGE_BYTES, end);
}

static struct lh_error *add_probes(struct lh_ranges *probes, const struct lh_page_run *run)
{
	if (run->state != LH_PAGES_PRESENT)
		return NULL;
	for (uint64_t at = run->range.start; at < run->range.end; at = piece_end(at, run->range.end))
		LH_TRY(lh_vec_push(&probes->items, (struct lh_range){at, at + PROBE_BYTES}));
	return NULL;
}

static struct lh_error *find_probes(const struct lh_plan *plan, struct lh_ranges *ret)
{
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		for (size_t j = 0; may_be_huge(extent) && j < extent->run_count; j++)
			LH_TRY(add_probes(ret, &plan->pages.runs.items[extent->first_run + j]));
	}
	return NULL;
}

static bool begins_with_zeros(const struct correction *correction, size_t index)
{
	static const uint8_t zeros[PROBE_BYTES];
	return memcmp(correction->beginnings + index * PROBE_BYTES, zeros, PROBE_BYTES) == 0;
}

/* extent->first_run still refers to correction->found. */
static struct lh_error *correct_huge_extent(void *context, const struct lh_extent *extent, struct lh_page_runs *ret)
{
	struct correction *correction = context;
	const struct lh_page_run *runs = correction->found.runs.items + extent->first_run;
	for (size_t i = 0; i < extent->run_count; i++) {
		struct lh_page_run run = runs[i];
		if (run.state != LH_PAGES_PRESENT || !may_be_huge(extent)) {
			LH_TRY(lh_vec_push(&ret->runs, run));
			continue;
		}
		while (run.range.start < run.range.end) {
			uint64_t end = piece_end(run.range.start, run.range.end);
			bool may_be_new = begins_with_zeros(correction, correction->next++);
			LH_TRY(lh_page_runs_add(ret, run.range.start, end,
						may_be_new ? LH_PAGES_WRITTEN : LH_PAGES_PRESENT));
			run.range.start = end;
		}
	}
	return NULL;
}

static struct lh_error *correct_huge_plan(struct correction *correction, const struct lh_process *process,
					  struct lh_plan *plan)
{
	LH_TRY(find_probes(plan, &correction->probes));
	if (!correction->probes.items.count)
		return NULL;
	correction->beginnings = calloc(correction->probes.items.count, PROBE_BYTES);
	if (!correction->beginnings)
		return lh_error_no_memory();
	(void)lh_process_read_ranges(process, correction->probes.items.items, correction->probes.items.count,
				     correction->beginnings);
	plan->pages = (struct lh_page_runs){0};
	struct lh_error *error = lh_plan_look_with(plan, correct_huge_extent, correction);
	lh_page_runs_deinit(&correction->found);
	return error;
}

struct lh_error *lh_huge_pages_correct(const struct lh_process *process, struct lh_plan *plan)
{
	struct correction correction = {.found = plan->pages};
	struct lh_error *error = correct_huge_plan(&correction, process, plan);
	lh_vec_deinit(&correction.probes.items);
	free(correction.beginnings);
	return error;
}
