/*
 * stripes: a pipeline of stripes. The caller's thread walks the image, cuts stripes, and merges what was found in them
 * in order; all threads scan them.
 */
#include "leakhunt/fault_point.h"
#include "leakhunt/sweep.h"
#include "leakhunt/threads.h"

#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256, STRIPE_BLOCKS_MAX = 4096 };

/* As many zeros as decide about a character at an edge of a hole; a smaller hole is filled as a whole. */
enum { HOLE_EDGE_BYTES = 4, HOLE_BYTES = 2 * HOLE_EDGE_BYTES };

struct place {
	void *part;
	struct lh_stripe stripe;
	LH_VEC(struct lh_block) blocks;
	LH_VEC(uint8_t *) copies; /* of blocks that are read into a buffer which is used again */
};

struct stripe_walk {
	const struct lh_striping *striping;
	const struct lh_stripe_work *work;
	struct lh_pipeline *pipeline;
	struct place *places;
	size_t place_count;
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t next_addr; /* the end of what was produced, when holes are filled */
};

/* ---------------------------------------------------------------- scanning and merging */

static struct lh_error *scan_place(void *context, size_t number)
{
	const struct stripe_walk *walk = context;
	const struct place *place = &walk->places[number];
	lh_fault_point("analysis-scanning");
	return walk->work->scan(place->part, &place->stripe);
}

static void clear_place(struct place *place)
{
	for (size_t i = 0; i < place->copies.count; i++)
		free(place->copies.items[i]);
	place->copies.count = 0;
	place->blocks.count = 0;
	place->stripe = (struct lh_stripe){0};
}

static struct lh_error *merge_place(void *context, size_t number)
{
	struct stripe_walk *walk = context;
	struct place *place = &walk->places[number];
	struct lh_error *error = walk->work->merge(walk->work->context, place->part, &place->stripe);
	walk->done_bytes += place->stripe.bytes;
	clear_place(place);
	return error;
}

/* ---------------------------------------------------------------- producing */

static struct lh_error *submit_stripe(struct stripe_walk *walk)
{
	struct place *place = &walk->places[lh_pipeline_place(walk->pipeline)];
	place->stripe.blocks = place->blocks.items;
	place->stripe.block_count = place->blocks.count;
	LH_TRY(lh_pipeline_submit(walk->pipeline));
	const struct lh_striping *striping = walk->striping;
	if (!striping->progress || striping->progress(striping->progress_context, walk->done_bytes, walk->total_bytes))
		return NULL;
	/* What has been read already is part of the result so far. */
	LH_TRY(lh_pipeline_drain(walk->pipeline));
	return lh_error_create(LH_ERROR_INTERRUPTED, "interrupted");
}

/* The bytes of a live process, or of a compressed file, lie in a buffer that the walk uses again. */
static struct lh_error *copy_bytes(struct place *place, struct lh_block *block)
{
	size_t length = block->bytes_before + block->bytes + block->bytes_after;
	uint8_t *copy = malloc(length);
	if (!copy)
		return lh_error_no_memory();
	struct lh_error *error = lh_vec_push(&place->copies, copy);
	if (error) {
		free(copy);
		return error;
	}
	memcpy(copy, block->data - block->bytes_before, length);
	block->data = copy + block->bytes_before;
	block->is_brief = true;
	return NULL;
}

static struct lh_error *add_stripe_block(struct stripe_walk *walk, struct lh_block block)
{
	struct place *place = &walk->places[lh_pipeline_place(walk->pipeline)];
	if (!lh_image_blocks_stay(walk->striping->image))
		LH_TRY(copy_bytes(place, &block));
	place->stripe.bytes += block.bytes;
	return lh_vec_push(&place->blocks, block);
}

static bool is_stripe_full(const struct stripe_walk *walk)
{
	const struct place *place = &walk->places[lh_pipeline_place(walk->pipeline)];
	return place->stripe.bytes >= walk->striping->stripe_bytes || place->blocks.count == STRIPE_BLOCKS_MAX;
}

