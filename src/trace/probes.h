/*
 * probes: breakpoints of the kernel in the target's allocator. Private to src/trace.
 *
 * Everything here belongs to descriptors of leakhunt: when leakhunt ends, however it ends, the kernel takes the
 * breakpoints out and puts the original page of the file back.
 */
#ifndef LEAKHUNT_TRACE_PROBES_H
#define LEAKHUNT_TRACE_PROBES_H

#include "bpf_programs.h"
#include "leakhunt/process.h"

/* A place in the file of the target's allocator. */
struct lh_probe {
	uint64_t file_offset;
	uint64_t cookie; /* LH_COOKIE */
};

struct lh_probe_list {
	LH_VEC(struct lh_probe) items;
};

struct lh_probes;

/*
 * Loads the programs and makes the shared memory; nothing of the target is touched. Probes count until
 * lh_probes_begin. LH_ERROR_PERMISSION, LH_ERROR_UNSUPPORTED say what the kernel lacks.
 */
struct lh_error *lh_probes_create(struct lh_probes **ret) LH_NODISCARD;
void lh_probes_destroy(struct lh_probes *probes); /* takes the breakpoints out; NULL is legal */
void lh_cleanup_probes(struct lh_probes **probes);

/* Puts breakpoints into `file` (open) as `process` has it mapped. Deaths first: no birth is seen before them. */
struct lh_error *lh_probes_attach(struct lh_probes *probes, const struct lh_process *process, int file,
				  const struct lh_probe_list *allocations,
				  const struct lh_probe_list *frees) LH_NODISCARD;
/* Takes the breakpoints out; records stay readable. */
void lh_probes_detach(struct lh_probes *probes);

/* Sums of all processors; left_bytes is 0. */
struct lh_trace_slot lh_probes_count(const struct lh_probes *probes);
uint64_t lh_probes_mean_bytes(const struct lh_probes *probes);
void lh_probes_set_mean_bytes(struct lh_probes *probes, uint64_t mean_bytes); /* from the next sample on */
/* Begins sampling at this mean distance, on all processors at once. */
void lh_probes_begin(struct lh_probes *probes, uint64_t mean_bytes);

/* Ends sampling on all processors; what was sampled is still followed. */
void lh_probes_pause(struct lh_probes *probes);
/* Ids of samples from now on are this or higher. */
uint64_t lh_probes_next_id(const struct lh_probes *probes);
/* The block at `addr` is followed no longer. Calls bpf(2). */
void lh_probes_forget(struct lh_probes *probes, uint64_t addr);

/* Hands out all records that wait, oldest first. A record lives for the time of the call. */
typedef struct lh_error *lh_record_visitor(void *context, const struct lh_trace_record *record, size_t bytes);
struct lh_error *lh_probes_read(struct lh_probes *probes, lh_record_visitor *visit, void *context) LH_NODISCARD;

#endif
