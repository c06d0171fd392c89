/*
 * plan: mappings and wants in, extents with their present pages out. Decides what is copied. Copies nothing, and faults
 * in no page of the target.
 */
#include "context.h"
#include "look.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* Private memory keeps its pages whatever its protection, changed ones of a file too, and a tracer can read them. */
static bool can_be_copied(const struct lh_region *region)
{
	return region->protection & LH_PROT_READ || (!region->is_shared && !region->is_io);
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Device registers: a read may have side effects. Shared memory also lies in /dev. */
static bool is_device(const struct lh_region *region)
{
	if (region->is_io)
		return true;
	return starts_with(region->name, "/dev/") && !starts_with(region->name, "/dev/shm/") &&
	       !starts_with(region->name, "/dev/zero") && !starts_with(region->name, "/dev/hugepages");
}

/* The kernel's time pages and the fixed vsyscall page belong to no program, and can't be copied. */
static bool is_kernels(const struct lh_region *region)
{
	return region->kind == LH_REGION_VDSO && strcmp(region->name, "[vdso]") != 0;
}

/* Unwritable unless the program changes the protection first. */
static bool is_inaccessible(const struct lh_region *region)
{
	return !(region->protection & LH_PROT_READ);
}

/* Whether absent pages are known to be zero: private memory without a file. */
static bool is_absent_zero(const struct lh_region *region)
{
	return !region->is_shared && region->name[0] != '/';
}

static bool has_kind(const struct lh_want *want, enum lh_region_kind kind)
{
	return want->kinds >> kind & 1;
}

/* A word for several kinds means private memory; hugetlb is the one kind that is private or shared. */
static bool is_wanted_kind(const struct lh_want *want, const struct lh_region *region)
{
	bool is_one_kind = want->kinds == UINT32_C(1) << region->kind;
	return has_kind(want, region->kind) && (region->kind != LH_REGION_HUGETLB || !region->is_shared || is_one_kind);
}

static bool is_wanted_name(const struct lh_want *want, const struct lh_region *region)
{
	return fnmatch(want->glob, region->name, 0) == 0 ||
	       (region->thread_name[0] && fnmatch(want->glob, region->thread_name, 0) == 0);
}

/* What `want` selects of the mapping as a whole, page-aligned; an empty range: nothing. */
static struct lh_range match_plan(const struct lh_want *want, const struct lh_region *region)
{
	struct lh_range whole = {region->start, region->end}, nothing = {0, 0};
	if (is_kernels(region))
		return nothing;
	switch (want->kind) {
	case LH_WANT_KINDS:
		return is_wanted_kind(want, region) && can_be_copied(region) ? whole : nothing;
	case LH_WANT_ALL:
		return can_be_copied(region) && !is_device(region) ? whole : nothing;
	case LH_WANT_NAME:
		return can_be_copied(region) && is_wanted_name(want, region) ? whole : nothing;
	case LH_WANT_RANGE:
		if (want->is_whole_mapping)
			return nothing;
		if (want->range.start >= region->end || want->range.end <= region->start)
			return nothing;
		whole.start = lh_align_down(lh_max_u64(want->range.start, region->start), LH_PAGE_BYTES);
		if (want->range.end < region->end)
			whole.end = lh_align_up(want->range.end, LH_PAGE_BYTES);
		return whole;
	}
	return nothing;
}

static bool is_same_mapping(const struct lh_region *a, const struct lh_region *b)
{
	return a->end == b->start && a->kind == b->kind && a->protection == b->protection &&
	       a->is_shared == b->is_shared && strcmp(a->name, b->name) == 0;
}

/* Mappings that overlap the range, and the pieces that adjoin them: a mapping that grew in steps is several. */
static struct lh_error *collect_whole_mappings(const struct lh_region_list *list, const struct lh_want *want,
					       struct lh_ranges *ret)
{
	const struct lh_region *regions = list->regions.items;
	for (size_t first = 0, end; first < list->regions.count; first = end) {
		bool is_wanted = false;
		for (end = first; end < list->regions.count; end++) {
			if (end > first && !is_same_mapping(&regions[end - 1], &regions[end]))
				break;
			is_wanted |= regions[end].start < want->range.end && want->range.start < regions[end].end;
		}
		if (is_wanted && can_be_copied(&regions[first]) && !is_kernels(&regions[first]))
			LH_TRY(lh_vec_push(&ret->items,
					   ((struct lh_range){regions[first].start, regions[end - 1].end})));
	}
	return NULL;
}

/* What an allocator owns of mappings that are mostly something else. */
static struct lh_error *collect_owned(const struct lh_plan *plan, const struct lh_want *want, struct lh_ranges *ret)
{
	for (size_t i = 0; want->kind == LH_WANT_KINDS && i < plan->owners.items.count; i++) {
		if (has_kind(want, plan->owners.items.items[i].kind))
			LH_TRY(lh_vec_push(&ret->items, plan->owners.items.items[i].range));
	}
	return NULL;
}

static void append_kinds(const struct lh_region_list *list, struct lh_buffer *text)
{
	uint32_t seen = 0;
	for (size_t i = 0; i < list->regions.count; i++)
		seen |= UINT32_C(1) << list->regions.items[i].kind;
	for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
		if (seen >> kind & 1)
			lh_buffer_printf(text, "%s%s", text->length ? ", " : "",
					 lh_region_kind_name((enum lh_region_kind)kind));
	}
}

