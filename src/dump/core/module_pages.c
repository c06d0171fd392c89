/*
 * module_pages: the pages of modules that name classes, tables and functions: read-only data (names of C++ classes,
 * strings, dynamic symbols, relocations), and the functions that only return the address of a table. Reads the modules'
 * files, so that no page of the process becomes resident. Writable data is in the core anyway. Files are hostile:
 * counts and sizes are bounded, reads are checked.
 */
#include "module_pages.h"

#include "dump/plan/context.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PROGRAM_HEADERS_MAX = 64,
	SECTIONS_MAX = 256,
	SYMBOLS_MAX = 1 << 20,
	SYMBOLS_AT_ONCE = 256,
	ACCESSOR_BYTES_MIN = 8,
	ACCESSOR_BYTES_MAX = 16,
};

/* Larger pieces of constants are omitted: data of the program, not names. */
#define SEGMENT_MAX ((uint64_t)8 * LH_MIB)
#define TOTAL_MAX   ((uint64_t)32 * LH_MIB)

struct module_file {
	const struct lh_module *module;
	int fd;
	Elf64_Phdr segments[PROGRAM_HEADERS_MAX];
	size_t segment_count;
	Elf64_Ehdr header;
};

static bool read_module_pages(const struct module_file *file, uint64_t offset, void *ret, size_t bytes)
{
	return offset <= INT64_MAX && pread(file->fd, ret, bytes, (off_t)offset) == (ssize_t)bytes;
}

static bool read_headers(struct module_file *file)
{
	const Elf64_Ehdr *header = &file->header;
	if (!read_module_pages(file, 0, &file->header, sizeof(file->header)) ||
	    memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	file->segment_count = (size_t)lh_min_u64(header->e_phnum, PROGRAM_HEADERS_MAX);
	return read_module_pages(file, header->e_phoff, file->segments,
				 file->segment_count * sizeof(file->segments[0]));
}

/* ---------------------------------------------------------------- which pages */

/* Useful constants end where unwinding frames begin (.eh_frame_hdr, .eh_frame). */
static uint64_t constants_end(const struct module_file *file, const Elf64_Phdr *segment)
{
	uint64_t end = segment->p_vaddr + segment->p_filesz;
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *other = &file->segments[i];
		if (other->p_type == PT_GNU_EH_FRAME && other->p_vaddr > segment->p_vaddr && other->p_vaddr < end)
			end = other->p_vaddr;
	}
	return end;
}

/* Pages of [start, end), addresses of the file, as they lie in memory. */
static struct lh_error *add_module_range(const struct module_file *file, uint64_t start, uint64_t end,
					 struct lh_ranges *ret)
{
	struct lh_range range = {lh_align_down(file->module->bias + start, LH_PAGE_BYTES),
				 lh_align_up(file->module->bias + end, LH_PAGE_BYTES)};
	range.start = lh_max_u64(range.start, file->module->start);
	range.end = lh_min_u64(range.end, file->module->end);
	return range.start < range.end ? lh_vec_push(&ret->items, range) : NULL;
}

static struct lh_error *add_constants(const struct module_file *file, struct lh_ranges *ret)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *segment = &file->segments[i];
		if (segment->p_type == PT_LOAD && !(segment->p_flags & (PF_W | PF_X)) &&
		    segment->p_filesz <= SEGMENT_MAX && segment->p_vaddr <= UINT64_MAX / 4)
			LH_TRY(add_module_range(file, segment->p_vaddr, constants_end(file, segment), ret));
	}
	return NULL;
}

/* Where in the file the code at `addr` lies; false when no segment of code has it. */
static bool code_offset(const struct module_file *file, uint64_t addr, uint64_t bytes, uint64_t *ret)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const Elf64_Phdr *segment = &file->segments[i];
		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X && addr >= segment->p_vaddr &&
		    addr - segment->p_vaddr < segment->p_filesz &&
		    segment->p_filesz - (addr - segment->p_vaddr) >= bytes)
			return lh_add_u64(segment->p_offset, addr - segment->p_vaddr, ret);
	}
	return false;
}

static bool is_accessor(const struct module_file *file, const Elf64_Sym *symbol)
{
	uint8_t code[ACCESSOR_BYTES_MAX];
	uint64_t offset, target;
	return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_size >= ACCESSOR_BYTES_MIN &&
	       symbol->st_size <= ACCESSOR_BYTES_MAX && code_offset(file, symbol->st_value, symbol->st_size, &offset) &&
	       read_module_pages(file, offset, code, symbol->st_size) &&
	       lh_code_returned_address(code, symbol->st_size, symbol->st_value, &target);
}

