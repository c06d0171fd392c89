/*
 * recognize_lz4: LZ4 frames, lz4_Frame_format.md version 1.6: magic, version 1, reserved bits zero, and the
 * header's checksum (the second byte of XXH32); then blocks with their sizes to the end mark and the
 * content's checksum.
 */
#include "scan/recognize/recognize.h"

#include <xxhash.h>

enum {
	MAGIC_BYTES = 4,
	FLAG_DICTIONARY = 0x01,
	FLAG_CONTENT_CHECKSUM = 0x04,
	FLAG_CONTENT_SIZE = 0x08,
	FLAG_BLOCK_CHECKSUM = 0x10,
	BLOCK_SIZE_CODE_MIN = 4, /* 64 KiB; 7 is 4 MiB */
	CHECKSUM_BYTES = 4,
};

static const char *const patterns[] = {"\\x04\\x22\\x4d\\x18[\\x40-\\x7d][\\x40\\x50\\x60\\x70]", NULL};

static bool take_lz4_block(struct lh_cursor *cursor, const struct lh_frame *frame, bool *ret_is_last, bool *ret_is_cut)
{
	uint32_t field = lh_cursor_le32(cursor);
	size_t bytes = field & 0x7fffffff; /* the top bit: not compressed */
	*ret_is_last = !cursor->failed && !field;
	if (!cursor->failed && (bytes > frame->block_bytes_max || (field && !bytes)))
		return false;
	*ret_is_cut = cursor->failed || (field && !lh_cursor_take(cursor, bytes + frame->block_checksum_bytes));
	return true;
}

static bool take_lz4_header(struct lh_cursor *cursor, struct lh_frame *ret)
{
	const uint8_t *start = cursor->at;
	uint8_t flags = lh_cursor_u8(cursor);
	uint8_t code = lh_cursor_u8(cursor) >> 4;
	(void)lh_cursor_take(cursor, flags & FLAG_CONTENT_SIZE ? 8 : 0);
	(void)lh_cursor_take(cursor, flags & FLAG_DICTIONARY ? 4 : 0);
	size_t bytes = (size_t)(cursor->at - start);
	uint8_t sum = lh_cursor_u8(cursor);
	*ret = (struct lh_frame){
		.take_block = take_lz4_block,
		.block_bytes_max = (size_t)1 << (8 + 2 * code),
		.block_checksum_bytes = flags & FLAG_BLOCK_CHECKSUM ? CHECKSUM_BYTES : 0,
		.checksum_bytes = flags & FLAG_CONTENT_CHECKSUM ? CHECKSUM_BYTES : 0,
	};
	return !cursor->failed && code >= BLOCK_SIZE_CODE_MIN && !(flags & 2) &&
	       sum == (XXH32(start, bytes, 0) >> 8 & 0xff);
}

static bool validate_lz4(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct lh_frame frame;
	(void)lh_cursor_take(&cursor, MAGIC_BYTES);
	return take_lz4_header(&cursor, &frame) && lh_frame_match(candidate, &cursor, &frame, ret);
}

const struct lh_recognizer lh_recognize_lz4 = {
	.name = "lz4",
	.title = "LZ4 frames",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_lz4,
	.kinds = lh_frame_kinds,
	.describe = lh_frame_describe,
};
