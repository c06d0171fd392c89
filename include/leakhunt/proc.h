/*
 * proc: the only code that reads /proc. It turns a process (or a saved smaps text) into regions,
 * threads, modules and present pages. It never stops, attaches to, or writes to a process, and it
 * reads target memory only where pagemap says a page is present.
 */
#ifndef LEAKHUNT_PROC_H
#define LEAKHUNT_PROC_H

#include "leakhunt/base.h"

/* ---------------------------------------------------------------- identity */

/*
 * A live process, held by an open directory fd of /proc/PID: if the pid is reused, reads through it
 * fail with ESRCH instead of showing a stranger (proc(5)). Heap-allocated.
 */
struct lh_process;

/*
 * leakhunt's own memory goes into no core from now on: not dumpable (prctl(2), PR_SET_DUMPABLE), RLIMIT_CORE, and no
 * mapping in /proc/self/coredump_filter. Children are the same until they call exec.
 */
void lh_self_forbid_cores(void);
bool lh_self_is_undumpable(void);

/*
 * The numbers that tell two programs under one pid apart: `start_ticks` differs when the pid was
 * reused, the others when it called exec (proc_pid_stat(5), fields 22, 26, 28).
 */
struct lh_process_identity {
	pid_t pid;
	uint64_t start_ticks; /* clock ticks after boot */
	uint64_t start_code;  /* 0 when we may not see it */
	uint64_t start_stack; /* likewise */
};

/*
 * LH_ERROR_NO_PROCESS (no such pid, or a zombie, said which), LH_ERROR_UNSUPPORTED for a kernel
 * thread (it has no memory of its own). Opening needs no permission over the process.
 */
struct lh_error *lh_process_open(pid_t pid, struct lh_process **ret) LH_NODISCARD;
void lh_process_close(struct lh_process *process); /* NULL is legal */
void lh_cleanup_process(struct lh_process **process);

pid_t lh_process_pid(const struct lh_process *process);
const char *lh_process_command(const struct lh_process *process); /* comm, at most 15 bytes, raw */
struct lh_process_identity lh_process_identity(const struct lh_process *process);

/* NULL while it lives and runs the same program; LH_ERROR_NO_PROCESS, LH_ERROR_CHANGED (exec). */
struct lh_error *lh_process_check(const struct lh_process *process) LH_NODISCARD;

/* Opens /proc/PID/<name>; for `memory` and the like. Errors explain EPERM (uid, Yama, user namespace). */
struct lh_error *lh_process_open_file(const struct lh_process *process, const char *name, int flags,
				      int *ret_fd) LH_NODISCARD;
struct lh_error *lh_process_read_file(const struct lh_process *process, const char *name,
				      struct lh_buffer *ret) LH_NODISCARD;

/* "/proc/PID/root": prefix for paths as the target sees them. `ret` holds PATH_MAX bytes. */
const char *lh_process_root(const struct lh_process *process, char *ret, size_t ret_bytes);
/* "/proc/PID", likewise. */
const char *lh_process_folder(const struct lh_process *process, char *ret, size_t ret_bytes);

/*
 * Opens what later reads of its memory and of the files below its root need, so that they work without the powers over
 * the process that this call needs (ptrace(2), PTRACE_MODE_ATTACH_FSCREDS). From now on the memory is read through
 * /proc/PID/mem, whatever the process becomes by exec, and lh_process_root names the open folder.
 */
struct lh_error *lh_process_pin(struct lh_process *process) LH_NODISCARD;

/*
 * Explains why `process` may not be traced or read: another tracer (its pid and name), another user,
 * Yama's ptrace_scope, a missing CAP_SYS_PTRACE, not dumpable. Returns `error` with the hint set.
 */
struct lh_error *lh_process_explain_refusal(const struct lh_process *process, struct lh_error *error) LH_NODISCARD;

/* ---------------------------------------------------------------- regions */

