/*
 * kernel_body: what the SIMD kernels have in common, written on bit masks of 64 positions. A
 * kernel_*.c defines KERNEL_TARGET (its target attribute) and, before including this,
 *   mask_narrow(data, is_latin): bit i is set when data[i] is printable;
 *   mask_low(data), mask_zero(data): bit i is set when data[i] is printable ASCII / is zero;
 *   mask_range(data, low, high): bit i is set when data[i] is low..high.
 * Each of them reads data[0, 64). is_printable_probe(data, is_latin): data[0, 32) is all printable.
 */
#ifndef LEAKHUNT_SCAN_KERNEL_BODY_H
#define LEAKHUNT_SCAN_KERNEL_BODY_H

#include "leakhunt/sweep.h"

#include <string.h>

#define KERNEL_INLINE static inline __attribute__((always_inline)) KERNEL_TARGET

enum { WORD = 64 }; /* positions that a mask covers */

/* From this many characters on, one block of PROBE bytes in each window of a run's length is looked at. */
enum { PROBE = 32, PROBE_MIN_CHARS = 2 * PROBE - 1 };

static inline unsigned first_bit(uint64_t bits)
{
	return (unsigned)__builtin_ctzll(bits);
}

/* The mask at data[at, length), which may be shorter than a word: bits past the end are clear. */
KERNEL_INLINE uint64_t mask_narrow_at(const uint8_t *data, size_t length, size_t at, bool is_latin)
{
	if (length - at >= WORD)
		return mask_narrow(data + at, is_latin);
	uint8_t tail[WORD] = {0};
	memcpy(tail, data + at, length - at);
	return mask_narrow(tail, is_latin);
}

KERNEL_INLINE size_t prefix_narrow(const uint8_t *data, size_t length, bool is_latin)
{
	for (size_t at = 0; at < length; at += WORD) {
		uint64_t gaps = ~mask_narrow_at(data, length, at, is_latin);
		if (gaps)
			return lh_min_u64(at + first_bit(gaps), length);
	}
	return length;
}

/* Where the printable bytes that end at `end` begin, not before `low`. */
KERNEL_INLINE size_t suffix_start(const uint8_t *data, size_t low, size_t end, bool is_latin)
{
	while (end - low >= WORD) {
		uint64_t gaps = ~mask_narrow(data + end - WORD, is_latin);
		if (gaps)
			return end - (unsigned)__builtin_clzll(gaps);
		end -= WORD;
	}
	uint64_t wanted = end - low ? ~0ull >> (WORD - (end - low)) : 0;
	uint64_t gaps = wanted & ~mask_narrow_at(data, end, low, is_latin);
	return gaps ? low + WORD - (unsigned)__builtin_clzll(gaps) : low;
}

/* ---------------------------------------------------------------- short runs */

/*
 * Marks the positions at which the last `min_chars` ones of a stream of masks end: level k holds the
 * positions where 2^k ones end, and keeps the word before for those that began in it.
 */
struct window {
	unsigned shifts[6];
	unsigned level_count;
	uint64_t before[6];
};

static inline struct window window_of(size_t min_chars)
{
	struct window window = {.level_count = 0};
	for (unsigned covered = 1; covered < min_chars;) {
		unsigned shift = (unsigned)lh_min_u64(covered, min_chars - covered);
		window.shifts[window.level_count++] = shift;
		covered += shift;
	}
	return window;
}

/* `levels` == level_count, known when compiled: then the window stays in registers. */
KERNEL_INLINE uint64_t window_step(struct window *window, unsigned levels, uint64_t bits)
{
	for (unsigned i = 0; i < levels; i++) {
		unsigned shift = window->shifts[i];
		uint64_t shifted = bits << shift | window->before[i] >> (WORD - shift);
		window->before[i] = bits;
		bits &= shifted;
	}
	return bits;
}

/*
 * Edges of marked stretches, in turn the place where min_chars characters of a run have been seen and its
 * end. They are written where the spans will be: two places a span.
 */
struct edges {
	size_t *places;
	size_t count;
	size_t most;
};

enum { EDGES_AT_ONCE = 4 };

