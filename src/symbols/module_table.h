/*
 * module_table: the names that one ELF file gives to addresses, copied out of it. Private to
 * src/symbols and its tests.
 */
#ifndef LEAKHUNT_SYMBOLS_MODULE_TABLE_H
#define LEAKHUNT_SYMBOLS_MODULE_TABLE_H

#include "leakhunt/symbols.h"

#include <gelf.h>

/* A name for [start, end), addresses as in the file. */
struct lh_table_entry {
	uint64_t start;
	uint64_t end;
	const char *name;      /* as in the file: mangled; in one of the table's texts */
	const char *demangled; /* created on first use; NULL until then */
	uint64_t symbol_start; /* where the symbol begins: a nested symbol may take its first bytes */
	uint8_t rank;          /* of two symbols for the same bytes the one with the higher rank wins */
};

struct lh_table_entries {
	LH_VEC(struct lh_table_entry) items;
};

/* An allocated section. */
struct lh_table_section {
	uint64_t start;
	uint64_t end;
	const char *name;
	bool is_constant; /* the file's read-only data, where string literals are */
};

/* A PT_LOAD: where the file's bytes [file_offset, + file_bytes) are mapped. */
struct lh_table_load {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset;
	uint64_t file_bytes;
	bool is_code;
};

/* A word of the file that the dynamic linker sets to the address `value` (R_X86_64_RELATIVE, R_X86_64_64). */
struct lh_relocated_word {
	uint64_t addr;
	uint64_t value;
};

struct lh_module_table {
	struct lh_table_entries symbols;   /* ascending, disjoint once finished */
	struct lh_table_entries accessors; /* ascending start, each one address */
	LH_VEC(struct lh_table_section) sections;
	LH_VEC(struct lh_table_load) loads;
	LH_VEC(struct lh_relocated_word) words; /* ascending addr */
	LH_VEC(char *) texts;                   /* copies of string tables, terminated */
	uint64_t first_load_addr;               /* page of the lowest PT_LOAD: what module->start is in the file */
	bool has_first_load;
	uint8_t build_id[LH_BUILD_ID_MAX];
	size_t build_id_bytes;
};

void lh_module_table_deinit(struct lh_module_table *table);

/*
 * Reads build id, load address and loaded segments. *ret_problem is set to a literal when `elf` (NULL is legal) is no
 * 64-bit little-endian ELF file, which must not be added then.
 */
struct lh_error *lh_module_table_read_identity(struct lh_module_table *table, Elf *elf,
					       const char **ret_problem) LH_NODISCARD;

/* Adds sections, symbols of .symtab and .dynsym, and accessors. */
struct lh_error *lh_module_table_add(struct lh_module_table *table, Elf *elf) LH_NODISCARD;

/* Adds the symbols of a separate debug file; and its sections, when nothing was added before. */
struct lh_error *lh_module_table_add_debug(struct lh_module_table *table, Elf *elf) LH_NODISCARD;

/* Adds one symbol that was not read through libelf. `name` must stay valid. */
struct lh_error *lh_module_table_add_load(struct lh_module_table *table, const GElf_Phdr *header) LH_NODISCARD;
struct lh_error *lh_module_table_add_symbol(struct lh_module_table *table, const GElf_Sym *symbol,
					    const char *name) LH_NODISCARD;
/* Longer functions do more than return an address. */
enum { LH_ACCESSOR_MAX_BYTES = 16 };
bool lh_symbol_may_be_accessor(const GElf_Sym *symbol);
/* `code`: st_size bytes, or NULL: it can't be read. */
struct lh_error *lh_module_table_add_accessor(struct lh_module_table *table, const GElf_Sym *symbol, const char *name,
					      const uint8_t *code) LH_NODISCARD;

/* Orders all; needed before the finds. */
struct lh_error *lh_module_table_finish(struct lh_module_table *table) LH_NODISCARD;

struct lh_table_entry *lh_module_table_find_symbol(struct lh_module_table *table, uint64_t addr);
struct lh_table_entry *lh_module_table_find_accessor(struct lh_module_table *table, uint64_t addr);
const struct lh_table_section *lh_module_table_find_section(const struct lh_module_table *table, uint64_t addr);
const struct lh_table_load *lh_module_table_find_load(const struct lh_module_table *table, uint64_t addr);
/* What the dynamic linker sets the word at `addr` to; NULL when it has no relocation. */
const struct lh_relocated_word *lh_module_table_find_word(const struct lh_module_table *table, uint64_t addr);

/* What a relocation sets its word to, if known. `symbol`: the one that it names, or NULL. */
struct lh_error *lh_method_tables_add_word(struct lh_module_table *table, const GElf_Rela *relocation,
					   const GElf_Sym *symbol) LH_NODISCARD;
/* Reads and sorts the relocations of `elf`. */
struct lh_error *lh_method_tables_add(struct lh_module_table *table, Elf *elf) LH_NODISCARD;
void lh_method_tables_finish(struct lh_module_table *table);

/*
 * The accessor whose table of function pointers the one at `addr` is a variant of: at least 16 words
 * can be compared, and 80 % of them are equal. NULL when there is none.
 */
const struct lh_table_entry *lh_method_tables_find(const struct lh_module_table *table, uint64_t addr);

/* Makes `text` readable: C++ and Rust names are demangled, within bounds. Appends to `ret`. */
void lh_symbol_demangle(const char *text, struct lh_buffer *ret);

/* The same of a C++ type, as type_info names it: "N3app7SessionE". False, with nothing appended, when it is none. */
bool lh_type_demangle(const char *text, struct lh_buffer *ret);

#endif
