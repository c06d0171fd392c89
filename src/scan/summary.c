/*
 * summary: one walk over an image that shows every stripe to all collectors, piece by piece, while it is
 * in the cache. Pages that are all zero are told apart from others, so that collectors can skip them.
 */
#include "collector.h"
#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "map.h"
#include "scan/text/live_parts.h"

#include <stdlib.h>

/* In this order collectors see a piece, and merge. */
static const struct lh_collector *const lh_collectors[] = {
	&lh_collect_totals, &lh_collect_classes, /* before what must not show secrets */
	&lh_collect_map,                         /* after the classes, of whose end it makes use */
	&lh_collect_texts,  &lh_collect_symbols,
};

/* Enough for the look around a stripe to cost little; little enough for the parts to fit in memory. */
enum { COLLECTORS = LH_ARRAY_COUNT(lh_collectors), STRIPE_BYTES = 4 << 20 };

struct summary_total {
	struct lh_collector_setup setup;
	const struct lh_kernel *kernel;
	void *totals[COLLECTORS];
	struct lh_findings findings;
};

struct summary_part {
	const struct lh_kernel *kernel;
	void *parts[COLLECTORS];
	struct lh_findings findings;
};

/* ---------------------------------------------------------------- stripes */

static void destroy_summary_part(void *context)
{
	struct summary_part *part = context;
	for (size_t i = 0; i < COLLECTORS; i++) {
		if (part->parts[i])
			lh_collectors[i]->destroy_part(part->parts[i]);
	}
	free(part);
}

static struct lh_error *create_summary_part(void *context, void **ret)
{
	const struct summary_total *total = context;
	struct summary_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->kernel = total->kernel;
	struct lh_error *error = NULL;
	for (size_t i = 0; i < COLLECTORS && !error; i++)
		error = lh_collectors[i]->create_part(total->totals[i], &part->parts[i]);
	if (error) {
		destroy_summary_part(part);
		return error;
	}
	*ret = part;
	return NULL;
}

static size_t page_end(const struct lh_block *slice, size_t at)
{
	size_t until_border = LH_PAGE_BYTES - (slice->addr + at) % LH_PAGE_BYTES;
	return at + lh_min_u64(until_border, slice->bytes - at);
}

/* Where the pages that are zero, or are not, like the one at `at`, end. */
static size_t like_pages_end(const struct lh_kernel *kernel, const struct lh_block *slice, size_t at, bool *ret_is_zero)
{
	size_t end = page_end(slice, at);
	bool is_zero = kernel->is_zero(slice->data + at, end - at);
	while (end < slice->bytes) {
		size_t next = page_end(slice, end);
		if (kernel->is_zero(slice->data + end, next - end) != is_zero)
			break;
		end = next;
	}
	*ret_is_zero = is_zero;
	return end;
}

static struct lh_error *scan_slice(void *context, const struct lh_block *slice)
{
	struct summary_part *part = context;
	for (size_t at = 0; at < slice->bytes;) {
		bool is_zero;
		size_t end = like_pages_end(part->kernel, slice, at, &is_zero);
		struct lh_block piece = lh_block_part(slice, at, end, at ? true : slice->is_continued);
		for (size_t i = 0; i < COLLECTORS; i++)
			LH_TRY(lh_collectors[i]->take(part->parts[i], &piece, is_zero, &part->findings));
		at = end;
	}
	return NULL;
}

static struct lh_error *scan_stripe(void *context, const struct lh_stripe *stripe)
{
	struct summary_part *part = context;
	part->findings = (struct lh_findings){.stripe = stripe};
	for (size_t i = 0; i < COLLECTORS; i++)
		LH_TRY(lh_collectors[i]->begin(part->parts[i], &part->findings));
	for (size_t i = 0; i < stripe->block_count; i++)
		LH_TRY(lh_visit_slices(&stripe->blocks[i], scan_slice, part));
	for (size_t i = 0; i < COLLECTORS; i++) {
		if (lh_collectors[i]->end)
			LH_TRY(lh_collectors[i]->end(part->parts[i], &part->findings));
	}
	return NULL;
}

static struct lh_error *merge_stripe(void *context, void *part_context, const struct lh_stripe *stripe)
{
	struct summary_total *total = context;
	struct summary_part *part = part_context;
	total->findings.stripe = stripe;
	for (size_t i = 0; i < COLLECTORS; i++)
		LH_TRY(lh_collectors[i]->merge(total->totals[i], part->parts[i], &total->findings));
	return NULL;
}

/* ---------------------------------------------------------------- the whole */

