/*
 * text_count: two tallies: of texts by their bytes, and of templates by their shape. With each template goes
 * which of its values differ from text to text: only those are shown as placeholders.
 */
#include "text_count.h"
#include "distinct.h"
#include "tally.h"
#include "template.h"
#include "text_candidates.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct lh_text_count {
	struct lh_tally *texts;
	struct lh_tally *templates;
	const struct lh_text_candidates *candidates; /* NULL: all are counted */
	struct lh_distinct distinct;                 /* of candidates and others; only with candidates */
	uint64_t run_count;
	uint64_t printable_bytes;
	uint64_t template_texts;
	uint64_t template_bytes;
};

/* What is kept with each template: the values of its first text, and its first different texts. */
struct template_payload {
	struct lh_value values[LH_TEMPLATE_VALUES_MAX];
	uint32_t value_hashes[LH_TEMPLATE_VALUES_MAX];
	uint32_t differing; /* bits: this value is not the same in all texts */
	uint32_t value_count;
	struct lh_example examples[LH_TEMPLATE_EXAMPLES];
	size_t example_count;
};

_Static_assert(LH_TEMPLATE_VALUES_MAX <= 32, "differing has a bit for each value");

struct lh_error *lh_text_count_create(struct lh_text_limits limits, struct lh_text_count **ret)
{
	struct lh_text_count *count = calloc(1, sizeof(*count));
	if (!count)
		return lh_error_no_memory();
	struct lh_tally_limits texts = {.rows = limits.texts, .text_bytes = limits.text_bytes};
	struct lh_tally_limits templates = {
		.rows = limits.templates,
		.text_bytes = limits.templates * LH_EXAMPLE_MAX,
		.payload_bytes = sizeof(struct template_payload),
	};
	struct lh_error *error = lh_tally_create(texts, &count->texts);
	if (!error)
		error = lh_tally_create(templates, &count->templates);
	if (error) {
		lh_text_count_destroy(count);
		return error;
	}
	*ret = count;
	return NULL;
}

void lh_text_count_destroy(struct lh_text_count *count)
{
	if (!count)
		return;
	lh_tally_destroy(count->texts);
	lh_tally_destroy(count->templates);
	free(count);
}

void lh_text_count_narrow(struct lh_text_count *count, const struct lh_text_candidates *candidates)
{
	count->candidates = candidates;
}

void lh_text_count_clear(struct lh_text_count *count)
{
	if (count->candidates)
		count->distinct = (struct lh_distinct){0};
	lh_tally_clear(count->texts);
	lh_tally_clear(count->templates);
	count->run_count = count->printable_bytes = count->template_texts = count->template_bytes = 0;
}

/* ---------------------------------------------------------------- texts */

uint64_t lh_text_hash(const struct lh_run *run)
{
	return XXH3_64bits(run->bytes, run->bytes_length);
}

static struct lh_tally_row item_of(const struct lh_run *run, uint64_t hash)
{
	return (struct lh_tally_row){
		.hash = hash,
		.length = run->bytes_length,
		.chars = run->chars,
		.count = 1,
		.bytes = run->bytes_length,
		.addr = run->addr,
		.text = run->bytes,
		.text_length = (uint32_t)lh_min_u64(run->chars, UINT32_MAX),
		.width = (uint8_t)(run->bytes_length / run->chars),
	};
}

/* ---------------------------------------------------------------- templates */

static bool is_same_text(const struct lh_example *a, const struct lh_example *b)
{
	return strcmp(a->text, b->text) == 0;
}

static void take_template_example(struct template_payload *payload, const struct lh_example *example)
{
	for (size_t i = 0; i < payload->example_count; i++) {
		if (is_same_text(&payload->examples[i], example))
			return;
	}
	if (payload->example_count < LH_TEMPLATE_EXAMPLES)
		payload->examples[payload->example_count++] = *example;
}

static uint32_t hash_value(const char *text, const struct lh_value *value)
{
	return (uint32_t)XXH3_64bits(text + value->start, (size_t)(value->end - value->start));
}

