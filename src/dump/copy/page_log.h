/*
 * page_log: where the later passes of a snapshot go while the target runs: a file without a name, written from front
 * to back. A disk takes that several times as fast as single pages at their places, and a pass must be faster
 * than the target writes. Once the target no longer waits for anything, the pages are put in their places.
 * Private to dump.
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
