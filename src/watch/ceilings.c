/*
 * ceilings: the limits of a live process: memory of its cgroup and of the machine, addresses, mappings, threads,
 * descriptors, a Java heap, V8's heap. Input: a process. Output: how much is left of each. A limit that cannot be read
 * is unknown.
 */
#include "leakhunt/limits.h"
#include "leakhunt/watch.h"

static uint64_t less_ceilings(uint64_t limit, uint64_t used)
{
	return limit == LH_NO_LIMIT ? LH_NO_LIMIT : limit - lh_min_u64(limit, used);
}

static void read_cgroup_ceilings(const struct lh_process *process, struct lh_ceilings *ret)
{
	struct lh_cgroup_limits limits LH_CLEANUP(lh_cgroup_limits_deinit) = {0};
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_cgroup_read(process, &limits);
	if (error)
		return;
	ret->left[LH_CEILING_CGROUP_MEMORY] = lh_limit_left(&limits.memory);
	ret->left[LH_CEILING_CGROUP_TASKS] = lh_limit_left(&limits.tasks);
}

static void read_machine(struct lh_ceilings *ret)
{
	struct lh_system_memory memory;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_system_memory_read(&memory);
	if (!error)
		ret->left[LH_CEILING_MACHINE_MEMORY] = memory.available_bytes + memory.swap_free_bytes;
	ret->left[LH_CEILING_MACHINE_TASKS] = lh_machine_tasks_left();
}

static void read_address_space(const struct lh_process *process, struct lh_ceilings *ret)
{
	struct lh_memory_status status;
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = lh_memory_status_read(process, &status);
	if (error)
		return;
	ret->left[LH_CEILING_ADDRESS_SPACE] = less_ceilings(lh_address_space_limit(process), status.mapped_bytes);
	ret->left[LH_CEILING_ADDRESS_SPACE_32] = less_ceilings(lh_address_space_end(process), status.mapped_bytes);
}

static bool is_reserved_place(const struct lh_region *region)
{
	return !region->protection && !region->is_shared && !*region->name;
}

/*
 * A Java heap is reserved at once, without access, and committed in parts: a mapping of it, and what follows without a
 * gap, is what -Xmx allows (HotSpot, os::reserve_memory). LH_NO_LIMIT when there is none.
 */
static uint64_t java_heap_left(const struct lh_region_list *list)
{
	uint64_t left = LH_NO_LIMIT, heap_end = 0;
	for (size_t i = 0; list->has_usage && i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		bool is_heap = region->kind == LH_REGION_JVM;
		if (!is_heap && (!heap_end || region->start != heap_end || !is_reserved_place(region))) {
			heap_end = 0;
			continue;
		}
		heap_end = region->end;
		left = left == LH_NO_LIMIT ? 0 : left;
		left += region->end - region->start - lh_min_u64(region->end - region->start, region->usage.rss_bytes);
	}
	return left;
}

struct lh_ceilings lh_ceilings_read(const struct lh_process *process, const struct lh_holdings *holdings,
				    const struct lh_region_list *list, const struct lh_owners *owners)
{
	struct lh_ceilings ceilings;
	for (size_t i = 0; i < LH_CEILING_COUNT; i++)
		ceilings.left[i] = LH_NO_LIMIT;
	read_cgroup_ceilings(process, &ceilings);
	read_machine(&ceilings);
	read_address_space(process, &ceilings);
	ceilings.left[LH_CEILING_MAPPINGS] = less_ceilings(lh_mapping_limit(), holdings->values[LH_HOLDING_MAPPINGS]);
	if (holdings->values[LH_HOLDING_DESCRIPTORS] != LH_HOLDING_UNKNOWN)
		ceilings.left[LH_CEILING_DESCRIPTORS] =
			less_ceilings(lh_descriptor_limit(process), holdings->values[LH_HOLDING_DESCRIPTORS]);
	ceilings.left[LH_CEILING_JAVA_HEAP] = java_heap_left(list);
	if (owners->has_v8_limit)
		ceilings.left[LH_CEILING_V8_HEAP] = owners->v8_left_bytes;
	return ceilings;
}
