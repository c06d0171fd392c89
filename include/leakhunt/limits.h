/*
 * limits: what limits a process's memory, threads and descriptors: its cgroups, its rlimits, the machine. Also whether
 * a cgroup freezer stops it.
 */
#ifndef LEAKHUNT_LIMITS_H
#define LEAKHUNT_LIMITS_H

#include "leakhunt/base.h"

struct lh_process;

#define LH_NO_LIMIT UINT64_MAX

/* A limit with its usage. If several apply, the one that leaves least. */
struct lh_limit {
	uint64_t limit;             /* bytes or tasks; LH_NO_LIMIT: none */
	uint64_t used;              /* in the cgroup that sets the limit; in the process's own cgroup if none does */
	uint64_t reclaimable_bytes; /* memory: the part of `used` that is file cache, which the kernel drops first */
	const char *cgroup;         /* its path as /proc/PID/cgroup has it; "" when not known */
};

/* What is left, with file cache counted as free; LH_NO_LIMIT if there is no limit. */
uint64_t lh_limit_left(const struct lh_limit *limit);

/* The limits of a process's cgroups, of either version, each including all ancestors. Owns its strings. */
struct lh_cgroup_limits {
	struct lh_limit memory;          /* v2 memory.max, v1 memory.limit_in_bytes: above it the OOM killer kills */
	struct lh_limit memory_throttle; /* v2 memory.high: above it the kernel slows the process down */
	struct lh_limit swap;            /* v2 memory.swap.max */
	struct lh_limit memory_and_swap; /* v1 memory.memsw.limit_in_bytes */
	struct lh_limit tasks;           /* pids.max */
	struct lh_strings_pool strings;
};

/*
 * Reads the limits that are visible from here. A cgroup outside of leakhunt's cgroup namespace, or one that is not
 * mounted, sets none. Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, cgroups(7).
 */
struct lh_error *lh_cgroup_read(const struct lh_process *process, struct lh_cgroup_limits *ret) LH_NODISCARD;
/* The limits of leakhunt's own cgroups. */
struct lh_error *lh_cgroup_read_own(struct lh_cgroup_limits *ret) LH_NODISCARD;
void lh_cgroup_limits_deinit(struct lh_cgroup_limits *limits);

/*
 * The cgroup freezer that stops a process (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/freezer-subsystem.rst).
 */
struct lh_freezer {
	bool is_frozen;    /* or about to freeze */
	bool is_v1;        /* v1: frozen threads reach no ptrace stop until they thaw; v2: they do, but run nothing */
	char folder[4096]; /* of the frozen cgroup: the process's own, or an ancestor */
};

/* A cgroup that is not visible from here (see lh_cgroup_read) or not readable counts as not frozen. */
void lh_freezer_read(const struct lh_process *process, struct lh_freezer *ret);

/* Memory of the machine (proc_meminfo(5), proc_sys_vm(5)). A number the kernel lacks is 0. */
struct lh_system_memory {
	uint64_t total_bytes;
	uint64_t available_bytes; /* available without swapping */
	uint64_t swap_total_bytes;
	uint64_t swap_free_bytes;
	uint64_t commit_limit_bytes; /* a limit only when overcommit_mode is 2 */
	uint64_t committed_bytes;
	unsigned overcommit_mode; /* 0 heuristic, 1 always, 2 never */
};

struct lh_error *lh_system_memory_read(struct lh_system_memory *ret) LH_NODISCARD;

/* A process's own figures (proc_pid_status(5)). A number the kernel lacks is 0. */
struct lh_memory_status {
	uint64_t mapped_bytes;     /* VmSize: what RLIMIT_AS limits */
	uint64_t anonymous_bytes;  /* RssAnon: resident, without a file */
	uint64_t page_table_bytes; /* VmPTE */
	uint64_t swapped_bytes;    /* VmSwap */
	uint64_t thread_count;     /* Threads */
};

struct lh_error *lh_memory_status_read(const struct lh_process *process, struct lh_memory_status *ret) LH_NODISCARD;

/* RLIMIT_AS in bytes and RLIMIT_NOFILE, by prlimit(2). LH_NO_LIMIT: none, or no permission to know. */
uint64_t lh_address_space_limit(const struct lh_process *process);
uint64_t lh_descriptor_limit(const struct lh_process *process);

/* vm.max_map_count: mappings per process. LH_NO_LIMIT if it cannot be read. */
uint64_t lh_mapping_limit(void);
/* kernel.threads-max and kernel.pid_max, minus the existing tasks (proc_sys_kernel(5)). LH_NO_LIMIT: not readable. */
uint64_t lh_machine_tasks_left(void);

/*
 * End of the address space of a 32-bit process, by the ELF class of its program. LH_NO_LIMIT for a 64-bit one, which
 * runs out of memory first.
 */
uint64_t lh_address_space_end(const struct lh_process *process);

#endif
