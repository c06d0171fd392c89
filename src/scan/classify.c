/*
 * classify: classifies the bytes that no recognizer claims, in this order: zero (aligned words of 8 zeros), text (in
 * runs of at least 8 printable characters or line breaks), pointers (aligned words that hold an address of mapped
 * memory), high entropy (windows of 256 bytes with as many different values as random bytes have), or other. Invariant:
 * zero + text + pointers + high entropy + other == the given bytes.
 */
#include "classify.h"

#include "scan/recognize/recognize.h"

#include <stdlib.h>
#include <string.h>

enum {
	LINE_BYTES = 64,
	WORD_BYTES = 8,
	WINDOW_LINES = LH_CLASSIFY_WINDOW / LINE_BYTES,
	WINDOW_WORDS = LH_CLASSIFY_WINDOW / WORD_BYTES
};

/* ---------------------------------------------------------------- where memory is mapped */

/* Segments come in ascending order; overlapping and adjoining ones become one range. */
static struct lh_error *collect_mapped(struct lh_classifier *classifier, const struct lh_image *image)
{
	size_t count;
	const struct lh_segment *segments = lh_image_segments(image, &count);
	for (size_t i = 0; i < count; i++) {
		size_t last = classifier->mapped.count;
		struct lh_range range = {segments[i].start, segments[i].end};
		if (last && classifier->mapped.items[last - 1].end >= range.start)
			classifier->mapped.items[last - 1].end =
				lh_max_u64(range.end, classifier->mapped.items[last - 1].end);
		else
			LH_TRY(lh_vec_push(&classifier->mapped, range));
	}
	return NULL;
}

struct lh_error *lh_classifier_init(struct lh_classifier *classifier, const struct lh_image *image)
{
	*classifier = (struct lh_classifier){0};
	LH_TRY(lh_kernel_select(&classifier->kernel));
	classifier->filter = lh_word_filter_for(classifier->kernel);
	if (lh_image_has_addresses(image))
		LH_TRY(collect_mapped(classifier, image));
	classifier->ranges = lh_word_ranges_over(classifier->mapped.items, classifier->mapped.count);
	return NULL;
}

void lh_classifier_deinit(struct lh_classifier *classifier)
{
	lh_vec_deinit(&classifier->mapped);
}

