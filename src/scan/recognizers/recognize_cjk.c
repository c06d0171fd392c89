/*
 * recognize_cjk: Chinese, Japanese and Korean text in UTF-8 (RFC 3629): at least 4 consecutive characters of
 * U+3000..U+D7A3, three bytes each, and the UTF-8 text after them, ASCII included.
 */
#include "scan/recognize/recognize.h"

enum { TEXT_BYTES_MAX = 4096, FIRST_CHAR = 0x3000, LAST_CHAR = 0xd7a3, CHAR_BYTES = 3, CHARS_MIN = 4 };

static const char *const patterns[] = {"(?:[\\xe3-\\xed][\\x80-\\xbf]{2}){4}", NULL};

static void find_cjk(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		     uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t chars[LH_FIND_LINES + 1], following[LH_FIND_LINES + 1];
	kernel->range_masks(data, line_count + 1, 0xe3, 0xed, chars);
	kernel->range_masks(data, line_count + 1, 0x80, 0xbf, following);
	for (size_t k = 0; k <= line_count; k++)
		chars[k] &= k < line_count ? lh_mask_ahead(&following[k], 1) & lh_mask_ahead(&following[k], 2)
					   : following[k] >> 1 & following[k] >> 2;
	for (size_t k = 0; k < line_count; k++)
		ret_anchors[0][k] = !chars[k] ? 0
					      : chars[k] & lh_mask_ahead(&chars[k], CHAR_BYTES) &
							lh_mask_ahead(&chars[k], 2 * CHAR_BYTES) &
							lh_mask_ahead(&chars[k], 3 * CHAR_BYTES);
}

static bool validate_cjk(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t limit = lh_min_u64(candidate->bytes_after, TEXT_BYTES_MAX);
	size_t at = 0;
	while (at < limit) {
		uint32_t character = 0;
		size_t bytes = lh_utf8_decode(candidate->anchor + at, candidate->bytes_after - at, &character);
		bool is_cjk = character >= FIRST_CHAR && character <= LAST_CHAR;
		bool is_other = at >= (size_t)CHAR_BYTES * CHARS_MIN &&
				(bytes > 1 || lh_byte_is(candidate->anchor[at], LH_BYTES_TEXT));
		if (!bytes || !(is_cjk || is_other))
			break;
		at += bytes;
	}
	*candidate->examined += at;
	if (at < (size_t)CHAR_BYTES * CHARS_MIN)
		return false;
	*ret = (struct lh_match){.length = at};
	return true;
}

const struct lh_recognizer lh_recognize_cjk = {
	.name = "cjk",
	.title = "Chinese, Japanese, Korean texts",
	.set = LH_PATTERNS_OWN,
	.patterns = patterns,
	.find = find_cjk,
	.validate = validate_cjk,
};
