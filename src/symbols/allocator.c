/*
 * allocator: whose malloc a process calls. Input: an image, the files of its modules (hostile). Output: one word. Reads
 * the slots of the process's dynamic linker, and finds the module they lead to, whose names tell the allocator. Neither
 * stops nor asks the process.
 */
#include "symbol_store.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A name that only the one has: of its documented interface, of musl's dynamic linker (1.1 and later), or of the
 * allocator's own functions in a static program that was not stripped. Of several the first decides.
 */
static const struct marker {
	const char *name;
	enum lh_allocator allocator;
} markers[] = {
	{"mallctl", LH_ALLOCATOR_JEMALLOC},
	{"je_mallctl", LH_ALLOCATOR_JEMALLOC},
	{"tc_malloc", LH_ALLOCATOR_TCMALLOC},
	{"TCMalloc_SystemAlloc", LH_ALLOCATOR_TCMALLOC},
	{"mi_malloc", LH_ALLOCATOR_MIMALLOC},
	{"rpmalloc", LH_ALLOCATOR_RPMALLOC},
	{"gnu_get_libc_version", LH_ALLOCATOR_GLIBC},
	{"__malloc_replaced", LH_ALLOCATOR_MUSL},
	{"__libc_malloc_impl", LH_ALLOCATOR_MUSL},
	{"__libc_get_version", LH_ALLOCATOR_MUSL},
	{"__dls3", LH_ALLOCATOR_MUSL},
	{"__simple_malloc", LH_ALLOCATOR_MUSL},
	{"_int_malloc", LH_ALLOCATOR_GLIBC},
};

struct search {
	const struct lh_image *image;
	const struct lh_module_list *modules;
	int root_fd;
	size_t *votes; /* of slots, by the index of the module that they lead to */
};

/* NULL, and *ret_fd unchanged, when the file does not exist or is no regular file. */
static Elf *open_module(const struct search *search, const struct lh_module *module, int *ret_fd)
{
	const char *problem = NULL;
	*ret_fd = lh_open_module_file(search->root_fd, module->path, &problem);
	Elf *elf = *ret_fd >= 0 ? elf_begin(*ret_fd, ELF_C_READ, NULL) : NULL;
	if (lh_is_file_of(module, elf))
		return elf;
	elf_end(elf);
	return NULL;
}

static bool is_in_plt(Elf *elf, uint64_t addr)
{
	size_t names;
	if (elf_getshdrstrndx(elf, &names) != 0)
		return false;
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		const char *name;
		if (!gelf_getshdr(section, &header) || addr < header.sh_addr || addr - header.sh_addr >= header.sh_size)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (name && !strncmp(name, ".plt", 4))
			return true;
	}
	return false;
}

static void vote_for(const struct search *search, const struct lh_module *module, Elf *elf, uint64_t slot_addr)
{
	uint64_t target;
	if (lh_image_read(search->image, module->bias + slot_addr, &target, sizeof(target)) != sizeof(target) ||
	    is_in_plt(elf, target - module->bias))
		return;
	for (size_t i = 0; i < search->modules->modules.count; i++) {
		const struct lh_module *candidate = &search->modules->modules.items[i];
		if (target >= candidate->start && target < candidate->end)
			search->votes[i]++;
	}
}

static bool is_malloc(Elf *elf, size_t symbols_index, size_t index)
{
	Elf_Scn *section = elf_getscn(elf, symbols_index);
	Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
	GElf_Shdr header;
	GElf_Sym symbol;
	if (!data || index > INT32_MAX || !gelf_getshdr(section, &header) || !gelf_getsym(data, (int)index, &symbol))
		return false;
	const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);
	return name && !strcmp(name, "malloc");
}

static void vote_by_relocations(const struct search *search, const struct lh_module *module, Elf *elf)
{
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		Elf_Data *data;
		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_RELA || !(header.sh_flags & SHF_ALLOC) ||
		    !header.sh_entsize || !(data = elf_getdata(section, NULL)))
			continue;
		for (size_t i = 0; i < data->d_size / header.sh_entsize && i < INT32_MAX; i++) {
			GElf_Rela relocation;
			if (!gelf_getrela(data, (int)i, &relocation))
				break;
			uint64_t type = GELF_R_TYPE(relocation.r_info);
			if ((type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT) &&
			    is_malloc(elf, header.sh_link, GELF_R_SYM(relocation.r_info)))
				vote_for(search, module, elf, relocation.r_offset);
		}
	}
}

