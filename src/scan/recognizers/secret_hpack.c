/*
 * secret_hpack: credentials in header blocks of HTTP/2, compressed by HPACK (RFC 7541): values of the fields cookie,
 * set-cookie, authorization and proxy-authorization, whose names are indices of the static table (appendix A), in a
 * HEADERS frame (RFC 9113 section 6.2); and Huffman codes of "Basic " and "Bearer " with their length before them. A
 * value that is a Huffman code is not decoded: all its bytes are masked.
 */
#include "secret_forms.h"

enum {
	LENGTH_BYTES = 3,
	BODY_OFFSET = 6, /* from the type, where the anchor is */
	FRAME_BYTES_MAX = 16384,
	FLAG_PADDED = 0x08,
	FLAG_PRIORITY = 0x20,
	PRIORITY_BYTES = 5,
	VALUE_MIN = 4,
	FIELDS_MAX = 256,
	STATIC_INDEX_MAX = 61,
	DYNAMIC_INDEX_MAX = 512, /* 16 KiB of entries of at least 32 bytes: section 4.1 */
};

/* An integer whose first byte has a prefix of `bits` bits: section 5.1. */
static size_t take_integer(struct lh_cursor *cursor, unsigned bits)
{
	enum { MORE = 0x80, SHIFT_MAX = 14 };
	size_t prefix = ((size_t)1 << bits) - 1, value = lh_cursor_u8(cursor) & prefix;
	uint8_t byte = MORE;
	for (unsigned shift = 0; value >= prefix && byte & MORE && shift <= SHIFT_MAX; shift += 7) {
		byte = lh_cursor_u8(cursor);
		value += (size_t)(byte & ~MORE) << shift;
	}
	return value;
}

static uint8_t next_byte(const struct lh_cursor *cursor)
{
	return lh_cursor_left(cursor) ? *cursor->at : 0;
}

/* A string: section 5.2. */
static size_t take_hpack_string(struct lh_cursor *cursor, const uint8_t **ret)
{
	size_t bytes = take_integer(cursor, 7);
	*ret = lh_cursor_take(cursor, bytes);
	return *ret ? bytes : 0;
}

static bool is_credential_field(size_t index)
{
	enum { AUTHORIZATION = 23, COOKIE = 32, PROXY_AUTHORIZATION = 49, SET_COOKIE = 55 };
	return index == AUTHORIZATION || index == COOKIE || index == PROXY_AUTHORIZATION || index == SET_COOKIE;
}

struct field {
	const uint8_t *value; /* NULL: the field is one of the table */
	size_t bytes;
	bool is_credential;
};

/* The representation of one field: section 6. False: there is none. */
static bool take_header_field(struct lh_cursor *cursor, struct field *ret)
{
	enum { INDEXED = 0x80, INCREMENTAL = 0x40, SIZE_UPDATE = 0x20 };
	uint8_t first = next_byte(cursor);
	*ret = (struct field){0};
	if (!(first & INDEXED) && !(first & INCREMENTAL) && first & SIZE_UPDATE)
		return take_integer(cursor, 5) <= FRAME_BYTES_MAX && !cursor->failed;
	size_t index = take_integer(cursor, first & INDEXED ? 7 : first & INCREMENTAL ? 6 : 4);
	if (index > STATIC_INDEX_MAX + DYNAMIC_INDEX_MAX)
		return false;
	if (first & INDEXED)
		return index && !cursor->failed;
	const uint8_t *name;
	if (!index && !take_hpack_string(cursor, &name))
		return false;
	ret->bytes = take_hpack_string(cursor, &ret->value);
	ret->is_credential = is_credential_field(index);
	return !cursor->failed;
}

/* The header block's bytes, of which the memory may hold the beginning alone. */
static bool take_header_block(const struct lh_candidate *candidate, struct lh_cursor *ret)
{
	if (candidate->bytes_before < LENGTH_BYTES)
		return false;
	struct lh_cursor header = lh_cursor_over(candidate->anchor - LENGTH_BYTES, LENGTH_BYTES + BODY_OFFSET);
	size_t bytes = lh_cursor_be24(&header);
	(void)lh_cursor_u8(&header);
	uint8_t flags = lh_cursor_u8(&header);
	uint32_t stream = lh_cursor_be32(&header);
	size_t skipped = (flags & FLAG_PADDED ? 1 : 0) + (size_t)(flags & FLAG_PRIORITY ? PRIORITY_BYTES : 0);
	size_t readable = candidate->bytes_after - BODY_OFFSET;
	if (bytes <= skipped + VALUE_MIN || bytes > FRAME_BYTES_MAX || readable < skipped || !stream)
		return false;
	*ret = lh_cursor_over(candidate->anchor + BODY_OFFSET + skipped, lh_min_u64(bytes, readable) - skipped);
	return true;
}

/* The pseudo-header fields come first, and the first one is always in the static table: index 1 to 14. */
static bool begins_with_pseudo_field(const struct lh_cursor *block)
{
	enum { PSEUDO_MAX = 14 };
	struct lh_cursor cursor = *block;
	uint8_t first = next_byte(block);
	size_t index = take_integer(&cursor, first & 0x80 ? 7 : first & 0x40 ? 6 : 4);
	return (first & 0xe0) == 0x20 || (index >= 1 && index <= PSEUDO_MAX);
}

/* Of several values, all from the first to the last: a match is one piece. */
bool lh_rule_hpack_frame(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor block;
	struct field field;
	const uint8_t *start = NULL, *end = NULL;
	if (candidate->bytes_after < BODY_OFFSET || !take_header_block(candidate, &block) ||
	    !begins_with_pseudo_field(&block))
		return false;
	for (unsigned i = 0; i < FIELDS_MAX && lh_cursor_left(&block) && take_header_field(&block, &field); i++) {
		*candidate->examined += 1 + field.bytes;
		if (field.is_credential && field.bytes >= VALUE_MIN) {
			start = start ? start : field.value;
			end = field.value + field.bytes;
		}
	}
	if (!start)
		return false;
	*ret = (struct lh_match){.skipped = (size_t)(start - candidate->anchor),
				 .length = (size_t)(end - start),
				 .kind = candidate->form->kind};
	return true;
}

/* The length of the string that begins at the anchor, read backwards: 0x80 + length, or 0xff and one or two bytes. */
static size_t string_bytes_before(const struct lh_candidate *candidate)
{
	enum { HUFFMAN = 0x80, PREFIX = 0x7f, LENGTH_BYTES_MAX = 3 };
	for (size_t before = 1; before <= LENGTH_BYTES_MAX && before <= candidate->bytes_before; before++) {
		struct lh_cursor cursor = lh_cursor_over(candidate->anchor - before, before);
		if (!(next_byte(&cursor) & HUFFMAN))
			continue;
		size_t bytes = take_integer(&cursor, 7);
		if (!cursor.failed && !lh_cursor_left(&cursor))
			return bytes;
	}
	return 0;
}

bool lh_rule_hpack_scheme(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t bytes = string_bytes_before(candidate);
	*ret = (struct lh_match){.length = bytes, .kind = candidate->form->kind};
	return bytes > candidate->pattern_bytes + VALUE_MIN && bytes <= candidate->bytes_after;
}
