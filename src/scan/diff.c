/*
 * diff: what the second of two summaries has more than the first: the sign of a leak in two dumps. Pure. Input: two
 * results. Output: the rows that differ, joined by name. It reads no memory.
 */
#include "leakhunt/scan.h"

#include <stdlib.h>
#include <string.h>

struct diff_item {
	const char *family;
	bool is_own;
	const char *name;
	const char *detail;
	const char *young_detail; /* for objects that the collector has not visited, if there are any; else NULL */
	uint64_t old_bytes;       /* of objects that the collector has visited */
	uint64_t count;
	uint64_t bytes;
	uint64_t addr;
	uint64_t template_hash; /* for templates, whose text shows only what differs within one memory; else 0 */
};

struct diff_items {
	LH_VEC(struct diff_item) items;
};

static void deinit_items(struct diff_items *list)
{
	lh_vec_deinit(&list->items);
}

/* ---------------------------------------------------------------- what there is in a summary */

/* Collectors move objects between two dumps: young and old objects of a type are one row. */
static struct lh_error *list_objects(const struct lh_summary *summary, struct diff_items *ret)
{
	for (size_t i = 0; i < summary->objects.rows.count; i++) {
		const struct lh_object_count *row = &summary->objects.rows.items[i];
		struct diff_item item = {
			.family = row->kind,
			.is_own = row->is_own,
			.name = row->name,
			.detail = row->is_young ? "" : row->detail,
			.young_detail = row->is_young ? row->detail : NULL,
			.old_bytes = row->is_young ? 0 : row->bytes,
			.count = row->count,
			.bytes = row->bytes,
			.addr = row->example_addr,
		};
		LH_TRY(lh_vec_push(&ret->items, item));
	}
	return NULL;
}

static struct lh_error *list_item(const char *name, const char *detail, uint64_t count, uint64_t bytes, uint64_t addr,
				  struct diff_items *ret)
{
	struct diff_item item = {
		.family = "", .name = name, .detail = detail, .count = count, .bytes = bytes, .addr = addr};
	return lh_vec_push(&ret->items, item);
}

static struct lh_error *list_classes(const struct lh_summary *summary, struct diff_items *ret)
{
	for (size_t i = 0; i < summary->classes.count; i++) {
		const struct lh_class_count *class = &summary->classes.items[i];
		uint64_t addr = class->example_count ? class->examples[0].addr : 0;
		LH_TRY(list_item(class->title, "", class->count, class->bytes, addr, ret));
	}
	return NULL;
}

static struct lh_error *list_templates(const struct lh_summary *summary, struct diff_items *ret)
{
	for (size_t i = 0; i < summary->templates.count; i++) {
		const struct lh_template_count *template = &summary->templates.items[i];
		uint64_t addr = template->example_count ? template->examples[0].addr : 0;
		LH_TRY(list_item(template->text, "", template->count, template->bytes, addr, ret));
		ret->items.items[ret->items.count - 1].template_hash = template->hash;
	}
	return NULL;
}

static struct lh_error *list_texts(const struct lh_summary *summary, struct diff_items *ret)
{
	for (size_t i = 0; i < summary->repeated.count; i++) {
		const struct lh_repeated *text = &summary->repeated.items[i];
		if (!text->is_secret)
			LH_TRY(list_item(text->text, "", text->count, text->bytes, text->example_addr, ret));
	}
	return NULL;
}

/* Places in sections are compared, too: their names are the same wherever a module is loaded. */
static struct lh_error *list_symbols(const struct lh_summary *summary, struct diff_items *ret)
{
	for (size_t i = 0; i < summary->census.named_count; i++) {
		const struct lh_census_row *row = &summary->census.rows.items[i];
		LH_TRY(list_item(row->symbol.name, row->symbol.module_name, row->count, row->count * 8,
				 row->example_addr, ret));
	}
	return NULL;
}

static struct lh_error *(*const listings[])(const struct lh_summary *summary, struct diff_items *ret) = {
	[LH_DIFF_OBJECTS] = list_objects, [LH_DIFF_CLASSES] = list_classes, [LH_DIFF_TEMPLATES] = list_templates,
	[LH_DIFF_TEXTS] = list_texts,     [LH_DIFF_SYMBOLS] = list_symbols,
};

/* ---------------------------------------------------------------- joining */

static int compare_names(const struct diff_item *left, const struct diff_item *right)
{
	if (left->template_hash != right->template_hash)
		return lh_compare_u64(left->template_hash, right->template_hash);
	if (left->template_hash)
		return 0;
	int order = strcmp(left->name, right->name);
	if (order == 0)
		order = strcmp(left->detail, right->detail);
	return order ? order : strcmp(left->family, right->family);
}

static int compare_items(const void *a, const void *b)
{
	return compare_names(a, b);
}

