/*
 * leak_groups: groups lost blocks by type, size, and status. Input: a graph, names. Output: rows, by what they own.
 */
#include "graph.h"

#include "leakhunt/hash_table.h"

#include <stdlib.h>
#include <string.h>

struct group_search {
	const struct lh_heap *heap;
	const struct lh_graph *graph;
	struct lh_leaks *leaks;
	struct lh_hash_table numbers; /* of groups, by hash_group */
};

void lh_leaks_deinit(struct lh_leaks *leaks)
{
	lh_vec_deinit(&leaks->groups);
	lh_heap_groups_deinit(&leaks->rows);
}

static uint64_t hash_group(size_t row, enum lh_leak_status status, uint64_t size_bytes)
{
	return (row * LH_LEAK_STATUSES + status) * UINT64_C(0xbf58476d1ce4e5b9) + size_bytes;
}

/* The group of this kind, or NULL with *ret_key set to the key for a new group. */
static struct lh_leak_group *look_up_group(const struct group_search *search, size_t row, enum lh_leak_status status,
					   uint64_t size_bytes, uint64_t *ret_key)
{
	uint32_t number;
	uint64_t key = hash_group(row, status, size_bytes);
	for (; lh_hash_table_find(&search->numbers, key, &number); key = lh_hash_table_next_key(key)) {
		struct lh_leak_group *group = &search->leaks->groups.items[number];
		if (group->row == row && group->status == status && group->size_bytes == size_bytes)
			return group;
	}
	*ret_key = key;
	return NULL;
}

static struct lh_error *find_leak_group(struct group_search *search, size_t row, enum lh_leak_status status,
					uint64_t size_bytes, struct lh_leak_group **ret)
{
	struct lh_leaks *leaks = search->leaks;
	uint64_t key;
	*ret = look_up_group(search, row, status, size_bytes, &key);
	if (*ret)
		return NULL;
	LH_TRY(lh_hash_table_put(&search->numbers, key, (uint32_t)leaks->groups.count));
	LH_TRY(lh_vec_push(&leaks->groups,
			   ((struct lh_leak_group){.row = row, .status = status, .size_bytes = size_bytes})));
	*ret = &leaks->groups.items[leaks->groups.count - 1];
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

/* Blocks of a group's kind and size that other lost blocks point to, often by stale words in buffers. */
static void count_held_alike(struct group_search *search)
{
	struct lh_leaks *leaks = search->leaks;
	for (size_t i = 0; i < leaks->groups.count; i++) {
		const struct lh_leak_group *held = &leaks->groups.items[i];
		if (held->status != LH_LEAK_HELD)
			continue;
		for (int status = LH_LEAK_LOST; status <= LH_LEAK_CYCLE; status++) {
			uint64_t key;
			struct lh_leak_group *group =
				look_up_group(search, held->row, (enum lh_leak_status)status, held->size_bytes, &key);
			if (status == LH_LEAK_HELD || !group)
				continue;
			group->held_count = held->count;
			break;
		}
	}
}

/* ---------------------------------------------------------------- totals */

/* Heads first, then what they hold, then doubtful blocks. */
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

/* A bit for each block that was not reached. */
static uint64_t *choose_blocks(const struct lh_graph *graph, bool *ret_any)
{
	size_t own_words = lh_bits_words(graph->chunk_count);
	uint64_t *chosen = lh_bits_create(lh_heap_chunk_count(graph->heap)), any = 0;
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
	if (!error)
		count_held_alike(search);
	lh_hash_table_deinit(&search->numbers);
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
