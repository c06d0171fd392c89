/*
 * record: samples as JSON lines, both ways. One line is one sample, so that a record that was cut off
 * loses its last line only. Reading is of hostile text: what is not understood is skipped and counted.
 */
#include "leakhunt/json.h"
#include "leakhunt/select.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_FORMAT = 1 };

static const char FORMAT_KEY[] = "leakhunt_record";

/* The fields of struct lh_usage; one that is 0 is left out. */
static const struct usage_field {
	const char *key;
	size_t offset;
} usage_fields[] = {
	{"rss_bytes", offsetof(struct lh_usage, rss_bytes)},
	{"pss_bytes", offsetof(struct lh_usage, pss_bytes)},
	{"shared_clean_bytes", offsetof(struct lh_usage, shared_clean_bytes)},
	{"shared_dirty_bytes", offsetof(struct lh_usage, shared_dirty_bytes)},
	{"private_clean_bytes", offsetof(struct lh_usage, private_clean_bytes)},
	{"private_dirty_bytes", offsetof(struct lh_usage, private_dirty_bytes)},
	{"referenced_bytes", offsetof(struct lh_usage, referenced_bytes)},
	{"anonymous_bytes", offsetof(struct lh_usage, anonymous_bytes)},
	{"ksm_bytes", offsetof(struct lh_usage, ksm_bytes)},
	{"lazy_free_bytes", offsetof(struct lh_usage, lazy_free_bytes)},
	{"anon_huge_bytes", offsetof(struct lh_usage, anon_huge_bytes)},
	{"shmem_huge_bytes", offsetof(struct lh_usage, shmem_huge_bytes)},
	{"file_huge_bytes", offsetof(struct lh_usage, file_huge_bytes)},
	{"shared_hugetlb_bytes", offsetof(struct lh_usage, shared_hugetlb_bytes)},
	{"private_hugetlb_bytes", offsetof(struct lh_usage, private_hugetlb_bytes)},
	{"swap_bytes", offsetof(struct lh_usage, swap_bytes)},
	{"swap_pss_bytes", offsetof(struct lh_usage, swap_pss_bytes)},
	{"locked_bytes", offsetof(struct lh_usage, locked_bytes)},
};

static const struct flag_field {
	const char *key;
	size_t offset;
} flag_fields[] = {
	{"deleted", offsetof(struct lh_region, is_deleted)},
	{"hugetlb", offsetof(struct lh_region, is_hugetlb)},
	{"dontdump", offsetof(struct lh_region, is_dontdump)},
	{"io", offsetof(struct lh_region, is_io)},
};

static uint64_t *usage_at(struct lh_usage *usage, size_t offset)
{
	return (uint64_t *)(void *)((char *)usage + offset);
}

static bool *flag_at(struct lh_region *region, size_t offset)
{
	return (bool *)(void *)((char *)region + offset);
}

/* ---------------------------------------------------------------- writing */

struct lh_error *lh_record_encode_header(pid_t pid, const char *command, struct lh_buffer *ret)
{
	json_t *header = json_pack("{s:i, s:i, s:o*}", FORMAT_KEY, RECORD_FORMAT, "pid", (int)pid, "command",
				   lh_json_string(command));
	return lh_json_append(header, true, ret);
}

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
	for (size_t i = 0; i < LH_ARRAY_COUNT(flag_fields); i++) {
		if (*flag_at(&region, flag_fields[i].offset))
			status |= json_object_set_new(object, flag_fields[i].key, json_true());
	}
	for (size_t i = 0; i < LH_ARRAY_COUNT(usage_fields); i++) {
		uint64_t bytes = *usage_at(&region.usage, usage_fields[i].offset);
		if (bytes)
			status |= json_object_set_new(object, usage_fields[i].key, lh_json_u64(bytes));
	}
	return status;
}

/* A new reference, or NULL. */
static json_t *encode_region(const struct lh_region *region)
{
	LH_CLEANUP(lh_cleanup_json) json_t *object = json_object();
	int status = json_object_set_new(object, "start", lh_json_address(region->start)) |
		     json_object_set_new(object, "end", lh_json_address(region->end)) |
		     json_object_set_new(object, "perms", encode_permissions(region)) |
		     json_object_set_new(object, "kind", json_string(lh_region_kind_name(region->kind))) |
		     encode_file(region, object) | encode_names(region, object) | encode_fields(*region, object);
	return status ? NULL : json_incref(object);
}

