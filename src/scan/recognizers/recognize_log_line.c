/*
 * recognize_log_line: lines of logs: a time stamp in one of the usual forms, in the first 128 bytes of
 * a line, and text after it: ISO 8601 / RFC 3339, syslog (RFC 3164 section 4.1.2), the common log
 * format of web servers, nginx' error log. A line ends at a line break or where text ends.
 */
#include "scan/recognize/recognize.h"

enum { BEFORE_MAX = 128, LINE_MAX_BYTES = 4096, TEXT_MIN = 4, STAMP_REST_MAX = 16 };

enum { ISO_8601, SYSLOG, COMMON, NGINX };

static const char *const patterns[] = {
	[ISO_8601] = "[12][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]",
	[SYSLOG] = "[ADFJMNOS][aceopu][bcglnprtvy] [ 0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9] ",
	[COMMON] = "\\[[0-3][0-9]/[ADFJMNOS][aceopu][bcglnprtvy]/[12][0-9]{3}:[0-2][0-9]:[0-5][0-9]:[0-6][0-9] [+-]",
	[NGINX] = "[12][0-9]{3}/[01][0-9]/[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9] ",
	NULL,
};

static const size_t stamp_bytes[] = {[ISO_8601] = 19, [SYSLOG] = 16, [COMMON] = 23, [NGINX] = 20};

/* Skips fractions, zone and brackets that belong to the stamp: ".123", ",123 +0200", "+01:00]". */
static size_t after_stamp(const struct lh_candidate *candidate)
{
	size_t at = stamp_bytes[candidate->pattern];
	return at + lh_span_after(candidate, at, STAMP_REST_MAX,
				  LH_BYTE_DIGIT | LH_BYTE_DOT | LH_BYTE_PLUS | LH_BYTE_DASH | LH_BYTE_URL_REST |
					  LH_BYTE_BLANK);
}

static bool validate_log_line(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t before = lh_span_before(candidate, BEFORE_MAX + 1, LH_BYTES_LINE);
	/* "<date>2022-05-17T20:30:09Z</date>" is a document. */
	bool is_element = before && *(candidate->anchor - 1) == '>';
	if (before > BEFORE_MAX || is_element || lh_before_is(candidate, 1, LH_BYTES_ALNUM))
		return false;
	size_t stamp = stamp_bytes[candidate->pattern];
	size_t rest = lh_span_after(candidate, stamp, LINE_MAX_BYTES, LH_BYTES_LINE);
	if (stamp + rest < after_stamp(candidate) + TEXT_MIN)
		return false;
	*ret = (struct lh_match){.before = before, .length = before + stamp + rest};
	return true;
}

const struct lh_recognizer lh_recognize_log_line = {
	.name = "log-line",
	.title = "log lines",
	.set = LH_PATTERNS_WORDS,
	.patterns = patterns,
	.validate = validate_log_line,
};
