/*
 * hunt_fill: what fills private memory, by owner, then by type, each byte once. Input: the last sample, and the blocks
 * of the last dump in groups. Output: owners, whose bytes add up to private memory, and types, whose bytes add up to
 * their owner's. Memory that was not dumped, or has no type, is a type of its own.
 */
#include "hunt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Further types of an owner become one row. */
enum { FILLS_MAX = 24 };

/* Owners of what no allocator has. */
enum plain_owner { OWNER_PROGRAM, OWNER_STACKS, OWNER_OTHERS, OWNER_PLAIN_COUNT };

void lh_hunt_owners_deinit(struct lh_hunt_owners *owners)
{
	for (size_t i = 0; i < owners->items.count; i++)
		lh_vec_deinit(&owners->items.items[i].fills);
	lh_vec_deinit(&owners->items);
	owners->bytes = 0;
}

static void deinit_owner(struct lh_hunt_owner *owner)
{
	lh_vec_deinit(&owner->fills);
}

/* ---------------------------------------------------------------- figures of samples */

/* Time of the dump since the first sample; 0 without one. */
static double moment_of_dump(const struct lh_hunt *hunt)
{
	const struct lh_receipt *receipt = &hunt->receipts[LH_HUNT_BEFORE];
	if (!hunt->has_receipt[LH_HUNT_BEFORE] || receipt->time_ns <= hunt->selection.start_ns)
		return 0;
	return (double)(receipt->time_ns - hunt->selection.start_ns) / (double)LH_NS_PER_S;
}

/* Since the first dump, else since the first sample. */
static int64_t sampled_growth(const struct lh_hunt *hunt, const struct lh_growth *growth)
{
	const struct lh_selection *selection = &hunt->selection;
	double moment_s = moment_of_dump(hunt);
	if (growth->measure != LH_MEASURE_USED || !growth->series.count)
		return growth->growth_bytes;
	size_t at = 0;
	while (at + 1 < growth->series.count && at + 1 < selection->moments_s.count &&
	       selection->moments_s.items[at + 1] <= moment_s)
		at++;
	return (int64_t)(growth->private_last_bytes - growth->series.items[at]);
}

/* ---------------------------------------------------------------- owners */

static struct lh_error *add_fill(struct lh_hunt_owner *owner, struct lh_hunt_fill fill)
{
	if (!fill.bytes)
		return NULL;
	owner->bytes += fill.bytes;
	owner->growth_bytes += fill.growth_bytes;
	return lh_vec_push(&owner->fills, fill);
}

static int compare_fills(const void *a, const void *b)
{
	const struct lh_hunt_fill *left = a, *right = b;
	int order = lh_compare_u64(right->bytes, left->bytes);
	return order ? order : strcmp(left->name, right->name);
}

static int compare_owners(const void *a, const void *b)
{
	const struct lh_hunt_owner *left = a, *right = b;
	int order = lh_compare_u64(right->bytes, left->bytes);
	return order ? order : strcmp(left->name, right->name);
}

/* The smallest ones become one. */
static void merge_small_fills(struct lh_hunt_owner *owner)
{
	if (owner->fills.count <= FILLS_MAX)
		return;
	struct lh_hunt_fill *rest = &owner->fills.items[FILLS_MAX - 1];
	for (size_t i = FILLS_MAX; i < owner->fills.count; i++) {
		rest->count += owner->fills.items[i].count;
		rest->bytes += owner->fills.items[i].bytes;
		rest->growth_bytes += owner->fills.items[i].growth_bytes;
	}
	rest->family = "";
	rest->name = "all smaller ones";
	rest->detail = "";
	rest->addr = 0;
	owner->fills.count = FILLS_MAX;
}

/* Takes the owner, even with 0 bytes. */
static struct lh_error *push_owner(struct lh_hunt_owners *owners, struct lh_hunt_owner *owner)
{
	if (!owner->bytes)
		return NULL;
	qsort(owner->fills.items, owner->fills.count, sizeof(*owner->fills.items), compare_fills);
	merge_small_fills(owner);
	LH_TRY(lh_vec_push(&owners->items, *owner));
	owners->bytes += owner->bytes;
	*owner = (struct lh_hunt_owner){.note = ""};
	return NULL;
}

