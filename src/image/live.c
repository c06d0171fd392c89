/*
 * live: a running process as an image. Bytes are read on demand, and only from pages that pagemap reports present:
 * reading never swaps in, faults in, or fills the page cache. The target is never stopped, so bytes may change between
 * two reads.
 */
#include "leakhunt/process.h"
#include "leakhunt/tasks.h"
#include "view.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIVE_BLOCK_BYTES ((size_t)4 * 1024 * 1024)

/* Bytes per pagemap query: bounds the list of runs and the time under mmap_lock. */
#define WINDOW_BYTES (256 * LH_MIB)

/* ---------------------------------------------------------------- opening */

static bool is_private_anonymous(const struct lh_region *region)
{
	if (lh_region_kind_is_heap(region->kind))
		return true;
	switch (region->kind) {
	case LH_REGION_MAIN_STACK:
	case LH_REGION_THREAD_STACK:
	case LH_REGION_ANON:
		return true;
	case LH_REGION_HUGETLB:
		return !region->is_shared;
	default:
		return false;
	}
}

/* [vvar] and [vsyscall] can't be read from outside (VM_PFNMAP and the gate area: mm/gup.c). */
static bool is_readable(const struct lh_region *region)
{
	bool is_unreadable_special = region->kind == LH_REGION_VDSO && strcmp(region->name, "[vdso]") != 0;
	return (region->protection & LH_PROT_READ) && !region->is_io && !is_unreadable_special;
}

static struct lh_error *add_regions(struct lh_image *image)
{
	for (size_t i = 0; i < image->regions.regions.count; i++) {
		const struct lh_region *region = &image->regions.regions.items[i];
		if (!is_readable(region))
			continue;
		LH_TRY(lh_vec_push(&image->segments, (struct lh_segment){
							     .start = region->start,
							     .end = region->end,
							     .file_offset = LH_NO_OFFSET,
							     .protection = region->protection,
							     .is_context = !is_private_anonymous(region),
							     .is_ended_stack = region->is_ended_stack,
							     .kind = region->kind,
							     .name = region->name,
							     .thread_name = region->thread_name,
						     }));
	}
	return NULL;
}

static void cleanup_tasks(struct lh_task_list *list)
{
	lh_vec_deinit(&list->tasks);
}

static struct lh_error *add_threads(struct lh_image *image)
{
	struct lh_task_list list LH_CLEANUP(cleanup_tasks) = {0};
	LH_TRY(lh_tasks_read(image->process, &list));
	for (size_t i = 0; i < list.tasks.count; i++) {
		const struct lh_task *task = &list.tasks.items[i];
		struct lh_image_thread thread = {.tid = task->tid, .stack_pointer = task->stack_pointer};
		LH_TRY(lh_strings_pool_add(&image->strings, task->name, strnlen(task->name, sizeof(task->name)),
					   &thread.name));
		LH_TRY(lh_vec_push(&image->threads, thread));
	}
	return NULL;
}

static struct lh_error *set_root(struct lh_image *image)
{
	char root[PATH_MAX];
	char *copy = strdup(lh_process_root(image->process, root, sizeof(root)));
	if (!copy)
		return lh_error_no_memory();
	free(image->root);
	image->root = copy;
	return NULL;
}

/*
 * Reads the bytes of an unmodified file mapping from the file: a forked process has the pages of its libraries' headers
 * only after touching them. 0 unless the file is still the mapped one.
 */
static size_t read_mapped_file(const struct lh_image *image, const struct lh_region *region, uint64_t addr, void *ret,
			       size_t bytes)
{
	uint64_t offset;
	if (region->name[0] != '/' || (region->protection & LH_PROT_WRITE) ||
	    !lh_add_u64(region->file_offset, addr - region->start, &offset) || offset > INT64_MAX)
		return 0;
	LH_CLEANUP(lh_cleanup_close) int fd = lh_process_open_mapped(image->process, region);
	ssize_t got = fd < 0 ? 0 : pread(fd, ret, lh_min_u64(bytes, region->end - addr), (off_t)offset);
	return got > 0 ? (size_t)got : 0;
}

