/*
 * recognize_password: values that are given to names like password, passwd, secret, token, api_key, as in
 * forms, configuration, JSON and command lines ("password=...", "\"token\": \"...\"", "--password ..."), and the
 * argument of Redis' AUTH. A password may be any word; the value of other names must be 16 characters long, and letters
 * with digits or of both cases well mixed, as keys are. Secret: counted, and masked.
 */
#include "scan/recognize/recognize.h"

#include <string.h>
#include <strings.h>

enum { PASSWORD_MIN = 4, KEY_MIN = 16, CASE_FRACTION = 4, VALUE_MAX = LH_BLOCK_OVERLAP / 2, AUTH_MAX = 1024 };

enum { PATTERN_AUTH, PASSWORD_FIRST, PWD = 4, PASSWORD_LAST = PWD, SECRET };

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

/* "$<length>\r\n<bytes>\r\n", the length of which is at *offset (RESP); moved behind it. */
static size_t bulk_bytes(const struct lh_candidate *candidate, size_t *offset, size_t *ret_at)
{
	size_t digits = lh_span_after(candidate, *offset, 4, LH_BYTE_DIGIT);
	size_t bytes = 0;
	for (size_t i = 0; i < digits; i++)
		bytes = bytes * 10 + (size_t)(candidate->anchor[*offset + i] - '0');
	size_t at = *offset + digits + 2;
	if (!bytes || bytes > AUTH_MAX || !lh_after_equals(candidate, *offset + digits, "\r\n") ||
	    !lh_after_equals(candidate, at + bytes, "\r\n"))
		return 0;
	*offset = at + bytes + 2;
	*ret_at = at;
	return bytes;
}

