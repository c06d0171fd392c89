/*
 * signal_keeper: queued signals must arrive once each and in order, at a handler (sigsuspend) and at sigtimedwait;
 * an interval timer goes on; signal masks stay.
 */
#include "self_check.h"

#include <sys/time.h>

#define TO_HANDLER (SIGRTMIN + 1)
#define TO_WAITER  (SIGRTMIN + 2)

struct receiver {
	pthread_t thread;
	_Atomic int is_ready;
	_Atomic int received; /* the last number */
};

static struct receiver handling, waiting;
static _Atomic uint64_t ticks;

static void receive(struct receiver *receiver, int number)
{
	if (number != receiver->received + 1)
		checker_report_wrong("signal %d came after %d", number, receiver->received);
	receiver->received = number;
}

static void handle_queued(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	receive(&handling, info->si_value.sival_int);
}

static void count_tick(int signal)
{
	(void)signal;
	ticks++;
}

static sigset_t set_of_signals(int first, int second)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, first);
	sigaddset(&set, second);
	return set;
}

static void expect_mask(const sigset_t *expected)
{
	sigset_t found;
	pthread_sigmask(SIG_BLOCK, NULL, &found);
	for (int signal = 1; signal < 65; signal++)
		if (sigismember(&found, signal) != sigismember(expected, signal))
			checker_report_wrong("signal %d is %sblocked", signal,
					     sigismember(&found, signal) ? "" : "not ");
}

static void handle_in_suspend(struct checker *checker)
{
	sigset_t own = set_of_signals(TO_HANDLER, SIGALRM), during = set_of_signals(TO_WAITER, SIGALRM), found;
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &found);
	handling.thread = pthread_self();
	handling.is_ready = 1;
	for (;;) {
		int before = handling.received;
		sigsuspend(&during);
		if (handling.received == before)
			checker_interrupted++;
		expect_mask(&found);
		checker_round(checker);
	}
}

static void wait_for_queued(struct checker *checker)
{
	sigset_t own = set_of_signals(TO_WAITER, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	sigdelset(&own, SIGALRM);
	waiting.thread = pthread_self();
	waiting.is_ready = 1;
	for (;;) {
		siginfo_t info;
		if (checker_call("sigtimedwait", sigtimedwait(&own, &info, &(struct timespec){.tv_sec = 30})))
			receive(&waiting, info.si_value.sival_int);
		checker_round(checker);
	}
}

/* At most 64 on the way. */
static void send_in_order(struct checker *checker)
{
	struct receiver *receiver = checker->argument;
	int signal = receiver == &handling ? TO_HANDLER : TO_WAITER;
	while (!receiver->is_ready)
		checker_sleep_us(100);
	for (int number = 1;; number++) {
		int error;
		while ((error = pthread_sigqueue(receiver->thread, signal, (union sigval){.sival_int = number})) ==
		       EAGAIN)
			checker_sleep_us(100);
		if (error)
			checker_report_failed("pthread_sigqueue: error %d", error);
		while (number - receiver->received > 64)
			checker_sleep_us(50);
		if (number % 16 == 0)
			checker_sleep_us(300);
		checker_round(checker);
	}
}

/* Gets the ticks of the interval timer: no other thread lets them in. */
static void spin_between_ticks(struct checker *checker)
{
	sigset_t own = set_of_signals(TO_WAITER, TO_HANDLER);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	if (setitimer(ITIMER_REAL, &(struct itimerval){{0, 2000}, {0, 2000}}, NULL))
		checker_die("setitimer");
	for (uint64_t state = 1;;) {
		uint64_t before = ticks, first = state, count = 0;
		while (ticks == before) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			if (++count % 1024 == 0)
				sched_yield();
		}
		uint64_t again = first;
		for (uint64_t i = 0; i < count; i++)
			again = again * 6364136223846793005u + 1442695040888963407u;
		if (again != state)
			checker_report_wrong("a computation gave something else");
		checker_round(checker);
		pause();
	}
}

static void keep_odd_mask(struct checker *checker)
{
	sigset_t own = set_of_signals(SIGALRM, TO_HANDLER);
	sigaddset(&own, TO_WAITER);
	sigaddset(&own, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	for (;;) {
		checker_sleep_us(300);
		expect_mask(&own);
		checker_round(checker);
	}
}

int main(void)
{
	struct sigaction queued = {.sa_sigaction = handle_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction tick = {.sa_handler = count_tick, .sa_flags = SA_RESTART};
	sigset_t blocked = set_of_signals(SIGALRM, TO_HANDLER);
	checker_begin();
	sigaddset(&blocked, TO_WAITER);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	if (sigaction(TO_HANDLER, &queued, NULL) || sigaction(SIGALRM, &tick, NULL))
		checker_die("sigaction");
	checker_start(handle_in_suspend, NULL, NULL);
	checker_start(wait_for_queued, NULL, NULL);
	checker_start(send_in_order, &handling, NULL);
	checker_start(send_in_order, &waiting, NULL);
	checker_start(spin_between_ticks, NULL, NULL);
	checker_start(keep_odd_mask, NULL, NULL);
	checker_serve("signal_keeper");
}
