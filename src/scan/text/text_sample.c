/*
 * text_sample: what is at points of memory. The points are a function of addresses alone, one in each cell of a grid,
 * so that a result is the same for any number of threads. A text is met in proportion to its bytes.
 */
#include "leakhunt/hash_table.h"
#include "leakhunt/sweep.h"
#include "template.h"
#include "text_candidates.h"
#include "text_count.h"
#include "utf8.h"

#include <stdlib.h>

enum {
	POINTS = 131072,
	CANDIDATES_MAX = 8192,
	TEXTS_COUNTED_MAX = 400 * 1000,      /* up to this estimate, texts are counted one by one */
	TEXTS_TALLIED_MAX = 3 * 1000 * 1000, /* the same, where the sample is too weak for the rows wanted */
	SIGHTINGS_SURE = 32,
	TOP_SAMPLED_MAX = 100,
	STRIPE_BYTES = 4 << 20,
};

struct sighting {
	uint64_t text_hash;
	uint64_t template_hash;
	uint64_t frame; /* of a template with values */
	bool has_template;
	bool has_values;
};

struct sample {
	const struct lh_run_options *options;
	const struct lh_kernel *kernel;
	uint64_t cell_bytes;
	LH_VEC(struct sighting) sightings;
	double texts; /* estimated */
};

/* ---------------------------------------------------------------- texts at points */

