/*
 * heap_growth: what a heap holds more than before, by group. Input: two moments of one process. Output: a row for each
 * group, with blocks that are new told from those that were there, changed or not.
 */
#include "leakhunt/bits.h"
#include "leakhunt/objects.h"

#include <stdlib.h>
#include <string.h>

struct growth_search {
	const struct lh_heap_moment *before, *after;
	uint64_t *stays[2]; /* a bit for each block: one of that address and size is in use at both moments */
	uint64_t *kept;     /* a bit for each block of `after`: with the same bytes */
	struct lh_heap_growth *growth;
};

/* Rows of one moment, while its blocks are visited. */
struct growth_side {
	struct growth_search *search;
	bool is_after;
	LH_VEC(struct lh_heap_growth_row) rows; /* in the order of the groups */
};

const char *lh_block_change_name(enum lh_block_change change)
{
	static const char *const names[] = {"new", "changed", "kept", "gone"};
	return names[change];
}

void lh_heap_growth_deinit(struct lh_heap_growth *growth)
{
	lh_vec_deinit(&growth->rows);
	lh_strings_pool_deinit(&growth->strings);
}

static void growth_search_deinit(struct growth_search *search)
{
	free(search->stays[0]);
	free(search->stays[1]);
	free(search->kept);
}

/* ---------------------------------------------------------------- blocks at both moments */

/* Bytes of part of a page, in place or copied; NULL: they are not there. */
static const uint8_t *page_part(const struct lh_image *image, uint64_t addr, size_t length, uint8_t *buffer)
{
	size_t viewed;
	const uint8_t *bytes = lh_image_view(image, addr, &viewed);
	if (bytes && viewed >= length)
		return bytes;
	return lh_image_read(image, addr, buffer, length) == length ? buffer : NULL;
}

/* Pages that are absent at both moments are the same, too. */
static bool has_kept_bytes(const struct growth_search *search, uint64_t addr, uint64_t size_bytes)
{
	uint8_t copies[2][LH_PAGE_BYTES];
	for (uint64_t end = addr + size_bytes; addr < end;) {
		size_t length = lh_min_u64(end, lh_align_down(addr, LH_PAGE_BYTES) + LH_PAGE_BYTES) - addr;
		const uint8_t *before = page_part(search->before->image, addr, length, copies[0]);
		const uint8_t *after = page_part(search->after->image, addr, length, copies[1]);
		if (!before != !after || (before && memcmp(before, after, length) != 0))
			return false;
		addr += length;
	}
	return true;
}

/* Both are ascending by address. */
static void match_blocks(struct growth_search *search)
{
	size_t before_count, after_count, at = 0;
	const struct lh_stored_chunk *before = lh_heap_stored_chunks(search->before->heap, &before_count);
	const struct lh_stored_chunk *after = lh_heap_stored_chunks(search->after->heap, &after_count);
	for (size_t i = 0; i < after_count; i++) {
		while (at < before_count && before[at].addr < after[i].addr)
			at++;
		bool is_both = at < before_count && before[at].addr == after[i].addr &&
			       before[at].size_bytes == after[i].size_bytes && before[at].state == LH_CHUNK_USED &&
			       after[i].state == LH_CHUNK_USED;
		if (!is_both)
			continue;
		lh_bit_set(search->stays[0], at);
		lh_bit_set(search->stays[1], i);
		if (has_kept_bytes(search, after[i].addr, after[i].size_bytes))
			lh_bit_set(search->kept, i);
	}
}

static struct lh_error *begin_growth(struct growth_search *search)
{
	size_t before_count = lh_heap_chunk_count(search->before->heap);
	size_t after_count = lh_heap_chunk_count(search->after->heap);
	search->stays[0] = lh_bits_create(before_count);
	search->stays[1] = lh_bits_create(after_count);
	search->kept = lh_bits_create(after_count);
	return search->stays[0] && search->stays[1] && search->kept ? NULL : lh_error_no_memory();
}

/* ---------------------------------------------------------------- rows of one moment */

static enum lh_block_change change_of(const struct growth_side *side, size_t index)
{
	const struct growth_search *search = side->search;
	if (!lh_bit(search->stays[side->is_after], index))
		return side->is_after ? LH_BLOCK_NEW : LH_BLOCK_GONE;
	return side->is_after && lh_bit(search->kept, index) ? LH_BLOCK_KEPT : LH_BLOCK_CHANGED;
}

/* Of the earlier moment only what is gone counts: the other blocks are counted in the later one. */
static struct lh_error *count_change(void *context, size_t index, const struct lh_heap_chunk *chunk, size_t row_index)
{
	struct growth_side *side = context;
	while (side->rows.count <= row_index)
		LH_TRY(lh_vec_push(&side->rows, (struct lh_heap_growth_row){0}));
	enum lh_block_change change = change_of(side, index);
	if (!side->is_after && change != LH_BLOCK_GONE)
		return NULL;
	struct lh_heap_growth_row *row = &side->rows.items[row_index];
	if (change == LH_BLOCK_NEW && !row->counts[change])
		row->example_addr = chunk->addr;
	row->counts[change]++;
	row->bytes[change] += chunk->size_bytes;
	side->search->growth->counts[change]++;
	side->search->growth->bytes[change] += chunk->size_bytes;
	return NULL;
}