static void take_first_values(struct template_payload *payload, const struct lh_template *template, const char *text)
{
	payload->value_count = (uint32_t) template->value_count;
	for (uint32_t i = 0; i < template->value_count; i++) {
		payload->values[i] = template->values[i];
		payload->value_hashes[i] = hash_value(text, &template->values[i]);
	}
}

/* Notes which values differ from the first text's. Those known to differ need no second look. */
static void mark_differing_values(struct template_payload *payload, const struct lh_template *template,
				  const char *text)
{
	for (uint32_t i = 0; i < template->value_count; i++) {
		if (!(payload->differing >> i & 1) &&
		    payload->value_hashes[i] != hash_value(text, &template->values[i]))
			payload->differing |= 1u << i;
	}
}

/* Texts of a template differ in its values alone: while no value differs, all texts are the first example. */
static bool may_be_new_example(const struct template_payload *payload)
{
	bool is_seen_whole = payload->value_count < LH_TEMPLATE_VALUES_MAX;
	return !payload->example_count ||
	       (payload->example_count < LH_TEMPLATE_EXAMPLES && (payload->differing || !is_seen_whole));
}

/* `bytes` are the text as far as its template was read. */
static void add_template(struct lh_text_count *count, const struct lh_tally_row *text,
			 const struct lh_template *template, const char *bytes, size_t length)
{
	struct lh_tally_row item = *text;
	item.hash = template->hash;
	item.length = 0;
	item.missed_bytes = 0;
	struct lh_tally_row *row = lh_tally_add(count->templates, &item);
	struct template_payload *payload = lh_tally_payload(count->templates, row);
	if (payload->example_count)
		mark_differing_values(payload, template, bytes);
	else
		take_first_values(payload, template, bytes);
	if (may_be_new_example(payload)) {
		struct lh_example example = {.addr = text->addr};
		lh_narrow_text((const uint8_t *)bytes, length, 1, example.text);
		take_template_example(payload, &example);
	}
}

/* Counts a text, as often as it was seen, for its template. */
static void count_template(struct lh_text_count *count, const struct lh_tally_row *text)
{
	char narrow[LH_TEMPLATE_SEEN_BYTES];
	struct lh_template template;
	if (text->text_length < LH_TEMPLATE_CHARS_MIN)
		return;
	const char *bytes = (const char *)text->text;
	size_t length = lh_min_u64(text->text_length, LH_TEMPLATE_SEEN_BYTES);
	if (text->width > 1) {
		length = lh_narrow_text(text->text, length, text->width, narrow);
		bytes = narrow;
	}
	const uint8_t *read = (const uint8_t *)bytes;
	lh_template_read(read, length, lh_template_begin(read, length), &template);
	add_template(count, text, &template, bytes, length);
	count->template_texts += text->count;
	count->template_bytes += text->bytes;
}

/* Reads the template, unless it is seen before that it is no candidate. Runs are of bytes here. */
static bool read_candidate(const struct lh_text_candidates *candidates, const struct lh_run *run, uint64_t hash,
			   struct lh_template *ret)
{
	struct lh_template_start start = lh_template_begin(run->bytes, run->bytes_length);
	if (lh_template_is_plain(start, run->bytes_length)) {
		ret->hash = hash;
		ret->value_count = 0;
		return lh_hash_filter_has(candidates->templates, hash);
	}
	bool is_long = run->bytes_length >= LH_LONG_TEXT_BYTES;
	if (!is_long &&
	    !lh_hash_filter_has(candidates->frames, lh_template_frame(run->bytes, run->bytes_length, start)))
		return false;
	lh_template_read(run->bytes, run->bytes_length, start, ret);
	return is_long || lh_hash_filter_has(candidates->templates, ret->hash);
}

