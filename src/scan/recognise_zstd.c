/*
 * recognise_zstd: Zstandard frames, RFC 8878 section 3.1.1: magic, a descriptor whose reserved bit is
 * zero, a window of a possible size, and blocks of known types to the last one, with the checksum after
 * it if the descriptor says so. A match is at most 64 KiB long: of a larger frame, its beginning.
 */
#include "recognise.h"

#include <stdio.h>

enum {
	MAGIC_BYTES = 4,
	RESERVED = 0x08,
	SINGLE_SEGMENT = 0x20,
	CHECKSUM = 0x04,
	WINDOW_EXPONENT_MAX = 21, /* 2^(10 + 21) bytes: what zstd's tools take (ZSTD_WINDOWLOG_MAX_64) */
	BLOCK_BYTES_MAX = 128 << 10,
};

enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };

enum { KIND_WHOLE, KIND_PART };

static const char *const kinds[] = {[KIND_WHOLE] = "whole", [KIND_PART] = "a beginning", NULL};

static const char *const patterns[] = {"\\x28\\xb5\\x2f\\xfd", NULL};

/* The frame header after the magic. *ret: the descriptor. */
static bool take_header(struct lh_cursor *cursor, uint8_t *ret)
{
	static const uint8_t id_bytes[] = {0, 1, 2, 4};
	static const uint8_t size_bytes[] = {0, 2, 4, 8};
	uint8_t descriptor = lh_cursor_u8(cursor);
	if (cursor->failed || descriptor & RESERVED)
		return false;
	bool is_single = descriptor & SINGLE_SEGMENT;
	if (!is_single && lh_cursor_u8(cursor) >> 3 > WINDOW_EXPONENT_MAX)
		return false;
	size_t sizes = descriptor >> 6 ? size_bytes[descriptor >> 6] : is_single;
	(void)lh_cursor_take(cursor, id_bytes[descriptor & 3]);
	(void)lh_cursor_take(cursor, sizes);
	*ret = descriptor;
	return !cursor->failed;
}

/* False: no block. *ret_is_cut: the block goes on where nothing can be read. */
static bool take_block(struct lh_cursor *cursor, bool *ret_is_last, bool *ret_is_cut)
{
	const uint8_t *bytes = lh_cursor_take(cursor, 3);
	*ret_is_cut = !bytes;
	if (!bytes)
		return true;
	uint32_t header = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
	unsigned type = header >> 1 & 3;
	size_t size = header >> 3;
	if (type == BLOCK_RESERVED || (size > BLOCK_BYTES_MAX && type != BLOCK_RLE) ||
	    (type == BLOCK_COMPRESSED && size < 2))
		return false;
	*ret_is_last = header & 1;
	*ret_is_cut = !lh_cursor_take(cursor, type == BLOCK_RLE ? 1 : size) && size;
	return true;
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	uint8_t descriptor;
	(void)lh_cursor_take(&cursor, MAGIC_BYTES);
	if (!take_header(&cursor, &descriptor))
		return false;
	bool is_last = false;
	bool is_cut = false;
	while (!is_last && !is_cut) {
		*candidate->examined += 1;
		if (!take_block(&cursor, &is_last, &is_cut))
			return false;
	}
	if (!is_cut && descriptor & CHECKSUM)
		is_cut = !lh_cursor_take(&cursor, 4);
	*ret = (struct lh_match){
		.length = is_cut ? candidate->bytes_after : (size_t)(cursor.at - candidate->anchor),
		.kind = is_cut ? KIND_PART : KIND_WHOLE,
	};
	return true;
}

static void describe(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	(void)candidate;
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%zu bytes, %s", match->length, kinds[match->kind]);
}

const struct lh_recogniser lh_recognise_zstd = {
	.name = "zstd",
	.title = "zstd frames",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
	.describe = describe,
};