static struct lh_error *keep_growth_text(struct lh_heap_growth *growth, const char **text)
{
	return lh_strings_pool_add(&growth->strings, *text, strlen(*text), text);
}

static struct lh_error *keep_group_names(struct lh_heap_growth *growth, struct lh_heap_group *group)
{
	LH_TRY(keep_growth_text(growth, &group->kind));
	LH_TRY(keep_growth_text(growth, &group->name));
	return keep_growth_text(growth, &group->detail);
}

static struct lh_error *group_side(struct growth_side *side)
{
	struct growth_search *search = side->search;
	const struct lh_heap_moment *moment = side->is_after ? search->after : search->before;
	struct lh_heap_groups groups LH_CLEANUP(lh_heap_groups_deinit) = {0};
	LH_TRY(lh_heap_group_chosen(moment->image, moment->symbols, moment->heap, NULL, count_change, side, &groups));
	while (side->rows.count < groups.rows.count)
		LH_TRY(lh_vec_push(&side->rows, (struct lh_heap_growth_row){0}));
	for (size_t i = 0; i < groups.rows.count; i++) {
		struct lh_heap_group group = groups.rows.items[i];
		LH_TRY(keep_group_names(search->growth, &group));
		struct lh_heap_group none = group;
		none.count = none.bytes = none.resident_bytes = 0;
		side->rows.items[i].before = side->is_after ? none : group;
		side->rows.items[i].after = side->is_after ? group : none;
	}
	return NULL;
}

/* ---------------------------------------------------------------- rows of both */

static int compare_growth_names(const void *a, const void *b)
{
	const struct lh_heap_group *left = &((const struct lh_heap_growth_row *)a)->after;
	const struct lh_heap_group *right = &((const struct lh_heap_growth_row *)b)->after;
	int order = lh_compare_u64(left->basis, right->basis);
	order = order ? order : strcmp(left->kind, right->kind);
	order = order ? order : strcmp(left->name, right->name);
	return order ? order : strcmp(left->detail, right->detail);
}

static void add_earlier(struct lh_heap_growth_row *row, const struct lh_heap_growth_row *earlier)
{
	row->before = earlier->before;
	row->counts[LH_BLOCK_GONE] = earlier->counts[LH_BLOCK_GONE];
	row->bytes[LH_BLOCK_GONE] = earlier->bytes[LH_BLOCK_GONE];
}

static struct lh_error *push_growth_row(struct lh_heap_growth *growth, struct lh_heap_growth_row *row)
{
	if (!row->example_addr)
		row->example_addr = row->after.count ? row->after.example_addr : row->before.example_addr;
	return row->before.count || row->after.count ? lh_vec_push(&growth->rows, *row) : NULL;
}

/* Both ascending by name. */
static struct lh_error *merge_sides(struct growth_side *before, struct growth_side *after)
{
	struct lh_heap_growth *growth = after->search->growth;
	size_t left = 0, right = 0;
	lh_vec_sort(&before->rows, compare_growth_names);
	lh_vec_sort(&after->rows, compare_growth_names);
	while (left < before->rows.count || right < after->rows.count) {
		int order = left == before->rows.count ? 1
			    : right == after->rows.count
				    ? -1
				    : compare_growth_names(&before->rows.items[left], &after->rows.items[right]);
		struct lh_heap_growth_row *row = order < 0 ? &before->rows.items[left] : &after->rows.items[right];
		if (order == 0)
			add_earlier(row, &before->rows.items[left]);
		LH_TRY(push_growth_row(growth, row));
		left += order <= 0;
		right += order >= 0;
	}
	return NULL;
}

static int compare_growth_bytes(const void *a, const void *b)
{
	const struct lh_heap_growth_row *left = a, *right = b;
	int64_t left_bytes = (int64_t)(left->after.bytes - left->before.bytes);
	int64_t right_bytes = (int64_t)(right->after.bytes - right->before.bytes);
	if (left_bytes != right_bytes)
		return left_bytes > right_bytes ? -1 : 1;
	int order = lh_compare_u64(right->bytes[LH_BLOCK_NEW], left->bytes[LH_BLOCK_NEW]);
	return order ? order : compare_growth_names(a, b);
}

static void growth_side_deinit(struct growth_side *side)
{
	lh_vec_deinit(&side->rows);
}

struct lh_error *lh_heap_compare_groups(const struct lh_heap_moment *before, const struct lh_heap_moment *after,
					struct lh_heap_growth *ret)
{
	struct lh_heap_growth growth LH_CLEANUP(lh_heap_growth_deinit) = {0};
	struct growth_search search LH_CLEANUP(growth_search_deinit) = {
		.before = before, .after = after, .growth = &growth};
	struct growth_side earlier LH_CLEANUP(growth_side_deinit) = {.search = &search};
	struct growth_side later LH_CLEANUP(growth_side_deinit) = {.search = &search, .is_after = true};
	LH_TRY(begin_growth(&search));
	match_blocks(&search);
	LH_TRY(group_side(&earlier));
	LH_TRY(group_side(&later));
	LH_TRY(merge_sides(&earlier, &later));
	lh_vec_sort(&growth.rows, compare_growth_bytes);
	*ret = growth;
	growth = (struct lh_heap_growth){0};
	return NULL;
}
