/*
 * named_data: data of one module by name. Input: a module of an image and its file (hostile). Output: addresses in
 * memory, and bytes there. For runtimes that describe themselves by exported tables.
 */
#include "symbol_store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lh_module_file {
	const struct lh_image *image;
	uint64_t bias;
	int fd;
	Elf *elf;
};

void lh_cleanup_module_file(struct lh_module_file **file)
{
	if (!*file)
		return;
	elf_end((*file)->elf);
	close((*file)->fd);
	free(*file);
}

/* Takes ownership of `fd`; *ret is NULL when it is not the module's file. */
static struct lh_error *take_module_file(const struct lh_image *image, const struct lh_module *module, int fd,
					 struct lh_module_file **ret)
{
	LH_CLEANUP(lh_cleanup_close) int own_fd = fd;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	*ret = NULL;
	if (!lh_is_file_of(module, elf))
		return NULL;
	struct lh_module_file *file = calloc(1, sizeof(*file));
	if (!file)
		return lh_error_no_memory();
	*file = (struct lh_module_file){image, module->bias, fd, elf};
	own_fd = -1;
	elf = NULL;
	*ret = file;
	return NULL;
}

struct lh_error *lh_module_file_open(const struct lh_image *image, const struct lh_module *module,
				     struct lh_module_file **ret)
{
	const char *problem;
	LH_CLEANUP(lh_cleanup_close) int root_fd = lh_open_modules_root(lh_image_root(image));
	*ret = NULL;
	if (!module->has_bias || elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	if (root_fd >= 0)
		LH_TRY(take_module_file(image, module, lh_open_module_file(root_fd, module->path, &problem), ret));
	return *ret ? NULL : take_module_file(image, module, lh_image_open_module(image, module), ret);
}

/* ---------------------------------------------------------------- names */

typedef void symbol_visitor(const struct lh_module_file *file, const GElf_Sym *symbol, const char *name, void *context);

/* Defined symbols of one type. */
static void visit_section(const struct lh_module_file *file, Elf_Scn *section, unsigned type, symbol_visitor *visit,
			  void *context)
{
	GElf_Shdr header;
	Elf_Data *data;
	if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_DYNSYM && header.sh_type != SHT_SYMTAB) ||
	    !header.sh_entsize || !(data = elf_getdata(section, NULL)))
		return;
	for (size_t i = 0; i < data->d_size / header.sh_entsize && i < INT32_MAX; i++) {
		GElf_Sym symbol;
		if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF ||
		    GELF_ST_TYPE(symbol.st_info) != type)
			continue;
		const char *name = elf_strptr(file->elf, header.sh_link, symbol.st_name);
		if (name)
			visit(file, &symbol, name, context);
	}
}

struct data_visit {
	const char *prefix;
	lh_module_name_visitor *visit;
	void *context;
};

static void visit_data_name(const struct lh_module_file *file, const GElf_Sym *symbol, const char *name, void *context)
{
	const struct data_visit *data = context;
	if (strncmp(name, data->prefix, strlen(data->prefix)) == 0)
		data->visit(data->context, name, file->bias + symbol->st_value);
}

void lh_module_file_visit_names(const struct lh_module_file *file, const char *prefix, lh_module_name_visitor *visit,
				void *context)
{
	struct data_visit data = {prefix, visit, context};
	for (Elf_Scn *section = NULL; (section = elf_nextscn(file->elf, section));)
		visit_section(file, section, STT_OBJECT, visit_data_name, &data);
}

struct function_visit {
	lh_module_function_visitor *visit;
	void *context;
};

static void visit_function_name(const struct lh_module_file *file, const GElf_Sym *symbol, const char *name,
				void *context)
{
	const struct function_visit *function = context;
	uint64_t start = file->bias + symbol->st_value;
	function->visit(function->context, name, (struct lh_range){start, start + symbol->st_size});
}

void lh_module_file_visit_functions(const struct lh_module_file *file, lh_module_function_visitor *visit, void *context)
{
	struct function_visit function = {visit, context};
	for (Elf_Scn *section = NULL; (section = elf_nextscn(file->elf, section));)
		visit_section(file, section, STT_FUNC, visit_function_name, &function);
}

/* ---------------------------------------------------------------- bytes */

/* The segment that has all of it; what it has in memory beyond the file is zero. */
static bool read_segment(const struct lh_module_file *file, const GElf_Phdr *header, uint64_t addr, void *ret,
			 size_t bytes)
{
	uint64_t offset = addr - header->p_vaddr;
	if (header->p_type != PT_LOAD || addr < header->p_vaddr || offset >= header->p_memsz ||
	    bytes > header->p_memsz - offset)
		return false;
	memset(ret, 0, bytes);
	size_t in_file = offset < header->p_filesz ? lh_min_u64(bytes, header->p_filesz - offset) : 0;
	return pread(file->fd, ret, in_file, (off_t)(header->p_offset + offset)) == (ssize_t)in_file;
}

bool lh_module_file_read(const struct lh_module_file *file, uint64_t addr, void *ret, size_t bytes)
{
	size_t count;
	if (lh_image_read(file->image, addr, ret, bytes) == bytes)
		return true;
	if (elf_getphdrnum(file->elf, &count) != 0)
		return false;
	for (size_t i = 0; i < count && i < INT32_MAX; i++) {
		GElf_Phdr header;
		if (gelf_getphdr(file->elf, (int)i, &header) &&
		    read_segment(file, &header, addr - file->bias, ret, bytes))
			return true;
	}
	return false;
}

bool lh_module_file_read_text(const struct lh_module_file *file, uint64_t addr, char *ret, size_t ret_bytes)
{
	enum { PIECE_BYTES = 32 };
	for (size_t at = 0, step; at < ret_bytes; at += step) {
		step = lh_min_u64(PIECE_BYTES, ret_bytes - at);
		if (!lh_module_file_read(file, addr + at, ret + at, step)) {
			step = 1;
			if (!lh_module_file_read(file, addr + at, ret + at, 1))
				return false;
		}
		if (memchr(ret + at, 0, step))
			return true;
	}
	return false;
}