/* Without a branch for each: writes some more than there are, which the next ones overwrite. */
KERNEL_INLINE void add_edges(struct edges *edges, size_t at, uint64_t bits)
{
	size_t *place = edges->places + edges->count;
	edges->count += (unsigned)__builtin_popcountll(bits);
	do {
		for (unsigned i = 0; i < EDGES_AT_ONCE; i++) {
			*place++ = at + first_bit(bits | 1ull << (WORD - 1));
			bits &= bits - 1;
		}
	} while (bits);
}

/* Only edges before `length` count: what the end cuts has not ended. False when there is no more room. */
KERNEL_INLINE bool add_edges_carefully(struct edges *edges, size_t at, uint64_t bits, size_t length)
{
	for (; bits; bits &= bits - 1) {
		if (at + first_bit(bits) >= length)
			break;
		edges->places[edges->count++] = at + first_bit(bits);
		if (edges->count == edges->most)
			return false;
	}
	return true;
}

KERNEL_INLINE size_t spans_of_edges(struct edges *edges, size_t min_chars)
{
	size_t count = edges->count / 2;
	for (size_t i = 0; i < count; i++)
		edges->places[2 * i] -= min_chars - 1;
	return count;
}

_Static_assert(sizeof(struct lh_span) == 2 * sizeof(size_t), "a span is two places");

/* The edges of the runs of one word. */
KERNEL_INLINE uint64_t short_step(struct window *window, unsigned levels, uint64_t bits, uint64_t *marked_before)
{
	uint64_t marked = window_step(window, levels, bits);
	uint64_t changes = marked ^ (marked << 1 | *marked_before >> (WORD - 1));
	*marked_before = marked;
	return changes;
}

KERNEL_INLINE size_t short_runs_of(const uint8_t *data, size_t length, bool is_latin, size_t min_chars, unsigned levels,
				   struct lh_span *cursor, struct lh_span *ret, size_t capacity)
{
	struct window window = window_of(min_chars);
	struct edges edges = {.places = &ret->start, .most = 2 * capacity};
	size_t low = cursor->end;
	uint64_t marked_before = 0;
	for (size_t at = lh_align_down(low, WORD); at < length; at += WORD) {
		for (; at >= low && length - at >= WORD && edges.most - edges.count >= WORD + EDGES_AT_ONCE; at += WORD)
			add_edges(&edges, at,
				  short_step(&window, levels, mask_narrow(data + at, is_latin), &marked_before));
		if (at >= length)
			break;
		uint64_t bits = mask_narrow_at(data, length, at, is_latin);
		if (at < low)
			bits &= ~0ull << (low - at);
		if (!add_edges_carefully(&edges, at, short_step(&window, levels, bits, &marked_before), length)) {
			size_t end = edges.places[edges.count - 1];
			*cursor = (struct lh_span){end, end};
			return spans_of_edges(&edges, min_chars);
		}
	}
	*cursor = (struct lh_span){suffix_start(data, low, length, is_latin), length};
	return spans_of_edges(&edges, min_chars);
}

KERNEL_INLINE size_t short_runs(const uint8_t *data, size_t length, bool is_latin, size_t min_chars,
				struct lh_span *cursor, struct lh_span *ret, size_t capacity)
{
	switch (window_of(min_chars).level_count) {
	case 0:
		return short_runs_of(data, length, is_latin, min_chars, 0, cursor, ret, capacity);
	case 1:
		return short_runs_of(data, length, is_latin, min_chars, 1, cursor, ret, capacity);
	case 2:
		return short_runs_of(data, length, is_latin, min_chars, 2, cursor, ret, capacity);
	case 3:
		return short_runs_of(data, length, is_latin, min_chars, 3, cursor, ret, capacity);
	case 4:
		return short_runs_of(data, length, is_latin, min_chars, 4, cursor, ret, capacity);
	case 5:
		return short_runs_of(data, length, is_latin, min_chars, 5, cursor, ret, capacity);
	default:
		return short_runs_of(data, length, is_latin, min_chars, 6, cursor, ret, capacity);
	}
}

/* ---------------------------------------------------------------- long runs */