/* A text whose template is no candidate counts in the sums alone. */
static void count_candidate_template(struct lh_text_count *count, const struct lh_run *run, uint64_t hash)
{
	struct lh_template template;
	count->template_texts++;
	count->template_bytes += run->bytes_length;
	if (!read_candidate(count->candidates, run, hash, &template))
		return;
	struct lh_tally_row item = item_of(run, hash);
	add_template(count, &item, &template, (const char *)run->bytes,
		     lh_min_u64(run->bytes_length, LH_TEMPLATE_SEEN_BYTES));
}

static void count_if_candidate(struct lh_text_count *count, const struct lh_run *run, uint64_t hash, bool is_secret)
{
	lh_distinct_add(&count->distinct, hash);
	bool is_wanted = run->bytes_length >= LH_LONG_TEXT_BYTES || lh_hash_filter_has(count->candidates->texts, hash);
	if (!is_secret && run->chars >= LH_TEMPLATE_CHARS_MIN)
		count_candidate_template(count, run, hash);
	if (!is_wanted)
		return;
	struct lh_tally_row item = item_of(run, hash);
	item.is_secret = is_secret;
	lh_tally_add(count->texts, &item);
}

void lh_text_count_prefetch(const struct lh_text_count *count, uint64_t hash)
{
	if (!count->candidates)
		return;
	lh_hash_filter_prefetch(count->candidates->texts, hash);
	lh_hash_filter_prefetch(count->candidates->templates, hash);
	lh_distinct_prefetch(&count->distinct, hash);
}

void lh_text_count_run(struct lh_text_count *count, const struct lh_run *run, uint64_t hash, bool is_secret)
{
	count->run_count++;
	count->printable_bytes += run->bytes_length;
	if (count->candidates) {
		count_if_candidate(count, run, hash, is_secret);
		return;
	}
	struct lh_tally_row item = item_of(run, hash);
	item.is_secret = is_secret;
	lh_tally_add(count->texts, &item);
}

void lh_text_count_template(struct lh_text_count *count, const struct lh_run *run)
{
	struct lh_tally_row item = item_of(run, lh_text_hash(run));
	if (!count->candidates)
		count_template(count, &item);
}

void lh_text_count_templates(struct lh_text_count *count)
{
	for (uint32_t i = 0; i < count->texts->row_count && !count->candidates; i++) {
		if (!count->texts->rows[i].is_secret)
			count_template(count, &count->texts->rows[i]);
	}
}

/* ---------------------------------------------------------------- merging */

static void merge_payload(struct template_payload *payload, const struct template_payload *part)
{
	if (!payload->example_count) {
		*payload = *part;
		return;
	}
	payload->differing |= part->differing;
	for (uint32_t i = 0; i < payload->value_count; i++)
		payload->differing |= (uint32_t)(payload->value_hashes[i] != part->value_hashes[i]) << i;
	for (size_t i = 0; i < part->example_count; i++)
		take_template_example(payload, &part->examples[i]);
}

void lh_text_count_merge(struct lh_text_count *count, const struct lh_text_count *part)
{
	for (uint32_t i = 0; i < part->texts->row_count; i++)
		lh_tally_add(count->texts, &part->texts->rows[i]);
	lh_tally_add_losses(count->texts, part->texts);
	for (uint32_t i = 0; i < part->templates->row_count; i++) {
		const struct lh_tally_row *from = &part->templates->rows[i];
		struct lh_tally_row *row = lh_tally_add(count->templates, from);
		merge_payload(lh_tally_payload(count->templates, row), lh_tally_payload(part->templates, from));
	}
	lh_tally_add_losses(count->templates, part->templates);
	if (count->candidates)
		lh_distinct_merge(&count->distinct, &part->distinct);
	count->run_count += part->run_count;
	count->printable_bytes += part->printable_bytes;
	count->template_texts += part->template_texts;
	count->template_bytes += part->template_bytes;
}

/* ---------------------------------------------------------------- the result */

