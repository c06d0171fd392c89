/*
 * module_memory: the bytes of modules as the process sees them: from the image, or (few dumps have read-only pages)
 * from the module's file with the dynamic linker's relocations applied. Input: any addresses. Reads files with pread,
 * never maps them: a truncated file yields less, and no signal.
 */
#include "symbol_store.h"

#include <string.h>
#include <unistd.h>

/* Copies the file's bytes at `addr`, up to the end of its loaded segment; returns how many. */
static size_t read_module_file(const struct named_module *module, uint64_t addr, void *ret, size_t bytes)
{
	uint64_t file_addr = addr - module->bias;
	const struct lh_table_load *load = lh_module_table_find_load(&module->table, file_addr);
	uint64_t offset;
	if (!load || module->fd < 0)
		return 0;
	uint64_t distance = file_addr - load->start;
	if (distance >= load->file_bytes || !lh_add_u64(load->file_offset, distance, &offset) || offset > INT64_MAX)
		return 0;
	ssize_t got = pread(module->fd, ret, lh_min_u64(bytes, load->file_bytes - distance), (off_t)offset);
	return got > 0 ? (size_t)got : 0;
}

static size_t read_bytes(struct lh_symbols *symbols, uint64_t addr, void *ret, size_t bytes)
{
	size_t got = lh_image_read(symbols->image, addr, ret, bytes);
	if (got)
		return got;
	const struct named_module *module = lh_symbol_store_find(symbols, addr);
	return module ? read_module_file(module, addr, ret, bytes) : 0;
}

bool lh_symbol_read_number(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret)
{
	uint64_t word;
	if (read_bytes(symbols, addr, &word, sizeof(word)) != sizeof(word))
		return false;
	*ret = word;
	return true;
}

/* RELR relocations, and programs at fixed addresses, have the address in the file's own word. */
static bool file_pointer(const struct named_module *module, uint64_t addr, uint64_t *ret)
{
	const struct lh_relocated_word *relocated = lh_module_table_find_word(&module->table, addr - module->bias);
	uint64_t word;
	if (relocated) {
		*ret = relocated->value + module->bias;
		return true;
	}
	if (read_module_file(module, addr, &word, sizeof(word)) != sizeof(word))
		return false;
	*ret = word && lh_module_table_find_load(&module->table, word) ? word + module->bias : word;
	return true;
}

bool lh_symbol_read_pointer(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret)
{
	uint64_t word;
	if (lh_image_read(symbols->image, addr, &word, sizeof(word)) == sizeof(word)) {
		*ret = word;
		return true;
	}
	const struct named_module *module = lh_symbol_store_find(symbols, addr);
	return module && file_pointer(module, addr, ret);
}

bool lh_symbol_read_text(struct lh_symbols *symbols, uint64_t addr, size_t most, struct lh_buffer *ret)
{
	char piece[64];
	size_t length = 0;
	while (length <= most) {
		size_t got = read_bytes(symbols, addr + length, piece, sizeof(piece));
		size_t text = strnlen(piece, got);
		length += text;
		if (!got || length > most)
			return false;
		lh_buffer_append(ret, piece, text);
		if (text < got)
			break;
	}
	return length > 0 && length <= most && !ret->failed;
}

bool lh_symbol_is_code(struct lh_symbols *symbols, uint64_t addr)
{
	const struct named_module *module = lh_symbol_store_find(symbols, addr);
	const struct lh_table_load *load =
		module ? lh_module_table_find_load(&module->table, addr - module->bias) : NULL;
	return load && load->is_code;
}