struct lh_error *lh_record_encode_sample(const struct lh_sample *sample, struct lh_buffer *ret)
{
	LH_CLEANUP(lh_cleanup_json) json_t *regions = json_array();
	for (size_t i = 0; i < sample->list.regions.count; i++) {
		if (json_array_append_new(regions, encode_region(&sample->list.regions.items[i])))
			return lh_error_no_memory();
	}
	return lh_json_append(json_pack("{s:o, s:O}", "time_ns", lh_json_u64(sample->time_ns), "regions", regions),
			      true, ret);
}

/* ---------------------------------------------------------------- reading */

/* "rw-p": each place holds its letter or '-'. */
static bool decode_permissions(const char *text, struct lh_region *ret)
{
	if (!text || strlen(text) != 4 || !strchr("r-", text[0]) || !strchr("w-", text[1]) || !strchr("x-", text[2]) ||
	    !strchr("ps", text[3]))
		return false;
	ret->protection = (uint8_t)((text[0] == 'r' ? LH_PROT_READ : 0) | (text[1] == 'w' ? LH_PROT_WRITE : 0) |
				    (text[2] == 'x' ? LH_PROT_EXEC : 0));
	ret->is_shared = text[3] == 's';
	return true;
}

/* Missing is `*ret` as it was; false when there is something else than a number up to `max`. */
static bool decode_optional(const json_t *object, const char *key, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	if (!json_object_get(object, key))
		return true;
	if (!lh_json_get_u64(object, key, &value) || value > max)
		return false;
	*ret = value;
	return true;
}

static bool decode_file(const json_t *object, struct lh_region *ret)
{
	uint64_t major = 0, minor = 0;
	if (!json_object_get(object, "inode"))
		return true;
	bool is_good = lh_json_get_address(object, "inode", &ret->inode) &&
		       lh_json_get_address(object, "offset", &ret->file_offset) &&
		       decode_optional(object, "device_major", UINT32_MAX, &major) &&
		       decode_optional(object, "device_minor", UINT32_MAX, &minor);
	ret->device_major = (uint32_t)major;
	ret->device_minor = (uint32_t)minor;
	return is_good;
}

/* A name holds no NUL byte: the pool's copies end at one. Missing is "". */
static struct lh_error *decode_name(const json_t *object, const char *key, struct lh_strings_pool *pool,
				    const char **ret)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_json_get_text(object, key, &text);
	LH_TRY(lh_buffer_status(&text));
	return lh_strings_pool_add(pool, text.data ? text.data : "", text.length, ret);
}

static bool decode_fields(const json_t *object, struct lh_region *ret)
{
	uint64_t tid = 0;
	bool is_good = decode_optional(object, "tid", INT32_MAX, &tid);
	ret->tid = (pid_t)tid;
	for (size_t i = 0; i < LH_ARRAY_COUNT(flag_fields); i++)
		lh_json_get_bool(object, flag_fields[i].key, flag_at(ret, flag_fields[i].offset));
	for (size_t i = 0; i < LH_ARRAY_COUNT(usage_fields); i++)
		is_good &= decode_optional(object, usage_fields[i].key, INT64_MAX,
					   usage_at(&ret->usage, usage_fields[i].offset));
	return is_good;
}

static bool decode_region(const json_t *object, struct lh_region *ret)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	return lh_json_get_address(object, "start", &ret->start) && lh_json_get_address(object, "end", &ret->end) &&
	       ret->start < ret->end && decode_permissions(json_string_value(json_object_get(object, "perms")), ret) &&
	       kind && lh_region_kind_parse(kind, &ret->kind) && decode_file(object, ret) && decode_fields(object, ret);
}

