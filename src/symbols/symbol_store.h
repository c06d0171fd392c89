/*
 * symbol_store: what the parts of symbols share: the opened modules of one image with their tables, and
 * reads of memory that fall back to the modules' files. Private to src/symbols.
 */
#ifndef LEAKHUNT_SYMBOLS_SYMBOL_STORE_H
#define LEAKHUNT_SYMBOLS_SYMBOL_STORE_H

#include "module_table.h"

struct named_module {
	const struct lh_module *module;
	const char *path; /* below the root */
	const char *name; /* file name without folder; in the path */
	struct lh_module_table table;
	uint64_t bias;
	bool has_names;
	int fd; /* of the module's file, if it is the mapped one; else -1 */
};

struct lh_symbols {
	const struct lh_image *image;
	LH_VEC(struct named_module) modules; /* ascending start */
	LH_VEC(struct lh_symbols_problem) problems;
	struct lh_strings_pool strings;
	int root_fd;
	uint64_t python_metatype; /* PyType_Type of CPython, once found; 0 */
};

/* The module that holds `addr`, or NULL. */
struct named_module *lh_symbol_store_find(struct lh_symbols *symbols, uint64_t addr);

/* Keeps a text for as long as the symbols live; NULL when memory ran out. */
const char *lh_symbol_store_keep(struct lh_symbols *symbols, const struct lh_buffer *text);

/*
 * The word at `addr` as it is in memory: from the image, or from the module's file with relocations applied. For
 * pointers only: a plain number in a file is not told apart from an address. False when neither has it.
 */
bool lh_symbol_read_pointer(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret);

/* The word at `addr` without any relocation. */
bool lh_symbol_read_number(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret);

/* A C string of at least one and at most `most` bytes at `addr`, appended to `ret`; false when there is none. */
bool lh_symbol_read_text(struct lh_symbols *symbols, uint64_t addr, size_t most, struct lh_buffer *ret);

/* Whether the module's code may lie at `addr`. */
bool lh_symbol_is_code(struct lh_symbols *symbols, uint64_t addr);

/*
 * The name of the object at `addr` from its own first words, one of which points to a C string. NULL when there is
 * none.
 */
const char *lh_string_name(struct lh_symbols *symbols, uint64_t addr);

/* The folder that modules' paths begin at, opened; -1. `root`: as of lh_image_root; empty is this machine's "/". */
int lh_open_modules_root(const char *root);

/* Opens a regular file below the root, following no link out of it. -1, and *ret_problem set to a literal. */
int lh_open_module_file(int root_fd, const char *path, const char **ret_problem);

/*
 * Adds the symbols of the module's separate debug file, if there is one: by build id and by
 * .gnu_debuglink below the root, in .gnu_debugdata of `elf` (NULL: the module's file is not there), and
 * from the debuginfod servers when DEBUGINFOD_URLS is set. *ret_is_found is set when there is one.
 */
struct lh_error *lh_debug_file_add(int root_fd, const struct named_module *module, Elf *elf,
				   struct lh_module_table *table, bool *ret_is_found) LH_NODISCARD;

/*
 * Fills the table from memory, as far as the image has the module's headers and its dynamic section.
 * *ret_has_symbols: its dynamic symbols are all there; *ret_is_complete: read-only data, too.
 */
struct lh_error *lh_memory_module_read(const struct lh_image *image, const struct lh_module *module,
				       struct lh_module_table *table, bool *ret_has_symbols,
				       bool *ret_is_complete) LH_NODISCARD;

/* Whether both have a build id, and the two differ. */
bool lh_build_id_differs(const struct lh_module *module, const struct lh_module_table *table);

/* Whether the file's build id is that of the module; both must have one. */
bool lh_build_id_equals(const struct lh_module *module, Elf *elf);

/* Whether `elf`, which may be NULL, is a 64-bit ELF file with the module's build id; one without takes any. */
bool lh_is_file_of(const struct lh_module *module, Elf *elf);

void lh_cleanup_elf(Elf **elf); /* NULL is legal */

#endif
