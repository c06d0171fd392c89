/*
 * recognise_password: values that are given to names like password, passwd, secret, token, api_key, as in
 * forms, configuration, JSON and command lines ("password=...", "\"token\": \"...\""), and the argument of
 * Redis' AUTH. A password may be any word; the value of other names must be 16 characters long, and letters with
 * digits or of both cases well mixed, as keys are. Secret: counted, and masked.
 */
#include "recognise.h"

#include <string.h>

enum { PASSWORD_MIN = 4, KEY_MIN = 16, CASE_FRACTION = 4, VALUE_MAX = 4096, BLANKS_MAX = 2, AUTH_MAX = 1024 };

/* How a name goes over to its value: name=, name =, name:, and "name": or "name" : with either quote. */
#define NAMED(name) \
	"(?i)" name "=", "(?i)" name ":", "(?i)" name "[\"'][:=]", "(?i)" name " =", "(?i)" name "[\"'] [:=]"

enum { FORMS = 5, FORM_COLON = 1, PASSWORD_NAMES = 4, PATTERN_AUTH = 0 };

static const char *const patterns[] = {
	[PATTERN_AUTH] = "\\$4\\x0d\\x0a(?i)AUTH\\x0d\\x0a\\$",
	NAMED("password"),
	NAMED("passwd"),
	NAMED("passphrase"),
	NAMED("pwd"),
	NAMED("secret"),
	NAMED("token"),
	NAMED("apikey"),
	NAMED("api[_-]key"),
	NAMED("access[_-]key"),
	NAMED("accesskey"),
	NAMED("secret[_-]key"),
	NAMED("secretkey"),
	NAMED("session[_-]id"),
	NAMED("sessionid"),
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

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->pattern == PATTERN_AUTH)
		return validate_auth(candidate, ret);
	unsigned name = (candidate->pattern - 1) / FORMS;
	unsigned form = (candidate->pattern - 1) % FORMS;
	size_t at = candidate->pattern_bytes;
	at += lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	size_t start = at;
	size_t length = lh_value_bytes(candidate, &at, LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK, VALUE_MAX);
	bool is_open = at == start; /* not quoted */
	if (is_open)
		length = lh_span_until(candidate, at, at + length, "&;,");
	bool is_named_password = name < PASSWORD_NAMES;
	if (lh_is_placeholder(candidate->anchor + at, length) ||
	    !(is_named_password ? is_password(candidate, at, length, is_open && form == FORM_COLON)
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
