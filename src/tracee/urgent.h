/*
 * urgent: a thread that must not wait for a processor: while the target stands still because of it. Only
 * root may (CAP_SYS_NICE, sched(7)), and who has an RLIMIT_RTPRIO; without the right nothing changes. Private to tracee
 * and dump.
 */
#ifndef LEAKHUNT_TRACEE_URGENT_H
#define LEAKHUNT_TRACEE_URGENT_H

#include <sched.h>
#include <stdbool.h>

/* How the calling thread was scheduled before. */
struct lh_urgency {
	bool is_urgent;
	int policy;
	struct sched_param parameters;
};

/* Whether the calling thread is a real-time thread. */
bool lh_is_urgent(void);

/* The calling thread runs before all that are not real-time threads, from here to the end: milliseconds. */
struct lh_urgency lh_urgent_begin(void);
void lh_urgent_end(struct lh_urgency *urgency); /* as it was before; legal twice */

#endif
