/*
 * core_notes: the PT_NOTE segment of a core. First what the kernel's own cores have, in its order
 * (fs/binfmt_elf.c: fill_note_info), so that every debugger finds threads, registers, the auxiliary
 * vector and the mapped files; then the notes of vendor "leakhunt" (format.h).
 */
#include "capture.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>

static void append_padded(struct lh_buffer *notes, const void *bytes, size_t length)
{
	static const uint8_t zeros[4];
	lh_buffer_append(notes, bytes, length);
	lh_buffer_append(notes, zeros, lh_align_up(length, 4) - length);
}

static void append_note(struct lh_buffer *notes, const char *vendor, uint32_t type, const void *bytes, size_t length)
{
	Elf64_Nhdr header = {
		.n_namesz = (Elf64_Word)strlen(vendor) + 1,
		.n_descsz = (Elf64_Word)length,
		.n_type = type,
	};
	if (length > UINT32_MAX) {
		notes->failed = true;
		return;
	}
	lh_buffer_append(notes, &header, sizeof(header));
	append_padded(notes, vendor, header.n_namesz);
	append_padded(notes, bytes, length);
}

static void append_thread(struct lh_buffer *notes, const struct lh_thread_state *thread)
{
	append_note(notes, "CORE", NT_PRSTATUS, thread->prstatus, thread->prstatus_bytes);
}

static void append_thread_rest(struct lh_buffer *notes, const struct lh_thread_state *thread)
{
	if (thread->fpregset)
		append_note(notes, "CORE", NT_FPREGSET, thread->fpregset, thread->fpregset_bytes);
#if defined(__x86_64__)
	if (thread->xstate)
		append_note(notes, "LINUX", NT_X86_XSTATE, thread->xstate, thread->xstate_bytes);
#endif
}

static void append_process(struct lh_buffer *notes, const struct lh_capture *capture)
{
	const struct lh_process_facts *facts = capture->facts;
	struct elf_prpsinfo info = {
		.pr_sname = facts->state,
		.pr_uid = facts->uid,
		.pr_gid = facts->gid,
		.pr_pid = lh_process_pid(capture->process),
		.pr_ppid = facts->parent,
		.pr_pgrp = facts->group,
		.pr_sid = facts->session,
	};
	const char *command = lh_process_command(capture->process);
	memcpy(info.pr_fname, command, strnlen(command, sizeof(info.pr_fname) - 1));
	size_t length = (size_t)lh_min_u64(facts->arguments.length, sizeof(info.pr_psargs) - 1);
	if (length)
		memcpy(info.pr_psargs, facts->arguments.data, length);
	for (size_t i = 0; i < length; i++) {
		if (!info.pr_psargs[i])
			info.pr_psargs[i] = ' ';
	}
	append_note(notes, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

/* Files that a debugger can open; "/memfd:" and the like are names of memory. */
static bool is_file(const struct lh_region *region)
{
	return region->name[0] == '/' && region->kind != LH_REGION_MEMFD && region->kind != LH_REGION_SHARED &&
	       region->kind != LH_REGION_HUGETLB;
}

static void append_u64(struct lh_buffer *buffer, uint64_t value)
{
	lh_buffer_append(buffer, &value, sizeof(value));
}

/* count, page size, then start, end, offset in pages of each, then the names (fs/binfmt_elf.c: fill_files_note). */
static void append_files(struct lh_buffer *notes, const struct lh_region_list *list)
{
	struct lh_buffer table LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_buffer names LH_CLEANUP(lh_buffer_deinit) = {0};
	uint64_t count = 0;
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (!is_file(region))
			continue;
		count++;
		append_u64(&table, region->start);
		append_u64(&table, region->end);
		append_u64(&table, region->file_offset / LH_PAGE_BYTES);
		lh_buffer_puts(&names, region->name);
		lh_buffer_puts(&names, region->is_deleted ? " (deleted)" : "");
		lh_buffer_append(&names, "", 1);
	}
	struct lh_buffer note LH_CLEANUP(lh_buffer_deinit) = {0};
	append_u64(&note, count);
	append_u64(&note, LH_PAGE_BYTES);
	lh_buffer_append(&note, table.data, table.length);
	lh_buffer_append(&note, names.data, names.length);
	notes->failed |= note.failed | table.failed | names.failed;
	append_note(notes, "CORE", NT_FILE, note.data, note.length);
}

static struct lh_error *append_json(struct lh_buffer *notes, enum lh_note_type type, json_t *value)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_TRY(lh_json_append(value, true, &text));
	append_note(notes, LH_NOTE_VENDOR, type, text.data, text.length);
	return NULL;
}

static struct lh_error *append_own(struct lh_buffer *notes, const struct lh_capture *capture,
				   const struct lh_module_pages *pages)
{
	LH_TRY(append_json(notes, LH_NOTE_CAPTURE, lh_describe_capture(capture)));
	LH_TRY(append_json(notes, LH_NOTE_REGIONS, lh_describe_regions(capture, pages)));
	LH_TRY(append_json(notes, LH_NOTE_MODULES, lh_describe_modules(&capture->plan->modules)));
	LH_TRY(append_json(notes, LH_NOTE_GAPS, lh_describe_gaps(&capture->receipt->gaps)));
	return append_json(notes, LH_NOTE_THREADS, lh_describe_threads(capture->threads));
}

struct lh_error *lh_core_notes_encode(const struct lh_capture *capture, const struct lh_module_pages *pages,
				      struct lh_buffer *ret)
{
	const struct lh_thread_state *threads = capture->threads->threads.items;
	size_t count = capture->threads->threads.count;
	if (count)
		append_thread(ret, &threads[0]);
	append_process(ret, capture);
	append_note(ret, "CORE", NT_AUXV, capture->facts->auxv.data, capture->facts->auxv.length);
	append_files(ret, &capture->plan->list);
	if (count)
		append_thread_rest(ret, &threads[0]);
	for (size_t i = 1; i < count; i++) {
		append_thread(ret, &threads[i]);
		append_thread_rest(ret, &threads[i]);
	}
	LH_TRY(append_own(ret, capture, pages));
	return lh_buffer_status(ret);
}
