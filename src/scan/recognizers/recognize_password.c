/*
 * recognize_password: values assigned to names such as password, passwd, pass, secret, token, api_key in forms,
 * configuration, JSON, XML and command lines ("password=...", "\"token\": \"...\"", "<pass>...</pass>", "--password
 * ..."), and the argument of Redis' AUTH. A password may be any word. The value of other names must have 16 characters,
 * with letters and digits or both cases well mixed, as keys have. Secret: counted, and masked. The forms are in
 * secret_forms.c.
 */
#include "secret_forms.h"

#include <string.h>
#include <strings.h>

enum { PASSWORD_MIN = 4, KEY_MIN = 16, CASE_FRACTION = 4, VALUE_MAX = LH_BLOCK_OVERLAP / 2, AUTH_MAX = 1024 };

static const char *const kinds[] = {
	[LH_PASSWORD_PASSWORD] = "passwords",
	[LH_PASSWORD_KEY] = "tokens and keys",
	NULL,
};

/*
 * "$<length>\r
 * <bytes>\r
 * " (RESP): the length is at *offset, which is moved past it.
 */
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
bool lh_rule_resp_auth(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t offset = candidate->pattern_bytes, at, next_at;
	size_t bytes = bulk_bytes(candidate, &offset, &at);
	if (!bytes)
		return false;
	*ret = (struct lh_match){.skipped = at, .length = bytes, .kind = LH_PASSWORD_PASSWORD};
	size_t next = lh_after_equals(candidate, offset++, "$") ? bulk_bytes(candidate, &offset, &next_at) : 0;
	if (next)
		*ret = (struct lh_match){.skipped = next_at, .length = next, .kind = LH_PASSWORD_PASSWORD};
	return true;
}

struct mixture {
	size_t digits;
	size_t lower;
	size_t upper;
};

static struct mixture password_mixture_of(const uint8_t *value, size_t length)
{
	struct mixture mixture = {0};
	for (size_t i = 0; i < length; i++) {
		mixture.digits += lh_byte_is(value[i], LH_BYTE_DIGIT);
		mixture.lower += lh_byte_is(value[i], LH_BYTES_LOWER);
		mixture.upper += lh_byte_is(value[i], LH_BYTES_UPPER);
	}
	return mixture;
}

/* Words that source code assigns to a password to mean "none". */
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
 * "password: str):" and "Password: enter it" are prose: an unquoted value after a colon must contain more than letters
 * and trailing punctuation.
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

/*
 * Without quotes, "token=get_token(name)" is a call, and "token=\fI" is markup. In a text of several words only the
 * first can be a key.
 */
static bool is_key_word(const struct lh_candidate *candidate, size_t at, size_t length, bool is_open)
{
	const uint8_t *value = candidate->anchor + at;
	if (is_open && (memchr(value, '(', length) || value[0] == '\\'))
		return false;
	size_t word = memchr(value, ' ', length) ? lh_span_after(candidate, at, length, LH_BYTES_TOKEN) : length;
	struct mixture mixture = password_mixture_of(value, word);
	bool is_mixed = mixture.lower >= word / CASE_FRACTION && mixture.upper >= word / CASE_FRACTION;
	return word >= KEY_MIN && (mixture.digits ? mixture.lower || mixture.upper : is_mixed);
}

/* Length of a bracket that may follow a name in an array: user[password], user%5Bpassword%5D. */
static size_t bracket_bytes(const struct lh_candidate *candidate, size_t at)
{
	if (lh_after_equals(candidate, at, "]"))
		return 1;
	return lh_after_equals(candidate, at, "%5D") || lh_after_equals(candidate, at, "%5d") ? strlen("%5D") : 0;
}

/* Length of a suffix of a name, in any case. */
static size_t suffix_bytes(const struct lh_candidate *candidate, size_t at, const char *suffix)
{
	size_t length = strlen(suffix);
	bool is_there = at + length <= candidate->bytes_after &&
			strncasecmp((const char *)candidate->anchor + at, suffix, length) == 0;
	return is_there ? length : 0;
}

/* "--db-password value": in an argument vector, which is an array in memory, a zero byte separates the two. */
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

/* Whether the possible separator is followed by nothing, or by something with a name. */
static bool separates_words(const struct lh_candidate *candidate, size_t at, size_t end)
{
	if (at == end || candidate->anchor[at] == '"' || candidate->anchor[at] == '\'')
		return true;
	size_t name_end = at + lh_span_after(candidate, at, end - at, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT);
	return name_end > at && name_end < end &&
	       (candidate->anchor[name_end] == '=' || candidate->anchor[name_end] == ':');
}

