/*
 * runs: finds printable runs in blocks that come in address order, with the kernel for the bytes of
 * one block, and joins what a border between blocks cuts.
 *
 * The place in the stream is: the open run (`pending`, any length) and after it the first bytes of a
 * character that the block's end cut (`cut`). Both are empty unless the last block's end was printable.
 */
#include "runs.h"
#include "leakhunt/scan.h"
#include "leakhunt/sweep.h"
#include "text_filter.h"
#include "utf8.h"
#include "utf8_runs.h"

#include <stdlib.h>
#include <string.h>

enum { SPANS_PER_CALL = LH_UTF8_SPANS, WIDTH_MAX = 4 };

/*
 * A run that is not yet ended. Its bytes lie in one piece: in the memory of the blocks, as long as
 * they are mapped side by side (borrowed), else copied.
 */
struct pending_run {
	uint64_t addr;
	uint64_t file_offset;
	const uint8_t *bytes;
	size_t length;
	LH_VEC(uint8_t) copy;
};

struct lh_run_finder {
	struct lh_run_options options;
	const struct lh_kernel *kernel;
	size_t width;
	bool is_utf8;                    /* runs of 8-bit bytes are split */
	struct lh_text_matcher *matcher; /* of options.match; or NULL */
	struct lh_text_matcher *marker;  /* of options.mark; or NULL */
	lh_run_visitor *visit;           /* or visit_batch, the other is NULL */
	lh_run_batch_visitor *visit_batch;
	void *context;
	struct pending_run pending;
	bool keeps_copies;      /* runs that were put together from several blocks stay where they are */
	LH_VEC(uint8_t *) kept; /* the bytes of such runs */
	uint8_t cut[WIDTH_MAX];
	size_t cut_length;
	uint64_t cut_addr;
	uint64_t cut_file_offset;
};

bool lh_encoding_parse(const char *letter, enum lh_encoding *ret)
{
	static const char letters[] = "sSblBLu"; /* in the order of the enum */
	const char *found = letter[0] && !letter[1] ? strchr(letters, letter[0]) : NULL;
	if (found)
		*ret = (enum lh_encoding)(found - letters);
	return found;
}

static struct lh_error *create_runs(const struct lh_run_options *options, struct lh_run_finder callbacks,
				    struct lh_run_finder **ret)
{
	const struct lh_kernel *kernel;
	LH_TRY(lh_kernel_select(&kernel));
	if (!options->min_chars)
		return lh_error_create(LH_ERROR_USAGE, "the minimum length must be at least 1");
	struct lh_run_finder *finder = malloc(sizeof(*finder));
	if (!finder)
		return lh_error_no_memory();
	*finder = callbacks;
	finder->options = *options;
	finder->options.encoding = lh_kernel_encoding(options->encoding);
	finder->is_utf8 = options->encoding == LH_ENCODING_UTF8;
	finder->kernel = kernel;
	finder->width = lh_encoding_width(options->encoding);
	struct lh_error *error = NULL;
	if (options->match)
		error = lh_text_matcher_create(options->match, &finder->matcher);
	if (!error && options->mark)
		error = lh_text_matcher_create(options->mark, &finder->marker);
	if (error) {
		lh_run_finder_destroy(finder);
		return error;
	}
	*ret = finder;
	return NULL;
}

struct lh_error *lh_run_finder_create(const struct lh_run_options *options, lh_run_visitor *visit, void *context,
				      struct lh_run_finder **ret)
{
	return create_runs(options, (struct lh_run_finder){.visit = visit, .context = context}, ret);
}

struct lh_error *lh_run_finder_create_batched(const struct lh_run_options *options, lh_run_batch_visitor *visit,
					      void *context, struct lh_run_finder **ret)
{
	return create_runs(options, (struct lh_run_finder){.visit_batch = visit, .context = context}, ret);
}

void lh_run_finder_destroy(struct lh_run_finder *finder)
{
	if (!finder)
		return;
	lh_text_matcher_destroy(finder->matcher);
	lh_text_matcher_destroy(finder->marker);
	lh_vec_deinit(&finder->pending.copy);
	lh_run_finder_drop_copies(finder);
	lh_vec_deinit(&finder->kept);
	free(finder);
}

