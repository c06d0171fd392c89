/*
 * cxx_storage: blocks of C++ strings and containers, which have no type information. Input: places where a header may
 * be (cxx_shapes.c). Output: texts, arrays and nodes that headers own, each block once, and where the elements of
 * vectors end (cxx_elements.c). Programs that do not use the C++ library have none.
 *
 * Self-check: what a header points to are blocks in use that begin there, as long as the capacity says; nodes are of
 * one size and point back; the header lies in no freed block. A block that two headers claim is a string's before it is
 * a vector's.
 */
#include "cxx_storage.h"
#include "cxx_elements.h"
#include "cxx_shapes.h"
#include "leakhunt/bits.h"

#include <stdlib.h>
#include <string.h>

enum {
	NODES_CHECKED = 64, /* of a container; the others are only told one by one */
	LIST_MIN_IN_C = 16,
	NODE_WORDS = 4,
	DEQUE_WORDS = 10,
	PIECE_MIN_BYTES = 256, /* of a deque: 512, less what does not fit */
};

enum cxx_owner {
	CXX_NO_OWNER,
	CXX_STRING_TEXT,
	CXX_LIST_NODE,
	CXX_HASH_NODE,
	CXX_HASH_BUCKETS,
	CXX_TREE_NODE,
	CXX_DEQUE_MAP,
	CXX_DEQUE_PIECE,
	CXX_VECTOR_ARRAY,
	CXX_IN_CHAIN,
};

static const char *const owner_names[] = {
	[CXX_STRING_TEXT] = "std::string text",          [CXX_LIST_NODE] = "std::list node",
	[CXX_HASH_NODE] = "std::unordered_map/set node", [CXX_HASH_BUCKETS] = "std::unordered_map/set buckets",
	[CXX_TREE_NODE] = "std::map/set node",           [CXX_DEQUE_MAP] = "std::deque map",
	[CXX_DEQUE_PIECE] = "std::deque piece",          [CXX_VECTOR_ARRAY] = "std::vector array",
};

/* The first node of a container stands for all of them: CXX_IN_CHAIN. */
struct cxx_chain {
	size_t block;
	uint64_t count;
	enum cxx_owner owner;
};

struct lh_cxx_storage {
	uint8_t *owners; /* enum cxx_owner, for each block of the heap */
	size_t block_count;
	LH_VEC(struct cxx_chain) chains;
	struct lh_cxx_elements elements;
};

struct cxx_search {
	const struct lh_family_end *end;
	const struct lh_stored_chunk *chunks;
	size_t chunk_count;
	size_t behind;     /* blocks that begin before the latest place, or at it */
	uint64_t *vectors; /* a bit for each block that a vector may own */
	bool is_cxx_program;
	struct lh_cxx_storage *storage;
};

/* A container's nodes: all alike. */
struct cxx_nodes {
	enum cxx_owner owner;
	uint64_t first;
	uint64_t count;
	uint64_t block_bytes; /* usable */
};

static void cleanup_cxx_search(struct cxx_search *search)
{
	free(search->vectors);
	lh_cxx_storage_destroy(search->storage);
}

/* ---------------------------------------------------------------- blocks */

static bool read_cxx_words(const struct cxx_search *search, uint64_t addr, uint64_t *ret, size_t count)
{
	return addr % 8 == 0 && lh_image_read(search->end->image, addr, ret, 8 * count) == 8 * count;
}

/* The block in use that begins at `addr`, of an allocator that knows no types. */
static bool find_used_block(const struct cxx_search *search, uint64_t addr, size_t *ret)
{
	const struct lh_heap_type *type;
	return lh_heap_find_chunk(search->end->heap, addr, ret) && search->chunks[*ret].addr == addr &&
	       search->chunks[*ret].state == LH_CHUNK_USED && !lh_heap_chunk_type(search->end->heap, *ret, &type);
}

/* Whether malloc gives a block of that size to who asks for `wanted`: classes of other mallocs are 25 % apart. */
static bool fits_block(uint64_t block_bytes, uint64_t wanted)
{
	enum { SLACK_MAX = 23 };
	return wanted && wanted <= block_bytes && block_bytes - wanted <= SLACK_MAX + wanted / 4;
}

