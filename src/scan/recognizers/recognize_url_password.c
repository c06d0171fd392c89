/*
 * recognize_url_password: passwords in URLs, RFC 3986 section 3.2.1: what stands between the colon after
 * the user and the last '@' of the word. It may hold '/', '#' and '?', though the RFC wants them escaped.
 * Secret: counted, and masked; the rest of the URL belongs to the row of URLs.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { SEPARATOR_BYTES = 3, WORD_MAX = 2048, PORT_DIGITS_MAX = 5 };

static const char *const patterns[] = {"://", NULL};

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	static const unsigned word_bytes = LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK;
	size_t word = SEPARATOR_BYTES + lh_span_after(candidate, SEPARATOR_BYTES, WORD_MAX, word_bytes);
	word = lh_span_until(candidate, 0, word, "\"<>");
	size_t colon = SEPARATOR_BYTES + lh_span_until(candidate, SEPARATOR_BYTES, word, ":/?#@[");
	if (colon >= word || candidate->anchor[colon] != ':')
		return false;
	size_t password = colon + 1;
	const uint8_t *at_sign = memrchr(candidate->anchor + password, '@', word - password);
	if (!at_sign)
		return false;
	size_t end = (size_t)(at_sign - candidate->anchor);
	size_t port = lh_span_after(candidate, password, PORT_DIGITS_MAX + 1, LH_BYTE_DIGIT);
	bool is_port =
		port <= PORT_DIGITS_MAX && password + port < end && strchr("/?#", candidate->anchor[password + port]);
	if (end == password || is_port)
		return false;
	/* The match begins at the password: the pattern's anchor lies before it. */
	*ret = (struct lh_match){.skipped = password, .length = end - password};
	return true;
}

const struct lh_recognizer lh_recognize_url_password = {
	.name = "url-password",
	.title = "passwords in URLs",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
};
