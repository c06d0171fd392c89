/*
 * list_mask: runs the finder of secrets over each block that is listed and what can be read around it, of long runs
 * only around these;
 * where characters are wide, over the bytes of characters at each place one can begin at, in either byte order: what is
 * listed in the wrong one lacks its first or last letter, but is the same text. Only characters
 * are overwritten: what separates texts stays, so that they begin and end where they did.
 */
#include "list_mask.h"
#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "scan/recognize/recognize.h"
#include "scan/recognize/secret_finder.h"

#include <stdlib.h>
#include <string.h>

struct lh_error *lh_list_mask_init(struct lh_list_mask *mask, const struct lh_run_options *options)
{
	mask->encoding = options->encoding;
	mask->min_chars = options->min_chars;
	LH_TRY(lh_kernel_select(&mask->kernel));
	return lh_secret_finder_create(&mask->finder);
}

void lh_list_mask_begin(struct lh_list_mask *mask)
{
	for (size_t i = 0; i < mask->copies.count; i++)
		free(mask->copies.items[i]);
	mask->copies.count = 0;
}

void lh_list_mask_deinit(struct lh_list_mask *mask)
{
	lh_list_mask_begin(mask);
	lh_vec_deinit(&mask->copies);
	lh_vec_deinit(&mask->narrow);
	lh_secret_finder_destroy(mask->finder);
}

/* What a block can read, in one piece. */
struct readable {
	const uint8_t *bytes;
	size_t length;
	size_t block_at;
};

static struct lh_error *copy_once(struct lh_list_mask *mask, const struct readable *readable, uint8_t **copy)
{
	if (*copy)
		return NULL;
	uint8_t *bytes = malloc(readable->length);
	if (!bytes)
		return lh_error_no_memory();
	struct lh_error *error = lh_vec_push(&mask->copies, bytes);
	if (error) {
		free(bytes);
		return error;
	}
	memcpy(bytes, readable->bytes, readable->length);
	*copy = bytes;
	return NULL;
}

static bool is_character(const struct lh_list_mask *mask, uint8_t byte)
{
	return (byte >= 0x20 && byte <= 0x7e) || byte == '\t' || (mask->encoding == LH_ENCODING_LATIN && byte >= 0x80);
}

/* Each found range is of characters of `width` bytes, the first of them at `first`. */
static struct lh_error *mask_found(struct lh_list_mask *mask, const struct readable *readable,
				   const struct lh_range *found, size_t count, size_t width, size_t first,
				   uint8_t **copy)
{
	for (size_t i = 0; i < count; i++) {
		LH_TRY(copy_once(mask, readable, copy));
		for (uint64_t at = first + found[i].start * width; at < first + found[i].end * width; at++) {
			/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): copy_once has just made it. */
			(*copy)[at] = is_character(mask, (*copy)[at]) ? '*' : (*copy)[at];
		}
	}
	return NULL;
}

/* Of a wide character the one byte that is not zero; else a zero stands for it. */
static struct lh_error *narrow_windows(struct lh_list_mask *mask, const struct readable *readable, size_t width,
				       size_t first)
{
	size_t count = (readable->length - first) / width;
	LH_TRY(lh_vec_reserve(&mask->narrow, count));
	for (size_t i = 0; i < count; i++) {
		const uint8_t *unit = readable->bytes + first + i * width;
		size_t nonzero = 0;
		uint8_t byte = 0;
		for (size_t k = 0; k < width; k++) {
			byte |= unit[k];
			nonzero += unit[k] != 0;
		}
		mask->narrow.items[i] = nonzero == 1 ? byte : 0;
	}
	return NULL;
}

static struct lh_error *mask_wide(struct lh_list_mask *mask, const struct readable *readable, size_t width,
				  uint8_t **copy)
{
	for (size_t first = 0; first < width && first < readable->length; first++) {
		const struct lh_range *found;
		size_t count;
		LH_TRY(narrow_windows(mask, readable, width, first));
		size_t units = (readable->length - first) / width;
		struct lh_secret_search search = {.bytes = mask->narrow.items, .length = units};
		LH_TRY(lh_secret_finder_find(mask->finder, &search, (struct lh_span){0, units}, &found, &count));
		LH_TRY(mask_found(mask, readable, found, count, width, first, copy));
	}
	return NULL;
}

