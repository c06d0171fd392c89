/*
 * v8_maps: maps of V8's objects. Input: tagged words. Output: the size of a map's objects, and their type by name:
 * strings and internal objects are named as in heap snapshots, JavaScript objects by their constructor.
 */
#include "v8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAP_WORDS = 6,
	NAME_BYTES = 96,
	MAPS_MAX = 1 << 22,
	BACK_POINTERS_MAX = 512,
	SCOPE_WORDS = 96,
	NAME_OFFSET = 16
};

bool lh_v8_read_words(struct lh_v8_heap *heap, uint64_t addr, uint64_t *ret, size_t count)
{
	return lh_heap_words(heap->tour, addr, ret, count);
}

static uint16_t map_word_type(const struct lh_v8_heap *heap, const uint64_t *map)
{
	uint16_t type;
	memcpy(&type, (const uint8_t *)map + heap->names->instance_type, sizeof(type));
	return type;
}

/* The words of the map that a tagged word points to; false if it does not point to one. */
static bool read_map(struct lh_v8_heap *heap, uint64_t word, uint64_t ret[MAP_WORDS])
{
	uint64_t meta[MAP_WORDS];
	return lh_v8_is_pointer(word) && lh_v8_read_words(heap, word - 1, ret, MAP_WORDS) && lh_v8_is_pointer(ret[0]) &&
	       lh_v8_read_words(heap, ret[0] - 1, meta, MAP_WORDS) && meta[0] == ret[0] &&
	       map_word_type(heap, meta) == heap->names->map_type;
}

/* The instance type of the object that a tagged word points to. */
static bool read_type(struct lh_v8_heap *heap, uint64_t word, uint32_t *ret)
{
	uint64_t map_pointer, map[MAP_WORDS];
	if (!lh_v8_is_pointer(word) || !lh_v8_read_words(heap, word - 1, &map_pointer, 1) ||
	    !read_map(heap, map_pointer, map))
		return false;
	*ret = map_word_type(heap, map);
	return true;
}

static bool is_type_named(const struct lh_v8_heap *heap, uint32_t type, const char *name)
{
	return heap->names->types[type] && strcmp(heap->names->types[type], name) == 0;
}

/* ---------------------------------------------------------------- texts */

/* One byte per character, or two bytes whose values fit in one: names have only these. */
static bool read_v8_string(struct lh_v8_heap *heap, uint64_t word, char ret[NAME_BYTES])
{
	const struct lh_v8_names *names = heap->names;
	uint32_t type, length;
	const uint8_t *bytes;
	if (!read_type(heap, word, &type) || type >= names->first_nonstring ||
	    (type & names->representation_mask) != names->sequential ||
	    !(bytes = lh_heap_bytes(heap->tour, word - 1 + 12, sizeof(length))))
		return false;
	memcpy(&length, bytes, sizeof(length));
	size_t kept = lh_min_u64(length, NAME_BYTES - 1),
	       width = (type & names->encoding_mask) == names->one_byte ? 1 : 2;
	bytes = kept ? lh_heap_bytes(heap->tour, word - 1 + NAME_OFFSET, kept * width) : NULL;
	for (size_t i = 0; bytes && i < kept; i++) {
		if (bytes[i * width] < 0x20 || bytes[i * width] >= 0x7f)
			return false;
		ret[i] = (char)bytes[i * width];
	}
	ret[kept] = '\0';
	return bytes;
}

static bool is_string(struct lh_v8_heap *heap, uint64_t word)
{
	uint32_t type;
	return read_type(heap, word, &type) && type < heap->names->first_nonstring;
}

/*
 * The function's name in a ScopeInfo: {map, numbers, names of variables, a number for each, at most one more number,
 * name, ...}; how many variables there are is one of the first numbers (src/objects/scope-info.tq).
 */
static bool read_scope_name(struct lh_v8_heap *heap, uint64_t scope, char ret[NAME_BYTES])
{
	uint64_t words[SCOPE_WORDS];
	size_t count = SCOPE_WORDS, at = 2;
	while (count > 8 && !lh_v8_read_words(heap, scope - 1, words, count))
		count /= 2;
	if (count <= 8)
		return false;
	/* Flags may be a plain number. */
	while (at < count && !lh_v8_is_pointer(words[at]))
		at++;
	size_t variables = words[3] >> 32, names = 0;
	while (at + names < count && names < variables && is_string(heap, words[at + names]))
		names++;
	if (variables && names == variables) {
		at += 2 * names;
		while (at < count && lh_v8_is_smi(words[at]))
			at++;
	}
	return at < count && read_v8_string(heap, words[at], ret);
}

