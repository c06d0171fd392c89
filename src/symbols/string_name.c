/*
 * string_name: static objects that bear their own name: one of their first four words points to a C
 * string in read-only data of the same file (ciphers, key types, ASN.1 objects, commands, ...). Input: an address
 * that memory points to, so that it is likely to be where an object begins. Output: the string.
 */
#include "symbol_store.h"

enum {
	NAMING_WORDS = 4,
	STRING_NAME_MIN = 2,
	STRING_NAME_MAX = 80,
};

static bool is_printable(const struct lh_buffer *text)
{
	for (size_t i = 0; i < text->length; i++) {
		if (text->data[i] < ' ' || text->data[i] > '~')
			return false;
	}
	return text->length >= STRING_NAME_MIN;
}

static bool is_read_only_data(const struct named_module *module, uint64_t addr)
{
	const struct lh_table_section *section = lh_module_table_find_section(&module->table, addr - module->bias);
	return section && section->is_constant;
}

static bool read_string(struct lh_symbols *symbols, const struct named_module *module, uint64_t addr,
			struct lh_buffer *ret)
{
	return is_read_only_data(module, addr) && lh_symbol_read_text(symbols, addr, STRING_NAME_MAX, ret) &&
	       is_printable(ret);
}

const char *lh_string_name(struct lh_symbols *symbols, uint64_t addr)
{
	const struct named_module *module = lh_symbol_store_find(symbols, addr);
	if (!module || addr % 8 || lh_symbol_is_code(symbols, addr))
		return NULL;
	for (uint64_t i = 0; i < NAMING_WORDS; i++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		struct lh_buffer quoted LH_CLEANUP(lh_buffer_deinit) = {0};
		uint64_t word;
		if (!lh_symbol_read_pointer(symbols, addr + i * 8, &word))
			return NULL;
		if (!read_string(symbols, module, word, &text))
			continue;
		lh_buffer_printf(&quoted, "\"%s\"", text.data);
		return lh_symbol_store_keep(symbols, &quoted);
	}
	return NULL;
}
