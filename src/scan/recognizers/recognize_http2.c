/*
 * recognize_http2: HTTP/2, RFC 9113: the client's preface (section 3.4), and SETTINGS frames
 * (section 6.5) that begin a connection: stream 0, length a multiple of 6, identifiers 1 to 9, and
 * another valid frame after them (two zero-filled fields alone are no proof).
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>

enum {
	PATTERN_PREFACE = 0,
	PREFACE_BYTES = 24,
	FRAME_HEADER_BYTES = 9,
	FRAME_SETTINGS = 4,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_TYPE_MAX = 9,
	FRAME_BYTES_MAX = 16384,
	SETTING_BYTES = 6,
	SETTINGS_MAX = 9,
	TYPE_OFFSET = 2, /* the pattern begins at the last byte of the length */
};

/*
 * The second pattern: length of 1 to 9 settings, type, flags; longer ones would begin with zeros, which memory is full
 * of.
 */
static const char *const patterns[] = {
	[PATTERN_PREFACE] = "PRI \\* HTTP/2\\.0\\r\\n\\r\\nSM\\r\\n\\r\\n",
	"[\\x06\\x0c\\x12\\x18\\x1e\\x24\\x2a\\x30\\x36]\\x04\\x00",
	NULL,
};

struct frame {
	size_t bytes;
	uint8_t type;
	uint8_t flags;
	uint32_t stream;
	struct lh_cursor body;
};

static bool take_frame(struct lh_cursor *cursor, struct frame *ret)
{
	ret->bytes = lh_cursor_be24(cursor);
	ret->type = lh_cursor_u8(cursor);
	ret->flags = lh_cursor_u8(cursor);
	ret->stream = lh_cursor_be32(cursor);
	if (cursor->failed || ret->bytes > FRAME_BYTES_MAX || ret->type > FRAME_TYPE_MAX || ret->stream >> 31)
		return false;
	const uint8_t *body = lh_cursor_take(cursor, ret->bytes);
	ret->body = lh_cursor_over(body, ret->bytes);
	return body != NULL;
}

/* RFC 9113 section 6: which frames belong to the connection, and their sizes. */
static bool frame_is_possible(const struct frame *frame)
{
	switch (frame->type) {
	case FRAME_SETTINGS:
		return frame->stream == 0 && frame->bytes % SETTING_BYTES == 0 && frame->flags <= 1;
	case FRAME_PING:
		return frame->stream == 0 && frame->bytes == 8 && frame->flags <= 1;
	case FRAME_GOAWAY:
		return frame->stream == 0 && frame->bytes >= 8 && frame->flags == 0;
	case FRAME_WINDOW_UPDATE:
		return frame->bytes == 4 && frame->flags == 0;
	default:
		return frame->stream != 0 && frame->bytes > 0;
	}
}

static bool take_settings(struct lh_cursor *cursor, struct frame *ret)
{
	if (!take_frame(cursor, ret) || ret->type != FRAME_SETTINGS || ret->flags || ret->stream ||
	    ret->bytes % SETTING_BYTES || !ret->bytes || ret->bytes / SETTING_BYTES > SETTINGS_MAX)
		return false;
	struct lh_cursor body = ret->body;
	while (lh_cursor_left(&body)) {
		uint16_t identifier = lh_cursor_be16(&body);
		(void)lh_cursor_be32(&body);
		if (identifier < 1 || identifier > SETTINGS_MAX)
			return false;
	}
	return true;
}

static bool validate_preface(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	(void)lh_cursor_take(&cursor, PREFACE_BYTES);
	struct lh_cursor after = cursor;
	struct frame settings;
	size_t settings_bytes = take_settings(&after, &settings) ? (size_t)(after.at - cursor.at) : 0;
	*ret = (struct lh_match){.length = PREFACE_BYTES + settings_bytes};
	return true;
}

static bool validate_settings(const struct lh_candidate *candidate, struct lh_match *ret)
{
	if (candidate->bytes_before < TYPE_OFFSET)
		return false;
	struct lh_cursor cursor = lh_cursor_over(candidate->anchor - TYPE_OFFSET, candidate->bytes_after + TYPE_OFFSET);
	struct frame settings;
	struct frame next;
	if (!take_settings(&cursor, &settings))
		return false;
	if (!take_frame(&cursor, &next) || !frame_is_possible(&next))
		return false;
	*ret = (struct lh_match){.before = TYPE_OFFSET, .length = FRAME_HEADER_BYTES + settings.bytes};
	return true;
}

static bool validate_http2(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return candidate->pattern == PATTERN_PREFACE ? validate_preface(candidate, ret)
						     : validate_settings(candidate, ret);
}

static void describe_http2(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	bool is_preface = candidate->pattern == PATTERN_PREFACE;
	size_t other_bytes = (is_preface ? PREFACE_BYTES : 0) + FRAME_HEADER_BYTES;
	size_t settings = match->length > other_bytes ? (match->length - other_bytes) / SETTING_BYTES : 0;
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%sSETTINGS of %zu", is_preface ? "client preface, " : "", settings);
}

const struct lh_recognizer lh_recognize_http2 = {
	.name = "http2",
	.title = "HTTP/2 connection starts",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_http2,
	.describe = describe_http2,
};
