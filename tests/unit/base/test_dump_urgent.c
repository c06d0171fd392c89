/*
 * urgent: a thread becomes a real-time thread and is afterwards what it was, as the kernel says: also without
 * CAP_SYS_NICE.
 */
#include "unit.h"

#include "base/urgent.h"
#include "leakhunt/threads.h"

#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, REFUSED = 77 };

static int policy_now(void)
{
	return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

/* 0: as it was before. */
static int begin_and_end(int policy)
{
	const struct sched_param none = {0};
	if (sched_setscheduler(0, policy, &none) < 0)
		return REFUSED;
	for (int round = 0; round < 2; round++) {
		struct lh_urgency urgency = lh_urgent_begin();
		if (!urgency.is_urgent)
			return REFUSED;
		if (policy_now() != SCHED_FIFO || !lh_is_urgent())
			return 1;
		lh_urgent_end(&urgency);
		if (policy_now() != policy || lh_is_urgent())
			return 2;
	}
	return 0;
}

/* Priority 9, of whoever started it, is not lowered, nor taken away. */
static int begin_and_end_in_real_time(void)
{
	const struct sched_param high = {.sched_priority = 9};
	struct sched_param now;
	if (sched_setscheduler(0, SCHED_RR, &high) < 0)
		return REFUSED;
	struct lh_urgency urgency = lh_urgent_begin();
	bool is_kept = sched_getparam(0, &now) == 0 && now.sched_priority == 9;
	lh_urgent_end(&urgency);
	is_kept &= sched_getparam(0, &now) == 0 && now.sched_priority == 9;
	return is_kept && policy_now() == SCHED_RR ? 0 : 1;
}

/* Without CAP_SYS_NICE, as one who may by RLIMIT_RTPRIO, SCHED_RESET_ON_FORK can't be taken back. */
static int end_as_nobody(void)
{
	struct lh_urgency urgency = lh_urgent_begin();
	if (!urgency.is_urgent || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return REFUSED;
	lh_urgent_end(&urgency);
	return policy_now() == SCHED_OTHER && !lh_is_urgent() ? 0 : 1;
}

static int begin_and_end_as_batch(void)
{
	return begin_and_end(SCHED_BATCH);
}

static void assert_in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(check());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == REFUSED)
		skip_because("the kernel refuses real-time priority");
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void ends_as_it_was(void **state)
{
	(void)state;
	assert_in_child(begin_and_end_as_batch);
}

static void ends_as_it_was_without_capabilities(void **state)
{
	(void)state;
	assert_in_child(end_as_nobody);
}

static void keeps_a_priority_of_others(void **state)
{
	(void)state;
	assert_in_child(begin_and_end_in_real_time);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_as_it_was),
		cmocka_unit_test(ends_as_it_was_without_capabilities),
		cmocka_unit_test(keeps_a_priority_of_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
