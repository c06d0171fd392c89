/*
 * register_keeper WAY: loads all registers with known values and checks them afterwards.
 *   calls    across system calls that block, one thread each
 *   spin     across a loop in user code, in a process of one thread that is nearly always in that loop
 */
#include "self_check.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>

#if defined(__x86_64__)

/* In the order of the assembly below: rax rbx rcx rdx rsi rdi rbp r8 to r15, flags, xmm0 to xmm15. */
enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, FLAGS, GENERAL };

struct registers {
	uint64_t general[GENERAL];
	uint64_t vector[32];
};

/* Carry, parity, adjust, zero, sign, direction, overflow. */
#define FLAGS_MASK ((uint64_t)0xcd5)

void load_and_call(const struct registers *in, struct registers *out);
void load_and_spin(const struct registers *in, struct registers *out);

#define LOAD_VECTORS                                                     \
	".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n" \
	"movdqu 128 + 16 * \\n(%rdi), %xmm\\n\n"                         \
	".endr\n"
#define STORE_VECTORS                                                    \
	".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n" \
	"movdqu %xmm\\n, 128 + 16 * \\n(%rcx)\n"                         \
	".endr\n"

/* Neither mov, lea nor loop changes flags. */
#define KEEP_REGISTERS(name, action)                                                                                 \
	__asm__(".globl " name "\n"                                                                                  \
		".type " name ", @function\n" name ":\n"                                                             \
		"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi\n" LOAD_VECTORS         \
		"push 8 * 15(%rdi); popfq\n"                                                                         \
		"mov (%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx; mov 32(%rdi), %rsi\n"  \
		"mov 48(%rdi), %rbp; mov 56(%rdi), %r8; mov 64(%rdi), %r9; mov 72(%rdi), %r10; mov 80(%rdi), %r11\n" \
		"mov 88(%rdi), %r12; mov 96(%rdi), %r13; mov 104(%rdi), %r14; mov 112(%rdi), %r15\n"                 \
		"mov 40(%rdi), %rdi\n" action "\n"                                                                   \
		"mov (%rsp), %rcx\n"                                                                                 \
		"mov %rax, (%rcx); mov %rbx, 8(%rcx); mov %rdx, 24(%rcx); mov %rsi, 32(%rcx); mov %rdi, 40(%rcx)\n"  \
		"mov %rbp, 48(%rcx); mov %r8, 56(%rcx); mov %r9, 64(%rcx); mov %r10, 72(%rcx); mov %r11, 80(%rcx)\n" \
		"mov %r12, 88(%rcx); mov %r13, 96(%rcx); mov %r14, 104(%rcx); mov %r15, 112(%rcx)\n"                 \
		"pushfq; pop 8 * 15(%rcx); cld\n" STORE_VECTORS                                                      \
		"pop %rsi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"                             \
		"ret\n"                                                                                              \
		".size " name ", . - " name "\n")

KEEP_REGISTERS("load_and_call", "syscall");
KEEP_REGISTERS("load_and_spin", "1: loop 1b");

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill_registers(struct registers *in, uint64_t *state)
{
	for (size_t i = 0; i < GENERAL; i++)
		in->general[i] = next_random(state);
	for (size_t i = 0; i < 32; i++)
		in->vector[i] = next_random(state);
	in->general[FLAGS] &= FLAGS_MASK;
}

/* The kernel uses rcx and r11 to return from a system call. */
static void compare_registers(const struct registers *in, const struct registers *out, bool is_call, uint64_t result)
{
	for (size_t i = 0; i < GENERAL; i++) {
		uint64_t expected = i == RAX && is_call ? result : in->general[i], found = out->general[i];
		if (i == RCX || (i == R11 && is_call))
			continue;
		if (i == FLAGS)
			found &= FLAGS_MASK;
		if (i == RAX && is_call && found == (uint64_t)-EINTR) {
			checker_interrupted++;
			continue;
		}
		if (found != expected)
			checker_report_wrong("register %zu is %" PRIx64 ", not %" PRIx64, i, found, expected);
	}
	for (size_t i = 0; i < 32; i++)
		if (out->vector[i] != in->vector[i])
			checker_report_wrong("half %zu of the xmm registers has changed", i);
}

