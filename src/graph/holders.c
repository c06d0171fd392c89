/*
 * holders: where many similar blocks have one owner. Input: dominators, and which blocks are new. Output: containers by
 * what they retain, with their elements, shape and root. A list, tree or hash table counts as one node.
 */
#include "holders.h"

#include "python_names.h"
#include "root_names.h"

#include <stdlib.h>
#include <string.h>

enum {
	SHARE_MIN = 50, /* a holder retains at least 1/50 of all reachable memory */
	CHAIN_MIN = 16, /* blocks of one size, each holding the next */
	ELEMENTS_MIN = 8,
	PLACES_MAX = 64,
};

struct holder_place {
	uint32_t number;
	uint64_t weight;
	bool is_chain, is_tree;
};

/* Children of one size below a place. */
struct size_count {
	uint64_t size_bytes;
	uint64_t count;
};
enum { SIZE_SLOTS = 1024 };

struct holder_search {
	struct lh_image *image;
	struct lh_symbols *symbols;
	const struct lh_holders *holders;
	const struct lh_graph *earlier;
	struct lh_holder_list *list;
	uint64_t *weight;        /* by number: what it retains; when moments are compared, only new memory */
	uint32_t *heaviest;      /* by number: its child with the greatest weight; 0: none */
	uint32_t *best, *second; /* by number: its two children that retain most; 0: none */
	uint64_t *is_new;        /* one bit per number; NULL: no earlier moment */
	uint64_t *inside;        /* one bit per number: below the examined place */
	LH_VEC(struct holder_place) places;
	struct size_count sizes[SIZE_SLOTS];
};

const char *lh_holder_shape_name(enum lh_holder_shape shape)
{
	static const char *const names[] = {"block", "array", "list", "hash table", "tree"};
	return names[shape];
}

void lh_holder_list_deinit(struct lh_holder_list *list)
{
	lh_vec_deinit(&list->items);
	lh_strings_pool_deinit(&list->strings);
}

void lh_holders_deinit(struct lh_holders *holders)
{
	free(holders->places);
	free(holders->first);
	free(holders->to);
	free(holders->chunk);
	free(holders->dominator);
	free(holders->retained_bytes);
	free(holders->retained_count);
	lh_vec_deinit(&holders->place_to);
	lh_vec_deinit(&holders->roots);
	lh_vec_deinit(&holders->groups);
}

struct lh_error *lh_holders_init(const struct lh_graph *graph, struct lh_symbols *symbols, struct lh_holders *ret)
{
	ret->graph = graph;
	LH_TRY(lh_holders_find_edges(ret, symbols));
	return lh_holders_find_dominators(ret);
}

/* ---------------------------------------------------------------- weights */

/* Whether the earlier moment had no block of this address and size. */
static bool is_new_block(const struct lh_graph *earlier, const struct lh_stored_chunk *chunk)
{
	size_t index;
	return !lh_graph_find_same_block(earlier, chunk, &index) ||
	       lh_heap_chunk_at(earlier->heap, index).state != LH_CHUNK_USED;
}

static void find_new_blocks(struct holder_search *search)
{
	const struct lh_holders *holders = search->holders;
	for (uint32_t number = 1; number <= holders->node_count; number++) {
		if (!lh_holders_is_root(holders, number) &&
		    is_new_block(search->earlier, &holders->graph->chunks[holders->chunk[number]]))
			lh_bit_set(search->is_new, number);
	}
}

static void rank_child(struct holder_search *search, uint32_t above, uint32_t number)
{
	const uint64_t *retained = search->holders->retained_bytes;
	if (!search->best[above] || retained[number] > retained[search->best[above]]) {
		search->second[above] = search->best[above];
		search->best[above] = number;
	} else if (!search->second[above] || retained[number] > retained[search->second[above]]) {
		search->second[above] = number;
	}
}

static void weigh_nodes(struct holder_search *search)
{
	const struct lh_holders *holders = search->holders;
	for (uint32_t number = (uint32_t)holders->node_count; number > 0; number--) {
		uint32_t above = holders->dominator[number];
		bool counts = !search->is_new || lh_bit(search->is_new, number);
		search->weight[number] += counts ? lh_holders_size(holders, number) : 0;
		uint64_t weight = search->weight[number];
		search->weight[above] += weight;
		/* Every child is complete: its own children have higher numbers. */
		if (weight > search->weight[search->heaviest[above]] || !search->heaviest[above])
			search->heaviest[above] = number;
		rank_child(search, above, number);
	}
}

