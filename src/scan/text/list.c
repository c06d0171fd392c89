/*
 * list: all runs of an image, in order, found and made into output on all cores.
 *
 * A walk skips the holes of a sparse file; to GNU strings they are zeros, which matters only to
 * characters of 2 and 4 bytes that begin or end with them. So a few zeros are read for each hole.
 */
#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "list_mask.h"
#include "run_part.h"
#include "scan/recognize/secret_finder.h"

#include <stdlib.h>

/*
 * Threads that let go of smaller ones hold each other up (of 2.2 GB with two threads, Linux 6.18: 1 MiB no gain,
 * 4 MiB a tenth of the time), and what is around each is searched for secrets twice.
 */
enum { STRIPE_BYTES = 4 << 20 };

struct list_work {
	const struct lh_image *image;
	const struct lh_list_options *options;
	const struct lh_list_output *output;
	struct lh_run_finder *finder; /* of the runs that lie in several stripes */
	void *cut_runs;               /* a part of the output, for them */
};

struct list_part {
	struct lh_run_part runs;
	struct lh_list_mask mask;
	const struct lh_image *image;
	const struct lh_list_output *output;
	void *lines;
};

/* ---------------------------------------------------------------- stripes */

static struct lh_error *add_listed_runs(void *context, const struct lh_run_batch *batch)
{
	struct list_part *part = context;
	return part->output->add(part->lines, batch);
}

/* Its bytes may be gone after this call. */
static struct lh_error *add_cut_run(void *context, const struct lh_run_batch *batch)
{
	struct list_work *work = context;
	LH_TRY(work->output->add(work->cut_runs, batch));
	return work->output->write(work->output->context, work->cut_runs);
}

static void destroy_list_part(void *context)
{
	struct list_part *part = context;
	lh_run_part_deinit(&part->runs);
	lh_list_mask_deinit(&part->mask);
	if (part->lines)
		part->output->destroy_part(part->lines);
	free(part);
}

static struct lh_error *create_list_part(void *context, void **ret)
{
	const struct list_work *work = context;
	struct list_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->image = work->image;
	part->output = work->output;
	struct lh_error *error = lh_run_part_init(&part->runs, &work->options->run, add_listed_runs, part);
	if (!error)
		error = work->output->create_part(work->output->context, &part->lines);
	if (!error && !work->options->shows_secrets)
		error = lh_list_mask_init(&part->mask, &work->options->run);
	if (error) {
		destroy_list_part(part);
		return error;
	}
	*ret = part;
	return NULL;
}

static struct lh_error *scan_list(void *context, const struct lh_stripe *stripe)
{
	struct list_part *part = context;
	lh_run_part_begin(&part->runs);
	lh_list_mask_begin(&part->mask);
	for (size_t i = 0; i < stripe->block_count; i++) {
		struct lh_block block = stripe->blocks[i];
		LH_TRY(lh_list_mask_block(&part->mask, &block));
		LH_TRY(lh_run_part_feed(&part->runs, &block));
		lh_image_let_go(part->image, &stripe->blocks[i]);
	}
	return NULL;
}

static struct lh_error *merge_list(void *context, void *part_context, const struct lh_stripe *stripe)
{
	struct list_work *work = context;
	struct list_part *part = part_context;
	(void)stripe;
	LH_TRY(lh_run_part_join_head(&part->runs, work->finder));
	LH_TRY(work->output->write(work->output->context, part->lines));
	lh_run_part_hand_on(&part->runs, work->finder);
	return NULL;
}

/* ---------------------------------------------------------------- the whole */

static void cleanup_work(struct list_work *work)
{
	lh_run_finder_destroy(work->finder);
	if (work->cut_runs)
		work->output->destroy_part(work->cut_runs);
}

struct lh_error *lh_list_runs(struct lh_image *image, const struct lh_list_options *options,
			      const struct lh_list_output *output)
{
	LH_CLEANUP(cleanup_work) struct list_work work = {.image = image, .options = options, .output = output};
	LH_TRY(lh_run_finder_create_batched(&options->run, add_cut_run, &work, &work.finder));
	LH_TRY(output->create_part(output->context, &work.cut_runs));
	struct lh_striping striping = {
		.image = image,
		.walk_flags = options->walk_flags,
		.stripe_bytes = STRIPE_BYTES,
		.fills_holes = lh_encoding_width(options->run.encoding) > 1 && lh_image_source(image) == LH_IMAGE_RAW &&
			       !lh_image_has_addresses(image),
		.threads = options->threads,
		.progress = options->progress,
		.progress_context = options->progress_context,
	};
	struct lh_stripe_work stripe_work = {
		.context = &work,
		.create_part = create_list_part,
		.destroy_part = destroy_list_part,
		.scan = scan_list,
		.merge = merge_list,
	};
	LH_TRY(lh_walk_stripes(&striping, &stripe_work));
	return lh_run_finder_finish(work.finder);
}
