/*
 * copy: the loop that copies pages, pass by pass. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_COPY_H
#define LEAKHUNT_DUMP_COPY_H

#include "dump/plan/crew_read.h"
#include "dump/plan/gaps.h"
#include "dump/plan/layout.h"
#include "leakhunt/tracee.h"
#include "page_log.h"
#include "write_behind.h"

#include <stdatomic.h>

struct lh_copy {
	const struct lh_process *process;
	const struct lh_cow_child *child; /* read in its place; NULL: there is none */
	const struct lh_layout *layout;
	struct lh_page_log *log; /* where passes go, in place of the layout; NULL: none */
	struct lh_write_behind *writer;
	struct lh_crew *crew;        /* shares the reading of many small runs; NULL: nobody does */
	_Atomic uint64_t done_bytes; /* read by the progress thread */
	atomic_bool is_cancelled;    /* set by the progress thread */
	uint64_t lost_bytes;
};

/*
 * One pass: copies the present pages among `runs` to their places in the layout, or to the log. Pages that cannot be
 * read are appended to `gaps`. LH_ERROR_INTERRUPTED, LH_ERROR_NO_PROCESS or LH_ERROR_CHANGED when
 * cancelled or when the process ended or called exec meanwhile; the error of a write that has failed.
 */
struct lh_error *lh_copy_pass(struct lh_copy *copy, const struct lh_page_runs *runs,
			      struct lh_dump_gaps *gaps) LH_NODISCARD;

/* Writes the bytes of `range` (whole pages), read before, to their places in the layout. */
struct lh_error *lh_copy_from_memory(struct lh_copy *copy, struct lh_range range, const uint8_t *bytes) LH_NODISCARD;

#endif
