/*
 * core_builder: makes ELF cores in memory, good and bad ones, for tests. It knows the layout from
 * elf.h alone, nothing of leakhunt's writer.
 */
#ifndef LEAKHUNT_TESTS_CORE_BUILDER_H
#define LEAKHUNT_TESTS_CORE_BUILDER_H

#include "unit.h"

#include "image/view.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <unistd.h>

struct core_builder {
	struct lh_buffer bytes; /* the file so far; starts with room for the ELF header */
	struct lh_buffer notes;
	LH_VEC(Elf64_Phdr) headers;
	Elf64_Ehdr header;
};

static inline void core_begin(struct core_builder *core)
{
	*core = (struct core_builder){0};
	memcpy(core->header.e_ident, ELFMAG, SELFMAG);
	core->header.e_ident[EI_CLASS] = ELFCLASS64;
	core->header.e_ident[EI_DATA] = ELFDATA2LSB;
	core->header.e_ident[EI_VERSION] = EV_CURRENT;
	core->header.e_type = ET_CORE;
	core->header.e_machine = EM_X86_64;
	core->header.e_version = EV_CURRENT;
	core->header.e_phentsize = sizeof(Elf64_Phdr);
	lh_buffer_append(&core->bytes, &core->header, sizeof(core->header));
}

static inline Elf64_Phdr *core_add_header(struct core_builder *core, Elf64_Phdr header)
{
	assert_success(lh_vec_push(&core->headers, header));
	return &core->headers.items[core->headers.count - 1];
}

/* Appends `file_bytes` of data to the file, and its PT_LOAD. */
static inline void core_add_load(struct core_builder *core, uint64_t addr, uint64_t memory_bytes, const void *data,
				 uint64_t file_bytes, uint32_t flags)
{
	core_add_header(core, (Elf64_Phdr){.p_type = PT_LOAD,
					   .p_flags = flags,
					   .p_offset = core->bytes.length,
					   .p_vaddr = addr,
					   .p_filesz = file_bytes,
					   .p_memsz = memory_bytes});
	lh_buffer_append(&core->bytes, data, file_bytes);
}

static inline void core_pad(struct lh_buffer *buffer)
{
	while (buffer->length % 4)
		lh_buffer_append(buffer, "", 1);
}

static inline void core_add_note(struct core_builder *core, const char *vendor, uint32_t type, const void *desc,
				 size_t length)
{
	uint32_t sizes[3] = {(uint32_t)strlen(vendor) + 1, (uint32_t)length, type};
	lh_buffer_append(&core->notes, sizes, sizeof(sizes));
	lh_buffer_append(&core->notes, vendor, strlen(vendor) + 1);
	core_pad(&core->notes);
	lh_buffer_append(&core->notes, desc, length);
	core_pad(&core->notes);
}

static inline void core_add_json(struct core_builder *core, uint32_t type, const char *json)
{
	core_add_note(core, "leakhunt", type, json, strlen(json));
}

static inline void core_add_thread(struct core_builder *core, pid_t tid, uint64_t sp)
{
	struct elf_prstatus status = {.pr_pid = tid};
	struct user_regs_struct registers = {.rsp = sp, .rip = 0x401000, .fs_base = 0x7000};
	memcpy(&status.pr_reg, &registers, sizeof(registers));
	core_add_note(core, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

/* Notes, then program headers at the end of the file, then the ELF header. PN_XNUM when there are many. */
static inline void core_end(struct core_builder *core)
{
	if (core->notes.length) {
		core_add_header(core, (Elf64_Phdr){.p_type = PT_NOTE,
						   .p_offset = core->bytes.length,
						   .p_filesz = core->notes.length});
		lh_buffer_append(&core->bytes, core->notes.data, core->notes.length);
	}
	Elf64_Ehdr *header = &core->header;
	header->e_phoff = core->bytes.length;
	header->e_phnum = (uint16_t)(core->headers.count < PN_XNUM ? core->headers.count : PN_XNUM);
	lh_buffer_append(&core->bytes, core->headers.items, core->headers.count * sizeof(Elf64_Phdr));
	if (core->headers.count >= PN_XNUM) {
		Elf64_Shdr section = {.sh_info = (uint32_t)core->headers.count};
		header->e_shoff = core->bytes.length;
		header->e_shnum = 1;
		header->e_shentsize = sizeof(section);
		lh_buffer_append(&core->bytes, &section, sizeof(section));
	}
	assert_success(lh_buffer_status(&core->bytes));
	memcpy(core->bytes.data, header, sizeof(*header));
}

static inline void core_deinit(struct core_builder *core)
{
	lh_buffer_deinit(&core->bytes);
	lh_buffer_deinit(&core->notes);
	lh_vec_deinit(&core->headers);
}

/* Opens bytes as if they were a file's. They must outlive the image. */
static inline struct lh_error *open_as_file(const void *bytes, size_t length, struct lh_image **ret)
{
	struct lh_image *image = NULL;
	LH_TRY(lh_image_create(LH_IMAGE_RAW, "test.core", &image));
	image->bytes = bytes;
	image->file_bytes = length;
	struct lh_error *error = lh_image_parse(image, NULL);
	if (error)
		lh_image_close(image);
	else
		*ret = image;
	return error;
}

static inline struct lh_image *core_open(const struct core_builder *core)
{
	struct lh_image *image = NULL;
	assert_success(open_as_file(core->bytes.data, core->bytes.length, &image));
	return image;
}

#endif
