/*
 * html_fragmentation: a heap by use: live, cached, pinned, trimmable, headers, not in memory. Input: totals of the
 * allocators. The six uses add up to the mapped bytes.
 */
#include "html.h"

#include <string.h>

enum use { USE_LIVE, USE_CACHED, USE_PINNED, USE_TRIMMABLE, USE_OVERHEAD, USE_AWAY, USE_COUNT };

static const struct {
	const char *name;
	const char *note;
	const char *class;
} uses[USE_COUNT] = {
	[USE_LIVE] = {"live", "blocks that are in use", "c-a2"},
	[USE_CACHED] = {"cached", "freed, kept by the allocator for the next request of that size", "c-3"},
	[USE_PINNED] = {"pinned", "freed, but beside live blocks: no trim gives it back", "c-a"},
	[USE_TRIMMABLE] = {"trimmable", "freed in whole pages: what a trim would give back", "c-i"},
	[USE_OVERHEAD] = {"the allocator’s own", "headers, tables, remainders", "c-4"},
	[USE_AWAY] = {"not in memory", "given back, or never touched", "x"},
};

/* Each part takes from what earlier parts have left, so that all add up. */
static uint64_t take_part(uint64_t *left_bytes, uint64_t wanted_bytes)
{
	uint64_t taken = lh_min_u64(*left_bytes, wanted_bytes);
	*left_bytes -= taken;
	return taken;
}

static void split_heap(const struct lh_heap_totals *totals, uint64_t ret[USE_COUNT])
{
	uint64_t left = totals->mapped_bytes;
	uint64_t away = totals->free_page_bytes - totals->free_resident_bytes;
	uint64_t in_free = totals->bytes[LH_CHUNK_FREE] - lh_min_u64(totals->bytes[LH_CHUNK_FREE], away);
	ret[USE_AWAY] =
		take_part(&left, totals->mapped_bytes - lh_min_u64(totals->mapped_bytes, totals->resident_bytes));
	ret[USE_LIVE] = take_part(&left, totals->used_resident_bytes);
	ret[USE_CACHED] = take_part(&left, totals->bytes[LH_CHUNK_CACHED]);
	ret[USE_TRIMMABLE] = take_part(&left, totals->returnable_bytes);
	ret[USE_PINNED] = take_part(&left, in_free - lh_min_u64(in_free, ret[USE_TRIMMABLE]));
	ret[USE_OVERHEAD] = left;
}

static double part_of(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void put_strip(const uint64_t parts[USE_COUNT], uint64_t mapped_bytes, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX];
	double at = 0;
	lh_buffer_printf(
		ret, "<svg class=\"seg\" role=\"img\" aria-label=\"Heap of %s:", lh_html_bytes(mapped_bytes, bytes));
	for (int use = 0; use < USE_COUNT; use++)
		lh_buffer_printf(ret, "%s %s %s", use ? "," : "", uses[use].name, lh_html_bytes(parts[use], bytes));
	lh_buffer_puts(ret, "\">");
	for (int use = 0; use < USE_COUNT; use++) {
		double width = part_of(parts[use], mapped_bytes);
		lh_buffer_printf(ret, "<rect x=\"%.3f%%\" width=\"%.3f%%\" y=\".5\" height=\"35\" class=\"%s\"/>", at,
				 width, uses[use].class);
		at += width;
	}
	lh_buffer_puts(ret, "</svg>");
}

static void put_use_row(const struct lh_hunt *hunt, int use, const uint64_t now[USE_COUNT],
			const uint64_t then[USE_COUNT], uint64_t mapped_bytes, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX], share[LH_HTML_NUMBER_MAX], more[LH_HTML_NUMBER_MAX];
	int64_t growth = (int64_t)(now[use] - then[use]);
	lh_buffer_printf(ret,
			 "<tr><th scope=\"row\"><svg width=\"20\" height=\"12\" aria-hidden=\"true\"><rect x=\".5\" "
			 "y=\".5\" width=\"11\" height=\"11\" class=\"%s\"%s/></svg><b>%s</b> <span "
			 "class=\"mut\">%s</span></th><td>%s</td><td>%s</td>",
			 uses[use].class, use == USE_AWAY ? " fill=\"none\" stroke=\"currentColor\"" : "",
			 uses[use].name, uses[use].note, lh_html_bytes(now[use], bytes),
			 lh_html_percent(part_of(now[use], mapped_bytes), share));
	if (hunt->is_comparison)
		lh_buffer_printf(ret, "<td>%s</td>",
				 growth ? lh_html_signed_bytes(growth, more) : "<span class=\"mut\">no change</span>");
	lh_buffer_puts(ret, "</tr>\n");
}

static enum lh_hunt_side latest_side(const struct lh_hunt *hunt)
{
	return hunt->heaps[LH_HUNT_AFTER].is_known ? LH_HUNT_AFTER : LH_HUNT_BEFORE;
}

static bool has_heap(const struct lh_hunt *hunt)
{
	return hunt->heaps[latest_side(hunt)].is_known && hunt->heaps[latest_side(hunt)].totals.mapped_bytes;
}

static void write_heap(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	const struct lh_hunt_heap *heap = &hunt->heaps[latest_side(hunt)];
	uint64_t now[USE_COUNT], then[USE_COUNT], mapped_bytes = heap->totals.mapped_bytes;
	char bytes[LH_HTML_NUMBER_MAX], share[LH_HTML_NUMBER_MAX];
	split_heap(&heap->totals, now);
	split_heap(hunt->is_comparison ? &hunt->heaps[LH_HUNT_BEFORE].totals : &heap->totals, then);
	lh_html_begin_section(ret, "frag", "Fragmentation");
	lh_buffer_printf(ret, "<p class=\"lead\">%s of what the allocators have in memory is in use. ",
			 lh_html_percent(part_of(now[USE_LIVE], heap->totals.resident_bytes), share));
	lh_buffer_printf(ret, "A trim would give back %s.</p>\n<figure><figcaption><b>",
			 lh_html_bytes(now[USE_TRIMMABLE], bytes));
	lh_html_text(ret, heap->allocators);
	lh_buffer_printf(ret, "</b>, %s of addresses, ", lh_html_bytes(mapped_bytes, bytes));
	lh_buffer_printf(ret, "%s in memory</figcaption>", lh_html_bytes(heap->totals.resident_bytes, bytes));
	put_strip(now, mapped_bytes, ret);
	lh_buffer_puts(ret, "</figure>\n");
	lh_html_begin_table(ret, "frag-t", "The heap by use", " class=\"stack\"");
	lh_buffer_printf(
		ret,
		"<th scope=\"col\">Use</th><th scope=\"col\">Bytes</th><th scope=\"col\">Of what is mapped</th>%s"
		"</tr></thead><tbody>\n",
		hunt->is_comparison ? "<th scope=\"col\">Since dump A</th>" : "");
	for (int use = 0; use < USE_COUNT; use++)
		put_use_row(hunt, use, now, then, mapped_bytes, ret);
	lh_html_end_table(ret);
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_fragmentation = {
	.id = "frag", .title = "Fragmentation", .has = has_heap, .write = write_heap};