static struct lh_error *push_repeated(const struct lh_tally_row *row, struct lh_summary *ret)
{
	LH_TRY(lh_vec_reserve(&ret->repeated, 1));
	char *text = strndup((const char *)row->text, row->is_secret ? 0 : row->text_length);
	if (!text)
		return lh_error_no_memory();
	ret->repeated.items[ret->repeated.count++] = (struct lh_repeated){
		.text = text,
		.chars = row->chars,
		.count = row->count,
		.bytes = row->bytes,
		.missed_bytes = row->missed_bytes,
		.example_addr = row->addr,
		.is_secret = row->is_secret,
	};
	return NULL;
}

/* The first text, with placeholders for the values in which others differ from it. */
static char *template_text(const struct lh_tally_row *row, const struct template_payload *payload)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	char first[LH_EXAMPLE_MAX];
	size_t at = 0, length = row->text_length;
	memcpy(first, row->text, length);
	first[length] = '\0';
	bool is_cut = payload->value_count == LH_TEMPLATE_VALUES_MAX; /* what follows may differ as well */
	if (is_cut)
		length = lh_min_u64(length, payload->values[LH_TEMPLATE_VALUES_MAX - 1].end);
	for (uint32_t i = 0; i < payload->value_count; i++) {
		struct lh_value value = payload->values[i];
		if (!(payload->differing >> i & 1) || value.start >= length)
			continue;
		if (value.end > length) { /* the rest of the first text's value is cut off */
			length = value.start;
			is_cut = true;
			break;
		}
		lh_buffer_append(&text, first + at, value.start - at);
		lh_buffer_puts(&text, lh_value_placeholder(value.kind));
		at = value.end;
	}
	lh_buffer_append(&text, first + at, length - at);
	lh_buffer_puts(&text, is_cut ? "\xe2\x80\xa6" : ""); /* U+2026 */
	return text.failed ? NULL : strdup(text.data);
}

static struct lh_error *push_template(const struct lh_text_count *count, const struct lh_tally_row *row,
				      struct lh_summary *ret)
{
	const struct template_payload *payload = lh_tally_payload(count->templates, row);
	LH_TRY(lh_vec_reserve(&ret->templates, 1));
	struct lh_template_count template = {
		.hash = row->hash,
		.text = template_text(row, payload),
		.count = row->count,
		.bytes = row->bytes,
		.missed_bytes = row->missed_bytes,
		.example_count = payload->example_count,
	};
	if (!template.text)
		return lh_error_no_memory();
	for (size_t i = 0; i < payload->example_count; i++)
		template.examples[i] = payload->examples[i];
	ret->templates.items[ret->templates.count++] = template;
	return NULL;
}

/* Texts without a row: others were dropped for them, or they were no candidates. */
static uint64_t count_uncounted(const struct lh_text_count *count)
{
	uint64_t counted = 0;
	for (uint32_t i = 0; i < count->texts->row_count; i++)
		counted += count->texts->rows[i].count;
	return count->run_count - counted;
}

struct lh_error *lh_text_count_finish(const struct lh_text_count *count, size_t top, uint64_t count_min,
				      struct lh_summary *ret)
{
	size_t row_count;
	LH_CLEANUP(lh_cleanup_free) const struct lh_tally_row **texts = NULL;
	LH_CLEANUP(lh_cleanup_free) const struct lh_tally_row **templates = NULL;
	ret->run_count = count->run_count;
	ret->printable_bytes = count->printable_bytes;
	ret->uncounted_runs = count_uncounted(count);
	ret->is_sampled = count->candidates;
	ret->distinct_count = count->candidates ? lh_distinct_estimate(&count->distinct)
						: count->texts->row_count + count->texts->dropped_rows;
	ret->template_texts = count->template_texts;
	ret->template_bytes = count->template_bytes;
	LH_TRY(lh_tally_rank(count->texts, top, count_min, &texts, &row_count));
	for (size_t i = 0; i < row_count; i++)
		LH_TRY(push_repeated(texts[i], ret));
	LH_TRY(lh_tally_rank(count->templates, top, count_min, &templates, &row_count));
	for (size_t i = 0; i < row_count; i++)
		LH_TRY(push_template(count, templates[i], ret));
	return NULL;
}
