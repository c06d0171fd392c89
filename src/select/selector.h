/*
 * selector: the samples taken so far, as tracks. Private to select.
 */
#ifndef LEAKHUNT_SELECT_SELECTOR_H
#define LEAKHUNT_SELECT_SELECTOR_H

#include "identity.h"

struct lh_selector {
	struct lh_tracks tracks;
	pid_t pid;                /* 0 while unknown */
	uint64_t start_ticks;     /* likewise */
	uint64_t start_ns;        /* CLOCK_REALTIME of the first sample */
	uint64_t first_uptime_ns; /* 0 when unknown */
	uint64_t latest_time_ns;
	uint64_t latest_uptime_ns;
	uint64_t elapsed_ns; /* from the first sample to the latest */
};

void lh_cleanup_selector(struct lh_selector **selector);

#endif
