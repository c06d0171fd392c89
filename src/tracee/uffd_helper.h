/*
 * uffd_helper: a userfaultfd of the target's memory that is never in the target's table of files. Private to
 * tracee and dump.
 */
#ifndef LEAKHUNT_TRACEE_UFFD_HELPER_H
#define LEAKHUNT_TRACEE_UFFD_HELPER_H

#include "leakhunt/dump.h"

/* The calls that the target ran for us, as the receipt has them: literals, or NULL. */
struct lh_injected {
	const char *calls;
	const char *calls_with_child; /* these, and those of a child after them */
};

/*
 * One thread of the target is stopped and starts a helper thread; the helper has an empty table of files of its
 * own, makes the userfaultfd there, and ends when we have taken it over. Before Linux 6.9 all threads are stopped,
 * and one makes it and closes it. LH_ERROR_UNSUPPORTED, with the reason, where that can't be done; the target is as it
 * was. `regions` are the target's mappings. *ret_injected is set also on an error. The stop is added to *cost.
 */
struct lh_error *lh_userfault_open(const struct lh_process *process, const struct lh_region_list *regions,
				   struct lh_freeze_cost *cost, struct lh_injected *ret_injected,
				   int *ret_fd) LH_NODISCARD;

/* Whether system calls can be injected, as far as that can be known without stopping anything. */
struct lh_error *lh_injection_check(const struct lh_process *process,
				    const struct lh_region_list *regions) LH_NODISCARD;

#endif