static struct lh_error *no_match(const struct lh_process *process, const struct lh_region_list *list,
				 const struct lh_want *want)
{
	struct lh_buffer kinds LH_CLEANUP(lh_buffer_deinit) = {0};
	append_kinds(list, &kinds);
	struct lh_error *error = lh_error_create(LH_ERROR_USAGE, "region '%s' matches no mapping of process %d",
						 want->text, (int)lh_process_pid(process));
	return lh_error_hint(error, "it has: %s; see `leakhunt maps %d`", kinds.data ? kinds.data : "nothing",
			     (int)lh_process_pid(process));
}

static struct lh_error *collect_wanted(const struct lh_process *process, const struct lh_plan *plan,
				       const struct lh_plan_request *request, struct lh_ranges *ret)
{
	const struct lh_region_list *list = &plan->list;
	for (size_t i = 0; i < request->want_count; i++) {
		size_t count_before = ret->items.count;
		for (size_t j = 0; j < list->regions.count; j++) {
			struct lh_range range = match_plan(&request->wants[i], &list->regions.items[j]);
			if (range.end > range.start)
				LH_TRY(lh_vec_push(&ret->items, range));
		}
		LH_TRY(collect_owned(plan, &request->wants[i], ret));
		if (request->wants[i].is_whole_mapping)
			LH_TRY(collect_whole_mappings(list, &request->wants[i], ret));
		if (ret->items.count == count_before)
			return no_match(process, list, &request->wants[i]);
	}
	return NULL;
}

/* ---------------------------------------------------------------- extents */

/* Position in the mappings, wanted ranges and context ranges; all of them ascend. */
struct plan_walk {
	struct lh_plan *plan;
	struct lh_pagemap *pagemap;
	const struct lh_ranges *wanted;
	const struct lh_ranges *context;
	size_t next_wanted;
	size_t next_context;
	bool without_pages;
	struct lh_page_runs scratch;
};

static void count_pages(struct lh_plan *plan, struct lh_extent *extent)
{
	for (size_t i = 0; i < extent->run_count; i++) {
		const struct lh_page_run *run = &plan->pages.runs.items[extent->first_run + i];
		if (lh_page_is_present(run->state))
			extent->present_bytes += lh_range_bytes(run->range);
		else
			extent->swapped_bytes += lh_range_bytes(run->range);
	}
	plan->swapped_bytes += extent->swapped_bytes;
	*(extent->is_context ? &plan->context_bytes : &plan->wanted_bytes) += extent->present_bytes;
}

