/*
 * recognise_windows: where text is. Marks each 64-byte line in which a run of at least 8 text bytes
 * goes on, and joins marked lines to windows; random bytes, zeros and pointers are skipped that way.
 * It never decides what is recognised: the pass checks the run around each anchor exactly.
 */
#include "recognise.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LINE_BYTES = 64, JOIN_LINES = 4 };

#ifdef __SSE2__
/* Bit i: byte i is 0x20..0x7e, tab, LF or CR. */
static unsigned text_mask_16(const uint8_t *bytes)
{
	__m128i chars = _mm_loadu_si128((const __m128i *)(const void *)bytes);
	/* Signed compare: 0x80..0xff are negative, and so below 0x20. */
	__m128i above = _mm_cmpgt_epi8(chars, _mm_set1_epi8(0x1f));
	__m128i printable = _mm_andnot_si128(_mm_cmpeq_epi8(chars, _mm_set1_epi8(0x7f)), above);
	__m128i tab = _mm_cmpeq_epi8(chars, _mm_set1_epi8('\t'));
	__m128i breaks =
		_mm_or_si128(_mm_cmpeq_epi8(chars, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(chars, _mm_set1_epi8('\r')));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(printable, tab), breaks));
}

static uint64_t text_mask_line(const uint8_t *bytes)
{
	return (uint64_t)text_mask_16(bytes) | (uint64_t)text_mask_16(bytes + 16) << 16 |
	       (uint64_t)text_mask_16(bytes + 32) << 32 | (uint64_t)text_mask_16(bytes + 48) << 48;
}
#endif

unsigned __int128 lh_range_mask(const uint8_t *bytes, size_t length, uint8_t low, uint8_t high)
{
	unsigned __int128 mask = 0;
	size_t end = lh_min_u64(length, 2 * (size_t)LINE_BYTES), at = 0;
#ifdef __SSE2__
	__m128i first = _mm_set1_epi8((char)low), span = _mm_set1_epi8((char)(high - low));
	for (; end - at >= 16; at += 16) {
		__m128i above = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)(bytes + at)), first);
		int bits = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(above, span), above));
		mask |= (unsigned __int128)(unsigned)bits << at;
	}
#endif
	for (; at < end; at++)
		mask |= (unsigned __int128)(low <= bytes[at] && bytes[at] <= high) << at;
	return mask;
}

uint64_t lh_text_mask(const uint8_t *bytes, size_t length)
{
#ifdef __SSE2__
	if (length == LINE_BYTES)
		return text_mask_line(bytes);
#endif
	uint64_t mask = 0;
	for (size_t i = 0; i < length; i++)
		mask |= (uint64_t)lh_byte_is(bytes[i], LH_BYTES_TEXT) << i;
	return mask;
}

/* Whether the eighth or a later byte of a run lies in this line; carries runs over to the next one. */
static bool line_has_text(uint64_t mask, uint64_t carry[3])
{
	uint64_t pairs = mask & (mask << 1 | carry[0] >> 63);
	uint64_t quadruples = pairs & (pairs << 2 | carry[1] >> 62);
	uint64_t octuples = quadruples & (quadruples << 4 | carry[2] >> 60);
	carry[0] = mask;
	carry[1] = pairs;
	carry[2] = quadruples;
	return octuples != 0;
}

void lh_text_windows_init(struct lh_text_windows *windows, const uint8_t *data, size_t bytes, size_t bytes_before)
{
	*windows = (struct lh_text_windows){.data = data, .bytes = bytes};
	size_t primed = lh_min_u64(bytes_before, LH_TEXT_RUN_MIN);
	if (primed)
		(void)line_has_text(lh_text_mask(data - primed, primed) << (LINE_BYTES - primed), windows->carry);
}

static bool next_line_has_text(struct lh_text_windows *windows)
{
	size_t length = lh_min_u64(LINE_BYTES, windows->bytes - windows->at);
	bool has_text = line_has_text(lh_text_mask(windows->data + windows->at, length), windows->carry);
	windows->at += length;
	return has_text;
}

bool lh_text_windows_next(struct lh_text_windows *windows, size_t *ret_start, size_t *ret_end)
{
	size_t line = windows->at;
	while (windows->at < windows->bytes && !next_line_has_text(windows))
		line = windows->at;
	if (line >= windows->bytes)
		return false;
	size_t end = windows->at;
	size_t silent = 0;
	while (windows->at < windows->bytes && silent < JOIN_LINES) {
		silent = next_line_has_text(windows) ? 0 : silent + 1;
		if (!silent)
			end = windows->at;
	}
	*ret_start = line > LH_TEXT_RUN_MIN ? line - LH_TEXT_RUN_MIN : 0;
	*ret_end = end;
	return true;
}
