/*
 * redact_notes: registers stay when they hold addresses or small numbers; vector registers, signals' values, command
 * lines, names of threads and of files that are no modules do not. Notes of an unknown kind become zeros.
 */
#include "redact_notes.h"
#include "keyed_bytes.h"
#include "leakhunt/format.h"
#include "leakhunt/json.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>

struct raw_note {
	const char *vendor;
	size_t vendor_bytes;
	uint32_t type;
	uint8_t *bytes;
	size_t length;
};

static bool is_vendor(const struct raw_note *note, const char *vendor)
{
	return strnlen(note->vendor, note->vendor_bytes) == strlen(vendor) &&
	       memcmp(note->vendor, vendor, strlen(vendor)) == 0;
}

/* ---------------------------------------------------------------- of the kernel */

static void redact_words_of(struct lh_redactor *redactor, uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at + 8 <= length; at += 8) {
		uint64_t word = lh_load_u64(bytes, at);
		if (!lh_redactor_keeps_word(redactor, word))
			lh_replace_bytes(redactor->key, bytes + at, sizeof(word));
	}
}

static void redact_registers(struct lh_redactor *redactor, const struct raw_note *note)
{
	size_t registers = offsetof(struct elf_prstatus, pr_reg);
	if (note->length < sizeof(struct elf_prstatus))
		memset(note->bytes, 0, note->length);
	else
		redact_words_of(redactor, note->bytes + registers, sizeof(elf_gregset_t));
}

static void redact_process(const struct raw_note *note)
{
	size_t arguments = offsetof(struct elf_prpsinfo, pr_psargs);
	if (note->length > arguments)
		memset(note->bytes + arguments, 0, note->length - arguments);
}

/* A name of the same length, unless it stays; what follows the last slash alone would tell what the file is. */
static void redact_name(const struct lh_redactor *redactor, char *name, size_t length)
{
	static const char deleted[] = " (deleted)";
	size_t path = length, suffix = sizeof(deleted) - 1;
	if (length > suffix && memcmp(name + length - suffix, deleted, suffix) == 0)
		path = length - suffix;
	if (path && name[0] != '[' && !lh_redactor_keeps_name(redactor, name, path)) {
		size_t slash = name[0] == '/';
		lh_replace_text(redactor->key, (uint8_t *)name + slash, path - slash);
	}
}

/* Linux fs/binfmt_elf.c, fill_files_note: count, page size, count times start, end and offset, then the names. */
static void redact_files(const struct lh_redactor *redactor, const struct raw_note *note)
{
	struct lh_cursor cursor = lh_cursor_over(note->bytes, note->length);
	uint64_t count = lh_cursor_le64(&cursor), table;
	if (!lh_mul_u64(count, 24, &table) || table > note->length || table + 16 > note->length) {
		memset(note->bytes, 0, note->length);
		return;
	}
	for (size_t at = 16 + table; at < note->length;) {
		size_t length = strnlen((const char *)note->bytes + at, note->length - at);
		redact_name(redactor, (char *)note->bytes + at, length);
		at += length + 1;
	}
}

/* ---------------------------------------------------------------- of leakhunt */

static struct lh_error *redact_member(const struct lh_redactor *redactor, json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	if (!text)
		return NULL;
	LH_CLEANUP(lh_cleanup_free) char *copy = strdup(text);
	if (!copy)
		return lh_error_no_memory();
	redact_name(redactor, copy, strlen(copy));
	return json_object_set_new(object, key, json_string(copy)) ? lh_error_no_memory() : NULL;
}

/* Objects at any depth: "name", "thread_name" and "path" are the target's; all other words are leakhunt's. */
static struct lh_error *redact_value(const struct lh_redactor *redactor, json_t *value, unsigned depth)
{
	static const char *const keys[] = {"name", "thread_name", "path"};
	enum { DEPTH_MAX = 16 };
	size_t index;
	const char *key;
	json_t *member;
	if (depth > DEPTH_MAX)
		return lh_error_create(LH_ERROR_FORMAT, "a note of leakhunt is nested too deeply");
	for (size_t i = 0; json_is_object(value) && i < LH_ARRAY_COUNT(keys); i++)
		LH_TRY(redact_member(redactor, value, keys[i]));
	if (json_is_object(value)) {
		json_object_foreach(value, key, member) LH_TRY(redact_value(redactor, member, depth + 1));
	} else if (json_is_array(value)) {
		json_array_foreach(value, index, member) LH_TRY(redact_value(redactor, member, depth + 1));
	}
	return NULL;
}