/* lh_memory_reader for the headers of modules. */
static size_t read_module_header(const void *context, uint64_t addr, void *ret, size_t bytes)
{
	const struct lh_image *image = context;
	size_t got = lh_live_read(image, addr, ret, bytes);
	const struct lh_region *region = got < bytes ? lh_regions_find(&image->regions, addr) : NULL;
	return region ? lh_max_u64(got, read_mapped_file(image, region, addr, ret, bytes)) : got;
}

int lh_image_open_module(const struct lh_image *image, const struct lh_module *module)
{
	const struct lh_region *region = image->process ? lh_regions_find(&image->regions, module->start) : NULL;
	return region ? lh_process_open_mapped(image->process, region) : -1;
}

/* Without either, modules have the names of their files. */
static void note_program(struct lh_image *image)
{
	struct lh_buffer auxv LH_CLEANUP(lh_buffer_deinit) = {0}, arguments LH_CLEANUP(lh_buffer_deinit) = {0};
	struct lh_error *error = lh_process_read_file(image->process, "auxv", &auxv);
	if (!error)
		error = lh_process_read_file(image->process, "cmdline", &arguments);
	lh_error_destroy(error);
	Elf64_auxv_t entry;
	for (size_t at = 0; at + sizeof(entry) <= auxv.length; at += sizeof(entry)) {
		memcpy(&entry, auxv.data + at, sizeof(entry));
		if (entry.a_type == AT_PHDR)
			image->program_addr = entry.a_un.a_val;
		if (entry.a_type == AT_MINSIGSTKSZ)
			image->signal_frame_bytes = entry.a_un.a_val;
	}
	if (arguments.length)
		lh_image_note_called(image, lh_process_command(image->process), arguments.data);
}

struct lh_error *lh_image_open_process(const struct lh_process *process, struct lh_image **ret)
{
	LH_CLEANUP(lh_cleanup_image) struct lh_image *image = NULL;
	char name[32];
	snprintf(name, sizeof(name), "pid %d", (int)lh_process_pid(process));
	LH_TRY(lh_image_create(LH_IMAGE_PROCESS, name, &image));
	image->process = process;
	image->pid = lh_process_pid(process);
	image->has_addresses = true;
	LH_TRY(set_root(image));
	note_program(image);
	LH_TRY(lh_regions_read(process, LH_REGIONS_MAPS, &image->regions));
	LH_TRY(lh_pagemap_open(process, &image->pagemap));
	LH_TRY(add_regions(image));
	LH_TRY(add_threads(image));
	LH_TRY(lh_modules_find(&image->regions, read_module_header, image, &image->modules));
	*ret = image;
	image = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- reading */

/* Where the adjoining segments from `segment` on end; at most `until`. */
static uint64_t adjoining_end(const struct lh_image *image, const struct lh_segment *segment, uint64_t until)
{
	const struct lh_segment *end = image->segments.items + image->segments.count;
	while (segment->end < until && segment + 1 < end && segment[1].start == segment->end)
		segment++;
	return lh_min_u64(segment->end, until);
}

/* How much from `addr` on is present, up to `until`. 0 when pagemap does not tell. */
static uint64_t present_until(const struct lh_image *image, uint64_t addr, uint64_t until)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	struct lh_range range = {lh_align_down(addr, LH_PAGE_BYTES), lh_align_up(until, LH_PAGE_BYTES)};
	struct lh_error *error = lh_pagemap_runs(image->pagemap, range, &runs);
	const struct lh_page_run *first = runs.runs.count ? &runs.runs.items[0] : NULL;
	bool is_present = !error && first && first->state == LH_PAGES_PRESENT && first->range.start <= addr;
	lh_error_destroy(error);
	return is_present ? lh_min_u64(first->range.end, until) : addr;
}

