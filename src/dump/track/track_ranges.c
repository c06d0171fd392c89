/*
 * track_ranges: which ranges to register. Input: mappings read just before, and what is wanted of them. Output: ranges
 * from gap to gap over whole runs of adjacent mappings. Pure.
 *
 * A border of a registered range within a mapping makes two mappings of it, and mremap(2) over both fails. Mappings
 * grow, merge and split at any time after they were read, but none grows beyond the gap it borders on: so a
 * range that ends where the next mapping begins holds them whole. All of a run must be registered, whatever its
 * protection: mprotect(2) moves the borders within a run, and merges only what is registered alike (mm/vma.c,
 * is_mergeable_vma). Into a gap between two anonymous mappings both may grow: so all of them are registered, wanted or
 * not, and in one range as far as nothing else lies between.
 */
#include "track_ranges.h"

#include "dump/plan/context.h"

#include <stdlib.h>
#include <string.h>

/* x86_64 with 4 levels of page tables: the kernel registers nothing beyond (fs/userfaultfd.c, validate_range). */
#define USER_SPACE_END (((uint64_t)1 << 47) - LH_PAGE_BYTES)

enum track_class {
	TRACK_NOTHING, /* shared, a device's, or the kernel's own: never registered */
	TRACK_ANONYMOUS,
	TRACK_FILE,
	TRACK_HUGE, /* each alone, and exactly: ranges of hugetlbfs must be aligned to its pages */
};

static bool is_device_name(const char *name)
{
	return strncmp(name, "/dev/", 5) == 0 && strncmp(name, "/dev/shm/", 9) != 0 && strcmp(name, "/dev/zero") != 0;
}

static enum track_class class_of(const struct lh_region *region)
{
	if (region->is_shared || region->is_io || region->kind == LH_REGION_VDSO || is_device_name(region->name))
		return TRACK_NOTHING;
	if (region->is_hugetlb || region->kind == LH_REGION_HUGETLB)
		return TRACK_HUGE;
	return region->inode || region->name[0] == '/' ? TRACK_FILE : TRACK_ANONYMOUS;
}

void lh_track_runs_deinit(struct lh_track_runs *runs)
{
	lh_vec_deinit(&runs->items);
}

static bool is_of_run(const struct lh_region *before, enum track_class class)
{
	const struct lh_region *region = before + 1;
	if (class_of(region) != class || class == TRACK_HUGE)
		return false;
	return class == TRACK_ANONYMOUS || before->end == region->start;
}

/* The index behind the run that begins at `first`. */
static size_t run_end(const struct lh_region_list *list, size_t first)
{
	enum track_class class = class_of(&list->regions.items[first]);
	size_t end = first + 1;
	while (end < list->regions.count && is_of_run(&list->regions.items[end - 1], class))
		end++;
	return end;
}

static struct lh_range gap_to_gap(const struct lh_region_list *list, size_t first, size_t end)
{
	const struct lh_region *regions = list->regions.items;
	struct lh_range range = {regions[first].start, regions[end - 1].end};
	if (class_of(&regions[first]) == TRACK_HUGE)
		return range;
	if (first)
		range.start = regions[first - 1].end;
	if (end < list->regions.count && regions[end].start <= USER_SPACE_END)
		range.end = regions[end].start;
	return range;
}

/* `wanted` is ascending, and queries are ascending ranges: *next is 0 at first. */
static bool holds_wanted(struct lh_range range, const struct lh_ranges *wanted, size_t *next)
{
	while (*next < wanted->items.count && wanted->items.items[*next].end <= range.start)
		++*next;
	return *next < wanted->items.count && wanted->items.items[*next].start < range.end;
}

static struct lh_error *add_run(struct lh_range range, bool is_anonymous, struct lh_track_runs *ret)
{
	struct lh_track_run run = {.range = range, .is_anonymous = is_anonymous};
	return range.start < range.end ? lh_vec_push(&ret->items, run) : NULL;
}

