/*
 * python_type: type objects of CPython, by their structure. Input: an address that may be one, in a
 * module (static types) or in the heap (classes). Output: its name, and what instances look like.
 *
 * CPython 3.8 to 3.13, Include/cpython/object.h: every object is {refcount, type}; PyTypeObject goes on
 * {ob_size@16, tp_name@24, tp_basicsize@32, tp_itemsize@40, ... tp_flags@168}. PyType_Type is the object
 * whose type is itself and whose name is "type".
 */
#include "symbol_store.h"

#include <string.h>

enum {
	OB_TYPE = 8,
	TP_NAME = 24,
	TP_BASICSIZE = 32,
	TP_ITEMSIZE = 40,
	TP_FLAGS = 168,
	FLAG_HAVE_GC_BIT = 14,
	FLAG_LONG_SUBCLASS_BIT = 24,
	FLAG_LIST_SUBCLASS_BIT = 25,
	FLAG_UNICODE_SUBCLASS_BIT = 28,
	FLAG_DICT_SUBCLASS_BIT = 29,
	FLAG_TYPE_SUBCLASS_BIT = 31,
	TYPE_NAME_MAX = 200,
	BASICSIZE_MIN = 16,
	BASICSIZE_MAX = 1 << 20,
};

static bool is_aligned_object(uint64_t word)
{
	return word && word % 8 == 0;
}

/* Printable, in UTF-8: names of classes may have any letters. */
static bool is_name(const char *text, size_t length)
{
	for (size_t at = 0; at < length;) {
		uint32_t letter;
		size_t bytes = lh_utf8_decode((const uint8_t *)text + at, length - at, &letter);
		if (!bytes || letter <= ' ' || letter == 0x7f)
			return false;
		at += bytes;
	}
	return true;
}

static const char *read_type_name(struct lh_symbols *symbols, uint64_t type_addr)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t name;
	if (!lh_symbol_read_pointer(symbols, type_addr + TP_NAME, &name) ||
	    !lh_symbol_read_text(symbols, name, TYPE_NAME_MAX, &text) || !is_name(text.data, text.length))
		return NULL;
	return lh_symbol_store_keep(symbols, &text);
}

static bool is_metatype(struct lh_symbols *symbols, uint64_t addr)
{
	uint64_t type;
	if (addr == symbols->python_metatype)
		return true;
	if (!lh_symbol_read_pointer(symbols, addr + OB_TYPE, &type) || type != addr)
		return false;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t name;
	if (!lh_symbol_read_pointer(symbols, addr + TP_NAME, &name) || !lh_symbol_read_text(symbols, name, 8, &text) ||
	    strcmp(text.data, "type") != 0)
		return false;
	symbols->python_metatype = addr;
	return true;
}

/* A type's type is `type`, or a metaclass, whose type it is. */
static bool is_type(struct lh_symbols *symbols, uint64_t addr)
{
	uint64_t type, metatype;
	if (!is_aligned_object(addr) || !lh_symbol_read_pointer(symbols, addr + OB_TYPE, &type) ||
	    !is_aligned_object(type))
		return false;
	return is_metatype(symbols, type) || (lh_symbol_read_pointer(symbols, type + OB_TYPE, &metatype) &&
					      is_aligned_object(metatype) && is_metatype(symbols, metatype));
}

bool lh_symbols_python_type(struct lh_symbols *symbols, uint64_t addr, struct lh_python_type *ret)
{
	uint64_t basic_bytes, item_bytes, flags;
	if (addr > UINT64_MAX - TP_FLAGS - 8 || !is_type(symbols, addr) ||
	    !lh_symbol_read_number(symbols, addr + TP_BASICSIZE, &basic_bytes) ||
	    !lh_symbol_read_number(symbols, addr + TP_ITEMSIZE, &item_bytes) ||
	    !lh_symbol_read_number(symbols, addr + TP_FLAGS, &flags) || basic_bytes > BASICSIZE_MAX ||
	    item_bytes > BASICSIZE_MAX)
		return false;
	const char *name = read_type_name(symbols, addr);
	if (!name)
		return false;
	*ret = (struct lh_python_type){
		.name = name,
		.basic_bytes = lh_max_u64(basic_bytes, BASICSIZE_MIN),
		.item_bytes = item_bytes,
		.has_gc_head = flags >> FLAG_HAVE_GC_BIT & 1,
		.is_metaclass = flags >> FLAG_TYPE_SUBCLASS_BIT & 1,
		.is_int = flags >> FLAG_LONG_SUBCLASS_BIT & 1,
		.is_str = flags >> FLAG_UNICODE_SUBCLASS_BIT & 1,
		.is_list = flags >> FLAG_LIST_SUBCLASS_BIT & 1,
		.is_dict = flags >> FLAG_DICT_SUBCLASS_BIT & 1,
		.is_set = strcmp(name, "set") == 0 || strcmp(name, "frozenset") == 0,
		.is_bytearray = strcmp(name, "bytearray") == 0,
	};
	return true;
}