enum lh_region_kind {
	LH_REGION_HEAP,         /* the brk heap, "[heap]" */
	LH_REGION_ARENA,        /* glibc non-main heap (malloc/arena.c) */
	LH_REGION_MMAP_CHUNK,   /* chunks that glibc maps one by one */
	LH_REGION_MAIN_STACK,   /* "[stack]" */
	LH_REGION_THREAD_STACK, /* holds the stack pointer of a thread other than the main one */
	LH_REGION_ANON,         /* other private anonymous memory */
	LH_REGION_TEXT,         /* executable file mapping */
	LH_REGION_RODATA,       /* read-only mapping of a file that has a text mapping */
	LH_REGION_DATA,         /* writable private mapping of such a file, and its RELRO part */
	LH_REGION_BSS,          /* anonymous, adjoining the end of such a DATA mapping */
	LH_REGION_FILE,         /* mapping of any other file */
	LH_REGION_SHARED,       /* shared anonymous (/dev/zero), System V and POSIX shm */
	LH_REGION_MEMFD,        /* "/memfd:" */
	LH_REGION_HUGETLB,      /* hugetlbfs pages, private or shared ("ht" in VmFlags, /anon_hugepage) */
	LH_REGION_VDSO,         /* [vdso], [vvar*], [vsyscall] */
	LH_REGION_GUARD,        /* private anonymous, no access: guard pages and reserved space */
	/* Memory of other allocators and runtimes, by their structures (heap.h). */
	LH_REGION_JEMALLOC,
	LH_REGION_TCMALLOC,
	LH_REGION_MIMALLOC,
	LH_REGION_MUSL,     /* mallocng */
	LH_REGION_PYMALLOC, /* CPython's arenas for objects of at most 512 bytes */
	LH_REGION_V8,       /* JavaScript objects and code */
	LH_REGION_GO,
	LH_REGION_JVM,
	LH_REGION_ZEND, /* PHP */
	LH_REGION_KIND_COUNT,
};

/* "heap", "arena", "mmap-chunk", "stack", "thread-stack", "anon", "text", ... : the words of --kind. */
const char *lh_region_kind_name(enum lh_region_kind kind);
bool lh_region_kind_parse(const char *name, enum lh_region_kind *ret);

enum lh_protection { LH_PROT_READ = 1, LH_PROT_WRITE = 2, LH_PROT_EXEC = 4 };

/* Bytes as smaps counts them (Documentation/filesystems/proc.rst). A field the kernel lacks is 0. */
struct lh_usage {
	uint64_t rss_bytes;
	uint64_t pss_bytes;
	uint64_t shared_clean_bytes;
	uint64_t shared_dirty_bytes;
	uint64_t private_clean_bytes;
	uint64_t private_dirty_bytes;
	uint64_t referenced_bytes;
	uint64_t anonymous_bytes;
	uint64_t ksm_bytes;
	uint64_t lazy_free_bytes;
	uint64_t anon_huge_bytes;
	uint64_t shmem_huge_bytes;
	uint64_t file_huge_bytes;
	uint64_t shared_hugetlb_bytes;
	uint64_t private_hugetlb_bytes;
	uint64_t swap_bytes;
	uint64_t swap_pss_bytes;
	uint64_t locked_bytes;
};

/* USS: private_clean + private_dirty + private_hugetlb, what would be freed if it ended. */
uint64_t lh_usage_uss(const struct lh_usage *usage);
void lh_usage_add(struct lh_usage *sum, const struct lh_usage *usage);

/* One mapping, [start, end). Strings belong to the list that holds the region. */
struct lh_region {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset;
	uint64_t inode;
	uint32_t device_major;
	uint32_t device_minor;
	uint8_t protection;  /* enum lh_protection bits */
	bool is_shared;      /* 's' in the permissions */
	bool is_deleted;     /* the name ended in " (deleted)", now cut off */
	bool is_hugetlb;     /* "ht" in VmFlags */
	bool is_dontdump;    /* "dd" in VmFlags */
	bool is_io;          /* "io" or "pf" in VmFlags: never read (device memory) */
	bool is_dontfork;    /* "dc" in VmFlags: a forked child has no such mapping (madvise(2)) */
	bool is_wipeonfork;  /* "wf" in VmFlags: in a forked child it is empty */
	bool is_userfault;   /* "um", "uw" or "ui" in VmFlags: registered with a userfaultfd */
	bool is_ended_stack; /* it was the stack of a thread that has ended: the thread's control block is on top */
	enum lh_region_kind kind;
	pid_t tid;               /* LH_REGION_THREAD_STACK: whose; else 0 */
	const char *name;        /* path or [name], unescaped (\012), raw bytes; "" when anonymous */
	const char *thread_name; /* LH_REGION_THREAD_STACK: its comm; else "" */
	struct lh_usage usage;   /* zero unless the list has_usage */
};

