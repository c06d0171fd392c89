/*
 * recognizer: a row of the table of recognizers, and what its functions get. Private to scan and its tests.
 */
#ifndef LEAKHUNT_SCAN_RECOGNIZER_H
#define LEAKHUNT_SCAN_RECOGNIZER_H

#include "leakhunt/scan.h"

/* What a validator found around a candidate. */
struct lh_match {
	size_t before;      /* bytes of the match before the anchor */
	size_t skipped;     /* bytes between the anchor and a match that begins after it; then `before` is 0 */
	size_t length;      /* bytes of the whole match */
	size_t shown_bytes; /* of the text itself, where it is shown; 0: all */
	unsigned kind;      /* index into the recognizer's kinds */
};

/*
 * The place where a pattern of a recognizer hit: anchor[-bytes_before, bytes_after) may be read.
 * `anchor` is the first byte that the pattern matched. An earlier match of the same recognizer is
 * never in reach: bytes_before begins after it.
 */
struct lh_candidate {
	const uint8_t *anchor;
	size_t bytes_before;
	size_t bytes_after;
	uint64_t addr;                     /* of anchor */
	unsigned pattern;                  /* which of the recognizer's patterns */
	const struct lh_secret_form *form; /* which of the recognizer's forms; NULL: it has none */
	size_t pattern_bytes;              /* that it matched, from the anchor on */
	bool follows_match;                /* a match of the same recognizer ends at the anchor */
	size_t *examined; /* validators add the bytes they looked at in loops: the pass bounds their sum */
};

/*
 * Which patterns a pass searches together: mixed, all rows' take 8 times as long to compile and are no faster
 * (measured with vectorscan 5.4.9). All after the binary ones are text: a pass searches only runs of at least 8
 * printable characters or line breaks for them. (lh_secret_finder_find mixes those of the few rows that are secret, and
 * searches all bytes: a validator must not rely on the run.) Patterns without a literal of three
 * bytes cost more than all others together, at each place where a part of them is: their rows find them by themselves.
 */
enum lh_pattern_set {
	LH_PATTERNS_OWN, /* the row's `find` */
	LH_PATTERNS_BINARY,
	LH_PATTERNS_WORDS,    /* text */
	LH_PATTERNS_OWN_TEXT, /* text: the row's `find` */
	LH_PATTERN_SET_COUNT,
};

#define LH_OWN_PATTERNS_MAX 2
#define LH_FIND_LINES       64 /* of 64 bytes, at most, in one call */

struct lh_secret_form;

/* A row of the recognizer table. Each lives in a file of its own: scan/recognize_*.c. */
struct lh_recognizer {
	const char *name;
	const char *title;
	bool is_secret;
	enum lh_pattern_set set;
	/* Fixed-length regular expressions (vectorscan syntax, byte mode, DOTALL), NULL-terminated. */
	const char *const *patterns;
	const struct lh_secret_form *forms; /* or these, each with its pattern: scan/recognizers/secret_forms.c */
	/*
	 * Of LH_PATTERNS_OWN and _OWN_TEXT: finds where the patterns match. Bit i of ret_anchors[pattern][k]: at
	 * data + 64 k + i. A line more than line_count can be read; what is not there of it, is 1 in each byte.
	 * Patterns do not match at the same place.
	 */
	void (*find)(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		     uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES]);
	bool finds_rest; /* where its last match ended is an anchor, too, which `find` need not know */
	/* Whether a candidate is a true match. Must not read outside of the candidate's bounds. */
	bool (*validate)(const struct lh_candidate *candidate, struct lh_match *ret);
	/* The kinds that matches are told apart by, NULL-terminated, at most LH_KINDS_MAX; NULL: none. */
	const char *const *kinds;
	/*
	 * What to show of a match: the subject of a certificate, the SNI; "" shows nothing. It must not show
	 * what can hold a secret but as text, which is masked: the memory's own, which NULL stands for, or this one.
	 * Line breaks become blanks after that.
	 */
	void (*describe)(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX]);
};

extern const struct lh_recognizer *const lh_recognizers[]; /* NULL-terminated, most specific first */

#endif
