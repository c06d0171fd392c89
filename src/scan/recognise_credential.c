/*
 * recognise_credential: what header fields of HTTP authenticate with: the values of Authorization,
 * Proxy-Authorization, Cookie, Set-Cookie (RFC 9110 section 11, RFC 6265), X-Api-Key and X-Auth-Token, as
 * fields, and quoted as in JSON; Bearer credentials (RFC 6750) anywhere. Secret: counted, and masked.
 */
#include "recognise.h"

enum { VALUE_MIN = 4, VALUE_MAX = 8192, BLANKS_MAX = 4, BEARER_MIN = 16 };

enum { AUTHORIZATION, COOKIE, KEY, BEARER };

static const char *const kinds[] = {
	[AUTHORIZATION] = "Authorization", [COOKIE] = "Cookie", [KEY] = "API keys", [BEARER] = "Bearer", NULL,
};

/* Names alone, as those of passwords: see there. */
static const char *const patterns[] = {
	[AUTHORIZATION] = "(?i)authorization", [COOKIE] = "(?i)cookie", [KEY] = "(?i)x-api-key",
	[BEARER] = "[Bb]earer ",               "(?i)x-auth-token",      NULL,
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

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->pattern == BEARER)
		return validate_bearer(candidate, ret);
	size_t at = candidate->pattern_bytes;
	at += lh_after_equals(candidate, at, "\"") || lh_after_equals(candidate, at, "'");
	if (!lh_after_equals(candidate, at, ":"))
		return false;
	at++;
	at += lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	size_t value = lh_value_bytes(candidate, &at, LH_BYTES_LINE, VALUE_MAX);
	if (value < VALUE_MIN || lh_is_placeholder(candidate->anchor + at, value))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = value, .kind = lh_min_u64(candidate->pattern, KEY)};
	return true;
}

const struct lh_recogniser lh_recognise_credential = {
	.name = "credential",
	.title = "credentials in header fields",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
};
