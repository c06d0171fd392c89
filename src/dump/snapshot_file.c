/*
 * snapshot_file: removes from a snapshot's file what passes copied and the target then gave back. Input: the plan of
 * the stop, and all pages taken. Output: holes in the file. Runs after the pause.
 */
#include "dump/plan/ranges.h"
#include "dump_job.h"

#include <fcntl.h>

static struct lh_error *clear_snapshot_file(int fd, const char *what, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeros[65536];
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) == 0)
		return NULL;
	for (uint64_t done = 0; done < bytes; done += sizeof(zeros))
		LH_TRY(lh_fd_pwrite_all(fd, what, zeros, lh_min_u64(bytes - done, sizeof(zeros)), offset + done));
	return NULL;
}

/* A range of stale pages; each has its place in the file. */
static struct lh_error *clear_range(const struct dump_job *job, int fd, struct lh_range range)
{
	while (range.start < range.end) {
		const struct lh_piece *place = lh_layout_find(&job->places, range.start);
		if (!place)
			return lh_error_create(LH_ERROR_SYSTEM, "page 0x%llx has lost its place",
					       (unsigned long long)range.start);
		uint64_t end = lh_min_u64(range.end, place->end);
		LH_TRY(clear_snapshot_file(fd, job->options->path, place->file_offset + (range.start - place->start),
					   end - range.start));
		range.start = end;
	}
	return NULL;
}

static struct lh_error *present_ranges(const struct lh_plan *plan, struct lh_ranges *ret)
{
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		if (lh_page_is_present(plan->pages.runs.items[i].state))
			LH_TRY(lh_vec_push(&ret->items, plan->pages.runs.items[i].range));
	}
	return NULL;
}

static struct lh_error *find_stale(const struct dump_job *job, struct lh_ranges *ret)
{
	struct lh_ranges gaps LH_CLEANUP(lh_ranges_deinit) = {0};
	struct lh_ranges present LH_CLEANUP(lh_ranges_deinit) = {0};
	struct lh_ranges held LH_CLEANUP(lh_ranges_deinit) = {0};
	LH_TRY(lh_ranges_of_gaps(&job->receipt.gaps, &gaps));
	LH_TRY(present_ranges(&job->plan, &present));
	LH_TRY(lh_ranges_append_all_outside(&present, &gaps, &held));
	return lh_ranges_append_all_outside(&job->taken, &held, ret);
}

struct lh_error *lh_snapshot_clean_file(const struct dump_job *job, int fd)
{
	struct lh_ranges stale LH_CLEANUP(lh_ranges_deinit) = {0};
	if (!job->places.pieces.count)
		return NULL;
	LH_TRY(find_stale(job, &stale));
	for (size_t i = 0; i < stale.items.count; i++)
		LH_TRY(clear_range(job, fd, stale.items.items[i]));
	return NULL;
}
