/*
 * trace: sets probes, keeps their cost within the budget, turns records into stacks, and judges them. Input: a live
 * process. Output: one struct. It never stops the process; it writes nothing but what the kernel's uprobes write.
 */
#include "leakhunt/trace.h"

#include "functions.h"
#include "leakhunt/limits.h"
#include "leakhunt/unwind.h"
#include "probes.h"
#include "sites.h"

#include <asm/ptrace.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* The first look: as short as tells a rate, and at most this much of the target's time. */
#define BURST_NS      (200 * LH_NS_PER_MS)
#define BURST_COST_NS (10 * LH_NS_PER_MS)

/* A sample's cost: copying 32 KiB of stack and a return probe in the target, unwinding in leakhunt, at first. */
#define SAMPLE_COST_NS 8000.0
#define UNWIND_COST_NS 30000.0

/* Samples per second, by what the budget leaves for them. */
#define SAMPLES_MIN 20.0
#define SAMPLES_MAX 500.0
#define MEAN_STEP   1.5 /* how much the mean distance changes in a second */
#define MEAN_LEAP   8.0 /* likewise, when samples were lost */

/* The first mean distance of a process that allocates too seldom for the first look: what it has is seen. */
#define MEAN_UNKNOWN_BYTES 512

/* What may be spent before the time of it has come. */
#define BUDGET_AHEAD_S 2.0

/* In bursts: one, its samples, and those of all, whose stacks are kept until they are unwound. */
#define BURST_PROBED_NS    (6 * LH_NS_PER_MS)
#define BURST_SAMPLES      16.0
#define BURST_SAMPLES_MOST 2048

#define POLL_MS       50
#define SAMPLES_TOTAL (UINT64_C(4) << 20)

/* Since a start. */
struct spending {
	double seconds;
	double target_ns; /* in the target: hits and samples */
	double own_ns;
	uint64_t sample_count, lost_sample_count;
	double allocations_per_s, bytes_per_s;
};

struct lh_tracer {
	const struct lh_process *process;
	double budget;
	struct lh_allocator_probes functions;
	struct lh_probes *probes;
	struct lh_unwinder *unwinder; /* once it is followed */
	struct lh_sites sites;
	uint64_t mean_bytes; /* R at first */
	uint64_t start_ns, start_cpu_ns;
	struct lh_trace_slot at_start;
	/* LH_TRACE_BURSTS */
	enum lh_trace_method method;
	enum lh_trace_end end;
	uint64_t first_id, probed_ns, end_ns;
	struct lh_trace_slot in_bursts; /* counts while probed_ns passed; detaching takes its time, too */
	struct spending spending;
	LH_VEC(struct lh_trace_record *) records; /* of all bursts */
};

void lh_cleanup_tracer(struct lh_tracer **held)
{
	struct lh_tracer *tracer = *held;
	if (!tracer)
		return;
	lh_probes_destroy(tracer->probes);
	lh_allocator_probes_deinit(&tracer->functions);
	lh_unwinder_destroy(tracer->unwinder);
	lh_sites_deinit(&tracer->sites);
	for (size_t i = 0; i < tracer->records.count; i++)
		free(tracer->records.items[i]);
	lh_vec_deinit(&tracer->records);
	free(tracer);
}

/* ---------------------------------------------------------------- the first moment */

/*
 * Sessions came with Linux 6.13. There a return probe is a system call, and a seccomp filter of the target that does
 * not know it kills the target; Linux 6.14 hides it from filters.
 */
static struct lh_error *check_kernel_release(void)
{
	struct utsname name;
	unsigned major = 0, minor = 0;
	if (uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	    (major > 6 || (major == 6 && minor >= 14)))
		return NULL;
	return lh_error_create(LH_ERROR_UNSUPPORTED, "trace needs Linux 6.14; this is %s", name.release);
}

static void nap_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

