/*
 * recognise_password: values that are given to names like password, passwd, secret, token, api_key, as in
 * forms, configuration, JSON and command lines ("password=...", "\"token\": \"...\""), and the argument of
 * Redis' AUTH. A password may be any word; the value of other names must be 16 characters long, and letters with
 * digits or of both cases well mixed, as keys are. Secret: counted, and masked.
 */
#include "recognise.h"

#include <string.h>
#include <strings.h>

enum { PASSWORD_MIN = 4, KEY_MIN = 16, CASE_FRACTION = 4, VALUE_MAX = 4096, BLANKS_MAX = 2, AUTH_MAX = 1024 };

enum { PATTERN_AUTH, PASSWORD_FIRST, PASSWORD_LAST = 4, SECRET };

/* Names alone: with what must follow them there are six times as many, and vectorscan looks half as fast. */
static const char *const patterns[] = {
	[PATTERN_AUTH] = "\\$4\\x0d\\x0a(?i)AUTH\\x0d\\x0a\\$",
	[PASSWORD_FIRST] = "(?i)password",
	"(?i)passwd",
	"(?i)passphrase",
	[PASSWORD_LAST] = "(?i)pwd",
	[SECRET] = "(?i)secret",
	"(?i)token",
	"(?i)apikey",
	"(?i)api[_-]key",
	"(?i)accesskey",
	"(?i)access[_-]key",
	"(?i)sessionid",
	"(?i)session[_-]id",
	NULL,
};

enum { KIND_PASSWORD, KIND_KEY };

static const char *const kinds[] = {[KIND_PASSWORD] = "passwords", [KIND_KEY] = "tokens and keys", NULL};

/* "$4\r\nAUTH\r\n$<length>\r\n<password>\r\n" */
static bool validate_auth(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t digits_at = candidate->pattern_bytes;
	size_t digits = lh_span_after(candidate, digits_at, 4, LH_BYTE_DIGIT);
	size_t bytes = 0;
	for (size_t i = 0; i < digits; i++)
		bytes = bytes * 10 + (size_t)(candidate->anchor[digits_at + i] - '0');
	size_t at = digits_at + digits + 2;
	if (!bytes || bytes > AUTH_MAX || !lh_after_equals(candidate, digits_at + digits, "\r\n") ||
	    !lh_after_equals(candidate, at + bytes, "\r\n"))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = bytes, .kind = KIND_PASSWORD};
	return true;
}

struct mixture {
	size_t digits;
	size_t lower;
	size_t upper;
};

static struct mixture mixture_of(const uint8_t *value, size_t length)
{
	struct mixture mixture = {0};
	for (size_t i = 0; i < length; i++) {
		mixture.digits += lh_byte_is(value[i], LH_BYTE_DIGIT);
		mixture.lower += lh_byte_is(value[i], LH_BYTES_LOWER);
		mixture.upper += lh_byte_is(value[i], LH_BYTES_UPPER);
	}
	return mixture;
}

/*
 * "password: str):" and "Password: enter it" are prose: without quotes, a value after a colon must hold more
 * than letters and the punctuation behind them.
 */
static bool is_password(const struct lh_candidate *candidate, size_t at, size_t length, bool is_colon)
{
	size_t letters = is_colon ? lh_span_after(candidate, at, length, LH_BYTES_ALPHA) : 0;
	size_t closing = letters;
	while (is_colon && closing < length && strchr(")]}:.!?\"'", candidate->anchor[at + closing]))
		closing++;
	return length >= PASSWORD_MIN && (!is_colon || closing < length);
}

static bool is_key(const struct lh_candidate *candidate, size_t at, size_t length)
{
	size_t word = lh_span_after(candidate, at, length, LH_BYTES_TOKEN);
	struct mixture mixture = mixture_of(candidate->anchor + at, word);
	bool is_mixed = mixture.lower >= word / CASE_FRACTION && mixture.upper >= word / CASE_FRACTION;
	return word >= KEY_MIN && (mixture.digits ? mixture.lower || mixture.upper : is_mixed);
}

/* "secret" is also the beginning of secretkey, secret_key and secret-key. */
static size_t name_bytes(const struct lh_candidate *candidate)
{
	size_t at = candidate->pattern_bytes;
	if (candidate->pattern != SECRET)
		return at;
	size_t key_at = at + (lh_after_equals(candidate, at, "_") || lh_after_equals(candidate, at, "-"));
	bool is_key = candidate->bytes_after >= key_at + 3 &&
		      strncasecmp((const char *)candidate->anchor + key_at, "key", 3) == 0;
	return is_key ? key_at + 3 : at;
}

/* A name's last quote, and what gives it a value: name=, name =, name:, and "name": or "name" : in either quote. */
static bool is_given(const struct lh_candidate *candidate, size_t *offset, bool *ret_is_colon)
{
	size_t at = *offset;
	bool is_quoted = lh_after_equals(candidate, at, "\"") || lh_after_equals(candidate, at, "'");
	at += is_quoted;
	bool is_apart = lh_after_equals(candidate, at, " ");
	at += is_apart;
	bool is_colon = lh_after_equals(candidate, at, ":");
	*offset = at + 1;
	*ret_is_colon = is_colon && !is_quoted;
	return lh_after_equals(candidate, at, "=") || (is_colon && (is_quoted || !is_apart));
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->pattern == PATTERN_AUTH)
		return validate_auth(candidate, ret);
	size_t at = name_bytes(candidate);
	bool is_colon;
	if (!is_given(candidate, &at, &is_colon))
		return false;
	at += lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	size_t start = at;
	size_t length = lh_value_bytes(candidate, &at, LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK, VALUE_MAX);
	bool is_open = at == start; /* not quoted */
	if (is_open)
		length = lh_span_until(candidate, at, at + length, "&;,");
	bool is_named_password = candidate->pattern <= PASSWORD_LAST;
	if (lh_is_placeholder(candidate->anchor + at, length) ||
	    !(is_named_password ? is_password(candidate, at, length, is_open && is_colon)
				: is_key(candidate, at, length)))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = length, .kind = is_named_password ? KIND_PASSWORD : KIND_KEY};
	return true;
}

const struct lh_recogniser lh_recognise_password = {
	.name = "password",
	.title = "passwords and keys by name",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
};
