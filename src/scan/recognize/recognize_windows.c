/*
 * recognize_windows: where text is. Marks each 64-byte line that contains the eighth or a later byte of a text run, and
 * joins marked lines to windows; this skips random bytes, zeros and pointers. Windows only narrow the search: the pass
 * checks the run around each anchor exactly.
 */
#include "recognize.h"

enum { JOIN_LINES = 4 };

uint64_t lh_text_mask(const struct lh_kernel *kernel, const uint8_t *bytes, size_t length)
{
	uint64_t mask = 0;
	if (length == LH_LINE_BYTES)
		kernel->text_masks(bytes, 1, &mask);
	for (size_t i = 0; length < LH_LINE_BYTES && i < length; i++)
		mask |= (uint64_t)lh_byte_is(bytes[i], LH_BYTES_TEXT) << i;
	return mask;
}

/* Whether the eighth or a later byte of a run is in this line; carries runs over to the next line. */
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

void lh_text_windows_init(struct lh_text_windows *windows, const struct lh_kernel *kernel, const uint8_t *data,
			  size_t bytes, size_t bytes_before)
{
	*windows = (struct lh_text_windows){.kernel = kernel, .data = data, .bytes = bytes};
	size_t primed = lh_min_u64(bytes_before, LH_TEXT_RUN_MIN);
	if (primed)
		(void)line_has_text(lh_text_mask(kernel, data - primed, primed) << (LH_LINE_BYTES - primed),
				    windows->carry);
}

/* The mask of the line at windows->at: masks of many whole lines are computed at once. */
static uint64_t next_mask(struct lh_text_windows *windows, size_t length)
{
	if (length < LH_LINE_BYTES)
		return lh_text_mask(windows->kernel, windows->data + windows->at, length);
	if (windows->next_mask == windows->mask_count) {
		windows->next_mask = 0;
		windows->mask_count =
			lh_min_u64(LH_ARRAY_COUNT(windows->masks), (windows->bytes - windows->at) / LH_LINE_BYTES);
		windows->kernel->text_masks(windows->data + windows->at, windows->mask_count, windows->masks);
	}
	return windows->masks[windows->next_mask++];
}

static bool next_line_has_text(struct lh_text_windows *windows)
{
	size_t length = lh_min_u64(LH_LINE_BYTES, windows->bytes - windows->at);
	bool has_text = line_has_text(next_mask(windows, length), windows->carry);
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
