/*
 * ticker: reports progress from its own thread. The stopped target may be what serves the terminal (a terminal
 * emulator, sshd): a copy that waited for the terminal would never end. Private to dump.
 */
#ifndef LEAKHUNT_DUMP_TICKER_H
#define LEAKHUNT_DUMP_TICKER_H

#include "copy.h"

struct lh_ticker;

/* *ret is NULL without a callback, or when no thread can be started: then there is no progress. */
struct lh_error *lh_ticker_start(struct lh_copy *copy, lh_progress *progress, void *context, uint64_t total_bytes,
				 struct lh_ticker **ret) LH_NODISCARD;
void lh_ticker_stop(struct lh_ticker *ticker); /* NULL is legal */
void lh_cleanup_ticker(struct lh_ticker **ticker);

#endif
