/*
 * record_region: converts a region to a JSON object and back. Zeros, false and empty strings are omitted. Input of the
 * way back is hostile text: invalid objects are detected.
 */
#include "record.h"

#include <string.h>

enum how { ADDRESS, NUMBER_32, TID, FIGURE, FLAG, PERMISSIONS, KIND, NAME, THREAD_NAME };

/* Indexes of some fields in the table. */
enum { START, END, PERMS, KIND_NAME, INODE, OFFSET };

/* In the order of writing. Figures and flags that are 0 are left out. */
static const struct field {
	const char *key;
	enum how how;
	size_t offset; /* in struct lh_region */
} fields[] = {
	[START] = {"start", ADDRESS, offsetof(struct lh_region, start)},
	[END] = {"end", ADDRESS, offsetof(struct lh_region, end)},
	[PERMS] = {"perms", PERMISSIONS, 0},
	[KIND_NAME] = {"kind", KIND, 0},
	[INODE] = {"inode", ADDRESS, offsetof(struct lh_region, inode)},
	[OFFSET] = {"offset", ADDRESS, offsetof(struct lh_region, file_offset)},
	{"device_major", NUMBER_32, offsetof(struct lh_region, device_major)},
	{"device_minor", NUMBER_32, offsetof(struct lh_region, device_minor)},
	{"name", NAME, 0},
	{"tid", TID, 0},
	{"thread_name", THREAD_NAME, 0},
	{"deleted", FLAG, offsetof(struct lh_region, is_deleted)},
	{"ended_stack", FLAG, offsetof(struct lh_region, is_ended_stack)},
	{"hugetlb", FLAG, offsetof(struct lh_region, is_hugetlb)},
	{"dontdump", FLAG, offsetof(struct lh_region, is_dontdump)},
	{"io", FLAG, offsetof(struct lh_region, is_io)},
	{"rss_bytes", FIGURE, offsetof(struct lh_region, usage.rss_bytes)},
	{"pss_bytes", FIGURE, offsetof(struct lh_region, usage.pss_bytes)},
	{"shared_clean_bytes", FIGURE, offsetof(struct lh_region, usage.shared_clean_bytes)},
	{"shared_dirty_bytes", FIGURE, offsetof(struct lh_region, usage.shared_dirty_bytes)},
	{"private_clean_bytes", FIGURE, offsetof(struct lh_region, usage.private_clean_bytes)},
	{"private_dirty_bytes", FIGURE, offsetof(struct lh_region, usage.private_dirty_bytes)},
	{"referenced_bytes", FIGURE, offsetof(struct lh_region, usage.referenced_bytes)},
	{"anonymous_bytes", FIGURE, offsetof(struct lh_region, usage.anonymous_bytes)},
	{"ksm_bytes", FIGURE, offsetof(struct lh_region, usage.ksm_bytes)},
	{"lazy_free_bytes", FIGURE, offsetof(struct lh_region, usage.lazy_free_bytes)},
	{"anon_huge_bytes", FIGURE, offsetof(struct lh_region, usage.anon_huge_bytes)},
	{"shmem_huge_bytes", FIGURE, offsetof(struct lh_region, usage.shmem_huge_bytes)},
	{"file_huge_bytes", FIGURE, offsetof(struct lh_region, usage.file_huge_bytes)},
	{"shared_hugetlb_bytes", FIGURE, offsetof(struct lh_region, usage.shared_hugetlb_bytes)},
	{"private_hugetlb_bytes", FIGURE, offsetof(struct lh_region, usage.private_hugetlb_bytes)},
	{"swap_bytes", FIGURE, offsetof(struct lh_region, usage.swap_bytes)},
	{"swap_pss_bytes", FIGURE, offsetof(struct lh_region, usage.swap_pss_bytes)},
	{"locked_bytes", FIGURE, offsetof(struct lh_region, usage.locked_bytes)},
};

static uint64_t *number_at(struct lh_region *region, const struct field *field)
{
	return (uint64_t *)(void *)((char *)region + field->offset);
}

static bool *flag_at(struct lh_region *region, const struct field *field)
{
	return (bool *)(void *)((char *)region + field->offset);
}

/* ---------------------------------------------------------------- writing */

static json_t *encode_permissions(const struct lh_region *region)
{
	char text[5] = "---p";
	if (region->protection & LH_PROT_READ)
		text[0] = 'r';
	if (region->protection & LH_PROT_WRITE)
		text[1] = 'w';
	if (region->protection & LH_PROT_EXEC)
		text[2] = 'x';
	if (region->is_shared)
		text[3] = 's';
	return json_string(text);
}

