/*
 * dominators: which block alone holds which others. Input: edges. Output: the immediate dominator of each reachable
 * block, and what each block retains: everything that would be unreachable without it. SEMI-NCA: L. Georgiadis,
 * Linear-Time Algorithms for Dominators and Related Problems, Princeton 2005, section 2.3. No recursion: paths can have
 * millions of blocks.
 */
#include "holders.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS_AHEAD = 16, EDGES_AHEAD = 32, RECORDS_AHEAD = 12, LISTS_AHEAD = 8, NEXT_AHEAD = 4 };

struct walk_pair {
	uint32_t place;
	uint32_t parent; /* a number */
};

/* All arrays are indexed by number. */
struct dominator_search {
	struct lh_holders *holders;
	uint32_t edge_count;
	uint32_t variable_count; /* nodes with numbers up to this are reachable from variables */
	uint32_t *parent;        /* in the walk; later the ancestor to which paths are compressed */
	uint32_t *semi;
	uint32_t *label;
	uint32_t *first_holder; /* holder[first_holder[n], first_holder[n + 1]): numbers that point to n */
	uint32_t *holder;
	LH_VEC(struct walk_pair) stack;
	LH_VEC(uint32_t) path;
};

static void deinit_dominator_search(struct dominator_search *search)
{
	free(search->parent);
	free(search->semi);
	free(search->label);
	free(search->first_holder);
	free(search->holder);
	lh_vec_deinit(&search->stack);
	lh_vec_deinit(&search->path);
}

/* Numbers the next node of the walk. Appends its targets, still as places, to those of earlier nodes. */
static uint32_t number_place(struct dominator_search *search, uint32_t place, uint32_t parent)
{
	struct lh_holders *holders = search->holders;
	uint32_t number = (uint32_t)++holders->node_count;
	holders->places[place].number = number;
	holders->chunk[number] = place;
	holders->first[number] = search->edge_count;
	search->parent[number] = parent;
	return number;
}

/* Numbers blocks without pointers at once; pushes the others. */
static void visit_targets(struct dominator_search *search, uint32_t number, uint32_t first, uint32_t end)
{
	struct lh_holders *holders = search->holders;
	const uint32_t *targets = holders->place_to.items;
	const struct lh_place *places = holders->places;
	for (uint32_t i = first; i < end && i < first + TARGETS_AHEAD; i++)
		__builtin_prefetch(&places[targets[i]]);
	for (uint32_t i = first; i < end; i++) {
		const struct lh_place *place = &places[targets[i]];
		if (i + TARGETS_AHEAD < end)
			__builtin_prefetch(&places[targets[i + TARGETS_AHEAD]]);
		holders->to[search->edge_count + i - first] = targets[i];
		if (place->number)
			continue;
		search->stack.items[search->stack.count] = (struct walk_pair){targets[i], number};
		/* branchless: a branch that is mispredicted half of the time would cost more than it saves */
		search->stack.count += place[1].first != place[0].first;
		__builtin_prefetch(&targets[place->first]);
	}
	search->edge_count += end - first;
	for (uint32_t i = first; i < end; i++) {
		const struct lh_place *place = &places[targets[i]];
		if (!place->number && place[1].first == place[0].first)
			number_place(search, targets[i], number);
	}
}

/*
 * Prefetches for nodes near the top of the stack, which are visited soon, since most blocks lead to few others: first
 * the record, then its targets, then the targets' records.
 */
static inline void fetch_waiting(const struct dominator_search *search)
{
	const struct lh_place *places = search->holders->places;
	const uint32_t *targets = search->holders->place_to.items;
	const struct walk_pair *top = search->stack.items + search->stack.count;
	if (search->stack.count < RECORDS_AHEAD)
		return;
	__builtin_prefetch(&places[top[-RECORDS_AHEAD].place]);
	__builtin_prefetch(&targets[places[top[-LISTS_AHEAD].place].first]);
	__builtin_prefetch(&places[targets[places[top[-NEXT_AHEAD].place].first]]);
}

/*
 * Pushes targets. A target that has a number when it is popped was reached by another path: so this is a true
 * depth-first walk, except that it visits blocks without pointers first.
 */
