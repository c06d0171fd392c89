/*
 * cxx_class: the class of a C++ object by its run-time type information, which stripped programs keep,
 * too. Input: a word that may be the pointer to a virtual table. Output: the demangled name.
 *
 * Itanium C++ ABI 2.5.2: before the address that objects hold lie the offset to the object's top, and
 * the address of its type_info, {vtable of type_info's class, const char *name}; at it lies code.
 */
#include "symbol_store.h"

#include <string.h>

enum {
	TYPE_NAME_MAX = 1024,
	OFFSET_TO_TOP_MAX = 1 << 20, /* of secondary bases, downwards */
};

/* The name as in type_info: a length and a name, N..E, St.., Z..E; '*' before names that are compared by address. */
static const char *class_name(struct lh_symbols *symbols, uint64_t name_addr)
{
	struct lh_buffer mangled LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!lh_symbol_read_text(symbols, name_addr, TYPE_NAME_MAX, &mangled))
		return NULL;
	const char *type = mangled.data + (mangled.data[0] == '*');
	if (!*type || !strchr("123456789NSZ", *type) || !lh_type_demangle(type, &text))
		return NULL;
	return lh_symbol_store_keep(symbols, &text);
}

static bool is_aligned_pointer(uint64_t word)
{
	return word && word % 8 == 0;
}

/* A type_info begins with the vtable of one of the ABI's own classes, of a module. */
static bool is_type_info(struct lh_symbols *symbols, uint64_t addr)
{
	uint64_t vtable;
	return is_aligned_pointer(addr) && lh_symbol_store_find(symbols, addr) &&
	       lh_symbol_read_pointer(symbols, addr, &vtable) && is_aligned_pointer(vtable) &&
	       lh_symbol_store_find(symbols, vtable) && !lh_symbol_is_code(symbols, vtable);
}

bool lh_symbols_cxx_class(struct lh_symbols *symbols, uint64_t addr, struct lh_cxx_class *ret)
{
	uint64_t offset_to_top, type_info, code, name;
	if (addr % 8 || !lh_symbol_store_find(symbols, addr) || lh_symbol_is_code(symbols, addr) ||
	    !lh_symbol_read_number(symbols, addr - 16, &offset_to_top) || offset_to_top % 8 ||
	    -offset_to_top > OFFSET_TO_TOP_MAX)
		return false;
	if (!lh_symbol_read_pointer(symbols, addr - 8, &type_info) || !is_type_info(symbols, type_info) ||
	    !lh_symbol_read_pointer(symbols, addr, &code) || (code && !lh_symbol_is_code(symbols, code)) ||
	    !lh_symbol_read_pointer(symbols, type_info + 8, &name))
		return false;
	const char *text = class_name(symbols, name);
	if (!text)
		return false;
	*ret = (struct lh_cxx_class){.name = text, .is_base_part = offset_to_top != 0};
	return true;
}
