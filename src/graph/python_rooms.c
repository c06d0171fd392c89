/*
 * python_rooms: where pointers end in blocks of CPython. Input: a marked graph. Output: blocks that begin with
 * pointers and go on with words that hold nothing, and where these begin. A list reserves more room than it has items,
 * and keeps the room of removed items for a while (Objects/listobject.c, list_resize): there are former items, or what
 * a former owner of the memory left. Texts of str and bytes hold nothing, nor does what follows them: the 8 KiB that a
 * file reads into are a bytes object, of which most was never written.
 *
 * CPython 3.8 to 3.13. PyListObject: {references, type@8, size@16, items@24, allocated@32}, behind the collector's 16
 * bytes, and in subclasses, from 3.11 on, 16 bytes of {dict, weak references}. PyBytesObject: {references, type@8,
 * size@16, hash, text@32}. PyUnicodeObject: {references, type@8, length@16 ...}, at most 80 bytes with its pointers.
 */
#include "holders.h"

#include "leakhunt/hash_table.h"

enum {
	OBJECT_TYPE = 8,
	OBJECT_SIZE = 16, /* of a list, of bytes; length of a str */
	LIST_ITEMS = 24,
	LIST_ALLOCATED = 32,
	LIST_BYTES = 40,
	BYTES_HEAD = 32,
	STR_HEAD = 80,
	TYPE_FLAGS = 168, /* PyTypeObject.tp_flags */
	FLAG_LIST_BIT = 25,
	FLAG_BYTES_BIT = 27,
	FLAG_STR_BIT = 28,
	FLAG_TYPE_BIT = 31, /* of a metaclass */
};

/* Freed objects that CPython keeps for reuse have no references, or a pointer in their place. */
#define REFERENCES_MAX (UINT64_C(1) << 32)

struct python_type_search {
	const struct lh_graph *graph;
	struct lh_hash_table flags; /* by the type's address: its flags; 0: no type */
	struct lh_python_rooms *ret;
};

/* The flags of the type at `addr`; 0 if it is none: the type of a type is a metaclass. */
static struct lh_error *read_python_type_flags(struct python_type_search *search, uint64_t addr, uint32_t *ret)
{
	struct lh_image *image = search->graph->image;
	uint64_t metatype, flags, meta_flags;
	*ret = 0;
	if (addr < LH_PAGE_BYTES || addr >> LH_GRAPH_ADDRESS_BITS || addr % sizeof(addr) ||
	    lh_hash_table_find(&search->flags, addr, ret))
		return NULL;
	bool is_type = lh_image_read(image, addr + OBJECT_TYPE, &metatype, 8) == 8 &&
		       lh_image_read(image, addr + TYPE_FLAGS, &flags, 8) == 8 &&
		       lh_image_read(image, metatype + TYPE_FLAGS, &meta_flags, 8) == 8 &&
		       meta_flags >> FLAG_TYPE_BIT & 1;
	*ret = is_type ? (uint32_t)flags : 0;
	return lh_hash_table_put(&search->flags, addr, *ret);
}

static struct lh_error *add_room(struct python_type_search *search, uint64_t start, uint32_t chunk)
{
	return lh_vec_push(&search->ret->items, ((struct lh_python_room){start, chunk}));
}

static struct lh_error *take_list_room(struct python_type_search *search, const uint8_t *object)
{
	const struct lh_graph *graph = search->graph;
	uint64_t references = lh_load_u64(object, 0), size = lh_load_u64(object, OBJECT_SIZE);
	uint64_t items = lh_load_u64(object, LIST_ITEMS), allocated = lh_load_u64(object, LIST_ALLOCATED);
	uint32_t flags;
	if (!references || references >= REFERENCES_MAX || size > allocated)
		return NULL;
	uint32_t chunk = lh_graph_find_start(graph, items);
	if (chunk == LH_NO_CHUNK || !lh_graph_is_node(graph, chunk) ||
	    lh_graph_used_bytes(&graph->chunks[chunk]) / sizeof(uint64_t) < allocated)
		return NULL;
	LH_TRY(read_python_type_flags(search, lh_load_u64(object, OBJECT_TYPE), &flags));
	return flags >> FLAG_LIST_BIT & 1 ? add_room(search, items + size * sizeof(uint64_t), chunk) : NULL;
}

static struct lh_error *take_text_room(struct python_type_search *search, uint32_t chunk)
{
	uint64_t addr = search->graph->chunks[chunk].addr, bytes = lh_graph_used_bytes(&search->graph->chunks[chunk]);
	size_t length;
	const uint8_t *object = bytes > STR_HEAD ? lh_graph_view(search->graph, addr, addr + bytes, &length) : NULL;
	if (!object || length < OBJECT_SIZE + sizeof(uint64_t))
		return NULL;
	uint64_t references = lh_load_u64(object, 0), size = lh_load_u64(object, OBJECT_SIZE);
	uint32_t flags;
	if (!references || references >= REFERENCES_MAX || size >= bytes)
		return NULL;
	LH_TRY(read_python_type_flags(search, lh_load_u64(object, OBJECT_TYPE), &flags));
	if (flags >> FLAG_BYTES_BIT & 1)
		return add_room(search, addr + BYTES_HEAD, chunk);
	return flags >> FLAG_STR_BIT & 1 ? add_room(search, addr + STR_HEAD, chunk) : NULL;
}

/* Of two that say where a block's items end, the later end counts. */
static int compare_rooms(const void *a, const void *b)
{
	const struct lh_python_room *left = a, *right = b;
	int order = lh_compare_u64(left->chunk, right->chunk);
	return order ? order : lh_compare_u64(left->start, right->start);
}

static struct lh_error *find_rooms(struct python_type_search *search)
{
	static const uint64_t heads[] = {16, 32};
	const struct lh_graph *graph = search->graph;
	for (size_t i = 0; i < graph->chunk_count; i++) {
		if (!lh_graph_is_node(graph, i))
			continue;
		LH_TRY(take_text_room(search, (uint32_t)i));
		if (graph->arenas[graph->chunks[i].arena].kind != LH_REGION_PYMALLOC)
			continue;
		const uint8_t *bytes = lh_graph_block_bytes(graph, (uint32_t)i);
		for (size_t k = 0; bytes && k < LH_ARRAY_COUNT(heads); k++) {
			if (graph->chunks[i].size_bytes >= heads[k] + LIST_BYTES)
				LH_TRY(take_list_room(search, bytes + heads[k]));
		}
	}
	return NULL;
}

struct lh_error *lh_holders_find_python_rooms(const struct lh_graph *graph, struct lh_python_rooms *ret)
{
	struct python_type_search search = {.graph = graph, .ret = ret};
	if (!lh_graph_has_python(graph))
		return NULL;
	struct lh_error *error = find_rooms(&search);
	lh_hash_table_deinit(&search.flags);
	lh_vec_sort(&ret->items, compare_rooms);
	return error;
}

void lh_python_rooms_deinit(struct lh_python_rooms *rooms)
{
	lh_vec_deinit(&rooms->items);
}
