/*
 * core_writer: completes an ELF core whose memory is already written: appends notes and program headers, and writes the
 * ELF header into the reserved first page. gABI, elf(5), core(5).
 */
#include "module_pages.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
enum { NATIVE_MACHINE = EM_AARCH64 };
#else
enum { NATIVE_MACHINE = EM_X86_64 };
#endif

static Elf64_Phdr load_header(const struct lh_piece *piece)
{
	uint8_t protection = piece->extent->region->protection;
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = (protection & LH_PROT_READ ? PF_R : 0) | (protection & LH_PROT_WRITE ? PF_W : 0) |
			   (protection & LH_PROT_EXEC ? PF_X : 0),
		.p_offset = piece->file_offset,
		.p_vaddr = piece->start,
		.p_filesz = piece->file_bytes,
		.p_memsz = piece->end - piece->start,
		.p_align = LH_PAGE_BYTES,
	};
}

static void append_headers(const struct lh_layout *held, uint64_t notes_offset, size_t notes_bytes,
			   struct lh_buffer *ret)
{
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = notes_offset, .p_filesz = notes_bytes, .p_align = 4};
	lh_buffer_append(ret, &note, sizeof(note));
	for (size_t i = 0; i < held->pieces.count; i++) {
		Elf64_Phdr load = load_header(&held->pieces.items[i]);
		lh_buffer_append(ret, &load, sizeof(load));
	}
}

static Elf64_Ehdr file_header(uint64_t headers_offset, uint64_t header_count)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
		.e_type = ET_CORE,
		.e_machine = NATIVE_MACHINE,
		.e_version = EV_CURRENT,
		.e_phoff = headers_offset,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(header_count < PN_XNUM ? header_count : PN_XNUM),
	};
	if (header_count >= PN_XNUM) {
		header.e_shoff = headers_offset + header_count * sizeof(Elf64_Phdr);
		header.e_shentsize = sizeof(Elf64_Shdr);
		header.e_shnum = 1;
	}
	return header;
}

/* elf(5), e_phnum: with PN_XNUM the count lies in sh_info of section 0. */
static void append_counting_section(uint64_t header_count, struct lh_buffer *ret)
{
	Elf64_Shdr section = {.sh_size = 1, .sh_info = (Elf64_Word)header_count};
	if (header_count >= PN_XNUM)
		lh_buffer_append(ret, &section, sizeof(section));
}

/* Pages that come from files: behind the notes, not aligned. */
static void append_page_headers(const struct lh_module_pages *pages, uint64_t pages_offset, struct lh_buffer *ret)
{
	for (size_t i = 0; i < pages->pieces.count; i++) {
		const struct lh_module_piece *piece = &pages->pieces.items[i];
		Elf64_Phdr load = {
			.p_type = PT_LOAD,
			.p_flags = PF_R | (piece->region->protection & LH_PROT_EXEC ? PF_X : 0),
			.p_offset = pages_offset + piece->offset,
			.p_vaddr = piece->start,
			.p_filesz = piece->end - piece->start,
			.p_memsz = piece->end - piece->start,
			.p_align = 1,
		};
		lh_buffer_append(ret, &load, sizeof(load));
	}
}

struct lh_error *lh_core_finish(const struct lh_capture *capture, int fd)
{
	const char *what = capture->options->path;
	struct lh_buffer notes LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer headers LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_module_pages pages LH_CLEANUP(lh_module_pages_deinit) = {0};
	if (!capture->options->bare)
		LH_TRY(lh_module_pages_collect(capture->process, capture->plan, &pages));
	LH_TRY(lh_core_notes_encode(capture, &pages, &notes));
	uint64_t notes_offset = lh_align_up(capture->held->end_offset, 4);
	uint64_t pages_offset = lh_align_up(notes_offset + notes.length, 8);
	uint64_t headers_offset = lh_align_up(pages_offset + pages.bytes.length, 8);
	uint64_t header_count = 1 + capture->held->pieces.count + pages.pieces.count;
	append_headers(capture->held, notes_offset, notes.length, &headers);
	append_page_headers(&pages, pages_offset, &headers);
	append_counting_section(header_count, &headers);
	LH_TRY(lh_buffer_status(&headers));
	LH_TRY(lh_fd_pwrite_all(fd, what, notes.data, notes.length, notes_offset));
	LH_TRY(lh_fd_pwrite_all(fd, what, pages.bytes.data, pages.bytes.length, pages_offset));
	LH_TRY(lh_fd_pwrite_all(fd, what, headers.data, headers.length, headers_offset));
	Elf64_Ehdr header = file_header(headers_offset, header_count);
	return lh_fd_pwrite_all(fd, what, &header, sizeof(header), 0);
}