/* Private anonymous memory by its name: "" or "[anon:...]" (prctl PR_SET_VMA_ANON_NAME, Linux 5.17). */
bool lh_region_is_anonymous(const struct lh_region *region);

/* Regions in ascending address order, not overlapping. Zero-initialized is empty. */
struct lh_region_list {
	LH_VEC(struct lh_region) regions;
	struct lh_strings_pool strings;
	bool has_usage;           /* read from smaps, not from maps */
	size_t skipped_lines;     /* lines that were not understood */
	size_t dropped_regions;   /* out of order or overlapping: from a corrupt or torn text */
	uint64_t exact_pss_bytes; /* of all regions, not rounded by region; 0: not known */
};

void lh_region_list_deinit(struct lh_region_list *list);

/*
 * Parses a text of /proc/PID/maps or smaps of any kernel since 2.6.32; unknown fields are ignored,
 * bad lines counted. Kinds are set as far as the text tells (heap, arena, stacks by name and guard,
 * files, ...). LH_ERROR_FORMAT when there is not a single mapping in it; `what` names it in errors.
 */
struct lh_error *lh_regions_parse(const char *text, size_t length, const char *what,
				  struct lh_region_list *ret) LH_NODISCARD;

/*
 * Sets the kinds of regions in address order from names, permissions, inodes and neighbors alone, as
 * lh_regions_parse does: for lists that were made from something else than a text of the kernel.
 */
void lh_regions_set_textual_kinds(struct lh_region_list *list);

enum lh_region_detail {
	LH_REGIONS_MAPS,  /* addresses only: cheap */
	LH_REGIONS_SMAPS, /* with usage: walks page tables, holds the target's mmap_lock meanwhile */
};

/*
 * Reads and parses, then refines kinds: thread stacks with their threads' names. Which allocator owns what is not
 * known here (owner.h).
 */
struct lh_error *lh_regions_read(const struct lh_process *process, enum lh_region_detail detail,
				 struct lh_region_list *ret) LH_NODISCARD;

/*
 * How the mappings of one process are read again and again, and what that costs it. Zero-initialized but for
 * max_stall_ns is the start.
 */
struct lh_regions_pace {
	uint64_t max_stall_ns;   /* how long one call may hold the target's mmap_lock; 0: as long as smaps takes */
	size_t read_count;       /* readings so far, of either way */
	size_t bounded_count;    /* of them in pieces */
	size_t mapping_count;    /* at the latest reading */
	uint64_t hold_ns_max;    /* the longest call so far: who maps memory meanwhile waits for its end */
	uint64_t resident_bytes; /* at the latest reading: of the process, */
	uint64_t biggest_bytes;  /* and in small pages of the mapping that has most of them */
	double ns_per_byte;      /* of such a mapping, as smaps was measured; 0: not yet */
};

/*
 * As lh_regions_read, with usage. The kernel walks a mapping's page tables under mmap_lock while it writes
 * its smaps: 5 to 17 ms a GiB of small pages (Linux 6.18). When that would take longer than max_stall_ns, or
 * there are thousands of mappings, of which it takes longer to write texts than to count pages, the addresses are read
 * from maps and the pages counted with lh_pagemap in short calls. Of the usage there is then: rss_bytes,
 * anonymous_bytes, anon_huge_bytes and swap_bytes; of shared and hugetlbfs memory also what is mapped nowhere else
 * (private_dirty_bytes, private_hugetlb_bytes). Not known are then lazily freed pages, which count until they are gone,
 * swapped pages of shared memory, and the flags of VmFlags.
 */
struct lh_error *lh_regions_read_bounded(const struct lh_process *process, struct lh_regions_pace *pace,
					 struct lh_region_list *ret) LH_NODISCARD;

/* The region that holds `addr`, or NULL. */
const struct lh_region *lh_regions_find(const struct lh_region_list *list, uint64_t addr);
void lh_regions_total(const struct lh_region_list *list, struct lh_usage *ret, uint64_t *ret_vss_bytes);

