/*
 * process_memory: reads the memory of a live process. Only tracee writes it.
 */
#ifndef LEAKHUNT_PROCESS_MEMORY_H
#define LEAKHUNT_PROCESS_MEMORY_H

#include "leakhunt/base.h"

struct lh_process;
struct lh_pagemap;

/* Copies up to `bytes` of memory at `addr` to `ret`. Returns the number of bytes before the first unreadable one. */
typedef size_t lh_memory_reader(const void *context, uint64_t addr, void *ret, size_t bytes);

/*
 * Copies target memory with process_vm_readv(2). Returns how many bytes were read before the first unreadable one (0
 * to `bytes`). Faults absent pages in: ask lh_pagemap_runs first.
 */
size_t lh_process_read(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes);

/*
 * The same for pages known to be present, whatever their protection: ---p and -w-p are read through /proc/PID/mem, if
 * the kernel allows it.
 */
size_t lh_process_read_present(const struct lh_process *process, uint64_t addr, void *ret, size_t bytes);

/*
 * Reads `count` ranges one after the other into `ret`, which has room for all of them, in few system calls. Returns the
 * bytes read before the first unreadable one. Faults absent pages in.
 */
size_t lh_process_read_ranges(const struct lh_process *process, const struct lh_range *ranges, size_t count, void *ret);

enum { LH_PEEK_WORDS = 6 };

/* One place to read, within one page. */
struct lh_peek {
	uint64_t addr;   /* multiple of 16, ascending within one call */
	bool is_present; /* in: the caller knows that the page is present. Out: leakhunt found it present */
	bool is_read;    /* out: `words` holds the memory at `addr` */
	uint64_t words[LH_PEEK_WORDS];
};

/*
 * Reads a few words at each of `count` addresses in few system calls, 1 us an address (Linux 6.18). Faults nothing in:
 * is_read stays false if the page is absent, swapped out or unreadable.
 */
struct lh_error *lh_process_peek(const struct lh_process *process, struct lh_peek *peeks, size_t count) LH_NODISCARD;

/*
 * An lh_memory_reader of a live process that faults nothing in: absent pages are unreadable. Two system calls, whatever
 * `bytes` are.
 */
struct lh_present_reader {
	const struct lh_process *process; /* borrowed, as is the pagemap */
	struct lh_pagemap *pagemap;
};
size_t lh_present_read(const void *reader, uint64_t addr, void *ret, size_t bytes);

#endif
