/*
 * recognize_value: how a name is given a value in forms, configuration, source code and JSON, also in JSON that is
 * a string of JSON; and what is put where a value is to come.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { BLANKS_MAX = 16 };

static bool is_quote(uint8_t byte)
{
	return byte == '"' || byte == '\'';
}

/* Of the quote at `offset`, with its backslash; 0: there is none. */
static size_t quote_bytes(const struct lh_candidate *candidate, size_t offset)
{
	size_t backslash = lh_after_equals(candidate, offset, "\\");
	size_t at = offset + backslash;
	return at < candidate->bytes_after && is_quote(candidate->anchor[at]) ? backslash + 1 : 0;
}

bool lh_is_assigned(const struct lh_candidate *candidate, size_t *offset, bool *ret_is_colon)
{
	size_t at = *offset;
	size_t quote = quote_bytes(candidate, at);
	at += quote;
	*ret_is_colon = false;
	if (quote && lh_after_equals(candidate, at, "\r\n\r\n")) {
		*offset = at + strlen("\r\n\r\n");
		return true;
	}
	size_t blanks = lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	at += blanks;
	bool is_pair = lh_after_equals(candidate, at, "=>") || lh_after_equals(candidate, at, ":=");
	bool is_equals = lh_after_equals(candidate, at, "=") && !lh_after_equals(candidate, at, "==");
	bool is_colon = lh_after_equals(candidate, at, ":") && (quote || !blanks);
	if (!is_pair && !is_equals && !is_colon)
		return false;
	at += is_pair ? 2 : 1;
	*ret_is_colon = is_colon && !is_pair && !quote;
	*offset = at + lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	return true;
}

/* Of the character of a value: one byte of `classes`, or UTF-8; 0: neither. */
static size_t character_bytes(const struct lh_candidate *candidate, size_t offset, unsigned classes)
{
	uint32_t character;
	if (offset >= candidate->bytes_after)
		return 0;
	const uint8_t *at = candidate->anchor + offset;
	return *at < 0x80 ? lh_byte_is(*at, classes) : lh_utf8_decode(at, candidate->bytes_after - offset, &character);
}

/* Up to the quote `stop` (0: there is none), which ends it as it began it: behind a backslash, or not. */
static size_t value_bytes(const struct lh_candidate *candidate, size_t offset, unsigned classes, size_t max,
			  uint8_t stop, bool is_escaped)
{
	size_t at = offset, bytes;
	while (at - offset < max && (bytes = character_bytes(candidate, at, classes))) {
		size_t quote = stop ? quote_bytes(candidate, at) : 0;
		bool is_stop = quote && candidate->anchor[at + quote - 1] == stop;
		if (is_stop && (quote == 2) == is_escaped)
			break;
		bool is_pair = stop && lh_after_equals(candidate, at, "\\") &&
			       character_bytes(candidate, at + 1, LH_BYTES_LINE) == 1;
		at += is_pair ? 2 : bytes;
	}
	*candidate->examined += at - offset;
	return at - offset;
}

size_t lh_value_bytes(const struct lh_candidate *candidate, size_t *offset, unsigned classes, size_t max)
{
	size_t quote = quote_bytes(candidate, *offset);
	bool is_inside = candidate->bytes_before && is_quote(*(candidate->anchor - 1));
	*offset += quote;
	if (quote)
		return value_bytes(candidate, *offset, LH_BYTES_LINE, max, candidate->anchor[*offset - 1], quote == 2);
	return value_bytes(candidate, *offset, classes, max, is_inside ? *(candidate->anchor - 1) : 0, false);
}

bool lh_is_placeholder(const uint8_t *value, size_t length)
{
	size_t stars = 0;
	while (stars < length && value[stars] == '*')
		stars++;
	if (stars == length)
		return true;
	uint8_t next = length > 1 ? value[1] : 0;
	switch (value[0]) {
	case '%': /* "%s", "%(name)s"; "%d0%bf" is a character in a URL */
		return next == 's' || next == '(' ||
		       (next == 'd' && !(length > 2 && lh_byte_is(value[2], LH_BYTES_HEX)));
	case '$':
		return next == '{' || next == '(';
	case '{': { /* "{name}", the beginning of an object; "{SSHA}hash" is a value */
		const uint8_t *closing = memchr(value, '}', length);
		return !closing || closing == value + length - 1;
	}
	case '<':
		return lh_byte_is(next, LH_BYTES_ALPHA) || memchr(value, '>', length);
	default:
		return false;
	}
}