/* Length of an unquoted value: "a=b&c=d", "a=b;c=d", "(a=b, c=d)". */
static size_t open_bytes(const struct lh_candidate *candidate, size_t at, size_t length)
{
	size_t bytes = 0;
	for (; (bytes += lh_span_until(candidate, at + bytes, at + length, "&;,")) < length; bytes++) {
		if (candidate->anchor[at + bytes] == '&' || separates_words(candidate, at + bytes + 1, at + length))
			break;
	}
	return bytes;
}

/* A value assigned to a name. */
struct given {
	size_t at;
	size_t length;
	bool is_open; /* neither in quotes nor an XML element */
	struct lh_assignment assignment;
};

/* "password: !vault hunter2" (YAML 1.2, section 6.9.1). */
static void skip_yaml_tag(const struct lh_candidate *candidate, struct given *given)
{
	size_t at = given->at + given->length, blanks = lh_span_after(candidate, at, 4, LH_BYTE_BLANK);
	size_t length = lh_span_after(candidate, at + blanks, VALUE_MAX, LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK);
	if (!blanks || !length)
		return;
	given->at = at + blanks;
	given->length = length;
}

/* The value of the name that ends at anchor + name_end; false: none, or a placeholder. */
static bool take_given(const struct lh_candidate *candidate, size_t name_end, struct given *ret)
{
	struct given given = {.at = name_end + bracket_bytes(candidate, name_end)};
	if (!lh_is_assigned(candidate, &given.at, &given.assignment) &&
	    !is_argument(candidate, &given.at, &given.assignment.is_colon))
		return false;
	size_t start = given.at;
	given.length =
		given.assignment.is_element
			? lh_element_bytes(candidate, &given.at, VALUE_MAX)
			: lh_value_bytes(candidate, &given.at, LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK, VALUE_MAX);
	given.is_open = given.at == start && !given.assignment.is_element;
	if (given.is_open && given.assignment.is_colon && lh_after_equals(candidate, given.at, "!"))
		skip_yaml_tag(candidate, &given);
	if (given.is_open)
		given.length = open_bytes(candidate, given.at, given.length);
	*ret = given;
	return given.length && !lh_is_placeholder(candidate->anchor + given.at, given.length);
}

static bool match_given(const struct lh_candidate *candidate, const struct given *given, struct lh_match *ret)
{
	*ret = (struct lh_match){.skipped = given->at, .length = given->length, .kind = candidate->form->kind};
	return true;
}

/* password1, password_confirmation and user[password] are names of fields, too. */
bool lh_rule_password(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct given given;
	size_t at = candidate->pattern_bytes;
	at += lh_span_after(candidate, at, 2, LH_BYTE_DIGIT);
	at += suffix_bytes(candidate, at, "_confirmation");
	return take_given(candidate, at, &given) &&
	       is_password(candidate, given.at, given.length, given.is_open, given.assignment.is_colon) &&
	       match_given(candidate, &given, ret);
}

/* "PWD=/srv/www" in an environment is the working directory (POSIX, section 8.3). */
bool lh_rule_pwd(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (!lh_rule_password(candidate, ret))
		return false;
	return memcmp(candidate->anchor, "PWD", 3) != 0 || !lh_after_is(candidate, ret->skipped, LH_BYTE_SLASH);
}

/* DBPASS, smtppass: named after the service or the user. */
static bool follows_service(const struct lh_candidate *candidate)
{
	static const char *const services[] = {"db",   "sql",  "mysql", "pg",   "mongo", "redis", "ldap", "smtp",
					       "mail", "imap", "pop",   "ftp",  "http",  "proxy", "user", "admin",
					       "root", "ssh",  "login", "auth", "wifi",  "my"};
	enum { SERVICE_MAX = 8 };
	size_t length = lh_span_before(candidate, SERVICE_MAX, LH_BYTES_ALPHA);
	for (size_t i = 0; i < LH_ARRAY_COUNT(services); i++) {
		if (strlen(services[i]) == length &&
		    strncasecmp((const char *)candidate->anchor - length, services[i], length) == 0)
			return true;
	}
	return false;
}

