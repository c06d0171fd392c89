/*
 * recognize_login: passwords in logins: arguments of commands (secret_command.c), SQL statements for users, SASL (RFC
 * 4616), IMAP, POP3 and FTP, ~/.netrc, ~/.pgpass, and directives of configuration files. Secret: counted, and masked.
 * The forms are in secret_forms.c.
 */
#include "secret_forms.h"

#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 1024, LINE_MAX = 2048, BLANKS_MAX = 16 };

#define VISIBLE (LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK)

static const char *const kinds[] = {
	[LH_LOGIN_COMMAND] = "commands",
	[LH_LOGIN_SQL] = "SQL",
	[LH_LOGIN_MAIL] = "SMTP, IMAP, POP3, FTP",
	[LH_LOGIN_FILE] = "netrc, pgpass, directives",
	NULL,
};

static bool match_clause_bytes(const struct lh_candidate *candidate, size_t at, size_t length, struct lh_match *ret)
{
	*ret = (struct lh_match){.skipped = at, .length = length, .kind = candidate->form->kind};
	return length && !lh_is_placeholder(candidate->anchor + at, length);
}

static size_t skip_login_blanks(const struct lh_candidate *candidate, size_t at)
{
	return at + lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
}

/* Whether the anchor is the first byte of a line, or of a text. */
static bool begins_line(const struct lh_candidate *candidate)
{
	return !lh_before_is(candidate, 1, LH_BYTES_LINE);
}

/* ---------------------------------------------------------------- SQL */

/* Whether the word is at `at`, in any case; moves `at` past it and the blanks that follow. */
static bool take_login_word(const struct lh_candidate *candidate, size_t *at, const char *word)
{
	size_t length = strlen(word);
	if (*at + length > candidate->bytes_after ||
	    strncasecmp((const char *)candidate->anchor + *at, word, length) != 0 ||
	    lh_after_is(candidate, *at + length, LH_BYTES_WORD))
		return false;
	*at = skip_login_blanks(candidate, *at + length);
	return true;
}

/* Whether the line has CREATE or ALTER, and USER or ROLE, before the anchor. */
static bool follows_role_statement(const struct lh_candidate *candidate)
{
	enum { CONTEXT_BYTES = 128 };
	static const char *const statements[] = {"create user ", "create role ", "alter user ", "alter role "};
	size_t before = lh_span_before(candidate, CONTEXT_BYTES, LH_BYTES_LINE);
	char text[CONTEXT_BYTES + 1];
	*candidate->examined += before;
	memcpy(text, candidate->anchor - before, before);
	text[before] = '\0';
	for (size_t i = 0; i < LH_ARRAY_COUNT(statements); i++) {
		if (strcasestr(text, statements[i]))
			return true;
	}
	return false;
}

/* A quoted string, possibly in parentheses. */
static bool match_string(const struct lh_candidate *candidate, size_t at, struct lh_match *ret)
{
	at = skip_login_blanks(candidate, at + lh_after_equals(candidate, at, "("));
	size_t start = at, length = lh_value_bytes(candidate, &at, LH_BYTES_WORD, VALUE_MAX);
	return at > start && match_clause_bytes(candidate, at, length, ret);
}

/* WITH ENCRYPTED PASSWORD 'x'. */
bool lh_rule_clause(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return !lh_before_is(candidate, 1, LH_BYTES_WORD) &&
	       match_string(candidate, skip_login_blanks(candidate, candidate->pattern_bytes), ret);
}

/*
 * IDENTIFIED BY 'x', IDENTIFIED WITH plugin AS 'x', IDENTIFIED BY PASSWORD 'x'; prose takes double quotes. Oracle's
 * passwords need no quotes.
 */
