/*
 * json_pull: takes JSON apart from left to right. Input: hostile bytes. Output: what the caller asks for; what it
 * does not, is checked and passed over. No allocation, but for strings with escapes.
 */
#include "leakhunt/json_pull.h"
#include "escaped.h"

#include "leakhunt/json.h"

#include <stdlib.h>

enum { DEPTH_MAX = 32, NUMBER_MAX = 64 };

static bool fail_json_pull(struct lh_json_pull *pull)
{
	pull->failed = true;
	pull->at = pull->end;
	return false;
}

static char peek_byte(struct lh_json_pull *pull)
{
	while (pull->at < pull->end &&
	       (*pull->at == ' ' || *pull->at == '\t' || *pull->at == '\n' || *pull->at == '\r'))
		pull->at++;
	return (char)(pull->at < pull->end ? *pull->at : '\0');
}

static bool take_json_pull(struct lh_json_pull *pull, char byte)
{
	if (peek_byte(pull) != byte || pull->at == pull->end)
		return false;
	pull->at++;
	return true;
}

/* ---------------------------------------------------------------- strings */

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* After a backslash (RFC 8259, 7). How many bytes follow it, or 0. */
static size_t escape_length(const char *at, const char *end)
{
	if (at == end || !*at || !strchr("\"\\/bfnrtu", *at))
		return 0;
	if (*at != 'u')
		return 1;
	for (size_t i = 1; i <= 4; i++) {
		if (at + i >= end || hex_digit(at[i]) < 0)
			return 0;
	}
	return 5;
}

/* Control characters must be escaped. */
static bool take_string(struct lh_json_pull *pull, struct lh_json_span *ret)
{
	if (!take_json_pull(pull, '"'))
		return fail_json_pull(pull);
	const char *at = pull->at;
	for (; at < pull->end && *at != '"' && (uint8_t)*at >= 0x20; at++) {
		size_t escaped = *at == '\\' ? escape_length(at + 1, pull->end) : 0;
		if (*at == '\\' && !escaped)
			return fail_json_pull(pull);
		at += escaped;
	}
	if (at >= pull->end || *at != '"')
		return fail_json_pull(pull);
	*ret = (struct lh_json_span){pull->at, (size_t)(at - pull->at)};
	pull->at = at + 1;
	return true;
}

bool lh_json_pull_string(struct lh_json_pull *pull, struct lh_json_span *ret)
{
	if (peek_byte(pull) == '"')
		return take_string(pull, ret);
	lh_json_pull_skip(pull);
	return false;
}

static bool is_plain(struct lh_json_span span)
{
	for (size_t i = 0; i < span.length; i++) {
		if (span.text[i] == '\\' || (uint8_t)span.text[i] >= 0x80)
			return false;
	}
	return true;
}

bool lh_json_span_text(struct lh_json_span span, struct lh_buffer *ret)
{
	if (is_plain(span)) {
		lh_buffer_append(ret, span.text, span.length);
		return true;
	}
	/* With its quotes it is a JSON text of its own. */
	json_t *string = json_loadb(span.text - 1, span.length + 2, JSON_DECODE_ANY, NULL);
	bool is_good = json_is_string(string);
	if (is_good)
		lh_buffer_unescape(ret, json_string_value(string), json_string_length(string));
	json_decref(string);
	return is_good;
}

bool lh_json_pull_address(struct lh_json_pull *pull, uint64_t *ret)
{
	struct lh_json_span span;
	uint64_t value = 0;
	if (!lh_json_pull_string(pull, &span) || span.length < 3 || span.length > 18 || span.text[0] != '0' ||
	    span.text[1] != 'x')
		return false;
	for (size_t i = 2; i < span.length; i++) {
		int digit = hex_digit(span.text[i]);
		if (digit < 0)
			return false;
		value = value << 4 | (uint64_t)digit;
	}
	*ret = value;
	return true;
}

/* ---------------------------------------------------------------- numbers and words */

static bool is_digit(const struct lh_json_pull *pull)
{
	return pull->at < pull->end && *pull->at >= '0' && *pull->at <= '9';
}

