/*
 * child_refusal: what must not be forked behind its back. Input: a process and its mappings with usage;
 * output: nothing, or the reason. It looks at everything before the target is touched.
 */
#include "child_refusal.h"

#include "limits.h"

static struct lh_error *refuse_namespace(const struct lh_process *process)
{
	if (lh_process_forks_into_own_pid_namespace(process))
		return NULL;
	/* The first child there would be that namespace's init, and its end the end of all forking. */
	return lh_error_create(LH_ERROR_UNSUPPORTED, "its children would be in another pid namespace");
}

/*
 * A monitor that asked for fork events holds up clone until it has read one (userfaultfd(2)), and may be one
 * of the threads that stand still. A written hugetlbfs page needs a spare one, and where none is reserved
 * the target gets SIGBUS (mm/hugetlb.c hugetlb_wp).
 */
static struct lh_error *refuse_region(const struct lh_region *region)
{
	if (region->is_userfault)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "it has memory under a userfaultfd");
	if (region->is_hugetlb && !region->is_shared)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "it has private hugetlbfs memory");
	return NULL;
}

struct lh_error *lh_child_refuse(const struct lh_process *process, const struct lh_dump_options *options,
				 const struct lh_region_list *regions)
{
	if (options->no_inject)
		return lh_error_create(LH_ERROR_UNSUPPORTED, "--no-inject forbids what a child needs");
	LH_TRY(refuse_namespace(process));
	for (size_t i = 0; i < regions->regions.count; i++)
		LH_TRY(refuse_region(&regions->regions.items[i]));
	return lh_limits_check_child(process, regions);
}
