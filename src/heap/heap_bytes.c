/*
 * heap_bytes: bytes of a target for walkers: directly from a mapped dump, else through windows that are read once.
 * Input: target addresses. Output: local bytes, and which pages are resident.
 */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_BYTES = 256 }; /* a longer read counts as several */

/* A window is read at once; if parts are missing, page by page. */
static void fill_window(const struct lh_heap_tour *tour, struct lh_heap_window *window, uint64_t addr)
{
	window->addr = addr;
	window->page_bits = 0;
	size_t got = tour->memory->read(tour->memory->context, addr, window->bytes, LH_WINDOW_BYTES);
	for (size_t page = 0; page < LH_WINDOW_PAGES; page++) {
		size_t offset = page * LH_PAGE_BYTES;
		if (offset + LH_PAGE_BYTES <= got ||
		    tour->memory->read(tour->memory->context, addr + offset, window->bytes + offset, LH_PAGE_BYTES) ==
			    LH_PAGE_BYTES)
			window->page_bits |= UINT32_C(1) << page;
	}
}

static struct lh_heap_window *find_window(struct lh_heap_tour *tour, uint64_t addr)
{
	uint64_t base = lh_align_down(addr, LH_WINDOW_BYTES);
	struct lh_heap_window *window = &tour->sink->windows[base / LH_WINDOW_BYTES % LH_WINDOWS];
	if (!window->bytes) {
		window->bytes = malloc(LH_WINDOW_BYTES);
		window->addr = UINT64_MAX;
	}
	if (window->bytes && window->addr != base)
		fill_window(tour, window, base);
	return window->bytes ? window : NULL;
}

/* The bytes [addr, addr + bytes), which must be within one window. */
static const uint8_t *view_window(struct lh_heap_tour *tour, uint64_t addr, size_t bytes)
{
	const struct lh_heap_window *window = find_window(tour, addr);
	if (!window)
		return NULL;
	size_t offset = addr - window->addr;
	for (size_t page = offset / LH_PAGE_BYTES; page <= (offset + bytes - 1) / LH_PAGE_BYTES; page++) {
		if (!(window->page_bits >> page & 1))
			return NULL;
	}
	return window->bytes + offset;
}

static const uint8_t *copy_windows(struct lh_heap_tour *tour, uint64_t addr, size_t bytes)
{
	struct lh_heap_sink *sink = tour->sink;
	if (!sink->scratch)
		sink->scratch = malloc(LH_WINDOW_BYTES);
	for (size_t done = 0; sink->scratch && done < bytes;) {
		size_t here = lh_min_u64(bytes - done, LH_WINDOW_BYTES - (addr + done) % LH_WINDOW_BYTES);
		const uint8_t *piece = view_window(tour, addr + done, here);
		if (!piece)
			return NULL;
		memcpy(sink->scratch + done, piece, here);
		done += here;
	}
	return sink->scratch;
}

static const uint8_t *view_stretch(struct lh_heap_tour *tour, uint64_t addr, size_t bytes)
{
	struct lh_heap_sink *sink = tour->sink;
	size_t viewed = 0;
	const uint8_t *view = tour->image ? lh_image_view(tour->image, addr, &viewed) : NULL;
	if (!view || viewed < bytes)
		return NULL;
	sink->view = view;
	sink->viewed = (struct lh_range){addr, addr + viewed};
	return view;
}

const uint8_t *lh_heap_bytes(struct lh_heap_tour *tour, uint64_t addr, size_t bytes)
{
	struct lh_heap_sink *sink = tour->sink;
	if (!lh_heap_take_steps(sink, 1 + bytes / STEP_BYTES))
		return NULL;
	if (addr >= sink->viewed.start && addr < sink->viewed.end && sink->viewed.end - addr >= bytes)
		return sink->view + (addr - sink->viewed.start);
	uint64_t end;
	if (!bytes || bytes > LH_WINDOW_BYTES || !lh_add_u64(addr, bytes, &end) ||
	    end > UINT64_MAX - UINT64_C(2) * LH_WINDOW_BYTES)
		return NULL;
	const uint8_t *view = view_stretch(tour, addr, bytes);
	if (view)
		return view;
	if (addr % LH_WINDOW_BYTES + bytes <= LH_WINDOW_BYTES)
		return view_window(tour, addr, bytes);
	return copy_windows(tour, addr, bytes);
}

bool lh_heap_words(struct lh_heap_tour *tour, uint64_t addr, uint64_t *ret, size_t count)
{
	const uint8_t *bytes = lh_heap_bytes(tour, addr, count * sizeof(*ret));
	if (bytes)
		memcpy(ret, bytes, count * sizeof(*ret));
	return bytes;
}

/* The first run that ends after `addr`, searched from the latest one on unless that is past it. */
static size_t find_present_run(const struct lh_heap_sink *sink, uint64_t addr)
{
	const struct lh_page_run *runs = sink->present.runs.items;
	size_t count = sink->present.runs.count, at = sink->present_at;
	if (at && runs[at - 1].range.end > addr)
		at = 0;
	size_t step = 1;
	while (at + step < count && runs[at + step - 1].range.end <= addr) {
		at += step;
		step *= 2;
	}
	size_t low = at, high = lh_min_u64(at + step, count);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (runs[middle].range.end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t lh_heap_next_resident(struct lh_heap_tour *tour, uint64_t addr)
{
	struct lh_heap_sink *sink = tour->sink;
	size_t at = find_present_run(sink, addr);
	sink->present_at = at;
	return at < sink->present.runs.count ? lh_max_u64(sink->present.runs.items[at].range.start, addr) : UINT64_MAX;
}

uint64_t lh_heap_resident_bytes(struct lh_heap_tour *tour, uint64_t start, uint64_t end)
{
	struct lh_heap_sink *sink = tour->sink;
	uint64_t bytes = 0;
	size_t at = find_present_run(sink, start);
	sink->present_at = at;
	for (; at < sink->present.runs.count && sink->present.runs.items[at].range.start < end; at++) {
		struct lh_range run = sink->present.runs.items[at].range;
		uint64_t from = lh_max_u64(run.start, start), to = lh_min_u64(run.end, end);
		bytes += from < to ? to - from : 0;
	}
	return bytes;
}
