/*
 * allocation_samples: call stacks of the blocks that an allocator itself has sampled, read from its memory. Nothing is
 * traced, and a dump has them as well as a process. jemalloc samples if its option prof is true, Google's tcmalloc
 * always.
 */
#ifndef LEAKHUNT_ALLOCATION_SAMPLES_H
#define LEAKHUNT_ALLOCATION_SAMPLES_H

#include "leakhunt/heap.h"

/* A call stack and the sampled blocks in use that it allocated. */
struct lh_sampled_stack {
	size_t first_frame; /* index in lh_allocation_samples.frames; innermost first */
	size_t frame_count;
	uint64_t sample_count;
	uint64_t sample_bytes;    /* usable */
	uint64_t requested_bytes; /* of the sampled blocks */
	double estimated_count;   /* of all its blocks in use: the allocator's own estimate */
	double estimated_bytes;   /* usable; likewise */
	uint64_t oldest_ns; /* when its oldest and its newest sampled block were allocated: CLOCK_MONOTONIC, or with */
	uint64_t newest_ns; /* jemalloc's prof_time_resolution:high CLOCK_REALTIME */
	bool is_consistent; /* the allocator's counters say the same as its blocks */
};

struct lh_allocation_samples {
	const char *allocator; /* a literal; NULL: nothing was sampled */
	uint64_t sample_count;
	uint64_t rejected_count;                /* blocks marked as sampled whose stack does not hold together */
	uint64_t newest_ns;                     /* of all stacks */
	bool has_wall_clock;                    /* times are CLOCK_REALTIME */
	LH_VEC(uint64_t) frames;                /* addresses lie within the calls */
	LH_VEC(struct lh_sampled_stack) stacks; /* most estimated bytes first */
};

/* Belongs to the heap. */
const struct lh_allocation_samples *lh_heap_allocation_samples(const struct lh_heap *heap);

#endif