static struct lh_error *add_accessors_of(const struct module_file *file, const Elf64_Shdr *table, struct lh_ranges *ret)
{
	uint64_t count = lh_min_u64(table->sh_size / sizeof(Elf64_Sym), SYMBOLS_MAX);
	for (uint64_t i = 0; i < count; i += SYMBOLS_AT_ONCE) {
		Elf64_Sym symbols[SYMBOLS_AT_ONCE];
		size_t some = (size_t)lh_min_u64(SYMBOLS_AT_ONCE, count - i);
		uint64_t offset;
		if (!lh_add_u64(table->sh_offset, i * sizeof(symbols[0]), &offset) ||
		    !read_module_pages(file, offset, symbols, some * sizeof(symbols[0])))
			return NULL;
		for (size_t k = 0; k < some; k++) {
			if (is_accessor(file, &symbols[k]))
				LH_TRY(add_module_range(file, symbols[k].st_value,
							symbols[k].st_value + symbols[k].st_size, ret));
		}
	}
	return NULL;
}

static struct lh_error *add_accessors(const struct module_file *file, struct lh_ranges *ret)
{
	if (file->header.e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	for (uint64_t i = 0; i < lh_min_u64(file->header.e_shnum, SECTIONS_MAX); i++) {
		Elf64_Shdr section;
		uint64_t offset;
		if (!lh_add_u64(file->header.e_shoff, i * sizeof(section), &offset) ||
		    !read_module_pages(file, offset, &section, sizeof(section)))
			return NULL;
		if (section.sh_type == SHT_DYNSYM)
			return add_accessors_of(file, &section, ret);
	}
	return NULL;
}

/* ---------------------------------------------------------------- their bytes */

/* Where the file's bytes of the page at `addr` lie, by the mapping. */
static bool page_offset(const struct lh_region *region, uint64_t addr, uint64_t *ret)
{
	return region && region->name[0] == '/' && !(region->protection & LH_PROT_WRITE) &&
	       lh_add_u64(region->file_offset, addr - region->start, ret);
}

/* The page, unless it can't be read; joined to the piece before it where both adjoin. */
static struct lh_error *add_module_page(const struct module_file *file, const struct lh_plan *plan, uint64_t addr,
					struct lh_module_pages *ret)
{
	uint8_t page[LH_PAGE_BYTES] = {0};
	const struct lh_region *region = lh_regions_find(&plan->list, addr);
	uint64_t offset;
	if (!page_offset(region, addr, &offset) || offset > INT64_MAX ||
	    pread(file->fd, page, sizeof(page), (off_t)offset) <= 0)
		return NULL;
	struct lh_module_piece *last = ret->pieces.count ? &ret->pieces.items[ret->pieces.count - 1] : NULL;
	size_t at = ret->bytes.length;
	lh_buffer_append(&ret->bytes, page, sizeof(page));
	if (last && last->end == addr && last->region == region) {
		last->end += LH_PAGE_BYTES;
		return NULL;
	}
	return lh_vec_push(&ret->pieces, (struct lh_module_piece){addr, addr + LH_PAGE_BYTES, at, region});
}

static bool is_in_plan(const struct lh_plan *plan, size_t *next, uint64_t addr)
{
	while (*next < plan->extents.count && plan->extents.items[*next].end <= addr)
		++*next;
	return *next < plan->extents.count && plan->extents.items[*next].start < addr + LH_PAGE_BYTES;
}

static struct lh_error *read_pages(const struct module_file *file, const struct lh_plan *plan,
				   const struct lh_ranges *ranges, struct lh_module_pages *ret)
{
	size_t next = 0;
	for (size_t i = 0; i < ranges->items.count; i++) {
		const struct lh_range *range = &ranges->items.items[i];
		for (uint64_t at = range->start; at < range->end && ret->bytes.length < TOTAL_MAX;
		     at += LH_PAGE_BYTES) {
			if (!is_in_plan(plan, &next, at))
				LH_TRY(add_module_page(file, plan, at, ret));
		}
	}
	return NULL;
}

static struct lh_error *collect_module(const struct lh_process *process, const struct lh_plan *plan,
				       const struct lh_module *module, struct lh_module_pages *ret)
{
	struct lh_ranges ranges LH_CLEANUP(lh_ranges_deinit) = {0};
	const struct lh_region *region = module->has_bias ? lh_regions_find(&plan->list, module->start) : NULL;
	LH_CLEANUP(lh_cleanup_close) int fd = region ? lh_process_open_mapped(process, region) : -1;
	struct module_file file = {.module = module, .fd = fd};
	if (fd < 0 || !read_headers(&file))
		return NULL;
	LH_TRY(add_constants(&file, &ranges));
	LH_TRY(add_accessors(&file, &ranges));
	lh_ranges_normalize(&ranges);
	return read_pages(&file, plan, &ranges, ret);
}

struct lh_error *lh_module_pages_collect(const struct lh_process *process, const struct lh_plan *plan,
					 struct lh_module_pages *ret)
{
	for (size_t i = 0; i < plan->modules.modules.count; i++)
		LH_TRY(collect_module(process, plan, &plan->modules.modules.items[i], ret));
	return lh_buffer_status(&ret->bytes);
}

void lh_module_pages_deinit(struct lh_module_pages *pages)
{
	lh_vec_deinit(&pages->pieces);
	lh_buffer_deinit(&pages->bytes);
}
