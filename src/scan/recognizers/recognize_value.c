/*
 * recognize_value: how forms, configuration, source code and JSON assign a value to a name, also in JSON within a JSON
 * string; and placeholders for values.
 */
#include "scan/recognize/recognize.h"

#include <openssl/evp.h>
#include <string.h>

enum { BLANKS_MAX = 16, BACKSLASHES_MAX = 15, TAG_MAX = 256, BASIC_MAX = 1024 };

static bool is_quote(uint8_t byte)
{
	return byte == '"' || byte == '\'';
}

static size_t backslashes_after(const struct lh_candidate *candidate, size_t offset)
{
	size_t count = 0;
	while (count < BACKSLASHES_MAX && lh_after_equals(candidate, offset + count, "\\"))
		count++;
	return count;
}

/* Length of the quote at `offset` with its backslashes; 0: there is none. */
static size_t quote_bytes(const struct lh_candidate *candidate, size_t offset)
{
	size_t backslashes = backslashes_after(candidate, offset);
	size_t at = offset + backslashes;
	return at < candidate->bytes_after && is_quote(candidate->anchor[at]) ? backslashes + 1 : 0;
}

/* ---------------------------------------------------------------- XML */

/* Moves *offset, behind a name, to the text of the element <name> or <name attribute="x">. */
static bool take_element(const struct lh_candidate *candidate, size_t *offset)
{
	size_t name = lh_span_before(candidate, TAG_MAX, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT | LH_BYTE_URL_REST);
	size_t end = *offset, tag_end;
	if (!lh_before_is(candidate, name + 1, LH_BYTE_TEXT_REST) || *(candidate->anchor - name - 1) != '<')
		return false;
	if (!lh_after_equals(candidate, end, ">") && !lh_after_is(candidate, end, LH_BYTE_BLANK))
		return false;
	if (!lh_find_after(candidate, end, end + TAG_MAX, ">", &tag_end) || candidate->anchor[tag_end - 1] == '/')
		return false;
	*offset = tag_end + 1;
	return true;
}

/* Bytes of the name that precede the anchor: 3 of DB_ in DB_PASS. */
static size_t name_bytes_before(const struct lh_candidate *candidate)
{
	return lh_span_before(candidate, TAG_MAX, LH_BYTES_WORD | LH_BYTE_DASH | LH_BYTE_DOT);
}

/* `text` ends `distance` bytes before the anchor. */
static bool precedes_value(const struct lh_candidate *candidate, size_t distance, const char *text)
{
	size_t length = strlen(text);
	return distance + length <= candidate->bytes_before &&
	       memcmp(candidate->anchor - distance - length, text, length) == 0;
}

/* <label for="password">: the text is what people read. */
static bool is_label(const struct lh_candidate *candidate)
{
	return precedes_value(candidate, name_bytes_before(candidate) + 1, "for=");
}

/* ok ? "PASS" : "FAIL": the name is a value. */
static bool is_alternative(const struct lh_candidate *candidate)
{
	size_t before = name_bytes_before(candidate), blanks = 0;
	if (before >= candidate->bytes_before || !is_quote(*(candidate->anchor - before - 1)))
		return false;
	for (before++; precedes_value(candidate, before, "\\"); before++)
		;
	while (blanks < BLANKS_MAX && lh_before_is(candidate, before + blanks + 1, LH_BYTE_BLANK))
		blanks++;
	return precedes_value(candidate, before + blanks, "?");
}

/* The same, of a property list: <key>name</key> <string>. */
static bool take_property(const struct lh_candidate *candidate, size_t *offset)
{
	if (!lh_after_equals(candidate, *offset, "</key>"))
		return false;
	size_t at = *offset + strlen("</key>");
	at += lh_span_after(candidate, at, TAG_MAX, LH_BYTE_BLANK | LH_BYTE_BREAK);
	if (!lh_after_equals(candidate, at, "<string>"))
		return false;
	*offset = at + strlen("<string>");
	return true;
}

/* And behind the quote of name="name": >, or value=. */
static bool take_attribute(const struct lh_candidate *candidate, size_t *offset, bool *ret_is_element)
{
	size_t at = *offset + lh_span_after(candidate, *offset, BLANKS_MAX, LH_BYTE_BLANK | LH_BYTE_BREAK);
	*ret_is_element = lh_after_equals(candidate, *offset, ">") && !is_label(candidate);
	bool is_value =
		at > *offset && (lh_after_equals(candidate, at, "value=") || lh_after_equals(candidate, at, "Value="));
	if (!*ret_is_element && !is_value)
		return false;
	*offset = *ret_is_element ? *offset + 1 : at + strlen("value=");
	return true;
}

size_t lh_element_bytes(const struct lh_candidate *candidate, size_t *offset, size_t max)
{
	static const char cdata[] = "<![CDATA[";
	size_t end;
	bool is_cdata = lh_after_equals(candidate, *offset, cdata);
	*offset += is_cdata ? strlen(cdata) : 0;
	size_t length = lh_span_after(candidate, *offset, max, LH_BYTES_LINE);
	if (!lh_find_after(candidate, *offset, *offset + length, is_cdata ? "]]>" : "<", &end))
		return 0;
	return is_cdata || lh_after_equals(candidate, end, "</") ? end - *offset : 0;
}

