/*
 * utf8: the valid UTF-8 in bytes that may be anything. Private to scan.
 */
#ifndef LEAKHUNT_SCAN_UTF8_H
#define LEAKHUNT_SCAN_UTF8_H

#include "leakhunt/scan.h"

/* The bytes of the visible character at `data`, tab included; 0: there is none. `length` >= 1. */
size_t lh_utf8_character(const uint8_t *data, size_t length);

/*
 * The first stretch of at least `min_chars` characters in data[rest->start, rest->end): printable ASCII, tab,
 * and valid sequences of visible characters. *rest is what comes after it. False when there is none.
 */
bool lh_next_utf8(const uint8_t *data, struct lh_span *rest, size_t min_chars, struct lh_span *ret);

#endif
