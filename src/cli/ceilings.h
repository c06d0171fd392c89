/*
 * ceilings: what a live process can run into as it grows. Private to cli.
 */
#ifndef LEAKHUNT_CLI_CEILINGS_H
#define LEAKHUNT_CLI_CEILINGS_H

#include "leakhunt/select.h"

enum { LH_CEILINGS_MAX = 4 };

/* Returns how many there are: cgroup, address space, machine. What can't be read is left out. */
size_t lh_ceilings_read(const struct lh_process *process, struct lh_ceiling ret[LH_CEILINGS_MAX]);

#endif
