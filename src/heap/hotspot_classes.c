/*
 * hotspot_classes: classes of a Java heap. Input: the class word of an object. Output: the length of its objects, and
 * its type by name. A class counts only with a valid Java name and a possible layout.
 */
#include "hotspot.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 512, CLASSES_MAX = 1 << 20 };

void lh_hotspot_deinit(struct lh_hotspot *jvm)
{
	lh_hash_table_deinit(&jvm->numbers);
	lh_vec_deinit(&jvm->classes);
	lh_vec_deinit(&jvm->tlabs);
}

static bool read_class_int(struct lh_hotspot *jvm, uint64_t addr, uint32_t *ret)
{
	const uint8_t *bytes = lh_heap_bytes(jvm->tour, addr, sizeof(*ret));
	if (bytes)
		memcpy(ret, bytes, sizeof(*ret));
	return bytes;
}

/* Symbols are modified UTF-8; compilers put no control characters into them. */
static bool read_symbol(struct lh_hotspot *jvm, uint64_t addr, char ret[NAME_MAX_BYTES])
{
	const uint8_t *bytes = lh_heap_bytes(jvm->tour, addr + jvm->fields[LH_JVM_SYMBOL_LENGTH], sizeof(uint16_t));
	uint16_t length;
	if (!bytes)
		return false;
	memcpy(&length, bytes, sizeof(length));
	size_t kept = lh_min_u64(length, NAME_MAX_BYTES - 1);
	bytes = length ? lh_heap_bytes(jvm->tour, addr + jvm->fields[LH_JVM_SYMBOL_BODY], kept) : NULL;
	for (size_t i = 0; bytes && i < kept; i++) {
		if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			return false;
	}
	if (!bytes)
		return false;
	memcpy(ret, bytes, kept);
	ret[kept] = '\0';
	return true;
}

/* Whole words: a text that a part of a word lies in would be replaced with it. */
static struct lh_error *note_symbol(struct lh_hotspot *jvm, uint64_t addr, size_t length)
{
	uint64_t end = addr + jvm->fields[LH_JVM_SYMBOL_BODY] + length;
	return lh_heap_note_structure(jvm->tour, addr, lh_align_up(end, sizeof(uint64_t)) - addr);
}

static const char *name_primitive(char letter)
{
	static const char *const names[][2] = {
		{"Z", "boolean"}, {"B", "byte"}, {"C", "char"},  {"S", "short"},
		{"I", "int"},     {"J", "long"}, {"F", "float"}, {"D", "double"},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(names); i++) {
		if (names[i][0][0] == letter)
			return names[i][1];
	}
	return NULL;
}

/* "[Ljava/lang/String;" is java.lang.String[]: JVM specification, 4.3.2. */
static void write_class_name(const char *symbol, char *ret, size_t ret_bytes)
{
	size_t dimensions = strspn(symbol, "["), length = strlen(symbol) - dimensions;
	const char *element = symbol + dimensions, *primitive = dimensions ? name_primitive(*element) : NULL;
	if (dimensions && *element == 'L' && length > 2) {
		element++;
		length -= 2;
	}
	if (primitive) {
		element = primitive;
		length = strlen(primitive);
	}
	size_t at = 0;
	for (size_t i = 0; i < length && at + 1 < ret_bytes; i++)
		ret[at++] = element[i];
	for (size_t i = 0; i < at; i++) {
		if (ret[i] == '/')
			ret[i] = '.';
	}
	for (size_t i = 0; i < dimensions && at + 2 < ret_bytes; i++) {
		ret[at++] = '[';
		ret[at++] = ']';
	}
	ret[at] = '\0';
}

