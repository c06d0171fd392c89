/*
 * functions: the functions of the target's allocator, and where each can be probed. Private to src/trace.
 */
#ifndef LEAKHUNT_TRACE_FUNCTIONS_H
#define LEAKHUNT_TRACE_FUNCTIONS_H

#include "leakhunt/image.h"
#include "leakhunt/process.h"
#include "probes.h"

/* Zero-initialized is empty. */
struct lh_allocator_probes {
	enum lh_allocator allocator;
	struct lh_probe_list allocations, frees;
	LH_VEC(struct lh_range) functions; /* addresses of the probed functions' code */
	int file;                          /* of the allocator's module; open when not 0 */
};
void lh_allocator_probes_deinit(struct lh_allocator_probes *probes);

/* LH_ERROR_UNSUPPORTED says why this process can't be probed. */
struct lh_error *lh_allocator_probes_find(const struct lh_process *process, const struct lh_image *image,
					  struct lh_allocator_probes *ret) LH_NODISCARD;

/* Whether an address lies in one of the probed functions. */
bool lh_allocator_probes_hold(const struct lh_allocator_probes *probes, uint64_t addr);

#endif
