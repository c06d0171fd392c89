/*
 * record_region: one region as a JSON object, both ways. What is 0, false or empty is left out. Reading
 * is of hostile text: an object that is no region is told from one that is.
 */
#include "record.h"

#include <string.h>

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
	struct lh_usage from = *before, to = *now;
	int status = json_object_set_new(object, "start", lh_json_address(start));
	for (size_t i = 0; i < LH_ARRAY_COUNT(usage_fields); i++) {
		uint64_t bytes = *usage_at(&to, usage_fields[i].offset);
		if (bytes != *usage_at(&from, usage_fields[i].offset))
			status |= json_object_set_new(object, usage_fields[i].key, lh_json_u64(bytes));
	}
	return status ? NULL : json_incref(object);
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

bool lh_record_decode_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret)
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
		       lh_record_decode_number(object, "device_major", UINT32_MAX, &major) &&
		       lh_record_decode_number(object, "device_minor", UINT32_MAX, &minor);
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

bool lh_record_figures_decode(const json_t *object, struct lh_usage *ret)
{
	bool is_good = true;
	for (size_t i = 0; i < LH_ARRAY_COUNT(usage_fields); i++)
		is_good &= lh_record_decode_number(object, usage_fields[i].key, INT64_MAX,
						   usage_at(ret, usage_fields[i].offset));
	return is_good;
}

static bool decode_fields(const json_t *object, struct lh_region *ret)
{
	uint64_t tid = 0;
	bool is_good = lh_record_decode_number(object, "tid", INT32_MAX, &tid);
	ret->tid = (pid_t)tid;
	for (size_t i = 0; i < LH_ARRAY_COUNT(flag_fields); i++)
		lh_json_get_bool(object, flag_fields[i].key, flag_at(ret, flag_fields[i].offset));
	return is_good && lh_record_figures_decode(object, &ret->usage);
}

static bool decode_plain(const json_t *object, struct lh_region *ret)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	return lh_json_get_address(object, "start", &ret->start) && lh_json_get_address(object, "end", &ret->end) &&
	       ret->start < ret->end && decode_permissions(json_string_value(json_object_get(object, "perms")), ret) &&
	       kind && lh_region_kind_parse(kind, &ret->kind) && decode_file(object, ret) && decode_fields(object, ret);
}

struct lh_error *lh_record_region_decode(const json_t *object, struct lh_strings_pool *pool, struct lh_region *ret,
					 bool *ret_is_region)
{
	struct lh_region region = {0};
	*ret_is_region = decode_plain(object, &region);
	if (!*ret_is_region)
		return NULL;
	LH_TRY(decode_name(object, "name", pool, &region.name));
	LH_TRY(decode_name(object, "thread_name", pool, &region.thread_name));
	*ret = region;
	return NULL;
}