/*
 * The vdso's pages belong to the kernel and take no memory. They count as resident without the target's touching them.
 * Nothing writes them, but a tracker does not know that: copy them with the written pages.
 */
static bool is_vdso(const struct lh_extent *extent)
{
	return extent->region->kind == LH_REGION_VDSO && !is_kernels(extent->region);
}

/* Appends what `scratch` holds of the extent to the plan. Runs of two extents must not merge. */
static struct lh_error *add_runs(struct lh_plan *plan, struct lh_extent *extent, const struct lh_page_runs *scratch)
{
	size_t count = scratch->runs.count;
	extent->first_run = plan->pages.runs.count;
	extent->run_count = count;
	extent->present_bytes = extent->swapped_bytes = 0;
	LH_TRY(lh_vec_reserve(&plan->pages.runs, count));
	if (count)
		memcpy(plan->pages.runs.items + extent->first_run, scratch->runs.items,
		       count * sizeof(struct lh_page_run));
	plan->pages.runs.count += count;
	count_pages(plan, extent);
	return NULL;
}

struct lh_error *lh_extent_find_present(struct lh_pagemap *pagemap, const struct lh_extent *extent,
					struct lh_page_runs *ret)
{
	struct lh_range range = {extent->start, extent->end};
	if (is_vdso(extent))
		return lh_vec_push(&ret->runs, (struct lh_page_run){range, LH_PAGES_PRESENT});
	return extent->is_device ? NULL : lh_pagemap_runs(pagemap, range, ret);
}

static struct lh_error *find_extent_pages(struct plan_walk *walk, struct lh_extent *extent)
{
	walk->scratch.runs.count = 0;
	LH_TRY(lh_extent_find_present(walk->pagemap, extent, &walk->scratch));
	return add_runs(walk->plan, extent, &walk->scratch);
}

static struct lh_error *add_extent(struct plan_walk *walk, const struct lh_region *region, uint64_t start, uint64_t end,
				   bool is_context)
{
	if (start >= end)
		return NULL;
	struct lh_extent extent = {
		.start = start,
		.end = end,
		.region = region,
		.is_context = is_context,
		.is_absent_zero = is_absent_zero(region),
		.is_device = is_device(region),
		.is_inaccessible = is_inaccessible(region),
	};
	if (!walk->without_pages)
		LH_TRY(find_extent_pages(walk, &extent));
	return lh_vec_push(&walk->plan->extents, extent);
}

/* Extents whose pages are looked up: none of devices or of the kernel's own mappings. */
static struct lh_error *ranges_to_look_at(const struct lh_plan *plan, struct lh_ranges *ret)
{
	LH_TRY(lh_vec_reserve(&ret->items, plan->extents.count));
	for (size_t i = 0; i < plan->extents.count; i++) {
		const struct lh_extent *extent = &plan->extents.items[i];
		bool is_hidden = extent->is_device || extent->region->kind == LH_REGION_VDSO;
		LH_TRY(lh_vec_push(&ret->items,
				   (struct lh_range){extent->start, is_hidden ? extent->start : extent->end}));
	}
	return NULL;
}

static void forget_pages(struct lh_plan *plan)
{
	plan->pages.runs.count = 0;
	plan->wanted_bytes = plan->context_bytes = plan->swapped_bytes = 0;
}

struct lh_error *lh_plan_look_with(struct lh_plan *plan, lh_extent_finder *find, void *context)
{
	struct lh_page_runs scratch LH_CLEANUP(lh_page_runs_deinit) = {0};
	forget_pages(plan);
	for (size_t i = 0; i < plan->extents.count; i++) {
		scratch.runs.count = 0;
		LH_TRY(find(context, &plan->extents.items[i], &scratch));
		LH_TRY(add_runs(plan, &plan->extents.items[i], &scratch));
	}
	return NULL;
}

