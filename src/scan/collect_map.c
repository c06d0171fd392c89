/*
 * collect_map: assigns every byte to one class: that of the recognizer that keeps it, else that of classify. The sums
 * add up to the scanned bytes. Also fills the map of what lies where.
 */
#include "classify.h"
#include "collector.h"
#include "map.h"

#include <stdlib.h>
#include <string.h>

struct map_total {
	struct lh_classifier classifier;
	uint64_t rest[LH_REST_COUNT];
	struct lh_map map;
};

struct map_part {
	const struct lh_classifier *classifier;
	uint64_t rest[LH_REST_COUNT];
	struct lh_map map;
};

/* A stripe's part of the map keeps the smallest cells. */
_Static_assert(LH_MAP_CELL_BYTES_MIN % LH_CLASSIFY_WINDOW == 0, "windows lie in cells");

static void destroy_map(void *context)
{
	struct map_total *total = context;
	lh_classifier_deinit(&total->classifier);
	lh_map_deinit(&total->map);
	free(total);
}

static struct lh_error *create_map(const struct lh_collector_setup *setup, void **ret)
{
	struct map_total *total = calloc(1, sizeof(*total));
	if (!total)
		return lh_error_no_memory();
	struct lh_error *error = lh_classifier_init(&total->classifier, setup->image);
	if (error) {
		destroy_map(total);
		return error;
	}
	*ret = total;
	return NULL;
}

static struct lh_error *create_map_part(void *context, void **ret)
{
	struct map_part *part = calloc(1, sizeof(*part));
	if (!part)
		return lh_error_no_memory();
	part->classifier = &((struct map_total *)context)->classifier;
	*ret = part;
	return NULL;
}

static void destroy_map_part(void *context)
{
	struct map_part *part = context;
	lh_map_deinit(&part->map);
	free(part);
}

static struct lh_error *begin_map(void *context, struct lh_findings *findings)
{
	struct map_part *part = context;
	(void)findings;
	memset(part->rest, 0, sizeof(part->rest));
	part->map.cells.count = 0;
	part->map.cell_bytes = 0;
	return NULL;
}

/* A stripe is complete only at its end. */
static struct lh_error *take_map(void *context, const struct lh_block *piece, bool is_zero,
				 struct lh_findings *findings)
{
	(void)context;
	(void)piece;
	(void)is_zero;
	(void)findings;
	return NULL;
}

/* ---------------------------------------------------------------- a stripe */

static struct lh_error *add_rest(struct map_part *part, const struct lh_block *block, size_t start, size_t end_map)
{
	uint64_t sums[LH_REST_COUNT] = {0};
	lh_classify(part->classifier, block, start, end_map, sums);
	for (unsigned rest = 0; rest < LH_REST_COUNT; rest++) {
		part->rest[rest] += sums[rest];
		if (sums[rest])
			LH_TRY(lh_map_add(&part->map, block->addr + start, LH_MAP_REST + rest, sums[rest]));
	}
	return NULL;
}

/* The bytes [start, end) lie in one cell; `row` is LH_MAP_REST if no recognizer keeps them. */
static struct lh_error *add_in_cells(struct map_part *part, const struct lh_block *block, struct lh_range range,
				     unsigned row)
{
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t cell_end = lh_align_down(at, LH_MAP_CELL_BYTES_MIN) + (LH_MAP_CELL_BYTES_MIN - 1);
		uint64_t end_map = cell_end < range.end ? cell_end + 1 : range.end;
		if (row == LH_MAP_REST)
			LH_TRY(add_rest(part, block, at - block->addr, end_map - block->addr));
		else
			LH_TRY(lh_map_add(&part->map, at, row, end_map - at));
		at = end_map;
	}
	return NULL;
}

/* Advances *owned to the first entry that ends after the block. */
static struct lh_error *add_map_block(struct map_part *part, const struct lh_block *block,
				      const struct lh_findings *findings, size_t *owned)
{
	uint64_t at = block->addr, end_map = block->addr + block->bytes;
	for (; *owned < findings->owned_count; ++*owned) {
		const struct lh_owned *next = &findings->owned[*owned];
		uint64_t start = lh_max_u64(next->range.start, at);
		if (start >= end_map)
			break;
		LH_TRY(add_in_cells(part, block, (struct lh_range){at, start}, LH_MAP_REST));
		at = lh_max_u64(at, lh_min_u64(next->range.end, end_map));
		LH_TRY(add_in_cells(part, block, (struct lh_range){start, at}, next->row));
		if (next->range.end > end_map)
			break;
	}
	return add_in_cells(part, block, (struct lh_range){at, end_map}, LH_MAP_REST);
}

static struct lh_error *end_map(void *context, struct lh_findings *findings)
{
	size_t owned = 0;
	for (size_t i = 0; i < findings->stripe->block_count; i++)
		LH_TRY(add_map_block(context, &findings->stripe->blocks[i], findings, &owned));
	return NULL;
}

/* ---------------------------------------------------------------- all stripes */

static struct lh_error *merge_map(void *context, void *part_context, struct lh_findings *findings)
{
	(void)findings;
	struct map_total *total = context;
	const struct map_part *part = part_context;
	for (unsigned rest = 0; rest < LH_REST_COUNT; rest++)
		total->rest[rest] += part->rest[rest];
	return lh_map_join(&total->map, &part->map);
}

static struct lh_error *finish_map(void *context, struct lh_findings *findings, struct lh_summary *ret)
{
	(void)findings;
	struct map_total *total = context;
	memcpy(ret->rest_bytes, total->rest, sizeof(ret->rest_bytes));
	ret->map = total->map;
	total->map = (struct lh_map){0};
	return NULL;
}

const struct lh_collector lh_collect_map = {
	.create = create_map,
	.destroy = destroy_map,
	.create_part = create_map_part,
	.destroy_part = destroy_map_part,
	.begin = begin_map,
	.take = take_map,
	.end = end_map,
	.merge = merge_map,
	.finish = finish_map,
};