/* ---------------------------------------------------------------- around runs */

/* From this many characters on, runs are found much faster than secrets; shorter ones are nearly everywhere. */
enum { SPARSE_MIN_CHARS = 64, SPANS_AT_ONCE = 256 };

/* What is left to search: `searched` is the end of what has been. */
struct around_runs {
	struct lh_list_mask *mask;
	const struct lh_block *block;
	const struct readable *readable;
	struct lh_secret_search search;
	size_t searched;
	uint8_t **copy;
};

static struct lh_error *mask_within(struct around_runs *around, struct lh_span within)
{
	const struct lh_range *found;
	size_t count;
	LH_TRY(lh_secret_finder_find(around->mask->finder, &around->search, within, &found, &count));
	return mask_found(around->mask, around->readable, found, count, 1, 0, around->copy);
}

/*
 * Anchors of secrets that reach into a span lie less than LH_BLOCK_OVERLAP before it, or less than LH_LOOK_BACK
 * behind it.
 */
static struct lh_span anchors_of(const struct readable *readable, struct lh_span span)
{
	return (struct lh_span){
		.start = span.start - lh_min_u64(span.start, LH_BLOCK_OVERLAP),
		.end = lh_min_u64(span.end + LH_LOOK_BACK, readable->length),
	};
}

static struct lh_error *mask_run(struct around_runs *around, struct lh_span run)
{
	size_t block_end = around->readable->block_at + around->block->bytes;
	if (run.end <= around->readable->block_at || run.start >= block_end)
		return NULL;
	struct lh_span within = anchors_of(around->readable, run);
	within.start = lh_max_u64(within.start, around->searched);
	if (within.start >= within.end)
		return NULL;
	around->searched = within.end;
	return mask_within(around, within);
}

/* Of a run that goes on beyond what can be read it is not known how long it is: it may be long enough. */
static struct lh_error *mask_runs(struct around_runs *around)
{
	const struct lh_kernel *kernel = around->mask->kernel;
	enum lh_encoding encoding = lh_kernel_encoding(around->mask->encoding);
	const struct readable *readable = around->readable;
	struct lh_span spans[SPANS_AT_ONCE], cursor = {0, 0};
	size_t count, cut_bytes = kernel->prefix(readable->bytes, readable->length, encoding);
	if (cut_bytes)
		LH_TRY(mask_run(around, (struct lh_span){0, cut_bytes}));
	do {
		count = kernel->runs(readable->bytes, readable->length, encoding, around->mask->min_chars, &cursor,
				     spans, SPANS_AT_ONCE);
		for (size_t i = 0; i < count; i++)
			LH_TRY(mask_run(around, spans[i]));
	} while (count == SPANS_AT_ONCE);
	return cursor.start < cursor.end ? mask_run(around, cursor) : NULL;
}

static struct lh_error *mask_narrow(struct lh_list_mask *mask, const struct lh_block *block,
				    const struct readable *readable, uint8_t **copy)
{
	struct around_runs around = {
		.mask = mask,
		.block = block,
		.readable = readable,
		.search = {readable->bytes, readable->length, block->addr - block->bytes_before, 0, false},
		.copy = copy,
	};
	struct lh_span all = {readable->block_at, readable->block_at + block->bytes};
	return mask->min_chars < SPARSE_MIN_CHARS ? mask_within(&around, anchors_of(readable, all))
						  : mask_runs(&around);
}

struct lh_error *lh_list_mask_block(struct lh_list_mask *mask, struct lh_block *block)
{
	if (!mask->finder)
		return NULL;
	struct readable readable = {
		.bytes = block->data - block->bytes_before,
		.length = block->bytes_before + block->bytes + block->bytes_after,
		.block_at = block->bytes_before,
	};
	size_t width = lh_encoding_width(mask->encoding);
	uint8_t *copy = NULL;
	LH_TRY(width == 1 ? mask_narrow(mask, block, &readable, &copy) : mask_wide(mask, &readable, width, &copy));
	if (copy) {
		block->data = copy + readable.block_at;
		block->is_brief = true;
	}
	return NULL;
}
