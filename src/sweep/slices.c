/*
 * slices: cuts blocks into slices at fixed addresses.
 */
#include "slices.h"
#include "leakhunt/sweep.h"

struct lh_block lh_block_part(const struct lh_block *block, size_t start, size_t end, bool is_continued)
{
	return (struct lh_block){
		.addr = block->addr + start,
		.file_offset = block->file_offset == LH_NO_OFFSET ? LH_NO_OFFSET : block->file_offset + start,
		.data = block->data + start,
		.bytes = end - start,
		.bytes_before = lh_min_u64(block->bytes_before + start, LH_BLOCK_OVERLAP),
		.bytes_after = lh_min_u64(block->bytes_after + (block->bytes - end), LH_BLOCK_OVERLAP),
		.is_continued = is_continued,
		.is_brief = block->is_brief,
		.segment = block->segment,
	};
}

static struct lh_error *visit_slice(const struct lh_block *block, size_t start, size_t end, lh_block_visitor *visit,
				    void *context)
{
	struct lh_block slice = lh_block_part(block, start, end, start ? true : block->is_continued);
	/* A visitor keeps nothing of what it is shown. */
	/* cppcheck-suppress returnDanglingLifetime */
	return visit(context, &slice);
}

struct lh_error *lh_visit_slices(const struct lh_block *block, lh_block_visitor *visit, void *context)
{
	for (size_t at = 0; at < block->bytes;) {
		size_t until_border = LH_SLICE_BYTES - (block->addr + at) % LH_SLICE_BYTES;
		size_t end = at + lh_min_u64(until_border, block->bytes - at);
		LH_TRY(visit_slice(block, at, end, visit, context));
		at = end;
	}
	return NULL;
}
