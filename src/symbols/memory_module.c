/*
 * memory_module: the names that a module has in memory, where its file is not: dynamic symbols, the functions that
 * only return an address, relocations, and where its segments lie. Input: the ELF header at the module's start and
 * its dynamic section, as far as the image has them (dumps of leakhunt do, live processes mostly). Output: the same
 * table that a file fills.
 *
 * gABI "Dynamic Section"; glibc's dynamic linker adds the load address to what the entries point to
 * (elf/get-dynamic-info.h). DT_GNU_HASH: {nbuckets, symoffset, bloom_size, bloom_shift; bloom words; buckets; chains},
 * the last of a chain has bit 0 set. Everything is hostile: counts are bounded, each read is checked.
 */
#include "symbol_store.h"

#include <stdlib.h>
#include <string.h>

enum {
	PROGRAM_HEADERS_MAX = 64,
	DYNAMIC_ENTRIES_MAX = 512,
	SYMBOLS_MAX = 1 << 20,
	NAMES_MAX_BYTES = 64 << 20,
	RELOCATIONS_MAX = 1 << 22,
	AT_ONCE = 256,
	BUCKETS_MAX = 1 << 20,
};

struct memory_module {
	const struct lh_image *image;
	const struct lh_module *module;
	struct lh_module_table *table;
	uint64_t symbols;
	uint64_t names;
	uint64_t names_bytes;
	uint64_t hash;
	uint64_t gnu_hash;
	uint64_t relocations;
	uint64_t relocations_bytes;
	bool lacks_constants; /* no read-only data is present: few names can be found */
};

static bool read_memory_at(const struct memory_module *memory, uint64_t addr, void *ret, size_t bytes)
{
	return lh_image_read(memory->image, addr, ret, bytes) == bytes;
}

/* ---------------------------------------------------------------- headers */

/* Read-only data is one section, which may hold string literals. */
static struct lh_error *add_segment(struct memory_module *memory, const Elf64_Phdr *header)
{
	uint64_t end;
	LH_TRY(lh_module_table_add_load(memory->table, header));
	if (header->p_flags & (PF_W | PF_X) || !lh_add_u64(header->p_vaddr, header->p_memsz, &end))
		return NULL;
	uint8_t first;
	memory->lacks_constants |= !read_memory_at(memory, memory->module->bias + header->p_vaddr, &first, 1);
	return lh_vec_push(&memory->table->sections, (struct lh_table_section){header->p_vaddr, end, ".rodata", true});
}

static struct lh_error *read_memory_segments(struct memory_module *memory, uint64_t *ret_dynamic)
{
	Elf64_Ehdr header;
	Elf64_Phdr segments[PROGRAM_HEADERS_MAX];
	uint64_t start = memory->module->start, addr;
	if (!read_memory_at(memory, start, &header, sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_phentsize != sizeof(Elf64_Phdr) || !lh_add_u64(start, header.e_phoff, &addr))
		return NULL;
	size_t count = (size_t)lh_min_u64(header.e_phnum, PROGRAM_HEADERS_MAX);
	if (!read_memory_at(memory, addr, segments, count * sizeof(segments[0])))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (segments[i].p_type == PT_LOAD)
			LH_TRY(add_segment(memory, &segments[i]));
		else if (segments[i].p_type == PT_DYNAMIC)
			*ret_dynamic = memory->module->bias + segments[i].p_vaddr;
	}
	return NULL;
}

/* The dynamic linker has added the load address, or it has not (the vdso, musl). */
static uint64_t address_of(const struct memory_module *memory, uint64_t value)
{
	return value < memory->module->start ? value + memory->module->bias : value;
}

static void take_dynamic_entry(struct memory_module *memory, const Elf64_Dyn *entry)
{
	uint64_t value = entry->d_un.d_val;
	switch (entry->d_tag) {
	case DT_SYMTAB:
		memory->symbols = address_of(memory, value);
		break;
	case DT_STRTAB:
		memory->names = address_of(memory, value);
		break;
	case DT_STRSZ:
		memory->names_bytes = value;
		break;
	case DT_HASH:
		memory->hash = address_of(memory, value);
		break;
	case DT_GNU_HASH:
		memory->gnu_hash = address_of(memory, value);
		break;
	case DT_RELA:
		memory->relocations = address_of(memory, value);
		break;
	case DT_RELASZ:
		memory->relocations_bytes = value;
		break;
	default:
		break;
	}
}

static void read_dynamic(struct memory_module *memory, uint64_t addr)
{
	for (size_t i = 0; i < DYNAMIC_ENTRIES_MAX; i++) {
		Elf64_Dyn entry;
		if (!read_memory_at(memory, addr + i * sizeof(entry), &entry, sizeof(entry)) || entry.d_tag == DT_NULL)
			return;
		take_dynamic_entry(memory, &entry);
	}
}

/* ---------------------------------------------------------------- symbols */

