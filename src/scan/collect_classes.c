/*
 * collect_classes: the recognizers as a collector. Recognition of a stripe begins in the bytes before it and ends in
 * the bytes after it, so that it sees matches across the borders. Each stripe counts the matches that begin in it, and
 * the bytes of all matches that lie in it.
 */
#include "collector.h"
#include "scan/recognize/recognize.h"
#include "scan/recognize/recognizer_pass.h"

#include <stdlib.h>

struct classes_total {
	struct lh_recognizer_pass *pass; /* never fed: holds the sums */
	bool shows_secrets;
};

static void destroy_classes(void *total)
{
	struct classes_total *classes = total;
	lh_recognizer_pass_destroy(classes->pass);
	free(classes);
}

static struct lh_error *create_classes(const struct lh_collector_setup *setup, void **ret)
{
	struct classes_total *classes = calloc(1, sizeof(*classes));
	if (!classes)
		return lh_error_no_memory();
	classes->shows_secrets = setup->options->shows_secrets;
	struct lh_error *error = lh_recognizer_pass_create(classes->shows_secrets, &classes->pass);
	if (error) {
		free(classes);
		return error;
	}
	*ret = classes;
	return NULL;
}

static struct lh_error *create_classes_part(void *total, void **ret)
{
	struct lh_recognizer_pass *part;
	LH_TRY(lh_recognizer_pass_create(((struct classes_total *)total)->shows_secrets, &part));
	*ret = part;
	return NULL;
}

static void destroy_classes_part(void *part)
{
	lh_recognizer_pass_destroy(part);
}

static struct lh_error *feed_classes(struct lh_recognizer_pass *pass, const struct lh_block *piece,
				     struct lh_findings *findings)
{
	LH_TRY(lh_recognizer_pass_feed(pass, piece));
	findings->secrets = lh_recognizer_pass_secrets(pass, &findings->secret_count);
	return NULL;
}

/* The readable bytes right before `block`, as a block. */
static struct lh_block block_before(const struct lh_block *block)
{
	return (struct lh_block){
		.addr = block->addr - block->bytes_before,
		.file_offset = LH_NO_OFFSET,
		.data = block->data - block->bytes_before,
		.bytes = block->bytes_before,
		.bytes_after = block->bytes + block->bytes_after,
		.segment = block->segment,
	};
}

static struct lh_block block_after(const struct lh_block *block)
{
	return (struct lh_block){
		.addr = block->addr + block->bytes,
		.file_offset = LH_NO_OFFSET,
		.data = block->data + block->bytes,
		.bytes = block->bytes_after,
		.bytes_before = block->bytes_before + block->bytes,
		.is_continued = true,
		.segment = block->segment,
	};
}

static struct lh_error *begin_classes(void *part, struct lh_findings *findings)
{
	const struct lh_stripe *stripe = findings->stripe;
	const struct lh_block *first = &stripe->blocks[0], *last = &stripe->blocks[stripe->block_count - 1];
	lh_recognizer_pass_reset(part, (struct lh_range){first->addr, last->addr + last->bytes});
	if (!first->is_continued || !first->bytes_before)
		return NULL;
	struct lh_block before = block_before(first);
	return feed_classes(part, &before, findings);
}

static struct lh_error *take_classes(void *part, const struct lh_block *piece, bool is_zero,
				     struct lh_findings *findings)
{
	return is_zero ? NULL : feed_classes(part, piece, findings);
}

static struct lh_error *end_classes(void *part, struct lh_findings *findings)
{
	const struct lh_stripe *stripe = findings->stripe;
	const struct lh_block *last = &stripe->blocks[stripe->block_count - 1];
	if (stripe->goes_on && last->bytes_after) {
		struct lh_block after = block_after(last);
		LH_TRY(feed_classes(part, &after, findings));
	}
	LH_TRY(lh_recognizer_pass_settle(part));
	findings->owned = lh_recognizer_pass_owned(part, &findings->owned_count);
	return NULL;
}

static struct lh_error *merge_classes(void *total, void *part, struct lh_findings *findings)
{
	struct lh_recognizer_pass *pass = ((struct classes_total *)total)->pass;
	LH_TRY(lh_recognizer_pass_merge(pass, part));
	findings->secrets = lh_recognizer_pass_secrets(pass, &findings->secret_count);
	return NULL;
}

static int compare_classes(const void *a, const void *b)
{
	const struct lh_class_count *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->count > y->count ? -1 : x->count < y->count;
}

static struct lh_error *finish_classes(void *total, struct lh_findings *findings, struct lh_summary *ret)
{
	(void)findings;
	size_t count;
	const struct lh_class_count *classes =
		lh_recognizer_pass_classes(((struct classes_total *)total)->pass, &count);
	for (size_t i = 0; i < count; i++) {
		if (classes[i].count || classes[i].unchecked)
			LH_TRY(lh_vec_push(&ret->classes, classes[i]));
	}
	lh_vec_sort(&ret->classes, compare_classes);
	return NULL;
}

const struct lh_collector lh_collect_classes = {
	.create = create_classes,
	.destroy = destroy_classes,
	.create_part = create_classes_part,
	.destroy_part = destroy_classes_part,
	.begin = begin_classes,
	.take = take_classes,
	.end = end_classes,
	.merge = merge_classes,
	.finish = finish_classes,
};
