/*
 * kernel_scalar: the plain version of every kernel function, one character at a time. It is what
 * the SIMD kernels are tested against, so it shares no code with them.
 */
#include "leakhunt/sweep.h"

#include <string.h>

bool lh_char_is_printable(const uint8_t *at, enum lh_encoding encoding)
{
	uint32_t value;
	switch (encoding) {
	case LH_ENCODING_UTF16_BE:
		value = (uint32_t)at[0] << 8 | at[1];
		break;
	case LH_ENCODING_UTF16_LE:
		value = (uint32_t)at[1] << 8 | at[0];
		break;
	case LH_ENCODING_UTF32_BE:
		value = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
		break;
	case LH_ENCODING_UTF32_LE:
		value = (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
		break;
	default:
		value = at[0];
	}
	return value == '\t' || (value >= 0x20 && value <= 0x7e) || (encoding == LH_ENCODING_LATIN && value >= 0x80);
}

static bool is_scalar_supported(void)
{
	return true;
}

static size_t find_scalar_prefix(const uint8_t *data, size_t length, enum lh_encoding encoding)
{
	size_t width = lh_encoding_width(encoding);
	size_t at = 0;
	while (length - at >= width && lh_char_is_printable(data + at, encoding))
		at += width;
	return at;
}

/* After an unprintable character GNU strings goes on at the next byte, whatever the width. */
static size_t find_scalar_runs(const uint8_t *data, size_t length, enum lh_encoding encoding, size_t min_chars,
			       struct lh_span *cursor, struct lh_span *ret, size_t capacity)
{
	size_t width = lh_encoding_width(encoding);
	size_t found = 0;
	struct lh_span run = {cursor->end, cursor->end};
	while (found < capacity && length - run.end >= width) {
		if (lh_char_is_printable(data + run.end, encoding)) {
			run.end += width;
			continue;
		}
		if ((run.end - run.start) / width >= min_chars)
			ret[found++] = run;
		run.start = run.end = run.end + 1;
	}
	*cursor = run;
	return found;
}

static bool is_zero_scalar(const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (data[i])
			return false;
	return true;
}

static void range_masks_scalar(const uint8_t *data, size_t line_count, uint8_t low, uint8_t high, uint64_t *ret)
{
	memset(ret, 0, line_count * sizeof(*ret));
	for (size_t i = 0; i < line_count * LH_LINE_BYTES; i++)
		ret[i / LH_LINE_BYTES] |= (uint64_t)(low <= data[i] && data[i] <= high) << i % LH_LINE_BYTES;
}

static void character_masks_scalar(const uint8_t *data, size_t line_count, uint64_t *ret_ascii, uint64_t *ret_high)
{
	memset(ret_ascii, 0, line_count * sizeof(*ret_ascii));
	range_masks_scalar(data, line_count, 0x80, 0xff, ret_high);
	for (size_t i = 0; i < line_count * LH_LINE_BYTES; i++) {
		bool is_ascii = lh_char_is_printable(data + i, LH_ENCODING_ASCII);
		ret_ascii[i / LH_LINE_BYTES] |= (uint64_t)is_ascii << i % LH_LINE_BYTES;
	}
}

static void text_masks_scalar(const uint8_t *data, size_t line_count, uint64_t *ret)
{
	memset(ret, 0, line_count * sizeof(*ret));
	for (size_t i = 0; i < line_count * LH_LINE_BYTES; i++) {
		bool is_text = lh_char_is_printable(data + i, LH_ENCODING_ASCII) || data[i] == '\n' || data[i] == '\r';
		ret[i / LH_LINE_BYTES] |= (uint64_t)is_text << i % LH_LINE_BYTES;
	}
}

const struct lh_kernel lh_kernel_scalar = {"scalar",          is_scalar_supported,   find_scalar_prefix,
					   find_scalar_runs,  is_zero_scalar,        range_masks_scalar,
					   text_masks_scalar, character_masks_scalar};
