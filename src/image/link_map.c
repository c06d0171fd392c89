/*
 * link_map: which files a process had mapped, for a core without NT_FILE. Input: AT_PHDR, AT_PHNUM and AT_EXECFN of
 * the core, and the dynamic linker's list in its memory. Output: the entries that NT_FILE would have, for each module
 * whose ELF header the core holds. Everything is hostile: counts are bounded, each read is checked.
 */
#include "notes.h"

#include <elf.h>
#include <string.h>

enum { MODULES_MAX = 4096, HEADERS_MAX = 64, DYNAMIC_ENTRIES_MAX = 256, PATH_BYTES = 4096 };

/* The public head of struct link_map (glibc elf/link.h; musl has the same). */
struct linked_module {
	uint64_t bias;
	uint64_t name_addr;
	uint64_t dynamic_addr;
	uint64_t next_addr;
	uint64_t previous_addr;
};

struct linker_list {
	uint64_t version;
	uint64_t first_addr;
};

struct loaded_program {
	Elf64_Phdr headers[HEADERS_MAX];
	size_t count;
	uint64_t bias;
	uint64_t dynamic_addr; /* 0: static */
};

static bool read_linked(const struct lh_image *image, uint64_t addr, void *ret, size_t bytes)
{
	return lh_image_read(image, addr, ret, bytes) == bytes;
}

/* An absolute path at `addr`; false for anything else. */
static bool read_linked_path(const struct lh_image *image, uint64_t addr, char ret[PATH_BYTES])
{
	size_t got = addr ? lh_image_read(image, addr, ret, PATH_BYTES) : 0;
	return got && strnlen(ret, got) < got && ret[0] == '/';
}

/* ---------------------------------------------------------------- mapped files */

static struct lh_error *add_mapped_file(const Elf64_Phdr *header, uint64_t bias, const char *path,
					struct lh_core_notes *notes)
{
	uint64_t end = header->p_vaddr + header->p_filesz;
	struct lh_file_note file = {
		.start = lh_align_down(bias + header->p_vaddr, LH_PAGE_BYTES),
		.end = lh_align_up(bias + end, LH_PAGE_BYTES),
		.offset_bytes = lh_align_down(header->p_offset, LH_PAGE_BYTES),
		.path = path,
	};
	bool is_valid = header->p_type == PT_LOAD && header->p_filesz && end > header->p_vaddr && file.start < file.end;
	return is_valid ? lh_vec_push(&notes->files, file) : NULL;
}

static struct lh_error *add_module_files(struct lh_image *image, const struct loaded_program *module, const char *path,
					 struct lh_core_notes *notes)
{
	const char *kept;
	LH_TRY(lh_strings_pool_add(&image->strings, path, strlen(path), &kept));
	for (size_t i = 0; i < module->count; i++)
		LH_TRY(add_mapped_file(&module->headers[i], module->bias, kept, notes));
	return NULL;
}

/* A library's ELF header lies at its bias: its first segment has the address 0. */
static bool read_library(const struct lh_image *image, uint64_t bias, struct loaded_program *ret)
{
	Elf64_Ehdr header;
	uint64_t table;
	if (!bias || !read_linked(image, bias, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_phentsize != sizeof(Elf64_Phdr) || !lh_add_u64(bias, header.e_phoff, &table))
		return false;
	ret->bias = bias;
	ret->count = lh_min_u64(header.e_phnum, HEADERS_MAX);
	return read_linked(image, table, ret->headers, ret->count * sizeof(Elf64_Phdr));
}

/* ---------------------------------------------------------------- the list */

static bool read_program(const struct lh_image *image, const struct lh_core_notes *notes, struct loaded_program *ret)
{
	ret->count = lh_min_u64(notes->program_header_count, HEADERS_MAX);
	if (!notes->program_headers_addr || !ret->count ||
	    !read_linked(image, notes->program_headers_addr, ret->headers, ret->count * sizeof(Elf64_Phdr)))
		return false;
	for (size_t i = 0; i < ret->count; i++) {
		if (ret->headers[i].p_type == PT_PHDR)
			ret->bias = notes->program_headers_addr - ret->headers[i].p_vaddr;
		else if (ret->headers[i].p_type == PT_DYNAMIC)
			ret->dynamic_addr = ret->headers[i].p_vaddr;
	}
	ret->dynamic_addr += ret->dynamic_addr ? ret->bias : 0;
	return true;
}

/* The first entry of the list, by DT_DEBUG of the program; 0 when there is none. */
static uint64_t find_first_linked(const struct lh_image *image, uint64_t dynamic_addr)
{
	for (size_t i = 0; dynamic_addr && i < DYNAMIC_ENTRIES_MAX; i++) {
		Elf64_Dyn entry;
		struct linker_list list;
		if (!read_linked(image, dynamic_addr + i * sizeof(entry), &entry, sizeof(entry)) ||
		    entry.d_tag == DT_NULL)
			return 0;
		if (entry.d_tag == DT_DEBUG)
			return read_linked(image, entry.d_un.d_ptr, &list, sizeof(list)) ? list.first_addr : 0;
	}
	return 0;
}

/* Each entry names the one before: a list that leads back into itself ends there. */
static struct lh_error *add_libraries(struct lh_image *image, uint64_t first_addr, struct lh_core_notes *notes)
{
	uint64_t addr = first_addr, previous_addr = 0;
	for (size_t i = 0; addr && i < MODULES_MAX; i++) {
		struct linked_module linked;
		struct loaded_program library = {0};
		char path[PATH_BYTES];
		if (!read_linked(image, addr, &linked, sizeof(linked)) || linked.previous_addr != previous_addr)
			return NULL;
		if (read_linked_path(image, linked.name_addr, path) && read_library(image, linked.bias, &library))
			LH_TRY(add_module_files(image, &library, path, notes));
		previous_addr = addr;
		addr = linked.next_addr;
	}
	return NULL;
}

struct lh_error *lh_link_map_add_files(struct lh_image *image, struct lh_core_notes *notes)
{
	struct loaded_program program = {0};
	char path[PATH_BYTES];
	if (notes->files.count || !read_program(image, notes, &program))
		return NULL;
	/* A program that was called by a relative path is known by its name alone. */
	if (!read_linked_path(image, notes->executable_name_addr, path))
		snprintf(path, sizeof(path), "/%s", notes->command);
	LH_TRY(add_module_files(image, &program, path, notes));
	return add_libraries(image, find_first_linked(image, program.dynamic_addr), notes);
}
