/*
 * foreign: cores that gdb, the kernel or systemd-coredump wrote. NT_FILE names the mapped files, and program headers
 * give protections: together they say what /proc/PID/maps said at that moment. So they become regions again, and proc
 * finds their kinds and the modules as for a live process. Only what maps would name and a core does not (heap, stack,
 * vdso) is inferred here.
 */
#include "notes.h"

#include <stdlib.h>
#include <string.h>

/* The brk heap starts at most 32 MiB (arch_randomize_brk), or 1 GiB with compat settings, after the bss. */
#define BRK_DISTANCE_MAX LH_GIB

/* Linux x86_64, arch/x86/include/uapi/asm/vsyscall.h: VSYSCALL_ADDR. */
#define VSYSCALL_ADDR UINT64_C(0xffffffffff600000)

static int compare_mapped_files(const void *a, const void *b)
{
	const struct lh_file_note *left = a, *right = b;
	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return (left->end > right->end) - (left->end < right->end);
}

static void order_files(struct lh_core_notes *notes)
{
	if (!notes->files.count)
		return;
	lh_vec_sort(&notes->files, compare_mapped_files);
	size_t kept = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < notes->files.count; i++) {
		struct lh_file_note file = notes->files.items[i];
		if (file.start < end)
			continue;
		end = file.end;
		notes->files.items[kept++] = file;
	}
	notes->files.count = kept;
}

static struct lh_error *annotate_with_files(struct lh_image *image, const struct lh_core_notes *notes)
{
	struct lh_annotations annotations LH_CLEANUP(lh_annotations_deinit) = {0};
	for (size_t i = 0; i < notes->files.count; i++) {
		const struct lh_file_note *file = &notes->files.items[i];
		LH_TRY(lh_vec_push(&annotations.items, (struct lh_annotation){.start = file->start,
									      .end = file->end,
									      .kind = LH_REGION_FILE,
									      .name = file->path,
									      .thread_name = ""}));
	}
	return lh_image_annotate(image, &annotations);
}

/* ---------------------------------------------------------------- regions again */

struct region_builder {
	const struct lh_image *image;
	const struct lh_core_notes *notes;
	struct lh_region_list *list;
	size_t next_file;
	const char *elf_path; /* the latest file whose ELF header the core holds, or NULL */
};

/* Replaces the inode, which a core lacks: FNV-1a of the path. */
static uint64_t path_id(const char *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
	return hash | 1;
}

static void note_elf_header(struct region_builder *builder, const struct lh_file_note *file)
{
	char magic[4];
	if (!file->offset_bytes && lh_image_read(builder->image, file->start, magic, 4) == 4 &&
	    memcmp(magic, "\177ELF", 4) == 0)
		builder->elf_path = file->path;
}

/* The region of [start, end), which lies within `file` unless that is NULL. */
static struct lh_region foreign_region_of(struct region_builder *builder, uint64_t start, uint64_t end,
					  const struct lh_file_note *file)
{
	struct lh_region region = {
		.start = start,
		.end = end,
		.kind = LH_REGION_ANON,
		.name = "",
		.thread_name = "",
	};
	if (!file)
		return region;
	uint64_t offset;
	note_elf_header(builder, file);
	region.name = file->path;
	region.is_deleted = file->is_deleted;
	region.inode = path_id(file->path);
	if (lh_add_u64(file->offset_bytes, start - file->start, &offset))
		region.file_offset = offset;
	return region;
}

/*
 * A mapping without a segment in the core. gdb omits what the process cannot have changed: text and constants of an ELF
 * file.
 */
static struct lh_region missing_region(struct region_builder *builder, uint64_t start, uint64_t end,
				       const struct lh_file_note *file)
{
	struct lh_region region = foreign_region_of(builder, start, end, file);
	bool is_elf = builder->elf_path && strcmp(builder->elf_path, file->path) == 0;
	region.protection = is_elf ? LH_PROT_READ | LH_PROT_EXEC : LH_PROT_READ;
	return region;
}

/* Adds the files' mappings in [from, until) that have no segment in the core. */
static struct lh_error *add_missing(struct region_builder *builder, uint64_t from, uint64_t until)
{
	const struct lh_file_note *files = builder->notes->files.items;
	size_t count = builder->notes->files.count;
	for (; builder->next_file < count && files[builder->next_file].start < until; builder->next_file++) {
		const struct lh_file_note *file = &files[builder->next_file];
		uint64_t start = lh_max_u64(file->start, from), end = lh_min_u64(file->end, until);
		if (start < end)
			LH_TRY(lh_vec_push(&builder->list->regions, missing_region(builder, start, end, file)));
		if (file->end > until)
			break;
	}
	return NULL;
}

