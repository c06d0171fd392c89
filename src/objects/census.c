/*
 * census: counts which addresses of modules (vtables, method tables, functions) the words of memory hold. A heap full
 * of one kind of object holds one address of a module per object. Input: blocks. Output: named rows, ranked by count.
 * Memory is bounded for any input.
 */
#include "leakhunt/hash_table.h"
#include "leakhunt/objects.h"
#include "leakhunt/sweep.h"

#include <stdlib.h>
#include <string.h>

enum {
	TARGETS_MAX = 1 << 18,
	NAMED_MAX = 1 << 12, /* maximum number of rows that are looked up to find enough with a name */
};

/*
 * An address of a module, and the words that hold it. The smallest distance between two neighbors, and how often it
 * occurs, can be summed stripe by stripe; 0: fewer than two words.
 */
struct target {
	uint64_t target_addr;
	uint64_t count;
	uint64_t first_addr;
	uint64_t last_addr;
	uint32_t distance_bytes;
	uint32_t distance_count;
};

struct lh_census_pass {
	struct lh_range *modules; /* ascending, disjoint */
	size_t module_count;
	struct lh_word_ranges ranges; /* over them */
	lh_word_filter *filter;
	size_t last_module;                  /* the module of the latest pointer */
	LH_VEC(struct target) targets;       /* in the order of their first words */
	struct lh_hash_table target_numbers; /* by address */
	uint64_t word_count;
	uint64_t pointer_count;
	uint64_t dropped_count;
};

/* ---------------------------------------------------------------- set-up */

/* Overlapping neighbors become one: it only matters whether an address lies in some module. */
static void collect_modules(struct lh_census_pass *pass, const struct lh_module_list *list)
{
	for (size_t i = 0; i < list->modules.count; i++) {
		const struct lh_module *module = &list->modules.items[i];
		struct lh_range *last = pass->module_count ? &pass->modules[pass->module_count - 1] : NULL;
		if (last && module->start <= last->end)
			last->end = lh_max_u64(last->end, module->end);
		else
			pass->modules[pass->module_count++] = (struct lh_range){module->start, module->end};
	}
}

struct lh_error *lh_census_pass_create(const struct lh_image *image, struct lh_census_pass **ret)
{
	const struct lh_module_list *list = lh_image_modules(image);
	const struct lh_kernel *kernel;
	LH_TRY(lh_kernel_select(&kernel));
	struct lh_census_pass *pass = calloc(1, sizeof(*pass));
	if (!pass)
		return lh_error_no_memory();
	pass->modules = calloc(list->modules.count + 1, sizeof(*pass->modules));
	if (!pass->modules) {
		lh_census_pass_destroy(pass);
		return lh_error_no_memory();
	}
	collect_modules(pass, list);
	pass->ranges = lh_word_ranges_over(pass->modules, pass->module_count);
	pass->filter = lh_word_filter_for(kernel);
	*ret = pass;
	return NULL;
}

void lh_census_pass_destroy(struct lh_census_pass *pass)
{
	if (!pass)
		return;
	free(pass->modules);
	lh_vec_deinit(&pass->targets);
	lh_hash_table_deinit(&pass->target_numbers);
	free(pass);
}

/* ---------------------------------------------------------------- counting */

/* The target with that address, without words if it is new. NULL if there are too many, or memory ran out. */
static struct target *find_target(struct lh_census_pass *pass, uint64_t target_addr)
{
	uint32_t number;
	if (lh_hash_table_find(&pass->target_numbers, target_addr, &number))
		return &pass->targets.items[number];
	if (pass->targets.count == TARGETS_MAX)
		return NULL;
	number = (uint32_t)pass->targets.count;
	struct lh_error *error = lh_vec_push(&pass->targets, ((struct target){.target_addr = target_addr}));
	if (!error)
		error = lh_hash_table_put(&pass->target_numbers, target_addr, number);
	pass->targets.count = error ? number : pass->targets.count;
	lh_error_destroy(error);
	return error ? NULL : &pass->targets.items[number];
}

static void add_distance(struct target *target, uint64_t bytes, uint32_t count)
{
	if (!bytes || bytes > UINT32_MAX || (target->distance_bytes && bytes > target->distance_bytes))
		return;
	if (bytes != target->distance_bytes)
		target->distance_count = 0;
	target->distance_bytes = (uint32_t)bytes;
	target->distance_count = (uint32_t)lh_min_u64((uint64_t)target->distance_count + count, UINT32_MAX);
}

/* Adds words of one target. If they do not all come after earlier ones, their distances are ignored. */
static void add_words(struct lh_census_pass *pass, const struct target *words)
{
	struct target *target = find_target(pass, words->target_addr);
	if (!target) {
		pass->dropped_count += words->count;
		return;
	}
	if (!target->count) {
		*target = *words;
		return;
	}
	if (words->first_addr > target->last_addr)
		add_distance(target, words->first_addr - target->last_addr, 1);
	if (words->distance_bytes)
		add_distance(target, words->distance_bytes, words->distance_count);
	target->count += words->count;
	target->last_addr = words->last_addr;
}

static bool is_in_range(const struct lh_range *range, uint64_t addr)
{
	return range->start <= addr && addr < range->end;
}

