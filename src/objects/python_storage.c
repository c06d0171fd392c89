/*
 * python_storage: the arrays of lists, tables of dicts and sets, and bytes of bytearrays of CPython. Input: a live
 * object. Output: the blocks that it alone owns. Keys that the instances of a class share belong to the class.
 *
 * CPython 3.8 to 3.13. listobject.h: {head, size@16, item@24, allocated@32}. dictobject.h: {head, used@16, version@24,
 * keys@32, values@40}. setobject.h: {head, fill@16, used@24, mask@32, table@40, ..., smalltable@72}. bytearrayobject.h:
 * {head, size@16, alloc@24, bytes@32}.
 * Keys of a dict (dict-common.h, pycore_dict.h), up to 3.10: {references, size@8, lookup@16, usable@24, entries@32};
 * from 3.11 on {references, u8 log2_size@8, u8 log2_index_bytes@9, u8 kind@10, u32 version@12, usable@16, entries@24}.
 * Indices follow, and entries of {hash, key, value}, or of {key, value} when all keys are str (3.11).
 * Values of an instance's dict are an array of pointers up to 3.12; in 3.13 {u8 capacity, size, is_embedded, is_valid},
 * pointers, and a byte for each.
 */
#include "python_storage.h"

enum {
	SIZE = 16,
	DICT_USED = 16,
	SET_FILL = 16,
	SET_ENTRY_BYTES = 16,
	SET_SMALL_LAST = 80, /* how far in a set its own small table may begin */
	KEYS_WORDS = 5,
	KEYS_MIN_LOG2 = 3,
	ENTRY_BYTES = 24,
	STR_ENTRY_BYTES = 16,
	KIND_GENERAL = 0,
	KIND_SPLIT = 2,
};

#define COUNT_MAX (UINT64_C(1) << 40)

static bool read_object_fields(const struct lh_python_view *view, uint64_t offset, uint64_t *ret, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!lh_hit_word(view->image, view->hit, view->hit->addr - 8 + offset + 8 * i, &ret[i]))
			return false;
	}
	return true;
}

static bool is_storage(uint64_t addr)
{
	return addr >= LH_PAGE_BYTES && addr % 8 == 0 && addr >> 47 == 0;
}

static size_t find_items(const struct lh_python_view *view, struct lh_python_storage *ret)
{
	uint64_t fields[3]; /* size, items, allocated */
	if (!read_object_fields(view, SIZE, fields, LH_ARRAY_COUNT(fields)) || !is_storage(fields[1]) || !fields[2] ||
	    fields[2] > COUNT_MAX || fields[0] > fields[2])
		return 0;
	*ret = (struct lh_python_storage){"items", fields[1], 8 * fields[2]};
	return 1;
}

static size_t find_set_table(const struct lh_python_view *view, struct lh_python_storage *ret)
{
	uint64_t fields[4]; /* fill, used, mask, table */
	if (!read_object_fields(view, SET_FILL, fields, LH_ARRAY_COUNT(fields)) || !is_storage(fields[3]) ||
	    fields[2] > COUNT_MAX || (fields[2] & (fields[2] + 1)) || fields[1] > fields[0] || fields[0] > fields[2] ||
	    fields[3] - (view->hit->addr - 8) <= SET_SMALL_LAST)
		return 0;
	*ret = (struct lh_python_storage){"table", fields[3], SET_ENTRY_BYTES * (fields[2] + 1)};
	return 1;
}

static size_t find_bytes(const struct lh_python_view *view, struct lh_python_storage *ret)
{
	uint64_t fields[3]; /* size, allocated, bytes */
	if (!read_object_fields(view, SIZE, fields, LH_ARRAY_COUNT(fields)) || !is_storage(fields[2]) || !fields[1] ||
	    fields[1] > COUNT_MAX || fields[0] >= fields[1])
		return 0;
	*ret = (struct lh_python_storage){"bytes", fields[2], fields[1]};
	return 1;
}

/* ---------------------------------------------------------------- dicts */

struct dict_keys {
	bool is_shared;
	bool is_old; /* up to 3.10 */
	uint64_t usable_max;
	uint64_t bytes;
};

static uint64_t usable_fraction(uint64_t size)
{
	return size * 2 / 3;
}

