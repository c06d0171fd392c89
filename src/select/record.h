/*
 * record: what the reader and the writer of records have in common. Private to select.
 *
 * A record is JSON lines. The first, and each that follows another record appended to it, is a header:
 *   {"leakhunt_record":2,"pid":N,"start_ticks":N,"command":"..."}
 * All others are samples, numbered from 0 after each header. A whole one has "regions"; one that tells
 * only what has changed since the sample before has "changed" (regions that are new, or not as they
 * were; of one whose figures alone have changed, its start and those figures) and "gone" (the start
 * addresses of those that are no more):
 *   {"n":0,"time_ns":N,"uptime_ns":N,"regions":[...]}
 *   {"n":1,"time_ns":N,"uptime_ns":N,"changed":[{"start":"0x...","rss_bytes":N},...],"gone":["0x...",...]}
 * "lost", if there, is how many lines or regions of a sample were not understood when it was taken:
 * that one, and the one after it, are whole.
 * Format 1 had whole samples only, and no numbers.
 */
#ifndef LEAKHUNT_SELECT_RECORD_H
#define LEAKHUNT_SELECT_RECORD_H

#include "leakhunt/json.h"
#include "leakhunt/select.h"

#define LH_RECORD_KEY "leakhunt_record"

enum { LH_RECORD_FORMAT = 2 };

/* Of "lost": more is not told. */
#define LH_RECORD_LOST_MAX UINT32_MAX

/* A new reference; NULL without memory. */
json_t *lh_record_region_encode(const struct lh_region *region);

/* *ret_is_region: whether it is one; else *ret is untouched. Names go into the pool. */
struct lh_error *lh_record_region_decode(const json_t *object, struct lh_strings_pool *pool, struct lh_region *ret,
					 bool *ret_is_region) LH_NODISCARD;

/* The start of a region, and the figures in which `now` differs from `before`. NULL without memory. */
json_t *lh_record_figures_encode(uint64_t start, const struct lh_usage *before, const struct lh_usage *now);
/* Sets the figures that the object has; false when one of them is no number. */
bool lh_record_figures_decode(const json_t *object, struct lh_usage *ret);

/* Missing leaves *ret as it was; false when there is something else than a number up to `max`. */
bool lh_record_decode_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret);

#endif
