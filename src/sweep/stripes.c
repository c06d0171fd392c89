/*
 * stripes: the thread of the caller walks the image, cuts stripes and merges what was found in them;
 * it and the workers scan them. Stripes wait in a ring: those before `scanned` have been taken by a
 * thread, those before `merged` are done and their places free.
 *
 * merged <= scanned <= produced <= merged + place_count
 */
#include "leakhunt/fault_point.h"
#include "leakhunt/sweep.h"

#include <pthread.h>
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
	struct lh_error *error;   /* of the scan */
	bool is_scanned;
};

struct stripe_walk {
	const struct lh_striping *striping;
	const struct lh_stripe_work *work;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct place *places;
	size_t place_count;
	uint64_t produced;
	uint64_t scanned;
	uint64_t merged;
	bool is_ending;
	pthread_t *workers;
	unsigned worker_count;
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t next_addr; /* the end of what was produced, when holes are filled */
};

/* ---------------------------------------------------------------- scanning */

/* With the mutex held, which is let go meanwhile. */
static void scan_next(struct stripe_walk *walk)
{
	struct place *place = &walk->places[walk->scanned++ % walk->place_count];
	pthread_mutex_unlock(&walk->mutex);
	lh_fault_point("analysis-scanning");
	place->error = walk->work->scan(place->part, &place->stripe);
	pthread_mutex_lock(&walk->mutex);
	place->is_scanned = true;
	pthread_cond_broadcast(&walk->changed);
}

static void *run_stripe_worker(void *context)
{
	struct stripe_walk *walk = context;
	pthread_mutex_lock(&walk->mutex);
	while (!walk->is_ending) {
		if (walk->scanned < walk->produced)
			scan_next(walk);
		else
			pthread_cond_wait(&walk->changed, &walk->mutex);
	}
	pthread_mutex_unlock(&walk->mutex);
	return NULL;
}

/* ---------------------------------------------------------------- merging */

static void clear_place(struct place *place)
{
	for (size_t i = 0; i < place->copies.count; i++)
		free(place->copies.items[i]);
	place->copies.count = 0;
	place->blocks.count = 0;
	place->stripe = (struct lh_stripe){0};
	place->is_scanned = false;
}

/* With the mutex held, which is let go meanwhile: only this thread merges. */
static struct lh_error *merge_next(struct stripe_walk *walk)
{
	struct place *place = &walk->places[walk->merged % walk->place_count];
	pthread_mutex_unlock(&walk->mutex);
	struct lh_error *error = place->error;
	place->error = NULL;
	if (!error)
		error = walk->work->merge(walk->work->context, place->part, &place->stripe);
	walk->done_bytes += place->stripe.bytes;
	clear_place(place);
	pthread_mutex_lock(&walk->mutex);
	walk->merged++;
	return error;
}

/* Goes on until at most `most` stripes are not merged: merges what is next, else helps, else waits. */
static struct lh_error *catch_up(struct stripe_walk *walk, size_t most)
{
	struct lh_error *error = NULL;
	pthread_mutex_lock(&walk->mutex);
	while (!error && walk->merged < walk->produced) {
		if (walk->places[walk->merged % walk->place_count].is_scanned)
			error = merge_next(walk);
		else if (walk->produced - walk->merged <= most)
			break;
		else if (walk->scanned < walk->produced)
			scan_next(walk);
		else
			pthread_cond_wait(&walk->changed, &walk->mutex);
	}
	pthread_mutex_unlock(&walk->mutex);
	return error;
}

/* ---------------------------------------------------------------- producing */

static struct lh_error *submit_stripe(struct stripe_walk *walk)
{
	struct place *place = &walk->places[walk->produced % walk->place_count];
	place->stripe.blocks = place->blocks.items;
	place->stripe.block_count = place->blocks.count;
	pthread_mutex_lock(&walk->mutex);
	walk->produced++;
	pthread_cond_broadcast(&walk->changed);
	pthread_mutex_unlock(&walk->mutex);
	LH_TRY(catch_up(walk, walk->place_count - 1));
	const struct lh_striping *striping = walk->striping;
	if (!striping->progress || striping->progress(striping->progress_context, walk->done_bytes, walk->total_bytes))
		return NULL;
	/* What has been read already is part of the result so far. */
	LH_TRY(catch_up(walk, 0));
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
	struct place *place = &walk->places[walk->produced % walk->place_count];
	if (!lh_image_blocks_stay(walk->striping->image))
		LH_TRY(copy_bytes(place, &block));
	place->stripe.bytes += block.bytes;
	return lh_vec_push(&place->blocks, block);
}

static bool is_stripe_full(const struct stripe_walk *walk)
{
	const struct place *place = &walk->places[walk->produced % walk->place_count];
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
			walk->places[walk->produced % walk->place_count].stripe.goes_on = end < block->bytes;
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

static void end_workers(struct stripe_walk *walk)
{
	pthread_mutex_lock(&walk->mutex);
	walk->is_ending = true;
	pthread_cond_broadcast(&walk->changed);
	pthread_mutex_unlock(&walk->mutex);
	for (unsigned i = 0; i < walk->worker_count; i++)
		pthread_join(walk->workers[i], NULL);
}

static void cleanup_walk(struct stripe_walk *walk)
{
	end_workers(walk);
	for (size_t i = 0; walk->places && i < walk->place_count; i++) {
		struct place *place = &walk->places[i];
		clear_place(place);
		lh_error_destroy(place->error);
		lh_vec_deinit(&place->blocks);
		lh_vec_deinit(&place->copies);
		if (place->part)
			walk->work->destroy_part(place->part);
	}
	free(walk->places);
	free(walk->workers);
	pthread_cond_destroy(&walk->changed);
	pthread_mutex_destroy(&walk->mutex);
}

/* Fewer workers than wanted are no failure. */
static struct lh_error *begin_walk(struct stripe_walk *walk, unsigned threads)
{
	walk->place_count = threads == 1 ? 1 : threads + 2;
	walk->places = calloc(walk->place_count, sizeof(*walk->places));
	walk->workers = calloc(threads + 1, sizeof(*walk->workers));
	if (!walk->places || !walk->workers)
		return lh_error_no_memory();
	for (size_t i = 0; i < walk->place_count; i++)
		LH_TRY(walk->work->create_part(walk->work->context, &walk->places[i].part));
	for (unsigned i = 0; i + 1 < threads; i++) {
		if (pthread_create(&walk->workers[walk->worker_count], NULL, run_stripe_worker, walk) == 0)
			walk->worker_count++;
	}
	return NULL;
}

struct lh_error *lh_walk_stripes(const struct lh_striping *striping, const struct lh_stripe_work *work)
{
	LH_CLEANUP(cleanup_walk)
	struct stripe_walk walk = {
		.striping = striping,
		.work = work,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.total_bytes = lh_image_walk_bytes(striping->image, striping->walk_flags),
	};
	uint64_t stripe_count = walk.total_bytes / striping->stripe_bytes + 1;
	uint64_t threads = striping->threads ? striping->threads : lh_usable_processors();
	LH_TRY(begin_walk(&walk, (unsigned)lh_min_u64(lh_min_u64(threads, THREADS_MAX), stripe_count)));
	LH_TRY(lh_image_walk(striping->image, striping->walk_flags, visit_block, &walk));
	if (striping->fills_holes && lh_image_file_bytes(striping->image) > walk.next_addr)
		LH_TRY(fill_hole(&walk, lh_image_file_bytes(striping->image)));
	if (walk.places[walk.produced % walk.place_count].blocks.count)
		LH_TRY(submit_stripe(&walk));
	return catch_up(&walk, 0);
}