static bool is_word_in_module(struct lh_census_pass *pass, uint64_t addr)
{
	if (is_in_range(&pass->modules[pass->last_module], addr))
		return true;
	size_t module = lh_count_before(pass->modules, pass->module_count, item, item->end <= addr);
	if (module == pass->module_count || !is_in_range(&pass->modules[module], addr))
		return false;
	pass->last_module = module;
	return true;
}

static void take_candidate(struct lh_census_pass *pass, uint64_t word, uint64_t word_addr)
{
	if (!is_word_in_module(pass, word))
		return;
	pass->pointer_count++;
	add_words(pass,
		  &(struct target){.target_addr = word, .count = 1, .first_addr = word_addr, .last_addr = word_addr});
}

static void take_words(struct lh_census_pass *pass, const uint8_t *data, size_t word_count, uint64_t addr)
{
	struct lh_word_walk walk = {
		.filter = pass->filter, .ranges = &pass->ranges, .data = data, .word_count = word_count};
	for (size_t offset; lh_word_walk_next(&walk, &offset);)
		take_candidate(pass, lh_load_u64(data, offset), addr + offset);
}

/* A word belongs to the block in which it starts; it may extend into the following bytes. */
struct lh_error *lh_census_pass_feed(struct lh_census_pass *pass, const struct lh_block *block)
{
	size_t skipped = (size_t)(-block->addr & 7);
	if (skipped >= block->bytes)
		return NULL;
	size_t starting = (block->bytes - skipped + 7) / 8;
	size_t readable = (block->bytes + block->bytes_after - skipped) / 8;
	size_t word_count = lh_min_u64(starting, readable);
	pass->word_count += word_count;
	if (pass->module_count)
		take_words(pass, block->data + skipped, word_count, block->addr + skipped);
	return NULL;
}

/* ---------------------------------------------------------------- parts */

void lh_census_pass_reset(struct lh_census_pass *pass)
{
	lh_hash_table_clear(&pass->target_numbers);
	pass->targets.count = 0;
	pass->word_count = pass->pointer_count = pass->dropped_count = 0;
}

void lh_census_pass_merge(struct lh_census_pass *pass, const struct lh_census_pass *part)
{
	for (size_t i = 0; i < part->targets.count; i++)
		add_words(pass, &part->targets.items[i]);
	pass->word_count += part->word_count;
	pass->pointer_count += part->pointer_count;
	pass->dropped_count += part->dropped_count;
}

/* ---------------------------------------------------------------- the result */

static int compare_census_rows(const void *a, const void *b)
{
	const struct lh_census_row *left = a, *right = b;
	if (left->count != right->count)
		return left->count > right->count ? -1 : 1;
	return (left->target_addr > right->target_addr) - (left->target_addr < right->target_addr);
}

static struct lh_error *add_rows(const struct lh_census_pass *pass, struct lh_census *census)
{
	LH_TRY(lh_vec_reserve(&census->rows, pass->targets.count));
	for (size_t i = 0; i < pass->targets.count; i++) {
		const struct target *target = &pass->targets.items[i];
		census->rows.items[census->rows.count++] = (struct lh_census_row){
			.target_addr = target->target_addr,
			.count = target->count,
			.example_addr = target->first_addr,
			.distance_bytes = target->distance_bytes,
			.distance_count = target->distance_count,
		};
	}
	return NULL;
}

/* A word that points into a hole between the segments of a module is not a pointer into the module. */
static void drop_holes(struct lh_census *census, struct lh_symbols *symbols)
{
	size_t kept = 0;
	for (size_t i = 0; i < census->rows.count; i++) {
		const char *name;
		if (lh_symbols_module(symbols, census->rows.items[i].target_addr, &name))
			census->rows.items[kept++] = census->rows.items[i];
		else
			census->pointer_count -= census->rows.items[i].count;
	}
	census->rows.count = kept;
}

/* Looking up names takes longer than counting: looks up no more than needed. */
static void name_rows(struct lh_census *census, struct lh_symbols *symbols, size_t wanted)
{
	size_t found = 0;
	for (size_t i = 0; i < census->rows.count && i < NAMED_MAX + wanted && found < wanted; i++) {
		struct lh_census_row *row = &census->rows.items[i];
		if (!lh_symbols_find(symbols, row->target_addr, &row->symbol))
			break;
		found += row->symbol.origin != LH_SYMBOL_SECTION;
		census->named_count = i + 1;
	}
}

struct lh_error *lh_census_pass_finish(struct lh_census_pass *pass, struct lh_symbols *symbols, size_t wanted,
				       struct lh_census *ret)
{
	struct lh_census census LH_CLEANUP(lh_census_deinit) = {
		.word_count = pass->word_count,
		.pointer_count = pass->pointer_count,
		.dropped_count = pass->dropped_count,
	};
	LH_TRY(add_rows(pass, &census));
	drop_holes(&census, symbols);
	lh_vec_sort(&census.rows, compare_census_rows);
	name_rows(&census, symbols, wanted);
	*ret = census;
	census = (struct lh_census){0};
	return NULL;
}

void lh_census_deinit(struct lh_census *census)
{
	lh_vec_deinit(&census->rows);
}
