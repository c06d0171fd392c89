/*
 * symbols: from an address of an image to the name of what is there. Opens each module's file once (and a separate
 * debug file, if there is one), checks by build id that it is the mapped one, copies its names, and closes it. Opens
 * files below `root` only.
 */
#include "symbol_store.h"

#include "leakhunt/fault_point.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- one module */

/* A file without a build id cannot be told from its replacement, unless it certainly `is_mapped`. */
static const char *identity_problem(const struct lh_module *module, const struct lh_module_table *table, bool is_mapped)
{
	if (lh_build_id_differs(module, table))
		return "build-id differs";
	if (module->is_deleted && !is_mapped && (!module->build_id_bytes || !table->build_id_bytes))
		return "the file was replaced";
	return NULL;
}

/* Takes ownership of `opened`. A file that is used stays open; *ret_elf is NULL for any other. */
static struct lh_error *load_opened(int opened, bool is_mapped, struct named_module *ret, Elf **ret_elf,
				    const char **ret_problem)
{
	LH_CLEANUP(lh_cleanup_close) int fd = opened;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	LH_TRY(lh_module_table_read_identity(&ret->table, elf, ret_problem));
	if (!*ret_problem)
		*ret_problem = identity_problem(ret->module, &ret->table, is_mapped);
	if (*ret_problem) {
		lh_vec_deinit(&ret->table.loads);
		ret->table.has_first_load = false;
		return NULL;
	}
	LH_TRY(lh_module_table_add(&ret->table, elf));
	ret->fd = fd;
	fd = -1;
	*ret_elf = elf;
	elf = NULL;
	return NULL;
}

/* By its path; if the path leads to another file by now, the file that the process has mapped. */
static struct lh_error *load_file(struct lh_symbols *symbols, struct named_module *ret, Elf **ret_elf,
				  const char **ret_problem)
{
	const char *problem = NULL;
	int fd = lh_open_module_file(symbols->root_fd, ret->path, ret_problem);
	if (fd >= 0)
		LH_TRY(load_opened(fd, false, ret, ret_elf, ret_problem));
	if (!*ret_problem)
		return NULL;
	fd = lh_image_open_module(symbols->image, ret->module);
	if (fd < 0)
		return NULL;
	LH_TRY(load_opened(fd, true, ret, ret_elf, &problem));
	*ret_problem = problem;
	return NULL;
}

static struct lh_error *add_problem(struct lh_symbols *symbols, const char *path, const char *reason)
{
	return lh_vec_push(&symbols->problems, (struct lh_symbols_problem){path, reason});
}

static struct lh_error *load_from_files(struct lh_symbols *symbols, struct named_module *ret)
{
	const char *problem = symbols->root_fd < 0 ? "the root folder can't be opened" : NULL;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = NULL;
	if (!problem)
		LH_TRY(load_file(symbols, ret, &elf, &problem));
	bool has_symbols = false, is_complete = false;
	if (problem)
		LH_TRY(lh_memory_module_read(symbols->image, ret->module, &ret->table, &has_symbols, &is_complete));
	if (is_complete)
		problem = NULL;
	ret->has_names = !problem || has_symbols;
	if (symbols->root_fd >= 0)
		LH_TRY(lh_debug_file_add(symbols->root_fd, ret, elf, &ret->table, &ret->has_names));
	if (!problem && !ret->table.sections.count)
		problem = "it has no sections: is it cut off?";
	return problem ? add_problem(symbols, ret->module->path, problem) : NULL;
}

static struct lh_error *load_module(struct lh_symbols *symbols, struct named_module *ret)
{
	const struct lh_module *module = ret->module;
	bool is_complete;
	ret->bias = module->bias;
	if (strcmp(module->path, "[vdso]") == 0) /* it has no file */
		LH_TRY(lh_memory_module_read(symbols->image, module, &ret->table, &ret->has_names, &is_complete));
	else
		LH_TRY(load_from_files(symbols, ret));
	if (!ret->has_names)
		return NULL;
	if (!module->has_bias && !ret->table.has_first_load) {
		ret->has_names = false;
		return add_problem(symbols, module->path, "its load address is unknown");
	}
	ret->bias = module->has_bias ? module->bias : module->start - ret->table.first_load_addr;
	return lh_module_table_finish(&ret->table);
}