/*
 * Takes the sum of PSS from smaps_rollup: smaps rounds it down to a KiB for each mapping, the rollup
 * only once (fs/proc/task_mmu.c). Left unknown when there is no rollup, or memory has changed since.
 */
void lh_regions_take_exact_pss(const struct lh_process *process, struct lh_region_list *list);

/* ---------------------------------------------------------------- present pages */

enum lh_page_state {
	LH_PAGES_PRESENT,
	LH_PAGES_SWAPPED, /* reading would swap them in */
	LH_PAGES_WRITTEN, /* present, and written to since it was protected, or not protected at all */
};

static inline bool lh_page_is_present(enum lh_page_state state)
{
	return state != LH_PAGES_SWAPPED;
}

struct lh_page_run {
	struct lh_range range;
	enum lh_page_state state;
};

struct lh_page_runs {
	LH_VEC(struct lh_page_run) runs; /* ascending, neighbors of one state merged */
};

void lh_page_runs_deinit(struct lh_page_runs *runs);

/* Appends [start, end), which lies behind all runs there are, to the last run when it continues that one. */
struct lh_error *lh_page_runs_add(struct lh_page_runs *runs, uint64_t start, uint64_t end,
				  enum lh_page_state state) LH_NODISCARD;

/* An open /proc/PID/pagemap. */
struct lh_pagemap;
struct lh_error *lh_pagemap_open(const struct lh_process *process, struct lh_pagemap **ret) LH_NODISCARD;
void lh_pagemap_close(struct lh_pagemap *pagemap);
void lh_cleanup_pagemap(struct lh_pagemap **pagemap);

/*
 * Appends the runs of present or swapped pages of `range` (page-aligned) to `ret`. By PAGEMAP_SCAN
 * (Linux >= 6.7), in pieces of at most 256 MiB because one call holds mmap_lock while it walks;
 * else by reading the entries (bit 63 present, bit 62 swapped: admin-guide/mm/pagemap.rst).
 * Never faults a page in.
 */
struct lh_error *lh_pagemap_runs(struct lh_pagemap *pagemap, struct lh_range range,
				 struct lh_page_runs *ret) LH_NODISCARD;

/*
 * Following writes, in mappings that are registered with an asynchronous write-protecting
 * userfaultfd (Linux >= 6.7, admin-guide/mm/pagemap.rst): a page counts as written until it is
 * protected, and from the first write after that. Both append runs in ascending order.
 *
 * Take: the written pages of tracked mappings, all LH_PAGES_WRITTEN; each is protected again in the
 * same step, so that no write between two takes is missed.
 * Find: all pages that are there, and changes nothing: LH_PAGES_PRESENT are those unwritten since
 * they were last taken.
 * LH_ERROR_UNSUPPORTED without PAGEMAP_SCAN.
 *
 * Note: names pages of anonymous mappings that were taken once, ascending and apart (the caller's; NULL: none known).
 * Find takes less time for them. One that has been swapped out since, unwritten, may then count as
 * LH_PAGES_PRESENT.
 */
struct lh_error *lh_pagemap_take_written(struct lh_pagemap *pagemap, struct lh_range range,
					 struct lh_page_runs *ret) LH_NODISCARD;
struct lh_error *lh_pagemap_find_written(struct lh_pagemap *pagemap, struct lh_range range,
					 struct lh_page_runs *ret) LH_NODISCARD;
void lh_pagemap_note_taken(struct lh_pagemap *pagemap, const struct lh_range *taken, size_t count);

/*
 * A page of a private mapping of a file that was written is the process's own. When that is given back
 * (MADV_DONTNEED), or the kernel drops a page of the file, a mark of its protection stays: the next read brings
 * the file's page as an unwritten one, and until then the mark counts as swapped.
 *
 * Own: appends the process's own pages.
 * Tell: appends the pages that are there or swapped, without such marks: LH_PAGES_PRESENT are the process's
 * own, LH_PAGES_WRITTEN the file's. One entry is read a page: for few of them. Without CAP_SYS_ADMIN marks can't
 * be told from swapped pages.
 */
