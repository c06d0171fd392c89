/*
 * ticker: reports progress from a thread of its own. The terminal may be served by the very process
 * that stands still (a terminal emulator, sshd); were the copy to wait for it, neither would go on.
 * Private to dump.
 */
#ifndef LEAKHUNT_DUMP_TICKER_H
#define LEAKHUNT_DUMP_TICKER_H

#include "copy.h"

struct lh_ticker;

/* Without a callback, or when no thread can be started, *ret is NULL: there is no progress then. */
struct lh_error *lh_ticker_start(struct lh_copy *copy, lh_progress *progress, void *context, uint64_t total_bytes,
				 struct lh_ticker **ret) LH_NODISCARD;
void lh_ticker_stop(struct lh_ticker *ticker); /* NULL is legal */
void lh_cleanup_ticker(struct lh_ticker **ticker);

#endif