/* A process that was chrooted shows paths that begin outside of its root (proc_pid_root(5): what the link says). */
static const char *path_below_root(const char *path, const char *root_link)
{
	size_t length = strlen(root_link);
	bool is_outside = length > 1 && strncmp(path, root_link, length) == 0 && path[length] == '/';
	return is_outside ? path + length : path;
}

static void read_root_link(const char *root, char ret[PATH_MAX])
{
	ssize_t length = readlink(root, ret, PATH_MAX - 1);
	ret[length > 0 && ret[0] == '/' ? length : 0] = '\0';
}

static struct lh_error *load_modules(struct lh_symbols *symbols, const char *root)
{
	char root_link[PATH_MAX];
	read_root_link(root, root_link);
	const struct lh_module_list *list = lh_image_modules(symbols->image);
	LH_TRY(lh_vec_reserve(&symbols->modules, list->modules.count));
	for (size_t i = 0; i < list->modules.count; i++) {
		const struct lh_module *module = &list->modules.items[i];
		struct named_module *named = &symbols->modules.items[symbols->modules.count++];
		*named = (struct named_module){
			.module = module,
			.path = path_below_root(module->path, root_link),
			.name = lh_image_module_name(symbols->image, module),
			.fd = -1,
		};
		LH_TRY(load_module(symbols, named));
	}
	return NULL;
}

struct lh_error *lh_symbols_open(const struct lh_image *image, const char *root, struct lh_symbols **ret)
{
	LH_CLEANUP(lh_cleanup_symbols) struct lh_symbols *symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return lh_error_no_memory();
	if (!root)
		root = lh_image_root(image);
	symbols->image = image;
	symbols->root_fd = lh_open_modules_root(root);
	elf_version(EV_CURRENT);
	lh_fault_point("analysis-symbols");
	LH_TRY(load_modules(symbols, root));
	*ret = symbols;
	symbols = NULL;
	return NULL;
}

void lh_symbols_close(struct lh_symbols *symbols)
{
	if (!symbols)
		return;
	for (size_t i = 0; i < symbols->modules.count; i++) {
		lh_module_table_deinit(&symbols->modules.items[i].table);
		lh_cleanup_close(&symbols->modules.items[i].fd);
	}
	lh_vec_deinit(&symbols->modules);
	lh_vec_deinit(&symbols->problems);
	lh_strings_pool_deinit(&symbols->strings);
	lh_cleanup_close(&symbols->root_fd);
	free(symbols);
}

void lh_cleanup_symbols(struct lh_symbols **symbols)
{
	lh_symbols_close(*symbols);
}

const struct lh_symbols_problem *lh_symbols_problems(const struct lh_symbols *symbols, size_t *ret_count)
{
	*ret_count = symbols->problems.count;
	return symbols->problems.items;
}

/* ---------------------------------------------------------------- finding */

/* The entry's name for people, created once; the file's own name without memory. */
static const char *readable_name(struct lh_symbols *symbols, struct lh_table_entry *entry, const char *suffix)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (entry->demangled)
		return entry->demangled;
	lh_symbol_demangle(entry->name, &text);
	lh_buffer_puts(&text, suffix);
	const char *kept = lh_symbol_store_keep(symbols, &text);
	entry->demangled = kept ? kept : entry->name;
	return entry->demangled;
}

/* ".data.rel.ro+0x1230", or "+0x1230" from the module's start when there is no section. */
static const char *place_name(struct lh_symbols *symbols, const struct named_module *module, uint64_t addr)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t file_addr = addr - module->bias;
	const struct lh_table_section *section =
		module->has_names ? lh_module_table_find_section(&module->table, file_addr) : NULL;
	if (section)
		lh_buffer_printf(&text, "%s+0x%lx", section->name, (unsigned long)(file_addr - section->start));
	else
		lh_buffer_printf(&text, "+0x%lx", (unsigned long)(addr - module->module->start));
	const char *kept = lh_symbol_store_keep(symbols, &text);
	return kept ? kept : "";
}

/* "TLS_client_method() variant": nearly the table that that function returns. */
static const char *similar_name(struct lh_symbols *symbols, const struct lh_table_entry *accessor)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_symbol_demangle(accessor->name, &text);
	lh_buffer_puts(&text, "() variant");
	return lh_symbol_store_keep(symbols, &text);
}

