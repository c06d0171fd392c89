/*
 * regions: the mappings of a process, from /proc/PID/maps or smaps, or from a saved text of either.
 */
#ifndef LEAKHUNT_REGIONS_H
#define LEAKHUNT_REGIONS_H

#include "leakhunt/base.h"

struct lh_process;

enum lh_region_kind {
	LH_REGION_HEAP,         /* the brk heap, "[heap]" */
	LH_REGION_ARENA,        /* glibc non-main heap (malloc/arena.c) */
	LH_REGION_MMAP_CHUNK,   /* chunks that glibc maps one by one */
	LH_REGION_MAIN_STACK,   /* "[stack]" */
	LH_REGION_THREAD_STACK, /* contains the stack pointer of a thread other than the main one */
	LH_REGION_ANON,         /* other private anonymous memory */
	LH_REGION_TEXT,         /* executable file mapping */
	LH_REGION_RODATA,       /* read-only mapping of a file that also has a text mapping */
	LH_REGION_DATA,         /* writable private mapping of such a file, and its RELRO part */
	LH_REGION_BSS,          /* anonymous, adjoining the end of such a DATA mapping */
	LH_REGION_FILE,         /* mapping of any other file */
	LH_REGION_SHARED,       /* shared anonymous (/dev/zero), System V and POSIX shm */
	LH_REGION_MEMFD,        /* "/memfd:" */
	LH_REGION_HUGETLB,      /* hugetlbfs pages, private or shared ("ht" in VmFlags, /anon_hugepage) */
	LH_REGION_VDSO,         /* [vdso], [vvar*], [vsyscall] */
	LH_REGION_GUARD,        /* private anonymous, no access: guard pages and reserved space */
	/* Memory of other allocators and runtimes, recognized by their structures (heap.h). */
	LH_REGION_JEMALLOC,
	LH_REGION_TCMALLOC, /* gperftools */
	LH_REGION_MIMALLOC,
	LH_REGION_MUSL,     /* mallocng, or the old malloc */
	LH_REGION_PYMALLOC, /* CPython's arenas for objects of at most 512 bytes */
	LH_REGION_V8,       /* JavaScript objects and code */
	LH_REGION_GO,
	LH_REGION_JVM,
	LH_REGION_ZEND,  /* PHP */
	LH_REGION_SCUDO, /* LLVM's hardened malloc */
	LH_REGION_RPMALLOC,
	LH_REGION_GOOGLE_TCMALLOC,
	LH_REGION_KIND_COUNT,
};

/* "heap", "arena", "mmap-chunk", "stack", "thread-stack", "anon", "text", ... : the words of --kind. Static. */
const char *lh_region_kind_name(enum lh_region_kind kind);
/* False, with *ret untouched, for an unknown word. */
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

/* USS, the bytes that would be freed if the process ended: private_clean + private_dirty + private_hugetlb. */
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
	bool is_deleted;     /* the kernel's name ended in " (deleted)"; `name` omits that */
	bool is_hugetlb;     /* "ht" in VmFlags */
	bool is_dontdump;    /* "dd" in VmFlags */
	bool is_io;          /* "io" or "pf" in VmFlags: never read (device memory) */
	bool is_dontfork;    /* "dc" in VmFlags: a forked child has no such mapping (madvise(2)) */
	bool is_wipeonfork;  /* "wf" in VmFlags: empty in a forked child */
	bool is_userfault;   /* "um", "uw" or "ui" in VmFlags: registered with a userfaultfd */
	bool is_ended_stack; /* stack of a thread that has ended: the thread's control block is at its top */
	enum lh_region_kind kind;
	pid_t tid;               /* LH_REGION_THREAD_STACK: its thread; else 0 */
	const char *name;        /* path or [name], unescaped (\012), raw bytes; "" when anonymous */
	const char *thread_name; /* LH_REGION_THREAD_STACK: its thread's comm; else "" */
	struct lh_usage usage;   /* zero unless the list has_usage */
};

/* Whether the name is that of private anonymous memory: "" or "[anon:...]" (prctl PR_SET_VMA_ANON_NAME, Linux 5.17). */
bool lh_region_is_anonymous(const struct lh_region *region);

/* Regions in ascending address order, not overlapping. Zero-initialized is empty. Owns its strings. */
struct lh_region_list {
	LH_VEC(struct lh_region) regions;
	struct lh_strings_pool strings;
	bool has_usage;           /* read from smaps, not from maps */
	size_t skipped_lines;     /* lines that could not be parsed */
	size_t dropped_regions;   /* out of order or overlapping: from a corrupt or torn text */
	uint64_t exact_pss_bytes; /* of all regions, not rounded by region; 0: not known */
};

