/*
 * recognize_patterns: patterns of recognizers compiled for one search, and what a hit of it means.
 * Private to scan.
 */
#ifndef LEAKHUNT_SCAN_RECOGNIZE_PATTERNS_H
#define LEAKHUNT_SCAN_RECOGNIZE_PATTERNS_H

#include "recognize.h"
#include "recognizer.h"

#include <hs/hs.h>

enum { LH_PATTERNS_MAX = 256 };

struct lh_pattern {
	unsigned row;
	unsigned number; /* within the row */
	size_t bytes;
	const struct lh_secret_form *form; /* NULL: the row has none */
};

/* One compiled set of patterns; the id of a hit is an index of `patterns`. */
struct lh_pattern_set_compiled {
	hs_database_t *database;
	struct lh_pattern patterns[LH_PATTERNS_MAX];
	unsigned pattern_count;
	size_t longest_bytes;
};

/* Beside the sets of enum lh_pattern_set: patterns of secret rows without `find`, and of those with it. */
enum { LH_PATTERNS_SECRET = LH_PATTERN_SET_COUNT, LH_PATTERNS_SECRET_OWN, LH_PATTERNS_ALL_COUNT };

enum { LH_FIND_BYTES = (LH_FIND_LINES + 1) * LH_LINE_BYTES };

/*
 * What lh_recognizer.find reads for `bytes` (at most LH_FIND_LINES lines) at data, where bytes_there can be read: data
 * itself, or a copy in `padded`.
 */
const uint8_t *lh_find_lines(const uint8_t *data, size_t bytes, size_t bytes_there, uint8_t padded[LH_FIND_BYTES]);

/*
 * The patterns of a set: compiled by the first call, shared by all threads, kept until the process ends. *scratch (the
 * caller's, one a thread; NULL at first) grows to serve the set, too.
 */
struct lh_error *lh_patterns_get(unsigned set, hs_scratch_t **scratch,
				 const struct lh_pattern_set_compiled **ret) LH_NODISCARD;

#endif
