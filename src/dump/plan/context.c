/*
 * context: picks the few pages besides the requested regions that debuggers and later analysis need. Reads only present
 * pages of the target, at most a few hundred. Their contents are hostile: every pointer is checked against the
 * mappings.
 */
#include "context.h"
#include "plan.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum {
	RED_ZONE_BYTES = 128,
	LINK_MAPS_MAX = 4096,
	PROGRAM_HEADERS_MAX = 64,
	DYNAMIC_ENTRIES_MAX = 256,
};

/* A stack pointer may lie in a large mapping that is no stack (coroutines): do not include all of it. */
#define STACK_CONTEXT_MAX (64 * LH_MIB)
/* The dynamic linker's early malloc and the main thread's TLS lie in small mappings beside the libraries. */
#define LINKER_ANON_MAX (256 * LH_KIB)

/* The pages that hold [addr, addr + bytes), cut to the mapping of `addr`; nothing when there is none. */
static struct lh_error *add_context_pages(const struct lh_region_list *list, uint64_t addr, uint64_t bytes,
					  struct lh_ranges *ret)
{
	const struct lh_region *region = lh_regions_find(list, addr);
	if (!region)
		return NULL;
	struct lh_range range = {.start = lh_align_down(addr, LH_PAGE_BYTES), .end = region->end};
	if (bytes < region->end - addr)
		range.end = lh_align_up(addr + bytes, LH_PAGE_BYTES);
	return lh_vec_push(&ret->items, range);
}

static bool read_exactly(const struct lh_present_reader *reader, uint64_t addr, void *ret, size_t bytes)
{
	return lh_present_read(reader, addr, ret, bytes) == bytes;
}

/* ---------------------------------------------------------------- the dynamic linker's list */

/* Where the program's own program headers lie, from the auxiliary vector (getauxval(3)). */
static bool find_program_headers(const struct lh_process *process, uint64_t *ret_addr, size_t *ret_count)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error LH_CLEANUP(lh_cleanup_error) = lh_process_read_file(process, "auxv", &text);
	if (error)
		return false;
	struct lh_cursor cursor = lh_cursor_over(text.data, text.length);
	uint64_t addr = 0, count = 0;
	while (lh_cursor_left(&cursor) >= 16) {
		uint64_t type = lh_cursor_le64(&cursor), value = lh_cursor_le64(&cursor);
		if (type == AT_PHDR)
			addr = value;
		else if (type == AT_PHNUM)
			count = value;
	}
	if (!addr || !count || count > PROGRAM_HEADERS_MAX)
		return false;
	*ret_addr = addr;
	*ret_count = (size_t)count;
	return true;
}

/* The address of the program's dynamic section; 0 when it is static. */
static uint64_t find_dynamic(const struct lh_process *process, const struct lh_present_reader *reader)
{
	uint64_t headers_addr;
	size_t count;
	Elf64_Phdr headers[PROGRAM_HEADERS_MAX] = {0};
	if (!find_program_headers(process, &headers_addr, &count) ||
	    !read_exactly(reader, headers_addr, headers, count * sizeof(headers[0])))
		return 0;
	uint64_t bias = 0, dynamic = 0;
	for (size_t i = 0; i < count; i++) {
		if (headers[i].p_type == PT_PHDR)
			bias = headers_addr - headers[i].p_vaddr;
		else if (headers[i].p_type == PT_DYNAMIC)
			dynamic = headers[i].p_vaddr;
	}
	return dynamic ? bias + dynamic : 0;
}

/* struct r_debug, by the program's DT_DEBUG (glibc elf/link.h; gdb's solib-svr4.c finds it the same way). */
static uint64_t find_r_debug(const struct lh_present_reader *reader, uint64_t dynamic)
{
	for (size_t i = 0; i < DYNAMIC_ENTRIES_MAX; i++) {
		Elf64_Dyn entry;
		if (!read_exactly(reader, dynamic + i * sizeof(entry), &entry, sizeof(entry)) || entry.d_tag == DT_NULL)
			return 0;
		if (entry.d_tag == DT_DEBUG)
			return entry.d_un.d_ptr;
	}
	return 0;
}

/* The public head of struct link_map (glibc elf/link.h). */
struct link_map_head {
	uint64_t l_addr;
	uint64_t l_name;
	uint64_t l_ld;
	uint64_t l_next;
	uint64_t l_prev;
};

struct r_debug_head {
	uint64_t r_version;
	uint64_t r_map;
};

static struct lh_error *add_link_maps(const struct lh_process *process, const struct lh_region_list *list,
				      const struct lh_present_reader *reader, struct lh_ranges *ret)
{
	enum { LINK_MAP_BYTES = 2048, NAME_BYTES = 4096, DYNAMIC_BYTES = 4096 };
	uint64_t dynamic = find_dynamic(process, reader);
	uint64_t r_debug = dynamic ? find_r_debug(reader, dynamic) : 0;
	struct r_debug_head head;
	if (!r_debug || !read_exactly(reader, r_debug, &head, sizeof(head)))
		return NULL;
	LH_TRY(add_context_pages(list, dynamic, DYNAMIC_BYTES, ret));
	LH_TRY(add_context_pages(list, r_debug, sizeof(head), ret));
	uint64_t at = head.r_map;
	for (size_t i = 0; at && i < LINK_MAPS_MAX; i++) {
		struct link_map_head map;
		if (!read_exactly(reader, at, &map, sizeof(map)))
			return NULL;
		LH_TRY(add_context_pages(list, at, LINK_MAP_BYTES, ret));
		LH_TRY(add_context_pages(list, map.l_name, NAME_BYTES, ret));
		LH_TRY(add_context_pages(list, map.l_ld, DYNAMIC_BYTES, ret));
		at = map.l_next;
	}
	return NULL;
}