struct lh_error *lh_pagemap_find_own(struct lh_pagemap *pagemap, struct lh_range range,
				     struct lh_page_runs *ret) LH_NODISCARD;
struct lh_error *lh_pagemap_tell_file(struct lh_pagemap *pagemap, struct lh_range range,
				      struct lh_page_runs *ret) LH_NODISCARD;

/*
 * To be called between kernel calls, one after another, that take a running target's mmap_lock: naps once a
 * millisecond. Who takes the lock again at once takes it before a waiting writer wakes up: for 4 to 20 ms, until
 * the writer insists (kernel/locking/rwsem.c, RWSEM_WAIT_TIMEOUT; measured on Linux 6.18). *rested_ns: when
 * the target last had its chance; 0 at first.
 */
void lh_rest_from_lock(uint64_t *rested_ns);

/*
 * Following writes by the soft-dirty bits of a process (admin-guide/mm/soft-dirty.rst; kernels with
 * CONFIG_MEM_SOFT_DIRTY, as those of most distributions). The process has one bit a page: whoever else
 * clears them (CRIU, another leakhunt) takes them away from us, and we from them.
 */
struct lh_soft_dirty;

/*
 * Tries on a page of leakhunt's own whether this kernel sets the bits: LH_ERROR_UNSUPPORTED when it does
 * not. Nothing is done to the process yet.
 */
struct lh_error *lh_soft_dirty_open(const struct lh_process *process, struct lh_soft_dirty **ret) LH_NODISCARD;
void lh_soft_dirty_close(struct lh_soft_dirty *soft); /* NULL is legal */

/*
 * From now on all pages count as unwritten. The kernel walks all page tables meanwhile, and whoever of the
 * process maps memory or writes a page for the first time waits for it: 5 ms a GiB (Linux 6.1).
 */
struct lh_error *lh_soft_dirty_clear(struct lh_soft_dirty *soft) LH_NODISCARD;

/*
 * Appends the present and swapped pages of `range`: page-aligned, within private memory, and not of
 * hugetlbfs, whose pages have no such bit. LH_PAGES_WRITTEN were written since the bits were cleared, or, where
 * no file is mapped (`is_anonymous`), became zeros. Not seen: pages that mremap(2) moved there with their whole
 * page table, since they keep their bits (mm/mremap.c, move_normal_pmd; seen on Linux 5.10, 6.1 and 6.12).
 * In pieces of 32 MiB; faults nothing in.
 */
struct lh_error *lh_soft_dirty_find(struct lh_soft_dirty *soft, struct lh_range range, bool is_anonymous,
				    struct lh_page_runs *ret) LH_NODISCARD;

/* ---------------------------------------------------------------- memory */

/*
 * Copies target memory with process_vm_readv(2). Returns how many bytes were read before the first
 * unreadable one (0 to `bytes`). Faults in what it reads: ask lh_pagemap_runs first.
 */
size_t lh_process_read(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes);

/*
 * The same of pages that are known to be present, whatever their protection: ---p and -w-p are read through
 * /proc/PID/mem, where the kernel allows that.
 */
size_t lh_process_read_present(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes);

/* Likewise over many ranges, one behind the other into `ret`, in few system calls. */
size_t lh_process_read_ranges(const struct lh_process *process, const struct lh_range *ranges, size_t count, void *ret);

enum { LH_PEEK_WORDS = 6 };

/* One place to look at, within one page. */
struct lh_peek {
	uint64_t addr;   /* multiple of 16, ascending within one call */
	bool is_present; /* in: the caller knows that the page is. Out: it was found so */
	bool is_read;    /* out: `words` hold what is there */
	uint64_t words[LH_PEEK_WORDS];
};

/*
 * Reads a few bytes at many addresses in few system calls. Peeks whose page is absent or swapped out, or that cannot
 * be read, stay with is_read false. 0.7 us each (Linux 6.18).
 */
struct lh_error *lh_process_peek(const struct lh_process *process, struct lh_peek *peeks, size_t count) LH_NODISCARD;

/* An lh_memory_reader over a live process that faults nothing in: pages not present are unreadable. */
struct lh_present_reader {
	const struct lh_process *process;
	struct lh_pagemap *pagemap;
};
size_t lh_present_read(const void *reader, uint64_t addr, void *ret, size_t bytes);