/* Lets probes count for a time, or until they have cost much, or is_interrupted(), which may be NULL. */
static void await_burst(const struct lh_tracer *tracer, uint64_t time_ns, bool (*is_interrupted)(void))
{
	uint64_t end_ns = lh_clock_monotonic_ns() + time_ns, cost_ns = lh_probes_count(tracer->probes).cost_ns;
	while (lh_clock_monotonic_ns() < end_ns && lh_probes_count(tracer->probes).cost_ns - cost_ns < BURST_COST_NS &&
	       !(is_interrupted && is_interrupted()))
		nap_ms(1);
}

/* What probes cost in the target without samples, as a part of one processor. */
static void measure_burst(const struct lh_tracer *tracer, bool (*is_interrupted)(void), struct lh_trace_forecast *ret)
{
	uint64_t start_ns = lh_clock_monotonic_ns();
	struct lh_trace_slot before = lh_probes_count(tracer->probes);
	await_burst(tracer, BURST_NS, is_interrupted);
	struct lh_trace_slot now = lh_probes_count(tracer->probes);
	uint64_t elapsed_ns = lh_clock_monotonic_ns() - start_ns;
	double seconds = (double)lh_max_u64(elapsed_ns, LH_NS_PER_MS) / (double)LH_NS_PER_S;
	ret->allocator = tracer->functions.allocator;
	ret->allocations_per_s = (double)(now.allocation_count - before.allocation_count) / seconds;
	ret->bytes_per_s = (double)(now.allocated_bytes - before.allocated_bytes) / seconds;
	ret->cost = (double)(now.cost_ns - before.cost_ns) / seconds / (double)LH_NS_PER_S;
}

/* Samples per second that the budget leaves room for, and never more than there are allocations. */
static double samples_per_s(double budget, double probe_cost, double sample_ns, double allocations_per_s)
{
	double room = (budget - probe_cost) * (double)LH_NS_PER_S / sample_ns;
	return fmin(fmax(SAMPLES_MIN, fmin(SAMPLES_MAX, room)), fmax(allocations_per_s, 1));
}

static void plan_sampling(const struct lh_tracer *tracer, struct lh_trace_forecast *ret)
{
	double sample_ns = SAMPLE_COST_NS + UNWIND_COST_NS, probe_cost = ret->cost;
	double rate = samples_per_s(tracer->budget, probe_cost, sample_ns, ret->allocations_per_s);
	ret->mean_bytes = ret->bytes_per_s > 0 ? (uint64_t)fmax(1, ret->bytes_per_s / rate) : MEAN_UNKNOWN_BYTES;
	ret->cost = probe_cost + rate * sample_ns / (double)LH_NS_PER_S;
	ret->needed = probe_cost + fmin(SAMPLES_MIN, fmax(ret->allocations_per_s, 1)) * sample_ns / (double)LH_NS_PER_S;
	if (ret->needed <= tracer->budget)
		return;
	ret->method = LH_TRACE_BURSTS;
	ret->mean_bytes =
		(uint64_t)fmax(1, ret->bytes_per_s * (double)BURST_PROBED_NS / (double)LH_NS_PER_S / BURST_SAMPLES);
}

