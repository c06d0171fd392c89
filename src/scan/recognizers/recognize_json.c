/*
 * recognize_json: JSON texts, RFC 8259: an object with a member, at least 12 bytes long, or an array that contains a
 * string or an object, at least 24; grammar and UTF-8 are checked up to the closing bracket. At most 64 levels deep and
 * 64 KiB long: of a larger text, or one that is cut off, the complete parts inside count.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum { OBJECT_MIN = 12, ARRAY_MIN = 24, DEPTH_MAX = 64 };

static const char *const patterns[] = {"\\{[\"\\x0a\\x0d \\x09}]", "\\[[\\[{\"\\x0a\\x0d \\x090-9-]", NULL};

/* Those of the marked brackets in a line that are followed by a byte that may follow them. */
static uint64_t is_value_followed(const uint8_t *line, uint64_t brackets, unsigned classes, const char *others)
{
	uint64_t anchors = 0;
	for (uint64_t rest = brackets; rest; rest &= rest - 1) {
		uint8_t next = line[__builtin_ctzll(rest) + 1];
		if (lh_byte_is(next, classes | LH_BYTE_BLANK | LH_BYTE_BREAK) || (next && strchr(others, next)))
			anchors |= rest & -rest;
	}
	return anchors;
}

static void find_json(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		      uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t braces[LH_FIND_LINES], brackets[LH_FIND_LINES];
	kernel->range_masks(data, line_count, '{', '{', braces);
	kernel->range_masks(data, line_count, '[', '[', brackets);
	for (size_t k = 0; k < line_count; k++) {
		const uint8_t *line = data + k * LH_LINE_BYTES;
		ret_anchors[0][k] = is_value_followed(line, braces[k], 0, "\"}");
		ret_anchors[1][k] = is_value_followed(line, brackets[k], LH_BYTE_DIGIT | LH_BYTE_DASH, "[{\"");
	}
}

struct parser {
	const uint8_t *at;
	const uint8_t *end;
	uint64_t objects; /* bit i: level i is an object; 0: an array */
	unsigned depth;
	bool has_member; /* some object has a member, or some array a string */
};

static uint8_t peek_json_byte(const struct parser *parser)
{
	return parser->at < parser->end ? *parser->at : 0;
}

static void skip_space(struct parser *parser)
{
	while (parser->at < parser->end && lh_byte_is(*parser->at, LH_BYTE_BLANK | LH_BYTE_BREAK))
		parser->at++;
}

static bool take_json(struct parser *parser, uint8_t byte)
{
	if (parser->at == parser->end || *parser->at != byte)
		return false;
	parser->at++;
	return true;
}

static bool take_escape(struct parser *parser)
{
	uint8_t kind = peek_json_byte(parser);
	if (!kind || !strchr("\"\\/bfnrtu", kind))
		return false;
	parser->at++;
	for (unsigned i = 0; kind == 'u' && i < 4; i++) {
		if (!lh_byte_is(peek_json_byte(parser), LH_BYTES_HEX))
			return false;
		parser->at++;
	}
	return true;
}