/* ---------------------------------------------------------------- threads */

struct lh_task {
	pid_t tid;
	char name[16];          /* comm, raw bytes, NUL-terminated */
	uint64_t stack_pointer; /* from /proc/PID/task/TID/syscall; 0 when running or not allowed */
};

struct lh_task_list {
	LH_VEC(struct lh_task) tasks; /* ascending tid order is not promised */
};

void lh_task_list_deinit(struct lh_task_list *list);

/* The threads at this moment; ones that end meanwhile are left out. */
struct lh_error *lh_tasks_read(const struct lh_process *process, struct lh_task_list *ret) LH_NODISCARD;

/*
 * A child whose end is told to nobody (exit signal 0, clone(2)): its parent's usual wait(2) does not see
 * it, and it stays a zombie until somebody waits for it with __WALL.
 */
struct lh_quiet_child {
	pid_t pid;
	pid_t inner_pid; /* its number in its own pid namespace */
	bool is_zombie;
	bool is_traced;    /* by a process that our /proc shows; dead or alive */
	int exit_status;   /* as wait(2) gives it; of a zombie, where we may see it, else 0 */
	int oom_score_adj; /* proc_pid_oom_score_adj(5) */
};

struct lh_quiet_children {
	LH_VEC(struct lh_quiet_child) items;
};

/* The quiet children of all threads of the process. Looks at each process there is. */
struct lh_error *lh_quiet_children_read(const struct lh_process *process, struct lh_quiet_children *ret) LH_NODISCARD;
void lh_quiet_children_deinit(struct lh_quiet_children *children);

/* Asks the OOM killer to take `pid` before anybody else. Failing to is no error: it is a kindness. */
void lh_process_offer_to_oom_killer(pid_t pid);

/* Whether a child would be in the same pid namespace (pid_namespaces(7)): not so after unshare(CLONE_NEWPID). */
bool lh_process_forks_into_own_pid_namespace(const struct lh_process *process);

/* ---------------------------------------------------------------- modules */

#define LH_BUILD_ID_MAX 32 /* bytes; GNU ld writes 20, gold and lld 8 to 20 */

/* An ELF file mapped into the process. `path` belongs to the list. */
struct lh_module {
	uint64_t start; /* lowest address mapped from it */
	uint64_t end;   /* highest, with its bss */
	uint64_t bias;  /* what to add to an address in the file; valid when has_bias */
	bool has_bias;
	bool is_deleted;  /* the file was replaced or removed since */
	const char *path; /* as the target sees it; "[vdso]" for the vdso */
	uint8_t build_id[LH_BUILD_ID_MAX];
	size_t build_id_bytes; /* 0 when it has none or it could not be read */
};

struct lh_module_list {
	LH_VEC(struct lh_module) modules; /* ascending start */
	struct lh_strings_pool strings;
};

void lh_module_list_deinit(struct lh_module_list *list);

/* Copies up to `bytes` of memory at `addr`; returns how many before the first unreadable one. */
typedef size_t lh_memory_reader(const void *context, uint64_t addr, void *ret, size_t bytes);

/*
 * Opens the file that `region` maps, also when its path is gone or leads to another file (it was replaced). Returns a
 * descriptor that the caller closes; -1 when there is none, or privileges don't suffice (proc_pid_map_files(5)).
 */
int lh_process_open_mapped(const struct lh_process *process, const struct lh_region *region);

/* Modules among `regions`: every file with an executable mapping or an ELF header, and the vdso. */
struct lh_error *lh_modules_find(const struct lh_region_list *regions, lh_memory_reader *read, const void *context,
				 struct lh_module_list *ret) LH_NODISCARD;

/* Whose malloc a process calls. */
enum lh_allocator {
	LH_ALLOCATOR_UNKNOWN,
	LH_ALLOCATOR_GLIBC,
	LH_ALLOCATOR_MUSL,
	LH_ALLOCATOR_JEMALLOC,
	LH_ALLOCATOR_TCMALLOC,
	LH_ALLOCATOR_MIMALLOC,
	LH_ALLOCATOR_COUNT,
};

/* "unknown", "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc". */
const char *lh_allocator_name(enum lh_allocator allocator);

