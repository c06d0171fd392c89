/*
 * recognizer: a row of the table of recognizers, and the arguments of its functions. Private to scan and its tests.
 */
#ifndef LEAKHUNT_SCAN_RECOGNIZER_H
#define LEAKHUNT_SCAN_RECOGNIZER_H

#include "leakhunt/scan.h"

/* What a validator found around a candidate. */
struct lh_match {
	size_t before;      /* bytes of the match before the anchor */
	size_t skipped;     /* bytes between the anchor and a match that begins after it; then `before` is 0 */
	size_t length;      /* bytes of the whole match */
	size_t shown_bytes; /* of the text itself, where it is listed; 0: all */
	unsigned kind;      /* index into the recognizer's kinds */
};

/*
 * A place where a pattern of a recognizer matched: anchor[-bytes_before, bytes_after) is readable. `anchor` is the
 * first byte of the match of the pattern. An earlier match of the same recognizer is out of reach: bytes_before begins
 * after it.
 */
struct lh_candidate {
	const uint8_t *anchor;
	size_t bytes_before;
	size_t bytes_after;
	uint64_t addr;                     /* of anchor */
	unsigned pattern;                  /* which of the recognizer's patterns */
	const struct lh_secret_form *form; /* which of the recognizer's forms; NULL: it has none */
	size_t pattern_bytes;              /* length of the pattern's match, from the anchor on */
	bool follows_match;                /* a match of the same recognizer ends at the anchor */
	size_t *examined; /* validators add the bytes that their loops examined: the pass bounds the sum */
};

/*
 * Which patterns a pass searches together. A mixed set of all rows would take 8 times as long to compile without being
 * faster (measured with vectorscan 5.4.9). The sets after the binary ones are for text: a pass searches them only in
 * runs of at least 8 printable characters or line breaks. (lh_secret_finder_find mixes the few secret rows and searches
 * all bytes: a validator must not rely on the run.) Patterns without a literal of three bytes cost more than all others
 * together: their rows find them themselves.
 */
enum lh_pattern_set {
	LH_PATTERNS_OWN, /* found by the row's `find` */
	LH_PATTERNS_BINARY,
	LH_PATTERNS_WORDS,    /* text */
	LH_PATTERNS_OWN_TEXT, /* text, found by the row's `find` */
	LH_PATTERN_SET_COUNT,
};

#define LH_OWN_PATTERNS_MAX 2
#define LH_FIND_LINES       64 /* lines of 64 bytes, at most, in one call */

struct lh_secret_form;

/* A row of the recognizer table. Each is in its own file: scan/recognizers/recognize_*.c. */
struct lh_recognizer {
	const char *name;
	const char *title;
	bool is_secret;
	enum lh_pattern_set set;
	/* Fixed-length regular expressions (vectorscan syntax, byte mode, DOTALL), NULL-terminated. */
	const char *const *patterns;
	const struct lh_secret_form
		*forms; /* alternatively these, each with its pattern: scan/recognizers/secret_forms.c */
	/*
	 * For LH_PATTERNS_OWN and _OWN_TEXT: finds where the patterns match. Bit i of ret_anchors[pattern][k] stands
	 * for data + 64 k + i. One line beyond line_count may be read; its missing bytes read as 1. No two patterns
	 * match at the same place.
	 */
	void (*find)(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		     uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES]);
	bool finds_rest; /* the end of its last match is an anchor, too; `find` need not report it */
	/* Whether a candidate is a match. Must not read outside of the candidate's bounds. */
	bool (*validate)(const struct lh_candidate *candidate, struct lh_match *ret);
	/* The kinds of its matches, NULL-terminated, at most LH_KINDS_MAX; NULL: none. */
	const char *const *kinds;
	/*
	 * What to show of a match: the subject of a certificate, the SNI; "" shows nothing. Anything that can contain a
	 * secret must be shown as text, which is masked: the memory's own (NULL) or this text. Line breaks become
	 * blanks afterwards.
	 */
	void (*describe)(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX]);
};

extern const struct lh_recognizer *const lh_recognizers[]; /* NULL-terminated, most specific first */

#endif
