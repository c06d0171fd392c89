/*
 * html_fills: what fills private memory, as nested lists: owners, their types, examples. The script turns them into a
 * treemap. Input: owners of a hunt, with each byte counted once.
 */
#include "html.h"

#include <inttypes.h>

static double owner_share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void put_fill_name(const struct lh_hunt_fill *fill, struct lh_buffer *ret)
{
	enum { NAME_BYTES_MAX = 120 };
	lh_buffer_printf(ret, "<span class=\"n\">%s", fill->prefix ? fill->prefix : "");
	lh_html_text_cut(ret, fill->name, NAME_BYTES_MAX);
	lh_buffer_puts(ret, "</span>");
}

/* "818 blocks, OpenSSL, server, TLS 1.3" */
static void put_fill_note(const struct lh_hunt_fill *fill, struct lh_buffer *ret)
{
	char count[LH_HTML_NUMBER_MAX];
	const char *separator = "";
	if (fill->count) {
		lh_buffer_printf(ret, "%s", lh_html_count(fill->count, count));
		separator = ", ";
	}
	if (*fill->family) {
		lh_buffer_puts(ret, separator);
		lh_html_attribute(ret, fill->family);
		separator = ", ";
	}
	if (*fill->detail) {
		lh_buffer_puts(ret, separator);
		lh_html_attribute(ret, fill->detail);
	}
}

static void put_fill(const struct lh_hunt_fill *fill, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX], growth[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(ret, "<li data-b=\"%" PRIu64 "\" data-g=\"%" PRId64 "\" data-note=\"", fill->bytes,
			 fill->growth_bytes);
	put_fill_note(fill, ret);
	lh_buffer_puts(ret, "\">");
	put_fill_name(fill, ret);
	lh_buffer_printf(ret, " <span class=\"b\">%s", lh_html_bytes(fill->bytes, bytes));
	if (fill->growth_bytes)
		lh_buffer_printf(ret, ", %s", lh_html_signed_bytes(fill->growth_bytes, growth));
	if (fill->count || *fill->family || *fill->detail) {
		lh_buffer_puts(ret, " · ");
		put_fill_note(fill, ret);
	}
	lh_buffer_puts(ret, "</span>");
	if (fill->addr)
		lh_buffer_printf(ret, "<ul class=\"x\"><li>for example at <code>0x%" PRIx64 "</code></li></ul>",
				 fill->addr);
	lh_buffer_puts(ret, "</li>\n");
}

static void put_owner(const struct lh_hunt_owner *owner, uint64_t all_bytes, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX], share[LH_HTML_NUMBER_MAX];
	lh_buffer_printf(ret, "<li data-b=\"%" PRIu64 "\" data-g=\"%" PRId64 "\" data-note=\"%s\"><span class=\"n\">",
			 owner->bytes, owner->growth_bytes, owner->note);
	lh_html_text(ret, owner->name);
	lh_buffer_printf(ret, "</span> <span class=\"b\">%s · %s%s%s</span><ul>\n", lh_html_bytes(owner->bytes, bytes),
			 lh_html_percent(owner_share(owner->bytes, all_bytes), share), *owner->note ? " · " : "",
			 owner->note);
	for (size_t i = 0; i < owner->fills.count; i++)
		put_fill(&owner->fills.items[i], ret);
	lh_buffer_puts(ret, "</ul></li>\n");
}

static bool has_fills(const struct lh_hunt *hunt)
{
	return hunt->owners.items.count > 0;
}

static void put_key(const char *class, const char *text, struct lh_buffer *ret)
{
	lh_buffer_printf(ret,
			 "<li><svg aria-hidden=\"true\"><rect width=\"12\" height=\"12\" class=\"%s\"/></svg>%s</li>",
			 class, text);
}

static void write_fills(const struct lh_hunt *hunt, struct lh_buffer *ret)
{
	char bytes[LH_HTML_NUMBER_MAX];
	lh_html_begin_section(ret, "fills", "What fills memory");
	lh_buffer_printf(
		ret,
		"<p class=\"lead\">%s of private memory, by owner, then by type, each byte once. Sizes are of "
		"pages in memory. Tinted is what grew since the first dump.</p>\n"
		"<div class=\"crumb jsonly\" id=\"tm-crumb\"></div><div class=\"tm\" id=\"tm\" role=\"group\" "
		"aria-label=\"Treemap of private memory; each button opens its owner or lists examples\"></div>"
		"<p class=\"read jsonly\" id=\"tm-read\" aria-live=\"polite\">Point at or focus a rectangle to read "
		"it; click to zoom and list examples. Esc goes back.</p><div class=\"ex\" id=\"tm-ex\" "
		"hidden></div>\n<ul class=\"key\">",
		lh_html_bytes(hunt->owners.bytes, bytes));
	put_key("c-a2", "most of it grew", ret);
	put_key("c-a1", "some grew", ret);
	put_key("c-2", "did not grow", ret);
	lh_buffer_puts(ret, "</ul>\n<details class=\"twin\" open><summary>The same as a list</summary><ul class=\"tl\" "
			    "id=\"tm-data\">\n");
	for (size_t i = 0; i < hunt->owners.items.count; i++)
		put_owner(&hunt->owners.items.items[i], hunt->owners.bytes, ret);
	lh_buffer_puts(ret, "</ul></details></section>\n");
}

const struct lh_html_section lh_html_fills = {
	.id = "fills", .title = "What fills memory", .has = has_fills, .write = write_fills};