/* ---------------------------------------------------------------- mappings */

static bool adjoins_named(const struct lh_region_list *list, size_t i)
{
	const struct lh_region *regions = list->regions.items;
	if (i && regions[i - 1].end == regions[i].start && regions[i - 1].name[0] == '/')
		return true;
	return i + 1 < list->regions.count && regions[i + 1].start == regions[i].end && regions[i + 1].name[0];
}

/* A module's bss that merged with the larger memory behind it, which gave the mapping its kind. */
static struct lh_error *add_merged_bss(const struct lh_region_list *list, const struct lh_module *module,
				       struct lh_ranges *ret)
{
	const struct lh_region *region = lh_regions_find(list, module->end - 1);
	if (!region || region->kind != LH_REGION_ANON)
		return NULL;
	return lh_vec_push(&ret->items, (struct lh_range){region->start, module->end});
}

/* HotSpot maps classes, their names and some objects from its archive (cds/filemap.hpp): without them no object of the
 * Java heap has a type. */
static bool is_class_archive(const struct lh_region *region)
{
	static const char suffix[] = ".jsa";
	size_t length = strlen(region->name);
	return length > strlen(suffix) && strcmp(region->name + length - strlen(suffix), suffix) == 0;
}

static bool is_context(const struct lh_region_list *list, size_t i)
{
	const struct lh_region *region = &list->regions.items[i];
	switch (region->kind) {
	case LH_REGION_DATA:
	case LH_REGION_BSS:
		return region->protection & LH_PROT_READ;
	case LH_REGION_FILE:
	case LH_REGION_TEXT:
	case LH_REGION_RODATA:
		return region->protection & LH_PROT_READ && is_class_archive(region);
	case LH_REGION_VDSO:
		return strcmp(region->name, "[vdso]") == 0;
	case LH_REGION_ANON:
	case LH_REGION_MMAP_CHUNK:
		return region->end - region->start <= LINKER_ANON_MAX && adjoins_named(list, i);
	default:
		return false;
	}
}

static struct lh_error *add_stack(const struct lh_region_list *list, uint64_t stack_pointer, uint64_t slack_bytes,
				  struct lh_ranges *ret)
{
	if (stack_pointer < RED_ZONE_BYTES)
		return NULL;
	const struct lh_region *region = lh_regions_find(list, stack_pointer);
	if (!region)
		return NULL;
	struct lh_range range = {.start = lh_align_down(stack_pointer - RED_ZONE_BYTES, LH_PAGE_BYTES),
				 .end = region->end};
	range.start = lh_max_u64(range.start - lh_min_u64(range.start, slack_bytes), region->start);
	if (region->kind != LH_REGION_MAIN_STACK && range.end - range.start > STACK_CONTEXT_MAX)
		range.end = range.start + STACK_CONTEXT_MAX;
	return lh_vec_push(&ret->items, range);
}

/* The stack pointer of a running thread is unknown; the main thread's stack is this mapping. */
static struct lh_error *add_main_stack(const struct lh_region_list *list, struct lh_ranges *ret)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (region->kind == LH_REGION_MAIN_STACK)
			LH_TRY(lh_vec_push(&ret->items, (struct lh_range){region->start, region->end}));
	}
	return NULL;
}

static bool has_file(const struct lh_region_list *list, const char *name)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		const char *slash = strrchr(list->regions.items[i].name, '/');
		if (slash && strcmp(slash + 1, name) == 0)
			return true;
	}
	return false;
}

/* Classes that HotSpot has loaded lie in private memory of their own, beside the heap (memory/metaspace.hpp). */
static struct lh_error *add_class_space(const struct lh_region_list *list, struct lh_ranges *ret)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (region->kind == LH_REGION_ANON && region->protection == (LH_PROT_READ | LH_PROT_WRITE))
			LH_TRY(lh_vec_push(&ret->items, (struct lh_range){region->start, region->end}));
	}
	return NULL;
}

static struct lh_error *add_mappings(const struct lh_region_list *list, struct lh_ranges *ret)
{
	if (has_file(list, "libjvm.so"))
		LH_TRY(add_class_space(list, ret));
	for (size_t i = 0; i < list->regions.count; i++) {
		struct lh_range range = {list->regions.items[i].start, list->regions.items[i].end};
		if (is_context(list, i))
			LH_TRY(lh_vec_push(&ret->items, range));
	}
	return NULL;
}

struct lh_error *lh_context_collect(const struct lh_process *process, const struct lh_region_list *list,
				    const struct lh_module_list *modules, const struct lh_plan_request *request,
				    struct lh_ranges *ret)
{
	LH_TRY(add_mappings(list, ret));
	for (size_t i = 0; i < request->stack_pointer_count; i++)
		LH_TRY(add_stack(list, request->stack_pointers[i], request->stack_slack_bytes, ret));
	if (request->stack_slack_bytes)
		LH_TRY(add_main_stack(list, ret));
	for (size_t i = 0; i < modules->modules.count; i++) {
		LH_TRY(add_context_pages(list, modules->modules.items[i].start, LH_PAGE_BYTES, ret));
		LH_TRY(add_merged_bss(list, &modules->modules.items[i], ret));
	}
	LH_CLEANUP(lh_cleanup_pagemap) struct lh_pagemap *pagemap = NULL;
	LH_TRY(lh_pagemap_open(process, &pagemap));
	struct lh_present_reader reader = {.process = process, .pagemap = pagemap};
	return add_link_maps(process, list, &reader, ret);
}