static const char *type_name(struct lh_symbols *symbols, uint64_t addr)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_cxx_class class;
	struct lh_python_type type;
	if (lh_symbols_cxx_class(symbols, addr, &class))
		lh_buffer_printf(&text, "vtable for %s", class.name);
	else if (lh_symbols_python_type(symbols, addr, &type))
		lh_buffer_printf(&text, "type %s", type.name);
	return text.length ? lh_symbol_store_keep(symbols, &text) : NULL;
}

/* A name that follows from the data at the address; false when none does. */
static bool name_itself(struct lh_symbols *symbols, const struct named_module *module, uint64_t addr,
			struct lh_symbol *ret)
{
	if (addr % 8 || lh_symbol_is_code(symbols, addr))
		return false;
	ret->origin = LH_SYMBOL_TYPE;
	ret->name = type_name(symbols, addr);
	if (ret->name)
		return true;
	const struct lh_table_entry *similar = lh_method_tables_find(&module->table, addr - module->bias);
	ret->origin = LH_SYMBOL_SIMILAR;
	ret->name = similar ? similar_name(symbols, similar) : NULL;
	if (ret->name)
		return true;
	ret->origin = LH_SYMBOL_STRING;
	ret->name = lh_string_name(symbols, addr);
	return ret->name != NULL;
}

/* Fills name, origin, addr and offset from the module's own names; false when it has none there. */
static bool find_name(struct lh_symbols *symbols, struct named_module *module, uint64_t addr, struct lh_symbol *ret)
{
	uint64_t file_addr = addr - module->bias;
	struct lh_table_entry *entry = lh_module_table_find_symbol(&module->table, file_addr);
	ret->origin = LH_SYMBOL_TABLE;
	if (!entry) {
		entry = lh_module_table_find_accessor(&module->table, file_addr);
		ret->origin = LH_SYMBOL_ACCESSOR;
	}
	if (entry) {
		ret->name = readable_name(symbols, entry, ret->origin == LH_SYMBOL_ACCESSOR ? "()" : "");
		ret->addr = entry->symbol_start + module->bias;
		ret->offset = addr - ret->addr;
		return true;
	}
	return name_itself(symbols, module, addr, ret);
}

bool lh_symbols_find(struct lh_symbols *symbols, uint64_t addr, struct lh_symbol *ret)
{
	struct named_module *module = lh_symbol_store_find(symbols, addr);
	if (!module)
		return false;
	*ret = (struct lh_symbol){.module = module->module, .module_name = module->name, .addr = addr};
	if (!module->has_names || !find_name(symbols, module, addr, ret)) {
		ret->origin = LH_SYMBOL_SECTION;
		ret->name = place_name(symbols, module, addr);
	}
	return true;
}

/* ---------------------------------------------------------------- what the objects are told by */

const struct lh_module *lh_symbols_module(struct lh_symbols *symbols, uint64_t addr, const char **ret_name)
{
	const struct named_module *module = lh_symbol_store_find(symbols, addr);
	if (!module)
		return NULL;
	*ret_name = module->name;
	return module->module;
}

bool lh_symbols_is_code(struct lh_symbols *symbols, uint64_t addr)
{
	return lh_symbol_is_code(symbols, addr);
}

const char *lh_symbols_accessor(struct lh_symbols *symbols, uint64_t addr, bool *ret_is_similar)
{
	struct named_module *module = lh_symbol_store_find(symbols, addr);
	if (!module || !module->has_names)
		return NULL;
	const struct lh_table_entry *entry = lh_module_table_find_accessor(&module->table, addr - module->bias);
	*ret_is_similar = entry == NULL;
	if (!entry)
		entry = lh_method_tables_find(&module->table, addr - module->bias);
	return entry ? entry->name : NULL;
}

const char *lh_symbols_string_name(struct lh_symbols *symbols, uint64_t addr)
{
	return lh_string_name(symbols, addr);
}

bool lh_symbols_read_pointer(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret)
{
	return lh_symbol_read_pointer(symbols, addr, ret);
}

bool lh_symbols_read_number(struct lh_symbols *symbols, uint64_t addr, uint64_t *ret)
{
	return lh_symbol_read_number(symbols, addr, ret);
}

const char *lh_symbols_read_name(struct lh_symbols *symbols, uint64_t addr, size_t most)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!lh_symbol_read_text(symbols, addr, most, &text))
		return NULL;
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < ' ' || text.data[i] > '~')
			return NULL;
	}
	return lh_symbol_store_keep(symbols, &text);
}
