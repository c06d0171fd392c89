/*
 * recognize_utf16: text in UTF-16 of either byte order (RFC 2781): at least 8 consecutive printable ASCII characters,
 * 70 % of them letters and digits, since arrays of two-byte numbers look similar. Each character is a printable byte
 * and a zero byte; shown without the zeros.
 */
#include "scan/recognize/recognize.h"

enum { UNITS_MIN = 8, UNITS_MAX = LH_BLOCK_OVERLAP / 2, PATTERN_LITTLE = 0 };

static const char *const patterns[] = {
	[PATTERN_LITTLE] = "(?:[ -~]\\x00){8}",
	"(?:\\x00[ -~]){8}",
	NULL,
};

static const char *const kinds[] = {"UTF-16LE", "UTF-16BE", NULL};

/* The first of 8 units, each one bit, in two consecutive masks. */
static uint64_t eight_units(uint64_t here, uint64_t next)
{
	unsigned __int128 units = here | (unsigned __int128)next << LH_LINE_BYTES;
	if (!here)
		return 0;
	units &= units >> 2;
	units &= units >> 4;
	return (uint64_t)(units & units >> 8);
}

static void find_utf16(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
		       uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	enum { PATTERN_BIG = 1 };
	uint64_t zeros[LH_FIND_LINES + 2], printable[LH_FIND_LINES + 2];
	kernel->range_masks(data, line_count + 1, 0, 0, zeros);
	kernel->range_masks(data, line_count + 1, ' ', '~', printable);
	zeros[line_count + 1] = printable[line_count + 1] = 0;
	for (size_t k = 0; k < line_count; k++) {
		const uint64_t *zero = &zeros[k], *print = &printable[k];
		ret_anchors[PATTERN_LITTLE][k] =
			eight_units(print[0] & lh_mask_ahead(zero, 1), print[1] & lh_mask_ahead(zero + 1, 1));
		ret_anchors[PATTERN_BIG][k] =
			eight_units(zero[0] & lh_mask_ahead(print, 1), zero[1] & lh_mask_ahead(print + 1, 1));
	}
}

static bool validate_utf16(const struct lh_candidate *candidate, struct lh_match *ret)
{
	size_t high = candidate->pattern == PATTERN_LITTLE ? 1 : 0; /* where the zero byte is */
	size_t units = 0;
	size_t words = 0;
	for (const uint8_t *unit = candidate->anchor; units < UNITS_MAX && 2 * units + 2 <= candidate->bytes_after;
	     unit += 2, units++) {
		if (unit[high] || !lh_byte_is(unit[1 - high], LH_BYTES_TEXT))
			break;
		words += lh_byte_is(unit[1 - high], LH_BYTES_ALNUM);
	}
	*candidate->examined += units;
	/* At an odd address, little endian looks like big endian: a zero byte before it is the high byte of a unit. */
	bool is_shifted = high == 0 && candidate->bytes_before && lh_before_is(candidate, 1, LH_BYTES_LINE);
	if (units < UNITS_MIN || words * 10 < units * 7 || is_shifted)
		return false;
	*ret = (struct lh_match){.length = 2 * units, .kind = candidate->pattern};
	return true;
}

static void describe_utf16(const struct lh_candidate *candidate, const struct lh_match *match, char ret[LH_EXAMPLE_MAX])
{
	size_t low = candidate->pattern == PATTERN_LITTLE ? 0 : 1;
	size_t units = lh_min_u64(match->length / 2, LH_EXAMPLE_MAX - 1);
	for (size_t i = 0; i < units; i++)
		ret[i] = (char)candidate->anchor[2 * i + low];
	ret[units] = '\0';
}

const struct lh_recognizer lh_recognize_utf16 = {
	.name = "utf16",
	.title = "UTF-16 texts",
	.set = LH_PATTERNS_OWN,
	.patterns = patterns,
	.find = find_utf16,
	.validate = validate_utf16,
	.kinds = kinds,
	.describe = describe_utf16,
};
