/*
 * utf8_runs: one look at each line of 64 bytes says which of them belong to visible characters. Only where a lead
 * byte has its followers is a character decoded: in random bytes that is 1 of 30, in ASCII none. Runs are then bits
 * in a row, and a line that holds no run long enough is passed over at once.
 */
#include "utf8_runs.h"
#include "utf8.h"

#include <string.h>

enum { LINES_AT_ONCE = 64, LEAD_KINDS = 3 };

/* Masks of lines, and of the one behind them. */
struct line_masks {
	uint64_t ascii[LINES_AT_ONCE + 1];
	uint64_t high[LINES_AT_ONCE + 1]; /* from 0x80 on */
	uint64_t followers[LINES_AT_ONCE + 1];
	uint64_t leads[LEAD_KINDS][LINES_AT_ONCE + 1]; /* of characters of 2, 3 and 4 bytes */
	bool has_high;
};

struct run_search {
	const uint8_t *data;
	size_t end;
	size_t min_chars;
	lh_utf8_visitor *visit;
	void *context;
	uint64_t spilled; /* bytes of a line's last character that lie in the next line */
	size_t open;      /* where a run begins that reaches the line's start; SIZE_MAX: none does */
	struct lh_span spans[LH_UTF8_SPANS];
	size_t span_count;
};

static struct lh_error *flush_spans(struct run_search *search)
{
	size_t count = search->span_count;
	search->span_count = 0;
	return count ? search->visit(search->context, search->spans, count) : NULL;
}

static bool has_enough_chars(const struct run_search *search, struct lh_span span)
{
	size_t bytes = span.end - span.start, chars = 0;
	if (bytes < search->min_chars || bytes / 4 >= search->min_chars)
		return bytes >= search->min_chars;
	for (size_t i = span.start; i < span.end; i++)
		chars += (search->data[i] & 0xc0) != 0x80;
	return chars >= search->min_chars;
}

static struct lh_error *end_utf8_run(struct run_search *search, size_t start, size_t end)
{
	struct lh_span span = {start, end};
	if (!has_enough_chars(search, span))
		return NULL;
	search->spans[search->span_count++] = span;
	return search->span_count == LH_UTF8_SPANS ? flush_spans(search) : NULL;
}

/* ---------------------------------------------------------------- masks */

static void read_lines(const struct lh_kernel *kernel, const uint8_t *bytes, size_t lines, struct line_masks *ret)
{
	static const uint8_t leads[LEAD_KINDS][2] = {{0xc2, 0xdf}, {0xe0, 0xef}, {0xf0, 0xf4}};
	uint64_t any = 0;
	kernel->character_masks(bytes, lines, ret->ascii, ret->high);
	for (size_t k = 0; k < lines; k++)
		any |= ret->high[k];
	ret->has_high = any;
	if (!any)
		return;
	kernel->range_masks(bytes, lines, 0x80, 0xbf, ret->followers);
	for (size_t i = 0; i < LEAD_KINDS; i++)
		kernel->range_masks(bytes, lines, leads[i][0], leads[i][1], ret->leads[i]);
}

/* The bytes of line k that belong to visible characters. */
static uint64_t visible_bytes(struct run_search *search, const struct line_masks *masks, size_t k, size_t line)
{
	uint64_t visible = masks->ascii[k] | search->spilled;
	search->spilled = 0;
	if (!masks->has_high || !masks->high[k])
		return visible;
	uint64_t here = masks->followers[k], next = masks->followers[k + 1];
	uint64_t followed = UINT64_MAX, starts = 0;
	for (unsigned i = 0; i < LEAD_KINDS; i++) {
		followed &= here >> (i + 1) | next << (63 - i);
		starts |= masks->leads[i][k] & followed;
	}
	for (; starts; starts &= starts - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(starts);
		size_t at = line + bit, bytes = lh_utf8_character(search->data + at, search->end - at);
		uint64_t ones = (UINT64_C(1) << bytes) - 1;
		visible |= ones << bit;
		search->spilled |= bit + bytes > LH_LINE_BYTES ? ones >> (LH_LINE_BYTES - bit) : 0;
	}
	return visible;
}

/* ---------------------------------------------------------------- runs */

/* Bits at which a run of `bytes` (1, 4 or 8) in a row ends or has ended. */
static uint64_t long_enough(uint64_t visible, unsigned bytes)
{
	if (bytes >= 4) {
		visible &= visible << 1;
		visible &= visible << 2;
	}
	return bytes >= 8 ? visible & visible << 4 : visible;
}

/* The runs of a line in which none is open. */
static struct lh_error *take_runs(struct run_search *search, uint64_t visible, size_t line)
{
	unsigned step = search->min_chars >= 8 ? 8 : search->min_chars >= 4 ? 4 : 1;
	for (uint64_t ends = long_enough(visible, step); ends;) {
		unsigned bit = (unsigned)__builtin_ctzll(ends);
		uint64_t gaps = ~(visible >> bit);
		unsigned end = bit + (unsigned)__builtin_ctzll(gaps);
		if (!gaps || end >= LH_LINE_BYTES) {
			search->open = line + bit + 1 - step;
			return NULL;
		}
		LH_TRY(end_utf8_run(search, line + bit + 1 - step, line + end));
		ends &= UINT64_MAX << end;
	}
	if (visible >> 63)
		search->open = line + LH_LINE_BYTES - (unsigned)__builtin_clzll(~visible);
	return NULL;
}

static struct lh_error *take_utf8_line(struct run_search *search, uint64_t visible, size_t line)
{
	if (search->open != SIZE_MAX) {
		if (visible == UINT64_MAX)
			return NULL;
		unsigned first = (unsigned)__builtin_ctzll(~visible);
		size_t start = search->open;
		search->open = SIZE_MAX;
		LH_TRY(end_utf8_run(search, start, line + first));
		visible &= UINT64_MAX << first;
	}
	if (visible == UINT64_MAX) {
		search->open = line;
		return NULL;
	}
	return visible ? take_runs(search, visible, line) : NULL;
}

struct lh_error *lh_visit_utf8_runs(const struct lh_kernel *kernel, const uint8_t *data, struct lh_span within,
				    size_t min_chars, lh_utf8_visitor *visit, void *context)
{
	uint8_t padded[(LINES_AT_ONCE + 1) * LH_LINE_BYTES];
	struct line_masks masks;
	struct run_search search;
	search.data = data;
	search.end = within.end;
	search.min_chars = min_chars;
	search.visit = visit;
	search.context = context;
	search.spilled = 0;
	search.open = SIZE_MAX;
	search.span_count = 0;
	for (size_t at = within.start; at < within.end; at += LINES_AT_ONCE * LH_LINE_BYTES) {
		size_t left = within.end - at;
		size_t lines = lh_min_u64(LINES_AT_ONCE, left / LH_LINE_BYTES + 1);
		const uint8_t *bytes = data + at;
		if (left < (lines + 1) * LH_LINE_BYTES) {
			memset(padded, 0, (lines + 1) * LH_LINE_BYTES);
			bytes = memcpy(padded, bytes, left);
		}
		read_lines(kernel, bytes, lines + 1, &masks);
		for (size_t k = 0; k < lines; k++)
			LH_TRY(take_utf8_line(&search, visible_bytes(&search, &masks, k, at + k * LH_LINE_BYTES),
					      at + k * LH_LINE_BYTES));
	}
	if (search.open != SIZE_MAX)
		LH_TRY(end_utf8_run(&search, search.open, within.end));
	return flush_spans(&search);
}