static void unite_item(struct diff_item *into, const struct diff_item *item)
{
	if (item->young_detail)
		into->young_detail = item->young_detail;
	into->is_own |= item->is_own;
	into->old_bytes += item->old_bytes;
	into->count += item->count;
	into->bytes += item->bytes;
}

/* Sorts, and unites items of one name: several addresses of a symbol, texts that were cut off to the same bytes. */
static void unite_items(struct diff_items *list)
{
	size_t kept = 0;
	lh_vec_sort(&list->items, compare_items);
	for (size_t i = 0; i < list->items.count; i++) {
		const struct diff_item *item = &list->items.items[i];
		struct diff_item *last = kept ? &list->items.items[kept - 1] : NULL;
		if (last && compare_names(last, item) == 0)
			unite_item(last, item);
		else
			list->items.items[kept++] = *item;
	}
	list->items.count = kept;
}

/* Either may be NULL, not both. No row if neither memory has at least `count_min`. */
static struct lh_error *add_diff_row(const struct diff_item *before, const struct diff_item *after, uint64_t count_min,
				     struct lh_diff_rows *ret)
{
	static const struct diff_item none = {.family = "", .name = "", .detail = ""};
	const struct diff_item *named = after ? after : before;
	before = before ? before : &none;
	after = after ? after : &none;
	if (before->count == after->count && before->bytes == after->bytes)
		return NULL;
	if (before->count < count_min && after->count < count_min)
		return NULL;
	bool is_young = named->young_detail && after->old_bytes <= before->old_bytes;
	return lh_vec_push(&ret->rows, (struct lh_diff_row){
					       .family = named->family,
					       .is_own = named->is_own,
					       .is_young = is_young,
					       .name = named->name,
					       .detail = is_young ? named->young_detail : named->detail,
					       .before_count = before->count,
					       .after_count = after->count,
					       .before_bytes = before->bytes,
					       .after_bytes = after->bytes,
					       .after_addr = after->addr,
				       });
}

static struct lh_error *join_items(const struct diff_items *before, const struct diff_items *after, uint64_t count_min,
				   struct lh_diff_rows *ret)
{
	const struct diff_item *left = before->items.items, *left_end = left + before->items.count;
	const struct diff_item *right = after->items.items, *right_end = right + after->items.count;
	while (left < left_end || right < right_end) {
		int order = left == left_end ? 1 : right == right_end ? -1 : compare_names(left, right);
		LH_TRY(add_diff_row(order <= 0 ? left : NULL, order >= 0 ? right : NULL, count_min, ret));
		left += order <= 0;
		right += order >= 0;
	}
	return NULL;
}

/* Counts and bytes are far below 2^63. */
static int64_t row_growth(uint64_t before, uint64_t after)
{
	return (int64_t)(after - before);
}

static int compare_row_growth(const void *a, const void *b)
{
	const struct lh_diff_row *left = a, *right = b;
	int64_t left_bytes = row_growth(left->before_bytes, left->after_bytes);
	int64_t right_bytes = row_growth(right->before_bytes, right->after_bytes);
	if (left_bytes != right_bytes)
		return left_bytes > right_bytes ? -1 : 1;
	int64_t left_count = row_growth(left->before_count, left->after_count);
	int64_t right_count = row_growth(right->before_count, right->after_count);
	if (left_count != right_count)
		return left_count > right_count ? -1 : 1;
	int order = strcmp(left->name, right->name);
	return order ? order : strcmp(left->detail, right->detail);
}

static struct lh_error *compare_kind(enum lh_diff_kind kind, const struct lh_summary *before,
				     const struct lh_summary *after, struct lh_diff_rows *ret)
{
	struct diff_items left LH_CLEANUP(deinit_items) = {0};
	struct diff_items right LH_CLEANUP(deinit_items) = {0};
	LH_TRY(listings[kind](before, &left));
	LH_TRY(listings[kind](after, &right));
	unite_items(&left);
	unite_items(&right);
	bool is_text = kind == LH_DIFF_TEMPLATES || kind == LH_DIFF_TEXTS;
	LH_TRY(join_items(&left, &right, is_text ? 2 : 0, ret));
	lh_vec_sort(&ret->rows, compare_row_growth);
	return NULL;
}

struct lh_error *lh_diff_summaries(const struct lh_summary *before, const struct lh_summary *after, struct lh_diff *ret)
{
	struct lh_diff diff LH_CLEANUP(lh_diff_deinit) = {0};
	for (int kind = 0; kind < LH_DIFF_KIND_COUNT; kind++)
		LH_TRY(compare_kind(kind, before, after, &diff.kinds[kind]));
	*ret = diff;
	diff = (struct lh_diff){0};
	return NULL;
}

void lh_diff_deinit(struct lh_diff *diff)
{
	for (size_t i = 0; i < LH_DIFF_KIND_COUNT; i++)
		lh_vec_deinit(&diff->kinds[i].rows);
}
