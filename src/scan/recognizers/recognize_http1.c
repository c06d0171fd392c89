/*
 * recognize_http1: heads of HTTP/1 messages, RFC 9112: a request line ("method target HTTP/1.x") or
 * a status line ("HTTP/1.x ddd reason"), and the header fields that follow it, up to the empty line
 * if it is there. Shown by its first line only: header fields may hold credentials.
 */
#include "scan/recognize/recognize.h"

#include <string.h>

enum {
	VERSION_BYTES = 8,
	TARGET_MAX = 2048,
	METHOD_MAX = 16,
	NAME_MAX_BYTES = 64,
	LINE_MAX_BYTES = 8192,
	HEADERS_MAX = 128
};

static const char *const patterns[] = {"HTTP/1\\.[01]", NULL};

/* RFC 9110 section 9, RFC 5789, and the extensions of WebDAV (RFC 4918) that are common. */
static const char *const methods[] = {"GET",   "POST",  "PUT",     "HEAD",     "DELETE",    "OPTIONS",
				      "PATCH", "TRACE", "CONNECT", "PROPFIND", "PROPPATCH", "MKCOL",
				      "COPY",  "MOVE",  "LOCK",    "UNLOCK",   "REPORT",    "PURGE"};

static bool is_method(const uint8_t *word, size_t length)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(methods); i++) {
		if (strlen(methods[i]) == length && memcmp(methods[i], word, length) == 0)
			return true;
	}
	return false;
}

/* "HTTP/1.1 200 OK": a version, a blank, three digits of 100 to 599. */
static bool is_status_line(const struct lh_candidate *candidate)
{
	const uint8_t *at = candidate->anchor;
	return lh_after_is(candidate, VERSION_BYTES + 3, LH_BYTE_DIGIT) && at[VERSION_BYTES] == ' ' &&
	       at[VERSION_BYTES + 1] >= '1' && at[VERSION_BYTES + 1] <= '5' &&
	       lh_byte_is(at[VERSION_BYTES + 2], LH_BYTE_DIGIT) &&
	       !lh_after_is(candidate, VERSION_BYTES + 4, LH_BYTES_ALNUM);
}

/* "GET /a?b " before the version; a quote before it is a log's. Bytes before the anchor, or 0. */
static size_t request_line_before(const struct lh_candidate *candidate)
{
	if (!lh_before_is(candidate, 1, LH_BYTE_BLANK))
		return 0;
	struct lh_candidate at_blank = *candidate;
	at_blank.anchor--;
	at_blank.bytes_before--;
	size_t target = lh_span_before(&at_blank, TARGET_MAX, LH_BYTES_LINE & ~(unsigned)LH_BYTE_BLANK);
	size_t method_end = 1 + target + 1;
	if (!target || !lh_before_is(candidate, method_end, LH_BYTE_BLANK))
		return 0;
	size_t method = 0;
	while (method < METHOD_MAX && lh_before_is(candidate, method_end + method + 1, LH_BYTES_UPPER))
		method++;
	size_t before = method_end + method;
	if (!is_method(candidate->anchor - before, method) ||
	    lh_before_is(candidate, before + 1, LH_BYTES_WORD | LH_BYTE_DASH) ||
	    (before < candidate->bytes_before && strchr("\"'`", *(candidate->anchor - before - 1)) &&
	     *(candidate->anchor - before - 1)))
		return 0;
	return before;
}

/* The offset after a line break at `offset`, or `offset` if there is none. */
static size_t after_break(const struct lh_candidate *candidate, size_t offset)
{
	if (lh_after_equals(candidate, offset, "\r\n"))
		return offset + 2;
	return lh_after_equals(candidate, offset, "\n") ? offset + 1 : offset;
}

/* "Name: value" and a line break; the offset after it, or `offset` for anything else. */
static size_t after_header(const struct lh_candidate *candidate, size_t offset)
{
	size_t name = lh_span_after(candidate, offset, NAME_MAX_BYTES, LH_BYTES_WORD | LH_BYTE_DASH);
	if (!name || !lh_after_equals(candidate, offset + name, ":"))
		return offset;
	size_t value = lh_span_after(candidate, offset + name, LINE_MAX_BYTES, LH_BYTES_LINE);
	size_t end = offset + name + value;
	size_t next = after_break(candidate, end);
	return next == end ? offset : next;
}

static size_t head_end(const struct lh_candidate *candidate, size_t first_line_end)
{
	size_t at = after_break(candidate, first_line_end);
	for (unsigned i = 0; i < HEADERS_MAX && at > first_line_end; i++) {
		size_t next = after_header(candidate, at);
		if (next == at)
			break;
		at = next;
	}
	return at > first_line_end ? after_break(candidate, at) : at;
}

static bool validate_http1(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t before = 0;
	size_t line_end = VERSION_BYTES;
	if (is_status_line(candidate) &&
	    !lh_before_is(candidate, 1, LH_BYTES_WORD | LH_BYTE_BLANK | LH_BYTE_TEXT_REST)) {
		line_end += lh_span_after(candidate, VERSION_BYTES, LINE_MAX_BYTES, LH_BYTES_LINE);
	} else {
		before = request_line_before(candidate);
		if (!before || lh_after_is(candidate, VERSION_BYTES, LH_BYTES_WORD | LH_BYTE_DOT))
			return false;
	}
	size_t first_line = line_end + lh_span_after(candidate, line_end, LINE_MAX_BYTES, LH_BYTES_LINE);
	*ret = (struct lh_match){
		.before = before,
		.length = before + head_end(candidate, line_end),
		.shown_bytes = before + first_line,
		.kind = before ? 0 : 1,
	};
	return true;
}

static const char *const kinds[] = {"requests", "responses", NULL};

const struct lh_recognizer lh_recognize_http1 = {
	.name = "http1",
	.title = "HTTP/1 message heads",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_http1,
	.kinds = kinds,
};