static struct lh_error *take_look(struct lh_plan *plan, const struct lh_look *look, struct lh_page_runs *scratch)
{
	forget_pages(plan);
	for (size_t i = 0; i < plan->extents.count; i++) {
		struct lh_extent *extent = &plan->extents.items[i];
		struct lh_range range = {extent->start, extent->end};
		scratch->runs.count = 0;
		if (is_vdso(extent))
			LH_TRY(lh_vec_push(&scratch->runs, (struct lh_page_run){range, LH_PAGES_WRITTEN}));
		LH_TRY(lh_look_append(look, i, scratch));
		LH_TRY(add_runs(plan, extent, scratch));
	}
	return NULL;
}

struct lh_error *lh_plan_look_again(struct lh_plan *plan, struct lh_look *look)
{
	struct lh_ranges ranges = {0};
	struct lh_page_runs scratch = {0};
	struct lh_error *error = ranges_to_look_at(plan, &ranges);
	if (!error)
		error = lh_look_at(look, ranges.items.items, ranges.items.count);
	if (!error)
		error = take_look(plan, look, &scratch);
	lh_vec_deinit(&ranges.items);
	lh_vec_deinit(&scratch.runs);
	return error;
}

/* Context within [start, end) of a mapping, outside of the wanted ranges. */
static struct lh_error *add_context(struct plan_walk *walk, const struct lh_region *region, uint64_t start,
				    uint64_t end)
{
	while (walk->next_context < walk->context->items.count && start < end) {
		const struct lh_range *range = &walk->context->items.items[walk->next_context];
		if (range->start >= end)
			break;
		LH_TRY(add_extent(walk, region, lh_max_u64(start, range->start), lh_min_u64(end, range->end), true));
		if (range->end > end)
			break;
		walk->next_context++;
	}
	return NULL;
}

/* From the first to the last present page: for reserved space that is mostly absent. */
static struct lh_error *find_hull(struct lh_pagemap *pagemap, struct lh_range range, struct lh_range *ret)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	LH_TRY(lh_pagemap_runs(pagemap, range, &runs));
	*ret = (struct lh_range){range.start, range.start};
	if (runs.runs.count)
		*ret = (struct lh_range){runs.runs.items[0].range.start,
					 runs.runs.items[runs.runs.count - 1].range.end};
	return NULL;
}

static struct lh_error *add_wanted(struct plan_walk *walk, const struct lh_region *region, uint64_t start, uint64_t end)
{
	struct lh_range range = {start, end};
	if (start < end && is_inaccessible(region))
		LH_TRY(find_hull(walk->pagemap, range, &range));
	return add_extent(walk, region, range.start, range.end, false);
}

static struct lh_error *add_region(struct plan_walk *walk, const struct lh_region *region)
{
	uint64_t at = region->start;
	while (walk->next_wanted < walk->wanted->items.count) {
		const struct lh_range *range = &walk->wanted->items.items[walk->next_wanted];
		if (range->start >= region->end)
			break;
		uint64_t start = lh_max_u64(at, range->start), end = lh_min_u64(region->end, range->end);
		LH_TRY(add_context(walk, region, at, start));
		LH_TRY(add_wanted(walk, region, start, end));
		at = lh_max_u64(at, end);
		if (range->end > region->end)
			break;
		walk->next_wanted++;
	}
	return add_context(walk, region, at, region->end);
}

static struct lh_error *make_extents(const struct lh_process *process, const struct lh_ranges *wanted,
				     const struct lh_ranges *context, bool without_pages, struct lh_plan *plan)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	LH_TRY(lh_pagemap_open(process, &pagemap));
	struct plan_walk walk = {
		.plan = plan, .pagemap = pagemap, .wanted = wanted, .context = context, .without_pages = without_pages};
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < plan->list.regions.count; i++)
		error = add_region(&walk, &plan->list.regions.items[i]);
	lh_vec_deinit(&walk.scratch.runs);
	return error;
}

static struct lh_error *find_modules(const struct lh_process *process, struct lh_plan *plan)
{
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	LH_TRY(lh_pagemap_open(process, &pagemap));
	struct lh_present_reader reader = {.process = process, .pagemap = pagemap};
	return lh_modules_find(&plan->list, lh_present_read, &reader, &plan->modules);
}

