/*
 * copy: reads present pages of the target into the writer's buffers. A page that cannot be read is a
 * gap, and the copy goes on behind it. It allocates nothing per page and never waits for the disc
 * but when the writer's ring is full.
 */
#include "copy.h"

#include "context.h"

#include <string.h>

/* Each so many unreadable pages, it is asked whether the process is still there. */
enum { LOST_PAGES_PER_CHECK = 256 };

static struct lh_error *lose_page(struct lh_copy *copy, uint64_t page, struct lh_dump_gaps *gaps)
{
	if (copy->lost_bytes % (LOST_PAGES_PER_CHECK * LH_PAGE_BYTES) == 0)
		LH_TRY(copy->child ? lh_cow_child_check(copy->child) : lh_process_check(copy->process));
	copy->lost_bytes += LH_PAGE_BYTES;
	return lh_gaps_add(gaps, page, page + LH_PAGE_BYTES, lh_gap_unreadable);
}

/* Room for the start of `range`, no more than its piece has; NULL: the writer has failed. */
static uint8_t *room_for(struct lh_copy *copy, struct lh_range range, const struct lh_piece **ret_piece,
			 size_t *ret_bytes)
{
	size_t room_bytes;
	uint8_t *room = lh_write_behind_room(copy->writer, &room_bytes);
	const struct lh_piece *piece = lh_layout_find(copy->layout, range.start);
	if (!room || !piece)
		return NULL;
	uint64_t end = lh_min_u64(range.end, piece->end);
	*ret_bytes = (size_t)lh_min_u64(end - range.start, lh_align_down(room_bytes, LH_PAGE_BYTES));
	*ret_piece = piece;
	return room;
}

static size_t read_source(const struct lh_copy *copy, uint64_t addr, uint8_t *ret, size_t bytes)
{
	return copy->child ? lh_cow_child_read(copy->child, addr, ret, bytes)
			   : lh_process_read(copy->process, addr, ret, bytes);
}

/* Copies the start of `range`, as much as there is room; *ret_bytes 0: the writer has failed. */
static struct lh_error *copy_some(struct lh_copy *copy, struct lh_range range, struct lh_dump_gaps *gaps,
				  uint64_t *ret_bytes)
{
	size_t bytes;
	const struct lh_piece *piece;
	uint8_t *room = room_for(copy, range, &piece, &bytes);
	*ret_bytes = 0;
	if (!room)
		return NULL;
	size_t got = (size_t)lh_align_down(read_source(copy, range.start, room, bytes), LH_PAGE_BYTES);
	if (got)
		lh_write_behind_put(copy->writer, piece->file_offset + (range.start - piece->start), got);
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
		size_t count;
		const struct lh_piece *piece;
		LH_TRY(check_cancelled(copy));
		uint8_t *room = room_for(copy, range, &piece, &count);
		if (!room)
			return NULL;
		memcpy(room, bytes, count);
		lh_write_behind_put(copy->writer, piece->file_offset + (range.start - piece->start), count);
		range.start += count;
		bytes += count;
		atomic_fetch_add_explicit(&copy->done_bytes, count, memory_order_relaxed);
	}
	return NULL;
}

struct lh_error *lh_copy_pass(struct lh_copy *copy, const struct lh_page_runs *runs, struct lh_dump_gaps *gaps)
{
	for (size_t i = 0; i < runs->runs.count; i++) {
		if (lh_page_is_present(runs->runs.items[i].state))
			LH_TRY(copy_run(copy, runs->runs.items[i].range, gaps));
	}
	return NULL;
}
