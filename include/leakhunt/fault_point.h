/*
 * fault_point: named places at which a test build (make FAULTS=1) dies as by kill -9 if LEAKHUNT_FAULT names them,
 * stops with LEAKHUNT_FAULT_STOPS, or crashes with LEAKHUNT_FAULT_CRASHES. With LEAKHUNT_FAULT_HANGS=FILE it creates
 * the file and waits there forever, as if in the kernel. With LEAKHUNT_FAULT_MARK=FILE it creates the file first. Other
 * builds compile fault points to nothing.
 */
#ifndef LEAKHUNT_DUMP_FAULT_POINT_H
#define LEAKHUNT_DUMP_FAULT_POINT_H

#ifdef LEAKHUNT_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void lh_fault_mark(const char *path)
{
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static inline void lh_fault_hang(const char *path)
{
	lh_fault_mark(path);
	for (;;)
		pause();
}

static inline void lh_fault_point(const char *name)
{
	const char *wanted = getenv("LEAKHUNT_FAULT");
	const char *hung_path = getenv("LEAKHUNT_FAULT_HANGS");
	int signal_number = getenv("LEAKHUNT_FAULT_STOPS")     ? SIGSTOP
			    : getenv("LEAKHUNT_FAULT_CRASHES") ? SIGSEGV
							       : SIGKILL;
	if (!wanted || strcmp(wanted, name) != 0)
		return;
	if (getenv("LEAKHUNT_FAULT_MARK"))
		lh_fault_mark(getenv("LEAKHUNT_FAULT_MARK"));
	if (hung_path)
		lh_fault_hang(hung_path);
	else
		raise(signal_number);
}

/* For a process that outlives the one that died: from now on LEAKHUNT_FAULT_NEXT, if set, names the place. */
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