static struct lh_error *number_from(struct dominator_search *search, uint32_t root)
{
	struct lh_holders *holders = search->holders;
	search->stack.count = 0;
	LH_TRY(lh_vec_push(&search->stack, ((struct walk_pair){root, 0})));
	while (search->stack.count) {
		struct walk_pair at = search->stack.items[--search->stack.count];
		if (holders->places[at.place].number)
			continue;
		fetch_waiting(search);
		uint32_t first = holders->places[at.place].first, end = holders->places[at.place + 1].first;
		LH_TRY(lh_vec_reserve(&search->stack, end - first + 1));
		uint32_t number = number_place(search, at.place, at.parent);
		visit_targets(search, number, first, end);
	}
	return NULL;
}

/* Renumbers the targets of all nodes: blocks near each other in the walk get near numbers. */
static void number_targets(struct dominator_search *search)
{
	const struct lh_holders *holders = search->holders;
	uint32_t *to = holders->to;
	for (size_t i = 0; i < search->edge_count; i++) {
		if (i + EDGES_AHEAD < search->edge_count)
			__builtin_prefetch(&holders->places[to[i + EDGES_AHEAD]]);
		to[i] = holders->places[to[i]].number;
	}
}

bool lh_holders_is_variable(const struct lh_holders *holders, const struct lh_root_group *group)
{
	return group->range != UINT32_MAX && (holders->graph->roots.items[group->range].kind == LH_ROOT_MODULE ||
					      lh_graph_find_thread_locals(holders->graph, group->addr));
}

/*
 * Begins with the nodes reachable from variables. Words of stacks and registers are mostly stale or temporary; they
 * hold only what no variable leads to: a cursor into a list does not own the rest of the list.
 */
static struct lh_error *number_nodes(struct dominator_search *search)
{
	struct lh_holders *holders = search->holders;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < holders->groups.count; i++) {
			if (lh_holders_is_variable(holders, &holders->groups.items[i]) == (pass == 0))
				LH_TRY(number_from(search, (uint32_t)(holders->graph->chunk_count + i)));
		}
		search->variable_count = pass ? search->variable_count : (uint32_t)holders->node_count;
	}
	holders->first[holders->node_count + 1] = search->edge_count;
	number_targets(search);
	lh_vec_deinit(&holders->place_to);
	return NULL;
}

/* Whether an edge counts for ownership. */
static inline bool is_owning(const struct dominator_search *search, uint32_t from, uint32_t target)
{
	return from <= search->variable_count || target > search->variable_count;
}

static inline void place_holder(struct dominator_search *search, uint32_t *ends, uint32_t from, uint32_t target)
{
	if (is_owning(search, from, target))
		search->holder[--ends[target]] = from;
}

/* Counting sort of all edges by their target. */
static struct lh_error *find_all_holders(struct dominator_search *search)
{
	const struct lh_holders *holders = search->holders;
	size_t count = holders->node_count, edges = search->edge_count + holders->groups.count;
	search->first_holder = calloc(count + 2, sizeof(uint32_t));
	search->holder = malloc((edges + 1) * sizeof(uint32_t));
	if (!search->first_holder || !search->holder)
		return lh_error_no_memory();
	uint32_t *ends = search->first_holder + 1; /* shifted by one until all edges are placed */
	for (size_t i = holders->graph->chunk_count; i < lh_holders_places(holders); i++)
		ends[holders->places[i].number]++;
	for (uint32_t number = 1; number <= count; number++) {
		for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++)
			ends[holders->to[i]] += is_owning(search, number, holders->to[i]);
	}
	for (size_t i = 1; i <= count; i++)
		ends[i] += ends[i - 1];
	uint32_t total = ends[count];
	for (uint32_t number = (uint32_t)count; number > 0; number--) {
		for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++)
			place_holder(search, ends, number, holders->to[i]);
	}
	for (size_t i = holders->graph->chunk_count; i < lh_holders_places(holders); i++)
		search->holder[--ends[holders->places[i].number]] = 0;
	/* ends[n] is now the start of n */
	memmove(search->first_holder, ends, (count + 1) * sizeof(uint32_t));
	search->first_holder[count + 1] = total;
	return NULL;
}

/*
 * The node with the smallest semidominator on the path up to the first node that is not linked yet; compresses the
 * path.
 */
static struct lh_error *find_label(struct dominator_search *search, uint32_t number, uint32_t linked, uint32_t *ret)
{
	uint32_t *parent = search->parent, *label = search->label, *semi = search->semi;
	if (parent[number] < linked) {
		*ret = label[number];
		return NULL;
	}
	search->path.count = 0;
	do {
		LH_TRY(lh_vec_push(&search->path, number));
		number = parent[number];
	} while (parent[number] >= linked);
	uint32_t above = number, best = label[above];
	while (search->path.count) {
		number = search->path.items[--search->path.count];
		parent[number] = parent[above];
		if (semi[best] < semi[label[number]])
			label[number] = best;
		else
			best = label[number];
		above = number;
	}
	*ret = label[number];
	return NULL;
}