/* ---------------------------------------------------------------- constructors */

/* The constructor of a map, found through the maps that it was derived from. */
static uint64_t find_constructor(struct lh_v8_heap *heap, const uint64_t *map)
{
	uint64_t at[MAP_WORDS];
	memcpy(at, map, sizeof(at));
	for (size_t i = 0; i < BACK_POINTERS_MAX; i++) {
		uint64_t word = at[heap->names->constructor / 8];
		if (!read_map(heap, word, at))
			return word;
	}
	return 0;
}

static bool read_constructor_name(struct lh_v8_heap *heap, const uint64_t *map, char ret[NAME_BYTES])
{
	uint64_t function = find_constructor(heap, map), shared, name;
	uint32_t type;
	if (heap->names->shared < 0 || heap->names->shared_name < 0 || !lh_v8_is_pointer(function) ||
	    !lh_v8_read_words(heap, function - 1 + (uint64_t)heap->names->shared, &shared, 1) ||
	    !read_type(heap, shared, &type) || !is_type_named(heap, type, "SharedFunctionInfo") ||
	    !lh_v8_read_words(heap, shared - 1 + (uint64_t)heap->names->shared_name, &name, 1))
		return false;
	return read_v8_string(heap, name, ret) ||
	       (read_type(heap, name, &type) && is_type_named(heap, type, "ScopeInfo") &&
		read_scope_name(heap, name, ret));
}

/* ---------------------------------------------------------------- names and sizes */

static const struct {
	const char *type, *name;
	enum lh_v8_shape shape; /* of instances without a fixed size */
} known_types[] = {
	{"FixedArray", "(array)", LH_V8_ARRAY},
	{"FixedDoubleArray", "(array)", LH_V8_ARRAY},
	{"WeakFixedArray", "(array)", LH_V8_ARRAY},
	{"WeakArrayList", "(array)", LH_V8_WEAK_LIST},
	{"PropertyArray", "(array)", LH_V8_PROPERTIES},
	{"ByteArray", "(bytes)", LH_V8_BYTES},
	{"FreeSpace", "(free)", LH_V8_FREE_SPACE},
	{"DescriptorArray", "(object shape)", LH_V8_DESCRIPTORS},
	{"StrongDescriptorArray", "(object shape)", LH_V8_DESCRIPTORS},
	{"Map", "(object shape)", LH_V8_UNKNOWN},
	{"HeapNumber", "(number)", LH_V8_UNKNOWN},
	{"BytecodeArray", "(code)", LH_V8_UNKNOWN},
	{"Code", "(code)", LH_V8_UNKNOWN},
	{"CodeDataContainer", "(code)", LH_V8_UNKNOWN},
	{"InstructionStream", "(code)", LH_V8_UNKNOWN},
	{"JSFunction", "(closure)", LH_V8_UNKNOWN},
};

/* Most types without a name are tables and contexts, which are arrays. */
static void describe_engine_type(const struct lh_v8_names *names, uint16_t type, struct lh_v8_map *ret,
				 char name[NAME_BYTES])
{
	const char *text = names->types[type];
	ret->shape = text ? LH_V8_UNKNOWN : names->has_free_space ? LH_V8_ARRAY : LH_V8_UNNAMED;
	bool is_context = names->first_context && type >= names->first_context && type <= names->last_context;
	snprintf(name, NAME_BYTES, "%s", text ? text : is_context ? "(context)" : "(table)");
	for (size_t i = 0; text && i < LH_ARRAY_COUNT(known_types); i++) {
		if (strcmp(text, known_types[i].type) == 0) {
			ret->shape = known_types[i].shape;
			snprintf(name, NAME_BYTES, "%s", known_types[i].name);
		}
	}
}

static void describe_string(const struct lh_v8_names *names, uint16_t type, struct lh_v8_map *ret,
			    char name[NAME_BYTES])
{
	uint32_t representation = type & names->representation_mask;
	ret->shape = LH_V8_STRING;
	snprintf(name, NAME_BYTES, "%s",
		 representation == names->cons     ? "(concatenated string)"
		 : representation == names->sliced ? "(sliced string)"
						   : "(string)");
}

