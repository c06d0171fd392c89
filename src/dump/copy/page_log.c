/*
 * page_log: records what the writer appends to the log. Input: ranges as they are copied. Output: the file offset of
 * each.
 */
#include "page_log.h"

#include <stdlib.h>

struct lh_error *lh_page_log_add(struct lh_page_log *log, struct lh_range range, uint64_t *ret_offset)
{
	struct lh_range *last = log->ranges.count ? &log->ranges.items[log->ranges.count - 1] : NULL;
	if (last && last->end == range.start)
		last->end = range.end;
	else
		LH_TRY(lh_vec_push(&log->ranges, range));
	*ret_offset = log->used_bytes;
	log->used_bytes += lh_range_bytes(range);
	return NULL;
}

void lh_page_log_deinit(struct lh_page_log *log)
{
	lh_vec_deinit(&log->ranges);
	log->used_bytes = 0;
}