/* ---------------------------------------------------------------- limits */

#define LH_NO_LIMIT UINT64_MAX

/* One limit that binds a process, with what is used of it: of all that do, the one with the least left. */
struct lh_limit {
	uint64_t limit;             /* bytes or tasks; LH_NO_LIMIT: none */
	uint64_t used;              /* in the cgroup that sets the limit; in the process's own when none does */
	uint64_t reclaimable_bytes; /* memory: of `used`, file cache that the kernel gives up before it fails anybody */
	const char *cgroup;         /* its path as /proc/PID/cgroup has it; "" when not known */
};

/* What may still be used, file cache counted as free; LH_NO_LIMIT without a limit. */
uint64_t lh_limit_left(const struct lh_limit *limit);

/* The limits of a process's cgroups, of either version, each over all ancestors. */
struct lh_cgroup_limits {
	struct lh_limit memory;          /* v2 memory.max, v1 memory.limit_in_bytes: beyond it the OOM killer comes */
	struct lh_limit memory_throttle; /* v2 memory.high: beyond it the process is slowed down */
	struct lh_limit swap;            /* v2 memory.swap.max */
	struct lh_limit memory_and_swap; /* v1 memory.memsw.limit_in_bytes */
	struct lh_limit tasks;           /* pids.max */
	struct lh_strings_pool strings;
};

/*
 * Reads the limits as far as they can be seen from here: a cgroup that lies outside of our cgroup
 * namespace or is not mounted sets none. Sources: Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst, cgroups(7).
 */
struct lh_error *lh_cgroup_read(const struct lh_process *process, struct lh_cgroup_limits *ret) LH_NODISCARD;
/* leakhunt's own. */
struct lh_error *lh_cgroup_read_own(struct lh_cgroup_limits *ret) LH_NODISCARD;
void lh_cgroup_limits_deinit(struct lh_cgroup_limits *limits);

/* Which cgroup freezer holds a process (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/freezer-subsystem.rst). */
struct lh_freezer {
	bool is_frozen;    /* or on its way there */
	bool is_v1;        /* its threads reach no ptrace stop before they thaw; those of v2 do, but run nothing */
	char folder[4096]; /* of the cgroup that was frozen: the process's, or one above */
};

/*
 * A cgroup that cannot be seen from here (outside of our cgroup namespace, not mounted) counts as not frozen, and so
 * does what cannot be read.
 */
void lh_freezer_read(const struct lh_process *process, struct lh_freezer *ret);

/* Memory of the machine (proc_meminfo(5), proc_sys_vm(5)). A number the kernel lacks is 0. */
struct lh_system_memory {
	uint64_t total_bytes;
	uint64_t available_bytes; /* what can be had without swapping */
	uint64_t swap_total_bytes;
	uint64_t swap_free_bytes;
	uint64_t commit_limit_bytes; /* binds only when overcommit_mode is 2 */
	uint64_t committed_bytes;
	unsigned overcommit_mode; /* 0 heuristic, 1 always, 2 never */
};

struct lh_error *lh_system_memory_read(struct lh_system_memory *ret) LH_NODISCARD;

/* What a process itself holds (proc_pid_status(5)). A number the kernel lacks is 0. */
struct lh_memory_status {
	uint64_t mapped_bytes;     /* VmSize: what RLIMIT_AS limits */
	uint64_t anonymous_bytes;  /* RssAnon: resident, of no file */
	uint64_t page_table_bytes; /* VmPTE */
	uint64_t swapped_bytes;    /* VmSwap */
	uint64_t thread_count;     /* Threads */
};

struct lh_error *lh_memory_status_read(const struct lh_process *process, struct lh_memory_status *ret) LH_NODISCARD;

/* RLIMIT_AS, RLIMIT_NOFILE: by prlimit(2); LH_NO_LIMIT without one, or when it is not ours to know. */
uint64_t lh_address_space_limit(const struct lh_process *process);
uint64_t lh_descriptor_limit(const struct lh_process *process);

/* Of the machine. LH_NO_LIMIT when it can't be read. */
uint64_t lh_mapping_limit(void); /* vm.max_map_count, for each process */
uint64_t
lh_machine_tasks_left(void); /* kernel.threads-max and kernel.pid_max, less what there are (proc_sys_kernel(5)) */

