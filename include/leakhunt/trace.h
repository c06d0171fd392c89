/*
 * trace: which code of a live process allocates what is never freed. Kernel probes in the target's allocator sample
 * allocations by bytes and see each free; leakhunt unwinds the stacks. The target is never stopped.
 */
#ifndef LEAKHUNT_TRACE_H
#define LEAKHUNT_TRACE_H

#include "leakhunt/modules.h"
#include "leakhunt/process.h"
#include "leakhunt/regions.h"

/* ---------------------------------------------------------------- the estimate */

enum lh_site_verdict {
	LH_SITE_LEAKING,   /* survivors are older than any freed block, and come from all parts of the trace */
	LH_SITE_FREES,     /* frees what it allocates */
	LH_SITE_NOT_YET,   /* too young, or too few, to judge */
	LH_SITE_STOPPED,   /* survivors are old, and none is from the last third: a table that was filled */
	LH_SITE_UNCERTAIN, /* blocks were freed where no probe was set */
	LH_SITE_RATE_ONLY, /* traced in bursts: allocation rates, and what is freed at once */
	LH_SITE_BYPRODUCT, /* grows, but by less than a hundredth of the process's growth */
	LH_SITE_REPLACES,  /* outlives the trace, but neither memory nor the number of blocks grew as much */
};

/* What the sampled blocks of one stack show. Bytes and counts are estimates for all blocks, not sums over samples. */
struct lh_site_estimate {
	enum lh_site_verdict verdict;
	uint64_t sample_count;
	double allocated_bytes, allocated_count;
	double live_bytes, live_count;
	uint64_t live_sample_count;
	uint64_t death_sample_count;
	uint64_t median_life_ns;  /* of freed blocks */
	uint64_t longest_life_ns; /* likewise */
	uint64_t oldest_live_ns;  /* age */
	uint64_t survivor_count;  /* live samples older than min_age_ns */
	uint64_t min_age_ns; /* A = max(1.5 * longest_life_ns of stacks with the same innermost calls, 0.3 * time) */
	double leak_bytes_per_s, leak_low, leak_high; /* 95 %, by Poisson statistics; exact below 10 survivors */
};

const char *lh_site_verdict_name(enum lh_site_verdict verdict); /* "leaking", "frees", "not-yet", ... */

/* ---------------------------------------------------------------- what a trace of malloc cannot see */

/* Private memory without files: resident and swapped, by owner. LH_REGION_ANON: owner unknown. */
struct lh_trace_memory {
	uint64_t total_bytes;
	uint64_t kind_bytes[LH_REGION_KIND_COUNT];
};

/* `list` must have usage, and kinds by owners. */
void lh_trace_memory_weigh(const struct lh_region_list *list, struct lh_trace_memory *ret);
/* The kind with most of the memory that `allocator` does not own; LH_REGION_KIND_COUNT: there is none. */
enum lh_region_kind lh_trace_memory_unseen_kind(const struct lh_trace_memory *memory, enum lh_allocator allocator);
/* The part of all memory that `allocator` does not own, from 0 to 1; 0 if unknown. */
double lh_trace_memory_unseen_part(const struct lh_trace_memory *memory, enum lh_allocator allocator);

/* ---------------------------------------------------------------- tracing */

/* A trace that the user ends earlier has no result. */
#define LH_TRACE_TIME_MIN_NS LH_NS_PER_S

/* One call stack, innermost first; addresses lie within the calls. The allocator's function is the first. */
struct lh_trace_site {
	size_t first_frame; /* index in lh_trace.frames */
	size_t frame_count;
	bool is_complete; /* unwound to the outermost frame */
	struct lh_site_estimate estimate;
};

/* How allocations are observed. Each method is less exact and costs less than the previous one. */
enum lh_trace_method {
	LH_TRACE_EXACT,  /* probes are always set: each free of a sampled block is seen */
	LH_TRACE_BURSTS, /* probes are set for some ms at a time: rates and short lives, no verdict on leaks */
};

const char *lh_trace_method_name(enum lh_trace_method method); /* "exact", "bursts" */

enum lh_trace_end {
	LH_TRACE_TIME_OVER,
	LH_TRACE_INTERRUPTED,
	LH_TRACE_OVER_BUDGET,   /* the process allocates more often than when the trace began */
	LH_TRACE_PROCESS_ENDED, /* or called exec */
	LH_TRACE_MANY_SAMPLES,
};

