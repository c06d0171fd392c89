/*
 * regions_kind: what each mapping is, from the text alone: names, permissions, flags and neighbors. Input: regions in
 * order. Output: kinds. Where the text does not tell, the kind stays anon or file; sizes are never used to guess.
 */
#include "regions.h"

#include <stdlib.h>
#include <string.h>

struct file_id {
	uint64_t device;
	uint64_t inode;
};

struct file_ids {
	LH_VEC(struct file_id) ids;
};

static void file_ids_deinit(struct file_ids *set)
{
	lh_vec_deinit(&set->ids);
}

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

bool lh_region_is_anonymous(const struct lh_region *region)
{
	if (region->is_shared || !*region->name)
		return !region->is_shared;
	/* A private mapping of /dev/zero is anonymous memory under a file's name (drivers/char/mem.c). */
	bool is_zero = !strcmp(region->name, "/dev/zero");
	return is_zero || has_prefix(region->name, "[anon:");
}

static struct file_id file_id_of(const struct lh_region *region)
{
	return (struct file_id){
		.device = (uint64_t)region->device_major << 32 | region->device_minor,
		.inode = region->inode,
	};
}

static int compare_ids(const void *a, const void *b)
{
	const struct file_id *x = a, *y = b;
	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static bool is_same_file(const struct lh_region *a, const struct lh_region *b)
{
	struct file_id x = file_id_of(a), y = file_id_of(b);
	return a->inode && !compare_ids(&x, &y);
}

/* glibc >= 2.39 with glibc.mem.decorate_maps=1 names its own mappings (elf/setvmaname.h, malloc, nptl). */
static bool set_decorated_kind(struct lh_region *region)
{
	static const char stack[] = "[anon: glibc: pthread stack: ";
	if (!strcmp(region->name, "[anon: glibc: malloc arena]")) {
		region->kind = LH_REGION_ARENA;
	} else if (has_prefix(region->name, stack) && region->protection & LH_PROT_WRITE) {
		region->kind = LH_REGION_THREAD_STACK;
		region->tid = (pid_t)strtol(region->name + sizeof(stack) - 1, NULL, 10);
	} else {
		return false;
	}
	return true;
}

static void set_anonymous_kind(struct lh_region *region)
{
	if (!region->protection)
		region->kind = LH_REGION_GUARD;
	else if (!set_decorated_kind(region))
		region->kind = LH_REGION_ANON;
}

/* Names in brackets are the kernel's (fs/proc/task_mmu.c, show_map_vma). */
static void set_bracket_kind(struct lh_region *region)
{
	static const char stack_of[] = "[stack:"; /* Linux 3.4 to 4.4: "[stack:TID]" */
	if (!strcmp(region->name, "[heap]")) {
		region->kind = LH_REGION_HEAP;
	} else if (!strcmp(region->name, "[stack]")) {
		region->kind = LH_REGION_MAIN_STACK;
	} else if (has_prefix(region->name, stack_of)) {
		region->kind = LH_REGION_THREAD_STACK;
		region->tid = (pid_t)strtol(region->name + sizeof(stack_of) - 1, NULL, 10);
	} else if (has_prefix(region->name, "[anon_shmem:")) {
		region->kind = LH_REGION_SHARED;
	} else {
		region->kind = LH_REGION_VDSO;
	}
}

static bool is_shared_memory(const struct lh_region *region)
{
	const char *name = region->name;
	return has_prefix(name, "/SYSV") ||
	       (region->is_shared && (has_prefix(name, "/dev/shm/") || !*name || !strcmp(name, "/dev/zero")));
}

static void set_own_kind(struct lh_region *region)
{
	if (region->is_hugetlb || has_prefix(region->name, "/anon_hugepage"))
		region->kind = LH_REGION_HUGETLB;
	else if (lh_region_is_anonymous(region))
		set_anonymous_kind(region);
	else if (region->name[0] == '[')
		set_bracket_kind(region);
	else if (has_prefix(region->name, "/memfd:"))
		region->kind = LH_REGION_MEMFD;
	else if (is_shared_memory(region))
		region->kind = LH_REGION_SHARED;
	else if (region->protection & LH_PROT_EXEC && region->name[0] == '/')
		region->kind = LH_REGION_TEXT;
	else
		region->kind = LH_REGION_FILE;
}

static bool collect_text_files(const struct lh_region_list *list, struct file_ids *ret)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		const struct lh_region *region = &list->regions.items[i];
		if (region->kind != LH_REGION_TEXT)
			continue;
		struct lh_error *error = lh_vec_push(&ret->ids, file_id_of(region));
		lh_error_destroy(error);
		if (error)
			return false;
	}
	lh_vec_sort(&ret->ids, compare_ids);
	return true;
}

static bool has_text(const struct file_ids *set, const struct lh_region *region)
{
	struct file_id id = file_id_of(region);
	return region->inode && set->ids.count &&
	       bsearch(&id, set->ids.items, set->ids.count, sizeof(id), compare_ids) != NULL;
}

static bool continues_in_file(const struct lh_region *region, const struct lh_region *next)
{
	return region->end == next->start && is_same_file(region, next) &&
	       region->file_offset + (region->end - region->start) == next->file_offset;
}

/*
 * RELRO is the front of the writable segment, made read-only after relocation: it goes on in the
 * writable part without a step in the file, and its pages were written to.
 */
static bool is_relro(const struct lh_region_list *list, size_t index)
{
	const struct lh_region *region = &list->regions.items[index];
	if (region->is_shared || !index || !is_same_file(region - 1, region))
		return false;
	if (list->has_usage)
		return region->usage.anonymous_bytes || region->usage.swap_bytes;
	const struct lh_region *next = index + 1 < list->regions.count ? region + 1 : NULL;
	return next && next->protection & LH_PROT_WRITE && !next->is_shared && continues_in_file(region, next);
}

/* FILE becomes RODATA or DATA where the same file also has text. */
static void set_module_kinds(struct lh_region_list *list, const struct file_ids *text_files)
{
	for (size_t i = 0; i < list->regions.count; i++) {
		struct lh_region *region = &list->regions.items[i];
		if (region->kind != LH_REGION_FILE || region->is_shared || !has_text(text_files, region))
			continue;
		bool is_data = region->protection & LH_PROT_WRITE || is_relro(list, i);
		region->kind = is_data ? LH_REGION_DATA : LH_REGION_RODATA;
	}
}

static void set_bss_kinds(struct lh_region_list *list)
{
	for (size_t i = 1; i < list->regions.count; i++) {
		struct lh_region *region = &list->regions.items[i];
		const struct lh_region *before = region - 1;
		if (region->kind == LH_REGION_ANON && !*region->name && region->protection & LH_PROT_WRITE &&
		    before->kind == LH_REGION_DATA && before->end == region->start)
			region->kind = LH_REGION_BSS;
	}
}

/*
 * Go's heap looks the same (rw-p from a 64 MiB boundary, the rest of it reserved), at addresses from
 * 0xc000000000 on (runtime/malloc.go, mallocinit), where mmap puts nothing by itself.
 */
bool lh_is_go_heap_address(uint64_t addr)
{
	return addr >> 32 >= 0xc0 && addr >> 32 <= 0xff;
}

void lh_regions_set_textual_kinds(struct lh_region_list *list)
{
	struct file_ids text_files LH_CLEANUP(file_ids_deinit) = {0};
	for (size_t i = 0; i < list->regions.count; i++)
		set_own_kind(&list->regions.items[i]);
	if (collect_text_files(list, &text_files))
		set_module_kinds(list, &text_files);
	set_bss_kinds(list);
}