static bool take_digits(struct lh_json_pull *pull)
{
	if (!is_digit(pull))
		return fail_json_pull(pull);
	while (is_digit(pull))
		pull->at++;
	return true;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool take_json_pull_number(struct lh_json_pull *pull, struct lh_json_span *ret, bool *ret_is_integer)
{
	const char *start = pull->at;
	*ret_is_integer = true;
	pull->at += *pull->at == '-';
	bool has_leading_zero =
		pull->at + 1 < pull->end && pull->at[0] == '0' && pull->at[1] >= '0' && pull->at[1] <= '9';
	if (has_leading_zero || !take_digits(pull))
		return fail_json_pull(pull);
	if (pull->at < pull->end && *pull->at == '.') {
		*ret_is_integer = false;
		pull->at++;
		if (!take_digits(pull))
			return false;
	}
	if (pull->at < pull->end && (*pull->at | 0x20) == 'e') {
		*ret_is_integer = false;
		pull->at++;
		pull->at += pull->at < pull->end && (*pull->at == '+' || *pull->at == '-');
		if (!take_digits(pull))
			return false;
	}
	*ret = (struct lh_json_span){start, (size_t)(pull->at - start)};
	return true;
}

static bool begins_number(char byte)
{
	return byte == '-' || (byte >= '0' && byte <= '9');
}

bool lh_json_pull_u64(struct lh_json_pull *pull, uint64_t *ret)
{
	struct lh_json_span number;
	bool is_integer;
	uint64_t value = 0;
	if (!begins_number(peek_byte(pull))) {
		lh_json_pull_skip(pull);
		return false;
	}
	/* 19 digits: INT64_MAX has as many. */
	if (!take_json_pull_number(pull, &number, &is_integer) || !is_integer || *number.text == '-' ||
	    number.length > 19)
		return false;
	for (size_t i = 0; i < number.length; i++)
		value = value * 10 + (uint64_t)(number.text[i] - '0');
	if (value > INT64_MAX)
		return false;
	*ret = value;
	return true;
}

bool lh_json_pull_double(struct lh_json_pull *pull, double *ret)
{
	struct lh_json_span number;
	char text[NUMBER_MAX];
	bool is_integer;
	if (!begins_number(peek_byte(pull))) {
		lh_json_pull_skip(pull);
		return false;
	}
	if (!take_json_pull_number(pull, &number, &is_integer) || number.length >= sizeof(text))
		return false;
	memcpy(text, number.text, number.length);
	text[number.length] = '\0';
	*ret = strtod(text, NULL);
	return true;
}

static bool take_word(struct lh_json_pull *pull, const char *word)
{
	size_t length = strlen(word);
	if ((size_t)(pull->end - pull->at) < length || memcmp(pull->at, word, length) != 0)
		return fail_json_pull(pull);
	pull->at += length;
	return true;
}

bool lh_json_pull_bool(struct lh_json_pull *pull, bool *ret)
{
	char first = peek_byte(pull);
	if (first != 't' && first != 'f') {
		lh_json_pull_skip(pull);
		return false;
	}
	if (!take_word(pull, first == 't' ? "true" : "false"))
		return false;
	*ret = first == 't';
	return true;
}

/* ---------------------------------------------------------------- objects and arrays */

bool lh_json_pull_object(struct lh_json_pull *pull)
{
	if (take_json_pull(pull, '{'))
		return true;
	lh_json_pull_skip(pull);
	return false;
}

bool lh_json_pull_array(struct lh_json_pull *pull)
{
	if (take_json_pull(pull, '['))
		return true;
	lh_json_pull_skip(pull);
	return false;
}

static bool next_member(struct lh_json_pull *pull, bool *is_first, char close)
{
	bool was_first = *is_first;
	*is_first = false;
	if (pull->failed || take_json_pull(pull, close))
		return false;
	return was_first || take_json_pull(pull, ',') || fail_json_pull(pull);
}

bool lh_json_pull_member(struct lh_json_pull *pull, bool *is_first, struct lh_json_span *ret_key)
{
	return next_member(pull, is_first, '}') && take_string(pull, ret_key) &&
	       (take_json_pull(pull, ':') || fail_json_pull(pull));
}

bool lh_json_pull_item(struct lh_json_pull *pull, bool *is_first)
{
	return next_member(pull, is_first, ']');
}

static void skip_json_pull(struct lh_json_pull *pull, int depth);

static void skip_inside(struct lh_json_pull *pull, bool is_object, int depth)
{
	struct lh_json_span key;
	pull->at++;
	for (bool is_first = true;
	     is_object ? lh_json_pull_member(pull, &is_first, &key) : lh_json_pull_item(pull, &is_first);)
		skip_json_pull(pull, depth + 1);
}

static void skip_json_pull(struct lh_json_pull *pull, int depth)
{
	char first = peek_byte(pull);
	struct lh_json_span span;
	bool is_integer;
	if (depth > DEPTH_MAX)
		fail_json_pull(pull);
	else if (first == '{' || first == '[')
		skip_inside(pull, first == '{', depth);
	else if (first == '"')
		take_string(pull, &span);
	else if (begins_number(first))
		take_json_pull_number(pull, &span, &is_integer);
	else
		take_word(pull, first == 't' ? "true" : first == 'f' ? "false" : "null");
}

void lh_json_pull_skip(struct lh_json_pull *pull)
{
	skip_json_pull(pull, 0);
}

bool lh_json_pull_is_done(struct lh_json_pull *pull)
{
	return peek_byte(pull) == '\0' && pull->at == pull->end && !pull->failed;
}
