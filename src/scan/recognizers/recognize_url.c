/*
 * recognize_url: absolute URLs with an authority, RFC 3986: scheme "://" [user@] host ..., from the scheme to the last
 * byte allowed in a URI, without closing punctuation of the surrounding text. A password in the URL belongs to the row
 * of secrets.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { SCHEME_MIN = 2, SCHEME_MAX = 16, URL_MAX = 8192, SEPARATOR_BYTES = 3 };

static const char *const patterns[] = {"[a-zA-Z0-9+.-]://", NULL};

#define SCHEME_CLASSES (LH_BYTES_ALNUM | LH_BYTE_PLUS | LH_BYTE_DASH | LH_BYTE_DOT)

/* The scheme before "://" begins with a letter. Its bytes before the anchor, which is its last byte; false: none. */
static bool scheme_before(const struct lh_candidate *candidate, size_t *ret)
{
	size_t before = lh_span_before(candidate, SCHEME_MAX, SCHEME_CLASSES);
	while (before && !lh_byte_is(*(candidate->anchor - before), LH_BYTES_ALPHA))
		before--;
	*ret = before;
	return before + 1 >= SCHEME_MIN && before < SCHEME_MAX && !lh_before_is(candidate, before + 1, LH_BYTES_ALNUM);
}

/* "%7E" is one character; a percent sign without two digits ends the URL ("http://%s/"). */
static size_t url_tail(const struct lh_candidate *candidate, size_t start)
{
	size_t at = start;
	while (at < URL_MAX) {
		at += lh_span_after(candidate, at, URL_MAX - at, LH_BYTES_URL & ~(unsigned)LH_BYTE_PERCENT);
		if (!lh_after_is(candidate, at, LH_BYTE_PERCENT) || !lh_after_is(candidate, at + 1, LH_BYTES_HEX) ||
		    !lh_after_is(candidate, at + 2, LH_BYTES_HEX))
			break;
		at += 3;
	}
	return at;
}

/* "(see http://example.org/a)." ends before the bracket. */
static size_t without_punctuation(const struct lh_candidate *candidate, size_t start, size_t end)
{
	while (end > start && strchr(".,;:!?'\")]*", candidate->anchor[end - 1])) {
		uint8_t last = candidate->anchor[end - 1];
		if ((last == ']' && memchr(candidate->anchor + start, '[', end - start)) ||
		    (last == ')' && memchr(candidate->anchor + start, '(', end - start)))
			break;
		end--;
	}
	return end;
}

static bool validate_url(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t host = 1 + SEPARATOR_BYTES;
	size_t before;
	if (!scheme_before(candidate, &before))
		return false;
	/* A host or user begins with a letter, a digit or '['; "file:///path" and "unix:///path" have none. */
	bool has_host = lh_after_is(candidate, host, LH_BYTES_ALNUM) || lh_after_equals(candidate, host, "[") ||
			(lh_after_equals(candidate, host, "/") && lh_after_is(candidate, host + 1, LH_BYTES_ALNUM)) ||
			(lh_after_equals(candidate, host, ":") && lh_after_is(candidate, host + 1, LH_BYTES_URL));
	if (!has_host)
		return false;
	size_t end = without_punctuation(candidate, host, url_tail(candidate, host));
	if (end <= host)
		return false;
	*ret = (struct lh_match){.before = before, .length = before + end};
	return true;
}

const struct lh_recognizer lh_recognize_url = {
	.name = "url",
	.title = "URLs",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_url,
};
