/*
 * peek: a few bytes at many addresses of a live process, in few system calls, and only where pages are
 * present. Private to proc.
 */
#ifndef LEAKHUNT_PROC_PEEK_H
#define LEAKHUNT_PROC_PEEK_H

#include "process.h"

enum { LH_PEEK_WORDS = 4 };

/* One place to look at. */
struct lh_peek {
	uint64_t addr;   /* page-aligned; ascending within one call */
	bool is_present; /* in: the caller knows that the page is. Out: it was found so */
	bool is_read;    /* out: `words` hold what is there */
	uint64_t words[LH_PEEK_WORDS];
};

/* Fills `peeks`; those whose page is absent or swapped out, or that cannot be read, stay with is_read false. */
struct lh_error *lh_process_peek(const struct lh_process *process, struct lh_peek *peeks, size_t count) LH_NODISCARD;

#endif
