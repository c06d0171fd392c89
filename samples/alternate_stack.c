/*
 * alternate_stack: signal handlers on an alternate stack that is an array in a frame. Words of the frame below the
 * array belong to another thread. The handler fills nearly all of its stack, blocks, and then checks what it wrote.
 */
#include "self_check.h"

#include <alloca.h>

#define NEIGHBOR_WORDS 256

struct frame {
	uint64_t neighbors[NEIGHBOR_WORDS]; /* below the stack, so where an overrun goes */
	char stack[24576];
};

static _Thread_local char *own_stack;
static uint64_t *_Atomic own_neighbors; /* NULL: its thread has not begun yet */

/* All signals are blocked in this function (sa_mask). */
static __attribute__((noinline)) void block_deep_in_stack(int signal)
{
	char here;
	size_t room = (size_t)(&here - own_stack) - 1024;
	// cppcheck-suppress allocaCalled; a variable length array would be no better
	volatile unsigned char *filled = alloca(room);
	for (size_t i = 0; i < room; i++)
		filled[i] = (unsigned char)signal;
	checker_sleep_us(1500);
	checker_holds(filled, room, (unsigned char)signal);
}

static void handle(int signal)
{
	int error = errno;
	block_deep_in_stack(signal);
	errno = error;
}

static void raise_in_frame(struct checker *checker)
{
	struct frame frame = {{0}, {0}};
	own_stack = frame.stack;
	stack_t stack = {.ss_sp = frame.stack, .ss_size = sizeof(frame.stack)};
	if (sigaltstack(&stack, NULL))
		checker_die("sigaltstack");
	own_neighbors = frame.neighbors;
	for (;;) {
		stack_t found;
		checker_call("tgkill", raise(SIGUSR1) ? -1 : 0);
		if (checker_call("sigaltstack", sigaltstack(NULL, &found)) &&
		    (found.ss_sp != frame.stack || found.ss_flags))
			checker_report_wrong("the alternate stack is another");
		checker_round(checker);
	}
}

int main(void)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
	checker_begin();
	sigfillset(&action.sa_mask);
	if (sigaction(SIGUSR1, &action, NULL))
		checker_die("sigaction");
	checker_start(raise_in_frame, NULL, NULL);
	while (!own_neighbors)
		checker_sleep_us(1000);
	checker_watch_words(own_neighbors, NEIGHBOR_WORDS * sizeof(uint64_t), "below an alternate stack");
	checker_serve_on_coroutine("alternate_stack");
}
