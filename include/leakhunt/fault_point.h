/*
 * fault_point: named places at which a test build (make FAULTS=1) dies as with kill -9, when
 * LEAKHUNT_FAULT names them, or stops there, with LEAKHUNT_FAULT_STOPS. Compiled to nothing otherwise. Private to dump.
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
	const char *is_stop = getenv("LEAKHUNT_FAULT_STOPS");
	if (wanted && strcmp(wanted, name) == 0)
		raise(is_stop ? SIGSTOP : SIGKILL);
}

/* In a process that outlives the one that died: LEAKHUNT_FAULT_NEXT, if set, names the place from now on. */
static inline void lh_fault_points_survive(void)
{
	const char *next = getenv("LEAKHUNT_FAULT_NEXT");
	setenv("LEAKHUNT_FAULT", next ? next : "", 1);
}

#else

static inline void lh_fault_point(const char *name)
{
	(void)name;
}

static inline void lh_fault_points_survive(void)
{
}

#endif

#endif
