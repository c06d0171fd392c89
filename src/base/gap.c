/*
 * gap: the names of reasons, as files and JSON have them.
 */
#include "leakhunt/gap.h"

#include <string.h>

static const char *const reason_names[LH_GAP_REASON_COUNT] = {
	[LH_GAP_SWAPPED] = "swapped",
	[LH_GAP_CHANGED] = "changed",
	[LH_GAP_UNREADABLE] = "unreadable",
	[LH_GAP_VANISHED] = "vanished",
	[LH_GAP_DEVICE] = "device",
	[LH_GAP_NOT_INHERITED] = "not-inherited",
	[LH_GAP_TRUNCATED] = "truncated",
	[LH_GAP_NOT_DUMPED] = "not dumped",
	[LH_GAP_OVERLAP] = "overlap",
	[LH_GAP_IMPOSSIBLE] = "impossible address",
	[LH_GAP_CUT_OFF] = "the file was cut off while it was read",
	[LH_GAP_OTHER] = "other",
};

const char *lh_gap_reason_name(enum lh_gap_reason reason)
{
	return reason_names[reason < LH_GAP_REASON_COUNT ? reason : LH_GAP_OTHER];
}

enum lh_gap_reason lh_gap_reason_parse(const char *name)
{
	for (size_t i = 0; i < LH_GAP_REASON_COUNT; i++) {
		if (strcmp(reason_names[i], name) == 0)
			return (enum lh_gap_reason)i;
	}
	return LH_GAP_OTHER;
}