static bool find_array(const struct cxx_search *search, uint64_t addr, uint64_t wanted, size_t *ret)
{
	return find_used_block(search, addr, ret) && fits_block(search->chunks[*ret].size_bytes, wanted);
}

static bool is_owned(const struct cxx_search *search, size_t index)
{
	return search->storage->owners[index] != CXX_NO_OWNER;
}

static struct lh_error *own_blocks(struct cxx_search *search, enum cxx_owner owner, size_t index, uint64_t count)
{
	if (is_owned(search, index))
		return NULL;
	search->storage->owners[index] = (uint8_t)(count > 1 ? CXX_IN_CHAIN : owner);
	return count > 1 ? lh_vec_push(&search->storage->chains, ((struct cxx_chain){index, count, owner})) : NULL;
}

/* ---------------------------------------------------------------- nodes */

/* A malloc that has no room to split 16 bytes off leaves them in the block. */
static bool begins_node(const struct cxx_search *search, const struct cxx_nodes *nodes, uint64_t addr, size_t *ret)
{
	enum { UNSPLIT = 16 };
	return find_used_block(search, addr, ret) &&
	       search->chunks[*ret].size_bytes - nodes->block_bytes + UNSPLIT <= UINT64_C(2) * UNSPLIT;
}

static bool init_nodes(const struct cxx_search *search, enum cxx_owner owner, uint64_t first, uint64_t count,
		       struct cxx_nodes *ret)
{
	size_t index;
	if (!find_used_block(search, first, &index) || is_owned(search, index) || count > search->chunk_count)
		return false;
	*ret = (struct cxx_nodes){owner, first, count, search->chunks[index].size_bytes};
	return true;
}

/* Follows `next`, at that word of each node; false when a node is none, or there are fewer than it should be. */
static bool follow_nodes(const struct cxx_search *search, const struct cxx_nodes *nodes, size_t next, uint64_t end)
{
	uint64_t addr = nodes->first, words[NODE_WORDS];
	uint64_t count = lh_min_u64(nodes->count, NODES_CHECKED);
	for (uint64_t i = 0; i < count; i++) {
		size_t index;
		if (!begins_node(search, nodes, addr, &index) || !read_cxx_words(search, addr, words, next + 1))
			return false;
		addr = words[next];
	}
	return count < nodes->count ? addr != end : addr == end;
}

/* Of a chain each node is told; where nobody asks for them, the first one stands for all. */
static struct lh_error *claim_chain(struct cxx_search *search, const struct cxx_nodes *nodes, size_t next)
{
	uint64_t addr = nodes->first, words[NODE_WORDS];
	size_t index;
	bool is_each = search->end->options->found;
	for (uint64_t i = 0; i < (is_each ? nodes->count : 1); i++) {
		if (!begins_node(search, nodes, addr, &index) || is_owned(search, index) ||
		    !read_cxx_words(search, addr, words, next + 1))
			return NULL;
		LH_TRY(own_blocks(search, nodes->owner, index, is_each ? 1 : nodes->count));
		addr = words[next];
	}
	return NULL;
}

/* ---------------------------------------------------------------- lists and hash tables */

/*
 * {next, previous}, in either order: each node points back. A node is not taken for the header. Programs of C have such
 * lists, too, and small numbers behind their headers: haproxy 1 or 2. There, short lists are not taken for C++.
 */
static struct lh_error *take_list(struct cxx_search *search, uint64_t addr)
{
	uint64_t header[3], back[2];
	struct cxx_nodes nodes;
	size_t own;
	if (!read_cxx_words(search, addr, header, 3) || (header[2] < LIST_MIN_IN_C && !search->is_cxx_program) ||
	    !init_nodes(search, CXX_LIST_NODE, header[0], header[2], &nodes) ||
	    begins_node(search, &nodes, addr, &own) || !read_cxx_words(search, header[0], back, 2) || back[1] != addr ||
	    !read_cxx_words(search, header[1], back, 2) || back[0] != addr || !follow_nodes(search, &nodes, 0, addr))
		return NULL;
	return claim_chain(search, &nodes, 0);
}

