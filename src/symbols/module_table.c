/*
 * module_table: reads section headers, symbol tables and accessor functions of one ELF file through libelf into sorted
 * tables. The file is hostile: sizes are bounded by the file's, and the work is n log n. Afterwards the file may be
 * closed.
 */
#include "module_table.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

void lh_module_table_deinit(struct lh_module_table *table)
{
	for (size_t i = 0; i < table->texts.count; i++)
		free(table->texts.items[i]);
	lh_vec_deinit(&table->texts);
	lh_vec_deinit(&table->symbols.items);
	lh_vec_deinit(&table->accessors.items);
	lh_vec_deinit(&table->words);
	lh_vec_deinit(&table->loads);
	lh_vec_deinit(&table->sections);
}

/* ---------------------------------------------------------------- string tables */

/* A copy of the section's bytes with a NUL after them; *ret NULL when it has none. */
static struct lh_error *copy_section_text(struct lh_module_table *table, Elf *elf, size_t index, const char **ret,
					  size_t *ret_bytes)
{
	*ret = NULL;
	*ret_bytes = 0;
	Elf_Scn *section = elf_getscn(elf, index);
	Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
	if (!data || !data->d_buf || !data->d_size)
		return NULL;
	LH_TRY(lh_vec_reserve(&table->texts, 1));
	char *text = malloc(data->d_size + 1);
	if (!text)
		return lh_error_no_memory();
	memcpy(text, data->d_buf, data->d_size);
	text[data->d_size] = '\0';
	table->texts.items[table->texts.count++] = text;
	*ret = text;
	*ret_bytes = data->d_size;
	return NULL;
}

/* ---------------------------------------------------------------- sections */

static struct lh_error *add_sections(struct lh_module_table *table, Elf *elf)
{
	size_t names_index, names_bytes;
	const char *names;
	if (elf_getshdrstrndx(elf, &names_index) != 0)
		return NULL;
	LH_TRY(copy_section_text(table, elf, names_index, &names, &names_bytes));
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		uint64_t end;
		if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_ALLOC) || !header.sh_size ||
		    (header.sh_flags & SHF_TLS && header.sh_type == SHT_NOBITS) ||
		    !lh_add_u64(header.sh_addr, header.sh_size, &end))
			continue;
		const char *name = header.sh_name < names_bytes ? names + header.sh_name : "";
		bool is_constant =
			header.sh_type == SHT_PROGBITS && !(header.sh_flags & (SHF_WRITE | SHF_EXECINSTR | SHF_TLS));
		LH_TRY(lh_vec_push(&table->sections,
				   (struct lh_table_section){header.sh_addr, end, name, is_constant}));
	}
	return NULL;
}

/* Programs have 4 to 6; entries beyond this are ignored. */
enum { LOADS_MAX = 64 };

struct lh_error *lh_module_table_add_load(struct lh_module_table *table, const GElf_Phdr *header)
{
	struct lh_table_load load = {
		.start = header->p_vaddr,
		.file_offset = header->p_offset,
		.file_bytes = lh_min_u64(header->p_filesz, header->p_memsz),
		.is_code = header->p_flags & PF_X,
	};
	uint64_t page = lh_align_down(header->p_vaddr, LH_PAGE_BYTES);
	if (!table->has_first_load || page < table->first_load_addr)
		table->first_load_addr = page;
	table->has_first_load = true;
	if (!lh_add_u64(header->p_vaddr, header->p_memsz, &load.end) || table->loads.count >= LOADS_MAX)
		return NULL;
	return lh_vec_push(&table->loads, load);
}

static struct lh_error *read_loads(struct lh_module_table *table, Elf *elf)
{
	size_t count = 0;
	if (elf_getphdrnum(elf, &count) != 0)
		return NULL;
	for (size_t i = 0; i < count && i < INT32_MAX; i++) {
		GElf_Phdr header;
		if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_LOAD)
			LH_TRY(lh_module_table_add_load(table, &header));
	}
	return NULL;
}