/* Behind the last symbol of the last chain. */
static uint64_t count_by_gnu_hash(const struct memory_module *memory)
{
	uint32_t head[4], last = 0;
	if (!read_memory_at(memory, memory->gnu_hash, head, sizeof(head)) || head[0] > BUCKETS_MAX ||
	    head[2] > BUCKETS_MAX)
		return 0;
	uint64_t buckets = memory->gnu_hash + sizeof(head) + (uint64_t)head[2] * 8;
	uint64_t chains = buckets + (uint64_t)head[0] * 4;
	for (uint32_t i = 0; i < head[0]; i++) {
		uint32_t bucket;
		if (!read_memory_at(memory, buckets + (uint64_t)i * 4, &bucket, sizeof(bucket)))
			return 0;
		last = bucket > last ? bucket : last;
	}
	for (uint64_t at = last; last >= head[1] && at < SYMBOLS_MAX; at++) {
		uint32_t hash;
		if (!read_memory_at(memory, chains + (at - head[1]) * 4, &hash, sizeof(hash)))
			return 0;
		if (hash & 1)
			return at + 1;
	}
	return 0;
}

static uint64_t count_symbols(const struct memory_module *memory)
{
	uint32_t head[2];
	if (memory->gnu_hash)
		return count_by_gnu_hash(memory);
	if (memory->hash && read_memory_at(memory, memory->hash, head, sizeof(head)))
		return lh_min_u64(head[1], SYMBOLS_MAX);
	return 0;
}

/* NULL, without an error, when they are absent. */
static struct lh_error *copy_names(struct memory_module *memory, const char **ret)
{
	*ret = NULL;
	if (!memory->names || !memory->names_bytes || memory->names_bytes > NAMES_MAX_BYTES)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) char *copy = malloc(memory->names_bytes + 1);
	if (!copy)
		return lh_error_no_memory();
	if (!read_memory_at(memory, memory->names, copy, memory->names_bytes))
		return NULL;
	copy[memory->names_bytes] = '\0';
	LH_TRY(lh_vec_push(&memory->table->texts, copy));
	*ret = copy;
	copy = NULL;
	return NULL;
}

static struct lh_error *add_memory_symbol(struct memory_module *memory, const Elf64_Sym *symbol, const char *name)
{
	uint8_t code[LH_ACCESSOR_MAX_BYTES];
	LH_TRY(lh_module_table_add_symbol(memory->table, symbol, name));
	if (!*name || !lh_symbol_may_be_accessor(symbol) ||
	    !read_memory_at(memory, memory->module->bias + symbol->st_value, code, symbol->st_size))
		return NULL;
	return lh_module_table_add_accessor(memory->table, symbol, name, code);
}

static struct lh_error *add_symbols(struct memory_module *memory, const char *names, bool *ret_are_there)
{
	uint64_t count = count_symbols(memory);
	for (uint64_t i = 0; i < count; i += AT_ONCE) {
		Elf64_Sym symbols[AT_ONCE];
		size_t some = (size_t)lh_min_u64(AT_ONCE, count - i);
		if (!read_memory_at(memory, memory->symbols + i * sizeof(symbols[0]), symbols,
				    some * sizeof(symbols[0])))
			return NULL;
		for (size_t k = 0; k < some; k++) {
			if (symbols[k].st_name < memory->names_bytes)
				LH_TRY(add_memory_symbol(memory, &symbols[k], names + symbols[k].st_name));
		}
	}
	*ret_are_there = count > 0;
	return NULL;
}

/* ---------------------------------------------------------------- relocations */

static struct lh_error *add_relocation(struct memory_module *memory, const Elf64_Rela *relocation)
{
	Elf64_Sym symbol;
	uint64_t index = ELF64_R_SYM(relocation->r_info);
	bool has_symbol = index && index < SYMBOLS_MAX &&
			  read_memory_at(memory, memory->symbols + index * sizeof(symbol), &symbol, sizeof(symbol));
	return lh_method_tables_add_word(memory->table, relocation, has_symbol ? &symbol : NULL);
}

static struct lh_error *add_relocations(struct memory_module *memory)
{
	uint64_t count = lh_min_u64(memory->relocations_bytes / sizeof(Elf64_Rela), RELOCATIONS_MAX);
	for (uint64_t i = 0; memory->relocations && i < count; i += AT_ONCE) {
		Elf64_Rela some[AT_ONCE];
		size_t number = (size_t)lh_min_u64(AT_ONCE, count - i);
		if (!read_memory_at(memory, memory->relocations + i * sizeof(some[0]), some, number * sizeof(some[0])))
			return NULL;
		for (size_t k = 0; k < number; k++)
			LH_TRY(add_relocation(memory, &some[k]));
	}
	return NULL;
}

struct lh_error *lh_memory_module_read(const struct lh_image *image, const struct lh_module *module,
				       struct lh_module_table *table, bool *ret_has_symbols, bool *ret_is_complete)
{
	struct memory_module memory = {.image = image, .module = module, .table = table};
	uint64_t dynamic = 0;
	const char *names;
	*ret_has_symbols = *ret_is_complete = false;
	if (!module->has_bias)
		return NULL;
	LH_TRY(read_memory_segments(&memory, &dynamic));
	if (!dynamic)
		return NULL;
	read_dynamic(&memory, dynamic);
	LH_TRY(copy_names(&memory, &names));
	if (!names || !memory.symbols)
		return NULL;
	LH_TRY(add_symbols(&memory, names, ret_has_symbols));
	*ret_is_complete = *ret_has_symbols && !memory.lacks_constants;
	return add_relocations(&memory);
}
