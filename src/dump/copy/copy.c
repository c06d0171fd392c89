/*
 * copy: reads present pages of the target into the writer's buffers. An unreadable page becomes a gap, and copying goes
 * on behind it. Allocates nothing per page. Waits for the disk only when the writer's ring is full.
 */
#include "copy.h"

#include "dump/plan/context.h"

#include <string.h>

/* Check that the process is alive once per this many unreadable pages. */
enum { LOST_PAGES_PER_CHECK = 256 };

static struct lh_error *lose_page(struct lh_copy *copy, uint64_t page, struct lh_dump_gaps *gaps)
{
	if (copy->lost_bytes % (LOST_PAGES_PER_CHECK * LH_PAGE_BYTES) == 0)
		LH_TRY(copy->child ? lh_cow_child_check(copy->child) : lh_process_check(copy->process));
	copy->lost_bytes += LH_PAGE_BYTES;
	return lh_gaps_add(gaps, page, page + LH_PAGE_BYTES, LH_GAP_UNREADABLE);
}

/* How many bytes at the start of `range` are contiguous in the file; 0: it has no place. */
static uint64_t placed_bytes(const struct lh_copy *copy, struct lh_range range)
{
	if (copy->log)
		return lh_range_bytes(range);
	const struct lh_piece *piece = lh_layout_find(copy->layout, range.start);
	return piece ? lh_min_u64(range.end, piece->end) - range.start : 0;
}

/* Takes the start of the writer's room, which now holds `range`, contiguous in the file. */
static struct lh_error *put_copy(struct lh_copy *copy, struct lh_range range)
{
	uint64_t offset;
	if (copy->log) {
		LH_TRY(lh_page_log_add(copy->log, range, &offset));
		lh_write_behind_put(copy->writer, LH_WRITE_LOG, offset, lh_range_bytes(range));
		return NULL;
	}
	const struct lh_piece *piece = lh_layout_find(copy->layout, range.start);
	offset = piece->file_offset + (range.start - piece->start);
	lh_write_behind_put(copy->writer, LH_WRITE_DUMP, offset, lh_range_bytes(range));
	return NULL;
}

/* Room for the start of `range`, at most its contiguous part; *ret_bytes 0: it has no place. */
static struct lh_error *room_for(struct lh_copy *copy, struct lh_range range, uint8_t **ret, size_t *ret_bytes)
{
	size_t room_bytes;
	LH_TRY(lh_write_behind_room(copy->writer, ret, &room_bytes));
	*ret_bytes = (size_t)lh_min_u64(placed_bytes(copy, range), lh_align_down(room_bytes, LH_PAGE_BYTES));
	return NULL;
}

static size_t read_source(const struct lh_copy *copy, uint64_t addr, uint8_t *ret, size_t bytes)
{
	return copy->child ? lh_cow_child_read(copy->child, addr, ret, bytes)
			   : lh_process_read_present(copy->process, addr, ret, bytes);
}

/* Copies the start of `range`, as much as fits into the room; *ret_bytes 0: it has no place. */
static struct lh_error *copy_some(struct lh_copy *copy, struct lh_range range, struct lh_dump_gaps *gaps,
				  uint64_t *ret_bytes)
{
	uint8_t *room;
	size_t bytes;
	LH_TRY(room_for(copy, range, &room, &bytes));
	*ret_bytes = 0;
	if (!bytes)
		return NULL;
	size_t got = (size_t)lh_align_down(read_source(copy, range.start, room, bytes), LH_PAGE_BYTES);
	if (got)
		LH_TRY(put_copy(copy, (struct lh_range){range.start, range.start + got}));
	*ret_bytes = got;
	if (got < bytes) {
		LH_TRY(lose_page(copy, range.start + got, gaps));
		*ret_bytes = got + LH_PAGE_BYTES;
	}
	return NULL;
}

static struct lh_error *check_cancelled(struct lh_copy *copy)
{
	if (!atomic_load_explicit(&copy->is_cancelled, memory_order_relaxed))
		return NULL;
	return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted: nothing was written");
}

