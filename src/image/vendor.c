/*
 * vendor: what leakhunt itself wrote besides the memory: JSON in the notes of a dump, or in the index beside a raw
 * file. It may be damaged or forged, so it is checked like any input. It never changes which bytes of a core belong to
 * which address.
 */
#include "leakhunt/json.h"
#include "notes.h"

#include <stdlib.h>
#include <string.h>

static struct lh_error *note_error(const struct lh_image *image, const char *what, const char *problem)
{
	return lh_error_create(LH_ERROR_FORMAT, "%s: what leakhunt noted about %s is damaged: %s", image->path, what,
			       problem);
}

/* A member as raw bytes in the image's strings; "" when it is missing. */
static struct lh_error *get_string(struct lh_image *image, const json_t *object, const char *key, const char **ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	*ret = "";
	if (!lh_json_get_text(object, key, &text))
		return NULL;
	LH_TRY(lh_buffer_status(&text));
	return text.length ? lh_strings_pool_add(&image->strings, text.data, text.length, ret) : NULL;
}

static bool get_range(const json_t *object, struct lh_range *ret)
{
	return lh_json_get_address(object, "start", &ret->start) && lh_json_get_address(object, "end", &ret->end) &&
	       ret->start < ret->end;
}

/* "rw-p" */
static bool get_protection(const json_t *object, uint8_t *ret)
{
	const char *text = json_string_value(json_object_get(object, "perms"));
	if (!text || strlen(text) < 3)
		return false;
	*ret = (uint8_t)((text[0] == 'r' ? LH_PROT_READ : 0) | (text[1] == 'w' ? LH_PROT_WRITE : 0) |
			 (text[2] == 'x' ? LH_PROT_EXEC : 0));
	return true;
}

/* ---------------------------------------------------------------- regions */

static struct lh_error *read_region(struct lh_image *image, const json_t *entry, struct lh_annotations *ret)
{
	struct lh_annotation item = {.file_offset = LH_NO_OFFSET, .kind = LH_REGION_ANON};
	struct lh_range range;
	if (!get_range(entry, &range))
		return note_error(image, "its regions", "an entry without a valid address range");
	item.start = range.start;
	item.end = range.end;
	item.has_protection = get_protection(entry, &item.protection);
	const char *kind = json_string_value(json_object_get(entry, "kind"));
	if (kind)
		(void)lh_region_kind_parse(kind, &item.kind);
	(void)lh_json_get_bool(entry, "context", &item.is_context);
	(void)lh_json_get_bool(entry, "ended_stack", &item.is_ended_stack);
	(void)lh_json_get_u64(entry, "offset", &item.file_offset);
	LH_TRY(get_string(image, entry, "name", &item.name));
	LH_TRY(get_string(image, entry, "thread_name", &item.thread_name));
	return lh_vec_push(&ret->items, item);
}

static struct lh_error *read_vendor_regions(struct lh_image *image, const json_t *list, struct lh_annotations *ret)
{
	size_t index;
	const json_t *entry;
	json_array_foreach(list, index, entry) LH_TRY(read_region(image, entry, ret));
	return NULL;
}

static struct lh_error *apply_regions(struct lh_image *image, const json_t *list)
{
	struct lh_annotations annotations LH_CLEANUP(lh_annotations_deinit) = {0};
	LH_TRY(read_vendor_regions(image, list, &annotations));
	return lh_image_annotate(image, &annotations);
}

/* ---------------------------------------------------------------- modules */

static int vendor_hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found = c ? strchr(digits, c) : NULL;
	return found ? (int)(found - digits) : -1;
}

/* An odd number of digits, or other characters: the module has no build id. */
static void get_build_id(const json_t *entry, struct lh_module *ret)
{
	const char *text = json_string_value(json_object_get(entry, "build_id"));
	size_t digits = text ? strlen(text) : 0;
	if (digits % 2 || digits > 2 * sizeof(ret->build_id))
		return;
	for (size_t i = 0; i < digits / 2; i++) {
		int high = vendor_hex_digit(text[2 * i]), low = vendor_hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return;
		ret->build_id[i] = (uint8_t)(high << 4 | low);
	}
	ret->build_id_bytes = digits / 2;
}

