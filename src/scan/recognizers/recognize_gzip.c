/*
 * recognize_gzip: gzip members, RFC 1952: magic, method 8, reserved flags (FLG & e0) zero, XFL 0, 2 or
 * 4, a known OS, and a deflate stream of at least 64 bytes that zlib can read: to its CRC, or as far
 * as memory goes. A match is at most 64 KiB long: of a larger member, its beginning. Shown by its file name.
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>

enum { FLAGS_AT = 3, FLAG_EXTRA = 4, FLAG_NAME = 8, HEAD_BYTES = 10, NAME_MAX_BYTES = 100 };

static const char *const patterns[] = {"\\x1f\\x8b\\x08[\\x00-\\x1f]....[\\x00\\x02\\x04][\\x00-\\x0d\\xff]", NULL};

static bool validate_gzip(const struct lh_candidate *candidate, struct lh_match *ret)
{
	return lh_inflate_match(candidate, LH_INFLATE_GZIP, ret);
}

/* The name lies after the head unless extra fields come first, which is rare. */
static void describe_gzip(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	bool has_name = candidate->anchor[FLAGS_AT] & FLAG_NAME && !(candidate->anchor[FLAGS_AT] & FLAG_EXTRA);
	size_t name = has_name ? lh_span_after(candidate, HEAD_BYTES, NAME_MAX_BYTES, LH_BYTES_LINE) : 0;
	(void)snprintf(ret, LH_EXAMPLE_MAX, "%zu bytes, %s%s%.*s", match->length, lh_inflated_kinds[match->kind],
		       name ? ", " : "", (int)name, (const char *)candidate->anchor + HEAD_BYTES);
}

const struct lh_recognizer lh_recognize_gzip = {
	.name = "gzip",
	.title = "gzip data",
	.set = LH_PATTERNS_BINARY,
	.patterns = patterns,
	.validate = validate_gzip,
	.kinds = lh_inflated_kinds,
	.describe = describe_gzip,
};
