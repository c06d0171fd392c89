/*
 * usage: the figures of lh_usage under their JSON keys, and "REGION's name" for people. Private to report.
 */
#ifndef LEAKHUNT_REPORT_USAGE_H
#define LEAKHUNT_REPORT_USAGE_H

#include "leakhunt/json.h"
#include "leakhunt/report.h"

/* Adds "rss_bytes", "pss_bytes", "uss_bytes", ... to `object`. false when memory runs out. */
bool lh_usage_to_json(const struct lh_usage *usage, json_t *object);

/* Appends the escaped name of a region: its path, "thread NAME (TID)", or nothing. */
void lh_region_label(const struct lh_region *region, struct lh_buffer *ret);

/* What lh_receipt_encode writes; null without a receipt. NULL: out of memory. The caller owns it. */
json_t *lh_report_receipt_json(const struct lh_receipt *receipt);

/* FIGURES of leakhunt/heap/1. NULL: out of memory. The caller owns it. */
json_t *lh_heap_totals_json(const struct lh_heap_totals *totals);
/* Whether all allocators were walked completely. */
bool lh_heap_report_is_complete(const struct lh_heap *heap);
/* "read from a copy of one instant ..." */
void lh_report_heap_source(const struct lh_receipt *receipt, struct lh_buffer *ret);

/* Appends `value` (takes the reference; NULL: out of memory) as indented text; a failure marks `ret` failed. */
void lh_report_append_json(json_t *value, struct lh_buffer *ret);

#endif
