/*
 * notes: the parsed notes of a core, before they are applied to the segments. Private to src/image.
 */
#ifndef LEAKHUNT_IMAGE_NOTES_H
#define LEAKHUNT_IMAGE_NOTES_H

#include "leakhunt/format.h"
#include "view.h"

/* A mapping of a file, from NT_FILE. `path` belongs to the image's strings. */
struct lh_file_note {
	uint64_t start;
	uint64_t end;
	uint64_t offset_bytes;
	const char *path;
	bool is_deleted;
};

/* The descriptor of a note of vendor leakhunt; lies in the file. */
struct lh_vendor_note {
	const char *text;
	size_t bytes;
};

struct lh_core_notes {
	bool has_vendor;
	struct lh_vendor_note vendor[LH_NOTE_REDACTION + 1]; /* by enum lh_note_type; text NULL: absent */
	LH_VEC(struct lh_file_note) files;                   /* as they come */
	uint64_t vdso_addr;                                  /* AT_SYSINFO_EHDR; 0 when unknown */
	uint64_t program_headers_addr;                       /* AT_PHDR: lies in the executable */
	uint64_t program_header_count;                       /* AT_PHNUM */
	uint64_t executable_name_addr;                       /* AT_EXECFN: a string on the main stack */
	char command[17];                                    /* pr_fname */
};

void lh_core_notes_deinit(struct lh_core_notes *notes);

/*
 * Reads the notes in `bytes` (one PT_NOTE segment). Threads and pid go into the image. A note whose sizes lead out of
 * the segment ends it; notes of unknown kind or form are skipped.
 */
struct lh_error *lh_notes_read(struct lh_image *image, uint16_t machine, const uint8_t *bytes, size_t length,
			       struct lh_core_notes *ret) LH_NODISCARD;

/* Fills the image from notes of vendor leakhunt. LH_ERROR_FORMAT when a note is malformed. */
struct lh_error *lh_vendor_apply(struct lh_image *image, const struct lh_core_notes *notes) LH_NODISCARD;
/* Likewise from the note of redact, which cores of other tools can have, too. */
struct lh_error *lh_vendor_apply_redaction(struct lh_image *image, const struct lh_core_notes *notes) LH_NODISCARD;

/* Where a core has no NT_FILE: adds to `files` what the dynamic linker's list and ELF headers in memory tell. */
struct lh_error *lh_link_map_add_files(struct lh_image *image, struct lh_core_notes *notes) LH_NODISCARD;

/* Fills modules, names and kinds of another writer's core from its notes. */
struct lh_error *lh_foreign_apply(struct lh_image *image, struct lh_core_notes *notes) LH_NODISCARD;

#endif