/* Skips printable ASCII except '"' and '\\'. */
static void skip_plain(struct parser *parser)
{
	const uint8_t *at = parser->at;
	while (at < parser->end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
		at++;
	parser->at = at;
}

static bool take_json_string(struct parser *parser)
{
	if (!take_json(parser, '"'))
		return false;
	for (skip_plain(parser); parser->at < parser->end && *parser->at != '"'; skip_plain(parser)) {
		if (*parser->at == '\\') {
			parser->at++;
			if (!take_escape(parser))
				return false;
			continue;
		}
		size_t bytes =
			*parser->at < 0x20 ? 0 : lh_utf8_decode(parser->at, (size_t)(parser->end - parser->at), NULL);
		if (!bytes)
			return false;
		parser->at += bytes;
	}
	return take_json(parser, '"');
}

static bool take_json_digits(struct parser *parser)
{
	const uint8_t *start = parser->at;
	while (lh_byte_is(peek_json_byte(parser), LH_BYTE_DIGIT))
		parser->at++;
	return parser->at > start;
}

/* RFC 8259 section 6: no leading zeros, digits on both sides of the point. */
static bool take_json_number(struct parser *parser)
{
	(void)take_json(parser, '-');
	if (!take_json(parser, '0') && !take_json_digits(parser))
		return false;
	if (take_json(parser, '.') && !take_json_digits(parser))
		return false;
	if (take_json(parser, 'e') || take_json(parser, 'E')) {
		if (!take_json(parser, '+'))
			(void)take_json(parser, '-');
		return take_json_digits(parser);
	}
	return true;
}

static bool take_json_word(struct parser *parser, const char *word)
{
	size_t length = strlen(word);
	if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0)
		return false;
	parser->at += length;
	return true;
}

static bool take_scalar(struct parser *parser)
{
	uint8_t first = peek_json_byte(parser);
	if (first == '"') {
		parser->has_member = true;
		return take_json_string(parser);
	}
	if (first == '-' || lh_byte_is(first, LH_BYTE_DIGIT))
		return take_json_number(parser);
	return take_json_word(parser, "true") || take_json_word(parser, "false") || take_json_word(parser, "null");
}

static bool in_object(const struct parser *parser)
{
	return parser->objects >> (parser->depth - 1) & 1;
}

static bool take_key(struct parser *parser)
{
	skip_space(parser);
	if (!take_json_string(parser))
		return false;
	parser->has_member = true;
	skip_space(parser);
	return take_json(parser, ':');
}

/* Enters a level at '{' or '['; *ret_empty: and leaves it at once. */
static bool open_level(struct parser *parser, bool *ret_empty)
{
	bool is_object = *parser->at++ == '{';
	if (parser->depth == DEPTH_MAX)
		return false;
	uint64_t bit = (uint64_t)1 << parser->depth++;
	parser->objects = is_object ? parser->objects | bit : parser->objects & ~bit;
	skip_space(parser);
	*ret_empty = take_json(parser, is_object ? '}' : ']');
	if (*ret_empty)
		parser->depth--;
	return *ret_empty || !is_object || take_key(parser);
}

/* After a value: closes levels, up to a comma before the next value. */
static bool close_levels(struct parser *parser)
{
	while (parser->depth) {
		skip_space(parser);
		if (take_json(parser, ','))
			return !in_object(parser) || take_key(parser);
		if (!take_json(parser, in_object(parser) ? '}' : ']'))
			return false;
		parser->depth--;
	}
	return true;
}

/* From an opening bracket to its closing one. */
static bool parse_json_text(struct parser *parser)
{
	do {
		skip_space(parser);
		uint8_t first = peek_json_byte(parser);
		if (first == '{' || first == '[') {
			bool is_empty;
			if (!open_level(parser, &is_empty))
				return false;
			if (!is_empty)
				continue;
		} else if (!take_scalar(parser)) {
			return false;
		}
		if (!close_levels(parser))
			return false;
	} while (parser->depth);
	return true;
}

static bool validate_json(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct parser parser = {.at = candidate->anchor, .end = candidate->anchor + candidate->bytes_after};
	bool is_json = parse_json_text(&parser);
	size_t length = (size_t)(parser.at - candidate->anchor);
	*candidate->examined += length;
	size_t least = *candidate->anchor == '{' ? OBJECT_MIN : ARRAY_MIN;
	if (!is_json || !parser.has_member || length < least)
		return false;
	*ret = (struct lh_match){.length = length};
	return true;
}

const struct lh_recognizer lh_recognize_json = {
	.name = "json",
	.title = "JSON texts",
	.set = LH_PATTERNS_OWN_TEXT,
	.patterns = patterns,
	.find = find_json,
	.validate = validate_json,
};