void lh_region_list_deinit(struct lh_region_list *list);

/*
 * Parses a text of /proc/PID/maps or smaps of any kernel since 2.6.32. Ignores unknown fields, counts bad lines. Sets
 * the kinds that the text alone shows (heap, arena, stacks by name and guard, files, ...). `text` need not be
 * terminated and is not kept. LH_ERROR_FORMAT if it has no mapping at all; `what` names the text in errors.
 */
struct lh_error *lh_regions_parse(const char *text, size_t length, const char *what,
				  struct lh_region_list *ret) LH_NODISCARD;

/*
 * Sets kinds from names, permissions, inodes and neighbors alone, as lh_regions_parse does, in a list that does not
 * come from a kernel's text.
 */
void lh_regions_set_textual_kinds(struct lh_region_list *list);

enum lh_region_detail {
	LH_REGIONS_MAPS,  /* addresses only: cheap */
	LH_REGIONS_SMAPS, /* with usage: walks page tables while holding the target's mmap_lock */
};

/*
 * Reads and parses, then sets the kinds of thread stacks, with their threads' names. Owners are added later (owner.h).
 */
struct lh_error *lh_regions_read(const struct lh_process *process, enum lh_region_detail detail,
				 struct lh_region_list *ret) LH_NODISCARD;
/*
 * The same from a text of /proc/PID/maps that was read earlier: the list matches that text, whatever the process has
 * mapped since. Threads' names are the current ones. A line torn between two reads of the file is left out.
 */
struct lh_error *lh_regions_of_maps(const struct lh_process *process, const struct lh_buffer *maps,
				    struct lh_region_list *ret) LH_NODISCARD;

/* State and cost of reading one process's mappings repeatedly. Zero-initialize all but max_stall_ns. */
struct lh_regions_pace {
	uint64_t max_stall_ns;   /* limit for one hold of the target's mmap_lock; 0: no limit */
	size_t read_count;       /* readings so far, by either method */
	size_t bounded_count;    /* of read_count: in short calls */
	size_t mapping_count;    /* at the latest reading */
	uint64_t hold_ns_max;    /* the longest hold so far; threads that map memory wait that long */
	uint64_t resident_bytes; /* at the latest reading: of the process */
	uint64_t biggest_bytes;  /* at the latest reading: small pages of the mapping with most of them */
	double ns_per_byte;      /* measured: time of smaps per byte of small pages; 0: not yet */
};

/*
 * As lh_regions_read with usage, with short holds of mmap_lock. The kernel walks a mapping's page tables under
 * mmap_lock while it writes its smaps: 5 to 17 ms per GiB of small pages (Linux 6.18). When this would exceed
 * max_stall_ns, or when thousands of mappings make text slower than counting pages, leakhunt reads the addresses from
 * maps and counts pages by lh_pagemap in short calls. The usage then has rss_bytes, anonymous_bytes, anon_huge_bytes
 * and swap_bytes; for shared and hugetlbfs memory also what no other process maps (private_dirty_bytes,
 * private_hugetlb_bytes). It lacks swapped pages of shared memory and the flags of VmFlags, and counts lazily freed
 * pages until they are gone.
 */
struct lh_error *lh_regions_read_bounded(const struct lh_process *process, struct lh_regions_pace *pace,
					 struct lh_region_list *ret) LH_NODISCARD;

/* The region that contains `addr`, or NULL. Belongs to the list. */
const struct lh_region *lh_regions_find(const struct lh_region_list *list, uint64_t addr);
/* The sums of all usages and of all sizes. */
void lh_regions_total(const struct lh_region_list *list, struct lh_usage *ret, uint64_t *ret_vss_bytes);

/*
 * Takes the sum of PSS from smaps_rollup into exact_pss_bytes: smaps rounds down to a KiB for each mapping, the rollup
 * only once (fs/proc/task_mmu.c). Stays 0 without a rollup, or when memory has changed since.
 */
void lh_regions_take_exact_pss(const struct lh_process *process, struct lh_region_list *list);

/*
 * Opens the file that `region` maps, even if its path is gone or now names another file. The caller closes the
 * descriptor. -1: no file, or missing privileges (proc_pid_map_files(5)).
 */
int lh_process_open_mapped(const struct lh_process *process, const struct lh_region *region);

#endif