/* The last block of PROBE bytes, aligned, within the window that begins at `low`. */
static inline size_t probe_from(size_t low, size_t min_chars)
{
	return lh_align_down(low + min_chars - PROBE, PROBE);
}

/*
 * Every window of min_chars >= 2 * PROBE - 1 bytes holds one of the aligned blocks that are
 * min_chars - PROBE + 1, rounded down, apart. Only around a wholly printable one can a run lie.
 */
KERNEL_INLINE size_t long_runs(const uint8_t *data, size_t length, bool is_latin, size_t min_chars,
			       struct lh_span *cursor, struct lh_span *ret, size_t capacity)
{
	size_t step = lh_align_down(min_chars - PROBE + 1, PROBE);
	size_t low = cursor->end;
	size_t found = 0;
	size_t probe = min_chars < length - low ? probe_from(low, min_chars) : length;
	while (length - probe >= PROBE && found < capacity) {
		if (!is_printable_probe(data + probe, is_latin)) {
			probe = step < length - probe ? probe + step : length;
			continue;
		}
		size_t start = suffix_start(data, low, probe, is_latin);
		low = probe + prefix_narrow(data + probe, length - probe, is_latin);
		if (low - start >= min_chars && low < length)
			ret[found++] = (struct lh_span){start, low};
		probe = min_chars < length - low ? probe_from(low, min_chars) : length;
	}
	if (found == capacity)
		*cursor = (struct lh_span){low, low};
	else
		*cursor = (struct lh_span){suffix_start(data, cursor->end, length, is_latin), length};
	return found;
}

/* ---------------------------------------------------------------- wide characters */

/* Bit i is set when a printable character begins at data[i]; reads data[0, 64 + width - 1). */
KERNEL_INLINE uint64_t mask_wide(const uint8_t *data, enum lh_encoding encoding)
{
	switch (encoding) {
	case LH_ENCODING_UTF16_LE:
		return mask_low(data) & mask_zero(data + 1);
	case LH_ENCODING_UTF16_BE:
		return mask_zero(data) & mask_low(data + 1);
	case LH_ENCODING_UTF32_LE:
		return mask_low(data) & mask_zero(data + 1) & mask_zero(data + 2) & mask_zero(data + 3);
	default:
		return mask_zero(data) & mask_zero(data + 1) & mask_zero(data + 2) & mask_low(data + 3);
	}
}

KERNEL_INLINE uint64_t mask_wide_at(const uint8_t *data, size_t length, size_t at, enum lh_encoding encoding)
{
	size_t width = lh_encoding_width(encoding);
	if (length - at >= WORD + width - 1)
		return mask_wide(data + at, encoding);
	/* A character cut by the end must not look complete: 1 is neither zero nor printable. */
	uint8_t tail[WORD + 3];
	memset(tail, 1, sizeof(tail));
	memcpy(tail, data + at, length - at);
	return mask_wide(tail, encoding);
}

static inline uint64_t stride_bits(size_t width)
{
	return width == 2 ? 0x5555555555555555 : 0x1111111111111111;
}

/* A character that the end cuts is a gap, so that a piece shorter than a word always has one. */
KERNEL_INLINE size_t prefix_wide(const uint8_t *data, size_t length, enum lh_encoding encoding)
{
	size_t width = lh_encoding_width(encoding);
	for (size_t at = 0; length - at >= width; at += WORD) {
		uint64_t gaps = stride_bits(width) & ~mask_wide_at(data, length, at, encoding);
		if (gaps)
			return at + first_bit(gaps);
	}
	return lh_align_down(length, width);
}

/* How far the run at bit 0 goes on by what is known: to the first gap, or to the word's end or past it. */
static inline size_t wide_extent(uint64_t bits, size_t width)
{
	uint64_t gaps = stride_bits(width) & ~bits;
	return gaps ? first_bit(gaps) : WORD;
}