/* ---------------------------------------------------------------- places */

static bool is_alike(const struct lh_holders *holders, uint32_t a, uint32_t b)
{
	uint64_t size_bytes = lh_holders_size(holders, a);
	return size_bytes && size_bytes == lh_holders_size(holders, b);
}

/* In a list the next node retains nearly as much; in a tree, 16 consecutive heavier children do not. */
static bool begins_alike_chain(const struct holder_search *search, uint32_t number)
{
	const uint64_t *retained = search->holders->retained_bytes;
	size_t length = 0;
	for (uint32_t next = search->best[number]; next && length < CHAIN_MIN; length++) {
		if (!is_alike(search->holders, number, next) || retained[next] < retained[number] / 8 * 7)
			return false;
		number = next;
		next = search->best[number];
	}
	return length >= CHAIN_MIN;
}

/* A block with two heavy children of its own size, of which the heavier has such a child, too. */
static bool begins_tree(const struct holder_search *search, uint32_t number)
{
	const uint64_t *retained = search->holders->retained_bytes;
	uint32_t best = search->best[number], second = search->second[number];
	return best && second && is_alike(search->holders, number, best) && is_alike(search->holders, number, second) &&
	       retained[second] * 20 >= retained[number] && search->best[best] &&
	       is_alike(search->holders, best, search->best[best]);
}

/*
 * Parts of one tree: the header of std::set points to its leftmost and rightmost nodes, and these to all nodes above
 * them. So the nodes on both edges are its children, each with one child of its own.
 */
static bool has_tree_parts(const struct holder_search *search, uint32_t number)
{
	const uint64_t *retained = search->holders->retained_bytes;
	uint32_t best = search->best[number], second = search->second[number];
	return best && second && is_alike(search->holders, best, second) && retained[second] * 20 >= retained[number] &&
	       (begins_tree(search, best) || begins_tree(search, search->best[best]));
}

/* Whether most of it is below one child that holds more than itself: not so in a grown table of buckets. */
static bool goes_on_below(const struct holder_search *search, uint32_t number)
{
	uint32_t heaviest = search->heaviest[number];
	return heaviest && search->weight[heaviest] * 2 >= search->weight[number] && search->best[heaviest] &&
	       !has_tree_parts(search, number);
}

static struct lh_error *find_places(struct holder_search *search)
{
	const struct lh_holders *holders = search->holders;
	uint64_t least = search->weight[0] / SHARE_MIN + 1;
	for (uint32_t number = 1; number <= holders->node_count; number++) {
		struct holder_place place = {.number = number, .weight = search->weight[number]};
		uint32_t above = holders->dominator[number];
		if (above && lh_bit(search->inside, above)) {
			lh_bit_set(search->inside, number);
			continue;
		}
		if (place.weight < least)
			continue;
		place.is_chain = begins_alike_chain(search, number);
		place.is_tree = !place.is_chain && begins_tree(search, number);
		if (!place.is_chain && !place.is_tree && goes_on_below(search, number))
			continue;
		lh_bit_set(search->inside, number);
		LH_TRY(lh_vec_push(&search->places, place));
	}
	return NULL;
}

static int compare_places_by_weight(const void *a, const void *b)
{
	const struct holder_place *left = a, *right = b;
	int order = lh_compare_u64(right->weight, left->weight);
	return order ? order : lh_compare_u64(left->number, right->number);
}

/* ---------------------------------------------------------------- elements */

static void count_child_size(struct holder_search *search, uint64_t size_bytes)
{
	size_t at = (size_t)(size_bytes * UINT64_C(0x9e3779b97f4a7c15) >> 54);
	for (size_t tries = 0; tries < SIZE_SLOTS; tries++, at = (at + 1) % SIZE_SLOTS) {
		struct size_count *slot = &search->sizes[at];
		if (slot->count && slot->size_bytes != size_bytes)
			continue;
		slot->size_bytes = size_bytes;
		slot->count++;
		return;
	}
}