/* Tries the range of the last pointer first: pointers come in clusters. */
static bool is_mapped_word(const struct lh_classifier *classifier, uint64_t addr, size_t *last)
{
	const struct lh_range *mapped = classifier->mapped.items;
	if (mapped[*last].start <= addr && addr < mapped[*last].end)
		return true;
	size_t low = 0; /* all ranges before `low` end at or before the address; no range from `high` on does */
	for (size_t high = classifier->mapped.count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (mapped[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == classifier->mapped.count || mapped[low].start > addr)
		return false;
	*last = low;
	return true;
}

/* ---------------------------------------------------------------- one window */

/* The readable bytes around the bytes to classify; offsets count from data, and may be negative. */
struct view {
	const struct lh_classifier *classifier;
	const uint8_t *data;
	ptrdiff_t start;
	ptrdiff_t end;
	size_t last_mapped;
};

/* Masks with one bit per byte of a line, for each kind. Bits of bytes that are not to be classified are 0. */
struct window {
	ptrdiff_t at; /* of the first line, at an address that is a multiple of LH_CLASSIFY_WINDOW */
	bool is_whole;
	uint64_t judged[WINDOW_LINES];
	uint64_t text[WINDOW_LINES];
	size_t zero_bytes;
	size_t text_bytes;
	size_t pointer_bytes;
};

/* Without popcnt, which not every x86_64 CPU has. */
static size_t bit_count(uint64_t bits)
{
	bits -= bits >> 1 & 0x5555555555555555;
	bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return bits * 0x0101010101010101 >> 56;
}

static uint64_t bits_between(ptrdiff_t start, ptrdiff_t end)
{
	uint64_t below_end = end >= LINE_BYTES ? UINT64_MAX : end <= 0 ? 0 : ((uint64_t)1 << end) - 1;
	uint64_t below_start = start >= LINE_BYTES ? UINT64_MAX : start <= 0 ? 0 : ((uint64_t)1 << start) - 1;
	return below_end & ~below_start;
}

/* The text bytes of a line, as far as the line is readable. */
static uint64_t text_bits(const struct view *view, ptrdiff_t line)
{
	ptrdiff_t start = line < view->start ? view->start : line;
	ptrdiff_t end = line + LINE_BYTES > view->end ? view->end : line + LINE_BYTES;
	return start < end ? lh_text_mask(view->classifier->kernel, view->data + start, (size_t)(end - start))
				     << (start - line)
			   : 0;
}

/* Those text bytes that are in runs of at least 8; runs may begin or end in the neighboring lines. */
static uint64_t runs_of_text(uint64_t before, uint64_t here, uint64_t after)
{
	unsigned __int128 runs = before >> (LINE_BYTES - LH_TEXT_RUN_MIN) | (unsigned __int128)here << LH_TEXT_RUN_MIN |
				 (unsigned __int128)(after & 0xff) << (LINE_BYTES + LH_TEXT_RUN_MIN);
	runs &= runs >> 1;
	runs &= runs >> 2;
	runs &= runs >> 4;
	runs |= runs << 1;
	runs |= runs << 2;
	runs |= runs << 4;
	return (uint64_t)(runs >> LH_TEXT_RUN_MIN);
}

static uint64_t word_bits(size_t word)
{
	return (uint64_t)0xff << (word * WORD_BYTES);
}

static void find_text_in_whole(const struct view *view, struct window *window)
{
	uint64_t lines[WINDOW_LINES + 2];
	view->classifier->kernel->text_masks(view->data + window->at - LINE_BYTES, WINDOW_LINES + 2, lines);
	for (size_t i = 0; i < WINDOW_LINES; i++) {
		window->text[i] = lines[i + 1] ? runs_of_text(lines[i], lines[i + 1], lines[i + 2]) : 0;
		window->text_bytes += window->text[i] ? bit_count(window->text[i]) : 0;
	}
}

static void find_text(const struct view *view, struct window *window)
{
	for (size_t i = 0; i < WINDOW_LINES; i++) {
		ptrdiff_t line = window->at + (ptrdiff_t)i * LINE_BYTES;
		uint64_t here = window->judged[i] ? text_bits(view, line) : 0;
		if (!(here & window->judged[i]))
			continue;
		uint64_t runs =
			runs_of_text(text_bits(view, line - LINE_BYTES), here, text_bits(view, line + LINE_BYTES));
		window->text[i] = runs & window->judged[i];
		window->text_bytes += bit_count(window->text[i]);
	}
}

static uint64_t classified_word_at(const struct view *view, ptrdiff_t at)
{
	uint64_t value;
	memcpy(&value, view->data + at, sizeof(value));
	return value;
}

/* Skips words of zeros, which are counted already. A word of text is no pointer: chance makes text look like one. */
static void take_pointer(struct view *view, struct window *window, size_t word)
{
	ptrdiff_t at = window->at + (ptrdiff_t)(word * WORD_BYTES);
	uint64_t text = window->text[word * WORD_BYTES / LINE_BYTES] & word_bits(word % (LINE_BYTES / WORD_BYTES));
	uint64_t value = classified_word_at(view, at);
	if (value && is_mapped_word(view->classifier, value, &view->last_mapped))
		window->pointer_bytes += WORD_BYTES - (text ? bit_count(text) : 0);
}

static void find_words_in_whole(struct view *view, struct window *window)
{
	static const struct lh_word_ranges zero = {.low_bytes = 1};
	const struct lh_classifier *classifier = view->classifier;
	const uint8_t *words = view->data + window->at;
	window->zero_bytes = bit_count(classifier->filter(words, WINDOW_WORDS, &zero)) * WORD_BYTES;
	if (!classifier->mapped.count)
		return;
	uint64_t hits = classifier->filter(words, WINDOW_WORDS, &classifier->ranges);
	for (; hits; hits &= hits - 1)
		take_pointer(view, window, (size_t)__builtin_ctzll(hits));
}

/* Classifies aligned words as a whole. */
static void find_words(struct view *view, struct window *window)
{
	for (size_t word = 0; word < WINDOW_WORDS; word++) {
		uint64_t bits = word_bits(word % (LINE_BYTES / WORD_BYTES));
		if ((window->judged[word * WORD_BYTES / LINE_BYTES] & bits) != bits)
			continue;
		if (!classified_word_at(view, window->at + (ptrdiff_t)(word * WORD_BYTES)))
			window->zero_bytes += WORD_BYTES;
		else if (view->classifier->mapped.count)
			take_pointer(view, window, word);
	}
}

static size_t different_values(const struct view *view, const struct window *window)
{
	enum { VALUES = 256 };
	union {
		uint8_t is_seen[VALUES];
		uint64_t words[VALUES / sizeof(uint64_t)];
	} seen = {{0}};
	const uint8_t *bytes = view->data + window->at;
	for (size_t i = 0; window->is_whole && i < LH_CLASSIFY_WINDOW; i++)
		seen.is_seen[bytes[i]] = 1;
	for (size_t i = 0; !window->is_whole && i < LH_CLASSIFY_WINDOW; i++) {
		if (window->judged[i / LINE_BYTES] >> (i % LINE_BYTES) & 1)
			seen.is_seen[bytes[i]] = 1;
	}
	uint64_t sums = 0, values = 0; /* per 32 words: each byte of the sum is at most 32 */
	for (size_t i = 0; i < LH_ARRAY_COUNT(seen.words); i++)
		sums += seen.words[i];
	for (; sums; sums >>= 8)
		values += sums & 0xff;
	return values;
}

/*
 * Of n random bytes, 256 (1 - e^(-n/256)) values are different, plus or minus 5 (n = 256: 162). Text, code, numbers and
 * pointers do not reach nine tenths of this.
 */
static bool is_random(const struct view *view, const struct window *window, size_t judged)
{
	enum { STEP = 16, LEAST = 128 };
	static const uint8_t least_values[] = {88,  96,  104, 111, 118,
					       124, 130, 136, 142}; /* for 128, 144 ... 256 bytes */
	return judged >= LEAST && different_values(view, window) >= least_values[(judged - LEAST) / STEP];
}

static void judge_window(struct view *view, ptrdiff_t at, struct lh_range part, uint64_t sums[LH_REST_COUNT])
{
	struct window window = {.at = at, .is_whole = part.end - part.start == LH_CLASSIFY_WINDOW};
	for (size_t i = 0; i < WINDOW_LINES; i++) {
		ptrdiff_t line = at + (ptrdiff_t)i * LINE_BYTES;
		window.judged[i] = bits_between((ptrdiff_t)part.start - line, (ptrdiff_t)part.end - line);
	}
	bool is_amid = view->start <= at - LINE_BYTES && at + LH_CLASSIFY_WINDOW + LINE_BYTES <= view->end;
	if (window.is_whole && is_amid)
		find_text_in_whole(view, &window);
	else
		find_text(view, &window);
	if (window.is_whole)
		find_words_in_whole(view, &window);
	else
		find_words(view, &window);
	size_t judged = part.end - part.start, zero = window.zero_bytes, text = window.text_bytes,
	       pointers = window.pointer_bytes, rest = judged - zero - text - pointers;
	/* Random bytes contain some text by chance: do not count it as text. */
	if (rest * 4 >= judged * 3 && is_random(view, &window, judged)) {
		rest += text + pointers;
		text = pointers = 0;
		sums[LH_REST_RANDOM] += rest;
	} else {
		sums[LH_REST_OTHER] += rest;
	}
	sums[LH_REST_ZERO] += zero;
	sums[LH_REST_TEXT] += text;
	sums[LH_REST_POINTERS] += pointers;
}

/* ---------------------------------------------------------------- a range */

/* Length of the zero pages at `at`, up to `end`. */
static size_t zero_pages(const struct lh_classifier *classifier, const struct lh_block *block, size_t at, size_t end)
{
	size_t bytes = 0;
	while ((block->addr + at + bytes) % LH_PAGE_BYTES == 0 && end - at - bytes >= LH_PAGE_BYTES &&
	       classifier->kernel->is_zero(block->data + at + bytes, LH_PAGE_BYTES))
		bytes += LH_PAGE_BYTES;
	return bytes;
}

/* Too few bytes for a whole word or for a judgment on entropy: they can only be a part of a text. */
static bool is_bare(const struct lh_block *block, size_t start, size_t end)
{
	if (end - start >= WORD_BYTES)
		return false;
	for (size_t at = start; at < end; at++) {
		if (lh_byte_is(block->data[at], LH_BYTES_TEXT))
			return false;
	}
	return true;
}

void lh_classify(const struct lh_classifier *classifier, const struct lh_block *block, size_t start, size_t end,
		 uint64_t sums[LH_REST_COUNT])
{
	if (is_bare(block, start, end)) {
		sums[LH_REST_OTHER] += end - start;
		return;
	}
	struct view view = {
		.classifier = classifier,
		.data = block->data,
		.start = -(ptrdiff_t)block->bytes_before,
		.end = (ptrdiff_t)(block->bytes + block->bytes_after),
	};
	for (size_t at = start; at < end;) {
		size_t zeros = zero_pages(classifier, block, at, end);
		sums[LH_REST_ZERO] += zeros;
		at += zeros;
		if (at >= end)
			break;
		size_t into_window = (block->addr + at) % LH_CLASSIFY_WINDOW;
		size_t window_end = lh_min_u64(end, at - into_window + LH_CLASSIFY_WINDOW);
		judge_window(&view, (ptrdiff_t)at - (ptrdiff_t)into_window, (struct lh_range){at, window_end}, sums);
		at = window_end;
	}
}
