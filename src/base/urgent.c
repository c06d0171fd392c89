/*
 * urgent: the lowest of the real-time priorities for the calling thread, and back. It never fails: a thread
 * that may not have it waits for its turn like others.
 */
#include "urgent.h"
#include "leakhunt/threads.h"

bool lh_is_urgent(void)
{
	int policy = sched_getscheduler(0);
	policy = policy < 0 ? SCHED_OTHER : policy & ~SCHED_RESET_ON_FORK;
	return policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE;
}

struct lh_urgency lh_urgent_begin(void)
{
	struct lh_urgency urgency = {.policy = sched_getscheduler(0)};
	const struct sched_param lowest = {.sched_priority = 1};
	if (lh_is_urgent() || urgency.policy < 0 || sched_getparam(0, &urgency.parameters) < 0)
		return urgency;
	urgency.is_urgent = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) == 0;
	return urgency;
}

/* Who may be a real-time thread by RLIMIT_RTPRIO only can't take SCHED_RESET_ON_FORK back (sched(7)). */
void lh_urgent_end(struct lh_urgency *urgency)
{
	if (urgency->is_urgent && sched_setscheduler(0, urgency->policy, &urgency->parameters) < 0)
		(void)sched_setscheduler(0, urgency->policy | SCHED_RESET_ON_FORK, &urgency->parameters);
	urgency->is_urgent = false;
}