static bool read_old_keys(const uint64_t words[KEYS_WORDS], struct dict_keys *ret)
{
	uint64_t size = words[1], usable = words[3], entries = words[4];
	if (size < 1 << KEYS_MIN_LOG2 || size > COUNT_MAX || size & (size - 1))
		return false;
	uint64_t index_bytes = size <= UINT8_MAX ? 1 : size <= UINT16_MAX ? 2 : size <= UINT32_MAX ? 4 : 8;
	*ret = (struct dict_keys){
		.is_old = true,
		.usable_max = usable_fraction(size),
		.bytes = UINT64_C(8) * KEYS_WORDS + index_bytes * size + ENTRY_BYTES * usable_fraction(size),
	};
	return usable <= ret->usable_max && entries <= ret->usable_max - usable;
}

static bool read_new_keys(const uint64_t words[KEYS_WORDS], struct dict_keys *ret)
{
	enum { HEAD_BYTES = 32, LOG2_MAX = 40 };
	unsigned log2_size = (uint8_t)words[1], log2_index = (uint8_t)(words[1] >> 8), kind = (uint8_t)(words[1] >> 16);
	uint64_t usable = words[2], entries = words[3];
	if (log2_size < KEYS_MIN_LOG2 || log2_size > LOG2_MAX || log2_index < log2_size || log2_index > log2_size + 3 ||
	    kind > KIND_SPLIT)
		return false;
	uint64_t most = usable_fraction(UINT64_C(1) << log2_size);
	*ret = (struct dict_keys){
		.is_shared = kind == KIND_SPLIT,
		.usable_max = most,
		.bytes = HEAD_BYTES + (UINT64_C(1) << log2_index) +
			 most * (kind == KIND_GENERAL ? ENTRY_BYTES : STR_ENTRY_BYTES),
	};
	return usable <= most && entries <= most - usable;
}

/* What has one reference is the dict's own. */
static bool read_dict_keys(const struct lh_python_view *view, uint64_t addr, struct dict_keys *ret)
{
	uint64_t words[KEYS_WORDS];
	if (!is_storage(addr) || lh_image_read(view->image, addr, words, sizeof(words)) != sizeof(words) ||
	    !(read_old_keys(words, ret) || read_new_keys(words, ret)))
		return false;
	ret->is_shared |= words[0] != 1;
	return true;
}

/* Those of 3.13 that lie in the instance are a part of it. */
static bool find_values(const struct lh_python_view *view, uint64_t values, const struct dict_keys *keys,
			struct lh_python_storage *ret)
{
	uint64_t head;
	if (!is_storage(values) || lh_image_read(view->image, values, &head, 8) != 8)
		return false;
	bool has_head = head && head <= UINT32_MAX && !keys->is_old;
	if (has_head && (head >> 16 & UINT8_MAX))
		return false;
	uint64_t capacity = head & UINT8_MAX;
	*ret = (struct lh_python_storage){"values", values, has_head ? 8 + 9 * capacity : 8 * keys->usable_max};
	return true;
}

static size_t find_tables(const struct lh_python_view *view, struct lh_python_storage ret[LH_PYTHON_STORAGES_MAX])
{
	uint64_t fields[4]; /* used, version, keys, values */
	struct dict_keys keys;
	size_t count = 0;
	if (!read_object_fields(view, DICT_USED, fields, LH_ARRAY_COUNT(fields)) ||
	    !read_dict_keys(view, fields[2], &keys) || fields[0] > keys.usable_max)
		return 0;
	if (!keys.is_shared)
		ret[count++] = (struct lh_python_storage){"keys", fields[2], keys.bytes};
	if (fields[3] && find_values(view, fields[3], &keys, &ret[count]))
		count++;
	return count;
}

size_t lh_python_find_storage(const struct lh_python_view *view, const struct lh_python_type *type,
			      struct lh_python_storage ret[LH_PYTHON_STORAGES_MAX])
{
	if (type->is_list)
		return find_items(view, ret);
	if (type->is_dict)
		return find_tables(view, ret);
	if (type->is_set)
		return find_set_table(view, ret);
	return type->is_bytearray ? find_bytes(view, ret) : 0;
}