/*
 * Where a 32-bit process's addresses end; LH_NO_LIMIT for a 64-bit one, which runs out of memory before it runs out
 * of addresses. Told by the ELF class of its program.
 */
uint64_t lh_address_space_end(const struct lh_process *process);

/* ---------------------------------------------------------------- beside the mappings */

/* What a process holds that no figure of its mappings tells. A name that ends in "bytes" is memory. */
enum lh_holding {
	LH_HOLDING_MAPPINGS,    /* lines of maps: vm.max_map_count limits them */
	LH_HOLDING_THREADS,     /* status, Threads */
	LH_HOLDING_DESCRIPTORS, /* all of them; the next three are parts */
	LH_HOLDING_SOCKETS,
	LH_HOLDING_PIPES,
	LH_HOLDING_HELD_FILES,       /* memfds and deleted files of tmpfs, held open */
	LH_HOLDING_HELD_FILE_BYTES,  /* their pages, without those that are resident in a mapping of the process */
	LH_HOLDING_SHM_BYTES,        /* System V segments that it made and nobody has attached: resident and swapped */
	LH_HOLDING_PAGE_TABLE_BYTES, /* status, VmPTE */
	LH_HOLDING_CGROUP_KERNEL_BYTES, /* of its cgroup, if it has it to itself or with its family: slab, stacks, page
					   tables, pipes */
	LH_HOLDING_CGROUP_SOCKET_BYTES, /* likewise: buffers of sockets */
	LH_HOLDING_CGROUP_SHARED_BYTES, /* likewise: tmpfs, shared memory */
	LH_HOLDING_COUNT,
};

/* "mappings", "threads", ..., "cgroup_shared_bytes": keys of records and of JSON. */
const char *lh_holding_name(enum lh_holding holding);
bool lh_holding_parse(const char *name, size_t length, enum lh_holding *ret);
/* Whether it is memory, in bytes; else it is a count. */
bool lh_holding_is_memory(enum lh_holding holding);

#define LH_HOLDING_UNKNOWN UINT64_MAX
#define LH_HELD_NAME_BYTES 64

struct lh_holdings {
	uint64_t values[LH_HOLDING_COUNT];  /* LH_HOLDING_UNKNOWN where the kernel does not tell */
	char held_name[LH_HELD_NAME_BYTES]; /* of one of the LH_HOLDING_HELD_FILES: "/memfd:clip", raw bytes; "" */
};

/* Reads them again and again. Heap-allocated; `process` must outlive it. */
struct lh_holdings_reader;
struct lh_error *lh_holdings_reader_create(const struct lh_process *process,
					   struct lh_holdings_reader **ret) LH_NODISCARD;
void lh_holdings_reader_destroy(struct lh_holdings_reader *reader); /* NULL is legal */

/*
 * `list`: the mappings of the same moment, with usage. What can't be read is unknown: this never fails. Each
 * descriptor costs a stat(2) of /proc/PID/fd/N; from LH_DESCRIPTORS_SEEN_MAX on, one of k is looked at, and stands
 * for k. No file is opened but by O_PATH.
 */
void lh_holdings_read(struct lh_holdings_reader *reader, const struct lh_region_list *list, struct lh_holdings *ret);

/* ---------------------------------------------------------------- all processes */

struct lh_process_usage {
	pid_t pid;
	uid_t uid;
	struct lh_usage usage;
	const char *user;    /* the effective user's name, or the number when it has none */
	const char *command; /* the command line, spaces between arguments, cut at 4 KiB, or [comm]; raw bytes */
	const char *cgroup;  /* of v2, else of v1's memory controller: "/system.slice/nginx.service"; "" when unknown */
};

struct lh_process_table {
	LH_VEC(struct lh_process_usage) processes; /* most USS first */
	struct lh_strings_pool strings;
	size_t vanished_count;   /* ended while we looked */
	size_t unreadable_count; /* not ours to read */
	size_t kernel_count;     /* kernel threads and zombies: no memory */
};

struct lh_error *lh_process_table_read(struct lh_process_table *ret) LH_NODISCARD;
void lh_process_table_deinit(struct lh_process_table *table);

#endif
