/*
 * summary: one pass over an image that feeds every slice to the recognisers, the pointer census and
 * the run finder while it is in the cache. Pages that are all zero are counted and skipped.
 *
 * Recognisers come first: a string that overlaps a secret they found is kept without its text.
 */
#include "kernel.h"
#include "repeated.h"
#include "slices.h"

#include <stdlib.h>

enum { PAGE_BYTES = 4096 };

struct summary_pass {
	const struct lh_summary_options *options;
	const struct lh_kernel *kernel;
	size_t width;
	struct lh_run_finder *finder;
	struct lh_recogniser_pass *recognisers;
	struct lh_census_pass *census;
	struct lh_repeated_table *repeated;
	bool is_fed; /* the bytes before the next ones went to the run finder */
	struct lh_summary summary;
};

static void cleanup_pass(struct summary_pass *pass)
{
	lh_run_finder_destroy(pass->finder);
	lh_recogniser_pass_destroy(pass->recognisers);
	lh_census_pass_destroy(pass->census);
	lh_repeated_table_destroy(pass->repeated);
	lh_summary_deinit(&pass->summary);
}

/* ---------------------------------------------------------------- runs and secrets */

static bool overlaps_secret(const struct summary_pass *pass, const struct lh_run *run)
{
	size_t count;
	const struct lh_range *secrets = lh_recogniser_pass_secrets(pass->recognisers, &count);
	size_t low = 0; /* all before it end before the run; all from `high` on don't */
	for (size_t high = count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (secrets[middle].end <= run->addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && secrets[low].start < run->addr + run->bytes_length;
}

static struct lh_error *count_run(void *context, const struct lh_run *run)
{
	struct summary_pass *pass = context;
	pass->summary.run_count++;
	pass->summary.printable_bytes += run->bytes_length;
	lh_repeated_table_add(pass->repeated, run, pass->width, overlaps_secret(pass, run));
	return NULL;
}

/* ---------------------------------------------------------------- slices */

static struct lh_error *feed_runs(struct summary_pass *pass, struct lh_block part)
{
	part.is_continued = part.is_continued && pass->is_fed;
	pass->is_fed = true;
	return lh_run_finder_feed(pass->finder, &part);
}

static struct lh_error *feed_nonzero(struct summary_pass *pass, const struct lh_block *part)
{
	LH_TRY(lh_recogniser_pass_feed(pass->recognisers, part));
	LH_TRY(lh_census_pass_feed(pass->census, part));
	return feed_runs(pass, *part);
}

/* Zeros end a run, except that they can be a part of the wide character before or after them. */
static struct lh_error *feed_zero(struct summary_pass *pass, const struct lh_block *part)
{
	pass->summary.zero_bytes += part->bytes;
	if (pass->width > 1)
		return feed_runs(pass, *part);
	pass->is_fed = false;
	return NULL;
}

static size_t page_end(const struct lh_block *slice, size_t at)
{
	size_t until_border = PAGE_BYTES - (slice->addr + at) % PAGE_BYTES;
	return at + lh_min_u64(until_border, slice->bytes - at);
}

/* Where the pages that are zero, or are not, like the one at `at`, end. */
static size_t like_pages_end(const struct summary_pass *pass, const struct lh_block *slice, size_t at,
			     bool *ret_is_zero)
{
	size_t end = page_end(slice, at);
	bool is_zero = pass->kernel->is_zero(slice->data + at, end - at);
	while (end < slice->bytes) {
		size_t next = page_end(slice, end);
		if (pass->kernel->is_zero(slice->data + end, next - end) != is_zero)
			break;
		end = next;
	}
	*ret_is_zero = is_zero;
	return end;
}

static struct lh_error *visit_slice(void *context, const struct lh_block *slice)
{
	struct summary_pass *pass = context;
	pass->summary.scanned_bytes += slice->bytes;
	for (size_t at = 0; at < slice->bytes;) {
		bool is_zero;
		size_t end = like_pages_end(pass, slice, at, &is_zero);
		struct lh_block part = lh_block_part(slice, at, end, at ? true : slice->is_continued);
		LH_TRY(is_zero ? feed_zero(pass, &part) : feed_nonzero(pass, &part));
		at = end;
	}
	return NULL;
}

/* ---------------------------------------------------------------- the whole */

static struct lh_error *begin_pass(struct summary_pass *pass, const struct lh_image *image)
{
	LH_TRY(lh_kernel_select(&pass->kernel));
	pass->width = lh_encoding_width(pass->options->run.encoding);
	LH_TRY(lh_run_finder_create(&pass->options->run, count_run, pass, &pass->finder));
	LH_TRY(lh_recogniser_pass_create(&pass->recognisers));
	LH_TRY(lh_census_pass_create(image, &pass->census));
	return lh_repeated_table_create(LH_REPEATED_LIMITS, &pass->repeated);
}

/* Being interrupted is no failure: the result so far counts. */
static struct lh_error *walk(struct summary_pass *pass, struct lh_image *image)
{
	struct lh_slicing slicing = {
		.image = image,
		.walk_flags = pass->options->walk_flags,
		.visit = visit_slice,
		.context = pass,
		.progress = pass->options->progress,
		.progress_context = pass->options->progress_context,
	};
	struct lh_error *error = lh_walk_slices(&slicing);
	if (!error || lh_error_code(error) != LH_ERROR_INTERRUPTED)
		return error;
	lh_error_destroy(error);
	pass->summary.is_interrupted = true;
	return NULL;
}

static int compare_classes(const void *a, const void *b)
{
	const struct lh_class_count *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->count > y->count ? -1 : x->count < y->count;
}

static struct lh_error *collect_classes(struct summary_pass *pass)
{
	size_t count;
	const struct lh_class_count *classes = lh_recogniser_pass_classes(pass->recognisers, &count);
	for (size_t i = 0; i < count; i++)
		if (classes[i].count || classes[i].unchecked)
			LH_TRY(lh_vec_push(&pass->summary.classes, classes[i]));
	if (pass->summary.classes.count)
		qsort(pass->summary.classes.items, pass->summary.classes.count, sizeof(*classes), compare_classes);
	return NULL;
}

static struct lh_error *count_for_module(struct lh_summary *summary, const struct lh_census_row *row)
{
	for (size_t i = 0; i < summary->modules.count; i++) {
		if (summary->modules.items[i].module == row->symbol.module) {
			summary->modules.items[i].count += row->count;
			return NULL;
		}
	}
	struct lh_module_count count = {row->symbol.module, row->symbol.module_name, row->count};
	return lh_vec_push(&summary->modules, count);
}

static int compare_modules(const void *a, const void *b)
{
	const struct lh_module_count *x = a, *y = b;
	return x->count > y->count ? -1 : x->count < y->count;
}

static struct lh_error *count_modules(struct lh_summary *summary)
{
	for (size_t i = 0; i < summary->census.rows.count; i++)
		LH_TRY(count_for_module(summary, &summary->census.rows.items[i]));
	if (summary->modules.count)
		qsort(summary->modules.items, summary->modules.count, sizeof(*summary->modules.items), compare_modules);
	return NULL;
}

static struct lh_error *finish_pass(struct summary_pass *pass, const struct lh_image *image)
{
	LH_TRY(lh_run_finder_finish(pass->finder));
	LH_TRY(lh_repeated_table_finish(pass->repeated, pass->options->top, &pass->summary));
	LH_TRY(collect_classes(pass));
	LH_TRY(lh_symbols_open(image, pass->options->root, &pass->summary.symbols));
	LH_TRY(lh_census_pass_finish(pass->census, pass->summary.symbols, &pass->summary.census));
	return count_modules(&pass->summary);
}

struct lh_error *lh_summarise(struct lh_image *image, const struct lh_summary_options *options, struct lh_summary *ret)
{
	LH_CLEANUP(cleanup_pass) struct summary_pass pass = {.options = options};
	LH_TRY(begin_pass(&pass, image));
	LH_TRY(walk(&pass, image));
	LH_TRY(finish_pass(&pass, image));
	*ret = pass.summary;
	pass.summary = (struct lh_summary){0};
	return NULL;
}

void lh_summary_deinit(struct lh_summary *summary)
{
	for (size_t i = 0; i < summary->repeated.count; i++)
		free(summary->repeated.items[i].text);
	lh_vec_deinit(&summary->repeated);
	lh_vec_deinit(&summary->classes);
	lh_vec_deinit(&summary->modules);
	lh_census_deinit(&summary->census);
	lh_symbols_close(summary->symbols);
	summary->symbols = NULL;
}