/* Segments are cut at the borders of files: each lies within one file, or outside of all. */
static struct lh_error *add_foreign_segment(struct region_builder *builder, const struct lh_segment *segment)
{
	const struct lh_file_note *file = builder->next_file < builder->notes->files.count
						  ? &builder->notes->files.items[builder->next_file]
						  : NULL;
	bool is_inside = file && file->start <= segment->start && segment->end <= file->end;
	struct lh_region region = foreign_region_of(builder, segment->start, segment->end, is_inside ? file : NULL);
	region.protection = segment->protection;
	return lh_vec_push(&builder->list->regions, region);
}

static struct lh_error *regions_of_core(const struct lh_image *image, const struct lh_core_notes *notes,
					struct lh_region_list *ret)
{
	struct region_builder builder = {.image = image, .notes = notes, .list = ret};
	uint64_t from = 0;
	for (size_t i = 0; i < image->segments.count; i++) {
		const struct lh_segment *segment = &image->segments.items[i];
		LH_TRY(add_missing(&builder, from, segment->start));
		LH_TRY(add_foreign_segment(&builder, segment));
		from = segment->end;
	}
	return add_missing(&builder, from, UINT64_MAX);
}

/* ---------------------------------------------------------------- what maps would name */

static struct lh_region *find_region(struct lh_region_list *list, uint64_t addr)
{
	const struct lh_region *found = addr ? lh_regions_find(list, addr) : NULL;
	return found ? &list->regions.items[found - list->regions.items] : NULL;
}

static void name_region(struct lh_region_list *list, uint64_t addr, const char *name)
{
	struct lh_region *region = find_region(list, addr);
	if (region && !*region->name)
		region->name = name;
}

/* A kernel's core starts with the thread that crashed, not with the main one. */
static const struct lh_image_thread *main_thread(const struct lh_image *image)
{
	for (size_t i = 0; i < image->threads.count; i++) {
		if (image->threads.items[i].tid == image->pid)
			return &image->threads.items[i];
	}
	return image->threads.count ? &image->threads.items[0] : NULL;
}

static bool is_anonymous_data(const struct lh_region *region)
{
	return !*region->name && (region->protection & LH_PROT_WRITE);
}

/* The first writable anonymous region after the executable and its bss. */
static void name_heap(struct lh_region_list *list, uint64_t program_headers_addr)
{
	const struct lh_region *first = find_region(list, program_headers_addr);
	if (!first || !*first->name)
		return;
	const struct lh_region *end = list->regions.items + list->regions.count;
	const struct lh_region *last = first;
	while (last + 1 < end && strcmp(last[1].name, first->name) == 0)
		last++;
	const struct lh_region *heap = last + 1;
	if (heap < end && heap->start == last->end && is_anonymous_data(heap))
		heap++;
	if (heap < end && is_anonymous_data(heap) && heap->start - last->end < BRK_DISTANCE_MAX)
		name_region(list, heap->start, "[heap]");
}

static void name_special_regions(const struct lh_image *image, const struct lh_core_notes *notes,
				 struct lh_region_list *list)
{
	const struct lh_image_thread *main = main_thread(image);
	name_region(list, notes->vdso_addr, "[vdso]");
	name_region(list, VSYSCALL_ADDR, "[vsyscall]");
	name_region(list, main ? main->stack_pointer : 0, "[stack]");
	name_heap(list, notes->program_headers_addr);
}

static void set_thread_stacks(const struct lh_image *image, struct lh_region_list *list)
{
	for (size_t i = 0; i < image->threads.count; i++) {
		struct lh_region *region = find_region(list, image->threads.items[i].stack_pointer);
		if (region && is_anonymous_data(region)) {
			region->kind = LH_REGION_THREAD_STACK;
			region->tid = image->threads.items[i].tid;
		}
	}
}

static void give_kinds_to_segments(struct lh_image *image, const struct lh_region_list *list)
{
	for (size_t i = 0; i < image->segments.count; i++) {
		struct lh_segment *segment = &image->segments.items[i];
		const struct lh_region *region = lh_regions_find(list, segment->start);
		if (region) {
			segment->kind = region->kind;
			segment->name = region->name;
		}
	}
}

static struct lh_error *name_main_thread(struct lh_image *image, const char *command)
{
	const struct lh_image_thread *main = main_thread(image);
	if (!main)
		return NULL;
	size_t index = (size_t)(main - image->threads.items);
	return lh_strings_pool_add(&image->strings, command, strlen(command), &image->threads.items[index].name);
}

struct lh_error *lh_foreign_apply(struct lh_image *image, struct lh_core_notes *notes)
{
	struct lh_region_list list LH_CLEANUP(lh_region_list_deinit) = {0};
	LH_TRY(lh_link_map_add_files(image, notes));
	order_files(notes);
	LH_TRY(name_main_thread(image, notes->command));
	LH_TRY(annotate_with_files(image, notes));
	LH_TRY(regions_of_core(image, notes, &list));
	name_special_regions(image, notes, &list);
	lh_regions_set_textual_kinds(&list);
	set_thread_stacks(image, &list);
	give_kinds_to_segments(image, &list);
	return lh_modules_find(&list, lh_image_reader, image, &image->modules);
}