static int encode_file(const struct lh_region *region, json_t *object)
{
	if (!region->inode && !region->file_offset && !region->device_major && !region->device_minor)
		return 0;
	return json_object_set_new(object, "inode", lh_json_address(region->inode)) |
	       json_object_set_new(object, "offset", lh_json_address(region->file_offset)) |
	       json_object_set_new(object, "device_major", lh_json_u64(region->device_major)) |
	       json_object_set_new(object, "device_minor", lh_json_u64(region->device_minor));
}

static int encode_names(const struct lh_region *region, json_t *object)
{
	int status = 0;
	if (region->name[0])
		status |= json_object_set_new(object, "name", lh_json_string(region->name));
	if (region->tid)
		status |= json_object_set_new(object, "tid", json_integer(region->tid));
	if (region->thread_name[0])
		status |= json_object_set_new(object, "thread_name", lh_json_string(region->thread_name));
	return status;
}

static int encode_fields(struct lh_region region, json_t *object)
{
	int status = 0;
	for (size_t i = 0; i < LH_ARRAY_COUNT(fields); i++) {
		if (fields[i].how == FLAG && *flag_at(&region, &fields[i]))
			status |= json_object_set_new(object, fields[i].key, json_true());
		if (fields[i].how == FIGURE && *number_at(&region, &fields[i]))
			status |= json_object_set_new(object, fields[i].key,
						      lh_json_u64(*number_at(&region, &fields[i])));
	}
	return status;
}

json_t *lh_record_region_encode(const struct lh_region *region)
{
	LH_CLEANUP(lh_cleanup_json) json_t *object = json_object();
	int status = json_object_set_new(object, "start", lh_json_address(region->start)) |
		     json_object_set_new(object, "end", lh_json_address(region->end)) |
		     json_object_set_new(object, "perms", encode_permissions(region)) |
		     json_object_set_new(object, "kind", json_string(lh_region_kind_name(region->kind))) |
		     encode_file(region, object) | encode_names(region, object) | encode_fields(*region, object);
	return status ? NULL : json_incref(object);
}

json_t *lh_record_figures_encode(uint64_t start, const struct lh_usage *before, const struct lh_usage *now)
{
	LH_CLEANUP(lh_cleanup_json) json_t *object = json_object();
	struct lh_region from = {.usage = *before}, to = {.usage = *now};
	int status = json_object_set_new(object, "start", lh_json_address(start));
	for (size_t i = 0; i < LH_ARRAY_COUNT(fields); i++) {
		if (fields[i].how == FIGURE && *number_at(&to, &fields[i]) != *number_at(&from, &fields[i]))
			status |= json_object_set_new(object, fields[i].key, lh_json_u64(*number_at(&to, &fields[i])));
	}
	return status ? NULL : json_incref(object);
}

/* ---------------------------------------------------------------- reading */

static bool is_either_letter(char letter, char first, char second)
{
	return letter == first || letter == second;
}

/* "rw-p": each place holds its letter or '-'. */
static bool decode_permissions(struct lh_json_span text, struct lh_region *ret)
{
	const char *at = text.text;
	if (text.length != 4 || !is_either_letter(at[0], 'r', '-') || !is_either_letter(at[1], 'w', '-') ||
	    !is_either_letter(at[2], 'x', '-') || !is_either_letter(at[3], 'p', 's'))
		return false;
	ret->protection = (uint8_t)((at[0] == 'r' ? LH_PROT_READ : 0) | (at[1] == 'w' ? LH_PROT_WRITE : 0) |
				    (at[2] == 'x' ? LH_PROT_EXEC : 0));
	ret->is_shared = at[3] == 's';
	return true;
}

static bool decode_kind(struct lh_json_span text, enum lh_region_kind *ret)
{
	char word[32];
	if (text.length >= sizeof(word))
		return false;
	memcpy(word, text.text, text.length);
	word[text.length] = '\0';
	return lh_region_kind_parse(word, ret);
}

static bool take_limited(struct lh_json_pull *pull, uint64_t max, uint64_t *ret)
{
	return lh_json_pull_u64(pull, ret) && *ret <= max;
}

