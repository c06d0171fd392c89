/*
 * signal_storm: threads that are hit by a signal each millisecond while they wait in calls that restart
 * (SA_RESTART), or compute. Truth: expirations of the timers against those that handlers saw (a timer
 * counts what it could not deliver: timer_getoverrun(2)), queued signals against those that came, in their
 * order, and waits that ended although they should have restarted.
 */
#include "sample.h"

#include <semaphore.h>
#include <sys/syscall.h>

#define PERIOD_NS 1000000L

enum { READER, WAITER, COMPUTER, RECEIVER, HIT_THREADS };

struct hit_thread {
	timer_t timer;
	_Atomic uint64_t seen; /* expirations that its handler knows of */
	uint64_t state;
};

static struct hit_thread hit_threads[HIT_THREADS];
static _Thread_local struct hit_thread *self;
static _Atomic uint64_t broken_waits, wrong_results, ready_threads, queued, received, disorder;
static uint64_t started_ns;
static int silent_pipe[2];
static sem_t never;
static pthread_t receiver;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void count_expiry(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	self->seen += 1 + (uint64_t)info->si_overrun;
}

static void count_queued(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	if ((uint64_t)info->si_value.sival_int != received++)
		disorder++;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigfillset(&action.sa_mask);
	if (sigaction(number, &action, NULL))
		sample_die("signal_storm: sigaction: %s", strerror(errno));
}

/* All timers expire at whole milliseconds after `started_ns`. */
static void arm(struct hit_thread *thread)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	uint64_t first_ns = started_ns + PERIOD_NS;
	struct itimerspec times = {
		.it_value = {.tv_sec = (time_t)(first_ns / 1000000000), .tv_nsec = (long)(first_ns % 1000000000)},
		.it_interval = {.tv_nsec = PERIOD_NS},
	};
	self = thread;
	if (timer_create(CLOCK_MONOTONIC, &event, &thread->timer) ||
	    timer_settime(thread->timer, TIMER_ABSTIME, &times, NULL))
		sample_die("signal_storm: timer: %s", strerror(errno));
	ready_threads++;
}

static void *read_always(void *argument)
{
	char byte;
	arm(argument);
	for (;;)
		broken_waits += read(silent_pipe[0], &byte, 1) < 0;
	return NULL;
}

static void *wait_always(void *argument)
{
	arm(argument);
	for (;;)
		broken_waits += sem_wait(&never) < 0;
	return NULL;
}

/* In registers of both kinds, and as the formula says. */
static void *compute_always(void *argument)
{
	arm(argument);
	for (;;) {
		uint64_t state = 1;
		double sum = 0;
		for (unsigned i = 0; i < 50000; i++) {
			state = SAMPLE_ROUND.multiplier * state + SAMPLE_ROUND.increment;
			sum += 0.5;
		}
		wrong_results += state != sample_expected_state(1, 50000) || sum != 25000;
		sample_sleep_ms(1);
	}
	return NULL;
}

/* Numbered signals, one at a time in the air: the queue of a process is bounded. */
static void *queue_always(void *argument)
{
	(void)argument;
	for (;;) {
		union sigval number = {.sival_int = (int)queued};
		if (received + 100 > queued && pthread_sigqueue(receiver, SIGRTMIN, number) == 0)
			queued++;
		else
			sample_sleep_ms(1);
		if (queued % 10 == 0)
			sample_sleep_ms(1);
	}
	return NULL;
}

static pthread_t start(void *(*run)(void *), void *argument)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, run, argument))
		sample_die("signal_storm: cannot start a thread");
	return thread;
}

static void begin(struct sample *sample)
{
	(void)sample;
	if (pipe(silent_pipe) || sem_init(&never, 0, 0))
		sample_die("signal_storm: %s", strerror(errno));
	handle(SIGALRM, count_expiry);
	handle(SIGRTMIN, count_queued);
	started_ns = now_ns();
	start(read_always, &hit_threads[READER]);
	start(wait_always, &hit_threads[WAITER]);
	start(compute_always, &hit_threads[COMPUTER]);
	receiver = start(read_always, &hit_threads[RECEIVER]);
	while (ready_threads < HIT_THREADS)
		sample_sleep_ms(1);
	start(queue_always, NULL);
}

/* Expirations that no handler has seen, the largest of all threads; what is on its way is waited for. */
static uint64_t lost_expirations(void)
{
	uint64_t due = (now_ns() - started_ns) / PERIOD_NS, lost = 0;
	uint64_t deadline_ms = sample_now_ms() + 10000;
	for (size_t i = 0; i < HIT_THREADS; i++) {
		while (hit_threads[i].seen < due && sample_now_ms() < deadline_ms)
			sample_sleep_ms(1);
		if (hit_threads[i].seen < due && due - hit_threads[i].seen > lost)
			lost = due - hit_threads[i].seen;
	}
	return lost;
}

static uint64_t lost_queued(void)
{
	uint64_t sent = queued, deadline_ms = sample_now_ms() + 10000;
	while (received < sent && sample_now_ms() < deadline_ms)
		sample_sleep_ms(1);
	return received < sent ? sent - received : 0;
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	(void)sample;
	snprintf(ret, ret_bytes,
		 ",\"lost_expirations\":%" PRIu64 ",\"lost_queued\":%" PRIu64 ",\"disorder\":%" PRIu64
		 ",\"broken_waits\":%" PRIu64 ",\"wrong_results\":%" PRIu64 ",\"received\":%" PRIu64,
		 lost_expirations(), lost_queued(), disorder, broken_waits, wrong_results, received);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "signal_storm", .condition = "steady", .begin = begin, .describe = describe};
	return sample_main(&sample, argc, argv);
}