/* Heaps wanted without all other anonymous memory: what is copied then depends on the owners. */
static bool depends_on_owners(const struct lh_plan_request *request)
{
	for (size_t i = 0; i < request->want_count; i++) {
		const struct lh_want *want = &request->wants[i];
		if (want->kind == LH_WANT_KINDS && want->kinds & LH_HEAP_KINDS && !has_kind(want, LH_REGION_ANON))
			return true;
	}
	return false;
}

static struct lh_error *take_owners(const struct lh_process *process, const struct lh_plan_request *request,
				    struct lh_plan *plan)
{
	bool is_known = request->known_owners && !depends_on_owners(request);
	if (is_known) {
		size_t count = request->known_owners->items.count;
		LH_TRY(lh_vec_reserve(&plan->owners.items, count));
		if (count)
			memcpy(plan->owners.items.items, request->known_owners->items.items,
			       count * sizeof(struct lh_owner_range));
		plan->owners.items.count = count;
	} else if (request->find_owners) {
		LH_TRY(request->find_owners(process, &plan->list, &plan->owners));
	}
	lh_regions_take_owners(&plan->list, &plan->owners);
	return NULL;
}

static struct lh_error *fill_plan(const struct lh_process *process, const struct lh_plan_request *request,
				  struct lh_ranges *wanted, struct lh_ranges *context, struct lh_plan *plan)
{
	LH_TRY(request->maps ? lh_regions_of_maps(process, request->maps, &plan->list)
			     : lh_regions_read(process, LH_REGIONS_MAPS, &plan->list));
	LH_TRY(take_owners(process, request, plan));
	LH_TRY(find_modules(process, plan));
	LH_TRY(collect_wanted(process, plan, request, wanted));
	if (!request->bare)
		LH_TRY(lh_context_collect(process, &plan->list, &plan->modules, request, context));
	lh_ranges_normalize(wanted);
	lh_ranges_normalize(context);
	return make_extents(process, wanted, context, request->without_pages, plan);
}

struct lh_error *lh_plan_create(const struct lh_process *process, const struct lh_plan_request *request,
				struct lh_plan *ret)
{
	struct lh_plan plan = {0};
	struct lh_ranges wanted = {0}, context = {0};
	struct lh_error *error = fill_plan(process, request, &wanted, &context, &plan);
	lh_vec_deinit(&wanted.items);
	lh_vec_deinit(&context.items);
	if (error)
		lh_plan_deinit(&plan);
	else
		*ret = plan;
	return error;
}

void lh_plan_deinit(struct lh_plan *plan)
{
	lh_region_list_deinit(&plan->list);
	lh_owners_deinit(&plan->owners);
	lh_module_list_deinit(&plan->modules);
	lh_vec_deinit(&plan->extents);
	lh_page_runs_deinit(&plan->pages);
	*plan = (struct lh_plan){0};
}

/* ---------------------------------------------------------------- where wants are */

struct lh_error *lh_want_find(const struct lh_process *process, const struct lh_want *wants, size_t count,
			      lh_owner_finder *find_owners, struct lh_range **ret, size_t *ret_count)
{
	struct lh_plan_request request = {
		.wants = wants, .want_count = count, .bare = true, .without_pages = true, .find_owners = find_owners};
	struct lh_plan plan LH_CLEANUP(lh_plan_deinit) = {0};
	LH_TRY(lh_plan_create(process, &request, &plan));
	struct lh_range *ranges = calloc(plan.extents.count + 1, sizeof(*ranges));
	if (!ranges)
		return lh_error_no_memory();
	for (size_t i = 0; i < plan.extents.count; i++)
		ranges[i] = (struct lh_range){plan.extents.items[i].start, plan.extents.items[i].end};
	*ret = ranges;
	*ret_count = plan.extents.count;
	return NULL;
}
