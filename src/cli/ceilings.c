/*
 * ceilings: what a live process can run into: its cgroup's memory limit, RLIMIT_AS, and the machine's
 * memory. Input: a process. Output: how much is left of each. None of them is needed: what can't be read
 * is not there.
 */
#include "ceilings.h"

static void add(struct lh_ceiling *ret, size_t *count, struct lh_ceiling ceiling)
{
	if (ceiling.left_bytes != LH_NO_LIMIT)
		ret[(*count)++] = ceiling;
}

static uint64_t cgroup_left(const struct lh_process *process)
{
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_cgroup_read(process, &limits);
	return error ? LH_NO_LIMIT : lh_limit_left(&limits.memory);
}

static uint64_t address_space_left(const struct lh_process *process)
{
	struct lh_memory_status status;
	uint64_t limit_bytes = lh_address_space_limit(process);
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_memory_status_read(process, &status);
	if (limit_bytes == LH_NO_LIMIT || error)
		return LH_NO_LIMIT;
	return limit_bytes - lh_min_u64(limit_bytes, status.mapped_bytes);
}

static uint64_t machine_left(void)
{
	struct lh_system_memory memory;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_system_memory_read(&memory);
	return error ? LH_NO_LIMIT : memory.available_bytes + memory.swap_free_bytes;
}

size_t lh_ceilings_read(const struct lh_process *process, struct lh_ceiling ret[LH_CEILINGS_MAX])
{
	size_t count = 0;
	uint64_t address_space_bytes = address_space_left(process);
	add(ret, &count, (struct lh_ceiling){"its cgroup's memory limit", LH_MEASURE_USED, cgroup_left(process)});
	add(ret, &count, (struct lh_ceiling){"the end of the machine's memory", LH_MEASURE_USED, machine_left()});
	add(ret, &count,
	    (struct lh_ceiling){"its limit of address space (RLIMIT_AS)", LH_MEASURE_USED, address_space_bytes});
	add(ret, &count,
	    (struct lh_ceiling){"its limit of address space (RLIMIT_AS)", LH_MEASURE_MAPPED, address_space_bytes});
	return count;
}
