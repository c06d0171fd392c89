/*
 * modules: which ELF files are mapped, and where. Input: regions, and a reader of their memory (a live process or an
 * image). Output: one module per loaded copy of a file, in address order. A module that cannot be read is listed
 * without bias and build id.
 */
#include "modules.h"

#include <stdlib.h>
#include <string.h>

const char *lh_allocator_name(enum lh_allocator allocator)
{
	static const char *const names[LH_ALLOCATOR_COUNT] = {
		"unknown", "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc", "rpmalloc",
	};
	return allocator < LH_ALLOCATOR_COUNT ? names[allocator] : "?";
}

void lh_module_list_deinit(struct lh_module_list *list)
{
	lh_vec_deinit(&list->modules);
	lh_strings_pool_deinit(&list->strings);
	*list = (struct lh_module_list){0};
}

const struct lh_module *lh_module_list_find(const struct lh_module_list *list, uint64_t addr)
{
	size_t count = lh_vec_count_before(&list->modules, item, item->start <= addr);
	const struct lh_module *module = count ? &list->modules.items[count - 1] : NULL;
	return module && addr < module->end ? module : NULL;
}

static bool is_module_kind(const struct lh_region *region)
{
	return region->kind == LH_REGION_TEXT || region->kind == LH_REGION_RODATA || region->kind == LH_REGION_DATA;
}

static bool is_vdso_region(const struct lh_region *region)
{
	return !strcmp(region->name, "[vdso]");
}

/* A file mapping that may begin an ELF image: its first page, private and readable. */
static bool may_begin_image(const struct lh_region *region)
{
	bool is_file = region->kind == LH_REGION_FILE && region->name[0] == '/' && !region->is_shared;
	return (is_file || is_module_kind(region) || is_vdso_region(region)) && !region->file_offset &&
	       !region->is_io && region->protection & LH_PROT_READ;
}

static bool is_same_module_file(const struct lh_region *a, const struct lh_region *b)
{
	return a->inode == b->inode && a->device_major == b->device_major && a->device_minor == b->device_minor &&
	       !strcmp(a->name, b->name);
}

/* The bss that ends a module: by its kind, or by the module's extent when it has merged with what follows. */
static bool may_be_bss(const struct lh_region *region, uint64_t span_end)
{
	return region->kind == LH_REGION_BSS || (span_end && region->kind == LH_REGION_ANON &&
						 region->protection & LH_PROT_WRITE && region->start == region[-1].end);
}

/*
 * The module's regions from `first` on. With an extent from program headers: all of the file within it. Else: up to
 * where the file begins again. Other mappings may lie between its segments.
 */
static size_t module_end_index(const struct lh_region_list *regions, size_t first, uint64_t span_end)
{
	const struct lh_region *items = regions->regions.items;
	size_t last = first;
	for (size_t i = first + 1; i < regions->regions.count; i++) {
		bool is_inside = span_end ? items[i].start < span_end
					  : items[i].start == items[i - 1].end && items[i].file_offset;
		if (!is_inside && (span_end || items[i].kind != LH_REGION_BSS))
			break;
		bool is_of_file = is_same_module_file(&items[i], &items[first]) && items[i].inode;
		if (is_of_file || (may_be_bss(&items[i], span_end) && i == last + 1))
			last = i;
		else if (!span_end)
			break;
	}
	return last + 1;
}

/* A bss may have merged with memory mapped right behind it: the program headers say where it ends. */
static uint64_t clipped_end(const struct lh_region *last, uint64_t span_end)
{
	bool is_merged = may_be_bss(last, span_end) && span_end > last->start && span_end < last->end;
	return is_merged ? span_end : last->end;
}

static struct lh_error *add_module(const struct lh_region_list *regions, struct lh_module *module, size_t first,
				   uint64_t span_end, struct lh_module_list *list, size_t *ret_next)
{
	const struct lh_region *region = &regions->regions.items[first];
	size_t next = module_end_index(regions, first, span_end);
	module->end = clipped_end(&regions->regions.items[next - 1], span_end);
	module->is_deleted = region->is_deleted;
	LH_TRY(lh_strings_pool_add(&list->strings, region->name, strlen(region->name), &module->path));
	LH_TRY(lh_vec_push(&list->modules, *module));
	*ret_next = next;
	return NULL;
}

struct lh_error *lh_modules_find(const struct lh_region_list *regions, lh_memory_reader *read, const void *context,
				 struct lh_module_list *ret)
{
	struct lh_module_list list LH_CLEANUP(lh_module_list_deinit) = {0};
	for (size_t i = 0; i < regions->regions.count;) {
		const struct lh_region *region = &regions->regions.items[i];
		struct lh_module module = {.start = region->start};
		uint64_t span_end = 0;
		bool is_image = may_begin_image(region) && lh_module_probe_span(&module, read, context, &span_end);
		/* An image whose first page is unreadable is still recognized by its text. */
		if (!is_image && !is_module_kind(region) && !is_vdso_region(region)) {
			i++;
			continue;
		}
		LH_TRY(add_module(regions, &module, i, span_end > region->start ? span_end : 0, &list, &i));
	}
	*ret = list;
	list = (struct lh_module_list){0};
	return NULL;
}