static int silent_epoll, feeding_pipe[2];
static uint32_t never;

struct blocking_call {
	uint64_t number, rdi, rsi, rdx, r10;
	int64_t result;
};

static void call_with_registers(struct checker *checker)
{
	const struct blocking_call *call = checker->argument;
	static struct timespec nap = {.tv_nsec = 2000000};
	static char byte[16];
	static struct epoll_event event;
	uint64_t state = 88172645463325252u + checker->index;
	for (;;) {
		struct registers in, out;
		fill_registers(&in, &state);
		in.general[RAX] = call->number;
		in.general[RDI] = call->rdi;
		in.general[RSI] = call->rsi;
		in.general[RDX] = call->rdx;
		in.general[R10] = call->r10;
		if (call->number == SYS_nanosleep)
			in.general[RDI] = (uintptr_t)&nap;
		else if (call->number == SYS_futex)
			in.general[R10] = (uintptr_t)&nap;
		else if (call->number == SYS_read)
			in.general[RSI] = (uintptr_t)byte;
		else if (call->number == SYS_epoll_wait)
			in.general[RSI] = (uintptr_t)&event;
		load_and_call(&in, &out);
		compare_registers(&in, &out, true, (uint64_t)call->result);
		checker_round(checker);
	}
}

static void feed_reader(struct checker *checker)
{
	for (;;) {
		checker_sleep_us(2000);
		checker_call("write", write(feeding_pipe[1], "x", 1));
		checker_round(checker);
	}
}

static _Noreturn void keep_across_calls(void)
{
	silent_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (silent_epoll < 0 || pipe(feeding_pipe))
		checker_die("cannot make descriptors");
	static struct blocking_call calls[5];
	calls[0] = (struct blocking_call){SYS_nanosleep, 0, 0, 0, 0, 0};
	calls[1] = (struct blocking_call){SYS_poll, 0, 0, 2, 0, 0};
	calls[2] = (struct blocking_call){SYS_futex, (uintptr_t)&never, FUTEX_WAIT_PRIVATE, 0, 0, -ETIMEDOUT};
	calls[3] = (struct blocking_call){SYS_read, (uint64_t)feeding_pipe[0], 0, 1, 0, 1};
	calls[4] = (struct blocking_call){SYS_epoll_wait, (uint64_t)silent_epoll, 0, 1, 2, 0};
	for (size_t i = 0; i < 5; i++)
		checker_start(call_with_registers, &calls[i], NULL);
	checker_start(feed_reader, NULL, NULL);
	checker_serve("register_keeper");
}

/* Answers between two loops of some milliseconds each. */
static _Noreturn void keep_while_spinning(void)
{
	struct checker *self = &checkers[0];
	struct pollfd control = {.fd = CHECKER_CONTROL_FD, .events = POLLIN};
	uint64_t state = 88172645463325252u;
	checker_print_ready("register_keeper");
	for (;;) {
		struct registers in, out;
		fill_registers(&in, &state);
		in.general[RCX] = 4000000;
		load_and_spin(&in, &out);
		compare_registers(&in, &out, false, 0);
		checker_round(self);
		int ready = poll(&control, 1, 0);
		if (checker_call("poll", ready) && ready > 0)
			checker_serve_line();
	}
}

int main(int argc, char **argv)
{
	checker_begin();
	if (argc == 2 && !strcmp(argv[1], "calls"))
		keep_across_calls();
	if (argc == 2 && !strcmp(argv[1], "spin"))
		keep_while_spinning();
	fputs("usage: register_keeper calls|spin\n", stderr);
	return 64;
}

#else

int main(void)
{
	fputs("register_keeper: x86-64 only\n", stderr);
	return 77;
}

#endif
