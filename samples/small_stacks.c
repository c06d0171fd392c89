/*
 * small_stacks THREADS: threads with stacks of 16 KiB, the least that pthread_create accepts. Each fills most of its
 * stack, blocks in one of four calls for a while, and checks what it filled. With 10,000 they rarely wake.
 */
#include "self_check.h"

#include <alloca.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>

static long period_ms;
static int silent_epoll;

/* Whether the wait ended by itself. */
static bool block_for_period(unsigned number)
{
	static uint32_t never;
	struct epoll_event event;
	struct pollfd none = {.fd = -1};
	struct timespec period = {.tv_sec = period_ms / 1000, .tv_nsec = period_ms % 1000 * 1000000};
	switch (number % 4) {
	case 0:
		return checker_call("nanosleep", nanosleep(&period, NULL));
	case 1:
		return checker_call("poll", poll(&none, 1, (int)period_ms));
	case 2:
		return checker_call("epoll_wait", epoll_wait(silent_epoll, &event, 1, (int)period_ms));
	default:
		return (syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &period) == -1 && errno == ETIMEDOUT) ||
		       checker_call("futex", -1);
	}
}

static void wait_in_small_stack(struct checker *checker)
{
	pthread_attr_t attributes;
	void *bottom;
	size_t bytes;
	char here;
	if (pthread_getattr_np(pthread_self(), &attributes) || pthread_attr_getstack(&attributes, &bottom, &bytes))
		checker_die("no stack");
	pthread_attr_destroy(&attributes);
	size_t room = (size_t)(&here - (char *)bottom) - 3072;
	// cppcheck-suppress allocaCalled; a variable length array would be no less
	volatile unsigned char *filled = alloca(room);
	for (size_t i = 0; i < room; i++)
		filled[i] = 0x3c;
	for (;;) {
		uint64_t before = checker_now_ns();
		if (block_for_period(checker->index) && checker_now_ns() - before < (uint64_t)period_ms * 1000000)
			checker_report_wrong("a wait of %ld ms ended early", period_ms);
		checker_holds(filled, room, 0x3c);
		checker_round(checker);
	}
}

int main(int argc, char **argv)
{
	long threads = argc == 2 ? atol(argv[1]) : 64;
	pthread_attr_t attributes;
	if (threads < 1 || threads > CHECKERS_MAX)
		return 64;
	checker_begin();
	period_ms = threads > 1000 ? 4000 : 20;
	silent_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (silent_epoll < 0 || pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, 16384))
		checker_die("cannot prepare stacks");
	for (long i = 0; i < threads; i++)
		checker_start(wait_in_small_stack, NULL, &attributes);
	checker_serve("small_stacks");
}