static uint64_t most_frequent_size(const struct holder_search *search)
{
	const struct size_count *best = &search->sizes[0];
	for (size_t i = 1; i < SIZE_SLOTS; i++) {
		const struct size_count *slot = &search->sizes[i];
		if (slot->count > best->count || (slot->count == best->count && slot->size_bytes > best->size_bytes))
			best = slot;
	}
	return best->size_bytes;
}

/* The size of grandchildren of one size: the elements of a deque's blocks. */
static uint64_t find_grandchild_size(struct holder_search *search, uint32_t place, uint64_t child_bytes)
{
	const struct lh_holders *holders = search->holders;
	uint64_t children = 0, grandchildren = 0;
	memset(search->sizes, 0, sizeof(search->sizes));
	for (uint32_t number = place + 1; number <= holders->node_count; number++) {
		uint32_t above = holders->dominator[number];
		children += above == place && lh_holders_size(holders, number) == child_bytes;
		if (!above || holders->dominator[above] != place || lh_holders_size(holders, above) != child_bytes)
			continue;
		count_child_size(search, lh_holders_size(holders, number));
		grandchildren++;
	}
	return grandchildren >= children * ELEMENTS_MIN ? most_frequent_size(search) : child_bytes;
}

/* Marks everything below the place, and finds the most frequent size of its children. */
static uint64_t find_element_size(struct holder_search *search, const struct holder_place *place)
{
	const struct lh_holders *holders = search->holders;
	memset(search->inside, 0, lh_bits_words(holders->node_count) * sizeof(uint64_t));
	memset(search->sizes, 0, sizeof(search->sizes));
	lh_bit_set(search->inside, place->number);
	for (uint32_t number = place->number + 1; number <= holders->node_count; number++) {
		uint32_t above = holders->dominator[number];
		if (!lh_bit(search->inside, above))
			continue;
		lh_bit_set(search->inside, number);
		if (above == place->number && (!search->is_new || search->weight[number]))
			count_child_size(search, lh_holders_size(holders, number));
	}
	if (place->is_chain || place->is_tree)
		return lh_holders_size(holders, place->number);
	uint64_t size_bytes = most_frequent_size(search);
	return size_bytes ? find_grandchild_size(search, place->number, size_bytes) : 0;
}

/* Containers of CPython hold their elements themselves: what is behind these is content, also of the same size. */
static bool holds_directly(const struct holder_search *search, const struct holder_place *place, uint64_t element_bytes)
{
	const struct lh_holders *holders = search->holders;
	const struct lh_graph *graph = holders->graph;
	for (uint32_t number = place->number + 1; number <= holders->node_count; number++) {
		if (holders->dominator[number] != place->number || lh_holders_size(holders, number) != element_bytes)
			continue;
		const struct lh_stored_chunk *chunk = &graph->chunks[holders->chunk[number]];
		return !place->is_chain && !place->is_tree && graph->arenas[chunk->arena].kind == LH_REGION_PYMALLOC;
	}
	return false;
}

static void count_elements(const struct holder_search *search, const struct holder_place *place, struct lh_holder *ret)
{
	const struct lh_holders *holders = search->holders;
	bool is_direct = holds_directly(search, place, ret->element_bytes);
	for (uint32_t number = place->number; number <= holders->node_count; number++) {
		if (!lh_bit(search->inside, number) || lh_holders_size(holders, number) != ret->element_bytes ||
		    lh_holders_is_root(holders, number) || (is_direct && holders->dominator[number] != place->number))
			continue;
		bool is_new = search->is_new && lh_bit(search->is_new, number);
		if (!ret->element_addr || (is_new && !ret->grown_count))
			ret->element_addr = holders->graph->chunks[holders->chunk[number]].addr;
		ret->element_count++;
		ret->grown_count += is_new;
	}
}

/* Elements that the node itself points to. */
static uint64_t count_direct(const struct holder_search *search, uint32_t number, uint64_t element_bytes)
{
	const struct lh_holders *holders = search->holders;
	uint64_t count = 0;
	for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++) {
		uint32_t target = holders->to[i];
		count += lh_holders_size(holders, target) == element_bytes && lh_bit(search->inside, target);
	}
	return count;
}