static void read_table_build_id(struct lh_module_table *table, Elf *elf)
{
	const void *id;
	ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);
	if (bytes <= 0 || bytes > LH_BUILD_ID_MAX)
		return;
	memcpy(table->build_id, id, (size_t)bytes);
	table->build_id_bytes = (size_t)bytes;
}

/* ---------------------------------------------------------------- accessors */

/* The file's bytes at an address, from the section that holds it. */
static const uint8_t *bytes_at(Elf *elf, size_t section_index, uint64_t addr, size_t bytes)
{
	GElf_Shdr header;
	Elf_Scn *section = elf_getscn(elf, section_index);
	Elf_Data *data = section && gelf_getshdr(section, &header) ? elf_rawdata(section, NULL) : NULL;
	if (!data || !data->d_buf || addr < header.sh_addr)
		return NULL;
	uint64_t offset = addr - header.sh_addr;
	if (offset > data->d_size || data->d_size - offset < bytes)
		return NULL;
	return (const uint8_t *)data->d_buf + offset;
}

bool lh_symbol_may_be_accessor(const GElf_Sym *symbol)
{
	return GELF_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_size >= 8 &&
	       symbol->st_size <= LH_ACCESSOR_MAX_BYTES && symbol->st_shndx < SHN_LORESERVE;
}

struct lh_error *lh_module_table_add_accessor(struct lh_module_table *table, const GElf_Sym *symbol, const char *name,
					      const uint8_t *code)
{
	uint64_t target;
	if (!code || !lh_code_returned_address(code, symbol->st_size, symbol->st_value, &target))
		return NULL;
	return lh_vec_push(
		&table->accessors.items,
		(struct lh_table_entry){.start = target, .end = target + 1, .name = name, .symbol_start = target});
}

/* ---------------------------------------------------------------- symbols */

static bool is_named_bytes(const GElf_Sym *symbol)
{
	unsigned type = GELF_ST_TYPE(symbol->st_info);
	return symbol->st_shndx != SHN_UNDEF && symbol->st_size && symbol->st_value &&
	       (type == STT_OBJECT || type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

/*
 * Names for other files before local ones; of aliases (write and __write) the one without underscore, which people
 * know; then global before weak ones.
 */
static uint8_t symbol_rank_of(const GElf_Sym *symbol, const char *name)
{
	unsigned binding = GELF_ST_BIND(symbol->st_info);
	bool is_global = binding == STB_GLOBAL || binding == STB_GNU_UNIQUE;
	bool is_local = !is_global && binding != STB_WEAK;
	return (uint8_t)((is_local ? 0 : 4) + (name[0] != '_' ? 2 : 0) + (is_global ? 1 : 0));
}

struct lh_error *lh_module_table_add_symbol(struct lh_module_table *table, const GElf_Sym *symbol, const char *name)
{
	uint64_t end;
	if (!*name || !is_named_bytes(symbol) || !lh_add_u64(symbol->st_value, symbol->st_size, &end))
		return NULL;
	return lh_vec_push(&table->symbols.items, (struct lh_table_entry){.start = symbol->st_value,
									  .end = end,
									  .name = name,
									  .symbol_start = symbol->st_value,
									  .rank = symbol_rank_of(symbol, name)});
}

static struct lh_error *add_table_symbol(struct lh_module_table *table, Elf *elf, const GElf_Sym *symbol,
					 const char *name, bool is_dynamic)
{
	LH_TRY(lh_module_table_add_symbol(table, symbol, name));
	if (!is_dynamic || !*name || !lh_symbol_may_be_accessor(symbol))
		return NULL;
	return lh_module_table_add_accessor(table, symbol, name,
					    bytes_at(elf, symbol->st_shndx, symbol->st_value, symbol->st_size));
}

static struct lh_error *add_symbol_table(struct lh_module_table *table, Elf *elf, Elf_Scn *section,
					 const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	const char *names;
	size_t names_bytes;
	if (!data || !data->d_buf)
		return NULL;
	LH_TRY(copy_section_text(table, elf, header->sh_link, &names, &names_bytes));
	size_t count = lh_min_u64(data->d_size / sizeof(Elf64_Sym), INT32_MAX);
	for (size_t i = 0; names && i < count; i++) {
		GElf_Sym symbol;
		if (gelf_getsym(data, (int)i, &symbol) && symbol.st_name < names_bytes)
			LH_TRY(add_table_symbol(table, elf, &symbol, names + symbol.st_name,
						header->sh_type == SHT_DYNSYM));
	}
	return NULL;
}

/* The first table of each kind: a sane file has one, and hostile ones could repeat the same bytes. */
static struct lh_error *add_symbol_tables(struct lh_module_table *table, Elf *elf)
{
	bool has_static = false, has_dynamic = false;
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		if (!gelf_getshdr(section, &header))
			continue;
		bool *has = header.sh_type == SHT_SYMTAB ? &has_static : &has_dynamic;
		if ((header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) || *has)
			continue;
		*has = true;
		LH_TRY(add_symbol_table(table, elf, section, &header));
	}
	return NULL;
}

struct lh_error *lh_module_table_read_identity(struct lh_module_table *table, Elf *elf, const char **ret_problem)
{
	GElf_Ehdr header;
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header)) {
		*ret_problem = "not an ELF file";
	} else if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
		*ret_problem = "not a 64-bit little-endian ELF file";
	} else {
		read_table_build_id(table, elf);
		return read_loads(table, elf);
	}
	return NULL;
}