static void cleanup_total(struct summary_total *total)
{
	for (size_t i = 0; i < COLLECTORS; i++) {
		if (total->totals[i])
			lh_collectors[i]->destroy(total->totals[i]);
	}
}

/* Being interrupted is no failure: the result so far counts. */
static struct lh_error *walk_image_stripes(struct summary_total *total, struct lh_image *image,
					   bool *ret_is_interrupted)
{
	const struct lh_summary_options *options = total->setup.options;
	struct lh_striping striping = {
		.image = image,
		.walk_flags = options->walk_flags,
		.stripe_bytes = STRIPE_BYTES,
		.threads = options->threads,
		.progress = options->progress,
		.progress_context = options->progress_context,
	};
	struct lh_stripe_work work = {
		.context = total,
		.create_part = create_summary_part,
		.destroy_part = destroy_summary_part,
		.scan = scan_stripe,
		.merge = merge_stripe,
	};
	struct lh_error *error = lh_walk_stripes(&striping, &work);
	*ret_is_interrupted = error && lh_error_code(error) == LH_ERROR_INTERRUPTED;
	if (!*ret_is_interrupted)
		return error;
	lh_error_destroy(error);
	return NULL;
}

/* A second look, with what the first one found. */
static struct lh_error *find_objects(struct lh_image *image, const struct lh_summary_options *options,
				     const struct lh_heap *heap, struct lh_summary *summary)
{
	struct lh_objects_options objects_options = {
		.heap = heap,
		.walk_flags = options->walk_flags,
		.threads = options->threads,
		.progress = options->progress,
		.progress_context = options->progress_context,
	};
	if (summary->is_interrupted)
		return NULL;
	struct lh_error *error =
		lh_objects_find(image, summary->symbols, &summary->census, &objects_options, &summary->objects);
	summary->is_interrupted = error && lh_error_code(error) == LH_ERROR_INTERRUPTED;
	if (!summary->is_interrupted)
		return error;
	lh_error_destroy(error);
	return NULL;
}

/* Both stay NULL where texts may lie anywhere. */
static struct lh_error *find_live_parts(struct lh_image *image, const struct lh_summary_options *options,
					struct lh_heap **ret_heap, struct lh_live_parts **ret)
{
	bool can_change = lh_image_source(image) == LH_IMAGE_PROCESS;
	if (!options->wants_live_texts || can_change || !lh_image_has_addresses(image))
		return NULL;
	LH_TRY(lh_heap_walk(image, ret_heap));
	return lh_live_parts_create(image, *ret_heap, ret);
}

struct lh_error *lh_summarize(struct lh_image *image, const struct lh_summary_options *options, struct lh_summary *ret)
{
	LH_CLEANUP(lh_cleanup_heap) struct lh_heap *heap = NULL;
	LH_CLEANUP(lh_cleanup_live_parts) struct lh_live_parts *live = NULL;
	LH_CLEANUP(cleanup_total) struct summary_total total = {0};
	struct lh_summary summary LH_CLEANUP(lh_summary_deinit) = {0};
	LH_TRY(find_live_parts(image, options, &heap, &live));
	total.setup = (struct lh_collector_setup){image, options, live};
	LH_TRY(lh_kernel_select(&total.kernel));
	for (size_t i = 0; i < COLLECTORS; i++)
		LH_TRY(lh_collectors[i]->create(&total.setup, &total.totals[i]));
	LH_TRY(walk_image_stripes(&total, image, &summary.is_interrupted));
	summary.match_loss = lh_text_filter_take_loss(options->run.match);
	for (size_t i = 0; i < COLLECTORS; i++)
		LH_TRY(lh_collectors[i]->finish(total.totals[i], &total.findings, &summary));
	LH_TRY(find_objects(image, options, heap, &summary));
	if (!options->shows_secrets)
		LH_TRY(lh_summary_mask(&summary));
	*ret = summary;
	summary = (struct lh_summary){0};
	return NULL;
}

void lh_summary_deinit(struct lh_summary *summary)
{
	for (size_t i = 0; i < summary->repeated.count; i++)
		free(summary->repeated.items[i].text);
	lh_vec_deinit(&summary->repeated);
	for (size_t i = 0; i < summary->templates.count; i++)
		free(summary->templates.items[i].text);
	lh_vec_deinit(&summary->templates);
	lh_vec_deinit(&summary->classes);
	lh_map_deinit(&summary->map);
	lh_vec_deinit(&summary->modules);
	lh_census_deinit(&summary->census);
	lh_objects_deinit(&summary->objects);
	lh_symbols_close(summary->symbols);
	summary->symbols = NULL;
}
