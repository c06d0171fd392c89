/*
 * collect_symbols: the pointer census as a collector, and the names of its targets.
 */
#include "collector.h"

#include <stdlib.h>

struct symbols_total {
	const struct lh_image *image;
	const char *root;
	size_t top;
	struct lh_census_pass *census;
};

static void destroy_symbols(void *total)
{
	struct symbols_total *symbols = total;
	lh_census_pass_destroy(symbols->census);
	free(symbols);
}

static struct lh_error *create_symbols(const struct lh_collector_setup *setup, void **ret)
{
	struct symbols_total *symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return lh_error_no_memory();
	symbols->image = setup->image;
	symbols->root = setup->options->root;
	symbols->top = setup->options->top;
	struct lh_error *error = lh_census_pass_create(setup->image, &symbols->census);
	if (error) {
		free(symbols);
		return error;
	}
	*ret = symbols;
	return NULL;
}

static struct lh_error *create_symbols_part(void *total, void **ret)
{
	const struct symbols_total *symbols = total;
	struct lh_census_pass *part;
	LH_TRY(lh_census_pass_create(symbols->image, &part));
	*ret = part;
	return NULL;
}

static void destroy_symbols_part(void *part)
{
	lh_census_pass_destroy(part);
}

static struct lh_error *begin_symbols(void *part, struct lh_findings *findings)
{
	(void)findings;
	lh_census_pass_reset(part);
	return NULL;
}

static struct lh_error *take_symbols(void *part, const struct lh_block *piece, bool is_zero,
				     struct lh_findings *findings)
{
	(void)findings;
	return is_zero ? NULL : lh_census_pass_feed(part, piece);
}

static struct lh_error *merge_symbols(void *total, void *part, struct lh_findings *findings)
{
	(void)findings;
	lh_census_pass_merge(((struct symbols_total *)total)->census, part);
	return NULL;
}

static struct lh_error *count_for_module(struct lh_summary *summary, const struct lh_census_row *row)
{
	const char *name;
	const struct lh_module *module = lh_symbols_module(summary->symbols, row->target_addr, &name);
	for (size_t i = 0; module && i < summary->modules.count; i++) {
		if (summary->modules.items[i].module == module) {
			summary->modules.items[i].count += row->count;
			return NULL;
		}
	}
	struct lh_module_count count = {module, name, row->count};
	return module ? lh_vec_push(&summary->modules, count) : NULL;
}

static int compare_symbol_modules(const void *a, const void *b)
{
	const struct lh_module_count *x = a, *y = b;
	return x->count > y->count ? -1 : x->count < y->count;
}

static struct lh_error *finish_symbols(void *total, struct lh_findings *findings, struct lh_summary *ret)
{
	(void)findings;
	struct symbols_total *symbols = total;
	LH_TRY(lh_symbols_open(symbols->image, symbols->root, &ret->symbols));
	LH_TRY(lh_census_pass_finish(symbols->census, ret->symbols, symbols->top, &ret->census));
	for (size_t i = 0; i < ret->census.rows.count; i++)
		LH_TRY(count_for_module(ret, &ret->census.rows.items[i]));
	lh_vec_sort(&ret->modules, compare_symbol_modules);
	return NULL;
}

const struct lh_collector lh_collect_symbols = {
	.create = create_symbols,
	.destroy = destroy_symbols,
	.create_part = create_symbols_part,
	.destroy_part = destroy_symbols_part,
	.begin = begin_symbols,
	.take = take_symbols,
	.merge = merge_symbols,
	.finish = finish_symbols,
};
