/*
 * recognize_png: PNG images, ISO/IEC 15948 (W3C PNG, third edition): signature, an IHDR chunk whose CRC
 * is right, then chunks as far as their types are letters, to IEND or where the match may not reach
 * further (64 KiB). Shown by size and color type.
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { SIGNATURE_BYTES = 8, IHDR_BYTES = 13, TYPE_BYTES = 4, CHUNK_MAX = 0x7fffffff };

static const char *const patterns[] = {"\\x89PNG\\x0d\\x0a\\x1a\\x0a\\x00\\x00\\x00\\x0dIHDR", NULL};

static const char *const colors[] = {"grey", NULL, "RGB", "palette", "grey and alpha", NULL, "RGB and alpha"};

struct chunk {
	const uint8_t *type; /* and the content after it */
	size_t bytes;        /* of the content */
	uint32_t crc;
};

/* Section 5.3: length, type of four letters, content, CRC over type and content. */
static bool take_chunk(struct lh_cursor *cursor, struct chunk *ret)
{
	struct lh_cursor at = *cursor;
	ret->bytes = lh_cursor_be32(&at);
	if (at.failed || ret->bytes > CHUNK_MAX)
		return false;
	ret->type = lh_cursor_take(&at, TYPE_BYTES + ret->bytes);
	ret->crc = lh_cursor_be32(&at);
	if (at.failed)
		return false;
	for (size_t i = 0; i < TYPE_BYTES; i++) {
		if (!lh_byte_is(ret->type[i], LH_BYTES_ALPHA))
			return false;
	}
	*cursor = at;
	return true;
}

static bool is_png_header(const struct chunk *chunk)
{
	enum { COLOUR_AT = TYPE_BYTES + 9 };
	uint8_t color = chunk->type[COLOUR_AT];
	return chunk->bytes == IHDR_BYTES && color < LH_ARRAY_COUNT(colors) && colors[color] &&
	       chunk->crc == crc32(0, chunk->type, TYPE_BYTES + IHDR_BYTES);
}

/* Whether the bytes from here on are a chunk that is cut off: then they belong to the image, too. */
static bool is_cut_chunk(struct lh_cursor cursor)
{
	size_t bytes = lh_cursor_be32(&cursor);
	const uint8_t *type = lh_cursor_take(&cursor, TYPE_BYTES);
	return type && bytes <= CHUNK_MAX && bytes > lh_cursor_left(&cursor) &&
	       (memcmp(type, "IDAT", TYPE_BYTES) == 0 || memcmp(type, "iCCP", TYPE_BYTES) == 0);
}

static bool validate_png(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct chunk chunk;
	(void)lh_cursor_take(&cursor, SIGNATURE_BYTES);
	if (!take_chunk(&cursor, &chunk) || !is_png_header(&chunk))
		return false;
	bool is_end = false;
	while (!is_end && take_chunk(&cursor, &chunk)) {
		*candidate->examined += 1;
		is_end = memcmp(chunk.type, "IEND", TYPE_BYTES) == 0;
	}
	if (!is_end && is_cut_chunk(cursor))
		cursor.at = cursor.end;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor)};
	return true;
}

static void describe_png(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	(void)match;
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	(void)lh_cursor_take(&cursor, SIGNATURE_BYTES + 4 + TYPE_BYTES);
	uint32_t width = lh_cursor_be32(&cursor);
	uint32_t height = lh_cursor_be32(&cursor);
	uint8_t depth = lh_cursor_u8(&cursor);
	uint8_t color = lh_cursor_u8(&cursor);
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%u x %u, %u bit, %s", width, height, depth, colors[color]);
}

const struct lh_recognizer lh_recognize_png = {
	.name = "png",
	.title = "PNG images",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_png,
	.describe = describe_png,
};