static struct lh_error *read_module(struct lh_image *image, const json_t *entry)
{
	struct lh_module module = {0};
	struct lh_range range;
	if (!get_range(entry, &range))
		return note_error(image, "its modules", "an entry without a valid address range");
	module.start = range.start;
	module.end = range.end;
	module.has_bias = lh_json_get_address(entry, "bias", &module.bias);
	(void)lh_json_get_bool(entry, "deleted", &module.is_deleted);
	get_build_id(entry, &module);
	LH_TRY(get_string(image, entry, "path", &module.path));
	return lh_vec_push(&image->modules.modules, module);
}

static int compare_vendor_modules(const void *a, const void *b)
{
	const struct lh_module *left = a, *right = b;
	return (left->start > right->start) - (left->start < right->start);
}

static struct lh_error *apply_modules(struct lh_image *image, const json_t *list)
{
	size_t index;
	const json_t *entry;
	json_array_foreach(list, index, entry) LH_TRY(read_module(image, entry));
	lh_vec_sort(&image->modules.modules, compare_vendor_modules);
	return NULL;
}

/* ---------------------------------------------------------------- gaps, threads, capture */

static struct lh_error *apply_gaps(struct lh_image *image, const json_t *list)
{
	size_t index;
	const json_t *entry;
	json_array_foreach(list, index, entry)
	{
		struct lh_range range;
		const char *reason;
		if (!get_range(entry, &range))
			return note_error(image, "its gaps", "an entry without a valid address range");
		LH_TRY(get_string(image, entry, "reason", &reason));
		LH_TRY(lh_image_add_gap(image, range.start, range.end, lh_gap_reason_parse(reason)));
	}
	return NULL;
}

/* In the order of the NT_PRSTATUS notes; a dump without registers has only these. */
static struct lh_error *apply_threads(struct lh_image *image, const json_t *list)
{
	size_t with_registers = image->threads.count;
	size_t index;
	const json_t *entry;
	json_array_foreach(list, index, entry)
	{
		uint64_t tid;
		const char *name;
		if (!lh_json_get_u64(entry, "tid", &tid) || tid > INT32_MAX)
			return note_error(image, "its threads", "an entry without a thread id");
		LH_TRY(get_string(image, entry, "name", &name));
		if (index < with_registers && image->threads.items[index].tid == (pid_t)tid)
			image->threads.items[index].name = name;
		else
			LH_TRY(lh_vec_push(&image->threads, (struct lh_image_thread){.tid = (pid_t)tid, .name = name}));
	}
	return NULL;
}

/* How the dump was made, as far as its receipt tells. */
static struct lh_error *apply_receipt(struct lh_image *image, const json_t *receipt)
{
	const json_t *left_out = json_object_get(receipt, "left_out_bytes");
	const json_t *mode = json_object_get(receipt, "mode");
	if (json_is_string(mode))
		LH_TRY(get_string(image, receipt, "mode", &image->capture.mode));
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++)
		(void)lh_json_get_u64(left_out, lh_region_kind_name((enum lh_region_kind)kind),
				      &image->capture.left_out_bytes[kind]);
	return NULL;
}

static struct lh_error *apply_capture(struct lh_image *image, const json_t *capture)
{
	uint64_t format = LH_NOTE_FORMAT, pid = 0;
	(void)lh_json_get_u64(capture, "format", &format);
	if (format > LH_NOTE_FORMAT)
		return lh_error_hint(
			lh_error_create(LH_ERROR_UNSUPPORTED, "%s was written by a newer leakhunt", image->path),
			"update leakhunt");
	if (lh_json_get_u64(capture, "pid", &pid) && pid <= INT32_MAX)
		image->pid = (pid_t)pid;
	return apply_receipt(image, json_object_get(capture, "receipt"));
}

static struct lh_error *apply_redaction(struct lh_image *image, const json_t *redaction)
{
	if (!lh_json_get_address(redaction, "key", &image->redaction_key))
		return note_error(image, "its redaction", "it names no key");
	return NULL;
}

/* ---------------------------------------------------------------- a dump */

struct vendor_part {
	const char *what;
	json_type type;
	struct lh_error *(*apply)(struct lh_image *image, const json_t *value);
};

