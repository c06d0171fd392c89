/*
 * recognize_base64: base64 in text, RFC 4648 section 4: at least 64 characters that decode, with
 * their padding, as a run of their own. To tell it from paths, names and hexadecimal dumps it must
 * hold capitals, small letters and digits, as encoded bytes do, and few slashes; no word with '_'.
 */
#include "scan/recognize/recognize.h"

enum {
	BASE64_MIN = 64,
	SAMPLE_BYTES = 4096, /* bytes of a long run that are examined */
};

static const char *const patterns[] = {"[A-Za-z0-9+/]{64}", NULL};

/* Where 64 consecutive marked bytes begin, in two consecutive masks: at the last `ones` bytes of the first one. */
static uint64_t begin_of_64(uint64_t here, uint64_t next)
{
	unsigned ones = ~here ? (unsigned)__builtin_clzll(~here) : 64;
	unsigned follow = ~next ? (unsigned)__builtin_ctzll(~next) : 64;
	if (ones + follow < 64 || !ones)
		return 0;
	/* bit i: 64 - i bytes here, and i there */
	uint64_t from = UINT64_MAX << (64 - ones);
	return follow >= 63 ? from : from & ((UINT64_C(2) << follow) - 1);
}

/* Only the beginning of a run of base64: elsewhere the validator refuses. */
static void find_base64(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
			uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t chars[LH_FIND_LINES + 1], more[LH_FIND_LINES + 1];
	static const uint8_t ranges[][2] = {{'A', 'Z'}, {'/', '9'}, {'+', '+'}};
	kernel->range_masks(data, line_count + 1, 'a', 'z', chars);
	for (size_t i = 0; i < LH_ARRAY_COUNT(ranges); i++) {
		kernel->range_masks(data, line_count + 1, ranges[i][0], ranges[i][1], more);
		for (size_t k = 0; k <= line_count; k++)
			chars[k] |= more[k];
	}
	uint64_t before = 0; /* the validator examines the byte before the first one */
	for (size_t k = 0; k < line_count; k++) {
		ret_anchors[0][k] = begin_of_64(chars[k], chars[k + 1]) & ~(chars[k] << 1 | before);
		before = chars[k] >> 63;
	}
}

struct mixture {
	size_t digits;
	size_t lower;
	size_t upper;
	size_t slashes;
	size_t beyond_hex;
};

static struct mixture base64_mixture_of(const struct lh_candidate *candidate, size_t length)
{
	struct mixture mixture = {0};
	for (size_t i = 0; i < length; i++) {
		uint8_t byte = candidate->anchor[i];
		mixture.digits += lh_byte_is(byte, LH_BYTE_DIGIT);
		mixture.lower += lh_byte_is(byte, LH_BYTES_LOWER);
		mixture.upper += lh_byte_is(byte, LH_BYTES_UPPER);
		mixture.slashes += lh_byte_is(byte, LH_BYTE_SLASH);
		mixture.beyond_hex += !lh_byte_is(byte, LH_BYTES_HEX);
	}
	*candidate->examined += length;
	return mixture;
}

/*
 * Encoded text has about 1/10 digits, 2/5 capitals, 2/5 small letters; random bytes 10/64, 26/64, 26/64 and 1/64
 * slashes. Of 64 characters, that few of one kind come by chance in less than 1 of 1,000 random ones.
 */
static bool is_encoded(struct mixture mixture, size_t length)
{
	return mixture.digits >= length / 32 && mixture.lower >= length / 8 && mixture.upper >= length / 8 &&
	       mixture.slashes <= length / 12 && mixture.beyond_hex >= length / 8;
}

static bool validate_base64(const struct lh_candidate *candidate, struct lh_match *ret)
{
	/* A run longer than 64 KiB continues as another match. */
	if (lh_before_is(candidate, 1, LH_BYTES_BASE64 | LH_BYTE_UNDERSCORE | LH_BYTE_DASH))
		return false;
	size_t length = lh_span_after(candidate, 0, LH_BLOCK_OVERLAP, LH_BYTES_BASE64);
	if (length < BASE64_MIN || lh_after_is(candidate, length, LH_BYTE_UNDERSCORE | LH_BYTE_DASH))
		return false;
	size_t padding = 0;
	while (padding < 2 && lh_after_equals(candidate, length + padding, "="))
		padding++;
	bool is_cut = length == LH_BLOCK_OVERLAP;
	if (!is_cut && (length + padding) % 4)
		return false;
	size_t sample = lh_min_u64(length, SAMPLE_BYTES);
	if (!is_encoded(base64_mixture_of(candidate, sample), sample))
		return false;
	*ret = (struct lh_match){.length = is_cut ? length : length + padding};
	return true;
}

const struct lh_recognizer lh_recognize_base64 = {
	.name = "base64",
	.title = "base64",
	.set = LH_PATTERNS_OWN_TEXT,
	.patterns = patterns,
	.find = find_base64,
	.finds_rest = true,
	.validate = validate_base64,
};
