/*
 * rseq_counter: counters for each CPU that threads increment by restartable sequences (rseq(2), by glibc >= 2.35's
 * registration): load, a delay, store. A sequence that is not restarted when its thread is moved or stopped
 * loses counts. The sum must come out at each barrier.
 */
#include "self_check.h"

#include <sched.h>
#include <sys/rseq.h>

#define THREADS   3
#define BATCH     2000
#define CPUS_MAX  1024
#define LINE_WORD 8 /* one counter in each cache line */

static uint64_t counters[CPUS_MAX * LINE_WORD];
static uint64_t added[THREADS];
static pthread_barrier_t barrier;

/*
 * Adds 1 to the counter of the CPU that runs this; false: the sequence was aborted. The descriptor in __rseq_cs is
 * {version, flags, start, length, abort address}; before the abort address stands the registered signature.
 */
static bool add_on_this_cpu(struct rseq *area)
{
#if defined(__x86_64__)
	bool done;
	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t"
			 ".balign 32\n"
			 "3:\n\t"
			 ".long 0, 0\n\t"
			 ".quad 1f, 2f - 1f, 4f\n\t"
			 ".popsection\n\t"
			 "leaq 3b(%%rip), %%rax\n\t"
			 "movq %%rax, %[cs]\n"
			 "1:\n\t"
			 "movl %[cpu], %%ecx\n\t"
			 "shlq $6, %%rcx\n\t"
			 "leaq (%[counters], %%rcx), %%rcx\n\t"
			 "movq (%%rcx), %%rdx\n\t"
			 "movl $300, %%eax\n"
			 "5:\n\t"
			 "decl %%eax\n\t"
			 "jnz 5b\n\t"
			 "addq $1, %%rdx\n\t"
			 "movq %%rdx, (%%rcx)\n"
			 "2:\n\t"
			 "movb $1, %[done]\n\t"
			 "jmp 6f\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1: never run */
			 ".long 0x53053053\n"
			 "4:\n\t"
			 "movb $0, %[done]\n"
			 "6:"
			 : [done] "=&q"(done), [cs] "=m"(area->rseq_cs)
			 : [cpu] "m"(area->cpu_id), [counters] "r"(counters)
			 : "rax", "rcx", "rdx", "cc", "memory");
	return done;
#else
	__atomic_fetch_add(&counters[area->cpu_id * LINE_WORD], 1, __ATOMIC_RELAXED);
	return true;
#endif
}

static void check_sum(void)
{
	uint64_t counted = 0, expected = 0;
	for (size_t i = 0; i < CPUS_MAX; i++)
		counted += counters[i * LINE_WORD];
	for (size_t i = 0; i < THREADS; i++)
		expected += added[i];
	if (counted != expected) {
		checker_report_wrong("the counters give %" PRIu64 ", not %" PRIu64, counted, expected);
		counters[0] += expected - counted;
	}
}

static void count_in_batches(struct checker *checker)
{
	struct rseq *area = (struct rseq *)(void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	for (;;) {
		for (unsigned i = 0; i < BATCH; i++) {
			while (!add_on_this_cpu(area))
				continue;
			added[checker->index]++;
		}
		pthread_barrier_wait(&barrier);
		if (checker->index == 0) {
			check_sum();
			checker_sleep_us(500);
		}
		pthread_barrier_wait(&barrier);
		checker_round(checker);
	}
}

int main(void)
{
	checker_begin();
	if (!__rseq_size) {
		errno = ENOSYS;
		checker_die("rseq is not registered");
	}
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		checker_start(count_in_batches, NULL, NULL);
	checker_serve("rseq_counter");
}