static struct lh_error *decode_regions(const json_t *regions, struct lh_region_list *list)
{
	uint64_t end = 0;
	for (size_t i = 0; i < json_array_size(regions); i++) {
		const json_t *object = json_array_get(regions, i);
		struct lh_region region = {0};
		if (!decode_region(object, &region)) {
			list->skipped_lines++;
			continue;
		}
		if (region.start < end) {
			list->dropped_regions++;
			continue;
		}
		end = region.end;
		LH_TRY(decode_name(object, "name", &list->strings, &region.name));
		LH_TRY(decode_name(object, "thread_name", &list->strings, &region.thread_name));
		LH_TRY(lh_vec_push(&list->regions, region));
	}
	return NULL;
}

/* Sets *ret_is_sample to false, and appends nothing, when `line` is no sample. */
static struct lh_error *decode_sample(const json_t *line, pid_t pid, struct lh_samples *ret, bool *ret_is_sample)
{
	struct lh_sample sample LH_CLEANUP(lh_sample_deinit) = {.pid = pid, .list = {.has_usage = true}};
	const json_t *regions = json_object_get(line, "regions");
	*ret_is_sample = false;
	if (!lh_json_get_u64(line, "time_ns", &sample.time_ns) || !json_is_array(regions))
		return NULL;
	LH_TRY(decode_regions(regions, &sample.list));
	if (!sample.list.regions.count)
		return NULL;
	LH_TRY(lh_vec_push(&ret->items, sample));
	sample = (struct lh_sample){0};
	*ret_is_sample = true;
	return NULL;
}

static struct lh_error *decode_header(const json_t *line, const char *what, struct lh_samples *samples, pid_t *ret_pid)
{
	uint64_t format = 0, pid = 0;
	if (!lh_json_get_u64(line, FORMAT_KEY, &format) || !decode_optional(line, "pid", INT32_MAX, &pid))
		return lh_error_create(LH_ERROR_FORMAT, "%s does not begin as a record of samples does", what);
	if (format != RECORD_FORMAT)
		return lh_error_hint(lh_error_create(LH_ERROR_FORMAT, "%s is a record of format %llu, not %d", what,
						     (unsigned long long)format, RECORD_FORMAT),
				     "read it with the leakhunt that wrote it, or a newer one");
	struct lh_buffer command LH_CLEANUP(lh_buffer_deinit) = {0};
	if (!samples->command && lh_json_get_text(line, "command", &command)) {
		lh_buffer_append(&command, "", 0);
		LH_TRY(lh_buffer_status(&command));
		samples->command = command.data;
		command = (struct lh_buffer){0};
	}
	*ret_pid = (pid_t)pid;
	return NULL;
}

/* Parses the line at *at and moves past it. NULL when it is not one JSON object. */
static json_t *next_line(const char **at, const char *end)
{
	const char *newline = memchr(*at, '\n', (size_t)(end - *at));
	size_t length = (size_t)((newline ? newline : end) - *at);
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	json_t *line = lh_json_parse(*at, length, &error);
	*at = newline ? newline + 1 : end;
	if (json_is_object(line))
		return line;
	json_decref(line);
	return NULL;
}

static struct lh_error *decode_line(const json_t *line, const char *what, pid_t *pid, struct lh_samples *ret)
{
	bool is_sample = false;
	if (line && json_object_get(line, FORMAT_KEY)) /* records one after the other */
		return decode_header(line, what, ret, pid);
	if (line)
		LH_TRY(decode_sample(line, *pid, ret, &is_sample));
	if (!is_sample)
		ret->skipped_lines++;
	return NULL;
}

bool lh_record_detect(const char *text, size_t length)
{
	const char *newline = memchr(text, '\n', length);
	LH_CLEANUP(lh_cleanup_error) struct lh_error *error = NULL;
	LH_CLEANUP(lh_cleanup_json)
	json_t *line = lh_json_parse(text, newline ? (size_t)(newline - text) : length, &error);
	return json_object_get(line, FORMAT_KEY) != NULL;
}

struct lh_error *lh_record_decode(const char *text, size_t length, const char *what, struct lh_samples *ret)
{
	const char *at = text;
	const char *end = text + length;
	pid_t pid = 0;
	LH_CLEANUP(lh_cleanup_json) json_t *header = next_line(&at, end);
	LH_TRY(decode_header(header, what, ret, &pid));
	while (at < end) {
		LH_CLEANUP(lh_cleanup_json) json_t *line = next_line(&at, end);
		LH_TRY(decode_line(line, what, &pid, ret));
	}
	return NULL;
}