static struct lh_error *find_semidominators(struct dominator_search *search)
{
	size_t count = search->holders->node_count;
	for (size_t i = 0; i <= count; i++) {
		search->holders->dominator[i] = search->parent[i];
		search->semi[i] = search->label[i] = (uint32_t)i;
	}
	for (uint32_t number = (uint32_t)count; number > 0; number--) {
		uint32_t best = search->parent[number];
		for (uint32_t i = search->first_holder[number]; i < search->first_holder[number + 1]; i++) {
			uint32_t holder = search->holder[i], label = 0;
			if (holder)
				LH_TRY(find_label(search, holder, number + 1, &label));
			best = search->semi[label] < best ? search->semi[label] : best;
		}
		search->semi[number] = best;
	}
	return NULL;
}

static void find_immediate_dominators(struct dominator_search *search)
{
	uint32_t *dominator = search->holders->dominator;
	for (size_t number = 1; number <= search->holders->node_count; number++) {
		while (dominator[number] > search->semi[number])
			dominator[number] = dominator[dominator[number]];
	}
}

static void sum_retained(struct lh_holders *holders)
{
	for (size_t number = 1; number <= holders->node_count; number++) {
		if (number + EDGES_AHEAD <= holders->node_count)
			__builtin_prefetch(&holders->graph->chunks[holders->chunk[number + EDGES_AHEAD]]);
		holders->retained_bytes[number] = lh_holders_size(holders, (uint32_t)number);
		holders->retained_count[number] = !lh_holders_is_root(holders, (uint32_t)number);
	}
	for (size_t number = holders->node_count; number > 0; number--) {
		holders->retained_bytes[holders->dominator[number]] += holders->retained_bytes[number];
		holders->retained_count[holders->dominator[number]] += holders->retained_count[number];
	}
}

static struct lh_error *allocate_nodes(struct dominator_search *search)
{
	struct lh_holders *holders = search->holders;
	size_t count = lh_holders_places(holders) + 1;
	holders->first = calloc(count + 1, sizeof(uint32_t));
	holders->to = malloc((holders->place_to.count + 1) * sizeof(uint32_t));
	holders->chunk = calloc(count, sizeof(uint32_t));
	holders->dominator = calloc(count, sizeof(uint32_t));
	holders->retained_bytes = calloc(count, sizeof(uint64_t));
	holders->retained_count = calloc(count, sizeof(uint32_t));
	search->parent = calloc(count, sizeof(uint32_t));
	search->semi = calloc(count, sizeof(uint32_t));
	search->label = calloc(count, sizeof(uint32_t));
	bool is_complete = holders->first && holders->to && holders->chunk && holders->dominator &&
			   holders->retained_bytes && holders->retained_count && search->parent && search->semi &&
			   search->label;
	return is_complete ? NULL : lh_error_no_memory();
}

struct lh_error *lh_holders_find_dominators(struct lh_holders *holders)
{
	struct dominator_search search LH_CLEANUP(deinit_dominator_search) = {.holders = holders};
	uint64_t before_ns = lh_clock_thread_cpu_ns();
	LH_TRY(allocate_nodes(&search));
	uint64_t edge_bytes = holders->place_to.capacity * sizeof(uint32_t);
	LH_TRY(number_nodes(&search));
	uint64_t walk_bytes = edge_bytes + search.stack.capacity * sizeof(struct walk_pair);
	lh_vec_deinit(&search.stack);
	LH_TRY(find_all_holders(&search));
	LH_TRY(find_semidominators(&search));
	find_immediate_dominators(&search);
	sum_retained(holders);
	holders->dominators_cpu_ns = lh_clock_thread_cpu_ns() - before_ns;
	/* Memory in use at the same time: the first targets and the stack are freed before holders are found. */
	uint64_t holder_bytes = (search.edge_count + holders->groups.count) * sizeof(uint32_t) +
				(holders->node_count + 2) * sizeof(uint32_t) + search.path.capacity * sizeof(uint32_t);
	holders->memory_bytes = lh_holders_places(holders) * (2 * sizeof(uint64_t) + 7 * sizeof(uint32_t)) +
				search.edge_count * sizeof(uint32_t) +
				holders->roots.capacity * sizeof(struct lh_root_edge) +
				lh_max_u64(walk_bytes, holder_bytes);
	return NULL;
}