/* Constructors of the JavaScript language and of Node's own modules are not the program's. */
static bool is_program_constructor(const char *name)
{
	static const char *const builtin[] = {
		"Array", "ArrayBuffer", "Map",    "Set",      "WeakMap",   "WeakSet", "WeakRef",    "Promise",
		"Date",  "RegExp",      "Error",  "Function", "Symbol",    "Boolean", "Number",     "String",
		"Proxy", "DataView",    "BigInt", "Iterator", "Arguments", "Buffer",  "Uint8Array", "Generator",
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(builtin); i++) {
		if (strcmp(name, builtin[i]) == 0)
			return false;
	}
	return *name != '(';
}

/* The length of an object's prototype chain, up to null. */
static size_t count_prototypes(struct lh_v8_heap *heap, const uint64_t *map)
{
	enum { PROTOTYPE = 3, PROTOTYPES_MAX = 16 };
	uint64_t at[MAP_WORDS], map_pointer;
	size_t count = 0;
	memcpy(at, map, sizeof(at));
	while (count < PROTOTYPES_MAX && lh_v8_is_pointer(at[PROTOTYPE]) &&
	       lh_v8_read_words(heap, at[PROTOTYPE] - 1, &map_pointer, 1) && read_map(heap, map_pointer, at) &&
	       !is_type_named(heap, map_word_type(heap, at), "Oddball"))
		count++;
	return count;
}

/*
 * Node's class of buffers inherits from Uint8Array, which stays their constructor: they have a prototype more than
 * Uint8Array's, TypedArray's and Object's.
 */
static bool name_object(struct lh_v8_heap *heap, const uint64_t *map, uint16_t type, char name[NAME_BYTES])
{
	const char *text = heap->names->types[type];
	bool may_be_object = !text || strncmp(text, "JS", 2) == 0;
	if (!may_be_object || (text && strcmp(text, "JSFunction") == 0) || !read_constructor_name(heap, map, name))
		return false;
	enum { PROTOTYPES_OF_ARRAY = 3 };
	if (strcmp(name, "Uint8Array") == 0 && count_prototypes(heap, map) > PROTOTYPES_OF_ARRAY)
		snprintf(name, NAME_BYTES, "Buffer");
	return true;
}

static struct lh_error *add_map_types(struct lh_v8_heap *heap, const char *name, bool is_object, struct lh_v8_map *ret)
{
	struct lh_heap_type type = {
		.kind = "V8", .name = name, .detail = "", .is_own = is_object && is_program_constructor(name)};
	LH_TRY(lh_heap_add_type(heap->tour, &type, &ret->types[0]));
	type.is_young = true;
	type.detail = "young";
	return lh_heap_add_type(heap->tour, &type, &ret->types[1]);
}

static struct lh_error *describe_map(struct lh_v8_heap *heap, const uint64_t *map, struct lh_v8_map *ret)
{
	const struct lh_v8_names *names = heap->names;
	char name[NAME_BYTES];
	ret->is_valid = true;
	ret->type = map_word_type(heap, map);
	ret->bytes = ((const uint8_t *)map)[names->instance_size] * UINT64_C(8);
	bool is_text = ret->type < names->first_nonstring;
	bool is_object = !is_text && ret->bytes && name_object(heap, map, ret->type, name);
	if (is_text)
		describe_string(names, ret->type, ret, name);
	else if (!is_object)
		describe_engine_type(names, ret->type, ret, name);
	/* The map of a filler of one word. */
	ret->is_filler = ret->bytes == 8 || ret->shape == LH_V8_FREE_SPACE;
	ret->is_buffer = is_type_named(heap, ret->type, "JSArrayBuffer");
	if (ret->bytes)
		ret->shape = LH_V8_FIXED;
	return add_map_types(heap, name, is_object, ret);
}

struct lh_error *lh_v8_find_map(struct lh_v8_heap *heap, uint64_t word, const struct lh_v8_map **ret)
{
	uint32_t number;
	uint64_t words[MAP_WORDS];
	*ret = NULL;
	if (!lh_v8_is_pointer(word))
		return NULL;
	if (!lh_hash_table_find(&heap->numbers, word, &number)) {
		struct lh_v8_map map = {0};
		if (heap->maps.count == MAPS_MAX)
			return NULL;
		if (read_map(heap, word, words)) {
			LH_TRY(describe_map(heap, words, &map));
			LH_TRY(lh_heap_note_structure(heap->tour, word - 1, sizeof(words)));
		}
		number = (uint32_t)heap->maps.count;
		LH_TRY(lh_vec_push(&heap->maps, map));
		LH_TRY(lh_hash_table_put(&heap->numbers, word, number));
	}
	*ret = heap->maps.items[number].is_valid ? &heap->maps.items[number] : NULL;
	return NULL;
}
