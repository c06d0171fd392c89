/*
 * core: an ELF64 core file of any writer becomes segments, threads and modules. Everything in the file is hostile:
 * counts, offsets and sizes are checked against its length, and memory is linear in what the file really holds. (gABI:
 * ELF header, program header; elf(5).)
 */
#include "notes.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* More mappings than a process has in practice (vm.max_map_count, default 65,530). */
enum { PROGRAM_HEADERS_MAX = 1 << 21 };

/* A region's note has about 200 bytes, a thread's registers about 3,000. */
#define COMPRESSED_NOTES_MAX LH_GIB

static bool has_elf_magic(const uint8_t *bytes, uint64_t length)
{
	return length >= EI_NIDENT && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

bool lh_core_is(const uint8_t *bytes, uint64_t length)
{
	/* e_type lies right behind e_ident in both classes. */
	if (length < EI_NIDENT + 2 || !has_elf_magic(bytes, length))
		return false;
	uint8_t low = bytes[EI_NIDENT], high = bytes[EI_NIDENT + 1];
	return bytes[EI_DATA] == ELFDATA2MSB ? high == ET_CORE && !low : low == ET_CORE && !high;
}

static struct lh_error *format_error(const struct lh_image *image, const char *what)
{
	return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is not a usable core: %s", image->path, what),
			     "if it was copied, compare its size with the original; as plain bytes it can still be "
			     "scanned");
}

static struct lh_error *read_core_header(const struct lh_image *image, Elf64_Ehdr *ret)
{
	uint8_t ident[EI_NIDENT];
	if (!lh_image_file_read(image, 0, ident, sizeof(ident)))
		return format_error(image, "it ends within the ELF header");
	if (ident[EI_CLASS] == ELFCLASS32 || ident[EI_DATA] == ELFDATA2MSB)
		return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED, "%s is a core of a %s process", image->path,
						     ident[EI_CLASS] == ELFCLASS32 ? "32-bit" : "big-endian"),
				     "only 64-bit little-endian cores are understood; as plain bytes it can still be "
				     "scanned");
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
		return format_error(image, "its ELF class or byte order is unknown");
	if (!lh_image_file_read(image, 0, ret, sizeof(*ret)))
		return format_error(image, "it ends within the ELF header");
	if (ret->e_phnum && ret->e_phentsize != sizeof(Elf64_Phdr))
		return format_error(image, "its program headers have an unknown size");
	return NULL;
}

/* From 65,535 program headers on, section header 0 holds their number (elf(5), PN_XNUM). */
static struct lh_error *count_program_headers(const struct lh_image *image, const Elf64_Ehdr *header, uint64_t *ret)
{
	uint64_t count = header->e_phnum;
	if (count == PN_XNUM) {
		Elf64_Shdr section;
		if (!header->e_shoff || !lh_image_file_read(image, header->e_shoff, &section, sizeof(section)))
			return format_error(image, "the number of its program headers is missing");
		count = section.sh_info;
	}
	uint64_t end;
	if (count > PROGRAM_HEADERS_MAX)
		return format_error(image, "it claims millions of program headers");
	if (!lh_add_u64(header->e_phoff, count * sizeof(Elf64_Phdr), &end) || end > image->file_bytes)
		return format_error(image, "it is truncated: its program headers lie beyond its end");
	*ret = count;
	return NULL;
}

static uint8_t protection_of(uint32_t flags)
{
	return (uint8_t)((flags & PF_R ? LH_PROT_READ : 0) | (flags & PF_W ? LH_PROT_WRITE : 0) |
			 (flags & PF_X ? LH_PROT_EXEC : 0));
}

static struct lh_error *add_load(struct lh_image *image, const Elf64_Phdr *header, struct lh_loads *loads)
{
	uint64_t end;
	if (!header->p_memsz)
		return NULL;
	if (!lh_add_u64(header->p_vaddr, header->p_memsz, &end))
		return lh_image_add_gap(image, header->p_vaddr, UINT64_MAX, LH_GAP_IMPOSSIBLE);
	struct lh_load load = {
		.segment = {.start = header->p_vaddr,
			    .end = end,
			    .file_offset = header->p_offset,
			    .protection = protection_of(header->p_flags),
			    .kind = LH_REGION_ANON,
			    .name = "",
			    .thread_name = ""},
		.claimed_bytes = header->p_filesz,
	};
	return lh_vec_push(&loads->loads, load);
}

/* Results point into the notes: of a compressed file, the image keeps a copy of them. */
static struct lh_error *view_notes(struct lh_image *image, uint64_t offset, uint64_t length, const uint8_t **ret)
{
	if (!image->frames) {
		*ret = image->bytes + offset;
		return NULL;
	}
	if (length > COMPRESSED_NOTES_MAX)
		return format_error(image, "it claims gigabytes of notes");
	image->notes = malloc(length + 1);
	if (!image->notes)
		return lh_error_no_memory();
	*ret = image->notes;
	return lh_frames_read(image->frames, offset, image->notes, length);
}

static struct lh_error *read_note_segment(struct lh_image *image, uint16_t machine, const Elf64_Phdr *header,
					  struct lh_core_notes *notes)
{
	if (header->p_offset >= image->file_bytes)
		return NULL;
	uint64_t length = lh_min_u64(header->p_filesz, image->file_bytes - header->p_offset);
	const uint8_t *bytes = NULL;
	LH_TRY(view_notes(image, header->p_offset, length, &bytes));
	return lh_notes_read(image, machine, bytes, length, notes);
}

/* Only the first PT_NOTE: every writer makes one, and hostile ones could repeat the same bytes a million times. */
static struct lh_error *read_program_headers(struct lh_image *image, const Elf64_Ehdr *header, uint64_t count,
					     struct lh_loads *loads, struct lh_core_notes *notes)
{
	bool has_notes = false;
	for (uint64_t i = 0; i < count; i++) {
		Elf64_Phdr program;
		if (!lh_image_file_read(image, header->e_phoff + i * sizeof(program), &program, sizeof(program)))
			return format_error(image, "its program headers cannot be read");
		if (program.p_type == PT_LOAD) {
			LH_TRY(add_load(image, &program, loads));
		} else if (program.p_type == PT_NOTE && !has_notes) {
			has_notes = true;
			LH_TRY(read_note_segment(image, header->e_machine, &program, notes));
		}
	}
	return NULL;
}

struct lh_error *lh_core_parse(struct lh_image *image)
{
	Elf64_Ehdr header = {0};
	uint64_t count = 0;
	struct lh_loads loads LH_CLEANUP(lh_loads_deinit) = {0};
	struct lh_core_notes notes LH_CLEANUP(lh_core_notes_deinit) = {0};
	LH_TRY(read_core_header(image, &header));
	LH_TRY(count_program_headers(image, &header, &count));
	image->has_addresses = true;
	LH_TRY(read_program_headers(image, &header, count, &loads, &notes));
	LH_TRY(lh_image_add_loads(image, &loads));
	image->source = notes.has_vendor ? LH_IMAGE_DUMP : LH_IMAGE_CORE;
	LH_TRY(notes.has_vendor ? lh_vendor_apply(image, &notes) : lh_foreign_apply(image, &notes));
	LH_TRY(lh_vendor_apply_redaction(image, &notes));
	return lh_image_order_gaps(image);
}