void lh_run_finder_keep_copies(struct lh_run_finder *finder)
{
	finder->keeps_copies = true;
}

void lh_run_finder_drop_copies(struct lh_run_finder *finder)
{
	for (size_t i = 0; i < finder->kept.count; i++)
		free(finder->kept.items[i]);
	finder->kept.count = 0;
}

/* `offset` is a file offset, which stays unknown however far one goes. */
static uint64_t offset_plus(uint64_t offset, size_t bytes)
{
	return offset == LH_NO_OFFSET ? LH_NO_OFFSET : offset + bytes;
}

/* ---------------------------------------------------------------- visiting */

static struct lh_error *hand_out_runs(struct lh_run_finder *finder, const struct lh_run_batch *batch)
{
	if (finder->visit_batch)
		return batch->count ? finder->visit_batch(finder->context, batch) : NULL;
	for (size_t i = 0; i < batch->count; i++) {
		struct lh_run run = lh_run_of(batch, i);
		LH_TRY(finder->visit(finder->context, &run));
	}
	return NULL;
}

/* Drops what does not match, and marks what is to be marked. */
static struct lh_error *visit_chosen(struct lh_run_finder *finder, const struct lh_run_batch *batch)
{
	struct lh_span spans[SPANS_PER_CALL];
	bool marks[SPANS_PER_CALL];
	struct lh_run_batch chosen = *batch;
	chosen.spans = spans;
	chosen.count = 0;
	chosen.matches = finder->marker ? marks : NULL;
	for (size_t i = 0; i < batch->count; i++) {
		struct lh_run run = lh_run_of(batch, i);
		bool is_wanted = true;
		if (finder->matcher)
			LH_TRY(lh_text_matches(finder->matcher, &run, &is_wanted));
		if (!is_wanted)
			continue;
		if (finder->marker)
			LH_TRY(lh_text_matches(finder->marker, &run, &marks[chosen.count]));
		spans[chosen.count++] = batch->spans[i];
	}
	return hand_out_runs(finder, &chosen);
}

/* At most SPANS_PER_CALL. */
static struct lh_error *visit_batch(struct lh_run_finder *finder, const struct lh_block *block,
				    const struct lh_span *spans, size_t count)
{
	struct lh_run_batch batch = {.block = block, .spans = spans, .count = count, .width = finder->width};
	/* A visitor keeps nothing of what it is shown. */
	/* cppcheck-suppress returnDanglingLifetime */
	return finder->matcher || finder->marker ? visit_chosen(finder, &batch) : hand_out_runs(finder, &batch);
}

/* The valid UTF-8 in runs of 8-bit bytes. */
static struct lh_error *visit_utf8(struct lh_run_finder *finder, const struct lh_block *block,
				   const struct lh_span *spans, size_t count)
{
	struct lh_span found[SPANS_PER_CALL];
	size_t found_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct lh_span rest = spans[i];
		while (lh_next_utf8(block->data, &rest, finder->options.min_chars, &found[found_count])) {
			if (++found_count < SPANS_PER_CALL)
				continue;
			LH_TRY(visit_batch(finder, block, found, found_count));
			found_count = 0;
		}
	}
	return visit_batch(finder, block, found, found_count);
}

static struct lh_error *visit_spans(struct lh_run_finder *finder, const struct lh_block *block,
				    const struct lh_span *spans, size_t count)
{
	return finder->is_utf8 ? visit_utf8(finder, block, spans, count) : visit_batch(finder, block, spans, count);
}

/* ---------------------------------------------------------------- the pending run */

static bool is_copied(const struct pending_run *run)
{
	return run->copy.count;
}

/* Moves the run's bytes into its own copy. */
static struct lh_error *keep_copy(struct pending_run *run)
{
	if (is_copied(run) || !run->length)
		return NULL;
	LH_TRY(lh_vec_reserve(&run->copy, run->length));
	memcpy(run->copy.items, run->bytes, run->length);
	run->copy.count = run->length;
	run->bytes = run->copy.items;
	return NULL;
}

