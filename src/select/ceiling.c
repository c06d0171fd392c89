/*
 * ceiling: names of the limits of a process, for programs and for people.
 */
#include "leakhunt/select.h"
#include "record.h"

#include <string.h>

static const struct {
	const char *name;
	const char *text;
	bool is_memory;
} ceilings[LH_CEILING_COUNT] = {
	[LH_CEILING_CGROUP_MEMORY] = {"cgroup_memory", "cgroup memory", true},
	[LH_CEILING_MACHINE_MEMORY] = {"machine_memory", "machine memory", true},
	[LH_CEILING_ADDRESS_SPACE] = {"address_space", "address space, RLIMIT_AS", true},
	[LH_CEILING_ADDRESS_SPACE_32] = {"address_space_32", "32-bit address space", true},
	[LH_CEILING_MAPPINGS] = {"mappings", "mappings, vm.max_map_count", false},
	[LH_CEILING_CGROUP_TASKS] = {"cgroup_tasks", "threads, pids.max of the cgroup", false},
	[LH_CEILING_MACHINE_TASKS] = {"machine_tasks", "threads of the machine", false},
	[LH_CEILING_DESCRIPTORS] = {"descriptors", "descriptors, RLIMIT_NOFILE", false},
	[LH_CEILING_JAVA_HEAP] = {"java_heap", "Java heap, -Xmx", true},
	[LH_CEILING_V8_HEAP] = {"v8_heap", "V8 heap, --max-old-space-size", true},
};

const char *lh_ceiling_name(enum lh_ceiling ceiling)
{
	return ceiling < LH_CEILING_COUNT ? ceilings[ceiling].name : "?";
}

const char *lh_ceiling_text(enum lh_ceiling ceiling)
{
	return ceiling < LH_CEILING_COUNT ? ceilings[ceiling].text : "?";
}

bool lh_ceiling_is_memory(enum lh_ceiling ceiling)
{
	return ceiling < LH_CEILING_COUNT && ceilings[ceiling].is_memory;
}

bool lh_ceiling_parse(const char *name, size_t length, enum lh_ceiling *ret)
{
	for (size_t i = 0; i < LH_CEILING_COUNT; i++) {
		if (strlen(ceilings[i].name) != length || memcmp(ceilings[i].name, name, length) != 0)
			continue;
		*ret = (enum lh_ceiling)i;
		return true;
	}
	return false;
}