/* Finalizer of MurmurHash3: mixes all bits. */
static uint64_t mix_bits(uint64_t value)
{
	value = (value ^ value >> 33) * UINT64_C(0xff51afd7ed558ccd);
	value = (value ^ value >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return value ^ value >> 33;
}

static bool is_text_byte(uint8_t byte, enum lh_encoding encoding)
{
	return (byte >= 0x20 && byte <= 0x7e) || byte == '\t' || (byte >= 0x80 && encoding != LH_ENCODING_ASCII);
}

/* The printable bytes around the point, as offsets from the block's data; false: they are none, or too many. */
static bool find_printable(const struct sample *sample, const struct lh_block *block, size_t point,
			   struct lh_span *ret_from_readable)
{
	const uint8_t *bytes = block->data - block->bytes_before;
	size_t length = block->bytes_before + block->bytes + block->bytes_after, at = block->bytes_before + point;
	size_t low = at - lh_min_u64(at, LH_LONG_TEXT_BYTES), start = at;
	enum lh_encoding encoding = sample->options->encoding;
	if (!is_text_byte(bytes[at], encoding))
		return false;
	while (start > low && is_text_byte(bytes[start - 1], encoding))
		start--;
	size_t most = lh_min_u64(length - at, LH_LONG_TEXT_BYTES);
	size_t end = at + sample->kernel->prefix(bytes + at, most, lh_kernel_encoding(encoding));
	*ret_from_readable = (struct lh_span){start, end};
	return end - start < LH_LONG_TEXT_BYTES && end - start >= sample->options->min_chars;
}

/* The text that holds the point, of those in `*span`. */
static bool find_text_at(const struct sample *sample, const uint8_t *bytes, size_t at, struct lh_span *span)
{
	struct lh_span rest = *span;
	if (sample->options->encoding != LH_ENCODING_UTF8)
		return true;
	while (lh_next_utf8(bytes, &rest, sample->options->min_chars, span)) {
		if (at < span->end)
			return at >= span->start;
	}
	return false;
}

static void read_sighted_template(const struct lh_run *run, struct sighting *sighting)
{
	struct lh_template template;
	struct lh_template_start start = lh_template_begin(run->bytes, run->bytes_length);
	sighting->has_template = run->bytes_length >= LH_TEMPLATE_CHARS_MIN;
	sighting->has_values = sighting->has_template && !lh_template_is_plain(start, run->bytes_length);
	sighting->template_hash = sighting->text_hash;
	if (!sighting->has_values)
		return;
	lh_template_read(run->bytes, run->bytes_length, start, &template);
	sighting->template_hash = template.hash;
	sighting->frame = lh_template_frame(run->bytes, run->bytes_length, start);
}

static struct lh_error *sample_point(struct sample *sample, const struct lh_block *block, size_t point)
{
	const uint8_t *bytes = block->data - block->bytes_before;
	struct lh_span span;
	if (!find_printable(sample, block, point, &span) ||
	    !find_text_at(sample, bytes, block->bytes_before + point, &span))
		return NULL;
	struct lh_run run = {.bytes = bytes + span.start, .bytes_length = span.end - span.start};
	struct sighting sighting = {.text_hash = lh_text_hash(&run)};
	read_sighted_template(&run, &sighting);
	sample->texts += (double)sample->cell_bytes / (double)run.bytes_length;
	return lh_vec_push(&sample->sightings, sighting);
}

/* ---------------------------------------------------------------- stripes */

static void destroy_sample_part(void *part)
{
	struct sample *sample = part;
	lh_vec_deinit(&sample->sightings);
	free(sample);
}

static struct lh_error *create_sample_part(void *context, void **ret)
{
	const struct sample *total = context;
	struct sample *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->options = total->options;
	part->kernel = total->kernel;
	part->cell_bytes = total->cell_bytes;
	*ret = part;
	return NULL;
}

static struct lh_error *sample_block(struct sample *sample, const struct lh_block *block)
{
	uint64_t end = block->addr + block->bytes;
	for (uint64_t cell = block->addr / sample->cell_bytes; cell * sample->cell_bytes < end; cell++) {
		uint64_t point = cell * sample->cell_bytes + mix_bits(cell) % sample->cell_bytes;
		if (point >= block->addr && point < end)
			LH_TRY(sample_point(sample, block, point - block->addr));
	}
	return NULL;
}

static struct lh_error *sample_stripe(void *context, const struct lh_stripe *stripe)
{
	struct sample *part = context;
	part->sightings.count = 0;
	part->texts = 0;
	for (size_t i = 0; i < stripe->block_count; i++)
		LH_TRY(sample_block(part, &stripe->blocks[i]));
	return NULL;
}

static struct lh_error *merge_sample(void *context, void *part_context, const struct lh_stripe *stripe)
{
	struct sample *total = context;
	const struct sample *part = part_context;
	(void)stripe;
	LH_TRY(lh_vec_reserve(&total->sightings, part->sightings.count));
	for (size_t i = 0; i < part->sightings.count; i++)
		total->sightings.items[total->sightings.count++] = part->sightings.items[i];
	total->texts += part->texts;
	return NULL;
}

static struct lh_error *take_sample(struct lh_image *image, const struct lh_summary_options *options,
				    struct sample *sample)
{
	uint64_t bytes = lh_image_walk_bytes(image, options->walk_flags);
	LH_TRY(lh_kernel_select(&sample->kernel));
	sample->options = &options->run;
	sample->cell_bytes = lh_max_u64(256, bytes / POINTS);
	struct lh_striping striping = {
		.image = image,
		.walk_flags = options->walk_flags,
		.stripe_bytes = STRIPE_BYTES,
		.threads = options->threads,
	};
	struct lh_stripe_work work = {
		.context = sample,
		.create_part = create_sample_part,
		.destroy_part = destroy_sample_part,
		.scan = sample_stripe,
		.merge = merge_sample,
	};
	return lh_walk_stripes(&striping, &work);
}

/* ---------------------------------------------------------------- what is frequent */

struct tallied {
	uint64_t hash;
	uint32_t count;
};

/* *ret_count: how often it was seen by now. */
static struct lh_error *tally_hash(struct lh_hash_table *counts, uint64_t hash, uint32_t *ret_count)
{
	*ret_count = 0;
	(void)lh_hash_table_find(counts, hash, ret_count);
	return lh_hash_table_put(counts, hash, ++*ret_count);
}

static int compare_tallied(const void *a, const void *b)
{
	const struct tallied *x = a, *y = b;
	int order = lh_compare_u64(y->count, x->count);
	return order ? order : lh_compare_u64(x->hash, y->hash);
}

/* Those seen twice or more, at most CANDIDATES_MAX. *ret_sure: the `top`-th of them was seen often enough. */
static struct lh_error *choose_candidates(const struct lh_hash_table *counts, size_t top, struct lh_hash_filter **ret,
					  bool *ret_sure)
{
	LH_CLEANUP(lh_cleanup_free) struct tallied *found = calloc(counts->count + 1, sizeof(*found));
	if (!found)
		return lh_error_no_memory();
	size_t count = 0;
	for (size_t at = 0; at < counts->slot_count; at++) {
		const struct lh_hash_slot *slot = &counts->slots[at];
		if (slot->is_used && slot->number >= 2)
			found[count++] = (struct tallied){slot->key, slot->number};
	}
	qsort(found, count, sizeof(*found), compare_tallied);
	count = lh_min_u64(count, CANDIDATES_MAX);
	*ret_sure = count >= top && found[top - 1].count >= SIGHTINGS_SURE;
	uint64_t hashes[CANDIDATES_MAX];
	for (size_t i = 0; i < count; i++)
		hashes[i] = found[i].hash;
	return lh_hash_filter_create(hashes, count, ret);
}

static struct lh_error *find_frames(const struct sample *sample, const struct lh_hash_filter *templates,
				    struct lh_hash_filter **ret)
{
	struct lh_hash_table frames LH_CLEANUP(lh_hash_table_deinit) = {0};
	LH_VEC(uint64_t) hashes = {0};
	struct lh_error *error = NULL;
	for (size_t i = 0; i < sample->sightings.count && !error; i++) {
		const struct sighting *sighting = &sample->sightings.items[i];
		uint32_t count = 0;
		if (sighting->has_values && lh_hash_filter_has(templates, sighting->template_hash))
			error = tally_hash(&frames, sighting->frame, &count);
		if (!error && count == 1)
			error = lh_vec_push(&hashes, sighting->frame);
	}
	if (!error)
		error = lh_hash_filter_create(hashes.items, hashes.count, ret);
	lh_vec_deinit(&hashes);
	return error;
}

static struct lh_error *find_frequent(const struct sample *sample, size_t top, struct lh_text_candidates *ret,
				      bool *ret_sure)
{
	struct lh_hash_table texts LH_CLEANUP(lh_hash_table_deinit) = {0};
	struct lh_hash_table templates LH_CLEANUP(lh_hash_table_deinit) = {0};
	bool sure_of_texts = false, sure_of_templates = false;
	uint32_t count;
	for (size_t i = 0; i < sample->sightings.count; i++) {
		const struct sighting *sighting = &sample->sightings.items[i];
		LH_TRY(tally_hash(&texts, sighting->text_hash, &count));
		if (sighting->has_template)
			LH_TRY(tally_hash(&templates, sighting->template_hash, &count));
	}
	LH_TRY(choose_candidates(&texts, top, &ret->texts, &sure_of_texts));
	LH_TRY(choose_candidates(&templates, top, &ret->templates, &sure_of_templates));
	*ret_sure = sure_of_texts && sure_of_templates;
	return find_frames(sample, ret->templates, &ret->frames);
}

static bool can_sample(const struct lh_image *image, const struct lh_summary_options *options)
{
	return lh_image_blocks_stay(image) && !options->run.match && options->top <= TOP_SAMPLED_MAX &&
	       lh_encoding_width(options->run.encoding) == 1;
}

static void cleanup_sample(struct sample *sample)
{
	lh_vec_deinit(&sample->sightings);
}

static void cleanup_candidates(struct lh_text_candidates **candidates)
{
	lh_text_candidates_destroy(*candidates);
}

struct lh_error *lh_text_candidates_find(struct lh_image *image, const struct lh_summary_options *options,
					 struct lh_text_candidates **ret)
{
	struct sample sample LH_CLEANUP(cleanup_sample) = {0};
	LH_CLEANUP(cleanup_candidates) struct lh_text_candidates *found = NULL;
	bool is_sure;
	if (!can_sample(image, options) ||
	    lh_image_walk_bytes(image, options->walk_flags) / lh_max_u64(4, options->run.min_chars) < TEXTS_COUNTED_MAX)
		return NULL;
	LH_TRY(take_sample(image, options, &sample));
	if (sample.texts < TEXTS_COUNTED_MAX)
		return NULL;
	found = calloc(1, sizeof(*found));
	if (!found)
		return lh_error_no_memory();
	LH_TRY(find_frequent(&sample, options->top, found, &is_sure));
	if (!is_sure && sample.texts < TEXTS_TALLIED_MAX)
		return NULL;
	*ret = found;
	found = NULL;
	return NULL;
}

void lh_text_candidates_destroy(struct lh_text_candidates *candidates)
{
	if (!candidates)
		return;
	lh_hash_filter_destroy(candidates->texts);
	lh_hash_filter_destroy(candidates->templates);
	lh_hash_filter_destroy(candidates->frames);
	free(candidates);
}