size_t lh_live_read(const struct lh_image *image, uint64_t addr, void *ret, size_t bytes)
{
	const struct lh_segment *segment = lh_image_find(image, addr);
	uint64_t until;
	if (!segment || !lh_add_u64(addr, bytes, &until))
		return 0;
	until = adjoining_end(image, segment, until);
	size_t done = 0;
	while (addr + done < until) {
		uint64_t window_end = lh_min_u64(until, addr + done + WINDOW_BYTES);
		size_t present = present_until(image, addr + done, window_end) - (addr + done);
		size_t got = present ? lh_process_read(image->process, addr + done, (uint8_t *)ret + done, present) : 0;
		done += got;
		if (!got || addr + done < window_end)
			break;
	}
	return done;
}

/* ---------------------------------------------------------------- walking */

/* The buffer holds LH_BLOCK_OVERLAP bytes before a block, the block, and as many after it. */
struct live_walk {
	struct lh_image *image;
	lh_block_visitor *visit;
	void *context;
	uint8_t *buffer;
	uint64_t visited_end; /* where the last block's own bytes ended; LH_NO_OFFSET before the first */
	size_t kept_bytes;    /* of what lies before visited_end, at the end of the buffer's first part */
};

/* Moves the end of the block to where the next block's predecessor must lie. */
static void keep_tail(struct live_walk *walk, size_t before, size_t bytes, uint64_t end)
{
	uint8_t *data = walk->buffer + LH_BLOCK_OVERLAP;
	size_t kept = lh_min_u64(before + bytes, LH_BLOCK_OVERLAP);
	memmove(data - kept, data + bytes - kept, kept);
	walk->kept_bytes = kept;
	walk->visited_end = end;
}

static struct lh_error *visit_bytes(struct live_walk *walk, const struct lh_segment *segment, uint64_t addr,
				    size_t bytes, size_t after)
{
	bool is_continued = addr == walk->visited_end;
	struct lh_block block = {
		.addr = addr,
		.file_offset = LH_NO_OFFSET,
		.data = walk->buffer + LH_BLOCK_OVERLAP,
		.bytes = bytes,
		.bytes_before = is_continued ? walk->kept_bytes : 0,
		.bytes_after = after,
		.is_continued = is_continued,
		.segment = segment,
	};
	struct lh_error *error = walk->visit(walk->context, &block);
	keep_tail(walk, block.bytes_before, bytes, addr + bytes);
	return error;
}

/* Visits `owned`, which pagemap reported present; the visitor may look at bytes up to `readable_end`. */
static struct lh_error *walk_run(struct live_walk *walk, const struct lh_segment *segment, struct lh_range owned,
				 uint64_t readable_end)
{
	uint64_t at = owned.start;
	while (at < owned.end) {
		size_t bytes = lh_min_u64(LIVE_BLOCK_BYTES, owned.end - at);
		size_t after = lh_min_u64(LH_BLOCK_OVERLAP, readable_end - (at + bytes));
		size_t got = lh_process_read(walk->image->process, at, walk->buffer + LH_BLOCK_OVERLAP, bytes + after);
		size_t owned_bytes = lh_min_u64(got, bytes);
		if (owned_bytes)
			LH_TRY(visit_bytes(walk, segment, at, owned_bytes, got - owned_bytes));
		at += owned_bytes;
		if (got >= bytes)
			continue;
		/* Unmapped meanwhile, or the whole process is gone. */
		LH_TRY(lh_process_check(walk->image->process));
		uint64_t lost_end = lh_min_u64(lh_align_down(at, LH_PAGE_BYTES) + LH_PAGE_BYTES, owned.end);
		LH_TRY(lh_image_add_gap(walk->image, at, lost_end, LH_GAP_UNREADABLE));
		at = lost_end;
	}
	return NULL;
}