static struct lh_error *extend_pending(struct pending_run *run, const uint8_t *bytes, size_t length)
{
	if (!is_copied(run) && (!run->length || run->bytes + run->length == bytes)) {
		run->bytes = run->length ? run->bytes : bytes;
		run->length += length;
		return NULL;
	}
	LH_TRY(keep_copy(run));
	LH_TRY(lh_vec_reserve(&run->copy, length));
	memcpy(run->copy.items + run->copy.count, bytes, length);
	run->copy.count += length;
	run->bytes = run->copy.items;
	run->length += length;
	return NULL;
}

static void begin_pending(struct pending_run *run, uint64_t addr, uint64_t file_offset)
{
	run->addr = addr;
	run->file_offset = file_offset;
	run->length = 0;
	run->copy.count = 0;
}

static struct lh_error *end_pending(struct lh_run_finder *finder)
{
	struct pending_run *pending = &finder->pending;
	struct lh_block block = {
		.addr = pending->addr,
		.file_offset = pending->file_offset,
		.data = pending->bytes,
		.bytes = pending->length,
	};
	bool is_long_enough = block.bytes / finder->width >= finder->options.min_chars;
	if (is_long_enough && finder->keeps_copies && is_copied(pending)) {
		LH_TRY(lh_vec_push(&finder->kept, pending->copy.items));
		pending->copy.items = NULL;
		pending->copy.capacity = 0;
	}
	pending->length = 0;
	pending->copy.count = 0;
	return is_long_enough ? visit_spans(finder, &block, &(struct lh_span){0, block.bytes}, 1) : NULL;
}

/* ---------------------------------------------------------------- blocks */

static void keep_cut(struct lh_run_finder *finder, const struct lh_block *block, size_t at)
{
	finder->cut_length = block->bytes - at;
	finder->cut_addr = block->addr + at;
	finder->cut_file_offset = offset_plus(block->file_offset, at);
	memcpy(finder->cut, block->data + at, finder->cut_length);
}

/*
 * Takes the characters that begin in `cut`, with the bytes of the block that they need. *ret_at is
 * where to go on in the block; it is past its end when the block was too short, and all was kept.
 */
static struct lh_error *join_cut(struct lh_run_finder *finder, const struct lh_block *block, size_t *ret_at)
{
	uint8_t joined[2 * WIDTH_MAX];
	size_t before = finder->cut_length;
	size_t taken = lh_min_u64(block->bytes, WIDTH_MAX);
	memcpy(joined, finder->cut, before);
	memcpy(joined + before, block->data, taken);
	size_t at = 0;
	while (at < before && before + taken - at >= finder->width) {
		if (lh_char_is_printable(joined + at, finder->options.encoding)) {
			if (!finder->pending.length)
				begin_pending(&finder->pending, finder->cut_addr + at,
					      offset_plus(finder->cut_file_offset, at));
			LH_TRY(extend_pending(&finder->pending, joined + at, finder->width));
			LH_TRY(keep_copy(&finder->pending));
			at += finder->width;
		} else {
			LH_TRY(end_pending(finder));
			at++;
		}
	}
	finder->cut_length = 0;
	if (at >= before) {
		*ret_at = at - before;
		return NULL;
	}
	finder->cut_length = before + taken - at;
	finder->cut_addr += at;
	finder->cut_file_offset = offset_plus(finder->cut_file_offset, at);
	memcpy(finder->cut, joined + at, finder->cut_length);
	*ret_at = SIZE_MAX;
	return NULL;
}

/* Goes on with the pending run at *at; when it ends in the block, *at is past what ended it. */
static struct lh_error *join_pending(struct lh_run_finder *finder, const struct lh_block *block, size_t *at)
{
	const uint8_t *bytes = block->data + *at;
	size_t length = finder->kernel->prefix(bytes, block->bytes - *at, finder->options.encoding);
	LH_TRY(extend_pending(&finder->pending, bytes, length));
	*at += length;
	if (block->bytes - *at < finder->width)
		return NULL;
	++*at;
	return end_pending(finder);
}

