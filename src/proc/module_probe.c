/*
 * module_probe: the ELF header of a module in memory. Input: hostile bytes behind a reader. Output: load bias and build
 * id, or nothing. Offsets and counts are checked before use; reads are bounded.
 */
#include "modules.h"

#include <elf.h>
#include <string.h>

enum {
	SEGMENTS_MAX = 128, /* programs have 4 to 20; entries beyond this are ignored */
	NOTES_BYTES_MAX = 4096,
};

struct elf_image {
	uint64_t start; /* where its first byte is mapped */
	Elf64_Phdr segments[SEGMENTS_MAX];
	size_t segment_count;
	lh_memory_reader *read;
	const void *context;
};

static bool is_elf_header(const Elf64_Ehdr *header)
{
	return !memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_ident[EI_DATA] == ELFDATA2LSB && header->e_ident[EI_VERSION] == EV_CURRENT &&
	       (header->e_type == ET_EXEC || header->e_type == ET_DYN) && header->e_phentsize == sizeof(Elf64_Phdr) &&
	       header->e_phnum && header->e_phnum != PN_XNUM;
}

static bool read_segments(struct elf_image *image)
{
	Elf64_Ehdr header;
	uint64_t table;
	if (image->read(image->context, image->start, &header, sizeof(header)) != sizeof(header) ||
	    !is_elf_header(&header) || !lh_add_u64(image->start, header.e_phoff, &table))
		return false;
	image->segment_count = lh_min_u64(header.e_phnum, SEGMENTS_MAX);
	size_t bytes = image->segment_count * sizeof(Elf64_Phdr);
	return image->read(image->context, table, image->segments, bytes) == bytes;
}

/* The loaded segment with the start of the file gives the bias: start == bias + p_vaddr - p_offset. */
static bool find_bias(const struct elf_image *image, uint64_t *ret)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];
		if (segment->p_type != PT_LOAD || segment->p_offset >= LH_PAGE_BYTES)
			continue;
		*ret = image->start - (segment->p_vaddr - segment->p_offset);
		return true;
	}
	return false;
}

/* The end of the last loaded segment in memory, bss included, rounded up to a page; 0 when it is invalid. */
static uint64_t find_end(const struct elf_image *image, uint64_t bias)
{
	uint64_t end = 0;
	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];
		uint64_t segment_end;
		if (segment->p_type == PT_LOAD && lh_add_u64(segment->p_vaddr + bias, segment->p_memsz, &segment_end) &&
		    segment_end <= UINT64_MAX - LH_PAGE_BYTES)
			end = lh_max_u64(end, lh_align_up(segment_end, LH_PAGE_BYTES));
	}
	return end;
}

/* gABI "Note Section": namesz, descsz, type, then name and descriptor, each padded to `alignment`. */
static size_t find_build_id(const uint8_t *notes, size_t length, uint64_t alignment, uint8_t ret[LH_BUILD_ID_MAX])
{
	struct lh_cursor cursor = lh_cursor_over(notes, length);
	while (lh_cursor_left(&cursor) >= sizeof(Elf64_Nhdr)) {
		uint32_t name_bytes = lh_cursor_le32(&cursor);
		uint32_t descriptor_bytes = lh_cursor_le32(&cursor);
		uint32_t type = lh_cursor_le32(&cursor);
		const uint8_t *name = lh_cursor_take(&cursor, name_bytes);
		lh_cursor_align(&cursor, notes, alignment);
		const uint8_t *descriptor = lh_cursor_take(&cursor, descriptor_bytes);
		if (cursor.failed)
			return 0;
		if (type == NT_GNU_BUILD_ID && name_bytes == sizeof(ELF_NOTE_GNU) &&
		    !memcmp(name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) && descriptor_bytes &&
		    descriptor_bytes <= LH_BUILD_ID_MAX) {
			memcpy(ret, descriptor, descriptor_bytes);
			return descriptor_bytes;
		}
		lh_cursor_align(&cursor, notes, alignment);
	}
	return 0;
}

static size_t read_build_id(const struct elf_image *image, uint64_t bias, uint8_t ret[LH_BUILD_ID_MAX])
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const Elf64_Phdr *segment = &image->segments[i];
		uint8_t notes[NOTES_BYTES_MAX];
		if (segment->p_type != PT_NOTE)
			continue;
		size_t wanted = lh_min_u64(segment->p_filesz, sizeof(notes));
		size_t length = image->read(image->context, bias + segment->p_vaddr, notes, wanted);
		size_t found = find_build_id(notes, length, segment->p_align == 8 ? 8 : 4, ret);
		if (found)
			return found;
	}
	return 0;
}

bool lh_module_probe_span(struct lh_module *module, lh_memory_reader *read, const void *context, uint64_t *ret_end)
{
	struct elf_image image = {.start = module->start, .read = read, .context = context};
	uint64_t bias;
	if (!read_segments(&image) || !find_bias(&image, &bias))
		return false;
	module->bias = bias;
	module->has_bias = true;
	module->build_id_bytes = read_build_id(&image, bias, module->build_id);
	*ret_end = find_end(&image, bias);
	return true;
}

bool lh_module_probe(struct lh_module *module, lh_memory_reader *read, const void *context)
{
	uint64_t end;
	return lh_module_probe_span(module, read, context, &end);
}
