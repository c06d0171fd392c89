/*
 * slab_stacks: threads whose stacks lie in one slab without guard pages (pthread_attr_setstack). Below each stack
 * lie words that another thread writes all the time. A sleeper fills its stack up to 1 KiB, blocks in a call with
 * all signals blocked, and then checks what it filled.
 */
#include "self_check.h"

#include <alloca.h>
#include <poll.h>

#define STACK_BYTES    ((size_t)16384)
#define NEIGHBOR_BYTES ((size_t)4096)
#define STACKS         4

static char *stack_of(unsigned number)
{
	static char *slab;
	if (!slab)
		slab = checker_map(STACKS * (STACK_BYTES + NEIGHBOR_BYTES));
	return slab + number * (STACK_BYTES + NEIGHBOR_BYTES) + NEIGHBOR_BYTES;
}

static bool block_for_a_while(unsigned number, int silent_fd)
{
	char byte;
	struct pollfd poll_fd = {.fd = silent_fd, .events = POLLIN};
	switch (number % 3) {
	case 0:
		checker_sleep_us(3000);
		return true;
	case 1:
		return checker_call("poll", poll(&poll_fd, 1, 3));
	default:
		return checker_call("read", read(silent_fd, &byte, 1)) && byte == 'x';
	}
}

static __attribute__((noinline)) void sleep_deep_in_stack(struct checker *checker, char *bottom, int fd)
{
	char here;
	size_t room = (size_t)(&here - bottom) - 1024;
	// cppcheck-suppress allocaCalled; a variable length array would be no less
	volatile unsigned char *filled = alloca(room);
	for (size_t i = 0; i < room; i++)
		filled[i] = 0x5a;
	for (;;) {
		if (!block_for_a_while(checker->index, fd))
			checker_report_wrong("sleeper %u: its wait gave something else", checker->index);
		checker_holds(filled, room, 0x5a);
		checker_round(checker);
	}
}

struct sleeper {
	char *bottom;
	int fd;
};

static void sleep_in_slab(struct checker *checker)
{
	const struct sleeper *sleeper = checker->argument;
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	sleep_deep_in_stack(checker, sleeper->bottom, sleeper->fd);
}

static void feed_pipe(struct checker *checker)
{
	const int *fd = checker->argument;
	for (;;) {
		checker_sleep_us(3000);
		checker_call("write", write(*fd, "x", 1));
		checker_round(checker);
	}
}

int main(void)
{
	static struct sleeper sleepers[STACKS];
	static int pipes[STACKS][2];
	checker_begin();
	for (unsigned i = 0; i < STACKS; i++) {
		pthread_attr_t attributes;
		sleepers[i].bottom = stack_of(i);
		if (pipe(pipes[i]) || pthread_attr_init(&attributes) ||
		    pthread_attr_setstack(&attributes, sleepers[i].bottom, STACK_BYTES))
			checker_die("cannot prepare a stack");
		sleepers[i].fd = pipes[i][0];
		if (checker_start(sleep_in_slab, &sleepers[i], &attributes)->index % 3 == 2)
			checker_start(feed_pipe, &pipes[i][1], NULL);
	}
	for (unsigned i = 0; i < STACKS; i++)
		checker_watch_words(stack_of(i) - NEIGHBOR_BYTES, NEIGHBOR_BYTES, "below a stack in a slab");
	checker_serve_on_coroutine("slab_stacks");
}
