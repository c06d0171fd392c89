/*
 * pulse: how long a thread was held up, gap by gap, and how much of that nobody else felt. A gap during which
 * a control process was held up as well was the machine's (a hypervisor that takes its CPUs away, a kernel
 * that is busy); only what lies outside of the controls' gaps is due to whoever stopped the target.
 */
#ifndef LEAKHUNT_BENCH_PULSE_H
#define LEAKHUNT_BENCH_PULSE_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_S      UINT64_C(1000000000)
#define REMARKABLE_NS 400000 /* shorter gaps are not kept one by one */
#define KEPT_GAPS     ((size_t)65536)

struct gap {
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t end_ns;
};

/* Written by one thread, which may be another process's: lies in shared memory. Starts as zeros. */
struct pulse {
	_Atomic uint64_t longest_ns; /* since last asked */
	_Atomic size_t count;        /* of all gaps kept; the last KEPT_GAPS are there */
	struct gap gaps[KEPT_GAPS];
};

static inline uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline void pulse_note(struct pulse *pulse, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t gap_ns = end_ns - start_ns, longest_ns = pulse->longest_ns;
	while (gap_ns > longest_ns && !atomic_compare_exchange_weak(&pulse->longest_ns, &longest_ns, gap_ns))
		;
	if (gap_ns < REMARKABLE_NS)
		return;
	pulse->gaps[pulse->count % KEPT_GAPS] = (struct gap){start_ns, end_ns};
	atomic_fetch_add(&pulse->count, 1);
}

/* False where that is not allowed. */
static inline bool become_real_time(void)
{
	return sched_setscheduler(0, SCHED_FIFO, &(const struct sched_param){.sched_priority = 2}) == 0;
}

/* Never returns. */
static inline void pulse_tick(struct pulse *pulse, uint64_t tick_ns)
{
	for (uint64_t last_ns = now_ns();;) {
		nanosleep(&(struct timespec){.tv_nsec = (long)tick_ns}, NULL);
		uint64_t this_ns = now_ns();
		pulse_note(pulse, last_ns, this_ns);
		last_ns = this_ns;
	}
}

/* ---------------------------------------------------------------- what the controls did not feel */

static inline int compare_gaps(const void *a, const void *b)
{
	const struct gap *left = a, *right = b;
	return left->start_ns < right->start_ns ? -1 : left->start_ns > right->start_ns;
}

/* The gaps of all controls that ended after since_ns, merged and ascending; the caller frees them. */
static inline struct gap *gaps_of_controls(const struct pulse *controls, size_t control_count, uint64_t since_ns,
					   size_t *ret_count)
{
	struct gap *all = malloc((control_count * KEPT_GAPS + 1) * sizeof(*all));
	size_t count = 0, merged = 0;
	if (!all)
		abort();
	for (size_t i = 0; i < control_count; i++) {
		for (size_t j = 0; j < controls[i].count && j < KEPT_GAPS; j++) {
			if (controls[i].gaps[j].end_ns > since_ns)
				all[count++] = controls[i].gaps[j];
		}
	}
	qsort(all, count, sizeof(*all), compare_gaps);
	for (size_t i = 0; i < count; i++) {
		if (merged && all[i].start_ns <= all[merged - 1].end_ns) {
			if (all[i].end_ns > all[merged - 1].end_ns)
				all[merged - 1].end_ns = all[i].end_ns;
		} else {
			all[merged++] = all[i];
		}
	}
	*ret_count = merged;
	return all;
}

static inline uint64_t held_outside(struct gap gap, const struct gap *others, size_t other_count)
{
	uint64_t held_ns = gap.end_ns - gap.start_ns;
	for (size_t i = 0; i < other_count; i++) {
		uint64_t start_ns = others[i].start_ns > gap.start_ns ? others[i].start_ns : gap.start_ns;
		uint64_t end_ns = others[i].end_ns < gap.end_ns ? others[i].end_ns : gap.end_ns;
		held_ns -= end_ns > start_ns ? end_ns - start_ns : 0;
	}
	return held_ns;
}

/* The longest that the pulse was held up since since_ns while no control was. */
static inline uint64_t pulse_held_ns(const struct pulse *pulse, const struct pulse *controls, size_t control_count,
				     uint64_t since_ns)
{
	size_t other_count;
	struct gap *others = gaps_of_controls(controls, control_count, since_ns, &other_count);
	uint64_t longest_ns = pulse->longest_ns < REMARKABLE_NS ? pulse->longest_ns : 0;
	for (size_t i = 0; i < pulse->count && i < KEPT_GAPS; i++) {
		if (pulse->gaps[i].start_ns < since_ns)
			continue;
		uint64_t held_ns = held_outside(pulse->gaps[i], others, other_count);
		longest_ns = held_ns > longest_ns ? held_ns : longest_ns;
	}
	free(others);
	return longest_ns;
}

#endif