KERNEL_INLINE size_t wide_runs(const uint8_t *data, size_t length, enum lh_encoding encoding, size_t min_chars,
			       struct lh_span *cursor, struct lh_span *ret, size_t capacity)
{
	size_t width = lh_encoding_width(encoding);
	size_t found = 0;
	size_t at = cursor->end;
	size_t start = at;
	while (found < capacity && length - at >= width) {
		size_t base = at;
		uint64_t bits = mask_wide_at(data, length, base, encoding);
		while (at - base < WORD && found < capacity && length - at >= width) {
			uint64_t rest = bits >> (at - base);
			if (start == at && !(rest & 1)) {
				at = rest ? at + first_bit(rest) : lh_min_u64(base + WORD, length - width + 1);
				start = at;
				continue;
			}
			at += wide_extent(rest, width);
			if (at - base >= WORD || length - at < width)
				break;
			if ((at - start) / width >= min_chars)
				ret[found++] = (struct lh_span){start, at};
			start = at = at + 1;
		}
	}
	*cursor = (struct lh_span){start, at};
	return found;
}

/* ---------------------------------------------------------------- the kernel's functions */

static KERNEL_TARGET size_t find_text_prefix(const uint8_t *data, size_t length, enum lh_encoding encoding)
{
	switch (encoding) {
	case LH_ENCODING_ASCII:
		return prefix_narrow(data, length, false);
	case LH_ENCODING_LATIN:
		return prefix_narrow(data, length, true);
	default:
		return prefix_wide(data, length, encoding);
	}
}

KERNEL_INLINE size_t narrow_runs(const uint8_t *data, size_t length, bool is_latin, size_t min_chars,
				 struct lh_span *cursor, struct lh_span *ret, size_t capacity)
{
	if (min_chars >= PROBE_MIN_CHARS)
		return long_runs(data, length, is_latin, min_chars, cursor, ret, capacity);
	return short_runs(data, length, is_latin, min_chars, cursor, ret, capacity);
}

static KERNEL_TARGET size_t find_text_runs(const uint8_t *data, size_t length, enum lh_encoding encoding,
					   size_t min_chars, struct lh_span *cursor, struct lh_span *ret,
					   size_t capacity)
{
	switch (encoding) {
	case LH_ENCODING_ASCII:
		return narrow_runs(data, length, false, min_chars, cursor, ret, capacity);
	case LH_ENCODING_LATIN:
		return narrow_runs(data, length, true, min_chars, cursor, ret, capacity);
	case LH_ENCODING_UTF16_BE:
		return wide_runs(data, length, LH_ENCODING_UTF16_BE, min_chars, cursor, ret, capacity);
	case LH_ENCODING_UTF16_LE:
		return wide_runs(data, length, LH_ENCODING_UTF16_LE, min_chars, cursor, ret, capacity);
	case LH_ENCODING_UTF32_BE:
		return wide_runs(data, length, LH_ENCODING_UTF32_BE, min_chars, cursor, ret, capacity);
	default:
		return wide_runs(data, length, LH_ENCODING_UTF32_LE, min_chars, cursor, ret, capacity);
	}
}

static KERNEL_TARGET bool is_zero(const uint8_t *data, size_t length)
{
	size_t at = 0;
	for (; length - at >= WORD; at += WORD)
		if (~mask_zero(data + at))
			return false;
	for (; at < length; at++)
		if (data[at])
			return false;
	return true;
}

static KERNEL_TARGET void range_masks(const uint8_t *data, size_t line_count, uint8_t low, uint8_t high, uint64_t *ret)
{
	for (size_t i = 0; i < line_count; i++)
		ret[i] = mask_range(data + i * WORD, low, high);
}

static KERNEL_TARGET void character_masks(const uint8_t *data, size_t line_count, uint64_t *ret_ascii,
					  uint64_t *ret_high)
{
	for (size_t i = 0; i < line_count; i++) {
		ret_ascii[i] = mask_narrow(data + i * WORD, false);
		ret_high[i] = mask_narrow(data + i * WORD, true) & ~ret_ascii[i];
	}
}

static KERNEL_TARGET void text_masks(const uint8_t *data, size_t line_count, uint64_t *ret)
{
	for (size_t i = 0; i < line_count; i++)
		ret[i] = mask_low(data + i * WORD) | mask_range(data + i * WORD, '\n', '\n') |
			 mask_range(data + i * WORD, '\r', '\r');
}

#endif