bool lh_rule_identified(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = candidate->pattern_bytes;
	if (take_login_word(candidate, &at, "WITH"))
		at = skip_login_blanks(candidate, at + lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_WORD));
	if (!take_login_word(candidate, &at, "BY") && !take_login_word(candidate, &at, "AS"))
		return false;
	(void)take_login_word(candidate, &at, "PASSWORD");
	bool is_prose = lh_after_equals(candidate, at, "\"") && lh_after_is(candidate, 0, LH_BYTES_LOWER);
	if (is_prose)
		return false;
	if (match_string(candidate, at, ret))
		return true;
	size_t word = lh_span_after(candidate, at, VALUE_MAX, VISIBLE);
	size_t length = lh_span_until(candidate, at, at + word, ";,)");
	return follows_role_statement(candidate) && match_clause_bytes(candidate, at, length, ret);
}

/* PASSWORD('x'): the quote is the last byte of the pattern. */
bool lh_rule_quoted(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return !lh_before_is(candidate, 1, LH_BYTES_WORD) && match_string(candidate, candidate->pattern_bytes - 1, ret);
}

/* ALTER USER joe SUPERUSER PASSWORD 'x'; prose, too, has quoted words after PASSWORD. */
bool lh_rule_role_password(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return follows_role_statement(candidate) && match_string(candidate, candidate->pattern_bytes - 1, ret);
}

/* ---------------------------------------------------------------- mail */

/*
 * AUTH PLAIN and AUTHENTICATE PLAIN with an initial response, and other mechanisms whose responses contain the
 * password.
 */
bool lh_rule_sasl(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { RESPONSE_MIN = 8 };
	size_t at = candidate->pattern_bytes;
	size_t length = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_BASE64);
	size_t word = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_LOWER);
	while (lh_after_equals(candidate, at + length, "="))
		length++;
	return length >= RESPONSE_MIN && length % 4 == 0 && word < length &&
	       match_clause_bytes(candidate, at, length, ret);
}

/* "a1 LOGIN user password" in a line of its own (RFC 9051 section 6.2.3); the tag has a digit, as in all clients. */
bool lh_rule_imap(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { TAG_MAX = 16 };
	size_t tag = lh_span_before(candidate, TAG_MAX + 1, LH_BYTES_ALNUM | LH_BYTE_DOT);
	bool has_digit = false;
	for (size_t i = 1; i <= tag; i++)
		has_digit |= lh_before_is(candidate, i, LH_BYTE_DIGIT);
	if (!has_digit || tag > TAG_MAX || lh_before_is(candidate, tag + 1, LH_BYTES_LINE))
		return false;
	size_t at = candidate->pattern_bytes, user = at;
	size_t length = lh_value_bytes(candidate, &at, VISIBLE, VALUE_MAX);
	size_t blank = at + length + (at > user);
	at = blank + 1;
	if (!length || !lh_after_is(candidate, blank, LH_BYTE_BLANK) || strchr("-\\", candidate->anchor[user]))
		return false;
	size_t open = at;
	length = lh_value_bytes(candidate, &at, VISIBLE, VALUE_MAX);
	return !lh_after_is(candidate, at + length + (at > open), LH_BYTES_LINE) &&
	       match_clause_bytes(candidate, at, length, ret);
}

/* Whether "USER joe" begins a line, or a text, shortly before. */
static bool follows_user(const struct lh_candidate *candidate)
{
	enum { CONTEXT_BYTES = 512 };
	static const char user[] = "USER ";
	size_t before = lh_min_u64(candidate->bytes_before, CONTEXT_BYTES);
	const uint8_t *start = candidate->anchor - before;
	*candidate->examined += before;
	for (const uint8_t *at = start; (at = memmem(at, (size_t)(candidate->anchor - at), user, strlen(user))); at++) {
		if (at == candidate->anchor - candidate->bytes_before || !lh_byte_is(at[-1], LH_BYTES_LINE))
			return true;
	}
	return false;
}

/*
 * "PASS password" (RFC 1939 section 7, RFC 959), alone in a line that ends in CR LF; after USER, also with another line
 * end.
 */
bool lh_rule_pop(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = candidate->pattern_bytes;
	size_t length = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_LINE);
	size_t end = at + length;
	bool is_text = end >= candidate->bytes_after || !candidate->anchor[end] || candidate->anchor[end] == '\n';
	return begins_line(candidate) &&
	       (lh_after_equals(candidate, end, "\r\n") || (is_text && follows_user(candidate))) &&
	       match_clause_bytes(candidate, at, length, ret);
}

