/*
 * cxx_class: the class of a C++ object by its run-time type information, which stripped programs keep,
 * too. Input: a word that may be the pointer to a virtual table. Output: the demangled name.
 *
 * Itanium C++ ABI 2.5.2: before the address that objects hold lie the offset to the object's top, and
 * the address of its type_info, {vtable of type_info's class, const char *name}; at it lies code.
 */
#include "symbol_store.h"

#include <inttypes.h>
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

uint64_t lh_symbols_cxx_type_info(struct lh_symbols *symbols, uint64_t addr)
{
	uint64_t type_info, code;
	bool is_table = addr % 8 == 0 && lh_symbol_store_find(symbols, addr) && !lh_symbol_is_code(symbols, addr) &&
			lh_symbol_read_pointer(symbols, addr - 8, &type_info) && is_type_info(symbols, type_info) &&
			lh_symbol_read_pointer(symbols, addr, &code) && (!code || lh_symbol_is_code(symbols, code));
	return is_table ? type_info : 0;
}

/*
 * A core that gcore wrote has no constants: without the module's file the name is lost. Then a type_info must belong to
 * a class that has a virtual table with a type_info, and the place of the class's table is its name.
 */
static const char *name_by_place(struct lh_symbols *symbols, uint64_t addr, uint64_t type_info, uint64_t name_addr)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	const struct named_module *module = lh_symbol_store_find(symbols, addr);
	uint64_t vtable, word;
	if (!lh_symbol_store_find(symbols, name_addr) || lh_symbol_is_code(symbols, name_addr) ||
	    lh_symbol_read_number(symbols, name_addr, &word) || !lh_symbol_read_pointer(symbols, type_info, &vtable) ||
	    !lh_symbols_cxx_type_info(symbols, vtable))
		return NULL;
	lh_buffer_printf(&text, "class at %s+0x%" PRIx64, module->name, addr - module->module->start);
	return lh_symbol_store_keep(symbols, &text);
}

/* Follows type_infos from a class to its bases (Itanium C++ ABI 2.9.5). */
struct base_reader {
	struct lh_symbols *symbols;
	unsigned depth;
};

static int32_t find_virtual_base(struct base_reader *reader, uint64_t type_info);

/* __vmi_class_type_info: {flags, count, {base, offset << 8 | 1 if virtual}...}; a virtual base's offset is a slot's. */
static int32_t find_among_bases(struct base_reader *reader, uint64_t type_info, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t base, place;
		if (!lh_symbol_read_pointer(reader->symbols, type_info + 24 + 16 * i, &base) ||
		    !is_type_info(reader->symbols, base) ||
		    !lh_symbol_read_number(reader->symbols, type_info + 32 + 16 * i, &place))
			return 0;
		int64_t offset = (int64_t)place >> 8;
		/* A base at offset 0 shares the table. */
		int32_t slot = place & 1 ? (int32_t)offset : !offset ? find_virtual_base(reader, base) : 0;
		if (slot < 0 && slot % 8 == 0 && offset > -OFFSET_TO_TOP_MAX)
			return slot;
	}
	return 0;
}

/* __si_class_type_info has one base, which is not virtual; __class_type_info has none. */
static int32_t find_virtual_base(struct base_reader *reader, uint64_t type_info)
{
	enum { DEPTH_MAX = 32, FLAGS_MAX = 3, BASES_MAX = 64 };
	uint64_t word, base;
	if (reader->depth++ >= DEPTH_MAX || !lh_symbol_read_number(reader->symbols, type_info + 16, &word))
		return 0;
	uint64_t count = word >> 32;
	if ((uint32_t)word <= FLAGS_MAX && count && count <= BASES_MAX)
		return find_among_bases(reader, type_info, count);
	bool has_base =
		lh_symbol_read_pointer(reader->symbols, type_info + 16, &base) && is_type_info(reader->symbols, base);
	return has_base ? find_virtual_base(reader, base) : 0;
}

bool lh_symbols_cxx_class(struct lh_symbols *symbols, uint64_t addr, struct lh_cxx_class *ret)
{
	uint64_t offset_to_top, name, type_info = lh_symbols_cxx_type_info(symbols, addr);
	if (!type_info || !lh_symbol_read_number(symbols, addr - 16, &offset_to_top) || offset_to_top % 8 ||
	    -offset_to_top > OFFSET_TO_TOP_MAX || !lh_symbol_read_pointer(symbols, type_info + 8, &name))
		return false;
	const char *text = class_name(symbols, name);
	text = text ? text : name_by_place(symbols, addr, type_info, name);
	if (!text)
		return false;
	*ret = (struct lh_cxx_class){
		.name = text,
		.is_base_part = offset_to_top != 0,
		.type_info = type_info,
		.virtual_base_slot = find_virtual_base(&(struct base_reader){.symbols = symbols}, type_info),
	};
	return true;
}