static struct lh_error *take_hash_table(struct cxx_search *search, uint64_t addr)
{
	uint64_t header[4]; /* buckets, their number, first node, count */
	struct cxx_nodes nodes;
	size_t buckets;
	if (!read_cxx_words(search, addr, header, 4) || header[3] > header[1] || header[1] > search->chunk_count * 64 ||
	    !find_array(search, header[0], 8 * header[1], &buckets) ||
	    !init_nodes(search, CXX_HASH_NODE, header[2], header[3], &nodes) || !follow_nodes(search, &nodes, 0, 0))
		return NULL;
	LH_TRY(own_blocks(search, CXX_HASH_BUCKETS, buckets, 1));
	return claim_chain(search, &nodes, 0);
}

/* ---------------------------------------------------------------- trees */

/* Where a node of either library has its links. */
struct tree_layout {
	size_t left, right, parent;
};

static const struct tree_layout tree_layouts[] = {
	{.parent = 1, .left = 2, .right = 3}, /* libstdc++: {color, parent, left, right} */
	{.left = 0, .right = 1, .parent = 2}, /* libc++ */
};

static bool is_tree_child(const struct cxx_search *search, const struct cxx_nodes *nodes,
			  const struct tree_layout *layout, uint64_t addr, uint64_t parent)
{
	uint64_t words[NODE_WORDS];
	size_t index;
	return begins_node(search, nodes, addr, &index) && read_cxx_words(search, addr, words, NODE_WORDS) &&
	       words[layout->parent] == parent;
}

/* Each node of the tree, from the root on. A tree that points into itself ends with its count. */
static struct lh_error *claim_tree(struct cxx_search *search, const struct cxx_nodes *nodes,
				   const struct tree_layout *layout)
{
	LH_VEC(uint64_t) left = {0};
	uint64_t words[NODE_WORDS], told = 0;
	size_t index;
	struct lh_error *error = lh_vec_push(&left, nodes->first);
	while (!error && left.count && told < nodes->count) {
		uint64_t addr = left.items[--left.count];
		if (!begins_node(search, nodes, addr, &index) || is_owned(search, index) ||
		    !read_cxx_words(search, addr, words, NODE_WORDS))
			continue;
		told++;
		error = own_blocks(search, nodes->owner, index, 1);
		if (!error && words[layout->left])
			error = lh_vec_push(&left, words[layout->left]);
		if (!error && words[layout->right])
			error = lh_vec_push(&left, words[layout->right]);
	}
	lh_vec_deinit(&left);
	return error;
}

/* The root's parent is the header, the leftmost node has nothing on its left. */
static struct lh_error *take_tree(struct cxx_search *search, uint64_t header, uint64_t root, uint64_t leftmost,
				  uint64_t count, const struct tree_layout *layout)
{
	uint64_t words[NODE_WORDS], child;
	struct cxx_nodes nodes;
	size_t index;
	if (!init_nodes(search, CXX_TREE_NODE, root, count, &nodes) ||
	    !is_tree_child(search, &nodes, layout, root, header) || !begins_node(search, &nodes, leftmost, &index) ||
	    !read_cxx_words(search, leftmost, words, NODE_WORDS) || words[layout->left] ||
	    (leftmost == root) != (words[layout->parent] == header) || !read_cxx_words(search, root, words, NODE_WORDS))
		return NULL;
	bool has_child = words[layout->left] || words[layout->right];
	child = words[layout->left] ? words[layout->left] : words[layout->right];
	if (has_child != (count > 1) || (has_child && !is_tree_child(search, &nodes, layout, child, root)))
		return NULL;
	if (search->end->options->found)
		return claim_tree(search, &nodes, layout);
	return find_used_block(search, root, &index) ? own_blocks(search, nodes.owner, index, count) : NULL;
}

/* The color of a header is red, 0; that of a root black. */
static struct lh_error *take_gnu_tree(struct cxx_search *search, uint64_t addr)
{
	uint64_t header[4], color;
	if (!read_cxx_words(search, addr, header, 4) || !read_cxx_words(search, header[0], &color, 1) ||
	    (uint32_t)color != 1)
		return NULL;
	return take_tree(search, addr - 8, header[0], header[1], header[3], &tree_layouts[0]);
}

