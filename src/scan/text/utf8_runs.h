/*
 * utf8_runs: the stretches of valid UTF-8 in a piece of memory, by masks of 64 bytes. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_UTF8_RUNS_H
#define LEAKHUNT_SCAN_UTF8_RUNS_H

#include "leakhunt/scan.h"

#define LH_UTF8_SPANS 1024

typedef struct lh_error *lh_utf8_visitor(void *context, const struct lh_span *spans, size_t count);

/*
 * Visits what lh_next_utf8 finds in data[start, end), in order, at most LH_UTF8_SPANS at a time. Positions count from
 * `data`. No character may reach over `start` or `end`.
 */
struct lh_error *lh_visit_utf8_runs(const struct lh_kernel *kernel, const uint8_t *data, struct lh_span within,
				    size_t min_chars, lh_utf8_visitor *visit, void *context) LH_NODISCARD;

#endif
