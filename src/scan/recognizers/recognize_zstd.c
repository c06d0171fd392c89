/*
 * recognize_zstd: Zstandard frames, RFC 8878 section 3.1.1: magic, a descriptor whose reserved bit is
 * zero, a window of a possible size, and blocks of known types to the last one, with the checksum after
 * it if the descriptor says so.
 */
#include "scan/recognize/recognize.h"

enum {
	MAGIC_BYTES = 4,
	RESERVED = 0x08,
	SINGLE_SEGMENT = 0x20,
	CHECKSUM = 0x04,
	CHECKSUM_BYTES = 4,
	WINDOW_EXPONENT_MAX = 21, /* 2^(10 + 21) bytes: what zstd's tools take (ZSTD_WINDOWLOG_MAX_64) */
	BLOCK_BYTES_MAX = 128 << 10,
};

enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };

static const char *const patterns[] = {"\\x28\\xb5\\x2f\\xfd", NULL};

/* The frame header after the magic. *ret: the descriptor. */
static bool take_zstd_header(struct lh_cursor *cursor, uint8_t *ret)
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

static bool take_zstd_block(struct lh_cursor *cursor, const struct lh_frame *frame, bool *ret_is_last, bool *ret_is_cut)
{
	const uint8_t *bytes = lh_cursor_take(cursor, 3);
	*ret_is_cut = !bytes;
	if (!bytes)
		return true;
	uint32_t header = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
	unsigned type = header >> 1 & 3;
	size_t size = header >> 3;
	if (type == BLOCK_RESERVED || (size > frame->block_bytes_max && type != BLOCK_RLE) ||
	    (type == BLOCK_COMPRESSED && size < 2))
		return false;
	*ret_is_last = header & 1;
	*ret_is_cut = !lh_cursor_take(cursor, type == BLOCK_RLE ? 1 : size) && size;
	return true;
}

static bool validate_zstd(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	uint8_t descriptor;
	(void)lh_cursor_take(&cursor, MAGIC_BYTES);
	if (!take_zstd_header(&cursor, &descriptor))
		return false;
	struct lh_frame frame = {
		.take_block = take_zstd_block,
		.block_bytes_max = BLOCK_BYTES_MAX,
		.checksum_bytes = descriptor & CHECKSUM ? CHECKSUM_BYTES : 0,
	};
	return lh_frame_match(candidate, &cursor, &frame, ret);
}

const struct lh_recognizer lh_recognize_zstd = {
	.name = "zstd",
	.title = "zstd frames",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_zstd,
	.kinds = lh_frame_kinds,
	.describe = lh_frame_describe,
};
