/*
 * owned_groups: the groups of a heap, and what the largest ones own. Input: a heap. Output: groups by bytes.
 */
#include "holders.h"

#include <stdlib.h>
#include <string.h>

struct ownership_search {
	uint16_t *rows;  /* per block: its row; later the rank if its group is one of the largest */
	size_t *largest; /* rows with most bytes, most first */
	size_t largest_count;
};

static void ownership_search_deinit(struct ownership_search *search)
{
	free(search->rows);
	free(search->largest);
}

static struct lh_error *take_block_row(void *context, size_t index, const struct lh_heap_chunk *chunk, size_t row)
{
	struct ownership_search *search = context;
	(void)chunk;
	search->rows[index] = (uint16_t)row;
	return NULL;
}

static int compare_row_bytes(const void *a, const void *b, void *context)
{
	const struct lh_heap_groups *groups = context;
	size_t left = *(const size_t *)a, right = *(const size_t *)b;
	int order = lh_compare_u64(groups->rows.items[right].bytes, groups->rows.items[left].bytes);
	return order ? order : lh_compare_u64(left, right);
}

/* Replaces rows of groups by ranks among the largest ones. */
static struct lh_error *rank_groups(struct ownership_search *search, struct lh_heap_groups *groups, size_t chunk_count,
				    size_t most)
{
	size_t count = groups->rows.count;
	LH_CLEANUP(lh_cleanup_free) uint16_t *ranks = malloc((count + 1) * sizeof(*ranks));
	search->largest = calloc(count + 1, sizeof(*search->largest));
	if (!ranks || !search->largest)
		return lh_error_no_memory();
	for (size_t i = 0; i < count; i++)
		search->largest[i] = i;
	if (count)
		qsort_r(search->largest, count, sizeof(*search->largest), compare_row_bytes, groups);
	search->largest_count = lh_min_u64(most, count);
	memset(ranks, 0xff, (count + 1) * sizeof(*ranks));
	for (size_t i = 0; i < search->largest_count; i++)
		ranks[search->largest[i]] = (uint16_t)i;
	for (size_t i = 0; i < chunk_count; i++)
		search->rows[i] = search->rows[i] < count ? ranks[search->rows[i]] : UINT16_MAX;
	return NULL;
}

static struct lh_error *take_owned(const struct lh_graph *graph, const struct ownership_search *search,
				   struct lh_heap_groups *groups)
{
	LH_CLEANUP(lh_cleanup_free) struct lh_owned *owned = calloc(search->largest_count + 1, sizeof(*owned));
	if (!owned)
		return lh_error_no_memory();
	LH_TRY(lh_graph_find_owned(graph, search->rows, search->largest_count, owned));
	for (size_t i = 0; i < search->largest_count; i++) {
		struct lh_heap_group *group = &groups->rows.items[search->largest[i]];
		group->owned_count = owned[i].count;
		group->owned_bytes = owned[i].bytes;
		group->owned_resident_bytes = owned[i].resident_bytes;
	}
	return NULL;
}

struct lh_error *lh_graph_group_blocks(struct lh_image *image, struct lh_symbols *symbols, const struct lh_heap *heap,
				       size_t most, struct lh_heap_groups *ret)
{
	struct lh_heap_groups groups LH_CLEANUP(lh_heap_groups_deinit) = {0};
	struct ownership_search search LH_CLEANUP(ownership_search_deinit) = {0};
	LH_CLEANUP(lh_cleanup_graph) struct lh_graph *graph = NULL;
	size_t count = lh_heap_chunk_count(heap);
	search.rows = malloc((count + 1) * sizeof(*search.rows));
	if (!search.rows)
		return lh_error_no_memory();
	memset(search.rows, 0xff, (count + 1) * sizeof(*search.rows));
	LH_TRY(lh_heap_group_chosen(image, symbols, heap, NULL, take_block_row, &search, &groups));
	lh_heap_find_pins(heap, search.rows, &groups);
	LH_TRY(rank_groups(&search, &groups, count, most));
	struct lh_error *error = lh_graph_create(image, heap, &graph);
	if (!error)
		error = take_owned(graph, &search, &groups);
	if (error && lh_error_code(error) != LH_ERROR_FORMAT && lh_error_code(error) != LH_ERROR_UNSUPPORTED)
		return error;
	lh_error_destroy(error);
	lh_heap_groups_sort(&groups);
	*ret = groups;
	groups = (struct lh_heap_groups){0};
	return NULL;
}