/* Which regions were asked for can be a name of the user's; nothing reads it again. */
static struct lh_error *redact_json(struct lh_redactor *redactor, const struct raw_note *note)
{
	struct lh_error *error = NULL;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	LH_CLEANUP(lh_cleanup_json) json_t *json = lh_json_parse((const char *)note->bytes, note->length, &error);
	if (!json)
		return error;
	if (json_is_object(json))
		(void)json_object_del(json, "wanted");
	LH_TRY(redact_value(redactor, json, 0));
	LH_TRY(lh_json_append(json_incref(json), true, &text));
	if (text.length > note->length)
		return lh_error_create(LH_ERROR_FORMAT, "a note of leakhunt is not in the form that leakhunt writes");
	memset(note->bytes, ' ', note->length);
	memcpy(note->bytes, text.data, text.length);
	return NULL;
}

/* ---------------------------------------------------------------- the mark */

enum { MARK_BYTES = sizeof("{\"key\":\"0x0123456789abcdef\"}") - 1, MARK_PADDED_BYTES = 32 };

/* Of the key alone; of one that was redacted before, of all its keys in their order. */
static void write_mark(const struct lh_redactor *redactor, char ret[MARK_PADDED_BYTES])
{
	enum { OF_THE_KEY = 7 };
	uint64_t earlier = lh_image_redaction_key(redactor->image);
	uint64_t hash = lh_keyed_hash(redactor->key, (const uint8_t *)&earlier, sizeof(earlier), OF_THE_KEY);
	memset(ret, 0, MARK_PADDED_BYTES);
	snprintf(ret, MARK_PADDED_BYTES, "{\"key\":\"0x%016" PRIx64 "\"}", hash | 1);
}

static struct lh_error *renew_mark(struct lh_redactor *redactor, const struct raw_note *note)
{
	char mark[MARK_PADDED_BYTES];
	if (note->length != MARK_BYTES)
		return lh_error_create(LH_ERROR_FORMAT, "a note of leakhunt is not in the form that leakhunt writes");
	write_mark(redactor, mark);
	memcpy(note->bytes, mark, MARK_BYTES);
	redactor->counts.is_marked = true;
	return NULL;
}

void lh_redact_make_mark(const struct lh_redactor *redactor, uint8_t ret[LH_REDACT_MARK_BYTES])
{
	static const char vendor[12] = LH_NOTE_VENDOR; /* padded */
	const Elf64_Nhdr header = {sizeof(LH_NOTE_VENDOR), MARK_BYTES, LH_NOTE_REDACTION};
	char mark[MARK_PADDED_BYTES];
	write_mark(redactor, mark);
	memcpy(ret, &header, sizeof(header));
	memcpy(ret + sizeof(header), vendor, sizeof(vendor));
	memcpy(ret + sizeof(header) + sizeof(vendor), mark, LH_REDACT_MARK_BYTES - sizeof(header) - sizeof(vendor));
}

/* ---------------------------------------------------------------- all of them */

static struct lh_error *redact_note(struct lh_redactor *redactor, const struct raw_note *note)
{
	bool is_kernels = is_vendor(note, "CORE");
	redactor->counts.note_count++;
	if (is_vendor(note, LH_NOTE_VENDOR) && note->type >= LH_NOTE_CAPTURE && note->type <= LH_NOTE_THREADS)
		return redact_json(redactor, note);
	if (is_vendor(note, LH_NOTE_VENDOR) && note->type == LH_NOTE_REDACTION)
		return renew_mark(redactor, note);
	if (is_kernels && note->type == NT_PRSTATUS)
		redact_registers(redactor, note);
	else if (is_kernels && note->type == NT_PRPSINFO)
		redact_process(note);
	else if (is_kernels && note->type == NT_FILE)
		redact_files(redactor, note);
	else if (!is_kernels ||
		 note->type != NT_AUXV) /* which is of the kernel alone: addresses, ids, what the CPU can */
		memset(note->bytes, 0, note->length);
	return NULL;
}

struct lh_error *lh_redact_notes(struct lh_redactor *redactor, uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at < length;) {
		Elf64_Nhdr header;
		if (length - at < sizeof(header))
			return lh_error_create(LH_ERROR_FORMAT, "a note of the core is cut");
		memcpy(&header, bytes + at, sizeof(header));
		at += sizeof(header);
		uint64_t name = lh_align_up(header.n_namesz, 4), rest = length - at;
		if (name > rest || header.n_descsz > rest - name)
			return lh_error_create(LH_ERROR_FORMAT, "a note of the core leads out of its segment");
		struct raw_note note = {(const char *)bytes + at, header.n_namesz, header.n_type, bytes + at + name,
					header.n_descsz};
		LH_TRY(redact_note(redactor, &note));
		at += lh_min_u64(rest, name + lh_align_up(header.n_descsz, 4));
	}
	return NULL;
}