/* A block and whose runs they are. */
struct utf8_block {
	struct lh_run_finder *finder;
	const struct lh_block *block;
};

static struct lh_error *visit_utf8_spans(void *context, const struct lh_span *spans, size_t count)
{
	const struct utf8_block *of = context;
	return visit_batch(of->finder, of->block, spans, count);
}

/* The start of the printable 8-bit bytes at the block's end: a character may go on behind it. */
static size_t last_run_start(const struct lh_block *block, size_t at)
{
	size_t start = block->bytes;
	while (start > at && lh_char_is_printable(block->data + start - 1, LH_ENCODING_LATIN))
		start--;
	return start;
}

/* The runs of UTF-8 of the block from `at` on; what may go on behind its end becomes pending. */
static struct lh_error *find_utf8_runs(struct lh_run_finder *finder, const struct lh_block *block, size_t at)
{
	struct utf8_block context = {finder, block};
	size_t end = last_run_start(block, at);
	LH_TRY(lh_visit_utf8_runs(finder->kernel, block->data, (struct lh_span){at, end}, finder->options.min_chars,
				  visit_utf8_spans, &context));
	begin_pending(&finder->pending, block->addr + end, offset_plus(block->file_offset, end));
	LH_TRY(extend_pending(&finder->pending, block->data + end, block->bytes - end));
	keep_cut(finder, block, block->bytes);
	return NULL;
}

/* The runs of the block from `at` on; the one at its end becomes pending. */
static struct lh_error *find_runs(struct lh_run_finder *finder, const struct lh_block *block, size_t at)
{
	struct lh_span spans[SPANS_PER_CALL];
	struct lh_span cursor = {at, at};
	size_t count;
	if (finder->is_utf8)
		return find_utf8_runs(finder, block, at);
	do {
		count = finder->kernel->runs(block->data, block->bytes, finder->options.encoding,
					     finder->options.min_chars, &cursor, spans, SPANS_PER_CALL);
		LH_TRY(visit_spans(finder, block, spans, count));
	} while (count == SPANS_PER_CALL);
	begin_pending(&finder->pending, block->addr + cursor.start, offset_plus(block->file_offset, cursor.start));
	LH_TRY(extend_pending(&finder->pending, block->data + cursor.start, cursor.end - cursor.start));
	keep_cut(finder, block, cursor.end);
	return NULL;
}

static struct lh_error *feed_continued(struct lh_run_finder *finder, const struct lh_block *block)
{
	size_t at = 0;
	if (finder->cut_length)
		LH_TRY(join_cut(finder, block, &at));
	if (at > block->bytes)
		return NULL;
	if (finder->pending.length) {
		LH_TRY(join_pending(finder, block, &at));
		if (finder->pending.length) {
			keep_cut(finder, block, at);
			return NULL;
		}
	}
	return find_runs(finder, block, at);
}

struct lh_error *lh_run_finder_feed(struct lh_run_finder *finder, const struct lh_block *block)
{
	if (!block->is_continued)
		LH_TRY(lh_run_finder_finish(finder));
	LH_TRY(feed_continued(finder, block));
	return block->file_offset == LH_NO_OFFSET || block->is_brief ? keep_copy(&finder->pending) : NULL;
}

struct lh_error *lh_run_finder_finish(struct lh_run_finder *finder)
{
	finder->cut_length = 0;
	return end_pending(finder);
}

void lh_run_finder_take_over(struct lh_run_finder *finder, struct lh_run_finder *from)
{
	struct pending_run pending = finder->pending;
	finder->pending = from->pending;
	from->pending = pending;
	finder->cut_length = from->cut_length;
	finder->cut_addr = from->cut_addr;
	finder->cut_file_offset = from->cut_file_offset;
	memcpy(finder->cut, from->cut, sizeof(finder->cut));
	from->cut_length = 0;
}