static struct lh_error *take_llvm_tree(struct cxx_search *search, uint64_t addr)
{
	uint64_t header[3], color;
	if (!read_cxx_words(search, addr, header, 3) || !read_cxx_words(search, header[1] + 24, &color, 1) ||
	    (uint8_t)color != 1)
		return NULL;
	return take_tree(search, addr + 8, header[1], header[0], header[2], &tree_layouts[1]);
}

/* ---------------------------------------------------------------- strings, vectors, deques */

static bool is_text_ended(const struct cxx_search *search, uint64_t addr, uint64_t length)
{
	uint8_t end;
	return lh_image_read(search->end->image, addr + length, &end, 1) == 1 && !end;
}

/* The block that begins at or before the latest place, and reaches behind it; NULL: a variable. */
static const struct lh_stored_chunk *find_place_block(const struct cxx_search *search, uint64_t addr)
{
	const struct lh_stored_chunk *chunk = search->behind ? &search->chunks[search->behind - 1] : NULL;
	return chunk && addr - chunk->addr < chunk->size_bytes ? chunk : NULL;
}

/* Pieces of memory that a program divides itself are {next piece, bytes left, size}: they begin with a pointer, too. */
static bool begins_with_block(const struct cxx_search *search, uint64_t text)
{
	uint64_t word;
	size_t index;
	return read_cxx_words(search, text, &word, 1) && find_used_block(search, word, &index);
}

/*
 * {text, size, capacity, what is left of the buffer for short texts}. An array with three equal numbers is none: V8
 * keeps the length, greatest length and capacity of a buffer.
 */
static bool is_gnu_string(const struct cxx_search *search, uint64_t addr, const uint64_t words[4], size_t *ret)
{
	enum { STRING_BYTES = 32 };
	const struct lh_stored_chunk *block = find_place_block(search, addr);
	bool is_buffer = words[1] == words[2] && words[2] == words[3];
	return words[1] <= words[2] && !is_buffer && find_array(search, words[0], words[2] + 1, ret) &&
	       is_text_ended(search, words[0], words[1]) &&
	       (!block || addr + STRING_BYTES <= block->addr + block->size_bytes) &&
	       !begins_with_block(search, words[0]);
}

/* {capacity | 1, size, text}. glibc's malloc has a size | 1 in front of a block that begins with {number, pointer}. */
static bool is_llvm_string(const struct cxx_search *search, uint64_t addr, const uint64_t words[3], size_t *ret)
{
	const struct lh_stored_chunk *block = find_place_block(search, addr);
	return (words[0] & 15) == 1 && words[1] < words[0] && find_array(search, words[2], words[0] - 1, ret) &&
	       is_text_ended(search, words[2], words[1]) && (!block || block->addr + 16 <= addr) &&
	       !begins_with_block(search, words[2]);
}

static struct lh_error *take_cxx_string(struct cxx_search *search, uint64_t addr)
{
	uint64_t words[6] = {0}; /* capacity | 1 and size of libc++, text, size, capacity and rest of libstdc++ */
	size_t index;
	if (!read_cxx_words(search, addr - 16, words, 5))
		return NULL;
	read_cxx_words(search, addr + 24, words + 5, 1);
	bool is_gnu = is_gnu_string(search, addr, words + 2, &index);
	bool is_llvm = !is_gnu && is_llvm_string(search, addr, words, &index);
	return is_gnu || is_llvm ? own_blocks(search, CXX_STRING_TEXT, index, 1) : NULL;
}

static struct lh_error *note_vector(struct cxx_search *search, uint64_t addr)
{
	uint64_t header[3]; /* begin, end, end of storage */
	size_t index;
	if (!read_cxx_words(search, addr, header, 3) || !find_array(search, header[0], header[2] - header[0], &index))
		return NULL;
	lh_bit_set(search->vectors, index);
	return lh_cxx_elements_note(&search->storage->elements, index, addr);
}

