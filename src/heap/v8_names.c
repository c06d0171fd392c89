/*
 * v8_names: what a program says of its V8 for debuggers: numbers of instance types, tags of strings, offsets of fields.
 * Input: exported variables whose names begin with v8dbg_ (V8's tools/gen-postmortem-metadata.py). Output: their
 * values.
 */
#include "v8.h"

#include <stdlib.h>
#include <string.h>

struct names_reader {
	struct lh_heap_tour *tour;
	const struct lh_module_file *file;
	struct lh_v8_names *names;
	size_t found;
	bool is_out_of_memory;
};

void lh_v8_names_deinit(struct lh_v8_names *names)
{
	for (size_t i = 0; i < LH_V8_TYPES; i++)
		free(names->types[i]);
}

/* "JSArray" of "v8dbg_type_JSArray__JS_ARRAY_TYPE". */
static void take_type(struct names_reader *reader, const char *text, uint32_t value)
{
	const char *end = strstr(text, "__");
	if (value >= LH_V8_TYPES || !end || reader->names->types[value])
		return;
	reader->names->types[value] = strndup(text, (size_t)(end - text));
	reader->is_out_of_memory |= !reader->names->types[value];
	if (strcmp(end, "__MAP_TYPE") == 0)
		reader->names->map_type = value;
	reader->names->has_free_space |= strcmp(end, "__FREE_SPACE_TYPE") == 0;
}

/* Fields have their type in the name, which differs between versions: a name is a beginning. */
static void take_number(struct lh_v8_names *names, const char *name, int value)
{
	const struct {
		const char *name;
		int *value;
	} fields[] = {
		{"class_Map__constructor_or_back_pointer__", &names->constructor},
		{"class_Map__constructor_or_backpointer__", &names->constructor}, /* V8 8 */
		{"class_Map__instance_size_in_words__", &names->instance_size},
		{"class_Map__instance_type__", &names->instance_type},
		{"class_JSFunction__shared__", &names->shared},
		{"class_SharedFunctionInfo__name_or_scope_info__", &names->shared_name},
		{"class_JSArrayBuffer__byte_length__", &names->buffer_bytes},
		{"class_JSArrayBuffer__backing_store__", &names->buffer_store},
	};
	const struct {
		const char *name;
		uint32_t *value;
	} tags[] = {
		{"FirstNonstringType", &names->first_nonstring},
		{"StringRepresentationMask", &names->representation_mask},
		{"StringEncodingMask", &names->encoding_mask},
		{"OneByteStringTag", &names->one_byte},
		{"SeqStringTag", &names->sequential},
		{"ConsStringTag", &names->cons},
		{"SlicedStringTag", &names->sliced},
		{"ThinStringTag", &names->thin},
		{"ExternalStringTag", &names->external},
		{"FirstContextType", &names->first_context},
		{"LastContextType", &names->last_context},
	};
	for (size_t i = 0; i < LH_ARRAY_COUNT(fields); i++) {
		if (strncmp(name, fields[i].name, strlen(fields[i].name)) == 0 && value > 0 && value < 256)
			*fields[i].value = value;
	}
	for (size_t i = 0; i < LH_ARRAY_COUNT(tags); i++) {
		if (strcmp(name, tags[i].name) == 0)
			*tags[i].value = (uint32_t)value;
	}
}

static bool is_error(struct lh_error *error)
{
	lh_error_destroy(error);
	return error != NULL;
}

static void take_v8_name(void *context, const char *name, uint64_t addr)
{
	static const char prefix[] = "v8dbg_", type[] = "type_";
	struct names_reader *reader = context;
	int value;
	if (!lh_module_file_read(reader->file, addr, &value, sizeof(value)))
		return;
	name += strlen(prefix);
	reader->found++;
	if (addr % sizeof(value) == 0)
		reader->is_out_of_memory |= is_error(lh_heap_note_structure(reader->tour, addr, sizeof(value)));
	if (strncmp(name, type, strlen(type)) == 0)
		take_type(reader, name + strlen(type), (uint32_t)value);
	else
		take_number(reader->names, name, value);
}

static bool may_have_v8(const struct lh_module *module)
{
	const char *slash = strrchr(module->path, '/'), *name = slash ? slash + 1 : module->path;
	return strncmp(name, "libnode.so", strlen("libnode.so")) == 0 || !strstr(name, ".so");
}

static bool has_all_numbers(const struct lh_v8_names *names)
{
	return names->map_type && names->first_nonstring && names->representation_mask && names->encoding_mask &&
	       names->instance_size > 0 && names->instance_type > 0 && names->constructor > 0;
}

struct lh_error *lh_v8_names_read(struct lh_heap_tour *tour, struct lh_v8_names *names, bool *ret)
{
	const struct lh_image *image = tour->image;
	const struct lh_module_list *list = lh_image_modules(image);
	struct names_reader reader = {.tour = tour, .names = names};
	names->shared = names->shared_name = names->buffer_bytes = names->buffer_store = LH_V8_NO_FIELD;
	for (size_t i = 0; i < list->modules.count && !reader.found; i++) {
		LH_CLEANUP(lh_cleanup_module_file) struct lh_module_file *file = NULL;
		if (!may_have_v8(&list->modules.items[i]))
			continue;
		LH_TRY(lh_module_file_open(image, &list->modules.items[i], &file));
		reader.file = file;
		if (file)
			lh_module_file_visit_names(file, "v8dbg_", take_v8_name, &reader);
	}
	*ret = has_all_numbers(names);
	return reader.is_out_of_memory ? lh_error_no_memory() : NULL;
}
