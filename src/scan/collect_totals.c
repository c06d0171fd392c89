/*
 * collect_totals: how many bytes were scanned, and how many of them are in pages of zeros only.
 */
#include "collector.h"

#include <stdlib.h>

struct totals {
	uint64_t scanned_bytes;
	uint64_t zero_bytes;
};

static struct lh_error *create_totals(const struct lh_collector_setup *setup, void **ret)
{
	(void)setup;
	*ret = calloc(1, sizeof(struct totals));
	return *ret ? NULL : lh_error_no_memory();
}

static struct lh_error *create_totals_part(void *total, void **ret)
{
	(void)total;
	return create_totals(NULL, ret);
}

static struct lh_error *begin_totals(void *part, struct lh_findings *findings)
{
	(void)findings;
	*(struct totals *)part = (struct totals){0};
	return NULL;
}

static struct lh_error *take_totals(void *part, const struct lh_block *piece, bool is_zero,
				    struct lh_findings *findings)
{
	struct totals *totals = part;
	(void)findings;
	totals->scanned_bytes += piece->bytes;
	totals->zero_bytes += is_zero ? piece->bytes : 0;
	return NULL;
}

static struct lh_error *merge_totals(void *total, void *part, struct lh_findings *findings)
{
	(void)findings;
	struct totals *sum = total;
	const struct totals *totals = part;
	sum->scanned_bytes += totals->scanned_bytes;
	sum->zero_bytes += totals->zero_bytes;
	return NULL;
}

static struct lh_error *finish_totals(void *total, struct lh_findings *findings, struct lh_summary *ret)
{
	(void)findings;
	const struct totals *totals = total;
	ret->scanned_bytes = totals->scanned_bytes;
	ret->zero_bytes = totals->zero_bytes;
	return NULL;
}

const struct lh_collector lh_collect_totals = {
	.create = create_totals,
	.destroy = free,
	.create_part = create_totals_part,
	.destroy_part = free,
	.begin = begin_totals,
	.take = take_totals,
	.merge = merge_totals,
	.finish = finish_totals,
};