/* Pieces end at multiples of the stripe's bytes, so that a stripe holds less than twice as many. */
static struct lh_error *produce_stripes(struct stripe_walk *walk, const struct lh_block *block)
{
	size_t stripe_bytes = walk->striping->stripe_bytes;
	for (size_t at = 0; at < block->bytes;) {
		size_t until_border = stripe_bytes - (block->addr + at) % stripe_bytes;
		size_t end = at + lh_min_u64(until_border, block->bytes - at);
		LH_TRY(add_stripe_block(walk, lh_block_part(block, at, end, at ? true : block->is_continued)));
		if (is_stripe_full(walk)) {
			walk->places[lh_pipeline_place(walk->pipeline)].stripe.goes_on = end < block->bytes;
			LH_TRY(submit_stripe(walk));
		}
		at = end;
	}
	return NULL;
}

static struct lh_error *produce_zeros(struct stripe_walk *walk, uint64_t addr, size_t bytes, bool is_continued)
{
	static const uint8_t zeros[HOLE_BYTES];
	struct lh_block block = {
		.addr = addr,
		.file_offset = addr,
		.data = zeros,
		.bytes = bytes,
		.is_continued = is_continued,
	};
	return produce_stripes(walk, &block);
}

/* The hole [next_addr, end): its first bytes go on from what was before, its last ones lead to what follows. */
static struct lh_error *fill_hole(struct stripe_walk *walk, uint64_t end)
{
	uint64_t start = walk->next_addr;
	if (end - start <= HOLE_BYTES)
		return produce_zeros(walk, start, end - start, start > 0);
	LH_TRY(produce_zeros(walk, start, HOLE_EDGE_BYTES, start > 0));
	return produce_zeros(walk, end - HOLE_EDGE_BYTES, HOLE_EDGE_BYTES, false);
}

static struct lh_error *visit_block(void *context, const struct lh_block *block)
{
	struct stripe_walk *walk = context;
	struct lh_block filled = *block;
	if (walk->striping->fills_holes && block->addr > walk->next_addr) {
		LH_TRY(fill_hole(walk, block->addr));
		filled.is_continued = true;
	}
	walk->next_addr = block->addr + block->bytes;
	return produce_stripes(walk, &filled);
}

/* ---------------------------------------------------------------- life */

static void cleanup_walk(struct stripe_walk *walk)
{
	for (size_t i = 0; walk->places && i < walk->place_count; i++) {
		struct place *place = &walk->places[i];
		clear_place(place);
		lh_vec_deinit(&place->blocks);
		lh_vec_deinit(&place->copies);
		if (place->part)
			walk->work->destroy_part(place->part);
	}
	free(walk->places);
}

static struct lh_error *make_places(struct stripe_walk *walk, size_t count)
{
	walk->place_count = count;
	walk->places = calloc(count, sizeof(*walk->places));
	if (!walk->places)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		LH_TRY(walk->work->create_part(walk->work->context, &walk->places[i].part));
	return NULL;
}

static struct lh_error *produce_all(void *context, struct lh_pipeline *pipeline)
{
	struct stripe_walk *walk = context;
	const struct lh_striping *striping = walk->striping;
	walk->pipeline = pipeline;
	LH_TRY(lh_image_walk(striping->image, striping->walk_flags, visit_block, walk));
	if (striping->fills_holes && lh_image_file_bytes(striping->image) > walk->next_addr)
		LH_TRY(fill_hole(walk, lh_image_file_bytes(striping->image)));
	return walk->places[lh_pipeline_place(pipeline)].blocks.count ? submit_stripe(walk) : NULL;
}

struct lh_error *lh_walk_stripes(const struct lh_striping *striping, const struct lh_stripe_work *work)
{
	LH_CLEANUP(cleanup_walk)
	struct stripe_walk walk = {
		.striping = striping,
		.work = work,
		.total_bytes = lh_image_walk_bytes(striping->image, striping->walk_flags),
	};
	struct lh_pipeline_work steps = {
		.context = &walk, .produce = produce_all, .work = scan_place, .finish = merge_place};
	uint64_t stripe_count = walk.total_bytes / striping->stripe_bytes + 1;
	uint64_t wanted = striping->threads ? striping->threads : lh_usable_processors();
	size_t threads = lh_min_u64(lh_min_u64(wanted, THREADS_MAX), stripe_count);
	LH_TRY(make_places(&walk, threads == 1 ? 1 : threads + 2));
	return lh_pipeline_run(&steps, threads, walk.place_count);
}
