/*
 * symbols: what lies at an address of a module. The only code that includes elfutils. Reads the
 * module files (hostile) named by an image, and memory through the image only.
 */
#ifndef LEAKHUNT_SYMBOLS_H
#define LEAKHUNT_SYMBOLS_H

#include "leakhunt/image.h"
#include "leakhunt/modules.h"

/* Where a name comes from, best first. */
enum lh_symbol_origin {
	LH_SYMBOL_TABLE,    /* .symtab, .dynsym: the address lies within [st_value, st_value + st_size) */
	LH_SYMBOL_ACCESSOR, /* an exported function that only returns this address names it, e.g. TLS_method() */
	LH_SYMBOL_TYPE,     /* a type that names itself: "vtable for X" by C++ type information, "type X" of CPython */
	LH_SYMBOL_STRING,   /* a static object with a pointer to a string in its first four words: "\"AES-256-GCM\"" */
	LH_SYMBOL_SIMILAR,  /* a table of function pointers nearly equal to one that an accessor names */
	LH_SYMBOL_SECTION,  /* only the section is known: ".data.rel.ro+0x1230", or "+0x1230" in the module; offset 0 */
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

/* Sets how files of modules are opened from now on; the default is lh_open_below. Call before other threads start. */
void lh_symbols_open_files_by(lh_open_call *open_file);

/*
 * Opens the modules of `image` below `root` (NULL: the image's own root). A module whose file is missing, unreadable,
 * or has another build id than the image states is left unnamed and counted. The image must outlive the symbols.
 */
struct lh_error *lh_symbols_open(const struct lh_image *image, const char *root, struct lh_symbols **ret) LH_NODISCARD;
void lh_symbols_close(struct lh_symbols *symbols);
void lh_cleanup_symbols(struct lh_symbols **symbols);

/* False if no module contains `addr`. At least the section, or the bare module, is always known. */
bool lh_symbols_find(struct lh_symbols *symbols, uint64_t addr, struct lh_symbol *ret);

/* The module that contains `addr`, as the image lists it; NULL if none does. */
const struct lh_module *lh_symbols_module(struct lh_symbols *symbols, uint64_t addr, const char **ret_name);

/* Whether `addr` may be code of a module. False if the module's file is missing. */
bool lh_symbols_is_code(struct lh_symbols *symbols, uint64_t addr);

/*
 * The accessor function whose table lies at `addr`, or (*ret_is_similar) whose table is nearly the same, whatever other
 * names the address has. NULL if there is none. As in the file, without "()".
 */
const char *lh_symbols_accessor(struct lh_symbols *symbols, uint64_t addr, bool *ret_is_similar);

/* The string by which the static object at `addr` names itself, in quotes; NULL if there is none. */
const char *lh_symbols_string_name(struct lh_symbols *symbols, uint64_t addr);

/*
 * The word at `addr` from memory; if the image lacks it, from the module's file: a pointer after the dynamic linker's
 * relocation, or a plain number. False if neither has it.
 */
bool lh_symbols_read_pointer(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret);
bool lh_symbols_read_number(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret);

/* A printable C string of 1 to `most` bytes at `addr`; belongs to lh_symbols. NULL if there is none. */
const char *lh_symbols_read_name(struct lh_symbols *symbols, uint64_t addr, size_t most);

/*
 * A C++ class, by the run-time type information of the virtual table at `addr` (the address that objects hold): Itanium
 * C++ ABI 2.5.2 and 2.9.5. Stripped programs have it unless built with -fno-rtti.
 */
struct lh_cxx_class {
	const char *name;
	bool is_base_part; /* the table is of a second base: objects of the class hold it beside the first one */
	uint64_t type_info;
	/* From the table to the word that says how far behind an object its first virtual base is; 0: it has none. */
	int32_t virtual_base_slot;
};
bool lh_symbols_cxx_class(struct lh_symbols *symbols, uint64_t addr, struct lh_cxx_class *ret);
/* The address of that type information; 0 if there is no virtual table at `addr`. */
uint64_t lh_symbols_cxx_type_info(struct lh_symbols *symbols, uint64_t addr);

/* A type of CPython 3.8 to 3.13, by the structure of the type object at `addr`, which may lie in the heap. */
struct lh_python_type {
	const char *name;     /* tp_name; belongs to lh_symbols */
	uint64_t basic_bytes; /* of an instance */
	uint64_t item_bytes;  /* per item of a variable-sized instance; 0 */
	bool has_gc_head;     /* 16 bytes of the collector precede an instance */
	bool is_metaclass;    /* its instances are types */
	bool is_int;          /* int, or a subclass */
	bool is_str;          /* likewise */
	bool is_list;
	bool is_dict;
	bool is_set; /* set or frozenset itself */
	bool is_bytearray;
};
bool lh_symbols_python_type(struct lh_symbols *symbols, uint64_t addr, struct lh_python_type *ret);

/*
 * Whose malloc the modules of `image` call: what the slots hold that their relocations name "malloc"
 * (R_X86_64_JUMP_SLOT, GLOB_DAT; slots still unbound, into the module's own .plt, are passed over), and which
 * names the module has that most of them lead to. Where there are no slots, as in static programs, the names in the
 * first module tell. LH_ALLOCATOR_UNKNOWN when nothing does. Reads files below `root`, and a few words of memory.
 */
struct lh_error *lh_allocator_find(const struct lh_image *image, const char *root, enum lh_allocator *ret) LH_NODISCARD;
/* The same, with the module of `image` that contains this malloc; NULL if there is none. */
struct lh_error *lh_allocator_find_module(const struct lh_image *image, const char *root, enum lh_allocator *ret,
					  const struct lh_module **ret_module) LH_NODISCARD;

/* ---------------------------------------------------------------- one file, for those who know what to look for */

/*
 * The file mapped as `module`, found as lh_symbols_open does. *ret is NULL, without an error, if the file is missing or
 * is another one. The image must outlive it.
 */
struct lh_module_file;
struct lh_error *lh_module_file_open(const struct lh_image *image, const struct lh_module *module,
				     struct lh_module_file **ret) LH_NODISCARD;
void lh_cleanup_module_file(struct lh_module_file **file); /* closes; NULL in it is legal */

/* Calls `visit` for each data object of .dynsym and .symtab whose name begins with `prefix`; may repeat some. */
typedef void lh_module_name_visitor(void *context, const char *name, uint64_t addr /* in memory */);
void lh_module_file_visit_names(const struct lh_module_file *file, const char *prefix, lh_module_name_visitor *visit,
				void *context);
/* Calls `visit` for each function of .dynsym and .symtab; may repeat some. */
typedef void lh_module_function_visitor(void *context, const char *name, struct lh_range code /* in memory */);
void lh_module_file_visit_functions(const struct lh_module_file *file, lh_module_function_visitor *visit,
				    void *context);
/*
 * Bytes at an address: from memory, else from the file, without relocations. False unless one of them has all of the
 * bytes.
 */
bool lh_module_file_read(const struct lh_module_file *file, uint64_t addr, void *ret, size_t bytes);
/* The same for a C string of less than `ret_bytes` bytes; false if there is none. */
bool lh_module_file_read_text(const struct lh_module_file *file, uint64_t addr, char *ret, size_t ret_bytes);

/* Modules that could not be used, and why. */
struct lh_symbols_problem {
	const char *path;
	const char *reason; /* "build-id differs", "no such file", "not an ELF file" */
};
const struct lh_symbols_problem *lh_symbols_problems(const struct lh_symbols *symbols, size_t *ret_count);

#endif
