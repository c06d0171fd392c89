/*
 * stray_userfault: what a leakhunt that was killed between its two injected calls has left in the target: a
 * userfaultfd that watches nothing. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_STRAY_USERFAULT_H
#define LEAKHUNT_DUMP_STRAY_USERFAULT_H

#include "leakhunt/dump.h"

struct lh_descriptors {
	LH_VEC(int) numbers;
};

/*
 * Descriptors of the target that are certainly of no use to it: userfaultfds with the flags of ours, with which
 * nobody has done the handshake without which they can do nothing (UFFDIO_API, ioctl_userfaultfd(2)). A
 * program's own is in that state between two of its system calls: one that is seen twice, a tenth of a second
 * apart, is not.
 */
struct lh_error *lh_stray_userfaults_find(const struct lh_process *process, struct lh_descriptors *ret) LH_NODISCARD;

/*
 * Closes them by an injected close(2), with all threads stopped, so that a number can't change its meaning
 * meanwhile. LH_ERROR_UNSUPPORTED where nothing can be injected; the target is then as it was. What that stop
 * costs is added to *cost.
 */
struct lh_error *lh_stray_userfaults_close(const struct lh_process *process, struct lh_freeze_cost *cost,
					   size_t *ret_count) LH_NODISCARD;

#endif
