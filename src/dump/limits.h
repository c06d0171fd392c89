/*
 * limits: what a dump needs of disk, memory and tasks, and whether it can be had. Asked before the
 * target is touched. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_LIMITS_H
#define LEAKHUNT_DUMP_LIMITS_H

#include "leakhunt/dump.h"
#include "leakhunt/limits.h"

/* At most what the file takes: the pages, and generously for notes and headers. */
uint64_t lh_limits_disk_bytes(const struct lh_plan *plan, const struct lh_dump_options *options, size_t thread_count);
/*
 * What compressing takes at most beside: a spool of the same size, unless its bytes can be given back
 * as they are compressed (`punches_holes`), and what zstd adds to random bytes.
 */
uint64_t lh_limits_compress_bytes(uint64_t disk_bytes, bool punches_holes);
/* LH_ERROR_NO_SPACE when `path` has not got it. */
struct lh_error *lh_limits_check_disk(const char *path, uint64_t needed_bytes, uint64_t free_bytes) LH_NODISCARD;

/*
 * LH_ERROR_NO_MEMORY when leakhunt's own cgroup, which may be the target's, has no room for its
 * buffers: filling them would call the OOM killer to whoever is the biggest there.
 */
struct lh_error *lh_limits_check_own(void) LH_NODISCARD;

/*
 * LH_ERROR_NO_MEMORY when leakhunt has no room for the last set of a snapshot: what the target writes faster than it
 * can be copied.
 */
struct lh_error *lh_limits_judge_final(uint64_t bytes, const struct lh_cgroup_limits *own,
				       const struct lh_system_memory *memory) LH_NODISCARD;
/* The same for what is left now. */
struct lh_error *lh_limits_check_final(uint64_t bytes) LH_NODISCARD;

/* What a copy-on-write child of the target would take. */
struct lh_child_need {
	uint64_t written_bytes;    /* pages that the target writes while the child is there: each is then there twice */
	uint64_t page_table_bytes; /* copied by clone(2) */
	uint64_t committed_bytes;  /* private writable mappings, promised a second time */
};

/*
 * At worst: the target writes all of its anonymous memory while the child is there. A caller that
 * has seen how fast it writes may lower written_bytes.
 */
struct lh_error *lh_limits_child_need(const struct lh_process *process, const struct lh_region_list *regions,
				      struct lh_child_need *ret) LH_NODISCARD;

/*
 * LH_ERROR_UNSUPPORTED, with the reason, when a child might bring the target (in its cgroup, the
 * machine's memory) to the OOM killer, or clone(2) would fail (pids.max, vm.overcommit_memory=2).
 */
struct lh_error *lh_limits_judge_child(const struct lh_child_need *need, const struct lh_cgroup_limits *cgroup,
				       const struct lh_system_memory *memory) LH_NODISCARD;

/* The same for a process as it is now. Nothing of it is touched. */
struct lh_error *lh_limits_check_child(const struct lh_process *process,
				       const struct lh_region_list *regions) LH_NODISCARD;

/*
 * LH_ERROR_UNSUPPORTED when the target's cgroup or the machine has no room for swapped pages of so
 * many bytes to come back into memory.
 */
struct lh_error *lh_limits_check_swapped(const struct lh_process *process, uint64_t swapped_bytes) LH_NODISCARD;

#endif
