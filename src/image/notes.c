/*
 * notes: parses a core's note segment: threads and their registers, pid, auxiliary vector, mapped files, and the notes
 * of vendor leakhunt. Sizes in it are hostile; only paths are copied. Layouts: gABI "Note Section"; sys/procfs.h; Linux
 * fs/binfmt_elf.c, fill_files_note.
 */
#include "notes.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

/* Parsed JSON takes about twenty times its size. */
#define VENDOR_NOTE_MAX_BYTES (64 * LH_MIB)

struct note {
	const char *vendor; /* not terminated */
	size_t vendor_bytes;
	uint32_t type;
	struct lh_cursor desc;
};

struct note_context {
	struct lh_image *image;
	uint16_t machine;
	struct lh_core_notes *notes;
};

void lh_core_notes_deinit(struct lh_core_notes *notes)
{
	lh_vec_deinit(&notes->files);
}

static bool next_note(struct lh_cursor *cursor, const uint8_t *origin, struct note *ret)
{
	uint32_t name_bytes = lh_cursor_le32(cursor);
	uint32_t desc_bytes = lh_cursor_le32(cursor);
	uint32_t type = lh_cursor_le32(cursor);
	const uint8_t *name = lh_cursor_take(cursor, name_bytes);
	/* The last note may lack its padding: then aligning fails after the descriptor was read. */
	lh_cursor_align(cursor, origin, 4);
	const uint8_t *desc = lh_cursor_take(cursor, desc_bytes);
	if (!name || !desc)
		return false;
	lh_cursor_align(cursor, origin, 4);
	const char *vendor = (const char *)name;
	*ret = (struct note){vendor, strnlen(vendor, name_bytes), type, lh_cursor_over(desc, desc_bytes)};
	return true;
}

static bool vendor_is(const struct note *note, const char *vendor)
{
	return note->vendor_bytes == strlen(vendor) && memcmp(note->vendor, vendor, note->vendor_bytes) == 0;
}

/* ---------------------------------------------------------------- standard notes */

/* x86_64 only: other machines have other register files. */
static struct lh_error *read_prstatus(struct note_context *context, struct lh_cursor desc)
{
	struct elf_prstatus status;
	struct user_regs_struct registers;
	const uint8_t *bytes = lh_cursor_take(&desc, sizeof(status));
	if (!bytes || context->machine != EM_X86_64)
		return NULL;
	memcpy(&status, bytes, sizeof(status));
	memcpy(&registers, &status.pr_reg, sizeof(registers));
	return lh_vec_push(&context->image->threads, (struct lh_image_thread){
							     .tid = status.pr_pid,
							     .name = "",
							     .stack_pointer = registers.rsp,
							     .pc = registers.rip,
							     .fs_base = registers.fs_base,
							     .registers = bytes + offsetof(struct elf_prstatus, pr_reg),
							     .registers_bytes = sizeof(registers),
						     });
}

static struct lh_error *read_prpsinfo(struct note_context *context, struct lh_cursor desc)
{
	struct elf_prpsinfo info;
	const uint8_t *bytes = lh_cursor_take(&desc, sizeof(info));
	if (!bytes || context->image->pid)
		return NULL;
	memcpy(&info, bytes, sizeof(info));
	context->image->pid = info.pr_pid;
	memcpy(context->notes->command, info.pr_fname, sizeof(info.pr_fname));
	char arguments[sizeof(info.pr_psargs) + 1] = "";
	memcpy(arguments, info.pr_psargs, sizeof(info.pr_psargs));
	lh_image_note_called(context->image, context->notes->command, arguments);
	return NULL;
}

static struct lh_error *read_auxv(struct note_context *context, struct lh_cursor desc)
{
	while (lh_cursor_left(&desc) >= sizeof(Elf64_auxv_t)) {
		uint64_t type = lh_cursor_le64(&desc);
		uint64_t value = lh_cursor_le64(&desc);
		if (type == AT_NULL)
			break;
		if (type == AT_SYSINFO_EHDR)
			context->notes->vdso_addr = value;
		else if (type == AT_PHDR)
			context->notes->program_headers_addr = context->image->program_addr = value;
		else if (type == AT_PHNUM)
			context->notes->program_header_count = value;
		else if (type == AT_MINSIGSTKSZ)
			context->image->signal_frame_bytes = value;
		else if (type == AT_EXECFN)
			context->notes->executable_name_addr = value;
	}
	return NULL;
}

