/*
 * recognize_jpeg: JPEG images, ITU-T T.81 annex B: SOI, marker segments with their lengths, among them
 * a frame header (SOF) of a possible size, up to the scan; then entropy-coded bytes, in which ff is
 * followed by 00 or a restart or another segment, to EOI or as far as the match may reach (64 KiB).
 * SOI and a marker alone come by chance (2 in 268 MB of random bytes).
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>
#include <string.h>

enum {
	MARKER = 0xff,
	SOF_0 = 0xc0,
	SOF_2 = 0xc2,
	RST_0 = 0xd0,
	RST_7 = 0xd7,
	EOI = 0xd9,
	SOS = 0xda,
	DQT = 0xdb,
	APP_15 = 0xef,
	COM = 0xfe,
	COMPONENTS_MAX = 4,
	SEGMENTS_MAX = 4096,
};

static const char *const patterns[] = {"\\xff\\xd8\\xff[\\xc0\\xc4\\xdb\\xdd\\xe0-\\xef\\xfe]", NULL};

struct frame {
	unsigned width;
	unsigned height;
	unsigned components;
};

/* B.2.2: precision, lines, samples per line, components of three bytes each. */
static bool read_frame(struct lh_cursor body, struct frame *ret)
{
	uint8_t precision = lh_cursor_u8(&body);
	ret->height = lh_cursor_be16(&body);
	ret->width = lh_cursor_be16(&body);
	ret->components = lh_cursor_u8(&body);
	return !body.failed && (precision == 8 || precision == 12) && ret->width && ret->components >= 1 &&
	       ret->components <= COMPONENTS_MAX && lh_cursor_left(&body) == (size_t)3 * ret->components;
}

static bool is_segment_marker(uint8_t marker)
{
	return marker >= SOF_0 && marker <= COM && (marker < RST_0 || marker > EOI) &&
	       !(marker > APP_15 && marker < COM);
}

/* Takes a segment; its body follows the length. */
static bool take_segment(struct lh_cursor *cursor, uint8_t *ret_marker, struct lh_cursor *ret_body)
{
	struct lh_cursor at = *cursor;
	bool is_marker = lh_cursor_u8(&at) == MARKER;
	*ret_marker = lh_cursor_u8(&at);
	size_t bytes = lh_cursor_be16(&at);
	if (at.failed || !is_marker || !is_segment_marker(*ret_marker) || bytes < 2)
		return false;
	const uint8_t *body = lh_cursor_take(&at, bytes - 2);
	if (!body)
		return false;
	*ret_body = lh_cursor_over(body, bytes - 2);
	*cursor = at;
	return true;
}

/* Segments up to the first scan; the frame header must be among them. */
static bool take_head(struct lh_cursor *cursor, struct frame *ret)
{
	(void)lh_cursor_take(cursor, 2);
	bool has_frame = false;
	uint8_t marker = 0;
	struct lh_cursor body;
	for (unsigned i = 0; i < SEGMENTS_MAX && marker != SOS; i++) {
		if (!take_segment(cursor, &marker, &body))
			return false;
		if (marker < SOF_0 || marker > SOF_2)
			continue;
		if (!read_frame(body, ret))
			return false;
		has_frame = true;
	}
	return has_frame && marker == SOS;
}

/* Skips to EOI, to the end, or to something that cannot belong to the image. */
static void skip_scans(struct lh_cursor *cursor)
{
	for (;;) {
		const uint8_t *mark = memchr(cursor->at, MARKER, lh_cursor_left(cursor));
		if (!mark || mark + 1 == cursor->end) {
			cursor->at = cursor->end;
			return;
		}
		uint8_t marker = mark[1];
		struct lh_cursor segment = lh_cursor_over(mark, (size_t)(cursor->end - mark));
		struct lh_cursor body;
		cursor->at = mark + 2;
		if (marker == EOI)
			return;
		if (marker == 0 || marker == MARKER || (marker >= RST_0 && marker <= RST_7))
			continue;
		cursor->at = mark;
		if (!take_segment(&segment, &marker, &body))
			return;
		cursor->at = segment.at;
	}
}

static bool validate_jpeg(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	struct frame frame;
	bool is_image = take_head(&cursor, &frame);
	*candidate->examined += (size_t)(cursor.at - candidate->anchor) / 8;
	if (!is_image)
		return false;
	skip_scans(&cursor);
	*ret = (struct lh_match){.length = (size_t)(cursor.at - candidate->anchor)};
	return true;
}

static void describe_jpeg(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	struct lh_cursor cursor = lh_cursor_over(candidate->anchor, match->length);
	struct frame frame;
	ret[0] = '\0';
	if (take_head(&cursor, &frame))
		(void)snprintf(ret, LH_EXAMPLE_MAX, "%u x %u, %u components", frame.width, frame.height,
			       frame.components);
}

const struct lh_recognizer lh_recognize_jpeg = {
	.name = "jpeg",
	.title = "JPEG images",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_jpeg,
	.describe = describe_jpeg,
};