static const struct vendor_part parts[] = {
	[LH_NOTE_CAPTURE] = {"the capture", JSON_OBJECT, apply_capture},
	[LH_NOTE_REGIONS] = {"its regions", JSON_ARRAY, apply_regions},
	[LH_NOTE_MODULES] = {"its modules", JSON_ARRAY, apply_modules},
	[LH_NOTE_GAPS] = {"its gaps", JSON_ARRAY, apply_gaps},
	[LH_NOTE_THREADS] = {"its threads", JSON_ARRAY, apply_threads},
};

static struct lh_error *apply_note(struct lh_image *image, const struct vendor_part *part,
				   const struct lh_vendor_note *note)
{
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	LH_CLEANUP(lh_cleanup_json) json_t *value = lh_json_parse(note->text, note->bytes, &error);
	if (!value)
		return note_error(image, part->what, lh_error_message(error));
	if (json_typeof(value) != part->type)
		return note_error(image, part->what, "it has another shape");
	return part->apply(image, value);
}

struct lh_error *lh_vendor_apply_redaction(struct lh_image *image, const struct lh_core_notes *notes)
{
	static const struct vendor_part redaction = {"its redaction", JSON_OBJECT, apply_redaction};
	const struct lh_vendor_note *note = &notes->vendor[LH_NOTE_REDACTION];
	return note->text ? apply_note(image, &redaction, note) : NULL;
}

struct lh_error *lh_vendor_apply(struct lh_image *image, const struct lh_core_notes *notes)
{
	for (size_t type = LH_NOTE_CAPTURE; type < LH_ARRAY_COUNT(parts); type++) {
		if (notes->vendor[type].text)
			LH_TRY(apply_note(image, &parts[type], &notes->vendor[type]));
	}
	return NULL;
}

/* ---------------------------------------------------------------- an index beside a raw file */

static struct lh_error *loads_of_extents(const struct lh_image *image, const struct lh_annotations *extents,
					 struct lh_loads *ret)
{
	for (size_t i = 0; i < extents->items.count; i++) {
		const struct lh_annotation *item = &extents->items.items[i];
		if (item->file_offset == LH_NO_OFFSET)
			return note_error(image, "its extents", "an entry without a file offset");
		LH_TRY(lh_vec_push(&ret->loads, (struct lh_load){.segment = {.start = item->start,
									     .end = item->end,
									     .file_offset = item->file_offset,
									     .protection = item->protection,
									     .is_context = item->is_context,
									     .is_ended_stack = item->is_ended_stack,
									     .kind = item->kind,
									     .name = item->name,
									     .thread_name = item->thread_name},
								 .claimed_bytes = item->end - item->start}));
	}
	return NULL;
}

static struct lh_error *apply_extents(struct lh_image *image, const json_t *list)
{
	struct lh_annotations extents LH_CLEANUP(lh_annotations_deinit) = {0};
	struct lh_loads loads LH_CLEANUP(lh_loads_deinit) = {0};
	LH_TRY(read_vendor_regions(image, list, &extents));
	LH_TRY(loads_of_extents(image, &extents, &loads));
	return lh_image_add_loads(image, &loads);
}

struct lh_error *lh_raw_index_parse(struct lh_image *image, const char *text, size_t length, bool *ret_is_index)
{
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	LH_CLEANUP(lh_cleanup_json) json_t *index = lh_json_parse(text, length, &error);
	uint64_t format;
	*ret_is_index = index && lh_json_get_u64(index, "leakhunt_raw", &format);
	if (!*ret_is_index)
		return NULL;
	if (format > LH_RAW_INDEX_FORMAT)
		return lh_error_hint(lh_error_create(LH_ERROR_UNSUPPORTED,
						     "the index of %s was written by a newer leakhunt", image->path),
				     "update leakhunt");
	image->has_addresses = true;
	LH_TRY(apply_extents(image, json_object_get(index, "extents")));
	LH_TRY(apply_modules(image, json_object_get(index, "modules")));
	LH_TRY(apply_gaps(image, json_object_get(index, "gaps")));
	LH_TRY(apply_capture(image, json_object_get(index, "capture")));
	return lh_image_order_gaps(image);
}