static struct lh_error *copy_run(struct lh_copy *copy, struct lh_range run, struct lh_dump_gaps *gaps)
{
	while (run.start < run.end) {
		uint64_t bytes;
		LH_TRY(check_cancelled(copy));
		LH_TRY(copy_some(copy, run, gaps, &bytes));
		if (!bytes)
			return NULL;
		run.start += bytes;
		atomic_fetch_add_explicit(&copy->done_bytes, bytes, memory_order_relaxed);
	}
	return NULL;
}

struct lh_error *lh_copy_from_memory(struct lh_copy *copy, struct lh_range range, const uint8_t *bytes)
{
	while (range.start < range.end) {
		uint8_t *room;
		size_t count;
		LH_TRY(check_cancelled(copy));
		LH_TRY(room_for(copy, range, &room, &count));
		if (!count)
			return NULL;
		memcpy(room, bytes, count);
		LH_TRY(put_copy(copy, (struct lh_range){range.start, range.start + count}));
		range.start += count;
		bytes += count;
		atomic_fetch_add_explicit(&copy->done_bytes, count, memory_order_relaxed);
	}
	return NULL;
}

/* ---------------------------------------------------------------- many small runs */

/* Runs per read call: a target with scattered writes has runs of single pages. */
enum { BATCH_RUNS = 1024 };

struct batch {
	struct lh_range ranges[BATCH_RUNS];
	size_t count;
	size_t bytes;
};

/* How many whole runs from runs[first] on fit into `room_bytes`, each contiguous in the file. */
static void gather_copy(const struct lh_copy *copy, const struct lh_page_runs *runs, size_t first, size_t room_bytes,
			struct batch *ret)
{
	ret->count = ret->bytes = 0;
	for (size_t i = first; i < runs->runs.count && ret->count < BATCH_RUNS; i++) {
		const struct lh_page_run *run = &runs->runs.items[i];
		uint64_t bytes = lh_range_bytes(run->range);
		if (!lh_page_is_present(run->state) || bytes > room_bytes - ret->bytes ||
		    placed_bytes(copy, run->range) < bytes)
			return;
		ret->ranges[ret->count++] = run->range;
		ret->bytes += bytes;
	}
}

/* ret_count: runs copied from runs[first] on; 0: this run must be copied alone. */
static struct lh_error *copy_batch(struct lh_copy *copy, const struct lh_page_runs *runs, size_t first,
				   size_t *ret_count)
{
	struct batch batch;
	uint8_t *room;
	size_t room_bytes, done_bytes = 0, count = 0;
	*ret_count = 0;
	if (copy->child)
		return NULL;
	LH_TRY(lh_write_behind_room(copy->writer, &room, &room_bytes));
	gather_copy(copy, runs, first, room_bytes, &batch);
	if (batch.count < 2)
		return NULL;
	size_t got = lh_crew_read_ranges(copy->crew, copy->process, batch.ranges, batch.count, room);
	while (count < batch.count && done_bytes + lh_range_bytes(batch.ranges[count]) <= got) {
		LH_TRY(put_copy(copy, batch.ranges[count]));
		done_bytes += lh_range_bytes(batch.ranges[count++]);
	}
	atomic_fetch_add_explicit(&copy->done_bytes, done_bytes, memory_order_relaxed);
	*ret_count = count;
	return NULL;
}

struct lh_error *lh_copy_pass(struct lh_copy *copy, const struct lh_page_runs *runs, struct lh_dump_gaps *gaps)
{
	for (size_t i = 0, count; i < runs->runs.count; i += count) {
		LH_TRY(check_cancelled(copy));
		LH_TRY(copy_batch(copy, runs, i, &count));
		if (!count && lh_page_is_present(runs->runs.items[i].state))
			LH_TRY(copy_run(copy, runs->runs.items[i].range, gaps));
		count = count ? count : 1;
	}
	return NULL;
}
