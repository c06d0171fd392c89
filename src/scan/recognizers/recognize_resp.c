/*
 * recognize_resp: commands and replies of Redis (RESP, redis.io/docs/reference/protocol-spec): an array of bulk
 * strings, "*n\r\n", then n times "$length\r\n", `length` bytes, "\r\n". Shown by its first strings;
 * the password of AUTH belongs to the row of passwords.
 */
#include "scan/recognize/recognize.h"

enum { STRINGS_MAX = 1 << 16, SHOWN_STRINGS = 2, DIGITS_MAX = 9 };

static const char *const patterns[] = {
	"\\*[1-9]\\x0d\\x0a\\$[0-9]",
	"\\*[1-9][0-9]\\x0d\\x0a\\$[0-9]",
	"\\*[1-9][0-9]{2}\\x0d\\x0a\\$[0-9]",
	"\\*[1-9][0-9]{3}\\x0d\\x0a\\$[0-9]",
	NULL,
};

static bool take_line_end(struct lh_cursor *cursor)
{
	uint8_t return_byte = lh_cursor_u8(cursor);
	uint8_t newline_byte = lh_cursor_u8(cursor);
	return return_byte == '\r' && newline_byte == '\n';
}

/* "*3\r\n" */
static bool take_resp_number(struct lh_cursor *cursor, uint8_t mark, size_t *ret)
{
	size_t number = 0;
	size_t digits = 0;
	if (lh_cursor_u8(cursor) != mark)
		return false;
	while (lh_cursor_left(cursor) && lh_byte_is(*cursor->at, LH_BYTE_DIGIT) && digits++ < DIGITS_MAX)
		number = number * 10 + (size_t)(lh_cursor_u8(cursor) - '0');
	*ret = number;
	return digits && take_line_end(cursor);
}

static bool take_resp_string(struct lh_cursor *cursor)
{
	size_t bytes;
	if (!take_resp_number(cursor, '$', &bytes))
		return false;
	(void)lh_cursor_take(cursor, bytes);
	return take_line_end(cursor);
}

static bool validate_resp(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	size_t strings = 0;
	size_t shown_bytes = 0;
	bool is_array = take_resp_number(&cursor, '*', &strings) && strings <= STRINGS_MAX;
	for (size_t i = 0; is_array && i < strings; i++) {
		is_array = take_resp_string(&cursor);
		if (i < SHOWN_STRINGS)
			shown_bytes = (size_t)(cursor.at - candidate->anchor);
		*candidate->examined += 4;
	}
	if (!is_array)
		return false;
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor), .shown_bytes = shown_bytes};
	return true;
}

const struct lh_recognizer lh_recognize_resp = {
	.name = "resp",
	.title = "RESP arrays (Redis)",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_resp,
};
