/*
 * cow_child: a copy-on-write child of a frozen target: its memory at that instant, to be read while the
 * target runs on. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_COW_CHILD_H
#define LEAKHUNT_DUMP_COW_CHILD_H

#include "leakhunt/dump.h"

struct lh_cow_child;

/* All that needs no standing target. LH_ERROR_UNSUPPORTED, with the reason, where no call can be injected. */
struct lh_error *lh_cow_child_prepare(const struct lh_process *process, const struct lh_region_list *regions,
				      struct lh_cow_child **ret) LH_NODISCARD;

/*
 * Makes it: one thread of `freeze` forks. LH_ERROR_UNSUPPORTED when no thread can, or the target may not
 * fork: it is as it was then.
 */
struct lh_error *lh_cow_child_make(struct lh_cow_child *child, struct lh_freeze *freeze) LH_NODISCARD;

/* The child as a process, for its mappings and pagemap. */
const struct lh_process *lh_cow_child_process(const struct lh_cow_child *child);

/*
 * Like lh_process_read, but through /proc/PID/mem: process_vm_readv(2) asks for pages as if to write and so
 * copies each (measured on Linux 6.18: 1 GB more memory per GB read). Of the vDSO the child has a copy with a slot in
 * use.
 */
size_t lh_cow_child_read(const struct lh_cow_child *child, uint64_t addr, void *ret, size_t bytes);

/* LH_ERROR_NO_MEMORY when somebody has killed it: mostly the OOM killer, to which it is offered first. */
struct lh_error *lh_cow_child_check(const struct lh_cow_child *child) LH_NODISCARD;

/*
 * Kills it, and has the target reap it: a second stop of all threads; its cost is added to *cost. On an
 * error the zombie is left to the guard or the next run. NULL is legal.
 */
struct lh_error *lh_cow_child_end(struct lh_cow_child *child, struct lh_freeze_cost *cost) LH_NODISCARD;
void lh_cleanup_cow_child(struct lh_cow_child **child);

#endif
