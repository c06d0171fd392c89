/*
 * list_mask: runs the finder of secrets over each block that is listed and what can be read around it;
 * where characters are wide, over the low bytes of each place a character can begin at. Only characters
 * are overwritten: what separates texts stays, so that they begin and end where they did.
 */
#include "list_mask.h"
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

struct lh_error *lh_list_mask_init(struct lh_list_mask *mask, const struct lh_secret_finder *finder,
				   enum lh_encoding encoding)
{
	mask->encoding = encoding;
	return lh_secret_finder_clone(finder, &mask->finder);
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

/* Each found range is of bytes `step` apart, from `first` on. */
static struct lh_error *mask_found(struct lh_list_mask *mask, const struct readable *readable,
				   const struct lh_range *found, size_t count, size_t step, size_t first,
				   uint8_t **copy)
{
	for (size_t i = 0; i < count; i++) {
		LH_TRY(copy_once(mask, readable, copy));
		for (uint64_t at = found[i].start; at < found[i].end; at++) {
			uint8_t *byte = *copy + first + at * step;
			/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): copy_once has just made it. */
			*byte = is_character(mask, *byte) ? '*' : *byte;
		}
	}
	return NULL;
}

/* A wide character has its low byte first or last, and is zero otherwise; else a zero stands for it. */
static struct lh_error *narrow(struct lh_list_mask *mask, const struct readable *readable, size_t width, size_t first)
{
	bool is_little = mask->encoding == LH_ENCODING_UTF16_LE || mask->encoding == LH_ENCODING_UTF32_LE;
	size_t count = (readable->length - first) / width;
	LH_TRY(lh_vec_reserve(&mask->narrow, count));
	for (size_t i = 0; i < count; i++) {
		const uint8_t *unit = readable->bytes + first + i * width;
		uint8_t others = 0;
		for (size_t k = 0; k < width - 1; k++)
			others |= unit[is_little ? k + 1 : k];
		mask->narrow.items[i] = others ? 0 : unit[is_little ? 0 : width - 1];
	}
	return NULL;
}

static struct lh_error *mask_wide(struct lh_list_mask *mask, const struct readable *readable, size_t width,
				  uint8_t **copy)
{
	bool is_little = mask->encoding == LH_ENCODING_UTF16_LE || mask->encoding == LH_ENCODING_UTF32_LE;
	for (size_t first = 0; first < width && first < readable->length; first++) {
		const struct lh_range *found;
		size_t count;
		LH_TRY(narrow(mask, readable, width, first));
		LH_TRY(lh_secret_finder_find(mask->finder, mask->narrow.items, (readable->length - first) / width, 0,
					     &found, &count));
		LH_TRY(mask_found(mask, readable, found, count, width, first + (is_little ? 0 : width - 1), copy));
	}
	return NULL;
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
	if (width == 1) {
		const struct lh_range *found;
		size_t count;
		LH_TRY(lh_secret_finder_find(mask->finder, readable.bytes, readable.length,
					     block->addr - block->bytes_before, &found, &count));
		LH_TRY(mask_found(mask, &readable, found, count, 1, 0, &copy));
	} else {
		LH_TRY(mask_wide(mask, &readable, width, &copy));
	}
	if (copy) {
		block->data = copy + readable.block_at;
		block->is_brief = true;
	}
	return NULL;
}
