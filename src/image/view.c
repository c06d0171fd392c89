/*
 * view: the image as its readers see it: lookups over ordered segments and gaps, for every backing.
 */
#include "view.h"
#include "file_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *lh_image_source_name(enum lh_image_source source)
{
	static const char *const names[] = {
		[LH_IMAGE_DUMP] = "leakhunt dump",   [LH_IMAGE_CORE] = "core",   [LH_IMAGE_RAW] = "raw file",
		[LH_IMAGE_PROCESS] = "live process", [LH_IMAGE_BYTES] = "bytes",
	};
	return names[source];
}

struct lh_error *lh_image_create(enum lh_image_source source, const char *path, struct lh_image **ret)
{
	struct lh_image *image = calloc(1, sizeof(*image));
	if (!image)
		return lh_error_no_memory();
	image->source = source;
	image->fd = -1;
	image->guard = -1;
	image->path = strdup(path);
	image->root = strdup("");
	if (!image->path || !image->root) {
		lh_image_close(image);
		return lh_error_no_memory();
	}
	*ret = image;
	return NULL;
}

void lh_image_close(struct lh_image *image)
{
	if (!image)
		return;
	lh_file_guard_remove(image->guard);
	if (image->mapping)
		munmap(image->mapping, image->file_bytes);
	lh_frames_close(image->frames);
	free(image->notes);
	lh_cleanup_close(&image->fd);
	lh_pagemap_close(image->pagemap);
	lh_region_list_deinit(&image->regions);
	lh_module_list_deinit(&image->modules);
	lh_vec_deinit(&image->segments);
	lh_vec_deinit(&image->gaps);
	lh_vec_deinit(&image->overlaps);
	lh_vec_deinit(&image->threads);
	lh_strings_pool_deinit(&image->strings);
	free(image->path);
	free(image->root);
	free(image);
}

void lh_cleanup_image(struct lh_image **image)
{
	lh_image_close(*image);
}

enum lh_image_source lh_image_source(const struct lh_image *image)
{
	return image->source;
}

const char *lh_image_path(const struct lh_image *image)
{
	return image->path;
}

pid_t lh_image_pid(const struct lh_image *image)
{
	return image->pid;
}

bool lh_image_has_addresses(const struct lh_image *image)
{
	return image->has_addresses;
}

uint64_t lh_image_file_bytes(const struct lh_image *image)
{
	return image->process ? 0 : image->file_bytes;
}

bool lh_image_blocks_stay(const struct lh_image *image)
{
	return !image->process && !image->frames;
}

void lh_image_let_go(const struct lh_image *image, const struct lh_block *block)
{
	uintptr_t first = (uintptr_t)image->mapping, start = (uintptr_t)block->data;
	if (!image->mapping || start < first || start - first >= image->file_bytes)
		return;
	uintptr_t page = lh_align_up(start, LH_PAGE_BYTES), end = lh_align_down(start + block->bytes, LH_PAGE_BYTES);
	if (page < end)
		(void)madvise((uint8_t *)image->mapping + (page - first), end - page, MADV_DONTNEED);
}

uint64_t lh_image_unpacked_bytes(const struct lh_image *image)
{
	return image->unpacked_bytes;
}

const char *lh_image_root(const struct lh_image *image)
{
	return image->root;
}

const struct lh_segment *lh_image_segments(const struct lh_image *image, size_t *ret_count)
{
	*ret_count = image->segments.count;
	return image->segments.items;
}

static bool can_have_image_owner(const struct lh_segment *segment)
{
	return lh_region_kind_is_heap(segment->kind) || segment->kind == LH_REGION_ANON ||
	       segment->kind == LH_REGION_BSS || segment->kind == LH_REGION_THREAD_STACK;
}

void lh_image_take_owners(struct lh_image *image, const struct lh_owners *owners)
{
	for (size_t i = 0; i < image->segments.count; i++) {
		struct lh_segment *segment = &image->segments.items[i];
		struct lh_range range = {segment->start, segment->end};
		if (can_have_image_owner(segment) &&
		    lh_owners_main_kind(owners, range, lh_range_bytes(range), &segment->kind))
			segment->thread_name = "";
	}
}

/* The pieces of a segment inside and outside of `wanted`, which is ascending and disjoint. */
static struct lh_error *add_pieces(struct lh_image *pieces, const struct lh_segment *segment,
				   const struct lh_range *wanted, size_t count)
{
	for (uint64_t at = segment->start; at < segment->end;) {
		while (count && wanted->end <= at)
			wanted++, count--;
		bool is_wanted = count && wanted->start <= at;
		uint64_t border = !count ? segment->end : is_wanted ? wanted->end : wanted->start;
		struct lh_segment piece = *segment;
		piece.start = at;
		piece.end = lh_min_u64(border, segment->end);
		piece.is_context = !is_wanted;
		LH_TRY(lh_vec_push(&pieces->segments, piece));
		at = piece.end;
	}
	return NULL;
}

struct lh_error *lh_image_narrow(struct lh_image *image, const struct lh_range *wanted, size_t count)
{
	struct lh_image pieces = {0};
	struct lh_error *error = NULL;
	for (size_t i = 0; !error && i < image->segments.count; i++)
		error = add_pieces(&pieces, &image->segments.items[i], wanted, count);
	if (error) {
		lh_vec_deinit(&pieces.segments);
		return error;
	}
	lh_vec_deinit(&image->segments);
	image->segments = pieces.segments;
	return NULL;
}

const struct lh_module_list *lh_image_modules(const struct lh_image *image)
{
	return &image->modules;
}

const struct lh_image_thread *lh_image_threads(const struct lh_image *image, size_t *ret_count)
{
	*ret_count = image->threads.count;
	return image->threads.items;
}

const struct lh_module *lh_image_program(const struct lh_image *image)
{
	return lh_module_list_find(&image->modules, image->program_addr);
}

uint64_t lh_image_signal_frame_bytes(const struct lh_image *image)
{
	return image->signal_frame_bytes;
}

const struct lh_image_capture *lh_image_capture(const struct lh_image *image)
{
	return &image->capture;
}

uint64_t lh_image_redaction_key(const struct lh_image *image)
{
	return image->redaction_key;
}

const struct lh_gap *lh_image_gaps(const struct lh_image *image, size_t *ret_count)
{
	*ret_count = image->gaps.count;
	return image->gaps.items;
}

static bool is_loss(const struct lh_gap *gap)
{
	return gap->reason != LH_GAP_NOT_DUMPED && gap->reason != LH_GAP_OVERLAP;
}

struct lh_loss lh_image_loss(const struct lh_image *image)
{
	struct lh_loss loss = {0};
	for (size_t i = 0; i < image->gaps.count; i++) {
		const struct lh_gap *gap = &image->gaps.items[i];
		if (!is_loss(gap))
			continue;
		loss.reason = loss.count ? loss.reason : gap->reason;
		loss.count++;
		loss.bytes += lh_range_bytes(gap->range);
	}
	uint64_t cut_off_bytes = lh_file_guard_lost_bytes(image->guard);
	if (cut_off_bytes) {
		loss.reason = LH_GAP_CUT_OFF;
		loss.count++;
		loss.bytes += cut_off_bytes;
	}
	return loss;
}

const struct lh_segment *lh_image_find(const struct lh_image *image, uint64_t addr)
{
	size_t low = 0, high = image->segments.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct lh_segment *segment = &image->segments.items[middle];
		if (addr < segment->start)
			high = middle;
		else if (addr >= segment->end)
			low = middle + 1;
		else
			return segment;
	}
	return NULL;
}