struct lh_error *lh_tracer_start(const struct lh_process *process, const struct lh_image *image, double budget,
				 bool (*is_interrupted)(void), struct lh_trace_forecast *ret_forecast,
				 struct lh_tracer **ret)
{
	LH_CLEANUP(lh_cleanup_tracer) struct lh_tracer *tracer = calloc(1, sizeof(*tracer));
	if (!tracer)
		return lh_error_no_memory();
	tracer->process = process;
	tracer->budget = budget;
	*ret_forecast = (struct lh_trace_forecast){0};
	LH_TRY(check_kernel_release());
	LH_TRY(lh_allocator_probes_find(process, image, &tracer->functions));
	LH_TRY(lh_probes_create(&tracer->probes));
	LH_TRY(lh_probes_attach(tracer->probes, process, tracer->functions.file, &tracer->functions.allocations,
				&tracer->functions.frees));
	measure_burst(tracer, is_interrupted, ret_forecast);
	plan_sampling(tracer, ret_forecast);
	tracer->method = ret_forecast->method;
	tracer->mean_bytes = ret_forecast->mean_bytes;
	*ret = tracer;
	tracer = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- records */

static struct lh_stack_copy copy_of_sample(const struct lh_trace_sample_record *sample)
{
	struct pt_regs from;
	memcpy(&from, sample->registers, sizeof(from));
	return (struct lh_stack_copy){
		.registers =
			{
				.r15 = from.r15,
				.r14 = from.r14,
				.r13 = from.r13,
				.r12 = from.r12,
				.rbp = from.rbp,
				.rbx = from.rbx,
				.r11 = from.r11,
				.r10 = from.r10,
				.r9 = from.r9,
				.r8 = from.r8,
				.rax = from.rax,
				.rcx = from.rcx,
				.rdx = from.rdx,
				.rsi = from.rsi,
				.rdi = from.rdi,
				.rip = from.rip,
				.rsp = from.rsp,
			},
		.bytes = sample->stack,
		.byte_count = lh_min_u64(sample->stack_bytes, sizeof(sample->stack)),
	};
}

static struct lh_error *take_stack_sample(struct lh_tracer *tracer, const struct lh_trace_sample_record *sample)
{
	uint64_t frames[LH_SITE_FRAMES_MAX];
	bool is_complete;
	struct lh_stack_copy copy = copy_of_sample(sample);
	struct lh_life life = {.size_bytes = sample->size_bytes, .mean_bytes = sample->mean_bytes};
	/* realloc calls malloc for blocks of other arenas: it had its own chance to be sampled. */
	if (copy.byte_count >= 8 && lh_allocator_probes_hold(&tracer->functions, lh_load_u64(copy.bytes, 0)))
		return NULL;
	size_t count = lh_unwinder_walk(tracer->unwinder, &copy, frames, LH_SITE_FRAMES_MAX, &is_complete);
	return lh_sites_add_sample(&tracer->sites, sample->head.id, &life, frames, count, is_complete);
}

static struct lh_error *take_record(void *context, const struct lh_trace_record *record, size_t bytes)
{
	struct lh_tracer *tracer = context;
	switch (record->kind) {
	case LH_RECORD_SAMPLE:
		return bytes < sizeof(struct lh_trace_sample_record)
			       ? NULL
			       : take_stack_sample(tracer, (const struct lh_trace_sample_record *)(const void *)record);
	case LH_RECORD_BIRTH:
		lh_sites_add_birth(&tracer->sites, record->id, record->time_ns);
		return NULL;
	default:
		lh_sites_add_death(&tracer->sites, record->id, record->time_ns, record->kind == LH_RECORD_UNSEEN_DEATH);
		return NULL;
	}
}

/* ---------------------------------------------------------------- cost */

static struct spending measure_spending(const struct lh_tracer *tracer)
{
	struct lh_trace_slot now = lh_probes_count(tracer->probes);
	const struct lh_trace_slot *start = &tracer->at_start;
	double seconds = (double)(lh_clock_monotonic_ns() - tracer->start_ns) / (double)LH_NS_PER_S;
	uint64_t samples = now.sample_count - start->sample_count;
	return (struct spending){
		.seconds = seconds,
		.target_ns = (double)(now.cost_ns - start->cost_ns) + SAMPLE_COST_NS * (double)samples,
		.own_ns = (double)(lh_clock_process_cpu_ns() - tracer->start_cpu_ns),
		.sample_count = samples,
		.lost_sample_count = now.lost_sample_count - start->lost_sample_count,
		.allocations_per_s = (double)(now.allocation_count - start->allocation_count) / seconds,
		.bytes_per_s = (double)(now.allocated_bytes - start->allocated_bytes) / seconds,
	};
}

static bool is_over_budget(const struct lh_tracer *tracer, const struct spending *spending)
{
	double allowed_ns = tracer->budget * (spending->seconds + BUDGET_AHEAD_S) * (double)LH_NS_PER_S;
	return spending->target_ns + spending->own_ns > allowed_ns;
}

/* As many samples as what was measured since `before` leaves room for; changes little by little. */
static void adapt_mean(struct lh_tracer *tracer, const struct spending *before, const struct spending *now)
{
	double seconds = now->seconds - before->seconds;
	double samples = (double)(now->sample_count - before->sample_count);
	bool has_lost = now->lost_sample_count > before->lost_sample_count;
	if (samples < 1 || seconds <= 0)
		return;
	double own_ns = now->own_ns - before->own_ns;
	double sample_ns = SAMPLE_COST_NS + own_ns / samples;
	double probe_ns = now->target_ns - before->target_ns - SAMPLE_COST_NS * samples;
	double wanted = samples_per_s(tracer->budget, probe_ns / seconds / (double)LH_NS_PER_S, sample_ns,
				      now->allocations_per_s);
	double factor = has_lost ? MEAN_LEAP : fmin(MEAN_STEP, fmax(1 / MEAN_STEP, samples / seconds / wanted));
	if (fabs(factor - 1) > 0.1)
		lh_probes_set_mean_bytes(tracer->probes,
					 (uint64_t)fmax(1, factor * (double)lh_probes_mean_bytes(tracer->probes)));
}

uint64_t lh_tracer_sample_count(const struct lh_tracer *tracer)
{
	return measure_spending(tracer).sample_count;
}

/* ---------------------------------------------------------------- following */

static bool has_ended(const struct lh_process *process)
{
	struct lh_error *error = lh_process_check(process);
	bool is_gone = error != NULL;
	lh_error_destroy(error);
	return is_gone;
}

static struct lh_error *follow_until_end(struct lh_tracer *tracer, const struct lh_trace_follow *options,
					 enum lh_trace_end *ret)
{
	struct spending before = measure_spending(tracer);
	for (;;) {
		uint64_t elapsed_ns = lh_clock_monotonic_ns() - tracer->start_ns;
		if (elapsed_ns >= options->duration_ns) {
			*ret = LH_TRACE_TIME_OVER;
			return NULL;
		}
		if (!options->progress(options->progress_context, elapsed_ns, options->duration_ns)) {
			*ret = LH_TRACE_INTERRUPTED;
			return NULL;
		}
		nap_ms((int)lh_min_u64(POLL_MS, (options->duration_ns - elapsed_ns) / LH_NS_PER_MS + 1));
		LH_TRY(lh_probes_read(tracer->probes, take_record, tracer));
		struct spending now = measure_spending(tracer);
		if (is_over_budget(tracer, &now)) {
			*ret = LH_TRACE_OVER_BUDGET;
			return NULL;
		}
		if (now.sample_count > SAMPLES_TOTAL) {
			*ret = LH_TRACE_MANY_SAMPLES;
			return NULL;
		}
		if (now.seconds - before.seconds < 1)
			continue;
		if (has_ended(tracer->process)) {
			*ret = LH_TRACE_PROCESS_ENDED;
			return NULL;
		}
		adapt_mean(tracer, &before, &now);
		before = now;
	}
}

/* ---------------------------------------------------------------- bursts */

/* Records are kept as they are: stacks are unwound when leakhunt has given up its rights. */
static struct lh_error *keep_record(void *context, const struct lh_trace_record *record, size_t bytes)
{
	struct lh_tracer *tracer = context;
	/* Between bursts nothing is seen: what is freed of an earlier one had a life of unknown length. */
	if (record->id < tracer->first_id || record->kind == LH_RECORD_UNSEEN_DEATH ||
	    (record->kind == LH_RECORD_SAMPLE && bytes < sizeof(struct lh_trace_sample_record)))
		return NULL;
	if (record->kind == LH_RECORD_BIRTH)
		lh_probes_forget(tracer->probes, record->addr);
	struct lh_trace_record *copy = malloc(bytes);
	if (!copy)
		return lh_error_no_memory();
	memcpy(copy, record, bytes);
	struct lh_error *error = lh_vec_push(&tracer->records, copy);
	if (error)
		free(copy);
	return error;
}

static struct lh_error *watch_one_burst(struct lh_tracer *tracer)
{
	tracer->first_id = lh_probes_next_id(tracer->probes);
	LH_TRY(lh_probes_attach(tracer->probes, tracer->process, tracer->functions.file, &tracer->functions.allocations,
				&tracer->functions.frees));
	uint64_t begin_ns = lh_clock_monotonic_ns();
	struct lh_trace_slot before = lh_probes_count(tracer->probes);
	lh_probes_begin(tracer->probes, tracer->mean_bytes);
	await_burst(tracer, BURST_PROBED_NS, NULL);
	lh_probes_pause(tracer->probes);
	struct lh_trace_slot now = lh_probes_count(tracer->probes);
	tracer->in_bursts.allocation_count += now.allocation_count - before.allocation_count;
	tracer->in_bursts.allocated_bytes += now.allocated_bytes - before.allocated_bytes;
	tracer->in_bursts.free_count += now.free_count - before.free_count;
	tracer->probed_ns += lh_clock_monotonic_ns() - begin_ns;
	lh_probes_detach(tracer->probes);
	return lh_probes_read(tracer->probes, keep_record, tracer);
}

static enum lh_trace_end find_end_of_bursts(const struct lh_tracer *tracer, const struct spending *spending)
{
	if (spending->sample_count >= BURST_SAMPLES_MOST)
		return LH_TRACE_MANY_SAMPLES;
	return has_ended(tracer->process) ? LH_TRACE_PROCESS_ENDED : LH_TRACE_TIME_OVER;
}

/* Bursts are as frequent as the budget allows. */
static struct lh_error *collect_until_end(struct lh_tracer *tracer, const struct lh_trace_follow *options)
{
	for (;;) {
		uint64_t elapsed_ns = lh_clock_monotonic_ns() - tracer->start_ns;
		struct spending spending = measure_spending(tracer);
		bool goes_on = options->progress(options->progress_context, elapsed_ns, options->duration_ns);
		tracer->end = goes_on ? find_end_of_bursts(tracer, &spending) : LH_TRACE_INTERRUPTED;
		if (elapsed_ns >= options->duration_ns || tracer->end != LH_TRACE_TIME_OVER)
			return NULL;
		double spent_ns = spending.target_ns + spending.own_ns;
		if (spent_ns <= tracer->budget * spending.seconds * (double)LH_NS_PER_S)
			LH_TRY(watch_one_burst(tracer));
		else
			nap_ms((int)lh_min_u64(POLL_MS, (options->duration_ns - elapsed_ns) / LH_NS_PER_MS + 1));
	}
}

static void note_start(struct lh_tracer *tracer)
{
	tracer->at_start = lh_probes_count(tracer->probes);
	tracer->start_cpu_ns = lh_clock_process_cpu_ns();
	tracer->start_ns = lh_clock_monotonic_ns();
}

struct lh_error *lh_tracer_collect(struct lh_tracer *tracer, const struct lh_trace_follow *options)
{
	lh_probes_detach(tracer->probes);
	note_start(tracer);
	LH_TRY(collect_until_end(tracer, options));
	tracer->end_ns = lh_clock_monotonic_ns();
	tracer->spending = measure_spending(tracer);
	return NULL;
}

static void fill_totals(const struct lh_tracer *tracer, const struct spending *spending, struct lh_trace *ret)
{
	struct lh_trace_slot now = lh_probes_count(tracer->probes);
	const struct lh_trace_slot *start = &tracer->at_start;
	ret->allocator = tracer->functions.allocator;
	ret->allocation_count = now.allocation_count - start->allocation_count;
	ret->allocated_bytes = now.allocated_bytes - start->allocated_bytes;
	ret->free_count = now.free_count - start->free_count;
	ret->lost_sample_count = now.lost_sample_count - start->lost_sample_count;
	ret->lost_death_count = now.lost_death_count - start->lost_death_count;
	ret->mean_bytes = lh_probes_mean_bytes(tracer->probes);
	/* What was spent within less than a moment says nothing of a rate. */
	double seconds = fmax(spending->seconds, (double)LH_TRACE_TIME_MIN_NS / (double)LH_NS_PER_S);
	ret->target_cost = spending->target_ns / seconds / (double)LH_NS_PER_S;
	ret->own_cost = spending->own_ns / seconds / (double)LH_NS_PER_S;
	ret->budget = tracer->budget;
	ret->method = tracer->method;
	/* A return probe needs it (kernel/events/uprobes.c, get_trampoline_vaddr). */
	ret->has_uprobes_page = now.sample_count > 0;
}

/* Anonymous memory; INT64_MAX when the process has ended. */
static int64_t read_anonymous_bytes(const struct lh_process *process)
{
	struct lh_memory_status status = {0};
	struct lh_error *error = lh_memory_status_read(process, &status);
	bool is_known = !error && status.anonymous_bytes;
	lh_error_destroy(error);
	return is_known ? (int64_t)(status.anonymous_bytes + status.swapped_bytes) : INT64_MAX;
}

static struct lh_error *judge_trace(struct lh_tracer *tracer, int64_t bytes_at_start, uint64_t end_ns,
				    struct lh_trace *ret)
{
	int64_t bytes = read_anonymous_bytes(tracer->process);
	bool is_known = bytes != INT64_MAX && bytes_at_start != INT64_MAX;
	const struct lh_trace_growth growth = {
		.bytes = is_known ? bytes - bytes_at_start : INT64_MAX,
		.blocks = (int64_t)(ret->allocation_count - ret->free_count),
	};
	const struct lh_site_facts at = {
		.start_ns = tracer->start_ns, .end_ns = end_ns, .has_unseen_deaths = ret->lost_death_count > 0};
	ret->duration_ns = ret->probed_ns = end_ns - tracer->start_ns;
	ret->grown_bytes = growth.bytes;
	return lh_sites_judge(&tracer->sites, &at, &growth, ret);
}

static struct lh_error *judge_bursts(struct lh_tracer *tracer, struct lh_trace *ret)
{
	const struct lh_trace_growth growth = {.bytes = INT64_MAX};
	const struct lh_site_facts at = {.start_ns = tracer->start_ns, .end_ns = tracer->end_ns};
	for (size_t i = 0; i < tracer->records.count; i++)
		LH_TRY(take_record(tracer, tracer->records.items[i], sizeof(struct lh_trace_sample_record)));
	fill_totals(tracer, &tracer->spending, ret);
	ret->allocation_count = tracer->in_bursts.allocation_count;
	ret->allocated_bytes = tracer->in_bursts.allocated_bytes;
	ret->free_count = tracer->in_bursts.free_count;
	ret->end = tracer->end;
	ret->duration_ns = tracer->end_ns - tracer->start_ns;
	ret->probed_ns = tracer->probed_ns;
	ret->grown_bytes = INT64_MAX;
	LH_TRY(lh_sites_judge(&tracer->sites, &at, &growth, ret));
	lh_sites_keep_rates(ret);
	return NULL;
}

const char *lh_trace_method_name(enum lh_trace_method method)
{
	return method == LH_TRACE_BURSTS ? "bursts" : "exact";
}

static struct lh_error *follow_exactly(struct lh_tracer *tracer, const struct lh_trace_follow *options,
				       struct lh_trace *ret)
{
	note_start(tracer);
	int64_t bytes_at_start = read_anonymous_bytes(tracer->process);
	lh_probes_begin(tracer->probes, tracer->mean_bytes);
	LH_TRY(follow_until_end(tracer, options, &ret->end));
	struct spending spending = measure_spending(tracer);
	uint64_t end_ns = lh_clock_monotonic_ns();
	lh_probes_detach(tracer->probes);
	LH_TRY(lh_probes_read(tracer->probes, take_record, tracer));
	fill_totals(tracer, &spending, ret);
	return judge_trace(tracer, bytes_at_start, end_ns, ret);
}

struct lh_error *lh_tracer_follow(struct lh_tracer *tracer, const struct lh_trace_follow *options, struct lh_trace *ret)
{
	struct lh_trace trace LH_CLEANUP(lh_trace_deinit) = {0};
	LH_TRY(lh_unwinder_create(options->image, &tracer->unwinder));
	LH_TRY(tracer->method == LH_TRACE_BURSTS ? judge_bursts(tracer, &trace)
						 : follow_exactly(tracer, options, &trace));
	*ret = trace;
	trace = (struct lh_trace){0};
	return NULL;
}
