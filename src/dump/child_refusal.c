/*
 * child_refusal: when a fork would harm the target. Input: a process and its mappings with usage. Output: NULL, or the
 * reason. Checks everything before the target is touched.
 */
#include "child_refusal.h"

#include "limits.h"

static struct lh_error *refuse_namespace(const struct lh_process *process)
{
	if (lh_process_forks_into_own_pid_namespace(process))
		return NULL;
	/*
	 * The first child there would be the namespace's init: when it ends, no more forks are possible
	 * (pid_namespaces(7)).
	 */
	return lh_error_create(LH_ERROR_UNSUPPORTED, "its children would be in another pid namespace");
}

/*
 * A userfaultfd monitor that asked for fork events blocks clone until it has read the event (userfaultfd(2)), and the
 * monitor may be a stopped thread. A written hugetlbfs page needs a spare one; without a reserved one the target gets
 * SIGBUS (mm/hugetlb.c, hugetlb_wp).
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