/* ---------------------------------------------------------------- the heap, by its blocks */

static const struct lh_heap_group *find_group(const struct lh_heap_groups *groups, const struct lh_heap_group *wanted)
{
	for (size_t i = 0; i < groups->rows.count; i++) {
		const struct lh_heap_group *row = &groups->rows.items[i];
		if (row->basis == wanted->basis && strcmp(row->name, wanted->name) == 0 &&
		    strcmp(row->kind, wanted->kind) == 0 && strcmp(row->detail, wanted->detail) == 0)
			return row;
	}
	return NULL;
}

static struct lh_hunt_fill fill_of_group(const struct lh_hunt *hunt, const struct lh_heap_group *group)
{
	static const char *const prefixes[] = {
		[LH_GROUP_TYPE] = NULL,
		[LH_GROUP_POINTER] = "blocks with ",
		[LH_GROUP_CONTENT] = "blocks of ",
		[LH_GROUP_SIZE] = "blocks of ",
	};
	const struct lh_heap_group *before = find_group(&hunt->groups[LH_HUNT_BEFORE], group);
	return (struct lh_hunt_fill){
		.family = group->kind,
		.name = group->name,
		.prefix = prefixes[group->basis],
		.detail = group->detail,
		.count = group->count,
		.bytes = group->resident_bytes,
		.growth_bytes = hunt->is_comparison
					? (int64_t)(group->resident_bytes - (before ? before->resident_bytes : 0))
					: 0,
		.addr = group->example_addr,
	};
}

/* Groups too small to be shown count as one, so that their growth is not looked up. */
static struct lh_error *add_groups(const struct lh_hunt *hunt, enum lh_hunt_side side, struct lh_hunt_owner *ret)
{
	const struct lh_heap_groups *groups = &hunt->groups[side];
	struct lh_hunt_fill rest = {.family = "", .name = "all smaller types", .detail = ""};
	int64_t growth_bytes = 0;
	for (size_t i = 0; i < groups->rows.count; i++) {
		const struct lh_heap_group *group = &groups->rows.items[i];
		if (i >= FILLS_MAX - 4) {
			rest.count += group->count;
			rest.bytes += group->resident_bytes;
			continue;
		}
		struct lh_hunt_fill fill = fill_of_group(hunt, group);
		growth_bytes += fill.growth_bytes;
		LH_TRY(add_fill(ret, fill));
	}
	if (hunt->is_comparison)
		rest.growth_bytes = (int64_t)(hunt->heaps[LH_HUNT_AFTER].totals.used_resident_bytes -
					      hunt->heaps[LH_HUNT_BEFORE].totals.used_resident_bytes) -
				    growth_bytes;
	return add_fill(ret, rest);
}

/* Resident bytes of cached and free blocks: at most what used blocks leave. */
struct free_parts {
	uint64_t cached_bytes;
	uint64_t free_bytes;
	uint64_t rest_bytes; /* headers, tables, remainders */
};

static struct free_parts split_free(const struct lh_heap_totals *totals)
{
	uint64_t used = lh_min_u64(totals->used_resident_bytes, totals->resident_bytes);
	uint64_t left = totals->resident_bytes - used;
	uint64_t away = totals->free_page_bytes - totals->free_resident_bytes;
	uint64_t in_free = totals->bytes[LH_CHUNK_FREE] - lh_min_u64(totals->bytes[LH_CHUNK_FREE], away);
	struct free_parts parts = {.cached_bytes = lh_min_u64(totals->bytes[LH_CHUNK_CACHED], left)};
	left -= parts.cached_bytes;
	parts.free_bytes = lh_min_u64(in_free, left);
	parts.rest_bytes = left - parts.free_bytes;
	return parts;
}

