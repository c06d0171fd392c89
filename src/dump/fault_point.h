/*
 * fault_point: named places at which a test build (make FAULTS=1) dies as with kill -9, when
 * LEAKHUNT_FAULT names them. Compiled to nothing otherwise. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_FAULT_POINT_H
#define LEAKHUNT_DUMP_FAULT_POINT_H

#ifdef LEAKHUNT_FAULTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void lh_fault_point(const char *name)
{
	const char *wanted = getenv("LEAKHUNT_FAULT");
	if (wanted && strcmp(wanted, name) == 0)
		raise(SIGKILL);
}

#else

static inline void lh_fault_point(const char *name)
{
	(void)name;
}

#endif

#endif
