/*
 * utf8: splits runs of 8-bit bytes where they are not UTF-8. Characters that nobody sees in a text (C1
 * controls, the private use areas, what is no character) end a stretch: chance makes them too often.
 */
#include "utf8.h"

#include <string.h>

static bool is_visible(uint32_t character)
{
	return character >= 0xa0 && (character < 0xe000 || character > 0xf8ff) && character < 0xf0000 &&
	       (character & 0xfffe) != 0xfffe && (character < 0xfdd0 || character > 0xfdef);
}

size_t lh_utf8_character(const uint8_t *data, size_t length)
{
	uint32_t character;
	if (data[0] < 0x80)
		return data[0] == '\t' || (data[0] >= 0x20 && data[0] <= 0x7e);
	if (data[0] < 0xc2 || data[0] > 0xf4)
		return 0;
	size_t bytes = lh_utf8_decode(data, length, &character);
	return bytes && is_visible(character) ? bytes : 0;
}

/* Bytes of printable ASCII from data on, by words; the rest of it is for lh_utf8_character. */
static size_t ascii_bytes(const uint8_t *data, size_t length)
{
	const uint64_t each = 0x0101010101010101;
	size_t at = 0;
	for (uint64_t word; length - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, data + at, sizeof(word));
		if ((word | (word + each) | (word - each * 0x20)) & each * 0x80)
			break;
	}
	return at;
}

bool lh_next_utf8(const uint8_t *data, struct lh_span *rest, size_t min_chars, struct lh_span *ret)
{
	size_t start = rest->start, at = rest->start, chars = 0;
	while (at < rest->end) {
		size_t ascii = ascii_bytes(data + at, rest->end - at);
		at += ascii;
		chars += ascii;
		if (at == rest->end)
			break;
		size_t bytes = lh_utf8_character(data + at, rest->end - at);
		if (bytes) {
			at += bytes;
			chars++;
			continue;
		}
		if (chars >= min_chars)
			break;
		start = ++at;
		chars = 0;
	}
	rest->start = at;
	*ret = (struct lh_span){start, at};
	return chars >= min_chars;
}
