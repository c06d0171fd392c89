/*
 * python_names: searches from a block backwards, nearest first, for the name of what leads to it. Input: edges. Output:
 * a text. A dict's keys stand before their values, as strings, and a module's dict has a key "__name__"
 * (Objects/dictobject.c, PyDictUnicodeEntry and PyDictKeyEntry). A frame names its code, and an instruction in it,
 * after which locals come in the order of the code's names (Include/internal/pycore_frame.h of CPython 3.11 to 3.13).
 */
#include "python_names.h"

#include <stdlib.h>
#include <string.h>

enum {
	NAME_BYTES_MAX = 80,
	DEPTH_MAX = 8,
	DEPTH_UNSURE_MAX = 4, /* list, values, dict, instance: what a stale pointer may lead to lies behind */
	VISITS_MAX = 4096,
	KEYS_WORDS_MAX = 8192, /* of a module's dict */
	FRAME_WORDS_MAX = 128, /* locals before the one that is asked for, and the frame's head */
	CODE_WORDS_MAX = 32,
	HEAD_WORDS_MAX = 8, /* from the frame's code to its instruction */
	OBJECT_TYPE = 8,    /* PyObject.ob_type */
	TYPE_NAME = 24,     /* PyTypeObject.tp_name */
	STRING_LENGTH = 16, /* PyASCIIObject.length */
	TUPLE_SIZE = 16,    /* PyVarObject.ob_size; items follow */
	INSTRUCTION_TO_LOCALS = 16,
};

struct python_name {
	char text[NAME_BYTES_MAX + 1];
};

struct python_search {
	const struct lh_holders *holders;
	const struct lh_graph *graph;
	LH_VEC(uint32_t) queue; /* numbers that lead to the block, nearest first */
	size_t layer;           /* in queue: where those of the present distance begin */
	uint64_t *seen;         /* a bit by number */
	size_t depth;           /* how far the present layer is from the block */
	bool is_sure;           /* all ways to the block lead through the one that is to be named */
	struct lh_buffer *ret;
};

/* ---------------------------------------------------------------- objects */

static bool read_target_word(const struct lh_graph *graph, uint64_t addr, uint64_t *ret)
{
	return !(addr % sizeof(*ret)) && lh_image_read(graph->image, addr, ret, sizeof(*ret)) == sizeof(*ret);
}

static bool is_identifier(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
		if (!is_letter && !(i && c >= '0' && c <= '9'))
			return false;
	}
	return length > 0;
}

/* A string that may be a name: its letters lie behind its head, which lost a word in 3.12. */
static bool read_identifier(const struct lh_graph *graph, uint64_t addr, struct python_name *ret)
{
	static const uint64_t heads[] = {40, 48};
	uint64_t length;
	char text[NAME_BYTES_MAX + 1];
	if (!addr || !read_target_word(graph, addr + STRING_LENGTH, &length) || !length || length > NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < LH_ARRAY_COUNT(heads); i++) {
		if (lh_image_read(graph->image, addr + heads[i], text, length + 1) != length + 1 || text[length] ||
		    !is_identifier(text, length))
			continue;
		memcpy(ret->text, text, length + 1);
		return true;
	}
	return false;
}

static bool has_type(const struct lh_graph *graph, uint64_t object, const char *name)
{
	uint64_t type, text;
	char bytes[16];
	size_t length = strlen(name) + 1;
	return read_target_word(graph, object + OBJECT_TYPE, &type) &&
	       read_target_word(graph, type + TYPE_NAME, &text) &&
	       lh_image_read(graph->image, text, bytes, length) == length && memcmp(bytes, name, length) == 0;
}

/* ---------------------------------------------------------------- a module's variables */

/* The words of a block, or of its beginning; free them. */
static uint64_t *copy_words(const struct lh_graph *graph, const struct lh_stored_chunk *stored, size_t *ret_count)
{
	size_t count = lh_min_u64(lh_graph_used_bytes(stored) / sizeof(uint64_t), KEYS_WORDS_MAX);
	uint64_t *words = malloc(count * sizeof(*words) + 1);
	if (words)
		*ret_count = lh_image_read(graph->image, stored->addr, words, count * sizeof(*words)) / sizeof(*words);
	return words;
}

/* The value of "__name__" among the entries of a module's dict. */
static bool read_module_name(const struct lh_graph *graph, const uint64_t *words, size_t count, struct python_name *ret)
{
	struct python_name key;
	for (size_t i = 0; i + 1 < count; i++) {
		if (words[i] && read_identifier(graph, words[i], &key) && strcmp(key.text, "__name__") == 0)
			return read_identifier(graph, words[i + 1], ret);
	}
	return false;
}