static struct lh_error *take_deque(struct cxx_search *search, uint64_t addr)
{
	uint64_t words[DEQUE_WORDS], first, last;
	const uint64_t *map = words, *start = words + 2, *finish = words + 6; /* {current, first, last, node} */
	size_t index, piece;
	if (!read_cxx_words(search, addr, words, DEQUE_WORDS) || start[3] > finish[3] || start[3] < map[0] ||
	    finish[3] >= map[0] + 8 * map[1] || !find_array(search, map[0], 8 * map[1], &index) ||
	    !read_cxx_words(search, start[3], &first, 1) || first != start[1] ||
	    !read_cxx_words(search, finish[3], &last, 1) || last != finish[1] ||
	    start[0] - start[1] > start[2] - start[1] || finish[0] - finish[1] > finish[2] - finish[1] ||
	    start[2] - start[1] != finish[2] - finish[1] || start[2] - start[1] < PIECE_MIN_BYTES ||
	    !find_array(search, first, start[2] - start[1], &piece))
		return NULL;
	if (is_owned(search, index))
		return NULL;
	LH_TRY(own_blocks(search, CXX_DEQUE_MAP, index, 1));
	for (uint64_t node = start[3]; node <= finish[3]; node += 8) {
		if (read_cxx_words(search, node, &first, 1) && find_array(search, first, start[2] - start[1], &piece))
			LH_TRY(own_blocks(search, CXX_DEQUE_PIECE, piece, 1));
	}
	return NULL;
}

/* ---------------------------------------------------------------- all of them */

/* Places come in ascending order: nothing need be searched. */
static bool is_in_freed_block(struct cxx_search *search, uint64_t addr)
{
	while (search->behind < search->chunk_count && search->chunks[search->behind].addr <= addr)
		search->behind++;
	const struct lh_stored_chunk *block = find_place_block(search, addr);
	return block && block->state != LH_CHUNK_USED;
}

static struct lh_error *take_cxx_place(void *context, const struct lh_cxx_place *place)
{
	struct cxx_search *search = context;
	if (is_in_freed_block(search, place->addr))
		return NULL;
	switch (place->shape) {
	case LH_CXX_STRING:
		return take_cxx_string(search, place->addr);
	case LH_CXX_LIST:
		return take_list(search, place->addr);
	case LH_CXX_TREE:
		return take_gnu_tree(search, place->addr);
	case LH_CXX_TREE_B:
		return take_llvm_tree(search, place->addr);
	case LH_CXX_HASH:
		return take_hash_table(search, place->addr);
	case LH_CXX_DEQUE:
		return take_deque(search, place->addr);
	default:
		return note_vector(search, place->addr);
	}
}

static void own_vectors(struct cxx_search *search)
{
	for (size_t i = 0; i < search->chunk_count; i++) {
		if (lh_bit(search->vectors, i) && !is_owned(search, i))
			search->storage->owners[i] = CXX_VECTOR_ARRAY;
	}
}

/* Memory of the mallocs, without runtimes. */
static struct lh_error *find_heap_ranges(const struct lh_heap *heap, struct lh_word_ranges *ret)
{
	LH_VEC(struct lh_range) ranges = {0};
	size_t count;
	const struct lh_heap_arena *arenas = lh_heap_arenas(heap, &count);
	struct lh_error *error = NULL;
	for (size_t i = 0; i < count && !error; i++) {
		for (size_t k = 0; k < arenas[i].range_count && !arenas[i].is_typed && !error; k++)
			error = lh_vec_push(&ranges, arenas[i].ranges[k]);
	}
	if (!error) {
		lh_vec_sort(&ranges, lh_compare_range_starts);
		*ret = lh_word_ranges_over(ranges.items, ranges.count);
	}
	lh_vec_deinit(&ranges);
	return error;
}

static bool is_cxx_library(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	return strncmp(name, "libstdc++.so", strlen("libstdc++.so")) == 0 ||
	       strncmp(name, "libc++.so", strlen("libc++.so")) == 0;
}

/*
 * Mallocs with an operator new of their own bring the library into programs of C. libc lists what the library wants
 * called at exit.
 */