/* The index of the marker of that name, or their count. */
static size_t find_marker(const char *name)
{
	size_t i = 0;
	while (i < LH_ARRAY_COUNT(markers) && strcmp(markers[i].name, name) != 0)
		i++;
	return i;
}

static enum lh_allocator name_module(const struct search *search, const struct lh_module *module)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = open_module(search, module, &fd);
	size_t best = LH_ARRAY_COUNT(markers);
	for (Elf_Scn *section = NULL; elf && (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		Elf_Data *data;
		if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_DYNSYM && header.sh_type != SHT_SYMTAB) ||
		    !header.sh_entsize || !(data = elf_getdata(section, NULL)))
			continue;
		for (size_t i = 0; i < data->d_size / header.sh_entsize && i < INT32_MAX; i++) {
			GElf_Sym symbol;
			if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
				continue;
			const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);
			best = name ? lh_min_u64(best, find_marker(name)) : best;
		}
	}
	if (best < LH_ARRAY_COUNT(markers))
		return markers[best].allocator;
	return strstr(module->path, "ld-musl-") ? LH_ALLOCATOR_MUSL : LH_ALLOCATOR_UNKNOWN;
}

/* Whether a module that was voted for has a malloc of its own. */
static bool defines_malloc(const struct search *search, const struct lh_module *module)
{
	LH_CLEANUP(lh_cleanup_close) int fd = -1;
	LH_CLEANUP(lh_cleanup_elf) Elf *elf = open_module(search, module, &fd);
	for (Elf_Scn *section = NULL; elf && (section = elf_nextscn(elf, section));) {
		GElf_Shdr header;
		Elf_Data *data;
		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM || !header.sh_entsize ||
		    !(data = elf_getdata(section, NULL)))
			continue;
		for (size_t i = 0; i < data->d_size / header.sh_entsize && i < INT32_MAX; i++) {
			GElf_Sym symbol;
			if (gelf_getsym(data, (int)i, &symbol) && symbol.st_shndx != SHN_UNDEF &&
			    is_malloc(elf, elf_ndxscn(section), i))
				return true;
		}
	}
	return false;
}

/*
 * A program at a fixed address (ET_EXEC) that takes malloc's address has all libraries call malloc through its own
 * .plt: these votes are not for its malloc.
 */
static const struct lh_module *most_voted(const struct search *search)
{
	for (;;) {
		size_t best = 0;
		for (size_t i = 0; i < search->modules->modules.count; i++)
			best = search->votes[i] > search->votes[best] ? i : best;
		const struct lh_module *module = &search->modules->modules.items[best];
		if (!search->votes[best] || defines_malloc(search, module))
			return module;
		search->votes[best] = 0;
	}
}

struct lh_error *lh_allocator_find_module(const struct lh_image *image, const char *root, enum lh_allocator *ret,
					  const struct lh_module **ret_module)
{
	const struct lh_module_list *modules = lh_image_modules(image);
	LH_CLEANUP(lh_cleanup_close) int root_fd = lh_open_modules_root(root);
	LH_CLEANUP(lh_cleanup_free) size_t *votes = calloc(modules->modules.count + 1, sizeof(*votes));
	struct search search = {.image = image, .modules = modules, .root_fd = root_fd, .votes = votes};
	if (!votes)
		return lh_error_no_memory();
	*ret = LH_ALLOCATOR_UNKNOWN;
	*ret_module = NULL;
	if (root_fd < 0 || !modules->modules.count || elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	for (size_t i = 0; i < modules->modules.count; i++) {
		const struct lh_module *module = &modules->modules.items[i];
		LH_CLEANUP(lh_cleanup_close) int fd = -1;
		LH_CLEANUP(lh_cleanup_elf) Elf *elf = module->has_bias ? open_module(&search, module, &fd) : NULL;
		if (elf)
			vote_by_relocations(&search, module, elf);
	}
	*ret_module = most_voted(&search);
	*ret = name_module(&search, *ret_module);
	return NULL;
}

struct lh_error *lh_allocator_find(const struct lh_image *image, const char *root, enum lh_allocator *ret)
{
	const struct lh_module *module;
	return lh_allocator_find_module(image, root, ret, &module);
}
