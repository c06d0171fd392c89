/*
 * classify: bytes that no recogniser claims are, in this order: zero (aligned words of 8 zeros), text (in
 * runs of at least 8 printable characters or line breaks), pointers (aligned words that hold an address of
 * mapped memory), high entropy (windows of 256 bytes with as many different values as random ones have),
 * or other: zero + text + pointers + high entropy + other == the bytes given.
 */
#include "classify.h"

#include "recognise.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64, WORD_BYTES = 8, PAGE_BYTES = 4096, WINDOW_LINES = LH_CLASSIFY_WINDOW / LINE_BYTES };

/* ---------------------------------------------------------------- where memory is mapped */

/* Segments come in ascending order; what overlaps or adjoins becomes one range. */
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

static bool is_mapped(const struct lh_classifier *classifier, uint64_t addr)
{
	size_t low = 0; /* all before it end at or before the address; all from `high` on don't */
	for (size_t high = classifier->mapped.count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (classifier->mapped.items[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < classifier->mapped.count && classifier->mapped.items[low].start <= addr;
}

/* ---------------------------------------------------------------- one window */

/* What can be read around the bytes that are judged; offsets count from data, and may be negative. */
struct view {
	const uint8_t *data;
	ptrdiff_t start;
	ptrdiff_t end;
};

/* Bit i: the byte i of this and the next lines belongs to the class. Bits outside of [start, end) are 0. */
struct window {
	ptrdiff_t at; /* of the first line, at an address that is a multiple of LH_CLASSIFY_WINDOW */
	uint64_t judged[WINDOW_LINES];
	uint64_t zero[WINDOW_LINES];
	uint64_t text[WINDOW_LINES];
	uint64_t pointers[WINDOW_LINES];
};

static uint64_t bits_between(ptrdiff_t start, ptrdiff_t end)
{
	uint64_t below_end = end >= LINE_BYTES ? UINT64_MAX : end <= 0 ? 0 : ((uint64_t)1 << end) - 1;
	uint64_t below_start = start >= LINE_BYTES ? UINT64_MAX : start <= 0 ? 0 : ((uint64_t)1 << start) - 1;
	return below_end & ~below_start;
}

/* Text bytes of a line, as far as it can be read. */
static uint64_t text_bits(const struct view *view, ptrdiff_t line)
{
	ptrdiff_t start = line < view->start ? view->start : line;
	ptrdiff_t end = line + LINE_BYTES > view->end ? view->end : line + LINE_BYTES;
	return start < end ? lh_text_mask(view->data + start, (size_t)(end - start)) << (start - line) : 0;
}

/* Of the text bytes, those in runs of at least 8, which may begin or end in the neighbouring lines. */
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

static void find_text(const struct view *view, struct window *window)
{
	uint64_t before = text_bits(view, window->at - LINE_BYTES);
	uint64_t here = text_bits(view, window->at);
	for (size_t i = 0; i < WINDOW_LINES; i++) {
		uint64_t after = text_bits(view, window->at + (ptrdiff_t)(i + 1) * LINE_BYTES);
		window->text[i] = runs_of_text(before, here, after) & window->judged[i] & ~window->zero[i];
		before = here;
		here = after;
	}
}

/* Words that are judged as a whole. */
static bool is_whole(const struct window *window, size_t line, size_t word)
{
	return (window->judged[line] & word_bits(word)) == word_bits(word);
}

static void find_zeros(const struct view *view, struct window *window)
{
	for (size_t line = 0; line < WINDOW_LINES; line++) {
		if (!window->judged[line])
			continue;
		for (size_t word = 0; word < LINE_BYTES / WORD_BYTES; word++) {
			uint64_t value;
			if (!is_whole(window, line, word))
				continue;
			memcpy(&value, view->data + window->at + (ptrdiff_t)(line * LINE_BYTES + word * WORD_BYTES),
			       sizeof(value));
			window->zero[line] |= value ? 0 : word_bits(word);
		}
	}
}

static void find_pointers(const struct lh_classifier *classifier, const struct view *view, struct window *window)
{
	for (size_t line = 0; line < WINDOW_LINES && classifier->mapped.count; line++) {
		const uint8_t *words = view->data + window->at + (ptrdiff_t)(line * LINE_BYTES);
		/* A line that is judged as a whole can be read as a whole. */
		bool is_full = window->judged[line] == UINT64_MAX;
		uint64_t hits =
			is_full ? classifier->filter(words, LINE_BYTES / WORD_BYTES, &classifier->ranges) : 0xff;
		for (; hits; hits &= hits - 1) {
			size_t word = (size_t)__builtin_ctzll(hits);
			uint64_t value;
			if (!is_whole(window, line, word))
				continue;
			memcpy(&value, words + word * WORD_BYTES, sizeof(value));
			if (is_mapped(classifier, value))
				window->pointers[line] |= word_bits(word) & ~window->text[line] & ~window->zero[line];
		}
	}
}

static size_t bits_in(const uint64_t lines[WINDOW_LINES])
{
	size_t count = 0;
	for (size_t i = 0; i < WINDOW_LINES; i++)
		count += (size_t)__builtin_popcountll(lines[i]);
	return count;
}

/*
 * Of n random bytes, 256 (1 - e^(-n/256)) values are different, give or take 5 (n = 256: 162); nine tenths of
 * that many are not reached by text, code, numbers or pointers.
 */
static bool is_random(const struct view *view, const struct window *window, size_t judged)
{
	enum { STEP = 16, LEAST = 128 };
	static const uint8_t least_values[] = {88, 96, 104, 111, 118, 124, 130, 136, 142}; /* of 128, 144 ... 256 */
	if (judged < LEAST)
		return false;
	bool is_seen[256] = {0};
	for (size_t i = 0; i < LH_CLASSIFY_WINDOW; i++) {
		if (window->judged[i / LINE_BYTES] >> (i % LINE_BYTES) & 1)
			is_seen[view->data[window->at + (ptrdiff_t)i]] = true;
	}
	size_t values = 0;
	for (size_t i = 0; i < sizeof(is_seen); i++)
		values += is_seen[i];
	return values >= least_values[(judged - LEAST) / STEP];
}

static void judge_window(const struct lh_classifier *classifier, const struct view *view, ptrdiff_t at,
			 struct lh_range part, uint64_t sums[LH_REST_COUNT])
{
	struct window window = {.at = at};
	for (size_t i = 0; i < WINDOW_LINES; i++) {
		ptrdiff_t line = at + (ptrdiff_t)i * LINE_BYTES;
		window.judged[i] = bits_between((ptrdiff_t)part.start - line, (ptrdiff_t)part.end - line);
	}
	find_zeros(view, &window);
	find_text(view, &window);
	find_pointers(classifier, view, &window);
	size_t judged = bits_in(window.judged), zero = bits_in(window.zero), text = bits_in(window.text),
	       pointers = bits_in(window.pointers);
	size_t rest = judged - zero - text - pointers;
	/* Chance makes some text in random bytes: it does not count as such. */
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

/* The zero pages at `at`, up to `end`. */
static size_t zero_pages(const struct lh_classifier *classifier, const struct lh_block *block, size_t at, size_t end)
{
	size_t bytes = 0;
	while ((block->addr + at + bytes) % PAGE_BYTES == 0 && end - at - bytes >= PAGE_BYTES &&
	       classifier->kernel->is_zero(block->data + at + bytes, PAGE_BYTES))
		bytes += PAGE_BYTES;
	return bytes;
}

void lh_classify(const struct lh_classifier *classifier, const struct lh_block *block, size_t start, size_t end,
		 uint64_t sums[LH_REST_COUNT])
{
	struct view view = {
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
		judge_window(classifier, &view, (ptrdiff_t)at - (ptrdiff_t)into_window,
			     (struct lh_range){at, window_end}, sums);
		at = window_end;
	}
}
