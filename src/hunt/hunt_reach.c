/*
 * hunt_reach: whether what grew is lost, or who holds it. Input: two dumps. Output: counts, and the holder that grew
 * most. Says nothing when memory is missing, or a runtime hides its pointers.
 */
#include "hunt.h"

#include "leakhunt/graph.h"

#include <stdio.h>

/* Holders that are kept for the page. */
enum { HOLDERS_MOST = 12 };

struct reach_search {
	struct lh_heap *heaps[LH_HUNT_SIDES];
	struct lh_graph *graphs[LH_HUNT_SIDES];
};

static void deinit_reach_search(struct reach_search *search)
{
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		lh_graph_destroy(search->graphs[side]);
		lh_heap_destroy(search->heaps[side]);
	}
}

static uint64_t sum_lost_bytes(const struct lh_graph_totals *totals)
{
	return totals->bytes[LH_LEAK_LOST] + totals->bytes[LH_LEAK_HELD] + totals->bytes[LH_LEAK_CYCLE];
}

static void take_new_blocks(const struct lh_holder_list *list, struct lh_hunt_reach *ret)
{
	ret->new_count = list->all_count;
	ret->new_bytes = list->all_bytes;
	ret->root_bytes = list->main_root_bytes;
	snprintf(ret->root, sizeof(ret->root), "%s", list->main_root);
}

static void take_holder(const struct lh_holder_list *list, struct lh_hunt_reach *ret)
{
	if (!list->items.count || !list->items.items[0].grown_bytes)
		return;
	const struct lh_holder *holder = &list->items.items[0];
	snprintf(ret->holder, sizeof(ret->holder), "%s%s", holder->root, holder->is_shared ? " and other roots" : "");
	snprintf(ret->shape, sizeof(ret->shape), "%s", lh_holder_shape_name(holder->shape));
	ret->holder_growth_count = holder->grown_count;
	ret->holder_growth_bytes = holder->grown_bytes;
}

static struct lh_error *mark_sides(struct lh_hunt *hunt, struct reach_search *search)
{
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		size_t doubts;
		LH_TRY(lh_heap_walk(hunt->images[side], &search->heaps[side]));
		LH_TRY(lh_graph_create(hunt->images[side], search->heaps[side], &search->graphs[side]));
		const char *const *texts = lh_graph_doubts(search->graphs[side], &doubts);
		if (doubts) {
			snprintf(hunt->reach.doubt, sizeof(hunt->reach.doubt), "%s", texts[0]);
			return NULL;
		}
	}
	LH_TRY(lh_graph_confirm(search->graphs[LH_HUNT_BEFORE], search->graphs[LH_HUNT_AFTER]));
	hunt->reach.is_known = true;
	return NULL;
}

struct lh_error *lh_hunt_find_reach(struct lh_hunt *hunt)
{
	struct reach_search search LH_CLEANUP(deinit_reach_search) = {0};
	struct lh_hunt_reach *reach = &hunt->reach;
	LH_TRY(mark_sides(hunt, &search));
	if (!reach->is_known)
		return NULL;
	struct lh_graph_totals before = lh_graph_totals(search.graphs[LH_HUNT_BEFORE]);
	struct lh_graph_totals after = lh_graph_totals(search.graphs[LH_HUNT_AFTER]);
	reach->lost_count = after.counts[LH_LEAK_LOST] + after.counts[LH_LEAK_CYCLE];
	reach->confirmed_count = after.confirmed_count;
	reach->lost_bytes = sum_lost_bytes(&after);
	reach->lost_growth_bytes = (int64_t)(sum_lost_bytes(&after) - sum_lost_bytes(&before));
	LH_TRY(lh_graph_find_holders(hunt->images[LH_HUNT_AFTER], hunt->summaries[LH_HUNT_AFTER].symbols,
				     search.graphs[LH_HUNT_AFTER], search.graphs[LH_HUNT_BEFORE], HOLDERS_MOST,
				     &reach->holders));
	take_new_blocks(&reach->holders, reach);
	take_holder(&reach->holders, reach);
	return lh_leaks_find(hunt->images[LH_HUNT_AFTER], hunt->summaries[LH_HUNT_AFTER].symbols,
			     search.heaps[LH_HUNT_AFTER], search.graphs[LH_HUNT_AFTER], NULL, &reach->leaks);
}
