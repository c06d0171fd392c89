/*
 * slices: cuts the blocks of an image into slices. A slice ends at a multiple of LH_SLICE_BYTES, so
 * that it is the same whatever the blocks were.
 */
#include "slices.h"

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
		.segment = block->segment,
	};
}

struct slicing_state {
	const struct lh_slicing *slicing;
	uint64_t done_bytes;
	uint64_t total_bytes;
};

static struct lh_error *visit_slice(struct slicing_state *state, const struct lh_block *block, size_t start, size_t end)
{
	struct lh_block slice = lh_block_part(block, start, end, start ? true : block->is_continued);
	state->done_bytes += slice.bytes;
	/* A visitor keeps nothing of what it is shown. */
	/* cppcheck-suppress returnDanglingLifetime */
	return state->slicing->visit(state->slicing->context, &slice);
}

static bool wants_more(const struct slicing_state *state)
{
	const struct lh_slicing *slicing = state->slicing;
	return !slicing->progress ||
	       slicing->progress(slicing->progress_context, state->done_bytes, state->total_bytes);
}

static struct lh_error *visit_block(void *context, const struct lh_block *block)
{
	struct slicing_state *state = context;
	for (size_t at = 0; at < block->bytes;) {
		size_t until_border = LH_SLICE_BYTES - (block->addr + at) % LH_SLICE_BYTES;
		size_t end = at + lh_min_u64(until_border, block->bytes - at);
		LH_TRY(visit_slice(state, block, at, end));
		if (!wants_more(state))
			return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted");
		at = end;
	}
	return NULL;
}

struct lh_error *lh_walk_slices(const struct lh_slicing *slicing)
{
	struct slicing_state state = {
		.slicing = slicing,
		.total_bytes = lh_image_walk_bytes(slicing->image, slicing->walk_flags),
	};
	return lh_image_walk(slicing->image, slicing->walk_flags, visit_block, &state);
}
