/*
 * limits: compares what a dump needs with what disk, machine and cgroups have left. Input: the plan and the kernel's
 * numbers. Output: NULL, or the reason for refusing. Touches neither the target nor the disk.
 */
#include "limits.h"

#include "dump/copy/write_behind.h"

#include <stdlib.h>

/* The ring of buffers that are written, most last sets of a snapshot (up to 32 MiB), and plans, lists and stacks. */
#define OWN_BYTES (LH_WRITE_BEHIND_BYTES + 48 * LH_MIB)

uint64_t lh_limits_disk_bytes(const struct lh_plan *plan, const struct lh_dump_options *options, size_t thread_count)
{
	uint64_t swapped_bytes = options->swapped ? plan->swapped_bytes : 0;
	return swapped_bytes + plan->wanted_bytes + plan->context_bytes + LH_MIB +
	       thread_count * (LH_XSTATE_MAX + 2048) + plan->extents.count * 512 + plan->list.regions.count * 128;
}

uint64_t lh_limits_compress_bytes(uint64_t disk_bytes, bool punches_holes)
{
	return disk_bytes / 256 + 16 * LH_MIB + (punches_holes ? 0 : disk_bytes);
}

struct lh_error *lh_limits_check_disk(const char *path, uint64_t needed_bytes, uint64_t free_bytes)
{
	if (needed_bytes <= free_bytes)
		return NULL;
	char needed[LH_FORMAT_MAX], available[LH_FORMAT_MAX];
	struct lh_error *error =
		lh_error_create(LH_ERROR_NO_SPACE, "%s needs about %s, but only %s are free there", path,
				lh_format_bytes(needed_bytes, needed), lh_format_bytes(free_bytes, available));
	return lh_error_hint(error, "name a place on a larger disk with -o, or ask for less with --region");
}

struct lh_error *lh_limits_check_own(void)
{
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	LH_TRY(lh_cgroup_read_own(&limits));
	uint64_t left_bytes = lh_limit_left(&limits.memory);
	if (left_bytes >= OWN_BYTES)
		return NULL;
	char needed[LH_FORMAT_MAX], left[LH_FORMAT_MAX];
	struct lh_error *error = lh_error_create(
		LH_ERROR_NO_MEMORY, "leakhunt itself needs about %s, but its cgroup %s has only %s left",
		lh_format_bytes(OWN_BYTES, needed), limits.memory.cgroup, lh_format_bytes(left_bytes, left));
	return lh_error_hint(error, "run it outside of that cgroup (of a container: on the host)");
}

/* ---------------------------------------------------------------- the last set of a snapshot */

struct lh_error *lh_limits_judge_final(uint64_t bytes, const struct lh_cgroup_limits *own,
				       const struct lh_system_memory *memory)
{
	uint64_t left_bytes = lh_limit_left(&own->memory);
	/* 0: a kernel before 3.14, which has no such field. */
	if (memory->available_bytes)
		left_bytes = lh_min_u64(left_bytes, memory->available_bytes);
	if (bytes <= left_bytes)
		return NULL;
	char needed[LH_FORMAT_MAX], left[LH_FORMAT_MAX];
	struct lh_error *error = lh_error_create(
		LH_ERROR_NO_MEMORY,
		"for what the target writes while it is copied, leakhunt needs %s of memory, and only %s are left",
		lh_format_bytes(bytes, needed), lh_format_bytes(left_bytes, left));
	return lh_error_hint(error, "ask for less with --region, or choose --mode child, stop or live");
}

struct lh_error *lh_limits_check_final(uint64_t bytes)
{
	struct lh_cgroup_limits own LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	struct lh_system_memory memory;
	LH_TRY(lh_cgroup_read_own(&own));
	LH_TRY(lh_system_memory_read(&memory));
	return lh_limits_judge_final(bytes, &own, &memory);
}

/* ---------------------------------------------------------------- a copy-on-write child */

/* What mm/mmap.c accountable_mapping counts: private and writable. (In mode 2 MAP_NORESERVE is ignored.) */
static uint64_t accounted_bytes(const struct lh_region_list *regions)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < regions->regions.count; i++) {
		const struct lh_region *region = &regions->regions.items[i];
		if (!region->is_shared && !region->is_hugetlb && region->protection & LH_PROT_WRITE)
			sum += region->end - region->start;
	}
	return sum;
}

