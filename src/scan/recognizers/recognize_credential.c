/*
 * recognize_credential: what header fields of HTTP authenticate with: the values of Authorization,
 * Proxy-Authorization, Cookie, Set-Cookie (RFC 9110 section 11, RFC 6265), X-Api-Key and X-Auth-Token, as
 * fields, and quoted as in JSON; Bearer credentials (RFC 6750) anywhere. Secret: counted, and masked.
 */
#include "scan/recognize/recognize.h"

#include <string.h>
#include <strings.h>

enum { VALUE_MIN = 4, VALUE_MAX = LH_BLOCK_OVERLAP / 2, BEARER_MIN = 16, TOKEN_MIN = 16 };

enum { AUTHORIZATION, COOKIE, KEY, BEARER };

static const char *const kinds[] = {
	[AUTHORIZATION] = "Authorization", [COOKIE] = "Cookie", [KEY] = "API keys", [BEARER] = "Bearer", NULL,
};

/* Names alone, as those of passwords: see there. */
static const char *const patterns[] = {
	[AUTHORIZATION] = "(?i)authorization",
	[COOKIE] = "(?i)cookie",
	[KEY] = "(?i)x-api-key",
	[BEARER] = "[Bb]earer ",
	"(?i)x-auth-token",
	NULL,
};

static bool validate_bearer(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = candidate->pattern_bytes;
	size_t value = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_TOKEN);
	size_t word = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_ALPHA);
	if (value < BEARER_MIN || word == value)
		return false;
	*ret = (struct lh_match){.skipped = at, .length = value, .kind = BEARER};
	return true;
}

static bool has_digit(const uint8_t *text, size_t length)
{
	size_t at = 0;
	while (at < length && !lh_byte_is(text[at], LH_BYTE_DIGIT))
		at++;
	return at < length;
}

/* A scheme of IANA's registry, or one in wide use; with what follows it. */
static bool has_scheme(const uint8_t *value, size_t length)
{
	static const char *const schemes[] = {"Basic ",       "Bearer ", "Digest ", "Negotiate ", "NTLM ",   "AWS4-",
					      "HOBA ",        "Hawk ",   "HMAC",    "Mutual ",    "OAuth ",  "DPoP ",
					      "PrivateToken", "SCRAM-",  "Token ",  "SharedKey",  "ApiKey ", "GSS"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(schemes); i++) {
		if (strlen(schemes[i]) < length &&
		    strncasecmp((const char *)value, schemes[i], strlen(schemes[i])) == 0)
			return true;
	}
	return false;
}

/* "Authorization: see below" and "HTTP cookie: a small text" are prose. */
static bool is_prose(unsigned kind, const uint8_t *value, size_t length)
{
	const uint8_t *blank = memchr(value, ' ', length);
	size_t word = blank ? (size_t)(blank - value) : length;
	if (kind == COOKIE)
		return !memchr(value, '=', word) && (blank || word < TOKEN_MIN);
	if (kind == AUTHORIZATION && has_scheme(value, length))
		return false;
	return !has_digit(value, length) && (blank || word < TOKEN_MIN);
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->pattern == BEARER)
		return validate_bearer(candidate, ret);
	unsigned kind = candidate->pattern < BEARER ? candidate->pattern : KEY;
	size_t at = candidate->pattern_bytes;
	bool is_colon;
	if (!lh_is_assigned(candidate, &at, &is_colon))
		return false;
	size_t value = lh_value_bytes(candidate, &at, LH_BYTES_LINE, VALUE_MAX);
	if (value < VALUE_MIN || lh_is_placeholder(candidate->anchor + at, value) ||
	    is_prose(kind, candidate->anchor + at, value))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = value, .kind = kind};
	return true;
}

const struct lh_recognizer lh_recognize_credential = {
	.name = "credential",
	.title = "credentials in header fields",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
};
