/*
 * recognize_url_password: passwords in URLs, RFC 3986 section 3.2.1: the text between the colon after the user and the
 * last '@' of the word. It may contain '/', '#' and '?', though the RFC wants them escaped. In a URL that is a
 * parameter of another URL, colon and '@' may be escaped, too. Secret: counted, and masked; the rest of the URL belongs
 * to the row of URLs.
 */
#include "secret_forms.h"

#include <string.h>

enum { WORD_MAX = 2048, PORT_DIGITS_MAX = 5, ESCAPED_BYTES = 3 };

/* Offset of the last "%40" in [start, end); `start` if there is none. */
static size_t last_escaped_at_sign(const struct lh_candidate *candidate, size_t start, size_t end)
{
	for (size_t at = end; at >= start + ESCAPED_BYTES; at--) {
		if (memcmp(candidate->anchor + at - ESCAPED_BYTES, "%40", ESCAPED_BYTES) == 0)
			return at - ESCAPED_BYTES;
	}
	return start;
}

/* "https%3A%2F%2Fuser%3Apassword%40host", as far as a URL in a parameter can reach. */
static bool match_escaped(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t user = candidate->pattern_bytes;
	size_t user_end = user + lh_span_after(candidate, user, WORD_MAX,
					       LH_BYTES_TOKEN & ~(unsigned)(LH_BYTE_PLUS | LH_BYTE_SLASH));
	size_t password = user_end + ESCAPED_BYTES;
	if (!lh_after_equals(candidate, user_end, "%3A") && !lh_after_equals(candidate, user_end, "%3a"))
		return false;
	size_t end = password +
		     lh_span_after(candidate, password, WORD_MAX, LH_BYTES_TOKEN | LH_BYTE_PERCENT | LH_BYTE_URL_REST);
	end = password + lh_span_until(candidate, password, end, "&;\"'<>?#,");
	*candidate->examined += end - password;
	size_t at_sign = last_escaped_at_sign(candidate, password, end);
	size_t port = lh_span_after(candidate, password, PORT_DIGITS_MAX + 1, LH_BYTE_DIGIT);
	bool is_port = lh_after_equals(candidate, password + port, "%2F") ||
		       lh_after_equals(candidate, password + port, "%2f");
	if (at_sign <= password || is_port)
		return false;
	*ret = (struct lh_match){.skipped = password, .length = at_sign - password};
	return true;
}

/* Length of the colon after the user, plain or escaped; 0: there is none in [start, end). */
static size_t colon_bytes(const struct lh_candidate *candidate, size_t at, size_t end)
{
	if (at >= end)
		return 0;
	bool is_escaped = lh_after_equals(candidate, at, "%3A") || lh_after_equals(candidate, at, "%3a");
	return candidate->anchor[at] == ':' ? 1 : is_escaped ? ESCAPED_BYTES : 0;
}

bool lh_rule_userinfo(const struct lh_candidate *candidate, struct lh_match *ret)
{
	static const unsigned word_bytes = LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK;
	if (*candidate->anchor == '%')
		return match_escaped(candidate, ret);
	size_t user = candidate->pattern_bytes;
	size_t word = user + lh_span_after(candidate, user, WORD_MAX, word_bytes);
	word = lh_span_until(candidate, 0, word, "\"<>");
	size_t colon = user + lh_span_until(candidate, user, word, ":/?#@[%");
	while (colon < word && candidate->anchor[colon] == '%' && !colon_bytes(candidate, colon, word))
		colon += 1 + lh_span_until(candidate, colon + 1, word, ":/?#@[%");
	size_t password = colon + colon_bytes(candidate, colon, word);
	if (password == colon)
		return false;
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
	.forms = lh_url_password_forms,
	.validate = lh_secret_form_validate,
};