/* The part of a run within `window`; what lies beyond it is the next window's. */
static struct lh_error *walk_window_run(struct live_walk *walk, const struct lh_segment *segment,
					struct lh_range window, const struct lh_page_run *run)
{
	struct lh_range owned = {lh_max_u64(run->range.start, window.start), lh_min_u64(run->range.end, window.end)};
	if (owned.start >= owned.end)
		return NULL;
	if (run->state != LH_PAGES_PRESENT)
		return lh_image_add_gap(walk->image, owned.start, owned.end, LH_GAP_SWAPPED);
	return walk_run(walk, segment, owned, run->range.end);
}

static struct lh_error *walk_window(struct live_walk *walk, const struct lh_segment *segment, struct lh_range window)
{
	struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
	uint64_t end = adjoining_end(walk->image, segment, window.end + LH_BLOCK_OVERLAP);
	LH_TRY(lh_pagemap_runs(walk->image->pagemap, (struct lh_range){window.start, end}, &runs));
	/* The pagemap of a process that ended is empty. */
	if (!runs.runs.count)
		return lh_process_check(walk->image->process);
	for (size_t i = 0; i < runs.runs.count; i++)
		LH_TRY(walk_window_run(walk, segment, window, &runs.runs.items[i]));
	return NULL;
}

static struct lh_error *walk_live_segment(struct live_walk *walk, const struct lh_segment *segment)
{
	for (uint64_t at = segment->start; at < segment->end;) {
		uint64_t end = lh_min_u64(segment->end - at, WINDOW_BYTES) + at;
		LH_TRY(walk_window(walk, segment, (struct lh_range){at, end}));
		at = end;
	}
	return NULL;
}

static struct lh_error *walk_live_segments(struct live_walk *walk, unsigned flags)
{
	for (size_t i = 0; i < walk->image->segments.count; i++) {
		if (lh_segment_is_walked(&walk->image->segments.items[i], flags))
			LH_TRY(walk_live_segment(walk, &walk->image->segments.items[i]));
	}
	return NULL;
}

/* Gaps are those of the latest walk. */
struct lh_error *lh_live_walk(struct lh_image *image, unsigned flags, lh_block_visitor *visit, void *context)
{
	struct live_walk walk = {
		.image = image,
		.visit = visit,
		.context = context,
		.buffer = malloc(LIVE_BLOCK_BYTES + 2 * LH_BLOCK_OVERLAP),
		.visited_end = LH_NO_OFFSET,
	};
	image->gaps.count = 0;
	struct lh_error *error = walk.buffer ? walk_live_segments(&walk, flags) : lh_error_no_memory();
	free(walk.buffer);
	return error;
}

static uint64_t present_bytes(const struct lh_image *image, const struct lh_segment *segment)
{
	uint64_t total = 0;
	for (uint64_t at = segment->start; at < segment->end;) {
		struct lh_page_runs runs LH_CLEANUP(lh_page_runs_deinit) = {0};
		uint64_t end = lh_min_u64(segment->end - at, WINDOW_BYTES) + at;
		struct lh_error *error = lh_pagemap_runs(image->pagemap, (struct lh_range){at, end}, &runs);
		if (error)
			total += end - at;
		lh_error_destroy(error);
		for (size_t i = 0; !error && i < runs.runs.count; i++)
			total += runs.runs.items[i].state == LH_PAGES_PRESENT ? lh_range_bytes(runs.runs.items[i].range)
									      : 0;
		at = end;
	}
	return total;
}

uint64_t lh_live_walk_bytes(const struct lh_image *image, unsigned flags)
{
	uint64_t total = 0;
	for (size_t i = 0; i < image->segments.count; i++) {
		if (lh_segment_is_walked(&image->segments.items[i], flags))
			total += present_bytes(image, &image->segments.items[i]);
	}
	return total;
}