struct lh_error *lh_module_table_add(struct lh_module_table *table, Elf *elf)
{
	LH_TRY(add_sections(table, elf));
	LH_TRY(lh_method_tables_add(table, elf));
	return add_symbol_tables(table, elf);
}

struct lh_error *lh_module_table_add_debug(struct lh_module_table *table, Elf *elf)
{
	if (!table->sections.count) {
		LH_TRY(read_loads(table, elf));
		LH_TRY(add_sections(table, elf));
	}
	return add_symbol_tables(table, elf);
}

/* ---------------------------------------------------------------- ordering */

/* By start; of several at one address the largest first, of the same bytes the best name first. */
static int compare_entries(const void *a, const void *b)
{
	const struct lh_table_entry *left = a, *right = b;
	int order = lh_compare_u64(left->start, right->start);
	if (!order)
		order = lh_compare_u64(right->end, left->end);
	if (!order)
		order = (int)right->rank - (int)left->rank;
	return order ? order : strcmp(left->name, right->name);
}

static int compare_sections(const void *a, const void *b)
{
	const struct lh_table_section *left = a, *right = b;
	return lh_compare_u64(left->start, right->start);
}

/* Of equal ranges the first (best) stays; `by_start` looks at the start only. */
static void drop_repeated(struct lh_table_entries *entries, bool by_start)
{
	size_t kept = 0;
	for (size_t i = 0; i < entries->items.count; i++) {
		const struct lh_table_entry *entry = &entries->items.items[i];
		const struct lh_table_entry *last = kept ? &entries->items.items[kept - 1] : NULL;
		if (!last || last->start != entry->start || (!by_start && last->end != entry->end))
			entries->items.items[kept++] = *entry;
	}
	entries->items.count = kept;
}

static void sort_entries(struct lh_table_entries *entries, bool by_start)
{
	lh_vec_sort(&entries->items, compare_entries);
	drop_repeated(entries, by_start);
}

/* Symbols that hold the place that the sweep has reached, the innermost last. */
struct open_symbols {
	LH_VEC(size_t) stack; /* indexes of entries */
};

static void open_symbols_deinit(struct open_symbols *open)
{
	lh_vec_deinit(&open->stack);
}

