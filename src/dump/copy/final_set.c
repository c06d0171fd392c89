/*
 * final_set: copies the last written pages of a stopped target into memory with as few system calls and page faults as
 * possible. Bounded by what was written since the last pass.
 */
#include "final_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct lh_error *grow_set(struct lh_final_set *set, uint64_t bytes)
{
	if (bytes <= set->capacity_bytes)
		return NULL;
	void *grown = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (grown == MAP_FAILED)
		return lh_error_no_memory();
	if (set->used_bytes)
		memcpy(grown, set->memory, set->used_bytes);
	if (set->memory)
		munmap(set->memory, set->capacity_bytes);
	set->memory = grown;
	set->capacity_bytes = bytes;
	return NULL;
}

struct lh_error *lh_final_set_init(struct lh_final_set *set, uint64_t bytes)
{
	*set = (struct lh_final_set){0};
	return grow_set(set, lh_align_up(lh_max_u64(bytes, LH_PAGE_BYTES), LH_PAGE_BYTES));
}

void lh_final_set_deinit(struct lh_final_set *set)
{
	lh_vec_deinit(&set->ranges);
	if (set->memory)
		munmap(set->memory, set->capacity_bytes);
	*set = (struct lh_final_set){0};
}

static struct lh_error *collect_final_set(struct lh_final_set *set, const struct lh_plan *plan,
					  const struct lh_ranges *more, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < plan->pages.runs.count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[i];
		if (run->state != LH_PAGES_WRITTEN)
			continue;
		LH_TRY(lh_vec_push(&set->ranges, run->range));
		bytes += lh_range_bytes(run->range);
	}
	for (size_t i = 0; i < more->items.count; i++) {
		LH_TRY(lh_vec_push(&set->ranges, more->items.items[i]));
		bytes += lh_range_bytes(more->items.items[i]);
	}
	*ret_bytes = bytes;
	return NULL;
}

/* After a short read: reads the failed range page by page, and omits unreadable pages. */
static struct lh_error *copy_readable(struct lh_final_set *set, const struct lh_process *process, struct lh_range range,
				      struct lh_dump_gaps *gaps)
{
	for (uint64_t page = range.start; page < range.end; page += LH_PAGE_BYTES) {
		if (lh_process_read_present(process, page, set->memory + set->used_bytes, LH_PAGE_BYTES) ==
		    LH_PAGE_BYTES) {
			LH_TRY(lh_vec_push(&set->ranges, (struct lh_range){page, page + LH_PAGE_BYTES}));
			set->used_bytes += LH_PAGE_BYTES;
		} else {
			LH_TRY(lh_gaps_add(gaps, page, page + LH_PAGE_BYTES, LH_GAP_UNREADABLE));
		}
	}
	return NULL;
}

static struct lh_error *copy_one_by_one(struct lh_final_set *set, const struct lh_process *process,
					struct lh_dump_gaps *gaps)
{
	LH_VEC(struct lh_range) wanted = {set->ranges.items, set->ranges.count, set->ranges.capacity};
	set->ranges.items = NULL;
	set->ranges.count = set->ranges.capacity = 0;
	set->used_bytes = 0;
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < wanted.count; i++)
		error = copy_readable(set, process, wanted.items[i], gaps);
	lh_vec_deinit(&wanted);
	return error;
}

struct lh_error *lh_final_set_copy(struct lh_final_set *set, struct lh_crew *crew, const struct lh_process *process,
				   const struct lh_plan *plan, const struct lh_ranges *more, struct lh_dump_gaps *gaps)
{
	uint64_t bytes;
	LH_TRY(collect_final_set(set, plan, more, &bytes));
	LH_TRY(grow_set(set, bytes));
	set->used_bytes = lh_crew_read_ranges(crew, process, set->ranges.items, set->ranges.count, set->memory);
	if (set->used_bytes == bytes)
		return NULL;
	return copy_one_by_one(set, process, gaps);
}

struct lh_error *lh_final_set_write(const struct lh_final_set *set, struct lh_copy *copy)
{
	const uint8_t *at = set->memory;
	for (size_t i = 0; i < set->ranges.count; i++) {
		LH_TRY(lh_copy_from_memory(copy, set->ranges.items[i], at));
		at += lh_range_bytes(set->ranges.items[i]);
	}
	return NULL;
}