/* Packages of Java's library; an array of a primitive type belongs to no class of the program. */
static bool is_own_class(const char *name)
{
	static const char *const library[] = {"java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "scala."};
	for (size_t i = 0; i < LH_ARRAY_COUNT(library); i++) {
		if (strncmp(name, library[i], strlen(library[i])) == 0)
			return false;
	}
	return !strstr(name, "[]");
}

static struct lh_error *add_class_types(struct lh_hotspot *jvm, const char *symbol, struct lh_hotspot_class *ret)
{
	char name[NAME_MAX_BYTES];
	write_class_name(symbol, name, sizeof(name));
	struct lh_heap_type type = {.kind = "Java", .name = name, .detail = "", .is_own = is_own_class(name)};
	if (ret->layout >> 31) {
		type.length_offset = lh_hotspot_length_offset(jvm);
		type.head_bytes = ret->layout >> 16 & 0xff;
		type.element_shift = ret->layout & 0xff;
	}
	LH_TRY(lh_heap_add_type(jvm->tour, &type, &ret->types[0]));
	type.is_young = true;
	type.detail = "eden";
	return lh_heap_add_type(jvm->tour, &type, &ret->types[1]);
}

/*
 * Klass::layout_helper (oops/klass.hpp): for instances their size, where bit 0 means that it is not the whole size; for
 * arrays the top two bits are set, then one byte each for header size, element type and log2 of the element's size.
 */
static bool is_layout(uint32_t layout)
{
	if (!(layout >> 31))
		return (layout & ~7u) >= 8 && !(layout & 6);
	return layout >> 30 == 2 || layout >> 30 == 3 ? (layout & 0xff) <= 3 && (layout >> 16 & 0xff) >= 12 : false;
}

static struct lh_error *read_class(struct lh_hotspot *jvm, uint64_t addr, struct lh_hotspot_class *ret)
{
	char symbol[NAME_MAX_BYTES];
	uint64_t name;
	if (addr % 8 || !read_class_int(jvm, addr + jvm->fields[LH_JVM_LAYOUT], &ret->layout) ||
	    !is_layout(ret->layout) || !lh_heap_words(jvm->tour, addr + jvm->fields[LH_JVM_NAME], &name, 1) ||
	    !read_symbol(jvm, name, symbol))
		return NULL;
	LH_TRY(lh_heap_note_structure(jvm->tour, addr + jvm->fields[LH_JVM_LAYOUT], sizeof(ret->layout)));
	LH_TRY(note_symbol(jvm, name, strlen(symbol)));
	ret->is_valid = true;
	ret->is_mirror = strcmp(symbol, "java/lang/Class") == 0;
	return add_class_types(jvm, symbol, ret);
}

static uint64_t class_key(const struct lh_hotspot *jvm, const uint8_t *object)
{
	uint64_t wide;
	uint32_t narrow;
	if (jvm->is_narrow) {
		memcpy(&narrow, object + jvm->fields[LH_JVM_CLASS_NARROW], sizeof(narrow));
		return narrow;
	}
	memcpy(&wide, object + jvm->fields[LH_JVM_CLASS_WIDE], sizeof(wide));
	return wide;
}

struct lh_error *lh_hotspot_find_class(struct lh_hotspot *jvm, const uint8_t *object,
				       const struct lh_hotspot_class **ret)
{
	uint64_t key = class_key(jvm, object);
	uint32_t number;
	*ret = NULL;
	if (!key)
		return NULL;
	if (!lh_hash_table_find(&jvm->numbers, key, &number)) {
		struct lh_hotspot_class class = {0};
		if (jvm->classes.count == CLASSES_MAX)
			return NULL;
		LH_TRY(read_class(jvm, jvm->is_narrow ? jvm->narrow_base + (key << jvm->narrow_shift) : key, &class));
		number = (uint32_t)jvm->classes.count;
		LH_TRY(lh_vec_push(&jvm->classes, class));
		LH_TRY(lh_hash_table_put(&jvm->numbers, key, number));
	}
	*ret = jvm->classes.items[number].is_valid ? &jvm->classes.items[number] : NULL;
	return NULL;
}
