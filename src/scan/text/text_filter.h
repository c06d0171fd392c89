/*
 * text_filter: whether a text matches a regular expression. Private to scan, but for lh_text_filter_*.
 */
#ifndef LEAKHUNT_SCAN_TEXT_FILTER_H
#define LEAKHUNT_SCAN_TEXT_FILTER_H

#include "leakhunt/scan.h"

/* What one thread needs to match. `filter` must outlive it. */
struct lh_text_matcher;
struct lh_error *lh_text_matcher_create(const struct lh_text_filter *filter, struct lh_text_matcher **ret) LH_NODISCARD;
void lh_text_matcher_destroy(struct lh_text_matcher *matcher);
/* LH_ERROR_USAGE when it takes too long to tell. */
struct lh_error *lh_text_matches(struct lh_text_matcher *matcher, const struct lh_run *run, bool *ret) LH_NODISCARD;

void lh_text_filter_destroy(struct lh_text_filter *filter);

#endif
