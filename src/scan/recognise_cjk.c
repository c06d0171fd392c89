/*
 * recognise_cjk: Chinese, Japanese and Korean text in UTF-8 (RFC 3629): at least 4 characters of
 * U+3000..U+D7A3 in a row, each of three bytes; with what goes on in UTF-8 after them, ASCII included.
 */
#include "recognise.h"

enum { TEXT_BYTES_MAX = 4096, FIRST_CHAR = 0x3000, LAST_CHAR = 0xd7a3, CHAR_BYTES = 3, CHARS_MIN = 4 };

static const char *const patterns[] = {"(?:[\\xe3-\\xed][\\x80-\\xbf]{2}){4}", NULL};

static void find(const uint8_t *line, size_t bytes, uint64_t ret_anchors[LH_OWN_PATTERNS_MAX])
{
	enum { LINE_AND_PATTERN = 80 };
	size_t length = lh_min_u64(bytes, LINE_AND_PATTERN);
	unsigned __int128 chars = lh_range_mask(line, length, 0xe3, 0xed);
	ret_anchors[0] = 0;
	if (!(uint64_t)chars)
		return;
	unsigned __int128 following = lh_range_mask(line, length, 0x80, 0xbf);
	chars &= following >> 1 & following >> 2;
	chars &= chars >> CHAR_BYTES;
	ret_anchors[0] = (uint64_t)(chars & chars >> 2 * CHAR_BYTES);
}

static bool validate(const struct lh_candidate *candidate, struct lh_match *ret)
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

const struct lh_recogniser lh_recognise_cjk = {
	.name = "cjk",
	.title = "Chinese, Japanese, Korean texts",
	.set = LH_PATTERNS_OWN,
	.patterns = patterns,
	.find = find,
	.validate = validate,
};
