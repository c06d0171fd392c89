/*
 * symbols: what lies at an address of a module. The only code that includes elfutils. Reads the
 * module files (hostile) named by an image, never the target itself.
 */
#ifndef LEAKHUNT_SYMBOLS_H
#define LEAKHUNT_SYMBOLS_H

#include "leakhunt/image.h"

/* Where a name comes from, best first. */
enum lh_symbol_origin {
	LH_SYMBOL_TABLE,    /* .symtab, .dynsym: the address lies within [st_value, st_value + st_size) */
	LH_SYMBOL_ACCESSOR, /* an exported function that only returns this address names it, e.g. TLS_method() */
	LH_SYMBOL_SIMILAR,  /* a table of function pointers, nearly equal to one that an accessor names */
	LH_SYMBOL_SECTION,  /* only the place is known: ".data.rel.ro+0x1230", or "+0x1230" in the module; offset 0 */
};

struct lh_symbol {
	const char *name;        /* demangled; belongs to lh_symbols */
	const char *module_name; /* file name without folder */
	const struct lh_module *module;
	enum lh_symbol_origin origin;
	uint64_t addr;   /* where the symbol begins */
	uint64_t offset; /* of the asked address in it */
};

struct lh_symbols;

/*
 * Opens the modules of `image` under `root` (NULL: the image's own root). A module whose file is
 * missing, unreadable, or has another build id than the image says is left unnamed and counted.
 * The image must outlive it.
 */
struct lh_error *lh_symbols_open(const struct lh_image *image, const char *root, struct lh_symbols **ret) LH_NODISCARD;
void lh_symbols_close(struct lh_symbols *symbols);
void lh_cleanup_symbols(struct lh_symbols **symbols);

/* false when no module holds `addr`. Always at least the section, or the bare module, is known. */
bool lh_symbols_find(struct lh_symbols *symbols, uint64_t addr, struct lh_symbol *ret);

/* Modules that could not be used, and why. */
struct lh_symbols_problem {
	const char *path;
	const char *reason; /* "build-id differs", "no such file", "not an ELF file" */
};
const struct lh_symbols_problem *lh_symbols_problems(const struct lh_symbols *symbols, size_t *ret_count);

#endif
