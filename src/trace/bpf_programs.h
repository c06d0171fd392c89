/*
 * bpf_programs: what the kernel does when the target allocates or frees, and the memory that it shares with leakhunt.
 * Private to src/trace.
 */
#ifndef LEAKHUNT_TRACE_BPF_PROGRAMS_H
#define LEAKHUNT_TRACE_BPF_PROGRAMS_H

#include "bpf_code.h"

/* Which arguments tell size and address; the low byte of a probe's cookie. */
enum lh_call_kind {
	LH_CALL_MALLOC,            /* rdi: size */
	LH_CALL_CALLOC,            /* rdi * rsi */
	LH_CALL_SECOND,            /* rsi: size (realloc, memalign, aligned_alloc) */
	LH_CALL_POSIX_MEMALIGN,    /* rdx: size; the address is at *rdi, and rax is 0 */
	LH_CALL_REALLOC_BY_MALLOC, /* LH_CALL_SECOND, but malloc's business when rdi is NULL */
	LH_CALL_FREE,              /* rdi: address */
};
/* A probe's cookie: the kind, and what one hit costs in ns. */
#define LH_COOKIE(kind, cost_ns) ((uint64_t)(kind) | (uint64_t)(cost_ns) << 8)

enum {
	LH_TRACE_SLOTS = 128, /* processors count in slots of their own, modulo this */
	LH_TRACE_INTERVALS = 4096,
	LH_TRACE_INTERVAL_SHIFT = 16,
	LH_TRACE_STACK_PAGES = 8, /* beyond the page of rsp */
	LH_TRACE_REGISTERS = 21,  /* struct pt_regs */
	LH_TRACE_STACK_BYTES = (LH_TRACE_STACK_PAGES + 1) * LH_PAGE_BYTES,
	LH_TRACE_RING_BYTES = 32 << 20, /* half of it: 450 samples */
	LH_TRACE_LIVE_MAX = 1 << 17,
	LH_TRACE_CALLS_MAX = 1 << 14, /* sampled calls that have not returned: threads */
};

/* One 64-byte line for each processor. Counters only grow. */
struct lh_trace_slot {
	uint64_t allocation_count;
	int64_t left_bytes; /* until the next sample */
	uint64_t allocated_bytes;
	uint64_t free_count;
	uint64_t sample_count;
	uint64_t lost_sample_count; /* the ring was half full, or a table full */
	uint64_t lost_death_count;  /* the ring was full */
	uint64_t cost_ns;           /* of all hits, by the cookies */
};

/* The value of an array map with one element, mapped by leakhunt. */
struct lh_trace_control {
	uint64_t mean_bytes; /* R: mean distance of samples */
	uint64_t next_id;
	uint64_t reserved[6];
	/* -ln of the midpoints of (0, 1) in equal steps, << LH_TRACE_INTERVAL_SHIFT: times R, exponential distances */
	uint64_t intervals[LH_TRACE_INTERVALS];
	struct lh_trace_slot slots[LH_TRACE_SLOTS];
};

enum lh_trace_record_kind {
	LH_RECORD_SAMPLE,
	LH_RECORD_BIRTH,
	LH_RECORD_DEATH,
	LH_RECORD_UNSEEN_DEATH, /* the address was handed out again, but no probe saw it freed */
};

/* Records of the ring. Times are CLOCK_MONOTONIC. */
struct lh_trace_record {
	uint64_t kind;
	uint64_t id; /* of the sample */
	uint64_t time_ns;
	uint64_t addr; /* of the block; 0 of a sample: it has none yet */
};

struct lh_trace_sample_record {
	struct lh_trace_record head;
	uint64_t size_bytes; /* as requested */
	uint64_t mean_bytes; /* R at that moment */
	uint64_t stack_bytes;
	uint64_t registers[LH_TRACE_REGISTERS]; /* struct pt_regs, at the function's entry */
	uint8_t stack[LH_TRACE_STACK_BYTES];    /* from rsp upward */
};

struct lh_trace_maps {
	int control;
	int ring;
	int calls; /* thread -> sampled call that has not returned */
	int live;  /* address -> id of the sample */
};

/* Runs at the entry of functions that allocate, and at the return from sampled calls. */
struct lh_error *lh_bpf_write_allocation(const struct lh_trace_maps *maps, struct lh_bpf_code *ret) LH_NODISCARD;
/* Runs where a block is freed. */
struct lh_error *lh_bpf_write_free(const struct lh_trace_maps *maps, struct lh_bpf_code *ret) LH_NODISCARD;

#endif
