/*
 * census: which addresses of modules (vtables, method tables, functions) do words of memory hold, and
 * how often? A heap full of one kind of object holds one address of a module per object. Input:
 * blocks. Output: rows ranked by count, named. Memory is bounded whatever the input.
 */
#include "leakhunt/objects.h"
#include "leakhunt/sweep.h"

#include <stdlib.h>
#include <string.h>

enum {
	TABLE_FIRST_SLOTS = 1 << 12,
	TABLE_MAX_SLOTS = 1 << 19, /* 20 MiB; at most half of them are used */
	NAMED_MAX = 1 << 12,       /* rows that are looked up to find enough that have a name */
};

/*
 * An address of a module, and the words that hold it. `count` 0: free. The smallest distance between two
 * neighbors, and how often it occurs, can be added up stripe by stripe; 0: there were no two.
 */
struct slot {
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
	size_t last_module; /* where the latest pointer pointed */
	struct slot *slots;
	size_t slot_count; /* a power of two */
	size_t used_count;
	uint64_t word_count;
	uint64_t pointer_count;
	uint64_t dropped_count;
};

/* ---------------------------------------------------------------- set-up */

/* Neighbors that overlap become one: it only matters that an address lies in some module. */
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
	pass->slots = calloc(TABLE_FIRST_SLOTS, sizeof(*pass->slots));
	pass->slot_count = TABLE_FIRST_SLOTS;
	if (!pass->modules || !pass->slots) {
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
	free(pass->slots);
	free(pass);
}

/* ---------------------------------------------------------------- counting */

/* The slot of `target_addr`, or the free one where it belongs. Fibonacci hashing, linear probing. */
static struct slot *find_census_slot(struct slot *slots, size_t slot_count, uint64_t target_addr)
{
	size_t index = (target_addr * UINT64_C(0x9e3779b97f4a7c15)) >> 40 & (slot_count - 1);
	while (slots[index].count && slots[index].target_addr != target_addr)
		index = (index + 1) & (slot_count - 1);
	return &slots[index];
}

/* Doubles the table. False when it may not grow, or memory ran out. */
static bool grow_table(struct lh_census_pass *pass)
{
	size_t wanted = pass->slot_count * 2;
	struct slot *grown = wanted <= TABLE_MAX_SLOTS ? calloc(wanted, sizeof(*grown)) : NULL;
	if (!grown)
		return false;
	for (size_t i = 0; i < pass->slot_count; i++) {
		if (pass->slots[i].count)
			*find_census_slot(grown, wanted, pass->slots[i].target_addr) = pass->slots[i];
	}
	free(pass->slots);
	pass->slots = grown;
	pass->slot_count = wanted;
	return true;
}

/* The slot to add to; NULL when there is no room for a new one. */
static struct slot *claim_slot(struct lh_census_pass *pass, uint64_t target_addr)
{
	struct slot *slot = find_census_slot(pass->slots, pass->slot_count, target_addr);
	if (slot->count)
		return slot;
	if (pass->used_count >= pass->slot_count / 2) {
		if (!grow_table(pass))
			return NULL;
		slot = find_census_slot(pass->slots, pass->slot_count, target_addr);
	}
	pass->used_count++;
	slot->target_addr = target_addr;
	return slot;
}

static void add_distance(struct slot *slot, uint64_t bytes, uint32_t count)
{
	if (!bytes || bytes > UINT32_MAX || (slot->distance_bytes && bytes > slot->distance_bytes))
		return;
	if (bytes != slot->distance_bytes)
		slot->distance_count = 0;
	slot->distance_bytes = (uint32_t)bytes;
	slot->distance_count = (uint32_t)lh_min_u64((uint64_t)slot->distance_count + count, UINT32_MAX);
}

/* Adds words of one target, all behind those that were added before, or in any order: then without distances. */
static void add_words(struct lh_census_pass *pass, const struct slot *words)
{
	struct slot *slot = claim_slot(pass, words->target_addr);
	if (!slot) {
		pass->dropped_count += words->count;
		return;
	}
	if (!slot->count) {
		*slot = *words;
		return;
	}
	if (words->first_addr > slot->last_addr)
		add_distance(slot, words->first_addr - slot->last_addr, 1);
	if (words->distance_bytes)
		add_distance(slot, words->distance_bytes, words->distance_count);
	slot->count += words->count;
	slot->last_addr = words->last_addr;
}

static bool is_in_range(const struct lh_range *range, uint64_t addr)
{
	return range->start <= addr && addr < range->end;
}

static bool is_word_in_module(struct lh_census_pass *pass, uint64_t addr)
{
	if (is_in_range(&pass->modules[pass->last_module], addr))
		return true;
	size_t low = 0, high = pass->module_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (pass->modules[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == pass->module_count || !is_in_range(&pass->modules[low], addr))
		return false;
	pass->last_module = low;
	return true;
}

static void take_candidate(struct lh_census_pass *pass, uint64_t word, uint64_t word_addr)
{
	if (!is_word_in_module(pass, word))
		return;
	pass->pointer_count++;
	add_words(pass,
		  &(struct slot){.target_addr = word, .count = 1, .first_addr = word_addr, .last_addr = word_addr});
}

static void take_words(struct lh_census_pass *pass, const uint8_t *data, size_t word_count, uint64_t addr)
{
	for (size_t i = 0; i < word_count; i += LH_FILTER_WORDS) {
		size_t count = lh_min_u64(LH_FILTER_WORDS, word_count - i);
		uint64_t hits = pass->filter(data + i * 8, count, &pass->ranges);
		for (; hits; hits &= hits - 1) {
			size_t hit = i + (size_t)__builtin_ctzll(hits);
			take_candidate(pass, lh_load_u64(data, hit * 8), addr + hit * 8);
		}
	}
}

/* A word belongs to the block in which it starts; its end may lie in the bytes after. */
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
	memset(pass->slots, 0, pass->slot_count * sizeof(*pass->slots));
	pass->used_count = 0;
	pass->word_count = pass->pointer_count = pass->dropped_count = 0;
}

void lh_census_pass_merge(struct lh_census_pass *pass, const struct lh_census_pass *part)
{
	for (size_t i = 0; i < part->slot_count; i++) {
		const struct slot *slot = &part->slots[i];
		if (slot->count)
			add_words(pass, slot);
	}
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
	LH_TRY(lh_vec_reserve(&census->rows, pass->used_count));
	for (size_t i = 0; i < pass->slot_count; i++) {
		const struct slot *slot = &pass->slots[i];
		if (slot->count)
			census->rows.items[census->rows.count++] = (struct lh_census_row){
				.target_addr = slot->target_addr,
				.count = slot->count,
				.example_addr = slot->first_addr,
				.distance_bytes = slot->distance_bytes,
				.distance_count = slot->distance_count,
			};
	}
	return NULL;
}

/* Words that lead into a hole between the segments of a module point to something else. */
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

/* Looking up names takes longer than counting: no more than are needed. */
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
