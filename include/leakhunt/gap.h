/*
 * gap: bytes of a process that a dump or an image lacks, and why. Loss is data: gaps are listed in results.
 */
#ifndef LEAKHUNT_GAP_H
#define LEAKHUNT_GAP_H

#include "leakhunt/base.h"

enum lh_gap_reason {
	LH_GAP_SWAPPED,
	LH_GAP_CHANGED, /* swapped at the instant of the snapshot, and in use before it was read */
	LH_GAP_UNREADABLE,
	LH_GAP_VANISHED,      /* no mapping any more when it was read */
	LH_GAP_DEVICE,        /* memory of a device, which is never read */
	LH_GAP_NOT_INHERITED, /* by the copied child (madvise(2): MADV_DONTFORK, MADV_WIPEONFORK) */
	LH_GAP_TRUNCATED,     /* the file ends before what its headers promise */
	LH_GAP_NOT_DUMPED,    /* the headers say that the file leaves it out */
	LH_GAP_OVERLAP,       /* readable, but several program headers claim these addresses */
	LH_GAP_IMPOSSIBLE,    /* addresses that no process can have */
	LH_GAP_CUT_OFF,       /* the file became shorter while it was read */
	LH_GAP_OTHER,         /* a file's own reason, which this version does not know */
	LH_GAP_REASON_COUNT,
};

/* Addresses [range.start, range.end). */
struct lh_gap {
	struct lh_range range;
	enum lh_gap_reason reason;
};

/* "swapped", "not-inherited": a literal, as in files and JSON. */
const char *lh_gap_reason_name(enum lh_gap_reason reason);
/* LH_GAP_OTHER: no such name. */
enum lh_gap_reason lh_gap_reason_parse(const char *name);

#endif