/* Elements that blocks to which the node points point to. */
static uint64_t count_in_tables(const struct holder_search *search, uint32_t number, uint64_t element_bytes)
{
	const struct lh_holders *holders = search->holders;
	uint64_t count = 0;
	for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++) {
		uint32_t target = holders->to[i];
		if (lh_bit(search->inside, target))
			count += count_direct(search, target, element_bytes);
	}
	return count;
}

/* Whether a block beside the elements points to many of them, as a table of buckets does. */
static bool is_bucket_table(const struct holder_search *search, uint32_t number, const struct lh_holder *holder)
{
	return lh_holders_size(search->holders, number) != holder->element_bytes && lh_bit(search->inside, number) &&
	       count_direct(search, number, holder->element_bytes) * 8 >= holder->element_count;
}

/* Whether the node leads to a table of buckets, directly or via one block, such as the header of a table. */
static bool has_bucket_table(const struct holder_search *search, uint32_t number, const struct lh_holder *holder)
{
	const struct lh_holders *holders = search->holders;
	for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++) {
		uint32_t target = holders->to[i];
		if (is_bucket_table(search, target, holder))
			return true;
		if (lh_holders_size(holders, target) == holder->element_bytes || !lh_bit(search->inside, target))
			continue;
		for (uint32_t j = holders->first[target]; j < holders->first[target + 1]; j++) {
			if (is_bucket_table(search, holders->to[j], holder))
				return true;
		}
	}
	return false;
}

/* Whether an element a few levels below has two heavy children of its own size: those next to the root may have one. */
static bool branches_below(const struct holder_search *search, uint32_t number, uint64_t element_bytes)
{
	enum { LEVELS = 4 };
	for (size_t level = 0; level < LEVELS; level++) {
		number = search->best[number];
		if (!number || lh_holders_size(search->holders, number) != element_bytes)
			return false;
		if (begins_tree(search, number))
			return true;
	}
	return false;
}

static enum lh_holder_shape find_shape(const struct holder_search *search, const struct holder_place *place,
				       const struct lh_holder *holder)
{
	uint64_t direct = count_direct(search, place->number, holder->element_bytes);
	if (!direct)
		direct = count_in_tables(search, place->number, holder->element_bytes);
	if (holder->element_count < ELEMENTS_MIN)
		return LH_HOLDER_BLOCK;
	if (place->is_chain)
		return has_bucket_table(search, place->number, holder) ? LH_HOLDER_HASH : LH_HOLDER_LIST;
	if (place->is_tree || branches_below(search, place->number, holder->element_bytes))
		return LH_HOLDER_TREE;
	if (direct * 100 >= holder->element_count * 87)
		return LH_HOLDER_ARRAY;
	if (direct * 64 >= holder->element_count || has_bucket_table(search, place->number, holder))
		return LH_HOLDER_HASH;
	return LH_HOLDER_LIST;
}

/* ---------------------------------------------------------------- roots */

/*
 * The root group above a node. If several groups lead to the node: the first one, since the walk numbers a group, then
 * everything it finds from there, then the next group.
 */
static const struct lh_root_group *find_group_above(const struct lh_holders *holders, uint32_t number,
						    bool *ret_is_shared)
{
	while (holders->dominator[number])
		number = holders->dominator[number];
	*ret_is_shared = !lh_holders_is_root(holders, number);
	while (number > 1 && !lh_holders_is_root(holders, number))
		number--;
	return &holders->groups.items[holders->chunk[number] - holders->graph->chunk_count];
}

static struct lh_error *name_root(struct holder_search *search, uint32_t number, struct lh_holder *ret)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	const struct lh_root_group *group = find_group_above(search->holders, number, &ret->is_shared);
	ret->root_addr = group->addr;
	LH_TRY(lh_python_name(search->holders, number, &name));
	if (name.length)
		ret->is_shared = false;
	else
		lh_root_name(search->holders->graph, search->symbols, group->addr, group->range, &name,
			     &ret->is_library);
	LH_TRY(lh_buffer_status(&name));
	return lh_strings_pool_add(&search->list->strings, name.data, name.length, &ret->root);
}

