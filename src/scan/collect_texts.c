/*
 * collect_texts: printable runs: how often each text occurs, and which templates texts share. Each stripe's texts are
 * counted separately, and the template of each different text is computed once per stripe; then the counts are added
 * up. A text that overlaps a secret found by the recognizers is kept without its bytes. The recognizers do not see wide
 * characters: those are read from a masked copy.
 */
#include "collector.h"
#include "scan/recognize/secret_finder.h"
#include "scan/text/list_mask.h"
#include "scan/text/live_parts.h"
#include "scan/text/run_part.h"
#include "scan/text/runs.h"
#include "scan/text/text_candidates.h"
#include "scan/text/text_count.h"

#include <stdlib.h>
#include <string.h>

/* The maximum number of texts of countable length in a stripe; 20 MiB. */
#define PART_TEXTS ((uint32_t)256 * 1024)
/* More than the candidates of both kinds, and than the long texts of a stripe. */
#define PART_CANDIDATES ((uint32_t)16 * 1024)

enum { HASHES_AT_ONCE = 64 };

struct texts_part {
	struct lh_run_part runs;
	struct lh_text_count *count;
	struct lh_list_mask mask;           /* of wide characters */
	LH_VEC(struct lh_block) masked;     /* the stripe's blocks; empty if nothing is masked */
	const struct lh_live_parts *live;   /* NULL: texts may lie anywhere */
	bool skips_zeros;                   /* zeros end a run, but may be part of a wide character */
	bool is_broken;                     /* the bytes before the next ones were skipped */
	const struct lh_findings *findings; /* of the current call */
};

struct texts_total {
	struct lh_run_options options;
	size_t top;
	uint64_t count_min;
	const struct lh_live_parts *live;
	struct lh_run_finder *finder; /* for runs that span several stripes */
	struct lh_text_count *count;
	struct lh_text_candidates *candidates; /* NULL: all texts are counted */
	bool masks_wide_secrets;
	const struct lh_findings *findings; /* of the current call */
};