/* ---------------------------------------------------------------- text */

bool lh_is_assigned(const struct lh_candidate *candidate, size_t *offset, struct lh_assignment *ret)
{
	size_t at = *offset;
	size_t quote = quote_bytes(candidate, at);
	at += quote;
	*ret = (struct lh_assignment){0};
	if (quote && lh_after_equals(candidate, at, "\r\n\r\n")) {
		*offset = at + strlen("\r\n\r\n");
		return true;
	}
	if (quote ? take_attribute(candidate, &at, &ret->is_element)
		  : (ret->is_element = take_element(candidate, &at) || take_property(candidate, &at))) {
		*offset = at;
		return true;
	}
	size_t blanks = lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	at += blanks;
	bool is_pair = lh_after_equals(candidate, at, "=>") || lh_after_equals(candidate, at, ":=");
	bool is_equals = lh_after_equals(candidate, at, "=") && !lh_after_equals(candidate, at, "==");
	bool is_colon = lh_after_equals(candidate, at, ":") && (quote || !blanks);
	if ((!is_pair && !is_equals && !is_colon) || (is_colon && quote && is_alternative(candidate)))
		return false;
	at += is_pair ? 2 : 1;
	ret->is_colon = is_colon && !is_pair && !quote;
	*offset = at + lh_span_after(candidate, at, BLANKS_MAX, LH_BYTE_BLANK);
	ret->is_spaced = *offset > at;
	return true;
}

/* Length of the next character of a value: one byte of `classes`, or UTF-8; 0: neither. */
static size_t character_bytes(const struct lh_candidate *candidate, size_t offset, unsigned classes)
{
	uint32_t character;
	if (offset >= candidate->bytes_after)
		return 0;
	const uint8_t *at = candidate->anchor + offset;
	return *at < 0x80 ? lh_byte_is(*at, classes) : lh_utf8_decode(at, candidate->bytes_after - offset, &character);
}

/* A quote that closes a value. */
struct closing {
	uint8_t quote;      /* 0: none */
	size_t backslashes; /* before the quote: 0, 1, 3, 7 ... by the depth of strings within strings */
};

/*
 * Whether a quote at `offset` closes the value; *ret is then the rest of the value, else the number of bytes that
 * belong to it. Each level of strings in strings doubles backslashes: \\" closes a string, \" does not, \" closes one
 * that began with \".
 */
static bool ends_value(const struct lh_candidate *candidate, size_t offset, struct closing closing, size_t *ret)
{
	size_t backslashes = backslashes_after(candidate, offset), at = offset + backslashes;
	bool is_same = at < candidate->bytes_after && candidate->anchor[at] == closing.quote;
	bool is_end = is_same && backslashes % (2 * (closing.backslashes + 1)) == closing.backslashes;
	*ret = is_end ? backslashes - closing.backslashes : backslashes + (backslashes && is_same);
	return is_end;
}

static size_t value_bytes(const struct lh_candidate *candidate, size_t offset, unsigned classes, size_t max,
			  struct closing closing)
{
	size_t at = offset, bytes, inside = 0;
	while (at - offset < max && (bytes = character_bytes(candidate, at, classes))) {
		if (closing.quote && ends_value(candidate, at, closing, &inside)) {
			at += inside;
			break;
		}
		at += closing.quote && inside ? inside : bytes;
	}
	at = lh_min_u64(at, candidate->bytes_after);
	*candidate->examined += at - offset;
	return at - offset;
}

/* The quote before the anchor. */
static struct closing closing_before(const struct lh_candidate *candidate)
{
	struct closing closing = {0};
	if (!candidate->bytes_before || !is_quote(*(candidate->anchor - 1)))
		return closing;
	closing.quote = *(candidate->anchor - 1);
	while (closing.backslashes < BACKSLASHES_MAX && closing.backslashes + 1 < candidate->bytes_before &&
	       *(candidate->anchor - 2 - closing.backslashes) == '\\')
		closing.backslashes++;
	return closing;
}

size_t lh_value_bytes(const struct lh_candidate *candidate, size_t *offset, unsigned classes, size_t max)
{
	size_t quote = quote_bytes(candidate, *offset);
	*offset += quote;
	if (!quote)
		return value_bytes(candidate, *offset, classes, max, closing_before(candidate));
	struct closing closing = {candidate->anchor[*offset - 1], quote - 1};
	return value_bytes(candidate, *offset, LH_BYTES_LINE, max, closing);
}

bool lh_is_basic(const uint8_t *value, size_t length)
{
	uint8_t text[BASIC_MAX / 4 * 3];
	length = lh_min_u64(length, BASIC_MAX) / 4 * 4;
	int decoded = length ? EVP_DecodeBlock(text, value, (int)length) : 0;
	size_t bytes = decoded > 0 ? (size_t)decoded : 0, at = 0;
	for (size_t i = length; i && bytes && value[i - 1] == '='; i--)
		bytes--;
	while (at < bytes && lh_byte_is(text[at], LH_BYTES_LINE))
		at++;
	return at == bytes && bytes > 2 && memchr(text + 1, ':', bytes - 2);
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