/* "$4\r\nAUTH\r\n", then the password, or a user and the password (Redis 6): another command begins with '*'. */
static bool validate_auth(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t offset = candidate->pattern_bytes, at, next_at;
	size_t bytes = bulk_bytes(candidate, &offset, &at);
	if (!bytes)
		return false;
	*ret = (struct lh_match){.skipped = at, .length = bytes, .kind = KIND_PASSWORD};
	size_t next = lh_after_equals(candidate, offset++, "$") ? bulk_bytes(candidate, &offset, &next_at) : 0;
	if (next)
		*ret = (struct lh_match){.skipped = next_at, .length = next, .kind = KIND_PASSWORD};
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

/* What source code sets a password to that is none. */
static bool is_nothing(const uint8_t *word, size_t length)
{
	static const char *const words[] = {"None",  "null", "NULL",  "nil",      "true",
					    "false", "True", "False", "undefined"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
		if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
			return true;
	}
	return false;
}

/*
 * "password: str):" and "Password: enter it" are prose: without quotes, a value after a colon must hold more
 * than letters and the punctuation behind them.
 */
static bool is_password(const struct lh_candidate *candidate, size_t at, size_t length, bool is_open, bool is_colon)
{
	size_t letters = is_open ? lh_span_after(candidate, at, length, LH_BYTES_ALPHA) : 0;
	size_t closing = letters;
	while (is_open && closing < length && strchr(")]}:.!?\"'", candidate->anchor[at + closing]))
		closing++;
	bool is_word = is_open && closing == length;
	return length >= PASSWORD_MIN && !(is_word && (is_colon || is_nothing(candidate->anchor + at, letters)));
}

/* "PWD=/srv/www" in an environment is the working directory (POSIX, section 8.3). */
static bool is_directory(const struct lh_candidate *candidate, size_t at)
{
	return candidate->pattern == PWD && memcmp(candidate->anchor, "PWD", 3) == 0 &&
	       lh_after_is(candidate, at, LH_BYTE_SLASH);
}

/* Without quotes, "token=get_token(name)" is a call. A text of several words is a key only by its first. */
static bool is_key(const struct lh_candidate *candidate, size_t at, size_t length, bool is_open)
{
	const uint8_t *value = candidate->anchor + at;
	if (is_open && memchr(value, '(', length))
		return false;
	size_t word = memchr(value, ' ', length) ? lh_span_after(candidate, at, length, LH_BYTES_TOKEN) : length;
	struct mixture mixture = mixture_of(value, word);
	bool is_mixed = mixture.lower >= word / CASE_FRACTION && mixture.upper >= word / CASE_FRACTION;
	return word >= KEY_MIN && (mixture.digits ? mixture.lower || mixture.upper : is_mixed);
}

/*
 * "secret" is also the beginning of secretkey, secret_key and secret-key; password1, password_confirmation and
 * user[password] are names of fields.
 */
static size_t name_bytes(const struct lh_candidate *candidate)
{
	size_t at = candidate->pattern_bytes;
	if (candidate->pattern == SECRET) {
		size_t key_at = at + (lh_after_equals(candidate, at, "_") || lh_after_equals(candidate, at, "-"));
		bool is_key = candidate->bytes_after >= key_at + 3 &&
			      strncasecmp((const char *)candidate->anchor + key_at, "key", 3) == 0;
		at = is_key ? key_at + 3 : at;
	} else if (candidate->pattern <= PASSWORD_LAST) {
		at += lh_span_after(candidate, at, 2, LH_BYTE_DIGIT);
		at += lh_after_equals(candidate, at, "_confirmation") ? strlen("_confirmation") : 0;
	}
	if (lh_after_equals(candidate, at, "]"))
		return at + 1;
	return lh_after_equals(candidate, at, "%5D") || lh_after_equals(candidate, at, "%5d") ? at + 3 : at;
}

/* "--db-password value": in an argument vector, which is an array in memory, a zero byte stands between. */
static bool is_argument(const struct lh_candidate *candidate, size_t *offset, bool *ret_is_prose)
{
	enum { OPTION_MAX = 32 };
	size_t before = lh_span_before(candidate, OPTION_MAX, LH_BYTES_WORD | LH_BYTE_DASH);
	bool is_option = before >= 2 && memcmp(candidate->anchor - before, "--", 2) == 0;
	*ret_is_prose = lh_after_equals(candidate, *offset, " ");
	if (!is_option || *offset + 1 >= candidate->bytes_after || !(*ret_is_prose || !candidate->anchor[*offset]) ||
	    lh_after_equals(candidate, *offset + 1, "-"))
		return false;
	++*offset;
	return true;
}

/* Whether nothing, or something that is named, follows what may be a separator. */
static bool separates(const struct lh_candidate *candidate, size_t at, size_t end)
{
	if (at == end || candidate->anchor[at] == '"' || candidate->anchor[at] == '\'')
		return true;
	size_t name_end = at + lh_span_after(candidate, at, end - at, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT);
	return name_end > at && name_end < end &&
	       (candidate->anchor[name_end] == '=' || candidate->anchor[name_end] == ':');
}

/* Of a value without quotes: "a=b&c=d", "a=b;c=d", "(a=b, c=d)". */
static size_t open_bytes(const struct lh_candidate *candidate, size_t at, size_t length)
{
	size_t bytes = 0;
	for (; (bytes += lh_span_until(candidate, at + bytes, at + length, "&;,")) < length; bytes++) {
		if (candidate->anchor[at + bytes] == '&' || separates(candidate, at + bytes + 1, at + length))
			break;
	}
	return bytes;
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->pattern == PATTERN_AUTH)
		return validate_auth(candidate, ret);
	size_t at = name_bytes(candidate);
	bool is_colon;
	if (!lh_is_assigned(candidate, &at, &is_colon) && !is_argument(candidate, &at, &is_colon))
		return false;
	size_t start = at;
	size_t length = lh_value_bytes(candidate, &at, LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK, VALUE_MAX);
	bool is_open = at == start; /* not quoted */
	if (is_open)
		length = open_bytes(candidate, at, length);
	bool is_named_password = candidate->pattern <= PASSWORD_LAST;
	if (lh_is_placeholder(candidate->anchor + at, length) || is_directory(candidate, at) ||
	    !(is_named_password ? is_password(candidate, at, length, is_open, is_colon)
				: is_key(candidate, at, length, is_open)))
		return false;
	*ret = (struct lh_match){.skipped = at, .length = length, .kind = is_named_password ? KIND_PASSWORD : KIND_KEY};
	return true;
}

const struct lh_recognizer lh_recognize_password = {
	.name = "password",
	.title = "passwords and keys by name",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
};
