/*
 * page_log: where a snapshot's later passes go while the target runs: an unnamed file, written sequentially. A disk
 * writes sequentially several times as fast as single pages at their places, and a pass must be faster than the target
 * writes. After the target is released, the pages move to their places. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_PAGE_LOG_H
#define LEAKHUNT_DUMP_PAGE_LOG_H

#include "leakhunt/dump.h"

struct lh_page_log {
	int fd;                         /* the owner's; -1: there is none, and no room */
	uint64_t room_bytes;            /* what the disk has left for it */
	uint64_t used_bytes;            /* the sum of the ranges */
	LH_VEC(struct lh_range) ranges; /* whose bytes lie in the file, one behind the other */
};

/* The bytes of `range`, whole pages, come next: *ret_offset in the file. */
struct lh_error *lh_page_log_add(struct lh_page_log *log, struct lh_range range, uint64_t *ret_offset) LH_NODISCARD;

void lh_page_log_deinit(struct lh_page_log *log); /* fd stays open */

#endif