static bool take_region_field(struct lh_json_pull *pull, const struct field *field, struct lh_record_entry *entry)
{
	struct lh_region *region = &entry->region;
	struct lh_json_span text;
	uint64_t number = 0;
	bool is_good = true;
	switch (field->how) {
	case ADDRESS:
		return lh_json_pull_address(pull, number_at(region, field));
	case FIGURE:
		return lh_json_pull_u64(pull, number_at(region, field));
	case NUMBER_32:
		is_good = take_limited(pull, UINT32_MAX, &number);
		*(uint32_t *)(void *)((char *)region + field->offset) = (uint32_t)number;
		return is_good;
	case TID:
		is_good = take_limited(pull, INT32_MAX, &number);
		region->tid = (pid_t)number;
		return is_good;
	case FLAG:
		lh_json_pull_bool(pull, flag_at(region, field));
		return true;
	case PERMISSIONS:
		return lh_json_pull_string(pull, &text) && decode_permissions(text, region);
	case KIND:
		return lh_json_pull_string(pull, &text) && decode_kind(text, &region->kind);
	case NAME:
		return lh_json_pull_string(pull, &entry->name);
	case THREAD_NAME:
		return lh_json_pull_string(pull, &entry->thread_name);
	}
	return false;
}

/*
 * The field's index, or the number of fields. Searches from the previous field's place on: usually it is the next one.
 */
static size_t find_field(struct lh_json_span key, size_t from)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(fields); i++) {
		size_t at = (from + i) % LH_ARRAY_COUNT(fields);
		if (lh_json_span_is(key, fields[at].key))
			return at;
	}
	return LH_ARRAY_COUNT(fields);
}

static uint64_t field_bit(size_t field)
{
	return UINT64_C(1) << field;
}

static bool has_field(const struct lh_record_entry *entry, size_t field)
{
	return (entry->fields & field_bit(field)) != 0;
}

static void take_region_member(struct lh_json_pull *pull, struct lh_json_span key, size_t *field,
			       struct lh_record_entry *ret)
{
	size_t found = find_field(key, *field);
	if (found == LH_ARRAY_COUNT(fields)) {
		lh_json_pull_skip(pull);
		return;
	}
	ret->is_bad |= !take_region_field(pull, &fields[found], ret) || has_field(ret, found);
	ret->fields |= field_bit(found);
	*field = found;
}

void lh_record_entry_take(struct lh_json_pull *pull, struct lh_record_entry *ret)
{
	struct lh_json_span key;
	size_t field = 0;
	bool is_object = lh_json_pull_object(pull);
	*ret = (struct lh_record_entry){.is_bad = !is_object};
	for (bool is_first = true; is_object && lh_json_pull_member(pull, &is_first, &key);)
		take_region_member(pull, key, &field, ret);
}

bool lh_record_entry_is_region(const struct lh_record_entry *entry)
{
	return has_field(entry, END);
}

bool lh_record_entry_start(const struct lh_record_entry *entry, uint64_t *ret)
{
	*ret = entry->region.start;
	return !entry->is_bad && has_field(entry, START);
}

bool lh_record_figures_decode(const struct lh_record_entry *entry, struct lh_usage *ret)
{
	struct lh_region from = entry->region, to = {.usage = *ret};
	for (size_t i = 0; i < LH_ARRAY_COUNT(fields) && !entry->is_bad; i++) {
		if (fields[i].how == FIGURE && has_field(entry, i))
			*number_at(&to, &fields[i]) = *number_at(&from, &fields[i]);
	}
	*ret = to.usage;
	return !entry->is_bad;
}

/* A name contains no NUL byte: the pool's copies would end there. Missing means "". */
static struct lh_error *decode_name(struct lh_json_span span, struct lh_strings_pool *pool, const char **ret,
				    bool *ret_is_good)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	*ret_is_good &= !span.length || lh_json_span_text(span, &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_strings_pool_add(pool, text.data ? text.data : "", text.length, ret);
}

struct lh_error *lh_record_region_decode(const struct lh_record_entry *entry, struct lh_strings_pool *pool,
					 struct lh_region *ret, bool *ret_is_region)
{
	struct lh_region region = entry->region;
	bool is_good = !entry->is_bad && has_field(entry, START) && has_field(entry, END) &&
		       region.start < region.end && has_field(entry, PERMS) && has_field(entry, KIND_NAME) &&
		       (!has_field(entry, INODE) || has_field(entry, OFFSET));
	*ret_is_region = false;
	if (!is_good)
		return NULL;
	LH_TRY(decode_name(entry->name, pool, &region.name, &is_good));
	LH_TRY(decode_name(entry->thread_name, pool, &region.thread_name, &is_good));
	*ret_is_region = is_good;
	if (is_good)
		*ret = region;
	return NULL;
}