/* Functions, classes and modules lead to far too much to be the holder, where they are not on all ways. */
static bool may_hold(const struct python_search *search, uint64_t object)
{
	static const char *const types[] = {"function", "type", "module", "code", "method"};
	for (size_t i = 0; i < LH_ARRAY_COUNT(types) && !search->is_sure; i++) {
		if (has_type(search->graph, object, types[i]))
			return false;
	}
	return true;
}

/* Whether the block holds a module's variables, and one of them leads to `target`: then both names are appended. */
static bool name_variable(struct python_search *search, uint32_t chunk, uint32_t target)
{
	const struct lh_graph *graph = search->graph;
	struct python_name variable, module;
	size_t count = 0;
	LH_CLEANUP(lh_cleanup_free) uint64_t *words = copy_words(graph, &graph->chunks[chunk], &count);
	for (size_t i = 1; words && i < count; i++) {
		if (lh_graph_target(graph, (const uint8_t *)words, i * sizeof(*words), count * sizeof(*words)) !=
			    target ||
		    !read_identifier(graph, words[i - 1], &variable) || !may_hold(search, words[i]) ||
		    !read_module_name(graph, words, count, &module))
			continue;
		lh_buffer_printf(search->ret, "%s in Python module %s", variable.text, module.text);
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- a frame's locals */

/* The name of number `index` of a tuple of names. */
static bool read_tuple_name(const struct lh_graph *graph, uint64_t tuple, uint64_t index, struct python_name *ret)
{
	uint64_t size, item;
	return has_type(graph, tuple, "tuple") && read_target_word(graph, tuple + TUPLE_SIZE, &size) && index < size &&
	       read_target_word(graph, tuple + TUPLE_SIZE + 8 + 8 * index, &item) && read_identifier(graph, item, ret);
}

/* In a code object the names of locals are the last tuple before the function's name. */
static bool name_local(const struct lh_graph *graph, uint64_t code, uint64_t index, struct lh_buffer *ret)
{
	struct python_name local = {""}, function;
	for (uint64_t i = 2; i < CODE_WORDS_MAX; i++) {
		uint64_t word;
		if (!read_target_word(graph, code + i * sizeof(word), &word))
			return false;
		if (has_type(graph, word, "tuple") && !read_tuple_name(graph, word, index, &local))
			local.text[0] = '\0';
		if (!has_type(graph, word, "str") || !read_identifier(graph, word, &function))
			continue;
		if (*local.text)
			lh_buffer_printf(ret, "local %s of Python function %s", local.text, function.text);
		return *local.text;
	}
	return false;
}

/* The block that an address lies in. */
static bool find_block_around(const struct lh_graph *graph, uint64_t addr, uint64_t *ret)
{
	size_t index;
	if (!lh_heap_find_chunk(graph->heap, addr, &index) || index >= graph->chunk_count)
		return false;
	*ret = graph->chunks[index].addr;
	return true;
}

/* Words before `addr`, with it; before the first page of a mapping there are none. */
static size_t read_words_before(const struct lh_graph *graph, uint64_t addr, uint64_t ret[FRAME_WORDS_MAX])
{
	enum { BYTES = FRAME_WORDS_MAX * sizeof(*ret) };
	uint64_t end = addr + sizeof(*ret), start = end - lh_min_u64(BYTES, addr);
	if (lh_image_read(graph->image, start, ret, BYTES) == BYTES)
		return FRAME_WORDS_MAX;
	start = lh_max_u64(start, lh_align_down(addr, LH_PAGE_BYTES));
	return lh_image_read(graph->image, start, ret, end - start) / sizeof(*ret);
}

/* Whether the word at `addr` is a local variable of a frame: then names are appended. */
static bool name_frame_word(const struct lh_graph *graph, uint64_t addr, struct lh_buffer *ret)
{
	enum { LOCALS_AFTER = INSTRUCTION_TO_LOCALS / sizeof(uint64_t) };
	uint64_t words[FRAME_WORDS_MAX], code;
	size_t count = read_words_before(graph, addr, words);
	for (size_t i = count > LOCALS_AFTER ? count - LOCALS_AFTER : 0; i-- > 0;) {
		if (!find_block_around(graph, words[i], &code) || words[i] == code)
			continue;
		for (size_t back = 1; back <= lh_min_u64(HEAD_WORDS_MAX, i); back++) {
			if (words[i - back] == code && has_type(graph, code, "code"))
				return name_local(graph, code, count - 1 - i - LOCALS_AFTER, ret);
		}
	}
	return false;
}

/* Of a root that leads to the block, its words one by one. */
static bool name_root_word(const struct python_search *search, uint32_t number, uint32_t target)
{
	const struct lh_holders *holders = search->holders;
	size_t index = holders->chunk[number] - search->graph->chunk_count;
	size_t end =
		index + 1 < holders->groups.count ? holders->groups.items[index + 1].first_edge : holders->roots.count;
	for (size_t i = holders->groups.items[index].first_edge; i < end; i++) {
		const struct lh_root_edge *edge = &holders->roots.items[i];
		if (edge->chunk == target && edge->addr && name_frame_word(search->graph, edge->addr, search->ret))
			return true;
	}
	return false;
}

static bool name_block_word(const struct python_search *search, uint32_t chunk, uint32_t target)
{
	const struct lh_graph *graph = search->graph;
	size_t count = 0;
	LH_CLEANUP(lh_cleanup_free) uint64_t *words = copy_words(graph, &graph->chunks[chunk], &count);
	for (size_t i = 0; words && i < count; i++) {
		if (lh_graph_target(graph, (const uint8_t *)words, i * sizeof(*words), count * sizeof(*words)) ==
			    target &&
		    name_frame_word(graph, graph->chunks[chunk].addr + i * sizeof(*words), search->ret))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- the way back */

/* Whether all ways to the block lead through the node, or it is the node. */
static bool is_on_all_ways(const struct python_search *search, uint32_t number)
{
	uint32_t at = search->queue.items[0];
	while (at > number)
		at = search->holders->dominator[at];
	return at == number;
}

static bool name_link(struct python_search *search, uint32_t number, uint32_t to)
{
	uint32_t target = search->holders->chunk[to];
	search->is_sure = is_on_all_ways(search, to);
	if (!search->is_sure && search->depth > DEPTH_UNSURE_MAX)
		return false;
	if (lh_holders_is_root(search->holders, number))
		return name_root_word(search, number, target);
	uint32_t chunk = search->holders->chunk[number];
	return name_variable(search, chunk, target) || name_block_word(search, chunk, target);
}

/* All nodes that lead to the present layer become the next one. */
static struct lh_error *step_back(struct python_search *search, bool *ret_is_named)
{
	const struct lh_holders *holders = search->holders;
	size_t end = search->queue.count;
	LH_CLEANUP(lh_cleanup_free) uint64_t *layer = lh_bits_create(holders->node_count + 1);
	if (!layer)
		return lh_error_no_memory();
	for (; search->layer < end; search->layer++)
		lh_bit_set(layer, search->queue.items[search->layer]);
	for (uint32_t number = 1; number <= holders->node_count && search->queue.count < VISITS_MAX; number++) {
		for (uint32_t i = holders->first[number]; i < holders->first[number + 1]; i++) {
			uint32_t to = holders->to[i];
			if (!lh_bit(layer, to) || lh_bit(search->seen, number))
				continue;
			*ret_is_named = name_link(search, number, to);
			if (*ret_is_named)
				return NULL;
			lh_bit_set(search->seen, number);
			if (!lh_holders_is_root(holders, number))
				LH_TRY(lh_vec_push(&search->queue, number));
		}
	}
	return NULL;
}

static struct lh_error *search_python_name(struct python_search *search, uint32_t number)
{
	bool is_named = false;
	search->seen = lh_bits_create(search->holders->node_count + 1);
	if (!search->seen)
		return lh_error_no_memory();
	lh_bit_set(search->seen, number);
	LH_TRY(lh_vec_push(&search->queue, number));
	for (; search->depth < DEPTH_MAX && search->layer < search->queue.count && !is_named; search->depth++)
		LH_TRY(step_back(search, &is_named));
	return NULL;
}

struct lh_error *lh_python_name(const struct lh_holders *holders, uint32_t number, struct lh_buffer *ret)
{
	struct python_search search = {.holders = holders, .graph = holders->graph, .ret = ret};
	if (!lh_graph_has_python(holders->graph) || lh_holders_is_root(holders, number))
		return NULL;
	struct lh_error *error = search_python_name(&search, number);
	free(search.seen);
	lh_vec_deinit(&search.queue);
	return error;
}