static bool is_beside_cxx(const char *path)
{
	static const char *const names[] = {"libjemalloc", "libtcmalloc", "libmimalloc", "libc.so", "libc-", "ld-"};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	for (size_t i = 0; i < LH_ARRAY_COUNT(names); i++) {
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

struct cxx_use {
	const struct lh_module_list *modules;
	const struct lh_module *program; /* NULL: not known */
	bool is_used;
	bool is_program; /* it uses the library itself */
};

/* A slot of a module that holds a function or a table of the C++ library. */
static struct lh_error *find_cxx_slot(void *context, const struct lh_module_data *data)
{
	struct cxx_use *use = context;
	const struct lh_module *owner = lh_module_list_find(use->modules, data->addr);
	bool is_program = owner && owner == use->program, is_found = false;
	if (!owner || (use->is_used && (use->is_program || !is_program)) || is_cxx_library(owner->path) ||
	    is_beside_cxx(owner->path))
		return NULL;
	for (size_t i = 0; i < use->modules->modules.count && !is_found; i++) {
		const struct lh_module *library = &use->modules->modules.items[i];
		for (size_t k = 0; k < data->count && is_cxx_library(library->path) && !is_found; k++)
			is_found = data->words[k] >= library->start && data->words[k] < library->end;
	}
	use->is_used |= is_found;
	use->is_program |= is_found && is_program;
	return NULL;
}

/* A program that is not known may be of C++. */
static struct lh_error *find_cxx_use(const struct lh_family_end *end, struct cxx_use *ret)
{
	struct cxx_use use = {
		.modules = lh_image_modules(end->image),
		.program = lh_image_program(end->image),
		.is_used = end->has_cxx_classes,
		.is_program = end->has_program_classes,
	};
	struct lh_family_setup setup = {.image = end->image, .symbols = end->symbols, .sink = end->sink};
	use.is_program |= !use.program;
	if (!use.is_used || !use.is_program)
		LH_TRY(lh_family_visit_module_data(&setup, find_cxx_slot, &use));
	*ret = use;
	return NULL;
}

struct lh_error *lh_cxx_storage_find(const struct lh_family_end *end, struct lh_cxx_storage **ret)
{
	struct lh_word_ranges ranges;
	LH_CLEANUP(cleanup_cxx_search) struct cxx_search search = {.end = end};
	struct cxx_use use = {0};
	if (end->heap)
		LH_TRY(find_cxx_use(end, &use));
	*ret = NULL;
	if (!use.is_used)
		return NULL;
	search.is_cxx_program = use.is_program;
	search.chunks = lh_heap_stored_chunks(end->heap, &search.chunk_count);
	search.vectors = lh_bits_create(search.chunk_count);
	search.storage = calloc(1, sizeof(*search.storage));
	if (!search.vectors || !search.storage)
		return lh_error_no_memory();
	search.storage->owners = calloc(search.chunk_count + 1, 1);
	if (!search.storage->owners)
		return lh_error_no_memory();
	search.storage->block_count = search.chunk_count;
	search.storage->elements =
		(struct lh_cxx_elements){.image = end->image, .heap = end->heap, .types = end->types};
	LH_TRY(find_heap_ranges(end->heap, &ranges));
	LH_TRY(lh_cxx_find_places(end, &ranges, take_cxx_place, &search));
	own_vectors(&search);
	lh_cxx_elements_sort(&search.storage->elements);
	*ret = search.storage;
	search.storage = NULL;
	return NULL;
}

void lh_cxx_storage_destroy(struct lh_cxx_storage *storage)
{
	if (!storage)
		return;
	free(storage->owners);
	lh_vec_deinit(&storage->chains);
	lh_cxx_elements_deinit(&storage->elements);
	free(storage);
}

bool lh_cxx_storage_is_past_elements(struct lh_cxx_storage *storage, size_t block, uint64_t addr)
{
	return storage->owners[block] == CXX_VECTOR_ARRAY && addr >= lh_cxx_elements_end(&storage->elements, block);
}

struct lh_error *lh_cxx_storage_visit(const struct lh_cxx_storage *storage, lh_cxx_owned_visitor *visit, void *context)
{
	for (size_t i = 0; i < storage->chains.count; i++) {
		const struct cxx_chain *chain = &storage->chains.items[i];
		LH_TRY(visit(context, owner_names[chain->owner], chain->block, chain->count));
	}
	for (size_t i = 0; i < storage->block_count; i++) {
		if (storage->owners[i] != CXX_NO_OWNER && storage->owners[i] != CXX_IN_CHAIN)
			LH_TRY(visit(context, owner_names[storage->owners[i]], i, 1));
	}
	return NULL;
}