struct lh_error *lh_limits_child_need(const struct lh_process *process, const struct lh_region_list *regions,
				      struct lh_child_need *ret)
{
	struct lh_memory_status status;
	LH_TRY(lh_memory_status_read(process, &status));
	*ret = (struct lh_child_need){
		.written_bytes = status.anonymous_bytes,
		.page_table_bytes = status.page_table_bytes,
		.committed_bytes = accounted_bytes(regions),
	};
	return NULL;
}

static struct lh_error *lacks_memory(const char *what, const char *who, uint64_t left_bytes, uint64_t needed_bytes)
{
	char needed[LH_FORMAT_MAX], left[LH_FORMAT_MAX];
	return lh_error_create(LH_ERROR_UNSUPPORTED, "%s may take %s, and %s has only %s left", what,
			       lh_format_bytes(needed_bytes, needed), who, lh_format_bytes(left_bytes, left));
}

static struct lh_error *judge_memory(const char *what, uint64_t needed_bytes, const struct lh_cgroup_limits *cgroup,
				     const struct lh_system_memory *memory)
{
	const struct lh_limit *const limits[] = {&cgroup->memory, &cgroup->memory_throttle, &cgroup->memory_and_swap};
	for (size_t i = 0; i < LH_ARRAY_COUNT(limits); i++) {
		struct lh_buffer who LH_CLEANUP(lh_buffer_deinit) = {0};
		uint64_t left_bytes = lh_limit_left(limits[i]);
		if (left_bytes >= needed_bytes)
			continue;
		lh_buffer_puts(&who, "the target's cgroup ");
		lh_buffer_puts(&who, limits[i]->cgroup);
		LH_TRY(lh_buffer_status(&who));
		return lacks_memory(what, who.data, left_bytes, needed_bytes);
	}
	/* 0: a kernel before 3.14, which has no such field. */
	if (memory->available_bytes && memory->available_bytes < needed_bytes)
		return lacks_memory(what, "the machine", memory->available_bytes, needed_bytes);
	return NULL;
}

static struct lh_error *judge_commitment(uint64_t committed_bytes, const struct lh_system_memory *memory)
{
	enum { OVERCOMMIT_NEVER = 2 };
	uint64_t left_bytes =
		memory->commit_limit_bytes - lh_min_u64(memory->commit_limit_bytes, memory->committed_bytes);
	if (memory->overcommit_mode != OVERCOMMIT_NEVER || committed_bytes <= left_bytes)
		return NULL;
	char needed[LH_FORMAT_MAX], left[LH_FORMAT_MAX];
	return lh_error_create(LH_ERROR_UNSUPPORTED,
			       "vm.overcommit_memory is 2: a child of the target would commit %s, but only %s are left",
			       lh_format_bytes(committed_bytes, needed), lh_format_bytes(left_bytes, left));
}

struct lh_error *lh_limits_judge_child(const struct lh_child_need *need, const struct lh_cgroup_limits *cgroup,
				       const struct lh_system_memory *memory)
{
	if (!lh_limit_left(&cgroup->tasks))
		return lh_error_create(LH_ERROR_UNSUPPORTED,
				       "the target's cgroup %s allows no more tasks (pids.max %llu)",
				       cgroup->tasks.cgroup, (unsigned long long)cgroup->tasks.limit);
	uint64_t needed_bytes;
	if (!lh_add_u64(need->written_bytes, need->page_table_bytes, &needed_bytes))
		needed_bytes = UINT64_MAX - 1;
	LH_TRY(judge_memory("a copy-on-write child", needed_bytes, cgroup, memory));
	return judge_commitment(need->committed_bytes, memory);
}

struct lh_error *lh_limits_check_child(const struct lh_process *process, const struct lh_region_list *regions)
{
	struct lh_child_need need;
	struct lh_system_memory memory;
	struct lh_cgroup_limits cgroup LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	LH_TRY(lh_limits_child_need(process, regions, &need));
	LH_TRY(lh_cgroup_read(process, &cgroup));
	LH_TRY(lh_system_memory_read(&memory));
	return lh_limits_judge_child(&need, &cgroup, &memory);
}

struct lh_error *lh_limits_check_swapped(const struct lh_process *process, uint64_t swapped_bytes)
{
	struct lh_system_memory memory;
	struct lh_cgroup_limits cgroup LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	if (!swapped_bytes)
		return NULL;
	LH_TRY(lh_cgroup_read(process, &cgroup));
	LH_TRY(lh_system_memory_read(&memory));
	struct lh_error *error = judge_memory("reading the swapped pages", swapped_bytes, &cgroup, &memory);
	return error ? lh_error_hint(error, "without --swapped they stay where they are, and are listed as missing")
		     : NULL;
}
