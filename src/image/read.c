/*
 * read: bytes of an image from any backing: a mapped file, frames of a compressed file, a live process. A read never
 * crosses a gap, and never leaves the bytes of the file.
 */
#include "file_guard.h"
#include "view.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The first gap that ends after `addr`, or NULL. */
static const struct lh_gap *gap_from(const struct lh_image *image, uint64_t addr)
{
	size_t low = 0, high = image->lost_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (image->gaps.items[middle].range.end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < image->lost_count ? &image->gaps.items[low] : NULL;
}

/* Where the present bytes at `addr` end; `addr` itself when it lies in a gap. */
static uint64_t present_end(const struct lh_image *image, const struct lh_segment *segment, uint64_t addr)
{
	uint64_t end = segment->start + segment->file_bytes;
	if (addr >= end)
		return addr;
	const struct lh_gap *gap = gap_from(image, addr);
	if (gap)
		end = lh_min_u64(end, lh_max_u64(gap->range.start, addr));
	return end;
}

/* As lh_image_view, but where in the file the bytes lie. */
static uint64_t find_in_file(const struct lh_image *image, uint64_t addr, size_t *ret_bytes)
{
	*ret_bytes = 0;
	const struct lh_segment *segment = lh_image_find(image, addr);
	if (!segment)
		return LH_NO_OFFSET;
	uint64_t end = present_end(image, segment, addr);
	if (end == addr)
		return LH_NO_OFFSET;
	*ret_bytes = end - addr;
	return segment->file_offset + (addr - segment->start);
}

const uint8_t *lh_image_view(const struct lh_image *image, uint64_t addr, size_t *ret_bytes)
{
	*ret_bytes = 0;
	uint64_t offset = image->bytes ? find_in_file(image, addr, ret_bytes) : LH_NO_OFFSET;
	return offset == LH_NO_OFFSET ? NULL : image->bytes + offset;
}

bool lh_image_file_read(const struct lh_image *image, uint64_t offset, void *ret, size_t bytes)
{
	if (offset > image->file_bytes || image->file_bytes - offset < bytes)
		return false;
	if (!image->frames) {
		memcpy(ret, image->bytes + offset, bytes);
		return true;
	}
	struct lh_error *error = lh_frames_read(image->frames, offset, ret, bytes);
	lh_error_destroy(error);
	return !error;
}

size_t lh_image_read(const struct lh_image *image, uint64_t addr, void *ret, size_t bytes)
{
	if (image->process)
		return lh_live_read(image, addr, ret, bytes);
	size_t done = 0;
	while (done < bytes) {
		size_t here;
		uint64_t offset = find_in_file(image, addr + done, &here);
		here = lh_min_u64(here, bytes - done);
		if (offset == LH_NO_OFFSET || !lh_image_file_read(image, offset, (uint8_t *)ret + done, here))
			break;
		done += here;
	}
	return done;
}

size_t lh_image_reader(const void *image, uint64_t addr, void *ret, size_t bytes)
{
	return lh_image_read(image, addr, ret, bytes);
}

/* ---------------------------------------------------------------- present bytes of a file image */

/*
 * A character may straddle the border between data and hole (in UTF-16LE 'A' is 41 00, and the 00 may be in the hole):
 * so a little of each hole is walked, enough for every encoding.
 */
enum { HOLE_MARGIN_BYTES = 16 };

/* The file's data within [offset, limit): false when all is a hole; all of it when the file system does not tell. */
static bool next_data_extent(int fd, uint64_t offset, uint64_t limit, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = offset;
	*ret_end = limit;
	if (fd < 0)
		return true;
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
	if (data < 0) /* ENXIO: only a hole up to the end of the file (lseek(2)) */
		return errno != ENXIO;
	if ((uint64_t)data >= limit)
		return false;
	*ret_start = (uint64_t)data;
	off_t hole = lseek(fd, data, SEEK_HOLE);
	if (hole > data)
		*ret_end = lh_min_u64((uint64_t)hole, limit);
	return true;
}

/* The next stretch of file bytes of `segment` at or after `addr` without a gap in it. */
static bool next_without_gap(const struct lh_image *image, const struct lh_segment *segment, uint64_t addr,
			     struct lh_range *ret)
{
	uint64_t file_end = segment->start + segment->file_bytes;
	const struct lh_gap *gap = gap_from(image, addr);
	while (gap && gap->range.start <= addr && addr < file_end) {
		addr = gap->range.end;
		gap = gap_from(image, addr);
	}
	if (addr >= file_end)
		return false;
	*ret = (struct lh_range){addr, gap ? lh_min_u64(gap->range.start, file_end) : file_end};
	return true;
}

bool lh_image_next_present(const struct lh_image *image, const struct lh_segment *segment, uint64_t *addr,
			   uint64_t *ret_end)
{
	uint64_t base = segment->file_offset - segment->start; /* may wrap: only its sums with addresses count */
	struct lh_range range;
	uint64_t at = *addr, data_start, data_end;
	while (next_without_gap(image, segment, at, &range)) {
		at = range.end;
		if (!next_data_extent(image->fd, base + range.start, base + range.end, &data_start, &data_end))
			continue;
		uint64_t start = data_start - base, end = data_end - base;
		*addr = start - range.start > HOLE_MARGIN_BYTES ? start - HOLE_MARGIN_BYTES : range.start;
		*ret_end = range.end - end > HOLE_MARGIN_BYTES ? end + HOLE_MARGIN_BYTES : range.end;
		return true;
	}
	return false;
}

size_t lh_image_bytes_before(const struct lh_image *image, uint64_t addr, size_t limit)
{
	const struct lh_segment *segment = lh_image_find(image, addr);
	const struct lh_segment *first = image->segments.items;
	uint64_t lowest = addr - lh_min_u64(addr, limit);
	uint64_t start = addr;
	while (segment && start > lowest) {
		const struct lh_segment *previous = segment > first ? segment - 1 : NULL;
		start = lh_max_u64(segment->start, lowest);
		bool goes_on = previous && previous->end == segment->start &&
			       previous->file_bytes == previous->end - previous->start &&
			       previous->file_offset + previous->file_bytes == segment->file_offset;
		segment = goes_on ? previous : NULL;
	}
	/* A gap between `start` and `addr` cuts off what is before it. */
	for (const struct lh_gap *gap = gap_from(image, start); gap && gap->range.start < addr;
	     gap = gap_from(image, start))
		start = lh_min_u64(gap->range.end, addr);
	return addr - start;
}

size_t lh_image_bytes_from(const struct lh_image *image, uint64_t addr, size_t limit)
{
	size_t total = 0, here;
	uint64_t next = LH_NO_OFFSET;
	while (total < limit) {
		uint64_t offset = find_in_file(image, addr + total, &here);
		if (offset == LH_NO_OFFSET || (total && offset != next))
			break;
		total += lh_min_u64(here, limit - total);
		next = offset + here;
	}
	return total;
}
