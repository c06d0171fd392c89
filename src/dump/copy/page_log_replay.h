/*
 * page_log_replay: moves the pages of a log to their places. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_PAGE_LOG_REPLAY_H
#define LEAKHUNT_DUMP_PAGE_LOG_REPLAY_H

#include "copy.h"
#include "page_log.h"

/*
 * Passes all pages to the copy's writer in the order in which they were logged: the last copy of a page counts. Empties
 * the log.
 */
struct lh_error *lh_page_log_replay(struct lh_page_log *log, struct lh_copy *copy) LH_NODISCARD;

#endif