/* The kernel's d_path ends the path of a file that has no name any more like this. */
static const char deleted_suffix[] = " (deleted)";

static bool cut_deleted(const char *path, size_t *length)
{
	size_t suffix = sizeof(deleted_suffix) - 1;
	if (*length <= suffix || memcmp(path + *length - suffix, deleted_suffix, suffix) != 0)
		return false;
	*length -= suffix;
	return true;
}

static struct lh_error *read_file_entry(struct note_context *context, struct lh_cursor *entries,
					struct lh_cursor *paths, uint64_t unit_bytes)
{
	struct lh_file_note file = {0};
	file.start = lh_cursor_le64(entries);
	file.end = lh_cursor_le64(entries);
	uint64_t offset = lh_cursor_le64(entries);
	size_t length = strnlen((const char *)paths->at, lh_cursor_left(paths));
	const char *path = (const char *)lh_cursor_take(paths, length + 1);
	if (!path || file.start >= file.end || !lh_mul_u64(offset, unit_bytes, &file.offset_bytes))
		return NULL;
	file.is_deleted = cut_deleted(path, &length);
	LH_TRY(lh_strings_pool_add(&context->image->strings, path, length, &file.path));
	return lh_vec_push(&context->notes->files, file);
}

/*
 * count, unit of the offsets, then count triples {start, end, offset}, then count paths. The kernel's
 * unit is a page, gdb's is 1.
 */
static struct lh_error *read_files(struct note_context *context, struct lh_cursor desc)
{
	uint64_t count = lh_cursor_le64(&desc);
	uint64_t unit_bytes = lh_cursor_le64(&desc);
	uint64_t bytes;
	if (context->notes->files.count || !lh_mul_u64(count, 24, &bytes) || bytes > lh_cursor_left(&desc))
		return NULL;
	struct lh_cursor entries = lh_cursor_over(lh_cursor_take(&desc, bytes), bytes);
	for (uint64_t i = 0; i < count && lh_cursor_left(&desc); i++)
		LH_TRY(read_file_entry(context, &entries, &desc, unit_bytes));
	return NULL;
}

/* ---------------------------------------------------------------- all of them */

static struct lh_error *keep_vendor_note(struct note_context *context, const struct note *note)
{
	/* redact marks cores of other tools, too. */
	context->notes->has_vendor |= note->type != LH_NOTE_REDACTION;
	if (note->type > LH_NOTE_REDACTION || context->notes->vendor[note->type].text)
		return NULL;
	size_t bytes = lh_cursor_left(&note->desc);
	if (bytes > VENDOR_NOTE_MAX_BYTES)
		return lh_error_create(LH_ERROR_FORMAT, "%s: its leakhunt note %u is too large (%zu bytes)",
				       context->image->path, note->type, bytes);
	context->notes->vendor[note->type] = (struct lh_vendor_note){(const char *)note->desc.at, bytes};
	return NULL;
}

static struct lh_error *read_note(struct note_context *context, const struct note *note)
{
	if (vendor_is(note, LH_NOTE_VENDOR))
		return keep_vendor_note(context, note);
	if (!vendor_is(note, "CORE"))
		return NULL;
	switch (note->type) {
	case NT_PRSTATUS:
		return read_prstatus(context, note->desc);
	case NT_PRPSINFO:
		return read_prpsinfo(context, note->desc);
	case NT_AUXV:
		return read_auxv(context, note->desc);
	case NT_FILE:
		return read_files(context, note->desc);
	default:
		return NULL;
	}
}

struct lh_error *lh_notes_read(struct lh_image *image, uint16_t machine, const uint8_t *bytes, size_t length,
			       struct lh_core_notes *ret)
{
	struct note_context context = {image, machine, ret};
	struct lh_cursor cursor = lh_cursor_over(bytes, length);
	struct note note;
	while (lh_cursor_left(&cursor) && next_note(&cursor, bytes, &note))
		LH_TRY(read_note(&context, &note));
	return NULL;
}