static struct lh_error *add_free_parts(const struct lh_hunt *hunt, enum lh_hunt_side side, struct lh_hunt_owner *ret)
{
	struct free_parts now = split_free(&hunt->heaps[side].totals), then = now;
	if (hunt->is_comparison)
		then = split_free(&hunt->heaps[LH_HUNT_BEFORE].totals);
	LH_TRY(add_fill(ret, (struct lh_hunt_fill){.family = "",
						   .name = "freed, cached by the allocator",
						   .detail = "",
						   .bytes = now.cached_bytes,
						   .growth_bytes = (int64_t)(now.cached_bytes - then.cached_bytes)}));
	LH_TRY(add_fill(ret, (struct lh_hunt_fill){.family = "",
						   .name = "freed",
						   .detail = "",
						   .bytes = now.free_bytes,
						   .growth_bytes = (int64_t)(now.free_bytes - then.free_bytes)}));
	return add_fill(ret, (struct lh_hunt_fill){.family = "",
						   .name = "the allocator's own",
						   .detail = "headers, tables, remainders",
						   .bytes = now.rest_bytes,
						   .growth_bytes = (int64_t)(now.rest_bytes - then.rest_bytes)});
}

/* Private memory of kinds that the heap's walkers own, by the last sample. */
static uint64_t sampled_bytes(const struct lh_selection *selection, uint32_t kinds, const struct lh_hunt *hunt,
			      int64_t *ret_growth)
{
	uint64_t sum = 0;
	*ret_growth = 0;
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		if (!(kinds >> growth->kind & 1))
			continue;
		sum += growth->private_last_bytes;
		*ret_growth += sampled_growth(hunt, growth);
	}
	return sum;
}

/*
 * Blocks are from the dump; the heap's total is from the sample after it. The difference was not dumped. If the total
 * is smaller, the dump's total counts.
 */
static struct lh_error *add_heap_owner(const struct lh_hunt *hunt, enum lh_hunt_side side, struct lh_hunt_owners *ret)
{
	struct lh_hunt_owner owner LH_CLEANUP(deinit_owner) = {.note = "blocks of the last dump, by type"};
	int64_t growth_bytes;
	uint64_t sampled = sampled_bytes(&hunt->selection, hunt->heaps[side].kinds, hunt, &growth_bytes);
	snprintf(owner.name, sizeof(owner.name), "Heap (%.60s)", hunt->heaps[side].allocators);
	LH_TRY(add_groups(hunt, side, &owner));
	LH_TRY(add_free_parts(hunt, side, &owner));
	if (sampled > owner.bytes)
		LH_TRY(add_fill(&owner,
				(struct lh_hunt_fill){.family = "",
						      .name = "not in the dump",
						      .detail = "came after it, or was not asked for",
						      .bytes = sampled - owner.bytes,
						      .growth_bytes = growth_bytes > owner.growth_bytes
									      ? growth_bytes - owner.growth_bytes
									      : 0}));
	return push_owner(ret, &owner);
}

/* ---------------------------------------------------------------- all else, by its mappings */

static enum plain_owner plain_owner_of(enum lh_region_kind kind)
{
	switch (kind) {
	case LH_REGION_TEXT:
	case LH_REGION_RODATA:
	case LH_REGION_DATA:
	case LH_REGION_BSS:
		return OWNER_PROGRAM;
	case LH_REGION_MAIN_STACK:
	case LH_REGION_THREAD_STACK:
		return OWNER_STACKS;
	default:
		return OWNER_OTHERS;
	}
}

/* A path without its folders; a program's as it was called. */
static const char *short_name(const struct lh_hunt *hunt, const char *name)
{
	for (int side = 0; side < LH_HUNT_SIDES; side++) {
		const struct lh_module_list *list = hunt->images[side] ? lh_image_modules(hunt->images[side]) : NULL;
		for (size_t i = 0; list && i < list->modules.count; i++) {
			if (strcmp(list->modules.items[i].path, name) == 0)
				return lh_image_module_name(hunt->images[side], &list->modules.items[i]);
		}
	}
	const char *slash = strrchr(name, '/');
	return slash && slash[1] ? slash + 1 : name;
}

static struct lh_hunt_fill fill_of_growth(const struct lh_hunt *hunt, const struct lh_growth *growth)
{
	const char *name = growth->thread_name[0] ? growth->thread_name : short_name(hunt, growth->name);
	return (struct lh_hunt_fill){
		.family = "",
		.name = *name ? name : lh_region_kind_name(growth->kind),
		.detail = *name ? lh_region_kind_name(growth->kind) : "",
		.count = growth->region_count > 1 ? growth->region_count : 0,
		.bytes = growth->private_last_bytes,
		.growth_bytes = sampled_growth(hunt, growth),
		.addr = growth->start,
	};
}

