/*
 * recognize_walk: classes of bytes, and bounded walks around a candidate. Every loop over target bytes is in this file
 * or adds to candidate->examined itself, so that the pass can bound the work.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

const uint16_t lh_byte_classes[256] = {
	['0' ... '9'] = LH_BYTE_DIGIT,
	['a' ... 'f'] = LH_BYTE_HEX_LOWER,
	['g' ... 'z'] = LH_BYTE_LOWER,
	['A' ... 'F'] = LH_BYTE_HEX_UPPER,
	['G' ... 'Z'] = LH_BYTE_UPPER,
	['+'] = LH_BYTE_PLUS,
	['/'] = LH_BYTE_SLASH,
	['-'] = LH_BYTE_DASH,
	['_'] = LH_BYTE_UNDERSCORE,
	['.'] = LH_BYTE_DOT,
	['%'] = LH_BYTE_PERCENT,
	['~'] = LH_BYTE_URL_REST,
	[':'] = LH_BYTE_URL_REST,
	['?'] = LH_BYTE_URL_REST,
	['#'] = LH_BYTE_URL_REST,
	['['] = LH_BYTE_URL_REST,
	[']'] = LH_BYTE_URL_REST,
	['@'] = LH_BYTE_URL_REST,
	['!'] = LH_BYTE_URL_REST,
	['$'] = LH_BYTE_URL_REST,
	['&' ... '*'] = LH_BYTE_URL_REST, /* & ' ( ) * */
	[','] = LH_BYTE_URL_REST,
	[';'] = LH_BYTE_URL_REST,
	['='] = LH_BYTE_URL_REST,
	['"'] = LH_BYTE_TEXT_REST,
	['<'] = LH_BYTE_TEXT_REST,
	['>'] = LH_BYTE_TEXT_REST,
	['\\'] = LH_BYTE_TEXT_REST,
	['^'] = LH_BYTE_TEXT_REST,
	['`'] = LH_BYTE_TEXT_REST,
	['{' ... '}'] = LH_BYTE_TEXT_REST, /* { | } */
	[' '] = LH_BYTE_BLANK,
	['\t'] = LH_BYTE_BLANK,
	['\n'] = LH_BYTE_BREAK,
	['\r'] = LH_BYTE_BREAK,
};

size_t lh_span_after(const struct lh_candidate *candidate, size_t offset, size_t max, unsigned classes)
{
	if (offset >= candidate->bytes_after)
		return 0;
	size_t limit = lh_min_u64(max, candidate->bytes_after - offset);
	const uint8_t *bytes = candidate->anchor + offset;
	size_t length = 0;
	while (length < limit && lh_byte_is(bytes[length], classes))
		length++;
	*candidate->examined += length;
	return length;
}

size_t lh_span_before(const struct lh_candidate *candidate, size_t max, unsigned classes)
{
	size_t limit = lh_min_u64(max, candidate->bytes_before);
	size_t length = 0;
	while (length < limit && lh_byte_is(*(candidate->anchor - length - 1), classes))
		length++;
	*candidate->examined += length;
	return length;
}

bool lh_after_is(const struct lh_candidate *candidate, size_t offset, unsigned classes)
{
	return offset < candidate->bytes_after && lh_byte_is(candidate->anchor[offset], classes);
}

bool lh_before_is(const struct lh_candidate *candidate, size_t distance, unsigned classes)
{
	return distance <= candidate->bytes_before && lh_byte_is(*(candidate->anchor - distance), classes);
}

bool lh_after_equals(const struct lh_candidate *candidate, size_t offset, const char *text)
{
	size_t length = strlen(text);
	return offset <= candidate->bytes_after && length <= candidate->bytes_after - offset &&
	       memcmp(candidate->anchor + offset, text, length) == 0;
}

bool lh_find_after(const struct lh_candidate *candidate, size_t offset, size_t end, const char *text, size_t *ret)
{
	end = lh_min_u64(end, candidate->bytes_after);
	size_t length = end > offset ? end - offset : 0;
	const uint8_t *found = memmem(candidate->anchor + offset, length, text, strlen(text));
	if (found)
		*ret = (size_t)(found - candidate->anchor);
	*candidate->examined += found ? *ret - offset : length;
	return found;
}

size_t lh_span_until(const struct lh_candidate *candidate, size_t offset, size_t end, const char *stops)
{
	size_t length = 0;
	while (offset + length < end && !strchr(stops, candidate->anchor[offset + length]))
		length++;
	*candidate->examined += length;
	return length;
}

struct lh_cursor lh_candidate_cursor(const struct lh_candidate *candidate)
{
	return lh_cursor_over(candidate->anchor, candidate->bytes_after);
}

void lh_example_copy(const uint8_t *bytes, size_t length, char ret[LH_EXAMPLE_MAX])
{
	size_t written = 0;
	for (size_t i = 0; i < length && bytes[i] && written < LH_EXAMPLE_MAX - 1; i++) {
		bool is_space = lh_byte_is(bytes[i], LH_BYTE_BLANK | LH_BYTE_BREAK);
		if (is_space && (written == 0 || ret[written - 1] == ' '))
			continue;
		ret[written++] = (char)(is_space ? (uint8_t)' ' : bytes[i]);
	}
	ret[written] = '\0';
}
