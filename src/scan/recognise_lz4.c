/*
 * recognise_lz4: LZ4 frames, lz4_Frame_format.md version 1.6: magic, version 1, reserved bits zero, and the
 * header's checksum (the second byte of XXH32); then blocks with their sizes to the end mark and the
 * content's checksum. A match is at most 64 KiB long: of a larger frame, its beginning.
 */
#include "recognise.h"

#include <stdio.h>
#include <xxhash.h>

enum {
	MAGIC_BYTES = 4,
	FLAG_DICTIONARY = 0x01,
	FLAG_CONTENT_CHECKSUM = 0x04,
	FLAG_CONTENT_SIZE = 0x08,
	FLAG_BLOCK_CHECKSUM = 0x10,
	BLOCK_SIZE_CODE_MIN = 4, /* 64 KiB; 7 is 4 MiB */
};

enum { KIND_WHOLE, KIND_PART };

static const char *const kinds[] = {[KIND_WHOLE] = "whole", [KIND_PART] = "a beginning", NULL};

static const char *const patterns[] = {"\\x04\\x22\\x4d\\x18[\\x40-\\x7d][\\x40\\x50\\x60\\x70]", NULL};

struct header {
	uint8_t flags;
	size_t block_bytes_max;
};

static bool take_header(struct lh_cursor *cursor, struct header *ret)
{
	const uint8_t *start = cursor->at;
	ret->flags = lh_cursor_u8(cursor);
	uint8_t code = lh_cursor_u8(cursor) >> 4;
	ret->block_bytes_max = (size_t)1 << (8 + 2 * code);
	(void)lh_cursor_take(cursor, ret->flags & FLAG_CONTENT_SIZE ? 8 : 0);
	(void)lh_cursor_take(cursor, ret->flags & FLAG_DICTIONARY ? 4 : 0);
	size_t bytes = (size_t)(cursor->at - start);
	uint8_t sum = lh_cursor_u8(cursor);
	return !cursor->failed && code >= BLOCK_SIZE_CODE_MIN && !(ret->flags & 2) &&
	       sum == (XXH32(start, bytes, 0) >> 8 & 0xff);
}

/* False: no block. *ret_is_cut: it goes on where nothing can be read. */
static bool take_block(struct lh_cursor *cursor, const struct header *header, bool *ret_is_last, bool *ret_is_cut)
{
	uint32_t field = lh_cursor_le32(cursor);
	size_t bytes = field & 0x7fffffff; /* the top bit: not compressed */
	*ret_is_last = !cursor->failed && !field;
	if (!cursor->failed && (bytes > header->block_bytes_max || (field && !bytes)))
		return false;
	bool has_sum = header->flags & FLAG_BLOCK_CHECKSUM && !*ret_is_last;
	*ret_is_cut =
		cursor->failed || (bytes && !lh_cursor_take(cursor, bytes)) || (has_sum && !lh_cursor_take(cursor, 4));
	return true;
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct header header;
	(void)lh_cursor_take(&cursor, MAGIC_BYTES);
	if (!take_header(&cursor, &header))
		return false;
	bool is_last = false;
	bool is_cut = false;
	while (!is_last && !is_cut) {
		*candidate->examined += 1;
		if (!take_block(&cursor, &header, &is_last, &is_cut))
			return false;
	}
	if (!is_cut && header.flags & FLAG_CONTENT_CHECKSUM)
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

const struct lh_recogniser lh_recognise_lz4 = {
	.name = "lz4",
	.title = "LZ4 frames",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate,
	.kinds = kinds,
	.describe = describe,
};