/* Mappings of one kind of one file are one type. */
static struct lh_error *add_growth(const struct lh_hunt *hunt, const struct lh_growth *growth,
				   struct lh_hunt_owner *owner)
{
	struct lh_hunt_fill fill = fill_of_growth(hunt, growth);
	for (size_t i = 0; i < owner->fills.count; i++) {
		struct lh_hunt_fill *other = &owner->fills.items[i];
		if (strcmp(other->name, fill.name) != 0 || strcmp(other->detail, fill.detail) != 0)
			continue;
		other->bytes += fill.bytes;
		other->growth_bytes += fill.growth_bytes;
		owner->bytes += fill.bytes;
		owner->growth_bytes += fill.growth_bytes;
		return NULL;
	}
	return add_fill(owner, fill);
}

static void deinit_plain_owners(struct lh_hunt_owner (*owners)[OWNER_PLAIN_COUNT])
{
	for (size_t i = 0; i < OWNER_PLAIN_COUNT; i++)
		deinit_owner(&(*owners)[i]);
}

static struct lh_error *add_plain_owners(const struct lh_hunt *hunt, uint32_t walked_kinds, struct lh_hunt_owners *ret)
{
	LH_CLEANUP(deinit_plain_owners)
	struct lh_hunt_owner owners[OWNER_PLAIN_COUNT] = {
		[OWNER_PROGRAM] = {.name = "Program and libraries", .note = "data, bss, changed pages of files"},
		[OWNER_STACKS] = {.name = "Stacks", .note = ""},
		[OWNER_OTHERS] = {.name = "Other mappings", .note = "not of a known allocator"},
	};
	for (size_t i = 0; i < hunt->selection.growths.count; i++) {
		const struct lh_growth *growth = &hunt->selection.growths.items[i];
		uint32_t kind = UINT32_C(1) << growth->kind;
		if (!((walked_kinds | LH_HEAP_KINDS) & kind))
			LH_TRY(add_growth(hunt, growth, &owners[plain_owner_of(growth->kind)]));
	}
	for (size_t i = 0; i < OWNER_PLAIN_COUNT; i++)
		LH_TRY(push_owner(ret, &owners[i]));
	return NULL;
}

/* Heaps that were not dumped, or that no walker knows. */
static struct lh_error *add_unwalked_heaps(const struct lh_hunt *hunt, uint32_t walked_kinds,
					   struct lh_hunt_owners *ret)
{
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
		struct lh_hunt_owner owner LH_CLEANUP(deinit_owner) = {.note = "its blocks were not looked at"};
		if (!(LH_HEAP_KINDS & ~walked_kinds & UINT32_C(1) << kind))
			continue;
		snprintf(owner.name, sizeof(owner.name), "Heap (%s)", lh_region_kind_name((enum lh_region_kind)kind));
		for (size_t i = 0; i < hunt->selection.growths.count; i++) {
			if (hunt->selection.growths.items[i].kind == (enum lh_region_kind)kind)
				LH_TRY(add_growth(hunt, &hunt->selection.growths.items[i], &owner));
		}
		LH_TRY(push_owner(ret, &owner));
	}
	return NULL;
}

struct lh_error *lh_hunt_fill_owners(struct lh_hunt *hunt)
{
	struct lh_hunt_owners owners LH_CLEANUP(lh_hunt_owners_deinit) = {.bytes = 0};
	enum lh_hunt_side side = hunt->heaps[LH_HUNT_AFTER].is_known ? LH_HUNT_AFTER : LH_HUNT_BEFORE;
	uint32_t walked_kinds = hunt->groups[side].rows.count ? hunt->heaps[side].kinds : 0;
	if (!hunt->has_selection)
		return NULL;
	if (walked_kinds)
		LH_TRY(add_heap_owner(hunt, side, &owners));
	LH_TRY(add_unwalked_heaps(hunt, walked_kinds, &owners));
	LH_TRY(add_plain_owners(hunt, walked_kinds, &owners));
	if (owners.items.count)
		qsort(owners.items.items, owners.items.count, sizeof(*owners.items.items), compare_owners);
	hunt->owners = owners;
	owners = (struct lh_hunt_owners){.bytes = 0};
	return NULL;
}
