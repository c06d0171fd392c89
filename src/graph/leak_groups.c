/*
 * leak_groups: lost blocks by what they are, how large, and why they count as lost. Input: a graph, names. Output: rows
 * by what they own.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

struct group_search {
	const struct lh_heap *heap;
	const struct lh_graph *graph;
	struct lh_leaks *leaks;
	uint32_t *slots; /* of groups: index + 1 */
	size_t slot_count;
};

void lh_leaks_deinit(struct lh_leaks *leaks)
{
	lh_vec_deinit(&leaks->groups);
	lh_heap_groups_deinit(&leaks->rows);
}

static size_t hash_group(size_t row, enum lh_leak_status status, uint64_t size_bytes)
{
	uint64_t hash = ((uint64_t)row * LH_LEAK_STATUSES + status) * UINT64_C(0x9e3779b97f4a7c15) + size_bytes;
	hash *= UINT64_C(0xbf58476d1ce4e5b9);
	return (size_t)(hash ^ hash >> 29);
}

/* The table grows with the groups, which are at most as many as lost blocks. */
static struct lh_error *grow_group_slots(struct group_search *search)
{
	size_t count = search->slot_count ? search->slot_count * 2 : 1024;
	uint32_t *slots = calloc(count, sizeof(*slots));
	if (!slots)
		return lh_error_no_memory();
	for (size_t i = 0; i < search->leaks->groups.count; i++) {
		const struct lh_leak_group *group = &search->leaks->groups.items[i];
		size_t at = hash_group(group->row, group->status, group->size_bytes) & (count - 1);
		while (slots[at])
			at = (at + 1) & (count - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(search->slots);
	search->slots = slots;
	search->slot_count = count;
	return NULL;
}

/* Of that group, or where it would stand. */
static size_t find_group_slot(const struct group_search *search, size_t row, enum lh_leak_status status,
			      uint64_t size_bytes)
{
	size_t at = hash_group(row, status, size_bytes) & (search->slot_count - 1);
	for (; search->slots[at]; at = (at + 1) & (search->slot_count - 1)) {
		const struct lh_leak_group *group = &search->leaks->groups.items[search->slots[at] - 1];
		if (group->row == row && group->status == status && group->size_bytes == size_bytes)
			break;
	}
	return at;
}

static struct lh_error *find_leak_group(struct group_search *search, size_t row, enum lh_leak_status status,
					uint64_t size_bytes, struct lh_leak_group **ret)
{
	struct lh_leaks *leaks = search->leaks;
	if (leaks->groups.count * 2 >= search->slot_count)
		LH_TRY(grow_group_slots(search));
	size_t at = find_group_slot(search, row, status, size_bytes);
	if (!search->slots[at]) {
		LH_TRY(lh_vec_push(&leaks->groups,
				   ((struct lh_leak_group){.row = row, .status = status, .size_bytes = size_bytes})));
		search->slots[at] = (uint32_t)leaks->groups.count;
	}
	*ret = &leaks->groups.items[search->slots[at] - 1];
	return NULL;
}

/* The head of that chunk. */
static const struct lh_lost_block *find_lost_block(const struct lh_graph *graph, size_t chunk)
{
	size_t at = lh_vec_count_before(&graph->lost, item, item->chunk < chunk);
	return at < graph->lost.count && graph->lost.items[at].chunk == chunk ? &graph->lost.items[at] : NULL;
}

static struct lh_error *add_leaked_block(void *context, size_t index, const struct lh_heap_chunk *chunk, size_t row)
{
	struct group_search *search = context;
	struct lh_leak_group *group;
	const struct lh_lost_block *head = find_lost_block(search->graph, index);
	enum lh_leak_status status = lh_graph_status(search->graph, index);
	LH_TRY(find_leak_group(search, row, status, chunk->size_bytes, &group));
	if (!group->count++)
		group->example_addr = chunk->addr;
	bool is_alone = !head && status == LH_LEAK_POSSIBLE && search->graph->possible &&
			lh_bit(search->graph->possible, index);
	group->bytes += chunk->size_bytes;
	group->owned_count += head ? head->owned_count : is_alone;
	group->owned_bytes += head ? head->owned_bytes : is_alone ? chunk->size_bytes : 0;
	group->confirmed_count += lh_graph_is_confirmed(search->graph, index);
	return NULL;
}

/* Blocks of a group's kind and size that other lost blocks point to: by what is left in buffers, often. */
static void count_held_alike(struct group_search *search)
{
	struct lh_leaks *leaks = search->leaks;
	for (size_t i = 0; i < leaks->groups.count; i++) {
		const struct lh_leak_group *held = &leaks->groups.items[i];
		if (held->status != LH_LEAK_HELD)
			continue;
		for (int status = LH_LEAK_LOST; status <= LH_LEAK_CYCLE; status++) {
			size_t at = find_group_slot(search, held->row, (enum lh_leak_status)status, held->size_bytes);
			if (status == LH_LEAK_HELD || !search->slots[at])
				continue;
			leaks->groups.items[search->slots[at] - 1].held_count = held->count;
			break;
		}
	}
}

/* ---------------------------------------------------------------- totals */

/* Heads first, then what they hold, then what is doubtful. */
static int rank_status(enum lh_leak_status status)
{
	return status == LH_LEAK_POSSIBLE ? 2 : status == LH_LEAK_HELD;
}

static int compare_leak_groups(const void *a, const void *b)
{
	const struct lh_leak_group *left = a, *right = b;
	if (left->is_suppressed != right->is_suppressed)
		return left->is_suppressed - right->is_suppressed;
	if (rank_status(left->status) != rank_status(right->status))
		return rank_status(left->status) - rank_status(right->status);
	int order = lh_compare_u64(right->owned_bytes, left->owned_bytes);
	order = order ? order : lh_compare_u64(right->bytes, left->bytes);
	return order ? order : lh_compare_u64(left->example_addr, right->example_addr);
}

static void total_leaks(struct lh_leaks *leaks, const struct lh_suppressions *suppressions)
{
	for (size_t i = 0; i < leaks->groups.count; i++) {
		struct lh_leak_group *group = &leaks->groups.items[i];
		const struct lh_heap_group *row = &leaks->rows.rows.items[group->row];
		group->is_suppressed = suppressions && (lh_suppressions_match(suppressions, row->name) ||
							(*row->kind && lh_suppressions_match(suppressions, row->kind)));
		if (group->is_suppressed) {
			leaks->suppressed_count += group->count;
			leaks->suppressed_bytes += group->owned_bytes;
		} else if (group->status == LH_LEAK_POSSIBLE) {
			leaks->possible_count += group->count;
			leaks->possible_bytes += group->owned_bytes;
		} else if (group->status != LH_LEAK_HELD) {
			leaks->count += group->count;
			leaks->owned_count += group->owned_count;
			leaks->owned_bytes += group->owned_bytes;
			leaks->confirmed_count += group->confirmed_count;
		}
	}
	if (leaks->groups.count)
		qsort(leaks->groups.items, leaks->groups.count, sizeof(*leaks->groups.items), compare_leak_groups);
}

/* All that was not reached. */
static uint64_t *choose_blocks(const struct lh_graph *graph, bool *ret_any)
{
	size_t words = lh_heap_chunk_count(graph->heap) / 64 + 1, own_words = graph->chunk_count / 64 + 1;
	uint64_t *chosen = calloc(words, sizeof(*chosen)), any = 0;
	for (size_t i = 0; chosen && i < own_words; i++) {
		chosen[i] = graph->unmarked[i];
		any |= chosen[i];
	}
	*ret_any = any;
	return chosen;
}

static struct lh_error *group_chosen(struct group_search *search, struct lh_image *image, struct lh_symbols *symbols)
{
	bool has_any;
	LH_CLEANUP(lh_cleanup_free) uint64_t *chosen = choose_blocks(search->graph, &has_any);
	if (!chosen)
		return lh_error_no_memory();
	if (!has_any)
		return NULL;
	struct lh_error *error = lh_heap_group_chosen(image, symbols, search->heap, chosen, add_leaked_block, search,
						      &search->leaks->rows);
	if (!error && search->slots)
		count_held_alike(search);
	free(search->slots);
	return error;
}

struct lh_error *lh_leaks_find(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
			       const struct lh_graph *graph, const struct lh_suppressions *suppressions,
			       struct lh_leaks *ret)
{
	struct lh_leaks leaks LH_CLEANUP(lh_leaks_deinit) = {0};
	struct group_search search = {.heap = heap, .graph = graph, .leaks = &leaks};
	LH_TRY(group_chosen(&search, image, symbols));
	total_leaks(&leaks, suppressions);
	*ret = leaks;
	leaks = (struct lh_leaks){0};
	return NULL;
}
