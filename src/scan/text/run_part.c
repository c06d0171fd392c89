/*
 * run_part: finds where a stripe's runs begin to depend on the stripe alone.
 *
 * A reading takes `width` bytes when a printable character begins at its place, else one. So it can't jump
 * over `width` places in a row at which none begins: behind them all readings are at the same place, with
 * no run open.
 */
#include "run_part.h"

#include <stdlib.h>

struct lh_error *lh_run_part_init(struct lh_run_part *part, const struct lh_run_options *options,
				  lh_run_batch_visitor *visit, void *context)
{
	*part = (struct lh_run_part){.encoding = lh_kernel_encoding(options->encoding)};
	LH_TRY(lh_kernel_select(&part->kernel));
	LH_TRY(lh_run_finder_create_batched(options, visit, context, &part->finder));
	lh_run_finder_keep_copies(part->finder);
	return NULL;
}

void lh_run_part_deinit(struct lh_run_part *part)
{
	lh_run_finder_destroy(part->finder);
	lh_vec_deinit(&part->head);
}

void lh_run_part_begin(struct lh_run_part *part)
{
	part->head.count = 0;
	lh_run_finder_drop_copies(part->finder);
	part->is_fed = part->is_in_head = false;
}

/* The place behind `width` unprintable ones in a row; SIZE_MAX when there is none in the block. */
static size_t find_break(const struct lh_run_part *part, const struct lh_block *block)
{
	size_t width = lh_encoding_width(part->encoding);
	size_t in_a_row = 0;
	for (size_t at = 0; block->bytes - at >= width;) {
		size_t printable = part->kernel->prefix(block->data + at, block->bytes - at, part->encoding);
		at += printable;
		in_a_row = printable ? 0 : in_a_row;
		if (block->bytes - at < width)
			break;
		at++;
		if (++in_a_row == width)
			return at;
	}
	return SIZE_MAX;
}

static struct lh_error *feed_head(struct lh_run_part *part, const struct lh_block *block)
{
	struct lh_block head = *block, rest = *block;
	size_t end = find_break(part, block);
	if (end == SIZE_MAX)
		return lh_vec_push(&part->head, head);
	part->is_in_head = false;
	head.bytes = end;
	LH_TRY(lh_vec_push(&part->head, head));
	rest.addr += end;
	rest.file_offset = rest.file_offset == LH_NO_OFFSET ? LH_NO_OFFSET : rest.file_offset + end;
	rest.data += end;
	rest.bytes -= end;
	rest.is_continued = false;
	return lh_run_finder_feed(part->finder, &rest);
}

struct lh_error *lh_run_part_feed(struct lh_run_part *part, const struct lh_block *block)
{
	part->is_in_head = block->is_continued && (part->is_in_head || !part->is_fed);
	part->is_fed = true;
	return part->is_in_head ? feed_head(part, block) : lh_run_finder_feed(part->finder, block);
}

struct lh_error *lh_run_part_break(struct lh_run_part *part)
{
	part->is_in_head = false;
	part->is_fed = true;
	return lh_run_finder_finish(part->finder);
}

struct lh_error *lh_run_part_join_head(struct lh_run_part *part, struct lh_run_finder *finder)
{
	for (size_t i = 0; i < part->head.count; i++)
		LH_TRY(lh_run_finder_feed(finder, &part->head.items[i]));
	return part->is_in_head ? NULL : lh_run_finder_finish(finder);
}

void lh_run_part_hand_on(struct lh_run_part *part, struct lh_run_finder *finder)
{
	if (!part->is_in_head)
		lh_run_finder_take_over(finder, part->finder);
}
