/*
 * gap: bytes of a process that a dump or an image lacks, and why. Loss is data: gaps are listed in results.
 */
#ifndef LEAKHUNT_GAP_H
#define LEAKHUNT_GAP_H

#include "leakhunt/base.h"

enum lh_gap_reason {
	LH_GAP_SWAPPED,
	LH_GAP_CHANGED, /* swapped out at the instant of the snapshot, and in memory again before it was read */
	LH_GAP_UNREADABLE,
	LH_GAP_VANISHED,      /* no longer mapped when it was read */
	LH_GAP_DEVICE,        /* memory of a device, which is never read */
	LH_GAP_NOT_INHERITED, /* by the copied child (madvise(2): MADV_DONTFORK, MADV_WIPEONFORK) */
	LH_GAP_TRUNCATED,     /* the file ends earlier than its headers say */
	LH_GAP_NOT_DUMPED,    /* the headers say that the file omits it */
	LH_GAP_OVERLAP,       /* readable, but several program headers claim these addresses */
	LH_GAP_IMPOSSIBLE,    /* addresses that no process can have */
	LH_GAP_CUT_OFF,       /* the file was shortened while it was read */
	LH_GAP_OTHER,         /* a file's own reason, unknown to this version */
	LH_GAP_REASON_COUNT,
};

/* Addresses [range.start, range.end). */
struct lh_gap {
	struct lh_range range;
	enum lh_gap_reason reason;
};

/* "swapped", "not-inherited": a literal, as in files and JSON. */
const char *lh_gap_reason_name(enum lh_gap_reason reason);
/* LH_GAP_OTHER for an unknown name. */
enum lh_gap_reason lh_gap_reason_parse(const char *name);

#endif
