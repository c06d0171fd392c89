/*
 * collect_texts: printable runs, and how often each text occurs. A text that overlaps a secret, which the
 * recognisers have found before, is kept without its bytes.
 */
#include "collector.h"
#include "repeated.h"
#include "run_part.h"

#include <stdlib.h>

/* A run of a stripe; the bytes are the image's. */
struct seen_run {
	struct lh_run run;
	bool is_secret;
};

struct texts_part {
	struct lh_run_part runs;
	LH_VEC(struct seen_run) seen;
	bool skips_zeros;                   /* zeros end a run; but they can be a part of a wide character */
	bool is_broken;                     /* the bytes before the next ones were skipped */
	const struct lh_findings *findings; /* of the call */
};

struct texts_total {
	struct lh_run_options options;
	size_t top;
	struct lh_run_finder *finder; /* of the runs that lie in several stripes */
	struct lh_repeated_table *repeated;
	uint64_t run_count;
	uint64_t printable_bytes;
	const struct lh_findings *findings; /* of the call */
};

static bool overlaps_secret(const struct lh_findings *findings, const struct lh_run *run)
{
	const struct lh_range *secrets = findings->secrets;
	size_t low = 0; /* all before it end before the run; all from `high` on don't */
	for (size_t high = findings->secret_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (secrets[middle].end <= run->addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < findings->secret_count && secrets[low].start < run->addr + run->bytes_length;
}

/* ---------------------------------------------------------------- a stripe */

static struct lh_error *see_runs(void *context, const struct lh_run_batch *batch)
{
	struct texts_part *part = context;
	LH_TRY(lh_vec_reserve(&part->seen, batch->count));
	for (size_t i = 0; i < batch->count; i++) {
		struct lh_run run = lh_run_of(batch, i);
		part->seen.items[part->seen.count++] = (struct seen_run){run, overlaps_secret(part->findings, &run)};
	}
	return NULL;
}

static void destroy_part(void *context)
{
	struct texts_part *part = context;
	lh_run_part_deinit(&part->runs);
	lh_vec_deinit(&part->seen);
	free(part);
}

static struct lh_error *create_part(void *total, void **ret)
{
	const struct texts_total *texts = total;
	struct texts_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->skips_zeros = lh_encoding_width(texts->options.encoding) == 1;
	struct lh_error *error = lh_run_part_init(&part->runs, &texts->options, see_runs, part);
	if (error) {
		destroy_part(part);
		return error;
	}
	*ret = part;
	return NULL;
}

static struct lh_error *begin(void *context, struct lh_findings *findings)
{
	struct texts_part *part = context;
	(void)findings;
	part->seen.count = 0;
	part->is_broken = false;
	lh_run_part_begin(&part->runs);
	return NULL;
}

static struct lh_error *take(void *context, const struct lh_block *piece, bool is_zero, struct lh_findings *findings)
{
	struct texts_part *part = context;
	part->findings = findings;
	if (is_zero && part->skips_zeros) {
		part->is_broken = true;
		return lh_run_part_break(&part->runs);
	}
	struct lh_block block = *piece;
	block.is_continued &= !part->is_broken;
	part->is_broken = false;
	return lh_run_part_feed(&part->runs, &block);
}

/* ---------------------------------------------------------------- all stripes */

static void add_run(struct texts_total *texts, const struct lh_run *run, bool is_secret)
{
	texts->run_count++;
	texts->printable_bytes += run->bytes_length;
	lh_repeated_table_add(texts->repeated, run, lh_encoding_width(texts->options.encoding), is_secret);
}

static struct lh_error *add_cut_run(void *context, const struct lh_run *run)
{
	struct texts_total *texts = context;
	add_run(texts, run, overlaps_secret(texts->findings, run));
	return NULL;
}

static void destroy(void *total)
{
	struct texts_total *texts = total;
	lh_run_finder_destroy(texts->finder);
	lh_repeated_table_destroy(texts->repeated);
	free(texts);
}

static struct lh_error *init(struct texts_total *texts, const struct lh_collector_setup *setup)
{
	texts->options = setup->options->run;
	texts->top = setup->options->top;
	LH_TRY(lh_run_finder_create(&texts->options, add_cut_run, texts, &texts->finder));
	return lh_repeated_table_create(LH_REPEATED_LIMITS, &texts->repeated);
}

static struct lh_error *create(const struct lh_collector_setup *setup, void **ret)
{
	struct texts_total *texts = calloc(1, sizeof(*texts));
	if (!texts)
		return lh_error_no_memory();
	struct lh_error *error = init(texts, setup);
	if (error) {
		destroy(texts);
		return error;
	}
	*ret = texts;
	return NULL;
}

static struct lh_error *merge(void *total, void *context, struct lh_findings *findings)
{
	struct texts_total *texts = total;
	struct texts_part *part = context;
	texts->findings = findings;
	LH_TRY(lh_run_part_join_head(&part->runs, texts->finder));
	for (size_t i = 0; i < part->seen.count; i++)
		add_run(texts, &part->seen.items[i].run, part->seen.items[i].is_secret);
	lh_run_part_hand_on(&part->runs, texts->finder);
	return NULL;
}

static struct lh_error *finish(void *total, struct lh_findings *findings, struct lh_summary *ret)
{
	struct texts_total *texts = total;
	texts->findings = findings;
	LH_TRY(lh_run_finder_finish(texts->finder));
	ret->run_count = texts->run_count;
	ret->printable_bytes = texts->printable_bytes;
	return lh_repeated_table_finish(texts->repeated, texts->top, ret);
}

const struct lh_collector lh_collect_texts = {
	.create = create,
	.destroy = destroy,
	.create_part = create_part,
	.destroy_part = destroy_part,
	.begin = begin,
	.take = take,
	.merge = merge,
	.finish = finish,
};