/* DB_PASS, dbPass, pass, DBPASS; not bypass, COMPASS, or the class name Event::Pass. */
static bool begins_word(const struct lh_candidate *candidate)
{
	bool is_camel =
		lh_byte_is(candidate->anchor[0], LH_BYTES_UPPER) && lh_byte_is(candidate->anchor[1], LH_BYTES_LOWER);
	if (candidate->bytes_before >= 2 && memcmp(candidate->anchor - 2, "::", 2) == 0)
		return false;
	return !lh_before_is(candidate, 1, is_camel ? LH_BYTES_UPPER : LH_BYTES_ALPHA) || follows_service(candidate);
}

/* "PASS: name of a test" begins a line of a report, as automake and DejaGnu write it. */
static bool is_report(const struct lh_candidate *candidate, const struct given *given)
{
	return given->is_open && given->assignment.is_colon && memcmp(candidate->anchor, "PASS", 4) == 0 &&
	       !lh_before_is(candidate, 1, LH_BYTES_LINE);
}

/* Whether the value is an identifier or a path that contains the same letters: "pass=url.password". */
static bool is_named_alike(const struct lh_candidate *candidate, const struct given *given, const char *letters)
{
	static const unsigned code_bytes = LH_BYTES_WORD | LH_BYTE_DOT;
	char text[64];
	size_t length = lh_min_u64(given->length, sizeof(text) - 1);
	memcpy(text, candidate->anchor + given->at, length);
	text[length] = '\0';
	return given->is_open && strcasestr(text, letters) &&
	       lh_span_after(candidate, given->at, given->length, code_bytes) == given->length;
}

/*
 * Source code and reports contain "pass", too: an unquoted value after blanks or a colon must contain more than
 * letters, or digits, and must not be an expression.
 */
bool lh_rule_pass(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct given given;
	if (!begins_word(candidate) || !take_given(candidate, strlen("pass"), &given) || given.length < PASSWORD_MIN ||
	    is_report(candidate, &given))
		return false;
	const uint8_t *value = candidate->anchor + given.at;
	struct mixture mixture = password_mixture_of(value, given.length);
	if (!(mixture.digits + mixture.lower + mixture.upper))
		return false;
	bool is_mixed = mixture.digits && mixture.lower + mixture.upper;
	bool is_word = lh_span_after(candidate, given.at, given.length, LH_BYTES_WORD) == given.length;
	bool is_spaced =
		given.assignment.is_colon || given.assignment.is_spaced || lh_before_is(candidate, 1, LH_BYTE_DASH);
	bool is_code = memchr(value, '(', given.length) || is_nothing(value, given.length) ||
		       (is_spaced && !(is_mixed && is_word)) || is_named_alike(candidate, &given, "pass");
	if (given.is_open ? is_code : !is_mixed && memchr(value, ' ', given.length))
		return false;
	return match_given(candidate, &given, ret);
}

bool lh_rule_key(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct given given;
	return take_given(candidate, candidate->pattern_bytes, &given) &&
	       is_key_word(candidate, given.at, given.length, given.is_open) && match_given(candidate, &given, ret);
}

/* In source code, the value of private_key is often a type or a name that repeats it: "private_key: RSAPrivateKey". */
bool lh_rule_crypto_key(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct given given;
	return take_given(candidate, candidate->pattern_bytes, &given) &&
	       is_key_word(candidate, given.at, given.length, given.is_open) &&
	       !is_named_alike(candidate, &given, "key") && match_given(candidate, &given, ret);
}

/* "secret" also begins secretkey, secret_key, secret-key, secret_key_base and secret_access_key. */
bool lh_rule_secret(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct given given;
	size_t at = candidate->pattern_bytes;
	size_t separator = lh_after_is(candidate, at, LH_BYTE_UNDERSCORE | LH_BYTE_DASH);
	size_t key = suffix_bytes(candidate, at + separator, "key");
	at += key ? separator + key : 0;
	at += key ? suffix_bytes(candidate, at, "_base") : 0;
	return take_given(candidate, at, &given) && is_key_word(candidate, given.at, given.length, given.is_open) &&
	       match_given(candidate, &given, ret);
}

/* "auth": "dXNlcjpwYXNzd29yZA==", as in ~/.docker/config.json. */
bool lh_rule_auth(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct given given;
	return take_given(candidate, strlen("auth"), &given) &&
	       lh_is_basic(candidate->anchor + given.at, given.length) && match_given(candidate, &given, ret);
}

const struct lh_recognizer lh_recognize_password = {
	.name = "password",
	.title = "passwords and keys by name",
	.is_secret = true,
	.set = LH_PATTERNS_WORDS,
	.forms = lh_password_forms,
	.validate = lh_secret_form_validate,
	.kinds = kinds,
};
