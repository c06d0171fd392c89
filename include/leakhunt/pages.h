/*
 * pages: which pages of a process are present, swapped or written, from /proc/PID/pagemap, PAGEMAP_SCAN and soft-dirty
 * bits. Never faults a page in. Ranges are page-aligned.
 */
#ifndef LEAKHUNT_PAGES_H
#define LEAKHUNT_PAGES_H

#include "leakhunt/base.h"

struct lh_process;

enum lh_page_state {
	LH_PAGES_PRESENT,
	LH_PAGES_SWAPPED, /* reading would swap them in */
	LH_PAGES_WRITTEN, /* present; written since the last write protection, or never write-protected */
};

static inline bool lh_page_is_present(enum lh_page_state state)
{
	return state != LH_PAGES_SWAPPED;
}

struct lh_page_run {
	struct lh_range range;
	enum lh_page_state state;
};

/* Zero-initialized is empty. Owns its runs. */
struct lh_page_runs {
	LH_VEC(struct lh_page_run) runs; /* ascending; neighbors of one state are merged */
};

void lh_page_runs_deinit(struct lh_page_runs *runs);

/* Appends [start, end), which must not start before the end of the last run. Extends the last run if possible. */
struct lh_error *lh_page_runs_add(struct lh_page_runs *runs, uint64_t start, uint64_t end,
				  enum lh_page_state state) LH_NODISCARD;

/* ---------------------------------------------------------------- pagemap */

/* An open /proc/PID/pagemap. Heap-allocated; `process` must outlive it. Only one thread at a time may use it. */
struct lh_pagemap;
struct lh_error *lh_pagemap_open(const struct lh_process *process, struct lh_pagemap **ret) LH_NODISCARD;
void lh_pagemap_close(struct lh_pagemap *pagemap); /* NULL is legal */
void lh_cleanup_pagemap(struct lh_pagemap **pagemap);

/*
 * Appends the runs of present or swapped pages of `range` to `ret`. With PAGEMAP_SCAN (Linux >= 6.7) in pieces of at
 * most 32 MiB, since one call holds mmap_lock while it walks. Else from the entries (bit 63 present, bit 62
 * swapped: admin-guide/mm/pagemap.rst).
 */
struct lh_error *lh_pagemap_runs(struct lh_pagemap *pagemap, struct lh_range range,
				 struct lh_page_runs *ret) LH_NODISCARD;

/*
 * Tracking writes in mappings that are registered with an asynchronous write-protecting userfaultfd (Linux >= 6.7,
 * admin-guide/mm/pagemap.rst). A page counts as written until it is protected, and again from the next write on. Both
 * functions append runs in ascending order. LH_ERROR_UNSUPPORTED without PAGEMAP_SCAN.
 *
 * take: appends the written pages of tracked mappings as LH_PAGES_WRITTEN, and protects each in the same step, so that
 * no write between two takes is missed.
 * find: appends all present and swapped pages, and changes nothing. LH_PAGES_PRESENT are unwritten since the last take.
 *
 * note_taken: names `count` ranges of anonymous mappings that were taken once, ascending and disjoint. They make find
 * faster. They are borrowed until the next call; NULL and 0: none. A noted page that was swapped out unwritten may
 * count as LH_PAGES_PRESENT.
 */
struct lh_error *lh_pagemap_take_written(struct lh_pagemap *pagemap, struct lh_range range,
					 struct lh_page_runs *ret) LH_NODISCARD;
struct lh_error *lh_pagemap_find_written(struct lh_pagemap *pagemap, struct lh_range range,
					 struct lh_page_runs *ret) LH_NODISCARD;
void lh_pagemap_note_taken(struct lh_pagemap *pagemap, const struct lh_range *taken, size_t count);

/*
 * Private mappings of files. A page that the process wrote is its own copy. When the process gives the copy back
 * (MADV_DONTNEED), or the kernel drops a page of the file, a mark of the write protection stays in the page table. The
 * mark counts as swapped until the next read brings the file's page, unwritten.
 *
 * find_own: appends the process's own pages.
 * tell_file: appends the present and swapped pages without marks. LH_PAGES_PRESENT are the process's own,
 * LH_PAGES_WRITTEN the file's. Reads one entry per page: for few pages. Without CAP_SYS_ADMIN marks look like swapped
 * pages.
 */
struct lh_error *lh_pagemap_find_own(struct lh_pagemap *pagemap, struct lh_range range,
				     struct lh_page_runs *ret) LH_NODISCARD;
struct lh_error *lh_pagemap_tell_file(struct lh_pagemap *pagemap, struct lh_range range,
				      struct lh_page_runs *ret) LH_NODISCARD;

/*
 * Sleeps once per millisecond; call it between kernel calls that take a running target's mmap_lock. A caller that
 * retakes the lock at once gets it before a waiting writer wakes up, for 4 to 20 ms, until the writer insists
 * (kernel/locking/rwsem.c, RWSEM_WAIT_TIMEOUT; measured on Linux 6.18). *rested_ns: the time of the last sleep; 0 at
 * first.
 */
void lh_rest_from_lock(uint64_t *rested_ns);

/* ---------------------------------------------------------------- soft-dirty bits */

/*
 * Tracks writes by the soft-dirty bits of a process (admin-guide/mm/soft-dirty.rst, CONFIG_MEM_SOFT_DIRTY). The process
 * has one bit per page: clearing soft-dirty bits affects every other tool that uses them (CRIU, another leakhunt), and
 * vice versa. Heap-allocated; `process` must outlive it.
 */
struct lh_soft_dirty;

/* Tests on a page of leakhunt's own whether this kernel sets the bits; else LH_ERROR_UNSUPPORTED. Changes nothing. */
struct lh_error *lh_soft_dirty_open(const struct lh_process *process, struct lh_soft_dirty **ret) LH_NODISCARD;
void lh_soft_dirty_close(struct lh_soft_dirty *soft); /* NULL is legal */

/*
 * Clears all bits: all pages count as unwritten from now on. The kernel walks all page tables meanwhile. Threads of
 * the process that map memory, or write a page for the first time, wait for it: 5 ms per GiB (Linux 6.1).
 */
struct lh_error *lh_soft_dirty_clear(struct lh_soft_dirty *soft) LH_NODISCARD;

/*
 * Appends the present and swapped pages of `range`, which lies in private memory, and not in hugetlbfs, whose pages
 * have no such bit. LH_PAGES_WRITTEN were written since the bits were cleared, or, where no file is mapped
 * (`is_anonymous`), became zeros. Missed: pages that mremap(2) moved there with their whole page table, since
 * they keep their bits (mm/mremap.c, move_normal_pmd; seen on Linux 5.10, 6.1 and 6.12). Reads pieces of 32 MiB.
 */
struct lh_error *lh_soft_dirty_find(struct lh_soft_dirty *soft, struct lh_range range, bool is_anonymous,
				    struct lh_page_runs *ret) LH_NODISCARD;

#endif