/*
 * Omits the last page of the brk heap: brk(2) extends the mapping in which the heap ends, which then is this
 * unregistered page's, and merges with the rest after tracking. Nobody moves the brk heap.
 */
static struct lh_error *add_anonymous(const struct lh_region_list *list, size_t first, size_t end,
				      struct lh_track_runs *ret)
{
	struct lh_range rest = gap_to_gap(list, first, end);
	for (size_t i = first; i < end; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (strcmp(region->name, "[heap]") != 0)
			continue;
		LH_TRY(add_run((struct lh_range){rest.start, region->end - LH_PAGE_BYTES}, true, ret));
		rest.start = region->end;
		if (i + 1 == end) /* the gap that brk grows into */
			return NULL;
	}
	return add_run(rest, true, ret);
}

struct lh_error *lh_track_runs_find(const struct lh_region_list *list, const struct lh_ranges *wanted,
				    struct lh_track_runs *ret)
{
	size_t next = 0;
	for (size_t first = 0, end; first < list->regions.count; first = end) {
		enum track_class class = class_of(&list->regions.items[first]);
		end = run_end(list, first);
		struct lh_range mapped = {list->regions.items[first].start, list->regions.items[end - 1].end};
		if (class == TRACK_ANONYMOUS)
			LH_TRY(add_anonymous(list, first, end, ret));
		else if (class != TRACK_NOTHING && holds_wanted(mapped, wanted, &next))
			LH_TRY(add_run(gap_to_gap(list, first, end), false, ret));
	}
	return NULL;
}

static size_t first_from(const struct lh_region_list *list, uint64_t addr)
{
	return lh_vec_count_before(&list->regions, item, item->start < addr);
}

bool lh_track_range_halve(const struct lh_region_list *list, struct lh_range range, struct lh_range ret[2])
{
	size_t first = first_from(list, range.start), end = first_from(list, range.end);
	size_t middle = first + (end - first) / 2;
	if (end < first + 2)
		return false;
	ret[0] = (struct lh_range){range.start, list->regions.items[middle].start};
	ret[1] = (struct lh_range){list->regions.items[middle - 1].end, range.end};
	return true;
}

/* ---------------------------------------------------------------- borders */

/* Whether the second mapping looks like the rest of the first. */
static bool goes_on(const struct lh_region *left, const struct lh_region *right)
{
	bool is_next = !left->inode || left->file_offset + (left->end - left->start) == right->file_offset;
	return left->end == right->start && is_next && left->inode == right->inode &&
	       left->protection == right->protection && left->is_shared == right->is_shared &&
	       strcmp(left->name, right->name) == 0;
}

bool lh_track_run_cuts(const struct lh_region_list *list, const struct lh_track_run *run, struct lh_range *ret_part)
{
	size_t index = first_from(list, run->range.start);
	const struct lh_region *region = &list->regions.items[index];
	if (!index || index == list->regions.count || region->start != run->range.start ||
	    class_of(region - 1) == TRACK_ANONYMOUS || !goes_on(region - 1, region))
		return false;
	*ret_part = (struct lh_range){region->start, lh_min_u64(region->end, run->range.end)};
	return true;
}

struct lh_error *lh_track_seams_find(const struct lh_region_list *list, const struct lh_ranges *ranges,
				     struct lh_ranges *ret)
{
	size_t next = 0;
	for (size_t i = 1; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		struct lh_range place = {region->start - 1, region->start + 1};
		bool is_seam = class_of(region) == TRACK_ANONYMOUS && class_of(region - 1) == TRACK_ANONYMOUS &&
			       goes_on(region - 1, region);
		if (is_seam && holds_wanted(place, ranges, &next))
			LH_TRY(lh_vec_push(&ret->items, (struct lh_range){region->start, region->start + 1}));
	}
	return NULL;
}
