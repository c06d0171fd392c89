/*
 * limits: whether disk, memory and tasks suffice for a dump. Checked before the target is touched. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_LIMITS_H
#define LEAKHUNT_DUMP_LIMITS_H

#include "leakhunt/dump.h"
#include "leakhunt/limits.h"

/* Upper bound of the file's size: the pages, and a generous allowance for notes and headers. */
uint64_t lh_limits_disk_bytes(const struct lh_plan *plan, const struct lh_dump_options *options, size_t thread_count);
/*
 * What compressing takes at most beside: a spool of the same size, unless its bytes can be given back
 * as they are compressed (`punches_holes`), and what zstd adds to random bytes.
 */
uint64_t lh_limits_compress_bytes(uint64_t disk_bytes, bool punches_holes);
/* LH_ERROR_NO_SPACE when the file system of `path` has less. */
struct lh_error *lh_limits_check_disk(const char *path, uint64_t needed_bytes, uint64_t free_bytes) LH_NODISCARD;

/*
 * LH_ERROR_NO_MEMORY when leakhunt's own cgroup, which may be the target's, has no room for its buffers: filling them
 * would make the OOM killer kill the largest process there.
 */
struct lh_error *lh_limits_check_own(void) LH_NODISCARD;

/*
 * LH_ERROR_NO_MEMORY when leakhunt has no room for a snapshot's final set: the pages that the target writes faster than
 * leakhunt copies.
 */
struct lh_error *lh_limits_judge_final(uint64_t bytes, const struct lh_cgroup_limits *own,
				       const struct lh_system_memory *memory) LH_NODISCARD;
/* The same for what is left now. */
struct lh_error *lh_limits_check_final(uint64_t bytes) LH_NODISCARD;

/* What a copy-on-write child of the target would need. */
struct lh_child_need {
	uint64_t written_bytes;    /* pages that the target writes while the child is there: each is then there twice */
	uint64_t page_table_bytes; /* copied by clone(2) */
	uint64_t committed_bytes;  /* private writable mappings, promised a second time */
};

/*
 * Worst case: the target writes all of its anonymous memory while the child exists. A caller that knows how fast the
 * target writes may lower written_bytes.
 */
struct lh_error *lh_limits_child_need(const struct lh_process *process, const struct lh_region_list *regions,
				      struct lh_child_need *ret) LH_NODISCARD;

/*
 * LH_ERROR_UNSUPPORTED, with the reason, when a child could make the OOM killer act in the target's cgroup or on the
 * machine, or clone(2) would fail (pids.max, vm.overcommit_memory=2).
 */
struct lh_error *lh_limits_judge_child(const struct lh_child_need *need, const struct lh_cgroup_limits *cgroup,
				       const struct lh_system_memory *memory) LH_NODISCARD;

/* The same for a process as it is now. Nothing of it is touched. */
struct lh_error *lh_limits_check_child(const struct lh_process *process,
				       const struct lh_region_list *regions) LH_NODISCARD;

/* LH_ERROR_UNSUPPORTED when the target's cgroup or the machine has no room for this many swapped bytes in memory. */
struct lh_error *lh_limits_check_swapped(const struct lh_process *process, uint64_t swapped_bytes) LH_NODISCARD;

#endif