/* ---------------------------------------------------------------- files */

/*
 * "machine host login user password x", in any order, separated by blanks or line breaks (ftp(1), curl's netrc.c). In
 * the middle of a line only if the host has a dot, since "machine" is also a word.
 */
bool lh_rule_netrc(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { PAIRS_MAX = 4, PORT_BYTES = 4 };
	static const unsigned spaces = LH_BYTE_BLANK | LH_BYTE_BREAK;
	size_t at = candidate->pattern_bytes;
	bool is_default = lh_after_equals(candidate, 0, "default");
	size_t host = is_default ? 0 : lh_span_after(candidate, at, VALUE_MAX, VISIBLE);
	if (!is_default && !begins_line(candidate) && !memchr(candidate->anchor + at, '.', host))
		return false;
	at = is_default ? strlen("default") : at + host;
	for (unsigned pair = 0; pair < PAIRS_MAX; pair++) {
		at += lh_span_after(candidate, at, VALUE_MAX, spaces);
		size_t name = at, name_bytes = lh_span_after(candidate, at, VALUE_MAX, LH_BYTES_LOWER);
		at += name_bytes + lh_span_after(candidate, name + name_bytes, VALUE_MAX, spaces);
		size_t quote = at, value_bytes = lh_value_bytes(candidate, &at, VISIBLE, VALUE_MAX);
		if (lh_after_equals(candidate, name, "password"))
			return quote > name + name_bytes && match_clause_bytes(candidate, at, value_bytes, ret);
		if (!lh_after_equals(candidate, name, "login") && !lh_after_equals(candidate, name, "account") &&
		    !lh_after_equals(candidate, name, "port"))
			return false;
		at += value_bytes + (at > quote);
	}
	return false;
}

/* "host:port:database:user:password" alone in a line (libpq, section 34.16); the pattern is the port or the database.
 */
bool lh_rule_pgpass(const struct lh_candidate *candidate, struct lh_match *ret)
{
	enum { HOST_MAX = 128, FIELDS = 5 };
	static const unsigned field_bytes = VISIBLE;
	size_t before = lh_span_before(candidate, HOST_MAX,
				       LH_BYTES_HOST | LH_BYTE_SLASH | LH_BYTE_UNDERSCORE | LH_BYTE_URL_REST);
	size_t colons = 0, at = 0, line = lh_span_after(candidate, 0, VALUE_MAX, field_bytes);
	for (size_t i = 1; i <= before; i++)
		colons += *(candidate->anchor - i) == ':';
	if (!before || colons > 1 || lh_before_is(candidate, before + 1, LH_BYTES_LINE) ||
	    lh_after_is(candidate, line, LH_BYTE_BLANK))
		return false;
	while (at < line && (colons += candidate->anchor[at] == ':') < FIELDS - 1)
		at++;
	/* "*:*" is not a password: a CPE name has more fields. */
	return colons == FIELDS - 1 && candidate->anchor[at - 1] != ':' && !lh_after_equals(candidate, at, ":*:") &&
	       !memchr(candidate->anchor, '/', at) &&
	       match_clause_bytes(candidate, at + 1, line - lh_min_u64(line, at + 1), ret);
}

/* "requirepass x" in a line of its own. */
bool lh_rule_directive(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t at = skip_login_blanks(candidate, candidate->pattern_bytes);
	size_t length = lh_value_bytes(candidate, &at, VISIBLE, VALUE_MAX);
	return begins_line(candidate) && length >= 4 && !lh_after_is(candidate, at + length, LH_BYTE_BLANK) &&
	       match_clause_bytes(candidate, at, length, ret);
}

const struct lh_recognizer lh_recognize_login = {
	.name = "login",
	.title = "passwords in commands, SQL, mail, netrc",
	.is_secret = true,
	.set = LH_PATTERNS_BINARY,
	.forms = lh_login_forms,
	.validate = lh_secret_form_validate,
	.kinds = kinds,
};