/* A root group and every block that the walk reached first from it have consecutive numbers. */
static uint32_t find_main_root(const struct holder_search *search, uint64_t *ret_bytes)
{
	const struct lh_holders *holders = search->holders;
	uint32_t group = 0, main = 0;
	uint64_t bytes = 0;
	*ret_bytes = 0;
	for (uint32_t number = 1; number <= holders->node_count; number++) {
		if (lh_holders_is_root(holders, number)) {
			group = number;
			bytes = 0;
		} else if (!search->is_new || lh_bit(search->is_new, number)) {
			search->list->all_count++;
			search->list->all_bytes += lh_holders_size(holders, number);
			bytes += lh_holders_size(holders, number);
		}
		if (bytes > *ret_bytes) {
			*ret_bytes = bytes;
			main = group;
		}
	}
	return main;
}

static struct lh_error *take_main_root(struct holder_search *search)
{
	struct lh_buffer name LH_CLEANUP(lh_buffer_deinit) = {0};
	bool is_library;
	search->list->main_root = "";
	uint32_t number = find_main_root(search, &search->list->main_root_bytes);
	if (!number)
		return NULL;
	const struct lh_holders *holders = search->holders;
	const struct lh_root_group *group =
		&holders->groups.items[holders->chunk[number] - holders->graph->chunk_count];
	lh_root_name(holders->graph, search->symbols, group->addr, group->range, &name, &is_library);
	LH_TRY(lh_buffer_status(&name));
	return lh_strings_pool_add(&search->list->strings, name.data, name.length, &search->list->main_root);
}

static struct lh_error *describe_place(struct holder_search *search, const struct holder_place *place)
{
	const struct lh_holders *holders = search->holders;
	bool is_root = lh_holders_is_root(holders, place->number);
	struct lh_holder holder = {
		.addr = is_root ? 0 : holders->graph->chunks[holders->chunk[place->number]].addr,
		.name = "",
		.element_name = "",
		.element_basis = LH_GROUP_SIZE,
		.retained_count = holders->retained_count[place->number],
		.retained_bytes = holders->retained_bytes[place->number],
		.grown_bytes = search->is_new ? place->weight : 0,
	};
	holder.element_bytes = find_element_size(search, place);
	if (holder.element_bytes)
		count_elements(search, place, &holder);
	holder.shape = find_shape(search, place, &holder);
	LH_TRY(name_root(search, place->number, &holder));
	return lh_vec_push(&search->list->items, holder);
}

/* ---------------------------------------------------------------- names of blocks */

struct name_search {
	struct lh_holder_list *list;
	const struct lh_heap *heap;
	size_t *rows; /* two per holder: its block, its element; SIZE_MAX: none */
};

static struct lh_error *take_name_row(void *context, size_t index, const struct lh_heap_chunk *chunk, size_t row)
{
	(void)index;
	struct name_search *search = context;
	for (size_t i = 0; i < search->list->items.count; i++) {
		if (search->list->items.items[i].addr == chunk->addr)
			search->rows[2 * i] = row;
		if (search->list->items.items[i].element_addr == chunk->addr)
			search->rows[2 * i + 1] = row;
	}
	return NULL;
}

static void choose_block(const struct name_search *search, uint64_t addr, uint64_t *chosen)
{
	size_t index;
	if (addr && lh_heap_find_chunk(search->heap, addr, &index))
		lh_bit_set(chosen, index);
}

static struct lh_error *take_row_name(struct name_search *search, const struct lh_heap_groups *groups, size_t row,
				      const char **ret, enum lh_group_basis *ret_basis)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (row == SIZE_MAX || groups->rows.items[row].basis == LH_GROUP_SIZE)
		return NULL;
	const struct lh_heap_group *group = &groups->rows.items[row];
	*ret_basis = group->basis;
	lh_buffer_printf(&text, "%s%s", group->kind, *group->kind ? " " : "");
	lh_buffer_puts(&text, group->name);
	LH_TRY(lh_buffer_status(&text));
	return lh_strings_pool_add(&search->list->strings, text.data, text.length, ret);
}

