/*
 * html_map: the address space: a strip of mappings, and totals by kind. Input: the regions of a selection. Guard pages
 * and reserved space have no share of the strip.
 */
#include "html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STRIP_HEIGHT = 72, PIECES_MAX = 200 };

/* A mapping of a region, with its share of the region's resident memory. */
struct piece {
	struct lh_range range;
	const struct lh_growth *growth;
};

struct pieces {
	LH_VEC(struct piece) items;
	uint64_t bytes;
};

struct kind_total {
	size_t mappings;
	uint64_t mapped_bytes;
	uint64_t private_bytes;
	int64_t growth_bytes;
};

static bool is_in_strip(const struct lh_growth *growth)
{
	return growth->kind != LH_REGION_GUARD && growth->kind != LH_REGION_VDSO;
}

static int compare_strip_order(const void *a, const void *b)
{
	const struct piece *left = a, *right = b;
	return lh_compare_u64(left->range.start, right->range.start);
}

static int compare_strip_sizes(const void *a, const void *b)
{
	const struct piece *left = a, *right = b;
	return lh_compare_u64(lh_range_bytes(right->range), lh_range_bytes(left->range));
}

/* Keeps the largest mappings, by address. Returns how many were omitted. */
static size_t keep_largest(struct pieces *pieces)
{
	size_t count = pieces->items.count;
	if (!count)
		return 0;
	qsort(pieces->items.items, count, sizeof(*pieces->items.items), compare_strip_sizes);
	pieces->items.count = lh_min_u64(count, PIECES_MAX);
	qsort(pieces->items.items, pieces->items.count, sizeof(*pieces->items.items), compare_strip_order);
	for (size_t i = 0; i < pieces->items.count; i++)
		pieces->bytes += lh_range_bytes(pieces->items.items[i].range);
	return count - pieces->items.count;
}

static struct lh_error *collect_strip(const struct lh_selection *selection, struct pieces *ret)
{
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		for (size_t j = 0; j < growth->ranges.count && is_in_strip(growth); j++)
			LH_TRY(lh_vec_push(&ret->items, (struct piece){growth->ranges.items[j], growth}));
	}
	return NULL;
}

/* The private, resident part of a region; the same for all its mappings. */
static double filled_part(const struct lh_growth *growth)
{
	uint64_t mapped = lh_max_u64(growth->mapped_last_bytes, 1);
	return (double)lh_min_u64(growth->private_last_bytes, mapped) / (double)mapped;
}

static void put_piece(const struct piece *piece, double at, double width, struct lh_buffer *ret)
{
	const struct lh_growth *growth = piece->growth;
	char size[LH_HTML_NUMBER_MAX], private[LH_HTML_NUMBER_MAX];
	double height = STRIP_HEIGHT * filled_part(growth);
	bool grew = growth->is_suspect;
	lh_buffer_printf(ret, "<g data-t=\"0x%" PRIx64 " to 0x%" PRIx64 ": %s ", piece->range.start, piece->range.end,
			 lh_region_kind_name(growth->kind));
	lh_html_attribute(ret, *growth->thread_name ? growth->thread_name : growth->name);
	lh_buffer_printf(ret, ", %s, %s private%s\" data-cx=\"%.2f%%\">",
			 lh_html_bytes(lh_range_bytes(piece->range), size),
			 lh_html_bytes(growth->private_last_bytes, private),
			 growth->region_count > 1 ? " with others alike" : "", at + width / 2);
	lh_buffer_printf(
		ret,
		"<rect x=\"%.3f%%\" width=\"%.3f%%\" height=\"%d\" class=\"%s\"/><rect x=\"%.3f%%\" width=\"%.3f%%\" "
		"y=\"%.1f\" height=\"%.1f\" class=\"%s\"/></g>",
		at, width, STRIP_HEIGHT, grew ? "c-a1" : "c-2", at, width, STRIP_HEIGHT - height, height,
		grew ? "c-a" : "c-4");
}

static void put_map_strip(const struct pieces *pieces, struct lh_buffer *ret)
{
	double at = 0;
	lh_buffer_printf(
		ret,
		"<figure><svg width=\"100%%\" height=\"%d\" role=\"img\" tabindex=\"0\" data-read=\"map-read\" "
		"aria-label=\"Strip of %zu mappings in order of address\">",
		STRIP_HEIGHT, pieces->items.count);
	for (size_t i = 0; i < pieces->items.count; i++) {
		const struct piece *piece = &pieces->items.items[i];
		double width = 100.0 * (double)lh_range_bytes(piece->range) / (double)lh_max_u64(pieces->bytes, 1);
		put_piece(piece, at, width > 0.06 ? width : 0.06, ret);
		at += width;
	}
	lh_buffer_puts(ret,
		       "</svg><p class=\"read jsonly\" id=\"map-read\" aria-live=\"polite\">Point at the strip, or use "
		       "the arrow keys, to read a mapping.</p></figure>\n");
}

