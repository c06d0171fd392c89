/*
 * python_object: objects of CPython by their head. Input: a word that points to a type, and what is around
 * it. Output: whether it is an object that lives, and its bytes.
 *
 * CPython 3.8 to 3.13, object.h: {references, type}, of variable-sized ones {size@16}; longintrepr.h: from 3.12
 * on size@16 of int is digits << 3 | sign; unicodeobject.h: str is {length@16, hash, state@32: interned:2 kind:3
 * compact:1 ascii:1}, and when it is compact its characters, one more than it has, follow in the object itself.
 */
#include "python_object.h"

enum {
	SIZE = 16,
	STR_LENGTH = 16,
	STR_STATE = 32,
	TAG_BITS = 3,
	STR_BYTES = 64, /* of a str that is not compact, from 3.12 on; 80 before that */
	STR_HEAD_BYTES_BEFORE = 48,
	STR_HEAD_BYTES = 40,
	GC_HEAD_BYTES = 16,
};

#define REFERENCES_MAX (UINT64_C(1) << 32) /* freed blocks have a pointer or 0 there */

static bool read_field(const struct lh_python_view *view, uint64_t offset, uint64_t *ret)
{
	return lh_hit_word(view->image, view->hit, view->hit->addr - 8 + offset, ret);
}

/* A program that is not position-independent and its heap lie below REFERENCES_MAX. */
static bool is_mapped(const struct lh_python_view *view, uint64_t word)
{
	const char *name;
	return lh_image_find(view->image, word) || lh_symbols_module(view->symbols, word, &name);
}

/* Objects lie at multiples of 16 (obmalloc.c, 3.8 and later). */
bool lh_python_is_object(const struct lh_python_view *view)
{
	uint64_t references, before;
	if (view->hit->addr % 16 != 8 || !read_field(view, 0, &references) || !references ||
	    references >= REFERENCES_MAX || is_mapped(view, references))
		return false;
	/* {references, &PyTuple_Type, 1, type}: the only item of a tuple, whose number of items is no references. */
	return !lh_hit_word(view->image, view->hit, view->hit->addr - 16, &before) ||
	       lh_hit_set_find(view->types, before) == SIZE_MAX;
}

bool lh_python_has_tagged_ints(const struct lh_python_type *str)
{
	return str->basic_bytes == STR_BYTES;
}

/* Items of a variable-sized object: its size, whose sign is that of a number (int, before 3.12). */
static uint64_t item_count(const struct lh_python_view *view, const struct lh_python_type *type)
{
	uint64_t size;
	if (!type->item_bytes || !read_field(view, SIZE, &size))
		return 0;
	if (type->is_int && view->has_tagged_ints)
		return size >> TAG_BITS;
	return (int64_t)size < 0 ? -size : size;
}

/* Bytes of a compact str; 0 when it is not, and has its characters elsewhere. */
static uint64_t compact_bytes(const struct lh_python_view *view, const struct lh_python_type *type)
{
	uint64_t length, state, bytes;
	if (!read_field(view, STR_LENGTH, &length) || !read_field(view, STR_STATE, &state))
		return 0;
	uint64_t width = state >> 2 & 7;
	bool is_compact = state >> 5 & 1, is_ascii = state >> 6 & 1;
	if (!is_compact || (width != 1 && width != 2 && width != 4) || (is_ascii && width != 1))
		return 0;
	uint64_t ascii_head = lh_python_has_tagged_ints(type) ? STR_HEAD_BYTES : STR_HEAD_BYTES_BEFORE;
	uint64_t head = is_ascii ? ascii_head : type->basic_bytes - 8;
	return lh_add_u64(length, 1, &bytes) && lh_mul_u64(bytes, width, &bytes) && lh_add_u64(bytes, head, &bytes)
		       ? bytes
		       : 0;
}

bool lh_python_object_bytes(const struct lh_python_view *view, const struct lh_python_type *type, uint64_t *ret)
{
	uint64_t start = view->hit->addr - 8;
	const struct lh_segment *segment = view->hit->block->segment;
	uint64_t bytes = type->is_str ? compact_bytes(view, type) : 0, item_bytes;
	if (!bytes && (!lh_mul_u64(item_count(view, type), type->item_bytes, &item_bytes) ||
		       !lh_add_u64(type->basic_bytes, item_bytes, &bytes)))
		return false;
	if (segment && bytes > segment->end - start)
		return false;
	*ret = lh_align_up(bytes + (type->has_gc_head ? GC_HEAD_BYTES : 0), 16);
	return true;
}

uint64_t lh_python_own_bytes(const struct lh_python_type *type, uint64_t bytes)
{
	return bytes - (type->has_gc_head ? GC_HEAD_BYTES : 0);
}