static bool overlaps_secret(const struct lh_findings *findings, const struct lh_run *run)
{
	const struct lh_range *secrets = findings->secrets;
	size_t low = 0; /* all ranges before `low` end before the run; no range from `high` on does */
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

/* At most HASHES_AT_ONCE runs from `first` on. All are hashed first, so that waits for memory overlap. */
static void count_some_runs(struct texts_part *part, const struct lh_run_batch *batch, size_t first)
{
	uint64_t hashes[HASHES_AT_ONCE];
	size_t count = lh_min_u64(batch->count - first, HASHES_AT_ONCE);
	for (size_t i = 0; i < count; i++) {
		struct lh_run run = lh_run_of(batch, first + i);
		hashes[i] = lh_text_hash(&run);
		lh_text_count_prefetch(part->count, hashes[i]);
	}
	for (size_t i = 0; i < count; i++) {
		struct lh_run run = lh_run_of(batch, first + i);
		lh_text_count_run(part->count, &run, hashes[i], overlaps_secret(part->findings, &run));
	}
}

static struct lh_error *count_runs(void *context, const struct lh_run_batch *batch)
{
	for (size_t i = 0; i < batch->count; i += HASHES_AT_ONCE)
		count_some_runs(context, batch, i);
	return NULL;
}

static void destroy_texts_part(void *context)
{
	struct texts_part *part = context;
	lh_run_part_deinit(&part->runs);
	lh_text_count_destroy(part->count);
	lh_list_mask_deinit(&part->mask);
	lh_vec_deinit(&part->masked);
	free(part);
}

static struct lh_error *create_texts_part(void *total, void **ret)
{
	static const struct lh_text_limits all_limits = {.texts = PART_TEXTS, .templates = 8 * 1024};
	static const struct lh_text_limits candidate_limits = {.texts = PART_CANDIDATES, .templates = PART_CANDIDATES};
	const struct texts_total *texts = total;
	struct texts_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->live = texts->live;
	part->skips_zeros = lh_encoding_width(texts->options.encoding) == 1;
	struct lh_error *error = lh_run_part_init(&part->runs, &texts->options, count_runs, part);
	if (!error && texts->masks_wide_secrets)
		error = lh_list_mask_init(&part->mask, &texts->options);
	if (!error)
		error = lh_text_count_create(texts->candidates ? candidate_limits : all_limits, &part->count);
	if (error) {
		destroy_texts_part(part);
		return error;
	}
	lh_text_count_narrow(part->count, texts->candidates);
	*ret = part;
	return NULL;
}

static struct lh_error *begin_texts(void *context, struct lh_findings *findings)
{
	struct texts_part *part = context;
	const struct lh_stripe *stripe = findings->stripe;
	part->is_broken = false;
	lh_text_count_clear(part->count);
	lh_run_part_begin(&part->runs);
	lh_list_mask_begin(&part->mask);
	part->masked.count = 0;
	for (size_t i = 0; part->mask.finder && i < stripe->block_count; i++) {
		struct lh_block block = stripe->blocks[i];
		LH_TRY(lh_list_mask_block(&part->mask, &block));
		LH_TRY(lh_vec_push(&part->masked, block));
	}
	return NULL;
}

/* Uses the same piece of the masked copy of its block, if there is one. */
static void use_masked(const struct texts_part *part, struct lh_block *piece)
{
	const struct lh_block *blocks = part->findings->stripe->blocks;
	for (size_t i = 0; i < part->masked.count; i++) {
		const struct lh_block *masked = &part->masked.items[i];
		if (piece->addr < masked->addr || piece->addr >= masked->addr + masked->bytes)
			continue;
		piece->data = masked->data + (piece->data - blocks[i].data);
		piece->is_brief |= masked->is_brief;
		return;
	}
}

static struct lh_error *break_texts(struct texts_part *part)
{
	part->is_broken = true;
	return lh_run_part_break(&part->runs);
}

static struct lh_error *feed_texts(struct texts_part *part, struct lh_block block)
{
	use_masked(part, &block);
	block.is_continued &= !part->is_broken;
	part->is_broken = false;
	return lh_run_part_feed(&part->runs, &block);
}

/* A part that is cut out ends a run, as zeros do. */
static struct lh_error *feed_live_texts(struct texts_part *part, const struct lh_block *piece)
{
	struct lh_live_part live;
	size_t at = 0;
	for (; lh_live_parts_next(part->live, piece, at, &live); at = live.end) {
		if (live.start > at)
			LH_TRY(break_texts(part));
		bool is_continued = live.start || piece->is_continued;
		LH_TRY(feed_texts(part, lh_block_part(piece, live.start, live.end, is_continued)));
		if (live.is_last_of_run)
			LH_TRY(break_texts(part));
	}
	return at < piece->bytes ? break_texts(part) : NULL;
}

static struct lh_error *take_texts(void *context, const struct lh_block *piece, bool is_zero,
				   struct lh_findings *findings)
{
	struct texts_part *part = context;
	part->findings = findings;
	if (is_zero && part->skips_zeros)
		return break_texts(part);
	return part->live ? feed_live_texts(part, piece) : feed_texts(part, *piece);
}

static struct lh_error *end_texts(void *context, struct lh_findings *findings)
{
	struct texts_part *part = context;
	(void)findings;
	lh_text_count_templates(part->count);
	return NULL;
}

/* ---------------------------------------------------------------- all stripes */

/* A run across borders, once it is complete; its bytes are valid during this call only. */
static struct lh_error *count_cut_run(void *context, const struct lh_run *run)
{
	struct texts_total *texts = context;
	bool is_secret = overlaps_secret(texts->findings, run);
	if (!is_secret)
		lh_text_count_template(texts->count, run);
	lh_text_count_run(texts->count, run, lh_text_hash(run), is_secret);
	return NULL;
}

static void destroy_texts(void *total)
{
	struct texts_total *texts = total;
	lh_run_finder_destroy(texts->finder);
	lh_text_count_destroy(texts->count);
	lh_text_candidates_destroy(texts->candidates);
	free(texts);
}

static struct lh_error *init_texts(struct texts_total *texts, const struct lh_collector_setup *setup)
{
	texts->options = setup->options->run;
	texts->top = setup->options->top;
	texts->count_min = setup->options->keeps_single ? 1 : 2;
	texts->live = setup->live;
	LH_TRY(lh_run_finder_create(&texts->options, count_cut_run, texts, &texts->finder));
	texts->masks_wide_secrets = !setup->options->shows_secrets && lh_encoding_width(texts->options.encoding) > 1;
	LH_TRY(lh_text_candidates_find(setup->image, setup->options, &texts->candidates));
	LH_TRY(lh_text_count_create(LH_TEXT_LIMITS, &texts->count));
	lh_text_count_narrow(texts->count, texts->candidates);
	return NULL;
}

static struct lh_error *create_texts(const struct lh_collector_setup *setup, void **ret)
{
	struct texts_total *texts = calloc(1, sizeof(*texts));
	if (!texts)
		return lh_error_no_memory();
	struct lh_error *error = init_texts(texts, setup);
	if (error) {
		destroy_texts(texts);
		return error;
	}
	*ret = texts;
	return NULL;
}

static struct lh_error *merge_texts(void *total, void *context, struct lh_findings *findings)
{
	struct texts_total *texts = total;
	struct texts_part *part = context;
	texts->findings = findings;
	LH_TRY(lh_run_part_join_head(&part->runs, texts->finder));
	lh_text_count_merge(texts->count, part->count);
	lh_run_part_hand_on(&part->runs, texts->finder);
	return NULL;
}

static struct lh_error *finish_texts(void *total, struct lh_findings *findings, struct lh_summary *ret)
{
	struct texts_total *texts = total;
	texts->findings = findings;
	LH_TRY(lh_run_finder_finish(texts->finder));
	return lh_text_count_finish(texts->count, texts->top, texts->count_min, ret);
}

const struct lh_collector lh_collect_texts = {
	.create = create_texts,
	.destroy = destroy_texts,
	.create_part = create_texts_part,
	.destroy_part = destroy_texts_part,
	.begin = begin_texts,
	.take = take_texts,
	.end = end_texts,
	.merge = merge_texts,
	.finish = finish_texts,
};
