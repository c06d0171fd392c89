/*
 * recognize_credential: credentials in HTTP header fields: the values of Authorization, Proxy-Authorization, Cookie,
 * Set-Cookie (RFC 9110 section 11, RFC 6265), X-Api-Key and X-Auth-Token, as fields, quoted as in JSON, as literals of
 * HTTP/2 (RFC 7541 section 6.2), and as two adjacent strings; Bearer (RFC 6750) and Basic credentials (RFC 7617)
 * anywhere. Secret: counted, and masked. The forms are in secret_forms.c.
 */
#include "secret_forms.h"

#include <string.h>
#include <strings.h>

enum { VALUE_MIN = 4, VALUE_MAX = LH_BLOCK_OVERLAP / 2, BEARER_MIN = 16, TOKEN_MIN = 16, BASIC_MIN = 4 };

static const char *const kinds[] = {
	[LH_CREDENTIAL_AUTHORIZATION] = "Authorization",
	[LH_CREDENTIAL_COOKIE] = "Cookie",
	[LH_CREDENTIAL_KEY] = "API keys",
	[LH_CREDENTIAL_BEARER] = "Bearer",
	[LH_CREDENTIAL_BASIC] = "Basic",
	NULL,
};

bool lh_rule_bearer(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = candidate->pattern_bytes;
	size_t value = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_TOKEN);
	size_t word = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_ALPHA);
	if (value < BEARER_MIN || word == value)
		return false;
	*ret = (struct lh_match){.skipped = at, .length = value, .kind = candidate->form->kind};
	return true;
}

bool lh_rule_basic(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = candidate->pattern_bytes;
	size_t value = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_BASE64);
	while (lh_after_equals(candidate, at + value, "="))
		value++;
	if (value < BASIC_MIN || !lh_is_basic(candidate->anchor + at, value))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = value, .kind = candidate->form->kind};
	return true;
}

static bool has_digit(const uint8_t *text, size_t length)
{
	size_t at = 0;
	while (at < length && !lh_byte_is(text[at], LH_BYTE_DIGIT))
		at++;
	return at < length;
}

/* A scheme of IANA's registry, or another common one, with what follows it. */
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
	if (kind == LH_CREDENTIAL_COOKIE)
		return !memchr(value, '=', word) && (blank || word < TOKEN_MIN);
	if (kind == LH_CREDENTIAL_AUTHORIZATION && has_scheme(value, length))
		return false;
	return !has_digit(value, length) && (blank || word < TOKEN_MIN);
}

/* ---------------------------------------------------------------- the parts apart */

/* Length of the field's name ("set-cookie" for the anchor "cookie"); the byte before the name in *ret_before. */
static size_t name_bytes(const struct lh_candidate *candidate, uint8_t *ret_before)
{
	enum { NAME_MAX_BYTES = 32 };
	size_t before = lh_span_before(candidate, NAME_MAX_BYTES, LH_BYTES_ALNUM | LH_BYTE_DASH);
	*ret_before = before < candidate->bytes_before ? *(candidate->anchor - before - 1) : 0;
	return before + candidate->pattern_bytes;
}

/*
 * The length of a string that is not Huffman-coded: an integer with a prefix of 7 bits (RFC 7541, section 5.1), at
 * *offset, which is moved past it.
 */
static size_t literal_bytes(const struct lh_candidate *candidate, size_t *offset)
{
	enum { PREFIX = 0x7f, MORE = 0x80, BYTES_MAX = 2 };
	size_t at = *offset, length;
	if (at >= candidate->bytes_after || candidate->anchor[at] & MORE)
		return 0;
	length = candidate->anchor[at++];
	for (unsigned shift = 0; length >= PREFIX && shift < BYTES_MAX * 7; shift += 7) {
		if (at >= candidate->bytes_after)
			return 0;
		uint8_t byte = candidate->anchor[at++];
		length += (size_t)(byte & ~MORE) << shift;
		if (!(byte & MORE))
			break;
	}
	*offset = at;
	return length;
}

/* A value separate from its name must look more like a credential. */
static bool is_credential(const struct lh_candidate *candidate, size_t at, size_t length)
{
	const uint8_t *value = candidate->anchor + at, *equals = memchr(value, '=', length);
	if (length < VALUE_MIN || lh_is_placeholder(value, length))
		return false;
	if (candidate->form->kind == LH_CREDENTIAL_COOKIE)
		return equals && equals > value && (size_t)(value + length - equals) > VALUE_MIN &&
		       lh_span_after(candidate, at, length, LH_BYTES_TOKEN) == (size_t)(equals - value);
	if (candidate->form->kind == LH_CREDENTIAL_AUTHORIZATION)
		return has_scheme(value, length) && length >= TOKEN_MIN - VALUE_MIN;
	return length >= TOKEN_MIN && has_digit(value, length) &&
	       lh_span_after(candidate, at, length, LH_BYTES_TOKEN) == length;
}

/* A length, the name, a length, the value; or the name, a zero byte, the value. */
static bool match_apart(const struct lh_candidate *candidate, struct lh_match *ret)
{
	uint8_t before;
	size_t name = name_bytes(candidate, &before), at = candidate->pattern_bytes, length;
	if (lh_after_is(candidate, at, LH_BYTES_ALNUM))
		return false;
	if (before == name && (length = literal_bytes(candidate, &at)) &&
	    lh_span_after(candidate, at, length, LH_BYTES_LINE) == length) {
		*ret = (struct lh_match){.skipped = at, .length = length, .kind = candidate->form->kind};
		return is_credential(candidate, at, length);
	}
	at = candidate->pattern_bytes + 1;
	if (before >= ' ' || at >= candidate->bytes_after || candidate->anchor[at - 1])
		return false;
	length = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_LINE);
	*ret = (struct lh_match){.skipped = at, .length = length, .kind = candidate->form->kind};
	return is_credential(candidate, at, length);
}

bool lh_rule_header(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = candidate->pattern_bytes;
	struct lh_assignment assignment;
	if (!lh_is_assigned(candidate, &at, &assignment))
		return match_apart(candidate, ret);
	size_t value = assignment.is_element ? lh_element_bytes(candidate, &at, VALUE_MAX)
					     : lh_value_bytes(candidate, &at, LH_BYTES_LINE, VALUE_MAX);
	if (value < VALUE_MIN || lh_is_placeholder(candidate->anchor + at, value) ||
	    is_prose(candidate->form->kind, candidate->anchor + at, value))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = value, .kind = candidate->form->kind};
	return true;
}

const struct lh_recognizer lh_recognize_credential = {
	.name = "credential",
	.title = "credentials in header fields",
	.is_secret = true,
	.set = LH_PATTERNS_BINARY,
	.forms = lh_credential_forms,
	.validate = lh_secret_form_validate,
	.kinds = kinds,
};
