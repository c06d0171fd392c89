/*
 * recognize_uuid: UUIDs in text, RFC 9562 section 4: 8-4-4-4-12 hexadecimal digits, version 1 to 8,
 * variant 10xx; not part of a longer word.
 */
#include "scan/recognize/recognize.h"

enum { HEAD = 8, TAIL = 12, MIDDLE = 16, TOTAL = 36 };

/* The middle: from the first dash to the last. */
static const char *const patterns[] = {
	"-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-",
	NULL,
};

static bool validate_uuid(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (lh_span_before(candidate, HEAD, LH_BYTES_HEX) != HEAD ||
	    lh_span_after(candidate, MIDDLE, TAIL, LH_BYTES_HEX) != TAIL ||
	    lh_before_is(candidate, HEAD + 1, LH_BYTES_WORD) || lh_after_is(candidate, MIDDLE + TAIL, LH_BYTES_WORD))
		return false;
	*ret = (struct lh_match){.before = HEAD, .length = TOTAL};
	return true;
}

const struct lh_recognizer lh_recognize_uuid = {
	.name = "uuid",
	.title = "UUIDs",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_uuid,
};
