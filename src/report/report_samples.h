/*
 * report_samples: an allocator's own samples within the report of a heap. Private to report.
 */
#ifndef LEAKHUNT_REPORT_REPORT_SAMPLES_H
#define LEAKHUNT_REPORT_REPORT_SAMPLES_H

#include "leakhunt/json.h"
#include "leakhunt/report.h"

/* Nothing if nothing was sampled. */
void lh_report_samples_text(const struct lh_heap_report *report, struct lh_style style, struct lh_buffer *ret);
/* Null if nothing was sampled. NULL: out of memory. The caller owns it. */
json_t *lh_report_samples_json(const struct lh_heap_report *report);

#endif
