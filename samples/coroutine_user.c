/*
 * coroutine_user: coroutines (makecontext) of two threads, whose stacks are in one slab. Words below each stack belong
 * to another thread. A coroutine fills most of its stack, blocks in a call, checks what it wrote, and hands over to the
 * next.
 */
#include "self_check.h"

#include <alloca.h>
#include <poll.h>

#define COROUTINES     8
#define STACK_BYTES    ((size_t)12288)
#define NEIGHBOR_BYTES ((size_t)1024)

struct scheduler {
	ucontext_t contexts[COROUTINES];
	char *stacks[COROUTINES];
	unsigned current;
	struct checker *checker;
};

static _Thread_local struct scheduler *own_scheduler;

static void block_in_turn(unsigned turn)
{
	struct pollfd none = {.fd = -1};
	if (turn % 2)
		checker_sleep_us(300);
	else
		checker_call("poll", poll(&none, 1, 1));
}

static __attribute__((noinline)) void run_coroutine(void)
{
	struct scheduler *scheduler = own_scheduler;
	unsigned self = scheduler->current;
	char here;
	size_t room = (size_t)(&here - scheduler->stacks[self]) - 1536;
	// cppcheck-suppress allocaCalled; a variable length array would be no better
	volatile unsigned char *filled = alloca(room);
	for (size_t i = 0; i < room; i++)
		filled[i] = (unsigned char)self;
	for (unsigned turn = self;; turn++) {
		block_in_turn(turn);
		checker_holds(filled, room, (unsigned char)self);
		if (scheduler->current != self)
			checker_report_wrong("coroutine %u runs in place of %u", self, scheduler->current);
		checker_round(scheduler->checker);
		unsigned next = (self + 1) % COROUTINES;
		scheduler->current = next;
		checker_call("swapcontext", swapcontext(&scheduler->contexts[self], &scheduler->contexts[next]));
	}
}

static void schedule(struct checker *checker)
{
	struct scheduler *scheduler = checker->argument;
	scheduler->checker = checker;
	own_scheduler = scheduler;
	for (unsigned i = 0; i < COROUTINES; i++) {
		ucontext_t *context = &scheduler->contexts[i];
		if (getcontext(context))
			checker_die("getcontext");
		context->uc_stack.ss_sp = scheduler->stacks[i];
		context->uc_stack.ss_size = STACK_BYTES;
		context->uc_link = NULL;
		makecontext(context, run_coroutine, 0);
	}
	setcontext(&scheduler->contexts[0]);
}

int main(void)
{
	static struct scheduler schedulers[2];
	checker_begin();
	char *slab = checker_map((size_t)2 * COROUTINES * (STACK_BYTES + NEIGHBOR_BYTES));
	for (unsigned i = 0; i < 2 * COROUTINES; i++) {
		char *neighbors = slab + i * (STACK_BYTES + NEIGHBOR_BYTES);
		schedulers[i / COROUTINES].stacks[i % COROUTINES] = neighbors + NEIGHBOR_BYTES;
		checker_watch_words(neighbors, NEIGHBOR_BYTES, "below a coroutine's stack");
	}
	checker_start(schedule, &schedulers[0], NULL);
	checker_start(schedule, &schedulers[1], NULL);
	checker_serve_on_coroutine("coroutine_user");
}
