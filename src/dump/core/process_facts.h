/*
 * process_facts: what a core says of a process besides its memory. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_PROCESS_FACTS_H
#define LEAKHUNT_DUMP_PROCESS_FACTS_H

#include "capture.h"

/* What cannot be read stays empty: a core is useful without it. */
void lh_process_facts_read(const struct lh_process *process, struct lh_process_facts *ret);

/* LH_ERROR_UNSUPPORTED when the program is not one of this machine's 64-bit ELF class. */
struct lh_error *lh_process_check_class(const struct lh_process *process) LH_NODISCARD;

/* Resident bytes now (proc_pid_statm(5), field 2); 0 when not known. */
uint64_t lh_process_resident_bytes(const struct lh_process *process);

/*
 * Bytes that are pinned for long: buffers registered with io_uring or RDMA, which the kernel and devices write without
 * the page tables (VmPin, proc_pid_status(5)). Pages of reads in progress with O_DIRECT are not among them.
 */
uint64_t lh_process_pinned_bytes(const struct lh_process *process);

/* Whether it holds a descriptor of a userfaultfd, registered or not; false when its descriptors cannot be read. */
bool lh_process_has_userfault(const struct lh_process *process);

#endif
