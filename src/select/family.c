/*
 * family: similar mappings that come or go one by one (stacks of leaked threads, heaps of an arena, mmapped chunks,
 * buffers of one size) are one finding, not many. Input and output: tracks; only their `family` is set. Sorts by
 * similarity, so 60,000 mappings cost n log n.
 */
#include "identity.h"
#include "verdict.h"

#include "leakhunt/owner.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_MEMBERS = 3, MIN_ASSORTED = 4 };

/* Which mappings belong together: those of one kind, except for these. */
enum likeness {
	LIKE_ENDED_STACK = LH_REGION_KIND_COUNT,
	LIKE_MODULE, /* all mappings of a program or library: text, data, bss */
};

static int likeness_of(const struct lh_track *track)
{
	if (track->is_ended_stack)
		return LIKE_ENDED_STACK;
	switch (track->kind) {
	case LH_REGION_TEXT:
	case LH_REGION_RODATA:
	case LH_REGION_DATA:
	case LH_REGION_BSS:
		return track->group[0] ? LIKE_MODULE : (int)track->kind;
	default:
		return (int)track->kind;
	}
}

/* Kinds whose mappings belong together whatever their sizes: the memory of an allocator. */
static bool is_one_thing(enum lh_region_kind kind)
{
	return kind != LH_REGION_HEAP && lh_region_kind_is_heap(kind);
}

/* Mappings with a name are compared by name, not by size. */
static bool ignores_size(const struct lh_track *track)
{
	int likeness = likeness_of(track);
	bool is_named = track->group[0] &&
			(likeness == LH_REGION_SHARED || likeness == LH_REGION_MEMFD || likeness == LH_REGION_FILE);
	return is_one_thing(track->kind) || is_named || likeness == LH_REGION_THREAD_STACK ||
	       likeness >= LIKE_ENDED_STACK;
}

static int compare_class(const struct lh_track *a, const struct lh_track *b)
{
	return lh_compare_u64((uint64_t)likeness_of(a), (uint64_t)likeness_of(b));
}

/* Everything that distinguishes two tracks except their sizes; for stacks, also their threads' names. */
static int compare_backing(const struct lh_track *a, const struct lh_track *b)
{
	int order = compare_class(a, b);
	int likeness = likeness_of(a);
	if (order || is_one_thing(a->kind) || likeness == LIKE_ENDED_STACK || likeness == LH_REGION_THREAD_STACK)
		return order;
	if (likeness == LIKE_MODULE)
		return strcmp(a->group, b->group);
	if (a->protection != b->protection)
		return lh_compare_u64(a->protection, b->protection);
	if (a->is_shared != b->is_shared)
		return lh_compare_u64(a->is_shared, b->is_shared);
	return strcmp(a->group, b->group);
}

static int compare_alike(const struct lh_track *a, const struct lh_track *b)
{
	int order = compare_backing(a, b);
	if (order)
		return order;
	if (likeness_of(a) == LH_REGION_THREAD_STACK)
		return strcmp(a->thread_pattern, b->thread_pattern);
	return ignores_size(a) ? 0 : lh_compare_u64(a->mapped_bytes, b->mapped_bytes);
}

static int compare_track_pointers(const void *a, const void *b)
{
	const struct lh_track *const *left = a;
	const struct lh_track *const *right = b;
	int order = compare_alike(*left, *right);
	return order ? order : lh_compare_u64((uintptr_t)*left, (uintptr_t)*right);
}

static bool comes_or_goes(const struct lh_tracks *tracks, const struct lh_track *track)
{
	return track->first_sample > 0 || track->last_sample + 1 < tracks->sample_count;
}

/* Whether it grows more than the coming and going of all others: then it gets a row of its own. */
static bool stands_out(const struct lh_track *track, double group_growth)
{
	/* Growth while it existed, without its coming and going. */
	int64_t growth = (int64_t)track->used_bytes - (int64_t)track->first_used_bytes;
	return !is_one_thing(track->kind) && growth >= (int64_t)LH_GROWTH_MIN_BYTES &&
	       (double)growth > group_growth / 2;
}

static double group_growth(const struct lh_tracks *tracks, struct lh_track *const *group, size_t count)
{
	double growth = 0;
	for (size_t i = 0; i < count; i++) {
		growth += group[i]->last_sample + 1 == tracks->sample_count ? (double)group[i]->used_bytes : 0;
		growth -= group[i]->first_sample == 0 ? (double)group[i]->first_used_bytes : 0;
	}
	return growth;
}

static bool is_family(const struct lh_tracks *tracks, struct lh_track *const *group, size_t count)
{
	size_t moving_count = 0;
	for (size_t i = 0; i < count; i++)
		moving_count += comes_or_goes(tracks, group[i]);
	if (is_one_thing(group[0]->kind))
		return count >= 2 && moving_count >= 1;
	return count >= MIN_MEMBERS && moving_count >= 2;
}

static void make_family(struct lh_tracks *tracks, struct lh_track *const *group, size_t count)
{
	double growth = group_growth(tracks, group, count);
	for (size_t i = 0; i < count; i++) {
		if (!stands_out(group[i], growth))
			group[i]->family = tracks->family_count;
	}
	tracks->family_count++;
}

/* How many of the first tracks are similar according to `compare`. */
static size_t family_group_length(struct lh_track *const *order, size_t count,
				  int (*compare)(const struct lh_track *, const struct lh_track *))
{
	size_t length = 1;
	while (length < count && compare(order[0], order[length]) == 0)
		length++;
	return length;
}

static void group_alike(struct lh_tracks *tracks, struct lh_track **order, size_t count)
{
	for (size_t at = 0; at < count;) {
		size_t length = family_group_length(order + at, count - at, compare_alike);
		if (is_family(tracks, order + at, length))
			make_family(tracks, order + at, length);
		at += length;
	}
}

/*
 * Mappings that appear during sampling, with no family by size or thread name: anonymous ones, such as one per big
 * request, and stacks.
 */
static bool is_assorted(const struct lh_track *track)
{
	return (track->kind == LH_REGION_ANON || track->kind == LH_REGION_THREAD_STACK) &&
	       track->family == LH_TRACK_ALONE && track->first_sample > 0;
}

static void group_assorted(struct lh_tracks *tracks, struct lh_track **order, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (is_assorted(order[i]))
			order[kept++] = order[i];
	}
	for (size_t at = 0; at < kept;) {
		size_t length = family_group_length(order + at, kept - at, compare_backing);
		if (length >= MIN_ASSORTED)
			make_family(tracks, order + at, length);
		at += length;
	}
}

struct lh_error *lh_tracks_group(struct lh_tracks *tracks)
{
	size_t count = 0;
	LH_CLEANUP(lh_cleanup_free) struct lh_track **order = calloc(tracks->items.count + 1, sizeof(*order));
	if (!order)
		return lh_error_no_memory();
	tracks->family_count = 0;
	for (size_t i = 0; i < tracks->items.count; i++) {
		tracks->items.items[i].family = LH_TRACK_ALONE;
		if (lh_track_is_root(tracks, i))
			order[count++] = &tracks->items.items[i];
	}
	qsort(order, count, sizeof(struct lh_track *), compare_track_pointers);
	group_alike(tracks, order, count);
	group_assorted(tracks, order, count);
	return NULL;
}