static struct lh_error *name_blocks(struct holder_search *holder_search, struct name_search *search)
{
	struct lh_heap_groups groups LH_CLEANUP(lh_heap_groups_deinit) = {0};
	LH_CLEANUP(lh_cleanup_free)
	uint64_t *chosen = lh_bits_create(lh_heap_chunk_count(search->heap));
	if (!chosen)
		return lh_error_no_memory();
	for (size_t i = 0; i < search->list->items.count; i++) {
		search->rows[2 * i] = search->rows[2 * i + 1] = SIZE_MAX;
		choose_block(search, search->list->items.items[i].addr, chosen);
		choose_block(search, search->list->items.items[i].element_addr, chosen);
	}
	LH_TRY(lh_heap_group_chosen(holder_search->image, holder_search->symbols, search->heap, chosen, take_name_row,
				    search, &groups));
	for (size_t i = 0; i < search->list->items.count; i++) {
		struct lh_holder *holder = &search->list->items.items[i];
		enum lh_group_basis basis;
		LH_TRY(take_row_name(search, &groups, search->rows[2 * i], &holder->name, &basis));
		LH_TRY(take_row_name(search, &groups, search->rows[2 * i + 1], &holder->element_name,
				     &holder->element_basis));
		if (strncmp(holder->name, "Python dict", 11) == 0 || strncmp(holder->name, "Python set", 10) == 0)
			holder->shape = LH_HOLDER_HASH;
	}
	return NULL;
}

static struct lh_error *name_all_blocks(struct holder_search *search)
{
	struct name_search names = {.list = search->list, .heap = search->holders->graph->heap};
	if (!search->list->items.count || !search->symbols)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) size_t *rows = calloc(search->list->items.count, 2 * sizeof(*rows));
	if (!rows)
		return lh_error_no_memory();
	names.rows = rows;
	return name_blocks(search, &names);
}

/* ---------------------------------------------------------------- all of it */

static struct lh_error *search_holders(struct holder_search *search, size_t most)
{
	size_t count = search->holders->node_count + 1;
	search->list->edges_cpu_ns = search->holders->edges_cpu_ns;
	search->list->dominators_cpu_ns = search->holders->dominators_cpu_ns;
	search->list->memory_bytes = search->holders->memory_bytes;
	search->weight = calloc(count, sizeof(*search->weight));
	search->heaviest = calloc(count, sizeof(*search->heaviest));
	search->best = calloc(count, sizeof(*search->best));
	search->second = calloc(count, sizeof(*search->second));
	search->inside = lh_bits_create(count);
	search->is_new = search->earlier ? lh_bits_create(count) : NULL;
	if (!search->weight || !search->heaviest || !search->best || !search->second || !search->inside ||
	    (search->earlier && !search->is_new))
		return lh_error_no_memory();
	if (search->earlier)
		find_new_blocks(search);
	weigh_nodes(search);
	LH_TRY(take_main_root(search));
	LH_TRY(find_places(search));
	if (search->places.count)
		qsort(search->places.items, search->places.count, sizeof(*search->places.items),
		      compare_places_by_weight);
	for (size_t i = 0; i < search->places.count && i < lh_min_u64(most, PLACES_MAX); i++)
		LH_TRY(describe_place(search, &search->places.items[i]));
	return name_all_blocks(search);
}

struct lh_error *lh_graph_find_holders(struct lh_image *image, struct lh_symbols *symbols, const struct lh_graph *graph,
				       const struct lh_graph *earlier, size_t most, struct lh_holder_list *ret)
{
	struct lh_holders holders LH_CLEANUP(lh_holders_deinit) = {.skips_collector = true};
	LH_TRY(lh_holders_init(graph, symbols, &holders));
	LH_CLEANUP(lh_cleanup_free) struct holder_search *search = calloc(1, sizeof(*search));
	if (!search)
		return lh_error_no_memory();
	search->image = image;
	search->symbols = symbols;
	search->holders = &holders;
	search->earlier = earlier;
	search->list = ret;
	struct lh_error *error = search_holders(search, most);
	free(search->weight);
	free(search->heaviest);
	free(search->best);
	free(search->second);
	free(search->inside);
	free(search->is_new);
	lh_vec_deinit(&search->places);
	return error;
}
