/*
 * processors: how many threads can run at once.
 */
#include "leakhunt/base.h"

#include <sched.h>
#include <unistd.h>

unsigned lh_usable_processors(void)
{
	cpu_set_t set;
	/* EINVAL: the kernel's set is larger than a cpu_set_t, of 1,024 processors (sched_setaffinity(2)). */
	long count = sched_getaffinity(0, sizeof(set), &set) ? sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
	return count > 0 ? (unsigned)count : 1;
}