/* Writes the innermost open symbols' parts of [*at, until). */
static struct lh_error *emit_until(const struct lh_table_entries *sorted, struct open_symbols *open, uint64_t *at,
				   uint64_t until, struct lh_table_entries *ret)
{
	while (open->stack.count && *at < until) {
		const struct lh_table_entry *top = &sorted->items.items[open->stack.items[open->stack.count - 1]];
		uint64_t end = lh_min_u64(top->end, until);
		if (end > *at) {
			struct lh_table_entry part = *top;
			part.start = *at;
			part.end = end;
			LH_TRY(lh_vec_push(&ret->items, part));
			*at = end;
		}
		if (top->end <= until)
			open->stack.count--;
	}
	*at = until;
	return NULL;
}

/* Symbols may nest and overlap: afterwards each byte belongs to the innermost one. */
static struct lh_error *flatten_entries(const struct lh_table_entries *sorted, struct lh_table_entries *ret)
{
	struct open_symbols open LH_CLEANUP(open_symbols_deinit) = {0};
	uint64_t at = 0;
	for (size_t i = 0; i < sorted->items.count; i++) {
		LH_TRY(emit_until(sorted, &open, &at, sorted->items.items[i].start, ret));
		LH_TRY(lh_vec_push(&open.stack, i));
	}
	return emit_until(sorted, &open, &at, UINT64_MAX, ret);
}

static void entries_deinit(struct lh_table_entries *entries)
{
	lh_vec_deinit(&entries->items);
}

struct lh_error *lh_module_table_finish(struct lh_module_table *table)
{
	sort_entries(&table->symbols, false);
	sort_entries(&table->accessors, true);
	lh_method_tables_finish(table);
	lh_vec_sort(&table->sections, compare_sections);
	struct lh_table_entries flat LH_CLEANUP(entries_deinit) = {0};
	LH_TRY(flatten_entries(&table->symbols, &flat));
	struct lh_table_entries sorted = table->symbols;
	table->symbols = flat;
	flat = sorted;
	return NULL;
}

/* ---------------------------------------------------------------- finding */

/* The last entry that starts at or before `addr`, or NULL. */
static struct lh_table_entry *last_entry_from(struct lh_table_entries *entries, uint64_t addr)
{
	size_t low = lh_vec_count_before(&entries->items, item, item->start <= addr);
	return low ? &entries->items.items[low - 1] : NULL;
}

struct lh_table_entry *lh_module_table_find_symbol(struct lh_module_table *table, uint64_t addr)
{
	struct lh_table_entry *entry = last_entry_from(&table->symbols, addr);
	return entry && addr < entry->end ? entry : NULL;
}

struct lh_table_entry *lh_module_table_find_accessor(struct lh_module_table *table, uint64_t addr)
{
	struct lh_table_entry *entry = last_entry_from(&table->accessors, addr);
	return entry && addr == entry->start ? entry : NULL;
}

/* Sections of a sane file do not overlap; in a hostile file any match is acceptable. */
const struct lh_table_section *lh_module_table_find_section(const struct lh_module_table *table, uint64_t addr)
{
	for (size_t i = table->sections.count; i > 0; i--) {
		const struct lh_table_section *section = &table->sections.items[i - 1];
		if (section->start <= addr && addr < section->end)
			return section;
	}
	return NULL;
}

/* As for sections: any that fits will do. */
const struct lh_table_load *lh_module_table_find_load(const struct lh_module_table *table, uint64_t addr)
{
	for (size_t i = 0; i < table->loads.count; i++) {
		const struct lh_table_load *load = &table->loads.items[i];
		if (load->start <= addr && addr < load->end)
			return load;
	}
	return NULL;
}

const struct lh_relocated_word *lh_module_table_find_word(const struct lh_module_table *table, uint64_t addr)
{
	size_t low = lh_vec_count_before(&table->words, item, item->addr < addr);
	return low < table->words.count && table->words.items[low].addr == addr ? &table->words.items[low] : NULL;
}