struct lh_trace {
	enum lh_allocator allocator;
	enum lh_trace_method method;
	enum lh_trace_end end;
	uint64_t duration_ns;
	uint64_t probed_ns; /* the part of it with probes set; in bursts rates are projected from it */
	uint64_t allocation_count, allocated_bytes, free_count; /* exact */
	uint64_t sample_count, incomplete_count;                /* stacks, and those not unwound to their end */
	uint64_t lost_sample_count;                             /* too many at once: their sites are underestimated */
	uint64_t lost_death_count;                              /* if not 0, no stack is called leaking */
	uint64_t unseen_death_count;
	int64_t grown_bytes;           /* anonymous memory, resident or swapped; INT64_MAX: not known */
	struct lh_trace_memory memory; /* at the beginning; filled by the caller; total_bytes 0: unknown */
	uint64_t mean_bytes;           /* R at the end */
	double target_cost;            /* estimate: part of one CPU that the probes took */
	double own_cost;               /* measured: of leakhunt */
	double budget;
	bool has_uprobes_page; /* the kernel has mapped its [uprobes] page into the target; it stays until exec */
	LH_VEC(uint64_t) frames;
	LH_VEC(struct lh_trace_site) sites; /* leaking first, most bytes per second first */
};
void lh_trace_deinit(struct lh_trace *trace);

/* Whether other allocators own at most half of the process's memory. */
bool lh_trace_sees_most(const struct lh_trace *trace);
/*
 * Whether the time was over or the user ended the trace, lh_trace_sees_most, and nothing that a verdict needs is
 * missing.
 */
bool lh_trace_is_complete(const struct lh_trace *trace);

/* The call addresses that all leaking stacks share, from the outermost inward. Returns their number. */
size_t lh_trace_common_frames(const struct lh_trace *trace, const uint64_t **ret_innermost);

struct lh_image;
struct lh_tracer;

/* What the first moments show, before the trace itself. */
struct lh_trace_forecast {
	enum lh_trace_method method;
	enum lh_allocator allocator;
	double allocations_per_s;
	double bytes_per_s;
	double cost;   /* part of one CPU: probes and leakhunt */
	double needed; /* the smallest budget for LH_TRACE_EXACT */
	uint64_t mean_bytes;
};

/*
 * Finds the malloc that the process calls, sets probes, and measures its rate for at most 0.2 s, or until
 * is_interrupted(). Only reads `image`, which must be of the process. LH_ERROR_UNSUPPORTED, with nothing left in the
 * target: the allocator is unknown, or the kernel lacks support; LH_ERROR_PERMISSION. `budget` is a part of one CPU: if
 * it is too small for the rate, the method is LH_TRACE_BURSTS. Reads files of the process.
 */
struct lh_error *lh_tracer_start(const struct lh_process *process, const struct lh_image *image, double budget,
				 bool (*is_interrupted)(void), struct lh_trace_forecast *ret_forecast,
				 struct lh_tracer **ret) LH_NODISCARD;
void lh_cleanup_tracer(struct lh_tracer **tracer); /* removes the probes; NULL in it is legal */

struct lh_trace_follow {
	const struct lh_image *image; /* of the process, for unwinding its stacks */
	uint64_t duration_ns;
	lh_progress *progress; /* in ns of duration_ns; false ends it with LH_TRACE_INTERRUPTED */
	void *progress_context;
};

/* Samples since it is followed; for progress. */
uint64_t lh_tracer_sample_count(const struct lh_tracer *tracer);

/*
 * LH_TRACE_BURSTS only, before lh_tracer_follow: follows the process for a time and keeps records. Needs the rights to
 * set probes, which each burst does. A burst takes some 6 ms; their number follows from the budget.
 */
struct lh_error *lh_tracer_collect(struct lh_tracer *tracer, const struct lh_trace_follow *options) LH_NODISCARD;

/*
 * Follows the process for a time, starting with the forecast's mean distance, removes the probes, and judges. Needs no
 * rights.
 */
struct lh_error *lh_tracer_follow(struct lh_tracer *tracer, const struct lh_trace_follow *options,
				  struct lh_trace *ret) LH_NODISCARD;

#endif