/* ---------------------------------------------------------------- totals */

static void total_kinds(const struct lh_selection *selection, struct kind_total ret[LH_REGION_KIND_COUNT])
{
	memset(ret, 0, LH_REGION_KIND_COUNT * sizeof(*ret));
	for (size_t i = 0; i < selection->growths.count; i++) {
		const struct lh_growth *growth = &selection->growths.items[i];
		struct kind_total *total = &ret[growth->kind];
		total->mappings += growth->region_count;
		total->mapped_bytes += growth->mapped_last_bytes;
		total->private_bytes += growth->private_last_bytes;
		total->growth_bytes += growth->growth_bytes;
	}
}

static void put_kind_row(enum lh_region_kind kind, const struct kind_total *total, struct lh_buffer *ret)
{
	char count[LH_HTML_NUMBER_MAX], mapped[LH_HTML_NUMBER_MAX], private[LH_HTML_NUMBER_MAX],
		growth[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(ret,
			 "<tr><th scope=\"row\">%s</th><td data-v=\"%" PRIu64 "\">%s</td><td data-v=\"%" PRId64
			 "\">%s</td><td data-v=\"%" PRIu64 "\">%s</td><td data-v=\"%zu\">%s</td></tr>\n",
			 lh_region_kind_name(kind), total->private_bytes, lh_html_bytes(total->private_bytes, private),
			 total->growth_bytes, lh_html_signed_bytes(total->growth_bytes, growth), total->mapped_bytes,
			 lh_html_bytes(total->mapped_bytes, mapped), total->mappings,
			 lh_html_count(total->mappings, count));
}

/* Most private memory first. */
static void put_kind_rows(const struct kind_total totals[LH_REGION_KIND_COUNT], struct lh_buffer *ret)
{
	bool is_done[LH_REGION_KIND_COUNT] = {false};
	for (;;) {
		int best = -1;
		for (int kind = 0; kind < LH_REGION_KIND_COUNT; kind++) {
			if (!is_done[kind] && totals[kind].mappings &&
			    (best < 0 || totals[kind].private_bytes > totals[best].private_bytes))
				best = kind;
		}
		if (best < 0)
			return;
		is_done[best] = true;
		put_kind_row((enum lh_region_kind)best, &totals[best], ret);
	}
}

static void put_kind_table(const struct lh_selection *selection, struct lh_buffer *ret)
{
	struct kind_total totals[LH_REGION_KIND_COUNT];
	total_kinds(selection, totals);
	lh_buffer_puts(ret, "<details><summary>Totals by kind</summary>");
	lh_html_begin_table(ret, "kind-t", "Mappings by kind", " class=\"sort\"");
	lh_html_column(ret, "Kind", false, "");
	lh_html_column(ret, "Private", true, " aria-sort=\"descending\"");
	lh_html_column(ret, "Growth", true, "");
	lh_html_column(ret, "Addresses", true, "");
	lh_html_column(ret, "Mappings", true, "");
	lh_buffer_puts(ret, "</tr></thead><tbody>\n");
	put_kind_rows(totals, ret);
	lh_html_end_table(ret);
	lh_buffer_puts(ret, "</details>");
}

/* ---------------------------------------------------------------- the section */

static bool has_map(const struct lh_hunt *hunt)
{
	return hunt->has_selection && hunt->selection.growths.count > 0;
}

static void deinit_pieces(struct pieces *pieces)
{
	lh_vec_deinit(&pieces->items);
}

static void write_address_space(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	struct pieces pieces LH_CLEANUP(deinit_pieces) = {.bytes = 0};
	char bytes[LH_HTML_NUMBER_MAX];
	struct lh_error *error = collect_strip(&hunt->selection, &pieces);
	ret->failed |= error != NULL;
	lh_error_destroy(error);
	size_t hidden = keep_largest(&pieces);
	lh_html_begin_section(ret, "map", "Address space");
	lh_buffer_printf(
		ret,
		"<p class=\"lead\">%zu mappings, %s of addresses without guard pages. Width is size; the filled "
		"height is the part that is private and in memory. Tinted is what grows.",
		pieces.items.count, lh_html_bytes(pieces.bytes, bytes));
	if (hidden)
		lh_buffer_printf(ret, " The %zu smallest mappings are left out of the strip.", hidden);
	lh_buffer_puts(ret, "</p>\n");
	put_map_strip(&pieces, ret);
	put_kind_table(&hunt->selection, ret);
	lh_buffer_puts(ret, "</section>\n");
}

const struct lh_html_section lh_html_map = {
	.id = "map", .title = "Address space", .has = has_map, .write = write_address_space};
