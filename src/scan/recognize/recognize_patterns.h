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

/* Compiles the patterns of a set. *scratch grows to serve it, too. */
struct lh_error *lh_patterns_compile(enum lh_pattern_set kind, struct lh_pattern_set_compiled *ret,
				     hs_scratch_t **scratch) LH_NODISCARD;
/* All patterns of the rows that are secret. */
struct lh_error *lh_patterns_compile_secrets(struct lh_pattern_set_compiled *ret, hs_scratch_t **scratch) LH_NODISCARD;

#endif
